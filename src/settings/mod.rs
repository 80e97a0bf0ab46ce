//! Settings in two levels: raw as written, checked as meant. All faults are told at once, with file and line.
//!
//! Flows in: the text of one or more TOML files, later over earlier, and `dictionaries/`. Flows out: [`Settings`], or
//! every fault. Knows no channel: what a section means is checked by the room that owns it.

mod dictionaries;
mod raw;

pub use dictionaries::read_dictionaries;
pub use raw::{Raw, read};

use crate::duty::plan::{self, Plan};
use crate::intake::kafka::KafkaConfig;
use crate::lexicon::{Fault, Sources};
use crate::outlet::Channels;
use crate::time::Span;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The default pipeline, for a program started outside its repository.
pub const LOCAL: &str = include_str!("../../pipelines/local.toml");

/// Limits of free disk space, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    /// Below this mentions wait outside.
    pub pause_below: u64,
    /// Below this the ballast is given up.
    pub stop_below: u64,
    /// Reserve for the ledger.
    pub ballast: u64,
}

/// How long what is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Records of the intake log after everything has passed them.
    pub stream: Span,
    /// Mentions in the index.
    pub index: Span,
    /// Evidence after its incident ended.
    pub evidence: Span,
}

/// Largest number of MiB in the settings: a pebibyte; beyond it a number is a slip of the pen.
const MOST_MB: u64 = 1 << 30;

/// Settings as meant.
#[derive(Clone)]
pub struct Settings {
    /// Everything the program keeps.
    pub data: PathBuf,
    /// The files of the city.
    pub sources: Sources,
    /// The one port.
    pub listen: SocketAddr,
    /// Watched folder.
    pub inbox: PathBuf,
    /// Mentions come in without a token.
    pub open_intake: bool,
    /// Milliseconds between index commits.
    pub index_commit_ms: u64,
    /// Bytes of the shard writers' buffers.
    pub index_memory: usize,
    /// Limits of free disk space.
    pub disk: Disk,
    /// How long what is kept.
    pub keep: Keep,
    /// Who is called and when.
    pub plan: Plan,
    /// Where notices go.
    pub channels: Arc<Channels>,
    /// Officers: role, name.
    pub on_duty: Vec<(String, String)>,
    /// What people reach the console by.
    pub public_url: Option<String>,
    /// Address of PostgreSQL with its password; SQLite in the data folder without one.
    pub store: Option<String>,
    /// Kafka, where the stream is there.
    pub kafka: Option<KafkaConfig>,
    /// How a desk takes part in the lead; holder and milliseconds.
    pub lead: (String, i64),
}

/// What the command line lays over the files.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--open-intake`.
    pub open_intake: bool,
}

/// Reads and checks settings files; the embedded default where `files` is empty and there is no `pipelines/local.toml`.
pub fn load(files: &[PathBuf], overrides: &Overrides) -> Result<Settings, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut raw = Raw::default();
    let default = PathBuf::from("pipelines/local.toml");
    let listed: Vec<PathBuf> = if files.is_empty() && default.is_file() { vec![default] } else { files.to_vec() };
    if listed.is_empty() {
        faults.extend(read("pipelines/local.toml", LOCAL, &mut raw));
    }
    for file in &listed {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => faults.extend(read(&name, &text, &mut raw)),
            Err(error) => faults.push(Fault { file: name, line: 0, detail: format!("cannot be read: {error}") }),
        }
    }
    check(raw, overrides, faults)
}

/// Faults of `[disk]` and `[keep]`.
fn room(raw: &Raw) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let (disk, keep) = (&raw.disk, &raw.keep);
    if disk.stop_below_mb >= disk.pause_below_mb || disk.pause_below_mb > MOST_MB {
        faults.push(("disk", format!("stop_below_mb must be less than pause_below_mb, that at most {MOST_MB}")));
    }
    if disk.ballast_mb > MOST_MB {
        faults.push(("disk", format!("ballast_mb must be at most {MOST_MB}")));
    }
    if !(7..=3_650).contains(&keep.stream_days) {
        faults.push(("keep", "stream_days must be from 7 to 3650: a lost index is read from it again".to_owned()));
    }
    if !(1..=3_650).contains(&keep.index_days) || !(1..=3_650).contains(&keep.evidence_days) {
        faults.push(("keep", "index_days and evidence_days must be from 1 to 3650".to_owned()));
    }
    faults
}

