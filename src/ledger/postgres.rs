//! The store of many machines: PostgreSQL. A [`Step`] in, one durable transaction out, also where the connection breaks
//! while it is being committed (see `lane`).
//!
//! Steps take their numbers in the ledger one after the other, under an advisory lock, so that the chain never forks.

mod advise;
mod door;
pub(crate) mod lane;
mod moving;

use super::chain::{self, Stored};
use crate::duty::event::Entry;
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Position, Positions, Step, Store, StoreError};
use crate::mention::RefusalCode;
use crate::time::{Day, Span};
pub use advise::Advice;
use door::Door;
pub use lane::Recoveries;
use lane::{Fault, Lane, Work};
use postgres::Row;
use std::sync::Arc;

/// Dead letters kept whole, as in SQLite.
const DEAD_LETTERS_KEPT: i64 = 100_000;
/// Advisory lock of the ledger's end: "yuqc".
const CHAIN: i64 = 0x7975_7163;

/// The store of many machines.
pub struct Postgres {
    door: Door,
    /// Apart, so that readers do not wait for a commit.
    writer: Lane,
    reader: Lane,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("recoveries", &self.recoveries()).finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| failed("a number is too large for the ledger"))
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.try_get::<_, i64>(column)?).map_err(failed)?)
}

impl Postgres {
    /// Opens the store at a url and makes or renews its tables. The url is `postgres://…` or `host=… dbname=…`;
    /// `sslmode=require` verifies the server against `sslrootcert=FILE` or the system's roots.
    pub fn open(url: &str) -> Result<Postgres, StoreError> {
        Postgres::through(Door::parse(url)?)
    }

    /// Opens the store to read only, also on a replica; every write fails.
    pub fn open_read_only(url: &str) -> Result<Postgres, StoreError> {
        Postgres::through(Door::parse(url)?.read_only())
    }

    /// Opens it to move another store into it ([`super::migrate::copy`]), also where a move was broken off.
    pub fn open_moving_into(url: &str) -> Result<Postgres, StoreError> {
        Postgres::through(Door::parse(url)?.moving_into())
    }

    fn through(door: Door) -> Result<Postgres, StoreError> {
        Ok(Postgres { writer: Lane::open(door.clone())?, reader: Lane::open(door.clone())?, door })
    }

    /// What its connections went through since it was opened.
    pub fn recoveries(&self) -> Recoveries {
        let (writer, reader) = (self.writer.recoveries(), self.reader.recoveries());
        Recoveries { broken: writer.broken + reader.broken, ..writer }
    }
}

fn stored(row: &Row) -> Result<Stored, Fault> {
    Ok(Stored {
        seq: unsigned(row, 0)?,
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        event: row.try_get(3)?,
        hash: row.try_get(4)?,
    })
}

fn insert_rows(on: &mut Work<'_>, rows: &[Stored]) -> Result<(), Fault> {
    let seqs = rows.iter().map(|row| signed(row.seq)).collect::<Result<Vec<i64>, _>>()?;
    let column = |text: fn(&Stored) -> &str| rows.iter().map(text).collect::<Vec<&str>>();
    let (at, actor) = (column(|row| &row.at), column(|row| &row.actor));
    let (event, hash) = (column(|row| &row.event), column(|row| &row.hash));
    let sql = "INSERT INTO entries (seq, at, actor, event, hash)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])";
    on.execute(sql, &[&seqs, &at, &actor, &event, &hash])?;
    Ok(())
}

fn append(on: &mut Work<'_>, step: &Step) -> Result<Vec<Entry>, Fault> {
    if step.events.is_empty() {
        return Ok(Vec::new());
    }
    let last = on.first("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1", &[])?;
    let last = match last {
        Some(row) => (unsigned(&row, 0)?, row.try_get(1)?),
        None => (0, String::new()),
    };
    let rows = chain::link(last, &step.events)?;
    insert_rows(on, &rows)?;
    Ok(rows.into_iter().map(Stored::entry).collect::<Result<_, _>>()?)
}

fn stored_position(on: &mut Work<'_>, stream: &str, partition: i32) -> Result<u64, Fault> {
    let row = on.first("SELECT next FROM positions WHERE stream = $1 AND part = $2", &[&stream, &partition])?;
    row.map_or(Ok(0), |row| unsigned(&row, 0))
}

