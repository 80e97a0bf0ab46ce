//! Numbers of the drawings: two-hour ruler, growth curve, columns by hour. In: views and the time. Out: positions as
//! text for SVG attributes; the templates do the rest.

use super::words::when;
use crate::duty::view::{ClockView, IncidentView};
use crate::time::Instant;

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
    let present = format!("现在 {}", now.hour_minute());
    let told: Vec<&str> = marks.iter().map(|mark| mark.text.as_str()).collect();
    let words =
        format!("时限尺：{start}，{}{}{present}，{due}", told.join("，"), if told.is_empty() { "" } else { "，" });
    Ruler { marks, start, due, now: present, now_x: percent(now_x), now_anchor, words }
}

/// The growth of distinct sources.
pub(super) struct Growth {
    pub path: String,
    pub from: String,
    pub middle: String,
    pub to: String,
    pub last: u32,
    pub half: u32,
    pub alert_x: Option<String>,
}

pub(super) fn growth(points: &[(Instant, u32)], alerted: Option<Instant>, now: Instant) -> Option<Growth> {
    let (first, last) = (points.first()?, points.last()?);
    let end = now.max(last.0);
    let whole = ((end - first.0).0.max(1)) as f64;
    let highest = points.iter().map(|point| point.1).max()?.max(1);
    let x = |at: Instant| ((at - first.0).0 as f64 / whole * 1_000.0).clamp(0.0, 1_000.0);
    let y = |count: u32| 150.0 - f64::from(count) / f64::from(highest) * 120.0;
    let mut path = String::from("M0 150");
    for (at, count) in points {
        path.push_str(&format!(" H{:.0} V{:.0}", x(*at), y(*count)));
    }
    path.push_str(" H1000");
    let middle = first.0 + crate::time::Span::millis((end - first.0).0 / 2);
    Some(Growth {
        path,
        from: when(first.0, now),
        middle: when(middle, now),
        to: when(end, now),
        last: last.1,
        half: highest.div_ceil(2),
        alert_x: alerted.map(|at| percent(x(at) / 10.0)),
    })
}

/// One column of an hour.
pub(super) struct Column {
    pub x: String,
    pub middle: String,
    pub y: u32,
    pub height: u32,
    pub label_y: u32,
    pub count: u64,
    pub hour: usize,
}

/// The last eight hours of the day so far; nothing where nothing was read.
pub(super) fn columns(per_hour: &[u64], now: Instant) -> Vec<Column> {
    let hour = (now.minute_of_day() / 60) as usize;
    let from = hour.saturating_sub(7);
    let shown: Vec<(usize, u64)> = per_hour.iter().copied().enumerate().take(hour + 1).skip(from).collect();
    let Some(highest) = shown.iter().map(|(_, count)| *count).max().filter(|highest| *highest > 0) else {
        return Vec::new();
    };
    let column = |(at, (hour, count)): (usize, (usize, u64))| {
        let height = ((count as f64 / highest as f64) * 134.0).round() as u32;
        let x = at as f64 * 12.5 + 1.0;
        let y = 160 - height;
        Column { x: percent(x), middle: percent(x + 5.25), y, height, label_y: y.saturating_sub(8), count, hour }
    };
    shown.into_iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

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
        let drawn = columns(&hours, now);
        assert_eq!(drawn.iter().map(|column| column.hour).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!((drawn[2].y, drawn[1].height), (26, 67));
        assert!(columns(&[0; 24], now).is_empty());
    }
}
