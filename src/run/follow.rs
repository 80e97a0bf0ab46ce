//! The house as a door beside the leading desk sees it (`yuqing web`): views that follow the ledger, a local index that
//! follows the assessed stream, and questions that go to the desk through the store.
//!
//! It decides nothing. A command is durable before anybody waits for its answer, and the answer is shown once this
//! process has read the ledger entry that it stands in.

use crate::clock::Clock;
use crate::duty::event::{Entry, Event};
use crate::duty::view::IncidentView;
use crate::duty::{Command, State, Verdict};
use crate::index::{Belongs, Exported, Format, Page, Query, QueryError, Searcher, Writer};
use crate::intake::{Answer, Body, Record, Source};
use crate::ledger::{Evidence, Store, StoreError};
use crate::limits;
use crate::metrics::Metrics;
use crate::run::desk::{AnswerBody, AskBody};
use crate::time::{Instant, Span};
use crate::web::{Answering, CommandRefused, House, TopicView, View};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Evidence shown on a page.
const EVIDENCE_SHOWN: usize = 200;
/// Between two looks at the ledger: the board is at most this much older than the desk.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks for an answer.
const ANSWER_LOOK: Duration = Duration::from_millis(25);
/// How long a person waits for the desk: a takeover fits in.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// Records indexed at once.
const BATCH: usize = 2_000;

/// What follows the ledger and the stream.
pub struct Follower {
    /// The time.
    pub clock: Clock,
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Reads the shards.
    pub searcher: Arc<Searcher>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Officers: role, name.
    pub on_duty: Vec<(String, String)>,
    /// Names of all channels.
    pub channels: Vec<String>,
    /// Names for people of codes.
    pub names: BTreeMap<String, String>,
    /// Where mentions go instead of this door.
    pub intake: String,
    followed: Mutex<Followed>,
    version: watch::Sender<u64>,
    /// Last ledger entry read, and whether all that was there at the start has been.
    seq: AtomicU64,
    ready: AtomicBool,
    /// Whether the index has reached the end of the stream once.
    indexed: AtomicBool,
}

#[derive(Default)]
struct Followed {
    state: State,
    channels: BTreeMap<String, bool>,
    notices: BTreeMap<String, String>,
    day: Option<crate::time::Day>,
    per_hour: Vec<u64>,
    last_mention: Option<Instant>,
    view: Arc<View>,
}

/// What a follower is made of.
pub struct FollowerParts {
    /// The time.
    pub clock: Clock,
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Reads the shards.
    pub searcher: Arc<Searcher>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Officers: role, name.
    pub on_duty: Vec<(String, String)>,
    /// Names of all channels.
    pub channels: Vec<String>,
    /// Names for people of codes.
    pub names: BTreeMap<String, String>,
    /// Where mentions go instead of this door.
    pub intake: String,
}

impl Follower {
    /// A follower that has read nothing yet.
    pub fn new(parts: FollowerParts) -> Follower {
        let FollowerParts { clock, store, searcher, metrics, on_duty, channels, names, intake } = parts;
        Follower {
            clock,
            store,
            searcher,
            metrics,
            on_duty,
            channels,
            names,
            intake,
            followed: Mutex::new(Followed { per_hour: vec![0; 24], ..Followed::default() }),
            version: watch::Sender::new(0),
            seq: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            indexed: AtomicBool::new(false),
        }
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the ledger until told to stop; an error of the store is told and tried again.
    pub fn follow_ledger(&self, stop: &watch::Receiver<bool>) {
        while !*stop.borrow() {
            match self.read_ledger() {
                Ok(()) => self.ready.store(true, Ordering::Release),
                Err(error) => tracing::warn!(%error, "the ledger cannot be read; the board stands still"),
            }
            std::thread::sleep(LOOK);
        }
    }

    fn read_ledger(&self) -> Result<(), StoreError> {
        loop {
            let entries = self.store.entries(self.seq.load(Ordering::Acquire), limits::STEP_MENTIONS)?;
            let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(()) };
            let mut followed = self.followed();
            for entry in &entries {
                followed.absorb(entry);
            }
            followed.view = Arc::new(self.made(&followed));
            drop(followed);
            self.seq.store(last, Ordering::Release);
            self.version.send_replace(last);
        }
    }

    fn made(&self, followed: &Followed) -> View {
        let (restricted, incidents) = followed.state.incidents_all().into_iter().partition(|one| one.restricted);
        View {
            incidents,
            restricted,
            on_duty: self.on_duty.clone(),
            names: self.names.clone(),
            channels: self.channels.iter().map(|name| (name.clone(), followed.channels.get(name).copied())).collect(),
            ..View::default()
        }
    }

