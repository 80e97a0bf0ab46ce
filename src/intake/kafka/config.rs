//! The `[kafka]` table of the settings. In: the table as read. Out: every fault in words, and settings for a client that
//! keep the promises: no commit behind our back, no reset, idempotent writes. Passwords are never shown.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a password's file: more than any password has.
const PASSWORD_FILE_BYTES: u64 = 4_096;
/// Kilobytes fetched ahead for one partition: the greatest record and its neighbours, and what a second brings.
const AHEAD_KB: std::ops::RangeInclusive<u64> = 2_048..=65_536;
/// Client settings that the program decides, each because another value would break a promise or repeat a setting.
const OURS: [&str; 32] = [
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "compression.codec",
    "compression.type",
    "debug",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "enable.ssl.certificate.verification",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "metadata.broker.list",
    "offset.store.method",
    "partition.assignment.strategy",
    "plugin.library.paths",
    "request.required.acks",
    "retries",
    "session.timeout.ms",
    "transactional.id",
];
/// Beginnings of such settings.
const OURS_BEGIN: [&str; 2] = ["sasl.", "security.protocol"];

/// The `[kafka]` table.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub bootstrap: String,
    /// Consumer group: of workers the members, of the desk only the progress it reports.
    #[serde(default = "group")]
    pub group: String,
    /// Topics of mentions.
    #[serde(default = "topics")]
    pub topics: Vec<String>,
    /// Topic of assessed mentions.
    #[serde(default = "assessed")]
    pub assessed: String,
    /// Topic of notices.
    #[serde(default = "alerts")]
    pub alerts: String,
    /// Topic of orders to units.
    #[serde(default = "dispatches")]
    pub dispatches: String,
    /// Topic of refused records.
    #[serde(default = "dead_letters")]
    pub dead_letters: String,
    /// Milliseconds after which the group gives a silent worker's partitions to others.
    #[serde(default = "session_timeout_ms")]
    pub session_timeout_ms: u64,
    /// Name of this member that survives its restarts, so that a quick one moves no partition.
    pub instance: Option<String>,
    /// How the group shares partitions.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub tls: bool,
    /// Authorities to trust, PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// How we say who we are.
    pub sasl: Option<Sasl>,
    /// Milliseconds that records of other partitions wait for one that has more and does not deliver.
    #[serde(default = "grace_ms")]
    pub grace_ms: u64,
    /// Megabytes fetched ahead of the desk, all partitions together.
    #[serde(default = "ahead_mb")]
    pub ahead_mb: u64,
    /// How what is written is packed.
    #[serde(default)]
    pub compression: Compression,
    /// Settings of the client itself, as librdkafka names them.
    #[serde(default)]
    pub client: BTreeMap<String, Value>,
}

fn group() -> String {
    "yuqing".into()
}
fn topics() -> Vec<String> {
    vec!["mentions".into()]
}
fn assessed() -> String {
    "yuqing.assessed".into()
}
fn alerts() -> String {
    "yuqing.alerts".into()
}
fn dispatches() -> String {
    "yuqing.dispatches".into()
}
fn dead_letters() -> String {
    "yuqing.dead-letters".into()
}
fn session_timeout_ms() -> u64 {
    10_000
}
fn grace_ms() -> u64 {
    500
}
fn ahead_mb() -> u64 {
    128
}

/// How a group shares partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Members agree among themselves, cooperative-sticky.
    Classic,
    /// The broker decides (KIP-848, Kafka 4).
    Consumer,
    /// The broker decides where it can.
    #[default]
    Auto,
}

/// How what is written is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Small.
    #[default]
    Zstd,
    /// Quick.
    Lz4,
    /// Not at all.
    None,
}

/// How we say who we are.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// Mechanism.
    pub mechanism: Mechanism,
    /// Name.
    pub username: String,
    /// Password.
    pub password: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// Mechanisms that need nothing besides a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum Mechanism {
    /// The password itself: with TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge, SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    Scram256,
    /// Salted challenge, SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    Scram512,
}

