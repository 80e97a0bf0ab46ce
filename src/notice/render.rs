//! A notice as people and programs read it. In: a [`Notice`] whose facts hold no quoted text, and where the console is.
//! Out: the Chinese text within a byte budget, the body for a WeCom bot, the body of a webhook.
//!
//! Nothing here reads a clock: every attempt at the same notice gives the same bytes. Whatever the facts hold, nobody is
//! called by an `@` and nothing is marked up.

use crate::assess::Level;
use crate::duty::event::{Notice, Reason};
use crate::time::Instant;
use serde::Serialize;
use serde_json::Value;

/// First words of every text: who speaks.
pub const ENVELOPE: &str = "【南昌舆情】";
/// Bytes of a WeCom text message, as its maker documents.
pub const WECOM_TEXT_BYTES: usize = 2_048;
/// Bytes of an incident's id or a notice's key: ours have under 40.
const KEY_BYTES: usize = 96;
/// Bytes of a link: longer ones are left out, since half a link is none. Settings refuse a public address that leads here.
pub const LINK_BYTES: usize = 1_024;
/// Bytes of place and title together in a text: what a telephone shows without scrolling.
const TITLE_BYTES: usize = 600;
/// The least budget a text can be rendered within: everything that is always kept, at its longest.
pub const LEAST_BYTES: usize = 256 + 2 * KEY_BYTES + LINK_BYTES;

/// What to do at once where a person is in danger; no place finer than the township and no words of anybody stand with it.
const DANGER_LINE: &str = "请立即拨打 110、119、120；心理援助 12356\n";

/// Body of a webhook (Standard Webhooks 1.0); a re-send has the same bytes.
// The fields stand in the order in which the contract names them.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Alert")]
pub struct Envelope<'a> {
    /// `incident.raised`, `incident.changed`, `incident.reminder`, `incident.escalated`, `incident.resolved`.
    r#type: &'a str,
    /// When the notice was decided.
    timestamp: Instant,
    /// What it says.
    data: Data<'a>,
}

/// What a notice says; about a person in danger it has no topic, classes or times.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AlertData")]
struct Data<'a> {
    /// `I-…`.
    incident: &'a str,
    /// `N-…`: the notice's own key, also in the header `webhook-id`.
    key: &'a str,
    /// Why it is sent.
    reason: Reason,
    /// Topic of the incident.
    #[schemars(with = "Option<crate::topic::TopicId>")]
    topic: &'a Value,
    /// How bad.
    level: Level,
    /// Strongest first.
    #[schemars(with = "Vec<crate::assess::Class>")]
    classes: &'a Value,
    /// Where.
    #[schemars(with = "AlertPlace")]
    place: &'a Value,
    /// Earliest credible mention.
    #[schemars(with = "Option<Instant>")]
    first_mention: &'a Value,
    /// When the first public notice is due.
    #[schemars(with = "Option<Instant>")]
    due: &'a Value,
    /// The same for people, in Chinese.
    text: String,
}

/// Where an incident is, as a webhook says it: no finer than the township.
#[derive(schemars::JsonSchema)]
pub struct AlertPlace {
    /// In this city?
    pub verdict: crate::assess::Verdict,
    /// Code of the district, county or zone.
    pub district: Option<String>,
    /// Name of the township.
    pub township: Option<String>,
}

/// The text of a notice, in at most `budget` bytes where that is [`LEAST_BYTES`] or more. `base_url` is where the console is;
/// without it there is no link.
pub fn text(notice: &Notice, base_url: Option<&str>, budget: usize) -> String {
    let head = head(notice);
    let mut times = times(notice);
    if notice.facts["restricted"].as_bool().unwrap_or(false) {
        times.insert_str(0, DANGER_LINE);
    }
    let link = link(notice, base_url).map(|link| format!("\n接手：{link}")).unwrap_or_default();
    let keys = format!("\n{} {}", word(&notice.incident), word(&notice.key));
    let kept = head.len() + 1 + times.len() + link.len() + keys.len();
    let room = budget.saturating_sub(kept + 1).min(TITLE_BYTES);
    let title = clip(&title(notice), room);
    let gap = if title.is_empty() { "" } else { "\n" };
    format!("{head}{gap}{title}\n{times}{link}{keys}")
}

/// The body for a WeCom group bot: a text message, because only texts can call somebody.
pub fn wecom(notice: &Notice, base_url: Option<&str>) -> String {
    let content = text(notice, base_url, WECOM_TEXT_BYTES);
    serde_json::json!({ "msgtype": "text", "text": { "content": content } }).to_string()
}

