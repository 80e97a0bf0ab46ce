//! What the desk is made of, what it is asked, and what it shows. Types only.

use crate::assess::Reader;
use crate::clock::Clock;
use crate::duty::event::{Entry, Event, Notice};
use crate::duty::view::IncidentView;
use crate::duty::{Command, Plan, Verdict};
use crate::index::Writer;
use crate::intake::{Source, SourceError};
use crate::ledger::{DeadLetter, Store, StoreError};
use crate::metrics::Metrics;
use crate::time::{Instant, Span};
use crate::web::{CommandRefused, TopicView};
use serde::{Deserialize, Serialize};
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
    /// Search shards, where this process keeps them.
    pub index: Option<Writer>,
    /// By what name and for how long it leads; `None` where it alone has the store.
    pub lead: Option<Lead>,
    /// Where refused records are published, beside the store.
    pub publish: Option<Box<dyn Publish>>,
    /// Milliseconds between index commits.
    pub commit_ms: u64,
    /// How long mentions stay in the index.
    pub keep_index: Span,
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

/// How a desk takes part in the lead among several.
#[derive(Clone, PartialEq, Debug)]
pub struct Lead {
    /// This process, as others see it.
    pub holder: String,
    /// How long the lead holds without being renewed.
    pub holds: Span,
}

/// Where refused records go beside the store. At least once: one that is published again has the same position.
pub trait Publish: Send {
    /// Returns when they are durable there.
    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String>;
}

/// What another process asks of the leading desk through the store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum AskBody {
    /// A person's command; refused after `until`, when nobody waits for it any more.
    Command {
        /// It.
        command: Command,
        /// Until when.
        until: Instant,
    },
    /// Growth and members of an incident's topic.
    Topic {
        /// Incident id.
        incident: String,
    },
    /// An entry for the audit.
    Audit {
        /// Who.
        actor: String,
        /// What.
        event: Box<Event>,
    },
}

/// The answer to an [`AskBody`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum AnswerBody {
    /// Done: it stands in the ledger up to this entry.
    Done {
        /// Number of the last entry.
        seq: u64,
    },
    /// Not done.
    Refused {
        /// Why.
        why: CommandRefused,
    },
    /// The topic.
    Topic {
        /// It.
        topic: TopicView,
    },
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
    /// Refused records could not be published.
    #[error("publishing dead letters: {0}")]
    Publish(String),
}
