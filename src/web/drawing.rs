//! Numbers of the drawings: two-hour ruler, growth curve, columns by hour. In: views and the time. Out: positions as
//! text for SVG attributes; the templates do the rest.

use super::words::{length_words, when};
use crate::duty::view::{ClockView, IncidentView};
use crate::time::{Instant, Span};

/// Percent that a label takes on the ruler.
const LABEL: f64 = 13.0;
/// Y of the labels above and under the ruler.
const ROWS: [u32; 2] = [66, 18];

/// One event on the ruler.
pub(super) struct Mark {
    pub x: String,
    /// Y of its label; none where there is no room.
    pub y: Option<u32>,
    pub text: String,
}

/// The ruler of a clock from its start to its end.
pub(super) struct Ruler {
    pub marks: Vec<Mark>,
    pub start: String,
    pub due: String,
    pub now: String,
    pub now_x: String,
    /// `m` in the middle; `e` near the end, nothing near the start, so that the label stays inside.
    pub now_anchor: &'static str,
    pub words: String,
}

fn percent(x: f64) -> String {
    format!("{x:.1}%")
}

pub(super) fn ruler(incident: &IncidentView, clock: &ClockView, now: Instant) -> Ruler {
    let whole = ((clock.due - clock.start).0.max(1)) as f64;
    let place = |at: Instant| ((at - clock.start).0 as f64 / whole * 100.0).clamp(0.0, 100.0);
    let times = &incident.times;
    let mut known: Vec<(Instant, &str)> = [
        (times.first_mention, "首条提及"),
        (times.detected, "发现"),
        (times.alerted, "告警"),
        (times.acknowledged, "接手"),
        (times.confirmed, "确认"),
        (times.first_published, "首发"),
    ]
    .into_iter()
    .filter_map(|(at, word)| Some((at?, word)))
    .filter(|(at, _)| *at >= clock.start && *at <= clock.due)
    .collect();
    known.sort_by_key(|(at, _)| *at);
    let now_x = place(now);
    let now_anchor = if now_x > 90.0 {
        "e"
    } else if now_x < 10.0 {
        ""
    } else {
        "m"
    };
    // A label holds its row from its point on; start and end hold the upper row, the present the lower one.
    let mut held = [vec![(now_x - LABEL, now_x + LABEL)], vec![(0.0, LABEL), (100.0 - LABEL, 100.0)]];
    let mut marks: Vec<Mark> = Vec::new();
    for (at, word) in &known {
        let x = place(*at);
        let free =
            |row: &Vec<(f64, f64)>| x + LABEL <= 100.0 && row.iter().all(|(from, to)| x + LABEL <= *from || x >= *to);
        let row = held.iter().position(free);
        if let Some(row) = row {
            held[row].push((x, x + LABEL));
        }
        marks.push(Mark { x: percent(x), y: row.map(|row| ROWS[row]), text: format!("{} {word}", at.hour_minute()) });
    }
    let start = format!("{} 起算", when(clock.start, now));
    let due = format!("{} 到期", when(clock.due, now));
    // Past its end the present stands at the end: its label then tells by how much.
    let present = if now > clock.due {
        format!("现在，已超 {}", length_words(now - clock.due))
    } else {
        format!("现在 {}", now.hour_minute())
    };
    let told: Vec<&str> = marks.iter().map(|mark| mark.text.as_str()).collect();
    let words =
        format!("时限尺：{start}，{}{}{present}，{due}", told.join("，"), if told.is_empty() { "" } else { "，" });
    Ruler { marks, start, due, now: present, now_x: percent(now_x), now_anchor, words }
}

/// What the drawing of the growth shows at least, where so much has passed.
const GROWTH: Span = Span::hours(2);

