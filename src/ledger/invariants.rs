//! What must always hold, I1 to I8, in one place for tests, `yuqing doctor` and metrics. The stream is the truth for
//! mentions; the store holds what was decided.
//!
//! Flows in: a [`Picture`] of a store, and [`Facts`] from outside it. Flows out: what does not hold. Beside a running
//! process, read the index's positions before the picture and the streams' ends after it: then none of them seems to be
//! ahead of what it follows.

use super::{Position, Positions, Store, StoreError};
use crate::duty::event::{Entry, Event};
use crate::duty::view::ClockState;
use crate::duty::{State, Verdict};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Entries read at once: bounds memory.
const PAGE: usize = 4_096;
/// Evidence looked at of one incident: more than is ever kept.
const EVIDENCE: usize = 1_000;
/// Dead letters looked at, the newest.
const LETTERS: usize = 100_000;

/// The eight invariants: a closed list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Invariant {
    /// I1: every record up to a position was read, and what was refused of them is kept once.
    Conservation,
    /// I2: nothing that follows a position is ahead of it.
    Position,
    /// I3: nothing is decided twice.
    Once,
    /// I4: every incident is planned for, and its notices are numbered without a gap.
    Alert,
    /// I5: every notice is delivered, given up with a reason, or due.
    Outbox,
    /// I6: every running deadline is on the agenda, and none has passed unseen.
    Clock,
    /// I7: the index holds what was decided on and nothing else.
    Index,
    /// I8: the chain of hashes is whole, reaches at least as far as it was told to, and evidence is what was kept.
    Audit,
}

impl Invariant {
    /// All, in order.
    pub const ALL: [Invariant; 8] = [
        Invariant::Conservation,
        Invariant::Position,
        Invariant::Once,
        Invariant::Alert,
        Invariant::Outbox,
        Invariant::Clock,
        Invariant::Index,
        Invariant::Audit,
    ];

    /// Its name for programs and documents: `i1-conservation`.
    pub fn name(self) -> &'static str {
        match self {
            Invariant::Conservation => "i1-conservation",
            Invariant::Position => "i2-position",
            Invariant::Once => "i3-once",
            Invariant::Alert => "i4-alert",
            Invariant::Outbox => "i5-outbox",
            Invariant::Clock => "i6-clock",
            Invariant::Index => "i7-index",
            Invariant::Audit => "i8-audit",
        }
    }
}

/// Something that does not hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Violation {
    /// What.
    pub invariant: Invariant,
    /// Where and how, without any text of a mention.
    pub detail: String,
}

/// One partition as its stream has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Stream, partition, and the offset of the first record that is still there.
    pub first: Position,
    /// The offset of the next record.
    pub end: u64,
}

/// What the store cannot know by itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts {
    /// Positions of the index; `None` where there is none to look at.
    pub index: Option<Positions>,
    /// The streams; a partition that is not here is not judged.
    pub streams: Vec<Extent>,
    /// Up to when the house says that it has looked at every deadline.
    pub settled: Option<Instant>,
    /// Number and hash of an entry that left the host: an export or a backup.
    pub exported: Option<(u64, String)>,
}

/// A store read through once.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    state: State,
    /// What reading the entries one after the other showed.
    found: Vec<Violation>,
    /// Hash of each entry that somebody may ask for is not kept: only the one of `exported`, by number.
    hashes: BTreeMap<u64, String>,
    entries: u64,
    letters: Vec<(Position, u64)>,
    checkpoint: Option<Positions>,
    positions: Positions,
}

/// Everything that does not hold; nothing where all is well.
pub fn check(store: &dyn Store, facts: &Facts) -> Result<Vec<Violation>, StoreError> {
    let picture = Picture::read(store, facts.exported.as_ref().map(|(seq, _)| *seq))?;
    Ok(picture.judge(facts))
}

