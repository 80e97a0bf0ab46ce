//! Topics: mentions about one event folded together, with a stable id, and their heat.

mod bands;
mod few;
mod finger;
mod fold;
mod heat;
mod joined;
mod kept;
mod like;
pub mod rules;
mod scene;
mod store;

pub use fold::{Folded, Topics};
pub use heat::Pulse;
pub use joined::Joined;
pub use store::{MEMBERS, Raised, Topic};
pub(crate) use store::{event_time, is_credible, surety};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Stable id of a topic: `T-17`. Given in the order of first mentions; the oldest outlives a merge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicId(pub u64);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T-{}", self.0)
    }
}

impl Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for TopicId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TopicId, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(TopicId);
        }
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let number = text.strip_prefix("T-").and_then(|digits| digits.parse().ok());
        number.map(TopicId).ok_or_else(|| serde::de::Error::custom("not a topic id"))
    }
}

/// How unusual and how wide a topic is now.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Heat {
    /// Sum of the parts.
    pub total: f64,
    /// The parts.
    pub parts: HeatParts,
}

/// The parts of [`Heat`].
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct HeatParts {
    /// Distinct sources now against what is normal: EWMA z.
    pub burst: f64,
    /// Growth of distinct sources.
    pub growth: f64,
    /// Platforms, engagement, rank on hot lists.
    pub width: f64,
}
