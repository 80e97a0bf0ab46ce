//! A real PostgreSQL: the suites that SQLite meets too, accounts, moving an installation, TLS, advice; and fault F29, the
//! server killed and connections cut around a commit: nothing lost, nothing twice, the chain whole.

mod faults;
mod proxy;
mod server;

use proptest::prelude::*;
use server::Server;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;
use yuqing::duty::event::Event;
use yuqing::ledger::migrate::{self, Batch, Source, Target};
use yuqing::ledger::model::{self, Happened, Subject};
use yuqing::ledger::postgres::Postgres;
use yuqing::ledger::sqlite::Sqlite;
use yuqing::ledger::{Position, Step, Store, StoreError, conformance};
use yuqing::time::Day;
use yuqing::web::{Accounts, accounts_conformance};

const STREAM: &str = "numbers";

/// The step that writes one number and moves past it.
fn numbered(number: u64) -> Step {
    let at = |offset| Position { stream: STREAM.to_owned(), partition: 0, offset };
    let event = Event::Started { version: number.to_string() };
    let now = yuqing::time::Instant::from_millis(1_790_000_000_000);
    Step {
        events: vec![(now, "machine".to_owned(), event)],
        positions: vec![(at(number), at(number + 1))],
        ..Step::default()
    }
}

/// Every number before `end` is there once, in order, and nothing else.
fn holds_numbers(store: &dyn Store, end: u64) {
    let entries = store.entries(0, usize::MAX).expect("reads");
    let numbers: Vec<String> = entries
        .into_iter()
        .map(|entry| match entry.event {
            Event::Started { version } => version,
            other => panic!("nobody wrote {other:?}"),
        })
        .collect();
    let expected: Vec<String> = (0..end).map(|number| number.to_string()).collect();
    assert!(numbers == expected, "lost or twice: {} of {end}, last {:?}", numbers.len(), numbers.last());
    assert_eq!(store.position(STREAM, 0).expect("reads"), end);
    assert_eq!(store.verify().expect("the chain is whole"), end);
}

#[test]
fn meets_the_suites_that_sqlite_meets() {
    let Some(server) = Server::start() else { return };
    let url = server.database("suite");
    conformance::run(&Postgres::open(&url).expect("opens"));
    conformance::after_reopen(&Postgres::open(&url).expect("opens"));
    let reader = Postgres::open_read_only(&url).expect("opens");
    conformance::after_reopen(&reader);
    assert!(matches!(reader.commit(numbered(0)), Err(StoreError::Failed(_))), "a reader writes nothing");
    other_formats_are_refused(&server);
    two_processes_never_fork_the_chain(&server);
    may_be_called_from_anywhere(&server);
    destroyed_salts_leave_the_disk(&server);
    accounts(&server);
    moving(&server);
    tls(&server);
    advice(&server);
    figures(&server);
}

struct House<'a> {
    server: &'a Server,
    name: String,
    store: Postgres,
}

impl Subject for House<'_> {
    fn store(&self) -> &dyn Source {
        &self.store
    }

    fn crash(&mut self) {
        self.server.end_sessions(&self.name);
    }
}

#[test]
fn does_what_the_model_does() {
    let Some(server) = Server::start() else { return };
    let seen = Mutex::new((Happened::default(), 0u32, 0u64));
    let config =
        ProptestConfig { cases: 10, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() };
    let commands = proptest::collection::vec(any::<[u8; 4]>(), 10..40);
    proptest::test_runner::TestRunner::new(config)
        .run(&commands, |commands| {
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.1 += 1;
            let name = format!("model{}", seen.1);
            let store = Postgres::open(&server.database(&name)).expect("opens");
            let mut house = House { server: &server, name, store };
            let happened = model::drive(&mut house, &commands);
            seen.0.add(happened);
            seen.2 += house.store.recoveries().broken;
            Ok(())
        })
        .expect("store and model agree");
    let (happened, _, broken) = seen.into_inner().expect("no case panicked");
    assert!(happened.steps > 20 && happened.crashes > 5 && happened.deposed > 3, "{happened:?}");
    assert!(broken >= happened.crashes, "each crash broke a connection: {broken} of {happened:?}");
}

fn other_formats_are_refused(server: &Server) {
    let url = server.database("format");
    let running = Postgres::open(&url).expect("opens");
    server.sql("format", "UPDATE format SET version = 99");
    let refused = |error: StoreError| assert!(error.to_string().contains("format 99"), "{error}");
    refused(Postgres::open(&url).expect_err("an old program leaves a newer ledger alone"));
    server.end_sessions("format");
    refused(running.positions().expect_err("also one that was connected before"));
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let error = Postgres::open(&server.url("latin")).expect_err("refuses");
    assert!(error.to_string().contains("UTF8"), "{error}");
}

