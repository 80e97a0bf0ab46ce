//! Workers that share partitions: members come, go and die, under both protocols. Nothing is lost; only what was never
//! committed is repeated.

use super::broker::{Admin, Broker, LONG, broker, config, name, texts, write};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant as Moment;
use yuqing::intake::kafka::{Batch, GroupError, KafkaConfig, KafkaGroup, Producer, Protocol};
use yuqing::ledger::Positions;
use yuqing::time::Span;

const PARTITIONS: i32 = 4;
const EACH: i64 = 500;

/// Records by place, with how often they were delivered.
type Done = BTreeMap<(i32, u64), usize>;

struct Worker {
    group: KafkaGroup,
    moved: usize,
}

impl Worker {
    fn join(config: &KafkaConfig, topic: &str) -> Worker {
        Worker { group: KafkaGroup::join(config, &[topic.to_owned()]).expect("a member"), moved: 0 }
    }

    /// One turn of a worker: read, deliver, commit.
    fn turn(&mut self, done: &mut Done) -> Vec<Batch> {
        let polled = self.group.poll(50, Span::millis(20)).expect("a poll");
        self.moved += polled.assigned.len() + polled.revoked.len();
        let next: Positions = polled.batches.iter().map(Batch::next).collect::<Vec<_>>().into();
        for batch in &polled.batches {
            batch.iter().for_each(|record| *done.entry((record.partition, record.offset)).or_default() += 1);
        }
        match self.group.commit(&next) {
            Ok(()) | Err(GroupError::NotCommitted(_)) => {}
            Err(fault) => panic!("{fault}"),
        }
        polled.batches
    }

    fn partitions(&self) -> usize {
        self.group.has().iter().count()
    }
}

/// Turns of all members until it is so.
fn until(members: &mut [&mut Worker], done: &mut Done, what: &str, so: impl Fn(&[&mut Worker], &Done) -> bool) {
    let end = Moment::now() + LONG;
    while !so(members, done) {
        members.iter_mut().for_each(|member| drop(member.turn(done)));
        assert!(Moment::now() < end, "{what}");
    }
}

fn storm(protocol: Protocol) {
    let Some(broker) = broker() else { return };
    let topic = name("storm");
    Admin::new(&broker.bootstrap).make(&topic, PARTITIONS, &[]);
    let config = KafkaConfig { group: name("workers"), protocol, ..config(&broker.bootstrap) };
    let producer = Producer::open(&config).expect("a producer");
    let mut total = 0;
    let mut more = || {
        (0..PARTITIONS).for_each(|partition| write(&producer, &topic, partition, &texts("m", EACH)));
        total += (i64::from(PARTITIONS) * EACH) as usize;
        total
    };
    more();
    let mut done = Done::new();
    let mut first = Worker::join(&config, &topic);
    until(&mut [&mut first], &mut done, "the first has all", |all, _| all[0].partitions() == PARTITIONS as usize);
    for round in 0..2 {
        let mut second = Worker::join(&config, &topic);
        let shared = |all: &[&mut Worker], _: &Done| all.iter().all(|one| one.partitions() == 2);
        until(&mut [&mut first, &mut second], &mut done, &format!("round {round}: they share"), shared);
        let all = more();
        until(&mut [&mut first, &mut second], &mut done, "both bring records", |_, done| done.len() == all);
        drop(second);
        until(&mut [&mut first], &mut done, "the first has all again", |all, _| all[0].partitions() == 4);
    }
    // One that dies between reading and committing: its batch comes again, and only that.
    let repeated: BTreeSet<(i32, u64)> = {
        let mut third = Worker::join(&config, &topic);
        until(&mut [&mut first, &mut third], &mut done, "they share", |all, _| all[1].partitions() == 2);
        more();
        let end = Moment::now() + LONG;
        loop {
            let polled = third.group.poll(50, Span::millis(100)).expect("a poll");
            let places = polled.batches.iter().flat_map(Batch::iter).map(|record| (record.partition, record.offset));
            let places: BTreeSet<(i32, u64)> = places.collect();
            if !places.is_empty() {
                places.iter().for_each(|place| *done.entry(*place).or_default() += 1);
                break places;
            }
            assert!(Moment::now() < end, "the third brought nothing");
        }
    };
    let total = more();
    until(&mut [&mut first], &mut done, "all is done", |_, done| {
        done.len() == total && repeated.iter().all(|place| done[place] > 1)
    });
    assert!(first.moved >= 4 + 3 * 4, "the group moved {} times", first.moved);
    let twice: BTreeSet<(i32, u64)> = done.iter().filter(|(_, times)| **times > 1).map(|(place, _)| *place).collect();
    assert_eq!(twice, repeated, "only what was not committed is repeated");
}

