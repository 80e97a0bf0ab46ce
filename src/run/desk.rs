//! The desk: one thread that reads the stream, folds it, decides, and commits. The only writer of the ledger.
//!
//! Flows in: records of a [`Source`](crate::intake::Source), commands, outcomes of sending. Flows out: ledger entries, index documents, a view,
//! notices due. One record that decides something closes a step: its events, its evidence and the position after it are
//! one transaction, so a crash between any two instructions repeats nothing and loses nothing. Time is the stream's:
//! every deadline due before a record's arrival falls due before the record is looked at, so the same stream gives the
//! same decisions however it was batched; the clock moves time on only when the stream has been read to its end.

mod answer;
mod parts;
mod recover;

pub use parts::{AnswerBody, Ask, AskBody, DeskError, Lead, Observer, Parts, Progress, Publish, Shown};

use crate::assess::Reading;
use crate::duty::event::{Entry, Event};
use crate::duty::{self, Input, State, Verdict};
use crate::intake::{Body, Known, Record, Seen};
use crate::ledger::{DeadLetter, Evidence, Position, Positions, Step};
use crate::limits;
use crate::mention::{Counts, Mention};
use crate::rule::watch::{Taken, Watch};
use crate::rule::{Finding, FindingKind};
use crate::run::readers::read_all;
use crate::time::{Instant, Span};
use crate::topic::TopicId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};

/// Mentions of note whose texts may become evidence when their topic is raised.
const RECENT_MENTIONS: usize = 20_000;
/// Texts kept for one incident.
const EVIDENCE_PER_INCIDENT: usize = 200;
/// Records between two checkpoints of the topics: bounds what a restart reads again.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// Format of the checkpoint body; [`Watch`] has its own inside.
const CHECKPOINT_VERSION: u32 = 2;
/// Ids of one generation that a desk remembers where records may come twice: a day of a busy city.
const SEEN: usize = 200_000;
/// How long a desk with nothing to do waits for something to be asked.
const IDLE: std::time::Duration = std::time::Duration::from_millis(10);

/// What one round of the desk came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It did something; there may be more.
    Took,
    /// There was nothing to do.
    Idle,
    /// It was asked to stop.
    Stop,
}

/// The desk's memory.
pub struct Desk {
    parts: Parts,
    watch: Watch,
    state: State,
    now: Instant,
    /// Positions the ledger has; records before them are read on quietly.
    decided: Positions,
    /// Next record of each partition.
    next: Positions,
    /// What the index holds.
    indexed: Positions,
    /// Records read when the last checkpoint was made.
    checkpointed: u64,
    /// Whether everything that was decided has been read again; from then on records decide.
    caught_up: bool,
    /// What the records read again would have said, by topic.
    echoes: BTreeMap<TopicId, Finding>,
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
    /// Ids seen, where records may come twice.
    seen: Option<Seen>,
    /// Token under which it leads.
    fence: Option<u64>,
    led: std::time::Instant,
    asked: std::time::Instant,
    /// Day on which the index was last looked through for what has had its time.
    expired: Option<crate::time::Day>,
    shown_version: Option<u64>,
}

impl Desk {
    /// Reads, decides and commits until asked to stop; then makes everything durable.
    pub fn run(mut self) -> Result<(), DeskError> {
        if !self.stand_by()? {
            return Ok(());
        }
        self.begin()?;
        loop {
            self.beat()?;
            match self.turn()? {
                Turn::Took => {}
                Turn::Stop => break,
                Turn::Idle => match self.parts.asks.recv_timeout(IDLE) {
                    Ok(Ask::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                    Ok(ask) => self.answer(ask)?,
                    Err(RecvTimeoutError::Timeout) => {}
                },
            }
        }
        self.close()
    }

    /// Says in the ledger that it decides from here on.
    pub fn begin(&mut self) -> Result<(), DeskError> {
        let started = Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() };
        let at = self.now.max(self.parts.clock.now());
        self.commit(Step { events: vec![(at, "machine".to_owned(), started)], ..Step::default() })
    }

    /// One round of the desk that decides, without waiting: what it is asked, else the records that are there.
    pub fn turn(&mut self) -> Result<Turn, DeskError> {
        if !self.caught_up && self.next.covers(&self.decided) {
            self.reconcile()?;
        }
        match self.parts.asks.try_recv() {
            Ok(Ask::Stop) | Err(TryRecvError::Disconnected) => return Ok(Turn::Stop),
            Ok(ask) => {
                self.answer(ask)?;
                return Ok(Turn::Took);
            }
            Err(TryRecvError::Empty) => {}
        }
        // The clock is read before the stream's end is looked at: whatever arrived before that instant is seen.
        let clock = self.parts.clock.now();
        let records = self.parts.source.poll(limits::STEP_MENTIONS, Span::millis(0))?;
        if records.is_empty() {
            if self.parts.source.at_end() && self.caught_up {
                self.tick(clock)?;
            }
            self.settle(false)?;
            return Ok(Turn::Idle);
        }
        let timer = self.parts.metrics.step.start_timer();
        self.step(records)?;
        timer.observe_duration();
        self.settle(false)?;
        Ok(Turn::Took)
    }

