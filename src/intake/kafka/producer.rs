//! Writing to Kafka. In: records with key, headers and value. Out: for each of them whether every replica has it, and a
//! flush that waits for all and tells the first failure. Idempotent: the client's own repeats write nothing twice.

use super::client::{log, words};
use super::config::KafkaConfig;
use crate::ledger::Position;
use crate::time::Instant;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a full buffer is waited for before it is looked at again.
const FULL: Duration = Duration::from_millis(20);

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; `None` lets the key choose, as other clients would.
    pub partition: Option<i32>,
    /// Key.
    pub key: &'a str,
    /// Names and values, such as `yuqing-schema` and `assessed/1`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Value; `None` deletes what the key names.
    pub value: Option<&'a [u8]>,
    /// Its time; `None` is now.
    pub timestamp: Option<Instant>,
}

/// What writing fails at.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum ProduceError {
    /// The record will never be taken.
    #[error("record {key:?} for {topic} has {bytes} bytes, more than the client or the broker takes")]
    TooLarge {
        /// Topic.
        topic: String,
        /// Key.
        key: String,
        /// Bytes of its value.
        bytes: usize,
    },
    /// Topic, authority or settings are wrong: nothing is taken until somebody mends them.
    #[error("writing to {topic}: {detail}")]
    Misconfigured {
        /// Topic.
        topic: String,
        /// What the broker said.
        detail: String,
    },
    /// It was not delivered in time, or the broker refused it; it may be tried again.
    #[error("writing to {topic}: {detail}")]
    Failed {
        /// Topic.
        topic: String,
        /// What happened.
        detail: String,
    },
    /// The client can write no more and must be opened again.
    #[error("the writer stopped: {0}")]
    Stopped(String),
}

impl ProduceError {
    /// Bytes of a record that is too large; nothing of any other failure.
    fn bytes(&self) -> Option<usize> {
        if let ProduceError::TooLarge { bytes, .. } = self { Some(*bytes) } else { None }
    }
}

/// Where a record lies, once every replica has it.
pub type Delivered = Result<Position, ProduceError>;

/// A writer; clones are the same one.
#[derive(Clone)]
pub struct Producer {
    client: ThreadedProducer<Deliveries, NoCustomPartitioner>,
    state: Arc<State>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("waiting", &self.state.lock().waiting).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    waiting: u64,
    delivered: u64,
    failure: Option<ProduceError>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Two numbers and a failure, each set at once: whole after a panic elsewhere.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Deliveries(Arc<State>);

/// Who waits for one record by itself.
type Told = Option<Mutex<Option<oneshot::Sender<Delivered>>>>;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = words(&error), reason, "kafka client");
    }
    fn stats_raw(&self, _: &[u8]) {}
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Told>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Box<Told>) {
        let delivered = match result {
            Ok(message) => Ok(Position {
                stream: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset().max(0) as u64,
            }),
            Err((error, message)) => {
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                Err(judge(error, message.topic(), &key, message.payload_len()))
            }
        };
        let waits = (*told).and_then(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut counts = self.0.lock();
        counts.waiting = counts.waiting.saturating_sub(1);
        match (&delivered, &waits) {
            (Ok(_), _) => counts.delivered += 1,
            // Who waits for it by itself hears of it there.
            (Err(_), Some(_)) => {}
            (Err(failure), None) => {
                let before = counts.failure.as_ref();
                // What travelled with too large a record is refused with it: the largest is the one.
                if before.is_none_or(|before| before.bytes() < failure.bytes()) {
                    counts.failure = Some(failure.clone());
                }
            }
        }
        drop(counts);
        self.0.changed.notify_all();
        if let Some(waits) = waits {
            // Who no longer listens has lost the answer, not the record.
            let _ = waits.send(delivered);
        }
    }
}

fn judge(error: &KafkaError, topic: &str, key: &str, bytes: usize) -> ProduceError {
    let (topic, detail) = (topic.to_owned(), words(error));
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            ProduceError::TooLarge { topic, key: key.to_owned(), bytes }
        }
        Some(
            RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation,
        ) => ProduceError::Misconfigured { topic, detail },
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {
            ProduceError::Stopped(detail)
        }
        _ => ProduceError::Failed { topic, detail },
    }
}

impl Producer {
    /// Makes a writer; the cluster need not be there yet.
    pub fn open(config: &KafkaConfig) -> Result<Producer, ProduceError> {
        let settings = config.writer().map_err(ProduceError::Stopped)?;
        let state = Arc::new(State::default());
        let made = settings.create_with_context(Deliveries(state.clone()));
        let client = made.map_err(|error| ProduceError::Stopped(words(&error)))?;
        Ok(Producer { client, state })
    }

    /// Puts a record into the buffer; blocks while that is full. Whether it was delivered [`Producer::flush`] tells.
    pub fn send(&self, record: Outgoing<'_>) -> Result<(), ProduceError> {
        self.put(record, None)
    }

    /// Puts a record into the buffer and gives what tells of it by itself.
    pub fn send_told(&self, record: Outgoing<'_>) -> Result<oneshot::Receiver<Delivered>, ProduceError> {
        let (tell, told) = oneshot::channel();
        self.put(record, Some(Mutex::new(Some(tell))))?;
        Ok(told)
    }

    fn put(&self, record: Outgoing<'_>, told: Told) -> Result<(), ProduceError> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut next = BaseRecord::<'_, str, [u8], Box<Told>> {
            topic: record.topic,
            partition: record.partition,
            payload: record.value,
            key: Some(record.key),
            timestamp: record.timestamp.map(Instant::millis),
            headers: Some(headers),
            delivery_opaque: Box::new(told),
        };
        self.state.lock().waiting += 1;
        loop {
            let Err((error, back)) = self.client.send(next) else { return Ok(()) };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                self.state.lock().waiting -= 1;
                self.state.changed.notify_all();
                let bytes = record.value.map_or(0, <[u8]>::len);
                let fatal = self.client.client().fatal_error().map(|(_, why)| ProduceError::Stopped(why));
                return Err(fatal.unwrap_or_else(|| judge(&error, record.topic, record.key, bytes)));
            }
            next = back;
            // Every record in the buffer is delivered or given up within the client's own time: it empties.
            let counts = self.state.lock();
            drop(self.state.changed.wait_timeout(counts, FULL).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until every record that was sent is delivered or given up; tells the first failure since the last flush, where
    /// records were too large the largest of these, and where the client stopped for good, that. Returns within the client's `message.timeout.ms`.
    pub fn flush(&self) -> Result<(), ProduceError> {
        // What lingers to travel together goes now.
        let _ = self.client.flush(Duration::ZERO);
        let mut counts = self.state.lock();
        while counts.waiting > 0 {
            counts = self.state.changed.wait(counts).unwrap_or_else(PoisonError::into_inner);
        }
        let failure = counts.failure.take();
        drop(counts);
        match (self.client.client().fatal_error(), failure) {
            (Some((_, why)), _) => Err(ProduceError::Stopped(why)),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(()),
        }
    }

    /// Records that every replica has, since it was opened.
    pub fn delivered(&self) -> u64 {
        self.state.lock().delivered
    }
}
