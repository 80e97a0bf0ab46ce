//! Searches the shards, read-only: inside the process that writes them or beside it. In: a [`Query`]; out: a [`Page`].
//!
//! A search looks first at what was committed since; shards outside the query's time are not opened. Pages sorted by time
//! are walked by (time, tie-break of the id), so a walk shows each mention once while indexing goes on. Sorted by
//! relevance, scores shift with what is added: there a walk over a growing index may miss or repeat.

use super::collect::{Best, Rank};
use super::highlight::Folder;
use super::query::{Context, Node};
use super::schema::{self, Fields};
use super::{Hit, Page, Query, QueryError, plan, query, shards};
use crate::limits;
use crate::time::Day;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tantivy::collector::Count;
use tantivy::query::TermQuery;
use tantivy::schema::{IndexRecordOption, Term};
use tantivy::{DocAddress, IndexReader, ReloadPolicy, TantivyDocument};

pub use super::query::Expand;

/// Hits on a page where the query does not say.
const PAGE_DEFAULT: usize = 20;
/// Shards kept open between searches: half a year; the least recent days are closed first.
const SHARDS_KEPT: usize = 184;

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
    /// The list of segments as it was when the reader was loaded.
    metas: Vec<u8>,
    reader: IndexReader,
}

impl Searcher {
    /// Searches the index in `dir`, which need not be there yet; `words` cuts queries as the indexed texts were cut.
    pub fn open(dir: &Path, words: WordsOf) -> Searcher {
        Searcher { dir: dir.to_owned(), words, fields: schema::schema().1, open: Mutex::new(BTreeMap::new()) }
    }

    /// Answers a query; `incident:` is not known.
    pub fn search(&self, query: &Query) -> Result<Page, QueryError> {
        self.run(query, None)
    }

    /// Answers a query; `expand` gives the topics (`T-1`) of an incident's id.
    pub fn search_with(&self, query: &Query, expand: Expand<'_>) -> Result<Page, QueryError> {
        self.run(query, Some(expand))
    }

    /// How often a mention is in the index: 0 or 1.
    pub fn count_id(&self, id: &str) -> Result<usize, QueryError> {
        let mut count = 0;
        for day in shards::days(&self.dir).map_err(failed)? {
            if let Some(reader) = self.reader(day)? {
                count += count_by_id(&reader, &self.fields, id).map_err(failed)?;
            }
        }
        Ok(count)
    }

    /// Whether the committed part of a shard holds an id.
    pub(super) fn holds(&self, day: Day, id: &str) -> tantivy::Result<bool> {
        let reader = self.reader(day).map_err(|error| tantivy::TantivyError::InternalError(error.to_string()))?;
        reader.map_or(Ok(false), |reader| Ok(count_by_id(&reader, &self.fields, id)? > 0))
    }

    fn run(&self, asked: &Query, expand: Option<Expand<'_>>) -> Result<Page, QueryError> {
        let began = std::time::Instant::now();
        let context = Context { words: &*self.words, expand, now: asked.now };
        let node = query::parse(&asked.q, &context)?;
        let scored = match asked.sort.as_deref() {
            None | Some("" | "time") => false,
            Some("relevance") => true,
            Some(other) => return Err(QueryError::Syntax(format!("sort {other} is neither time nor relevance"))),
        };
        let below = asked.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let below = below.map(|cursor| read_cursor(cursor, scored)).transpose()?;
        let wanted = if asked.limit == 0 { PAGE_DEFAULT } else { asked.limit.min(limits::PAGE) };

        let (total, mut best, readers) = self.collect(&node, wanted + 1, below, scored)?;
        best.sort_unstable_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
        let more = best.len() > wanted;
        best.truncate(wanted);
        let next = best.last().filter(|_| more).map(|(rank, ..)| write_cursor(*rank, scored));
        let hits = self.hits(&node, &best, &readers)?;
        Ok(Page { hits, total, next, took_us: began.elapsed().as_micros() as u64 })
    }

