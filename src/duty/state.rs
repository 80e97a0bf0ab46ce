//! The state of duty: the fold of the ledger. [`State::absorb`] is the only thing that changes it, and it decides nothing.

use crate::assess::Level;
use crate::duty::Verdict;
use crate::duty::event::{Entry, Event, Notice, PlannedStep, Reason};
use crate::duty::plan::Target;
use crate::duty::view::{ClockState, HistoryLine, IncidentState, Times};
use crate::duty::words::words;
use crate::rule::{Finding, FindingKind};
use crate::time::{Instant, Span};
use crate::topic::TopicId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long before its end a clock is near 紧迫 and people are reminded of it.
const NEAR: Span = Span::minutes(30);

/// One clock of an incident.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Clock {
    pub owner: String,
    pub start: Instant,
    pub basis: String,
    pub due: Instant,
    pub state: ClockState,
    /// When people are to be reminded; `None` once they were, or where the clock began nearer to its end than that.
    pub remind: Option<Instant>,
}

/// Who has an incident.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub by: String,
    /// Until when an acknowledgement holds; `None` once confirmed.
    pub until: Option<Instant>,
}

/// One incident: what was found last, and where people stand with it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub finding: Finding,
    pub carried: Vec<String>,
    pub raised_at: Instant,
    pub raised_seq: u64,
    pub status: IncidentState,
    /// Highest level so far.
    pub peak: Level,
    pub holder: Option<Holder>,
    pub times: Times,
    pub clocks: BTreeMap<String, Clock>,
    pub ladder: Vec<PlannedStep>,
    pub ladder_reason: Reason,
    pub next_step: u32,
    /// Notices decided so far.
    pub notices: u32,
    pub told: BTreeSet<Target>,
    pub related: BTreeSet<String>,
}

/// One notice and how its sending stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub notice: Notice,
    pub attempts: u32,
    /// When the next attempt is due; `None` once it is over.
    pub next: Option<Instant>,
    pub verdict: Option<Verdict>,
}

/// The state of duty. Serialises as a snapshot; [`State::seq`] says which entry it has absorbed last.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) seq: u64,
    pub(crate) incidents: BTreeMap<String, Incident>,
    /// The incident that a topic's findings go to.
    pub(crate) topics: BTreeMap<TopicId, String>,
    pub(crate) history: BTreeMap<String, Vec<HistoryLine>>,
    pub(crate) deliveries: BTreeMap<String, Delivery>,
    /// Keys of an incident's notices, oldest first.
    pub(crate) notices: BTreeMap<String, Vec<String>>,
    /// When incidents next have something due.
    pub(crate) agenda: BTreeSet<(Instant, String)>,
    /// When notices are to be tried next.
    pub(crate) pending: BTreeSet<(Instant, String)>,
}

impl Incident {
    /// An incident as it stands when raised.
    pub fn raised(at: Instant, seq: u64, finding: &Finding) -> Incident {
        Incident {
            carried: finding.mentions.clone(),
            raised_at: at,
            raised_seq: seq,
            status: IncidentState::Raised,
            peak: finding.level,
            holder: None,
            times: Times { first_mention: Some(finding.first_mention), detected: Some(finding.at), ..Times::default() },
            clocks: BTreeMap::new(),
            ladder: Vec::new(),
            ladder_reason: Reason::New,
            next_step: 0,
            notices: 0,
            told: BTreeSet::new(),
            related: BTreeSet::new(),
            finding: finding.clone(),
        }
    }

    /// Whether only numbers to dial may be shown.
    pub fn restricted(&self) -> bool {
        self.finding.kind == FindingKind::PersonInDanger
    }

    /// The step that is called next, while nobody has it.
    pub fn next_call(&self) -> Option<&PlannedStep> {
        (self.status == IncidentState::Raised).then(|| self.ladder.get(self.next_step as usize)).flatten()
    }

    /// Until when the acknowledgement holds.
    pub fn acknowledged_until(&self) -> Option<Instant> {
        let holding = self.status == IncidentState::Acknowledged;
        self.holder.as_ref().filter(|_| holding).and_then(|holder| holder.until)
    }

