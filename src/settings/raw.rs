//! Settings as written: one struct a section, unknown fields are errors, and each section remembers where it stands so
//! that a later fault can name its line.

use crate::assess::Level;
use crate::duty::plan::{ChannelPlan, OfficerRaw as OfficerPlan, PlanRaw};
use crate::intake::kafka::KafkaConfig;
use crate::lexicon::Fault;
use crate::outlet::{ChannelRaw, OutletRaw};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// `[intake]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntakeRaw {
    /// Watched folder, under `data`.
    pub inbox: Option<String>,
    /// Mentions come in without a token.
    pub open: bool,
}

/// `[index]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexRaw {
    /// Milliseconds between commits.
    pub commit_ms: u64,
    /// MiB of the shard writers' buffers.
    pub memory_mb: usize,
}

impl Default for IndexRaw {
    fn default() -> IndexRaw {
        IndexRaw { commit_ms: 1_000, memory_mb: 192 }
    }
}

/// `[disk]`, in MiB.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskRaw {
    /// Below this much free space mentions wait outside.
    pub pause_below_mb: u64,
    /// Below this much the ballast is given up.
    pub stop_below_mb: u64,
    /// Reserve for the ledger.
    pub ballast_mb: u64,
}

impl Default for DiskRaw {
    /// Two GiB: a day of a large city's mentions, or all bodies at the doors with an index merge beside them. Half a
    /// GiB: the merges that are under way. 64 MiB: twenty thousand ledger entries with their write-ahead log.
    fn default() -> DiskRaw {
        DiskRaw { pause_below_mb: 2_048, stop_below_mb: 512, ballast_mb: 64 }
    }
}

/// `[keep]`, in days.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepRaw {
    /// Records of the intake log after everything has passed them.
    pub stream_days: u32,
    /// Mentions in the index.
    pub index_days: u32,
    /// Evidence after its incident ended.
    pub evidence_days: u32,
}

impl Default for KeepRaw {
    /// Texts that no incident rests on for 30 days, linked ones 180 days past the end (public-trust rule 6).
    fn default() -> KeepRaw {
        KeepRaw { stream_days: 7, index_days: 30, evidence_days: 180 }
    }
}

/// `[duty]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DutyRaw {
    /// Minutes an acknowledgement holds.
    pub ack_minutes: u32,
    /// Minutes from the raising to each step after the first.
    pub ladder_minutes: Vec<u32>,
}

impl Default for DutyRaw {
    fn default() -> DutyRaw {
        DutyRaw { ack_minutes: 15, ladder_minutes: vec![5, 10, 15] }
    }
}

/// `[[officers]]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficerRaw {
    /// Name.
    pub name: String,
    /// Role on the roster, for people.
    #[serde(default)]
    pub role: String,
    /// Names of channels.
    #[serde(default)]
    pub channels: Vec<String>,
}

/// `[store]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreRaw {
    /// `postgres://…`; left out, the store is SQLite in the data folder.
    pub url: Option<String>,
    /// File that holds the url, so that its password stands in no settings file.
    pub url_file: Option<String>,
}

/// `[desk]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeskRaw {
    /// Name of this process among desks; left out, the host's name and the process number.
    pub holder: Option<String>,
    /// Milliseconds for which the lead holds without being renewed.
    pub lease_ms: i64,
}

impl Default for DeskRaw {
    fn default() -> DeskRaw {
        DeskRaw { holder: None, lease_ms: 6_000 }
    }
}

/// All sections.
#[derive(Clone, Default)]
pub struct Raw {
    /// Folder of everything kept.
    pub data: Option<String>,
    /// Folder of the city.
    pub dictionaries: Option<String>,
    /// Address and port.
    pub listen: Option<String>,
    /// `[intake]`.
    pub intake: IntakeRaw,
    /// `[index]`.
    pub index: IndexRaw,
    /// `[disk]`.
    pub disk: DiskRaw,
    /// `[keep]`.
    pub keep: KeepRaw,
    /// `[duty]`.
    pub duty: DutyRaw,
    /// `[[officers]]`.
    pub officers: Vec<OfficerRaw>,
    /// `[outlet]`.
    pub outlet: OutletRaw,
    /// `[[channels]]`.
    pub channels: Vec<ChannelRaw>,
    /// `[kafka]`.
    pub kafka: Option<KafkaConfig>,
    /// `[store]`.
    pub store: StoreRaw,
    /// `[desk]`.
    pub desk: DeskRaw,
    places: BTreeMap<String, (String, usize)>,
}

