//! Searches the shards, read-only: inside the process that writes them or beside it. In: a [`Query`]; out: a [`Page`].
//!
//! A search looks first at what was committed since; shards outside the query's time are not opened. Pages sorted by time
//! are walked by (time, tie-break of the id), so a walk shows each mention once while indexing goes on; so are those by
//! level. Sorted by relevance, scores shift with what is added: there a walk over a growing index may miss or repeat.

use super::collect::{Best, Columns, Rank, pass};
use super::export::{Exported, Format, Sheet};
use super::facets::{Counted, FACETED, HOURLY_DAYS};
use super::highlight::Folder;
use super::order::Order;
use super::query::{Context, Node};
use super::schema::{self, Fields};
use super::{Hit, Page, Query, QueryError, plan, query, shards};
use crate::limits;
use crate::time::Day;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tantivy::collector::Count;
use tantivy::query::TermQuery;
use tantivy::schema::{IndexRecordOption, Term};
use tantivy::{DocAddress, IndexReader, ReloadPolicy, TantivyDocument};

pub use super::query::{Belongs, Expand};

/// Hits on a page where the query does not say.
const PAGE_DEFAULT: usize = 20;
/// Shards kept open between searches: a year and a month; the least recent days are closed first.
const SHARDS_KEPT: usize = 400;

/// Hits taken in one pass of a walk.
const WALK: usize = 500;
/// How long a query may take: longer ones are of somebody who should narrow them, and hold up the others.
const LONGEST: Duration = Duration::from_secs(10);

/// Segments and normalises like the indexed texts.
pub type WordsOf = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// Searches the index in a folder.
pub struct Searcher {
    dir: PathBuf,
    words: WordsOf,
    fields: Fields,
    open: Mutex<BTreeMap<Day, Open>>,
}

#[derive(Clone)]
struct Open {
    /// The list of segments as it was when it was opened.
    stamp: Stamp,
    searcher: tantivy::Searcher,
    /// Of each segment.
    columns: Arc<Vec<Columns>>,
}

/// Tells one list of segments from the next: each commit puts a new file in the place of the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Stamp {
        use std::os::unix::fs::MetadataExt as _;
        Stamp { inode: meta.ino(), bytes: meta.len(), changed: (meta.ctime(), meta.ctime_nsec()) }
    }
}

impl Open {
    fn new(folder: &Path, stamp: Stamp) -> tantivy::Result<Open> {
        let index = shards::open(folder)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(8);
        let reader: IndexReader = reader.try_into()?;
        let searcher = reader.searcher();
        let columns: tantivy::Result<Vec<Columns>> = searcher.segment_readers().iter().map(Columns::open).collect();
        Ok(Open { stamp, searcher, columns: Arc::new(columns?) })
    }
}

impl Searcher {
    /// Searches the index in `dir`, which need not be there yet; `words` cuts queries as the indexed texts were cut.
    pub fn open(dir: &Path, words: WordsOf) -> Searcher {
        Searcher { dir: dir.to_owned(), words, fields: schema::schema().1, open: Mutex::new(BTreeMap::new()) }
    }

    /// Answers a query; `incident:` is not known.
    pub fn search(&self, query: &Query) -> Result<Page, QueryError> {
        self.page(query, None)
    }

    /// Answers a query; `expand` gives what belongs to an incident.
    pub fn search_with(&self, query: &Query, expand: Expand<'_>) -> Result<Page, QueryError> {
        self.page(query, Some(expand))
    }

    /// Hands over up to `most` hits in the order asked for, until told to break; without facets and histogram, and with
    /// no regard to the query's limit and cursor.
    pub fn walk(
        &self,
        asked: &Query,
        expand: Option<Expand<'_>>,
        most: usize,
        each: &mut dyn FnMut(Hit) -> ControlFlow<()>,
    ) -> Result<Walked, QueryError> {
        let began = std::time::Instant::now();
        let node = query::parse(&asked.q, &Context { words: &*self.words, expand, now: asked.now })?;
        let order = Order::parse(asked.sort.as_deref())?;
        let mut walked = Walked::default();
        let mut below = None;
        loop {
            let wanted = (most - walked.rows).min(WALK);
            let depth = if below.is_none() { Depth::Total } else { Depth::Hits };
            let mut found = self.collect(&node, wanted, below, order, depth)?;
            if below.is_none() {
                walked.total = found.total;
            }
            found.best.sort_unstable_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
            found.best.truncate(wanted);
            below = found.best.last().map(|(rank, ..)| *rank);
            let mut flow = ControlFlow::Continue(());
            for hit in self.hits(&node, &found.best, &found.readers, order)? {
                flow = each(hit);
                if flow.is_break() {
                    break;
                }
                walked.rows += 1;
            }
            walked.took_us = began.elapsed().as_micros() as u64;
            if flow.is_break() || walked.rows >= most || found.best.len() < wanted || below.is_none() {
                return Ok(walked);
            }
        }
    }

