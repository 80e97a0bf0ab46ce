//! The store of one machine: SQLite in a folder that one process owns. A [`Step`] in, one durable transaction out.
//!
//! Write-ahead log with `synchronous=FULL`; STRICT tables in time order.

mod source;

use super::chain::{self, Stored};
use crate::duty::event::{Entry, Event};
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Position, Positions, Step, Store, StoreError};
use crate::mention::RefusalCode;
use crate::time::{Day, Instant, Span};
use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// Format of the file; another one is refused.
const FORMAT: i64 = 2;
/// Marks the file as ours: "yuqi".
const APPLICATION_ID: i64 = 0x7975_7169;
/// Dead letters kept whole; older ones go and are only counted: a broken sender must not fill the disk.
const DEAD_LETTERS_KEPT: i64 = 100_000;
/// How long a reader beside the owner waits for a lock, milliseconds.
const BUSY_MS: u64 = 5_000;
/// Name of the database in the folder.
const FILE: &str = "ledger.sqlite";
/// Name of the lock file in the folder.
const LOCK: &str = "lock";

const SCHEMA: &str = "
CREATE TABLE entries (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, event TEXT NOT NULL,
    hash TEXT NOT NULL) STRICT;
CREATE TABLE positions (stream TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (stream, part)) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, code TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE dead_letter_counts (code TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE evidence (id INTEGER PRIMARY KEY, incident TEXT NOT NULL, mention TEXT NOT NULL, hash TEXT NOT NULL,
    body TEXT NOT NULL, joined TEXT NOT NULL, UNIQUE (incident, mention)) STRICT;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), positions TEXT NOT NULL, version INTEGER NOT NULL,
    body BLOB NOT NULL) STRICT;
CREATE TABLE salts (day INTEGER PRIMARY KEY, salt BLOB) STRICT;
CREATE TABLE secrets (name TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT;
CREATE TABLE lead (one INTEGER PRIMARY KEY CHECK (one = 1), token INTEGER NOT NULL, holder TEXT NOT NULL,
    until_ms INTEGER NOT NULL) STRICT;
CREATE TABLE asks (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, answer TEXT) STRICT;
";

/// The store of one machine.
#[derive(Debug)]
pub struct Sqlite {
    connection: Mutex<Connection>,
    /// Held as long as the store is open; `None` for a reader.
    _lock: Option<File>,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Failed(error.to_string())
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl Sqlite {
    /// Opens the store in a folder, makes it on first use, and owns it until dropped.
    pub fn open(dir: &Path) -> Result<Sqlite, StoreError> {
        std::fs::create_dir_all(dir).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(dir.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let connection = Connection::open(dir.join(FILE))?;
        prepare(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        create(&connection)?;
        // The folder too: a new file whose name was never synced is gone after a power cut.
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Sqlite { connection: Mutex::new(connection), _lock: Some(lock) })
    }

    /// Opens the store to read beside its owner; every write fails.
    pub fn open_read_only(dir: &Path) -> Result<Sqlite, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(dir.join(FILE), flags)?;
        prepare(&connection)?;
        check_format(&connection)?;
        Ok(Sqlite { connection: Mutex::new(connection), _lock: None })
    }

    /// Copies the store of a folder into a new file by SQLite's online backup, beside whoever writes. The salts of
    /// source keys stay behind: they must be gone in two days, wherever copies lie.
    pub fn copy(dir: &Path, to: &Path) -> Result<(), StoreError> {
        let from = Sqlite::open_read_only(dir)?;
        let mut copy = Connection::open(to)?;
        // All pages in one step: one snapshot, which a writer beside neither waits for nor makes begin anew.
        let step = rusqlite::backup::Backup::new(&*from.connection()?, &mut copy)?.step(-1)?;
        if step != rusqlite::backup::StepResult::Done {
            return Err(failed(format!("the copy did not end: {step:?}")));
        }
        copy.pragma_update(None, "journal_mode", "delete")?;
        copy.pragma_update(None, "secure_delete", true)?;
        copy.execute("DELETE FROM salts WHERE salt IS NOT NULL", [])?;
        Ok(())
    }

    /// SQLite's own check of every page; what it finds is an error.
    pub fn check_pages(&self) -> Result<(), StoreError> {
        let found: String = self.connection()?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(failed(found)) }
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        self.connection.lock().map_err(|_| failed("a writer died in the middle of a step"))
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "secure_delete", true)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

fn create(connection: &Connection) -> Result<(), StoreError> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        let stamp = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};");
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {stamp} COMMIT;"))?;
    }
    check_format(connection)
}

