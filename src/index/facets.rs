//! Counts what matches by platform, level, class, district and hour, in one pass. In: a shard's matches; out: counts by
//! name. The cost is bounded: [`FACETED`] matches and the rest of one day, the newest ones; `of` says how many it were.

use super::schema::{CREATED, FACETS};
use super::{Bucket, Facet, Facets, Histogram};
use crate::time::{Day, Instant};
use std::collections::BTreeMap;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

/// Matches after which no further shard is looked at for facets.
pub const FACETED: u64 = 100_000;
/// Values told of one facet.
const VALUES: usize = 20;
/// Days up to which the histogram is by the hour.
pub const HOURLY_DAYS: usize = 2;
/// Bars of a histogram at the most, when it is by days.
const BARS: usize = 92;
const HOUR_MS: i64 = 3_600_000;

/// Counts a shard's matches.
pub struct Tally {
    /// By the hour too.
    pub hourly: bool,
}

/// What was counted: for each of [`FACETS`] how often which value, and how many in which hour.
#[derive(Default)]
pub struct Counted {
    of: u64,
    values: [BTreeMap<String, u64>; FACETS.len()],
    hours: BTreeMap<i64, u64>,
}

/// The part of one segment.
pub struct Part {
    of: u64,
    columns: Vec<Option<(StrColumn, Vec<u64>)>>,
    created: Option<Column<i64>>,
    hours: BTreeMap<i64, u64>,
    /// The hour counted last and its number: neighbours are mostly of one hour.
    last: (i64, u64),
}

impl Collector for Tally {
    type Fruit = Counted;
    type Child = Part;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<Part> {
        let fast = reader.fast_fields();
        let mut columns = Vec::with_capacity(FACETS.len());
        for name in FACETS {
            columns.push(fast.str(name)?.map(|column| {
                let counts = vec![0; column.num_terms()];
                (column, counts)
            }));
        }
        let created = if self.hourly { Some(fast.i64(CREATED)?) } else { None };
        Ok(Part { of: 0, columns, created, hours: BTreeMap::new(), last: (i64::MIN, 0) })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, parts: Vec<Counted>) -> tantivy::Result<Counted> {
        let mut all = Counted::default();
        parts.into_iter().for_each(|part| all.add(part));
        Ok(all)
    }
}

impl SegmentCollector for Part {
    type Fruit = Counted;

    fn collect(&mut self, doc: DocId, _: Score) {
        self.of += 1;
        for (column, counts) in self.columns.iter_mut().flatten() {
            for ord in column.ords().values_for_doc(doc) {
                if let Some(count) = counts.get_mut(ord as usize) {
                    *count += 1;
                }
            }
        }
        if let Some(created) = &self.created {
            let hour = created.first(doc).unwrap_or(0).div_euclid(HOUR_MS);
            if hour != self.last.0 {
                *self.hours.entry(self.last.0).or_default() += self.last.1;
                self.last = (hour, 0);
            }
            self.last.1 += 1;
        }
    }

    fn harvest(mut self) -> Counted {
        *self.hours.entry(self.last.0).or_default() += self.last.1;
        self.hours.retain(|_, count| *count > 0);
        let mut counted = Counted { of: self.of, hours: self.hours, ..Counted::default() };
        for (values, column) in counted.values.iter_mut().zip(self.columns) {
            let Some((column, counts)) = column else { continue };
            for (ord, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                let mut name = String::new();
                // A value whose name cannot be read is left out; search itself does not need it.
                if column.ord_to_str(ord as u64, &mut name).unwrap_or(false) {
                    *values.entry(name).or_default() += count;
                }
            }
        }
        counted
    }
}

impl Counted {
    /// Matches looked at.
    pub fn of(&self) -> u64 {
        self.of
    }

    /// Adds another shard's counts.
    pub fn add(&mut self, other: Counted) {
        self.of += other.of;
        for (values, more) in self.values.iter_mut().zip(other.values) {
            more.into_iter().for_each(|(value, count)| *values.entry(value).or_default() += count);
        }
        other.hours.into_iter().for_each(|(hour, count)| *self.hours.entry(hour).or_default() += count);
    }

    /// The facets of a page, the most frequent values first.
    pub fn facets(&self) -> Facets {
        let told = |values: &BTreeMap<String, u64>| {
            let mut told: Vec<Facet> =
                values.iter().map(|(value, count)| Facet { value: value.clone(), count: *count }).collect();
            told.sort_by_key(|facet| std::cmp::Reverse(facet.count));
            told.truncate(VALUES);
            told
        };
        let [platform, level, class, district] = &self.values;
        Facets {
            of: self.of,
            platform: told(platform),
            level: told(level),
            class: told(class),
            district: told(district),
        }
    }

    /// The histogram of a page: by the hour where hours were counted, else by `days`.
    pub fn histogram(&self, hourly: bool, days: &BTreeMap<Day, u64>) -> Histogram {
        if hourly {
            let bucket =
                |(hour, count): (&i64, &u64)| Bucket { at: Instant::from_millis(hour * HOUR_MS), count: *count };
            return Histogram { step_s: 3_600, buckets: self.hours.iter().map(bucket).collect() };
        }
        let found = |(day, count): (&Day, &u64)| (*count > 0).then_some((*day, *count));
        let days: Vec<(Day, u64)> = days.iter().filter_map(found).collect();
        let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) else { return Histogram::default() };
        let step = (i64::from(last.0 - first.0) + 1).max(1) as usize;
        let step = step.div_ceil(BARS).max(1) as i64;
        let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
        for (day, count) in &days {
            *bars.entry(i64::from(day.0 - first.0) / step).or_default() += count;
        }
        let start = first.start().millis();
        let bucket = |(bar, count)| Bucket { at: Instant::from_millis(start + bar * step * 24 * HOUR_MS), count };
        Histogram { step_s: step as u64 * 86_400, buckets: bars.into_iter().map(bucket).collect() }
    }
}
