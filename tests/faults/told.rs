//! Faults that must be told and never passed over: records that are gone, a topic that is another one; and notices that were sent and not marked.
//! In: the ground and options. Out: a row each.

use crate::load::{PARTITIONS, Plan};
use crate::trial::{Crew, Trial};
use crate::{Ground, Options, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A trial that has come halfway and whose processes were all told to stop.
fn halfway<'a>(ground: &'a Ground, name: &str) -> Trial<'a> {
    let mut trial =
        Trial::new(ground, name, Plan::new(20_000, 0), Crew { workers: 1, desks: 1, ..Crew::default() }, "");
    trial.until(2_000);
    trial.workers[0].terminate();
    trial.desks[0].terminate();
    trial.load.write(20_000);
    trial.load.flush();
    trial
}

/// Those named (workers, or desks) are started on what is no longer there: each must say so and end, and the store must stay as it was.
fn must_tell(mut trial: Trial<'_>, workers: &[bool], words: &[&str]) -> Row {
    let before = trial.eye.positions(&trial.assessed);
    for &worker in workers {
        let proc = if worker { &mut trial.workers[0] } else { &mut trial.desks[0] };
        proc.again();
        let code = proc.exit(Duration::from_secs(30));
        let (name, said) = (proc.name.clone(), proc.said());
        let last = said.lines().last().unwrap_or_default().to_owned();
        trial.row.wanted += 1;
        trial.row.hits += u64::from(code == Some(3) && words.iter().any(|one| last.contains(one)));
        trial.row.note(&format!("{name} ended with {code:?}: {last}"));
    }
    if trial.eye.positions(&trial.assessed) != before {
        trial.row.fail("the store's positions moved");
    }
    trial.row.records = trial.load.plan.records;
    trial.row.seconds = trial.started.elapsed().as_secs_f64();
    let kept = trial.ground.keep(&trial.name, trial.folder.path());
    let mut row = std::mem::replace(&mut trial.row, Row::new(""));
    if row.hits < row.wanted {
        row.note(&format!("logs in {}", kept.display()));
    }
    row
}

/// Records are deleted past what was read, of mentions and of assessed ones.
pub fn records_deleted(ground: &Ground, _: &Options, name: &str) -> Row {
    let mut trial = halfway(ground, name);
    // The desk is behind too: the worker alone reads on for a while.
    let ends = trial.eye.ends(&trial.assessed).unwrap_or_default();
    trial.workers[0].again();
    let grown = trial.wait(Duration::from_secs(30), |it| {
        it.eye
            .ends(&it.assessed)
            .is_some_and(|now| ends.iter().all(|(part, end)| now.get(part).is_some_and(|it| it > end)))
    });
    trial.workers[0].terminate();
    if !grown {
        trial.row.fail("nothing was written that could be deleted");
    }
    for topic in [trial.mentions.clone(), trial.assessed.clone()] {
        if topic == trial.mentions {
            // More comes, and goes before anybody has read it.
            let plan = Plan::new(600, 0);
            let mut more = crate::load::Load::new(&ground.broker.bootstrap, &topic, plan);
            while more.write(600) {}
            more.flush();
        }
        for (part, end) in trial.eye.ends(&topic).unwrap_or_default() {
            ground.admin.delete_records(&topic, part, end);
        }
    }
    must_tell(trial, &[true, false], &["gone", "gap", "missing", "deleted"])
}