    /// The first [`limits::EXPORT_ROWS`] hits as a file.
    pub fn export(&self, asked: &Query, expand: Option<Expand<'_>>, format: Format) -> Result<Exported, QueryError> {
        let mut sheet = Sheet::new(format);
        let walked = self.walk(asked, expand, limits::EXPORT_ROWS, &mut |hit| sheet.add(&hit))?;
        Ok(sheet.finish(walked.total))
    }

    /// How often a mention is in the index: 0 or 1.
    pub fn count_id(&self, id: &str) -> Result<usize, QueryError> {
        let mut count = 0;
        for day in shards::days(&self.dir).map_err(failed)? {
            if let Some(shard) = self.shard(day)? {
                count += count_by_id(&shard.searcher, &self.fields, id).map_err(failed)?;
            }
        }
        Ok(count)
    }

    /// Whether the committed part of a shard holds an id.
    pub(super) fn holds(&self, day: Day, id: &str) -> tantivy::Result<bool> {
        let shard = self.shard(day).map_err(|error| tantivy::TantivyError::InternalError(error.to_string()))?;
        shard.map_or(Ok(false), |shard| Ok(count_by_id(&shard.searcher, &self.fields, id)? > 0))
    }

    fn page(&self, asked: &Query, expand: Option<Expand<'_>>) -> Result<Page, QueryError> {
        let began = std::time::Instant::now();
        let node = query::parse(&asked.q, &Context { words: &*self.words, expand, now: asked.now })?;
        let order = Order::parse(asked.sort.as_deref())?;
        let below = asked.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let below = below.map(|cursor| order.read(cursor)).transpose()?;
        let wanted = if asked.limit == 0 { PAGE_DEFAULT } else { asked.limit.min(limits::PAGE) };

        let mut found = self.collect(&node, wanted + 1, below, order, Depth::Facets)?;
        found.best.sort_unstable_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
        let more = found.best.len() > wanted;
        found.best.truncate(wanted);
        let next = found.best.last().filter(|_| more).map(|(rank, ..)| order.cursor(*rank));
        let hits = self.hits(&node, &found.best, &found.readers, order)?;
        let (facets, histogram) = (found.counted.facets(), found.counted.histogram(&found.days));
        let took_us = began.elapsed().as_micros() as u64;
        Ok(Page { hits, total: found.total, next, took_us, facets, histogram })
    }

    /// Goes through the shards, newest first; once enough is found, older shards are only counted.
    fn collect(
        &self,
        node: &Node,
        wanted: usize,
        below: Option<Rank>,
        order: Order,
        depth: Depth,
    ) -> Result<Collected, QueryError> {
        let began = std::time::Instant::now();
        let (from, to) = node.span();
        let days = shards::days(&self.dir).map_err(failed)?;
        self.forget(&days);
        let within = |day: &Day| plan::span(*day).1 > from && plan::span(*day).0 < to;
        let days: Vec<Day> = days.into_iter().filter(within).collect();
        let by_time = order == Order::Time;
        let mut found = Collected { counted: Counted::new(days.len() <= HOURLY_DAYS), ..Collected::default() };
        for day in days.into_iter().rev() {
            if began.elapsed() > LONGEST {
                let seconds = LONGEST.as_secs();
                return Err(QueryError::Syntax(format!(
                    "this takes more than {seconds} seconds; add time:7d or words"
                )));
            }
            let newer = by_time && below.is_some_and(|below| plan::span(day).0 > below.created);
            let enough = by_time && found.best.len() >= wanted;
            let seek = !(newer || enough);
            if !seek && depth == Depth::Hits {
                continue;
            }
            let Some(shard) = self.shard(day)? else { continue };
            let planned = plan::plan(node, &self.fields, day);
            let counting = depth == Depth::Facets && (found.counted.hourly() || found.counted.of() < FACETED);
            let counted = counting.then_some(&mut found.counted);
            let mut best = Vec::new();
            let wants = seek.then_some((Best { wanted, below, order }, &mut best));
            let count = pass(&shard.searcher, &shard.columns, &*planned, wants, counted).map_err(failed)?;
            if !best.is_empty() {
                found.best.extend(best.into_iter().map(|(rank, doc)| (rank, day, doc)));
                found.readers.insert(day, shard.searcher);
            }
            found.total += count;
            found.days.insert(day, count);
        }
        Ok(found)
    }

