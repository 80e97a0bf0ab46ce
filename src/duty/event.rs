//! The events of the ledger: a closed list. Everything decided and done is one of these, and state is their fold.

use crate::duty::Verdict;
use crate::rule::Finding;
use crate::time::Instant;
use crate::topic::TopicId;
use serde::{Deserialize, Serialize};

/// Why a notice is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// First notice of an incident.
    New,
    /// Level rose.
    Worse,
    /// A clock comes near its end, or an acknowledgement ran out.
    Reminder,
    /// Nobody acknowledged in time: the next person.
    Escalation,
    /// It is over.
    Resolved,
    /// Several merged, or held over quiet hours.
    Digest,
}

/// One message to one recipient on one channel for one reason, as it will be sent, byte for byte.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Stable key: `N-…`; the same on every attempt.
    pub key: String,
    /// Incident id.
    pub incident: String,
    /// Why.
    pub reason: Reason,
    /// Officer it is meant for; `None` for a group or hub.
    pub officer: Option<String>,
    /// Name of the channel in the settings.
    pub channel: String,
    /// Ladder step that asked for it, from 0.
    pub step: u32,
    /// Level when decided.
    pub level: crate::assess::Level,
    /// Everything a channel renders from: no quoted text, no names of the public.
    pub facts: serde_json::Value,
    /// When it was decided.
    pub decided_at: Instant,
}

/// One step of a ladder as fixed when it was planned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedStep {
    /// When it comes due.
    pub at: Instant,
    /// Who is called; empty where nobody is on duty for it.
    pub officers: Vec<String>,
}

/// One thing decided or done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A finding became an incident.
    IncidentRaised {
        /// `I-…`.
        incident: String,
        /// What the rules found.
        finding: Finding,
    },
    /// The rules found it changed.
    IncidentChanged {
        /// `I-…`.
        incident: String,
        /// What the rules found.
        finding: Finding,
    },
    /// Topics of two incidents, or of an incident and a topic, became one.
    TopicsMerged {
        /// The younger topic.
        from: TopicId,
        /// The one that stays.
        into: TopicId,
    },
    /// Somebody has it.
    Acknowledged {
        /// `I-…`.
        incident: String,
        /// Who.
        by: String,
        /// `console`, `api`, `link`.
        via: String,
        /// When it runs out.
        until: Instant,
    },
    /// The acknowledgement ran out without a decision.
    AcknowledgementExpired {
        /// `I-…`.
        incident: String,
    },
    /// Somebody says it is true.
    Confirmed {
        /// `I-…`.
        incident: String,
        /// Who.
        by: String,
        /// When it occurred.
        occurred: Option<Instant>,
        /// Why.
        reason: String,
    },
    /// Somebody says it is none.
    Dismissed {
        /// `I-…`.
        incident: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A clock began, or its basis moved.
    ClockStarted {
        /// `I-…`.
        incident: String,
        /// `first_notice`, … (design section 7).
        kind: String,
        /// Whose it is.
        owner: String,
        /// From when it runs.
        start: Instant,
        /// Why from then.
        basis: String,
        /// When it is due.
        due: Instant,
    },
    /// A clock comes near its end.
    ClockNear {
        /// `I-…`.
        incident: String,
        /// Which.
        kind: String,
        /// When it is due.
        due: Instant,
    },
    /// A clock ran past its end.
    ClockOverdue {
        /// `I-…`.
        incident: String,
        /// Which.
        kind: String,
        /// When it was due.
        due: Instant,
    },
    /// A clock was ended by its incident's end.
    ClockCancelled {
        /// `I-…`.
        incident: String,
        /// Which.
        kind: String,
        /// Why.
        reason: String,
    },
    /// The ladder was fixed: absolute instants that later changes of the settings do not move.
    EscalationPlanned {
        /// `I-…`.
        incident: String,
        /// Why step 0 speaks.
        reason: Reason,
        /// The steps, in order.
        steps: Vec<PlannedStep>,
    },
    /// A ladder step came due.
    Escalated {
        /// `I-…`.
        incident: String,
        /// From 0.
        step: u32,
        /// Who is called; empty where nobody is on duty for it.
        officers: Vec<String>,
        /// Why, or why it was skipped.
        reason: String,
    },
    /// A notice is to be sent.
    NoticeDecided {
        /// It.
        notice: Notice,
    },
    /// An attempt ended.
    NoticeAttempted {
        /// Key.
        key: String,
        /// From 1.
        attempt: u32,
        /// How.
        verdict: Verdict,
        /// When the next attempt is due; `None` where there is none.
        next: Option<Instant>,
    },
    /// Somebody searched.
    Searched {
        /// Account.
        by: String,
        /// Stated purpose.
        purpose: String,
        /// The query.
        query: String,
        /// Hits in all.
        total: u64,
    },
    /// The salt of a day's source keys was destroyed.
    SaltDestroyed {
        /// `YYYY-MM-DD`.
        day: String,
    },
    /// The program started, after `kill` or not.
    Started {
        /// Version.
        version: String,
    },
}

impl Event {
    /// The incident it is about, where it names one.
    pub fn incident(&self) -> Option<&str> {
        match self {
            Event::IncidentRaised { incident, .. }
            | Event::IncidentChanged { incident, .. }
            | Event::Acknowledged { incident, .. }
            | Event::AcknowledgementExpired { incident }
            | Event::Confirmed { incident, .. }
            | Event::Dismissed { incident, .. }
            | Event::ClockStarted { incident, .. }
            | Event::ClockNear { incident, .. }
            | Event::ClockOverdue { incident, .. }
            | Event::ClockCancelled { incident, .. }
            | Event::EscalationPlanned { incident, .. }
            | Event::Escalated { incident, .. } => Some(incident),
            Event::NoticeDecided { notice } => Some(&notice.incident),
            Event::TopicsMerged { .. }
            | Event::NoticeAttempted { .. }
            | Event::Searched { .. }
            | Event::SaltDestroyed { .. }
            | Event::Started { .. } => None,
        }
    }

    /// The name scripts see: `incident_raised`.
    pub fn name(&self) -> &'static str {
        match self {
            Event::IncidentRaised { .. } => "incident_raised",
            Event::IncidentChanged { .. } => "incident_changed",
            Event::TopicsMerged { .. } => "topics_merged",
            Event::Acknowledged { .. } => "acknowledged",
            Event::AcknowledgementExpired { .. } => "acknowledgement_expired",
            Event::Confirmed { .. } => "confirmed",
            Event::Dismissed { .. } => "dismissed",
            Event::ClockStarted { .. } => "clock_started",
            Event::ClockNear { .. } => "clock_near",
            Event::ClockOverdue { .. } => "clock_overdue",
            Event::ClockCancelled { .. } => "clock_cancelled",
            Event::EscalationPlanned { .. } => "escalation_planned",
            Event::Escalated { .. } => "escalated",
            Event::NoticeDecided { .. } => "notice_decided",
            Event::NoticeAttempted { .. } => "notice_attempted",
            Event::Searched { .. } => "searched",
            Event::SaltDestroyed { .. } => "salt_destroyed",
            Event::Started { .. } => "started",
        }
    }
}

/// An event where it stands in the ledger.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Instant,
    /// `machine`, or an account name.
    pub actor: String,
    /// What.
    pub event: Event,
    /// SHA-256 over the entry before and this one's canonical JSON, hex.
    pub hash: String,
}
