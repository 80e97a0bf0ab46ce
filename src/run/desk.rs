//! The desk: one thread that reads the stream, folds it, decides, and commits. The only writer of the ledger.
//!
//! Flows in: records of a [`Source`], commands, outcomes of sending. Flows out: ledger entries, index documents, a view,
//! notices due. One record that decides something closes a step: its events, its evidence and the position after it are
//! one transaction, so a crash between any two instructions repeats nothing and loses nothing. Time is the stream's:
//! every deadline due before a record's arrival falls due before the record is looked at, so the same stream gives the
//! same decisions however it was batched; the clock moves time on only when the stream has been read to its end.

use crate::assess::{Reader, Reading};
use crate::clock::Clock;
use crate::duty::event::{Entry, Event, Notice};
use crate::duty::view::IncidentView;
use crate::duty::{self, Command, Input, Plan, State, Verdict};
use crate::index::Writer;
use crate::intake::{Body, Record, Source, SourceError};
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Position, Step, Store, StoreError};
use crate::limits;
use crate::mention::Mention;
use crate::metrics::Metrics;
use crate::rule::watch::{Taken, Watch};
use crate::rule::{Finding, FindingKind};
use crate::time::{Instant, Span};
use crate::topic::TopicId;
use crate::web::{CommandRefused, TopicView};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use tokio::sync::{mpsc, oneshot, watch};

/// What others ask of the desk; every answer travels back through its own channel.
pub enum Ask {
    /// A person's command.
    Command(Command, oneshot::Sender<Result<IncidentView, CommandRefused>>),
    /// An attempt to send ended.
    Sent(String, Verdict),
    /// Growth and members of an incident's topic.
    Topic(String, oneshot::Sender<TopicView>),
    /// An entry for the audit.
    Audit(String, Event),
    /// Read what is there, make everything durable, and stop.
    Stop,
}

/// What the desk tells the rest of the house after each step.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Next offset to read.
    pub offset: u64,
    /// Time up to which every deadline has been looked at.
    pub now: Option<Instant>,
    /// Next offset that search does not show yet.
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
    pub observer: Box<dyn FnMut(&Entry) + Send>,
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

/// Mentions of note whose texts may become evidence when their topic is raised.
const RECENT_MENTIONS: usize = 20_000;
/// Texts kept for one incident.
const EVIDENCE_PER_INCIDENT: usize = 200;
/// Records between two checkpoints of the topics: bounds what a restart reads again.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// Mentions below which one thread reads them all.
const PARALLEL_MENTIONS: usize = 64;
/// Format of the checkpoint body; [`Watch`] has its own inside.
const CHECKPOINT_VERSION: u32 = 1;

/// The desk's memory.
pub struct Desk {
    parts: Parts,
    watch: Watch,
    state: State,
    now: Instant,
    /// Position the ledger has; records before it are read on quietly.
    decided: u64,
    next: Position,
    indexed: u64,
    checkpointed: u64,
    last_commit: std::time::Instant,
    recent: BTreeMap<String, Mention>,
    recent_order: VecDeque<String>,
    evidence: BTreeMap<String, BTreeSet<String>>,
    topics: BTreeMap<TopicId, String>,
    in_flight: BTreeSet<String>,
    /// Channel of each notice that was handed to the senders.
    channels: BTreeMap<String, String>,
    shown: Shown,
    version: u64,
    dirty: bool,
    restricted: BTreeSet<String>,
    shown_version: Option<u64>,
}

