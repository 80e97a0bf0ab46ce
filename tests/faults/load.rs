//! The records of a trial. In: how many. Out: numbered mentions on the topic, every tenth bad in a known way, some of them witnesses of planted
//! events; where each stands follows from its number.

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Partitions of the topic of mentions.
pub const PARTITIONS: u64 = 6;
/// Witnesses of a planted event.
const WITNESSES: u64 = 4;
/// Where events are planted; one each.
const PLACES: [&str; 6] =
    ["扬子洲镇", "南昌县蒋巷镇", "红谷滩区沙井街道", "青山湖区湖坊镇", "进贤县文港镇", "安义县万埠镇"];
const CALM: [&str; 4] =
    ["路边的桂花开了，散步很舒服", "晚饭吃了瓦罐汤，味道不错", "公园里的菊展人不少", "图书馆新到了一批书"];

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Calm,
    /// It has no id.
    Bad,
    Witness {
        event: u64,
        witness: u64,
    },
}

/// Which records there are.
#[derive(Clone)]
pub struct Plan {
    pub records: u64,
    pub events: u64,
    planted: BTreeMap<u64, (u64, u64)>,
}

impl Plan {
    pub fn new(records: u64, events: u64) -> Plan {
        let events = events.min(PLACES.len() as u64);
        let mut planted = BTreeMap::new();
        for event in 0..events {
            // Spread over the trial, each witness on another partition; never where a bad one stands.
            let first = records * (event + 1) / (events + 2);
            let mut at = first;
            for witness in 0..WITNESSES {
                at += 1;
                if at % 10 == 7 {
                    at += 1;
                }
                planted.insert(at, (event, witness));
            }
        }
        Plan { records, events, planted }
    }

    pub fn kind(&self, number: u64) -> Kind {
        match self.planted.get(&number) {
            Some(&(event, witness)) => Kind::Witness { event, witness },
            None if number % 10 == 7 => Kind::Bad,
            None => Kind::Calm,
        }
    }

    pub fn bad(&self) -> u64 {
        (0..self.records).filter(|&one| self.kind(one) == Kind::Bad).count() as u64
    }

    /// Id of a good record.
    pub fn id(&self, number: u64) -> Option<String> {
        match self.kind(number) {
            Kind::Bad => None,
            Kind::Calm => Some(format!("weibo:n{number}")),
            Kind::Witness { event, witness } => Some(format!("weibo:f{event}-{witness}")),
        }
    }

    fn value(&self, number: u64, at: &str) -> String {
        match self.kind(number) {
            Kind::Bad => format!(r#"{{"platform":"weibo","text":"第{number}号没有编号","created_at":"{at}"}}"#),
            Kind::Calm => format!(
                r#"{{"id":"weibo:n{number}","platform":"weibo","text":"第{number}条，{}","created_at":"{at}","author":{{"id":"a{number}"}}}}"#,
                CALM[(number % 4) as usize]
            ),
            Kind::Witness { event, witness } => format!(
                r#"{{"id":"weibo:f{event}-{witness}","platform":"weibo","text":"{}一栋居民楼着火了，有{}个人被困在楼上，快来救人","created_at":"{at}","author":{{"id":"f{event}-{witness}"}}}}"#,
                PLACES[event as usize],
                witness + 2
            ),
        }
    }
}

struct Heard(Arc<AtomicU64>, Arc<AtomicU64>);

impl ClientContext for Heard {}

impl ProducerContext for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: ()) {
        let count = if delivered.is_ok() { &self.0 } else { &self.1 };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Writes the records, in order, each once.
pub struct Load {
    pub plan: Plan,
    topic: String,
    producer: ThreadedProducer<Heard>,
    next: u64,
    delivered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Load {
    pub fn new(bootstrap: &str, topic: &str, plan: Plan) -> Load {
        let (delivered, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "20")
            .create_with_context(Heard(delivered.clone(), failed.clone()))
            .expect("a producer");
        Load { plan, topic: topic.to_owned(), producer, next: 0, delivered, failed }
    }

    /// Writes up to so many more; false when all were written.
    pub fn write(&mut self, most: u64) -> bool {
        let at = yuqing::time::Instant::from_millis(crate::house::now() * 1_000).to_string();
        let until = self.plan.records.min(self.next + most);
        while self.next < until {
            let value = self.plan.value(self.next, &at);
            let key = self.next.to_string();
            let partition = (self.next % PARTITIONS) as i32;
            match self.producer.send(BaseRecord::to(&self.topic).partition(partition).key(&key).payload(&value)) {
                Ok(()) => self.next += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => break,
                Err((error, _)) => panic!("the load cannot be written: {error}"),
            }
        }
        self.next < self.plan.records
    }

    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::SeqCst)
    }

    /// Waits until the broker has all that was written.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(120)).expect("the broker takes the load");
        assert_eq!(self.failed.load(Ordering::SeqCst), 0, "the broker took every record of the load");
    }
}
