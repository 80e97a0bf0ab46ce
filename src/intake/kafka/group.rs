//! The workers' reader. In: a share of the partitions, which the group moves between its members. Out: batches by
//! partition, and word of what was taken away. Where a partition begins is what was committed after delivery, or its
//! first record; what is gone or replaced is an error here as everywhere.

use super::super::SourceError;
use super::client::{ASK, Ears, check_position, ends_of, failed, log, words};
use super::config::{KafkaConfig, Protocol};
use super::source::held;
use super::{KafkaRecord, merge::Held};
use crate::ledger::{Position, Positions};
use crate::time::{Instant, Span};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

/// What a member fails at.
#[derive(thiserror::Error, Debug)]
pub enum GroupError {
    /// Records are gone, replaced, or cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Not committed: the group has moved on. Others may repeat the batch; the next poll tells what was taken away.
    #[error("progress was not taken: {0}")]
    NotCommitted(String),
    /// This member is out for good: another has its name, or the group has another protocol.
    #[error("the group has no place for this worker: {0}")]
    Out(String),
}

/// One record of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRecord {
    /// Its own offset.
    pub offset: u64,
    /// When it arrived; never before a record before it in the batch.
    pub timestamp: Instant,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
}

/// Records of one partition, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// They.
    pub records: Vec<GroupRecord>,
}

impl Batch {
    /// What to commit once all of it is delivered.
    pub fn next(&self) -> Position {
        let offset = self.records.last().map_or(0, |last| last.offset + 1);
        Position { stream: self.topic.clone(), partition: self.partition, offset }
    }

    /// The records as a decoder takes them.
    pub fn iter(&self) -> impl Iterator<Item = KafkaRecord<'_>> {
        self.records.iter().map(|record| KafkaRecord {
            topic: &self.topic,
            partition: self.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
        })
    }
}

/// What a poll brings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Polled {
    /// Records, by partition.
    pub batches: Vec<Batch>,
    /// Partitions that came, with where they begin.
    pub assigned: Vec<Position>,
    /// Partitions that went: what is in hand of them is not to be delivered any more.
    pub revoked: Vec<(String, i32)>,
    /// Whether they were lost rather than given back: others may have them since a while.
    pub lost: bool,
}

/// A member of the group.
pub struct KafkaGroup {
    config: KafkaConfig,
    topics: Vec<String>,
    client: BaseConsumer<Member>,
    /// Whether the broker's protocol is only tried.
    trying: bool,
    floors: BTreeMap<(String, i32), (u64, Instant)>,
}

#[derive(Default)]
struct Member {
    ears: Ears,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    told: Polled,
    fault: Option<SourceError>,
}

impl Member {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        // Lists that grow by one: whole after a panic elsewhere.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.ears.error();
        tracing::debug!(error = words(&error), reason, "kafka client");
    }
    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Member {
    fn rebalance(&self, client: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(client.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let begins = self.begin(client, list);
            if cooperative { client.incremental_assign(&begins) } else { client.assign(&begins) }
        } else {
            let lost = client.assignment_lost();
            let gone = list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect::<Vec<_>>();
            tracing::info!(partitions = gone.len(), lost, "partitions went");
            let mut changes = self.lock();
            changes.told.lost |= lost;
            changes.told.assigned.retain(|one| !gone.contains(&(one.stream.clone(), one.partition)));
            changes.told.revoked.extend(gone);
            drop(changes);
            if cooperative { client.incremental_unassign(list) } else { client.unassign() }
        };
        if let Err(error) = done {
            self.lock().fault = Some(failed("taking or giving partitions", words(&error)));
        }
    }
}