    /// Makes everything durable and gives the lead up.
    pub fn close(mut self) -> Result<(), DeskError> {
        self.settle(true)?;
        self.resign()?;
        tracing::info!(records = self.next.total(), "desk stopped");
        Ok(())
    }

    /// Reads the texts of a batch on all readers, then takes the records one after the other.
    fn step(&mut self, records: Vec<Record>) -> Result<(), DeskError> {
        let mut dead = Vec::new();
        for (record, reading) in read_all(&self.parts.reader, records, self.parts.readers) {
            let (at, quiet) = (record.position, !self.caught_up);
            self.next.set(&at.at(at.offset + 1));
            let mut decisions = Step::default();
            match (record.body, reading) {
                (Body::Mention(mention), Some(reading)) => match self.known(&mention) {
                    Known::New => self.take(&at, *mention, &reading, quiet, &mut decisions)?,
                    Known::Same => {}
                    Known::Raised(counts) => self.watch.counts(&mention.id, counts),
                },
                (Body::Counts { id, counts }, _) => self.watch.counts(&id, counts),
                (Body::Refused { refused, head, at: when }, _) => {
                    let origin = record.origin.unwrap_or_else(|| at.clone());
                    if self.refused_before(&origin) || quiet {
                        continue;
                    }
                    self.parts.metrics.dead_letters.with_label_values(&[refused.code.name()]).inc();
                    dead.push(DeadLetter {
                        position: origin,
                        line: refused.line,
                        id: refused.id,
                        code: refused.code,
                        detail: refused.detail,
                        head,
                        at: when,
                    });
                }
                (Body::Deleted { id }, _) => {
                    if let Some(index) = &mut self.parts.index {
                        index.delete(&id).map_err(|error| DeskError::Index(error.to_string()))?;
                        self.dirty = true;
                    }
                    self.recent.remove(&id);
                    decisions.forget.push(id);
                }
                _ => {}
            }
            if !quiet && decisions != Step::default() {
                decisions.dead_letters = std::mem::take(&mut dead);
                self.advance(decisions)?;
            }
        }
        if self.caught_up && self.next != self.decided {
            self.advance(Step { dead_letters: dead, ..Step::default() })?;
        }
        Ok(())
    }

    /// Commits a step with the positions after the records read so far.
    fn advance(&mut self, mut step: Step) -> Result<(), DeskError> {
        for to in self.next.iter() {
            let from = to.at(self.decided.next(&to.stream, to.partition));
            if from != to {
                step.positions.push((from, to));
            }
        }
        if let Some(publish) = self.parts.publish.as_mut().filter(|_| !step.dead_letters.is_empty()) {
            publish.dead_letters(&step.dead_letters).map_err(DeskError::Publish)?;
        }
        self.commit(step)?;
        self.decided = self.next.clone();
        Ok(())
    }

    /// One mention: deadlines before it, its topic, what the rules say, the index.
    fn take(
        &mut self,
        position: &Position,
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
        if let Some(index) = self.parts.index.as_mut().filter(|_| !reading.assessment.person_in_danger)
            && !self.indexed.passed(position)
        {
            let added = index.add(position, &mention, reading, taken.topic);
            added.map_err(|error| DeskError::Index(error.to_string()))?;
            self.dirty = true;
        }
        self.remember(&mention, reading);
        if quiet {
            let raised = taken.findings.into_iter().filter(|finding| finding.kind == FindingKind::Raised);
            self.echoes.extend(raised.filter_map(|finding| Some((finding.topic?, finding))));
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
        if let Some(incident) = incident
            && let Some(one) = self.evidence_one(&incident, &mention.id, &joined)
        {
            step.evidence.push(one);
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

    /// What a mention is where records may come twice; new everywhere else.
    fn known(&mut self, mention: &Mention) -> Known {
        self.seen.as_mut().map_or(Known::New, |seen| seen.note(&mention.id, &mention.counts))
    }

    /// Whether a worker that crashed says this refusal again: it does so under the same position.
    fn refused_before(&mut self, origin: &Position) -> bool {
        // No id has a tab in it.
        let key = format!("{}\t{}\t{}", origin.stream, origin.partition, origin.offset);
        self.seen.as_mut().is_some_and(|seen| !matches!(seen.note(&key, &Counts::default()), Known::New))
    }

    fn commit(&mut self, mut step: Step) -> Result<(), DeskError> {
        step.fence = self.fence;
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
