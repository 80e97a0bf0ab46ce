//! How state is written where the readable form of a type does not suit a compact format: hash tables in the order of their
//! keys (the same state gives the same bytes), places with every field.

use serde::{Deserialize, Serialize};

/// Hash tables, sorted by key.
pub(crate) mod sorted {
    use rustc_hash::FxHashMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::hash::Hash;

    pub(crate) fn serialize<K, V, S>(table: &FxHashMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize + Ord,
        V: Serialize,
        S: Serializer,
    {
        let mut rows: Vec<(&K, &V)> = table.iter().collect();
        rows.sort_by(|a, b| a.0.cmp(b.0));
        rows.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<FxHashMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A place with every field present: the readable form leaves out what is empty, which a compact format cannot read back.
pub(crate) mod place {
    use super::{AnchorKept, PlaceKept};
    use crate::assess::{Anchor, Place};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
        let anchors = place.anchors.iter().map(|anchor| AnchorKept {
            text: anchor.text.clone(),
            kind: anchor.kind.clone(),
            score: anchor.score,
            start: anchor.start,
            end: anchor.end,
            within: anchor.within.clone(),
        });
        PlaceKept {
            verdict: place.verdict,
            relation: place.relation,
            district: place.district.clone(),
            township: place.township.clone(),
            anchors: anchors.collect(),
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        let kept = PlaceKept::deserialize(deserializer)?;
        let anchors = kept.anchors.into_iter().map(|anchor| Anchor {
            text: anchor.text,
            kind: anchor.kind,
            score: anchor.score,
            start: anchor.start,
            end: anchor.end,
            within: anchor.within,
        });
        Ok(Place {
            verdict: kept.verdict,
            relation: kept.relation,
            district: kept.district,
            township: kept.township,
            anchors: anchors.collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct PlaceKept {
    verdict: crate::assess::Verdict,
    relation: Option<crate::assess::Relation>,
    district: Option<String>,
    township: Option<String>,
    anchors: Vec<AnchorKept>,
}

#[derive(Serialize, Deserialize)]
struct AnchorKept {
    text: String,
    kind: String,
    score: f64,
    start: usize,
    end: usize,
    within: Option<String>,
}
