//! One trial: a topic, a database, a crew under load, faults as the load goes on, and what came of it. In: a plan and the faults. Out: a
//! row of the table.

use crate::crew::Proc;
use crate::eye::Eye;
use crate::load::{Load, PARTITIONS, Plan};
use crate::{Ground, Row};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use yuqing::duty::Command;
use yuqing::ledger::Store as _;
use yuqing::ledger::postgres::Postgres;
use yuqing::run::desk::AskBody;

/// Longest time for a crew to come to the end of what there is.
const DRAIN: Duration = Duration::from_secs(90);
/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(50);

/// Who takes part.
#[derive(Clone, Copy)]
pub struct Crew {
    pub workers: usize,
    pub desks: usize,
    pub lease_ms: u64,
    pub session_ms: u64,
    /// One process that does everything, in place of workers and desks.
    pub single: bool,
}

impl Default for Crew {
    fn default() -> Crew {
        Crew { workers: 3, desks: 2, lease_ms: 2_000, session_ms: 3_000, single: false }
    }
}

pub struct Trial<'a> {
    pub ground: &'a Ground,
    pub name: String,
    pub mentions: String,
    pub assessed: String,
    pub folder: tempfile::TempDir,
    pub database: String,
    pub workers: Vec<Proc>,
    pub desks: Vec<Proc>,
    /// The door, where it is tried: the one process, or one beside the desks.
    pub web: Option<Proc>,
    pub eye: Eye,
    pub load: Load,
    pub row: Row,
    pub started: Instant,
    pub settings: PathBuf,
    /// The lead when it was last seen to go.
    lost_lead: Option<(i64, Instant)>,
    pub takeovers: Vec<Duration>,
    /// Incidents that a command was given for.
    pub asked: BTreeSet<String>,
    random: u64,
    pub single: bool,
    /// What opens the door of the one process.
    pub token: Option<String>,
    /// Records that the crew has done with, when last seen.
    pub done: u64,
}