fn advance(on: &mut Work<'_>, from: &Position, to: &Position) -> Result<(), Fault> {
    if (&from.stream, from.partition) != (&to.stream, to.partition) {
        return Err(failed("a step moves one partition from one place to another").into());
    }
    let (before, after) = (signed(from.offset)?, signed(to.offset)?);
    let moved = if before == 0 {
        let sql = "INSERT INTO positions (stream, part, next) VALUES ($1, $2, $3)
            ON CONFLICT (stream, part) DO UPDATE SET next = excluded.next WHERE positions.next = 0";
        on.execute(sql, &[&to.stream, &to.partition, &after])?
    } else {
        let sql = "UPDATE positions SET next = $3 WHERE stream = $1 AND part = $2 AND next = $4";
        on.execute(sql, &[&to.stream, &to.partition, &after, &before])?
    };
    if moved == 0 {
        let stored = stored_position(on, &from.stream, from.partition)?;
        let (stream, partition, expected) = (from.stream.clone(), from.partition, from.offset);
        return Err(StoreError::Fenced { stream, partition, stored, expected }.into());
    }
    Ok(())
}

/// Locks the lead for the rest of the transaction: nobody takes it between the check and the commit.
fn fence(on: &mut Work<'_>, ours: u64) -> Result<(), Fault> {
    let row = on.first("SELECT token FROM lead FOR UPDATE", &[])?;
    let held = row.map_or(Ok(0), |row| unsigned(&row, 0))?;
    if held == ours { Ok(()) } else { Err(StoreError::Deposed { ours, held }.into()) }
}

fn insert_letters(on: &mut Work<'_>, letters: &[DeadLetter]) -> Result<(), Fault> {
    for letter in letters {
        let (code, body) = (letter.code.name(), serde_json::to_string(letter).map_err(failed)?);
        on.execute("INSERT INTO dead_letters (code, body) VALUES ($1, $2)", &[&code, &body])?;
    }
    Ok(())
}

fn count_letters(on: &mut Work<'_>, code: RefusalCode, more: u64) -> Result<(), Fault> {
    let sql = "INSERT INTO dead_letter_counts (code, count) VALUES ($1, $2)
        ON CONFLICT (code) DO UPDATE SET count = dead_letter_counts.count + excluded.count";
    on.execute(sql, &[&code.name(), &signed(more)?])?;
    Ok(())
}

fn bury(on: &mut Work<'_>, letters: &[DeadLetter]) -> Result<(), Fault> {
    insert_letters(on, letters)?;
    for letter in letters {
        count_letters(on, letter.code, 1)?;
    }
    if !letters.is_empty() {
        let sql = "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - $1";
        on.execute(sql, &[&DEAD_LETTERS_KEPT])?;
    }
    Ok(())
}

fn keep(on: &mut Work<'_>, evidence: &[Evidence]) -> Result<(), Fault> {
    for piece in evidence {
        on.execute(
            "INSERT INTO evidence (incident, mention, hash, body, joined) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (incident, mention) DO NOTHING",
            &[&piece.incident, &piece.mention, &piece.hash, &piece.body, &piece.joined],
        )?;
    }
    Ok(())
}

fn mark(on: &mut Work<'_>, checkpoint: &Checkpoint) -> Result<(), Fault> {
    let positions = serde_json::to_string(&checkpoint.positions).map_err(failed)?;
    on.execute(
        "INSERT INTO checkpoint (one, positions, version, body) VALUES (1, $1, $2, $3)
         ON CONFLICT (one) DO UPDATE SET positions = excluded.positions, version = excluded.version, body = excluded.body",
        &[&positions, &i64::from(checkpoint.version), &checkpoint.body],
    )?;
    Ok(())
}

fn decide(on: &mut Work<'_>, step: &Step) -> Result<Vec<Entry>, Fault> {
    // One step after the other, whichever process it comes from.
    on.execute("SELECT pg_advisory_xact_lock($1)", &[&CHAIN])?;
    if let Some(ours) = step.fence {
        fence(on, ours)?;
    }
    for (from, to) in &step.positions {
        advance(on, from, to)?;
    }
    for mention in &step.forget {
        on.execute("DELETE FROM evidence WHERE mention = $1", &[mention])?;
    }
    for (number, answer) in &step.answers {
        on.execute("UPDATE asks SET answer = $2 WHERE number = $1", &[&signed(*number)?, answer])?;
    }
    bury(on, &step.dead_letters)?;
    keep(on, &step.evidence)?;
    if let Some(checkpoint) = &step.checkpoint {
        mark(on, checkpoint)?;
    }
    append(on, step)
}