fn check_format(connection: &Connection) -> Result<(), StoreError> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (id, format) == (APPLICATION_ID, FORMAT) {
        return Ok(());
    }
    Err(failed(format!("ledger has format {id:#x}/{format}, this program reads {APPLICATION_ID:#x}/{FORMAT}")))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let seq = unsigned(row, 0)?;
    Ok(Stored { seq, at: row.get(1)?, actor: row.get(2)?, event: row.get(3)?, hash: row.get(4)? })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, error.into()))
}

fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| failed("a number is too large for the ledger"))
}

fn stored_rows(connection: &Connection, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
    let sql = "SELECT seq, at, actor, event, hash FROM entries WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut query = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = query.query_map(params![after, limit], stored)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn append(store: &Transaction<'_>, events: Vec<(Instant, String, Event)>) -> Result<Vec<Entry>, StoreError> {
    let last = store
        .query_row("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((unsigned(row, 0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let mut insert =
        store.prepare_cached("INSERT INTO entries (seq, at, actor, event, hash) VALUES (?, ?, ?, ?, ?)")?;
    let mut entries = Vec::with_capacity(events.len());
    for row in chain::link(last.unwrap_or_default(), &events)? {
        insert.execute(params![signed(row.seq)?, row.at, row.actor, row.event, row.hash])?;
        // Read back from what was written, so that the running state and a replayed one cannot differ.
        entries.push(row.entry()?);
    }
    Ok(entries)
}

fn stored_position(connection: &Connection, stream: &str, partition: i32) -> Result<u64, StoreError> {
    let sql = "SELECT next FROM positions WHERE stream = ?1 AND part = ?2";
    let next = connection.query_row(sql, params![stream, partition], |row| unsigned(row, 0)).optional()?;
    Ok(next.unwrap_or(0))
}

fn advance(store: &Transaction<'_>, from: &Position, to: &Position) -> Result<(), StoreError> {
    if (&from.stream, from.partition) != (&to.stream, to.partition) {
        return Err(failed("a step moves one partition from one place to another"));
    }
    let stored = stored_position(store, &from.stream, from.partition)?;
    if stored != from.offset {
        let (stream, partition, expected) = (from.stream.clone(), from.partition, from.offset);
        return Err(StoreError::Fenced { stream, partition, stored, expected });
    }
    store.execute(
        "INSERT INTO positions (stream, part, next) VALUES (?1, ?2, ?3)
         ON CONFLICT (stream, part) DO UPDATE SET next = excluded.next",
        params![to.stream, to.partition, signed(to.offset)?],
    )?;
    Ok(())
}

fn fence(store: &Transaction<'_>, ours: u64) -> Result<(), StoreError> {
    let held = store.query_row("SELECT token FROM lead", [], |row| unsigned(row, 0)).optional()?.unwrap_or(0);
    if held == ours { Ok(()) } else { Err(StoreError::Deposed { ours, held }) }
}

fn bury(store: &Transaction<'_>, letters: &[DeadLetter]) -> Result<(), StoreError> {
    for letter in letters {
        let (code, body) = (letter.code.name(), serde_json::to_string(letter).map_err(failed)?);
        store.execute("INSERT INTO dead_letters (code, body) VALUES (?1, ?2)", params![code, body])?;
        store.execute(
            "INSERT INTO dead_letter_counts (code, count) VALUES (?1, 1)
             ON CONFLICT (code) DO UPDATE SET count = count + 1",
            params![code],
        )?;
    }
    if !letters.is_empty() {
        let sql = "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?1";
        store.execute(sql, params![DEAD_LETTERS_KEPT])?;
    }
    Ok(())
}

fn keep(store: &Transaction<'_>, evidence: &[Evidence]) -> Result<(), StoreError> {
    for piece in evidence {
        store.execute(
            "INSERT INTO evidence (incident, mention, hash, body, joined) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (incident, mention) DO NOTHING",
            params![piece.incident, piece.mention, piece.hash, piece.body, piece.joined],
        )?;
    }
    Ok(())
}

/// What was destroyed must not linger in the write-ahead log; `secure_delete` zeroes it in the file.
fn truncate_log(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

fn mark(store: &Transaction<'_>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let positions = serde_json::to_string(&checkpoint.positions).map_err(failed)?;
    store.execute(
        "INSERT OR REPLACE INTO checkpoint (one, positions, version, body) VALUES (1, ?1, ?2, ?3)",
        params![positions, checkpoint.version, checkpoint.body],
    )?;
    Ok(())
}

impl Store for Sqlite {
    fn commit(&self, step: Step) -> Result<Vec<Entry>, StoreError> {
        self.write(|store| {
            if let Some(ours) = step.fence {
                fence(store, ours)?;
            }
            for (from, to) in &step.positions {
                advance(store, from, to)?;
            }
            for mention in &step.forget {
                store.execute("DELETE FROM evidence WHERE mention = ?1", params![mention])?;
            }
            for (number, answer) in &step.answers {
                store.execute("UPDATE asks SET answer = ?2 WHERE number = ?1", params![signed(*number)?, answer])?;
            }
            bury(store, &step.dead_letters)?;
            keep(store, &step.evidence)?;
            if let Some(checkpoint) = &step.checkpoint {
                mark(store, checkpoint)?;
            }
            append(store, step.events)
        })
    }

    fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let rows = stored_rows(&*self.connection()?, after, limit)?;
        rows.into_iter().map(Stored::entry).collect()
    }

    fn lines(&self, after: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        Ok(stored_rows(&*self.connection()?, after, limit)?.iter().map(Stored::line).collect())
    }

    fn position(&self, stream: &str, partition: i32) -> Result<u64, StoreError> {
        stored_position(&*self.connection()?, stream, partition)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let connection = self.connection()?;
        let sql = "SELECT positions, version, body FROM checkpoint";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
        let Some((positions, version, body)) = connection.query_row(sql, [], read).optional()? else {
            return Ok(None);
        };
        Ok(Some(Checkpoint { positions: serde_json::from_str(&positions).map_err(failed)?, version, body }))
    }

    fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.write(|store| mark(store, &checkpoint))
    }

    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached("SELECT body FROM dead_letters ORDER BY id DESC LIMIT ?1")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let bodies: Vec<String> = query.query_map([limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
        bodies.iter().map(|body| serde_json::from_str(body).map_err(failed)).collect()
    }

    fn dead_letter_counts(&self) -> Result<Vec<(RefusalCode, u64)>, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached("SELECT code, count FROM dead_letter_counts ORDER BY code")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?)))?;
        let mut counts = Vec::new();
        for row in rows {
            let (code, count) = row?;
            counts.push((serde_json::from_value(code.into()).map_err(failed)?, count));
        }
        Ok(counts)
    }

    fn evidence(&self, incident: &str, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        let connection = self.connection()?;
        let sql = "SELECT incident, mention, hash, body, joined FROM evidence WHERE incident = ?1 ORDER BY id LIMIT ?2";
        let mut query = connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query.query_map(params![incident, limit], |row| {
            Ok(Evidence {
                incident: row.get(0)?,
                mention: row.get(1)?,
                hash: row.get(2)?,
                body: row.get(3)?,
                joined: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn destroy_evidence(&self, incident: &str) -> Result<u64, StoreError> {
        let gone = self.write(|store| Ok(store.execute("DELETE FROM evidence WHERE incident = ?1", [incident])?))?;
        if gone > 0 {
            truncate_log(&*self.connection()?)?;
        }
        u64::try_from(gone).map_err(failed)
    }

    fn salt(&self, day: Day) -> Result<Option<[u8; 32]>, StoreError> {
        self.write(|store| {
            let sql = "SELECT salt FROM salts WHERE day = ?1";
            let stored = store.query_row(sql, [day.0], |row| row.get::<_, Option<[u8; 32]>>(0)).optional()?;
            if let Some(salt) = stored {
                return Ok(salt);
            }
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(failed)?;
            store.execute("INSERT INTO salts (day, salt) VALUES (?1, ?2)", params![day.0, salt])?;
            Ok(Some(salt))
        })
    }

    fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        self.write(|store| {
            let sql = "SELECT secret FROM secrets WHERE name = ?1";
            if let Some(secret) = store.query_row(sql, [name], |row| row.get(0)).optional()? {
                return Ok(secret);
            }
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(failed)?;
            store.execute("INSERT INTO secrets (name, secret) VALUES (?1, ?2)", params![name, secret])?;
            Ok(secret)
        })
    }

    // The row of a destroyed salt stays, empty: that day never gets another.
    fn destroy_salts_before(&self, day: Day) -> Result<Vec<Day>, StoreError> {
        let days = self.write(|store| {
            let sql = "SELECT day FROM salts WHERE day < ?1 AND salt IS NOT NULL ORDER BY day";
            let days: Vec<i32> = store.prepare(sql)?.query_map([day.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
            store.execute("UPDATE salts SET salt = NULL WHERE day < ?1", [day.0])?;
            Ok(days)
        })?;
        if !days.is_empty() {
            truncate_log(&*self.connection()?)?;
        }
        Ok(days.into_iter().map(Day).collect())
    }

    fn lead(&self, holder: &str, holds: Span) -> Result<Option<u64>, StoreError> {
        self.write(|store| {
            let now: i64 =
                store.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |row| row.get(0))?;
            let read = |row: &Row<'_>| Ok((unsigned(row, 0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
            let held = store.query_row("SELECT token, holder, until_ms FROM lead", [], read).optional()?;
            let token = match held {
                Some((token, by, _)) if by == holder => token,
                Some((_, _, until)) if until > now => return Ok(None),
                Some((token, ..)) => token + 1,
                None => 1,
            };
            store.execute(
                "INSERT OR REPLACE INTO lead (one, token, holder, until_ms) VALUES (1, ?1, ?2, ?3)",
                params![signed(token)?, holder, now + holds.0],
            )?;
            Ok(Some(token))
        })
    }

    fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.write(|store| {
            store.execute("UPDATE lead SET until_ms = 0, holder = '' WHERE holder = ?1", params![holder])?;
            Ok(())
        })
    }

    fn ask(&self, body: &str) -> Result<u64, StoreError> {
        self.write(|store| {
            store.execute("INSERT INTO asks (body) VALUES (?1)", params![body])?;
            u64::try_from(store.last_insert_rowid()).map_err(failed)
        })
    }

    fn asked(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let connection = self.connection()?;
        let sql = "SELECT number, body FROM asks WHERE answer IS NULL ORDER BY number LIMIT ?1";
        let mut query = connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query.query_map([limit], |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn take_answer(&self, number: u64) -> Result<Option<String>, StoreError> {
        self.write(|store| {
            let sql = "DELETE FROM asks WHERE number = ?1 AND answer IS NOT NULL RETURNING answer";
            Ok(store.query_row(sql, params![signed(number)?], |row| row.get(0)).optional()?)
        })
    }

    fn positions(&self) -> Result<Positions, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached("SELECT stream, part, next FROM positions")?;
        let read =
            |row: &Row<'_>| Ok(Position { stream: row.get(0)?, partition: row.get(1)?, offset: unsigned(row, 2)? });
        let rows: Vec<Position> = query.query_map([], read)?.collect::<Result<_, _>>()?;
        Ok(Positions::from(rows))
    }

    fn verify(&self) -> Result<u64, StoreError> {
        chain::verify(|after, limit| stored_rows(&*self.connection()?, after, limit))
    }
}

#[cfg(test)]
mod model_tests;

#[cfg(test)]
mod tests;
