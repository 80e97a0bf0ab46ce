//! What stands on each page, in words: made from views and the time, drawn by the templates, escaped there.

use super::View;
use super::accounts::{Action, Who};
use super::dossier::{Piece, pieces};
use super::drawing::{Ruler, ruler};
use super::proof::{NextClock, Proof, next_clocks, proof};
use super::words;
use crate::duty::view::{ClockState, ClockView, IncidentState, IncidentView};
use crate::index::Page;
use crate::time::Instant;
use askama::Template;

/// The head of every page for somebody who came in.
pub(super) struct Top {
    pub now: String,
    pub now_iso: String,
    pub now_ms: i64,
    pub day: String,
    pub me: String,
    pub csrf: String,
    pub on: &'static str,
}

impl Top {
    pub fn new(who: &Who, now: Instant, on: &'static str) -> Top {
        Top {
            now: now.hour_minute(),
            now_iso: now.rfc3339_shanghai(),
            now_ms: now.millis(),
            day: words::weekday(now),
            me: format!("{}·{}", who.name, who.role.words()),
            csrf: who.csrf.clone().unwrap_or_default(),
            on,
        }
    }
}

/// One clock that runs.
pub(super) struct Running {
    pub class: &'static str,
    pub word: &'static str,
    pub kind: String,
    pub over: bool,
    pub left: Vec<(String, &'static str)>,
    pub iso: String,
    pub due: String,
    pub due_ms: i64,
    pub basis: String,
}

fn running(clock: &ClockView, now: Instant) -> Running {
    let left = clock.due - now;
    let (class, word) = words::clock_state(clock.state, left);
    Running {
        class,
        word,
        kind: words::clock(&clock.kind).to_owned(),
        over: left.0 <= 0,
        left: words::length(left, true),
        iso: format!("PT{}S", left.0.abs() / 1_000),
        due: words::when(clock.due, now),
        due_ms: clock.due.millis(),
        basis: format!("自 {} 起算，{}", words::when(clock.start, now), words::basis(&clock.basis)),
    }
}

/// The open clock with the least time left.
pub(super) fn first_clock(incident: &IncidentView) -> Option<&ClockView> {
    let open = |clock: &&ClockView| matches!(clock.state, ClockState::Running | ClockState::Overdue);
    incident.clocks.iter().filter(open).min_by_key(|clock| clock.due)
}

/// An incident as a line of the board.
pub(super) struct Row {
    pub id: String,
    pub title: String,
    pub level: (&'static str, &'static str),
    pub state: &'static str,
    pub sure: &'static str,
    pub place: String,
    pub since: String,
    pub sources: String,
    pub reason: String,
    pub clock: Option<Running>,
    pub next: &'static str,
    pub can_take: bool,
    pub owner: Option<String>,
    pub taken: String,
    pub next_call: Option<String>,
    pub class: &'static str,
}

pub(super) fn row(view: &View, incident: &IncidentView, now: Instant, may_act: bool) -> Row {
    let clock = first_clock(incident).map(|clock| running(clock, now));
    let unowned = incident.owner.is_none();
    let soon = clock.as_ref().is_some_and(|clock| clock.class == "soon");
    let since = incident.times.occurred.map(|at| format!("{} 事发", words::when(at, now)));
    let first = incident.times.first_mention.map(|at| format!("{} 首条提及", words::when(at, now)));
    Row {
        id: incident.id.clone(),
        title: incident.title.clone(),
        level: words::level(incident.level),
        state: incident.state.words(),
        sure: words::sure(incident),
        place: words::place(view, incident),
        since: since.or(first).unwrap_or_default(),
        sources: words::few(incident.sources),
        reason: words::reason(incident),
        next: next_step(incident.state),
        can_take: may_act && incident.state == IncidentState::Raised,
        owner: incident.owner.as_ref().map(|owner| words::name(view, owner).to_owned()),
        taken: incident.times.acknowledged.map(|at| format!("{} 接手", words::when(at, now))).unwrap_or_default(),
        next_call: next_call(view, incident, now),
        class: if clock.as_ref().is_some_and(|clock| clock.over) || unowned {
            "i-none"
        } else if soon {
            "i-soon"
        } else {
            ""
        },
        clock,
    }
}

fn next_step(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Raised => "先接手，再核实",
        IncidentState::Acknowledged => "确认或判为不成立",
        IncidentState::Confirmed => "拟口径，准备首发",
        IncidentState::Answered => "续报或办结",
        IncidentState::Dismissed | IncidentState::Closed => "没有了",
    }
}

fn next_call(view: &View, incident: &IncidentView, now: Instant) -> Option<String> {
    let (at, officers) = incident.next_call.as_ref()?;
    let names: Vec<&str> = officers.iter().map(|officer| words::name(view, officer)).collect();
    let whom = if names.is_empty() { "下一级，无人在班".to_owned() } else { names.join("、") };
    Some(format!("{} 叫{whom}", words::when(*at, now)))
}

/// The duty board, full or quiet.
#[derive(Template)]
#[template(path = "board.html")]
pub(super) struct BoardPage {
    pub top: Top,
    pub open: usize,
    pub tight: usize,
    pub soon: usize,
    pub over: usize,
    pub unowned: usize,
    pub mine: usize,
    pub hero: Option<Row>,
    pub ruler: Option<Ruler>,
    pub rest: Vec<Row>,
    pub last_closed: Option<String>,
    pub next: Vec<NextClock>,
    pub proof: Proof,
}

