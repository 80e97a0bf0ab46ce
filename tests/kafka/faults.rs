//! What goes wrong with a real broker: retention, a topic made anew, the group's offsets, kills. Each test shows that its
//! fault came about.

use super::broker::{
    Admin, Broker, LONG, after, at, broker, config, fault, from_start, name, nothing_more, open, plain, read, text,
    texts, write,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, error::KafkaError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Moment};
use yuqing::intake::kafka::{KafkaSource, Outgoing, Producer};
use yuqing::intake::{Source, SourceError};
use yuqing::ledger::Positions;
use yuqing::time::Span;

#[test]
fn f11_what_retention_took_is_told() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("retention"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 2, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 100));
    write(&producer, &topic, 1, &texts("b", 100));
    let mut reading = from_start(&broker.bootstrap, &topic);
    let records = read(&mut reading, 40);
    drop(reading);
    admin.delete_records(&topic, 0, 60);
    let from = after(&records).next(&topic, 0);
    assert!((1..60).contains(&from), "the fault is there");
    let is_gap = |fault: &SourceError| match fault {
        SourceError::Gap { stream, partition: 0, from: asked, to: 60 } => *stream == topic && *asked == from,
        _ => false,
    };
    let mut source = open(&broker.bootstrap, &topic);
    let fault = source.seek(&after(&records)).expect_err("a gap");
    assert!(is_gap(&fault), "{fault}");
    // Who begins at what is there and has decided less is told as well.
    source.seek(&source_start(&mut open(&broker.bootstrap, &topic))).expect("a position");
    source.hold_at(Some(after(&records)));
    let fault = source.poll(10, Span::millis(0)).expect_err("a gap");
    assert!(is_gap(&fault), "{fault}");
    // Once it is decided to go on, what is there comes.
    let mut on = after(&records);
    on.set(&at(&topic, 0, 60));
    source.seek(&on).expect("a position");
    source.hold_at(None);
    let rest = read(&mut source, (40 + 100 - on.next(&topic, 1)) as usize);
    assert_eq!(rest.iter().filter(|record| record.position.partition == 0).count(), 40);
}

fn source_start(source: &mut KafkaSource) -> Positions {
    source.partitions().expect("partitions")
}

#[test]
fn f11_a_gap_that_opens_while_it_reads_is_told() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("running"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[("segment.bytes", "1048576")]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 10));
    let mut slow = config(&broker.bootstrap);
    // One record is fetched at a time, and the next only when asked for.
    slow.client.extend([
        ("queued.min.messages".to_owned(), yuqing::intake::kafka::Value::Number(1)),
        ("fetch.message.max.bytes".to_owned(), yuqing::intake::kafka::Value::Number(1_000)),
    ]);
    let opened = KafkaSource::open(&slow, std::slice::from_ref(&topic), &name("desk"), plain());
    let mut source = opened.expect("a source");
    source.seek(&Positions::default()).expect("a position");
    let first = read(&mut source, 10);
    assert_eq!(first.len(), 10);
    nothing_more(&mut source);
    let big = "x".repeat(900);
    let many: Vec<(String, i64)> = (0..20_000).map(|one| (format!("{big}{one}"), one)).collect();
    write(&producer, &topic, 0, &many);
    admin.delete_records(&topic, 0, 20_005);
    let fault = fault(&mut source);
    assert!(matches!(&fault, SourceError::Gap { to: 20_005, from, .. } if *from >= 10), "{fault}");
}

#[test]
fn f12_a_topic_that_was_made_anew_is_told() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("anew"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("old", 50));
    let mut source = from_start(&broker.bootstrap, &topic);
    let records = read(&mut source, 50);
    nothing_more(&mut source);
    let ids = source.topic_ids();
    assert_eq!(ids.len(), 1, "the client tells the id");
    admin.delete(&topic);
    make_anew(&admin, &broker.bootstrap, &topic);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("new", 20));
    let told = fault(&mut source);
    assert!(matches!(&told, SourceError::Replaced { read: 50, end: 20, .. }), "{told}");
    let told = open(&broker.bootstrap, &topic).seek(&after(&records)).expect_err("another topic");
    assert!(matches!(&told, SourceError::Replaced { read: 50, end: 20, .. }), "{told}");
    // Where the new one has grown past the old one, its offsets look right: only its id tells.
    write(&producer, &topic, 0, &texts("more", 60));
    let mut source = open(&broker.bootstrap, &topic);
    source.expect_ids(ids);
    source.seek(&after(&records)).expect("offsets that look right");
    let told = fault(&mut source);
    assert!(matches!(&told, SourceError::Replaced { read: 50, end: 80, .. }), "{told}");
}

/// Deleting goes on behind the answer: the name is free a moment later.
fn make_anew(admin: &Admin, bootstrap: &str, topic: &str) {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
    let until = Moment::now() + LONG;
    loop {
        let found = client.fetch_metadata(Some(topic), Duration::from_secs(5)).expect("an answer");
        if found.topics().iter().all(|found| found.error().is_some() || found.partitions().is_empty()) {
            break;
        }
        assert!(Moment::now() < until, "the topic did not go");
    }
    admin.make(topic, 1, &[]);
}

