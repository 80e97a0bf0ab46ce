//! Facets, histogram, orders, walks and exports.

use super::*;
use crate::index::{Exported, Facet, Format, Hit};
use std::ops::ControlFlow;

fn told(facets: &[Facet]) -> Vec<(&str, u64)> {
    facets.iter().map(|facet| (facet.value.as_str(), facet.count)).collect()
}

#[test]
fn every_page_tells_how_all_matches_are_spread() {
    let dir = tempfile::tempdir().expect("a folder");
    let _writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let page = searcher.search(&Query { limit: 2, ..query("*") }).expect("answers");
    assert_eq!((page.hits.len(), page.facets.of), (2, 12), "of all matches, not of the page");
    assert_eq!(told(&page.facets.platform), [("weibo", 7), ("tieba", 5)]);
    assert_eq!(told(&page.facets.level), [("L1", 3), ("L2", 3), ("L3", 3), ("L0", 2), ("L4", 1)]);
    assert_eq!(told(&page.facets.class)[..2], [("AD", 3), ("ND", 2)]);
    assert_eq!(told(&page.facets.district), [("360113", 4), ("360102", 2), ("360111", 2)]);
    let day = |text: &str, count| (at(text), count);
    let bars = |page: &Page| -> Vec<(Instant, u64)> {
        page.histogram.buckets.iter().map(|bucket| (bucket.at, bucket.count)).collect()
    };
    assert_eq!(page.histogram.step_s, 86_400);
    let days =
        [day("2026-10-01T00:00:00+08:00", 3), day("2026-10-02T00:00:00+08:00", 4), day("2026-10-03T00:00:00+08:00", 5)];
    assert_eq!(bars(&page), days, "by days of Shanghai");
    let second = searcher.search(&Query { limit: 2, cursor: page.next.clone(), ..query("*") }).expect("answers");
    assert_eq!((&second.facets, &second.histogram), (&page.facets, &page.histogram), "the same on every page");
    let hourly = searcher.search(&query("(暴雨 OR 学校) time:2026-10-02")).expect("answers");
    assert_eq!(hourly.histogram.step_s, 3_600);
    let hours =
        [day("2026-10-02T00:00:00+08:00", 1), day("2026-10-02T10:00:00+08:00", 2), day("2026-10-02T12:00:00+08:00", 1)];
    assert_eq!(bars(&hourly), hours);
    let none = searcher.search(&query("没有的词")).expect("answers");
    assert_eq!((none.facets.of, none.histogram.buckets.len()), (0, 0));
    let value = serde_json::to_value(&page).expect("json");
    assert_eq!(value["facets"]["platform"][0], serde_json::json!({"value": "weibo", "count": 7}));
    assert_eq!(value["histogram"]["buckets"][0]["at"], "2026-09-30T16:00:00Z");
}

#[test]
fn years_fit_into_a_bounded_histogram() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    let start = at("2023-01-01T12:00:00+08:00");
    for offset in 0..12_u64 {
        let created = (start + Span::days(offset as i64 * 90)).to_string();
        let mention = mention(&format!("weibo:{offset}"), &created, "南昌暴雨");
        writer.add(&here(offset), &mention, &reading(&mention, Level::L1, None, None), None).expect("adds");
    }
    writer.commit(&upto(12)).expect("commits");
    let histogram = searcher(dir.path()).search(&query("*")).expect("answers").histogram;
    assert_eq!(histogram.step_s % 86_400, 0);
    let (first, last) = (histogram.buckets[0].at, histogram.buckets[histogram.buckets.len() - 1].at);
    assert!((last - first).0 / 1_000 / histogram.step_s as i64 <= 92);
    assert_eq!(histogram.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 12);
}

