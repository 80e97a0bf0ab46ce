//! Instants and spans of the core: milliseconds since 1970 in UTC, read and written as RFC 3339.
//!
//! Time is always an argument; nothing here reads a clock. People see Asia/Shanghai, which has had a fixed offset of
//! eight hours since 1991, so the host's zone and its tz database are never asked.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Add, Sub};

/// A point in time: milliseconds since the Unix epoch, UTC. Serialised as RFC 3339 in UTC (`2026-10-01T02:05:00Z`)
/// where a person or program may read it, as a plain integer in compact formats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

/// A length of time in milliseconds; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Span(pub i64);

/// A civil day in Shanghai, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Day(pub i32);

/// Shanghai's offset from UTC.
pub const SHANGHAI: Span = Span::hours(8);

impl Span {
    /// `n` milliseconds.
    pub const fn millis(n: i64) -> Span {
        Span(n)
    }
    /// `n` seconds.
    pub const fn seconds(n: i64) -> Span {
        Span(n * 1_000)
    }
    /// `n` minutes.
    pub const fn minutes(n: i64) -> Span {
        Span(n * 60_000)
    }
    /// `n` hours.
    pub const fn hours(n: i64) -> Span {
        Span(n * 3_600_000)
    }
    /// `n` days of 24 hours.
    pub const fn days(n: i64) -> Span {
        Span(n * 86_400_000)
    }
    /// Length in seconds, with the fraction.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e3
    }
    /// Length in minutes, with the fraction.
    pub fn as_minutes(self) -> f64 {
        self.0 as f64 / 6e4
    }
}

impl Instant {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Instant {
        Instant(millis)
    }
    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Reads RFC 3339 with any offset; `None` where it is something else or outside the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Instant> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        Some(Instant(stamp.as_millisecond()))
    }
    /// The civil day in Shanghai.
    pub fn day(self) -> Day {
        Day((self.0 + SHANGHAI.0).div_euclid(Span::days(1).0) as i32)
    }
    /// Minute of the Shanghai day, 0 to 1439.
    pub fn minute_of_day(self) -> u32 {
        ((self.0 + SHANGHAI.0).rem_euclid(Span::days(1).0) / Span::minutes(1).0) as u32
    }
    /// Hour of the week in Shanghai, 0 (Monday 0 h) to 167.
    pub fn hour_of_week(self) -> u32 {
        // 1970-01-01 was a Thursday: day 0 is weekday 3 counted from Monday.
        let weekday = (self.day().0 + 3).rem_euclid(7) as u32;
        weekday * 24 + self.minute_of_day() / 60
    }
    /// Wall time in Shanghai.
    pub fn shanghai(self) -> jiff::civil::DateTime {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        jiff::tz::Offset::constant(8).to_datetime(stamp)
    }
    /// `MM月DD日 HH:MM` is for people; this is `HH:MM` in Shanghai.
    pub fn hour_minute(self) -> String {
        let at = self.shanghai();
        format!("{:02}:{:02}", at.hour(), at.minute())
    }
    /// RFC 3339 with Shanghai's offset, for `datetime` attributes.
    pub fn rfc3339_shanghai(self) -> String {
        let at = self.shanghai();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}+08:00",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

impl Day {
    /// The instant at which the day begins in Shanghai.
    pub fn start(self) -> Instant {
        Instant(i64::from(self.0) * Span::days(1).0 - SHANGHAI.0)
    }
    /// `YYYY-MM-DD`.
    pub fn iso(self) -> String {
        let at = self.start().shanghai();
        format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
    }
    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Day> {
        let date: jiff::civil::Date = text.parse().ok()?;
        let stamp = jiff::tz::Offset::constant(8).to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(Instant(stamp.as_millisecond()).day())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{stamp}")
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Add<Span> for Instant {
    type Output = Instant;
    fn add(self, span: Span) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Instant {
    type Output = Instant;
    fn sub(self, span: Span) -> Instant {
        Instant(self.0.saturating_sub(span.0))
    }
}

impl Sub for Instant {
    type Output = Span;
    fn sub(self, earlier: Instant) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl schemars::JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, in UTC." })
    }
    fn inline_schema() -> bool {
        true
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
            Instant::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
        } else {
            i64::deserialize(deserializer).map(Instant)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc3339_in_utc() {
        let at = Instant::parse("2026-10-01T10:05:00+08:00").expect("valid");
        assert_eq!(at.to_string(), "2026-10-01T02:05:00Z");
        assert_eq!(at.rfc3339_shanghai(), "2026-10-01T10:05:00+08:00");
        assert_eq!(at.hour_minute(), "10:05");
        assert_eq!(serde_json::to_string(&at).expect("serialises"), "\"2026-10-01T02:05:00Z\"");
    }

    #[test]
    fn days_are_shanghai_days() {
        let late = Instant::parse("2026-09-30T23:59:59+08:00").expect("valid");
        let next = late + Span::seconds(1);
        assert_eq!(late.day().iso(), "2026-09-30");
        assert_eq!(next.day().iso(), "2026-10-01");
        assert_eq!(next.day().start(), next);
        assert_eq!(Day::parse("2026-10-01"), Some(next.day()));
        assert_eq!(next.hour_of_week() / 24, 3, "2026-10-01 is a Thursday");
    }
}
