//! Likeness of a text to the topics so far: cosine over idf-weighted character bigrams against each topic's centroid, found
//! through bounded postings. Bigrams, not words: on citizen messages they fold better and need no segmenting.

use super::finger::bigrams;
use super::kept;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Cells of the table of document frequencies.
const CELLS: usize = 1 << 17;
/// Bigrams of a text that count: the first thousand characters tell what it is about.
const TEXT_TERMS: usize = 1_000;
/// Bigrams kept in a centroid.
const CENTROID_TERMS: usize = 512;
/// Bigrams of a text by which topics are looked up, and under which its topic is listed.
const LOOKED_UP: usize = 32;
/// Topics listed under one bigram, the newest.
const POSTINGS: usize = 64;
/// Numbers of texts below which the rarity of a term is worked out once for a comparison.
const FEW: usize = 64;
/// Topics compared in full.
const CANDIDATES: usize = 8;

/// Bigrams of one text with the weight of their number, in order of bigram.
pub(crate) type Terms = Vec<(u32, f32)>;

/// The terms of a bare text.
pub(crate) fn terms(bare: &str) -> Terms {
    let mut all: Vec<u32> = bigrams(bare).take(TEXT_TERMS).map(|hash| hash as u32).collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b).map(|same| (same[0], (1.0 + same.len() as f32).ln())).collect()
}

#[derive(Clone, Serialize, Deserialize, Debug, Default, PartialEq)]
struct Centroid {
    terms: Terms,
    listed: Vec<u32>,
}

/// Centroids of topics and the postings that lead to them.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Likes {
    seen_in: Vec<u32>,
    texts: u32,
    centroids: BTreeMap<u64, Centroid>,
    #[serde(with = "kept::sorted")]
    postings: FxHashMap<u32, Vec<u64>>,
}

impl Default for Likes {
    fn default() -> Likes {
        Likes { seen_in: vec![0; CELLS], texts: 0, centroids: BTreeMap::new(), postings: FxHashMap::default() }
    }
}

/// Rarity of the terms of one comparison. Most terms were seen a few times, so most logarithms are worked out once.
struct Rarity<'a> {
    likes: &'a Likes,
    few: [f32; FEW],
}

impl<'a> Rarity<'a> {
    fn new(likes: &'a Likes) -> Rarity<'a> {
        Rarity { likes, few: [0.0; FEW] }
    }

    fn of(&mut self, term: u32) -> f32 {
        let seen = self.likes.seen_in.get(term as usize % CELLS).copied().unwrap_or(0);
        let worked_out = || ((1.5 + self.likes.texts as f32) / (0.5 + seen as f32)).ln().max(0.01);
        match self.few.get(seen as usize).copied() {
            None => worked_out(),
            // No rarity is 0.
            Some(0.0) => {
                let rarity = worked_out();
                self.few[seen as usize] = rarity;
                rarity
            }
            Some(rarity) => rarity,
        }
    }
}

impl Likes {
    /// The terms that tell most, at most [`LOOKED_UP`].
    fn telling(&self, terms: &Terms, rarity: &mut Rarity<'_>) -> Vec<u32> {
        let mut ranked: Vec<(f32, u32)> = terms.iter().map(|&(term, n)| (n * rarity.of(term), term)).collect();
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if ranked.len() > LOOKED_UP {
            ranked.select_nth_unstable_by(LOOKED_UP - 1, order);
            ranked.truncate(LOOKED_UP);
        }
        ranked.sort_unstable_by(order);
        ranked.into_iter().map(|(_, term)| term).collect()
    }

    /// The likest topics, likest first, at most [`CANDIDATES`].
    pub(crate) fn nearest(&self, terms: &Terms) -> Vec<(f64, u64)> {
        let mut hits: Vec<(u64, f32)> = Vec::new();
        let mut rarities = Rarity::new(self);
        for term in self.telling(terms, &mut rarities) {
            let Some(topics) = self.postings.get(&term) else { continue };
            let rarity = rarities.of(term);
            hits.extend(topics.iter().map(|&topic| (topic, rarity)));
        }
        hits.sort_unstable_by_key(|hit| hit.0);
        let mut ranked: Vec<(f32, u64)> = hits
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| (same.iter().map(|hit| hit.1).sum::<f32>(), same[0].0))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(CANDIDATES);
        let mut found: Vec<(f64, u64)> = ranked
            .into_iter()
            .filter_map(|(_, topic)| Some((cosine(terms, &self.centroids.get(&topic)?.terms, &mut rarities), topic)))
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found
    }

