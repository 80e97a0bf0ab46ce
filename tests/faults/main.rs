//! Faults on real processes: one Kafka broker and PostgreSQL are started, faults run one after the other on workers and desks under load, and
//! a table says for each how often it hit, what was lost, what was decided twice. In: options (`--help`). Out: the table; exit code 1 on any
//! loss, repeat, or fault that did not hit.

#[allow(dead_code)]
#[path = "../kafka/broker.rs"]
mod broker;
mod control;
mod crew;
mod eye;
#[allow(dead_code)]
#[path = "../house.rs"]
mod house;
mod judge;
mod load;
mod rows;
#[allow(dead_code)]
#[path = "../postgres/server.rs"]
mod server;
#[path = "../skip.rs"]
mod skip;
mod told;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A member that was killed is missed after two seconds: what waits for that is not what is tried here.
const BROKER: &str = "group.consumer.session.timeout.ms=2000";
const HELP: &str = "scripts/faults [--quick] [--only NAME,…] [--kills N] [--records N] [--minutes N] [--seed N]
  --quick      fewer faults a row: about three minutes
  --only       rows to run, by the beginnings of their names
  --kills      kill -9 of workers and desks in row F1
  --records    records of row F1
  --minutes    soak: the mix, again and again, for so long
  --seed       of the order of faults
YUQING_BIN names the binary under trial; left out, the debug build.";

/// Options.
pub struct Options {
    /// Fewer faults a row.
    pub quick: bool,
    only: Vec<String>,
    /// Of row F1.
    pub kills: u64,
    /// Of row F1.
    pub records: u64,
    minutes: u64,
    seed: u64,
}

fn options() -> Result<Options, String> {
    let mut it = Options { quick: false, only: Vec::new(), kills: 0, records: 0, minutes: 0, seed: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match word.as_str() {
            "--quick" => it.quick = true,
            "--only" => it.only = value()?.split(',').map(str::to_owned).collect(),
            "--kills" => it.kills = number(value()?)?,
            "--records" => it.records = number(value()?)?,
            "--minutes" => it.minutes = number(value()?)?,
            "--seed" => it.seed = number(value()?)?,
            _ => return Err(HELP.to_owned()),
        }
    }
    if it.kills == 0 {
        it.kills = if it.quick { 8 } else { 30 };
    }
    if it.records == 0 {
        it.records = if it.quick { 60_000 } else { 250_000 };
    }
    Ok(it)
}

/// What all trials share.
pub struct Ground {
    /// Kafka.
    pub broker: broker::Broker,
    /// What is asked of it.
    pub admin: broker::Admin,
    /// PostgreSQL.
    pub server: server::Server,
    /// Of the order of faults.
    pub seed: u64,
}

impl Ground {
    /// Keeps the logs of a trial that failed.
    pub fn keep(&self, name: &str, folder: &Path) -> PathBuf {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&kept).expect("a folder");
        for file in std::fs::read_dir(folder).expect("listed").flatten() {
            if file.path().is_file() {
                std::fs::copy(file.path(), kept.join(file.file_name())).expect("copied");
            }
        }
        kept
    }
}

/// One row of the table.
pub struct Row {
    /// Its name.
    pub fault: String,
    /// Times it was tried.
    pub wanted: u64,
    /// Times it hit, with records in flight.
    pub hits: u64,
    /// Records written.
    pub records: u64,
    /// Records, dead letters and commands that are missing.
    pub lost: u64,
    /// Decided or applied twice.
    pub twice: u64,
    /// Said again by a worker under the same position, which is allowed.
    pub again: u64,
    /// How long it took.
    pub seconds: f64,
    notes: Vec<String>,
    failures: Vec<String>,
    /// The control must lose or repeat.
    pub control: bool,
}

impl Row {
    /// Nothing yet.
    pub fn new(fault: &str) -> Row {
        Row {
            fault: fault.to_owned(),
            wanted: 0,
            hits: 0,
            records: 0,
            lost: 0,
            twice: 0,
            again: 0,
            seconds: 0.0,
            notes: Vec::new(),
            failures: Vec::new(),
            control: false,
        }
    }

    /// Says something beside the figures.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// Says what is wrong.
    pub fn fail(&mut self, text: &str) {
        self.failures.push(text.to_owned());
    }

    /// The row with one more thing that is wrong.
    pub fn with_failure(mut self, text: &str) -> Row {
        self.fail(text);
        self
    }

    /// Whether something is wrong already.
    pub fn failed(&self) -> bool {
        !self.failures.is_empty() || self.lost + self.twice > 0 && !self.control
    }

    /// What is wrong, or nothing.
    fn verdict(&self) -> Vec<String> {
        let mut wrong = self.failures.clone();
        if self.wanted == 0 || self.hits < self.wanted {
            wrong.push(format!("the fault hit {} of {} times", self.hits, self.wanted));
        }
        if self.control && self.lost + self.twice == 0 {
            wrong.push("the control shows nothing: the rig proves nothing".to_owned());
        } else if !self.control && self.lost + self.twice > 0 {
            wrong.push("lost or twice".to_owned());
        }
        wrong
    }
}

fn print(row: &Row) -> bool {
    let wrong = row.verdict();
    let verdict = match (wrong.is_empty(), row.control) {
        (true, false) => "ok",
        (true, true) => "ok: shows",
        (false, _) => "FAILED",
    };
    println!(
        "{:<34} {:>4} {:>9} {:>6} {:>6} {:>8} {:>7.0}  {verdict}",
        row.fault, row.hits, row.records, row.lost, row.twice, row.again, row.seconds
    );
    row.notes.iter().for_each(|note| println!("    {note}"));
    wrong.iter().for_each(|wrong| println!("    FAILED: {wrong}"));
    wrong.is_empty()
}

fn main() -> ExitCode {
    // The control under kills is this program again.
    if std::env::args().nth(1).as_deref() == Some("--consume") {
        control::consume();
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(options) => options,
        Err(words) => {
            eprintln!("{words}");
            return ExitCode::from(2);
        }
    };
    let Some(server) = server::Server::start() else { return ExitCode::from(3) };
    let Some(broker) = broker::Broker::start(BROKER) else { return ExitCode::from(3) };
    let admin = broker::Admin::new(&broker.bootstrap);
    let mut ground = Ground { broker, admin, server, seed: options.seed };
    println!("binary {}, seed {}", crew::binary().display(), options.seed);
    println!("fault                               hit   records   lost  twice    again seconds  verdict");
    let started = std::time::Instant::now();
    let (mut well, mut round, mut total) = (true, 0u64, (0, 0));
    loop {
        for (name, run) in rows::ALL {
            if !options.only.is_empty() && !options.only.iter().any(|one| name.starts_with(one.as_str())) {
                continue;
            }
            let row = run(&ground, &options, &if round == 0 { (*name).to_owned() } else { format!("{name}-{round}") });
            total = (total.0 + row.hits, total.1 + row.records);
            well &= print(&row);
        }
        round += 1;
        ground.seed += 1;
        if started.elapsed().as_secs() >= options.minutes * 60 {
            break;
        }
    }
    println!("{} faults hit, {} records, {:.0} s", total.0, total.1, started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!well))
}
