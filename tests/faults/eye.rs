//! What can be seen from outside while a trial runs. In: the store's tables and the broker's topics. Out: how far everybody is, who leads, what
//! was refused, raised and commanded.

use postgres::{Client, NoTls};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ASK: Duration = Duration::from_secs(5);

/// Who leads: token, process.
pub type Leads = (i64, u32);

/// Looks at store and broker; reconnects as it must.
pub struct Eye {
    url: String,
    client: Option<Client>,
    kafka: BaseConsumer,
    letter: i64,
    seq: i64,
    /// Dead letters by position of the record, in the order in which they were written, and code.
    pub letters: BTreeMap<(String, i64, i64), Vec<String>>,
    /// The ledger's events.
    pub events: Vec<(String, Value)>,
}

impl Eye {
    pub fn new(url: &str, bootstrap: &str, group: &str) -> Eye {
        let kafka = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("log_level", "2")
            .create()
            .expect("a consumer");
        let (letters, events) = (BTreeMap::new(), Vec::new());
        Eye { url: url.to_owned(), client: None, kafka, letter: 0, seq: 0, letters, events }
    }

    fn store<T>(&mut self, what: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Option<T> {
        let mut client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => Client::connect(&self.url, NoTls).ok()?,
        };
        let got = what(&mut client).ok()?;
        self.client = Some(client);
        Some(got)
    }

    /// `None` while the store is down or has no tables yet.
    pub fn leads(&mut self) -> Option<Leads> {
        let row = self.store(|it| it.query_one("SELECT token, holder FROM lead", &[]))?;
        let holder: String = row.get(1);
        let pid = holder.rsplit('/').next()?.split('-').next()?.parse().unwrap_or(0);
        Some((row.get(0), pid))
    }

    /// Records of a topic that the store has decided on.
    pub fn decided(&mut self, topic: &str) -> Option<u64> {
        let sql = "SELECT COALESCE(SUM(next), 0)::BIGINT FROM positions WHERE stream = $1";
        let next: i64 = self.store(|it| it.query_one(sql, &[&topic]))?.get(0);
        Some(next as u64)
    }

    pub fn positions(&mut self, topic: &str) -> Option<BTreeMap<i32, i64>> {
        let sql = "SELECT part, next FROM positions WHERE stream = $1";
        let rows = self.store(|it| it.query(sql, &[&topic]))?;
        Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Reads on what was refused and decided; false while the store does not answer.
    pub fn read_on(&mut self) -> bool {
        let (letter, seq) = (self.letter, self.seq);
        let sql = "SELECT id, code, body FROM dead_letters WHERE id > $1 ORDER BY id LIMIT 20000";
        let Some(rows) = self.store(|it| it.query(sql, &[&letter])) else { return false };
        for row in rows {
            self.letter = row.get(0);
            let body: Value = serde_json::from_str(row.get(2)).expect("a dead letter is JSON");
            let at = &body["position"];
            let stream = at["stream"].as_str().expect("a stream").to_owned();
            let key = (stream, at["partition"].as_i64().expect("p"), at["offset"].as_i64().expect("o"));
            self.letters.entry(key).or_default().push(row.get(1));
        }
        let sql = "SELECT seq, actor, event FROM entries WHERE seq > $1 ORDER BY seq LIMIT 20000";
        let Some(rows) = self.store(|it| it.query(sql, &[&seq])) else { return false };
        for row in rows {
            self.seq = row.get(0);
            self.events.push((row.get(1), serde_json::from_str(row.get(2)).expect("an event is JSON")));
        }
        true
    }

    /// Ends of a topic's partitions; `None` while the broker does not answer.
    pub fn ends(&self, topic: &str) -> Option<BTreeMap<i32, i64>> {
        let found = self.kafka.fetch_metadata(Some(topic), ASK).ok()?;
        let topic_found = found.topics().first()?;
        let mut ends = BTreeMap::new();
        for part in topic_found.partitions() {
            ends.insert(part.id(), self.kafka.fetch_watermarks(topic, part.id(), ASK).ok()?.1);
        }
        Some(ends)
    }

    /// What the group has committed.
    pub fn committed(&self, topic: &str, partitions: i32) -> Option<u64> {
        let mut asked = TopicPartitionList::new();
        for number in 0..partitions {
            asked.add_partition(topic, number);
        }
        let told = self.kafka.committed_offsets(asked, ASK).ok()?;
        let mut sum = 0;
        for one in told.elements() {
            if let Offset::Offset(at) = one.offset() {
                sum += at.max(0) as u64;
            }
        }
        Some(sum)
    }

    /// Every record of a topic, in the order of each partition.
    pub fn all(&self, bootstrap: &str, topic: &str, mut each: impl FnMut(i32, i64, Option<&[u8]>)) {
        let ends = self.ends(topic).expect("the broker answers");
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "rig-oracle")
            .set("enable.auto.commit", "false")
            .set("log_level", "2")
            .create()
            .expect("a consumer");
        let mut wanted = TopicPartitionList::new();
        for number in ends.keys() {
            wanted.add_partition_offset(topic, *number, Offset::Beginning).expect("an offset");
        }
        reader.assign(&wanted).expect("assigned");
        let mut left = ends.clone();
        left.retain(|_, end| *end > 0);
        let until = Instant::now() + Duration::from_secs(600);
        while !left.is_empty() {
            assert!(Instant::now() < until, "{topic} cannot be read to its end: {left:?}");
            let Some(Ok(message)) = reader.poll(Duration::from_millis(500)) else { continue };
            each(message.partition(), message.offset(), message.payload());
            if left.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                left.remove(&message.partition());
            }
        }
    }
}
