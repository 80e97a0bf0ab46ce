//! What every Kafka client here shares. In: librdkafka's lines, errors and answers. Out: one log line an event, counts,
//! the ids of topics, and words without a password.

use super::super::SourceError;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one question to the cluster may take.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// An id that nobody has: what a topic's id is before it is known.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Rings when there is something to read.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
    /// Waits for it, at most so long; then it is silent again.
    pub(super) fn wait(&self, most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// What a client tells beside its records.
#[derive(Default)]
pub(super) struct Ears {
    topics: Mutex<BTreeMap<String, Ids>>,
    errors: AtomicU64,
    commits_failed: AtomicU64,
    served: AtomicU64,
}

#[derive(Clone, Default)]
struct Ids {
    now: String,
    changed: bool,
}

impl Ears {
    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Ids>> {
        // Two texts: a panic elsewhere leaves them whole.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the topics that were asked for.
    pub(super) fn ids(&self) -> BTreeMap<String, String> {
        self.topics().iter().map(|(topic, ids)| (topic.clone(), ids.now.clone())).collect()
    }

    /// A topic whose id has changed since this client knows it: it was deleted and made anew.
    pub(super) fn replaced(&self) -> Option<String> {
        self.topics().iter().find(|(_, ids)| ids.changed).map(|(topic, _)| topic.clone())
    }

    /// Errors that the client mends by itself: brokers away, connections lost.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Progress reports that the broker refused.
    pub(super) fn commits_failed(&self) -> u64 {
        self.commits_failed.load(Ordering::Relaxed)
    }

    /// Lines, errors and answers so far: whether a poll that brought nothing served something.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn commit_failed(&self) {
        self.commits_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    // librdkafka keeps the ids of topics to itself, but says when one changes.
    fn heard(&self, line: &str) {
        let Some((before, ids)) = line.split_once(" changed id from ") else { return };
        let Some((from, to)) = ids.split_once(" to ") else { return };
        let Some((_, topic)) = before.rsplit_once("Topic ") else { return };
        let to = to.trim();
        if to == NO_ID {
            return;
        }
        let mut topics = self.topics();
        let ids = topics.entry(topic.to_owned()).or_default();
        ids.changed |= from != NO_ID || (!ids.now.is_empty() && ids.now != to);
        ids.now = to.to_owned();
    }
}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, line, "kafka client");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(facility, line, "kafka client"),
        _ => tracing::debug!(facility, line, "kafka client"),
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.serve();
        // A commit that nobody waits for fails in a line only.
        if facility.contains("COMMITFAIL") {
            self.commit_failed();
        }
        if matches!(level, RDKafkaLogLevel::Debug) {
            self.heard(line);
        }
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.serve();
        Ears::error(self);
        tracing::debug!(error = words(&error), reason, "kafka client");
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Ears {
    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.serve();
    }
}

/// The next event of a client's main queue, `None` once that is empty: a line or an answer ends a poll, and is none.
pub(super) fn event(client: &BaseConsumer<Ears>) -> Option<KafkaResult<BorrowedMessage<'_>>> {
    loop {
        let served = client.context().served();
        let event = client.poll(Duration::ZERO);
        if event.is_some() || client.context().served() == served {
            return event;
        }
    }
}

/// Hears what a client that reads nothing has to say; unheard it would pile up.
pub(super) fn hear(client: &BaseConsumer<Ears>) {
    while event(client).is_some() {}
}

/// An error in words, without the value of a setting.
pub(super) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => format!("setting {name} is not taken by the client"),
        other => other.to_string(),
    }
}

pub(super) fn failed(doing: impl Into<String>, detail: impl Into<String>) -> SourceError {
    SourceError::Failed { doing: format!("kafka: {}", doing.into()), detail: detail.into() }
}

/// Makes a client that asks and reads nothing.
pub(super) fn asker(settings: &ClientConfig) -> Result<BaseConsumer<Ears>, SourceError> {
    settings.create_with_context(Ears::default()).map_err(|error| failed("opening", words(&error)))
}

/// Numbers of a topic's partitions, in order.
pub(super) fn partitions_of<C: ConsumerContext>(
    asker: &BaseConsumer<C>,
    topic: &str,
    most: Duration,
) -> Result<Vec<i32>, SourceError> {
    let doing = || format!("asking for {topic}");
    let metadata = asker.fetch_metadata(Some(topic), most).map_err(|error| failed(doing(), words(&error)))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| failed(doing(), "the cluster does not answer for it"))?;
    if let Some(error) = found.error() {
        return Err(failed(doing(), RDKafkaErrorCode::from(error).to_string()));
    }
    let mut numbers: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
    numbers.sort_unstable();
    if numbers.is_empty() { Err(failed(doing(), "it has no partitions")) } else { Ok(numbers) }
}

/// First offset that is there, and the one after the last.
pub(super) fn ends_of<C: ConsumerContext>(
    asker: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(u64, u64), SourceError> {
    let (low, high) = asker
        .fetch_watermarks(topic, partition, ASK)
        .map_err(|error| failed(format!("asking for the ends of {topic}/{partition}"), words(&error)))?;
    Ok((low.max(0) as u64, high.max(0) as u64))
}

/// Compares a position with what is there: what is gone is told, and so is a topic that is another one.
pub(super) fn check_position(stream: &str, partition: i32, at: u64, ends: (u64, u64)) -> Result<(), SourceError> {
    let (low, high) = ends;
    if at > high {
        return Err(SourceError::Replaced { stream: stream.to_owned(), partition, read: at, end: high });
    }
    if at < low {
        return Err(SourceError::Gap { stream: stream.to_owned(), partition, from: at, to: low });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_a_new_topic() {
        let ears = Ears::default();
        ears.heard(&format!("[thrd:main]: Topic mentions changed id from {NO_ID} to abc"));
        ears.heard("[thrd:main]: Topic other Leader 1 Epoch 0");
        assert_eq!((ears.replaced(), ears.ids()), (None, BTreeMap::from([("mentions".into(), "abc".into())])));
        ears.heard("[thrd:main]: Topic mentions changed id from abc to def");
        assert_eq!(ears.replaced().as_deref(), Some("mentions"));
    }

    #[test]
    fn an_id_that_was_forgotten_in_between_is_compared_all_the_same() {
        let ears = Ears::default();
        ears.heard(&format!("Topic m changed id from {NO_ID} to abc"));
        ears.heard(&format!("Topic m changed id from abc to {NO_ID}"));
        ears.heard(&format!("Topic m changed id from {NO_ID} to abc"));
        assert_eq!(ears.replaced(), None);
        ears.heard(&format!("Topic m changed id from {NO_ID} to def"));
        assert_eq!(ears.replaced().as_deref(), Some("m"));
    }

    #[test]
    fn a_position_outside_what_is_there_is_told() {
        assert!(check_position("m", 0, 5, (5, 5)).is_ok());
        assert!(matches!(check_position("m", 0, 4, (5, 9)), Err(SourceError::Gap { from: 4, to: 5, .. })));
        assert!(matches!(check_position("m", 0, 10, (5, 9)), Err(SourceError::Replaced { read: 10, end: 9, .. })));
    }
}
