//! `yuqing worker`: reads mentions from Kafka, says what each one says, and publishes that. In: the topics of mentions, shared with the
//! other workers of the group. Out: `yuqing.assessed`, and `yuqing.dead-letters` for what was refused.
//!
//! It keeps nothing: what it read is committed to the group only after everything it says of it was delivered, so a crash repeats, under the
//! same positions, and loses nothing. A mention's record keeps the number of its partition, so that the desk reads them in order.

use crate::intake::kafka::{ARRIVED, KafkaConfig, KafkaGroup, MentionDecoder, Outgoing, Polled, Producer};
use crate::intake::{Body, Record, Salts, assessed};
use crate::ledger::{DeadLetter, Positions};
use crate::limits;
use crate::metrics::Metrics;
use crate::run::health::{Shows, serve};
use crate::run::readers::read_all;
use crate::run::{open, say, settings, tables, until_stopped};
use crate::settings::Overrides;
use crate::time::{Instant, Span};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Longest wait for records: bounds how late a worker hears that it is to stop.
const WAIT: Span = Span::millis(200);
/// What says which form a record has.
const ASSESSED: (&str, &str) = ("yuqing-schema", "assessed/1");

struct Shown {
    metrics: Arc<Metrics>,
    reading: AtomicBool,
}

impl Shows for Shown {
    fn ready(&self) -> Result<(), String> {
        if self.reading.load(Ordering::Acquire) { Ok(()) } else { Err("joining the group".to_owned()) }
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }
}

/// Runs until asked to stop; exit code 0, or 3 where Kafka or the store failed.
pub fn run(files: &[PathBuf], overrides: &Overrides, threads: usize) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let config = settings.kafka.clone().context("a worker needs [kafka] in the settings")?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", crate::run::app::join(&faults)))?;
    let store = open::store(&settings)?;
    let salts: Salts = Arc::new(move |day| store.salt(day).ok().flatten());
    let metrics = Arc::new(Metrics::new()?);
    let shown = Arc::new(Shown { metrics: metrics.clone(), reading: AtomicBool::new(false) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let code = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let addr = serve(settings.listen, shown.clone(), stopped.clone()).await?;
        say(&json!({"type": "listening", "addr": addr.to_string()}));
        let decoder = MentionDecoder::for_worker(tables.door, salts);
        let work = Worker { config, decoder, reader: Arc::new(tables.reader), metrics, threads, outputs: 0 };
        let (ended_out, mut ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let result = work.work(&shown, &stopped);
            ended_out.send_replace(true);
            result
        })?;
        let failed = until_stopped(async move {
            // An error means that the thread is gone.
            let _ = ended.wait_for(|&ended| ended).await;
        })
        .await?;
        stop.send_replace(true);
        let result = tokio::task::spawn_blocking(move || thread.join()).await?;
        match result {
            Ok(Ok(())) => anyhow::Ok(if failed { 3 } else { 0 }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow!("the worker's thread broke off")),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

struct Worker {
    config: KafkaConfig,
    decoder: MentionDecoder,
    reader: Arc<crate::assess::Reader>,
    metrics: Arc<Metrics>,
    threads: usize,
    /// Partitions of the topic of assessed mentions.
    outputs: i32,
}

impl Worker {
    fn work(mut self, shown: &Shown, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        self.outputs = open::topics(&self.config);
        let producer = Producer::open(&self.config)?;
        let mut group = KafkaGroup::join(&self.config, &self.config.topics)?;
        tracing::info!(outputs = self.outputs, topics = ?self.config.topics, "worker joins");
        while !*stop.borrow() {
            let polled = group.poll(limits::STEP_MENTIONS, WAIT)?;
            shown.reading.store(true, Ordering::Release);
            if polled.batches.is_empty() {
                continue;
            }
            let done = self.publish(&producer, polled)?;
            // Everything said of these records is delivered; one that is handed over again is told by its position.
            if let Err(error) = group.commit(&done) {
                tracing::warn!(%error, "progress could not be committed; the next member reads these records again");
            }
        }
        Ok(())
    }

    /// Reads a round of records, publishes what they say, waits for every delivery; gives the positions after them.
    fn publish(&mut self, producer: &Producer, polled: Polled) -> anyhow::Result<Positions> {
        let mut done = Positions::default();
        let (mut records, mut times) = (Vec::new(), Vec::new());
        for batch in &polled.batches {
            done.set(&batch.next());
            for record in batch.iter() {
                let position = crate::ledger::Position {
                    stream: record.topic.to_owned(),
                    partition: record.partition,
                    offset: record.offset,
                };
                let decoded = self.decoder.decode(record);
                times.push(record.timestamp);
                records.push(Record { position, body: decoded.body, reading: None, origin: None });
            }
        }
        for ((record, reading), at) in read_all(&self.reader, records, self.threads).zip(times) {
            match (record.body, reading) {
                (Body::Mention(mention), Some(reading)) => {
                    self.metrics.mentions.with_label_values(&[&mention.platform]).inc();
                    // The order of arrival is that of collecting; a broker takes no time to come.
                    let (id, at) = (mention.id.clone(), at.min(mention.collected_at));
                    let value = assessed::assessed(*mention, reading.assessment, &record.position);
                    self.send(producer, &record.position, &id, Some(&value), at)?;
                }
                (Body::Refused { refused, head, at: when }, _) => {
                    self.metrics.dead_letters.with_label_values(&[refused.code.name()]).inc();
                    let letter = DeadLetter {
                        position: record.position,
                        line: refused.line,
                        id: refused.id,
                        code: refused.code,
                        detail: refused.detail,
                        head,
                        at: when,
                    };
                    self.refuse(producer, &letter, at)?;
                }
                (Body::Deleted { id }, _) => self.send(producer, &record.position, &id, None, at)?,
                _ => {}
            }
        }
        producer.flush()?;
        Ok(done)
    }

    fn send(
        &self,
        producer: &Producer,
        origin: &crate::ledger::Position,
        key: &str,
        value: Option<&[u8]>,
        at: Instant,
    ) -> anyhow::Result<()> {
        let partition = Some(origin.partition % self.outputs);
        let (topic, at) = (&self.config.assessed, at.millis().to_string());
        let headers = &[ASSESSED, (ARRIVED, at.as_str())];
        Ok(producer.send(Outgoing { topic, partition, key, headers, value, timestamp: None })?)
    }

    fn refuse(&self, producer: &Producer, letter: &DeadLetter, at: Instant) -> anyhow::Result<()> {
        let (origin, value) = (&letter.position, assessed::refused(letter));
        let key = format!("{}/{}/{}", origin.stream, origin.partition, origin.offset);
        self.send(producer, origin, &key, Some(&value), at)?;
        let value = assessed::dead_letter(letter);
        Ok(producer.send(Outgoing {
            topic: &self.config.dead_letters,
            partition: None,
            key: &key,
            headers: open::DEAD_LETTER,
            value: Some(&value),
            timestamp: None,
        })?)
    }
}
