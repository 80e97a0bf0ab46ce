//! Timelines on virtual time: at, input, expect. Every one also holds that a replayed ledger gives the same state.

use super::event::{Entry, Event, Reason};
use super::plan::{self, Plan, PlanRaw};
use super::view::{ClockState, IncidentState};
use super::{Command, Input, Refusal, State, Verdict, apply};
use crate::assess::{Level, Place};
use crate::rule::{Finding, FindingKind};
use crate::time::{Instant, Span};
use crate::topic::{Heat, TopicId};
use proptest::prelude::*;

const PLAN: &str = r#"
    roster = ["li", "wang", "chen"]
    quiet = { from = "22:00", to = "07:00" }
    officers = [{ name = "li", channels = ["li-sms"] }, { name = "wang" }, { name = "chen", channels = ["chen-sms"] }]
    channels = [
        { name = "li-sms", levels = ["L3", "L4"] },
        { name = "wang-sms", levels = ["L3", "L4"], officer = "wang" },
        { name = "chen-sms" },
        { name = "bot", levels = ["L2", "L3", "L4"] },
        { name = "hub" },
    ]
"#;

fn plan() -> Plan {
    plan::check(toml::from_str::<PlanRaw>(PLAN).unwrap()).unwrap()
}

/// `HH:MM` or `HH:MM:SS` of 2026-10-01 in Shanghai.
fn at(clock: &str) -> Instant {
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    Instant::parse(&format!("2026-10-01T{clock}{seconds}+08:00")).unwrap()
}

fn finding(kind: FindingKind, topic: u64, level: Level, first: Instant) -> Finding {
    Finding {
        kind,
        at: first,
        seen_at: first,
        topic: (kind != FindingKind::PersonInDanger).then_some(TopicId(topic)),
        level,
        classes: Vec::new(),
        place: Place { township: Some("扬子洲镇".to_owned()), ..Place::default() },
        mentions: vec!["weibo:1".to_owned()],
        sources: 2,
        heat: Heat::default(),
        reason: "规则 L3 单个目击".to_owned(),
        first_mention: first,
        unverified: true,
        causes: Vec::new(),
        claims: Vec::new(),
        title: "扬子洲镇 冒水泡".to_owned(),
        responsible: Vec::new(),
    }
}

fn raised(level: Level, first: &str) -> Input {
    Input::Found(finding(FindingKind::Raised, 1, level, at(first)))
}

fn changed(level: Level, first: &str) -> Input {
    Input::Found(finding(FindingKind::Changed, 1, level, at(first)))
}

fn acknowledge(by: &str) -> Input {
    Input::Command(Command::Acknowledge { incident: ID.to_owned(), by: by.to_owned(), via: "link".to_owned() })
}

fn confirm(occurred: Option<&str>, reason: &str) -> Input {
    let occurred = occurred.map(at);
    Input::Command(Command::Confirm {
        incident: ID.to_owned(),
        by: "li".to_owned(),
        occurred,
        reason: reason.to_owned(),
    })
}

fn dismiss(reason: &str) -> Input {
    Input::Command(Command::Dismiss { incident: ID.to_owned(), by: "li".to_owned(), reason: reason.to_owned() })
}

fn sent(n: u32, verdict: Verdict) -> Input {
    Input::Sent { key: format!("N-1001-01-{n}"), verdict }
}

fn busy(after_ms: Option<i64>) -> Verdict {
    Verdict::Retry { after_ms, detail: "busy".to_owned() }
}

const ID: &str = "I-1001-01";

/// A desk on virtual time.
struct Desk {
    plan: Plan,
    state: State,
    ledger: Vec<Entry>,
}

impl Desk {
    fn new() -> Desk {
        Desk { plan: plan(), state: State::default(), ledger: Vec::new() }
    }

    fn take(&mut self, now: Instant, input: Input) -> Result<Vec<String>, Refusal> {
        let events = apply(&self.state, &self.plan, now, input)?;
        let mut lines = Vec::new();
        for (actor, event) in events {
            lines.push(line(&event));
            // As the store does: through the bytes.
            let event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            let entry = Entry { seq: self.ledger.len() as u64 + 1, at: now, actor, event, hash: String::new() };
            self.state.absorb(&entry);
            self.ledger.push(entry);
        }
        Ok(lines)
    }

