//! Kafka in and out. In: the topics of one cluster, as `[kafka]` in the settings names them. Out: for the desk a
//! [`KafkaSource`] that reads from positions which the store keeps, for workers a [`KafkaGroup`] that shares partitions,
//! and a [`Producer`] that knows what was delivered. Nothing is committed, skipped or reset behind anybody's back.

mod client;
mod config;
mod decode;
mod group;
mod inspect;
mod merge;
mod producer;
mod source;
mod upstream;

pub use config::{Compression, KafkaConfig, Mechanism, Protocol, Sasl, Value};
pub use decode::MentionDecoder;
pub use group::{Batch, GroupError, GroupRecord, KafkaGroup, Polled};
pub use inspect::{Advice, Ensured, ensure_topics, inspect};
pub use producer::{Delivered, Outgoing, ProduceError, Producer};
pub use source::KafkaSource;

use super::Body;
use crate::assess::Reading;
use crate::ledger::Position;
use crate::time::Instant;

/// Header with the milliseconds since 1970 at which a mention arrived. The record's own time is that of writing: brokers keep records
/// by it, and what is read from an old stream must not be old at once.
pub const ARRIVED: &str = "yuqing-arrived";

/// A record as it lies in Kafka.
#[derive(Clone, Copy, Debug)]
pub struct KafkaRecord<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Its own offset.
    pub offset: u64,
    /// When it arrived: the record's timestamp, never later than now, nor before that of a record before it in its partition.
    pub timestamp: Instant,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` deletes what the key names.
    pub value: Option<&'a [u8]>,
}

/// What a record says.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    /// The record of the stream.
    pub body: Body,
    /// What a worker read in it.
    pub reading: Option<Box<Reading>>,
    /// Where the worker read it.
    pub origin: Option<Position>,
}

impl From<Body> for Decoded {
    fn from(body: Body) -> Decoded {
        Decoded { body, reading: None, origin: None }
    }
}

/// Says what a record says; called once a record, in the order in which they are given.
pub type Decode = Box<dyn FnMut(KafkaRecord<'_>) -> Decoded + Send>;