#[test]
fn f10_the_groups_offsets_do_not_matter() {
    let Some(broker) = broker() else { return };
    let (topic, group) = (name("offsets"), name("desk"));
    let admin = Admin::new(&broker.bootstrap);
    admin.make(&topic, 1, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 90));
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &broker.bootstrap).set("group.id", &group);
    let other: BaseConsumer = settings.create().expect("a client");
    let list = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, offset).expect("an offset");
        list
    };
    let committed = || {
        let until = Moment::now() + LONG;
        // The group's broker may yet have to be found.
        let asked = loop {
            match other.committed_offsets(list(Offset::Invalid), Duration::from_secs(10)) {
                Ok(asked) => break asked,
                Err(fault) => assert!(Moment::now() < until, "{fault}"),
            }
        };
        asked.find_partition(&topic, 0).expect("a partition").offset()
    };
    let (mut all, mut stored) = (Vec::new(), Positions::default());
    for round in 0..3 {
        let opened = KafkaSource::open(&config(&broker.bootstrap), std::slice::from_ref(&topic), &group, plain());
        let mut source = opened.expect("a source");
        source.seek(&stored).expect("a position");
        all.extend(read(&mut source, 30));
        stored = after(&all);
        // The report is asynchronous, and only a report: it is waited for to show that it came.
        let until = Moment::now() + LONG;
        while committed() != Offset::Offset(stored.next(&topic, 0) as i64) {
            source.report(&stored);
            source.poll(0, Span::millis(50)).expect("nothing");
            assert!(Moment::now() < until, "no progress was reported");
        }
        assert_eq!(source.reports_failed(), 0);
        drop(source);
        match round {
            0 => {
                admin.delete_group(&group);
                assert_eq!(committed(), Offset::Invalid, "the fault is there");
            }
            _ => {
                other.commit(&list(Offset::Offset(90)), CommitMode::Sync).expect("set to the end");
                assert_eq!(committed(), Offset::Offset(90), "the fault is there");
            }
        }
    }
    assert_eq!(
        all.iter().map(text).collect::<Vec<_>>(),
        texts("a", 90).iter().map(|one| one.0.as_str()).collect::<Vec<_>>()
    );
}

#[test]
fn f3_a_killed_broker_loses_and_repeats_nothing() {
    // A broker of its own: the others' must live.
    let Some(broker) = Broker::own("") else { return };
    let (topic, count) = (name("killed"), 30_000);
    Admin::new(&broker.bootstrap).make(&topic, 3, &[]);
    let mut source = from_start(&broker.bootstrap, &topic);
    let written = AtomicUsize::new(0);
    let records = std::thread::scope(|scope| {
        scope.spawn(|| {
            let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
            for one in 0..count {
                let text = one.to_string();
                let outgoing = Outgoing {
                    topic: &topic,
                    partition: Some(one as i32 % 3),
                    key: &text,
                    headers: &[],
                    value: Some(text.as_bytes()),
                    timestamp: None,
                };
                producer.send(outgoing).expect("room");
                if one % 50 == 49 {
                    producer.flush().expect("delivered");
                    written.store(one + 1, Ordering::Relaxed);
                }
            }
        });
        scope.spawn(|| {
            for kill in 1..=3 {
                while written.load(Ordering::Relaxed) < count * kill / 5 {
                    std::thread::yield_now();
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                broker.kill();
                assert!(written.load(Ordering::Relaxed) < count, "killed while it was written");
                broker.again();
            }
        });
        let mut records = Vec::new();
        let until = Moment::now() + 3 * LONG;
        while records.len() < count {
            records.extend(source.poll(1_000, Span::millis(200)).expect("records"));
            assert!(Moment::now() < until, "{} of {count} came", records.len());
        }
        records
    });
    nothing_more(&mut source);
    assert!(source.errors() > 0, "the reader felt the kills");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    records.iter().for_each(|record| *seen.entry(text(record)).or_default() += 1);
    let twice = seen.values().filter(|times| **times > 1).count();
    assert_eq!((seen.len(), twice), (count, 0), "records, twice");
    for partition in 0..3 {
        let mine = records.iter().filter(|record| record.position.partition == partition);
        assert!(mine.clone().zip(mine.skip(1)).all(|(a, b)| a.position.offset + 1 == b.position.offset));
    }
}

#[test]
fn a_cluster_that_is_not_there_is_told() {
    let opened = KafkaSource::open(&config("127.0.0.1:1"), &["mentions".into()], "desk", plain());
    let Err(fault) = opened else { panic!("nobody is there") };
    assert!(matches!(&fault, SourceError::Failed { .. }), "{fault}");
    assert!(!fault.to_string().contains(&KafkaError::Canceled.to_string()));
}
