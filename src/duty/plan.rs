//! Whom duty calls, when and how: settings as written ([`PlanRaw`]) in, checked with all faults at once, a [`Plan`] out.
//! No file is read here; the shell hands the data in.

use crate::assess::Level;
use crate::duty::event::PlannedStep;
use crate::rule::{Finding, FindingKind};
use crate::time::{Instant, Span};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Longest time in a plan, minutes: a week; beyond it a number is a slip of the pen.
const LONGEST_MINUTES: u32 = 7 * 24 * 60;
/// Steps of a ladder: more than the offices there are to call.
const MOST_STEPS: usize = 16;
/// Every level, for channels that name none.
const LEVELS: [Level; 5] = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L4];

/// One channel as duty sees it: its name, what it takes, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelPlan {
    /// Name in the settings.
    pub name: String,
    /// Levels it takes; none named means all.
    #[serde(default)]
    pub levels: Vec<Level>,
    /// Officer it reaches; `None` for a group or hub.
    #[serde(default)]
    pub officer: Option<String>,
}

/// One officer as written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficerRaw {
    /// Account name.
    pub name: String,
    /// Channels that reach them.
    #[serde(default)]
    pub channels: Vec<String>,
}

/// Quiet hours as written: `HH:MM` in Shanghai; may span midnight.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietRaw {
    /// First minute.
    pub from: String,
    /// Minute after the last.
    pub to: String,
}

/// The plan as written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanRaw {
    /// Who can be called.
    pub officers: Vec<OfficerRaw>,
    /// In which order: first duty officer, second, head; an empty name is a step with nobody on duty.
    pub roster: Vec<String>,
    /// Minutes after raising at which the next step is called, by level; a level without an entry has step 0 only.
    pub ladder_minutes: BTreeMap<Level, Vec<u32>>,
    /// How long an acknowledgement holds.
    pub acknowledgement_minutes: u32,
    /// The first-notice clock.
    pub first_notice_minutes: u32,
    /// When L1 and L2 wait for the morning.
    pub quiet: Option<QuietRaw>,
    /// The channels.
    pub channels: Vec<ChannelPlan>,
}

impl Default for PlanRaw {
    fn default() -> PlanRaw {
        PlanRaw {
            officers: Vec::new(),
            roster: Vec::new(),
            ladder_minutes: BTreeMap::from([(Level::L3, vec![5, 10, 15]), (Level::L4, vec![5, 10, 15])]),
            acknowledgement_minutes: 15,
            first_notice_minutes: 120,
            quiet: None,
            channels: Vec::new(),
        }
    }
}

/// The plan as meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Channels of each officer.
    officers: BTreeMap<String, BTreeSet<String>>,
    /// Who is called at which step; `None` where nobody is on duty.
    roster: Vec<Option<String>>,
    /// Delays of the steps after the first.
    ladder: BTreeMap<Level, Vec<Span>>,
    /// How long an acknowledgement holds.
    pub(crate) acknowledgement: Span,
    /// The first-notice clock.
    pub(crate) first_notice: Span,
    /// Minutes of the day: from, to.
    quiet: Option<(u32, u32)>,
    /// Levels of every channel.
    channels: BTreeMap<String, BTreeSet<Level>>,
    /// Channels that are nobody's own.
    groups: BTreeSet<String>,
}

