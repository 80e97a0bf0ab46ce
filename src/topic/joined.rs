//! Why a mention is in its topic, kept with every join and shown to people.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a mention is in its topic, or in none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joined {
    /// Like nothing so far.
    New,
    /// It reposts or answers a mention of the topic.
    Parent,
    /// The same entry of a hot list.
    Entry,
    /// It was already named as the parent of others.
    Child,
    /// Letter for letter the same text.
    Same,
    /// A near copy; percent of likeness.
    Near(u8),
    /// It tells of the same with other words; percent of likeness.
    Alike(u8),
    /// A hazard of the same class at the same place now.
    Scene,
    /// Kept out of everything: a person in danger.
    KeptOut,
}

impl Joined {
    /// Whether the text itself is that of the topic, so that what was said of the topic holds for it.
    pub fn is_retelling(self) -> bool {
        matches!(self, Joined::Parent | Joined::Entry | Joined::Child | Joined::Same | Joined::Near(_))
    }
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Joined::New => f.write_str("新话题"),
            Joined::Parent => f.write_str("转发或评论同一条信息"),
            Joined::Entry => f.write_str("热榜同一条目"),
            Joined::Child => f.write_str("此前已有转发或评论指向本条"),
            Joined::Same => f.write_str("文字完全相同"),
            Joined::Near(percent) => write!(f, "文字近乎相同（{percent}%）"),
            Joined::Alike(percent) => write!(f, "所述内容相近（相似度 {percent}%）"),
            Joined::Scene => f.write_str("同一地点、同类险情，时间相近"),
            Joined::KeptOut => f.write_str("涉及个人安危，不并入话题"),
        }
    }
}
