//! Simulated worlds, each from one seed: late, doubled and reordered records, desks that freeze, crash and take over, a store that
//! fails before or after a call, receivers that lie, people who ask twice. At the end nothing due is untold, and nothing is told
//! twice without a reason. `YUQING_SEEDS=n` runs so many worlds, `YUQING_SEED=n` one of them with its story.

mod check;
mod drive;
mod people;
mod stream;
mod world;

use check::{check, entries, shapes};
use drive::{Drive, Spoil, Tally};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use world::{SCRIPTS, TABLES, TOWNSHIPS, World};

/// Worlds of an ordinary `cargo test`.
const SEEDS: u64 = 60;
/// Worlds among which a broken store must be found out.
const CONTROLS: u64 = 24;
/// Worlds from which on every fault must have hit.
const ENOUGH: u64 = 30;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One world: what was wrong at its end, what went wrong on its way, and the hash of its ledger.
fn live(seed: u64, spoil: Spoil, told: bool) -> (Vec<String>, Tally, String) {
    let world = Arc::new(World::of(seed));
    if told {
        world.tell();
    }
    let mut calm = Drive::calm(Arc::new(world.calm()));
    calm.run(false);
    let mut drive = Drive::wild(seed, world, spoil, told);
    drive.run(true);
    let faults = check(&mut drive, &shapes(&entries(&calm)));
    let all = entries(&drive);
    if told {
        for entry in &all {
            eprintln!("{} {} {} {:?}", entry.seq, entry.at, entry.actor, entry.event);
        }
    }
    let mut heard: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, _) in &drive.receivers.heard {
        *heard.entry(key).or_default() += 1;
    }
    let mut tally = drive.tally.clone();
    tally.0.insert("notices heard again", heard.values().map(|times| times - 1).sum());
    tally.0.insert("lies", drive.receivers.lies);
    tally.0.insert("asked twice", drive.people.repeats);
    tally.0.insert("answers", drive.people.answers.len() as u64);
    tally.0.insert("entries", all.len() as u64);
    (faults, tally, all.last().map(|entry| entry.hash.clone()).unwrap_or_default())
}

/// All worlds up to `seeds` on two threads: faults by seed, and everything that went wrong.
fn all(seeds: u64, spoil: Spoil) -> (BTreeMap<u64, Vec<String>>, Tally) {
    let next = AtomicU64::new(0);
    let found = Mutex::new((BTreeMap::new(), Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let lived = catch_unwind(AssertUnwindSafe(|| live(seed, spoil, false)));
                    let mut found = found.lock().expect("nothing panics here");
                    match lived {
                        Ok((faults, tally, _)) => {
                            for (what, times) in tally.0 {
                                *found.1.0.entry(what).or_default() += times;
                            }
                            if !faults.is_empty() {
                                found.0.insert(seed, faults);
                            }
                        }
                        Err(_) => drop(found.0.insert(seed, vec!["it panicked".to_owned()])),
                    }
                }
            });
        }
    });
    found.into_inner().expect("nothing panics here")
}

#[test]
fn worlds_come_to_the_end_they_should() {
    if let Some(seed) = number("YUQING_SEED") {
        let (faults, tally, _) = live(seed, Spoil::Nothing, true);
        eprintln!("seed {seed}: {tally:?}");
        assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
        return;
    }
    let seeds = number("YUQING_SEEDS").unwrap_or(SEEDS);
    let (failed, tally) = all(seeds, Spoil::Nothing);
    eprintln!("{seeds} worlds: {tally:?}");
    let told: Vec<String> =
        failed.iter().map(|(seed, faults)| format!("YUQING_SEED={seed}\n  {}", faults.join("\n  "))).collect();
    assert!(failed.is_empty(), "{} of {seeds} worlds ended badly\n{}", failed.len(), told.join("\n"));
    let expected = [
        "killed",
        "frozen",
        "stopped",
        "checkpoint",
        "takeover",
        "deposed",
        "stopped by a fault",
        "store failed before",
        "store failed after",
        "notices heard again",
        "lies",
        "asked twice",
        "answers",
    ];
    for what in expected {
        assert!(
            seeds < ENOUGH || tally.0.get(what).is_some_and(|&times| times > 0),
            "{what} never happened: {tally:?}"
        );
    }
}

#[test]
fn a_store_that_lets_anybody_write_is_found_out() {
    let (failed, tally) = all(CONTROLS, Spoil::Fence);
    eprintln!("without the fence {} of {CONTROLS} worlds end badly: {tally:?}", failed.len());
    assert!(!failed.is_empty(), "the simulation does not see a missing fence");
    let twice =
        |fault: &String| fault.contains("next is") || fault.contains("says what") || fault.contains("stands at");
    assert!(failed.values().flatten().any(twice), "the simulation does not see what is decided twice: {failed:?}");
}

#[test]
fn a_store_that_moves_positions_from_anywhere_is_found_out() {
    let (failed, tally) = all(CONTROLS, Spoil::Swap);
    eprintln!("without fence and swap {} of {CONTROLS} worlds end badly: {tally:?}", failed.len());
    let twice = |fault: &String| fault.starts_with("dead letters are") || fault.contains("2 incidents");
    assert!(
        failed.values().flatten().any(twice),
        "the simulation does not see records that are decided twice: {failed:?}"
    );
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in 0..3 {
        let (one, two) = (live(seed, Spoil::Nothing, false), live(seed, Spoil::Nothing, false));
        assert_eq!((one.2, one.1.0), (two.2, two.1.0), "seed {seed}");
    }
}

#[test]
fn every_text_reads_as_its_event() {
    let mut faults = Vec::new();
    for script in SCRIPTS {
        for township in TOWNSHIPS {
            let mut classes = std::collections::BTreeSet::new();
            for text in script.texts {
                let mut one = world::noise_of_nobody();
                one.text = text.replace("{t}", township);
                let said = TABLES.0.read(&one).assessment;
                classes.insert((said.classes.first().map(|class| class.class), said.place.district.clone()));
                if said.person_in_danger != script.person {
                    faults.push(format!("{}: {said:?}", one.text));
                }
            }
            if classes.len() != 1 || classes.iter().any(|(_, district)| district.is_none()) {
                faults.push(format!("{township} {}: {classes:?}", script.texts[0]));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
