//! Tests of the door: what is answered, what is durable, and what must not be in the log.

use super::*;
use crate::intake::Source;
use crate::time::Span;

pub(in super::super) fn line(id: &str, likes: u64) -> String {
    format!(
        r#"{{"id":"{id}","platform":"weibo","text":"积水","created_at":"2026-10-01T09:00:00+08:00","author":{{"id":"author-55512","name":"某某网友"}},"counts":{{"likes":{likes}}}}}"#
    )
}

fn now() -> Instant {
    Instant::parse("2026-10-01T10:00:00+08:00").expect("a time")
}

pub(in super::super) fn open(dir: &Path) -> Intake {
    let config = IntakeConfig { platforms: BTreeSet::from(["weibo".to_owned()]), accounts: BTreeMap::new() };
    let (intake, torn) = Intake::open(dir, config, Arc::new(|_| Some([9; 32])), Clock::at(now())).unwrap();
    assert_eq!(torn, None);
    intake
}

fn taken(answer: Answer) -> Taken {
    match answer {
        Answer::Taken(taken) => taken,
        other => panic!("{other:?}"),
    }
}

fn all(intake: &Intake) -> Vec<Body> {
    let records = intake.source().unwrap().poll(1_000_000, Span(0)).unwrap();
    records.into_iter().map(|record| record.body).collect()
}

#[test]
fn a_body_is_answered_when_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let intake = open(dir.path());
    let body = [line("weibo:1", 1), "{}".into(), line("weibo:1", 5), line("weibo:2", 0), line("weibo:2", 0)].join("\n");
    let answer = taken(intake.offer(false, None, body.as_bytes(), now()));
    assert_eq!((answer.accepted, answer.duplicates, answer.refused_total), (2, 2, 1));
    assert_eq!(answer.refused[0].line, 2);
    let bodies = all(&intake);
    assert!(
        matches!(&bodies[..], [Body::Mention(_), Body::Refused { .. }, Body::Counts { counts, .. }, Body::Mention(_)]
        if counts.likes == 5)
    );
    for (coding, body) in [(Some("br"), "{}"), (Some("gzip"), "{}"), (Some("zstd"), "{}")] {
        assert!(!matches!(intake.offer(false, coding, body.as_bytes(), now()), Answer::Taken(_)));
    }
    assert_eq!(intake.end(), 4, "nothing of those is taken");
}

#[test]
fn duplicates_are_known_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    taken(first.offer(true, None, line("weibo:1", 1).as_bytes(), now()));
    taken(first.offer(true, None, line("weibo:1", 4).as_bytes(), now()));
    drop(first);
    let intake = open(dir.path());
    let answer = taken(intake.offer(true, None, line("weibo:1", 4).as_bytes(), now()));
    assert_eq!((answer.accepted, answer.duplicates, intake.end()), (0, 1, 2));
    let answer = taken(intake.offer(true, None, line("weibo:3", 4).as_bytes(), now() - Span::hours(1)));
    assert_eq!((answer.accepted, intake.end()), (1, 3));
    let Body::Mention(last) = &all(&intake)[2] else { panic!("a mention") };
    assert_eq!(last.collected_at, now(), "never earlier than the record before");
}

#[test]
fn the_author_is_nowhere_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let intake = open(dir.path());
    let good = line("weibo:1", 1);
    let bad = good.replace("\"likes\":1", "\"likes\":-1");
    let broken = &bad[..bad.len() - 2];
    let early =
        r#"{"author":{"id":"author-55512","name":"某某网友"},"url":"https://weibo.com/author-55512/1","text":7"#;
    let body = [&good, &bad, broken, early].join("\n");
    let answer = taken(intake.offer(false, None, body.as_bytes(), now()));
    assert_eq!((answer.accepted, answer.refused_total), (1, 3));
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let text =
            String::from_utf8(std::fs::read(entry.unwrap().path()).unwrap().into_iter().filter(u8::is_ascii).collect());
        let text = text.unwrap();
        bytes += text.len();
        assert!(!text.contains("55512"), "{text}");
    }
    assert!(bytes > 100);
    let stored = serde_json::to_string(&all(&intake)).unwrap();
    assert!(!stored.contains("某某网友") && stored.contains("\"source\":"));
}

#[test]
fn many_offer_at_once_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let intake = open(dir.path());
    let accepted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let intake = intake.clone();
                scope.spawn(move || {
                    let mut accepted = 0;
                    for at in 0..10 {
                        let body = line(&format!("weibo:{thread}-{at}"), 0) + "\n" + &line("weibo:all", 0);
                        if let Answer::Taken(taken) = intake.offer(false, None, body.as_bytes(), now()) {
                            accepted += taken.accepted;
                        }
                    }
                    accepted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, intake.end());
    assert!(accepted > 1);
}

#[test]
fn a_full_gate_sends_away() {
    let gate = Gate::default();
    let first = gate.enter(1, 1, Duration::ZERO).expect("free");
    assert!(gate.enter(1, 1, Duration::ZERO).is_none());
    assert!(gate.enter(WAITING_BYTES + 1, 1, Duration::MAX).is_none(), "too much would wait");
    drop(first);
    assert!(gate.enter(1, 1, Duration::ZERO).is_some());
}