/// Checks a plan; all faults at once.
pub fn check(raw: PlanRaw) -> Result<Plan, Vec<String>> {
    let mut faults = Vec::new();
    let mut channels = BTreeMap::new();
    for channel in &raw.channels {
        let levels: BTreeSet<Level> =
            if channel.levels.is_empty() { LEVELS.into() } else { channel.levels.iter().copied().collect() };
        if channel.name.is_empty() {
            faults.push("a channel has no name".to_owned());
        } else if channels.insert(channel.name.clone(), levels).is_some() {
            faults.push(format!("channel {:?} stands twice", channel.name));
        }
    }
    let officers = officers(&raw, &channels, &mut faults);
    let owned: BTreeSet<&String> = officers.values().flatten().collect();
    let groups = channels.keys().filter(|name| !owned.contains(name)).cloned().collect();
    let mut roster = Vec::new();
    for name in &raw.roster {
        if name.is_empty() {
            roster.push(None);
        } else if officers.contains_key(name) {
            roster.push(Some(name.clone()));
        } else {
            faults.push(format!("roster names {name:?}, who is no officer"));
        }
    }
    let plan = Plan {
        roster,
        ladder: ladder(&raw, &mut faults),
        acknowledgement: minutes("acknowledgement_minutes", raw.acknowledgement_minutes, &mut faults),
        first_notice: minutes("first_notice_minutes", raw.first_notice_minutes, &mut faults),
        quiet: raw.quiet.as_ref().and_then(|quiet| quiet_hours(quiet, &mut faults)),
        officers,
        channels,
        groups,
    };
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

fn officers(
    raw: &PlanRaw,
    channels: &BTreeMap<String, BTreeSet<Level>>,
    faults: &mut Vec<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut officers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for officer in &raw.officers {
        if officer.name.is_empty() {
            faults.push("an officer has no name".to_owned());
        }
        for name in officer.channels.iter().filter(|name| !channels.contains_key(*name)) {
            faults.push(format!("officer {:?} has channel {name:?}, which is not in the settings", officer.name));
        }
        if officers.insert(officer.name.clone(), officer.channels.iter().cloned().collect()).is_some() {
            faults.push(format!("officer {:?} stands twice", officer.name));
        }
    }
    for channel in &raw.channels {
        let Some(owner) = &channel.officer else { continue };
        match officers.get_mut(owner) {
            Some(own) => drop(own.insert(channel.name.clone())),
            None => faults.push(format!("channel {:?} belongs to {owner:?}, who is no officer", channel.name)),
        }
    }
    for (name, _) in officers.iter().filter(|(_, own)| own.is_empty()) {
        faults.push(format!("officer {name:?} has no channel"));
    }
    officers
}

fn ladder(raw: &PlanRaw, faults: &mut Vec<String>) -> BTreeMap<Level, Vec<Span>> {
    let mut ladder = BTreeMap::new();
    for (level, delays) in &raw.ladder_minutes {
        if delays.len() >= MOST_STEPS {
            faults.push(format!("ladder of {level:?} has more than {MOST_STEPS} steps"));
        }
        if !delays.is_sorted() {
            faults.push(format!("ladder of {level:?} goes back in time"));
        }
        let field = format!("ladder_minutes of {level:?}");
        ladder.insert(*level, delays.iter().map(|delay| minutes(&field, *delay, faults)).collect());
    }
    ladder
}

fn minutes(field: &str, value: u32, faults: &mut Vec<String>) -> Span {
    if value == 0 || value > LONGEST_MINUTES {
        faults.push(format!("{field} is {value}: from 1 to {LONGEST_MINUTES}"));
    }
    Span::minutes(i64::from(value.clamp(1, LONGEST_MINUTES)))
}

fn quiet_hours(raw: &QuietRaw, faults: &mut Vec<String>) -> Option<(u32, u32)> {
    let read = |text: &str| -> Option<u32> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    match (read(&raw.from), read(&raw.to)) {
        (Some(from), Some(to)) if from != to => Some((from, to)),
        _ => {
            faults.push(format!("quiet hours {:?} to {:?}: two different times HH:MM", raw.from, raw.to));
            None
        }
    }
}

/// Someone to tell on some channel: officer (or `None` for a group) and channel.
pub(crate) type Target = (Option<String>, String);

/// The level by which a finding is paged: a person in danger is always the highest.
pub(crate) fn paging_level(finding: &Finding) -> Level {
    if finding.kind == FindingKind::PersonInDanger { Level::L4 } else { finding.level }
}

impl Plan {
    /// Where quiet hours hold something of this level at `now`: the instant at which they end.
    pub(crate) fn held_until(&self, level: Level, now: Instant) -> Option<Instant> {
        let (from, to) = self.quiet?;
        let minute = now.minute_of_day();
        let quiet = if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        if level > Level::L2 || !quiet {
            return None;
        }
        let day = now.day().start();
        let end = day + Span::minutes(i64::from(to));
        Some(if end > now { end } else { end + Span::days(1) })
    }

    /// The ladder from `base`, with absolute instants. A step with nobody on duty stands at its instant and gives it to
    /// the next as well, so nobody waits for an empty chair. Steps past the roster call everyone on it again.
    pub(crate) fn ladder(&self, finding: &Finding, base: Instant) -> Vec<PlannedStep> {
        let level = paging_level(finding);
        let everyone: BTreeSet<String> =
            self.roster.iter().flatten().filter(|name| self.reaches(name, level)).cloned().collect();
        let mut slots = vec![base];
        if finding.kind != FindingKind::Clarify && !everyone.is_empty() {
            slots.extend(self.ladder.get(&level).into_iter().flatten().map(|delay| base + *delay));
        }
        let mut steps = Vec::new();
        let mut slot = 0;
        for step in 0..slots.len() {
            let officers: Vec<String> = match self.roster.get(step) {
                Some(duty) => duty.iter().filter(|name| everyone.contains(*name)).cloned().collect(),
                None => everyone.iter().cloned().collect(),
            };
            let empty = officers.is_empty();
            steps.push(PlannedStep { at: slots[slot], officers });
            slot += usize::from(!empty);
        }
        steps
    }

    fn reaches(&self, officer: &str, level: Level) -> bool {
        !self.officer_targets(officer, level).is_empty()
    }

    /// An officer's own channels that take the level.
    pub(crate) fn officer_targets(&self, officer: &str, level: Level) -> Vec<Target> {
        let own = self.officers.get(officer).into_iter().flatten();
        own.filter(|name| self.takes(name, level)).map(|name| (Some(officer.to_owned()), name.clone())).collect()
    }

    /// Group and hub channels that take the level.
    pub(crate) fn group_targets(&self, level: Level) -> Vec<Target> {
        self.groups.iter().filter(|name| self.takes(name, level)).map(|name| (None, name.clone())).collect()
    }

    fn takes(&self, channel: &str, level: Level) -> bool {
        self.channels.get(channel).is_some_and(|levels| levels.contains(&level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_all_faults_at_once() {
        let raw: PlanRaw = toml::from_str(
            r#"
            roster = ["a", "", "ghost"]
            acknowledgement_minutes = 0
            ladder_minutes = { L4 = [10, 5] }
            quiet = { from = "22:00", to = "25:00" }
            officers = [{ name = "a", channels = ["none"] }]
            channels = [{ name = "x" }, { name = "x", officer = "b" }]
            "#,
        )
        .unwrap();
        let faults = check(raw).unwrap_err();
        assert_eq!(faults.len(), 7, "{faults:#?}");
    }

    #[test]
    fn refuses_unknown_fields() {
        assert!(toml::from_str::<PlanRaw>("rooster = []").is_err());
    }

    #[test]
    fn quiet_hours_span_midnight_and_never_touch_l3() {
        let plan = check(toml::from_str("quiet = { from = \"22:00\", to = \"07:00\" }").unwrap()).unwrap();
        let at = |text: &str| Instant::parse(text).unwrap();
        let morning = at("2026-10-02T07:00:00+08:00");
        assert_eq!(plan.held_until(Level::L2, at("2026-10-01T23:10:00+08:00")), Some(morning));
        assert_eq!(plan.held_until(Level::L1, at("2026-10-02T06:59:00+08:00")), Some(morning));
        assert_eq!(plan.held_until(Level::L2, morning), None);
        assert_eq!(plan.held_until(Level::L3, at("2026-10-01T23:10:00+08:00")), None);
    }
}