/// A setting's value as TOML has it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Truth(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Truth(value) => value.fmt(f),
            Value::Number(value) => value.fmt(f),
            Value::Text(value) => value.fmt(f),
        }
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("protocol", &self.protocol)
            .field("tls", &self.tls)
            .field("sasl", &self.sasl)
            .field("client", &self.client.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Whether Kafka takes it for the name of a topic.
fn is_topic(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(plain) && name != "." && name != ".."
}

impl KafkaConfig {
    /// The settings of a cluster with every other one at its default.
    pub fn new(bootstrap: &str) -> KafkaConfig {
        KafkaConfig {
            bootstrap: bootstrap.to_owned(),
            group: group(),
            topics: topics(),
            assessed: assessed(),
            alerts: alerts(),
            dispatches: dispatches(),
            dead_letters: dead_letters(),
            session_timeout_ms: session_timeout_ms(),
            instance: None,
            protocol: Protocol::default(),
            tls: false,
            ca_file: None,
            sasl: None,
            grace_ms: grace_ms(),
            ahead_mb: ahead_mb(),
            compression: Compression::default(),
            client: BTreeMap::new(),
        }
    }

    /// Everything that is wrong with the table, in words.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |wrong: bool, text: &str| {
            if wrong {
                faults.push(text.to_owned());
            }
        };
        fault(self.bootstrap.trim().is_empty(), "bootstrap is empty");
        fault(self.group.is_empty(), "group is empty");
        fault(self.topics.is_empty(), "topics is empty");
        fault(self.instance.as_deref() == Some(""), "instance is empty");
        fault(!(1_000..=1_800_000).contains(&self.session_timeout_ms), "session_timeout_ms is 1000 to 1800000");
        fault(self.grace_ms > 60_000, "grace_ms is at most 60000");
        fault(!(2..=4_096).contains(&self.ahead_mb), "ahead_mb is 2 to 4096");
        fault(self.ca_file.is_some() && !self.tls, "ca_file is given, but tls is not true");
        let ours = [&self.assessed, &self.alerts, &self.dispatches, &self.dead_letters];
        for name in self.topics.iter().chain(ours).filter(|name| !is_topic(name)) {
            faults.push(format!("{name:?} is no name of a topic: letters, digits, '.', '_' and '-'"));
        }
        for name in ours.iter().filter(|name| self.topics.contains(name)) {
            faults.push(format!("{name:?} is read and written: that never ends"));
        }
        if let Some(sasl) = &self.sasl {
            match (&sasl.password, &sasl.password_file) {
                (None, None) => faults.push("sasl: password or password_file is missing".into()),
                (Some(_), Some(_)) => faults.push("sasl: password and password_file are both given".into()),
                _ => {}
            }
            if sasl.mechanism == Mechanism::Plain && !self.tls {
                faults.push("sasl: PLAIN shows the password to everybody on the way; it needs tls = true".into());
            }
        }
        for name in self.client.keys() {
            if OURS.contains(&name.as_str()) || OURS_BEGIN.iter().any(|begin| name.starts_with(begin)) {
                faults.push(format!("client: {name} is decided by the program and cannot be set"));
            }
        }
        faults
    }

    /// What every client has: where, who and how; then the client's own table.
    pub(super) fn base(&self, id: &str) -> Result<ClientConfig, String> {
        if let Some(fault) = self.faults().into_iter().next() {
            return Err(fault);
        }
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Debug);
        client.set("bootstrap.servers", &self.bootstrap).set("client.id", format!("yuqing-{id}"));
        client.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "2000");
        let protocol = match (self.tls, &self.sasl) {
            (false, None) => "plaintext",
            (true, None) => "ssl",
            (false, Some(_)) => "sasl_plaintext",
            (true, Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if self.tls {
            // The bundled TLS does not know where this system keeps its authorities: let it look.
            let ca = self.ca_file.as_ref().map_or("probe".into(), |path| path.display().to_string());
            client.set("ssl.ca.location", ca).set("ssl.endpoint.identification.algorithm", "https");
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::Scram256 => "SCRAM-SHA-256",
                Mechanism::Scram512 => "SCRAM-SHA-512",
            };
            let password = match (&sasl.password, &sasl.password_file) {
                (Some(password), _) => password.clone(),
                (None, Some(path)) => read_password(path)?,
                (None, None) => return Err("sasl: password is missing".into()),
            };
            client.set("sasl.mechanism", mechanism).set("sasl.username", &sasl.username);
            client.set("sasl.password", password);
        }
        for (name, value) in &self.client {
            client.set(name, value.to_string());
        }
        Ok(client)
    }

    /// What every reader has.
    pub(super) fn reader(&self, id: &str, partitions: usize) -> Result<ClientConfig, String> {
        let ahead = self.ahead_mb * 1_024 / partitions.max(1) as u64;
        let mut client = ClientConfig::new();
        client.set("queued.max.messages.kbytes", ahead.clamp(*AHEAD_KB.start(), *AHEAD_KB.end()).to_string());
        client.set("queued.min.messages", "20000").set("fetch.wait.max.ms", "100").set("fetch.error.backoff.ms", "100");
        // One that was full is fetched again at once: by default it rests a second, longer than the others wait for it.
        client.set("fetch.queue.backoff.ms", "10");
        client.set("fetch.message.max.bytes", "2097152").set("topic.metadata.refresh.interval.ms", "10000");
        for (name, value) in self.base(id)?.config_map() {
            client.set(name, value);
        }
        client.set_log_level(RDKafkaLogLevel::Debug);
        client.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "error").set("isolation.level", "read_committed").set("check.crcs", "true");
        client.set("allow.auto.create.topics", "false").set("enable.partition.eof", "true");
        Ok(client)
    }

    /// A member of the group, with one of the two protocols.
    pub(super) fn member(&self, protocol: Protocol) -> Result<ClientConfig, String> {
        let mut client = self.reader("worker", 1)?;
        client.set("group.id", &self.group);
        if let Some(instance) = &self.instance {
            client.set("group.instance.id", instance);
        }
        if protocol == Protocol::Classic {
            client.set("partition.assignment.strategy", "cooperative-sticky");
            client.set("session.timeout.ms", self.session_timeout_ms.to_string());
            let beat = (self.session_timeout_ms / 3).min(3_000);
            client.set("heartbeat.interval.ms", beat.to_string());
        } else {
            client.set("group.protocol", "consumer");
        }
        Ok(client)
    }

    /// A writer.
    pub(super) fn writer(&self) -> Result<ClientConfig, String> {
        let packed = match self.compression {
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
            Compression::None => "none",
        };
        let mut client = ClientConfig::new();
        client.set("linger.ms", "5").set("queue.buffering.max.kbytes", "65536");
        client.set("queue.buffering.max.messages", "100000").set("message.timeout.ms", "120000");
        client.set("message.max.bytes", "2097152");
        for (name, value) in self.base("writer")?.config_map() {
            client.set(name, value);
        }
        client.set_log_level(RDKafkaLogLevel::Info);
        client.set("enable.idempotence", "true").set("acks", "all").set("compression.codec", packed);
        client.set("allow.auto.create.topics", "false");
        Ok(client)
    }
}

fn read_password(path: &Path) -> Result<String, String> {
    let told = |why: String| format!("sasl: password_file {}: {why}", path.display());
    let size = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
    if size > PASSWORD_FILE_BYTES {
        return Err(told("too long for a password".to_owned()));
    }
    std::fs::read_to_string(path).map(|text| text.trim_end().to_owned()).map_err(|error| told(error.to_string()))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