impl Desk {
    /// Recovers from the store and the checkpoint; the stream is read on from there by [`Desk::run`].
    pub fn recover(mut parts: Parts) -> Result<Desk, DeskError> {
        let mut state = State::default();
        let mut after = 0;
        let mut evidence = BTreeMap::new();
        let mut topics = BTreeMap::new();
        let mut now = Instant::default();
        let mut restricted = BTreeSet::new();
        loop {
            let entries = parts.store.entries(after, limits::STEP_MENTIONS)?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in &entries {
                state.absorb(entry);
                now = now.max(entry.at);
                note(&mut topics, entry);
                restricted.extend(restricted_of(entry));
            }
        }
        for incident in topics.values() {
            let kept = parts.store.evidence(incident, EVIDENCE_PER_INCIDENT)?;
            let ids: BTreeSet<String> = kept.into_iter().map(|one| one.mention).collect();
            evidence.insert(incident.clone(), ids);
        }
        let home = parts.source.positions().into_iter().next().unwrap_or(Position {
            stream: "intake".to_owned(),
            partition: 0,
            offset: 0,
        });
        let decided = parts.store.position(&home.stream, home.partition)?;
        let indexed = parts.index.position();
        let (watch, from) = match parts.store.checkpoint()? {
            // A shard was lost: topics are needed from the stream's start to index them again.
            Some(kept) if kept.position.offset <= indexed && kept.version == CHECKPOINT_VERSION => {
                let watch = Watch::load(parts.rules.clone(), &kept.body)
                    .map_err(|error| DeskError::Checkpoint(error.to_string()))?;
                (watch, kept.position.offset)
            }
            _ => (Watch::new(parts.rules.clone()), 0),
        };
        let next = Position { offset: from, ..home };
        parts.source.seek(&next)?;
        tracing::info!(entries = after, decided, from, indexed, "desk recovers");
        let shown = Shown { per_hour: vec![0; 24], ..Shown::default() };
        let last_commit = std::time::Instant::now();
        Ok(Desk {
            watch,
            state,
            now,
            decided,
            next,
            indexed,
            checkpointed: from,
            last_commit,
            evidence,
            topics,
            shown,
            parts,
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            in_flight: BTreeSet::new(),
            channels: BTreeMap::new(),
            version: 0,
            dirty: true,
            restricted,
            shown_version: None,
        })
    }