/// The growth of distinct sources.
pub(super) struct Growth {
    pub path: String,
    pub from: String,
    pub middle: String,
    pub to: String,
    pub last: u32,
    pub half: u32,
    /// Where people were told, or it was found if nobody was yet, and the word for it.
    pub mark: Option<(String, &'static str)>,
}

pub(super) fn growth(points: &[(Instant, u32)], mark: Option<(Instant, &'static str)>, now: Instant) -> Option<Growth> {
    let (first, last) = (points.first()?, points.last()?);
    // Long after the last new source the curve would be a step at the edge: it ends when it has been flat as long again.
    let told = Span((last.0 - first.0).0 * 2).max(GROWTH);
    let end = now.min(first.0 + told).max(last.0);
    let whole = ((end - first.0).0.max(1)) as f64;
    let highest = points.iter().map(|point| point.1).max()?.max(1);
    let x = |at: Instant| ((at - first.0).0 as f64 / whole * 1_000.0).clamp(0.0, 1_000.0);
    let y = |count: u32| 150.0 - f64::from(count) / f64::from(highest) * 120.0;
    let mut path = String::from("M0 150");
    for (at, count) in points {
        path.push_str(&format!(" H{:.0} V{:.0}", x(*at), y(*count)));
    }
    path.push_str(" H1000");
    let middle = first.0 + Span::millis((end - first.0).0 / 2);
    Some(Growth {
        path,
        from: when(first.0, now),
        middle: when(middle, now),
        to: when(end, now),
        last: last.1,
        half: highest.div_ceil(2),
        mark: mark.filter(|(at, _)| *at <= end).map(|(at, word)| (percent(x(at) / 10.0), word)),
    })
}

/// Height of the number on a column, with its room.
const LABEL_HEIGHT: u32 = 26;

/// One column of an hour.
pub(super) struct Column {
    pub x: String,
    pub middle: String,
    pub y: u32,
    pub height: u32,
    pub label_y: u32,
    pub count: u64,
    pub hour: usize,
    /// Y of the line of what is usual in this hour; none where that is not known.
    pub usual_y: Option<u32>,
    pub to: String,
}

/// What is usual in each hour once another day is over: a mean that leans to the last days. An hour in which nothing
/// was read says nothing.
pub(crate) fn usual(before: &[u64], day: &[u64]) -> Vec<u64> {
    let one = |(hour, &count): (usize, &u64)| match before.get(hour) {
        Some(&known) if known > 0 && count > 0 => (known * 3 + count + 2) / 4,
        Some(&known) if known > 0 => known,
        _ => count,
    };
    day.iter().enumerate().map(one).collect()
}

/// The last eight hours of the day so far; nothing where nothing was read.
pub(super) fn columns(per_hour: &[u64], usual: &[u64], now: Instant) -> Vec<Column> {
    let hour = (now.minute_of_day() / 60) as usize;
    let from = hour.saturating_sub(7);
    let shown: Vec<(usize, u64)> = per_hour.iter().copied().enumerate().take(hour + 1).skip(from).collect();
    if shown.iter().all(|(_, count)| *count == 0) {
        return Vec::new();
    }
    let known = |hour: usize| usual.get(hour).copied().filter(|count| *count > 0);
    let tallest = |(hour, count): &(usize, u64)| known(*hour).unwrap_or(0).max(*count);
    let highest = shown.iter().map(tallest).max().unwrap_or(1).max(1);
    let tall = |count: u64| ((count as f64 / highest as f64) * 134.0).round() as u32;
    let column = |(at, (hour, count)): (usize, (usize, u64))| {
        let height = tall(count);
        let x = at as f64 * 12.5 + 1.0;
        let (y, usual_y) = (160 - height, known(hour).map(|count| 160 - tall(count)));
        // The number stands on its column; a line that would cross it lifts it.
        let crossing = usual_y.filter(|line| *line < y && y - line < LABEL_HEIGHT);
        let label_y = crossing.unwrap_or(y).saturating_sub(8);
        let (middle, to) = (percent(x + 5.25), percent(x + 10.5));
        Column { x: percent(x), middle, to, y, height, label_y, count, hour, usual_y }
    };
    shown.into_iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_climbs_and_ends_at_the_present() {
        let start = Instant::from_millis(1_790_000_000_000);
        let points = [(start, 1), (start + Span::minutes(30), 4)];
        let drawn = growth(&points, None, start + Span::minutes(60)).unwrap();
        assert_eq!(drawn.path, "M0 150 H0 V120 H500 V30 H1000");
        assert!(growth(&[], None, start).is_none());
    }

    #[test]
    fn columns_show_today_only() {
        let now = Instant::parse("2026-10-01T03:31:00+08:00").unwrap();
        let mut hours = vec![9; 24];
        hours[2] = 18;
        let drawn = columns(&hours, &[], now);
        assert_eq!(drawn.iter().map(|column| column.hour).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!((drawn[2].y, drawn[1].height), (26, 67));
        assert!(drawn.iter().all(|column| column.usual_y.is_none()), "nothing is said of what is not known");
        assert!(columns(&[0; 24], &[], now).is_empty());
    }

    #[test]
    fn what_is_usual_is_drawn_from_the_days_before() {
        let now = Instant::parse("2026-10-01T01:31:00+08:00").unwrap();
        let first = usual(&[], &[40, 0]);
        assert_eq!(first, [40, 0], "of the first day that of its hours which were read");
        assert_eq!(usual(&first, &[80, 8]), [50, 8]);
        assert_eq!(usual(&first, &[0, 0]), first, "an hour without data changes nothing");
        let drawn = columns(&[20, 10], &[40, 0], now);
        assert_eq!((drawn[0].height, drawn[0].usual_y, drawn[0].label_y), (67, Some(26), 85));
        assert_eq!(drawn[1].usual_y, None);
        let close = columns(&[36, 10], &[40, 0], now);
        assert_eq!((close[0].y, close[0].usual_y, close[0].label_y), (39, Some(26), 18), "the line does not cross it");
    }
}
