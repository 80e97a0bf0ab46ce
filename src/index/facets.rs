//! Counts what matches by platform, level, class, district and hour, in one pass. In: a shard's matches; out: counts by
//! name. The cost is bounded: [`FACETED`] matches and the rest of one day, the newest ones; `of` says how many it were.

use super::collect::Columns;
use super::schema::FACETS;
use super::{Bucket, Facet, Facets, Histogram};
use crate::time::{Day, Instant};
use std::collections::BTreeMap;
use tantivy::DocId;

/// Matches after which no further shard is looked at for facets.
pub const FACETED: u64 = 50_000;
/// Values told of one facet.
const VALUES: usize = 20;
/// Days up to which the histogram is by the hour.
pub const HOURLY_DAYS: usize = 2;
/// Bars of a histogram at the most, when it is by days.
const BARS: usize = 92;
const HOUR_MS: i64 = 3_600_000;

/// What was counted: for each of [`FACETS`] how often which value, and how many in which hour.
#[derive(Default)]
pub struct Counted {
    hourly: bool,
    of: u64,
    values: [BTreeMap<String, u64>; FACETS.len()],
    hours: BTreeMap<i64, u64>,
}

/// The counts of one segment, by the numbers of its values.
pub struct Tally<'a> {
    columns: &'a Columns,
    hourly: bool,
    of: u64,
    counts: Vec<Vec<u64>>,
    hours: BTreeMap<i64, u64>,
    /// The hour counted last and its number: neighbours are mostly of one hour.
    last: (i64, u64),
}

impl Tally<'_> {
    /// Counts a match.
    pub fn take(&mut self, doc: DocId) {
        self.of += 1;
        for (coded, counts) in self.columns.coded.iter().zip(&mut self.counts) {
            let Some(coded) = coded else { continue };
            for ord in coded.ords.values_for_doc(doc) {
                if let Some(count) = counts.get_mut(ord as usize) {
                    *count += 1;
                }
            }
        }
        if self.hourly {
            let hour = self.columns.created.first(doc).unwrap_or(0).div_euclid(HOUR_MS);
            if hour != self.last.0 {
                *self.hours.entry(self.last.0).or_default() += self.last.1;
                self.last = (hour, 0);
            }
            self.last.1 += 1;
        }
    }

    /// Adds the counts to those of the other segments.
    pub fn into_counted(mut self, counted: &mut Counted) {
        *self.hours.entry(self.last.0).or_default() += self.last.1;
        counted.of += self.of;
        for (hour, count) in self.hours.into_iter().filter(|(_, count)| *count > 0) {
            *counted.hours.entry(hour).or_default() += count;
        }
        for ((values, coded), counts) in counted.values.iter_mut().zip(&self.columns.coded).zip(self.counts) {
            let Some(coded) = coded else { continue };
            for (name, count) in coded.names.iter().zip(counts).filter(|(_, count)| *count > 0) {
                match values.get_mut(name) {
                    Some(sum) => *sum += count,
                    None => {
                        values.insert(name.clone(), count);
                    }
                }
            }
        }
    }
}

impl Counted {
    /// Nothing counted yet; by the hour too where it is asked for.
    pub fn new(hourly: bool) -> Counted {
        Counted { hourly, ..Counted::default() }
    }

    /// Whether hours are counted.
    pub fn hourly(&self) -> bool {
        self.hourly
    }

    /// Begins to count a segment.
    pub fn tally<'a>(&self, columns: &'a Columns) -> Tally<'a> {
        let counts = columns.coded.iter().map(|coded| vec![0; coded.as_ref().map_or(0, |coded| coded.names.len())]);
        let (hours, last) = (BTreeMap::new(), (i64::MIN, 0));
        Tally { columns, hourly: self.hourly, of: 0, counts: counts.collect(), hours, last }
    }

    /// Matches looked at.
    pub fn of(&self) -> u64 {
        self.of
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
    pub fn histogram(&self, days: &BTreeMap<Day, u64>) -> Histogram {
        if self.hourly {
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
