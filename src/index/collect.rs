//! Counts all that match and keeps the greatest keys below a cursor, in one pass. In: a shard's matches; out: their
//! number and the best of them. The key is unique to a mention, so a walk by cursor shows each once whatever is added.

use super::order::Order;
use super::schema::{CREATED, LEVEL, TIE};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

/// What orders hits, greatest first: score (0 when sorted by time, the level when by level), time of writing, tie-break.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    /// Bits of a score that is not negative: they order as the score does.
    pub score: u32,
    /// Milliseconds.
    pub created: i64,
    /// Of the id.
    pub tie: u64,
}

/// See the module.
pub struct Best {
    /// How many to keep.
    pub wanted: usize,
    /// Only ranks below it are kept.
    pub below: Option<Rank>,
    /// What they are ranked by.
    pub order: Order,
}

/// How many matched, and the best of them, in no order.
pub type Found = (u64, Vec<(Rank, DocAddress)>);

/// The part of one segment.
pub struct Part {
    wanted: usize,
    below: Option<Rank>,
    order: Order,
    /// Ordinal of each mention's level, and what level an ordinal stands for; empty unless ranked by level.
    level: Option<Column<u64>>,
    levels: Vec<u32>,
    segment: SegmentOrdinal,
    created: Column<i64>,
    tie: Column<u64>,
    count: u64,
    heap: BinaryHeap<Reverse<(Rank, DocId)>>,
}

impl Collector for Best {
    type Fruit = Found;
    type Child = Part;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<Part> {
        let (level, levels) = if self.order == Order::Level { levels(reader)? } else { (None, Vec::new()) };
        Ok(Part {
            wanted: self.wanted,
            below: self.below,
            order: self.order,
            level,
            levels,
            segment,
            created: reader.fast_fields().i64(CREATED)?,
            tie: reader.fast_fields().u64(TIE)?,
            count: 0,
            heap: BinaryHeap::with_capacity(self.wanted + 1),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order == Order::Relevance
    }

    fn merge_fruits(&self, parts: Vec<Found>) -> tantivy::Result<Found> {
        let mut all: Found = (0, Vec::new());
        for (count, best) in parts {
            all.0 += count;
            all.1.extend(best);
        }
        Ok(all)
    }
}

/// The ordinals of a segment's levels, and which level each stands for.
fn levels(reader: &SegmentReader) -> tantivy::Result<(Option<Column<u64>>, Vec<u32>)> {
    let Some(column) = reader.fast_fields().str(LEVEL)? else { return Ok((None, Vec::new())) };
    let mut levels = Vec::with_capacity(column.num_terms());
    for ord in 0..column.num_terms() as u64 {
        let mut name = String::new();
        column.ord_to_str(ord, &mut name)?;
        levels.push(name.strip_prefix('L').and_then(|digit| digit.parse().ok()).unwrap_or(0));
    }
    Ok((Some(column.ords().clone()), levels))
}

impl Part {
    fn level(&self, doc: DocId) -> u32 {
        let ord = self.level.as_ref().and_then(|column| column.first(doc));
        ord.and_then(|ord| self.levels.get(ord as usize)).copied().unwrap_or(0)
    }
}

impl SegmentCollector for Part {
    type Fruit = Found;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.count += 1;
        let created = self.created.first(doc).unwrap_or(0);
        let full = self.heap.len() >= self.wanted;
        if self.order == Order::Time
            && full
            && self.heap.peek().is_some_and(|Reverse((least, _))| created < least.created)
        {
            return;
        }
        let score = match self.order {
            Order::Time => 0,
            Order::Relevance => score.max(0.0).to_bits(),
            Order::Level => self.level(doc),
        };
        let rank = Rank { score, created, tie: self.tie.first(doc).unwrap_or(0) };
        if self.below.is_some_and(|below| rank >= below) {
            return;
        }
        self.heap.push(Reverse((rank, doc)));
        if self.heap.len() > self.wanted {
            self.heap.pop();
        }
    }

    fn harvest(self) -> Found {
        let segment = self.segment;
        let best = self.heap.into_iter().map(|Reverse((rank, doc))| (rank, DocAddress::new(segment, doc))).collect();
        (self.count, best)
    }
}