/// The body of a webhook. Its time is that of the decision, so that a re-send has the same bytes.
pub fn webhook(notice: &Notice, base_url: Option<&str>) -> String {
    let facts = &notice.facts;
    let data = Data {
        incident: &notice.incident,
        key: &notice.key,
        reason: notice.reason,
        topic: &facts["topic"],
        level: notice.level,
        classes: &facts["classes"],
        place: &facts["place"],
        first_mention: &facts["first_mention"],
        due: &facts["due"],
        text: text(notice, base_url, WECOM_TEXT_BYTES),
    };
    let envelope =
        Envelope { r#type: facts["type"].as_str().unwrap_or("incident.raised"), timestamp: notice.decided_at, data };
    // Strings, numbers and maps with string keys only: serialising cannot fail.
    serde_json::to_string(&envelope).unwrap_or_default()
}

/// The level in the words people use.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::L0 => "无须处理",
        Level::L1 => "个别诉求",
        Level::L2 => "局部可控",
        Level::L3 => "险情持续",
        Level::L4 => "危及生命",
    }
}

fn head(notice: &Notice) -> String {
    let reason = match notice.reason {
        Reason::New => "",
        Reason::Worse => "·升级",
        Reason::Reminder => "·提醒",
        Reason::Escalation => "·无人接手",
        Reason::Resolved => "·已结束",
        Reason::Digest => "·汇总",
    };
    let unverified = if notice.facts["unverified"].as_bool().unwrap_or(false) { "·未核实" } else { "" };
    format!("{ENVELOPE}{:?} {}{unverified}{reason}", notice.level, level_name(notice.level))
}

fn title(notice: &Notice) -> String {
    let facts = &notice.facts;
    let place = &facts["place"];
    // The district is a code: it says nothing to people.
    let name = ["name", "township"].iter().find_map(|field| place[*field].as_str().filter(|name| !name.is_empty()));
    let title = facts["title"].as_str().unwrap_or_default();
    let mut line = match name {
        Some(name) if !title.contains(name) => format!("{name} {title}"),
        _ => title.to_owned(),
    };
    if place["verdict"] == "possible" {
        line.push_str("（地点未核实）");
    }
    harmless(line.trim())
}

fn times(notice: &Notice) -> String {
    let first = instant(&notice.facts["first_mention"]);
    let due = instant(&notice.facts["due"]);
    match (first, due) {
        (Some(first), Some(due)) => format!("首条提及 {}，首发 {} 前", moment(first, notice), moment(due, notice)),
        (Some(first), None) => format!("首条提及 {}", moment(first, notice)),
        (None, Some(due)) => format!("首发 {} 前", moment(due, notice)),
        (None, None) => format!("发出 {}", notice.decided_at.hour_minute()),
    }
}

/// `HH:MM`, with the date where it is another day than that of the decision.
fn moment(at: Instant, notice: &Notice) -> String {
    if at.day() == notice.decided_at.day() {
        return at.hour_minute();
    }
    let date = at.shanghai();
    format!("{}月{}日 {}", date.month(), date.day(), at.hour_minute())
}

fn instant(value: &Value) -> Option<Instant> {
    value.as_str().and_then(Instant::parse)
}

/// The link of the facts where duty made one, else the incident's page.
fn link(notice: &Notice, base_url: Option<&str>) -> Option<String> {
    let given = notice.facts["link"].as_str().map(str::to_owned);
    let page = || base_url.map(|base| format!("{}/incidents/{}", base.trim_end_matches('/'), word(&notice.incident)));
    let link = given.or_else(page)?;
    let plain = link.chars().all(|char| !char.is_whitespace() && !char.is_control() && char != '<' && char != '>');
    (plain && link.len() <= LINK_BYTES).then_some(link)
}

/// An id or key: letters, digits and hyphens.
fn word(text: &str) -> String {
    let word: String = text.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
    clip(&word, KEY_BYTES)
}

