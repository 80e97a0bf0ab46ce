//! Several partitions as one stream. In: records of each partition as they come, and who is at its end. Out: the records
//! in order of arrival, as far as they are there; a partition that has more and does not deliver is waited for a while,
//! one at its end never, unless somebody upstream has yet to write there.

use crate::time::Instant;
use std::collections::VecDeque;
use std::time::{Duration, Instant as Moment};

/// How long a partition is taken to be without more upstream, once that was seen.
const IDLE: Duration = Duration::from_millis(100);
/// How long others wait for what is yet to be written upstream: who writes there may be gone.
const UPSTREAM: Duration = Duration::from_secs(3);
/// Records of one partition in hand: enough to choose from, little to lose.
pub(super) const LANE_RECORDS: usize = 512;
/// A partition that has more and delivers nothing for so long cannot be reached: it does not hold the clock up.
const SILENT: Duration = Duration::from_secs(10);

/// A record in hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) offset: u64,
    pub(super) at: Instant,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// One partition.
pub(super) struct Lane {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Offset of the next record to be given, or one before it.
    pub(super) next: u64,
    /// First offset that is not to be given now.
    hold: Option<u64>,
    held: VecDeque<Held>,
    /// Arrival of the last record that came: the next one is not before it.
    floor: Instant,
    /// Whether everything there was has come.
    ended: bool,
    /// Since when nothing is in hand although there is more.
    waits: Option<Moment>,
    /// Whether somebody upstream writes here.
    fed: bool,
    /// When it was last seen that nothing more is to come from upstream.
    idle: Option<Moment>,
}

/// All partitions, in order of topic and number.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    hold: Option<Vec<(String, i32, u64)>>,
    /// Times a partition that had more was passed over.
    pub(super) passed_over: u64,
}

/// What the next step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Give the first record of this lane.
    Give(usize),
    /// Wait for a lane, at most so long.
    Wait(Duration),
    /// Nothing is there.
    Nothing,
}

impl Lane {
    pub(super) fn new(topic: &str, partition: i32, next: u64) -> Lane {
        Lane {
            topic: topic.to_owned(),
            partition,
            next,
            hold: None,
            held: VecDeque::new(),
            floor: Instant::from_millis(i64::MIN),
            ended: false,
            waits: None,
            fed: false,
            idle: None,
        }
    }

    /// Whether nothing is in hand and more may be on its way.
    fn open(&self, now: Moment) -> bool {
        let fresh = |seen: Moment| now.saturating_duration_since(seen) < IDLE;
        self.held.is_empty() && !self.stopped() && (!self.ended || (self.fed && !self.idle.is_some_and(fresh)))
    }

    /// Whether it has room for more.
    pub(super) fn hungry(&self) -> bool {
        self.held.len() < LANE_RECORDS && !self.stopped()
    }

    fn stopped(&self) -> bool {
        let first = self.held.front().map_or(self.next, |held| held.offset);
        self.hold.is_some_and(|hold| first >= hold)
    }

    /// Takes a record that came; one that was given before is dropped.
    pub(super) fn take(&mut self, mut record: Held) -> bool {
        let next = self.held.back().map_or(self.next, |held| held.offset + 1);
        if record.offset < next {
            return false;
        }
        record.at = record.at.max(self.floor);
        self.floor = record.at;
        self.held.push_back(record);
        (self.ended, self.waits, self.idle) = (false, None, None);
        true
    }

    /// Notes that everything there was has come.
    pub(super) fn end(&mut self) {
        self.ended = true;
        if !self.fed {
            self.waits = None;
        }
    }
}

impl Lanes {
    pub(super) fn new(mut lanes: Vec<Lane>) -> Lanes {
        lanes.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Lanes { lanes, ..Lanes::default() }
    }

    pub(super) fn all(&mut self) -> &mut [Lane] {
        &mut self.lanes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.partition == partition && lane.topic == topic)
    }

    /// Gives nothing at or past these offsets; a partition that is not named gives nothing at all. `None` lets all go.
    pub(super) fn hold(&mut self, ends: Option<Vec<(String, i32, u64)>>) {
        self.hold = ends;
        for lane in &mut self.lanes {
            lane.waits = None;
            lane.hold = self.hold.as_ref().map(|ends| {
                let named =
                    ends.iter().find(|(topic, partition, _)| *partition == lane.partition && *topic == lane.topic);
                named.map_or(0, |(_, _, end)| *end)
            });
        }
    }

    /// From now on partitions at their end are waited for, until they are seen to be idle.
    pub(super) fn feed(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.fed = true);
    }

    /// Partitions at their end that others would have to wait for.
    pub(super) fn unsure(&self, now: Moment) -> Vec<(i32, u64)> {
        if self.lanes.iter().all(|lane| lane.held.is_empty() || lane.stopped()) {
            return Vec::new();
        }
        self.lanes.iter().filter(|lane| lane.ended && lane.open(now)).map(|lane| (lane.partition, lane.next)).collect()
    }

    /// Notes that nothing more is to come here from upstream.
    pub(super) fn idle(&mut self, partition: i32, now: Moment) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.partition == partition && lane.held.is_empty()) {
            (lane.idle, lane.waits) = (Some(now), None);
        }
    }

    /// Where everything is held.
    pub(super) fn held_at(&self) -> Option<Vec<(String, i32, u64)>> {
        self.hold.clone()
    }

    /// What to do next: the earliest record, unless a partition may still bring an earlier one.
    pub(super) fn next(&mut self, now: Moment, grace: Duration) -> Next {
        let mut first: Option<(Instant, usize)> = None;
        for (index, lane) in self.lanes.iter().enumerate().filter(|(_, lane)| !lane.stopped()) {
            if let Some(held) = lane.held.front()
                && first.is_none_or(|(at, _)| held.at < at)
            {
                first = Some((held.at, index));
            }
        }
        let mut wait = None;
        for lane in self.lanes.iter_mut().filter(|lane| lane.open(now)) {
            // What it brings next is not before its last: it cannot come before the first one.
            if first.is_some_and(|(at, _)| lane.floor > at) {
                continue;
            }
            let grace = if lane.ended { UPSTREAM } else { grace };
            let waited = now.saturating_duration_since(*lane.waits.get_or_insert(now));
            if waited < grace {
                let left = grace - waited;
                wait = Some(wait.map_or(left, |other: Duration| other.max(left)));
            } else if first.is_some() {
                self.passed_over += 1;
            }
        }
        match (first, wait) {
            (_, Some(left)) => Next::Wait(left),
            (Some((_, index)), None) => Next::Give(index),
            (None, None) => Next::Nothing,
        }
    }

    /// Takes the first record of a lane out.
    pub(super) fn give(&mut self, index: usize) -> Option<Held> {
        let lane = self.lanes.get_mut(index)?;
        let held = lane.held.pop_front()?;
        lane.next = held.offset + 1;
        Some(held)
    }

    /// Whether everything there was has been given, or cannot be reached.
    pub(super) fn at_end(&self, now: Moment) -> bool {
        let silent = |lane: &Lane| lane.waits.is_some_and(|since| now.saturating_duration_since(since) >= SILENT);
        self.lanes.iter().all(|lane| lane.held.is_empty() && (lane.ended || silent(lane)))
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
