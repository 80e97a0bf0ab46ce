//! The written day: 2026-10-01 in Nanchang as the demo, the backtest of the demo and the bench see it.
//!
//! In: a seed and how much background. Out: records as they would come through the door, in the order in which they
//! were collected, and what was planted among them. Written by us from the files under `demo/`, about nobody real; the
//! same seed gives the same bytes everywhere.

mod rng;
mod script;

use crate::assess::Level;
use crate::time::{Instant, Span};
use rng::Rng;
use script::{Group, Script};
use std::collections::BTreeMap;

/// Background records of the demo.
pub const BACKGROUND: usize = 20_000;
/// Authors of the background.
pub const AUTHORS: usize = 8_000;
/// When the day begins: 2026-10-01 00:00 in Shanghai, a public holiday.
pub const START: Instant = Instant::from_millis(1_790_784_000_000);

/// Platforms, and their share of a hundred.
const PLATFORMS: [&str; 5] = ["weibo", "wechat", "douyin", "xiaohongshu", "forum"];
const PLATFORM_SHARES: [u32; 5] = [40, 16, 20, 16, 8];
/// Shares of the hours: quiet from 2 to 6, busiest in the evening.
const HOURS: [u32; 24] =
    [36, 22, 14, 10, 9, 12, 24, 42, 56, 62, 64, 66, 76, 70, 62, 60, 60, 64, 72, 84, 92, 90, 74, 52];
/// Complaints of one class at one township: single requests stay single.
const COMPLAINTS_AT: u32 = 1;
/// Share of a hundred of background posts that somebody passes on.
const REPOSTS: usize = 4;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// When it was collected: the order of the day.
    pub at: Instant,
    /// The record, one JSON line without its end.
    pub json: String,
}

/// One thing the day holds on purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planted {
    /// Scenario, with its case: `T01`, `T02a`.
    pub scenario: String,
    /// The level it must be raised with; `None` for what must not be raised.
    pub expected: Option<Level>,
    /// Ids of its records, in the order of the day.
    pub ids: Vec<String>,
    /// What it is, in Chinese.
    pub what: String,
    /// `created_at` of its first record.
    pub first: Instant,
}

/// A written day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Day {
    /// Its first instant.
    pub start: Instant,
    /// All records, in the order in which they were collected.
    pub posts: Vec<Post>,
    /// What is planted.
    pub planted: Vec<Planted>,
}

/// A record before it has its id.
struct Draft {
    created: Instant,
    collected: Instant,
    platform: &'static str,
    author: String,
    official: bool,
    kind: &'static str,
    /// Index of the draft it hangs on.
    parent: Option<usize>,
    text: String,
    /// Index of the planted event.
    event: Option<usize>,
}

impl Day {
    /// Writes the day. `background` is the number of records besides the planted ones; [`BACKGROUND`] for the demo.
    pub fn write(seed: u64, background: usize) -> Day {
        let script = Script::read();
        let mut rng = Rng::new(seed);
        let mut drafts = Vec::with_capacity(background + 256);
        write_background(&script, background, &mut rng, &mut drafts);
        write_planted(&script, &mut rng, &mut drafts);
        assemble(&script, &drafts)
    }
}

fn write_background(script: &Script, count: usize, rng: &mut Rng, drafts: &mut Vec<Draft>) {
    let mut times: Vec<Instant> = (0..count).map(|_| draw_time(rng)).collect();
    times.sort_unstable();
    let shares: Vec<u32> = script.groups.iter().map(|group| group.share).collect();
    let mut complaints = BTreeMap::new();
    for created in times {
        let group = &script.groups[rng.share(&shares)];
        let number = rng.below(AUTHORS);
        let platform = platform_of(number);
        let author = format!("u{number:05}");
        let earlier = drafts.len();
        let mut parent = None;
        let mut kind = "post";
        let mut text = None;
        if earlier > 0 && group.name == "comment" {
            parent = Some(earlier - 1 - rng.below(earlier.min(300)));
            kind = "comment";
        } else if earlier > 0 && rng.below(100) < REPOSTS {
            let of = earlier - 1 - rng.below(earlier.min(300));
            parent = Some(of);
            kind = "repost";
            text = Some(drafts[of].text.clone());
        }
        let text = text.unwrap_or_else(|| write_text(script, group, &mut complaints, rng));
        let collected = created + Span::seconds(rng.between(2, 20) as i64);
        let draft = Draft { created, collected, platform, author, official: false, kind, parent, text, event: None };
        drafts.push(draft);
    }
}