    /// Indexes the assessed stream until told to stop or until the stream or the disk fails.
    pub fn follow_stream(
        &self,
        mut source: Box<dyn Source>,
        mut index: Writer,
        commit: Duration,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut next = source.partitions()?;
        next.raise(index.positions());
        source.seek(&next)?;
        source.hold_at(None);
        let (mut dirty, mut committed) = (false, std::time::Instant::now());
        loop {
            let stopping = *stop.borrow();
            let records = if stopping { Vec::new() } else { source.poll(BATCH, Span::millis(50))? };
            for record in records {
                next.set(&record.position.at(record.position.offset + 1));
                self.index_one(&mut index, record)?;
                dirty = true;
            }
            if dirty && (stopping || committed.elapsed() >= commit) {
                index.commit(&next)?;
                source.report(&next);
                (dirty, committed) = (false, std::time::Instant::now());
            }
            if !dirty && source.at_end() {
                self.indexed.store(true, Ordering::Release);
            }
            if stopping {
                return Ok(());
            }
        }
    }

    fn index_one(&self, index: &mut Writer, record: Record) -> anyhow::Result<()> {
        match (record.body, record.reading) {
            (Body::Mention(mention), Some(reading)) => {
                self.metrics.mentions.with_label_values(&[&mention.platform]).inc();
                self.followed().count(&mention);
                if !reading.assessment.person_in_danger {
                    // A worker may repeat one after a crash: the later takes the place of the earlier.
                    index.replace(&record.position, &mention, &reading, None)?;
                }
            }
            (Body::Deleted { id }, _) => {
                index.delete(&id)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the leading desk through the store and waits for its answer.
    fn ask_desk(&self, body: &AskBody) -> Result<AnswerBody, CommandRefused> {
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "the desk cannot be asked");
            CommandRefused::Unavailable
        };
        let body = serde_json::to_string(body).map_err(|error| unavailable(&error))?;
        let number = self.store.ask(&body).map_err(|error| unavailable(&error))?;
        let asked = std::time::Instant::now();
        loop {
            match self.store.take_answer(number) {
                Ok(Some(answer)) => return serde_json::from_str(&answer).map_err(|error| unavailable(&error)),
                Ok(None) if asked.elapsed() < ANSWER_WAIT => std::thread::sleep(ANSWER_LOOK),
                Ok(None) => return Err(CommandRefused::Unavailable),
                Err(error) => return Err(unavailable(&error)),
            }
        }
    }

    /// The mentions of an incident that is open to searching: those that carried it and the first of its topic.
    fn members(&self, incident: &str) -> Option<Belongs> {
        let known = self.followed().state.incident(incident).filter(|known| !known.restricted)?;
        let mut mentions = known.carried;
        if let Ok(AnswerBody::Topic { topic }) = self.ask_desk(&AskBody::Topic { incident: incident.to_owned() }) {
            mentions.extend(topic.mentions);
        }
        mentions.sort();
        mentions.dedup();
        Some(Belongs { topics: Vec::new(), mentions })
    }

    /// Writes down who looked for what and why; without that nobody sees what was found.
    fn audit(&self, by: String, purpose: String, query: String, total: u64) -> Result<(), QueryError> {
        let event = Box::new(Event::Searched { by: by.clone(), purpose, query, total });
        match self.ask_desk(&AskBody::Audit { actor: by, event }) {
            Ok(AnswerBody::Done { .. }) => Ok(()),
            _ => Err(QueryError::Failed("the search could not be written to the audit".to_owned())),
        }
    }

    /// Waits until the ledger has been read up to an entry.
    fn reach(&self, seq: u64) -> Result<(), CommandRefused> {
        while self.seq.load(Ordering::Acquire) < seq {
            self.read_ledger().map_err(|_| CommandRefused::Unavailable)?;
        }
        Ok(())
    }
}

impl Followed {
    fn absorb(&mut self, entry: &Entry) {
        self.state.absorb(entry);
        match &entry.event {
            Event::NoticeDecided { notice } => {
                self.notices.insert(notice.key.clone(), notice.channel.clone());
            }
            Event::NoticeAttempted { key, verdict, .. } => {
                if let Some(channel) = self.notices.get(key) {
                    self.channels.insert(channel.clone(), *verdict == Verdict::Accepted);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, mention: &crate::mention::Mention) {
        let day = mention.collected_at.day();
        if self.day != Some(day) {
            self.day = Some(day);
            self.per_hour = vec![0; 24];
        }
        self.per_hour[(mention.collected_at.minute_of_day() / 60) as usize] += 1;
        self.last_mention = Some(mention.collected_at);
    }
}

/// Runs blocking work of the store away from the threads that answer.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// A follower behind the door.
pub struct Beside(pub Arc<Follower>);

impl House for Beside {
    fn now(&self) -> Instant {
        self.0.clock.now()
    }

    fn view(&self) -> Arc<View> {
        let dead_letters =
            self.0.store.dead_letter_counts().map_or(0, |counts| counts.iter().map(|(_, count)| count).sum());
        let followed = self.0.followed();
        Arc::new(View {
            now: Some(self.0.clock.now()),
            last_mention: followed.last_mention,
            read_today: followed.per_hour.iter().sum(),
            per_hour: followed.per_hour.clone(),
            dead_letters,
            ..View::clone(&followed.view)
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    fn topic<'a>(&'a self, incident: &'a str) -> Answering<'a, TopicView> {
        let (follower, incident) = (self.0.clone(), incident.to_owned());
        Box::pin(async move {
            match apart(move || follower.ask_desk(&AskBody::Topic { incident })).await {
                Some(Ok(AnswerBody::Topic { topic })) => topic,
                _ => TopicView::default(),
            }
        })
    }

    fn evidence<'a>(&'a self, incident: &'a str) -> Answering<'a, Vec<Evidence>> {
        let (store, incident) = (self.0.store.clone(), incident.to_owned());
        Box::pin(async move {
            match apart(move || store.evidence(&incident, EVIDENCE_SHOWN)).await {
                Some(Ok(evidence)) => evidence,
                _ => {
                    tracing::warn!("evidence could not be read");
                    Vec::new()
                }
            }
        })
    }

    fn command<'a>(&'a self, command: Command) -> Answering<'a, Result<IncidentView, CommandRefused>> {
        let follower = self.0.clone();
        Box::pin(async move {
            let carried = apart(move || {
                let incident = command.incident().to_owned();
                let until = follower.clock.now() + Span::millis(ANSWER_WAIT.as_millis() as i64);
                match follower.ask_desk(&AskBody::Command { command, until })? {
                    AnswerBody::Done { seq } => {
                        follower.reach(seq)?;
                        follower.followed().state.incident(&incident).ok_or(CommandRefused::NotFound)
                    }
                    AnswerBody::Refused { why } => Err(why),
                    AnswerBody::Topic { .. } => Err(CommandRefused::Unavailable),
                }
            });
            carried.await.unwrap_or(Err(CommandRefused::Unavailable))
        })
    }

    fn mentions<'a>(&'a self, _json: bool, _coding: Option<String>, _body: Vec<u8>) -> Answering<'a, Answer> {
        let words = format!("this house takes mentions from Kafka; send them to {}", self.0.intake);
        Box::pin(async move { Answer::Failed(words) })
    }

    fn search<'a>(&'a self, by: &'a str, purpose: &'a str, query: Query) -> Answering<'a, Result<Page, QueryError>> {
        let (follower, by, purpose) = (self.0.clone(), by.to_owned(), purpose.to_owned());
        Box::pin(async move {
            let searched = apart(move || {
                let page = follower.searcher.search_with(&query, &|incident| follower.members(incident))?;
                follower.audit(by, purpose, query.q, page.total)?;
                Ok(page)
            });
            searched.await.unwrap_or(Err(QueryError::Failed("the search stopped".to_owned())))
        })
    }

    fn export<'a>(
        &'a self,
        by: &'a str,
        purpose: &'a str,
        query: Query,
        format: Format,
    ) -> Answering<'a, Result<Exported, QueryError>> {
        let (follower, by, purpose) = (self.0.clone(), by.to_owned(), purpose.to_owned());
        Box::pin(async move {
            let exported = apart(move || {
                let file = follower.searcher.export(&query, Some(&|incident| follower.members(incident)), format)?;
                let purpose = format!("export {}, {} rows: {purpose}", format.name(), file.rows);
                follower.audit(by, purpose, query.q, file.total)?;
                Ok(file)
            });
            exported.await.unwrap_or(Err(QueryError::Failed("the search stopped".to_owned())))
        })
    }

    fn ready(&self) -> Result<(), String> {
        if !self.0.ready.load(Ordering::Acquire) {
            return Err("reading the ledger".to_owned());
        }
        if !self.0.indexed.load(Ordering::Acquire) {
            return Err("indexing the assessed stream".to_owned());
        }
        Ok(())
    }

    fn metrics(&self) -> String {
        self.0.metrics.render()
    }
}
