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
    /// Bad ones are bad in thirty ways, not in one.
    pub many: bool,
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
        Plan { records, events, many: false, planted }
    }

    /// The same with thirty ways of being bad.
    pub fn with_many(self) -> Plan {
        Plan { many: true, ..self }
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

    /// The code under which a bad record must stand.
    pub fn code(&self, number: u64) -> Option<&'static str> {
        if self.many { bad(number).0 } else { Some("missing_id") }
    }

    fn value(&self, number: u64, at: &str) -> Vec<u8> {
        if self.many && self.kind(number) == Kind::Bad {
            return bad(number).1;
        }
        self.text(number, at).into_bytes()
    }

    fn text(&self, number: u64, at: &str) -> String {
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

/// Ways of being bad: the code where it is one only, and the bytes.
fn bad(number: u64) -> (Option<&'static str>, Vec<u8>) {
    let text = |code, text: &str| (Some(code), text.as_bytes().to_vec());
    let with = |id: &str, more: &str| format!(r#"{{"id":"{id}","platform":"weibo","text":"{number}"{more}}}"#);
    let at = r#","created_at":"2026-01-01T00:00:00Z""#;
    match number / 10 % 30 {
        0 => text("not_json", "{\"id\":"),
        1 => text("not_json", "no json at all"),
        2 => (None, Vec::new()),
        3 => text("not_an_object", "[1]"),
        4 => text("not_an_object", "null"),
        5 => text("not_an_object", "5"),
        6 => text("not_an_object", "\"text\""),
        7 => text("missing_id", &with("x", at).replace("\"id\"", "\"no\"")),
        8 => (None, with("", at).into_bytes()),
        9 => text("missing_platform", &with("a:1", at).replace("\"platform\"", "\"p\"")),
        10 => text("unknown_platform", &with("a:2", at).replace("weibo", "nowhere")),
        11 => text("missing_text", &with("a:3", at).replace("\"text\"", "\"t\"")),
        12 => text(
            "text_too_long",
            &with("a:4", at).replace(&format!("\"{number}\""), &format!("\"{}\"", "长".repeat(21_000))),
        ),
        13 => text("missing_created_at", &with("a:5", "")),
        14 => text("bad_time", &with("a:6", r#","created_at":"yesterday""#)),
        15 => text("bad_time", &with("a:7", r#","created_at":"2026-13-41T99:00:00Z""#)),
        16 => text("future_time", &with("a:8", r#","created_at":"2199-01-01T00:00:00Z""#)),
        17 => text("bad_type", &with("a:9", at).replace(&format!("\"{number}\""), "5")),
        18 => text("bad_type", &with("a:10", at).replace(&format!("\"{number}\""), "{\"a\":[]}")),
        19 => (Some("invalid_utf8"), b"{\"id\":\"a:11\",\"text\":\"\xff\xfe\"}".to_vec()),
        20 => (None, vec![0; 64]),
        21 => (None, vec![b'x'; 900_000]),
        22 => (Some("too_deep"), [b"[".repeat(10_000), b"]".repeat(10_000)].concat()),
        23 => (None, b"{\"a\":".repeat(5_000)),
        24 => text("not_json", "{\"id\":\"a:12\"} trailing"),
        25 => text("not_json", "{'id':'a:13'}"),
        26 => (None, with(&"i".repeat(5_000), at).into_bytes()),
        27 => (None, [b"\xef\xbb\xbf".to_vec(), b"{".to_vec()].concat()),
        28 => (None, b"{\"id\":\"\\ud800\",\"platform\":".to_vec()),
        _ => (None, b"\x1f\x8b\x08\x00 no gzip".to_vec()),
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

    pub fn written(&self) -> u64 {
        self.next
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
