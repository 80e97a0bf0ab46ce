//! The store of duty: an append-only, hash-chained sequence of events with the stream positions, dead letters, evidence
//! and checkpoint that one step decided, in one transaction. [`Store`] is the narrow trait; SQLite and PostgreSQL pass
//! one conformance suite.

mod advice;
mod chain;
pub mod conformance;
pub mod invariants;
pub mod memory;
pub mod migrate;
pub mod model;
pub mod postgres;
pub mod sqlite;

pub use advice::{Advice, Severity};
pub use chain::{Stored, check_line};

use crate::duty::event::{Entry, Event};
use crate::mention::RefusalCode;
use crate::time::{Day, Instant, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A place in a stream: `offset` is that of the next record to read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// `intake` for the log on disk, else a Kafka topic.
    pub stream: String,
    /// Partition; the log on disk has one, 0.
    pub partition: i32,
    /// Next offset.
    pub offset: u64,
}

impl Position {
    /// The same partition at another offset.
    pub fn at(&self, offset: u64) -> Position {
        Position { offset, ..self.clone() }
    }
}

/// The next offset of each partition; written as a list of [`Position`]s.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Position>", into = "Vec<Position>")]
pub struct Positions(BTreeMap<(String, i32), u64>);

impl From<Vec<Position>> for Positions {
    fn from(list: Vec<Position>) -> Positions {
        Positions(list.into_iter().map(|one| ((one.stream, one.partition), one.offset)).collect())
    }
}

impl From<Positions> for Vec<Position> {
    fn from(positions: Positions) -> Vec<Position> {
        positions.iter().collect()
    }
}

impl Positions {
    /// Next offset of a partition; 0 where it was never read.
    pub fn next(&self, stream: &str, partition: i32) -> u64 {
        // A borrowed pair is no key of a map of owned pairs; partitions are few.
        self.0.iter().find(|((name, part), _)| *part == partition && name == stream).map_or(0, |(_, next)| *next)
    }

    /// Whether the record at a position comes before the next offset of its partition.
    pub fn passed(&self, record: &Position) -> bool {
        record.offset < self.next(&record.stream, record.partition)
    }

    /// Sets the next offset of a partition.
    pub fn set(&mut self, to: &Position) {
        match self.0.iter_mut().find(|((name, part), _)| *part == to.partition && *name == to.stream) {
            Some((_, next)) => *next = to.offset,
            None => {
                self.0.insert((to.stream.clone(), to.partition), to.offset);
            }
        }
    }

    /// Moves each partition of `other` up to where it stands there; none moves back.
    pub fn raise(&mut self, other: &Positions) {
        for position in other.iter() {
            if position.offset > self.next(&position.stream, position.partition) {
                self.set(&position);
            }
        }
    }

    /// Whether every partition of `other` has been read at least as far here.
    pub fn covers(&self, other: &Positions) -> bool {
        other.iter().all(|position| position.offset <= self.next(&position.stream, position.partition))
    }

    /// All partitions, in order of stream and number.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|((stream, partition), offset)| Position {
            stream: stream.clone(),
            partition: *partition,
            offset: *offset,
        })
    }

    /// Records passed in all partitions together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// A refused record, kept with where it stood and its first bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Stream, partition, offset of the record itself.
    pub position: Position,
    /// Line in the body or file it came with.
    pub line: u64,
    /// Its id, where one could be read.
    pub id: Option<String>,
    /// Why.
    pub code: RefusalCode,
    /// The same in words.
    pub detail: String,
    /// First bytes, masked, lossily decoded.
    pub head: String,
    /// When it was refused.
    pub at: Instant,
}

/// A masked text that an incident rests on; deletable, referred to by hash.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// `I-…`.
    pub incident: String,
    /// Mention id.
    pub mention: String,
    /// SHA-256 of the masked text, hex.
    pub hash: String,
    /// The mention as JSON, without its source key.
    pub body: String,
    /// Why it belongs here, for people.
    pub joined: String,
}

/// The state of the topics at a position.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Where each partition stood.
    pub positions: Positions,
    /// Format of `body`.
    pub version: u32,
    /// The state.
    pub body: Vec<u8>,
}

