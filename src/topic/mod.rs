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

/// Stable id of a topic: `T-` and a number in base 36. Made from the first mention, its arrival before its id, so that two
/// desks that read the same stream give the same one; the oldest outlives a merge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicId(pub u64);

/// Bits of a topic id that tell apart topics of one millisecond; 42 are left for milliseconds since 1970, up to 2109.
const TELL_APART: u32 = 22;

impl TopicId {
    /// The id of a topic that this mention opens.
    pub fn of(mention: &crate::mention::Mention) -> TopicId {
        let millis = u64::try_from(mention.collected_at.millis()).unwrap_or(0);
        TopicId((millis << TELL_APART) | (finger::key(&mention.id) >> (64 - TELL_APART)))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Vec::new();
        let mut rest = self.0;
        while rest > 0 || digits.is_empty() {
            digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
            rest /= 36;
        }
        write!(f, "T-{}", digits.iter().rev().collect::<String>())
    }
}

impl schemars::JsonSchema for TopicId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TopicId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^T-[0-9a-z]+$", "description": "Stable id of a topic." })
    }
    fn inline_schema() -> bool {
        true
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
        let number = text.strip_prefix("T-").and_then(|digits| u64::from_str_radix(digits, 36).ok());
        number.map(TopicId).ok_or_else(|| serde::de::Error::custom("not a topic id"))
    }
}

/// How unusual and how wide a topic is now.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Heat {
    /// Sum of the parts.
    pub total: f64,
    /// The parts.
    pub parts: HeatParts,
}

/// The parts of [`Heat`].
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeatParts {
    /// Distinct sources now against what is normal: EWMA z.
    pub burst: f64,
    /// Growth of distinct sources.
    pub growth: f64,
    /// Platforms, engagement, rank on hot lists.
    pub width: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [0, 35, 36, 1_790_000_000_000 << TELL_APART, u64::MAX] {
            let written = serde_json::to_string(&TopicId(id)).expect("writes");
            assert_eq!(serde_json::from_str::<TopicId>(&written).expect("reads"), TopicId(id), "{written}");
        }
        assert!(serde_json::from_str::<TopicId>("\"T-ÿ\"").is_err());
    }
}
