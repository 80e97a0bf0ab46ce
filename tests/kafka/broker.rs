//! The broker of the tests and what they do to it: topics, records, kills. Started by `scripts/servers/kafka`, which stops
//! it when this process ends, however it ends.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as Moment};
use yuqing::intake::kafka::{Decode, KafkaConfig, KafkaSource, Outgoing, Producer};
use yuqing::intake::{Body, Record, Source};
use yuqing::ledger::{Position, Positions};
use yuqing::time::{Instant, Span};

/// Longest time for anything to come about.
pub const LONG: Duration = Duration::from_secs(60);

/// A broker of our own.
pub struct Broker {
    pub bootstrap: String,
    dir: PathBuf,
    // Its standard input: the broker stops when it ends.
    _child: Child,
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers/kafka"));
    command.args(arguments);
    command
}

/// Two free ports side by side, tried until they are.
fn port() -> u16 {
    loop {
        let first = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = first.local_addr().expect("an address").port();
        if port < 65_000 && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

impl Broker {
    /// Starts one with settings of its own, lines of its properties.
    fn start(settings: &str) -> Option<Broker> {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name("broker"));
        let text = dir.display().to_string();
        let mut command = script(&["run", &text, &port().to_string()]);
        command.env("KAFKA_SETTINGS", settings);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/servers/kafka");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for line in lines.map_while(Result::ok) {
            eprintln!("kafka: {line}");
            if let Some(bootstrap) = line.strip_prefix("ready ") {
                return Some(Broker { bootstrap: bootstrap.to_owned(), dir, _child: child });
            }
        }
        // It has ended, or will not be ready any more.
        let _ = (child.kill(), child.wait());
        crate::house::skip("kafka", "no Kafka broker could be started; nothing about Kafka was proved");
        None
    }

    /// One for tests that do it harm; where the shared one can be had, this one can.
    pub fn own(settings: &str) -> Option<Broker> {
        broker()?;
        Some(Broker::start(settings).expect("another broker"))
    }

    /// Kills it, mid-sentence.
    pub fn kill(&self) {
        self.signal("-9");
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.dir.join("1/pid")).expect("a pid");
        let done = Command::new("kill").args([signal, pid.trim()]).status().expect("kill");
        assert!(done.success(), "the broker was there to be told");
    }

    pub fn again(&self) {
        let done = script(&["again", &self.dir.display().to_string(), "1"]).stdout(Stdio::null()).status();
        let done = done.expect("scripts/servers/kafka");
        assert!(done.success(), "the broker did not start again: {done}");
    }
}

/// The broker that all tests share.
pub fn broker() -> Option<&'static Broker> {
    static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
    SHARED.get_or_init(|| Broker::start("")).as_ref()
}

/// A name that no other test and no other run has.
pub fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{count}", std::process::id())
}

pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub fn new(bootstrap: &str) -> Admin {
        let client = ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
        Admin { client, runtime: tokio::runtime::Runtime::new().expect("a runtime") }
    }

    pub fn make(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let made = self.runtime.block_on(self.client.create_topics([&new], &AdminOptions::new()));
        made.expect("an answer").remove(0).expect("a topic");
    }

    pub fn delete(&self, topic: &str) {
        let gone = self.runtime.block_on(self.client.delete_topics(&[topic], &AdminOptions::new()));
        gone.expect("an answer").remove(0).expect("gone");
    }

    pub fn delete_group(&self, group: &str) {
        let gone = self.runtime.block_on(self.client.delete_groups(&[group], &AdminOptions::new()));
        gone.expect("an answer").remove(0).expect("gone");
    }

    pub fn widen(&self, topic: &str, partitions: usize) {
        let wide = NewPartitions::new(topic, partitions);
        let made = self.runtime.block_on(self.client.create_partitions([&wide], &AdminOptions::new()));
        made.expect("an answer").remove(0).expect("partitions");
    }

    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        self.runtime.block_on(self.client.delete_records(&list, &AdminOptions::new())).expect("gone");
    }
}

pub fn config(bootstrap: &str) -> KafkaConfig {
    KafkaConfig { session_timeout_ms: 6_000, ..KafkaConfig::new(bootstrap) }
}

/// Writes one record a text, at a time of its own, all of them delivered on return.
pub fn write(producer: &Producer, topic: &str, partition: i32, texts: &[(String, i64)]) {
    for (text, at) in texts {
        producer
            .send(Outgoing {
                topic,
                partition: Some(partition),
                key: text,
                headers: &[],
                value: Some(text.as_bytes()),
                timestamp: Some(Instant::from_millis(*at)),
            })
            .expect("room");
    }
    producer.flush().expect("delivered");
}

/// When records begin: long past on any machine, since nothing arrives later than now.
pub const START: i64 = 1_700_000_000_000;

/// Texts `<beginning>0`, `<beginning>1`, …, a second apart.
pub fn texts(beginning: &str, count: i64) -> Vec<(String, i64)> {
    (0..count).map(|one| (format!("{beginning}{one}"), START + one * 1_000)).collect()
}

/// Gives the value back in the body that holds nothing but a text.
pub fn plain() -> Decode {
    Box::new(|record| {
        let text = record.value.map(|value| String::from_utf8_lossy(value).into_owned());
        Body::Deleted { id: text.unwrap_or_else(|| "null".into()) }.into()
    })
}

pub fn open(bootstrap: &str, topic: &str) -> KafkaSource {
    KafkaSource::open(&config(bootstrap), &[topic.to_owned()], &name("desk"), plain()).expect("a source")
}

/// A source at the first record of everything.
pub fn from_start(bootstrap: &str, topic: &str) -> KafkaSource {
    let mut source = open(bootstrap, topic);
    source.seek(&Positions::default()).expect("a position");
    source
}

/// Reads until so many records have come.
pub fn read(source: &mut KafkaSource, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let until = Moment::now() + LONG;
    while records.len() < count {
        records.extend(source.poll(count - records.len(), Span::millis(200)).expect("records"));
        assert!(Moment::now() < until, "{} of {count} records came", records.len());
    }
    records
}

/// Reads until a fault is told.
pub fn fault(source: &mut KafkaSource) -> yuqing::intake::SourceError {
    let until = Moment::now() + LONG;
    loop {
        if let Err(fault) = source.poll(100, Span::millis(200)) {
            return fault;
        }
        assert!(Moment::now() < until, "no fault was told");
    }
}

/// Waits until everything there is has been read; nothing more comes.
pub fn nothing_more(source: &mut KafkaSource) {
    let until = Moment::now() + LONG;
    while !source.at_end() {
        assert_eq!(source.poll(100, Span::millis(100)).expect("nothing"), []);
        assert!(Moment::now() < until, "the end was not reached");
    }
}

pub fn text(record: &Record) -> &str {
    match &record.body {
        Body::Deleted { id } => id,
        other => panic!("{other:?}"),
    }
}

/// Positions after these records.
pub fn after(records: &[Record]) -> Positions {
    let mut positions = Positions::default();
    for record in records {
        positions.set(&record.position.at(record.position.offset + 1));
    }
    positions
}

pub fn at(stream: &str, partition: i32, offset: u64) -> Position {
    Position { stream: stream.to_owned(), partition, offset }
}