/// Everything one step decided; committed whole or not at all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    /// Events with their instant and actor, in order.
    pub events: Vec<(Instant, String, Event)>,
    /// Compare-and-swap of stream positions: from, to. From 0 means that none is stored yet. One that does not fit
    /// fences the whole step.
    pub positions: Vec<(Position, Position)>,
    /// Token of the leader that decided this; another one in office fences the step. `None` where nobody leads.
    pub fence: Option<u64>,
    /// Mentions that were deleted at their source: their evidence goes.
    pub forget: Vec<String>,
    /// Answers to what was asked through the store ([`Store::ask`]): number, answer.
    pub answers: Vec<(u64, String)>,
    /// Refused records it passed.
    pub dead_letters: Vec<DeadLetter>,
    /// Evidence to keep.
    pub evidence: Vec<Evidence>,
    /// Topic state to keep; replaces the one before.
    pub checkpoint: Option<Checkpoint>,
}

/// What the store refuses or fails at.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// Another process moved the position: this one is a zombie and must stop.
    #[error("position of {stream}/{partition} is {stored}, not {expected}: another process has moved it")]
    Fenced {
        /// Stream.
        stream: String,
        /// Partition.
        partition: i32,
        /// What is stored.
        stored: u64,
        /// What was expected.
        expected: u64,
    },
    /// Another process leads now: this one must stop deciding.
    #[error("leadership {ours} has passed to another, {held}")]
    Deposed {
        /// Token of the step.
        ours: u64,
        /// Token in office.
        held: u64,
    },
    /// Another process owns the folder.
    #[error("{0} is owned by another process")]
    Locked(String),
    /// The ledger's chain or a stored row is not what it was.
    #[error("ledger entry {seq} is not what was written: {detail}")]
    Broken {
        /// First bad entry.
        seq: u64,
        /// What is wrong.
        detail: String,
    },
    /// The database failed; the process stops and recovers at start.
    #[error("store: {0}")]
    Failed(String),
}

/// Domain operations on the store. Every write is one transaction, durable when the call returns.
pub trait Store: Send + Sync {
    /// Commits a step; gives the entries as they stand in the ledger.
    fn commit(&self, step: Step) -> Result<Vec<Entry>, StoreError>;
    /// Up to `limit` entries with `seq > after`, in order.
    fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;
    /// The same entries as lines of an audit pack, exactly as their hashes cover them ([`check_line`]).
    fn lines(&self, after: u64, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Next offset of a partition; 0 where none is stored.
    fn position(&self, stream: &str, partition: i32) -> Result<u64, StoreError>;
    /// The last checkpoint.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;
    /// Replaces the checkpoint, apart from a step.
    fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError>;
    /// Dead letters, newest first.
    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;
    /// Number of dead letters by code.
    fn dead_letter_counts(&self) -> Result<Vec<(RefusalCode, u64)>, StoreError>;
    /// Evidence of an incident, in the order in which it was kept.
    fn evidence(&self, incident: &str, limit: usize) -> Result<Vec<Evidence>, StoreError>;
    /// Destroys the evidence of an incident; gives how many pieces went. Its entries in the ledger stay.
    fn destroy_evidence(&self, incident: &str) -> Result<u64, StoreError>;
    /// The salt of a day's source keys: made on first use, `None` once destroyed.
    fn salt(&self, day: Day) -> Result<Option<[u8; 32]>, StoreError>;
    /// A secret of the installation by name, made on first use: every process of the house has the same.
    fn secret(&self, name: &str) -> Result<[u8; 32], StoreError>;
    /// Destroys salts of days before `day`; gives the days whose salt went.
    fn destroy_salts_before(&self, day: Day) -> Result<Vec<Day>, StoreError>;
    /// Takes or keeps the lead for `holds` from now by the store's own clock. Gives the fencing token, which grows whenever the
    /// holder changes; `None` where another holds it still.
    fn lead(&self, holder: &str, holds: Span) -> Result<Option<u64>, StoreError>;
    /// Gives the lead up, where `holder` has it: the next one need not wait.
    fn resign(&self, holder: &str) -> Result<(), StoreError>;
    /// Puts a question or command before the leader; gives its number. Durable: it is answered by whoever leads next.
    fn ask(&self, body: &str) -> Result<u64, StoreError>;
    /// Questions without an answer, in order.
    fn asked(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError>;
    /// The answer to a question, taken away with it; `None` until a step has given it ([`Step::answers`]).
    fn take_answer(&self, number: u64) -> Result<Option<String>, StoreError>;
    /// Positions of all partitions.
    fn positions(&self) -> Result<Positions, StoreError>;
    /// Checks the hash chain from the first entry; gives the number of entries.
    fn verify(&self) -> Result<u64, StoreError>;
}
