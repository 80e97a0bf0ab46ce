//! The house as the door sees it: the desk's shown state, the intake and the index behind one trait.

use crate::clock::Clock;
use crate::duty::Command;
use crate::duty::event::Event;
use crate::duty::view::IncidentView;
use crate::index::{Belongs, Expand, Exported, Format, Page, Query, QueryError, Searcher};
use crate::intake::{Answer, Intake};
use crate::ledger::{Evidence, Store};
use crate::metrics::Metrics;
use crate::run::desk::{Ask, Progress, Shown};
use crate::run::disk::DiskGuard;
use crate::run::search::Casebook;
use crate::time::Instant;
use crate::web::{Answering, CommandRefused, House, TopicView, View};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// Evidence shown on a page.
const EVIDENCE_SHOWN: usize = 200;

/// Seconds after which a sender comes back when the disk had no room: somebody has to make some.
const NO_ROOM_S: u64 = 30;

/// Everything the door needs.
pub struct Rooms {
    /// The time.
    pub clock: Clock,
    /// Takes bodies.
    pub intake: Intake,
    /// Reads the shards.
    pub searcher: Arc<Searcher>,
    /// Evidence and dead letters.
    pub store: Arc<dyn Store>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The desk's ear.
    pub asks: SyncSender<Ask>,
    /// The desk's state.
    pub shown: watch::Receiver<Arc<Shown>>,
    /// The desk's progress.
    pub progress: watch::Receiver<Progress>,
    /// What belongs to which incident.
    pub casebook: Arc<Mutex<Casebook>>,
    /// Bumped when the state changed.
    pub changes: watch::Receiver<u64>,
    /// Officers: role, name.
    pub on_duty: Vec<(String, String)>,
    /// Names of all channels.
    pub channels: Vec<String>,
    /// Names for people of codes.
    pub names: std::collections::BTreeMap<String, String>,
    /// Whether there is room for mentions.
    pub disk: Arc<DiskGuard>,
    /// Offset that had to be read before this process was ready.
    pub ready_at: u64,
    /// Topics that mentions come from instead of this door.
    pub elsewhere: Option<String>,
}

impl Rooms {
    async fn ask<T: Send>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask + Send) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asks = self.asks.clone();
        let ask = make(reply);
        // The desk's queue is short and never full for long; waiting belongs on a blocking thread.
        let sent = match asks.try_send(ask) {
            Ok(()) => true,
            Err(std::sync::mpsc::TrySendError::Full(ask)) => tokio::task::block_in_place(|| asks.send(ask).is_ok()),
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => false,
        };
        if sent { answer.await.ok() } else { None }
    }

    /// Searches on a thread that may wait, with what belongs to incidents at hand.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Searcher, Expand<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let (searcher, store, asks) = (self.searcher.clone(), self.store.clone(), self.asks.clone());
        let book = self.casebook.clone();
        let looked = tokio::task::spawn_blocking(move || {
            work(&searcher, &|incident| {
                let mut belongs = known(&book, &*store, incident)?;
                let (reply, answer) = oneshot::channel();
                let asked = asks.send(Ask::Topic(incident.to_owned(), reply)).is_ok();
                // Without the desk the ledger's answer stands: the topics and the mentions that carried it.
                if let Some(topic) = asked.then(|| answer.blocking_recv().ok()).flatten() {
                    belongs.mentions.extend(topic.mentions);
                }
                Some(belongs)
            })
        });
        looked.await.map_err(|_| QueryError::Failed("the search stopped".to_owned()))?
    }

    /// Writes down who looked for what and why; without that nobody sees what was found.
    async fn audit(&self, by: &str, purpose: String, query: String, total: u64) -> Result<(), QueryError> {
        let (by, asks) = (by.to_owned(), self.asks.clone());
        let searched = Event::Searched { by: by.clone(), purpose, query, total };
        let sent = tokio::task::spawn_blocking(move || asks.send(Ask::Audit(by, Box::new(searched))).is_ok()).await;
        match sent {
            Ok(true) => Ok(()),
            _ => Err(QueryError::Failed("the search could not be written to the audit".to_owned())),
        }
    }
}

fn known(book: &Mutex<Casebook>, store: &dyn Store, incident: &str) -> Option<Belongs> {
    // A reading that failed half-way goes on where it stopped; a panic elsewhere spoils nothing in it.
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = book.read_on(store) {
        tracing::warn!(%error, "the ledger cannot be read for a search");
    }
    book.of(incident)
}

