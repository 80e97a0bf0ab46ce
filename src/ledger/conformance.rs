//! What every store must hold to: run by the tests of each against an empty store. Panics where one does not.

use crate::duty::event::Event;
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Position, Positions, Step, Store, StoreError, check_line};
use crate::mention::RefusalCode;
use crate::time::{Day, Instant, Span};

const DAY: Day = Day(20_727);

fn at(offset: u64) -> Position {
    Position { stream: "intake".to_owned(), partition: 0, offset }
}

fn now() -> Instant {
    DAY.start() + Span::hours(10)
}

fn event(version: &str) -> (Instant, String, Event) {
    (now(), "machine".to_owned(), Event::Started { version: version.to_owned() })
}

fn full_step(from: u64, to: u64) -> Step {
    let letter = DeadLetter {
        position: at(from),
        line: 3,
        id: None,
        code: RefusalCode::MissingId,
        detail: "no id".to_owned(),
        head: "{}".to_owned(),
        at: now(),
    };
    let evidence = Evidence {
        incident: "I-1001-01".to_owned(),
        mention: format!("weibo:{from}"),
        hash: "00".to_owned(),
        body: "{}".to_owned(),
        joined: "首个提及".to_owned(),
    };
    Step {
        events: vec![event("1"), event("2")],
        positions: vec![(at(from), at(to))],
        dead_letters: vec![letter],
        evidence: vec![evidence],
        checkpoint: Some(Checkpoint { positions: Positions::from(vec![at(to)]), version: 1, body: vec![1, 2, 3] }),
        ..Step::default()
    }
}

/// The suite, on an empty store. Leaves behind what [`after_reopen`] looks for.
pub fn run(store: &dyn Store) {
    assert_eq!(store.verify().expect("an empty ledger is whole"), 0);
    assert_eq!(store.position("intake", 0).expect("reads"), 0);
    assert_eq!(store.checkpoint().expect("reads"), None);
    whole_step(store);
    zombie_is_fenced(store);
    one_bad_position_fences_all(store);
    one_leads_at_a_time(store);
    what_was_asked_is_answered_once(store);
    evidence_of_a_deleted_mention_goes(store);
    salts_go_for_good(store);
    evidence_of_one_incident_goes(store);
    lines_hold_their_own_hashes(store);
}

fn evidence_of_one_incident_goes(store: &dyn Store) {
    let mut step = Step { evidence: full_step(7, 8).evidence, ..Step::default() };
    step.evidence[0].incident = "I-1001-03".to_owned();
    store.commit(step).expect("commits");
    assert_eq!(store.destroy_evidence("I-1001-03").expect("destroys"), 1);
    assert_eq!(store.destroy_evidence("I-1001-03").expect("destroys"), 0, "said once");
    assert_eq!(store.evidence("I-1001-03", 10).expect("reads"), []);
    seen(store);
}

fn lines_hold_their_own_hashes(store: &dyn Store) {
    let mut last = (0, String::new());
    for (line, entry) in store.lines(0, 10).expect("reads").iter().zip(store.entries(0, 10).expect("reads")) {
        last = check_line(line, (last.0, &last.1)).expect("fits");
        assert_eq!(last, (entry.seq, entry.hash.clone()));
        let read: crate::duty::event::Entry = serde_json::from_str(line).expect("a line is an entry");
        assert_eq!(read, entry);
    }
    assert_eq!(last.0, 2);
    assert_eq!(store.lines(1, 10).expect("reads").len(), 1);
}

/// Several partitions move together or not at all.
fn one_bad_position_fences_all(store: &dyn Store) {
    let other = |offset| Position { stream: "mentions".to_owned(), partition: 3, offset };
    let both = Step { positions: vec![(other(0), other(5)), (at(0), at(9))], ..Step::default() };
    assert!(matches!(store.commit(both), Err(StoreError::Fenced { stored: 7, expected: 0, .. })));
    assert_eq!(store.position("mentions", 3).expect("reads"), 0, "the partition that fitted did not move alone");
    let both = Step { positions: vec![(other(0), other(5)), (at(7), at(8))], ..Step::default() };
    store.commit(both).expect("commits");
    assert_eq!(store.positions().expect("reads"), Positions::from(vec![at(8), other(5)]));
    let back = Step { positions: vec![(other(5), other(0)), (at(8), at(7))], ..Step::default() };
    store.commit(back).expect("an operator may move them back");
}

/// A second holder waits; the one deposed changes nothing; the token grows.
fn one_leads_at_a_time(store: &dyn Store) {
    let first = store.lead("a", Span::hours(1)).expect("asks").expect("nobody leads");
    assert_eq!(store.lead("a", Span::hours(1)).expect("renews"), Some(first));
    assert_eq!(store.lead("b", Span::hours(1)).expect("asks"), None, "the lead is held");
    let step = |fence| Step { fence: Some(fence), positions: vec![(at(7), at(7))], ..Step::default() };
    store.commit(step(first)).expect("the leader decides");
    store.resign("b").expect("nothing to give up");
    assert_eq!(store.lead("b", Span::hours(1)).expect("asks"), None, "who does not lead cannot resign for another");
    store.resign("a").expect("gives it up");
    let second = store.lead("b", Span::millis(-1)).expect("asks").expect("it is free");
    assert!(second > first);
    match store.commit(step(first)) {
        Err(StoreError::Deposed { ours, held }) => assert_eq!((ours, held), (first, second)),
        other => panic!("the one deposed must be fenced: {other:?}"),
    }
    let third = store.lead("a", Span::hours(1)).expect("asks").expect("it has run out");
    assert!(third > second);
    store.resign("a").expect("gives it up");
}

