//! `yuqing doctor`: whether the house is well, beside a running process or on a stopped one. Reads, changes nothing.
//!
//! Flows in: settings, the data folder, the host. Flows out: findings, each with what to do; docs/operate.md has a
//! heading for each check. Kafka and PostgreSQL hand their findings in as [`Advice`].

mod host;

use crate::assess::Level;
use crate::clock::Clock;
use crate::index::Writer;
use crate::intake::kafka::inspect as inspect_kafka;
use crate::ledger::invariants::{Facts, Invariant, Picture};
use crate::ledger::postgres::Postgres;
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Advice, Positions, Severity, Store as _, StoreError};
use crate::run::{backup, disk, say};
use crate::settings::{Overrides, Settings, load};
use crate::time::{Day, Instant};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Records behind the stream at which a running desk is slow rather than busy: seconds of its rate.
const LAG: u64 = 100_000;
/// Looks at an index that seems broken beside a running process.
const LOOKS: usize = 3;
/// Where the checks are explained.
const GUIDE: &str = "docs/operate.md";

/// Every check, invariants aside: each is a heading in the guide.
pub const CHECKS: [&str; 15] = [
    "settings",
    "secrets",
    "ledger",
    "intake-log",
    "index",
    "lag",
    "index-checksum",
    "disk",
    "file-system",
    "clock",
    "calendar",
    "file-modes",
    "channels",
    "kafka",
    "postgresql",
];

