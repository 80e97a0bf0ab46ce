//! `yuqing bench`: the whole path on generated mentions with a fixed seed: parse, mask, durable log, read, fold, heat, index, store.
//!
//! As in `yuqing run`, the door is a thread of its own that keeps a little ahead of the desk, and texts are read on further
//! threads. Mentions are generated ahead, in parts, while the clock stands still.

mod spent;

use crate::assess::Reader;
use crate::clock::Clock;
use crate::index::Writer;
use crate::intake::{Answer, Body, Intake, LogSource, Record, Source};
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Position, Positions, Step, Store};
use crate::limits;
use crate::rule::watch::Watch;
use crate::run::backtest::peak_rss;
use crate::run::day::Day;
use crate::run::readers::{self, read_all};
use crate::run::{app, say, settings, tables};
use crate::settings::Overrides;
use crate::time::Span;
use anyhow::{anyhow, bail};
use serde_json::json;
use spent::{Spent, Stage, lap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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

/// Mentions of one generated day.
const DAY: usize = 20_000;
/// Days generated at once: bounds the bench's own memory.
const DAYS: usize = 5;
/// Lines in one body.
const LINES: usize = 500;
/// Records that the door is ahead of the desk at most: with more it would be done with a part long before the desk, and
/// the two would run one after the other.
const AHEAD: u64 = 4_000;
/// Mentions between two commits of the index, about a second at the marked rate.
const COMMIT: u64 = 50_000;
/// Mentions that one look at the thread's own time covers.
const LOOK: usize = 256;
/// Texts that are also parted by jieba alone.
const SAMPLE: usize = 20_000;

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
    let clock = Clock::at(Day::write(1, 1).start + Span::days(1));
    let (intake, _) = Intake::open(
        &folder.join("intake"),
        tables.door,
        Arc::new(move |day| salts.salt(day).ok().flatten()),
        clock.clone(),
    )?;
    let home = Position { stream: "intake".to_owned(), partition: 0, offset: 0 };
    let mut source = intake.source()?;
    source.seek(&Positions::from(vec![home.clone()]))?;
    let mut path = Line {
        reader: Arc::new(tables.reader),
        threads: options.threads,
        source,
        watch: Watch::new(tables.rules),
        index: Writer::open(&folder.join("index"), memory)?,
        store,
        home,
        next: 0,
        committed: 0,
        spent: Spent::default(),
    };
    let (mut done, mut day, mut seconds) = (0usize, 0u64, 0.0);
    let mut sample: Vec<String> = Vec::new();
    while done < options.mentions {
        let mut bodies = Vec::new();
        let mut left = options.mentions - done;
        for _ in 0..DAYS {
            bodies.extend(generate(day, DAY.min(left), &mut sample));
            left -= DAY.min(left);
            day += 1;
        }
        path.spent.start();
        let started = Stopwatch::now();
        done += path.take(&intake, &bodies, &clock, left == 0)?;
        seconds += started.elapsed().as_secs_f64();
        path.spent.stop();
    }
    let (segment_only, words) = segment_only(&sample);
    let bytes = size(folder);
    Ok(
        json!({"type": "bench", "mentions": done, "threads": options.threads, "seconds": seconds, "mentions_per_s": done as f64 / seconds,
        "cpu_us_per_mention": path.spent.each(done), "peak_rss_bytes": peak_rss(), "bytes_per_mention_on_disk": bytes as f64 / done as f64,
        "segment_only_per_s": segment_only, "sample_words": words}),
    )
}

/// The desk's side of the path.
struct Line {
    reader: Arc<Reader>,
    threads: usize,
    source: LogSource,
    watch: Watch,
    index: Writer,
    store: Arc<dyn Store>,
    home: Position,
    next: u64,
    committed: u64,
    spent: Spent,
}

impl Line {
    /// Takes bodies in at the door and, behind it, through everything else; gives how many mentions were taken.
    fn take(&mut self, intake: &Intake, bodies: &[Vec<u8>], clock: &Clock, last: bool) -> anyhow::Result<usize> {
        let (tell, told) = channel();
        let behind = self.next;
        let (taken, door) = std::thread::scope(|scope| {
            let door = scope.spawn(move || (offer(intake, bodies, clock, &told, behind), spent::thread()));
            let mut desk = || -> anyhow::Result<()> {
                loop {
                    // Looked at before the poll: whatever was taken before the door ended is seen.
                    let over = door.is_finished();
                    let source = &mut self.source;
                    let records =
                        self.spent.cpu(Stage::Store, || source.poll(limits::STEP_MENTIONS, Span::millis(5)))?;
                    if records.is_empty() && over {
                        return Ok(());
                    }
                    self.step(records)?;
                    // The door listens until it has offered everything.
                    let _ = tell.send(self.next);
                }
            };
            let result = desk();
            drop(tell);
            let door = door.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.map(|()| door)
        })?;
        if last {
            self.commit()?;
        }
        self.spent.add(Stage::Parse, door);
        taken
    }

