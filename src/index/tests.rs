//! The index as a whole: written, broken off, searched. All mentions are made up.

mod counted;
mod kept;
mod standing;

use super::{Belongs, Page, Query, QueryError, Searcher, Writer, count_id};
use crate::assess::{Assessment, Class, ClassWeight, Level, Place, Reading, Verdict};
use crate::ledger::{Position, Positions};
use crate::mention::{Counts, Kind, Mention};
use crate::time::{Day, Instant, Span};
use crate::topic::TopicId;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::path::Path;
use std::sync::Arc;

const MEMORY: usize = 64 << 20;
const WORDS: &[&str] =
    &["红谷滩", "南昌", "火灾", "暴雨", "停水", "学校", "食堂", "地铁", "工资", "积水", "东湖", "居民"];

/// A segmenter for tests: the words above, runs of ASCII, else single characters.
fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '災' => '灾',
            '紅' => '红',
            '灘' => '滩',
            '學' => '学',
            c => c.to_ascii_lowercase(),
        })
        .collect();
    let mut found: Vec<String> = Vec::new();
    let mut rest = plain.as_str();
    while let Some(c) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let known = WORDS.iter().find(|word| rest.starts_with(**word)).map_or(0, |word| word.len());
        let length = if known > 0 { known } else { run.max(c.len_utf8()) };
        if c.is_alphanumeric() {
            found.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    found
}

