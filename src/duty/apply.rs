//! What duty decides: `(state, plan, now, input)` in, events with their actors out. Nothing is changed here; what one
//! decision leads to is worked out on copies of the incidents it touches.
//!
//! Whatever fell due by `now` is decided before the input. A topic raised again after its incident was dismissed opens a
//! new, related incident only if its level is higher than the dismissed one's ever was; else it is recorded quietly.

use crate::assess::Level;
use crate::duty::event::{Event, Notice, Reason};
use crate::duty::facts::facts;
use crate::duty::plan::{Plan, Target, paging_level};
use crate::duty::state::{Incident, State};
use crate::duty::view::{ClockState, IncidentState};
use crate::duty::{Command, Input, Verdict};
use crate::rule::{Finding, FindingKind};
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Actor of what nobody asked for.
pub(crate) const MACHINE: &str = "machine";
/// The 2-hour clock.
pub(crate) const FIRST_NOTICE: &str = "first_notice";
/// Whose clock it is until units are asked.
const PRESS_OFFICE: &str = "新闻办";
/// Waits before the first retries, seconds; after these they double.
const RETRIES: [i64; 3] = [0, 5, 15];
/// Longest wait between attempts of our own choosing.
const RETRY_CAP: Span = Span::minutes(10);
/// Longest wait that a receiver may ask for: one that lies must not silence a page for a night.
const RETRY_AFTER_CAP: Span = Span::hours(1);
/// How long a notice is tried: later it would only confuse.
const RETRY_FOR: Span = Span::hours(24);
/// Characters of a reason a person gives: a paragraph.
const REASON_CHARS: usize = 2_000;

/// Why an input was not taken.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such incident or notice.
    #[error("there is no such incident or notice")]
    NotFound,
    /// The state forbids it.
    #[error("{0}")]
    Conflict(String),
    /// The input is not complete.
    #[error("{0}")]
    Invalid(String),
}

/// Decides what follows from an input; events with their actors, in order, to be committed at `now` and absorbed.
pub fn apply(state: &State, plan: &Plan, now: Instant, input: Input) -> Result<Vec<(String, Event)>, Refusal> {
    let mut work = Work { state, plan, now, touched: BTreeMap::new(), raised: 0, out: Vec::new() };
    work.fall_due();
    match input {
        Input::Found(finding) => work.found(finding),
        Input::Merged { from, into } => work.merged(from, into),
        Input::Command(command) => work.command(command)?,
        Input::Sent { key, verdict } => work.sent(&key, verdict)?,
        Input::Tick => {}
    }
    Ok(work.out)
}

/// One decision in the making.
struct Work<'a> {
    state: &'a State,
    plan: &'a Plan,
    now: Instant,
    /// Incidents as they will stand.
    touched: BTreeMap<String, Incident>,
    raised: usize,
    out: Vec<(String, Event)>,
}