impl Picture {
    /// Reads the store through; `keep` names an entry whose hash will be asked for. A chain that is broken is part of the
    /// picture; only a store that fails is an error.
    pub fn read(store: &dyn Store, keep: Option<u64>) -> Result<Picture, StoreError> {
        let mut picture = Picture::default();
        match store.verify() {
            Err(StoreError::Broken { seq, detail }) => {
                // Entries past the break cannot be trusted, nor always read: what they say is not judged.
                picture.violate(Invariant::Audit, format!("entry {seq} is not what was written: {detail}"));
                return Ok(picture);
            }
            other => other?,
        };
        let mut after = 0;
        let mut planned = BTreeSet::new();
        loop {
            let page = store.entries(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for entry in &page {
                if let Event::EscalationPlanned { incident, .. } = &entry.event {
                    planned.insert(incident.clone());
                }
                if keep == Some(entry.seq) {
                    picture.hashes.insert(entry.seq, entry.hash.clone());
                }
                picture.take(entry);
            }
        }
        picture.entries = after;
        let raised: Vec<String> = picture.state.incidents.keys().cloned().collect();
        for incident in raised {
            if !planned.contains(&incident) {
                picture.violate(Invariant::Alert, format!("{incident} was raised, and nobody is planned to be called"));
            }
            picture.weigh_evidence(store, &incident)?;
        }
        picture.letters = store.dead_letters(LETTERS)?.into_iter().map(|one| (one.position, one.line)).collect();
        picture.checkpoint = store.checkpoint()?.map(|kept| kept.positions);
        picture.positions = store.positions()?;
        Ok(picture)
    }

    /// Entries of the ledger.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Positions of the store.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The state of duty, folded.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Holds the eight invariants against the facts.
    pub fn judge(&self, facts: &Facts) -> Vec<Violation> {
        let mut found = self.found.clone();
        found.extend(conservation(self, facts));
        found.extend(position(self, facts));
        found.extend(outbox(self));
        found.extend(clock(self, facts));
        found.extend(index(self, facts));
        found.extend(audit(self, facts));
        found.sort();
        found
    }

    fn violate(&mut self, invariant: Invariant, detail: String) {
        self.found.push(Violation { invariant, detail });
    }

    /// Looks at an entry before the state takes it in.
    fn take(&mut self, entry: &Entry) {
        let seq = entry.seq;
        match &entry.event {
            Event::IncidentRaised { incident, finding } => {
                if self.state.incidents.contains_key(incident) {
                    self.violate(Invariant::Once, format!("entry {seq} raises {incident} again"));
                }
                let standing = finding.topic.and_then(|topic| self.state.topics.get(&topic));
                let open = standing.filter(|id| self.state.incidents.get(*id).is_some_and(|one| one.status.is_open()));
                if let Some(open) = open.cloned() {
                    let detail = format!("entry {seq} raises {incident} for a topic that {open} stands for");
                    self.violate(Invariant::Once, detail);
                }
            }
            Event::NoticeDecided { notice } => {
                let known = self.state.notices.get(&notice.incident).map_or(0, Vec::len);
                let bare = notice.incident.strip_prefix("I-").unwrap_or(&notice.incident);
                if self.state.deliveries.contains_key(&notice.key) {
                    self.violate(Invariant::Once, format!("entry {seq} decides notice {} again", notice.key));
                } else if notice.key != format!("N-{bare}-{}", known + 1) {
                    let detail = format!("notice {} is the {}. of {}", notice.key, known + 1, notice.incident);
                    self.violate(Invariant::Alert, detail);
                }
                if !self.state.incidents.contains_key(&notice.incident) {
                    self.violate(Invariant::Alert, format!("notice {} is about no incident", notice.key));
                }
            }
            Event::NoticeAttempted { key, attempt, .. } => match self.state.deliveries.get(key) {
                None => {
                    self.violate(Invariant::Outbox, format!("entry {seq} tries notice {key}, which nobody decided"))
                }
                Some(before) if *attempt != before.attempts + 1 => {
                    let detail = format!("attempt {attempt} of {key} follows attempt {}", before.attempts);
                    self.violate(Invariant::Outbox, detail);
                }
                Some(before) if before.verdict == Some(Verdict::Accepted) => {
                    self.violate(Invariant::Outbox, format!("notice {key} is tried again after it was accepted"));
                }
                Some(_) => {}
            },
            _ => {}
        }
        self.state.absorb(entry);
    }

    fn weigh_evidence(&mut self, store: &dyn Store, incident: &str) -> Result<(), StoreError> {
        for piece in store.evidence(incident, EVIDENCE)? {
            let text = serde_json::from_str::<serde_json::Value>(&piece.body).ok();
            let text = text.as_ref().and_then(|body| body["text"].as_str()).unwrap_or_default();
            use sha2::Digest;
            let hash: String = sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            if hash != piece.hash {
                let detail = format!("evidence {} of {incident} is not what was kept", piece.mention);
                self.violate(Invariant::Audit, detail);
            }
        }
        Ok(())
    }
}

fn violation(invariant: Invariant) -> impl Fn(String) -> Violation {
    move |detail| Violation { invariant, detail }
}

/// I1: the store's position lies within what the stream has, so that every record before it was there to be read and
/// every one after it still is; each dead letter stands before the position, once.
pub fn conservation(picture: &Picture, facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for Extent { first, end } in &facts.streams {
        let at = picture.positions.next(&first.stream, first.partition);
        let name = format!("{}/{}", first.stream, first.partition);
        // A partition that was never read has no position: it begins at its first record.
        let never =
            picture.positions.iter().all(|one| (&one.stream, one.partition) != (&first.stream, first.partition));
        if at < first.offset && !never {
            found.push(format!("records {at} to {} of {name} are gone before they were read", first.offset));
        }
        if at > *end {
            found.push(format!("{name} ends at {end}, and {at} records were decided on: its end was lost"));
        }
    }
    let mut seen = BTreeSet::new();
    for (record, line) in &picture.letters {
        let name = format!("{}/{}", record.stream, record.partition);
        if !picture.positions.passed(record) {
            found.push(format!("record {} of {name} was refused before it was read", record.offset));
        }
        if !seen.insert((record, line)) {
            found.push(format!("record {} of {name} is refused twice", record.offset));
        }
    }
    found.into_iter().map(violation(Invariant::Conservation)).collect()
}

/// I2: the topics' checkpoint is not ahead of the position that the same decisions rest on.
pub fn position(picture: &Picture, _facts: &Facts) -> Vec<Violation> {
    let ahead = picture.checkpoint.iter().flat_map(Positions::iter);
    let ahead = ahead.filter(|kept| kept.offset > picture.positions.next(&kept.stream, kept.partition));
    let detail = ahead.map(|kept| format!("the topics stand at {} of {}/{}", kept.offset, kept.stream, kept.partition));
    detail.map(|text| format!("{text}, past the position of the store")).map(violation(Invariant::Position)).collect()
}

/// I5: what is neither accepted nor given up is due at some instant, and nothing else is.
pub fn outbox(picture: &Picture) -> Vec<Violation> {
    let due: BTreeSet<&String> = picture.state.pending.iter().map(|(_, key)| key).collect();
    let mut found = Vec::new();
    for (key, delivery) in &picture.state.deliveries {
        if delivery.next.is_some() != due.contains(key) {
            found.push(format!("notice {key} is due and not due at once"));
        }
        let over = matches!(delivery.verdict, Some(Verdict::Accepted));
        if over && delivery.next.is_some() {
            found.push(format!("notice {key} was accepted and is due still"));
        }
    }
    found.into_iter().map(violation(Invariant::Outbox)).collect()
}

/// I6: whatever an incident has running stands on the agenda, and nothing on it lies before `settled`.
pub fn clock(picture: &Picture, facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (id, incident) in &picture.state.incidents {
        let Some(due) = incident.next_due() else { continue };
        if !picture.state.agenda.contains(&(due, id.clone())) {
            found.push(format!("{id} has something due at {due} that is on no agenda"));
        }
        let overdue = incident.clocks.values().any(|clock| clock.state == ClockState::Running && clock.due == due);
        if facts.settled.is_some_and(|settled| due < settled) {
            let what = if overdue { "a clock" } else { "a step" };
            found.push(format!("{what} of {id} was due at {due} and nobody noticed"));
        }
    }
    found.into_iter().map(violation(Invariant::Clock)).collect()
}

/// I7: the index is not ahead of the store, and what it lacks is still in the stream.
pub fn index(picture: &Picture, facts: &Facts) -> Vec<Violation> {
    let Some(index) = &facts.index else { return Vec::new() };
    let mut found = Vec::new();
    for at in index.iter() {
        let decided = picture.positions.next(&at.stream, at.partition);
        if at.offset > decided {
            let name = format!("{}/{}", at.stream, at.partition);
            found.push(format!("the index holds {} records of {name}, the store decided on {decided}", at.offset));
        }
    }
    for Extent { first, .. } in &facts.streams {
        let held = index.next(&first.stream, first.partition);
        if held > 0 && held < first.offset {
            let name = format!("{}/{}", first.stream, first.partition);
            found.push(format!("records {held} to {} of {name} are gone before they were indexed", first.offset));
        }
    }
    found.into_iter().map(violation(Invariant::Index)).collect()
}

/// I8: the ledger reaches at least to the entry that left the host, and that entry is the same.
pub fn audit(picture: &Picture, facts: &Facts) -> Vec<Violation> {
    let Some((seq, hash)) = facts.exported.as_ref().filter(|(seq, _)| *seq > 0) else { return Vec::new() };
    let detail = match picture.hashes.get(seq) {
        Some(same) if same == hash => return Vec::new(),
        Some(_) => format!("entry {seq} is not the one that was exported"),
        None => format!("the ledger ends at entry {}, but entry {seq} was exported", picture.entries),
    };
    vec![violation(Invariant::Audit)(detail)]
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
