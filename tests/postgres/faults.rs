//! Fault F29: the server killed, stopped at once, or cut off around a commit. Each fault is seen to have hit.

use super::proxy::{Cut, Proxy};
use super::server::Server;
use super::{holds_numbers, numbered};
use crate::house::wait;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use yuqing::ledger::postgres::Postgres;
use yuqing::ledger::{Step, Store, StoreError};

const ROUNDS: u64 = 6;

#[test]
fn a_commit_that_nobody_answered_is_neither_lost_nor_repeated() {
    let Some(server) = Server::start() else { return };
    server.database("cut");
    let proxy = Proxy::start(server.port());
    let url = server.url("cut").replace(&server.port().to_string(), &proxy.port.to_string());
    let store = Postgres::open(&url).expect("opens through the proxy");
    let mut next = 0;
    for cut in [Cut::MidStep, Cut::BeforeCommit, Cut::WithCommit, Cut::AfterCommit] {
        let (hits, before) = (proxy.hits(), store.recoveries());
        for _ in 0..ROUNDS {
            proxy.arm(cut);
            let entries = store.commit(numbered(next)).expect("as if nothing had happened");
            assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [next + 1]);
            store.commit(numbered(next + 1)).expect("and on");
            next += 2;
        }
        assert_eq!(proxy.hits() - hits, ROUNDS, "{cut:?} hit every time");
        let after = store.recoveries();
        assert!(after.broken - before.broken >= ROUNDS, "{cut:?}: {after:?}");
        let (stood, repeated) = (after.stood - before.stood, after.repeated - before.repeated);
        match cut {
            Cut::MidStep => assert_eq!((stood, repeated), (0, 0), "no commit was in doubt"),
            Cut::BeforeCommit => assert_eq!((stood, repeated), (0, ROUNDS)),
            Cut::WithCommit => assert_eq!(stood + repeated, ROUNDS),
            Cut::AfterCommit => assert_eq!((stood, repeated), (ROUNDS, 0)),
        }
        eprintln!("F29 {cut:?}: hit {ROUNDS}, stood {stood}, repeated {repeated}, lost 0, twice 0");
        holds_numbers(&store, next);
    }
    a_cut_question_is_asked_once(&store, &proxy);
    the_fence_stands_when_a_step_is_repeated(&server, &store, &proxy, next);
}

fn a_cut_question_is_asked_once(store: &Postgres, proxy: &Proxy) {
    for (cut, body) in [(Cut::BeforeCommit, "before"), (Cut::AfterCommit, "after")] {
        proxy.arm(cut);
        let number = store.ask(body).expect("asks");
        assert_eq!(store.asked(10).expect("reads"), [(number, body.to_owned())]);
        store.commit(Step { answers: vec![(number, "yes".to_owned())], ..Step::default() }).expect("answers");
        proxy.arm(cut);
        assert_eq!(store.take_answer(number).expect("takes").as_deref(), Some("yes"), "{cut:?}: it is not lost");
    }
}

/// While this one was cut off, another took the lead: what is repeated is then refused.
fn the_fence_stands_when_a_step_is_repeated(server: &Server, store: &Postgres, proxy: &Proxy, next: u64) {
    let ours = store.lead("a", yuqing::time::Span::days(-1)).expect("asks").expect("free");
    let other = Postgres::open(&server.url("cut")).expect("opens");
    let theirs = other.lead("b", yuqing::time::Span::days(1)).expect("asks").expect("it has run out");
    let (hits, before) = (proxy.hits(), store.recoveries().broken);
    proxy.arm(Cut::MidStep);
    let refused = store.commit(Step { fence: Some(ours), ..numbered(next) });
    assert!(matches!(refused, Err(StoreError::Deposed { held, .. }) if held == theirs), "{refused:?}");
    assert_eq!((proxy.hits(), store.recoveries().broken), (hits, before), "it never came to the entries");
    let step = || Step { fence: Some(theirs), ..numbered(next) };
    other.commit(step()).expect("the leader decides");
    assert!(matches!(other.commit(step()), Err(StoreError::Fenced { .. })), "once");
    holds_numbers(store, next + 1);
}

#[test]
fn a_killed_server_loses_nothing_and_repeats_nothing() {
    let Some(server) = Server::start() else { return };
    // Our sessions must not rely on it: with this, a killed server loses what it had acknowledged.
    server.sql("postgres", "ALTER SYSTEM SET synchronous_commit = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let store = Postgres::open(&server.database("killed")).expect("opens");
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let next = written.load(Ordering::SeqCst);
                let entries = store.commit(numbered(next)).expect("the store outlives its server");
                assert_eq!(entries[0].seq, next + 1);
                written.store(next + 1, Ordering::SeqCst);
            }
        });
        // The writer stops also where an assertion below fails.
        let faults = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
            runtime.block_on(strike_all(&server, &store, &written));
        }));
        stop.store(true, Ordering::SeqCst);
        writer.join().expect("the writer never failed");
        faults.expect("every fault hit and was outlived");
    });
    holds_numbers(&store, written.load(Ordering::SeqCst));
    let seen = store.recoveries();
    eprintln!("F29 killed server: {} steps, {seen:?}, lost 0, twice 0", written.load(Ordering::SeqCst));
}

async fn strike_all(server: &Server, store: &Postgres, written: &AtomicU64) {
    let on = |by: u64| {
        let target = written.load(Ordering::SeqCst) + by;
        wait("the writer goes on", move || async move { written.load(Ordering::SeqCst) >= target })
    };
    for fault in ["kill -9", "immediate", "kill -9 of a session", "kill -9", "immediate", "kill -9 of a session"] {
        on(30).await;
        let (pid, broken) = (server.pid(), store.recoveries().broken);
        match fault {
            "kill -9" => {
                Server::kill(&pid);
                server.serve_after_a_crash();
                assert_ne!(server.pid(), pid, "another server");
            }
            "immediate" => {
                server.stop("immediate");
                server.serve_after_a_crash();
                assert_ne!(server.pid(), pid, "another server");
            }
            _ => {
                // Any of ours: the server then ends them all, and recovers.
                let sql = "SELECT min(pid)::text FROM pg_stat_activity WHERE datname = 'killed'";
                Server::kill(&server.value("postgres", sql));
            }
        }
        on(5).await;
        assert!(store.recoveries().broken > broken, "{fault} hit");
        eprintln!("F29 {fault}: hit");
    }
}