impl Work<'_> {
    fn incident(&self, id: &str) -> Option<&Incident> {
        self.touched.get(id).or_else(|| self.state.incidents.get(id))
    }

    fn emit(&mut self, actor: &str, event: Event) {
        if let Event::IncidentRaised { incident, finding } = &event {
            self.touched.insert(incident.clone(), Incident::raised(self.now, 0, finding));
        } else if let Some(id) = event.incident() {
            let before = self.touched.remove(id).or_else(|| self.state.incidents.get(id).cloned());
            if let Some(mut incident) = before {
                incident.absorb(self.now, &event);
                self.touched.insert(id.to_owned(), incident);
            }
        }
        self.out.push((actor.to_owned(), event));
    }

    fn machine(&mut self, event: Event) {
        self.emit(MACHINE, event);
    }

    // -- time

    fn fall_due(&mut self) {
        let due: Vec<String> =
            self.state.agenda.iter().take_while(|(at, _)| *at <= self.now).map(|(_, id)| id.clone()).collect();
        for id in due {
            self.run(&id);
        }
    }

    /// Decides everything that is due for an incident. Ends, because each turn ends a clock, an acknowledgement or a
    /// step, and a plan's delays are at least a minute.
    fn run(&mut self, id: &str) {
        while let Some(incident) = self.incident(id) {
            let Some(at) = incident.next_due().filter(|at| *at <= self.now) else { return };
            let clock = incident.next_clock().filter(|(due, _)| *due == at).map(|(_, kind)| kind.to_owned());
            let near =
                incident.next_near().filter(|(near, ..)| *near == at).map(|(_, kind, due)| (kind.to_owned(), due));
            if incident.acknowledged_until() == Some(at) {
                self.expire(id);
            } else if let Some(kind) = clock {
                self.machine(Event::ClockOverdue { incident: id.to_owned(), kind, due: at });
            } else if let Some((kind, due)) = near {
                self.near(id, kind, due);
            } else {
                self.escalate(id, None);
            }
        }
    }

    /// Reminds whoever has it, and everyone told so far, that a clock comes near its end.
    fn near(&mut self, id: &str, kind: String, due: Instant) {
        self.machine(Event::ClockNear { incident: id.to_owned(), kind, due });
        let Some(incident) = self.incident(id) else { return };
        let (mut targets, step) = (incident.told.clone(), incident.next_step.saturating_sub(1));
        if let Some(holder) = &incident.holder {
            targets.extend(self.plan.officer_targets(&holder.by, paging_level(&incident.finding)));
        }
        if due > self.now {
            self.notify(id, Reason::Reminder, step, targets);
        }
    }

    fn expire(&mut self, id: &str) {
        self.machine(Event::AcknowledgementExpired { incident: id.to_owned() });
        self.plan_ladder(id, Reason::Reminder);
    }

    fn plan_ladder(&mut self, id: &str, reason: Reason) {
        let Some(incident) = self.incident(id) else { return };
        let held = self.plan.held_until(paging_level(&incident.finding), self.now);
        let steps = self.plan.ladder(&incident.finding, held.unwrap_or(self.now));
        let reason = if held.is_some() { Reason::Digest } else { reason };
        self.machine(Event::EscalationPlanned { incident: id.to_owned(), reason, steps });
    }

    /// Calls the next step of the ladder; `because` where it is called before its instant.
    fn escalate(&mut self, id: &str, because: Option<&str>) {
        let Some(incident) = self.incident(id) else { return };
        let Some(planned) = incident.next_call() else { return };
        let (step, officers, first) = (incident.next_step, planned.officers.clone(), incident.ladder_reason);
        let level = paging_level(&incident.finding);
        let why = match (officers.is_empty(), step, because) {
            (true, ..) => "这一级没有人值班，直接叫下一级".to_owned(),
            (false, _, Some(because)) => because.to_owned(),
            (false, 0, None) => "按值班表叫人".to_owned(),
            (false, ..) => "上一级没有接手".to_owned(),
        };
        let mut targets: BTreeSet<Target> =
            officers.iter().flat_map(|officer| self.plan.officer_targets(officer, level)).collect();
        if step == 0 {
            targets.extend(self.plan.group_targets(level));
        }
        let reason = if step == 0 { first } else { Reason::Escalation };
        self.machine(Event::Escalated { incident: id.to_owned(), step, officers, reason: why });
        self.notify(id, reason, step, targets);
    }

    fn notify(&mut self, id: &str, reason: Reason, step: u32, targets: BTreeSet<Target>) {
        for (officer, channel) in targets {
            let Some(incident) = self.incident(id) else { return };
            let key = format!("N-{}-{}", id.strip_prefix("I-").unwrap_or(id), incident.notices + 1);
            let notice = Notice {
                facts: facts(id, incident, &key, reason),
                level: paging_level(&incident.finding),
                incident: id.to_owned(),
                decided_at: self.now,
                key,
                reason,
                officer,
                channel,
                step,
            };
            self.machine(Event::NoticeDecided { notice });
        }
    }

    // -- findings

    fn found(&mut self, finding: Finding) {
        let known = finding.topic.and_then(|topic| self.state.topics.get(&topic)).cloned();
        let standing =
            known.and_then(|id| self.incident(&id).map(|incident| (id.clone(), incident.peak, incident.status)));
        match standing {
            Some((id, peak, status)) if status.is_open() || finding.level <= peak => self.changed(&id, finding),
            _ => self.raise(finding),
        }
    }

    /// `I-1001-01`: the Shanghai day, and a running number of that day.
    fn new_id(&mut self) -> String {
        let day = self.now.shanghai();
        let prefix = format!("I-{:02}{:02}-", day.month(), day.day());
        let before = self.state.incidents.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix)).count();
        self.raised += 1;
        format!("{prefix}{:02}", before + self.raised)
    }

    fn raise(&mut self, finding: Finding) {
        let id = self.new_id();
        let clock = matches!(finding.kind, FindingKind::Raised | FindingKind::Changed);
        let start = finding.first_mention;
        self.machine(Event::IncidentRaised { incident: id.clone(), finding });
        if clock {
            self.start_clock(&id, MACHINE, start, basis(start, "最早的可信提及"));
        }
        self.plan_ladder(&id, Reason::New);
        self.run(&id);
    }

    fn start_clock(&mut self, id: &str, actor: &str, start: Instant, basis: String) {
        let (kind, owner, due) = (FIRST_NOTICE.to_owned(), PRESS_OFFICE.to_owned(), start + self.plan.first_notice);
        self.emit(actor, Event::ClockStarted { incident: id.to_owned(), kind, owner, start, basis, due });
    }

    fn changed(&mut self, id: &str, finding: Finding) {
        let Some(before) = self.incident(id).cloned() else { return };
        let (kind, level, first) = (finding.kind, finding.level, finding.first_mention);
        self.machine(Event::IncidentChanged { incident: id.to_owned(), finding });
        if !before.status.is_open() {
            return;
        }
        match before.clocks.get(FIRST_NOTICE) {
            Some(clock) if first < clock.start && before.times.occurred.is_none() => {
                self.start_clock(id, MACHINE, first, basis(first, "找到更早的可信提及"));
            }
            None if kind == FindingKind::Raised => {
                self.start_clock(id, MACHINE, first, basis(first, "最早的可信提及"));
            }
            _ => {}
        }
        if level > before.peak {
            self.worse(id, &before, level);
        }
        self.run(id);
    }

    /// The level rose. A ladder that is being climbed goes on at its instants and everyone told so far hears of it; one
    /// that is at its end, or still held by quiet hours, is planned anew.
    fn worse(&mut self, id: &str, before: &Incident, level: Level) {
        let climbing = before.next_step > 0 && before.next_call().is_some();
        if before.status == IncidentState::Raised && !climbing {
            self.plan_ladder(id, Reason::Worse);
            return;
        }
        let mut targets = before.told.clone();
        targets.extend(self.plan.group_targets(level));
        if let Some(holder) = &before.holder {
            targets.extend(self.plan.officer_targets(&holder.by, level));
        }
        self.notify(id, Reason::Worse, before.next_step.saturating_sub(1), targets);
    }

    fn merged(&mut self, from: crate::topic::TopicId, into: crate::topic::TopicId) {
        let topics = &self.state.topics;
        if from != into && (topics.contains_key(&from) || topics.contains_key(&into)) {
            self.machine(Event::TopicsMerged { from, into });
        }
    }

    // -- people

    fn command(&mut self, command: Command) -> Result<(), Refusal> {
        match command {
            Command::Acknowledge { incident, by, via } => self.acknowledge(incident, by, via),
            Command::Confirm { incident, by, occurred, reason } => self.confirm(incident, by, occurred, reason),
            Command::Dismiss { incident, by, reason } => self.dismiss(incident, by, reason),
        }
    }

    fn standing(&self, id: &str, by: &str, reason: &str) -> Result<&Incident, Refusal> {
        let incident = self.incident(id).ok_or(Refusal::NotFound)?;
        if by.trim().is_empty() {
            return Err(Refusal::Invalid("没有写明是谁".to_owned()));
        }
        if reason.chars().count() > REASON_CHARS {
            return Err(Refusal::Invalid(format!("理由最多 {REASON_CHARS} 字")));
        }
        Ok(incident)
    }

    fn acknowledge(&mut self, id: String, by: String, via: String) -> Result<(), Refusal> {
        let incident = self.standing(&id, &by, "")?;
        match (incident.status, &incident.holder) {
            (IncidentState::Raised, _) => {}
            (IncidentState::Acknowledged, Some(holder)) if holder.by == by => {}
            (IncidentState::Acknowledged, Some(holder)) => {
                return Err(Refusal::Conflict(format!("{} 已经接手", holder.by)));
            }
            (status, _) => return Err(Refusal::Conflict(format!("事件{}，不能再接手", status.words()))),
        }
        let until = self.now + self.plan.acknowledgement;
        self.emit(&by.clone(), Event::Acknowledged { incident: id, by, via, until });
        Ok(())
    }

    fn confirm(&mut self, id: String, by: String, at: Option<Instant>, reason: String) -> Result<(), Refusal> {
        let incident = self.standing(&id, &by, &reason)?;
        match incident.status {
            IncidentState::Raised | IncidentState::Acknowledged => {}
            IncidentState::Confirmed if at.is_some() && at != incident.times.occurred => {}
            status => return Err(Refusal::Conflict(format!("事件{}，不能再确认", status.words()))),
        }
        if at.is_some_and(|at| at > self.now) {
            return Err(Refusal::Invalid("事发时间不能在将来".to_owned()));
        }
        let start = incident.clocks.get(FIRST_NOTICE).map(|clock| clock.start);
        let moved = at.filter(|at| start.is_some_and(|start| start != *at));
        if reason.trim().is_empty() && moved > start {
            return Err(Refusal::Invalid("事发时间晚于机器的依据：要写理由".to_owned()));
        }
        self.emit(&by, Event::Confirmed { incident: id.clone(), by: by.clone(), occurred: at, reason });
        if let Some(at) = moved {
            self.start_clock(&id, &by, at, basis(at, "值班员确认的事发时间"));
            self.run(&id);
        }
        Ok(())
    }

    fn dismiss(&mut self, id: String, by: String, reason: String) -> Result<(), Refusal> {
        let incident = self.standing(&id, &by, &reason)?;
        if !incident.status.is_open() {
            return Err(Refusal::Conflict(format!("事件{}，不能再判", incident.status.words())));
        }
        if reason.trim().is_empty() {
            return Err(Refusal::Invalid("判为不成立要写理由".to_owned()));
        }
        let (told, step) = (incident.told.clone(), incident.next_step.saturating_sub(1));
        let open = |state| matches!(state, ClockState::Running | ClockState::Overdue);
        let clocks: Vec<String> =
            incident.clocks.iter().filter(|(_, clock)| open(clock.state)).map(|(kind, _)| kind.clone()).collect();
        self.emit(&by, Event::Dismissed { incident: id.clone(), by: by.clone(), reason });
        for kind in clocks {
            let reason = "事件不成立".to_owned();
            self.emit(&by, Event::ClockCancelled { incident: id.clone(), kind, reason });
        }
        self.notify(&id, Reason::Resolved, step, told);
        Ok(())
    }

    // -- sending

    fn sent(&mut self, key: &str, verdict: Verdict) -> Result<(), Refusal> {
        let delivery = self.state.deliveries.get(key).ok_or(Refusal::NotFound)?;
        if delivery.next.is_none() {
            return Err(Refusal::Conflict(format!("{key} 已有结果")));
        }
        let attempt = delivery.attempts.saturating_add(1);
        let wait = match &verdict {
            Verdict::Accepted | Verdict::Refused { .. } | Verdict::Misconfigured { .. } => None,
            Verdict::Unknown { .. } => Some(backoff(attempt)),
            Verdict::Retry { after_ms, .. } => {
                let asked = Span::millis(after_ms.unwrap_or(0)).min(RETRY_AFTER_CAP);
                Some(backoff(attempt).max(asked))
            }
        };
        let last = delivery.notice.decided_at + RETRY_FOR;
        let next = wait.map(|wait| self.now + wait).filter(|at| *at <= last);
        let failed = next.is_none() && verdict != Verdict::Accepted;
        let notice = delivery.notice.clone();
        self.machine(Event::NoticeAttempted { key: key.to_owned(), attempt, verdict, next });
        if failed {
            self.unreachable(&notice);
        }
        Ok(())
    }

    /// An officer whom none of their channels reaches is no reason to wait: the next one is called at once.
    fn unreachable(&mut self, failed: &Notice) {
        let Some(incident) = self.incident(&failed.incident) else { return };
        let current = incident.next_step == failed.step.saturating_add(1);
        if failed.officer.is_none() || !current || failed.reason == Reason::Resolved {
            return;
        }
        let keys = self.state.notices.get(&failed.incident).into_iter().flatten();
        let same = |notice: &Notice| notice.key != failed.key && notice.step == failed.step && notice.officer.is_some();
        let alive = keys.filter_map(|key| self.state.deliveries.get(key)).filter(|other| same(&other.notice));
        let hope = alive.into_iter().any(|other| other.next.is_some() || other.verdict == Some(Verdict::Accepted));
        let mut more = !hope;
        while more {
            let next = self.incident(&failed.incident).and_then(Incident::next_call);
            more = next.is_some_and(|step| step.officers.is_empty());
            self.escalate(&failed.incident, Some("上一级的通知渠道都送不到，提前叫人"));
        }
    }
}

fn basis(start: Instant, why: &str) -> String {
    format!("自 {} 起算：{why}", start.hour_minute())
}

/// The wait after the `attempt`th attempt.
fn backoff(attempt: u32) -> Span {
    let nth = attempt.saturating_sub(1) as usize;
    match RETRIES.get(nth) {
        Some(seconds) => Span::seconds(*seconds),
        None => {
            let doublings = (nth + 1 - RETRIES.len()).min(16);
            Span::seconds(RETRIES[RETRIES.len() - 1] << doublings).min(RETRY_CAP)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_longer_up_to_ten_minutes() {
        let waits: Vec<i64> = (1..=10).map(|attempt| backoff(attempt).0 / 1_000).collect();
        assert_eq!(waits, [0, 5, 15, 30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(backoff(u32::MAX), RETRY_CAP);
    }
}
