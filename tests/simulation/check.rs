//! What must be true of a world that has come to rest, whatever went wrong on the way. Gives every fault in words.

use super::drive::Drive;
use super::stream::{STREAM, position};
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use yuqing::duty::event::{Entry, Event, Notice, Reason};
use yuqing::intake::Body;
use yuqing::ledger::Store;
use yuqing::rule::FindingKind;
use yuqing::run::desk::AnswerBody;

/// Class, district and highest level of each incident, and by which planted events it was carried.
pub type Shape = (String, Option<String>, String);

/// What the ledger says of one incident.
struct Told {
    shape: Shape,
    carried: BTreeSet<String>,
    person: bool,
}

fn incidents(entries: &[Entry]) -> BTreeMap<String, Told> {
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for entry in entries {
        let (Event::IncidentRaised { incident, finding } | Event::IncidentChanged { incident, finding }) = &entry.event
        else {
            continue;
        };
        let class = finding.classes.first().map_or("-".to_owned(), |class| format!("{class:?}"));
        let level = format!("{:?}", finding.level);
        let one = told.entry(incident.clone()).or_insert_with(|| Told {
            shape: (class, finding.place.district.clone(), level.clone()),
            carried: BTreeSet::new(),
            person: finding.kind == FindingKind::PersonInDanger,
        });
        one.shape.2 = one.shape.2.clone().max(level);
        one.carried.extend(finding.mentions.iter().cloned());
    }
    told
}

pub fn entries(drive: &Drive) -> Vec<Entry> {
    drive.disk.entries(0, usize::MAX).expect("no fault on this handle")
}

/// The incidents of a world, in order.
pub fn shapes(entries: &[Entry]) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = incidents(entries).into_values().map(|told| told.shape).collect();
    shapes.sort();
    shapes
}

/// Every fault of a world at rest.
pub fn check(drive: &mut Drive, calm: &[Shape]) -> Vec<String> {
    drive.follow();
    let entries = entries(drive);
    let mut faults = Vec::new();
    if drive.restless {
        faults.push("the world does not come to rest".to_owned());
    }
    match drive.disk.verify() {
        Ok(seq) if seq == entries.len() as u64 => {}
        other => faults.push(format!("the chain does not verify: {other:?}")),
    }
    positions(drive, &mut faults);
    letters(drive, &mut faults);
    planted(&drive.world, &entries, calm, &mut faults);
    clocks(drive, &entries, &mut faults);
    calls(&entries, &mut faults);
    notices(drive, &entries, &mut faults);
    asked(drive, &entries, &mut faults);
    faults
}

/// Each record is passed once, by whoever led then.
fn positions(drive: &Drive, faults: &mut Vec<String>) {
    let mut at: BTreeMap<i32, u64> = BTreeMap::new();
    let mut token = 0;
    for (fence, moves) in drive.disk.moves().expect("reads") {
        if fence.is_some_and(|fence| fence < token) {
            faults.push(format!("{fence:?} wrote after {token} had the lead"));
        }
        token = token.max(fence.unwrap_or(0));
        for (from, to) in moves {
            let before = at.insert(from.partition, to.offset).unwrap_or(0);
            if before != from.offset || to.offset < from.offset {
                faults.push(format!("partition {}: {before}, then {from:?} to {to:?}", from.partition));
            }
        }
    }
    for partition in 0..drive.world.partitions.len() {
        let end = drive.world.end(partition);
        let stored = drive.disk.position(STREAM, partition as i32).expect("reads");
        if !drive.world.partitions[partition].is_empty() && stored != end {
            faults.push(format!("partition {partition} ends at {end}, decided is {stored}"));
        }
    }
}

