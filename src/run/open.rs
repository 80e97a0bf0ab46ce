//! Opens what the settings name: the store of one machine or of many, and what Kafka must have before anybody writes.

use crate::intake::kafka::{
    Decoded, KafkaConfig, KafkaRecord, KafkaSource, MentionDecoder, Outgoing, Producer, ensure_topics,
};
use crate::intake::{Body, IntakeConfig, Salts, Source, assessed};
use crate::ledger::postgres::Postgres;
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{DeadLetter, Store};
use crate::mention::{RefusalCode, Refused};
use crate::run::desk::Publish;
use crate::settings::Settings;
use crate::web::Accounts;
use anyhow::Context;
use std::sync::Arc;

/// Between two looks for a cluster or topic that is not there.
const WAIT: std::time::Duration = std::time::Duration::from_secs(1);
/// What says which form a dead letter has.
pub const DEAD_LETTER: &[(&str, &str)] = &[("yuqing-schema", "dead-letter/1")];

/// The store: PostgreSQL where `[store]` names one, else SQLite in the data folder.
pub fn store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match &settings.store {
        Some(url) => Arc::new(Postgres::open(url).context("cannot open the store on PostgreSQL")?),
        None => Arc::new(Sqlite::open(&settings.data)?),
    })
}

/// Makes the topics that this house writes, where they are missing; waits for the cluster and the topics of mentions. Gives
/// the partitions of the assessed one.
pub fn topics(config: &KafkaConfig) -> i32 {
    let mut told = String::new();
    loop {
        match ensure_topics(config) {
            Ok(found) => {
                for name in &found.made {
                    tracing::info!(topic = name, "a topic was made");
                }
                return found.partitions;
            }
            Err(error) if error.to_string() != told => {
                told = error.to_string();
                tracing::warn!(%error, "waiting for Kafka");
            }
            Err(_) => {}
        }
        std::thread::sleep(WAIT);
    }
}

/// Accounts, sessions and tokens: where the store is.
pub fn accounts(settings: &Settings) -> anyhow::Result<Accounts> {
    Ok(match &settings.store {
        Some(url) => Accounts::open_postgres(url).context("cannot open the accounts on PostgreSQL")?,
        None => Accounts::open(&settings.data)?,
    })
}

/// The stream of mentions as they come, read by the desk itself.
pub fn mentions(config: &KafkaConfig, door: IntakeConfig, salts: Salts) -> anyhow::Result<Box<dyn Source>> {
    let mut decoder = MentionDecoder::for_worker(door, salts);
    let decode = move |record: KafkaRecord<'_>| decoder.decode(record);
    Ok(Box::new(KafkaSource::open(config, &config.topics, &config.group, Box::new(decode))?))
}

/// The stream of assessed mentions; `group` is where progress is reported, `words` where they are indexed.
pub fn assessed(
    config: &KafkaConfig,
    group: &str,
    reader: Arc<crate::assess::Reader>,
    words: bool,
) -> anyhow::Result<Box<dyn Source>> {
    let decode = move |record: KafkaRecord<'_>| {
        let Some(value) = record.value else {
            let id = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
            return Body::Deleted { id }.into();
        };
        match assessed::read(value) {
            Ok(assessed::Assessed::Mention { mention, assessment, origin }) => {
                let reading = reader.resume(&mention, *assessment, words);
                Decoded { body: Body::Mention(mention), reading: Some(Box::new(reading)), origin: Some(origin) }
            }
            Ok(assessed::Assessed::Refused { refused, head, at, origin }) => {
                Decoded { body: Body::Refused { refused, head, at }, reading: None, origin: Some(origin) }
            }
            // Nobody but a worker should write here: what is none of its records is refused like any other.
            Err(detail) => Body::Refused {
                refused: Refused { line: 1, id: None, code: RefusalCode::NotJson, detail },
                head: String::new(),
                at: record.timestamp,
            }
            .into(),
        }
    };
    Ok(Box::new(KafkaSource::open_fed(config, &config.assessed, group, Box::new(decode))?))
}

/// Publishes refused records to their topic.
struct DeadLetters {
    producer: Producer,
    topic: String,
}

impl Publish for DeadLetters {
    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        for letter in letters {
            let at = &letter.position;
            let key = format!("{}/{}/{}", at.stream, at.partition, at.offset);
            let value = assessed::dead_letter(letter);
            let record = Outgoing {
                topic: &self.topic,
                partition: None,
                key: &key,
                headers: DEAD_LETTER,
                value: Some(&value),
                timestamp: Some(letter.at),
            };
            self.producer.send(record).map_err(|error| error.to_string())?;
        }
        self.producer.flush().map_err(|error| error.to_string())
    }
}

/// Where a desk that reads mentions itself publishes what it refused.
pub fn publish(config: &KafkaConfig) -> anyhow::Result<Box<dyn Publish>> {
    let producer = Producer::open(config).context("cannot write to Kafka")?;
    Ok(Box::new(DeadLetters { producer, topic: config.dead_letters.clone() }))
}
