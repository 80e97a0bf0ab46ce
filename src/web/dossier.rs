//! The page of one incident: why, how sure, what it rests on, its clocks, notices and history.

use super::accounts::{Action, Who};
use super::drawing::{Growth, Ruler, growth, ruler};
use super::pages::{Row, Top, first_clock, row};
use super::proof::notified;
use super::words;
use super::{TopicView, View};
use crate::duty::view::{ClockState, ClockView, IncidentState, IncidentView};
use crate::ledger::Evidence;
use crate::mention::Mention;
use crate::time::Instant;
use askama::Template;

/// A piece of a text, marked or not.
pub(super) struct Piece {
    pub text: String,
    pub hit: bool,
}

/// Cuts a text at byte ranges; ranges that fit no characters are left out.
pub(super) fn pieces(text: &str, ranges: &[(usize, usize)]) -> Vec<Piece> {
    let mut sorted: Vec<(usize, usize)> =
        ranges.iter().copied().filter(|(from, to)| from < to && text.get(*from..*to).is_some()).collect();
    sorted.sort_unstable();
    let (mut out, mut done) = (Vec::new(), 0);
    for (from, to) in sorted {
        if from < done {
            continue;
        }
        if from > done {
            out.push(Piece { text: text[done..from].to_owned(), hit: false });
        }
        out.push(Piece { text: text[from..to].to_owned(), hit: true });
        done = to;
    }
    if done < text.len() {
        out.push(Piece { text: text[done..].to_owned(), hit: false });
    }
    out
}

/// One text an incident rests on.
pub(super) struct Proofed {
    pub at: String,
    pub at_iso: String,
    pub platform: String,
    pub kind: String,
    pub pieces: Vec<Piece>,
    pub joined: String,
    pub hash: String,
}

/// Evidence shown on the page.
const EVIDENCE: usize = 20;
/// Of it, what stands open.
const EVIDENCE_OPEN: usize = 5;

fn evidence(view: &View, incident: &IncidentView, all: &[Evidence], now: Instant) -> Vec<Proofed> {
    let read = |one: &Evidence| {
        let mention: Mention = serde_json::from_str(&one.body).ok()?;
        let mut ranges = Vec::new();
        for cause in incident.causes.iter().filter(|cause| !cause.words.is_empty()) {
            ranges.extend(mention.text.match_indices(&cause.words).map(|(at, words)| (at, at + words.len())));
        }
        let kind = serde_json::to_value(mention.kind).ok()?;
        Some(Proofed {
            at: words::when(mention.created_at, now),
            at_iso: mention.created_at.rfc3339_shanghai(),
            platform: words::name(view, &mention.platform).to_owned(),
            kind: words::mention_kind(kind.as_str().unwrap_or_default()).to_owned(),
            pieces: pieces(&mention.text, &ranges),
            joined: one.joined.clone(),
            hash: short(&one.hash),
        })
    };
    all.iter().filter_map(read).take(EVIDENCE).collect()
}

fn short(hash: &str) -> String {
    let head: String = hash.chars().take(8).collect();
    let tail: Vec<char> = hash.chars().rev().take(4).collect();
    format!("{head}…{}", tail.into_iter().rev().collect::<String>())
}

/// A row of the table of clocks.
pub(super) struct ClockRow {
    pub kind: String,
    pub owner: String,
    pub start: String,
    pub basis: String,
    pub due: String,
    pub class: &'static str,
    pub word: String,
}

fn clock_row(view: &View, clock: &ClockView, now: Instant) -> ClockRow {
    let left = clock.due - now;
    let (class, word) = words::clock_state(clock.state, left);
    let word = match clock.state {
        ClockState::Running if left.0 > 0 => format!("{word} {}", words::length_words(left)),
        ClockState::Running | ClockState::Overdue => format!("{word} {}", words::length_words(left)),
        _ => word.to_owned(),
    };
    let late = if clock.overdue_at_birth_s > 0 {
        format!("；发现时已超时 {}", words::length_words(crate::time::Span::seconds(clock.overdue_at_birth_s)))
    } else {
        String::new()
    };
    ClockRow {
        kind: words::clock(&clock.kind).to_owned(),
        owner: words::name(view, &clock.owner).to_owned(),
        start: words::when(clock.start, now),
        basis: format!("{}{late}", words::basis(&clock.basis)),
        due: words::when(clock.due, now),
        class,
        word,
    }
}

/// Bar of a part of the heat.
pub(super) struct Part {
    pub name: &'static str,
    pub score: String,
    pub width: String,
}

/// A line of a log.
pub(super) struct Line {
    pub at: String,
    pub at_iso: String,
    pub words: String,
    pub small: String,
    pub hash: String,
}