fn lead(on: &mut Work<'_>, holder: &str, holds: Span) -> Result<Option<u64>, Fault> {
    let row = on.first("SELECT token, holder, until_ms FROM lead FOR UPDATE", &[])?;
    let row = row.ok_or_else(|| failed("the row of the lead is missing"))?;
    let (token, by, until) = (unsigned(&row, 0)?, row.try_get::<_, String>(1)?, row.try_get::<_, i64>(2)?);
    // The server's clock, and of now: the transaction may have waited for the row.
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = on.first(sql, &[])?.ok_or_else(|| failed("the server tells no time"))?.try_get(0)?;
    let token = match token {
        held if held > 0 && by == holder => held,
        held if held > 0 && until > now => return Ok(None),
        held => held + 1,
    };
    let sql = "UPDATE lead SET token = $1, holder = $2, until_ms = $3";
    on.execute(sql, &[&signed(token)?, &holder, &now.saturating_add(holds.0)])?;
    Ok(Some(token))
}

fn salt(on: &mut Work<'_>, day: Day) -> Result<Option<[u8; 32]>, Fault> {
    let mut made = [0u8; 32];
    getrandom::fill(&mut made).map_err(failed)?;
    let sql = "INSERT INTO salts (day, salt) VALUES ($1, $2) ON CONFLICT (day) DO NOTHING";
    on.execute(sql, &[&day.0, &made.as_slice()])?;
    // Who comes second waits for the first and then reads its salt.
    Ok(stored_salt(on, day)?.flatten())
}

fn secret(on: &mut Work<'_>, name: &str) -> Result<[u8; 32], Fault> {
    let mut made = [0u8; 32];
    getrandom::fill(&mut made).map_err(failed)?;
    let sql = "INSERT INTO secrets (name, secret) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    on.execute(sql, &[&name, &made.as_slice()])?;
    // Who comes second waits for the first and then reads its secret.
    let row = on.first("SELECT secret FROM secrets WHERE name = $1", &[&name])?;
    let whole = row.map(|row| salt_in(&row, 0)).transpose()?.flatten();
    Ok(whole.ok_or_else(|| failed("a secret that was just written is not there"))?)
}

/// The outer `None`: the day has no row yet.
fn stored_salt(on: &mut Work<'_>, day: Day) -> Result<Option<Option<[u8; 32]>>, Fault> {
    let row = on.first("SELECT salt FROM salts WHERE day = $1", &[&day.0])?;
    row.map(|row| salt_in(&row, 0)).transpose()
}

fn salt_in(row: &Row, column: usize) -> Result<Option<[u8; 32]>, Fault> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    let whole = bytes.map(|bytes| <[u8; 32]>::try_from(bytes).map_err(|_| failed("a salt has 32 bytes")));
    Ok(whole.transpose()?)
}

fn stored_rows(on: &mut Work<'_>, after: u64, limit: usize) -> Result<Vec<Stored>, Fault> {
    let sql = "SELECT seq, at, actor, event, hash FROM entries WHERE seq > $1 ORDER BY seq LIMIT $2";
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    on.query(sql, &[&after, &limited(limit)])?.iter().map(stored).collect()
}

impl Postgres {
    fn page(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reader.read(move |on| stored_rows(on, after, limit))
    }
}

impl Store for Postgres {
    fn commit(&self, step: Step) -> Result<Vec<Entry>, StoreError> {
        let step = Arc::new(step);
        self.writer.write(move |on| decide(on, &step))
    }

    fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.page(after, limit)?.into_iter().map(Stored::entry).collect()
    }

    fn position(&self, stream: &str, partition: i32) -> Result<u64, StoreError> {
        let stream = stream.to_owned();
        self.reader.read(move |on| stored_position(on, &stream, partition))
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.reader.read(|on| {
            let Some(row) = on.first("SELECT positions, version, body FROM checkpoint", &[])? else {
                return Ok(None);
            };
            let positions = serde_json::from_str(row.try_get(0)?).map_err(failed)?;
            let version = u32::try_from(row.try_get::<_, i64>(1)?).map_err(failed)?;
            Ok(Some(Checkpoint { positions, version, body: row.try_get(2)? }))
        })
    }

    fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.writer.write(move |on| mark(on, &checkpoint))
    }

    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.reader.read(move |on| {
            let rows = on.query("SELECT body FROM dead_letters ORDER BY id DESC LIMIT $1", &[&limited(limit)])?;
            rows.iter().map(|row| Ok(serde_json::from_str(row.try_get(0)?).map_err(failed)?)).collect()
        })
    }

    fn dead_letter_counts(&self) -> Result<Vec<(RefusalCode, u64)>, StoreError> {
        self.reader.read(|on| {
            let rows = on.query("SELECT code, count FROM dead_letter_counts ORDER BY code", &[])?;
            let read = |row: &Row| {
                let code: String = row.try_get(0)?;
                Ok((serde_json::from_value(code.into()).map_err(failed)?, unsigned(row, 1)?))
            };
            rows.iter().map(read).collect()
        })
    }

    fn evidence(&self, incident: &str, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        let incident = incident.to_owned();
        self.reader.read(move |on| {
            let sql =
                "SELECT incident, mention, hash, body, joined FROM evidence WHERE incident = $1 ORDER BY id LIMIT $2";
            on.query(sql, &[&incident, &limited(limit)])?.iter().map(|row| moving::piece(row, 0)).collect()
        })
    }

    fn destroy_evidence(&self, incident: &str) -> Result<u64, StoreError> {
        let incident = incident.to_owned();
        self.writer.write(move |on| Ok(on.execute("DELETE FROM evidence WHERE incident = $1", &[&incident])?))
    }

    fn lines(&self, after: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        Ok(self.page(after, limit)?.iter().map(Stored::line).collect())
    }

    fn salt(&self, day: Day) -> Result<Option<[u8; 32]>, StoreError> {
        match self.reader.read(move |on| stored_salt(on, day))? {
            Some(stored) => Ok(stored),
            None => self.writer.write(move |on| salt(on, day)),
        }
    }

    fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        let name = name.to_owned();
        self.writer.write(move |on| secret(on, &name))
    }

    // The row of a destroyed salt stays, empty: that day never gets another.
    fn destroy_salts_before(&self, day: Day) -> Result<Vec<Day>, StoreError> {
        let mut days = self.writer.write(move |on| {
            let sql = "UPDATE salts SET salt = NULL WHERE day < $1 AND salt IS NOT NULL RETURNING day";
            let rows = on.query(sql, &[&day.0])?;
            rows.iter().map(|row| Ok(Day(row.try_get(0)?))).collect::<Result<Vec<Day>, Fault>>()
        })?;
        days.sort();
        if !days.is_empty() {
            // The old rows with their bytes stay in the table's file until it is written anew; it is a few rows long.
            self.writer.apart("VACUUM (FULL) salts")?;
        }
        Ok(days)
    }

    fn lead(&self, holder: &str, holds: Span) -> Result<Option<u64>, StoreError> {
        let holder = holder.to_owned();
        self.writer.write(move |on| lead(on, &holder, holds))
    }

    fn resign(&self, holder: &str) -> Result<(), StoreError> {
        let holder = holder.to_owned();
        self.writer.write(move |on| {
            on.execute("UPDATE lead SET until_ms = 0, holder = '' WHERE holder = $1", &[&holder])?;
            Ok(())
        })
    }

    fn ask(&self, body: &str) -> Result<u64, StoreError> {
        let body = body.to_owned();
        self.writer.write(move |on| {
            let row = on.first("INSERT INTO asks (body) VALUES ($1) RETURNING number", &[&body])?;
            unsigned(&row.ok_or_else(|| failed("the question got no number"))?, 0)
        })
    }

    fn asked(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        self.reader.read(move |on| {
            let sql = "SELECT number, body FROM asks WHERE answer IS NULL ORDER BY number LIMIT $1";
            let rows = on.query(sql, &[&limited(limit)])?;
            rows.iter().map(|row| Ok((unsigned(row, 0)?, row.try_get(1)?))).collect()
        })
    }

    fn take_answer(&self, number: u64) -> Result<Option<String>, StoreError> {
        let number = signed(number)?;
        // Most of the time there is none yet, and looking costs no transaction.
        let there = "SELECT 1 FROM asks WHERE number = $1 AND answer IS NOT NULL";
        if self.reader.read(move |on| Ok(on.first(there, &[&number])?.is_none()))? {
            return Ok(None);
        }
        self.writer.write(move |on| {
            let sql = "DELETE FROM asks WHERE number = $1 AND answer IS NOT NULL RETURNING answer";
            Ok(on.first(sql, &[&number])?.map(|row| row.try_get(0)).transpose()?)
        })
    }

    fn positions(&self) -> Result<Positions, StoreError> {
        self.reader.read(|on| {
            let rows = on.query("SELECT stream, part, next FROM positions", &[])?;
            let read = |row: &Row| {
                Ok(Position { stream: row.try_get(0)?, partition: row.try_get(1)?, offset: unsigned(row, 2)? })
            };
            Ok(Positions::from(rows.iter().map(read).collect::<Result<Vec<_>, Fault>>()?))
        })
    }

    fn verify(&self) -> Result<u64, StoreError> {
        chain::verify(|after, limit| self.page(after, limit))
    }
}
