//! Assessment, topic and heat in; raise, watch or ignore out, with the reason.

mod judge;
pub mod settings;
pub mod watch;

use crate::assess::{Cause, Claim, Class, Level, Place};
use crate::time::Instant;
use crate::topic::{Heat, TopicId};
use serde::{Deserialize, Serialize};

/// Why a topic is put before people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// For the first time.
    Raised,
    /// Raised before; level, class or place have changed.
    Changed,
    /// Somebody may be about to die by their own hand: no topic, no text, page at once.
    PersonInDanger,
    /// Old news told again by many: a clarification is suggested, no clock runs.
    Clarify,
}

/// What the rules put before people: everything duty needs, no text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Why.
    pub kind: FindingKind,
    /// `created_at` of the mention that decided it, never earlier than the finding before.
    pub at: Instant,
    /// Its `collected_at`.
    pub seen_at: Instant,
    /// The topic; `None` for a person in danger.
    pub topic: Option<TopicId>,
    /// How bad.
    pub level: Level,
    /// Strongest first.
    pub classes: Vec<Class>,
    /// Where.
    pub place: Place,
    /// Ids that carry it, at most [`crate::limits::CARRIED`].
    pub mentions: Vec<String>,
    /// Distinct sources so far.
    pub sources: u32,
    /// Heat now.
    pub heat: Heat,
    /// The rule and its words, in Chinese, for people.
    pub reason: String,
    /// Earliest credible mention: start of the 2-hour clock until a person says otherwise.
    pub first_mention: Instant,
    /// Fewer than three sources and none official.
    pub unverified: bool,
    /// Causes of the deciding mention.
    pub causes: Vec<Cause>,
    /// Numbers claimed so far.
    pub claims: Vec<Claim>,
    /// A short name made of place and matched terms, never of quoted text: `扬子洲镇 冒水泡、泡泉`.
    pub title: String,
    /// Units that answer for it.
    pub responsible: Vec<String>,
}