/// The page of one incident.
#[derive(Template)]
#[template(path = "incident.html")]
pub(super) struct IncidentPage {
    pub top: Top,
    pub row: Row,
    pub done: Option<&'static str>,
    pub sources: u32,
    pub mentions_total: u64,
    pub classes: String,
    pub claims: Vec<String>,
    pub since: String,
    pub times: String,
    /// From detected to notified, and the two instants.
    pub notified: (String, String),
    /// Who confirmed it, when and why.
    pub confirmed: Option<String>,
    pub until: Option<String>,
    pub responsible: String,
    pub related: Vec<String>,
    pub ruler: Option<Ruler>,
    pub heat: String,
    pub parts: Vec<Part>,
    pub causes: Vec<(String, String, String, String)>,
    pub anchors: Vec<(String, String)>,
    pub growth: Option<Growth>,
    pub evidence: Vec<Proofed>,
    pub more_evidence: Vec<Proofed>,
    pub clocks: Vec<ClockRow>,
    pub notices: Vec<Line>,
    pub history: Vec<Line>,
    pub can_decide: bool,
}

impl IncidentPage {
    pub fn new(
        view: &View,
        incident: &IncidentView,
        topic: &TopicView,
        texts: &[Evidence],
        who: &Who,
        now: Instant,
        done: Option<&'static str>,
    ) -> IncidentPage {
        let heat = incident.heat;
        let whole = [heat.parts.burst, heat.parts.growth, heat.parts.width].into_iter().fold(1e-9, f64::max);
        let part = |name, score: f64| Part {
            name,
            score: format!("{score:+.1}"),
            width: format!("{:.0}%", (score.max(0.0) / whole * 100.0).min(100.0)),
        };
        let may_act = who.role.may(Action::Act);
        let (since, times) = since(incident, now);
        let found = incident.times.detected.map(|at| (at, "发现"));
        let mark = incident.times.alerted.map(|at| (at, "告警")).or(found);
        let mut shown = evidence(view, incident, texts, now);
        IncidentPage {
            top: Top::new(who, now, "incident"),
            row: row(view, incident, now, may_act),
            done,
            sources: topic.growth.last().map_or(0, |point| point.1).max(incident.sources),
            mentions_total: topic.mentions_total,
            classes: incident.classes.iter().map(|class| class.words()).collect::<Vec<_>>().join("、"),
            claims: incident.claims.iter().map(|claim| claim.words.clone()).collect(),
            since,
            times,
            notified: notified_words(incident, now),
            confirmed: confirmed(incident, now),
            until: incident.acknowledged_until.map(|at| words::when(at, now)),
            responsible: incident.responsible.iter().map(|unit| words::name(view, unit)).collect::<Vec<_>>().join("、"),
            related: incident.related.clone(),
            ruler: first_clock(incident).or(incident.clocks.first()).map(|clock| ruler(incident, clock, now)),
            heat: format!("{:.1}", heat.total),
            parts: vec![
                part("突增", heat.parts.burst),
                part("增长", heat.parts.growth),
                part("宽度", heat.parts.width),
            ],
            causes: causes(incident),
            anchors: incident.place.anchors.iter().map(|a| (a.text.clone(), format!("{:+.1}", a.score))).collect(),
            growth: growth(&topic.growth, mark, now),
            more_evidence: shown.split_off(shown.len().min(EVIDENCE_OPEN)),
            evidence: shown,
            clocks: incident.clocks.iter().map(|clock| clock_row(view, clock, now)).collect(),
            notices: notices(view, incident, now),
            history: history(view, incident, now),
            can_decide: may_act && matches!(incident.state, IncidentState::Raised | IncidentState::Acknowledged),
        }
    }
}

/// Since when, by the best that is known, and beside it the other times.
fn since(incident: &IncidentView, now: Instant) -> (String, String) {
    let told = |at: Option<Instant>| at.map_or("未知".to_owned(), |at| words::when(at, now));
    let (first, detected) = (told(incident.times.first_mention), told(incident.times.detected));
    match incident.times.occurred {
        Some(at) => (format!("{} 事发", words::when(at, now)), format!("首条提及 {first}，发现 {detected}")),
        None => (format!("{first} 首条提及"), format!("发现 {detected}；事发时间未定")),
    }
}

fn notified_words(incident: &IncidentView, now: Instant) -> (String, String) {
    let detected = incident.times.detected.map(|at| format!("发现 {}", words::when(at, now))).unwrap_or_default();
    match (notified(incident), incident.times.alerted) {
        (Some(span), Some(at)) => (words::length_words(span), format!("{detected}，首次受理 {}", words::when(at, now))),
        _ => ("还没有通道受理通知".to_owned(), String::new()),
    }
}

