//! The desk's reader on a broker that does as it should: order, restarts, holds, markers, added partitions, bad input.

use super::broker::{
    Admin, START, after, at, broker, config, from_start, name, nothing_more, open, plain, read, text, texts, write,
};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};
use yuqing::intake::kafka::{KafkaConfig, KafkaSource, MentionDecoder, Outgoing, Producer};
use yuqing::intake::{Body, IntakeConfig, Source};
use yuqing::ledger::Positions;
use yuqing::time::{Instant, Span};

#[test]
fn three_partitions_come_as_one_stream_and_go_on_after_a_restart() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("merge"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 3, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    let all: Vec<(String, i64)> = texts("m", 3_000);
    for partition in 0..3 {
        // Unequal shares: of twelve records partition 0 has seven, 1 three, 2 two.
        let share = |one: usize| match one % 12 {
            0..=6 => 0,
            7..=9 => 1,
            _ => 2,
        };
        let mine: Vec<_> = all.iter().enumerate().filter(|(one, _)| share(*one) == partition).collect();
        let mine: Vec<_> = mine.into_iter().map(|(_, text)| text.clone()).collect();
        write(&producer, &topic, partition, &mine);
    }
    let mut source = from_start(&broker.bootstrap, &topic);
    assert!(source.repeats(), "a worker that crashed says again what it said");
    let mut records = read(&mut source, 1_300);
    drop(source);
    let mut source = open(&broker.bootstrap, &topic);
    source.seek(&after(&records)).expect("a position");
    records.extend(read(&mut source, 1_700));
    nothing_more(&mut source);
    let got: Vec<&str> = records.iter().map(text).collect();
    assert_eq!(got, all.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
    assert_eq!(source.passed_over(), 0);
    // Back to the middle of one partition, with the same reader.
    let mut back = after(&records);
    back.set(&at(&topic, 1, 10));
    source.seek(&back).expect("a position");
    assert_eq!(read(&mut source, 740)[0].position, at(&topic, 1, 10));
    nothing_more(&mut source);
    write(&producer, &topic, 2, &[("late".into(), START)]);
    let late = read(&mut source, 1);
    assert_eq!((text(&late[0]), late[0].position.partition), ("late", 2));
}

#[test]
fn a_backlog_larger_than_what_is_fetched_ahead_keeps_its_order() {
    let Some(broker) = broker() else { return };
    let (topic, admin, count) = (name("backlog"), Admin::new(&broker.bootstrap), 24_000);
    admin.make(&topic, 6, &[]);
    // Two megabytes are fetched ahead for each partition, four are there; nobody is passed over on a slow machine.
    let config = KafkaConfig { ahead_mb: 2, grace_ms: 60_000, ..config(&broker.bootstrap) };
    let producer = Producer::open(&config).expect("a producer");
    let padding = "x".repeat(1_000);
    for one in 0..count {
        let (text, partition) = (format!("{one} {padding}"), Some(one % 6));
        let timestamp = Some(Instant::from_millis(START + i64::from(one)));
        let value = Some(text.as_bytes());
        producer.send(Outgoing { topic: &topic, partition, key: "k", headers: &[], value, timestamp }).expect("room");
    }
    producer.flush().expect("delivered");
    let opened = KafkaSource::open(&config, std::slice::from_ref(&topic), &name("desk"), plain());
    let mut source = opened.expect("a source");
    source.seek(&Positions::default()).expect("a position");
    let records = read(&mut source, count as usize);
    let numbers = records.iter().map(|record| text(record).split_once(' ').expect("a number").0.parse());
    assert!(numbers.eq((0..count).map(Ok)), "by arrival over all partitions");
    nothing_more(&mut source);
}

#[test]
fn what_was_decided_comes_before_what_was_not() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("hold"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 3, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    for (partition, beginning) in [(0, "a"), (1, "b"), (2, "c")] {
        write(&producer, &topic, partition, &texts(beginning, 50));
    }
    let mut source = from_start(&broker.bootstrap, &topic);
    source.hold_at(Some(Positions::from(vec![at(&topic, 0, 20), at(&topic, 1, 50)])));
    let decided = read(&mut source, 70);
    assert_eq!(source.poll(100, Span::millis(300)).expect("nothing"), []);
    assert_eq!(after(&decided), Positions::from(vec![at(&topic, 0, 20), at(&topic, 1, 50)]));
    source.hold_at(None);
    let rest = read(&mut source, 80);
    assert_eq!(rest.iter().filter(|record| record.position.partition == 2).count(), 50);
    nothing_more(&mut source);
}

#[test]
fn a_writer_whose_clock_is_ahead_does_not_carry_the_others_with_it() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("ahead"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &[("ahead".into(), 4_000_000_000_000)]);
    let (tell, told) = std::sync::mpsc::channel();
    let decode = Box::new(move |record: yuqing::intake::kafka::KafkaRecord<'_>| {
        tell.send(record.timestamp).expect("a listener");
        Body::Deleted { id: "x".into() }.into()
    });
    let opened = KafkaSource::open(&config(&broker.bootstrap), &[topic], &name("desk"), decode);
    let mut source = opened.expect("a source");
    source.seek(&Positions::default()).expect("a position");
    read(&mut source, 1);
    assert!(told.recv().expect("a time") <= yuqing::clock::Clock::Real.now());
}

