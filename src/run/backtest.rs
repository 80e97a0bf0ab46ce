//! `yuqing backtest FILE…`: topics and rules over history, on event time, without look-ahead or side effects.

use crate::duty::event::Event;
use crate::intake::{Body, Record};
use crate::ledger::Position;
use crate::limits;
use crate::mention::Mention;
use crate::rule::watch::Watch;
use crate::rule::{Finding, FindingKind};
use crate::run::assess::record;
use crate::run::readers::read_all;
use crate::run::replay::bar;
use crate::run::{app, lines, say, say_refused, settings, size, tables};
use crate::settings::{Overrides, read_dictionaries};
use crate::time::Instant;
use crate::topic::TopicId;
use anyhow::anyhow;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of `yuqing backtest`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  yuqing backtest listings.jsonl.zst\n  yuqing backtest --json --topics topics.csv messages.jsonl\n  yuqing backtest --dictionaries changed/ history.jsonl"
)]
pub struct Options {
    /// Another folder of dictionaries
    #[arg(long, value_name = "DIR")]
    pub dictionaries: Option<PathBuf>,
    /// Writes `id,topic` for every mention that is in a topic at the end
    #[arg(long, value_name = "CSV")]
    pub topics: Option<PathBuf>,
    /// Lifts the place condition (for measuring)
    #[arg(long)]
    pub any_place: bool,
    /// Raises on heat alone (for measuring)
    #[arg(long)]
    pub heat_only: bool,
    /// Files of mentions (.jsonl, .zst, .gz), or `-`, in time order
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

struct Run {
    watch: Watch,
    json: bool,
    topics: Option<BTreeMap<String, TopicId>>,
    incidents: BTreeMap<TopicId, String>,
    raised: u64,
    first: Option<Instant>,
    last: Instant,
}

/// Exit code 0.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let mut settings = settings(files, overrides)?;
    if let Some(folder) = &options.dictionaries {
        settings.sources = read_dictionaries(folder, true).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    }
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    let mut rules = tables.rules;
    rules.any_place = options.any_place;
    rules.heat_only = options.heat_only;
    let reader = Arc::new(tables.reader);
    let started = std::time::Instant::now();
    let topics = options.topics.is_some().then(BTreeMap::new);
    let mut run = Run {
        watch: Watch::new(rules),
        json,
        topics,
        incidents: BTreeMap::new(),
        raised: 0,
        first: None,
        last: Instant::default(),
    };
    let (mut records, mut refused) = (0u64, 0u64);
    for path in &options.files {
        let bar = bar(size(path));
        let mut batch: Vec<Record> = Vec::with_capacity(limits::STEP_MENTIONS);
        lines(path, &mut |bytes| bar.set_position(bytes), &mut |number, line| {
            match record(&tables.door, number, line) {
                Ok(mention) => {
                    let position = Position { stream: String::new(), partition: 0, offset: records };
                    batch.push(Record {
                        position,
                        body: Body::Mention(Box::new(mention)),
                        reading: None,
                        origin: None,
                    });
                    records += 1;
                }
                Err(one) => {
                    refused += 1;
                    if json {
                        say_refused(&one)
                    } else {
                        bar.suspend(|| eprintln!("line {}: {}", one.line, one.detail))
                    }
                }
            }
            if batch.len() == limits::STEP_MENTIONS {
                run.take(&reader, std::mem::take(&mut batch));
            }
            Ok(())
        })?;
        run.take(&reader, batch);
        bar.finish_and_clear();
    }
    if let (Some(path), Some(topics)) = (&options.topics, &run.topics) {
        let mut out = csv::Writer::from_path(path)?;
        out.write_record(["id", "topic"])?;
        for (id, topic) in topics {
            out.write_record([id.as_str(), &run.watch.resolve(*topic).to_string()])?;
        }
        out.flush()?;
    }
    let days = run.first.map_or(0.0, |first| (run.last - first).as_seconds() / 86_400.0);
    let per_day = if days > 0.0 { run.raised as f64 / days } else { run.raised as f64 };
    let seconds = started.elapsed().as_secs_f64();
    if json {
        say(
            &json!({"type": "summary", "records": records, "refused": refused, "raised": run.raised, "days": days, "raised_per_day": per_day,
            "seconds": seconds, "peak_rss_bytes": peak_rss(), "any_place": options.any_place, "heat_only": options.heat_only}),
        );
    } else {
        println!(
            "{records} records, {refused} refused, {} raised in {days:.1} days ({per_day:.2} a day), {seconds:.1} s",
            run.raised
        );
    }
    Ok(0)
}