    fn hits(
        &self,
        node: &Node,
        best: &[(Rank, Day, DocAddress)],
        readers: &BTreeMap<Day, tantivy::Searcher>,
        order: Order,
    ) -> Result<Vec<Hit>, QueryError> {
        let mut phrases = Vec::new();
        node.shown(&mut phrases);
        let mut folder = Folder::new(&*self.words);
        let mut hits = Vec::with_capacity(best.len());
        for (rank, day, address) in best {
            let Some(searcher) = readers.get(day) else { continue };
            let doc: TantivyDocument = searcher.doc(*address).map_err(failed)?;
            let hit = schema::hit(&self.fields, &doc);
            let mut hit =
                hit.ok_or_else(|| QueryError::Failed(format!("shard {} holds a foreign record", day.iso())))?;
            if order == Order::Relevance {
                hit.score = f64::from(f32::from_bits(rank.score));
            }
            hit.highlights = folder.find(&hit.text, &phrases);
            hits.push(hit);
        }
        Ok(hits)
    }

    /// The shard as last committed; `None` where it is just being made or was just dropped.
    fn shard(&self, day: Day) -> Result<Option<Open>, QueryError> {
        let folder = shards::folder(&self.dir, day);
        let stamp = match std::fs::metadata(folder.join("meta.json")) {
            Ok(meta) => Stamp::of(&meta),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Nothing is left half done under the lock; a panic elsewhere spoils nothing in it.
        let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&day).cloned();
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Ok(Some(known));
        }
        // A fresh reader, not a reload: the folder may have been moved aside and made anew since.
        let fresh = match Open::new(&folder, stamp) {
            Ok(fresh) => fresh,
            Err(_) if !folder.join("meta.json").exists() => return Ok(None),
            Err(error) => return Err(QueryError::Failed(format!("shard {}: {error}", day.iso()))),
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(day, fresh.clone());
        Ok(Some(fresh))
    }

    /// Closes shards that are gone, and the oldest of too many.
    pub(super) fn forget(&self, days: &[Day]) {
        let keep: BTreeSet<&Day> = days.iter().rev().take(SHARDS_KEPT).collect();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|day, _| keep.contains(day));
    }
}

/// What a pass over the shards is to find besides the hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Depth {
    /// Nothing.
    Hits,
    /// How many there are.
    Total,
    /// That, and how they are spread.
    Facets,
}

#[derive(Default)]
struct Collected {
    total: u64,
    best: Vec<(Rank, Day, DocAddress)>,
    readers: BTreeMap<Day, tantivy::Searcher>,
    counted: Counted,
    days: BTreeMap<Day, u64>,
}

/// What a walk went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Walked {
    /// Hits handed over.
    pub rows: usize,
    /// All that match.
    pub total: u64,
    /// Microseconds it took.
    pub took_us: u64,
}

fn failed(error: impl std::fmt::Display) -> QueryError {
    QueryError::Failed(error.to_string())
}

fn count_by_id(searcher: &tantivy::Searcher, fields: &Fields, id: &str) -> tantivy::Result<usize> {
    let term = TermQuery::new(Term::from_field_text(fields.id, id), IndexRecordOption::Basic);
    searcher.search(&term, &Count)
}

/// How often a mention is in the committed index in `dir`: 0 or 1, unless something is broken.
pub fn count_id(dir: &Path, id: &str) -> Result<usize, QueryError> {
    Searcher::open(dir, Arc::new(|_| Vec::new())).count_id(id)
}