/// The last line of history that confirms it.
fn confirmed(incident: &IncidentView, now: Instant) -> Option<String> {
    let line = incident.history.iter().rev().find(|line| line.event == "confirmed")?;
    Some(format!("{} {}", words::when(line.at, now), line.words))
}

fn causes(incident: &IncidentView) -> Vec<(String, String, String, String)> {
    let words = |cause: &crate::assess::Cause| {
        let part = words::cause_part(&cause.part).to_owned();
        (cause.words.clone(), part, cause.rule.clone(), format!("{:.2}", cause.weight))
    };
    incident.causes.iter().map(words).collect()
}

fn notices(view: &View, incident: &IncidentView, now: Instant) -> Vec<Line> {
    let line = |notice: &crate::duty::view::NoticeView| {
        let whom = if notice.officer.is_empty() { "群或中心" } else { words::name(view, &notice.officer) };
        let attempts = if notice.attempts > 1 { format!("，第 {} 次", notice.attempts) } else { String::new() };
        let detail = if notice.detail.is_empty() { String::new() } else { format!("·{}", notice.detail) };
        Line {
            at: words::when(notice.at, now),
            at_iso: notice.at.rfc3339_shanghai(),
            words: format!("{whom}·{}", words::name(view, &notice.channel)),
            small: format!(
                "{}·{}{attempts}{detail}",
                words::notice_reason(&notice.reason),
                words::notice_state(&notice.state)
            ),
            hash: notice.key.clone(),
        }
    };
    incident.notices.iter().map(line).collect()
}

fn history(view: &View, incident: &IncidentView, now: Instant) -> Vec<Line> {
    let line = |line: &crate::duty::view::HistoryLine| Line {
        at: words::when(line.at, now),
        at_iso: line.at.rfc3339_shanghai(),
        words: line.words.clone(),
        small: format!(
            "#{}·{}",
            line.seq,
            if line.actor == "machine" { "机器" } else { words::name(view, &line.actor) }
        ),
        hash: short(&line.hash),
    };
    incident.history.iter().rev().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use crate::web::{Role, tests::made_up};

    #[test]
    fn a_confirmed_incident_keeps_its_times_apart_and_has_its_action_at_the_thumb() {
        let who = Who { name: "林川".into(), role: Role::Officer, csrf: Some("c".into()) };
        let mut incident = made_up("I-1", "堤脚冒水");
        incident.reason = "L4 危及生命，一条可信信息即告警；来源不足且无官方发布，未核实".into();
        incident.clocks[0].basis = "自 02:03 起算：最早的可信提及".into();
        let detected = incident.times.detected.unwrap();
        incident.times.alerted = Some(detected + Span::seconds(8));
        let now = incident.history[0].at;
        let drawn = |incident: &IncidentView| {
            IncidentPage::new(&View::default(), incident, &TopicView::default(), &[], &who, now, None).render().unwrap()
        };
        let page = drawn(&incident);
        let thumb = page.split_once("class=\"dock\"").unwrap().1;
        assert!(page.contains("未核实") && thumb.contains("/incidents/I-1/acknowledge"), "{page}");
        assert!(page.contains("<dt>发现到通知</dt><dd>8 秒 "), "{page}");
        assert_eq!(page.matches("起算，最早的可信提及").count(), 1, "{page}");
        assert!(!page.contains("自 02:03 起算："), "{page}");
        incident.state = IncidentState::Acknowledged;
        assert!(drawn(&incident).split_once("class=\"dock\"").unwrap().1.contains("#decide"));
        (incident.state, incident.times.confirmed) = (IncidentState::Confirmed, Some(now));
        (incident.times.occurred, incident.history[0].event) = (Some(detected - Span::minutes(9)), "confirmed".into());
        let page = drawn(&incident);
        assert!(!page.contains("未核实") && !page.contains("class=\"dock\""), "{page}");
        let occurred = words::when(detected - Span::minutes(9), now);
        assert!(page.contains(&format!("<dd>{occurred} 事发 <small>首条提及")), "{page}");
    }

    #[test]
    fn pieces_cut_at_characters_only() {
        let shown = |ranges: &[(usize, usize)]| {
            pieces("堤脚在冒水", ranges)
                .iter()
                .map(|piece| if piece.hit { format!("[{}]", piece.text) } else { piece.text.clone() })
                .collect::<String>()
        };
        assert_eq!(shown(&[(9, 15), (0, 6)]), "[堤脚]在[冒水]");
        assert_eq!(shown(&[(1, 6), (0, 600), (6, 3)]), "堤脚在冒水", "ranges that fit nothing mark nothing");
        assert_eq!(shown(&[(0, 6), (3, 9)]), "[堤脚]在冒水", "of two that overlap the first counts");
    }
}