    /// The first running clock to end, with its kind.
    pub fn next_clock(&self) -> Option<(Instant, &str)> {
        let running = self.clocks.iter().filter(|(_, clock)| clock.state == ClockState::Running);
        running.map(|(kind, clock)| (clock.due, kind.as_str())).min()
    }

    /// The first running clock to come near its end, with its kind and when it is due.
    pub fn next_near(&self) -> Option<(Instant, &str, Instant)> {
        let running = self.clocks.iter().filter(|(_, clock)| clock.state == ClockState::Running);
        running.filter_map(|(kind, clock)| Some((clock.remind?, kind.as_str(), clock.due))).min()
    }

    /// When something comes due.
    pub fn next_due(&self) -> Option<Instant> {
        let call = self.next_call().map(|step| step.at);
        let clock = self.next_clock().map(|(due, _)| due);
        let near = self.next_near().map(|(at, ..)| at);
        [call, clock, near, self.acknowledged_until()].into_iter().flatten().min()
    }

    /// Takes an event about this incident in.
    pub fn absorb(&mut self, at: Instant, event: &Event) {
        match event {
            Event::IncidentChanged { finding, .. } => self.change(finding),
            Event::Acknowledged { by, until, .. } => {
                self.status = IncidentState::Acknowledged;
                self.holder = Some(Holder { by: by.clone(), until: Some(*until) });
                self.times.acknowledged.get_or_insert(at);
            }
            Event::AcknowledgementExpired { .. } => {
                self.status = IncidentState::Raised;
                self.holder = None;
            }
            Event::Confirmed { by, occurred, .. } => {
                self.status = IncidentState::Confirmed;
                self.holder = Some(Holder { by: by.clone(), until: None });
                self.times.occurred = occurred.or(self.times.occurred);
                self.times.confirmed.get_or_insert(at);
            }
            Event::Dismissed { .. } => {
                self.status = IncidentState::Dismissed;
                self.holder = None;
            }
            Event::ClockStarted { kind, owner, start, basis, due, .. } => {
                let state = ClockState::Running;
                let remind = Some(*due - NEAR).filter(|near| *near > at);
                let (owner, basis) = (owner.clone(), basis.clone());
                let clock = Clock { owner, start: *start, basis, due: *due, state, remind };
                self.clocks.insert(kind.clone(), clock);
            }
            Event::ClockNear { kind, .. } => {
                if let Some(clock) = self.clocks.get_mut(kind) {
                    clock.remind = None;
                }
            }
            Event::ClockOverdue { kind, .. } => self.set_clock(kind, ClockState::Overdue),
            Event::ClockCancelled { kind, .. } => self.set_clock(kind, ClockState::Cancelled),
            Event::EscalationPlanned { reason, steps, .. } => {
                self.ladder = steps.clone();
                self.ladder_reason = *reason;
                self.next_step = 0;
            }
            Event::Escalated { step, .. } => self.next_step = step.saturating_add(1),
            Event::NoticeDecided { notice } => {
                self.notices += 1;
                self.told.insert((notice.officer.clone(), notice.channel.clone()));
            }
            _ => {}
        }
    }

    /// What was found last replaces what was found before, but for what an incident never gives up: its earliest
    /// mention, its topic, and that it is a person in danger.
    fn change(&mut self, found: &Finding) {
        let mut finding = found.clone();
        finding.first_mention = finding.first_mention.min(self.finding.first_mention);
        finding.topic = self.finding.topic.or(finding.topic);
        if finding.kind == FindingKind::Changed {
            finding.kind = self.finding.kind;
        }
        self.peak = self.peak.max(finding.level);
        self.times.first_mention = Some(finding.first_mention);
        self.finding = finding;
    }

    fn set_clock(&mut self, kind: &str, state: ClockState) {
        if let Some(clock) = self.clocks.get_mut(kind) {
            clock.state = state;
        }
    }
}

