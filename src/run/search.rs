//! `yuqing search`: reads the shards beside a running process, or without one; and the [`Casebook`], which says to every
//! search what belongs to an incident. In: a query, the ledger; out: hits on standard output.

use crate::clock::Clock;
use crate::duty::event::{Entry, Event};
use crate::index::{Belongs, Query, QueryError, Searcher};
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Store, StoreError};
use crate::limits;
use crate::rule::FindingKind;
use crate::run::{app, say, settings, tables};
use crate::settings::Overrides;
use crate::topic::TopicId;
use anyhow::anyhow;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// Mentions of one incident that are looked for by their ids, besides those of its topics.
const MENTIONS: usize = 500;

/// What belongs to which incident, as the ledger says. Those about a person in danger are not in it: nothing leads to them.
#[derive(Default)]
pub struct Casebook {
    /// The last entry read.
    after: u64,
    incidents: BTreeMap<String, (Option<TopicId>, BTreeSet<String>)>,
    /// Which topic went into which.
    merged: BTreeMap<TopicId, TopicId>,
}

impl Casebook {
    /// Reads what the ledger says since the last time.
    pub fn read_on(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        loop {
            let entries = store.entries(self.after, limits::STEP_MENTIONS)?;
            let Some(last) = entries.last() else { return Ok(()) };
            self.after = last.seq;
            entries.iter().for_each(|entry| self.note(entry));
        }
    }

    fn note(&mut self, entry: &Entry) {
        match &entry.event {
            Event::IncidentRaised { incident, finding } if finding.kind != FindingKind::PersonInDanger => {
                let mentions = finding.mentions.iter().cloned().collect();
                self.incidents.insert(incident.clone(), (finding.topic, mentions));
            }
            Event::IncidentChanged { incident, finding } => {
                if let Some((topic, mentions)) = self.incidents.get_mut(incident) {
                    *topic = topic.or(finding.topic);
                    let room = MENTIONS.saturating_sub(mentions.len());
                    mentions.extend(finding.mentions.iter().take(room).cloned());
                }
            }
            Event::TopicsMerged { from, into } => {
                self.merged.insert(*from, *into);
            }
            _ => {}
        }
    }

    /// What belongs to an incident: the mentions that carried it, and all topics that are one with its topic now.
    pub fn of(&self, incident: &str) -> Option<Belongs> {
        let (topic, mentions) = self.incidents.get(incident)?;
        let topics = topic.map(|topic| self.one_with(topic)).unwrap_or_default();
        let topics = topics.into_iter().map(|topic| topic.to_string()).collect();
        Some(Belongs { topics, mentions: mentions.iter().cloned().collect() })
    }

    fn one_with(&self, topic: TopicId) -> BTreeSet<TopicId> {
        let root = self.root(topic);
        let same = self.merged.keys().filter(|other| self.root(**other) == root);
        same.copied().chain([topic, root]).collect()
    }

    fn root(&self, topic: TopicId) -> TopicId {
        let mut at = topic;
        // A topic goes into an older one, so the way ends; a ledger that says otherwise ends it after as many steps as there are.
        for _ in 0..self.merged.len() {
            match self.merged.get(&at) {
                Some(into) => at = *into,
                None => break,
            }
        }
        at
    }
}

/// Options of `yuqing search`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  yuqing search '扬子洲 AND 冒水'                     both words
  yuqing search '\"停水两天\" NOT platform:weibo'      a phrase, and not there
  yuqing search 'level:>=L3 time:24h' --limit 100     grave ones of the last day
  yuqing search 'incident:I-1001-01' --sort level     all that belongs to an incident
  yuqing search 'id:\"weibo:1\"' --json               one mention, for programs
  yuqing search 'class:ND district:3601* time:[2026-10-01 TO 2026-10-02]'

Fields: id platform kind class level district township unit topic incident place time")]
pub struct Options {
    /// Words, "phrases", AND OR NOT ( ), field:value, time:24h, prefix*
    pub query: String,
    /// Hits at the most; 0 only counts
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// time (newest first), relevance, or level (gravest first, then newest)
    #[arg(long, default_value = "time")]
    pub sort: String,
}

