//! The store of one machine against its promises: the suite of every store, its lock, its chain, its format.

use super::*;
use crate::ledger::conformance;

fn started() -> Step {
    let at = Instant::parse("2026-10-01T02:05:00Z").unwrap();
    let event = Event::Started { version: "1".to_owned() };
    Step { events: vec![(at, "machine".to_owned(), event)], ..Step::default() }
}

#[test]
fn meets_the_suite_of_every_store() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(&Sqlite::open(folder.path()).unwrap());
    conformance::after_reopen(&Sqlite::open(folder.path()).unwrap());
    conformance::after_reopen(&Sqlite::open_read_only(folder.path()).unwrap());
}

#[test]
fn one_process_owns_the_folder_and_readers_may_look() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Sqlite::open(folder.path()).unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::Locked(_))));
    owner.commit(started()).unwrap();
    let reader = Sqlite::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.entries(0, 10).unwrap().len(), 1);
    assert!(matches!(reader.commit(started()), Err(StoreError::Failed(_))));
    drop(owner);
    assert!(Sqlite::open(folder.path()).is_ok());
}

#[test]
fn every_edit_of_a_row_shows() {
    let edits = [
        ("UPDATE entries SET actor = 'somebody' WHERE seq = 2", 2),
        ("UPDATE entries SET at = '2026-10-01T02:06:00Z' WHERE seq = 1", 1),
        ("UPDATE entries SET event = replace(event, '1', '2') WHERE seq = 3", 3),
        ("UPDATE entries SET hash = replace(hash, 'a', 'b') WHERE seq = 2", 2),
        ("DELETE FROM entries WHERE seq = 2", 2),
    ];
    for (edit, first_bad) in edits {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path()).unwrap();
        for _ in 0..4 {
            store.commit(started()).unwrap();
        }
        assert_eq!(store.verify().unwrap(), 4);
        store.connection().unwrap().execute(edit, []).unwrap();
        match store.verify() {
            Err(StoreError::Broken { seq, .. }) => assert_eq!(seq, first_bad, "{edit}"),
            other => panic!("{edit}: {other:?}"),
        }
    }
}

#[test]
fn another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let raw = Connection::open(folder.path().join(FILE)).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = Sqlite::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("format"), "{error}");
}
