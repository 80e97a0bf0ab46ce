//! The faults, in the order in which they run. In: the ground and options. Out: a row each.

use crate::load::Plan;
use crate::trial::{Crew, Trial};
use crate::{Ground, Options, Row, control, told};
use std::time::Duration;

type Run = fn(&Ground, &Options, &str) -> Row;

/// Every row by name.
pub const ALL: &[(&str, Run)] = &[
    ("F1-kill", kills),
    ("F1-one-process", kills_of_one),
    ("control-auto-commit", control::row),
    ("F3-broker-killed", broker_killed),
    ("F4-broker-frozen", broker_frozen),
    ("F5-zombie-desk", zombie),
    ("F6-rebalance-storm", storm),
    ("F10-group-offsets-deleted", group_deleted),
    ("F11-records-deleted", told::records_deleted),
    ("F12-topic-recreated", told::topic_recreated),
    ("F13-thirty-kinds-of-bad", bad_input),
    ("F23-killed-between-send-and-mark", told::sent_not_marked),
    ("rolling-restart", rolling),
    ("F29-postgres-killed", postgres_killed),
];

fn size(options: &Options, quick: u64, full: u64) -> u64 {
    if options.quick { quick } else { full }
}

/// `kill -9` of workers and desks, under load.
fn kills(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(options.records, 6), Crew::default(), "");
    let mut by = [0u64; 3];
    trial.faults(options.kills, |trial, one| {
        let what = match one % 8 {
            1 | 4 | 7 => 1,
            6 => 2,
            _ => 0,
        };
        let leader = trial.leader();
        let hit = match (what, leader) {
            (1, Some(leader)) => {
                trial.lead_goes();
                let hit = trial.desks[leader].kill();
                trial.desks[leader].again();
                hit
            }
            (2, Some(leader)) => {
                let other = (leader + 1) % trial.desks.len();
                let hit = trial.desks[other].kill();
                trial.desks[other].again();
                hit
            }
            _ => {
                // One that has partitions, where there is one: the others have nothing to lose.
                let reads: Vec<usize> =
                    (0..trial.workers.len()).filter(|&one| trial.workers[one].has_said("partitions came")).collect();
                let some = trial.random(trial.workers.len());
                let one = if reads.is_empty() { some } else { reads[some % reads.len()] };
                let hit = trial.workers[one].kill();
                trial.workers[one].again();
                by[0] += 1;
                return u64::from(hit);
            }
        };
        by[what] += 1;
        u64::from(hit)
    });
    trial.row.note(&format!("killed: workers {}, leading desk {}, standby {}", by[0], by[1], by[2]));
    trial.finish()
}

/// `kill -9` of the one process that reads, decides and indexes.
fn kills_of_one(ground: &Ground, options: &Options, name: &str) -> Row {
    let crew = Crew { workers: 0, desks: 1, single: true, ..Crew::default() };
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 12_000, 60_000), 6), crew, "");
    trial.faults(size(options, 4, 20), |trial, _| {
        let hit = trial.desks[0].kill();
        trial.desks[0].again();
        u64::from(hit)
    });
    trial.finish()
}

/// `kill -9` of the broker.
fn broker_killed(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 30_000, 80_000), 3), Crew::default(), "");
    trial.faults(size(options, 1, 4), |trial, _| {
        trial.ground.broker.kill();
        // Something is written while it is gone.
        trial.load.write(500);
        std::thread::sleep(Duration::from_millis(500));
        trial.ground.broker.again();
        1
    });
    trial.finish()
}

/// The broker stands still for longer than sessions last.
fn broker_frozen(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 15_000, 30_000), 3), Crew::default(), "");
    trial.faults(1, |trial, _| {
        trial.ground.broker.signal("-STOP");
        std::thread::sleep(Duration::from_secs(12));
        trial.ground.broker.signal("-CONT");
        1
    });
    trial.finish()
}