#[test]
fn by_level_the_gravest_come_first_and_a_walk_misses_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let mut wanted: Vec<(Level, Instant, u64, String)> =
        rows().iter().map(|row| (row.3, at(row.1), crate::index::schema::tie_of(row.0), row.0.to_owned())).collect();
    wanted.sort_by(|one, other| other.cmp(one));
    let wanted: Vec<String> = wanted.into_iter().map(|row| row.3).collect();
    let sort = Some("level".to_owned());
    let (mut seen, mut cursor, mut offset) = (Vec::new(), None, 12);
    loop {
        let asked = Query { limit: 5, cursor: cursor.clone(), sort: sort.clone(), ..query("*") };
        let page = searcher.search(&asked).expect("answers");
        seen.extend(page.hits.iter().map(|hit| hit.id.clone()));
        let fresh = mention(&format!("new:{offset}"), "2026-10-04T00:00:00+08:00", "新的");
        writer.add(&here(offset), &fresh, &reading(&fresh, Level::L4, None, None), None).expect("adds");
        offset += 1;
        writer.commit(&upto(offset)).expect("commits");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, wanted);
    let page = searcher.search(&Query { limit: 2, ..query("*") }).expect("answers");
    let other = Query { sort, cursor: page.next, ..query("*") };
    assert!(syntax(searcher.search(&other)).contains("cursor"), "a cursor belongs to its order");
}

#[test]
fn a_walk_is_longer_than_a_page_and_ends_when_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    let start = at("2026-10-01T23:00:00+08:00");
    for offset in 0..1_203_u64 {
        let created = (start + Span::minutes(offset as i64 / 8)).to_string();
        let mention = mention(&format!("weibo:{offset}"), &created, "南昌暴雨");
        writer.add(&here(offset), &mention, &reading(&mention, Level::L1, None, None), None).expect("adds");
    }
    writer.commit(&upto(1_203)).expect("commits");
    let searcher = searcher(dir.path());
    for sort in ["time", "level"] {
        let asked = Query { sort: Some(sort.into()), ..query("暴雨") };
        let mut seen: Vec<Hit> = Vec::new();
        let mut take = |hit| {
            seen.push(hit);
            ControlFlow::Continue(())
        };
        let walked = searcher.walk(&asked, None, usize::MAX, &mut take).expect("answers");
        assert_eq!((walked.rows, walked.total, seen.len()), (1_203, 1_203, 1_203), "{sort}");
        assert!(seen.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at), "{sort}");
        let ids: std::collections::BTreeSet<&str> = seen.iter().map(|hit| hit.id.as_str()).collect();
        assert_eq!(ids.len(), 1_203, "{sort}");
    }
    let mut left = 700;
    let mut some = |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert_eq!(searcher.walk(&query("*"), None, 1_000, &mut some).expect("answers").rows, 699);
    let counted = searcher.walk(&query("*"), None, 0, &mut |_| panic!("none was wanted")).expect("answers");
    assert_eq!((counted.rows, counted.total), (0, 1_203));
}

#[test]
fn an_export_has_what_the_search_finds() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    let formula = mention("weibo:13", "2026-10-03T12:00:00+08:00", "=cmd|' /C calc'!A0 停水,\"现在\"");
    writer.add(&here(12), &formula, &reading(&formula, Level::L1, None, None), None).expect("adds");
    writer.commit(&upto(13)).expect("commits");
    let searcher = searcher(dir.path());
    let export = |format| -> Exported { searcher.export(&query("停水"), None, format).expect("answers") };
    let csv = export(Format::Csv);
    assert_eq!((csv.rows, csv.total), (2, 2));
    let text = String::from_utf8(csv.body).expect("text");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "id,created_at,platform,kind,level,classes,district,township,topic,text");
    assert_eq!(lines[1], "weibo:13,2026-10-03T04:00:00Z,weibo,post,L1,,,,,\"'=cmd|' /C calc'!A0 停水,\"\"现在\"\"\"");
    assert_eq!(lines[2], "weibo:3,2026-10-01T15:59:59Z,weibo,post,L1,UTIL,360102,沙井街道,,东湖停水两天了");
    let jsonl = String::from_utf8(export(Format::Jsonl).body).expect("text");
    let ids: Vec<String> = jsonl.lines().map(|line| serde_json::from_str::<Hit>(line).expect("a hit").id).collect();
    assert_eq!(ids, ["weibo:13", "weibo:3"]);
    syntax(searcher.export(&query("("), None, Format::Csv).map(|_| Page::default()));
}
