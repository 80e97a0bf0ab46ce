//! The watch on made-up mentions of nobody real.

use super::*;
use crate::assess::{Assessment, Cause, Claim, ClaimKind, ClassWeight, Noise, Request, Verdict, What};
use crate::mention::{Kind, Listing, Parent, SourceKey};
use crate::time::Span;

fn at(minute: i64) -> Instant {
    Instant::parse("2026-11-20T08:00:00+08:00").expect("valid") + Span::minutes(minute)
}

fn mention(id: &str, minute: i64, source: u64, text: &str) -> Mention {
    Mention {
        id: format!("weibo:{id}"),
        platform: "weibo".to_owned(),
        kind: Kind::Post,
        text: text.to_owned(),
        summary: None,
        created_at: at(minute),
        collected_at: at(minute),
        url: None,
        source: Some(SourceKey(source)),
        official: None,
        parent: None,
        to: Vec::new(),
        counts: Counts::default(),
        listing: None,
        place: None,
        media: Vec::new(),
    }
}

fn event(text: &str, class: Class, level: Level, verdict: Verdict, township: Option<&str>) -> Reading {
    let cause = Cause {
        part: "level".to_owned(),
        rule: "test".to_owned(),
        words: text.chars().skip(4).take(3).collect(),
        start: 0,
        end: 0,
        weight: 1.0,
        within: None,
    };
    let place = Place { verdict, township: township.map(str::to_owned), ..Place::default() };
    let classes = vec![ClassWeight { class, weight: 0.9 }];
    let assessment =
        Assessment { place, classes, level, what: What::Event, causes: vec![cause], ..Assessment::default() };
    Reading { assessment, words: String::new(), bare: text.chars().filter(|c| c.is_alphanumeric()).collect() }
}

fn noise(text: &str, noise: Option<Noise>) -> Reading {
    let mut reading = event(text, Class::Nd, Level::L0, Verdict::Yes, None);
    reading.assessment.classes.clear();
    reading.assessment.what = What::Noise;
    reading.assessment.noise = noise;
    reading
}

const BUBBLES: &str = "扬子洲镇联圩堤脚冒水泡，泡泉一个接一个，村里的人都跑出来看，请赶快派人来";
const GAS: &str = "老福山附近小区燃气爆炸，玻璃碎了一地，有人被埋在下面，消防车刚刚到达";

fn bubbles() -> Reading {
    event(BUBBLES, Class::Nd, Level::L4, Verdict::Yes, Some("扬子洲镇"))
}

#[test]
fn one_credible_eyewitness_of_danger_is_enough_and_said_to_be_unverified() {
    let mut watch = Watch::new(Rules::default());
    let taken = watch.take(&mention("1", 0, 1, BUBBLES), &bubbles());
    let finding = taken.findings.first().expect("raised");
    assert_eq!((finding.kind, finding.level, finding.unverified), (FindingKind::Raised, Level::L4, true));
    assert!(finding.title.starts_with("扬子洲镇 "));
    assert_eq!(finding.first_mention, at(0));
    let second = watch.take(&mention("2", 3, 2, BUBBLES), &bubbles());
    assert_eq!((second.topic, second.joined, second.findings.len()), (taken.topic, Joined::Same, 0));
    let third = watch.take(&mention("3", 6, 3, BUBBLES), &bubbles());
    let finding = third.findings.first().expect("verified by the third source");
    assert_eq!((finding.kind, finding.unverified), (FindingKind::Changed, false));
    assert_eq!(watch.members(finding.topic.expect("a topic")).1, 3);
}

#[test]
fn places_decide_whether_danger_is_raised() {
    let raised = |verdict, any_place| {
        let mut watch = Watch::new(Rules { any_place, ..Rules::default() });
        watch.take(&mention("1", 0, 1, GAS), &event(GAS, Class::Ad, Level::L4, verdict, None))
    };
    assert!(raised(Verdict::Possible, false).findings[0].reason.contains("地点未核实"));
    assert_eq!(raised(Verdict::No, false).withheld, Some(Withheld::Elsewhere));
    assert_eq!(raised(Verdict::Related, false).withheld, Some(Withheld::Elsewhere));
    assert_eq!(raised(Verdict::No, true).findings.len(), 1);
}

#[test]
fn contained_events_need_sources_and_repeats_by_one_are_none() {
    let text = "红谷滩某小区停水两天，几百户居民没有水用，物业说不清楚什么时候恢复";
    let reading = event(text, Class::Util, Level::L2, Verdict::Yes, None);
    let mut watch = Watch::new(Rules::default());
    for n in 0..6 {
        assert_eq!(watch.take(&mention(&format!("a{n}"), n, 1, text), &reading).withheld, Some(Withheld::Digest));
    }
    assert!(watch.take(&mention("b", 60, 2, text), &reading).findings.is_empty());
    assert_eq!(watch.take(&mention("c", 90, 3, text), &reading).findings.len(), 1);
}