fn at(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

fn mention(id: &str, created: &str, text: &str) -> Mention {
    let platform = id.split(':').next().expect("a platform").to_owned();
    Mention {
        id: id.into(),
        platform,
        kind: Kind::Post,
        text: text.into(),
        summary: None,
        created_at: at(created),
        collected_at: at(created),
        url: None,
        source: None,
        official: None,
        parent: None,
        to: Vec::new(),
        counts: Counts::default(),
        listing: None,
        place: None,
        media: Vec::new(),
    }
}

fn reading(mention: &Mention, level: Level, class: Option<Class>, district: Option<&str>) -> Reading {
    let place = Place {
        verdict: if district.is_some() { Verdict::Yes } else { Verdict::No },
        district: district.map(String::from),
        township: district.map(|_| "沙井街道".to_owned()),
        ..Place::default()
    };
    let classes = class.into_iter().map(|class| ClassWeight { class, weight: 1.0 }).collect();
    let responsible = if level >= Level::L3 { vec!["U01".to_owned()] } else { Vec::new() };
    let assessment = Assessment { id: mention.id.clone(), place, classes, level, responsible, ..Assessment::default() };
    Reading { assessment, words: words(&mention.text).join("\u{1}"), bare: String::new() }
}

type Row = (&'static str, &'static str, &'static str, Level, Option<Class>, Option<&'static str>, Option<u64>);

/// Twelve mentions on three Shanghai days, `2026-10-01` to `2026-10-03`.
fn rows() -> Vec<Row> {
    use Class::{Ad, Edu, Food, Nd, Trans, Util, Wage};
    use Level::{L0, L1, L2, L3, L4};
    vec![
        ("weibo:1", "2026-10-01T08:00:00+08:00", "南昌红谷滩发生火灾", L3, Some(Ad), Some("360113"), Some(1)),
        ("weibo:2", "2026-10-01T09:00:00+08:00", "紅谷灘火災，居民已撤离", L3, Some(Ad), Some("360113"), Some(1)),
        ("weibo:3", "2026-10-01T23:59:59+08:00", "东湖停水两天了", L1, Some(Util), Some("360102"), None),
        ("tieba:4", "2026-10-02T00:00:00+08:00", "暴雨，地铁站积水", L3, Some(Nd), None, Some(2)),
        ("tieba:5", "2026-10-02T10:00:00+08:00", "暴雨后南昌多处积水", L2, Some(Nd), Some("360102"), Some(2)),
        ("tieba:6", "2026-10-02T10:00:00+08:00", "学校食堂饭菜变质", L2, Some(Food), Some("360111"), None),
        ("weibo:7", "2026-10-02T12:00:00+08:00", "学校停课吗", L1, Some(Edu), None, None),
        ("weibo:8", "2026-10-03T07:00:00+08:00", "拖欠工资三个月", L1, Some(Wage), Some("360111"), None),
        ("weibo:9", "2026-10-03T08:00:00+08:00", "火锅店的火，灾后重开", L0, None, None, None),
        ("tieba:10", "2026-10-03T09:00:00+08:00", "Metro line 3 地铁故障 ABC", L2, Some(Trans), Some("360113"), None),
        ("tieba:11", "2026-10-03T10:00:00+08:00", "红谷滩有人被困", L4, Some(Ad), Some("360113"), Some(3)),
        ("weibo:12", "2026-10-03T11:00:00+08:00", "AND 这个词 OR 那个词", L0, None, None, None),
    ]
}

/// A record of the one partition of these tests.
fn here(offset: u64) -> Position {
    Position { stream: "intake".to_owned(), partition: 0, offset }
}

/// Everything before an offset; nothing for 0.
fn upto(offset: u64) -> Positions {
    Positions::from(if offset == 0 { Vec::new() } else { vec![here(offset)] })
}

fn write(writer: &mut Writer, offset: u64, row: &Row) {
    let mention = mention(row.0, row.1, row.2);
    let reading = reading(&mention, row.3, row.4, row.5);
    writer.add(&here(offset), &mention, &reading, row.6.map(TopicId)).expect("adds");
}

fn write_all(dir: &Path) -> Writer {
    let mut writer = Writer::open(dir, MEMORY).expect("opens");
    for (offset, row) in rows().iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    writer.commit(&upto(12)).expect("commits");
    writer
}

fn searcher(dir: &Path) -> Searcher {
    Searcher::open(dir, Arc::new(words))
}

fn query(q: &str) -> Query {
    Query { q: q.into(), now: at("2026-10-03T12:00:00+08:00"), ..Query::default() }
}

fn numbers(page: &Page) -> Vec<u32> {
    page.hits.iter().map(|hit| hit.id.split(':').nth(1).expect("a number").parse().expect("a number")).collect()
}

fn syntax(result: Result<Page, QueryError>) -> String {
    match result {
        Err(QueryError::Syntax(detail)) => detail,
        other => panic!("expected a syntax error, got {other:?}"),
    }
}

#[test]
fn a_table_of_queries() {
    let dir = tempfile::tempdir().expect("a folder");
    let _writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let table: &[(&str, &[u32])] = &[
        ("火灾", &[2, 1]),
        ("火災", &[2, 1]),
        ("红谷滩火灾", &[2, 1]),
        ("红谷滩 AND 火灾", &[2, 1]),
        ("紅谷灘 -火灾", &[11]),
        ("红谷滩 NOT 火灾", &[11]),
        ("\"红谷滩火灾\"", &[2]),
        ("“红谷滩发生火灾”", &[1]),
        ("暴雨 OR 停水", &[5, 4, 3]),
        ("(暴雨 OR 停水) AND (南昌 OR 东湖)", &[5, 3]),
        ("学校 食堂 OR 工资", &[8, 6]),
        ("学*", &[7, 6]),
        ("红谷*", &[11, 2, 1]),
        ("metro ABC", &[10]),
        ("platform:tieba level:L3", &[4]),
        ("level:>=l3", &[11, 4, 2, 1]),
        ("class:nd", &[5, 4]),
        ("district:360113 NOT class:AD", &[10]),
        ("township:沙井街道 place:yes topic:T-2", &[5]),
        ("unit:U01 kind:post 暴雨", &[4]),
        ("id:\"weibo:1\"", &[1]),
        ("id:weibo:12", &[12]),
        ("time:[2026-10-01 TO 2026-10-01]", &[3, 2, 1]),
        ("time:2026-10-01 火灾", &[2, 1]),
        ("time:[2026-10-01T08:30 TO 2026-10-02T00:00]", &[4, 3, 2]),
        ("time:24h 学校", &[7]),
        ("time:[2026-10-03T10:00:00+08:00 TO *]", &[12, 11]),
        ("time:2026-10-01 OR 工资", &[8, 3, 2, 1]),
        ("\"AND\" \"OR\"", &[12]),
        ("NOT (place:no OR district:360113) ，", &[8, 6, 5, 3]),
        ("district:3601*  level:L1", &[8, 3]),
        ("topic:T-99", &[]),
    ];
    for (q, expected) in table {
        let page = searcher.search(&query(q)).unwrap_or_else(|error| panic!("{q}: {error}"));
        let mut got = numbers(&page);
        assert_eq!(page.total, expected.len() as u64, "{q}");
        let mut expected = expected.to_vec();
        if q.starts_with("NOT (") {
            // 5 and 6 are of the same millisecond.
            got.sort_unstable();
            expected.sort_unstable();
        }
        assert_eq!(got, expected, "{q}");
    }
    let all = searcher.search(&query("*")).expect("answers");
    assert_eq!((all.total, all.hits.len(), all.next), (12, 12, None));
}

#[test]
fn a_hit_tells_what_was_written_and_shows_the_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let _writer = write_all(dir.path());
    let page = searcher(dir.path()).search(&query("火灾 topic:T-1 time:2026-10-01 居民")).expect("answers");
    let [hit] = page.hits.as_slice() else { panic!("one hit, got {page:?}") };
    assert_eq!((hit.id.as_str(), hit.platform.as_str(), hit.kind.as_str()), ("weibo:2", "weibo", "post"));
    assert_eq!(hit.created_at, at("2026-10-01T09:00:00+08:00"));
    assert_eq!((hit.level.as_str(), hit.classes.as_slice()), ("L3", &["AD".to_owned()][..]));
    assert_eq!((hit.district.as_deref(), hit.topic.as_deref()), (Some("360113"), Some("T-1")));
    let shown: Vec<&str> = hit.highlights.iter().map(|(start, end)| &hit.text[*start..*end]).collect();
    assert_eq!(shown, ["火災", "居民"], "in the letters of the text");
    let ranked = Query { sort: Some("relevance".into()), ..query("红谷滩 OR 火灾") };
    let page = searcher(dir.path()).search(&ranked).expect("answers");
    assert_eq!(page.total, 3);
    assert!(page.hits.windows(2).all(|pair| pair[0].score >= pair[1].score), "best first");
    assert!(page.hits.iter().all(|hit| hit.score > 0.0));
}