    /// What the desk does with a batch.
    fn step(&mut self, records: Vec<Record>) -> anyhow::Result<()> {
        let from = self.next;
        self.next += records.len() as u64;
        let (reader, threads) = (&self.reader, self.threads);
        let mut read = self.spent.two([Stage::Text, Stage::Assess], || {
            let before = readers::spent();
            let read = read_all(reader, records, threads);
            let now = readers::spent();
            // On further threads hardly anything has happened yet, and those keep accounts of their own.
            (read, [0, 1].map(|at: usize| (now[at] - before[at]) as f64))
        });
        loop {
            let (watch, index) = (&mut self.watch, &mut self.index);
            let (taken, seen) = self.spent.two([Stage::Fold, Stage::Heat], || {
                let (mut fold, mut heat) = (0.0, 0.0);
                let (mut taken, mut seen) = (Vec::with_capacity(LOOK), 0);
                for (record, reading) in read.by_ref().take(LOOK) {
                    seen += 1;
                    let (Body::Mention(mention), Some(reading)) = (record.body, reading) else { continue };
                    if reading.assessment.person_in_danger {
                        lap(&mut heat, || watch.take(&mention, &reading));
                        continue;
                    }
                    let folded = lap(&mut fold, || watch.fold(&mention, &reading));
                    let topic = lap(&mut heat, || watch.judge(&mention, &reading, folded)).topic;
                    taken.push((record.position, mention, reading, topic));
                }
                ((taken, seen), [fold, heat])
            });
            if seen == 0 {
                break;
            }
            for (at, mention, reading, topic) in taken {
                index.add(&at, &mention, &reading, topic)?;
            }
        }
        if from != self.next {
            let step = Step { positions: vec![(self.home.at(from), self.home.at(self.next))], ..Step::default() };
            let store = &self.store;
            self.spent.cpu(Stage::Store, || store.commit(step))?;
        }
        if self.next - self.committed >= COMMIT {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        self.index.commit(&Positions::from(vec![self.home.at(self.next)]))?;
        self.committed = self.next;
        Ok(())
    }
}

/// The door's side: offers bodies, never further ahead of the desk than [`AHEAD`].
fn offer(
    intake: &Intake,
    bodies: &[Vec<u8>],
    clock: &Clock,
    told: &Receiver<u64>,
    mut desk: u64,
) -> anyhow::Result<usize> {
    let (mut offered, mut done) = (desk, 0);
    for body in bodies {
        while offered > desk + AHEAD {
            desk = told.recv().map_err(|_| anyhow!("the desk ended early"))?;
        }
        match intake.offer(false, None, body, clock.now()) {
            Answer::Taken(taken) => {
                done += taken.accepted as usize;
                offered += taken.accepted + taken.refused_total;
            }
            other => bail!("the door answered {other:?}"),
        }
    }
    Ok(done)
}

/// Texts a second that jieba alone parts on one thread, and the words.
fn segment_only(sample: &[String]) -> (f64, usize) {
    // The first call reads the dictionary.
    crate::text::segment_line("");
    let started = Stopwatch::now();
    let words: usize = sample.iter().map(|text| crate::text::segment_line(text).len()).sum();
    (sample.len() as f64 / started.elapsed().as_secs_f64(), words)
}

/// Bodies of the day's background with ids of their own for each day.
fn generate(day: u64, mentions: usize, sample: &mut Vec<String>) -> Vec<Vec<u8>> {
    let written = Day::write(day + 1, mentions);
    let mut bodies = Vec::new();
    for posts in written.posts[..mentions.min(written.posts.len())].chunks(LINES) {
        let mut body = Vec::new();
        for post in posts {
            let Ok(mut record) = serde_json::from_str::<serde_json::Value>(&post.json) else { continue };
            record["id"] = format!("{}-{day}", record["id"].as_str().unwrap_or_default()).into();
            if sample.len() < SAMPLE {
                sample.extend(record["text"].as_str().map(str::to_owned));
            }
            body.extend_from_slice(record.to_string().as_bytes());
            body.push(b'\n');
        }
        bodies.push(body);
    }
    bodies
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |meta| if meta.is_dir() { size(&entry.path()) } else { meta.len() }))
        .sum()
}
