//! The doors: HTTP bodies, a watched folder and files become frames of the intake log on disk, which is the truth for
//! mentions; a Kafka source gives the same records. [`Source`] is what the desk reads.

pub mod assessed;
pub mod body;
mod door;
pub mod file;
pub mod folder;
mod frame;
pub mod kafka;
pub mod log;
mod reader;
mod seen;

pub use door::{Intake, IntakeConfig, Salts};
pub use reader::{LogSource, STREAM};
pub use seen::{Known, Seen};

use crate::assess::Reading;
use crate::ledger::{Position, Positions};
use crate::mention::{Counts, Mention, Refused};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};

/// One record of the stream, as the desk sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A mention not seen before.
    Mention(Box<Mention>),
    /// A mention seen before, with higher counts.
    Counts {
        /// Its id.
        id: String,
        /// The counts.
        counts: Counts,
    },
    /// A record that was refused at the door.
    Refused {
        /// Why.
        refused: Refused,
        /// First bytes, masked.
        head: String,
        /// When.
        at: Instant,
    },
    /// The mention is to be deleted everywhere.
    Deleted {
        /// Its id.
        id: String,
    },
}

/// A record with where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Stream, partition and the record's own offset.
    pub position: Position,
    /// It.
    pub body: Body,
    /// What it says, where a worker has read it already.
    pub reading: Option<Box<Reading>>,
    /// Where the worker read it: what comes again from there is a repeat.
    pub origin: Option<Position>,
}

/// What a source fails at.
#[derive(thiserror::Error, Debug)]
pub enum SourceError {
    /// A file or broker failed.
    #[error("{doing}: {detail}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What happened.
        detail: String,
    },
    /// Records between the asked and the first available offset are gone.
    #[error("records {from} to {to} of {stream}/{partition} are gone")]
    Gap {
        /// Stream.
        stream: String,
        /// Partition.
        partition: i32,
        /// Asked.
        from: u64,
        /// First available.
        to: u64,
    },
    /// The stream is not the one that was read: it was truncated, or deleted and made anew under the same name.
    #[error(
        "{stream}/{partition} was read up to {read} and now ends at {end}: it was truncated, or deleted and made anew; \
         nothing is read until somebody restores it or decides where to begin"
    )]
    Replaced {
        /// Stream.
        stream: String,
        /// Partition.
        partition: i32,
        /// Read up to here.
        read: u64,
        /// Where it ends now.
        end: u64,
    },
}

/// A stream of records in partitions, read from positions that the store keeps. Records of one partition come in order of
/// offset; those of several in order of arrival, as far as they are there.
pub trait Source: Send {
    /// Partitions there are, with the first offset that is there of each.
    fn partitions(&mut self) -> Result<Positions, SourceError>;
    /// Goes to the positions, before the first [`Source::poll`]; a partition that is not named starts at its first record.
    fn seek(&mut self, to: &Positions) -> Result<(), SourceError>;
    /// Gives no record at or past these positions until called again with `None`: so that what was decided is read before
    /// what was not.
    fn hold_at(&mut self, ends: Option<Positions>);
    /// Tells the stream how far the store has come: a progress report for people, no more.
    fn report(&mut self, done: &Positions);
    /// Up to `max` records; waits up to `wait` for the first.
    fn poll(&mut self, max: usize, wait: Span) -> Result<Vec<Record>, SourceError>;
    /// Whether everything that is durable now has been read.
    fn at_end(&self) -> bool;
    /// Whether a mention may come more than once: a broker takes what it is given, the log on disk knows what it has.
    fn repeats(&self) -> bool {
        false
    }
}

/// What a body at the door gets for an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// Durable: 200.
    Taken(Taken),
    /// Too large: 413, nothing taken.
    TooLarge(String),
    /// Cannot be decoded or is cut: 400, nothing taken.
    Undecodable(String),
    /// Unknown coding: 415.
    UnknownCoding(String),
    /// Full queue: 429 with this many seconds to wait.
    Busy(u64),
    /// No room on the disk: 503 with this many seconds to wait.
    NoRoom(u64),
    /// The log failed; the process stops: 503.
    Failed(String),
}

/// What became of a body's lines.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Taken {
    /// Mentions that are durable now.
    pub accepted: u64,
    /// Mentions that were here before.
    pub duplicates: u64,
    /// Refused records, at most [`crate::limits::REFUSALS_TOLD`].
    pub refused: Vec<Refused>,
    /// All refused.
    pub refused_total: u64,
}