fn two_processes_never_fork_the_chain(server: &Server) {
    const EACH: u64 = 40;
    let url = server.database("fork");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let url = url.as_str();
            scope.spawn(move || {
                let store = Postgres::open(url).expect("opens, whoever makes the tables");
                for number in 0..EACH {
                    let step = Step { positions: Vec::new(), ..numbered(writer * EACH + number) };
                    store.commit(step).expect("commits");
                }
            });
        }
    });
    let store = Postgres::open(&url).expect("opens");
    assert_eq!(store.verify().expect("whole"), 4 * EACH);
    let mut versions: Vec<String> =
        store.rows(0, usize::MAX).expect("reads").into_iter().map(|row| row.event).collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len() as u64, 4 * EACH, "each once");
}

fn may_be_called_from_anywhere(server: &Server) {
    let url = server.database("anywhere");
    let store = Postgres::open(&url).expect("opens");
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("runtime");
    let one = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    many.block_on(async { store.commit(numbered(0)).expect("commits") });
    one.block_on(async { store.commit(numbered(1)).expect("commits") });
    let store = many.block_on(async {
        tokio::spawn(async move { store.commit(numbered(2)).map(|_| store) }).await.expect("ran").expect("commits")
    });
    std::thread::scope(|scope| scope.spawn(|| holds_numbers(&store, 3)).join().expect("reads"));
}

fn destroyed_salts_leave_the_disk(server: &Server) {
    let store = Postgres::open(&server.database("salts")).expect("opens");
    let salt = store.salt(Day(1)).expect("makes").expect("new");
    let other = Postgres::open(&server.url("salts")).expect("opens");
    assert_eq!(other.salt(Day(1)).expect("reads"), Some(salt), "all processes share it");
    let on_disk = || {
        server.sql("salts", "CHECKPOINT");
        let path = server.value("salts", "SELECT pg_relation_filepath('salts')");
        let bytes = std::fs::read(server.folder().join("data").join(path)).expect("the table's file");
        bytes.windows(salt.len()).any(|at| at == salt)
    };
    assert!(on_disk());
    assert_eq!(store.destroy_salts_before(Day(2)).expect("destroys"), [Day(1)]);
    assert!(!on_disk(), "the old row is gone too");
    assert_eq!(other.salt(Day(1)).expect("reads"), None);
}

fn accounts(server: &Server) {
    let url = server.database("accounts");
    let (first, second) =
        (Accounts::open_postgres(&url).expect("opens"), Accounts::open_postgres(&url).expect("opens"));
    let secrets = accounts_conformance::run(&first, &second);
    let dump = ["users", "tokens", "sessions", "facts"]
        .map(|table| server.value("accounts", &format!("SELECT string_agg({table}::text, ' ') FROM {table}")))
        .concat();
    assert!(dump.contains("operator"));
    for secret in secrets {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(&secret) && !dump.contains(&hex), "secrets are kept only hashed");
    }
    accounts_conformance::moves(&first, &Accounts::open_postgres(&server.database("accounts2")).expect("opens"));
    let folder = tempfile::tempdir().expect("folder");
    let file = Accounts::open(folder.path()).expect("opens");
    accounts_conformance::run(&file, &file);
    accounts_conformance::moves(&file, &Accounts::open_postgres(&server.database("accounts3")).expect("opens"));
}

/// All that two stores hold, to compare.
fn whole(store: &dyn Source) -> impl PartialEq + std::fmt::Debug {
    let beside = (
        store.positions().expect("reads"),
        store.checkpoint().expect("reads"),
        store.dead_letter_counts().expect("reads"),
    );
    let letters: Vec<_> = store.letters(0, usize::MAX).expect("reads").into_iter().map(|it| it.1).collect();
    let pieces: Vec<_> = store.pieces(0, usize::MAX).expect("reads").into_iter().map(|it| it.1).collect();
    (
        store.rows(0, usize::MAX).expect("reads"),
        beside,
        letters,
        pieces,
        store.salts().expect("reads"),
        store.questions().expect("reads"),
    )
}

