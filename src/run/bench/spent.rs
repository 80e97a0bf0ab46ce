//! Where the CPU time of a bench goes. In: looks at the system's accounts of this process and its threads. Out: microseconds
//! a mention by stage.
//!
//! A thread's account is brought up to date when it leaves the processor, so every look yields first. What no stage has
//! taken is the index's: documents are made on the desk's thread, the rest is the engine's own threads.

use crate::run::readers;
use std::time::Instant as Stopwatch;

/// A part of the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// JSON to mention, masked: the door's thread.
    Parse,
    /// Normalising and parting into words: the readers' threads.
    Text,
    /// Assessing: the readers' threads.
    Assess,
    /// Topic of a mention: the desk's thread.
    Fold,
    /// Heat and rules: the desk's thread.
    Heat,
    /// The durable log, written and read, and the ledger's steps: the log's and the desk's thread.
    Store,
}

const STAGES: [(Stage, &str); 6] = [
    (Stage::Parse, "parse"),
    (Stage::Text, "text"),
    (Stage::Assess, "assess"),
    (Stage::Fold, "fold"),
    (Stage::Heat, "heat"),
    (Stage::Store, "store"),
];

/// Seconds of CPU by stage.
#[derive(Default)]
pub struct Spent {
    seconds: [f64; STAGES.len()],
    total: f64,
    begun: Begun,
}

/// Accounts when the clock began to run.
#[derive(Default)]
struct Begun {
    process: f64,
    log: f64,
    readers: f64,
    reading: [u64; 2],
}

impl Begun {
    fn now() -> Begun {
        Begun {
            process: process(),
            log: threads("intake"),
            readers: threads(readers::THREAD),
            reading: readers::spent(),
        }
    }
}

impl Spent {
    /// The clock runs.
    pub fn start(&mut self) {
        self.begun = Begun::now();
    }

    /// The clock stands still.
    pub fn stop(&mut self) {
        let (begun, now) = (std::mem::take(&mut self.begun), Begun::now());
        self.total += now.process - begun.process;
        self.add(Stage::Store, now.log - begun.log);
        let [text, assess] = [0, 1].map(|at: usize| (now.reading[at] - begun.reading[at]) as f64);
        self.share(now.readers - begun.readers, [(Stage::Text, text), (Stage::Assess, assess)]);
    }

    /// Puts seconds down to a stage.
    pub fn add(&mut self, stage: Stage, seconds: f64) {
        self.seconds[stage as usize] += seconds;
    }

    /// Puts seconds down to two stages, as they took time by the clock on the wall.
    fn share(&mut self, seconds: f64, stages: [(Stage, f64); 2]) {
        let all: f64 = stages.iter().map(|stage| stage.1).sum();
        for (stage, part) in stages.into_iter().filter(|_| all > 0.0) {
            self.add(stage, seconds * part / all);
        }
    }

    /// Work of this thread that is two stages'; it gives how long each took by the clock on the wall.
    pub fn two<T>(&mut self, stages: [Stage; 2], work: impl FnOnce() -> (T, [f64; 2])) -> T {
        let before = thread();
        let (done, took) = work();
        self.share(thread() - before, [(stages[0], took[0]), (stages[1], took[1])]);
        done
    }

    /// Work of this thread that is one stage's.
    pub fn cpu<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let before = thread();
        let done = work();
        self.add(stage, thread() - before);
        done
    }

    /// Microseconds a mention.
    pub fn each(&self, mentions: usize) -> serde_json::Value {
        let each = |seconds: f64| (seconds * 1e8 / mentions.max(1) as f64).round() / 100.0;
        let mut line = serde_json::Map::new();
        line.insert("total".to_owned(), each(self.total).into());
        for (stage, name) in STAGES {
            line.insert(name.to_owned(), each(self.seconds[stage as usize]).into());
        }
        let others: f64 = self.seconds.iter().sum();
        line.insert("index".to_owned(), each((self.total - others).max(0.0)).into());
        line.into()
    }
}

/// Adds the time that work takes by the clock on the wall.
pub fn lap<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Stopwatch::now();
    let done = work();
    *seconds += started.elapsed().as_secs_f64();
    done
}

/// CPU seconds of this thread; 0 where the system does not tell.
pub fn thread() -> f64 {
    std::thread::yield_now();
    schedstat("/proc/thread-self/schedstat")
}

fn schedstat(path: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// CPU seconds of the threads of this name that are there.
fn threads(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named =
        tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|own| own.trim() == name));
    named.map(|task| schedstat(&task.path().join("schedstat").to_string_lossy())).sum()
}

/// CPU seconds of this process, all threads; 0 where the system does not tell.
fn process() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
    ticks / 100.0
}
