//! A ledger as duty writes it holds; each invariant, broken by hand, is told and nothing else is.

use super::*;
use crate::assess::{Level, Place};
use crate::duty::event::Notice;
use crate::duty::plan::{self, Plan, PlanRaw};
use crate::duty::{Input, apply};
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Step};
use crate::mention::RefusalCode;
use crate::rule::{Finding, FindingKind};
use crate::time::Span;
use crate::topic::{Heat, TopicId};

const STREAM: &str = "intake";

fn start() -> Instant {
    Instant::parse("2026-10-01T02:00:00Z").unwrap()
}

fn place(offset: u64) -> Position {
    Position { stream: STREAM.to_owned(), partition: 0, offset }
}

fn plan() -> Plan {
    let text = r#"
        roster = ["li"]
        officers = [{ name = "li", channels = ["li-sms"] }]
        channels = [{ name = "li-sms" }, { name = "hub" }]
    "#;
    plan::check(toml::from_str::<PlanRaw>(text).unwrap()).unwrap()
}

fn finding(topic: u64) -> Finding {
    Finding {
        kind: FindingKind::Raised,
        at: start(),
        seen_at: start(),
        topic: Some(TopicId(topic)),
        level: Level::L4,
        classes: Vec::new(),
        place: Place::default(),
        mentions: vec!["weibo:1".to_owned()],
        sources: 2,
        heat: Heat::default(),
        reason: "规则".to_owned(),
        first_mention: start(),
        unverified: true,
        causes: Vec::new(),
        claims: Vec::new(),
        title: "扬子洲镇 冒水泡".to_owned(),
        responsible: Vec::new(),
    }
}

/// A house of one morning: an incident, its notices, one accepted, a refused record, positions and evidence.
struct House {
    _folder: tempfile::TempDir,
    store: Sqlite,
    state: State,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut house = House { store: Sqlite::open(folder.path()).unwrap(), _folder: folder, state: State::default() };
        house.decide(0, Input::Found(finding(1)));
        let key = house.state.due_notices(start() + Span::hours(1))[0].key.clone();
        house.decide(1, Input::Sent { key, verdict: Verdict::Accepted });
        house.decide(6, Input::Tick);
        let text = "江堤冒水泡了";
        use sha2::Digest;
        let hash = sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let piece = Evidence {
            incident: house.state.incidents.keys().next().unwrap().clone(),
            mention: "weibo:1".to_owned(),
            hash,
            body: serde_json::json!({"id": "weibo:1", "text": text}).to_string(),
            joined: String::new(),
        };
        let kept = Checkpoint { positions: Positions::from(vec![place(10)]), version: 1, body: vec![1] };
        house.step(Step {
            positions: vec![(place(0), place(10))],
            dead_letters: vec![letter(4)],
            evidence: vec![piece],
            checkpoint: Some(kept),
            ..Step::default()
        });
        house
    }

    fn decide(&mut self, minutes: i64, input: Input) {
        let at = start() + Span::minutes(minutes);
        let events = apply(&self.state, &plan(), at, input).unwrap();
        let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
        self.step(Step { events, ..Step::default() });
    }

    fn step(&mut self, step: Step) {
        for entry in self.store.commit(step).unwrap() {
            self.state.absorb(&entry);
        }
    }

    fn event(&mut self, event: Event) {
        let at = start() + Span::minutes(7);
        self.step(Step { events: vec![(at, "machine".to_owned(), event)], ..Step::default() });
    }

    fn broken(&self, facts: &Facts) -> Vec<Invariant> {
        let mut all: Vec<Invariant> = check(&self.store, facts).unwrap().into_iter().map(|one| one.invariant).collect();
        all.dedup();
        all
    }
}

fn letter(offset: u64) -> DeadLetter {
    DeadLetter {
        position: place(offset),
        line: 1,
        id: None,
        code: RefusalCode::MissingId,
        detail: String::new(),
        head: String::new(),
        at: start(),
    }
}

fn facts(index: u64, first: u64, end: u64) -> Facts {
    Facts {
        index: Some(Positions::from(vec![place(index)])),
        streams: vec![Extent { first: place(first), end }],
        settled: Some(start() + Span::minutes(6)),
        exported: None,
    }
}