    /// Ticks at every instant that is due up to `now`, then hands the input in; gives what was decided at `now`.
    fn at(&mut self, clock: &str, input: Input) -> Vec<String> {
        self.until(clock);
        self.take(at(clock), input).unwrap()
    }

    fn refused(&mut self, clock: &str, input: Input) -> Refusal {
        self.take(at(clock), input).unwrap_err()
    }

    /// Ticks at every due instant; gives `HH:MM line`.
    fn until(&mut self, clock: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(due) = self.state.next_due().filter(|due| *due <= at(clock)) {
            let decided = self.take(due, Input::Tick).unwrap();
            assert!(!decided.is_empty(), "a due tick decides something");
            lines.extend(decided.into_iter().map(|line| format!("{} {line}", due.hour_minute())));
        }
        lines
    }

    fn same_after_restart(&self) {
        let (mut replayed, mut resumed) = (State::default(), State::default());
        for entry in &self.ledger {
            replayed.absorb(entry);
            let snapshot = serde_json::to_string(&resumed).unwrap();
            resumed = serde_json::from_str(&snapshot).unwrap();
            resumed.absorb(entry);
            assert_eq!(replayed, resumed);
        }
        assert_eq!(replayed, self.state);
    }

    fn no_notice_twice(&self) {
        let mut keys = std::collections::BTreeSet::new();
        for entry in &self.ledger {
            if let Event::NoticeDecided { notice } = &entry.event {
                assert!(keys.insert(notice.key.clone()), "{} was decided twice", notice.key);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.same_after_restart();
            self.no_notice_twice();
        }
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Escalated { step, officers, .. } => format!("step {step} {}", officers.join("+")),
        Event::NoticeDecided { notice } => format!("{} {}", notice.reason.words(), notice.channel),
        Event::EscalationPlanned { .. } => "planned".to_owned(),
        other => other.name().to_owned(),
    }
}

#[test]
fn nobody_answers_and_the_ladder_is_climbed_at_fixed_instants() {
    let mut desk = Desk::new();
    let born = ["incident_raised", "clock_started", "planned", "step 0 li", "新 bot", "新 hub", "新 li-sms"];
    assert_eq!(desk.at("10:05", raised(Level::L4, "10:00")), born);
    let climbed = [
        "10:10 step 1 wang",
        "10:10 升级 wang-sms",
        "10:15 step 2 chen",
        "10:15 升级 chen-sms",
        "10:20 step 3 chen+li+wang",
        "10:20 升级 chen-sms",
        "10:20 升级 li-sms",
        "10:20 升级 wang-sms",
        "11:30 clock_near",
        "11:30 提醒 bot",
        "11:30 提醒 hub",
        "11:30 提醒 chen-sms",
        "11:30 提醒 li-sms",
        "11:30 提醒 wang-sms",
        "12:00 clock_overdue",
    ];
    assert_eq!(desk.until("18:00"), climbed);
    let view = desk.state.incident(ID).unwrap();
    assert_eq!((view.state, view.clocks[0].state), (IncidentState::Raised, ClockState::Overdue));
    assert_eq!(view.clocks[0].overdue_at_birth_s, 0);
}

#[test]
fn acknowledging_stops_the_paging_and_runs_out() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    assert_eq!(desk.at("10:07", acknowledge("li")), ["acknowledged"]);
    assert_eq!(desk.state.incident(ID).unwrap().next_call, None);
    assert!(matches!(desk.refused("10:08", acknowledge("wang")), Refusal::Conflict(_)));
    let paged_again = [
        "10:22 acknowledgement_expired",
        "10:22 planned",
        "10:22 step 0 li",
        "10:22 提醒 bot",
        "10:22 提醒 hub",
        "10:22 提醒 li-sms",
        "10:27 step 1 wang",
        "10:27 升级 wang-sms",
    ];
    assert_eq!(desk.until("10:30"), paged_again);
    desk.at("10:31", acknowledge("wang"));
    desk.at("10:33", confirm(None, ""));
    assert_eq!(desk.until("11:29"), [""; 0], "a confirmed incident pages nobody");
    let reminded = ["bot", "hub", "li-sms", "wang-sms"].map(|channel| format!("11:30 提醒 {channel}"));
    let lines = desk.until("12:00");
    assert_eq!((lines[0].as_str(), &lines[1..5]), ("11:30 clock_near", &reminded[..]), "but its clock runs on");
    assert_eq!(lines[5..], ["12:00 clock_overdue"]);
}