impl State {
    /// The last entry absorbed; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes one entry in. Entries come in order; one that was absorbed already is passed over.
    pub fn absorb(&mut self, entry: &Entry) {
        if entry.seq <= self.seq {
            return;
        }
        self.seq = entry.seq;
        match &entry.event {
            Event::IncidentRaised { incident, finding } => self.open(incident, entry, finding),
            Event::TopicsMerged { from, into } => self.merge(*from, *into, entry),
            Event::NoticeDecided { notice } => self.decide(notice, entry.at),
            Event::NoticeAttempted { key, attempt, verdict, next } => {
                self.attempted(entry, key, *attempt, verdict, *next);
            }
            _ => {}
        }
        if let Some(id) = entry.event.incident() {
            self.touch(id, |incident| incident.absorb(entry.at, &entry.event));
            self.remember(id, entry);
        }
    }

    /// When an incident next has something due: `apply` wants a tick at exactly that instant.
    pub fn next_due(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Notices to try now, those due longest first.
    pub fn due_notices(&self, now: Instant) -> Vec<Notice> {
        let due = self.pending.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, key)| self.deliveries.get(key)).map(|delivery| delivery.notice.clone()).collect()
    }

    /// When the next notice is to be tried.
    pub fn notice_wakeup(&self) -> Option<Instant> {
        self.pending.first().map(|(at, _)| *at)
    }

    /// Changes an incident and keeps its place in the agenda right.
    fn touch(&mut self, id: &str, change: impl FnOnce(&mut Incident)) {
        let Some(incident) = self.incidents.get_mut(id) else { return };
        if let Some(at) = incident.next_due() {
            self.agenda.remove(&(at, id.to_owned()));
        }
        change(incident);
        if let Some(at) = incident.next_due() {
            self.agenda.insert((at, id.to_owned()));
        }
    }

    fn remember(&mut self, id: &str, entry: &Entry) {
        let Some(incident) = self.incidents.get(id) else { return };
        let line = HistoryLine {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.clone(),
            event: entry.event.name().to_owned(),
            words: words(incident, &entry.event),
            hash: entry.hash.clone(),
        };
        self.history.entry(id.to_owned()).or_default().push(line);
    }

    fn open(&mut self, id: &str, entry: &Entry, finding: &Finding) {
        self.incidents.insert(id.to_owned(), Incident::raised(entry.at, entry.seq, finding));
        let Some(topic) = finding.topic else { return };
        if let Some(before) = self.topics.insert(topic, id.to_owned()) {
            self.relate(&before, id);
        }
    }

    fn relate(&mut self, one: &str, other: &str) {
        for (id, to) in [(one, other), (other, one)] {
            if let Some(incident) = self.incidents.get_mut(id) {
                incident.related.insert(to.to_owned());
            }
        }
    }

    fn merge(&mut self, from: TopicId, into: TopicId, entry: &Entry) {
        let (younger, older) = (self.topics.get(&from).cloned(), self.topics.get(&into).cloned());
        if let Some(id) = older.as_ref().or(younger.as_ref()) {
            self.topics.insert(from, id.clone());
            self.topics.insert(into, id.clone());
        }
        if let (Some(younger), Some(older)) = (&younger, &older)
            && younger != older
        {
            self.relate(younger, older);
        }
        let ids: BTreeSet<String> = younger.into_iter().chain(older).collect();
        for id in ids {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.finding.topic = Some(into);
            }
            self.remember(&id, entry);
        }
    }

    fn decide(&mut self, notice: &Notice, at: Instant) {
        self.pending.insert((at, notice.key.clone()));
        self.notices.entry(notice.incident.clone()).or_default().push(notice.key.clone());
        let delivery = Delivery { notice: notice.clone(), attempts: 0, next: Some(at), verdict: None };
        self.deliveries.insert(notice.key.clone(), delivery);
    }

    fn attempted(&mut self, entry: &Entry, key: &str, attempt: u32, verdict: &Verdict, next: Option<Instant>) {
        let Some(delivery) = self.deliveries.get_mut(key) else { return };
        if let Some(at) = delivery.next {
            self.pending.remove(&(at, key.to_owned()));
        }
        if let Some(at) = next {
            self.pending.insert((at, key.to_owned()));
        }
        delivery.attempts = attempt;
        delivery.next = next;
        delivery.verdict = Some(verdict.clone());
        let id = delivery.notice.incident.clone();
        if *verdict == Verdict::Accepted {
            self.touch(&id, |incident| {
                incident.times.alerted.get_or_insert(entry.at);
            });
        }
        self.remember(&id, entry);
    }
}