/// Both topics are deleted and made again, shorter than what was read. The broker forgets with a topic what the group committed on it: a
/// worker cannot know, and begins at the new one's first record; it is the desk that tells.
pub fn topic_recreated(ground: &Ground, _: &Options, name: &str) -> Row {
    let trial = halfway(ground, name);
    for topic in [trial.mentions.clone(), trial.assessed.clone()] {
        ground.admin.delete(&topic);
        let until = Instant::now() + Duration::from_secs(30);
        while trial.eye.ends(&topic).is_some_and(|ends| !ends.is_empty()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        ground.admin.make(&topic, PARTITIONS as i32, &[]);
    }
    must_tell(trial, &[false], &["anew", "replaced", "another", "recreated", "ends at"])
}

/// What a receiver has heard: times by `webhook-id`; and an id that waits for its sender to be killed.
#[derive(Default)]
struct Heard {
    ids: BTreeMap<String, u64>,
    waits: Option<String>,
}

type Ears = Arc<(Mutex<Heard>, Condvar)>;

/// Takes one notice; the first time one comes, it is not answered before the rig has killed who sent it.
fn hear(mut stream: TcpStream, ears: &Ears) -> Option<()> {
    let (mut bytes, mut part) = (Vec::new(), [0u8; 4096]);
    let id = loop {
        let read = stream.read(&mut part).ok().filter(|&read| read > 0)?;
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length")?.parse().ok()?;
        if body.len() >= length {
            break header("webhook-id")?;
        }
    };
    let (heard, told) = (&ears.0, &ears.1);
    let mut all = heard.lock().expect("lock");
    let times = all.ids.entry(id.clone()).or_default();
    *times += 1;
    if *times == 1 && all.waits.is_none() {
        all.waits = Some(id.clone());
        told.notify_all();
        let waits = |heard: &mut Heard| heard.waits.as_ref() == Some(&id);
        let (_guard, _) = told.wait_timeout_while(all, Duration::from_secs(20), waits).expect("lock");
    } else {
        drop(all);
    }
    // Whoever asked may be dead by now.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Some(())
}

/// The leading desk is killed after a notice was sent and before that was written down; the receiver tells repeats by their ids.
pub fn sent_not_marked(ground: &Ground, options: &Options, name: &str) -> Row {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let ears = Ears::default();
    let of_thread = ears.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ears = of_thread.clone();
            std::thread::spawn(move || hear(stream, &ears));
        }
    });
    let channel = format!(
        "[outlet]\nallow_networks = [\"127.0.0.0/8\"]\n[[channels]]\nname = \"hub\"\nkind = \"standard-webhook\"\nurl = \"{url}\"\nlevels = [\"L2\", \"L3\", \"L4\"]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
    );
    let plan = Plan::new(if options.quick { 3_000 } else { 10_000 }, 6);
    let records = plan.records;
    let mut trial = Trial::new(ground, name, plan, Crew::default(), &channel);
    let mut killed: BTreeSet<String> = BTreeSet::new();
    let until = Instant::now() + Duration::from_secs(150);
    let settled = |trial: &Trial<'_>| {
        let of = |kind: &str, key: fn(&serde_json::Value) -> &serde_json::Value| -> BTreeSet<String> {
            let all = trial.eye.events.iter().filter(|(_, event)| event["event"] == kind);
            all.filter_map(|(_, event)| Some(key(event).as_str()?.to_owned())).collect()
        };
        let decided = of("notice_decided", |event| &event["notice"]["key"]);
        let attempted = of("notice_attempted", |event| &event["key"]);
        (decided, attempted)
    };
    loop {
        trial.write();
        trial.look();
        let waits = ears.0.lock().expect("lock").waits.clone();
        if let Some(id) = waits {
            trial.row.wanted += 1;
            let leader = trial.leader();
            trial.lead_goes();
            if let Some(leader) = leader
                && trial.desks[leader].kill()
            {
                trial.desks[leader].again();
                killed.insert(id);
            }
            ears.0.lock().expect("lock").waits = None;
            ears.1.notify_all();
        }
        let (decided, attempted) = settled(&trial);
        let done = trial.done >= records && decided.len() >= 6 && decided == attempted;
        if done || Instant::now() > until {
            break;
        }
    }
    let (decided, attempted) = settled(&trial);
    let heard = ears.0.lock().expect("lock").ids.clone();
    let again = killed.iter().filter(|id| heard.get(*id).is_some_and(|&times| times > 1)).count() as u64;
    trial.row.hits = again;
    let ids: BTreeSet<String> = heard.keys().cloned().collect();
    trial.row.lost += decided.difference(&ids).count() as u64;
    if !ids.is_subset(&decided) || decided != attempted {
        trial.row.fail(&format!("decided {decided:?}, heard {ids:?}, written down {attempted:?}"));
    }
    trial.row.note(&format!("notices {}, sent again under the same id {again}", decided.len()));
    trial.finish()
}
