//! What shows that the system sees, and what comes next: from the view and the time to words for the board.

use super::View;
use super::drawing::{Column, columns};
use super::words;
use crate::duty::view::{ClockState, ClockView, IncidentView};
use crate::time::{Instant, Span};

/// What shows that the system sees.
pub(super) struct Proof {
    pub last: String,
    pub today: u64,
    pub dead: u64,
    /// From detected to notified: median and slowest; none where nothing was sent.
    pub notified: Option<(String, String)>,
    pub channels: String,
    pub channels_bad: bool,
    /// Whether there is a channel to wake anybody by.
    pub wakes: bool,
    pub on_duty: Vec<(String, String)>,
    pub withheld: Vec<(String, u64)>,
    pub columns: Vec<Column>,
    /// Whether the drawing has a line of what is usual.
    pub usual: bool,
}

/// The time from the finding to the first notice that a channel accepted.
pub(super) fn notified(incident: &IncidentView) -> Option<Span> {
    let (detected, alerted) = (incident.times.detected?, incident.times.alerted?);
    Some(Span((alerted - detected).0.max(0)))
}

/// Clocks shown on a quiet board.
const NEXT: usize = 5;

/// A clock that still runs while nothing is open.
pub(super) struct NextClock {
    pub due: String,
    pub over: bool,
    pub kind: String,
    pub id: String,
    pub title: String,
}

pub(super) fn next_clocks(view: &View, now: Instant) -> Vec<NextClock> {
    let listed = view.incidents.iter().filter(|incident| !incident.restricted);
    let open = |clock: &&ClockView| matches!(clock.state, ClockState::Running | ClockState::Overdue);
    let mut clocks: Vec<(&ClockView, &IncidentView)> =
        listed.flat_map(|incident| incident.clocks.iter().filter(open).map(move |clock| (clock, incident))).collect();
    clocks.sort_by_key(|(clock, _)| clock.due);
    let shown = |(clock, incident): &(&ClockView, &IncidentView)| NextClock {
        due: words::when(clock.due, now),
        over: clock.due <= now,
        kind: words::clock(&clock.kind).to_owned(),
        id: incident.id.clone(),
        title: incident.title.clone(),
    };
    clocks.iter().take(NEXT).map(shown).collect()
}

pub(super) fn proof(view: &View, now: Instant) -> Proof {
    let bad: Vec<&str> = view
        .channels
        .iter()
        .filter(|(_, sent)| *sent == Some(false))
        .map(|(name, _)| words::name(view, name))
        .collect();
    let channels = match (view.channels.len(), bad.len()) {
        (0, _) => "还没有配置通道".to_owned(),
        (all, 0) if view.channels.iter().all(|(_, sent)| sent.is_none()) => format!("{all} 条，还没有发送过"),
        (all, 0) => format!("{all} 条，最近一次都已受理"),
        (all, _) => format!("{all} 条中 {} 没有受理", bad.join("、")),
    };
    let mut spans: Vec<Span> =
        view.incidents.iter().filter(|incident| !incident.restricted).filter_map(notified).collect();
    spans.sort_unstable();
    let told = |span: &Span| words::length_words(*span);
    let mut withheld = view.withheld.clone();
    // What is rare is worth a look; the bulk stands last.
    withheld.sort_by_key(|(_, count)| *count);
    let columns = columns(&view.per_hour, &view.usual_per_hour, now);
    Proof {
        last: match view.last_mention {
            None => "还没有读到".to_owned(),
            Some(at) if (now - at).0 < 60_000 => format!("{} 秒前读到", (now - at).0.max(0) / 1_000),
            Some(at) => format!("{}前读到", words::length_words(now - at)),
        },
        today: view.read_today,
        dead: view.dead_letters,
        notified: spans.get(spans.len() / 2).map(told).zip(spans.last().map(told)),
        wakes: !view.channels.is_empty(),
        channels_bad: !bad.is_empty(),
        channels,
        on_duty: view.on_duty.iter().map(|(role, name)| (role.clone(), words::name(view, name).to_owned())).collect(),
        withheld,
        usual: columns.iter().any(|column| column.usual_y.is_some()),
        columns,
    }
}
