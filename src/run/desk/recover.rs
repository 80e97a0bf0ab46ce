//! How a desk comes to decide: it recovers from the store and the checkpoint, stands by where another leads, reads again what was
//! decided, and makes its peace with it.
//!
//! With one partition the stream has one order, and reading it again gives the same topics. With several the order between partitions may
//! differ; incidents then find their topics by the mentions that carried them.

use super::parts::{AnswerBody, Ask, AskBody, DeskError, Parts};
use super::{CHECKPOINT_VERSION, Desk, EVIDENCE_PER_INCIDENT, SEEN, Shown, restricted_of};
use crate::duty::event::Event;
use crate::duty::{self, Input, State};
use crate::intake::{Seen, SourceError};
use crate::ledger::{Positions, Step, StoreError};
use crate::limits;
use crate::rule::watch::Watch;
use crate::time::{Instant, Span};
use crate::web::CommandRefused;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// The lead is renewed this many times before it would run out.
const RENEWALS: i64 = 3;
/// Between two looks at the store of a desk that stands by: bounds the takeover together with the lease.
const STAND_BY: Duration = Duration::from_millis(200);
/// Between two looks for questions in the store.
const ASKED: Duration = Duration::from_millis(50);
/// Questions answered at once.
const ASKED_AT_ONCE: usize = 64;

/// The body of a checkpoint.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) watch: Vec<u8>,
    pub(super) seen: Option<Vec<u8>>,
}

/// Records that nobody has decided on and that are gone: never passed over in silence.
fn gaps(first: &Positions, decided: &Positions) -> Result<(), SourceError> {
    for position in first.iter() {
        let from = decided.next(&position.stream, position.partition);
        if from > 0 && position.offset > from {
            let (stream, partition, to) = (position.stream, position.partition, position.offset);
            return Err(SourceError::Gap { stream, partition, from, to });
        }
    }
    Ok(())
}

impl Desk {
    /// Recovers from the store and the checkpoint; the stream is read on from there by [`Desk::run`].
    pub fn recover(mut parts: Parts) -> Result<Desk, DeskError> {
        let indexed = parts.index.as_ref().map(|index| index.positions().clone());
        let repeats = parts.source.repeats();
        let fresh = || (Watch::new(parts.rules.clone()), repeats.then(|| Seen::new(SEEN)), Positions::default());
        let mut next = parts.source.partitions()?;
        let kept = parts.store.checkpoint()?.filter(|kept| {
            // A shard was lost: topics are needed from the stream's start to index them again, where that is still there.
            let held = indexed.as_ref().is_none_or(|held| held.covers(&kept.positions));
            kept.version == CHECKPOINT_VERSION && (held || next.covers(&kept.positions))
        });
        let loaded = kept.and_then(|kept| {
            let body: Kept = postcard::from_bytes(&kept.body).ok()?;
            let watch = Watch::load(parts.rules.clone(), &body.watch).ok()?;
            let seen = match (repeats, body.seen) {
                (true, Some(bytes)) => Some(Seen::load(&bytes)?),
                (true, None) => return None,
                (false, _) => None,
            };
            Some((watch, seen, kept.positions))
        });
        let (watch, seen, from) = loaded.unwrap_or_else(fresh);
        gaps(&next, &parts.store.positions()?)?;
        next.raise(&from);
        parts.source.seek(&next)?;
        let now = std::time::Instant::now();
        let mut desk = Desk {
            watch,
            state: State::default(),
            now: Instant::default(),
            decided: Positions::default(),
            checkpointed: from.total(),
            next,
            indexed: indexed.unwrap_or_default(),
            caught_up: false,
            echoes: BTreeMap::new(),
            last_commit: now,
            evidence: BTreeMap::new(),
            topics: BTreeMap::new(),
            shown: Shown { per_hour: vec![0; 24], ..Shown::default() },
            parts,
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            in_flight: BTreeSet::new(),
            channels: BTreeMap::new(),
            version: 0,
            dirty: true,
            restricted: BTreeSet::new(),
            shown_version: None,
            seen,
            fence: None,
            led: now,
            asked: now,
            expired: None,
        };
        desk.follow()?;
        let (entries, decided, from) = (desk.state.seq(), desk.decided.total(), desk.next.total());
        tracing::info!(entries, decided, from, indexed = desk.indexed.total(), "desk recovers");
        Ok(desk)
    }