impl Raw {
    /// The plan of duty as the sections give it.
    pub fn plan(&self) -> PlanRaw {
        let levels =
            |channel: &ChannelRaw| channel.levels.clone().unwrap_or_else(|| vec![Level::L2, Level::L3, Level::L4]);
        // A channel that nothing defines is told as a fault of the officer, with its line; here it is passed over.
        let known = |name: &&String| self.channels.iter().any(|channel| channel.name == **name);
        let reached = |one: &OfficerRaw| one.channels.iter().filter(known).cloned().collect::<Vec<String>>();
        PlanRaw {
            // Who has no channel cannot be called: their step of the ladder is skipped, and said so.
            officers: self
                .officers
                .iter()
                .map(|one| OfficerPlan { name: one.name.clone(), channels: reached(one) })
                .filter(|one| !one.channels.is_empty())
                .collect(),
            roster: self
                .officers
                .iter()
                .map(|one| if reached(one).is_empty() { String::new() } else { one.name.clone() })
                .collect(),
            ladder_minutes: [Level::L3, Level::L4].map(|level| (level, self.duty.ladder_minutes.clone())).into(),
            acknowledgement_minutes: self.duty.ack_minutes,
            channels: self
                .channels
                .iter()
                .map(|one| ChannelPlan { name: one.name.clone(), levels: levels(one), officer: one.officer.clone() })
                .collect(),
            ..PlanRaw::default()
        }
    }

    /// File and line of a section.
    pub fn place(&self, section: &str) -> (String, usize) {
        self.places.get(section).cloned().unwrap_or_else(|| ("pipelines/local.toml".to_owned(), 0))
    }
}

/// Reads one file over `raw`; gives its faults.
pub fn read(file: &str, text: &str, raw: &mut Raw) -> Vec<Fault> {
    let mut faults = Vec::new();
    let fault =
        |at: usize, detail: &str| Fault { file: file.to_owned(), line: line_of(text, at), detail: detail.to_owned() };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => return vec![fault(error.span().map_or(0, |span| span.start), error.message())],
    };
    for (key, value) in table {
        let at = value.span().start;
        let name = key.get_ref().to_string();
        raw.places.insert(name.clone(), (file.to_owned(), line_of(text, key.span().start)));
        let result = match name.as_str() {
            "data" => set(value).map(|it| raw.data = it),
            "dictionaries" => set(value).map(|it| raw.dictionaries = it),
            "listen" => set(value).map(|it| raw.listen = it),
            "intake" => set(value).map(|it| raw.intake = it),
            "index" => set(value).map(|it| raw.index = it),
            "disk" => set(value).map(|it| raw.disk = it),
            "keep" => set(value).map(|it| raw.keep = it),
            "duty" => set(value).map(|it| raw.duty = it),
            "outlet" => set(value).map(|it| raw.outlet = it),
            "store" => set(value).map(|it| raw.store = it),
            "desk" => set(value).map(|it| raw.desk = it),
            "kafka" => set(value).map(|it| raw.kafka = Some(it)),
            "officers" => each(value, &mut faults, &fault).map(|all| raw.officers = all),
            "channels" => each(value, &mut faults, &fault).map(|all| raw.channels = all),
            _ => {
                faults.push(fault(key.span().start, &format!("unknown section or setting `{name}`")));
                Ok(())
            }
        };
        if let Err(error) = result {
            faults.push(fault(error.span().map_or(at, |span| span.start), error.message()));
        }
    }
    faults
}

fn set<'de, T: Deserialize<'de>>(value: Spanned<DeValue<'de>>) -> Result<T, toml::de::Error> {
    T::deserialize(value.into_deserializer())
}

/// Every element of an array of tables by itself, so that one bad one does not hide the next.
fn each<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    faults: &mut Vec<Fault>,
    fault: &dyn Fn(usize, &str) -> Fault,
) -> Result<Vec<T>, toml::de::Error> {
    let at = value.span().start;
    let DeValue::Array(items) = value.into_inner() else {
        faults.push(fault(at, "must be written as [[…]]"));
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for item in items {
        let at = item.span().start;
        match set(item) {
            Ok(one) => all.push(one),
            Err(error) => faults.push(fault(error.span().map_or(at, |span| span.start), error.message())),
        }
    }
    Ok(all)
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1
}