/// Findings of one check, by its name: the heading in the guide.
pub type Checked = (&'static str, Vec<Advice>);

/// Exit code 0 without faults, 1 with.
pub fn run(files: &[PathBuf], overrides: &Overrides, json: bool) -> anyhow::Result<u8> {
    let found = match load(files, overrides) {
        Ok(settings) => {
            anyhow::ensure!(settings.data.is_dir(), "there is no data folder {}; give --data", settings.data.display());
            let mut found = inspect(&settings, Clock::Real.now())?;
            found.push(("secrets", host::settings_files(files)));
            found
        }
        Err(faults) => {
            let told =
                faults.iter().map(|fault| Advice::fault(fault.to_string(), "mend the line, then `yuqing check`"));
            vec![("settings", told.collect())]
        }
    };
    Ok(report(&found, json))
}

/// Every check that one machine has; the caller adds those of other parts.
pub fn inspect(settings: &Settings, now: Instant) -> anyhow::Result<Vec<Checked>> {
    let data = &settings.data;
    let mut found = vec![("settings", vec![Advice::ok("settings and dictionaries have no faults")])];
    found.extend(ledger(settings)?);
    found.push(("index-checksum", vec![index_checksum(data)]));
    found.push(("disk", space(settings)));
    found.push(("file-system", vec![host::file_system(data)]));
    found.push(("clock", host::clock(data, now)));
    found.push(("calendar", calendar(settings, now.day())));
    found.push(("file-modes", host::modes(data)));
    found.push(("channels", channels(settings)));
    found.extend(postgresql(settings));
    found.extend(kafka(settings));
    Ok(found)
}

/// What the database server is told to do that may lose data.
fn postgresql(settings: &Settings) -> Option<Checked> {
    let url = settings.store.as_ref()?;
    let told = Postgres::open_read_only(url).and_then(|store| {
        let (advice, entries) = (store.advise()?, store.verify()?);
        let mut told: Vec<Advice> =
            advice.iter().map(|one| Advice::fault(format!("{} is {}", one.setting, one.value), one.why)).collect();
        told.push(Advice::ok(format!("{entries} entries, chain whole")));
        Ok(told)
    });
    let reach = |error: StoreError| vec![Advice::fault(error.to_string(), "start the server, or mend [store]")];
    Some(("postgresql", told.unwrap_or_else(reach)))
}

/// What about the cluster may lose data, and how far the readers are.
fn kafka(settings: &Settings) -> Option<Checked> {
    let config = settings.kafka.as_ref()?;
    let stored = match &settings.store {
        Some(url) => Postgres::open_read_only(url).and_then(|store| store.positions()),
        None => Sqlite::open_read_only(&settings.data).and_then(|store| store.positions()),
    };
    let told = match inspect_kafka(config, &stored.unwrap_or_default()) {
        Ok(found) if found.is_empty() => vec![Advice::ok("brokers and topics keep what they take")],
        Ok(found) => {
            let one = |one: crate::intake::kafka::Advice| {
                let (what, to_do) = one.text.split_once("; ").map_or((one.text.as_str(), "see the guide"), |both| both);
                let what = format!("{}: {what}", one.about);
                if one.grave { Advice::fault(what, to_do) } else { Advice::warning(what, to_do) }
            };
            found.into_iter().map(one).collect()
        }
        Err(error) => vec![Advice::fault(error.to_string(), "start the brokers, or mend [kafka]")],
    };
    Some(("kafka", told))
}

/// Store, invariants, lag. Index first, streams last: a process beside goes on meanwhile.
fn ledger(settings: &Settings) -> anyhow::Result<Vec<Checked>> {
    let data = &settings.data;
    let running = host::running(data);
    let index = match Writer::positions_in(&data.join("index")) {
        Ok(index) => index,
        Err(error) => return Ok(vec![("index", vec![Advice::fault(error.to_string(), "mend the disk or its modes")])]),
    };
    let store = match Sqlite::open_read_only(data) {
        Ok(store) => store,
        Err(error) => {
            let what = format!("no ledger can be read in {}: {error}", data.display());
            let to_do = "give the right folder with --data, start `yuqing run` once, or restore a backup";
            return Ok(vec![("ledger", vec![Advice::fault(what, to_do)])]);
        }
    };
    let pages = match store.check_pages() {
        Ok(()) => Advice::ok("every page of the database is whole"),
        Err(error) => Advice::fault(error.to_string(), "stop the process and restore the last backup"),
    };
    let picture = Picture::read(&store, None)?;
    // A segment that is being written may look broken for a moment.
    let streams = backup::extent_of_intake(data).or_else(|_| backup::extent_of_intake(data));
    let mut found = vec![("ledger", vec![pages])];
    let streams = match streams {
        Ok(streams) => streams,
        Err(error) => {
            let to_do = "the disk has lost what was durable: restore the log from a copy, then start again";
            found.push(("intake-log", vec![Advice::fault(error.to_string(), to_do)]));
            Vec::new()
        }
    };
    let lag = lag(running, &picture, &index, streams.first().map(|stream| stream.end));
    let broken = picture.judge(&Facts { index: Some(index), streams, ..Facts::default() });
    for invariant in Invariant::ALL {
        let of = broken.iter().filter(|one| one.invariant == invariant);
        let mut told: Vec<Advice> = of.map(|one| Advice::fault(&one.detail, what_to_do(invariant))).collect();
        if told.is_empty() {
            let what = match invariant {
                Invariant::Audit => format!("holds; {} entries, chain whole", picture.entries()),
                _ => "holds".to_owned(),
            };
            told.push(Advice::ok(what));
        }
        found.push((invariant.name(), told));
    }
    found.push(("lag", lag));
    Ok(found)
}

fn what_to_do(invariant: Invariant) -> &'static str {
    match invariant {
        Invariant::Conservation => "bring the missing part of the stream back, or restore the last backup",
        Invariant::Position => "stop the process and restore the last backup",
        Invariant::Once | Invariant::Alert | Invariant::Outbox | Invariant::Clock => {
            "keep a copy of the data folder, restart; if it stays, restore the last backup and report it"
        }
        Invariant::Index => {
            "stop the process, move the folder `index` away and start: it is made from the stream again"
        }
        Invariant::Audit => "somebody or something changed the ledger: keep it as it is, restore the last backup",
    }
}

fn lag(running: bool, picture: &Picture, index: &Positions, end: Option<u64>) -> Vec<Advice> {
    let mut told = Vec::new();
    let house = if running { "a process runs" } else { "no process runs" };
    let decided = picture.positions().total();
    let unread = end.map_or(0, |end| end.saturating_sub(decided));
    told.push(match unread {
        _ if !running && unread > 0 => {
            Advice::warning(format!("{house}; {unread} records wait in the intake log"), "start `yuqing run`")
        }
        LAG.. => Advice::warning(
            format!("{house}; the desk is {unread} records behind the intake log"),
            "look at the load and the disk of this machine; what is there is not lost",
        ),
        _ => Advice::ok(format!("{house}; the desk is {unread} records behind the intake log")),
    });
    let unindexed = decided.saturating_sub(index.total());
    told.push(if unindexed < LAG {
        Advice::ok(format!("search is {unindexed} records behind the ledger"))
    } else {
        let what = format!("search is {unindexed} records behind the ledger");
        Advice::warning(what, "it catches up by itself; if it does not, look for errors of the index in the log")
    });
    told
}