#[test]
fn one_request_for_thirty_unpaid_workers_is_raised_at_once() {
    let text = "新建区长堎某工地老板欠我们30个人两个月工资，过年怎么办";
    let mut reading = event(text, Class::Wage, Level::L2, Verdict::Yes, None);
    reading.assessment.what = What::Request;
    reading.assessment.request = Some(Request::Complaint);
    let taken = Watch::new(Rules::default()).take(&mention("1", 0, 1, text), &reading);
    assert_eq!(taken.findings.first().map(|finding| finding.level), Some(Level::L2));
    assert!(taken.findings[0].reason.contains("30"));
}

#[test]
fn drills_and_their_retellings_are_withheld_but_an_eyewitness_is_not() {
    let text = "今天上午九点化工园区将举行爆炸事故应急演练，届时会有烟雾和警报声，请附近居民不要惊慌";
    let mut watch = Watch::new(Rules::default());
    let announced = watch.take(&mention("1", 0, 1, text), &noise(text, Some(Noise::Drill)));
    assert_eq!(announced.withheld, Some(Withheld::Drill));
    let mut retold = mention("2", 10, 2, "化工园区爆炸了");
    retold.kind = Kind::Repost;
    retold.parent = Some(Parent { id: "weibo:1".to_owned() });
    let reading = event("化工园区爆炸了", Class::Ad, Level::L4, Verdict::Yes, None);
    assert_eq!(watch.take(&retold, &reading).withheld, Some(Withheld::Drill));
    let seen = watch.take(&mention("3", 20, 3, GAS), &event(GAS, Class::Ad, Level::L4, Verdict::Yes, None));
    assert_eq!(seen.findings.len(), 1);
}

#[test]
fn old_news_starts_nothing_until_many_tell_it_within_half_an_hour() {
    let text = "南昌某大桥垮塌多辆车落水，现场视频太吓人了，其实是前些年的视频又被翻出来";
    let mut watch = Watch::new(Rules::default());
    let mut kinds = Vec::new();
    for n in 0..25 {
        let taken = watch.take(&mention(&n.to_string(), n, n as u64, text), &noise(text, Some(Noise::OldNews)));
        kinds.extend(taken.findings.iter().map(|finding| (n, finding.kind)));
    }
    assert_eq!(kinds, [(19, FindingKind::Clarify)]);
}

#[test]
fn after_an_official_refutation_retellings_change_nothing() {
    let text = "听说青云水厂被污染了，家里的水别喝，赶紧去超市囤水，大家互相转告";
    let rumour = event(text, Class::Util, Level::L3, Verdict::Yes, None);
    let mut watch = Watch::new(Rules::default());
    assert_eq!(watch.take(&mention("1", 0, 1, text), &rumour).findings.len(), 1);
    let mut answer = mention("2", 60, 2, "青云水厂出厂水检测合格，网传水厂被污染不实");
    answer.official = Some("U01".to_owned());
    answer.kind = Kind::Comment;
    answer.parent = Some(Parent { id: "weibo:1".to_owned() });
    let mut reading = rumour.clone();
    reading.assessment.what = What::Clarification;
    let told = watch.take(&answer, &reading);
    assert_eq!(told.joined, Joined::Parent);
    let mut worse = rumour;
    worse.assessment.level = Level::L4;
    for n in 3..9 {
        assert!(watch.take(&mention(&n.to_string(), 60 + n, n as u64, text), &worse).findings.is_empty());
    }
}

#[test]
fn two_events_at_one_place_stay_two_and_one_told_by_two_places_stays_one() {
    let fire = "扬子洲镇一家木材厂着火，浓烟滚滚，火势很大，已经烧到旁边的民房";
    let mut watch = Watch::new(Rules::default());
    let one = watch.take(&mention("1", 0, 1, BUBBLES), &bubbles()).topic;
    let two =
        watch.take(&mention("2", 1, 2, fire), &event(fire, Class::Ad, Level::L3, Verdict::Yes, Some("扬子洲镇"))).topic;
    assert_ne!(one, two);
    let retold = format!("{BUBBLES}，东新乡这边也听说了");
    let told = watch.take(&mention("3", 2, 3, &retold), &event(&retold, Class::Nd, Level::L4, Verdict::Yes, None));
    assert_eq!(told.topic, one);
    let moved = BUBBLES.replace("扬子洲镇联圩", "蒋巷镇北联圩");
    let other =
        watch.take(&mention("4", 3, 4, &moved), &event(&moved, Class::Nd, Level::L4, Verdict::Yes, Some("蒋巷镇")));
    assert!(!matches!(other.joined, Joined::Near(_)), "another township is no near copy: {:?}", other.joined);
}

