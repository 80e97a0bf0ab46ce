//! The desk's reader. In: positions that the store keeps. Out: records of all partitions of all topics, merged in order
//! of arrival. It joins no group: partitions are assigned by name, positions are given, and what is gone or replaced is
//! an error. The group's offsets are a report for people and are never read.

use super::super::{Record, Source, SourceError};
use super::client::{ASK, Bell, Ears, asker, check_position, ends_of, event, failed, hear, partitions_of, words};
use super::config::KafkaConfig;
use super::merge::{Held, Lane, Lanes, Next};
use super::upstream::Upstream;
use super::{Decode, KafkaRecord};
use crate::clock::Clock;
use crate::ledger::{Position, Positions};
use crate::time::{Instant, Span};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

/// How often it looks for partitions that were added.
const LOOK: Duration = Duration::from_secs(30);
/// Time of such a look, in which nothing is read.
const LOOK_TAKES: Duration = Duration::from_secs(1);

/// Reads topics from given positions.
pub struct KafkaSource {
    config: KafkaConfig,
    topics: Vec<String>,
    group: String,
    decode: Decode,
    /// Asks and reports.
    asker: BaseConsumer<Ears>,
    known: BTreeMap<String, String>,
    reading: Option<Reading>,
    lanes: Lanes,
    /// What stands before the first record to be given, told by the next poll.
    fault: Option<SourceError>,
    looked: Moment,
    failed_reports: u64,
    upstream: Option<Upstream>,
}

/// A client with its queues; queues go first.
struct Reading {
    queues: Vec<PartitionQueue<Ears>>,
    client: Arc<BaseConsumer<Ears>>,
    bell: Arc<Bell>,
}

impl KafkaSource {
    /// Connects to the cluster; reads nothing before [`Source::seek`]. `group` is where progress is reported.
    pub fn open(
        config: &KafkaConfig,
        topics: &[String],
        group: &str,
        decode: Decode,
    ) -> Result<KafkaSource, SourceError> {
        let mut settings = config.reader("asker", 1).map_err(|fault| failed("settings", fault))?;
        settings.set("group.id", group);
        let asker = asker(&settings)?;
        let source = KafkaSource {
            config: config.clone(),
            topics: topics.to_vec(),
            group: group.to_owned(),
            decode,
            asker,
            known: BTreeMap::new(),
            reading: None,
            lanes: Lanes::default(),
            fault: None,
            looked: Moment::now(),
            failed_reports: 0,
            upstream: None,
        };
        source.numbers(ASK)?;
        Ok(source)
    }

    /// The same, written by the workers of `config.group`: a partition at its end is waited for while they have yet to say something
    /// there, so that several workers give one order.
    pub fn open_fed(
        config: &KafkaConfig,
        topic: &str,
        group: &str,
        decode: Decode,
    ) -> Result<KafkaSource, SourceError> {
        let mut source = KafkaSource::open(config, &[topic.to_owned()], group, decode)?;
        let outputs = i32::try_from(source.numbers(ASK)?.len()).unwrap_or(i32::MAX);
        source.upstream = Some(Upstream::open(config, outputs)?);
        Ok(source)
    }

    /// Asks how far the workers are with the partitions that are empty while others are not.
    fn ask_upstream(&mut self) {
        let Some(upstream) = &self.upstream else { return };
        let unsure = self.lanes.unsure(Moment::now());
        if unsure.is_empty() {
            return;
        }
        let wanted = unsure.iter().map(|(partition, _)| *partition).collect();
        // A cluster that does not answer is no news: reading tells, and waiting has an end.
        let Ok(drained) = upstream.drained(&wanted) else { return };
        for (partition, next) in unsure.into_iter().filter(|(partition, _)| drained.contains(partition)) {
            // What they wrote before they were asked is there; whether it has come here too, the end tells.
            let end = self.topics.first().and_then(|topic| ends_of(&self.asker, topic, partition).ok());
            if end.is_some_and(|(_, end)| end <= next) {
                self.lanes.idle(partition, Moment::now());
            }
        }
    }

    /// Ids of the topics, as the cluster gave them: a topic that is made anew has another one.
    pub fn topic_ids(&self) -> BTreeMap<String, String> {
        let mut ids = self.known.clone();
        ids.extend(self.reading.as_ref().map(|reading| reading.client.context().ids()).unwrap_or_default());
        ids
    }