impl BoardPage {
    pub fn new(view: &View, who: &Who, now: Instant) -> BoardPage {
        let may_act = who.role.may(Action::Act);
        let mut open: Vec<&IncidentView> =
            view.incidents.iter().filter(|incident| !incident.restricted && incident.state.is_open()).collect();
        open.sort_by_key(|incident| {
            let due = first_clock(incident).map_or(i64::MAX, |clock| clock.due.millis());
            (due, std::cmp::Reverse(incident.level), incident.id.clone())
        });
        let rows: Vec<Row> = open.iter().map(|incident| row(view, incident, now, may_act)).collect();
        let counted = |class| rows.iter().filter(|row| row.clock.as_ref().is_some_and(|c| c.class == class)).count();
        let ended = view.incidents.iter().filter(|incident| !incident.restricted && !incident.state.is_open());
        let drawn = open.first().and_then(|incident| Some(ruler(incident, first_clock(incident)?, now)));
        let (tight, soon, over) = (counted("tight"), counted("soon"), counted("over"));
        let unowned = rows.iter().filter(|row| row.owner.is_none()).count();
        let mine = open.iter().filter(|incident| incident.owner.as_deref() == Some(&who.name)).count();
        let count = rows.len();
        let mut rows = rows.into_iter();
        BoardPage {
            top: Top::new(who, now, "board"),
            open: count,
            tight,
            soon,
            over,
            unowned,
            mine,
            hero: rows.next(),
            ruler: drawn,
            rest: rows.collect(),
            last_closed: ended.max_by_key(|incident| incident.history.last().map(|line| line.at)).map(|incident| {
                let ended = incident.history.last().map(|line| format!("{} ", words::when(line.at, now)));
                format!("{}{}·{}", ended.unwrap_or_default(), incident.state.words(), incident.title)
            }),
            next: next_clocks(view, now),
            proof: proof(view, now),
        }
    }
}

/// The page of an incident about a person in danger: numbers to dial and one button.
#[derive(Template)]
#[template(path = "danger.html")]
pub(super) struct DangerPage {
    pub top: Top,
    pub id: String,
    pub can_take: bool,
    pub owner: Option<String>,
}

/// One hit of a search.
pub(super) struct Found {
    pub at: String,
    pub at_iso: String,
    pub platform: String,
    pub kind: String,
    pub level: String,
    pub pieces: Vec<Piece>,
    pub place: String,
    pub incident: Option<String>,
}

/// The page of search.
#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct SearchPage {
    pub top: Top,
    pub q: String,
    pub purpose: String,
    pub purposes: Vec<String>,
    pub said: Option<String>,
    pub found: Option<(String, u64, Vec<Found>)>,
    pub next: Option<String>,
}

impl SearchPage {
    pub fn new(view: &View, who: &Who, now: Instant, q: String, purpose: String) -> SearchPage {
        let mut purposes: Vec<String> = ["核实事件", "办理诉求", "复盘"].map(str::to_owned).to_vec();
        let open = view.incidents.iter().filter(|incident| !incident.restricted && incident.state.is_open());
        purposes.extend(open.take(20).map(|incident| format!("核实事件 {}", incident.id)));
        if !purpose.is_empty() && !purposes.contains(&purpose) {
            purposes.push(purpose.clone());
        }
        SearchPage { top: Top::new(who, now, "search"), q, purpose, purposes, said: None, found: None, next: None }
    }

    pub fn fill(&mut self, view: &View, page: &Page, now: Instant) {
        let found = |hit: &crate::index::Hit| {
            let district = hit.district.as_deref().map(|code| words::name(view, code));
            let parts: Vec<&str> = district.into_iter().chain(hit.township.as_deref()).collect();
            let of = |incident: &&IncidentView| {
                !incident.restricted
                    && incident.topic.map(|topic| topic.to_string()) == hit.topic
                    && hit.topic.is_some()
            };
            Found {
                at: words::when(hit.created_at, now),
                at_iso: hit.created_at.rfc3339_shanghai(),
                platform: words::name(view, &hit.platform).to_owned(),
                kind: words::mention_kind(&hit.kind).to_owned(),
                level: hit.level.clone(),
                pieces: pieces(&hit.text, &hit.highlights),
                place: if parts.is_empty() { "地点未定".to_owned() } else { parts.join(" ") },
                incident: view.incidents.iter().find(of).map(|incident| incident.id.clone()),
            }
        };
        let total =
            if page.total > 0 && page.total < u64::from(words::FEW) { "<5".to_owned() } else { page.total.to_string() };
        self.found = Some((total, page.took_us / 1_000, page.hits.iter().map(found).collect()));
        self.next = page.next.clone();
    }
}

/// The login page.
#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage {
    pub said: Option<String>,
    pub user: String,
}

/// The page behind a one-tap link.
#[derive(Template)]
#[template(path = "ack.html")]
pub(super) struct AckPage {
    pub row: Row,
    pub sources: u32,
    pub officer: String,
    pub token: String,
    pub expires: String,
    pub used: bool,
    pub danger: bool,
    pub now_ms: i64,
}

impl AckPage {
    pub fn new(
        view: &View,
        incident: &IncidentView,
        link: &super::Link,
        token: &str,
        used: bool,
        now: Instant,
    ) -> AckPage {
        AckPage {
            row: row(view, incident, now, true),
            sources: incident.sources,
            officer: words::name(view, &link.officer).to_owned(),
            token: token.to_owned(),
            expires: words::when(link.expires, now),
            used: used || incident.state != IncidentState::Raised,
            danger: incident.restricted,
            now_ms: now.millis(),
        }
    }
}

/// One sentence for people: what did not happen, and where to go.
#[derive(Template)]
#[template(path = "say.html")]
pub(super) struct SayPage {
    pub title: String,
    pub text: String,
    pub good: bool,
    pub back: String,
    pub back_words: String,
}
