//! What a notice is rendered from: an incident in, JSON out. Made of our own words and the dictionaries' only; no text
//! of a mention. A person in danger gives nothing but the place and the numbers to dial.

use crate::assess::{Level, Place};
use crate::duty::apply::FIRST_NOTICE;
use crate::duty::event::Reason;
use crate::duty::state::Incident;
use crate::rule::FindingKind;
use serde_json::{Value, json};

/// Numbers to dial for a person in danger.
pub(crate) const DIAL: &str = "请立即拨打 110、119、120；心理援助 12356";
/// Name of an incident about a person in danger.
pub(crate) const DANGER: &str = "有人可能有生命危险";

/// The facts of one notice.
pub(crate) fn facts(id: &str, incident: &Incident, key: &str, reason: Reason) -> Value {
    let finding = &incident.finding;
    let place = json!({
        "verdict": finding.place.verdict,
        "district": finding.place.district,
        "township": finding.place.township,
    });
    if incident.restricted() {
        let text = format!("{DANGER}（{}）。{DIAL}", place_words(&finding.place));
        return json!({
            "type": kind(reason), "incident": id, "key": key, "reason": reason, "topic": null, "level": Level::L4,
            "classes": [], "place": place, "title": DANGER, "first_mention": null, "due": null, "text": text,
            "restricted": true,
        });
    }
    let due = incident.clocks.get(FIRST_NOTICE).map(|clock| clock.due);
    json!({
        "type": kind(reason), "incident": id, "key": key, "reason": reason, "topic": finding.topic,
        "level": finding.level, "classes": finding.classes, "place": place, "title": finding.title,
        "first_mention": finding.first_mention, "due": due, "text": text(incident, reason),
        "unverified": finding.unverified, "sources": finding.sources,
    })
}

fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::New | Reason::Digest => "incident.raised",
        Reason::Worse => "incident.changed",
        Reason::Reminder => "incident.reminder",
        Reason::Escalation => "incident.escalated",
        Reason::Resolved => "incident.resolved",
    }
}

fn text(incident: &Incident, reason: Reason) -> String {
    let finding = &incident.finding;
    let sure = if finding.unverified { "，未核实" } else { "" };
    let mut text = format!("【{}】{}：{}{sure}", reason.words(), finding.level.words(), finding.title);
    if reason == Reason::Resolved {
        text.push_str("。值班员判为不成立");
        return text;
    }
    if finding.kind == FindingKind::Clarify {
        text.push_str("。旧闻重传，建议澄清，不计时");
    }
    if let Some(clock) = incident.clocks.get(FIRST_NOTICE) {
        text.push_str(&format!("。首发 {} 前，{}", clock.due.hour_minute(), clock.basis));
        if clock.state == crate::duty::view::ClockState::Overdue {
            text.push_str("，已超时");
        }
    }
    text
}

/// The place in words, no finer than the township.
pub(crate) fn place_words(place: &Place) -> String {
    let words: Vec<&str> = [&place.district, &place.township].into_iter().flatten().map(String::as_str).collect();
    if words.is_empty() { "地点不详".to_owned() } else { words.join(" ") }
}