    /// Reads, decides and commits until asked to stop; then makes everything durable.
    pub fn run(mut self) -> Result<(), DeskError> {
        let started = Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() };
        let at = self.now.max(self.parts.clock.now().min(self.now.max(self.parts.clock.now())));
        self.commit(Step { events: vec![(at, "machine".to_owned(), started)], ..Step::default() })?;
        loop {
            match self.parts.asks.try_recv() {
                Ok(Ask::Stop) | Err(TryRecvError::Disconnected) => break,
                Ok(ask) => {
                    self.answer(ask)?;
                    continue;
                }
                Err(TryRecvError::Empty) => {}
            }
            // The clock is read before the stream's end is looked at: whatever arrived before that instant is seen.
            let clock = self.parts.clock.now();
            let records = self.parts.source.poll(limits::STEP_MENTIONS, Span::millis(0))?;
            if records.is_empty() {
                if self.parts.source.at_end() && self.next.offset >= self.decided {
                    self.tick(clock)?;
                }
                self.settle(false)?;
                match self.parts.asks.recv_timeout(std::time::Duration::from_millis(10)) {
                    Ok(Ask::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                    Ok(ask) => self.answer(ask)?,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                continue;
            }
            let timer = self.parts.metrics.step.start_timer();
            self.step(records)?;
            timer.observe_duration();
            self.settle(false)?;
        }
        self.settle(true)?;
        tracing::info!(offset = self.next.offset, "desk stopped");
        Ok(())
    }

    /// Reads the texts of a batch on all readers, then takes the records one after the other.
    fn step(&mut self, records: Vec<Record>) -> Result<(), DeskError> {
        let readings = read_all(&self.parts.reader, &records, self.parts.readers);
        let mut dead = Vec::new();
        let mut pending = self.decided;
        for (record, reading) in records.into_iter().zip(readings) {
            let offset = record.position.offset;
            let quiet = offset < self.decided;
            self.next.offset = offset + 1;
            let mut decisions = Step::default();
            match (record.body, reading) {
                (Body::Mention(mention), Some(reading)) => {
                    self.take(offset, *mention, &reading, quiet, &mut decisions)?
                }
                (Body::Counts { id, counts }, _) => self.watch.counts(&id, counts),
                (Body::Refused { refused, head, at }, _) if !quiet => {
                    self.parts.metrics.dead_letters.with_label_values(&[refused.code.name()]).inc();
                    let position = record.position;
                    dead.push(DeadLetter {
                        position,
                        line: refused.line,
                        id: refused.id,
                        code: refused.code,
                        detail: refused.detail,
                        head,
                        at,
                    });
                }
                (Body::Deleted { id }, _) => {
                    self.parts.index.delete(&id).map_err(|error| DeskError::Index(error.to_string()))?;
                }
                _ => {}
            }
            if !quiet && !(decisions.events.is_empty() && decisions.evidence.is_empty()) {
                decisions.dead_letters = std::mem::take(&mut dead);
                decisions.position = Some(self.swap(pending, offset + 1));
                pending = offset + 1;
                self.commit(decisions)?;
            }
        }
        if self.next.offset > pending {
            let position = Some(self.swap(pending, self.next.offset));
            self.commit(Step { position, dead_letters: dead, ..Step::default() })?;
            pending = self.next.offset;
        }
        self.decided = self.decided.max(pending);
        Ok(())
    }

    fn swap(&self, from: u64, to: u64) -> (Position, Position) {
        (Position { offset: from, ..self.next.clone() }, Position { offset: to, ..self.next.clone() })
    }

    /// One mention: deadlines before it, its topic, what the rules say, the index.
    fn take(
        &mut self,
        offset: u64,
        mention: Mention,
        reading: &Reading,
        quiet: bool,
        step: &mut Step,
    ) -> Result<(), DeskError> {
        let at = self.now.max(mention.collected_at);
        if !quiet {
            self.tick(at)?;
            self.count(&mention);
        }
        self.now = at;
        let taken = self.watch.take(&mention, reading);
        if !reading.assessment.person_in_danger && offset >= self.indexed {
            self.parts
                .index
                .add(offset, &mention, reading, taken.topic)
                .map_err(|error| DeskError::Index(error.to_string()))?;
            self.dirty = true;
        }
        self.remember(&mention, reading);
        if quiet {
            return Ok(());
        }
        if let Some(withheld) = taken.withheld {
            *self.shown.withheld.entry(withheld.to_string()).or_default() += 1;
        }
        self.decide(at, &mention, taken, step);
        Ok(())
    }

    /// Findings and merges of one mention become events of one step, each decided on the state after the one before.
    fn decide(&mut self, at: Instant, mention: &Mention, taken: Taken, step: &mut Step) {
        let joined = taken.joined.to_string();
        let mut inputs: Vec<Input> = taken.merged.iter().map(|&(from, into)| Input::Merged { from, into }).collect();
        inputs.extend(taken.findings.iter().cloned().map(Input::Found));
        let mut scratch: Option<State> = (inputs.len() > 1).then(|| self.state.clone());
        for input in inputs {
            let state = scratch.as_ref().unwrap_or(&self.state);
            match duty::apply(state, &self.parts.plan, at, input) {
                Ok(events) => {
                    for (actor, event) in events {
                        if let Some(state) = scratch.as_mut() {
                            state.absorb(&provisional(state, at, &actor, &event));
                        }
                        step.events.push((at, actor, event));
                    }
                }
                Err(refusal) => tracing::warn!(%refusal, "a finding was refused"),
            }
        }
        for (_, _, event) in &step.events {
            if let Event::IncidentRaised { incident, finding } = event {
                let kept = self.evidence_of(incident, finding);
                step.evidence.extend(kept);
            }
        }
        let incident = taken.topic.and_then(|topic| self.topics.get(&topic).cloned());
        if let Some(incident) = incident {
            if let Some(one) = self.evidence_one(&incident, &mention.id, &joined) {
                step.evidence.push(one);
            }
        }
    }

    fn evidence_of(&mut self, incident: &str, finding: &Finding) -> Vec<Evidence> {
        if finding.kind == FindingKind::PersonInDanger {
            return Vec::new();
        }
        finding.mentions.iter().filter_map(|id| self.evidence_one(incident, id, "提出时已在内")).collect()
    }

    fn evidence_one(&mut self, incident: &str, id: &str, joined: &str) -> Option<Evidence> {
        let mention = self.recent.get(id)?;
        let kept = self.evidence.entry(incident.to_owned()).or_default();
        if kept.len() >= EVIDENCE_PER_INCIDENT || !kept.insert(id.to_owned()) {
            return None;
        }
        let bare = Mention { source: None, ..mention.clone() };
        let body = serde_json::to_string(&bare).ok()?;
        let hash = sha256_hex(mention.text.as_bytes());
        Some(Evidence { incident: incident.to_owned(), mention: id.to_owned(), hash, body, joined: joined.to_owned() })
    }

    /// Every deadline up to `to`, each at its own instant.
    fn tick(&mut self, to: Instant) -> Result<(), DeskError> {
        // A deadline that yields nothing must not be asked for again.
        let mut asked = None;
        while let Some(due) = self.state.next_due().filter(|&due| due <= to && Some(due) != asked) {
            asked = Some(due);
            let at = due.max(self.now);
            if let Ok(events) = duty::apply(&self.state, &self.parts.plan, at, Input::Tick) {
                if events.is_empty() {
                    break;
                }
                asked = None;
                let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
                self.commit(Step { events, ..Step::default() })?;
            }
            self.now = at;
        }
        self.now = self.now.max(to);
        Ok(())
    }

    fn commit(&mut self, step: Step) -> Result<(), DeskError> {
        for entry in self.parts.store.commit(step)? {
            self.state.absorb(&entry);
            note(&mut self.topics, &entry);
            self.restricted.extend(restricted_of(&entry));
            self.measure(&entry);
            (self.parts.observer)(&entry);
            self.version += 1;
        }
        Ok(())
    }

    fn measure(&mut self, entry: &Entry) {
        match &entry.event {
            Event::IncidentRaised { finding, .. } => {
                self.parts.metrics.incidents.with_label_values(&[&format!("{:?}", finding.level)]).inc();
            }
            Event::NoticeAttempted { key, verdict, attempt, .. } => {
                self.in_flight.remove(key);
                if let Some(channel) = self.channels.get(key).cloned() {
                    self.parts.metrics.notices.with_label_values(&[&channel, verdict_name(verdict)]).inc();
                    self.shown.channels.insert(channel, *verdict == Verdict::Accepted);
                }
                tracing::info!(key, attempt, verdict = verdict_name(verdict), "notice attempted");
            }
            _ => {}
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<(), DeskError> {
        match ask {
            Ask::Command(command, reply) => {
                self.tick_if_read()?;
                let incident = incident_of(&command).to_owned();
                let outcome = match duty::apply(&self.state, &self.parts.plan, self.now, Input::Command(command)) {
                    Ok(events) => {
                        let at = self.now;
                        let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
                        self.commit(Step { events, ..Step::default() })?;
                        self.state.incident(&incident).ok_or(CommandRefused::NotFound)
                    }
                    Err(refusal) => Err(refused(refusal)),
                };
                self.show();
                // The one who asked may have gone.
                let _ = reply.send(outcome);
            }
            Ask::Sent(key, verdict) => {
                self.tick_if_read()?;
                self.in_flight.remove(&key);
                if let Ok(events) = duty::apply(&self.state, &self.parts.plan, self.now, Input::Sent { key, verdict }) {
                    let at = self.now;
                    let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
                    self.commit(Step { events, ..Step::default() })?;
                }
                self.show();
            }
            Ask::Topic(incident, reply) => {
                let topic = self.topics.iter().rev().find(|(_, id)| **id == incident).map(|(topic, _)| *topic);
                let view = topic.map(|topic| {
                    let (mentions, mentions_total) = self.watch.members(topic);
                    TopicView { growth: self.watch.growth(topic), mentions, mentions_total }
                });
                let _ = reply.send(view.unwrap_or_default());
            }
            Ask::Audit(actor, event) => {
                let at = self.now.max(self.parts.clock.now());
                self.commit(Step { events: vec![(at, actor, event)], ..Step::default() })?;
            }
            Ask::Stop => {}
        }
        Ok(())
    }

    fn tick_if_read(&mut self) -> Result<(), DeskError> {
        let clock = self.parts.clock.now();
        if self.parts.source.at_end() && self.next.offset >= self.decided { self.tick(clock) } else { Ok(()) }
    }

    /// Index commit and checkpoint when due, notices that are due, progress and view.
    fn settle(&mut self, last: bool) -> Result<(), DeskError> {
        let due = self.last_commit.elapsed().as_millis() as u64 >= self.parts.commit_ms;
        if (due && self.dirty) || last {
            self.parts.index.commit(self.next.offset).map_err(|error| DeskError::Index(error.to_string()))?;
            self.indexed = self.indexed.max(self.next.offset);
            self.dirty = false;
            self.last_commit = std::time::Instant::now();
            // Only what the index holds may be checkpointed: a restart reads the stream from there for both.
            if self.next.offset >= self.checkpointed + CHECKPOINT_RECORDS || (last && self.next.offset >= self.decided)
            {
                let position = Position { offset: self.next.offset, ..self.next.clone() };
                self.parts.store.put_checkpoint(Checkpoint {
                    position,
                    version: CHECKPOINT_VERSION,
                    body: self.watch.save(),
                })?;
                self.checkpointed = self.next.offset;
            }
        }
        for notice in self.state.due_notices(self.now) {
            let key = notice.key.clone();
            self.channels.entry(key.clone()).or_insert_with(|| notice.channel.clone());
            if !self.in_flight.contains(&key) && self.parts.due.try_send(notice).is_ok() {
                self.in_flight.insert(key);
            }
        }
        self.show();
        Ok(())
    }

    fn show(&mut self) {
        if self.shown_version != Some(self.version) {
            self.shown.incidents = self.state.incidents();
            self.shown.restricted = self.restricted.iter().filter_map(|id| self.state.incident(id)).collect();
            self.shown_version = Some(self.version);
        }
        self.parts.metrics.topics.set(self.watch.topic_count() as i64);
        self.parts.metrics.index_lag.set(self.next.offset.saturating_sub(self.indexed) as i64);
        let left = self.shown.incidents.iter().filter(|one| one.state.is_open()).flat_map(|one| &one.clocks);
        let left = left
            .filter(|clock| clock.state == duty::view::ClockState::Running)
            .map(|clock| (clock.due - self.now).0 / 1_000)
            .min();
        self.parts.metrics.time_left.set(left.unwrap_or(7_200));
        self.parts.state.send_replace(Arc::new(self.shown.clone()));
        let progress =
            Progress { offset: self.next.offset, now: Some(self.now), indexed: self.indexed, version: self.version };
        self.parts.progress.send_replace(progress);
    }

    fn count(&mut self, mention: &Mention) {
        self.parts.metrics.mentions.with_label_values(&[&mention.platform]).inc();
        let day = mention.collected_at.day();
        if self.shown.day != Some(day) {
            self.shown.day = Some(day);
            self.shown.per_hour = vec![0; 24];
            self.shown.withheld.clear();
        }
        self.shown.per_hour[(mention.collected_at.minute_of_day() / 60) as usize] += 1;
        self.shown.last_mention = Some(mention.collected_at);
    }

    fn remember(&mut self, mention: &Mention, reading: &Reading) {
        let assessment = &reading.assessment;
        if assessment.person_in_danger || assessment.classes.is_empty() {
            return;
        }
        if self.recent.insert(mention.id.clone(), mention.clone()).is_none() {
            self.recent_order.push_back(mention.id.clone());
        }
        while self.recent_order.len() > RECENT_MENTIONS {
            if let Some(oldest) = self.recent_order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
    }
}

/// The incident's id, where it is about a person in danger.
fn restricted_of(entry: &Entry) -> Option<String> {
    match &entry.event {
        Event::IncidentRaised { incident, finding } if finding.kind == FindingKind::PersonInDanger => {
            Some(incident.clone())
        }
        _ => None,
    }
}

fn incident_of(command: &Command) -> &str {
    match command {
        Command::Acknowledge { incident, .. }
        | Command::Confirm { incident, .. }
        | Command::Dismiss { incident, .. } => incident,
    }
}

fn refused(refusal: duty::Refusal) -> CommandRefused {
    match refusal {
        duty::Refusal::NotFound => CommandRefused::NotFound,
        duty::Refusal::Conflict(why) => CommandRefused::Conflict(why),
        duty::Refusal::Invalid(why) => CommandRefused::Invalid(why),
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which incident stands for which topic.
fn note(topics: &mut BTreeMap<TopicId, String>, entry: &Entry) {
    match &entry.event {
        Event::IncidentRaised { incident, finding } => {
            if let Some(topic) = finding.topic {
                topics.insert(topic, incident.clone());
            }
        }
        Event::TopicsMerged { from, into } => {
            if let Some(incident) = topics.remove(from) {
                topics.entry(*into).or_insert(incident);
            }
        }
        _ => {}
    }
}

/// An entry as it will stand, but for its hash: for deciding the next event of the same step.
fn provisional(state: &State, at: Instant, actor: &str, event: &Event) -> Entry {
    Entry { seq: state.seq() + 1, at, actor: actor.to_owned(), event: event.clone(), hash: String::new() }
}

fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Retry { .. } => "retry",
        Verdict::Refused { .. } => "refused",
        Verdict::Misconfigured { .. } => "misconfigured",
        Verdict::Unknown { .. } => "unknown",
    }
}

/// Readings of the mentions of a batch, in order, made on `threads` threads.
pub fn read_all(reader: &Reader, records: &[Record], threads: usize) -> Vec<Option<Reading>> {
    let one = |record: &Record| match &record.body {
        Body::Mention(mention) => Some(reader.read(mention)),
        _ => None,
    };
    if threads < 2 || records.len() < PARALLEL_MENTIONS {
        return records.iter().map(one).collect();
    }
    let share = records.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            records.chunks(share).map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>())).collect();
        let mut all = Vec::with_capacity(records.len());
        for part in parts {
            match part.join() {
                Ok(readings) => all.extend(readings),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}
