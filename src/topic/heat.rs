//! Heat: how many distinct sources speak of a topic now, against what is usual for it. In: sources and times. Out: parts.
//!
//! A source counts once, when it first speaks; what comes late counts now. So more sources never lower the heat, and
//! repeats by one never raise it. The baseline is an exponentially weighted mean and variance with a half-life of a day,
//! over bins of five minutes; empty bins are folded in closed form.

use super::few::FewMap;
use super::rules::HeatRules;
use super::{Heat, HeatParts};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};

/// Length of a bin.
pub(crate) const BIN: Span = Span::minutes(5);
/// Sources told apart in one topic; further ones are not counted: such a topic is as hot as it gets.
const SOURCES: usize = 20_000;
/// What the baseline takes in of a bin at most, in deviations above the mean.
const CLIP: f64 = 5.0;
/// Floor under mean and deviation: one source a bin.
const FLOOR: f64 = 1.0;

/// Who spoke of a topic, and when for the first time.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default, Debug)]
pub struct Pulse {
    sources: FewMap<u64, i64>,
    bins: FewMap<i64, u32>,
    last: i64,
    closed: i64,
    mean: f64,
    variance: f64,
}

fn bin_of(at: Instant) -> i64 {
    at.millis().div_euclid(BIN.0)
}

impl Pulse {
    /// Notes a source; `false` where it had spoken before.
    pub fn add(&mut self, source: u64, at: Instant, rules: &HeatRules) -> bool {
        let bin = if self.bins.is_empty() { bin_of(at) } else { bin_of(at).max(self.last) };
        if self.sources.len() >= SOURCES || self.sources.get(source).is_some() {
            return false;
        }
        if self.bins.is_empty() {
            self.closed = bin;
        }
        self.sources.or_insert(source, bin);
        *self.bins.or_insert(bin, 0) += 1;
        self.last = bin;
        if self.closed < bin {
            (self.mean, self.variance) = self.baseline(bin, rules);
            self.closed = bin;
        }
        true
    }

    /// Distinct sources.
    pub fn sources(&self) -> u32 {
        self.sources.len() as u32
    }

    /// New distinct sources in the span that ends with the bin of `now`.
    pub fn within(&self, now: Instant, span: Span) -> u32 {
        let bin = bin_of(now).max(self.last);
        self.bins.range(bin - span.0 / BIN.0 + 1, bin + 1).map(|(_, n)| n).sum()
    }

    /// Distinct sources by bin, as a running total.
    pub fn growth(&self) -> Vec<(Instant, u32)> {
        let mut total = 0;
        let rows = self.bins.iter().map(|(bin, n)| {
            total += n;
            (Instant::from_millis(bin * BIN.0), total)
        });
        rows.collect()
    }

    /// Mean and variance over all bins before `bin`.
    fn baseline(&self, bin: i64, rules: &HeatRules) -> (f64, f64) {
        let keep = 0.5f64.powf(BIN.as_seconds() / (rules.half_life_hours * 3_600.0));
        let (mut mean, mut variance, mut closed) = (self.mean, self.variance, self.closed);
        let idle = |mean: &mut f64, variance: &mut f64, bins: i64| {
            let kept = keep.powf(bins as f64);
            *variance = kept * (*variance + *mean * *mean * (1.0 - kept));
            *mean *= kept;
        };
        for (at, n) in self.bins.range(closed, bin) {
            idle(&mut mean, &mut variance, at - closed);
            let deviation = variance.sqrt();
            let value = f64::from(n).min(mean + CLIP * (deviation + FLOOR));
            let step = value - mean;
            mean += (1.0 - keep) * step;
            variance = keep * (variance + (1.0 - keep) * step * step);
            closed = at + 1;
        }
        idle(&mut mean, &mut variance, (bin - closed).max(0));
        (mean, variance)
    }

    /// How hot, with the width that the caller knows.
    pub fn heat(&self, now: Instant, width: f64, rules: &HeatRules) -> Heat {
        let bin = bin_of(now).max(self.last);
        let (mean, variance) = self.baseline(bin, rules);
        let current = f64::from(self.bins.get(bin).unwrap_or(0));
        let burst = ((current - mean.max(FLOOR)) / (variance.sqrt() + FLOOR)).max(0.0);
        let recent = f64::from(self.within(now, Span::minutes(15)));
        let hour = f64::from(self.within(now, Span::minutes(75))) - recent;
        let growth = (rules.growth * ((1.0 + recent) / (1.0 + hour / 4.0)).ln()).max(0.0);
        Heat { total: burst + growth + width, parts: HeatParts { burst, growth, width } }
    }