/// Exit code 0; 2 where the query cannot be read.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    let reader = Arc::new(tables.reader);
    let searcher = Searcher::open(&settings.data.join("index"), Arc::new(move |text: &str| reader.words(text)));
    let sort = Some(options.sort.clone());
    let query = Query { q: options.query.clone(), sort, now: Clock::Real.now(), ..Query::default() };
    let expand = |incident: &str| {
        let mut book = Casebook::default();
        let read = Sqlite::open_read_only(&settings.data).and_then(|store| book.read_on(&store));
        if let Err(error) = read {
            tracing::warn!(%error, "the ledger cannot be read; no incident is known");
        }
        book.of(incident)
    };
    let mut tell = |hit: crate::index::Hit| match show(&hit, json) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let walked = match searcher.walk(&query, Some(&expand), options.limit, &mut tell) {
        Err(QueryError::Syntax(detail)) => {
            eprintln!("yuqing: query: {detail}");
            return Ok(2);
        }
        walked => walked?,
    };
    if json {
        say(&json!({"type": "summary", "total": walked.total, "took_us": walked.took_us}));
    } else {
        eprintln!("{} hits, {:.1} ms", walked.total, walked.took_us as f64 / 1e3);
    }
    Ok(0)
}

fn show(hit: &crate::index::Hit, json: bool) -> anyhow::Result<()> {
    if json {
        let mut line = serde_json::to_value(hit)?;
        line["type"] = "hit".into();
        say(&line);
    } else {
        let text = highlighted(&hit.text, &hit.highlights);
        println!("{}  {:<10} {}  {text}", hit.created_at.rfc3339_shanghai(), hit.platform, hit.level);
    }
    Ok(())
}

fn highlighted(text: &str, ranges: &[(usize, usize)]) -> String {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return text.replace('\n', " ");
    }
    let mut out = String::new();
    let mut at = 0;
    for &(start, end) in ranges {
        if let (Some(before), Some(marked)) = (text.get(at..start), text.get(start..end)) {
            out.push_str(before);
            out.push_str(&format!("\x1b[1;33m{marked}\x1b[0m"));
            at = end;
        }
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out.replace('\n', " ")
}

#[cfg(test)]
mod speed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::{Level, Place};
    use crate::rule::Finding;
    use crate::time::Instant;
    use crate::topic::Heat;

    fn entry(seq: u64, event: Event) -> Entry {
        Entry { seq, at: Instant::from_millis(0), actor: "machine".into(), event, hash: String::new() }
    }

    fn raised(incident: &str, topic: u64, kind: FindingKind) -> Event {
        let at = Instant::from_millis(0);
        let finding = Finding {
            kind,
            at,
            seen_at: at,
            topic: Some(TopicId(topic)),
            level: Level::L3,
            classes: Vec::new(),
            place: Place::default(),
            mentions: vec![format!("weibo:{topic}")],
            sources: 3,
            heat: Heat::default(),
            reason: String::new(),
            first_mention: at,
            unverified: false,
            causes: Vec::new(),
            claims: Vec::new(),
            title: String::new(),
            responsible: Vec::new(),
        };
        Event::IncidentRaised { incident: incident.into(), finding }
    }

    #[test]
    fn an_incident_has_the_topics_that_are_one_with_its_own_and_a_person_in_danger_none() {
        let merged = |from, into| Event::TopicsMerged { from: TopicId(from), into: TopicId(into) };
        let mut book = Casebook::default();
        let events = [
            raised("I-1", 5, FindingKind::Raised),
            raised("I-2", 9, FindingKind::Raised),
            raised("I-3", 4, FindingKind::PersonInDanger),
            merged(7, 5),
            merged(5, 2),
            merged(8, 9),
        ];
        for (seq, event) in events.into_iter().enumerate() {
            book.note(&entry(seq as u64 + 1, event));
        }
        let topics = |id: &str| book.of(id).map(|belongs| belongs.topics);
        assert_eq!(topics("I-1"), Some(vec!["T-2".into(), "T-5".into(), "T-7".into()]));
        assert_eq!(topics("I-2"), Some(vec!["T-8".into(), "T-9".into()]));
        assert_eq!(book.of("I-1").map(|belongs| belongs.mentions), Some(vec!["weibo:5".to_owned()]));
        assert_eq!(book.of("I-3"), None);
        assert_eq!(book.of("I-4"), None);
    }

    #[test]
    fn a_ledger_that_goes_in_circles_ends_the_search() {
        let mut book = Casebook::default();
        book.note(&entry(1, raised("I-1", 1, FindingKind::Raised)));
        for (seq, (from, into)) in [(1, 2), (2, 1)].into_iter().enumerate() {
            book.note(&entry(seq as u64 + 2, Event::TopicsMerged { from: TopicId(from), into: TopicId(into) }));
        }
        let found = book.of("I-1").map(|belongs| belongs.topics);
        assert!(found.is_some_and(|topics| topics.contains(&"T-1".to_owned())));
    }
}