#[test]
fn incidents_are_resolved_by_the_caller_or_refused_with_a_hint() {
    let dir = tempfile::tempdir().expect("a folder");
    let _writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    assert!(syntax(searcher.search(&query("incident:I-1"))).contains("topic:"));
    let expand = |id: &str| match id {
        "I-1" => Some(Belongs { topics: vec!["T-1".into(), "T-3".into()], mentions: vec!["tieba:10".into()] }),
        "I-2" => Some(Belongs::default()),
        "I-4" => Some(Belongs { topics: Vec::new(), mentions: vec!["weibo:12".into(), "weibo:none".into()] }),
        _ => None,
    };
    let page = searcher.search_with(&query("incident:I-1 红谷滩"), &expand).expect("answers");
    assert_eq!(numbers(&page), [11, 2, 1]);
    let page = searcher.search_with(&query("incident:i-1"), &expand).expect("answers");
    assert_eq!(numbers(&page), [11, 10, 2, 1], "its topics and the mentions known to belong to it");
    assert_eq!(numbers(&searcher.search_with(&query("incident:I-4"), &expand).expect("answers")), [12]);
    let without = searcher.search_with(&query("level:>=L3 NOT incident:I-1"), &expand).expect("answers");
    assert_eq!(numbers(&without), [4]);
    assert_eq!(searcher.search_with(&query("incident:I-2"), &expand).expect("answers").total, 0);
    assert!(syntax(searcher.search_with(&query("incident:I-3"), &expand)).contains("I-3"));
}

#[test]
fn what_is_committed_is_there_after_reopening_and_searchers_notice() {
    let dir = tempfile::tempdir().expect("a folder");
    let early = searcher(dir.path());
    assert_eq!(early.search(&query("*")).expect("an index not yet there is empty").total, 0);
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(*writer.positions(), upto(0));
    let rows = rows();
    write(&mut writer, 0, &rows[0]);
    assert_eq!(early.search(&query("*")).expect("answers").total, 0, "not committed yet");
    writer.commit(&upto(1)).expect("commits");
    assert_eq!(early.search(&query("*")).expect("answers").total, 1);
    drop(writer);
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(*writer.positions(), upto(1));
    assert!(writer.lost().is_empty());
    write(&mut writer, 1, &rows[1]);
    write(&mut writer, 2, &rows[11]);
    writer.commit(&upto(3)).expect("commits");
    assert_eq!(early.search(&query("*")).expect("answers").total, 3, "the same shard and a new one");
    let again = mention("weibo:2", rows[1].1, "红谷滩火灾已扑灭");
    writer.replace(&here(3), &again, &reading(&again, Level::L2, None, None), None).expect("replaces");
    writer.commit(&upto(4)).expect("commits");
    assert_eq!(numbers(&early.search(&query("火灾 level:L2")).expect("answers")), [2]);
    assert_eq!(early.count_id("weibo:2").expect("counts"), 1, "replaced, not added");
    assert!(writer.delete("weibo:1").expect("deletes"));
    assert!(!writer.delete("weibo:none").expect("deletes"));
    writer.commit(&upto(4)).expect("commits");
    assert_eq!(early.count_id("weibo:1").expect("counts"), 0);
    assert_eq!(early.search(&query("*")).expect("answers").total, 2);
    assert_eq!(writer.expire(Day::parse("2026-10-03").expect("a day")).expect("drops"), 1);
    assert_eq!(numbers(&early.search(&query("*")).expect("answers")), [12]);
}