/// Refused records stand once, and were published; what was deleted left no evidence.
fn letters(drive: &Drive, faults: &mut Vec<String>) {
    let mut expected = Vec::new();
    for (partition, records) in drive.world.partitions.iter().enumerate() {
        for (n, sent) in records.iter().enumerate() {
            if matches!(sent.body, Body::Refused { .. }) {
                expected.push(position(partition, drive.world.base[partition] + n as u64));
            }
        }
    }
    let letters = drive.disk.dead_letters(usize::MAX).expect("reads");
    let mut stored: Vec<_> = letters.into_iter().map(|letter| letter.position).collect();
    stored.sort();
    expected.sort();
    if stored != expected {
        faults.push(format!("dead letters are {stored:?}, should be {expected:?}"));
    }
    let published = drive.published.lock().expect("one thread");
    faults
        .extend(expected.iter().filter(|one| !published.contains(one)).map(|one| format!("{one:?} was not published")));
    for incident in incidents(&entries(drive)).keys() {
        let kept = drive.disk.evidence(incident, usize::MAX).expect("reads");
        let gone = kept.iter().filter(|piece| drive.world.deleted.contains(&piece.mention));
        faults.extend(gone.map(|piece| format!("{incident} keeps evidence of the deleted {}", piece.mention)));
    }
}

/// Every planted event is one incident, and what is raised is what a calm day raises.
fn planted(world: &World, entries: &[Entry], calm: &[Shape], faults: &mut Vec<String>) {
    let told = incidents(entries);
    for planted in &world.planted {
        let of: Vec<_> = told
            .iter()
            .filter(|(_, told)| told.person == planted.person)
            .filter(|(_, told)| planted.ids.iter().any(|id| told.carried.contains(id)))
            .map(|(id, told)| format!("{id} {:?}", told.shape))
            .collect();
        if of.len() != 1 {
            faults.push(format!("the event of {:?} is {} incidents: {of:?}", planted.ids, of.len()));
        }
    }
    let wild = shapes(entries);
    if wild != calm {
        faults.push(format!("incidents are {wild:?}, on a calm day {calm:?}"));
    }
}

/// Nothing is due any more, and each clock and acknowledgement fell due once.
fn clocks(drive: &Drive, entries: &[Entry], faults: &mut Vec<String>) {
    let due = |at: &yuqing::time::Instant| *at <= drive.end;
    if let Some(at) = drive.state.next_due().filter(due) {
        faults.push(format!("something is due at {at} and nobody did it"));
    }
    if let Some(at) = drive.state.notice_wakeup().filter(due) {
        faults.push(format!("a notice is to be tried at {at} and was not"));
    }
    // The running clock of each incident and kind, and whether an acknowledgement runs.
    let mut running: BTreeMap<(String, String), yuqing::time::Instant> = BTreeMap::new();
    let mut held: BTreeSet<String> = BTreeSet::new();
    for entry in entries {
        match &entry.event {
            Event::ClockStarted { incident, kind, due, .. } => {
                running.insert((incident.clone(), kind.clone()), *due);
            }
            Event::ClockCancelled { incident, kind, .. } => {
                running.remove(&(incident.clone(), kind.clone()));
            }
            Event::ClockOverdue { incident, kind, due } => {
                if running.remove(&(incident.clone(), kind.clone())) != Some(*due) {
                    faults.push(format!("entry {}: {incident} {kind} fell due at {due} without running", entry.seq));
                }
                if entry.at < *due {
                    faults.push(format!("entry {}: overdue before it was due", entry.seq));
                }
            }
            Event::Acknowledged { incident, .. } => {
                held.insert(incident.clone());
            }
            Event::Confirmed { incident, .. } | Event::Dismissed { incident, .. } => {
                held.remove(incident);
            }
            Event::AcknowledgementExpired { incident } if !held.remove(incident) => {
                faults.push(format!("entry {}: {incident} expired and was not held", entry.seq));
            }
            _ => {}
        }
    }
    let left = running.iter().filter(|(_, at)| due(at));
    faults.extend(left.map(|((incident, kind), at)| format!("{incident} {kind} was due at {at}: nothing happened")));
    faults.extend(held.iter().map(|incident| format!("{incident} is acknowledged for ever")));
}

/// Each step of each ladder is called once.
fn calls(entries: &[Entry], faults: &mut Vec<String>) {
    let mut called: BTreeMap<String, u32> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::EscalationPlanned { incident, .. } => {
                called.insert(incident.clone(), 0);
            }
            Event::Escalated { incident, step, .. } => {
                let next = called.entry(incident.clone()).or_default();
                if step != next {
                    faults.push(format!("entry {}: {incident} calls step {step}, next is {next}", entry.seq));
                }
                *next = step + 1;
            }
            _ => {}
        }
    }
}