#[test]
fn an_aborted_write_is_not_read_and_its_offsets_are_no_gap() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("transaction"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[]);
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &broker.bootstrap).set("transactional.id", &topic);
    let writer: ThreadedProducer<DefaultProducerContext> = settings.create().expect("a producer");
    let wait = Duration::from_secs(20);
    writer.init_transactions(wait).expect("a transaction");
    for (text, keep) in [("one", true), ("two", false), ("three", true)] {
        writer.begin_transaction().expect("begun");
        assert!(writer.send(BaseRecord::to(&topic).key(text).payload(text)).is_ok());
        // What is not there yet when it is aborted leaves no trace.
        writer.flush(wait).expect("written");
        let ended = if keep { writer.commit_transaction(wait) } else { writer.abort_transaction(wait) };
        ended.expect("ended");
    }
    let mut source = from_start(&broker.bootstrap, &topic);
    let records = read(&mut source, 2);
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(records[1].position.offset, 4, "offsets 1 to 3 are a marker, an aborted record and its marker");
    nothing_more(&mut source);
    source.seek(&after(&records)).expect("after the last record there is a marker");
    nothing_more(&mut source);
}

#[test]
fn partitions_that_are_added_are_read_from_their_first_record() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("wide"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 3));
    let mut source = from_start(&broker.bootstrap, &topic);
    assert_eq!(read(&mut source, 3).len(), 3);
    admin.widen(&topic, 3);
    // A writer that looks anew knows the new partition at once.
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    write(&producer, &topic, 2, &texts("c", 2));
    let until = Moment::now() + super::broker::LONG;
    let mut records = Vec::new();
    while records.len() < 2 && Moment::now() < until {
        source.look_soon();
        records.extend(source.poll(10, Span::millis(200)).expect("records"));
    }
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["c0", "c1"]);
    assert_eq!(source.partitions().expect("partitions").iter().count(), 3);
}

/// Values that are no mentions, each in another way, and the code of their refusal.
fn bad() -> Vec<(Vec<u8>, &'static str)> {
    let good = serde_json::json!({"id": "weibo:x", "platform": "weibo", "text": "红谷滩积水",
        "created_at": "2025-10-01T07:59:00Z", "author": {"id": "a"}});
    let good = good.to_string();
    let field = |name: &str, value: serde_json::Value| {
        let mut record: serde_json::Value = serde_json::from_str(&good).expect("a mention");
        record[name] = value;
        record.to_string().into_bytes()
    };
    let without = |name: &str| {
        let mut record: serde_json::Value = serde_json::from_str(&good).expect("a mention");
        record.as_object_mut().expect("an object").remove(name);
        record.to_string().into_bytes()
    };
    let mut cut = good.clone().into_bytes();
    cut.truncate(good.len() / 2);
    vec![
        (Vec::new(), "not_json"),
        (b"\0\0\0".to_vec(), "not_json"),
        (b"{".to_vec(), "not_json"),
        (b"<mention/>".to_vec(), "not_json"),
        (cut, "invalid_utf8 not_json"),
        (b"[]".to_vec(), "not_an_object"),
        (b"17".to_vec(), "not_an_object"),
        (b"null".to_vec(), "not_an_object"),
        (vec![0xff, 0xfe, b'{', b'}'], "invalid_utf8"),
        ("[".repeat(10_000).into_bytes(), "too_deep"),
        (format!("{{\"a\":{}1{}}}", "[".repeat(900), "]".repeat(900)).into_bytes(), "too_deep"),
        (without("id"), "missing_id"),
        (field("id", "".into()), "bad_id"),
        (field("id", "x".repeat(500).into()), "bad_id"),
        (field("id", 7.into()), "bad_type"),
        (without("platform"), "missing_platform"),
        (field("platform", "pigeon".into()), "unknown_platform"),
        (without("text"), "missing_text"),
        (field("text", "水".repeat(20_001).into()), "text_too_long"),
        (field("text", serde_json::json!({"a": 1})), "bad_type"),
        (without("created_at"), "missing_created_at"),
        (field("created_at", "yesterday".into()), "bad_time"),
        (field("created_at", "2999-01-01T00:00:00Z".into()), "future_time"),
        (field("counts", serde_json::json!({"likes": -1})), "bad_type"),
        (field("padding", "x".repeat(1 << 20).into()), "line_too_long"),
    ]
}

