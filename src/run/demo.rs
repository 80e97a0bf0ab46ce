//! `yuqing demo`: a written day in Nanchang played through the real HTTP door on a virtual clock, then the console.
//!
//! Time is the stream's (see `desk.rs`), so the table is the same bytes at every speed and every time.

use crate::clock::Clock;
use crate::duty::event::Entry;
use crate::rule::{Finding, FindingKind};
use crate::run::app::App;
use crate::run::backtest::{finding_of, line, sentence};
use crate::run::day::{Day, Planted};
use crate::run::replay::{Sender, Speed, speed};
use crate::run::{say, settings};
use crate::settings::Overrides;
use crate::time::Span;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Options of `yuqing demo`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  yuqing demo\n  yuqing demo --speed max --exit --json")]
pub struct Options {
    /// `max`, or times the speed of the day
    #[arg(long, default_value = "240x", value_parser = speed)]
    pub speed: Speed,
    /// Ends after the table instead of serving the console
    #[arg(long)]
    pub exit: bool,
    /// Background mentions of the day
    #[arg(long, default_value_t = 20_000)]
    pub mentions: usize,
    /// Seed of the day
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Writes the day as a file of mentions instead of playing it: for replay into Kafka or another house
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// The day as JSON lines, each with the time at which it is collected.
fn write(path: &std::path::Path, options: &Options) -> anyhow::Result<u8> {
    use std::io::Write as _;
    let day = Day::write(options.seed, options.mentions);
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for post in &day.posts {
        let mut record: serde_json::Value = serde_json::from_str(&post.json)?;
        record["collected_at"] = post.at.to_string().into();
        writeln!(out, "{record}")?;
    }
    out.flush()?;
    eprintln!("{} mentions written to {}", day.posts.len(), path.display());
    Ok(0)
}

/// Virtual time of one body: under the door's tolerance for the future, so the clock may follow the body.
const WINDOW: Span = Span::minutes(2);

#[derive(Default)]
struct Seen {
    /// First finding of each incident, in order.
    raised: Vec<(String, Finding)>,
    /// All mentions that carried each incident.
    carried: BTreeMap<String, BTreeSet<String>>,
    level: BTreeMap<String, crate::assess::Level>,
}

/// Exit code 0.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    if let Some(path) = &options.write {
        return write(path, options);
    }
    let temporary = std::env::temp_dir().join(format!("yuqing-demo-{}", std::process::id()));
    let data = overrides.data.clone().unwrap_or_else(|| temporary.clone());
    let listen = overrides.listen.clone().or_else(|| options.exit.then(|| "127.0.0.1:0".to_owned()));
    let overrides = Overrides { data: Some(data), listen, open_intake: true };
    let settings = settings(files, &overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(play(settings, options, json));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    if overrides.data.as_ref() == Some(&temporary) {
        // Nothing but the demo's own day was in it.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    result.map(|()| 0)
}

async fn play(settings: crate::settings::Settings, options: &Options, json: bool) -> anyhow::Result<()> {
    let day = Day::write(options.seed, options.mentions);
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(day.posts.len() as u64) };
    bar.set_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let seen = Arc::new(Mutex::new(Seen::default()));
    let clock = Clock::at(day.start);
    let (watcher, told) = (seen.clone(), bar.clone());
    let observer = move |entry: &Entry| {
        let Some((incident, finding)) = finding_of(&entry.event) else { return };
        if json {
            say(&line(incident, finding));
        } else {
            told.suspend(|| println!("{}", sentence(incident, finding)));
        }
        if let Ok(mut seen) = watcher.lock() {
            seen.note(incident, finding);
        }
    };
    let mut app = App::start(settings, clock.clone(), Box::new(observer)).await?;
    if !json {
        println!("控制台 http://{}/", app.addr);
        if let Some(bootstrap) = &app.bootstrap {
            println!("账号 {}  口令 {}（只说一次）", bootstrap.user, bootstrap.password);
        }
    }
    let mut sender = Sender::new(format!("http://{}", app.addr), None)?;
    let started = std::time::Instant::now();
    let end = day.start + Span::days(1);
    let (mut from, mut at) = (0, day.start);
    while at < end {
        at = at + WINDOW;
        let to = from + day.posts[from..].partition_point(|post| post.at <= at);
        let mut body: Vec<u8> = Vec::new();
        for post in &day.posts[from..to] {
            body.extend_from_slice(post.json.as_bytes());
            body.push(b'\n');
        }
        sender.post(&mut body).await?;
        clock.advance(at);
        bar.set_message(at.hour_minute());
        bar.set_position(to as u64);
        from = to;
        if let Speed::Times(times) = options.speed {
            let due = std::time::Duration::from_secs_f64((at - day.start).as_seconds() / times);
            if let Some(wait) = due.checked_sub(started.elapsed()) {
                tokio::time::sleep(wait).await;
            }
        }
    }
    app.settled(app.intake.end(), end).await;
    bar.finish_and_clear();
    if let Ok(seen) = seen.lock() {
        table(&day, &seen, sender.totals.0, json);
    }
    if !options.exit {
        eprintln!("the console stays at http://{}/ until Ctrl-C", app.addr);
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    app.stop().await;
    Ok(())
}

impl Seen {
    fn note(&mut self, incident: &str, finding: &Finding) {
        if !self.carried.contains_key(incident) {
            self.raised.push((incident.to_owned(), finding.clone()));
        }
        self.carried.entry(incident.to_owned()).or_default().extend(finding.mentions.iter().cloned());
        let level = self.level.entry(incident.to_owned()).or_default();
        *level = (*level).max(finding.level);
    }

    /// The first incident that a planted event's mentions carried.
    fn of(&self, planted: &Planted) -> Option<&(String, Finding)> {
        self.raised.iter().find(|(incident, finding)| {
            finding.kind != FindingKind::Clarify
                && self.carried.get(incident).is_some_and(|ids| planted.ids.iter().any(|id| ids.contains(id)))
        })
    }
}

/// One row for each planted event, then the sum.
fn table(day: &Day, seen: &Seen, mentions: u64, json: bool) {
    let known: BTreeSet<&str> = day.planted.iter().flat_map(|planted| planted.ids.iter().map(String::as_str)).collect();
    let false_alarms = seen.raised.iter().filter(|(incident, finding)| {
        finding.kind != FindingKind::Clarify
            && seen.carried.get(incident).is_none_or(|ids| !ids.iter().any(|id| known.contains(id.as_str())))
    });
    let false_alarms: Vec<_> = false_alarms.collect();
    let mut as_expected = 0;
    if !json {
        println!("{:<6} {:<6} {:<6} {:>6} {:>6}  事件", "场景", "应为", "实为", "提及", "分钟");
    }
    for planted in &day.planted {
        let found = seen.of(planted);
        let level = found.and_then(|(incident, _)| seen.level.get(incident).copied());
        let good = planted.expected == level;
        as_expected += usize::from(good);
        let count = found.map(|(_, finding)| finding.mentions.len());
        let minutes =
            found.map(|(_, finding)| ((finding.at - finding.first_mention).as_minutes() * 10.0).round() / 10.0);
        if json {
            say(
                &json!({"type": "planted", "scenario": planted.scenario, "expected": planted.expected, "raised": found.is_some(), "level": level,
                "mentions": count, "minutes": minutes}),
            );
        } else {
            let word =
                |level: Option<crate::assess::Level>| level.map_or("不叫".to_owned(), |level| format!("{level:?}"));
            let mark = if good { ' ' } else { '!' };
            let (count, minutes) =
                (count.map_or(String::new(), |n| n.to_string()), minutes.map_or(String::new(), |n| n.to_string()));
            println!(
                "{mark}{:<7} {:<6} {:<6} {:>6} {:>6}  {}",
                planted.scenario,
                word(planted.expected),
                word(level),
                count,
                minutes,
                planted.what
            );
        }
    }
    if json {
        say(
            &json!({"type": "summary", "mentions": mentions, "planted": day.planted.len(), "as_expected": as_expected, "false_alarms": false_alarms.len()}),
        );
    } else {
        println!(
            "{mentions} 条提及，{} 件埋设，{as_expected} 件如预期，{} 件误报",
            day.planted.len(),
            false_alarms.len()
        );
        for (incident, finding) in false_alarms {
            println!("  误报 {incident} {:?} {} {}", finding.level, finding.title, finding.reason);
        }
    }
}