/// A time of the day, each hour as likely as its share.
fn draw_time(rng: &mut Rng) -> Instant {
    let hour = rng.share(&HOURS) as i64;
    START + Span::hours(hour) + Span::seconds(rng.below(3_600) as i64)
}

/// Every author has one platform.
fn platform_of(author: usize) -> &'static str {
    PLATFORMS[Rng::new(author as u64).share(&PLATFORM_SHARES)]
}

fn write_text(
    script: &Script,
    group: &Group,
    complaints: &mut BTreeMap<(&'static str, &'static str), u32>,
    rng: &mut Rng,
) -> String {
    let template = *rng.pick(&group.texts);
    let Some((class, body)) = template.split_once(' ').filter(|_| group.name == "complaint") else {
        return script.fill(template, rng);
    };
    // Drawn anew where the township has its complaint of this class; a full day falls back to small talk.
    for _ in 0..8 {
        let town: &'static str = script.slots.get("town").map(|towns| *rng.pick(towns)).unwrap_or_default();
        let said = complaints.entry((town, class)).or_default();
        if *said < COMPLAINTS_AT {
            *said += 1;
            return script.fill(&body.replace("{town}", town), rng);
        }
    }
    let talk = &script.groups[0];
    let template = *rng.pick(&talk.texts);
    script.fill(template, rng)
}

fn write_planted(script: &Script, rng: &mut Rng, drafts: &mut Vec<Draft>) {
    let mut lone = 0_u32;
    for (index, event) in script.events.iter().enumerate() {
        let mut firsts = Vec::with_capacity(event.says.len());
        for say in &event.says {
            firsts.push(drafts.len());
            for step in 0..say.count {
                let length = (say.to.0 - say.from.0) / 1_000;
                let created = START + say.from + Span::seconds(length * step as i64 / say.count.max(1) as i64);
                let author = match say.author {
                    Some(name) => format!("{}-{name}", event.name.to_lowercase()),
                    None => {
                        lone += 1;
                        format!("{}-m{lone:03}", event.name.to_lowercase())
                    }
                };
                drafts.push(Draft {
                    created,
                    collected: created + Span::seconds(rng.between(2, 9) as i64),
                    platform: say.platform,
                    author,
                    official: say.author == Some("nc-water"),
                    kind: say.kind,
                    parent: say.parent.and_then(|parent| firsts.get(parent - 1).copied()),
                    text: script.fill(say.text, rng),
                    event: Some(index),
                });
            }
        }
    }
}

/// Gives ids in the order of the day and writes the records.
fn assemble(script: &Script, drafts: &[Draft]) -> Day {
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by_key(|&index| (drafts[index].collected, index));
    let mut ids = vec![String::new(); drafts.len()];
    for (number, &index) in order.iter().enumerate() {
        ids[index] = format!("{}:d{:06}", drafts[index].platform, number + 1);
    }
    let mut planted: Vec<Planted> = script
        .events
        .iter()
        .map(|event| Planted {
            scenario: event.name.to_owned(),
            expected: event.expected,
            ids: Vec::new(),
            what: event.title.to_owned(),
            first: START + event.says.iter().map(|say| say.from).min().unwrap_or_default(),
        })
        .collect();
    let mut posts = Vec::with_capacity(drafts.len());
    for &index in &order {
        let draft = &drafts[index];
        if let Some(event) = draft.event {
            planted[event].ids.push(ids[index].clone());
        }
        posts.push(Post { at: draft.collected, json: record(draft, &ids[index], draft.parent.map(|at| &ids[at])) });
    }
    Day { start: START, posts, planted }
}