#[test]
fn bad_records_are_refused_where_they_stand_and_the_rest_passes() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("bad"), Admin::new(&broker.bootstrap));
    admin.make(&topic, 1, &[("max.message.bytes", "2097152")]);
    let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
    let now = Instant::parse("2025-10-01T08:00:00Z").expect("a time");
    let put = |key: &str, value: Option<&[u8]>| {
        let (partition, timestamp) = (Some(0), Some(now));
        producer.send(Outgoing { topic: &topic, partition, key, headers: &[], value, timestamp }).expect("room");
    };
    let bad = bad();
    for (number, (value, _)) in bad.iter().enumerate() {
        put("bad", Some(value));
        let record = serde_json::json!({"id": format!("weibo:{number}"), "platform": "weibo", "text": "红谷滩积水",
            "created_at": "2025-10-01T07:59:00Z", "author": {"id": "a"}});
        put("good", Some(record.to_string().as_bytes()));
    }
    put("weibo:3", None);
    put("", None);
    producer.flush().expect("delivered");
    let known = IntakeConfig { platforms: ["weibo".to_owned()].into(), ..IntakeConfig::default() };
    let mut decoder = MentionDecoder::new(known, Arc::new(|_| Some([7; 32])));
    let decode = Box::new(move |record: yuqing::intake::kafka::KafkaRecord<'_>| decoder.decode(record));
    let opened = KafkaSource::open(&config(&broker.bootstrap), std::slice::from_ref(&topic), &name("desk"), decode);
    let mut source = opened.expect("a source");
    source.seek(&Positions::default()).expect("a position");
    let records = read(&mut source, bad.len() * 2 + 2);
    for (number, (_, codes)) in bad.iter().enumerate() {
        let (refused, good) = (&records[number * 2], &records[number * 2 + 1]);
        assert_eq!(refused.position.offset, number as u64 * 2);
        match &refused.body {
            Body::Refused { refused, at, .. } => {
                assert!(codes.split(' ').any(|code| code == refused.code.name()), "{number}: {refused:?}");
                assert_eq!(*at, now);
            }
            other => panic!("{number}: {other:?}"),
        }
        match &good.body {
            Body::Mention(mention) => {
                assert_eq!((mention.id.as_str(), mention.collected_at), (format!("weibo:{number}").as_str(), now));
                assert!(mention.source.is_some());
            }
            other => panic!("{number}: {other:?}"),
        }
    }
    let last = &records[bad.len() * 2..];
    assert_eq!(last[0].body, Body::Deleted { id: "weibo:3".into() });
    assert!(matches!(&last[1].body, Body::Refused { refused, .. } if refused.code.name() == "missing_id"));
    nothing_more(&mut source);
}

#[test]
fn records_a_second() {
    // A figure, not a test: YUQING_MEASURE=1 cargo test --test all records_a_second -- --nocapture
    if std::env::var_os("YUQING_MEASURE").is_none() {
        return;
    }
    let Some(broker) = broker() else { return };
    let (admin, count) = (Admin::new(&broker.bootstrap), 300_000usize);
    for partitions in [1, 6] {
        let topic = name("speed");
        admin.make(&topic, partitions, &[]);
        let producer = Producer::open(&config(&broker.bootstrap)).expect("a producer");
        let value: String = (0..1_024).map(|one| char::from(b'a' + (one * 7 % 26) as u8)).collect();
        let began = Moment::now();
        for one in 0..count {
            let (partition, timestamp) =
                (Some(one as i32 % partitions), Some(Instant::from_millis(START + one as i64)));
            let (key, value) = ("k", Some(value.as_bytes()));
            producer.send(Outgoing { topic: &topic, partition, key, headers: &[], value, timestamp }).expect("room");
        }
        producer.flush().expect("delivered");
        let written = count as f64 / began.elapsed().as_secs_f64();
        let opened =
            KafkaSource::open(&config(&broker.bootstrap), std::slice::from_ref(&topic), &name("desk"), plain());
        let mut source = opened.expect("a source");
        let began = Moment::now();
        source.seek(&Positions::default()).expect("a position");
        let mut got = 0;
        while got < count {
            got += source.poll(1_024, Span::millis(100)).expect("records").len();
        }
        let read = count as f64 / began.elapsed().as_secs_f64();
        let over = source.passed_over();
        eprintln!("{partitions} partition(s): {written:.0} written/s, {read:.0} read/s, passed over {over}");
    }
}
