//! Times of a query. In: `24h`, `2026-10-01`, `[2026-10-01 TO 2026-10-02]` and now; out: instants in milliseconds.
//! Days and times without an offset are Shanghai's.

use crate::time::{Day, Instant, Span};

/// First instant and the one after the last, in milliseconds.
pub fn times(value: &str, now: Instant) -> Option<(i64, i64)> {
    if let Some(inner) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (from, to) = inner.split_once(" TO ").or_else(|| inner.split_once(" to "))?;
        let from = if from.trim() == "*" { i64::MIN } else { moment(from.trim())?.0 };
        let to = if to.trim() == "*" { i64::MAX } else { moment(to.trim())?.1 };
        return Some((from, to));
    }
    let unit = value.chars().last()?;
    let span = match unit.to_ascii_lowercase() {
        'm' => Span::minutes(1),
        'h' => Span::hours(1),
        'd' => Span::days(1),
        'w' => Span::days(7),
        _ => return moment(value),
    };
    let count: i64 =
        value[..value.len() - unit.len_utf8()].parse().ok().filter(|count| (1..=100_000).contains(count))?;
    Some(((now - Span(span.0 * count)).millis(), i64::MAX))
}

/// A day, a minute or a second in Shanghai, or RFC 3339: where it begins and where it ends.
fn moment(text: &str) -> Option<(i64, i64)> {
    if let Some(day) = Day::parse(text).filter(|_| text.len() == 10) {
        return Some((day.start().millis(), Day(day.0 + 1).start().millis()));
    }
    let length = if text.len() == 16 { 60_000 } else { 1_000 };
    let start = Instant::parse(text)
        .or_else(|| Instant::parse(&format!("{text}+08:00")))
        .or_else(|| Instant::parse(&format!("{text}:00+08:00")))?;
    Some((start.millis(), start.millis().checked_add(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_days_minutes_spans_and_ranges() {
        let now = Instant::parse("2026-10-03T12:00:00+08:00").expect("a time");
        let at = |text: &str| Instant::parse(text).expect("a time").millis();
        let day = (at("2026-10-01T00:00:00+08:00"), at("2026-10-02T00:00:00+08:00"));
        assert_eq!(times("2026-10-01", now), Some(day));
        assert_eq!(times("[2026-10-01 TO 2026-10-01]", now), Some(day));
        assert_eq!(times("90m", now), Some((at("2026-10-03T10:30:00+08:00"), i64::MAX)));
        let minute = (at("2026-10-01T08:30:00+08:00"), at("2026-10-01T08:31:00+08:00"));
        assert_eq!(times("2026-10-01T08:30", now), Some(minute));
        assert_eq!(times("[* to 2026-10-01T00:30:00Z]", now), Some((i64::MIN, minute.0 + 1_000)));
        for wrong in ["", "h", "-1h", "0h", "99999999999999999999d", "2026-13-01", "[2026-10-01]", "[a TO b]", "火"] {
            assert_eq!(times(wrong, now), None, "{wrong}");
        }
    }
}
