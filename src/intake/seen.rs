//! What the door has seen: ids and their counts, so that a mention that comes again is no new one. In: an id with
//! counts. Out: whether it is new, the same, or known with higher counts. Rebuilt from the intake log at open.

use crate::mention::Counts;
use rustc_hash::FxHashMap;
use std::mem;
use xxhash_rust::xxh3::xxh3_128;

/// Ids of one generation; two are held. At 32 bytes and the table's slack both stay under 200 MB; at the 50,000
/// mentions an hour of the largest city-wide event that is three days, and collectors repeat within hours.
pub const GENERATION: usize = 2_000_000;

/// What a mention is to the door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Not seen.
    New,
    /// Seen, and nothing rose.
    Same,
    /// Seen with lower counts; these are the highest of both.
    Raised(Counts),
}

/// Counts in half the room: what stands above four thousand million is told once.
type Small = [u32; 4];

fn small(counts: &Counts) -> Small {
    [counts.reposts, counts.comments, counts.likes, counts.views].map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Two generations of ids; when the younger is full the older is forgotten.
#[derive(Default, Debug)]
pub struct Seen {
    young: FxHashMap<u128, Small>,
    old: FxHashMap<u128, Small>,
    generation: usize,
}

/// How ids are kept in a checkpoint: in order, so that the same state gives the same bytes.
type Kept = (Vec<(u128, Small)>, Vec<(u128, Small)>, usize);

impl Seen {
    /// Nothing seen; `generation` ids before the oldest are forgotten.
    pub fn new(generation: usize) -> Seen {
        Seen { generation, ..Seen::default() }
    }

    /// Notes a mention.
    pub fn note(&mut self, id: &str, counts: &Counts) -> Known {
        let key = xxh3_128(id.as_bytes());
        let now = small(counts);
        let before = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let Some(before) = before else {
            self.put(key, now);
            return Known::New;
        };
        let mut highest = before;
        for (high, now) in highest.iter_mut().zip(now) {
            *high = (*high).max(now);
        }
        if highest == before {
            return Known::Same;
        }
        self.put(key, highest);
        let merged = |high: u32, count: u64| u64::from(high).max(count);
        Known::Raised(Counts {
            reposts: merged(highest[0], counts.reposts),
            comments: merged(highest[1], counts.comments),
            likes: merged(highest[2], counts.likes),
            views: merged(highest[3], counts.views),
        })
    }

    /// The ids as bytes.
    pub fn save(&self) -> Vec<u8> {
        let sorted = |ids: &FxHashMap<u128, Small>| {
            let mut rows: Vec<_> = ids.iter().map(|(id, counts)| (*id, *counts)).collect();
            rows.sort_unstable();
            rows
        };
        let kept: Kept = (sorted(&self.young), sorted(&self.old), self.generation);
        // Numbers in a growing buffer cannot fail to be written.
        postcard::to_stdvec(&kept).unwrap_or_default()
    }

    /// What [`Seen::save`] gave; `None` where it is damaged.
    pub fn load(bytes: &[u8]) -> Option<Seen> {
        let (young, old, generation): Kept = postcard::from_bytes(bytes).ok()?;
        Some(Seen { young: young.into_iter().collect(), old: old.into_iter().collect(), generation })
    }

    fn put(&mut self, key: u128, counts: Small) {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_rise_and_old_ids_go_last() {
        let mut seen = Seen::new(2);
        let counts = |likes, views| Counts { likes, views, ..Counts::default() };
        assert_eq!(seen.note("a", &counts(1, 5)), Known::New);
        assert_eq!(seen.note("a", &counts(1, 4)), Known::Same);
        assert_eq!(seen.note("a", &counts(2, 4)), Known::Raised(counts(2, 5)));
        for id in ["b", "c", "d"] {
            assert_eq!(seen.note(id, &counts(0, 0)), Known::New);
        }
        assert_eq!(seen.note("a", &counts(0, 0)), Known::Same, "two generations are held");
        let mut seen = Seen::load(&seen.save()).expect("loads what was saved");
        assert_eq!(seen.note("d", &counts(0, 0)), Known::Same, "a checkpoint remembers");
        assert_eq!(seen.note("e", &counts(0, 0)), Known::New);
        assert_eq!(seen.note("a", &counts(0, 0)), Known::New, "the third is forgotten");
    }
}
