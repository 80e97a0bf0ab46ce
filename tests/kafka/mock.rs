//! Errors that a broker gives only when asked to, from librdkafka's mock cluster: commits refused, fetches failed, leaders
//! moved, brokers gone.

use super::broker::{config, name, nothing_more, plain, read, text, texts, write};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::time::{Duration, Instant as Moment};
use yuqing::intake::Source;
use yuqing::intake::kafka::{KafkaConfig, KafkaSource, Producer};
use yuqing::ledger::Positions;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn source(config: &KafkaConfig, topic: &str) -> KafkaSource {
    let mut source = KafkaSource::open(config, &[topic.to_owned()], &name("desk"), plain()).expect("a source");
    source.seek(&Positions::default()).expect("a position");
    source
}

#[test]
fn f8_a_refused_report_stops_nothing_and_is_counted() {
    let mock = Mock::new(1).expect("a mock");
    mock.create_topic("m", 1, 1).expect("a topic");
    let config = config(&mock.bootstrap_servers());
    let producer = Producer::open(&config).expect("a producer");
    write(&producer, "m", 0, &texts("a", 30));
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    ];
    mock.request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    let mut source = source(&config, "m");
    let mut records = Vec::new();
    for refused in 1..=errors.len() as u64 {
        records.extend(read(&mut source, 10));
        let until = Moment::now() + Duration::from_secs(30);
        source.report(&super::broker::after(&records));
        while source.reports_failed() < refused {
            source.report(&Positions::default());
            std::thread::yield_now();
            assert!(Moment::now() < until, "report {refused} was not refused");
        }
    }
    // What was written after the refusals comes as well: the reader still reads.
    write(&producer, "m", 0, &texts("b", 10));
    records.extend(read(&mut source, 10));
    let all: Vec<_> = texts("a", 30).into_iter().chain(texts("b", 10)).collect();
    assert!(records.iter().map(text).eq(all.iter().map(|(text, _)| text.as_str())));
    nothing_more(&mut source);
}

#[test]
fn f9_failed_fetches_moved_leaders_and_lost_brokers_leave_no_gap() {
    let mock = Mock::new(3).expect("a mock");
    mock.create_topic("m", 2, 3).expect("a topic");
    let config = config(&mock.bootstrap_servers());
    let producer = Producer::open(&config).expect("a producer");
    for partition in 0..2 {
        mock.partition_leader("m", partition, Some(1)).expect("a leader");
    }
    let all = texts("a", 400);
    let put = |part: usize| {
        for partition in 0..2 {
            let mine =
                all[part * 100..(part + 1) * 100].iter().enumerate().filter(|(one, _)| *one as i32 % 2 == partition);
            write(&producer, "m", partition, &mine.map(|(_, text)| text.clone()).collect::<Vec<_>>());
        }
    };
    put(0);
    let mut source = source(&config, "m");
    let mut records = read(&mut source, 100);
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ];
    mock.request_errors(RDKafkaApiKey::Fetch, &errors);
    put(1);
    records.extend(read(&mut source, 100));
    for partition in 0..2 {
        mock.partition_leader("m", partition, Some(2)).expect("a leader");
    }
    put(2);
    records.extend(read(&mut source, 100));
    let before = source.errors();
    mock.broker_down(1).expect("down");
    mock.broker_down(2).expect("down");
    for partition in 0..2 {
        mock.partition_leader("m", partition, Some(3)).expect("a leader");
    }
    mock.broker_round_trip_time(3, Duration::from_millis(500)).expect("slow");
    put(3);
    records.extend(read(&mut source, 100));
    assert!(source.errors() > before, "the fault hit");
    mock.broker_up(1).expect("up");
    mock.broker_up(2).expect("up");
    nothing_more(&mut source);
    for partition in 0..2 {
        let offsets = records.iter().filter(|record| record.position.partition == partition);
        assert!(offsets.map(|record| record.position.offset).eq(0..200), "partition {partition}");
    }
}
