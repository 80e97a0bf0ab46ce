//! What people and programs see of an incident (`GET /api/v1/incidents/{id}`, the console): derived from the state, never stored.

use crate::assess::{Cause, Claim, Class, Level, Place};
use crate::time::Instant;
use crate::topic::{Heat, TopicId};
use serde::{Deserialize, Serialize};

/// Where an incident is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Nobody has it 待接.
    Raised,
    /// Somebody has it 已接.
    Acknowledged,
    /// It is true 已确认.
    Confirmed,
    /// It is none 不成立.
    Dismissed,
    /// The first notice is out 已回应.
    Answered,
    /// Done 已办结.
    Closed,
}

impl IncidentState {
    /// Whether it still stands on the board.
    pub fn is_open(self) -> bool {
        !matches!(self, IncidentState::Dismissed | IncidentState::Closed)
    }
}

/// The times of an incident, kept apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Times {
    /// As a person confirmed.
    pub occurred: Option<Instant>,
    /// Earliest credible mention.
    pub first_mention: Option<Instant>,
    /// When the rules raised it (stream time).
    pub detected: Option<Instant>,
    /// When the first notice was accepted by a channel.
    pub alerted: Option<Instant>,
    /// First acknowledgement.
    pub acknowledged: Option<Instant>,
    /// Confirmation.
    pub confirmed: Option<Instant>,
    /// First public post.
    pub first_published: Option<Instant>,
}

/// State of a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// Running 计时中 (临近 under 60 minutes and 紧迫 under 30 are drawn from `due`).
    Running,
    /// Past its end 超时.
    Overdue,
    /// Done 已完成.
    Met,
    /// Ended with the incident.
    Cancelled,
    /// Exempted by a person 豁免.
    Exempted,
}

/// One clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClockView {
    /// `first_notice`, …
    pub kind: String,
    /// Whose it is.
    pub owner: String,
    /// From when it runs.
    pub start: Instant,
    /// Why from then, for people.
    pub basis: String,
    /// When it is due.
    pub due: Instant,
    /// Where it stands.
    pub state: ClockState,
    /// Seconds by which it was overdue when the incident was raised; 0 otherwise.
    pub overdue_at_birth_s: i64,
}

/// One line of an incident's history.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HistoryLine {
    /// Ledger entry.
    pub seq: u64,
    /// When.
    pub at: Instant,
    /// Who.
    pub actor: String,
    /// `incident_raised`, … as in the ledger.
    pub event: String,
    /// The same for people, in Chinese.
    pub words: String,
    /// Hash of the entry.
    pub hash: String,
}

/// One notice and how its sending stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticeView {
    /// `N-…`.
    pub key: String,
    /// When decided.
    pub at: Instant,
    /// Officer, or empty for a group or hub.
    pub officer: String,
    /// Channel.
    pub channel: String,
    /// `new`, `worse`, …
    pub reason: String,
    /// `pending`, `accepted`, `refused`, `misconfigured`, `unknown`.
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// What the receiver said last.
    pub detail: String,
}

/// One incident, whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IncidentView {
    /// `I-…`.
    pub id: String,
    /// Its topic; none for a person in danger.
    pub topic: Option<TopicId>,
    /// Where in its life.
    pub state: IncidentState,
    /// How bad.
    pub level: Level,
    /// Strongest first.
    pub classes: Vec<Class>,
    /// Where.
    pub place: Place,
    /// Short name.
    pub title: String,
    /// Fewer than three sources and none official.
    pub unverified: bool,
    /// A person in danger: only numbers to dial are shown, and it stands in no list.
    pub restricted: bool,
    /// The rule's words.
    pub reason: String,
    /// Times.
    pub times: Times,
    /// Clocks, the most urgent first.
    pub clocks: Vec<ClockView>,
    /// Heat when last found.
    pub heat: Heat,
    /// Why.
    pub causes: Vec<Cause>,
    /// Numbers claimed.
    pub claims: Vec<Claim>,
    /// Ids when raised.
    pub carried: Vec<String>,
    /// Distinct sources.
    pub sources: u32,
    /// Who has it.
    pub owner: Option<String>,
    /// Until when the acknowledgement holds.
    pub acknowledged_until: Option<Instant>,
    /// Who is called next, and when.
    pub next_call: Option<(Instant, Vec<String>)>,
    /// Units that answer for it.
    pub responsible: Vec<String>,
    /// Related incidents.
    pub related: Vec<String>,
    /// Notices, oldest first.
    pub notices: Vec<NoticeView>,
    /// History, oldest first.
    pub history: Vec<HistoryLine>,
}