fn what_was_asked_is_answered_once(store: &dyn Store) {
    let (one, two) = (store.ask("first").expect("asks"), store.ask("second").expect("asks"));
    assert!(one < two);
    let all = [(one, "first".to_owned()), (two, "second".to_owned())];
    assert_eq!(store.asked(10).expect("reads"), all);
    assert_eq!(store.take_answer(one).expect("reads"), None);
    store.commit(Step { answers: vec![(one, "yes".to_owned())], ..Step::default() }).expect("answers");
    assert_eq!(store.asked(10).expect("reads"), all[1..]);
    assert_eq!(store.take_answer(one).expect("reads").as_deref(), Some("yes"));
    assert_eq!(store.take_answer(one).expect("reads"), None, "taken once");
    store.commit(Step { answers: vec![(two, "no".to_owned())], ..Step::default() }).expect("answers");
    assert_eq!(store.take_answer(two).expect("reads").as_deref(), Some("no"));
}

fn whole_step(store: &dyn Store) {
    let entries = store.commit(full_step(0, 7)).expect("commits");
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.entries(0, 10).expect("reads"), entries, "what was given is what is stored");
    assert_eq!(store.entries(1, 10).expect("reads"), entries[1..]);
    assert_eq!(store.entries(0, 1).expect("reads"), entries[..1]);
    assert_ne!(entries[0].hash, entries[1].hash);
    seen(store);
}

/// A second process that starts from an old position changes nothing at all.
fn zombie_is_fenced(store: &dyn Store) {
    match store.commit(full_step(0, 9)) {
        Err(StoreError::Fenced { stored: 7, expected: 0, .. }) => {}
        other => panic!("a zombie must be fenced: {other:?}"),
    }
    seen(store);
    let next = Step { positions: vec![(at(7), at(8))], ..Step::default() };
    assert_eq!(store.commit(next).expect("the owner goes on"), []);
    let back = Step { positions: vec![(at(8), at(7))], ..Step::default() };
    store.commit(back).expect("an operator may move it back");
    let other = Position { partition: 1, ..at(7) };
    assert_eq!(store.position("intake", other.partition).expect("reads"), 0, "partitions are apart");
}

fn evidence_of_a_deleted_mention_goes(store: &dyn Store) {
    let kept = Evidence { mention: "weibo:gone".to_owned(), ..full_step(0, 1).evidence.remove(0) };
    store.commit(Step { evidence: vec![kept.clone()], ..Step::default() }).expect("keeps");
    assert!(store.evidence("I-1001-01", 10).expect("reads").contains(&kept));
    store.commit(Step { forget: vec!["weibo:gone".to_owned()], ..Step::default() }).expect("forgets");
    assert_eq!(store.evidence("I-1001-01", 10).expect("reads"), full_step(0, 7).evidence, "only that one");
}

fn salts_go_for_good(store: &dyn Store) {
    let secret = store.secret("links").expect("makes one");
    assert_eq!(store.secret("links").expect("reads"), secret, "one secret a name");
    assert_ne!(store.secret("other").expect("makes one"), secret);
    let salt = store.salt(DAY).expect("makes one").expect("a new day has one");
    assert_eq!(store.salt(DAY).expect("reads"), Some(salt), "one salt a day");
    let next = store.salt(Day(DAY.0 + 1)).expect("makes one").expect("a new day has one");
    assert_ne!(salt, next);
    assert_eq!(store.destroy_salts_before(Day(DAY.0 + 1)).expect("destroys"), [DAY]);
    assert_eq!(store.destroy_salts_before(Day(DAY.0 + 1)).expect("destroys"), [], "said once");
    assert_eq!(store.salt(DAY).expect("reads"), None, "destroyed for good");
    assert_eq!(store.salt(Day(DAY.0 + 1)).expect("reads"), Some(next), "the newer day keeps its own");
}

fn seen(store: &dyn Store) {
    assert_eq!(store.verify().expect("whole"), 2);
    assert_eq!(store.position("intake", 0).expect("reads"), 7);
    let letters = store.dead_letters(10).expect("reads");
    assert_eq!(letters, full_step(0, 7).dead_letters);
    assert_eq!(store.dead_letter_counts().expect("reads"), [(RefusalCode::MissingId, 1)]);
    assert_eq!(store.evidence("I-1001-01", 10).expect("reads"), full_step(0, 7).evidence);
    assert_eq!(store.evidence("I-1001-02", 10).expect("reads"), []);
    assert_eq!(store.checkpoint().expect("reads"), full_step(0, 7).checkpoint);
}

/// What [`run`] left is there when the store is opened again.
pub fn after_reopen(store: &dyn Store) {
    seen(store);
}