fn moving(server: &Server) {
    let folder = tempfile::tempdir().expect("folder");
    let from = Sqlite::open(folder.path()).expect("opens");
    conformance::run(&from);
    // More than a page.
    from.commit(Step { events: (0..5_000).flat_map(|number| numbered(number).events).collect(), ..Step::default() })
        .expect("commits");
    let asked = from.ask("left open").expect("asks");
    let url = server.database("moved");
    let half = Postgres::open_moving_into(&url).expect("opens");
    half.begin().expect("empty");
    half.put(Batch::Entries(from.rows(0, 10).expect("reads"))).expect("puts");
    let error = Postgres::open(&url).expect_err("half an installation is none");
    assert!(error.to_string().contains("not finished"), "{error}");
    let mut heard = 0;
    let to = Postgres::open_moving_into(&url).expect("opens");
    let moved = migrate::copy(&from, &to, &mut |_| heard += 1).expect("moves");
    assert_eq!((moved.entries, moved.dead_letters, moved.evidence, moved.asked), (5_002, 1, 1, 1));
    assert!(heard >= 4, "{heard}");
    let to = Postgres::open(&url).expect("whole now");
    assert_eq!(whole(&to), whole(&from));
    assert_eq!(to.verify().expect("whole"), 5_002);
    assert!(to.ask("asked later").expect("asks") > asked);
    assert_eq!(to.commit(numbered(0)).expect("goes on")[0].seq, 5_003);
    let again = Postgres::open_moving_into(&url).expect("opens");
    let error = migrate::copy(&from, &again, &mut |_| ()).expect_err("refuses a store in use");
    assert!(error.to_string().contains("in use"), "{error}");
    let second = Postgres::open_moving_into(&server.database("moved2")).expect("opens");
    migrate::copy(&to, &second, &mut |_| ()).expect("also from one database to another");
    assert_eq!(whole(&second), whole(&to));
    server.sql("moved", "UPDATE entries SET actor = 'somebody' WHERE seq = 4500");
    let third = Postgres::open_moving_into(&server.database("moved3")).expect("opens");
    let broken = migrate::copy(&to, &third, &mut |_| ());
    assert!(matches!(broken, Err(StoreError::Broken { seq: 4500, .. })), "{broken:?}");
}

fn tls(server: &Server) {
    let folder = server.folder().join("tls");
    std::fs::create_dir_all(&folder).expect("folder");
    let openssl = |args: &str| {
        let ran = Command::new("openssl").args(args.split(' ')).current_dir(&folder).output();
        ran.is_ok_and(|it| it.status.success())
    };
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -x509";
    let made = openssl(&format!("req {ec} -keyout ca.key -out ca.pem -subj /CN=ca"))
        && openssl(&format!("req {ec} -keyout other.key -out other.pem -subj /CN=other"))
        && openssl(&format!(
            "req {ec} -keyout server.key -out server.pem -subj /CN=db -CA ca.pem -CAkey ca.key \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ));
    if !made {
        crate::house::skip("postgres::tls", "openssl 3 is not there");
        return;
    }
    let url = server.database("tls");
    server.give(&folder);
    for (name, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
        server.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{}'", folder.join(file).display()));
    }
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.stop("fast");
    assert!(server.serve());
    let with = |roots: &str| {
        let url = url.replace("sslmode=disable", "sslmode=require");
        Postgres::open(&format!("{url}&sslrootcert={}", folder.join(roots).display()))
    };
    let store = with("ca.pem").expect("opens");
    store.commit(numbered(0)).expect("commits");
    let sql = "SELECT count(*)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'tls' AND ssl";
    assert_eq!(server.value("tls", sql), "2", "both connections");
    let error = with("other.pem").expect_err("a server that another signed");
    assert!(error.to_string().contains("certificate"), "{error}");
}

fn advice(server: &Server) {
    let url = server.database("advice");
    let told = || {
        let advice = Postgres::open(&url).expect("opens").advise().expect("reads");
        advice.into_iter().map(|one| format!("{}={}", one.setting, one.value)).collect::<Vec<_>>()
    };
    assert_eq!(told(), [""; 0]);
    for name in ["fsync", "full_page_writes", "synchronous_commit"] {
        server.sql("postgres", &format!("ALTER SYSTEM SET {name} = off"));
    }
    server.sql("advice", "ALTER TABLE evidence SET UNLOGGED");
    server.stop("fast");
    assert!(server.serve());
    assert_eq!(told(), ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "table evidence=unlogged"]);
    server.sql("postgres", "ALTER SYSTEM RESET ALL");
    server.stop("fast");
    assert!(server.serve());
}

/// Told, not asserted: they are those of this machine.
fn figures(server: &Server) {
    const STEPS: u64 = 300;
    let folder = tempfile::tempdir().expect("folder");
    let lite = Sqlite::open(folder.path()).expect("opens");
    let many = Postgres::open(&server.database("figures")).expect("opens");
    for (name, store) in [("SQLite", &lite as &dyn Store), ("PostgreSQL", &many)] {
        let started = Instant::now();
        (0..STEPS).for_each(|number| drop(store.commit(numbered(number)).expect("commits")));
        let rate = STEPS as f64 / started.elapsed().as_secs_f64();
        eprintln!("FIGURE: {name}: {rate:.0} durable one-event steps a second");
        holds_numbers(store, STEPS);
    }
}