#[test]
fn found_late_is_overdue_at_birth_and_still_alerted() {
    let mut desk = Desk::new();
    let lines = desk.at("13:30", raised(Level::L4, "10:00"));
    assert!(lines.contains(&"clock_overdue".to_owned()) && lines.contains(&"新 li-sms".to_owned()), "{lines:?}");
    let clock = &desk.state.incident(ID).unwrap().clocks[0];
    assert_eq!((clock.state, clock.overdue_at_birth_s), (ClockState::Overdue, 90 * 60));
    let facts = &desk.state.due_notices(at("13:30"))[0].facts;
    assert_eq!(facts["type"], "incident.raised");
    assert_eq!(facts["due"], "2026-10-01T04:00:00Z");
    assert_eq!(facts["key"], "N-1001-01-1");
}

#[test]
fn a_person_may_move_the_clock_later_only_with_a_reason() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    assert!(matches!(desk.refused("10:06", confirm(Some("10:02"), " ")), Refusal::Invalid(_)));
    assert!(matches!(desk.refused("10:06", confirm(Some("10:07"), "将来")), Refusal::Invalid(_)));
    assert_eq!(desk.at("10:06", confirm(Some("10:02"), "现场时间")), ["confirmed", "clock_started"]);
    assert_eq!(desk.state.incident(ID).unwrap().clocks[0].due, at("12:02"));
    assert_eq!(desk.at("10:08", confirm(Some("09:00"), "")), ["confirmed", "clock_started"]);
    assert_eq!(desk.state.incident(ID).unwrap().clocks[0].due, at("11:00"));
    assert!(matches!(desk.refused("10:09", confirm(None, "")), Refusal::Conflict(_)));
    assert_eq!(desk.at("10:10", changed(Level::L3, "08:00")), ["incident_changed"], "the machine moves it no more");
}

#[test]
fn the_machine_moves_the_clock_earlier_only() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    assert_eq!(desk.at("10:06", changed(Level::L3, "09:30")), ["incident_changed", "clock_started"]);
    assert_eq!(desk.at("10:07", changed(Level::L3, "09:50")), ["incident_changed"]);
    let view = desk.state.incident(ID).unwrap();
    assert_eq!((view.clocks[0].due, view.times.first_mention), (at("11:30"), Some(at("09:30"))));
}

#[test]
fn worse_is_said_once_to_everyone_told() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    desk.at("10:06", acknowledge("li"));
    let worse = ["incident_changed", "加重 bot", "加重 hub", "加重 li-sms"];
    assert_eq!(desk.at("10:07", changed(Level::L4, "10:00")), worse);
    assert_eq!(desk.at("10:08", changed(Level::L4, "10:00")), ["incident_changed"]);
    assert_eq!(desk.at("10:09", changed(Level::L3, "10:00")), ["incident_changed"]);
    assert_eq!(
        desk.at("10:10", changed(Level::L4, "10:00")),
        ["incident_changed"],
        "never again for a level once told"
    );
}

#[test]
fn a_quiet_one_that_turns_bad_starts_the_ladder() {
    let mut desk = Desk::new();
    assert_eq!(desk.at("22:30", raised(Level::L2, "22:00")), ["incident_raised", "clock_started", "planned"]);
    let next = desk.state.incident(ID).unwrap().next_call.unwrap();
    assert_eq!(next.0, at("07:00") + Span::days(1), "held for the morning");
    let lines = desk.at("22:40", changed(Level::L4, "22:00"));
    assert_eq!(lines, ["incident_changed", "planned", "step 0 li", "加重 bot", "加重 hub", "加重 li-sms"]);
    assert_eq!(desk.until("22:45"), ["22:45 step 1 wang", "22:45 升级 wang-sms"]);
}

#[test]
fn dismissing_needs_a_reason_and_ends_everything() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    assert!(matches!(desk.refused("10:06", dismiss("")), Refusal::Invalid(_)));
    let ended = ["dismissed", "clock_cancelled", "解除 bot", "解除 hub", "解除 li-sms"];
    assert_eq!(desk.at("10:06", dismiss("演练")), ended);
    for again in [dismiss("x"), confirm(None, "x"), acknowledge("li")] {
        assert!(matches!(desk.refused("10:07", again), Refusal::Conflict(_)));
    }
    assert_eq!(desk.state.next_due(), None);
    assert_eq!(desk.at("10:08", changed(Level::L3, "10:00")), ["incident_changed"], "recorded, and nobody woken");
    assert_eq!(desk.at("10:09", changed(Level::L4, "10:00"))[0], "incident_raised", "worse than what was dismissed");
    assert_eq!(desk.state.incident("I-1001-02").unwrap().related, [ID]);
}

