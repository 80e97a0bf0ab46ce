//! What people see of the state: the state in, views out; nothing is stored. An incident about a person in danger
//! stands in no list and shows only its place and the numbers to dial.

use crate::assess::Place;
use crate::duty::Verdict;
use crate::duty::facts::{DANGER, DIAL};
use crate::duty::state::{Clock, Delivery, Incident, State};
use crate::duty::view::{ClockState, ClockView, IncidentView, NoticeView};
use crate::time::Instant;
use crate::topic::{Heat, TopicId};

impl State {
    /// One incident, restricted ones included.
    pub fn incident(&self, id: &str) -> Option<IncidentView> {
        self.incidents.get(id).map(|incident| self.show(id, incident))
    }

    /// All incidents that may stand in a list, newest first.
    pub fn incidents(&self) -> Vec<IncidentView> {
        let mut listed: Vec<(&String, &Incident)> =
            self.incidents.iter().filter(|(_, incident)| !incident.restricted()).collect();
        listed.sort_by_key(|(_, incident)| std::cmp::Reverse(incident.raised_seq));
        listed.into_iter().map(|(id, incident)| self.show(id, incident)).collect()
    }

    /// All incidents, newest first, those about a person in danger among them.
    pub fn incidents_all(&self) -> Vec<IncidentView> {
        let mut listed: Vec<(&String, &Incident)> = self.incidents.iter().collect();
        listed.sort_by_key(|(_, incident)| std::cmp::Reverse(incident.raised_seq));
        listed.into_iter().map(|(id, incident)| self.show(id, incident)).collect()
    }

    /// The incident that a topic's findings go to.
    pub fn incident_of(&self, topic: TopicId) -> Option<&str> {
        self.topics.get(&topic).map(String::as_str)
    }

    fn show(&self, id: &str, incident: &Incident) -> IncidentView {
        let finding = &incident.finding;
        let mut clocks: Vec<ClockView> =
            incident.clocks.iter().map(|(kind, clock)| clock.show(kind, incident.raised_at)).collect();
        let over = |state| !matches!(state, ClockState::Running | ClockState::Overdue);
        clocks.sort_by_key(|clock| (over(clock.state), clock.due));
        let keys = self.notices.get(id).into_iter().flatten();
        let view = IncidentView {
            id: id.to_owned(),
            topic: finding.topic,
            state: incident.status,
            level: finding.level,
            classes: finding.classes.clone(),
            place: finding.place.clone(),
            title: finding.title.clone(),
            unverified: finding.unverified,
            restricted: incident.restricted(),
            reason: finding.reason.clone(),
            times: incident.times,
            clocks,
            heat: finding.heat,
            causes: finding.causes.clone(),
            claims: finding.claims.clone(),
            carried: incident.carried.clone(),
            sources: finding.sources,
            owner: incident.holder.as_ref().map(|holder| holder.by.clone()),
            acknowledged_until: incident.acknowledged_until(),
            next_call: incident.next_call().map(|step| (step.at, step.officers.clone())),
            responsible: finding.responsible.clone(),
            related: incident.related.iter().cloned().collect(),
            notices: keys.filter_map(|key| self.deliveries.get(key)).map(Delivery::show).collect(),
            history: self.history.get(id).cloned().unwrap_or_default(),
        };
        if view.restricted { hide(view) } else { view }
    }
}

/// Leaves nothing of what was said: place, times of the paging and the numbers to dial.
fn hide(view: IncidentView) -> IncidentView {
    IncidentView {
        topic: None,
        classes: Vec::new(),
        place: Place { anchors: Vec::new(), ..view.place },
        title: DANGER.to_owned(),
        reason: DIAL.to_owned(),
        heat: Heat::default(),
        causes: Vec::new(),
        claims: Vec::new(),
        carried: Vec::new(),
        sources: 0,
        ..view
    }
}

impl Clock {
    fn show(&self, kind: &str, raised_at: Instant) -> ClockView {
        ClockView {
            kind: kind.to_owned(),
            owner: self.owner.clone(),
            start: self.start,
            basis: self.basis.clone(),
            due: self.due,
            state: self.state,
            overdue_at_birth_s: ((raised_at - self.due).0 / 1_000).max(0),
        }
    }
}

impl Delivery {
    fn show(&self) -> NoticeView {
        let (state, detail) = match (&self.verdict, self.next) {
            (None, _) => ("pending", ""),
            (Some(Verdict::Accepted), _) => ("accepted", ""),
            (Some(Verdict::Misconfigured { detail }), _) => ("misconfigured", detail.as_str()),
            (Some(Verdict::Retry { detail, .. }), Some(_)) => ("pending", detail.as_str()),
            (Some(Verdict::Refused { detail } | Verdict::Retry { detail, .. }), _) => ("refused", detail.as_str()),
            (Some(Verdict::Unknown { detail }), _) => ("unknown", detail.as_str()),
        };
        let notice = &self.notice;
        let reason = serde_json::to_value(notice.reason).ok();
        NoticeView {
            key: notice.key.clone(),
            at: notice.decided_at,
            officer: notice.officer.clone().unwrap_or_default(),
            channel: notice.channel.clone(),
            reason: reason.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned(),
            state: state.to_owned(),
            attempts: self.attempts,
            detail: detail.to_owned(),
        }
    }
}
