//! Tantivy shards by day: writer with its own positions, search, query language. A derived view: lost shards are rebuilt
//! from the stream.

mod collect;
mod deleted;
mod export;
mod facets;
mod guard;
mod highlight;
mod lex;
mod moments;
mod order;
mod plan;
mod query;
mod schema;
mod search;
mod shards;
mod tokenizer;
mod writer;

#[cfg(test)]
mod tests;

pub use export::{Exported, Format};
pub use search::{Belongs, Expand, Searcher, Walked, count_id};
pub use writer::{Lost, Writer};

use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// A search as asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Query {
    /// The query language of design section 10.
    pub q: String,
    /// Hits wanted, at most [`crate::limits::PAGE`]; 0 = 20.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// `time` (newest first, default), `relevance`, or `level` (gravest first, then newest).
    pub sort: Option<String>,
    /// For `time:24h`.
    pub now: Instant,
}

/// One hit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hit {
    /// Mention id.
    pub id: String,
    /// When it was written.
    pub created_at: Instant,
    /// Platform.
    pub platform: String,
    /// Sort of record.
    pub kind: String,
    /// Masked text.
    pub text: String,
    /// Byte ranges of the text that matched.
    pub highlights: Vec<(usize, usize)>,
    /// Level.
    pub level: String,
    /// Class codes.
    pub classes: Vec<String>,
    /// District code.
    pub district: Option<String>,
    /// Township.
    pub township: Option<String>,
    /// Topic.
    pub topic: Option<String>,
    /// BM25, 0 when sorted by time.
    pub score: f64,
}

/// One page of hits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Page {
    /// The hits.
    pub hits: Vec<Hit>,
    /// All that match.
    pub total: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Microseconds it took.
    pub took_us: u64,
    /// Who says it, how grave, what and where.
    #[serde(default)]
    pub facets: Facets,
    /// When.
    #[serde(default)]
    pub histogram: Histogram,
}

/// How the matches are spread; the most frequent values first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Facets {
    /// How many matches were counted, the newest ones; the total unless that is very great.
    pub of: u64,
    /// By platform.
    pub platform: Vec<Facet>,
    /// By level.
    pub level: Vec<Facet>,
    /// By class; a mention may have several or none.
    pub class: Vec<Facet>,
    /// By district; a mention may have none.
    pub district: Vec<Facet>,
}

/// One value of a facet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Facet {
    /// The code, as `field:value` takes it.
    pub value: String,
    /// Matches that have it.
    pub count: u64,
}

/// All matches over time, by the hour where they lie within two days, else by days.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Histogram {
    /// Seconds from one bucket to the next.
    pub step_s: u64,
    /// Oldest first; those without a match are left out.
    pub buckets: Vec<Bucket>,
}

/// One bar of a histogram.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Bucket {
    /// Where it begins.
    pub at: Instant,
    /// Matches in it.
    pub count: u64,
}

/// Why a query was not answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// It cannot be read: where and why.
    #[error("query: {0}")]
    Syntax(String),
    /// The index failed.
    #[error("index: {0}")]
    Failed(String),
}

/// Why the index could not be written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk said no.
    #[error("index: {path}: {source}")]
    Io {
        /// File or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The shard's engine said no.
    #[error("index: shard {shard}: {source}")]
    Shard {
        /// Day of the shard.
        shard: String,
        /// What the engine said.
        source: Box<tantivy::TantivyError>,
    },
}