#[test]
fn a_crash_between_two_shards_indexes_nothing_twice() {
    let rows = rows();
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    for (offset, row) in rows.iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    writer.commit_one(Day::parse("2026-10-02").expect("a day"), &upto(12)).expect("commits");
    drop(writer);
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(*writer.positions(), upto(0), "the position follows the last shard");
    assert_eq!(count_id(dir.path(), "tieba:5").expect("counts"), 1);
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 0);
    for (offset, row) in rows.iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    writer.commit(&upto(12)).expect("commits");
    for row in &rows {
        assert_eq!(count_id(dir.path(), row.0).expect("counts"), 1, "{}", row.0);
    }
    assert_eq!(Writer::open(&dir.path().join("other"), MEMORY).expect("opens").positions().total(), 0);
}

#[test]
fn more_days_than_open_shards_are_written_once_each() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    let start = at("2026-09-01T12:00:00+08:00");
    for offset in 0..21_u64 {
        let created = (start + Span::days((offset % 7) as i64)).to_string();
        let mention = mention(&format!("weibo:{offset}"), &created, "南昌暴雨");
        let reading = reading(&mention, Level::L1, None, None);
        writer.add(&here(offset), &mention, &reading, None).expect("adds");
    }
    drop(writer);
    // The crash came before the commit; shards that were closed for room kept theirs.
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    for offset in 0..21_u64 {
        let created = (start + Span::days((offset % 7) as i64)).to_string();
        let mention = mention(&format!("weibo:{offset}"), &created, "南昌暴雨");
        let reading = reading(&mention, Level::L1, None, None);
        writer.add(&here(offset), &mention, &reading, None).expect("adds");
    }
    writer.commit(&upto(21)).expect("commits");
    let page = searcher(dir.path()).search(&query("暴雨")).expect("answers");
    assert_eq!((page.total, page.hits.len()), (21, 20));
    assert_eq!(*writer.positions(), upto(21));
}

#[test]
fn a_broken_shard_is_moved_aside_and_rebuilt() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(write_all(dir.path()));
    let shard = dir.path().join("2026-10-02");
    std::fs::write(shard.join("meta.json"), "{ torn").expect("writes");
    assert_eq!(Writer::verify(dir.path()).expect("verifies").len(), 1);
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(*writer.positions(), upto(0));
    let [lost] = writer.lost() else { panic!("one shard lost: {:?}", writer.lost()) };
    assert_eq!(lost.shard, "2026-10-02");
    assert!(lost.moved_to.is_dir());
    for (offset, row) in rows().iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    writer.commit(&upto(12)).expect("commits");
    for row in rows() {
        assert_eq!(count_id(dir.path(), row.0).expect("counts"), 1, "{}", row.0);
    }
    assert!(Writer::verify(dir.path()).expect("verifies").is_empty());
}

#[test]
fn a_walk_shows_each_mention_once_while_indexing_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let mut seen = Vec::new();
    let mut cursor = None;
    let mut offset = 12;
    loop {
        let page = searcher.search(&Query { limit: 2, cursor: cursor.clone(), ..query("*") }).expect("answers");
        assert!(page.total >= 12);
        seen.extend(page.hits.iter().map(|hit| hit.id.clone()));
        for created in ["2026-10-03T11:30:00+08:00", "2026-10-04T11:30:00+08:00"] {
            let fresh = mention(&format!("new:{offset}"), created, "南昌 新的");
            let read = reading(&fresh, Level::L0, None, None);
            writer.add(&here(offset), &fresh, &read, None).expect("adds");
            offset += 1;
        }
        writer.commit(&upto(offset)).expect("commits");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "each once: {seen:?}");
    let mut old: Vec<&str> = rows().iter().map(|row| row.0).collect();
    old.sort_unstable();
    assert_eq!(once, old, "all that were there, none that came later with a later time");
    let bad = Query { cursor: Some("t🔥".into()), ..query("*") };
    assert!(syntax(searcher.search(&bad)).contains("cursor"));
}