/// Every notice arrived, or stands as failing; a repeat is the same bytes under the same key; two keys are two reasons.
fn notices(drive: &Drive, entries: &[Entry], faults: &mut Vec<String>) {
    let mut decided: BTreeMap<&str, &Notice> = BTreeMap::new();
    let mut reasons: BTreeMap<_, &str> = BTreeMap::new();
    // Ladders planned, steps called and clocks come near of each incident: what makes a further notice another.
    let mut planned: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::EscalationPlanned { incident, .. } => planned.entry(incident).or_default().0 += 1,
            Event::ClockNear { incident, .. } => planned.entry(incident).or_default().1 += 1,
            Event::Escalated { incident, .. } => planned.entry(incident).or_default().2 += 1,
            Event::NoticeDecided { notice } => {
                if decided.insert(&notice.key, notice).is_some() {
                    faults.push(format!("{} was decided twice", notice.key));
                }
                let (ladders, near, calls) = planned.get(notice.incident.as_str()).copied().unwrap_or_default();
                let whom = (&notice.incident, notice.reason, &notice.officer, &notice.channel, notice.step);
                // A reminder speaks of a clock that comes near or of a step called, everything else of the ladder.
                let why = if notice.reason == Reason::Reminder { (ladders, near, calls) } else { (ladders, 0, 0) };
                if let Some(other) = reasons.insert((whom, notice.level, why), &notice.key) {
                    faults.push(format!("{} says what {other} said: {whom:?} {why:?}", notice.key));
                }
            }
            _ => {}
        }
    }
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, body) in &drive.receivers.heard {
        if decided.get(key.as_str()).is_none_or(|notice| serde_json::to_string(notice).ok().as_ref() != Some(body)) {
            faults.push(format!("{key} was heard and never so decided"));
        }
        if bodies.insert(key, body).is_some_and(|before| before != body) {
            faults.push(format!("{key} was said in two ways"));
        }
    }
    let incidents: BTreeSet<&String> = decided.values().map(|notice| &notice.incident).collect();
    let views = incidents.into_iter().filter_map(|id| drive.state.incident(id));
    for notice in views.flat_map(|view| view.notices) {
        let fair = match notice.state.as_str() {
            "accepted" => bodies.contains_key(notice.key.as_str()),
            "refused" | "misconfigured" => notice.attempts > 0,
            _ => false,
        };
        if !fair {
            faults.push(format!("{} is {} after {} attempts", notice.key, notice.state, notice.attempts));
        }
    }
}

/// Every question has its answer; what was done stands in the ledger once, what was refused does not.
fn asked(drive: &Drive, entries: &[Entry], faults: &mut Vec<String>) {
    faults.extend(drive.people.open.iter().map(|(number, mark)| format!("{mark} ({number}) was never answered")));
    let mut stands: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for entry in entries {
        let mark = match &entry.event {
            Event::Acknowledged { via, .. } => via,
            Event::Confirmed { reason, .. } | Event::Dismissed { reason, .. } => reason,
            Event::Searched { purpose, .. } => purpose,
            _ => continue,
        };
        stands.entry(mark).or_default().push(entry.seq);
    }
    let mut done: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (number, mark, answer) in &drive.people.answers {
        match answer {
            AnswerBody::Done { seq } => done.entry(mark).or_default().push(*seq),
            AnswerBody::Refused { .. } => {}
            AnswerBody::Topic { .. } => faults.push(format!("{mark} ({number}) asked for no topic")),
        }
    }
    for mark in stands.keys().chain(done.keys()).collect::<BTreeSet<_>>() {
        let (stands, done) = (stands.get(*mark), done.get(*mark));
        let fits = |stands: &Vec<u64>, done: &Vec<u64>| {
            stands.len() == done.len() && stands.iter().zip(done).all(|(stands, done)| stands <= done)
        };
        if !stands.zip(done).is_some_and(|(stands, done)| fits(stands, done)) {
            faults.push(format!("{mark} stands at {stands:?}, answered done at {done:?}"));
        }
    }
}
