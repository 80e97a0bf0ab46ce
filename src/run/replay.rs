//! `yuqing replay FILE`: feeds a file of mentions into a running process, over HTTP, through its watched folder, or through Kafka.

use crate::intake::kafka::{KafkaConfig, Outgoing, Producer};
use crate::run::{lines, say, settings, size};
use crate::settings::Overrides;
use crate::time::Instant;
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of `yuqing replay`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  yuqing replay day.jsonl --to http --speed max --token TOKEN\n  yuqing replay day.jsonl.zst --to folder\n  yuqing replay day.jsonl --to kafka --speed 60x --settings pipelines/kafka.toml"
)]
pub struct Options {
    /// File of mentions (.jsonl, .zst, .gz), or `-`
    pub file: PathBuf,
    /// http: the running process at --listen; folder: its watched folder; kafka: the first topic in the settings
    #[arg(long, default_value = "http")]
    pub to: To,
    /// `max`, or times the speed at which the mentions were written: `60x`
    #[arg(long, default_value = "max", value_parser = speed)]
    pub speed: Speed,
    /// Token with the role intake
    #[arg(long, env = "YUQING_TOKEN", hide_env_values = true, allow_hyphen_values = true)]
    pub token: Option<String>,
    /// Records in one body
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub batch: u32,
}

/// Where to.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// `POST /api/v1/mentions`.
    Http,
    /// A file in the watched folder.
    Folder,
    /// The first topic of mentions of `[kafka]`.
    Kafka,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as it goes.
    Max,
    /// Times the speed of the records' own times.
    Times(f64),
}

/// Reads `max` or `60x`.
pub fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times =
        text.strip_suffix('x').unwrap_or(text).parse::<f64>().ok().filter(|times| *times > 0.0 && times.is_finite());
    times.map(Speed::Times).ok_or_else(|| format!("`{text}` is no speed; write max or 60x"))
}

/// Exit code 0.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let bar = bar(size(&options.file));
    let totals = match options.to {
        To::Folder => into_folder(&options.file, &settings.inbox)?,
        To::Kafka => {
            let config = settings.kafka.as_ref().context("--to kafka needs [kafka] in the settings")?;
            into_kafka(config, options, &mut |bytes| bar.set_position(bytes))?
        }
        To::Http => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let mut sender = Sender::new(format!("http://{}", settings.listen), options.token.clone())?;
            let mut pace = Pace { speed: options.speed, first: None, started: std::time::Instant::now() };
            let mut batch: Vec<u8> = Vec::new();
            let mut held = 0;
            lines(&options.file, &mut |bytes| bar.set_position(bytes), &mut |_, line| {
                // What is wrong with a line is the door's to say: it is sent as it stands, unless it is too long to hold.
                let Ok(line) = line else { return Ok(()) };
                if let Some(wait) = pace.wait(line) {
                    runtime.block_on(sender.post(&mut batch))?;
                    held = 0;
                    std::thread::sleep(wait);
                }
                batch.extend_from_slice(line);
                batch.push(b'\n');
                held += 1;
                if held >= options.batch || batch.len() > 8 << 20 {
                    runtime.block_on(sender.post(&mut batch))?;
                    held = 0;
                }
                Ok(())
            })?;
            runtime.block_on(sender.post(&mut batch))?;
            sender.totals
        }
    };
    bar.finish_and_clear();
    if options.to == To::Folder {
        // What becomes of its records is the running process's to say.
        eprintln!("laid into {}", settings.inbox.display());
    } else if options.to == To::Kafka {
        eprintln!("{} records delivered", totals.0);
    } else if json {
        say(&json!({"type": "summary", "accepted": totals.0, "duplicates": totals.1, "refused": totals.2}));
    } else {
        println!("{} accepted, {} known before, {} refused", totals.0, totals.1, totals.2);
    }
    Ok(0)
}

/// A bar over bytes, on standard error.
pub fn bar(bytes: u64) -> ProgressBar {
    let bar = if bytes == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(bytes) };
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn into_folder(file: &Path, inbox: &Path) -> anyhow::Result<(u64, u64, u64)> {
    std::fs::create_dir_all(inbox)?;
    let name = file.file_name().and_then(|name| name.to_str()).context("the file has no name")?;
    let part = inbox.join(format!(".{name}.part"));
    std::fs::copy(file, &part).with_context(|| format!("cannot copy {}", file.display()))?;
    std::fs::rename(&part, inbox.join(name))?;
    Ok((0, 0, 0))
}

/// Every line becomes a record under its id; what is wrong with it is the reader's to say. Gives how many were delivered.
fn into_kafka(
    config: &KafkaConfig,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<(u64, u64, u64)> {
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: std::borrow::Cow<'a, str>,
    }
    let producer = Producer::open(config)?;
    let topic = config.topics.first().context("[kafka] names no topic")?;
    let mut pace = Pace { speed: options.speed, first: None, started: std::time::Instant::now() };
    lines(&options.file, progress, &mut |_, line| {
        let Ok(line) = line else { return Ok(()) };
        if let Some(wait) = pace.wait(line) {
            producer.flush()?;
            std::thread::sleep(wait);
        }
        let key = serde_json::from_slice::<Named<'_>>(line).map(|named| named.id).unwrap_or_default();
        Ok(producer.send(Outgoing {
            topic,
            partition: None,
            key: &key,
            headers: &[],
            value: Some(line),
            timestamp: None,
        })?)
    })?;
    producer.flush()?;
    Ok((producer.delivered(), 0, 0))
}

struct Pace {
    speed: Speed,
    first: Option<Instant>,
    started: std::time::Instant,
}

impl Pace {
    /// How long to wait before this record, where it is not yet its time.
    fn wait(&mut self, line: &[u8]) -> Option<Duration> {
        let Speed::Times(times) = self.speed else { return None };
        #[derive(serde::Deserialize)]
        struct When {
            created_at: Instant,
        }
        let at = serde_json::from_slice::<When>(line).ok()?.created_at;
        let first = *self.first.get_or_insert(at);
        let due = Duration::from_secs_f64(((at - first).as_seconds() / times).clamp(0.0, 1e7));
        due.checked_sub(self.started.elapsed()).filter(|wait| wait.as_millis() > 5)
    }
}

/// Posts bodies, waiting when the door is busy.
pub struct Sender {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
    /// Accepted, known before, refused.
    pub totals: (u64, u64, u64),
}

impl Sender {
    /// A sender to a running process.
    pub fn new(base: String, token: Option<String>) -> anyhow::Result<Sender> {
        install_tls();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Sender { client, url: format!("{base}/api/v1/mentions"), token, totals: (0, 0, 0) })
    }

    /// Posts and empties `batch`; an answer of 429 is waited for.
    pub async fn post(&mut self, batch: &mut Vec<u8>) -> anyhow::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(batch);
        loop {
            let mut request =
                self.client.post(&self.url).header("content-type", "application/x-ndjson").body(body.clone());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            let answer =
                request.send().await.with_context(|| format!("cannot reach {}; is `yuqing run` up?", self.url))?;
            let status = answer.status().as_u16();
            if status == 429 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let text = answer.text().await?;
            if status != 200 {
                bail!("the door answered {status}: {text}");
            }
            let taken: crate::intake::Taken = serde_json::from_str(&text)?;
            self.totals.0 += taken.accepted;
            self.totals.1 += taken.duplicates;
            self.totals.2 += taken.refused_total;
            return Ok(());
        }
    }
}

/// The one implementation of TLS of this process; a second call changes nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