fn check(raw: Raw, overrides: &Overrides, mut faults: Vec<Fault>) -> Result<Settings, Vec<Fault>> {
    let mut fault = |place: &(String, usize), detail: String| {
        faults.push(Fault { file: place.0.clone(), line: place.1, detail });
    };
    let data = overrides.data.clone().unwrap_or_else(|| PathBuf::from(raw.data.as_deref().unwrap_or("data")));
    let listen_text = overrides.listen.clone().or(raw.listen.clone()).unwrap_or_else(|| "127.0.0.1:8765".to_owned());
    let listen: Option<SocketAddr> = listen_text.parse().ok();
    if listen.is_none() {
        fault(&raw.place("listen"), format!("`{listen_text}` is no address and port; write 127.0.0.1:8765"));
    }
    let open_intake = overrides.open_intake || raw.intake.open;
    if open_intake && listen.is_some_and(|addr| !addr.ip().is_loopback()) {
        fault(&raw.place("intake"), "an open intake needs a loopback listener; set listen to 127.0.0.1".to_owned());
    }
    if !(16..=4_096).contains(&raw.index.memory_mb) {
        fault(&raw.place("index"), "memory_mb must be from 16 to 4096".to_owned());
    }
    if !(50..=60_000).contains(&raw.index.commit_ms) {
        fault(&raw.place("index"), "commit_ms must be from 50 to 60000".to_owned());
    }
    room(&raw).into_iter().for_each(|(section, detail)| fault(&raw.place(section), detail));
    let public_url = raw.outlet.public_url.clone().filter(|url| !url.is_empty());
    let names: Vec<String> = raw.channels.iter().map(|channel| channel.name.clone()).collect();
    let plan = match plan::check(raw.plan()) {
        Ok(plan) => Some(plan),
        Err(details) => {
            details.into_iter().for_each(|detail| fault(&raw.place("duty"), detail));
            None
        }
    };
    for officer in &raw.officers {
        for channel in officer.channels.iter().filter(|channel| !names.contains(channel)) {
            fault(
                &raw.place("officers"),
                format!("officer `{}` names channel `{channel}`, which no [[channels]] defines", officer.name),
            );
        }
    }
    let channels = match Channels::check(
        raw.channels.clone(),
        crate::outlet::OutletRaw { public_url: public_url.clone(), ..raw.outlet.clone() },
    ) {
        Ok(channels) => Some(channels),
        Err(details) => {
            details.into_iter().for_each(|detail| fault(&raw.place("channels"), detail));
            None
        }
    };
    let store = match (&raw.store.url, &raw.store.url_file) {
        (Some(_), Some(_)) => {
            fault(&raw.place("store"), "url and url_file exclude each other".to_owned());
            None
        }
        (Some(url), None) => Some(url.clone()),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(url) => Some(url.trim().to_owned()),
            Err(error) => {
                fault(&raw.place("store"), format!("url_file {file} cannot be read: {error}"));
                None
            }
        },
        (None, None) => None,
    };
    if store.as_ref().is_some_and(|url| !url.starts_with("postgres://") && !url.starts_with("postgresql://")) {
        fault(&raw.place("store"), "url must begin with postgres://; leave it out for SQLite".to_owned());
    }
    if !(1_000..=60_000).contains(&raw.desk.lease_ms) {
        fault(&raw.place("desk"), "lease_ms must be from 1000 to 60000".to_owned());
    }
    for detail in raw.kafka.iter().flat_map(KafkaConfig::faults) {
        fault(&raw.place("kafka"), detail);
    }
    let holder = raw.desk.holder.clone().unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        host.trim().to_owned()
    });
    let folder = PathBuf::from(raw.dictionaries.as_deref().unwrap_or("dictionaries"));
    let written = raw.dictionaries.is_some() && folder.as_os_str() != "dictionaries";
    let sources = match read_dictionaries(&folder, written) {
        Ok(sources) => sources,
        Err(more) => {
            faults.extend(more);
            Sources::new()
        }
    };
    match (listen, plan, channels) {
        (Some(listen), Some(plan), Some(channels)) if faults.is_empty() => Ok(Settings {
            inbox: data.join(raw.intake.inbox.as_deref().unwrap_or("inbox")),
            data,
            sources,
            listen,
            open_intake,
            index_commit_ms: raw.index.commit_ms,
            index_memory: raw.index.memory_mb << 20,
            disk: Disk {
                pause_below: raw.disk.pause_below_mb << 20,
                stop_below: raw.disk.stop_below_mb << 20,
                ballast: raw.disk.ballast_mb << 20,
            },
            keep: Keep {
                stream: Span::days(raw.keep.stream_days.into()),
                index: Span::days(raw.keep.index_days.into()),
                evidence: Span::days(raw.keep.evidence_days.into()),
            },
            plan,
            channels: Arc::new(channels),
            on_duty: raw.officers.iter().map(|officer| (officer.role.clone(), officer.name.clone())).collect(),
            public_url,
            store,
            kafka: raw.kafka,
            lead: (holder, raw.desk.lease_ms),
        }),
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_disk_and_time_are_checked() {
        let faults = |text: &str| {
            let mut raw = Raw::default();
            assert!(read("a.toml", text, &mut raw).is_empty(), "{text}");
            room(&raw).len()
        };
        assert_eq!(faults(LOCAL), 0, "the default holds");
        assert_eq!(faults("[disk]\npause_below_mb = 100\nstop_below_mb = 100"), 1);
        assert_eq!(faults("[disk]\nballast_mb = 9000000000"), 1);
        assert_eq!(faults("[keep]\nstream_days = 6"), 1);
        assert_eq!(faults("[keep]\nindex_days = 0\nevidence_days = 0"), 1);
    }
}