#[test]
fn f6_members_come_and_go_by_the_classic_protocol() {
    storm(Protocol::Classic);
}

#[test]
fn f7_members_come_and_go_by_the_brokers_protocol() {
    storm(Protocol::Consumer);
}

#[test]
fn f7_a_named_member_that_comes_back_quickly_moves_nothing() {
    let Some(broker) = broker() else { return };
    let topic = name("static");
    Admin::new(&broker.bootstrap).make(&topic, PARTITIONS, &[]);
    let shared = KafkaConfig { group: name("workers"), protocol: Protocol::Classic, ..config(&broker.bootstrap) };
    let named = |instance: &str| KafkaConfig { instance: Some(instance.into()), ..shared.clone() };
    let mut done = Done::new();
    let mut first = Worker::join(&named("one"), &topic);
    let mut second = Worker::join(&named("two"), &topic);
    let both = |all: &[&mut Worker], _: &Done| all.iter().all(|one| one.partitions() == 2);
    until(&mut [&mut first, &mut second], &mut done, "they share", both);
    let (moved, had) = (first.moved, second.group.has());
    drop(second);
    let mut second = Worker::join(&named("two"), &topic);
    until(&mut [&mut first, &mut second], &mut done, "it is back", |all, _| all[1].partitions() == 2);
    assert_eq!((first.moved, second.group.has()), (moved, had));
    // A second one of the same name puts the first one out.
    let mut third = Worker::join(&named("two"), &topic);
    until(&mut [&mut first, &mut third], &mut done, "the third is in", |all, _| all[1].partitions() == 2);
    let end = Moment::now() + LONG;
    let out = loop {
        match second.group.poll(10, Span::millis(100)) {
            Err(fault) => break fault,
            Ok(_) => assert!(Moment::now() < end, "two have one name"),
        }
    };
    assert!(matches!(out, GroupError::Out(_)), "{out}");
}

#[test]
fn a_paused_partition_keeps_its_place() {
    let Some(broker) = broker() else { return };
    let topic = name("paused");
    Admin::new(&broker.bootstrap).make(&topic, 2, &[]);
    let config = KafkaConfig { group: name("workers"), ..config(&broker.bootstrap) };
    let producer = Producer::open(&config).expect("a producer");
    let mut done = Done::new();
    let mut one = Worker::join(&config, &topic);
    until(&mut [&mut one], &mut done, "it has both", |all, _| all[0].partitions() == 2);
    one.group.pause(&[(topic.clone(), 0)]).expect("paused");
    write(&producer, &topic, 0, &texts("a", 10));
    write(&producer, &topic, 1, &texts("b", 10));
    until(&mut [&mut one], &mut done, "one comes", |_, done| done.len() == 10);
    assert!(done.keys().all(|(partition, _)| *partition == 1));
    one.group.resume(&[(topic.clone(), 0)]).expect("resumed");
    until(&mut [&mut one], &mut done, "both came", |_, done| done.len() == 20);
    assert!(done.values().all(|times| *times == 1));
}

#[test]
fn a_broker_without_the_new_protocol_is_joined_by_the_old_one() {
    let Some(broker) = Broker::own("group.coordinator.rebalance.protocols=classic") else { return };
    let topic = name("old");
    Admin::new(&broker.bootstrap).make(&topic, 2, &[]);
    let config = KafkaConfig { group: name("workers"), ..config(&broker.bootstrap) };
    assert_eq!(config.protocol, Protocol::Auto);
    let mut new = Worker::join(&KafkaConfig { protocol: Protocol::Consumer, ..config.clone() }, &topic);
    let end = Moment::now() + LONG;
    while new.group.poll(1, Span::millis(100)).is_ok() {
        assert!(Moment::now() < end, "the broker has the new protocol");
    }
    let producer = Producer::open(&config).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 5));
    let (mut done, mut one) = (Done::new(), Worker::join(&config, &topic));
    until(&mut [&mut one], &mut done, "five come", |_, done| done.len() == 5);
}
