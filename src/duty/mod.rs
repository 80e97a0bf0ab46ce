//! Duty: what happens after something was noticed. [`event::Event`]s are the only memory; [`State`] is their fold.
//!
//! `apply(state, plan, now, input) -> events or refusal` is the only thing that decides; [`State::absorb`] the only thing that
//! changes state, from events alone, so a replayed ledger gives the same state. Ticks are inputs like any other.

pub mod event;
pub mod plan;
pub mod view;

mod apply;
mod facts;
mod show;
mod state;
#[cfg(test)]
mod timelines;
mod words;

pub use apply::{Refusal, apply};
pub use plan::{ChannelPlan, Plan, PlanRaw};
pub use state::State;

use crate::rule::Finding;
use crate::time::Instant;
use crate::topic::TopicId;
use serde::{Deserialize, Serialize};

/// How an attempt to send ended; only the channel decides which (design section 9).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The receiver said yes.
    Accepted,
    /// Try again: receiver busy or unreachable; wait at least this long where it said so.
    Retry {
        /// Milliseconds the receiver asked to wait.
        after_ms: Option<i64>,
        /// What it said.
        detail: String,
    },
    /// The receiver will never take this notice.
    Refused {
        /// What it said.
        detail: String,
    },
    /// The receiver takes nothing from us until somebody mends the settings: tell the operator on another channel.
    Misconfigured {
        /// What it said.
        detail: String,
    },
    /// It may or may not have arrived.
    Unknown {
        /// What happened.
        detail: String,
    },
}

/// What a person asks for; `by` is an account name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Takes the incident: stops the paging, not the clock; expires.
    Acknowledge {
        /// Incident id.
        incident: String,
        /// Who.
        by: String,
        /// `console`, `api`, `link`.
        via: String,
    },
    /// Says that it is true, and when it happened.
    Confirm {
        /// Incident id.
        incident: String,
        /// Who.
        by: String,
        /// When it occurred, where known; later than the machine's basis only with a reason.
        occurred: Option<Instant>,
        /// Why.
        reason: String,
    },
    /// Says that it is not an event for us.
    Dismiss {
        /// Incident id.
        incident: String,
        /// Who.
        by: String,
        /// Why; required.
        reason: String,
    },
}

impl Command {
    /// The incident it is about.
    pub fn incident(&self) -> &str {
        match self {
            Command::Acknowledge { incident, .. }
            | Command::Confirm { incident, .. }
            | Command::Dismiss { incident, .. } => incident,
        }
    }
}

/// Everything that can happen to duty.
#[expect(clippy::large_enum_variant, reason = "inputs are handed over one at a time and never kept in numbers")]
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// The rules put something before people.
    Found(Finding),
    /// Two topics turned out to be one.
    Merged {
        /// The younger.
        from: TopicId,
        /// The one that stays.
        into: TopicId,
    },
    /// Somebody asked for something.
    Command(Command),
    /// An attempt to send ended.
    Sent {
        /// Key of the notice.
        key: String,
        /// How.
        verdict: Verdict,
    },
    /// Time has passed.
    Tick,
}
