//! How fast searches are: told, not judged. Run by hand over a file of mentions, which it indexes into a folder of its own.
//!
//! `YUQING_MENTIONS=FILE cargo test --lib run::search::speed -- --nocapture`

use super::*;
use crate::index::Writer;
use crate::ledger::{Position, Positions};
use crate::mention::Mention;
use crate::run::assess::record;
use crate::run::{lines, tables};
use crate::settings::read_dictionaries;
use crate::time::Instant;
use std::path::Path;

/// Bytes for indexing, as the settings have it.
const MEMORY: usize = 256 << 20;
const QUERIES: &[(&str, &str)] = &[
    ("*", "time"),
    ("*", "level"),
    ("南昌", "time"),
    ("暴雨", "time"),
    ("暴雨", "relevance"),
    ("地震 OR 暴雨 OR 火灾", "time"),
    ("学校 学生", "time"),
    ("\"消防救援\"", "time"),
    ("level:>=L3", "time"),
    ("class:ND NOT 地震", "level"),
    ("学*", "time"),
    ("1*", "time"),
    ("a* b* c* d* e* 1* 2* 3*", "time"),
    ("time:30d 火灾", "time"),
    ("time:[2025-04-01 TO 2025-04-02]", "time"),
    ("platform:weibo-hot", "time"),
    ("id:weibo*", "time"),
];

#[test]
fn tells_how_long_common_queries_take() {
    let Ok(file) = std::env::var("YUQING_MENTIONS") else { return };
    let sources = read_dictionaries(Path::new("dictionaries"), false).expect("the dictionaries");
    let tables = tables::load(&sources).expect("the tables");
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    let reader = Arc::new(tables.reader);
    let mut offset = 0;
    let (began, mut last) = (std::time::Instant::now(), Instant::default());
    lines(Path::new(&file), &mut |_| {}, &mut |number, line| {
        let Ok(mention): Result<Mention, _> = record(&tables.door, number, line) else { return Ok(()) };
        let at = Position { stream: "mentions".into(), partition: 0, offset };
        writer.add(&at, &mention, &reader.read(&mention), None)?;
        (offset, last) = (offset + 1, last.max(mention.created_at));
        Ok(())
    })
    .expect("reads");
    let next = Position { stream: "mentions".into(), partition: 0, offset };
    writer.commit(&Positions::from(vec![next])).expect("commits");
    eprintln!("{offset} mentions indexed in {:.1} s", began.elapsed().as_secs_f64());
    let searcher = Searcher::open(dir.path(), Arc::new(move |text: &str| reader.words(text)));
    for (q, sort) in QUERIES {
        let asked = Query { q: (*q).into(), sort: Some((*sort).into()), now: last, ..Query::default() };
        let pages: Vec<_> = (0..15).map(|_| searcher.search(&asked).expect("answers")).collect();
        let mut took: Vec<u64> = pages.iter().map(|page| page.took_us).collect();
        let (first, total) = (took[0], pages[0].total);
        took.sort_unstable();
        let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
        eprintln!("{median:>8} us median {first:>8} first {most:>8} most {total:>8} hits  {sort:<9} {q}");
    }
}