    /// Goes through the shards, newest first; once enough is found, older shards are only counted.
    fn collect(&self, node: &Node, wanted: usize, below: Option<Rank>, scored: bool) -> Result<Collected, QueryError> {
        let (from, to) = node.span();
        let mut total = 0;
        let mut best: Vec<(Rank, Day, DocAddress)> = Vec::new();
        let mut readers = BTreeMap::new();
        let days = shards::days(&self.dir).map_err(failed)?;
        self.forget(&days);
        for day in days.into_iter().rev() {
            let (first, end) = plan::span(day);
            if end <= from || to <= first {
                continue;
            }
            let Some(reader) = self.reader(day)? else { continue };
            let planned = plan::plan(node, &self.fields, day);
            let searcher = reader.searcher();
            let newer = !scored && below.is_some_and(|below| first > below.created);
            if !scored && (newer || best.len() >= wanted) {
                total += searcher.search(&*planned, &Count).map_err(failed)? as u64;
                continue;
            }
            let found = searcher.search(&*planned, &Best { wanted, below, scored }).map_err(failed)?;
            total += found.0;
            best.extend(found.1.into_iter().map(|(rank, doc)| (rank, day, doc)));
            readers.insert(day, searcher);
        }
        Ok((total, best, readers))
    }

    fn hits(
        &self,
        node: &Node,
        best: &[(Rank, Day, DocAddress)],
        readers: &BTreeMap<Day, tantivy::Searcher>,
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
            hit.score = f64::from(f32::from_bits(rank.score));
            hit.highlights = folder.find(&hit.text, &phrases);
            hits.push(hit);
        }
        Ok(hits)
    }

    /// The shard as last committed; `None` where it is just being made or was just dropped.
    fn reader(&self, day: Day) -> Result<Option<IndexReader>, QueryError> {
        let folder = shards::folder(&self.dir, day);
        let metas = match std::fs::read(folder.join("meta.json")) {
            Ok(metas) => metas,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Nothing is left half done under the lock; a panic elsewhere spoils nothing in it.
        let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&day).cloned();
        if let Some(known) = known.filter(|known| known.metas == metas) {
            return Ok(Some(known.reader));
        }
        // A fresh reader, not a reload: the folder may have been moved aside and made anew since.
        let opened = open_reader(&folder);
        let reader = match opened {
            Ok(reader) => reader,
            Err(_) if !folder.join("meta.json").exists() => return Ok(None),
            Err(error) => return Err(QueryError::Failed(format!("shard {}: {error}", day.iso()))),
        };
        let fresh = Open { metas, reader: reader.clone() };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(day, fresh);
        Ok(Some(reader))
    }

    /// Closes shards that are gone, and the oldest of too many.
    fn forget(&self, days: &[Day]) {
        let keep: BTreeSet<&Day> = days.iter().rev().take(SHARDS_KEPT).collect();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|day, _| keep.contains(day));
    }
}

type Collected = (u64, Vec<(Rank, Day, DocAddress)>, BTreeMap<Day, tantivy::Searcher>);

fn failed(error: impl std::fmt::Display) -> QueryError {
    QueryError::Failed(error.to_string())
}

fn open_reader(folder: &Path) -> tantivy::Result<IndexReader> {
    let index = shards::open(folder)?;
    index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(8).try_into()
}

fn count_by_id(reader: &IndexReader, fields: &Fields, id: &str) -> tantivy::Result<usize> {
    let term = TermQuery::new(Term::from_field_text(fields.id, id), IndexRecordOption::Basic);
    reader.searcher().search(&term, &Count)
}

/// How often a mention is in the committed index in `dir`: 0 or 1, unless something is broken.
pub fn count_id(dir: &Path, id: &str) -> Result<usize, QueryError> {
    Searcher::open(dir, Arc::new(|_| Vec::new())).count_id(id)
}

fn write_cursor(rank: Rank, scored: bool) -> String {
    let sort = if scored { 'r' } else { 't' };
    format!("{sort}{:08x}{:016x}{:016x}", rank.score, rank.created as u64, rank.tie)
}

fn read_cursor(text: &str, scored: bool) -> Result<Rank, QueryError> {
    let read = || -> Option<Rank> {
        let digits = text.strip_prefix(if scored { 'r' } else { 't' })?;
        if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Rank {
            score: u32::from_str_radix(&digits[..8], 16).ok()?,
            created: u64::from_str_radix(&digits[8..24], 16).ok()? as i64,
            tie: u64::from_str_radix(&digits[24..], 16).ok()?,
        })
    };
    read().ok_or_else(|| {
        QueryError::Syntax("this cursor is not of a page with this order; begin again without a cursor".to_owned())
    })
}
