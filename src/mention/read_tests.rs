//! Tests of reading records: every refusal with its neighbour that is taken, and what must not survive.

use super::*;
use crate::time::Span;
use proptest::prelude::*;

fn at(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

fn taken(line: &str) -> Result<Mention, Box<Refusal>> {
    let platforms = BTreeSet::from(["weibo".to_owned()]);
    let accounts =
        BTreeMap::from([("weibo:8800".to_owned(), "U01".to_owned()), ("洪城发布".to_owned(), "U02".to_owned())]);
    let now = Some(at("2026-10-01T10:00:00+08:00"));
    read(line.as_bytes(), 7, &Door { platforms: &platforms, accounts: &accounts, now, salt: Some(&[3; 32]) })
}

fn with(extra: &str) -> String {
    format!(r#"{{"id":"weibo:1","platform":"weibo","text":"水","created_at":"2026-10-01T09:00:00+08:00"{extra}}}"#)
}

#[test]
fn every_refusal_has_a_neighbour_that_is_taken() {
    let time = r#""created_at":"2026-10-01T09:00:00+08:00""#;
    let deep = |levels: usize| with(&format!(r#","x":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    let text = |chars: usize| format!(r#"{{"id":"a","platform":"weibo","text":"{}",{time}}}"#, "水".repeat(chars));
    let id = |chars: usize| format!(r#"{{"id":"{}","platform":"weibo","text":"",{time}}}"#, "洪".repeat(chars));
    let when = |when: &str| format!(r#"{{"id":"a","platform":"weibo","text":"","created_at":"{when}"}}"#);
    use RefusalCode::*;
    let table: Vec<(RefusalCode, String, String)> = vec![
        (NotJson, with("")[..40].to_owned(), with("")),
        (NotJson, with("") + "x", with("") + "  "),
        (NotAnObject, format!("[{}]", with("")), with("")),
        (NotAnObject, "null".into(), with("")),
        (MissingId, format!(r#"{{"platform":"weibo","text":"",{time}}}"#), id(1)),
        (BadId, id(0), id(1)),
        (BadId, id(129), id(128)),
        (BadId, id(1).replace('洪', r"\u0000"), id(1)),
        (BadType, with("").replace(r#""weibo:1""#, "1"), with("")),
        (MissingPlatform, format!(r#"{{"id":"a","text":"",{time}}}"#), with("")),
        (UnknownPlatform, with("").replace(r#":"weibo""#, r#":"elsewhere""#), with("")),
        (MissingText, format!(r#"{{"id":"a","platform":"weibo",{time}}}"#), text(0)),
        (MissingText, with("").replace(r#""水""#, "null"), with("")),
        (TextTooLong, text(20_001), text(20_000)),
        (MissingCreatedAt, r#"{"id":"a","platform":"weibo","text":""}"#.into(), with("")),
        (BadTime, when("2026-10-01 09:00"), when("2026-10-01T09:00:00Z").replace("09:00:00Z", "01:00:00Z")),
        (FutureTime, when("2026-10-01T10:10:01+08:00"), when("2026-10-01T10:10:00+08:00")),
        (BadType, with(r#","counts":{"likes":-1}"#), with(r#","counts":{"likes":0,"views":1e30}"#)),
        (BadType, with(r#","counts":{"likes":1e999}"#), with(r#","x":1e999"#)),
        (BadType, with(r#","kind":"essay""#), with(r#","kind":"repost""#)),
        (BadType, with(r#","author":"x""#), with(r#","author":null"#)),
        (BadType, with(r#","summary":7"#), with(r#","summary":"s""#)),
        (BadType, with(r#","to":"x""#), with(r#","to":["x"]"#)),
        (BadType, with(r#","media":[1]"#), with(r#","media":[{"kind":"image","url":"http://example.com/a"}]"#)),
        (TooDeep, deep(32), deep(31)),
        (LineTooLong, with(&format!(r#","x":"{}""#, "x".repeat(LINE_BYTES))), with("")),
    ];
    for (code, bad, good) in &table {
        let short: String = bad.chars().take(90).collect();
        let refusal = taken(bad).expect_err(&short);
        assert_eq!(refusal.refused.code, *code, "{short}: {}", refusal.refused.detail);
        assert_eq!(refusal.refused.line, 7);
        assert!(refusal.head.len() <= 256);
        assert!(taken(good).is_ok(), "{:?}", taken(good).map_err(|refusal| refusal.refused));
    }
    let platforms = BTreeSet::new();
    let accounts = BTreeMap::new();
    let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: None };
    let refusal = read(b"{\"id\":\"\xff\"}", 1, &door).expect_err("no UTF-8");
    assert_eq!(refusal.refused.code, InvalidUtf8);
    assert_eq!(too_long(b"{", 3).refused.code, LineTooLong);
}

#[test]
fn the_author_goes_and_the_key_stays() {
    let line = with(
        r#","author":{"id":"author-55512","name":"某某网友","followers":9,"verified":"none"},"parent":{"id":"weibo:0","author_id":"author-777"},
        "url":"https://weibo.com/author-55512/N1?u=author-55512","to":["@洪城发布","某某路人"],"unknown":1"#,
    );
    let mention = taken(&line).expect("taken");
    let kept = serde_json::to_string(&mention).expect("serialises");
    for name in ["author-55512", "某某网友", "author-777", "某某路人", "followers"] {
        assert!(!kept.contains(name), "{name} in {kept}");
    }
    assert!(mention.source.is_some());
    assert_eq!(mention.url.as_deref(), Some("https://weibo.com/N1"));
    assert_eq!(mention.to, ["洪城发布"]);
    assert_eq!(mention.official, None);
    let refusal = taken(&line.replace(r#""to":["#, r#""to":[7,"#)).expect_err("a number is no handle");
    assert!(!refusal.head.contains("author-55512") && !refusal.head.contains("某某网友"), "{}", refusal.head);
    assert_eq!(refusal.refused.id.as_deref(), Some("weibo:1"));
}

#[test]
fn an_official_account_is_known_by_id_or_verified_name() {
    let unit = |author: &str| taken(&with(&format!(r#","author":{author}"#))).expect("taken").official;
    assert_eq!(unit(r#"{"id":8800}"#).as_deref(), Some("U01"));
    assert_eq!(unit(r#"{"id":"1","name":"洪城发布","verified":"organisation"}"#).as_deref(), Some("U02"));
    assert_eq!(unit(r#"{"id":"1","name":"洪城发布","verified":"person"}"#), None);
}

#[test]
fn odd_records_are_read() {
    let twice = with(r#","text":"后","kind":"post""#);
    assert_eq!(taken(&twice).expect("taken").text, "后", "of a repeated field the last counts");
    let half = with(r#","summary":"a\ud83d","text":"b\u0000c 13812345678""#);
    let mention = taken(&half).expect("taken");
    assert_eq!(mention.summary.as_deref(), Some("a\u{fffd}"));
    assert_eq!(mention.text, "b c [手机号]");
    assert_eq!(mention.collected_at, at("2026-10-01T10:00:00+08:00"));
    let ahead = taken(&with(r#","collected_at":"2027-01-01T00:00:00Z""#)).expect("taken");
    assert_eq!(ahead.collected_at, at("2026-10-01T10:00:00+08:00"), "never later than arrival");
    let earlier = taken(&with(r#","collected_at":"2026-10-01T01:30:00Z""#)).expect("taken");
    assert_eq!(earlier.collected_at, at("2026-10-01T10:00:00+08:00") - Span::minutes(30));
}

#[test]
fn one_shot_reading_has_no_future() {
    let platforms = BTreeSet::from(["weibo".to_owned()]);
    let accounts = BTreeMap::new();
    let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: None };
    let line = with("").replace("2026-10-01T09", "2999-10-01T09");
    let read = read_counted(line.as_bytes(), 1, &door).expect("taken");
    assert_eq!(read.mention.collected_at, read.mention.created_at);
    assert_eq!(read.mention.source, None);
    assert_eq!(read.unknown_fields, 0);
    let extra = with(r#","x":{"y":1},"z":2"#);
    assert_eq!(read_counted(extra.as_bytes(), 1, &door).expect("taken").unknown_fields, 2);
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let platforms = BTreeSet::from(["weibo".to_owned()]);
        let accounts = BTreeMap::new();
        let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: Some(&[0; 32]) };
        let _ = read(&bytes, 1, &door);
    }

    #[test]
    fn never_panics_on_near_records(field in "id|text|author|url|parent|counts|to|media|place|listing|created_at", value in "\\PC{0,40}|[\\[\\]{}\":,0-9a-z\\\\u]{0,40}") {
        let _ = taken(&with(&format!(r#","{field}":{value}"#)));
        let _ = taken(&with(&format!(r#","{field}":"{value}""#)));
    }
}