#[test]
fn a_house_that_runs_holds() {
    let house = House::new();
    assert!(house.state.incidents.len() == 1 && house.state.deliveries.len() > 1, "there is something to break");
    assert_eq!(check(&house.store, &facts(10, 0, 12)).unwrap(), []);
    let hash = house.store.entries(2, 1).unwrap()[0].hash.clone();
    assert_eq!(house.broken(&Facts { exported: Some((3, hash)), ..facts(4, 3, 10) }), []);
}

#[test]
fn positions_outside_the_stream_are_told() {
    let house = House::new();
    assert_eq!(house.broken(&facts(10, 0, 9)), [Invariant::Conservation]);
    assert_eq!(house.broken(&facts(0, 11, 20)), [Invariant::Conservation]);
    assert_eq!(house.broken(&facts(11, 0, 12)), [Invariant::Index]);
    assert_eq!(house.broken(&facts(4, 5, 12)), [Invariant::Index]);
}

#[test]
fn dead_letters_stand_once_and_behind_the_position() {
    for offset in [4, 10] {
        let mut house = House::new();
        house.step(Step { dead_letters: vec![letter(offset)], ..Step::default() });
        assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Conservation], "{offset}");
    }
}

#[test]
fn a_checkpoint_ahead_of_its_position_is_told() {
    let house = House::new();
    let kept = Checkpoint { positions: Positions::from(vec![place(11)]), version: 1, body: Vec::new() };
    house.store.put_checkpoint(kept).unwrap();
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Position]);
}

#[test]
fn what_is_decided_twice_is_told() {
    let mut house = House::new();
    let notice = house.state.deliveries.values().next().unwrap().notice.clone();
    house.event(Event::NoticeDecided { notice });
    assert!(house.broken(&facts(10, 0, 12)).contains(&Invariant::Once));
    let mut house = House::new();
    house.event(Event::IncidentRaised { incident: "I-1001-02".to_owned(), finding: finding(1) });
    house.event(Event::EscalationPlanned {
        incident: "I-1001-02".to_owned(),
        reason: crate::duty::event::Reason::New,
        steps: Vec::new(),
    });
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Once]);
}

#[test]
fn an_incident_nobody_is_called_for_is_told() {
    let mut house = House::new();
    house.event(Event::IncidentRaised { incident: "I-1001-02".to_owned(), finding: finding(2) });
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Alert]);
    let mut house = House::new();
    let before = house.state.deliveries.values().next().unwrap().notice.clone();
    house.event(Event::NoticeDecided { notice: Notice { key: format!("{}9", before.key), ..before } });
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Alert]);
}

#[test]
fn attempts_out_of_order_are_told() {
    for attempt in [1, 5] {
        let mut house = House::new();
        let key = house.state.deliveries.keys().next().unwrap().clone();
        house.event(Event::NoticeAttempted { key, attempt, verdict: Verdict::Accepted, next: None });
        assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Outbox], "{attempt}");
    }
    let mut house = House::new();
    let key = "N-1001-77-1".to_owned();
    house.event(Event::NoticeAttempted { key, attempt: 1, verdict: Verdict::Accepted, next: None });
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Outbox]);
}

#[test]
fn a_deadline_nobody_noticed_is_told() {
    let house = House::new();
    let late = Facts { settled: Some(start() + Span::hours(3)), ..facts(10, 0, 12) };
    assert_eq!(house.broken(&late), [Invariant::Clock]);
}

#[test]
fn a_ledger_that_was_cut_or_changed_is_told() {
    let house = House::new();
    let exported = |seq, hash: &str| Facts { exported: Some((seq, hash.to_owned())), ..facts(10, 0, 12) };
    assert_eq!(house.broken(&exported(1, "00")), [Invariant::Audit]);
    assert_eq!(house.broken(&exported(99, "00")), [Invariant::Audit]);
    let incident = house.state.incidents.keys().next().unwrap().clone();
    let piece = Evidence {
        incident,
        mention: "weibo:2".to_owned(),
        hash: "00".to_owned(),
        body: "{\"text\":\"x\"}".to_owned(),
        joined: String::new(),
    };
    house.store.commit(Step { evidence: vec![piece], ..Step::default() }).unwrap();
    assert_eq!(house.broken(&facts(10, 0, 12)), [Invariant::Audit]);
}