fn record(draft: &Draft, id: &str, parent: Option<&String>) -> String {
    let mut author = serde_json::json!({ "id": draft.author });
    if draft.official {
        author["name"] = "南昌水业".into();
        author["verified"] = "organisation".into();
    }
    let mut record = serde_json::json!({
        "id": id,
        "platform": draft.platform,
        "kind": draft.kind,
        "text": draft.text,
        "created_at": draft.created.rfc3339_shanghai(),
        "collected_at": draft.collected.rfc3339_shanghai(),
        "author": author,
    });
    if let Some(parent) = parent {
        record["parent"] = serde_json::json!({ "id": parent });
    }
    record.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn field(post: &Post, name: &str) -> String {
        let record: serde_json::Value = serde_json::from_str(&post.json).expect("a record is JSON");
        record[name].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (one, two, other) = (Day::write(7, 2_000), Day::write(7, 2_000), Day::write(8, 2_000));
        assert_eq!(one, two);
        assert_ne!(one.posts, other.posts);
        assert_eq!(one.start.rfc3339_shanghai(), "2026-10-01T00:00:00+08:00");
    }

    #[test]
    fn a_full_day_has_its_counts_and_its_order() {
        let day = Day::write(1, BACKGROUND);
        let planted: usize = day.planted.iter().map(|planted| planted.ids.len()).sum();
        assert_eq!(day.posts.len(), BACKGROUND + planted);
        assert!(day.posts.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let ids: BTreeSet<String> = day.posts.iter().map(|post| field(post, "id")).collect();
        assert_eq!(ids.len(), day.posts.len());
        assert!(day.planted.iter().flat_map(|planted| &planted.ids).all(|id| ids.contains(id)));
        let mut authors = BTreeSet::new();
        let mut platforms = BTreeSet::new();
        let mut texts = BTreeSet::new();
        for post in &day.posts {
            let record: serde_json::Value = serde_json::from_str(&post.json).expect("a record is JSON");
            authors.insert(record["author"]["id"].as_str().expect("an author").to_owned());
            platforms.insert(field(post, "platform"));
            texts.insert(field(post, "text"));
            let created = Instant::parse(&field(post, "created_at")).expect("a time");
            assert!(created < START + Span::hours(24) && created >= START);
            assert!(Instant::parse(&field(post, "collected_at")).is_some_and(|at| at > created));
        }
        assert!((7_000..=8_300).contains(&authors.len()), "{}", authors.len());
        assert_eq!(platforms.len(), 5);
        assert!(texts.len() > BACKGROUND * 7 / 10, "{} texts", texts.len());
    }

    #[test]
    fn night_is_quiet_and_evening_is_not() {
        let day = Day::write(1, BACKGROUND);
        let at = |hour: u32| day.posts.iter().filter(|post| post.at.minute_of_day() / 60 == hour).count();
        assert!(at(20) > 5 * at(3), "{} and {}", at(20), at(3));
    }

    #[test]
    fn the_first_scenario_is_as_the_taxonomy_says() {
        let day = Day::write(3, 100);
        let flood = day.planted.iter().find(|planted| planted.scenario == "T01").expect("T01 is planted");
        assert_eq!((flood.ids.len(), flood.expected), (37, Some(Level::L4)));
        assert_eq!(flood.first.hour_minute(), "02:03");
        let mut sources = BTreeSet::new();
        for post in day.posts.iter().filter(|post| flood.ids.contains(&field(post, "id"))) {
            let record: serde_json::Value = serde_json::from_str(&post.json).expect("a record is JSON");
            sources.insert(record["author"]["id"].as_str().expect("an author").to_owned());
        }
        assert_eq!(sources.len(), 21);
        let silent = day.planted.iter().filter(|planted| planted.expected.is_none()).count();
        assert_eq!((day.planted.len(), silent), (14, 5));
    }

    #[test]
    fn every_parent_is_of_the_day() {
        let day = Day::write(5, 3_000);
        let mut seen = BTreeSet::new();
        let mut children = 0;
        for post in &day.posts {
            let record: serde_json::Value = serde_json::from_str(&post.json).expect("a record is JSON");
            if let Some(parent) = record["parent"]["id"].as_str() {
                children += 1;
                assert_ne!(parent, record["id"]);
            }
            seen.insert(field(post, "id"));
        }
        assert!(children > 300, "{children}");
        let parents = day.posts.iter().filter_map(|post| {
            serde_json::from_str::<serde_json::Value>(&post.json).ok()?["parent"]["id"].as_str().map(str::to_owned)
        });
        assert!(parents.into_iter().all(|parent| seen.contains(&parent)), "a parent that is not of the day");
    }

    #[test]
    fn single_complaints_stay_single() {
        let day = Day::write(1, BACKGROUND);
        let lights = |post: &&Post| field(post, "kind") == "post" && post.json.contains("路灯不亮");
        let mut towns = BTreeMap::<String, u32>::new();
        for post in day.posts.iter().filter(lights) {
            let text = field(post, "text");
            let town: String = text.chars().take(7).collect();
            *towns.entry(town).or_default() += 1;
        }
        assert!(towns.values().all(|count| *count == 1), "{towns:?}");
    }
}
