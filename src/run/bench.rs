//! `yuqing bench`: the whole path on generated mentions with a fixed seed: parse, mask, durable log, read, fold, heat, index, store.
//!
//! The stages run as they do in the desk; each stage's time is taken around it on the thread that runs it. `index` and `total` also
//! hold the work of tantivy's own threads, taken from the process's CPU time.

use crate::clock::Clock;
use crate::index::Writer;
use crate::intake::{Answer, Body, Intake, Source};
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Position, Positions, Step, Store};
use crate::limits;
use crate::rule::watch::Watch;
use crate::run::backtest::peak_rss;
use crate::run::day::Day;
use crate::run::desk::read_all;
use crate::run::{app, say, settings, tables};
use crate::settings::Overrides;
use crate::time::Span;
use anyhow::{anyhow, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant as Stopwatch;

/// Options of `yuqing bench`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  yuqing bench\n  yuqing bench --mentions 1000000 --threads 2 --json")]
pub struct Options {
    /// Mentions
    #[arg(long, default_value_t = 200_000)]
    pub mentions: usize,
    /// Threads that read texts
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
}

/// Mentions generated at once: bounds the bench's own memory.
const PART: usize = 20_000;
/// Lines in one body.
const LINES: usize = 500;
/// Mentions between two commits of the index, about a second at the marked rate.
const COMMIT: u64 = 50_000;

/// Exit code 0.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    let folder = std::env::temp_dir().join(format!("yuqing-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder, tables, settings.index_memory, options);
    // Only the bench's own files are in it.
    let _ = std::fs::remove_dir_all(&folder);
    let line = result?;
    if json {
        say(&line);
    } else {
        println!("{}", serde_json::to_string_pretty(&line)?);
    }
    Ok(0)
}

fn measure(
    folder: &Path,
    tables: tables::Tables,
    memory: usize,
    options: &Options,
) -> anyhow::Result<serde_json::Value> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder)?);
    let salts = store.clone();
    let first = Day::write(1, 1).start;
    let clock = Clock::at(first + Span::days(1));
    let (intake, _) = Intake::open(
        &folder.join("intake"),
        tables.door,
        Arc::new(move |day| salts.salt(day).ok().flatten()),
        clock.clone(),
    )?;
    let mut source = intake.source()?;
    let mut index = Writer::open(&folder.join("index"), memory)?;
    let mut watch = Watch::new(tables.rules);
    let home = Position { stream: "intake".to_owned(), partition: 0, offset: 0 };
    source.seek(&Positions::from(vec![home.clone()]))?;
    let (mut wall, mut cpu) = (0.0, 0.0);
    let mut stage = [0.0f64; 5];
    let (mut done, mut next, mut committed, mut part) = (0usize, 0u64, 0u64, 0u64);
    let mut sample: Vec<String> = Vec::new();
    while done < options.mentions {
        let bodies = generate(part, PART.min(options.mentions - done), &mut sample);
        part += 1;
        let (started, before) = (Stopwatch::now(), cpu_seconds());
        for body in &bodies {
            match lap(&mut stage[0], || intake.offer(false, None, body, clock.now())) {
                Answer::Taken(taken) => done += taken.accepted as usize,
                other => bail!("the door answered {other:?}"),
            }
        }
        loop {
            let records = source.poll(limits::STEP_MENTIONS, Span::millis(0))?;
            if records.is_empty() {
                break;
            }
            let readings = lap(&mut stage[1], || read_all(&tables.reader, &records, options.threads));
            let from = next;
            for (record, reading) in records.into_iter().zip(readings) {
                next = record.position.offset + 1;
                let (Body::Mention(mention), Some(reading)) = (record.body, reading) else { continue };
                let taken = lap(&mut stage[2], || watch.take(&mention, &reading));
                lap(&mut stage[3], || index.add(&record.position, &mention, &reading, taken.topic))?;
            }
            let positions = vec![(home.at(from), home.at(next))];
            lap(&mut stage[4], || store.commit(Step { positions, ..Step::default() }))?;
            if next - committed >= COMMIT {
                lap(&mut stage[3], || index.commit(&Positions::from(vec![home.at(next)])))?;
                committed = next;
            }
        }
        if done >= options.mentions {
            lap(&mut stage[3], || index.commit(&Positions::from(vec![home.at(next)])))?;
        }
        wall += started.elapsed().as_secs_f64();
        cpu += cpu_seconds() - before;
    }
    let each = |seconds: f64| (seconds * 1e6 / done as f64 * 100.0).round() / 100.0;
    let started = Stopwatch::now();
    let cut: usize = sample.iter().map(|text| crate::text::segment_line(text).len()).sum();
    let segment_only = sample.len() as f64 / started.elapsed().as_secs_f64();
    let bytes = size(folder);
    Ok(
        json!({"type": "bench", "mentions": done, "threads": options.threads, "seconds": wall, "mentions_per_s": done as f64 / wall,
        "cpu_us_per_mention": {"total": each(cpu), "parse": each(stage[0]), "text": each(stage[1]), "fold": each(stage[2]), "index": each(stage[3]), "store": each(stage[4])},
        "peak_rss_bytes": peak_rss(), "bytes_per_mention_on_disk": bytes as f64 / done as f64, "segment_only_per_s": segment_only, "sample_words": cut}),
    )
}

/// Bodies of the day's background with ids of their own for each part.
fn generate(part: u64, mentions: usize, sample: &mut Vec<String>) -> Vec<Vec<u8>> {
    let day = Day::write(part + 1, mentions);
    let mut bodies = Vec::new();
    for posts in day.posts[..mentions.min(day.posts.len())].chunks(LINES) {
        let mut body = Vec::new();
        for post in posts {
            let Ok(mut record) = serde_json::from_str::<serde_json::Value>(&post.json) else { continue };
            record["id"] = format!("{}-{part}", record["id"].as_str().unwrap_or_default()).into();
            if sample.len() < 20_000 {
                sample.extend(record["text"].as_str().map(str::to_owned));
            }
            body.extend_from_slice(record.to_string().as_bytes());
            body.push(b'\n');
        }
        bodies.push(body);
    }
    bodies
}

fn lap<T>(stage: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Stopwatch::now();
    let done = work();
    *stage += started.elapsed().as_secs_f64();
    done
}

/// CPU seconds of this process, all threads; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |meta| if meta.is_dir() { size(&entry.path()) } else { meta.len() }))
        .sum()
}