impl House for Rooms {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn view(&self) -> Arc<View> {
        let shown = self.shown.borrow().clone();
        let dead_letters =
            self.store.dead_letter_counts().map_or(0, |counts| counts.iter().map(|(_, count)| count).sum());
        let channels = self.channels.iter().map(|name| (name.clone(), shown.channels.get(name).copied())).collect();
        Arc::new(View {
            now: Some(self.clock.now()),
            incidents: shown.incidents.clone(),
            last_mention: shown.last_mention,
            read_today: shown.per_hour.iter().sum(),
            per_hour: shown.per_hour.clone(),
            usual_per_hour: shown.usual_per_hour.clone(),
            dead_letters,
            withheld: shown.withheld.iter().map(|(reason, count)| (reason.clone(), *count)).collect(),
            on_duty: self.on_duty.clone(),
            channels,
            restricted: shown.restricted.clone(),
            names: self.names.clone(),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    fn topic<'a>(&'a self, incident: &'a str) -> Answering<'a, TopicView> {
        let incident = incident.to_owned();
        Box::pin(async move { self.ask(|reply| Ask::Topic(incident, reply)).await.unwrap_or_default() })
    }

    fn evidence<'a>(&'a self, incident: &'a str) -> Answering<'a, Vec<Evidence>> {
        let (store, incident) = (self.store.clone(), incident.to_owned());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || store.evidence(&incident, EVIDENCE_SHOWN)).await;
            match read {
                Ok(Ok(evidence)) => evidence,
                _ => {
                    tracing::warn!("evidence could not be read");
                    Vec::new()
                }
            }
        })
    }

    fn command<'a>(&'a self, command: Command) -> Answering<'a, Result<IncidentView, CommandRefused>> {
        Box::pin(async move {
            self.ask(|reply| Ask::Command(command, reply)).await.unwrap_or(Err(CommandRefused::Unavailable))
        })
    }

    fn mentions<'a>(&'a self, json: bool, coding: Option<String>, body: Vec<u8>) -> Answering<'a, Answer> {
        let (intake, now, disk) = (self.intake.clone(), self.clock.now(), self.disk.clone());
        let elsewhere = self.elsewhere.clone();
        Box::pin(async move {
            if let Some(topics) = elsewhere {
                return Answer::Failed(format!("this house takes mentions from Kafka; send them to {topics}"));
            }
            if disk.paused() {
                return Answer::NoRoom(NO_ROOM_S);
            }
            let taken = tokio::task::spawn_blocking(move || intake.offer(json, coding.as_deref(), &body, now)).await;
            taken.unwrap_or_else(|_| Answer::Failed("the intake stopped".to_owned()))
        })
    }

    fn search<'a>(&'a self, by: &'a str, purpose: &'a str, query: Query) -> Answering<'a, Result<Page, QueryError>> {
        Box::pin(async move {
            let q = query.q.clone();
            let page = self.look(move |searcher, expand| searcher.search_with(&query, expand)).await?;
            self.audit(by, purpose.to_owned(), q, page.total).await?;
            Ok(page)
        })
    }

    fn export<'a>(
        &'a self,
        by: &'a str,
        purpose: &'a str,
        query: Query,
        format: Format,
    ) -> Answering<'a, Result<Exported, QueryError>> {
        Box::pin(async move {
            let q = query.q.clone();
            let file = self.look(move |searcher, expand| searcher.export(&query, Some(expand), format)).await?;
            let purpose = format!("export {}, {} rows: {purpose}", format.name(), file.rows);
            self.audit(by, purpose, q, file.total).await?;
            Ok(file)
        })
    }

    fn ready(&self) -> Result<(), String> {
        let progress = self.progress.borrow();
        if progress.offset < self.ready_at {
            return Err(format!("reading the stream: {} of {}", progress.offset, self.ready_at));
        }
        if progress.indexed < self.ready_at {
            return Err(format!("indexing: {} of {}", progress.indexed, self.ready_at));
        }
        Ok(())
    }

    fn metrics(&self) -> String {
        self.metrics.lag.set(self.intake.end().saturating_sub(self.progress.borrow().offset) as i64);
        self.metrics.render()
    }
}