    /// Takes in what the ledger has that this desk has not, and how far the stream was decided.
    fn follow(&mut self) -> Result<(), DeskError> {
        loop {
            let entries = self.parts.store.entries(self.state.seq(), limits::STEP_MENTIONS)?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                self.state.absorb(entry);
                // What is only written down stands at the clock's instant; time is that of what was decided.
                if !matches!(entry.event, Event::Started { .. } | Event::Searched { .. }) {
                    self.now = self.now.max(entry.at);
                }
                self.restricted.extend(restricted_of(entry));
                self.version += 1;
            }
        }
        self.decided = self.parts.store.positions()?;
        self.parts.source.hold_at(Some(self.decided.clone()));
        Ok(())
    }

    /// Waits for the lead where there is one to have, with the topics warm; false when it was asked to stop instead.
    pub(super) fn stand_by(&mut self) -> Result<bool, DeskError> {
        let mut looked: Option<std::time::Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= STAND_BY) {
                looked = Some(std::time::Instant::now());
                if self.seek_lead()? {
                    return Ok(true);
                }
            }
            let wait = if self.keep_warm()? { Duration::ZERO } else { STAND_BY };
            match self.parts.asks.recv_timeout(wait) {
                Ok(Ask::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Ok(Ask::Command(_, reply)) => {
                    // The one who asked may have gone.
                    let _ = reply.send(Err(CommandRefused::Unavailable));
                }
                // Who asks a desk that stands by hears nothing: the answer's channel is dropped.
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// One look at the store of a desk that stands by: whether it leads from here on. Where there is no lead to have, it does.
    pub fn seek_lead(&mut self) -> Result<bool, DeskError> {
        let Some(lead) = self.parts.lead.clone() else { return Ok(true) };
        let token = self.parts.store.lead(&lead.holder, lead.holds)?;
        // What the one before decided last is read before anything is decided here.
        self.follow()?;
        if let Some(token) = token {
            self.fence = Some(token);
            self.led = std::time::Instant::now();
            tracing::info!(token, holder = lead.holder, "this desk leads");
        }
        Ok(token.is_some())
    }

    /// Reads on quietly what another has decided; false where there was nothing.
    pub fn keep_warm(&mut self) -> Result<bool, DeskError> {
        let records = self.parts.source.poll(limits::STEP_MENTIONS, Span::millis(0))?;
        let some = !records.is_empty();
        self.step(records)?;
        self.show();
        Ok(some)
    }

    /// Renews the lead and answers what was asked through the store, each when its time has come.
    pub(super) fn beat(&mut self) -> Result<(), DeskError> {
        let holds = self.parts.lead.as_ref().map_or(0, |lead| lead.holds.0);
        if self.led.elapsed() >= Duration::from_millis((holds / RENEWALS).max(1) as u64) {
            self.led = std::time::Instant::now();
            self.keep_lead()?;
        }
        if self.asked.elapsed() >= ASKED {
            self.asked = std::time::Instant::now();
            self.answer_asked()?;
        }
        Ok(())
    }

    /// Renews the lead; an error when another has it.
    pub fn keep_lead(&mut self) -> Result<(), DeskError> {
        let (Some(lead), Some(ours)) = (&self.parts.lead, self.fence) else { return Ok(()) };
        let held = self.parts.store.lead(&lead.holder, lead.holds)?;
        if held == Some(ours) { Ok(()) } else { Err(StoreError::Deposed { ours, held: held.unwrap_or(0) }.into()) }
    }

    /// Gives the lead up, so that the next desk need not wait for the lease to run out.
    pub(super) fn resign(&mut self) -> Result<(), DeskError> {
        match (&self.parts.lead, self.fence) {
            (Some(lead), Some(_)) => Ok(self.parts.store.resign(&lead.holder)?),
            _ => Ok(()),
        }
    }

    /// What was decided has been read again; from here on records decide. Incidents find their topics by the mentions that carried
    /// them, and what another order of the partitions would have raised, and nobody was told of, is raised now.
    pub(super) fn reconcile(&mut self) -> Result<(), DeskError> {
        self.caught_up = true;
        self.parts.source.hold_at(None);
        let at = self.now;
        let mut inputs = Vec::new();
        for incident in self.state.incidents().into_iter().rev() {
            let kept = self.parts.store.evidence(&incident.id, EVIDENCE_PER_INCIDENT)?;
            let kept: BTreeSet<String> = kept.into_iter().map(|one| one.mention).collect();
            if let Some(named) = incident.topic {
                self.topics.insert(named, incident.id.clone());
                // What carried it, and what was told of it since: in another order that may be a topic of its own.
                let met: BTreeSet<_> =
                    incident.carried.iter().chain(&kept).filter_map(|id| self.watch.topic_of(id)).collect();
                for topic in met {
                    self.topics.entry(topic).or_insert_with(|| incident.id.clone());
                    if self.state.incident_of(topic).is_none() {
                        inputs.push(Input::Merged { from: named, into: topic });
                    }
                }
            }
            self.evidence.insert(incident.id.clone(), kept);
        }
        for (topic, mut finding) in std::mem::take(&mut self.echoes) {
            // It may have become one with another since: that one is what findings will name from here on.
            let topic = self.watch.resolve(topic);
            finding.topic = Some(topic);
            if !self.topics.contains_key(&topic) && self.state.incident_of(topic).is_none() {
                tracing::warn!(%topic, "read in another order, a topic is raised that was not before");
                inputs.push(Input::Found(finding));
            }
        }
        for input in inputs {
            let events = duty::apply(&self.state, &self.parts.plan, at, input).unwrap_or_default();
            let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
            self.commit(Step { events, ..Step::default() })?;
        }
        Ok(())
    }

    /// Answers what others asked through the store; each answer is one transaction with what it decided.
    pub fn answer_asked(&mut self) -> Result<(), DeskError> {
        if self.fence.is_none() || !self.caught_up {
            return Ok(());
        }
        for (number, body) in self.parts.store.asked(ASKED_AT_ONCE)? {
            let mut step = Step::default();
            let answer = match serde_json::from_str(&body) {
                Ok(AskBody::Command { command, until }) => self.commanded(command, until, &mut step)?,
                Ok(AskBody::Topic { incident }) => AnswerBody::Topic { topic: self.topic_view(&incident) },
                Ok(AskBody::Audit { actor, event }) => {
                    let at = self.now.max(self.parts.clock.now());
                    step.events.push((at, actor, *event));
                    AnswerBody::Done { seq: self.state.seq() + 1 }
                }
                Err(error) => AnswerBody::Refused { why: CommandRefused::Invalid(error.to_string()) },
            };
            let answer = serde_json::to_string(&answer).unwrap_or_default();
            step.answers.push((number, answer));
            self.commit(step)?;
            self.show();
        }
        Ok(())
    }

    fn commanded(&mut self, command: duty::Command, until: Instant, step: &mut Step) -> Result<AnswerBody, DeskError> {
        if self.parts.clock.now() > until {
            return Ok(AnswerBody::Refused { why: CommandRefused::Unavailable });
        }
        self.tick_if_read()?;
        let at = self.now;
        Ok(match duty::apply(&self.state, &self.parts.plan, at, Input::Command(command)) {
            Ok(events) => {
                step.events.extend(events.into_iter().map(|(actor, event)| (at, actor, event)));
                AnswerBody::Done { seq: self.state.seq() + step.events.len() as u64 }
            }
            Err(refusal) => AnswerBody::Refused { why: super::answer::refused(refusal) },
        })
    }
}