impl Member {
    /// Where each partition that came begins: where the group is, else at its first record.
    fn begin(&self, client: &BaseConsumer<Self>, list: &TopicPartitionList) -> TopicPartitionList {
        let mut asked = TopicPartitionList::new();
        for one in list.elements() {
            asked.add_partition(one.topic(), one.partition());
        }
        let committed = client.committed_offsets(asked, ASK);
        let mut begins = TopicPartitionList::new();
        for one in list.elements() {
            let (topic, partition) = (one.topic(), one.partition());
            let stored = committed.as_ref().ok().and_then(|list| list.find_partition(topic, partition));
            let at = match stored.map(|stored| stored.offset()) {
                Some(Offset::Offset(at)) => self.checked(client, topic, partition, at.max(0) as u64),
                Some(_) => ends_of(client, topic, partition).map(|ends| ends.0),
                None => Err(failed("asking where the group is", "no answer")),
            };
            let mut changes = self.lock();
            let offset = match at {
                Ok(offset) => {
                    changes.told.assigned.push(Position { stream: topic.to_owned(), partition, offset });
                    Offset::Offset(offset as i64)
                }
                Err(fault) => {
                    changes.fault.get_or_insert(fault);
                    Offset::Stored
                }
            };
            if let Err(error) = begins.add_partition_offset(topic, partition, offset) {
                changes.fault = Some(failed("assigning", words(&error)));
            }
        }
        tracing::info!(partitions = begins.count(), "partitions came");
        begins
    }

    fn checked(&self, client: &BaseConsumer<Self>, topic: &str, partition: i32, at: u64) -> Result<u64, SourceError> {
        check_position(topic, partition, at, ends_of(client, topic, partition)?).map(|()| at)
    }
}

impl KafkaGroup {
    /// Joins the group for these topics.
    pub fn join(config: &KafkaConfig, topics: &[String]) -> Result<KafkaGroup, GroupError> {
        let trying = config.protocol == Protocol::Auto;
        let client = member(config, topics, if trying { Protocol::Consumer } else { config.protocol })?;
        Ok(KafkaGroup { config: config.clone(), topics: topics.to_vec(), client, trying, floors: BTreeMap::new() })
    }

    /// Up to `max` records; waits up to `wait` for the first. To be called at least every `max.poll.interval.ms`, also
    /// while everything is paused: the group gives the partitions of a member that does not poll to others.
    pub fn poll(&mut self, max: usize, wait: Span) -> Result<Polled, GroupError> {
        let until = Moment::now() + Duration::from_millis(wait.0.max(0) as u64);
        let mut batches: BTreeMap<(String, i32), Vec<GroupRecord>> = BTreeMap::new();
        let mut polled = Polled::default();
        let mut count = 0;
        while count < max {
            let left = if count > 0 { Duration::ZERO } else { until.saturating_duration_since(Moment::now()) };
            let event = self.client.poll(left).map(|event| event.map(|message| Came::of(&message)));
            count -= self.changed(&mut polled, &mut batches)?;
            match event {
                None if count == 0 && Moment::now() < until => {}
                None => break,
                Some(Ok(came)) => count += self.take(came, &mut batches),
                Some(Err(error)) => self.heard(&error)?,
            }
        }
        polled.batches =
            batches.into_iter().map(|((topic, partition), records)| Batch { topic, partition, records }).collect();
        Ok(polled)
    }

    /// Takes over what the group moved meanwhile; gives how many records in hand went with it.
    fn changed(
        &mut self,
        polled: &mut Polled,
        batches: &mut BTreeMap<(String, i32), Vec<GroupRecord>>,
    ) -> Result<usize, GroupError> {
        let mut changes = self.client.context().lock();
        let fault = changes.fault.take();
        let told = std::mem::take(&mut changes.told);
        drop(changes);
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        let mut dropped = 0;
        for gone in &told.revoked {
            dropped += batches.remove(gone).map_or(0, |records| records.len());
            self.floors.remove(gone);
        }
        for came in &told.assigned {
            self.trying = false;
            let key = (came.stream.clone(), came.partition);
            self.floors.insert(key, (came.offset, Instant::from_millis(i64::MIN)));
        }
        polled.assigned.extend(told.assigned);
        polled.revoked.extend(told.revoked);
        polled.lost |= told.lost;
        Ok(dropped)
    }

