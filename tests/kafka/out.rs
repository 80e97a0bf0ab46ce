//! Writing: what is delivered and what is not, notices as records, and what the cluster's settings put at risk.

use super::broker::{Admin, at, broker, config, from_start, name, read, text, texts, write};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;
use yuqing::duty::Verdict;
use yuqing::intake::Body;
use yuqing::intake::Source;
use yuqing::intake::kafka::{KafkaConfig, KafkaSource, Outgoing, ProduceError, Producer, inspect};
use yuqing::ledger::Positions;
use yuqing::outlet::kafka::Alerts;

fn record<'a>(topic: &'a str, value: &'a [u8]) -> Outgoing<'a> {
    Outgoing {
        topic,
        partition: None,
        key: "weibo:1",
        headers: &[("yuqing-schema", "assessed/1")],
        value: Some(value),
        timestamp: None,
    }
}

#[test]
fn a_flush_tells_what_was_not_delivered() {
    let Some(broker) = broker() else { return };
    let topic = name("out");
    Admin::new(&broker.bootstrap).make(&topic, 2, &[("max.message.bytes", "100000")]);
    let mut quick = config(&broker.bootstrap);
    quick.client.insert("message.timeout.ms".into(), yuqing::intake::kafka::Value::Number(5_000));
    quick.compression = yuqing::intake::kafka::Compression::None;
    let producer = Producer::open(&quick).expect("a producer");
    producer.send(record(&topic, b"good")).expect("room");
    producer.flush().expect("delivered");
    producer.send(record(&topic, b"beside")).expect("room");
    producer.send(record(&topic, &vec![b'x'; 200_000])).expect("the client takes it");
    let fault = producer.flush().expect_err("the broker does not");
    assert!(matches!(&fault, ProduceError::TooLarge { key, bytes: 200_000, .. } if key == "weibo:1"), "{fault}");
    let fault = producer.send(record(&topic, &vec![b'x'; 3 << 20])).expect_err("nor the client");
    assert!(matches!(fault, ProduceError::TooLarge { .. }), "{fault}");
    producer.flush().expect("told once");
    let missing = producer.send(record("nowhere-at-all", b"x")).and_then(|()| producer.flush()).expect_err("no topic");
    assert!(matches!(missing, ProduceError::Misconfigured { .. } | ProduceError::Failed { .. }), "{missing}");
    assert!((1..=2).contains(&producer.delivered()), "what travelled beside the large one may be refused with it");
    let mut source = from_start(&broker.bootstrap, &topic);
    assert_eq!(text(&read(&mut source, 1)[0]), "good");
}