    /// The ids that topics had when they were read last: another one is told by the next poll.
    pub fn expect_ids(&mut self, ids: BTreeMap<String, String>) {
        self.known.extend(ids);
    }

    /// Progress reports that the broker refused.
    pub fn reports_failed(&self) -> u64 {
        self.failed_reports + self.asker.context().commits_failed()
    }

    /// Errors that the client mends by itself, since the last seek.
    pub fn errors(&self) -> u64 {
        self.reading.as_ref().map_or(0, |reading| reading.client.context().errors())
    }

    /// Times a partition that had more was passed over because it did not deliver in time.
    pub fn passed_over(&self) -> u64 {
        self.lanes.passed_over
    }

    fn numbers(&self, most: Duration) -> Result<Vec<(String, i32)>, SourceError> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(partitions_of(&self.asker, topic, most)?.into_iter().map(|number| (topic.clone(), number)));
        }
        Ok(all)
    }

    /// Starts a client at the lanes' positions.
    fn start(&mut self, lanes: Vec<Lane>) -> Result<(), SourceError> {
        self.reading = None;
        self.lanes = Lanes::new(lanes);
        let settings = self.config.reader("desk", self.lanes.iter().count());
        let mut settings = settings.map_err(|fault| failed("settings", fault))?;
        // Which id a topic has, the client says in these lines only.
        settings.set("group.id", &self.group).set("debug", "metadata");
        let opened = settings.create_with_context(Ears::default());
        let client: Arc<BaseConsumer<Ears>> = Arc::new(opened.map_err(|error| failed("opening", words(&error)))?);
        let mut wanted = TopicPartitionList::new();
        for lane in self.lanes.iter() {
            let added = wanted.add_partition_offset(&lane.topic, lane.partition, Offset::Offset(lane.next as i64));
            added.map_err(|error| failed("assigning", words(&error)))?;
        }
        client.assign(&wanted).map_err(|error| failed("assigning", words(&error)))?;
        let bell = Arc::new(Bell::default());
        let mut queues = Vec::new();
        for lane in self.lanes.iter() {
            let queue = client.split_partition_queue(&lane.topic, lane.partition);
            let mut queue = queue.ok_or_else(|| failed("assigning", "a partition has no queue"))?;
            let rung = bell.clone();
            queue.set_nonempty_callback(move || rung.ring());
            queues.push(queue);
        }
        if self.upstream.is_some() {
            self.lanes.feed();
        }
        self.reading = Some(Reading { queues, client, bell });
        self.looked = Moment::now();
        Ok(())
    }

    /// Takes what has come, into the lanes that have room.
    fn fill(&mut self) -> Result<(), SourceError> {
        let Some(reading) = &self.reading else { return Err(failed("reading", "no position was given")) };
        let mut trouble = None;
        // What came before the queues were split, and what is about no partition.
        while let Some(event) = event(&reading.client) {
            match event {
                Ok(message) => {
                    if let Some(lane) = self.lanes.find(message.topic(), message.partition()) {
                        lane.take(held(&message));
                    }
                }
                Err(KafkaError::PartitionEOF(number)) => {
                    let nearby = self.lanes.all().iter_mut().filter(|lane| lane.partition == number);
                    nearby.for_each(Lane::end);
                }
                Err(error) => trouble = trouble.or(serious(reading.client.context(), error, None)),
            }
        }
        for (lane, queue) in self.lanes.all().iter_mut().zip(&reading.queues) {
            while lane.hungry() {
                match queue.poll(Duration::ZERO) {
                    Some(Ok(message)) => {
                        lane.take(held(&message));
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => lane.end(),
                    Some(Err(error)) => {
                        let at = Some((lane.topic.as_str(), lane.partition, lane.next));
                        trouble = trouble.or(serious(reading.client.context(), error, at));
                    }
                    None => break,
                }
            }
        }
        // Asked after the queues were emptied: whatever the new topic holds was fetched after its id was heard.
        if let Some(topic) = self.replaced() {
            let (partition, read) =
                self.lanes.iter().find(|lane| lane.topic == topic).map_or((0, 0), |lane| (lane.partition, lane.next));
            let end = ends_of(&self.asker, &topic, partition).map_or(0, |ends| ends.1);
            return Err(SourceError::Replaced { stream: topic, partition, read, end });
        }
        match trouble {
            None => Ok(()),
            Some(Trouble::Range(topic, partition, at)) => {
                check_position(&topic, partition, at, ends_of(&self.asker, &topic, partition)?)?;
                Err(failed(format!("reading {topic}/{partition} at {at}"), "the broker says that it is out of range"))
            }
            Some(Trouble::Other(fault)) => Err(fault),
        }
    }

    fn replaced(&self) -> Option<String> {
        let ears = self.reading.as_ref()?.client.context();
        ears.replaced().or_else(|| {
            let now = ears.ids();
            let other = |(topic, id): &(&String, &String)| now.get(*topic).is_some_and(|now| now != *id);
            self.known.iter().find(other).map(|(topic, _)| topic.clone())
        })
    }

    /// Looks for partitions that were added, and reads them from their first record.
    fn look(&mut self) -> Result<(), SourceError> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Moment::now();
        hear(&self.asker);
        // A cluster that does not answer is no news: reading tells.
        let Ok(numbers) = self.numbers(LOOK_TAKES) else { return Ok(()) };
        let fresh: Vec<(String, i32)> =
            numbers.into_iter().filter(|(topic, number)| self.lanes.find(topic, *number).is_none()).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut lanes: Vec<Lane> =
            self.lanes.iter().map(|lane| Lane::new(&lane.topic, lane.partition, lane.next)).collect();
        for (topic, number) in fresh {
            let (low, _) = ends_of(&self.asker, &topic, number)?;
            tracing::info!(topic, partition = number, from = low, "a partition was added");
            lanes.push(Lane::new(&topic, number, low));
        }
        let hold = self.lanes.held_at();
        self.known = self.topic_ids();
        self.start(lanes)?;
        self.lanes.hold(hold);
        Ok(())
    }

    /// Looks for added partitions at the next poll, not at the next full half minute.
    pub fn look_soon(&mut self) {
        self.looked = Moment::now().checked_sub(LOOK).unwrap_or(self.looked);
    }
}