    fn take(&mut self, came: Came, batches: &mut BTreeMap<(String, i32), Vec<GroupRecord>>) -> usize {
        let Came { at, held } = came;
        // What is not ours, or was given before, was on its way when the partition moved.
        let Some((next, floor)) = self.floors.get_mut(&at).filter(|(next, _)| held.offset >= *next) else { return 0 };
        *next = held.offset + 1;
        *floor = held.at.max(*floor);
        let record = GroupRecord { offset: held.offset, timestamp: *floor, key: held.key, value: held.value };
        batches.entry(at).or_default().push(record);
        1
    }

    fn heard(&mut self, error: &KafkaError) -> Result<(), GroupError> {
        self.client.context().ears.error();
        if let Some((code, why)) = self.client.client().fatal_error() {
            let unknown = matches!(
                code,
                RDKafkaErrorCode::UnsupportedVersion
                    | RDKafkaErrorCode::UnsupportedFeature
                    | RDKafkaErrorCode::InconsistentGroupProtocol
            );
            if self.trying && unknown {
                tracing::info!(why, "the broker does not share partitions itself; the members do");
                self.trying = false;
                self.client = member(&self.config, &self.topics, Protocol::Classic)?;
                return Ok(());
            }
            return Err(GroupError::Out(why));
        }
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::BadMessage,
            ) => Err(self.why(error).into()),
            _ => Ok(()),
        }
    }

    /// Finds out which partition an error is about.
    fn why(&self, error: &KafkaError) -> SourceError {
        for ((topic, partition), (next, _)) in &self.floors {
            let fault = ends_of(&self.client, topic, *partition)
                .and_then(|ends| check_position(topic, *partition, *next, ends))
                .err();
            if let Some(fault @ (SourceError::Gap { .. } | SourceError::Replaced { .. })) = fault {
                return fault;
            }
        }
        failed("reading", words(error))
    }

    /// Commits what was delivered; returns when the broker has it.
    pub fn commit(&self, positions: &Positions) -> Result<(), GroupError> {
        let mut list = TopicPartitionList::new();
        for position in positions.iter() {
            let offset = Offset::Offset(position.offset as i64);
            list.add_partition_offset(&position.stream, position.partition, offset)
                .map_err(|error| GroupError::NotCommitted(words(&error)))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.client.commit(&list, CommitMode::Sync).map_err(|error| GroupError::NotCommitted(words(&error)))
    }

    /// Brings nothing of these partitions until they are resumed; the place in the group stays.
    pub fn pause(&self, partitions: &[(String, i32)]) -> Result<(), GroupError> {
        self.client.pause(&list(partitions)).map_err(|error| failed("pausing", words(&error)).into())
    }

    /// Goes on with these partitions.
    pub fn resume(&self, partitions: &[(String, i32)]) -> Result<(), GroupError> {
        self.client.resume(&list(partitions)).map_err(|error| failed("resuming", words(&error)).into())
    }

    /// Partitions that this member has, with the next offset of each.
    pub fn has(&self) -> Positions {
        let all = self.floors.iter().map(|((stream, partition), (offset, _))| Position {
            stream: stream.clone(),
            partition: *partition,
            offset: *offset,
        });
        Positions::from(all.collect::<Vec<_>>())
    }

    /// Errors that the client mends by itself.
    pub fn errors(&self) -> u64 {
        self.client.context().ears.errors()
    }
}

/// A message without its client.
struct Came {
    at: (String, i32),
    held: Held,
}

impl Came {
    fn of<M: Message>(message: &M) -> Came {
        Came { at: (message.topic().to_owned(), message.partition()), held: held(message) }
    }
}

fn list(partitions: &[(String, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

fn member(config: &KafkaConfig, topics: &[String], protocol: Protocol) -> Result<BaseConsumer<Member>, GroupError> {
    let mut settings = config.member(protocol).map_err(|fault| failed("settings", fault))?;
    settings.set("enable.partition.eof", "false");
    let opened: KafkaResult<BaseConsumer<Member>> = settings.create_with_context(Member::default());
    let client = opened.map_err(|error| failed("opening", words(&error)))?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    client.subscribe(&names).map_err(|error| failed("subscribing", words(&error)))?;
    Ok(client)
}