/// The leading desk stands still for longer than its lease; another takes over; the first one wakes and must write nothing.
fn zombie(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 20_000, 60_000), 3), Crew::default(), "");
    trial.faults(size(options, 1, 3), |trial, _| {
        let Some(leader) = trial.leader() else { return 0 };
        let before = trial.eye.leads().map_or(0, |lead| lead.0);
        trial.lead_goes();
        trial.desks[leader].signal("-STOP");
        let took = trial.wait(Duration::from_secs(30), |it| it.eye.leads().is_some_and(|lead| lead.0 > before));
        if !took {
            trial.row.fail("nobody took over");
        }
        // The other decides something before the first one wakes.
        let done = trial.done;
        trial.wait(Duration::from_secs(20), |it| it.done > done);
        trial.desks[leader].signal("-CONT");
        let code = trial.desks[leader].exit(Duration::from_secs(20));
        if code != Some(3) {
            trial.row.fail(&format!("the zombie was not deposed: exit code {code:?}"));
        }
        u64::from(code.is_some())
    });
    if trial.takeovers.iter().any(|one| one.as_secs_f64() > 12.0) {
        trial.row.fail("a takeover took longer than the lease and ten seconds");
    }
    let deposed = trial.desks.iter().map(|desk| desk.said().matches("another").count()).sum::<usize>();
    trial.row.note(&format!("a desk said that another took over: {deposed} times"));
    trial.finish()
}

/// Workers come and go every second or so.
fn storm(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 50_000, 150_000), 3), Crew::default(), "");
    trial.faults(size(options, 5, 16), |trial, one| {
        if trial.workers.len() < 3 || one % 2 == 0 && trial.workers.len() < 5 {
            let number = trial.workers.len() + 10 * (one as usize + 1);
            trial.join(number);
            return 1;
        }
        let leaves = trial.random(trial.workers.len());
        let mut gone = trial.workers.remove(leaves);
        let code = gone.terminate();
        if code != Some(0) {
            trial.row.fail(&format!("{} was told to stop and ended with {code:?}", gone.name));
        }
        u64::from(code.is_some())
    });
    trial.finish()
}

/// Every worker, desk and door is restarted in turn, as an operator would.
fn rolling(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 30_000, 80_000), 3), Crew::default(), "");
    trial.open_door();
    let (workers, desks) = (trial.workers.len(), trial.desks.len());
    let all = workers + desks + 1;
    trial.faults(size(options, 1, 2) * all as u64, |trial, one| {
        let number = one as usize % all;
        if number >= workers && trial.leader() == Some(number - workers) {
            trial.lead_goes();
        }
        let mut procs = trial.workers.iter_mut().chain(&mut trial.desks).chain(&mut trial.web);
        let Some(proc) = procs.nth(number) else { return 0 };
        let started = std::time::Instant::now();
        let code = proc.terminate();
        proc.again();
        let name = proc.name.clone();
        if code != Some(0) || started.elapsed() > Duration::from_secs(10) {
            trial.row.fail(&format!("{name} took {:?} to stop, exit code {code:?}", started.elapsed()));
        }
        u64::from(code == Some(0))
    });
    trial.finish()
}

/// `kill -9` of PostgreSQL, under load.
fn postgres_killed(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 20_000, 60_000), 3), Crew::default(), "");
    trial.faults(size(options, 1, 4), |trial, _| {
        let pid = trial.ground.server.pid();
        crate::server::Server::kill(&pid);
        trial.ground.server.serve_after_a_crash();
        1
    });
    trial.finish()
}

/// What the group has committed is gone while nobody is in it: workers say everything again, the store counts it once.
fn group_deleted(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut trial = Trial::new(ground, name, Plan::new(size(options, 5_000, 10_000), 3), Crew::default(), "");
    trial.open_door();
    trial.faults(1, |trial, _| {
        for worker in &mut trial.workers {
            worker.terminate();
        }
        let before = trial.eye.committed(&trial.mentions, crate::load::PARTITIONS as i32);
        let name = trial.name.clone();
        trial.ground.admin.delete_group(&name);
        let after = trial.eye.committed(&trial.mentions, crate::load::PARTITIONS as i32);
        let gone = before.is_some_and(|before| before > 0) && after.unwrap_or(0) == 0;
        trial.done = 0;
        for worker in &mut trial.workers {
            worker.again();
        }
        u64::from(gone)
    });
    let row = trial.finish();
    if row.again == 0 { row.with_failure("nothing was said again: the offsets were not gone") } else { row }
}

/// Every tenth record is bad, in thirty ways.
fn bad_input(ground: &Ground, options: &Options, name: &str) -> Row {
    let plan = Plan::new(size(options, 3_000, 12_000), 3).with_many();
    let mut trial = Trial::new(ground, name, plan, Crew::default(), "");
    trial.until(trial.load.plan.records / 2);
    let bad = trial.load.plan.bad();
    // Each bad record is a hit; the oracle looks at every one.
    (trial.row.wanted, trial.row.hits) = (bad, bad);
    trial.finish()
}