#[test]
fn a_person_in_danger_pages_and_shows_nothing() {
    let mut desk = Desk::new();
    let lines = desk.at("23:30", Input::Found(finding(FindingKind::PersonInDanger, 0, Level::L0, at("23:29"))));
    assert_eq!(lines, ["incident_raised", "planned", "step 0 li", "新 bot", "新 hub", "新 li-sms"]);
    assert!(desk.state.incidents().is_empty());
    let view = desk.state.incident(ID).unwrap();
    assert!(view.restricted && view.clocks.is_empty() && view.carried.is_empty());
    let shown = serde_json::to_string(&view).unwrap() + &desk.state.due_notices(at("23:30"))[0].facts.to_string();
    assert!(shown.contains("12356") && shown.contains("扬子洲镇"));
    for hidden in ["冒水泡", "weibo:1", "目击"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
}

#[test]
fn a_clarification_starts_no_clock_and_no_ladder() {
    let mut desk = Desk::new();
    let input = Input::Found(finding(FindingKind::Clarify, 1, Level::L3, at("10:00")));
    assert_eq!(desk.at("10:05", input), ["incident_raised", "planned", "step 0 li", "新 bot", "新 hub", "新 li-sms"]);
    assert_eq!(desk.state.next_due(), None);
}

#[test]
fn sending_is_retried_under_the_same_key_until_it_is_over() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    desk.at("10:05", sent(2, Verdict::Accepted));
    desk.at("10:05", sent(3, Verdict::Accepted));
    assert_eq!(desk.state.incident(ID).unwrap().times.alerted, Some(at("10:05")));
    desk.at("10:05", sent(1, busy(None)));
    assert_eq!(desk.state.notice_wakeup(), Some(at("10:05")), "the first retry is at once");
    desk.at("10:05", sent(1, Verdict::Unknown { detail: "cut".to_owned() }));
    assert_eq!(desk.state.notice_wakeup(), Some(at("10:05:05")));
    assert!(desk.state.due_notices(at("10:05:04")).is_empty());
    desk.at("10:05:05", sent(1, busy(Some(60_000))));
    assert_eq!(desk.state.notice_wakeup(), Some(at("10:06:05")), "the receiver's wait is honoured");
    assert_eq!(desk.state.due_notices(at("10:06:05"))[0].key, "N-1001-01-1");
    desk.at("10:06:05", sent(1, Verdict::Accepted));
    assert_eq!(desk.state.notice_wakeup(), None);
    assert!(matches!(desk.refused("10:07", sent(1, Verdict::Accepted)), Refusal::Conflict(_)));
    assert_eq!(desk.refused("10:07", sent(99, Verdict::Accepted)), Refusal::NotFound);
}

#[test]
fn an_officer_whom_no_channel_reaches_is_passed_over_at_once() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    let refused = Verdict::Refused { detail: "no such number".to_owned() };
    assert_eq!(desk.at("10:06", sent(3, refused)), ["notice_attempted", "step 1 wang", "升级 wang-sms"]);
    assert_eq!(desk.until("10:15"), ["10:15 step 2 chen", "10:15 升级 chen-sms"], "later steps keep their instants");
}

#[test]
fn an_empty_chair_is_said_and_skipped() {
    let mut desk = Desk::new();
    let raw: PlanRaw = toml::from_str(&PLAN.replace("\"li\", \"wang\"", "\"\", \"wang\"")).unwrap();
    desk.plan = plan::check(raw).unwrap();
    let lines = desk.at("10:05", raised(Level::L3, "10:00"));
    let expected =
        ["incident_raised", "clock_started", "planned", "step 0 ", "新 bot", "新 hub", "step 1 wang", "升级 wang-sms"];
    assert_eq!(lines, expected);
    assert_eq!(desk.until("10:10"), ["10:10 step 2 chen", "10:10 升级 chen-sms"]);
}

