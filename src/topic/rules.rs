//! The numbers of folding and of heat, as `rules.toml` gives them. Each says what it is good for.

use serde::{Deserialize, Serialize};

/// How mentions fold into topics.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FoldRules {
    /// Hours for which texts are remembered by fingerprint.
    pub window_hours: f64,
    /// Hours for which ids and hot-list entries are remembered.
    pub names_hours: f64,
    /// Jaccard likeness of bigrams from which a text is a near copy.
    pub near: f64,
    /// Cosine from which a text tells of the topic.
    pub alike: f64,
    /// Cosine from which it does so although place or class contradict.
    pub alike_contradicted: f64,
    /// Cosine from which a citizen message tells of the same matter.
    pub alike_message: f64,
    /// Cosine from which two topics that a mention ties are one.
    pub merge: f64,
    /// Hours after which likeness to a topic counts half.
    pub half_life_hours: f64,
    /// The same between citizen messages.
    pub message_half_life_hours: f64,
    /// Hours within which hazards of one class at one place are one event.
    pub scene_hours: f64,
    /// Topics kept at most; small, quiet, old ones go first.
    pub topics: usize,
}

impl Default for FoldRules {
    fn default() -> FoldRules {
        FoldRules {
            window_hours: 48.0,
            names_hours: 336.0,
            near: 0.6,
            alike: 0.28,
            alike_contradicted: 0.6,
            alike_message: 0.12,
            merge: 0.5,
            half_life_hours: 72.0,
            message_half_life_hours: 87_600.0,
            scene_hours: 3.0,
            topics: 50_000,
        }
    }
}

/// How hot is hot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeatRules {
    /// Half-life of the baseline.
    pub half_life_hours: f64,
    /// Weight of growth.
    pub growth: f64,
    /// Weight of each further platform.
    pub platform: f64,
    /// Weight of each power of ten of engagement.
    pub engagement: f64,
    /// Weight of the top of a hot list; the 50th rank has a fiftieth.
    pub rank: f64,
    /// Heat from which a topic is hot.
    pub hot: f64,
    /// Distinct sources without which heat alone raises nothing.
    pub hot_sources: u32,
}

impl Default for HeatRules {
    fn default() -> HeatRules {
        HeatRules {
            half_life_hours: 24.0,
            growth: 2.0,
            platform: 0.5,
            engagement: 0.4,
            rank: 1.0,
            hot: 4.5,
            hot_sources: 5,
        }
    }
}
