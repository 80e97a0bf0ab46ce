//! Every metric of the program in one list: name, type, labels, unit, help. Labels come from a closed list; no text,
//! id or key ever (public-trust rule 18). Flows in: counts from the loops. Flows out: the Prometheus text format.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The only label names a metric may carry.
pub const LABELS: &[&str] = &["class", "unit", "district", "platform", "state", "stage", "channel", "reason", "level"];

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    /// Mentions read by the desk.
    pub mentions: IntCounterVec,
    /// Records refused at the door.
    pub dead_letters: IntCounterVec,
    /// Mentions known before.
    pub duplicates: IntCounter,
    /// Incidents raised.
    pub incidents: IntCounterVec,
    /// Incidents by state, now.
    pub incident_states: IntGaugeVec,
    /// Attempts to send by channel and how they ended.
    pub notices: IntCounterVec,
    /// Topics in memory.
    pub topics: IntGauge,
    /// Records in the log that the desk has not read.
    pub lag: IntGauge,
    /// Records in the log that search does not show yet.
    pub index_lag: IntGauge,
    /// From a mention's arrival to its incident's first accepted notice.
    pub detection: Histogram,
    /// Seconds of one step of the desk.
    pub step: Histogram,
    /// Milliseconds left on the most urgent open first-notice clock; the greatest integer when none runs.
    pub time_left: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Metrics {
            mentions: counters("yuqing_mentions_total", "mentions read by the desk", &["platform"])?,
            dead_letters: counters("yuqing_dead_letters_total", "records refused at the door", &["reason"])?,
            duplicates: IntCounter::new("yuqing_duplicates_total", "mentions known before")?,
            incidents: counters("yuqing_incidents_total", "incidents raised", &["level"])?,
            incident_states: gauges("yuqing_incidents", "incidents by state", &["state"])?,
            notices: counters("yuqing_notice_attempts_total", "attempts to send a notice", &["channel", "state"])?,
            topics: IntGauge::new("yuqing_topics", "topics in memory")?,
            lag: IntGauge::new("yuqing_stream_lag_records", "durable records that the desk has not read")?,
            index_lag: IntGauge::new("yuqing_index_lag_records", "read records that search does not show yet")?,
            detection: histogram(
                "yuqing_detection_seconds",
                "arrival of the deciding mention to the incident's first accepted notice",
                &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0],
            )?,
            step: histogram(
                "yuqing_step_seconds",
                "one step of the desk",
                &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0],
            )?,
            time_left: IntGauge::new(
                "yuqing_first_notice_left_seconds",
                "time left on the most urgent open first-notice clock; 7200 when none runs",
            )?,
            registry,
        };
        let all: Vec<Box<dyn prometheus::core::Collector>> = vec![
            Box::new(metrics.mentions.clone()),
            Box::new(metrics.dead_letters.clone()),
            Box::new(metrics.duplicates.clone()),
            Box::new(metrics.incidents.clone()),
            Box::new(metrics.incident_states.clone()),
            Box::new(metrics.notices.clone()),
            Box::new(metrics.topics.clone()),
            Box::new(metrics.lag.clone()),
            Box::new(metrics.index_lag.clone()),
            Box::new(metrics.detection.clone()),
            Box::new(metrics.step.clone()),
            Box::new(metrics.time_left.clone()),
        ];
        for collector in all {
            for desc in collector.desc() {
                debug_assert!(
                    desc.variable_labels.iter().all(|label| LABELS.contains(&label.as_str())),
                    "a label outside the list"
                );
            }
            metrics.registry.register(collector)?;
        }
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let build = IntGauge::with_opts(
            Opts::new("yuqing_build_info", "1; the version is the program's")
                .const_label("stage", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        metrics.registry.register(Box::new(build))?;
        metrics.time_left.set(7_200);
        Ok(metrics)
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Names of all label keys in use, for the test that holds the list.
    pub fn labels_in_use(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for family in self.registry.gather() {
            for metric in family.get_metric() {
                names.extend(metric.get_label().iter().map(|label| label.name().to_owned()));
            }
        }
        names.sort();
        names.dedup();
        names
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_on_the_list() {
        let metrics = Metrics::new().expect("registers");
        metrics.mentions.with_label_values(&["weibo"]).inc();
        metrics.notices.with_label_values(&["duty-bot", "accepted"]).inc();
        let used = metrics.labels_in_use();
        assert!(used.contains(&"platform".to_owned()));
        assert!(used.iter().all(|label| LABELS.contains(&label.as_str())), "{used:?}");
    }
}