#[test]
fn a_notice_is_accepted_when_it_is_delivered() {
    let Some(broker) = broker() else { return };
    let topic = name("alerts");
    Admin::new(&broker.bootstrap).make(&topic, 1, &[]);
    let mut quick = config(&broker.bootstrap);
    quick.client.insert("message.timeout.ms".into(), yuqing::intake::kafka::Value::Number(3_000));
    let producer = Producer::open(&quick).expect("a producer");
    let notice = notice();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let verdict = runtime.block_on(Alerts::new(producer.clone(), &topic).send(&notice, Some("https://yuqing.example")));
    assert_eq!(verdict, Verdict::Accepted);
    let verdict = runtime.block_on(Alerts::new(producer, "nowhere-at-all").send(&notice, None));
    assert!(matches!(verdict, Verdict::Misconfigured { .. } | Verdict::Retry { .. }), "{verdict:?}");
    let mut settings = rdkafka::ClientConfig::new();
    settings.set("bootstrap.servers", &broker.bootstrap).set("group.id", name("reader"));
    let reader: BaseConsumer = settings.create().expect("a client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let message = reader.poll(Duration::from_secs(30)).expect("a record").expect("a record");
    assert_eq!(message.key(), Some(notice.incident.as_bytes()));
    let headers = message.headers().expect("headers");
    let named: Vec<(&str, &[u8])> = headers.iter().map(|one| (one.key, one.value.unwrap_or_default())).collect();
    assert_eq!(named, [("yuqing-schema", b"alert/1".as_slice()), ("yuqing-key", notice.key.as_bytes())]);
    let body: serde_json::Value = serde_json::from_slice(message.payload().expect("a body")).expect("JSON");
    assert_eq!((body["data"]["key"].as_str(), body["data"]["incident"].as_str()), (Some("N-1-1"), Some("I-1001-01")));
}

fn notice() -> yuqing::duty::event::Notice {
    serde_json::from_value(serde_json::json!({
        "key": "N-1-1", "incident": "I-1001-01", "reason": "new", "level": "L3", "officer": null, "digest": [],
        "decided_at": "2026-10-01T08:00:00Z", "step": 0, "attempt": 0, "due": null, "channel": "bus", "to": "bus",
        "facts": {"type": "incident.raised", "topic": "T-1", "classes": ["disaster"], "place": "红谷滩区",
                  "first_mention": "2026-10-01T07:58:00Z", "due": "2026-10-01T09:58:00Z"},
    }))
    .expect("a notice")
}

#[test]
fn settings_that_lose_data_are_told() {
    let Some(broker) = broker() else { return };
    let (topic, admin) = (name("risk"), Admin::new(&broker.bootstrap));
    let settings = [
        ("retention.ms", "3600000"),
        ("retention.bytes", "1073741824"),
        ("unclean.leader.election.enable", "true"),
        ("cleanup.policy", "compact,delete"),
    ];
    admin.make(&topic, 2, &settings);
    let safe = name("safe");
    admin.make(&safe, 1, &[("retention.ms", "-1"), ("min.insync.replicas", "2")]);
    let config = KafkaConfig { topics: vec![topic.clone()], assessed: safe.clone(), ..config(&broker.bootstrap) };
    let producer = Producer::open(&config).expect("a producer");
    write(&producer, &topic, 0, &texts("a", 10));
    admin.delete_records(&topic, 0, 5);
    let stored = Positions::from(vec![at(&topic, 0, 2), at(&topic, 1, 7)]);
    let advice = inspect(&config, &stored).expect("advice");
    let wants = [
        (true, topic.as_str(), "retention.ms"),
        (true, topic.as_str(), "retention.bytes"),
        (true, topic.as_str(), "unclean.leader"),
        (true, topic.as_str(), "compact"),
        (false, topic.as_str(), "min.insync"),
        (true, &format!("{topic}/0"), "gone"),
        (true, &format!("{topic}/1"), "made anew"),
        (false, "cluster", "broker"),
        (false, "yuqing.alerts", "not there yet"),
    ];
    for (grave, about, want) in wants {
        let found = advice.iter().any(|one| one.grave == grave && one.about == about && one.text.contains(want));
        assert!(found, "{about}: {want} in {advice:#?}");
    }
    assert!(!advice.iter().any(|one| one.about == safe), "{advice:#?}");
    let missing = KafkaConfig { topics: vec!["nowhere-at-all".into()], ..config };
    let advice = inspect(&missing, &Positions::default()).expect("advice");
    assert!(advice[0].grave && advice[0].about == "nowhere-at-all", "{advice:#?}");
}

#[test]
fn a_null_value_passes_through() {
    let Some(broker) = broker() else { return };
    let topic = name("null");
    Admin::new(&broker.bootstrap).make(&topic, 1, &[]);
    let config = config(&broker.bootstrap);
    let producer = Producer::open(&config).expect("a producer");
    producer.send(Outgoing { value: None, ..record(&topic, b"") }).expect("room");
    producer.flush().expect("delivered");
    let decode = Box::new(|record: yuqing::intake::kafka::KafkaRecord<'_>| {
        assert_eq!(record.value, None);
        Body::Deleted { id: String::from_utf8_lossy(record.key.expect("a key")).into_owned() }.into()
    });
    let mut source = KafkaSource::open(&config, &[topic], &name("desk"), decode).expect("a source");
    source.seek(&Positions::default()).expect("a position");
    assert_eq!(text(&read(&mut source, 1)[0]), "weibo:1");
}