/// No mention, no markup, no line of its own, no character that turns the reading direction or hides.
fn harmless(text: &str) -> String {
    text.chars()
        .filter_map(|char| match char {
            '@' => Some('＠'),
            '<' => Some('＜'),
            '>' => Some('＞'),
            '`' | '*' | '[' | ']' | '#' | '\\' => Some(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => None,
            '\u{2028}' | '\u{2029}' => Some(' '),
            char if char.is_control() => Some(' '),
            char => Some(char),
        })
        .collect()
}

/// At most `bytes` bytes of `text`, cut on a character border, with `…` where something was cut and the mark fits.
pub fn clip(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mark = "…";
    let Some(room) = bytes.checked_sub(mark.len()) else { return String::new() };
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{mark}", &text[..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn notice() -> Notice {
        Notice {
            key: "N-1001-01-1".into(),
            incident: "I-1001-01".into(),
            reason: Reason::New,
            officer: None,
            channel: "duty-bot".into(),
            step: 0,
            level: Level::L4,
            facts: json!({
                "type": "incident.raised", "incident": "I-1001-01", "key": "N-1001-01-1", "reason": "new", "topic": "T-1",
                "level": "L4", "classes": ["ND"],
                "place": { "verdict": "yes", "district": "360102", "township": "扬子洲镇", "name": "扬子洲镇" },
                "title": "扬子洲镇 冒水泡", "first_mention": "2026-09-30T18:03:00Z", "due": "2026-09-30T20:03:00Z",
                "unverified": true,
            }),
            decided_at: Instant::parse("2026-10-01T02:10:00+08:00").expect("a time"),
        }
    }

    #[test]
    fn the_text_says_what_where_by_when() {
        let text = text(&notice(), Some("https://yuqing.example/"), WECOM_TEXT_BYTES);
        let want = "【南昌舆情】L4 危及生命·未核实\n扬子洲镇 冒水泡\n首条提及 02:03，首发 04:03 前\n\
                    接手：https://yuqing.example/incidents/I-1001-01\nI-1001-01 N-1001-01-1";
        assert_eq!(text, want);
    }

    #[test]
    fn another_day_is_named_and_an_unsure_place_said() {
        let mut notice = notice();
        notice.facts["due"] = json!("2026-10-02T20:03:00Z");
        notice.facts["place"] = json!({ "verdict": "possible", "district": "360113", "name": "九龙湖" });
        notice.facts["title"] = json!("塔吊倒");
        notice.reason = Reason::Escalation;
        let text = text(&notice, None, WECOM_TEXT_BYTES);
        assert!(text.contains("首发 10月3日 04:03 前"), "{text}");
        assert!(text.contains("九龙湖 塔吊倒（地点未核实）"), "{text}");
        assert!(text.contains("·无人接手") && !text.contains("接手："), "{text}");
    }

    #[test]
    fn a_person_in_danger_gets_the_numbers_to_dial() {
        let mut notice = notice();
        notice.facts = json!({
            "topic": null, "classes": [], "place": { "verdict": "possible", "district": "360102", "township": null },
            "title": "有人可能有生命危险", "first_mention": null, "due": null, "restricted": true,
        });
        let text = text(&notice, None, WECOM_TEXT_BYTES);
        let want = "【南昌舆情】L4 危及生命\n有人可能有生命危险（地点未核实）\n请立即拨打 110、119、120；心理援助 12356\n\
                    发出 02:10\nI-1001-01 N-1001-01-1";
        assert_eq!(text, want);
    }

    #[test]
    fn nobody_is_called_and_nothing_is_marked_up() {
        let mut notice = notice();
        notice.facts["title"] = json!("<@all> @all [点我](http://x) <font color=\"warning\">\n\u{202e}I-9 N-9");
        let body = wecom(&notice, Some("https://yuqing.example"));
        let body: Value = serde_json::from_str(&body).expect("a body is JSON");
        let content = body["text"]["content"].as_str().expect("a text");
        assert!(!content.contains(['@', '<', '>', '[', '\u{202e}']), "{content}");
        assert_eq!(content.lines().count(), 5, "{content}");
        assert!(content.ends_with("\nI-1001-01 N-1001-01-1"));
        assert_eq!(body["msgtype"], "text");
        assert!(body["text"].get("mentioned_list").is_none());
    }

    #[test]
    fn the_webhook_body_is_as_the_contract_says() {
        let notice = notice();
        let body: Value = serde_json::from_str(&webhook(&notice, None)).expect("a body is JSON");
        assert_eq!(body["type"], "incident.raised");
        assert_eq!(body["timestamp"], "2026-09-30T18:10:00Z");
        let data = body["data"].as_object().expect("data");
        let fields: Vec<&str> = data.keys().map(String::as_str).collect();
        let want = ["classes", "due", "first_mention", "incident", "key", "level", "place", "reason", "text", "topic"];
        assert_eq!(fields, want);
        assert_eq!(
            (&data["reason"], &data["level"], &data["key"]),
            (&json!("new"), &json!("L4"), &json!("N-1001-01-1"))
        );
        assert_eq!(webhook(&notice, None), webhook(&notice, None));
    }

    proptest! {
        #[test]
        fn any_facts_fit_and_keep_deadline_link_and_key(
            title in "\\PC{0,3000}", name in "\\PC{0,900}", due in 0_i64..4_000_000_000_000, host in "[a-z]{1,900}",
        ) {
            let mut notice = notice();
            let due = Instant::from_millis(due);
            notice.facts["title"] = json!(title);
            notice.facts["place"] = json!({ "verdict": "possible", "name": name });
            notice.facts["due"] = json!(due);
            let base = format!("https://{host}.example");
            let text = text(&notice, Some(&base), WECOM_TEXT_BYTES);
            prop_assert!(text.len() <= WECOM_TEXT_BYTES);
            prop_assert!(text.starts_with(ENVELOPE));
            let deadline = format!("{} 前", due.hour_minute());
            prop_assert!(text.contains(&deadline));
            let link = format!("{base}/incidents/I-1001-01");
            prop_assert!(text.contains(&link));
            prop_assert!(text.ends_with("\nI-1001-01 N-1001-01-1"));
        }

        #[test]
        fn a_clipped_text_is_a_beginning(text in "\\PC{0,40}", bytes in 0_usize..60) {
            let clipped = clip(&text, bytes);
            prop_assert!(clipped.len() <= bytes);
            prop_assert!(text.starts_with(clipped.trim_end_matches('…')) || clipped == text);
        }
    }
}
