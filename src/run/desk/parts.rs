//! What the desk is made of, what it is asked, and what it shows. Types only.

use crate::assess::Reader;
use crate::clock::Clock;
use crate::duty::event::{Entry, Event, Notice};
use crate::duty::view::IncidentView;
use crate::duty::{Command, Plan, Verdict};
use crate::index::Writer;
use crate::intake::{Source, SourceError};
use crate::ledger::{Store, StoreError};
use crate::metrics::Metrics;
use crate::time::Instant;
use crate::web::{CommandRefused, TopicView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::{mpsc, oneshot, watch};

/// Hears every committed ledger entry.
pub type Observer = Box<dyn FnMut(&Entry) + Send>;

/// What others ask of the desk; every answer travels back through its own channel.
pub enum Ask {
    /// A person's command.
    Command(Command, oneshot::Sender<Result<IncidentView, CommandRefused>>),
    /// An attempt to send ended.
    Sent(String, Verdict),
    /// Growth and members of an incident's topic.
    Topic(String, oneshot::Sender<TopicView>),
    /// An entry for the audit.
    Audit(String, Box<Event>),
    /// Read what is there, make everything durable, and stop.
    Stop,
}

/// What the desk tells the rest of the house after each step.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Records read, all partitions together.
    pub offset: u64,
    /// Time up to which every deadline has been looked at.
    pub now: Option<Instant>,
    /// Records that search shows.
    pub indexed: u64,
    /// Counts each change of the duty state.
    pub version: u64,
}

/// Everything the desk is made of.
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The truth of duty.
    pub store: Arc<dyn Store>,
    /// The stream.
    pub source: Box<dyn Source>,
    /// Reads mentions.
    pub reader: Arc<Reader>,
    /// Rules for topics.
    pub rules: crate::rule::settings::Rules,
    /// Who is called and when.
    pub plan: Plan,
    /// Search shards.
    pub index: Writer,
    /// Milliseconds between index commits.
    pub commit_ms: u64,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Questions and commands.
    pub asks: Receiver<Ask>,
    /// Notices that are due.
    pub due: mpsc::Sender<Notice>,
    /// Progress after each step.
    pub progress: watch::Sender<Progress>,
    /// The state as the console shows it.
    pub state: watch::Sender<Arc<Shown>>,
    /// Hears every committed entry.
    pub observer: Observer,
    /// Threads that read texts.
    pub readers: usize,
}

/// What of the desk's memory the console shows.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Incidents, newest first, restricted ones left out.
    pub incidents: Vec<IncidentView>,
    /// Incidents about a person in danger.
    pub restricted: Vec<IncidentView>,
    /// Last mention read.
    pub last_mention: Option<Instant>,
    /// Shanghai day of `per_hour`.
    pub day: Option<crate::time::Day>,
    /// Mentions read per hour of the day.
    pub per_hour: Vec<u64>,
    /// What was read in the same hours of the days before.
    pub usual_per_hour: Vec<u64>,
    /// Why mentions of note did not wake anybody.
    pub withheld: BTreeMap<String, u64>,
    /// Whether each channel's last attempt was accepted.
    pub channels: BTreeMap<String, bool>,
}

/// What stops the desk.
#[derive(thiserror::Error, Debug)]
pub enum DeskError {
    /// The store failed or fenced us.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The index failed.
    #[error("index: {0}")]
    Index(String),
    /// A checkpoint cannot be read.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
}