#[test]
fn a_hot_list_entry_of_a_sensitive_class_is_raised_at_first_capture_and_only_once() {
    let text = "南昌一工地塔吊倒塌致人受伤";
    let mut reading = event(text, Class::Ad, Level::L2, Verdict::Yes, None);
    reading.assessment.claims = vec![Claim { kind: ClaimKind::Injured, value: None, words: "受伤".to_owned() }];
    let mut watch = Watch::new(Rules::default());
    let listed = |capture: i64| {
        let mut listing = mention(&format!("e@{capture}"), capture * 60, 0, text);
        listing.kind = Kind::Listing;
        listing.source = None;
        listing.parent = Some(Parent { id: "weibo-hot:e".to_owned() });
        listing.listing = Some(Listing { list: "weibo-hot".to_owned(), rank: 9, heat: 1, category: None });
        listing
    };
    assert_eq!(watch.take(&listed(0), &reading).findings.len(), 1);
    for capture in 1..9 {
        let taken = watch.take(&listed(capture), &reading);
        assert_eq!((taken.findings.len(), taken.joined), (0, Joined::Entry));
    }
}

#[test]
fn a_person_in_danger_is_told_at_once_and_kept_out_of_everything() {
    let mut reading = event(GAS, Class::So, Level::L4, Verdict::Yes, None);
    reading.assessment.person_in_danger = true;
    let mut watch = Watch::new(Rules::default());
    let taken = watch.take(&mention("1", 0, 1, GAS), &reading);
    assert_eq!((taken.topic, taken.joined), (None, Joined::KeptOut));
    assert_eq!((taken.findings[0].kind, taken.findings[0].topic), (FindingKind::PersonInDanger, None));
    assert!(taken.findings[0].causes.is_empty());
    assert_eq!(watch.topic_count(), 0);
}

#[test]
fn an_unknown_burst_here_is_told_and_one_nowhere_is_not() {
    let text = "艾溪湖边上那个会发光的大鸭子今天晚上又出来了大家快去看看";
    let findings = |verdict| {
        let mut watch = Watch::new(Rules::default());
        let mut reading = noise(text, None);
        reading.assessment.place.verdict = verdict;
        let taken =
            (0..12).flat_map(|n| watch.take(&mention(&n.to_string(), n / 4, n as u64, text), &reading).findings);
        taken.collect::<Vec<_>>()
    };
    let here = findings(Verdict::Yes);
    assert_eq!(here.len(), 1);
    assert!(here[0].reason.contains("发现未知突增"));
    assert!(findings(Verdict::No).is_empty());
}

#[test]
fn an_original_that_comes_after_its_reposts_joins_them_and_ids_outlive_merges() {
    let mut watch = Watch::new(Rules::default());
    let mut repost = mention("r", 0, 1, "转发微博");
    repost.kind = Kind::Repost;
    repost.parent = Some(Parent { id: "weibo:o".to_owned() });
    let first = watch.take(&repost, &noise("转发微博", None)).topic.expect("a topic");
    let copy = watch.take(&mention("c", 1, 2, BUBBLES), &bubbles()).topic.expect("a topic");
    let original = watch.take(&mention("o", 2, 3, BUBBLES), &bubbles());
    assert_eq!((original.topic, original.joined), (Some(first), Joined::Child));
    assert_eq!(original.merged, [(copy, first)]);
    assert_eq!(watch.resolve(copy), first);
    assert_eq!(watch.members(copy).1, 3);
}

#[test]
fn a_saved_watch_goes_on_exactly_and_another_version_is_refused() {
    let texts = [BUBBLES, GAS, "今天天气不错适合去江边走一走拍点照片", "转发微博"];
    let step = |watch: &mut Watch, n: i64| {
        let text = texts[(n * 7 % 4) as usize];
        let mut mention = mention(&n.to_string(), n * 3, (n % 11) as u64, &format!("{text}{}", n % 3));
        if n % 5 == 0 {
            mention.kind = Kind::Repost;
            mention.parent = Some(Parent { id: format!("weibo:{}", n / 2) });
        }
        let level = if n % 4 == 0 { Level::L2 } else { Level::L1 };
        let mut reading = event(&mention.text, Class::Nd, level, Verdict::Yes, None);
        reading.assessment.place.anchors = vec![crate::assess::Anchor {
            text: "南昌".to_owned(),
            kind: "city".to_owned(),
            score: 0.7,
            start: 0,
            end: 6,
            within: None,
        }];
        watch.take(&mention, &reading)
    };
    let rules = Rules { fold: crate::topic::rules::FoldRules { topics: 20, ..Default::default() }, ..Rules::default() };
    let mut watch = Watch::new(rules.clone());
    for n in 0..200 {
        step(&mut watch, n);
    }
    let bytes = watch.save();
    let mut back = Watch::load(rules.clone(), &bytes).expect("loads");
    assert_eq!(back.save(), bytes);
    for n in 200..500 {
        assert_eq!(step(&mut watch, n), step(&mut back, n));
    }
    assert_eq!(watch.save(), back.save());
    assert!(watch.topic_count() <= 20);
    assert!(matches!(Watch::load(rules.clone(), &[9, 9]), Err(LoadError::Version(9))));
    assert!(matches!(Watch::load(rules, &[]), Err(LoadError::Empty)));
}