impl Run {
    fn take(&mut self, reader: &Arc<crate::assess::Reader>, batch: Vec<Record>) {
        for (record, reading) in read_all(reader, batch, 2) {
            let (Body::Mention(mention), Some(reading)) = (record.body, reading) else { continue };
            let mention: Mention = *mention;
            self.first.get_or_insert(mention.created_at);
            self.last = self.last.max(mention.created_at);
            let taken = self.watch.take(&mention, &reading);
            for (from, into) in taken.merged {
                if let Some(incident) = self.incidents.remove(&from) {
                    self.incidents.entry(into).or_insert(incident);
                }
                if self.json {
                    say(&json!({"type": "merged", "from": from, "into": into, "at": mention.created_at}));
                }
            }
            for finding in taken.findings {
                self.tell(finding);
            }
            if let (Some(topics), Some(topic)) = (&mut self.topics, taken.topic) {
                topics.insert(mention.id, topic);
            }
        }
    }

    fn tell(&mut self, finding: Finding) {
        let changed = finding.kind == FindingKind::Changed;
        if !changed {
            self.raised += 1;
        }
        let number = format!("I-{}", self.raised);
        let incident = match finding.topic {
            Some(topic) if changed => self.incidents.get(&topic).cloned().unwrap_or(number),
            Some(topic) => self.incidents.entry(topic).insert_entry(number).get().clone(),
            None => number,
        };
        if self.json {
            say(&line(&incident, &finding));
        } else {
            println!("{}", sentence(&incident, &finding));
        }
    }
}

/// A `raised` or `changed` line of cli.md.
pub fn line(incident: &str, finding: &Finding) -> Value {
    let kind = if finding.kind == FindingKind::Changed { "changed" } else { "raised" };
    let kept = |at: Instant| at + crate::time::Span::hours(2);
    json!({"type": kind, "at": finding.at, "seen_at": finding.seen_at, "incident": incident, "topic": finding.topic, "level": finding.level,
        "classes": finding.classes, "place": {"verdict": finding.place.verdict, "district": finding.place.district, "township": finding.place.township},
        "mentions": finding.mentions, "sources": finding.sources, "heat": finding.heat, "reason": finding.reason,
        "first_mention": finding.first_mention, "due": kept(finding.first_mention), "title": finding.title, "kind": finding.kind})
}

/// The same for people.
pub fn sentence(incident: &str, finding: &Finding) -> String {
    let what = match finding.kind {
        FindingKind::Changed => "变化",
        FindingKind::Clarify => "建议澄清",
        FindingKind::PersonInDanger => "有人遇险",
        FindingKind::Raised => "提出",
    };
    format!(
        "{} {what} {incident} {:?} {:?} {}  首条 {}  {} 个来源  {}",
        finding.at.rfc3339_shanghai(),
        finding.level,
        finding.classes,
        finding.title,
        finding.first_mention.hour_minute(),
        finding.sources,
        finding.reason
    )
}

/// The finding in an event, where it has one.
pub fn finding_of(event: &Event) -> Option<(&str, &Finding)> {
    match event {
        Event::IncidentRaised { incident, finding } | Event::IncidentChanged { incident, finding } => {
            Some((incident, finding))
        }
        _ => None,
    }
}

/// Peak resident memory of this process in bytes; 0 where the system does not tell.
pub fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next())
        .and_then(|kb| kb.parse::<u64>().ok())
        .map_or(0, |kb| kb * 1_024)
}