/// What a reader cannot go on after.
enum Trouble {
    /// A position that the broker does not have.
    Range(String, i32, u64),
    Other(SourceError),
}

/// Whether an error ends the reading; most of them the client mends, and they are counted.
fn serious(ears: &Ears, error: KafkaError, at: Option<(&str, i32, u64)>) -> Option<Trouble> {
    ears.error();
    let doing = || at.map_or("reading".to_owned(), |(topic, partition, _)| format!("reading {topic}/{partition}"));
    let code = error.rdkafka_error_code();
    match (code, at) {
        (Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange), Some((topic, number, next))) => {
            Some(Trouble::Range(topic.to_owned(), number, next))
        }
        (
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::NotImplemented
                | RDKafkaErrorCode::Fatal,
            ),
            _,
        ) => Some(Trouble::Other(failed(doing(), words(&error)))),
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            Some(Trouble::Other(failed(doing(), words(&error))))
        }
        _ => {
            tracing::debug!(error = words(&error), doing = doing(), "kafka client");
            None
        }
    }
}

/// When a record arrived: as a worker says it, else the record's own time.
fn arrived<M: Message>(message: &M) -> Instant {
    let told = message.headers().and_then(|headers| {
        let named = headers.iter().find(|header| header.key == super::ARRIVED)?;
        std::str::from_utf8(named.value?).ok()?.parse().ok()
    });
    Instant::from_millis(told.or_else(|| message.timestamp().to_millis()).unwrap_or(0))
}