#[test]
fn merged_topics_share_an_incident_or_become_related() {
    let mut desk = Desk::new();
    desk.at("10:05", raised(Level::L3, "10:00"));
    desk.at("10:06", Input::Found(finding(FindingKind::Raised, 2, Level::L3, at("10:01"))));
    assert_eq!(desk.at("10:07", Input::Merged { from: TopicId(3), into: TopicId(4) }), [""; 0]);
    assert_eq!(desk.at("10:07", Input::Merged { from: TopicId(2), into: TopicId(1) }), ["topics_merged"]);
    assert_eq!(desk.state.incident(ID).unwrap().related, ["I-1001-02"]);
    assert_eq!(desk.state.incident_of(TopicId(2)), Some(ID));
    assert_eq!(desk.state.incidents()[0].id, "I-1001-02", "newest first");
}

fn inputs() -> impl Strategy<Value = Input> {
    let levels = prop::sample::select(vec![Level::L1, Level::L2, Level::L3, Level::L4]);
    let kinds = prop::sample::select(vec![
        FindingKind::Raised,
        FindingKind::Changed,
        FindingKind::Clarify,
        FindingKind::PersonInDanger,
    ]);
    let found = (kinds, 1..4_u64, levels, 0..300_i64).prop_map(|(kind, topic, level, minutes)| {
        Input::Found(finding(kind, topic, level, at("08:00") + Span::minutes(minutes)))
    });
    let incident = || (1..4_u32).prop_map(|n| format!("I-1001-{n:02}"));
    let by = || prop::sample::select(vec!["li".to_owned(), "wang".to_owned()]);
    let verdict = prop::sample::select(vec![
        Verdict::Accepted,
        busy(Some(i64::MIN)),
        busy(Some(i64::MAX)),
        Verdict::Refused { detail: String::new() },
        Verdict::Unknown { detail: String::new() },
    ]);
    let key = (incident(), 1..9_u32).prop_map(|(id, n)| format!("N-{}-{n}", &id[2..]));
    prop_oneof![
        3 => found,
        1 => (1..4_u64, 1..4_u64).prop_map(|(from, into)| Input::Merged { from: TopicId(from), into: TopicId(into) }),
        2 => (incident(), by()).prop_map(|(incident, by)| {
            Input::Command(Command::Acknowledge { incident, by, via: "api".to_owned() })
        }),
        1 => (incident(), by(), prop::option::of(0..600_i64), "x?").prop_map(|(incident, by, minutes, reason)| {
            let occurred = minutes.map(|minutes| at("08:00") + Span::minutes(minutes));
            Input::Command(Command::Confirm { incident, by, occurred, reason })
        }),
        1 => (incident(), by(), "x?").prop_map(|(incident, by, reason)| {
            Input::Command(Command::Dismiss { incident, by, reason })
        }),
        3 => (key, verdict).prop_map(|(key, verdict)| Input::Sent { key, verdict }),
        1 => Just(Input::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens: nothing that is due is left, a dismissed incident stays so and wakes nobody, and (in `Drop`)
    /// the fold gives the same state at every prefix and no notice is decided twice.
    #[test]
    fn no_order_of_inputs_breaks_the_laws(steps in prop::collection::vec((0..20_i64, inputs()), 1..40)) {
        let mut desk = Desk::new();
        let mut now = at("09:00");
        let mut over = std::collections::BTreeSet::new();
        for (minutes, input) in steps {
            now = now + Span::minutes(minutes);
            let before = desk.ledger.len();
            let dismissing = matches!(&input, Input::Command(Command::Dismiss { .. }));
            let taken = desk.take(now, input);
            if taken.is_ok() {
                prop_assert!(desk.state.next_due().is_none_or(|due| due > now));
            }
            for entry in &desk.ledger[before..] {
                if let Event::NoticeDecided { notice } = &entry.event {
                    prop_assert!(!over.contains(&notice.incident), "a dismissed incident woke somebody");
                    prop_assert!(dismissing || notice.reason != Reason::Resolved);
                }
            }
            let dismissed = desk.state.incidents.iter().filter(|(_, one)| one.status == IncidentState::Dismissed);
            let dismissed: std::collections::BTreeSet<String> = dismissed.map(|(id, _)| id.clone()).collect();
            prop_assert!(over.is_subset(&dismissed));
            over = dismissed;
        }
    }
}