impl<'a> Trial<'a> {
    /// Topic, database and crew; `more` goes into the settings of all.
    pub fn new(ground: &'a Ground, name: &str, plan: Plan, crew: Crew, more: &str) -> Trial<'a> {
        let mentions = format!("mentions-{name}");
        // The one process decides on the mentions themselves.
        let assessed = if crew.single { mentions.clone() } else { format!("assessed-{name}") };
        ground.admin.make(&mentions, PARTITIONS as i32, &[]);
        let database = format!("trial_{}", name.replace('-', "_").to_lowercase());
        let url = ground.server.database(&database);
        let folder = crate::house::folder();
        let bootstrap = &ground.broker.bootstrap;
        let text = format!(
            "data = \"{}/data\"\n{more}\n[kafka]\nbootstrap = \"{bootstrap}\"\ngroup = \"{name}\"\ntopics = [\"{mentions}\"]\nassessed = \"assessed-{name}\"\ndead_letters = \"dead-{name}\"\nsession_timeout_ms = {}\n[store]\nurl = \"{url}\"\n[desk]\nlease_ms = {}\n",
            folder.path().display(),
            crew.session_ms,
            crew.lease_ms,
        );
        let settings = folder.path().join("settings.toml");
        std::fs::write(&settings, text).expect("settings");
        let eye = Eye::new(&url, bootstrap, name);
        let load = Load::new(bootstrap, &mentions, plan);
        let random = ground.seed ^ name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        let mut trial = Trial {
            ground,
            name: name.to_owned(),
            mentions,
            assessed,
            folder,
            database,
            workers: Vec::new(),
            desks: Vec::new(),
            web: None,
            eye,
            load,
            row: Row::new(name),
            started: Instant::now(),
            settings,
            lost_lead: None,
            takeovers: Vec::new(),
            asked: BTreeSet::new(),
            random,
            single: crew.single,
            token: None,
            done: 0,
        };
        for one in 0..crew.desks {
            let role = if crew.single { "run" } else { "desk" };
            let settings = [trial.settings.clone()];
            let desk = Proc::start(trial.folder.path(), &format!("{role}{one}"), role, &settings);
            trial.desks.push(desk);
        }
        for one in 0..crew.workers {
            trial.join(one);
        }
        trial
    }

    /// A door beside the desks.
    pub fn open_door(&mut self) {
        self.web = Some(Proc::start(self.folder.path(), "web", "web", std::slice::from_ref(&self.settings)));
        if !self.wait(Duration::from_secs(60), |it| it.token.is_some()) {
            self.row.fail("the door did not open");
        }
    }

    /// One more worker.
    pub fn join(&mut self, number: usize) {
        let settings = [self.settings.clone()];
        let proc = Proc::start(self.folder.path(), &format!("worker{number}"), "worker", &settings);
        self.workers.push(proc);
    }

    /// A number below `below`.
    pub fn random(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) as usize) % below.max(1)
    }

    /// The leading desk.
    pub fn leader(&mut self) -> Option<usize> {
        let (_, pid) = self.eye.leads()?;
        self.desks.iter().position(|desk| desk.pid() == pid)
    }

    /// The lead goes now: how long until another has it is measured.
    pub fn lead_goes(&mut self) {
        if let Some((token, _)) = self.eye.leads() {
            self.lost_lead = Some((token, Instant::now()));
        }
    }

    /// One look at everything: the supervisor's work, commands, progress.
    pub fn look(&mut self) {
        for proc in self.workers.iter_mut().chain(&mut self.desks).chain(&mut self.web) {
            proc.tend();
        }
        if let (Some((before, at)), Some((now, _))) = (self.lost_lead, self.eye.leads())
            && now > before
        {
            self.takeovers.push(at.elapsed());
            self.lost_lead = None;
        }
        self.eye.read_on();
        let door = if self.single { self.desks.first() } else { self.web.as_ref() };
        self.token = self.token.take().or_else(|| door?.told("token"));
        if !self.single {
            self.command();
        }
        if let Some(done) = self.progress() {
            let behind = match (self.eye.ends(&self.assessed), self.eye.decided(&self.assessed)) {
                (Some(ends), Some(decided)) => (ends.values().sum::<i64>() as u64).saturating_sub(decided),
                _ => 0,
            };
            self.done = self.done.max(done.saturating_sub(behind));
        }
        std::thread::sleep(LOOK);
    }

    /// Acknowledges every incident once, through the store, as the web does.
    fn command(&mut self) {
        let raised: Vec<String> = self.raised().into_iter().map(|(incident, _)| incident).collect();
        let fresh: Vec<String> = raised.into_iter().filter(|one| !self.asked.contains(one)).collect();
        if fresh.is_empty() {
            return;
        }
        let Ok(store) = Postgres::open(&self.ground.server.url(&self.database)) else { return };
        for incident in fresh {
            let command =
                Command::Acknowledge { incident: incident.clone(), by: "rig".to_owned(), via: "console".to_owned() };
            let until = yuqing::time::Instant::from_millis((crate::house::now() + 3_600) * 1_000);
            let body = serde_json::to_string(&AskBody::Command { command, until }).expect("JSON");
            // One whose fate is unknown is not given again: whoever asks twice may be answered twice.
            self.asked.insert(incident);
            if store.ask(&body).is_err() {
                self.row.note("a command could not be given");
            }
        }
    }

    /// Records of mentions that were read and dealt with.
    fn progress(&mut self) -> Option<u64> {
        if self.single {
            self.eye.decided(&self.mentions)
        } else {
            self.eye.committed(&self.mentions, PARTITIONS as i32)
        }
    }

    /// Incidents with the ids that carry them.
    pub fn raised(&self) -> Vec<(String, Vec<String>)> {
        let ids = |finding: &Value| {
            let all = finding["mentions"].as_array().cloned().unwrap_or_default();
            all.iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect()
        };
        let raised = self.eye.events.iter().filter(|(_, event)| event["event"] == "incident_raised");
        raised.map(|(_, it)| (it["incident"].as_str().unwrap_or_default().to_owned(), ids(&it["finding"]))).collect()
    }

    /// Writes on, so far ahead of the crew that there is always something in flight; false when all was written.
    pub fn write(&mut self) -> bool {
        let ahead = (self.load.plan.records / 5).clamp(3_000, 30_000);
        let room = (self.done + ahead).saturating_sub(self.load.delivered());
        self.load.write(room.min(20_000))
    }

    /// Lets the load go on until the crew has done with so many records.
    pub fn until(&mut self, records: u64) {
        let started = Instant::now();
        while self.done < records {
            self.load.write(records.saturating_sub(self.load.written()));
            self.look();
            if started.elapsed() > DRAIN {
                self.row.fail(&format!("no progress past {} of {records} in {DRAIN:?}", self.done));
                return;
            }
        }
    }

    /// Looks until it is so; whether it came about.
    pub fn wait(&mut self, within: Duration, mut so: impl FnMut(&mut Trial<'_>) -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < within {
            if so(self) {
                return true;
            }
            self.load.write(50);
            self.look();
        }
        false
    }

    /// Gives the crew so many records and waits until it is at them, at no certain moment; false where it never was seen to be.
    fn busy(&mut self, records: u64) -> bool {
        self.load.write(records);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let committed = self.progress();
            if committed.is_some_and(|committed| self.load.delivered() > committed + records / 8) {
                std::thread::sleep(Duration::from_millis(self.random(12) as u64));
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// Runs `count` faults, spread evenly over the load; each says how often it hit.
    pub fn faults(&mut self, count: u64, mut fault: impl FnMut(&mut Trial<'a>, u64) -> u64) {
        for one in 0..count {
            let each = self.load.plan.records / (count + 2);
            self.until(each * (one + 1));
            if self.row.failed() {
                return;
            }
            let loaded = self.busy(each);
            let hits = fault(self, one);
            self.row.hits += if loaded { hits } else { 0 };
            self.row.wanted += 1;
        }
    }

    /// The rest of the load without faults, then the oracle.
    pub fn finish(mut self) -> Row {
        let records = self.load.plan.records;
        while self.write() {
            self.look();
            if self.started.elapsed() > Duration::from_secs(7_200) || self.row.failed() {
                break;
            }
        }
        self.load.flush();
        let drain = Instant::now();
        let failed = self.row.failed();
        let done = !failed && self.wait(DRAIN, |it| {
            let committed = it.progress() == Some(records);
            let (ends, at) = (it.eye.ends(&it.assessed), it.eye.positions(&it.assessed));
            let decided = |at: &BTreeMap<i32, i64>, part: &i32| at.get(part).copied().unwrap_or(0);
            committed
                && matches!((ends, at), (Some(ends), Some(at)) if ends.iter().all(|(part, end)| decided(&at, part) == *end))
        });
        let drained = drain.elapsed();
        if !done && !failed {
            self.row.fail("the crew did not come to the end");
        }
        self.row.records = records;
        // Commands are answered by now, or soon.
        let asked = self.asked.len();
        let most = Duration::from_secs(if failed { 0 } else { 20 });
        self.wait(most, |it| it.asked.len() == it.acknowledged().len() && it.asked.len() >= asked);
        self.row.note(&format!("drained in {:.1} s", drained.as_secs_f64()));
        self.judge();
        let mut row = std::mem::replace(&mut self.row, Row::new(""));
        row.seconds = self.started.elapsed().as_secs_f64();
        if !row.verdict().is_empty() {
            let kept = self.ground.keep(&self.name, self.folder.path());
            row.note(&format!("logs in {}", kept.display()));
        }
        row
    }

    pub fn acknowledged(&self) -> Vec<String> {
        let by_rig =
            self.eye.events.iter().filter(|(_, event)| event["event"] == "acknowledged" && event["by"] == "rig");
        by_rig.map(|(_, event)| event["incident"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