fn index_checksum(data: &Path) -> Advice {
    let to_do = "stop the process and start it: broken days are moved aside and made from the stream again";
    // A file may be merged away while it is read, once, but not every time.
    let whole = |found: &Result<Vec<String>, _>| found.as_ref().is_ok_and(Vec::is_empty);
    let verify = || Writer::verify(&data.join("index"));
    let mut found = verify();
    for _ in 1..LOOKS {
        if whole(&found) {
            break;
        }
        found = verify();
    }
    match found {
        Ok(bad) if bad.is_empty() => Advice::ok("every byte of the index fits its checksum"),
        Ok(bad) => Advice::fault(format!("days of the index are broken: {}", bad.join("; ")), to_do),
        Err(error) => Advice::fault(error.to_string(), to_do),
    }
}

fn space(settings: &Settings) -> Vec<Advice> {
    let limits = &settings.disk;
    let Some(free) = disk::free(&settings.data) else {
        return vec![Advice::warning("free disk space cannot be read", "install `df` (coreutils)")];
    };
    let (mb, to_do) = (free >> 20, "make room: it goes on by itself; see what grows with `du`");
    let ballast = settings.data.join("ballast").exists() || limits.ballast == 0;
    let mut told = vec![if free < limits.stop_below {
        Advice::fault(format!("{mb} MiB free: below the second limit, the ballast is given up"), to_do)
    } else if free < limits.pause_below {
        Advice::fault(format!("{mb} MiB free: below the first limit, mentions wait outside"), to_do)
    } else if free < 2 * limits.pause_below {
        Advice::warning(format!("{mb} MiB free: less than twice the first limit"), "make room before it is reached")
    } else {
        Advice::ok(format!("{mb} MiB free"))
    }];
    if !ballast && settings.data.join("ledger.sqlite").exists() {
        told.push(Advice::warning("there is no ballast", "it is laid by a running process as soon as there is room"));
    }
    told
}

/// Years the calendar has days off for: this one and the next.
fn calendar(settings: &Settings, today: Day) -> Vec<Advice> {
    let year = i32::from(today.start().shanghai().year());
    let file = settings.sources.get("calendar.csv").map(String::as_str).unwrap_or_default();
    let has = |year: i32| file.lines().any(|line| line.starts_with(&format!("{year}-")));
    let to_do = "add the days of the State Council's notice to dictionaries/calendar.csv";
    [year, year + 1]
        .map(|year| match has(year) {
            true => Advice::ok(format!("holidays of {year} are known")),
            false => Advice::warning(format!("holidays of {year} are not known"), to_do),
        })
        .into()
}

fn channels(settings: &Settings) -> Vec<Advice> {
    let mut told = Vec::new();
    for level in [Level::L3, Level::L4] {
        let reached = settings.channels.for_level(level);
        told.push(if reached.is_empty() {
            let to_do = "add [[channels]] with this level to the settings";
            Advice::fault(format!("{level:?} is sent to nobody"), to_do)
        } else {
            Advice::ok(format!("{level:?} is sent to {}", reached.join(", ")))
        });
    }
    if settings.public_url.is_none() {
        let to_do = "set public_url in [outlet] to the address people reach the console by";
        told.push(Advice::warning("notices carry no one-tap link", to_do));
    }
    if settings.open_intake {
        let to_do =
            "set open = false in [intake] and give each collector a token: `yuqing user token NAME --role intake`";
        told.push(Advice::warning("mentions come in without a token", to_do));
    }
    told
}

/// Prints findings; exit code 1 where there is a fault.
pub fn report(found: &[Checked], json: bool) -> u8 {
    let all = || found.iter().flat_map(|(check, told)| told.iter().map(move |one| (check, one)));
    let count = |severity| all().filter(|(_, one)| one.severity == severity).count();
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    let width = found.iter().map(|(check, _)| check.len()).max().unwrap_or(0);
    for (check, one) in all() {
        if json {
            let (severity, what, what_to_do) = (one.severity, &one.what, &one.what_to_do);
            say(
                &json!({"type": "finding", "check": check, "severity": severity, "what": what, "what_to_do": what_to_do}),
            );
            continue;
        }
        let mark = match one.severity {
            Severity::Ok => "ok     ",
            Severity::Warning => "WARNING",
            Severity::Fault => "FAULT  ",
        };
        println!("{mark}  {check:width$}  {}", one.what);
        if !one.what_to_do.is_empty() {
            println!("{:width$}  -> {}  ({GUIDE}#{check})", "", one.what_to_do, width = width + 9);
        }
    }
    if json {
        say(&json!({"type": "summary", "faults": faults, "warnings": warnings}));
    } else {
        println!("{faults} faults, {warnings} warnings");
    }
    u8::from(faults > 0)
}
