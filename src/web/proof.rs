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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::view::IncidentState;
    use crate::web::pages::BoardPage;
    use crate::web::tests::made_up;
    use crate::web::{Role, Who};
    use askama::Template;

    fn board(view: &View, now: Instant) -> String {
        let who = Who { name: "林川".into(), role: Role::Officer, csrf: Some("c".into()) };
        BoardPage::new(view, &who, now).render().unwrap()
    }

    #[test]
    fn a_quiet_board_tells_the_next_deadlines_and_how_fast_people_were_told() {
        let (mut closed, mut danger) = (made_up("I-1", "积水过膝"), made_up("I-9", "不在这里"));
        let detected = closed.times.detected.unwrap();
        (closed.state, danger.state, danger.restricted) = (IncidentState::Closed, IncidentState::Closed, true);
        closed.times.alerted = Some(detected + Span::seconds(8));
        closed.clocks[0].kind = "feedback".into();
        let mut slow = made_up("I-2", "爆管");
        slow.state = IncidentState::Dismissed;
        slow.clocks.clear();
        slow.times.alerted = Some(detected + Span::seconds(31));
        let (due, now) = (closed.clocks[0].due, closed.history[0].at);
        let mut view = View { incidents: vec![closed, slow, danger], per_hour: vec![20; 24], ..View::default() };
        let page = board(&view, now);
        let first = format!("<dt>{}</dt><dd>反馈 <a href=\"/incidents/I-1\">积水过膝</a>", words::when(due, now));
        assert!(page.contains("接下来的时限") && page.contains(&first), "{page}");
        assert!(page.contains("中位 31 秒，最慢 31 秒"), "{page}");
        assert!(!page.contains("不在这里") && !page.contains("虚线"), "what is usual is not known");
        assert!(page.contains("叫不醒人"), "without a channel nobody is woken");
        view.usual_per_hour = vec![40; 24];
        assert!(board(&view, now).contains("虚线为前几天同一时段"));
        let empty = board(&View::default(), now);
        assert!(empty.contains("没有在走的时限") && !empty.contains("发现到通知"));
    }
}