    /// Two topics became one: each source counts from when it first spoke of either. Free of order, safe to repeat.
    pub fn merge(&mut self, other: &Pulse) {
        for (source, bin) in other.sources.iter() {
            let mine = self.sources.or_insert(source, bin);
            *mine = (*mine).min(bin);
        }
        if self.sources.len() > SOURCES {
            let mut rows: Vec<(i64, u64)> = self.sources.iter().map(|(source, bin)| (bin, source)).collect();
            rows.sort_unstable();
            rows.truncate(SOURCES);
            rows.sort_unstable_by_key(|row| row.1);
            self.sources = FewMap::default();
            for (bin, source) in rows {
                self.sources.or_insert(source, bin);
            }
        }
        self.bins = FewMap::default();
        for (_, bin) in self.sources.iter() {
            *self.bins.or_insert(bin, 0) += 1;
        }
        self.closed = self.bins.iter().next().map_or(0, |(bin, _)| bin);
        self.last = self.bins.iter().next_back().map_or(0, |(bin, _)| bin);
        (self.mean, self.variance) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pulse(of: &[(u64, i64)]) -> Pulse {
        let mut pulse = Pulse::default();
        for (source, minute) in of {
            pulse.add(*source, Instant::from_millis(0) + Span::minutes(*minute), &HeatRules::default());
        }
        pulse
    }

    proptest! {
        #[test]
        fn a_new_source_never_lowers_and_a_repeat_never_raises(
            before in proptest::collection::vec((0u64..40, 0i64..600), 0..60), late in 0i64..900, now in 600i64..900) {
            let rules = HeatRules::default();
            let now = Instant::from_millis(0) + Span::minutes(now);
            let mut pulse = pulse(&before);
            let cold = pulse.heat(now, 0.0, &rules).total;
            for (source, minute) in &before {
                pulse.add(*source, Instant::from_millis(0) + Span::minutes(*minute), &rules);
            }
            prop_assert_eq!(pulse.heat(now, 0.0, &rules).total, cold);
            // A source that comes late counts when it comes: the heat it finds is never higher than the heat it leaves.
            let at = Instant::from_millis(0) + Span::minutes(late);
            let cold = pulse.heat(at, 0.0, &rules).total;
            pulse.add(1_000, at, &rules);
            prop_assert!(pulse.heat(at, 0.0, &rules).total >= cold);
        }

        #[test]
        fn merging_is_free_of_order_and_safe_to_repeat(
            a in proptest::collection::vec((0u64..40, 0i64..600), 1..30),
            b in proptest::collection::vec((0u64..40, 0i64..600), 1..30),
            c in proptest::collection::vec((0u64..40, 0i64..600), 1..30)) {
            let (a, b, c) = (pulse(&a), pulse(&b), pulse(&c));
            let mut one = a.clone();
            one.merge(&b);
            one.merge(&c);
            one.merge(&b);
            let mut two = c;
            two.merge(&b);
            two.merge(&a);
            prop_assert_eq!(one, two);
        }
    }

    #[test]
    fn five_sources_in_a_quarter_are_hot_and_cool_by_themselves() {
        let rules = HeatRules::default();
        let busy = pulse(&[(1, 0), (2, 3), (3, 6), (4, 9), (5, 12)]);
        let at = |minute| Instant::from_millis(0) + Span::minutes(minute);
        assert!(busy.heat(at(12), 0.0, &rules).total >= 3.5);
        assert_eq!(busy.heat(at(300), 0.0, &rules).total, 0.0);
    }

    #[test]
    fn what_is_usual_is_no_burst() {
        let rules = HeatRules::default();
        let steady: Vec<(u64, i64)> = (0..2_000).map(|n| (n, n as i64 * 5 / 4)).collect();
        let fresh: Vec<(u64, i64)> = (0..4).map(|n| (n, 2_500)).collect();
        let at = Instant::from_millis(0) + Span::minutes(2_504);
        assert!(
            pulse(&steady).heat(at, 0.0, &rules).parts.burst
                < pulse(&fresh).heat(at - Span::minutes(4), 0.0, &rules).parts.burst
        );
    }
}