#[test]
fn nobody_can_be_searched_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let searcher = searcher(dir.path());
    for q in [
        "author:zhang",
        "source:17",
        "火灾 AND 用户:张三",
        "13800138000",
        "\"138 0013 8000\"",
        "138 0013 8000",
        "township:13800138000",
        "赣A12345",
        "36010219900307123X",
        "zhang.san@example.com",
        "@zhangsan",
    ] {
        assert!(syntax(searcher.search(&query(q))).contains("events, never about"), "{q}");
    }
    assert!(searcher.search(&query("id:weibo:5123456789012345")).is_ok(), "a post is no person");
}

#[test]
fn errors_say_where_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let searcher = searcher(dir.path());
    for (q, part) in [
        ("", "nothing to search for"),
        ("，。", "nothing to search for"),
        ("火灾 \"红谷滩", "character 4: this quotation mark is not closed"),
        ("火灾 (红谷滩", "character 4: this bracket is not closed"),
        ("火灾)", "character 3: a closing bracket"),
        ("()", "nothing in these brackets"),
        ("AND 火灾", "character 1: AND needs"),
        ("火灾 OR", "character 4: OR needs"),
        ("NOT", "NOT needs"),
        ("level:L9", "none of L0"),
        ("colour:red", "no field colour"),
        ("level:", "has no value"),
        ("time:yesterday", "not a time"),
        ("time:[2026-10-01 TO", "not closed"),
    ] {
        let detail = syntax(searcher.search(&query(q)));
        assert!(detail.contains(part), "{q}: {detail}");
    }
    let heat = Query { sort: Some("loudest".into()), ..query("*") };
    assert!(syntax(searcher.search(&heat)).contains("loudest"));
    let heat = Query { sort: Some("heat".into()), ..query("*") };
    assert!(syntax(searcher.search(&heat)).contains("sort=level"));
    assert!(syntax(searcher.search(&query(&"火* ".repeat(9)))).contains("more than 8 beginnings"));
    assert!(searcher.search(&query(&"火* ".repeat(8))).is_ok());
    assert!(syntax(searcher.search(&query("platform:* AND (id:w* OR 火)"))).contains("at least 5 characters"));
    assert!(searcher.search(&query("id:weibo* platform:*")).is_ok());
    syntax(searcher.search(&query(&"(".repeat(1_000))));
    syntax(searcher.search(&query(&format!("{}火{}", "(".repeat(500), ")".repeat(500)))));
    syntax(searcher.search(&query(&"NOT ".repeat(400))));
    syntax(searcher.search(&query(&"火".repeat(10_000))));
    syntax(searcher.search(&query(&"火 ".repeat(900))));
}

#[test]
fn no_query_makes_it_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let _writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let typed =
        r#"(\PC|[()"“：:*\[\]-]| AND | OR | NOT |time:\[| TO |time:2026-10-02 |level:|火灾|学|红谷*|\* |id:|9d){0,40}"#;
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1_000));
    let outcome = runner.run(&typed, |q| {
        let result = searcher.search(&query(&q));
        prop_assert!(matches!(result, Ok(_) | Err(QueryError::Syntax(_))), "{:?}", result);
        Ok(())
    });
    outcome.expect("holds for every query");
    // And queries that can be read, put together at random: a NOT is the complement, an OR at least its parts.
    let leaf =
        prop::sample::select(vec!["火灾", "\"红谷滩 火灾\"", "学*", "level:L3", "place:no", "time:2026-10-02", "*"]);
    let outcome = runner.run(&(leaf.clone(), leaf), |(a, b)| {
        let total = |q: String| searcher.search(&query(&q)).map(|page| page.total);
        let one = total(a.to_owned()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let two = total(b.to_owned()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(total(format!("NOT ({a})")), Ok(12 - one));
        let (both, either) = (total(format!("{a} {b}")), total(format!("({a}) OR ({b})")));
        let both = both.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(either, Ok(one + two - both), "{} and {}", a, b);
        Ok(())
    });
    outcome.expect("sets add up");
}

#[test]
fn a_flipped_byte_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(write_all(dir.path()));
    assert!(Writer::verify(dir.path()).expect("verifies").is_empty());
    let files = std::fs::read_dir(dir.path().join("2026-10-03")).expect("a shard");
    let stores =
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "store"));
    let store = stores.into_iter().next().expect("a store");
    let mut bytes = std::fs::read(&store).expect("reads");
    bytes[10] ^= 0x40;
    std::fs::write(&store, bytes).expect("writes");
    let bad = Writer::verify(dir.path()).expect("verifies");
    assert!(bad.len() == 1 && bad[0].starts_with("2026-10-03"), "{bad:?}");
    let writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!((writer.lost().len(), writer.positions().total()), (1, 0));
}
