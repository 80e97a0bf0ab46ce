//! One pass over the matches of a shard: counts them, keeps the greatest keys below a cursor, and counts facets. In: a
//! shard with its columns and a query; out: their number, the best of them and counts.
//!
//! The key is unique to a mention, so a walk by cursor shows each once whatever is added. Columns are opened once for a
//! shard's commit and kept: opening them anew cost more than most searches.

use super::facets::Counted;
use super::order::Order;
use super::schema::{CREATED, FACETS, LEVEL, TIE};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tantivy::columnar::Column;
use tantivy::query::{EnableScoring, Query, Weight};
use tantivy::{DocAddress, DocId, DocSet as _, Searcher, SegmentReader, TERMINATED};

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

/// Which hits to keep.
#[derive(Clone, Copy)]
pub struct Best {
    /// How many.
    pub wanted: usize,
    /// Only ranks below it are kept.
    pub below: Option<Rank>,
    /// What they are ranked by.
    pub order: Order,
}

/// A field whose values are few: the number of each mention's value, and the values.
pub struct Coded {
    /// Numbers of a mention's values.
    pub ords: Column<u64>,
    /// Values by number.
    pub names: Vec<String>,
}

/// The columns of a segment that searches read.
pub struct Columns {
    /// Time of writing, milliseconds.
    pub created: Column<i64>,
    tie: Column<u64>,
    /// Those of [`FACETS`].
    pub coded: Vec<Option<Coded>>,
    /// What level each number of the level's column stands for.
    levels: Vec<u32>,
}

impl Columns {
    /// Opens the columns of a segment.
    pub fn open(reader: &SegmentReader) -> tantivy::Result<Columns> {
        let fast = reader.fast_fields();
        let mut coded = Vec::with_capacity(FACETS.len());
        for name in FACETS {
            let Some(column) = fast.str(name)? else {
                coded.push(None);
                continue;
            };
            let mut names = Vec::with_capacity(column.num_terms());
            for ord in 0..column.num_terms() as u64 {
                let mut value = String::new();
                column.ord_to_str(ord, &mut value)?;
                names.push(value);
            }
            coded.push(Some(Coded { ords: column.ords().clone(), names }));
        }
        let mut columns = Columns { created: fast.i64(CREATED)?, tie: fast.u64(TIE)?, coded, levels: Vec::new() };
        let digit = |name: &String| name.strip_prefix('L').and_then(|digit| digit.parse().ok()).unwrap_or(0);
        columns.levels = columns.level().map(|coded| coded.names.iter().map(digit).collect()).unwrap_or_default();
        Ok(columns)
    }

    fn level(&self) -> Option<&Coded> {
        FACETS.iter().position(|name| *name == LEVEL).and_then(|at| self.coded.get(at)?.as_ref())
    }

    fn level_of(&self, doc: DocId) -> u32 {
        let ord = self.level().and_then(|coded| coded.ords.first(doc));
        ord.and_then(|ord| self.levels.get(ord as usize)).copied().unwrap_or(0)
    }
}

/// Goes through the matches of a shard: keeps the best of them where some are wanted, counts facets where counts are.
/// Gives back how many match.
pub fn pass(
    searcher: &Searcher,
    columns: &[Columns],
    query: &dyn Query,
    best: Option<(Best, &mut Vec<(Rank, DocAddress)>)>,
    mut counted: Option<&mut Counted>,
) -> tantivy::Result<u64> {
    let scored = best.as_ref().is_some_and(|(best, _)| best.order == Order::Relevance);
    let scoring = if scored {
        EnableScoring::enabled_from_searcher(searcher)
    } else {
        EnableScoring::disabled_from_searcher(searcher)
    };
    let weight = query.weight(scoring)?;
    let segments = searcher.segment_readers().iter().zip(columns).enumerate();
    let mut total = 0;
    let (best, found) = best.map_or((None, None), |(best, found)| (Some(best), Some(found)));
    let mut heaps = Vec::new();
    for (segment, (reader, columns)) in segments {
        if best.is_none() && counted.is_none() {
            total += u64::from(weight.count(reader)?);
            continue;
        }
        let mut kept = best.map(|best| Kept { best, columns, heap: BinaryHeap::new() });
        let mut tally = counted.as_ref().map(|counted| counted.tally(columns));
        total += each(&*weight, reader, scored, &mut |doc, score| {
            if let Some(kept) = &mut kept {
                kept.take(doc, score);
            }
            if let Some(tally) = &mut tally {
                tally.take(doc);
            }
        })?;
        if let (Some(counted), Some(tally)) = (&mut counted, tally) {
            tally.into_counted(counted);
        }
        heaps.extend(kept.map(|kept| (segment as u32, kept.heap)));
    }
    if let Some(found) = found {
        for (segment, heap) in heaps {
            found.extend(heap.into_iter().map(|Reverse((rank, doc))| (rank, DocAddress::new(segment, doc))));
        }
    }
    Ok(total)
}

/// Calls `take` with each living match of a segment; how many they are.
fn each(
    weight: &dyn Weight,
    reader: &SegmentReader,
    scored: bool,
    take: &mut dyn FnMut(DocId, f32),
) -> tantivy::Result<u64> {
    let mut scorer = weight.scorer(reader, 1.0)?;
    let (alive, mut count, mut doc) = (reader.alive_bitset(), 0, scorer.doc());
    while doc != TERMINATED {
        if alive.is_none_or(|alive| alive.is_alive(doc)) {
            count += 1;
            let score = if scored { scorer.score() } else { 0.0 };
            take(doc, score);
        }
        doc = scorer.advance();
    }
    Ok(count)
}

/// The best of a segment so far.
struct Kept<'a> {
    best: Best,
    columns: &'a Columns,
    heap: BinaryHeap<Reverse<(Rank, DocId)>>,
}

impl Kept<'_> {
    fn take(&mut self, doc: DocId, score: f32) {
        let Best { wanted, below, order } = self.best;
        let created = self.columns.created.first(doc).unwrap_or(0);
        let full = self.heap.len() >= wanted;
        if order == Order::Time && full && self.heap.peek().is_some_and(|Reverse((least, _))| created < least.created) {
            return;
        }
        let score = match order {
            Order::Time => 0,
            Order::Relevance => score.max(0.0).to_bits(),
            Order::Level => self.columns.level_of(doc),
        };
        let rank = Rank { score, created, tie: self.columns.tie.first(doc).unwrap_or(0) };
        if below.is_some_and(|below| rank >= below) {
            return;
        }
        self.heap.push(Reverse((rank, doc)));
        if self.heap.len() > wanted {
            self.heap.pop();
        }
    }
}
