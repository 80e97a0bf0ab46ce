//! SQLite against the model, with crashes: its files as they stand are opened elsewhere, with half a transaction behind
//! the last one in the write-ahead log.

use super::{FILE, Sqlite};
use crate::ledger::migrate::Source;
use crate::ledger::model::{self, Happened, Subject};
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

struct House {
    store: Sqlite,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        House { store: Sqlite::open(folder.path()).unwrap(), folder }
    }
}

impl Subject for House {
    fn store(&self) -> &dyn Source {
        &self.store
    }

    fn crash(&mut self) {
        let wal = format!("{FILE}-wal");
        let after = tempfile::tempdir().unwrap();
        // What a process killed now leaves behind: nothing was closed, the log was not folded in.
        for name in [FILE, wal.as_str()] {
            std::fs::copy(self.folder.path().join(name), after.path().join(name)).unwrap();
        }
        let mut log = OpenOptions::new().append(true).open(after.path().join(&wal)).unwrap();
        log.write_all(&[0xa5; 3_000]).unwrap();
        drop(log);
        let store = Sqlite::open(after.path()).unwrap();
        *self = House { store, folder: after };
    }
}

#[test]
fn does_what_the_model_does() {
    let happened = Mutex::new(Happened::default());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let commands = proptest::collection::vec(any::<[u8; 4]>(), 1..40);
    proptest::test_runner::TestRunner::new(config)
        .run(&commands, |commands| {
            happened.lock().unwrap().add(model::drive(&mut House::new(), &commands));
            Ok(())
        })
        .unwrap();
    let Happened { steps, fenced, deposed, crashes, answers, destroyed } = *happened.lock().unwrap();
    assert!(steps > 100 && crashes > 20 && deposed > 20, "{happened:?}");
    assert!(fenced > 5 && answers > 0 && destroyed > 0, "{happened:?}");
}