pub(super) fn held<M: Message>(message: &M) -> Held {
    Held {
        offset: message.offset().max(0) as u64,
        // One without a time is as old as the one before it. A writer whose clock is ahead must not carry the others' time
        // with it: nothing arrives later than now.
        at: arrived(message).min(Clock::Real.now()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    }
}

impl Source for KafkaSource {
    fn partitions(&mut self) -> Result<Positions, SourceError> {
        let mut all = Vec::new();
        for (stream, partition) in self.numbers(ASK)? {
            let (low, _) = ends_of(&self.asker, &stream, partition)?;
            all.push(Position { stream, partition, offset: low });
        }
        Ok(Positions::from(all))
    }

    fn seek(&mut self, to: &Positions) -> Result<(), SourceError> {
        let numbers = self.numbers(ASK)?;
        for position in to.iter() {
            let there = |(topic, number): &(String, i32)| *topic == position.stream && *number == position.partition;
            if !numbers.iter().any(there) {
                let Position { stream, partition, offset } = position;
                if self.topics.contains(&stream) && offset > 0 {
                    return Err(SourceError::Replaced { stream, partition, read: offset, end: 0 });
                }
                return Err(failed("seeking", format!("{stream}/{partition} is no partition that is read")));
            }
        }
        let named: Vec<Position> = to.iter().collect();
        let mut lanes = Vec::new();
        for (topic, number) in numbers {
            let ends = ends_of(&self.asker, &topic, number)?;
            let named = named.iter().find(|one| one.partition == number && one.stream == topic);
            let at = named.map_or(ends.0, |one| one.offset);
            check_position(&topic, number, at, ends)?;
            lanes.push(Lane::new(&topic, number, at));
        }
        self.fault = None;
        self.start(lanes)
    }

    fn hold_at(&mut self, ends: Option<Positions>) {
        // What was decided up to an offset, and begins only later: what lay between is gone, whoever chose the beginning.
        let behind = ends.iter().flat_map(Positions::iter).find_map(|end| {
            let lane = self.lanes.find(&end.stream, end.partition)?;
            (lane.next > end.offset).then(|| SourceError::Gap {
                stream: end.stream.clone(),
                partition: end.partition,
                from: end.offset,
                to: lane.next,
            })
        });
        self.fault = self.fault.take().or(behind);
        let ends = ends.map(|ends| ends.iter().map(|end| (end.stream, end.partition, end.offset)).collect());
        self.lanes.hold(ends);
    }

    fn report(&mut self, done: &Positions) {
        hear(&self.asker);
        let mut list = TopicPartitionList::new();
        for position in done.iter().filter(|one| self.topics.contains(&one.stream)) {
            let offset = Offset::Offset(position.offset as i64);
            if list.add_partition_offset(&position.stream, position.partition, offset).is_err() {
                self.failed_reports += 1;
            }
        }
        // Never by the client that reads: one whose commit is refused may drop what it was assigned.
        if list.count() > 0 && self.asker.commit(&list, CommitMode::Async).is_err() {
            self.failed_reports += 1;
        }
    }

    fn poll(&mut self, max: usize, wait: Span) -> Result<Vec<Record>, SourceError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let until = Moment::now() + Duration::from_millis(wait.0.max(0) as u64);
        let grace = Duration::from_millis(self.config.grace_ms);
        let mut records = Vec::new();
        self.look()?;
        loop {
            self.fill()?;
            self.ask_upstream();
            let mut next = self.lanes.next(Moment::now(), grace);
            while let Next::Give(index) = next
                && records.len() < max
            {
                let Some(held) = self.lanes.give(index) else { break };
                let lane = &self.lanes.all()[index];
                records.push(record(&mut self.decode, lane, &held));
                next = self.lanes.next(Moment::now(), grace);
            }
            let now = Moment::now();
            if !records.is_empty() || now >= until {
                return Ok(records);
            }
            let left = until - now;
            let rest = if let Next::Wait(grace) = next { left.min(grace) } else { left };
            if let Some(reading) = &self.reading {
                // Not the whole of it at once: what is about no partition rings no bell.
                reading.bell.wait(rest.min(Duration::from_millis(100)));
            }
        }
    }

    fn repeats(&self) -> bool {
        true
    }

    fn at_end(&self) -> bool {
        self.reading.is_some() && self.fault.is_none() && self.lanes.at_end(Moment::now())
    }
}

fn record(decode: &mut Decode, lane: &Lane, held: &Held) -> Record {
    let decoded = decode(KafkaRecord {
        topic: &lane.topic,
        partition: lane.partition,
        offset: held.offset,
        timestamp: held.at,
        key: held.key.as_deref(),
        value: held.value.as_deref(),
    });
    Record {
        position: Position { stream: lane.topic.clone(), partition: lane.partition, offset: held.offset },
        body: decoded.body,
        reading: decoded.reading,
        origin: decoded.origin,
    }
}
