//! Texts written by us and what must be read in them, against the dictionaries that ship.

use super::{Class, Level, Noise, Nowhere, Reader, Reading, Request, What};
use crate::lexicon::{Lexicon, Sources};
use crate::mention::Mention;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub(crate) static READER: LazyLock<Reader> = LazyLock::new(|| {
    let lexicon = Lexicon::load(&sources()).expect("the dictionaries that ship are sound");
    Reader::new(Arc::new(lexicon), Box::new(Nowhere))
});

fn sources() -> Sources {
    let files = [
        ("classes.toml", include_str!("../../dictionaries/classes.toml")),
        ("terms.tsv", include_str!("../../dictionaries/terms.tsv")),
        ("patterns.tsv", include_str!("../../dictionaries/patterns.tsv")),
        ("cues.tsv", include_str!("../../dictionaries/cues.tsv")),
        ("noise.tsv", include_str!("../../dictionaries/noise.tsv")),
        ("homophones.tsv", include_str!("../../dictionaries/homophones.tsv")),
        ("platforms.toml", include_str!("../../dictionaries/platforms.toml")),
        ("units.tsv", include_str!("../../dictionaries/units.tsv")),
        ("user-words.txt", include_str!("../../dictionaries/user-words.txt")),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn mention(text: &str, summary: Option<&str>) -> Mention {
    let at = crate::time::Instant::parse("2026-11-20T13:10:00Z").expect("a time");
    let record = serde_json::json!({"id": "demo:1", "platform": "weibo", "text": text, "summary": summary, "created_at": at, "collected_at": at});
    serde_json::from_value(record).expect("a mention")
}

fn read(text: &str) -> Reading {
    READER.read(&mention(text, None))
}

fn named<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).expect("a name").as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_class_and_kind_of_noise_reads_as_written() {
    let mut wrong = Vec::new();
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for line in include_str!("readings.tsv").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [want, low, high, text] = fields[..] else { panic!("four fields: {line}") };
        *counted.entry(want).or_default() += 1;
        let held = read(text).assessment;
        let noise = want.starts_with(|c: char| c.is_ascii_lowercase());
        let got = if noise { held.noise.map(named) } else { held.classes.first().map(|first| named(first.class)) };
        let level = format!("{:?}", held.level);
        if got.as_deref() != Some(want) || level.as_str() < low || level.as_str() > high {
            wrong.push(format!("{want} {low}-{high} read as {got:?} {level}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(counted.len(), 24, "fourteen classes and ten kinds of noise");
    assert!(counted.values().all(|&texts| texts >= 6), "six texts each: {counted:?}");
}

#[test]
fn variants_of_one_cry_read_alike() {
    let plain = read("红谷滩着火了").assessment;
    for text in ["紅谷灘著火了", "红 谷 滩 着 火 了", "紅谷灘着·火·了", "红谷滩着伙了", "红谷滩着\u{200b}火了"]
    {
        let held = read(text).assessment;
        assert_eq!((held.classes, held.level), (plain.classes.clone(), plain.level), "{text}");
    }
}

#[test]
fn stance_changes_nothing() {
    let told = |text| {
        let held = read(text).assessment;
        (held.classes, held.level, held.request, held.responsible, held.what)
    };
    let plain = told("某局窗口排了三小时");
    assert_eq!(told("某局窗口排了三小时，太差劲了"), plain);
    assert_eq!(told("某局窗口排了三小时，真是为人民服务的好榜样"), plain);
    assert_eq!(plain.3, ["U07", "U02"]);
}

#[test]
fn a_denial_denies_what_it_governs() {
    let none = read("别传了，南昌没有地震").assessment;
    assert_eq!((none.what, none.level, none.classes.len()), (What::Clarification, Level::L0, 0));
    let fire = read("红角洲消防车来了一堆，听说没人受伤，火已经灭了").assessment;
    assert_eq!((fire.what, fire.level), (What::Event, Level::L2));
    let tower = read("九龙湖工地塔吊倒了，3名工人被困，暂无死亡").assessment;
    assert_eq!(tower.claims.len(), 1);
    assert_eq!(tower.claims[0].value, Some(3.0));
}

#[test]
fn somebody_in_danger_is_seen_and_a_figure_of_speech_is_not() {
    assert!(read("八一大桥上有人翻过栏杆了，谁快报警").assessment.person_in_danger);
    assert!(!read("作业写到不想活了").assessment.person_in_danger);
    assert!(!read("这部电影里男主在楼顶跳楼").assessment.person_in_danger);
}

#[test]
fn a_call_for_help_is_a_plea() {
    let held = read("求助！家里老人孩子被困二楼，停水停电，联系电话[电话]，地址在圩上村").assessment;
    assert_eq!(held.request, Some(Request::Plea));
    assert!(held.level >= Level::L3);
    let offer = read("我们志愿者可以提供热水和免费住宿，需要的随时联系[电话]").assessment;
    assert_ne!(offer.request, Some(Request::Plea));
    assert!(offer.level < Level::L3);
}

#[test]
fn causes_point_into_the_text_as_written() {
    let text = "【快讯】 紅谷灘著火了";
    let held = read(text).assessment;
    let cause = held.causes.iter().find(|cause| cause.part == "class").expect("a cause");
    assert_eq!(&text[cause.start..cause.end], "著火");
    let summary = "🔥 倉庫着火，無人受傷";
    let held = READER.read(&mention("热榜一条", Some(summary))).assessment;
    let cause = held.causes.iter().find(|cause| cause.part == "class").expect("a cause");
    assert_eq!(cause.within.as_deref(), Some("summary"));
    assert_eq!(&summary[cause.start..cause.end], "倉庫着火");
    assert!(held.causes.iter().any(|cause| cause.part == "level"));
}

#[test]
fn a_message_to_an_office_is_a_request_and_never_noise() {
    let mut sent = mention("2019年买的房，现在还没有房产证，电影院那边的楼盘", None);
    sent.kind = crate::mention::Kind::Message;
    let held = READER.read(&sent).assessment;
    assert_eq!((held.what, held.noise, held.level), (What::Request, None, Level::L1));
}

#[test]
fn words_and_bare_text_leave_punctuation_out() {
    let reading = READER.read(&mention("今天，PM2.5高！", Some("第二段。")));
    assert_eq!(reading.bare, "今天pm25高第二段");
    let words: Vec<&str> = reading.words.split(crate::text::SEPARATOR).collect();
    assert!(words.iter().all(|word| word.chars().any(char::is_alphanumeric)));
    assert!(words.contains(&"今天") && words.iter().any(|word| word.starts_with("第二")));
}

#[test]
fn the_noise_of_a_class_is_no_event() {
    let held = read("今天学校疏散演练，起火点设在食堂").assessment;
    assert_eq!((held.what, held.noise), (What::Noise, Some(Noise::Drill)));
    assert_eq!(held.classes.first().map(|first| first.class), Some(Class::Ad));
}

#[test]
fn every_fault_of_the_dictionaries_is_told_at_once() {
    let mut files = sources();
    files.insert("terms.tsv".into(), "class\tterm\tneeds_second_cue\nXX\t着火\t0\nAD\t起火\t0\nAD\t起火\t2\n".into());
    files.insert("patterns.tsv".into(), "id_or_class\tkind\tnote\ttriggers\tpattern\nR1\tcue\t\t死\t(死\n".into());
    files.insert("noise.tsv".into(), String::new());
    files.remove("units.tsv");
    let faults = Lexicon::load(&files).expect_err("they are broken");
    let told: Vec<(&str, usize)> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
    for wanted in [("terms.tsv", 2), ("terms.tsv", 4), ("patterns.tsv", 2), ("noise.tsv", 0), ("units.tsv", 0)] {
        assert!(told.contains(&wanted), "{wanted:?} in {faults:?}");
    }
}