    /// Cosine of two topics' centroids.
    pub(crate) fn between(&self, a: u64, b: u64) -> f64 {
        match (self.centroids.get(&a), self.centroids.get(&b)) {
            (Some(a), Some(b)) => cosine(&a.terms, &b.terms, &mut Rarity::new(self)),
            _ => 0.0,
        }
    }

    /// Counts a text that nobody is going to look up.
    fn count(&mut self, terms: &Terms) {
        self.texts = self.texts.saturating_add(1);
        for (term, _) in terms {
            if let Some(seen) = self.seen_in.get_mut(*term as usize % CELLS) {
                *seen = seen.saturating_add(1);
            }
        }
    }

    /// Adds a text to a topic.
    pub(crate) fn add(&mut self, topic: u64, terms: &Terms) {
        self.count(terms);
        let listed = self.telling(terms, &mut Rarity::new(self));
        let centroid = self.centroids.entry(topic).or_default();
        centroid.terms = sum(&centroid.terms, terms);
        self.list(topic, listed);
    }

    fn list(&mut self, topic: u64, terms: Vec<u32>) {
        for term in terms {
            let topics = self.postings.entry(term).or_default();
            if topics.contains(&topic) {
                continue;
            }
            topics.push(topic);
            if topics.len() > POSTINGS {
                topics.remove(0);
            }
            if let Some(centroid) = self.centroids.get_mut(&topic) {
                centroid.listed.push(term);
            }
        }
    }

    /// Forgets a topic.
    pub(crate) fn forget(&mut self, topic: u64) {
        let Some(centroid) = self.centroids.remove(&topic) else { return };
        for term in centroid.listed {
            if let Some(topics) = self.postings.get_mut(&term) {
                topics.retain(|&other| other != topic);
                if topics.is_empty() {
                    self.postings.remove(&term);
                }
            }
        }
    }

    /// Two topics became one.
    pub(crate) fn merge(&mut self, from: u64, into: u64) {
        let Some(gone) = self.centroids.get(&from).cloned() else { return };
        self.forget(from);
        let centroid = self.centroids.entry(into).or_default();
        centroid.terms = sum(&centroid.terms, &gone.terms);
        self.list(into, gone.listed);
    }
}

fn cosine(a: &Terms, b: &Terms, rarities: &mut Rarity<'_>) -> f64 {
    let (mut i, mut j, mut dot, mut aa, mut bb) = (0, 0, 0.0f64, 0.0f64, 0.0f64);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(u64::MAX, |term| u64::from(term.0));
        let right = b.get(j).map_or(u64::MAX, |term| u64::from(term.0));
        let rarity = rarities.of(left.min(right) as u32);
        let (mut x, mut y) = (0.0, 0.0);
        if left <= right {
            x = f64::from(a[i].1 * rarity);
            i += 1;
        }
        if right <= left {
            y = f64::from(b[j].1 * rarity);
            j += 1;
        }
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa > 0.0 && bb > 0.0 { dot / (aa * bb).sqrt() } else { 0.0 }
}

fn sum(a: &Terms, b: &Terms) -> Terms {
    let mut all: Terms = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(u64::MAX, |term| u64::from(term.0));
        let right = b.get(j).map_or(u64::MAX, |term| u64::from(term.0));
        let mut n = 0.0;
        if left <= right {
            n += a[i].1;
            i += 1;
        }
        if right <= left {
            n += b[j].1;
            j += 1;
        }
        all.push((left.min(right) as u32, n));
    }
    if all.len() > CENTROID_TERMS {
        all.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
        all.truncate(CENTROID_TERMS);
        all.sort_unstable_by_key(|term| term.0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_topic_comes_first_and_a_forgotten_one_never() {
        let mut likes = Likes::default();
        likes.add(1, &terms("丽景新城旁边的搅拌站日夜施工噪音粉尘扰民无法入睡"));
        likes.add(2, &terms("学校强制学生到外地工厂实习不去就不给毕业证"));
        let asked = terms("搅拌站噪音粉尘扰民什么时候才能搬走");
        assert_eq!(likes.nearest(&asked).first().map(|found| found.1), Some(1));
        likes.forget(1);
        assert!(likes.nearest(&asked).iter().all(|found| found.1 != 1));
        assert!(likes.postings.values().all(|topics| !topics.contains(&1)));
    }
}
