//! PostgreSQL as what a move reads from and fills: every table whole, page by page, in its own order.

use super::lane::{Fault, Work};
use super::{
    Postgres, count_letters, failed, insert_letters, insert_rows, keep, limited, mark, salt_in, signed, stored_rows,
    unsigned,
};
use crate::ledger::migrate::{Asked, Batch, Source, Target};
use crate::ledger::{DeadLetter, Evidence, StoreError, Stored};
use crate::time::Day;
use postgres::Row;

/// Evidence in a row, from a column on.
pub(super) fn piece(row: &Row, from: usize) -> Result<Evidence, Fault> {
    Ok(Evidence {
        incident: row.try_get(from)?,
        mention: row.try_get(from + 1)?,
        hash: row.try_get(from + 2)?,
        body: row.try_get(from + 3)?,
        joined: row.try_get(from + 4)?,
    })
}

impl Source for Postgres {
    fn rows(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reader.read(move |on| stored_rows(on, after, limit))
    }

    fn letters(&self, after: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        let after = signed(after)?;
        self.reader.read(move |on| {
            let sql = "SELECT id, body FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2";
            let read = |row: &Row| Ok((unsigned(row, 0)?, serde_json::from_str(row.try_get(1)?).map_err(failed)?));
            on.query(sql, &[&after, &limited(limit)])?.iter().map(read).collect()
        })
    }

    fn pieces(&self, after: u64, limit: usize) -> Result<Vec<(u64, Evidence)>, StoreError> {
        let after = signed(after)?;
        self.reader.read(move |on| {
            let sql =
                "SELECT id, incident, mention, hash, body, joined FROM evidence WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = on.query(sql, &[&after, &limited(limit)])?;
            rows.iter().map(|row| Ok((unsigned(row, 0)?, piece(row, 1)?))).collect()
        })
    }

    fn salts(&self) -> Result<Vec<(Day, Option<[u8; 32]>)>, StoreError> {
        self.reader.read(|on| {
            let rows = on.query("SELECT day, salt FROM salts ORDER BY day", &[])?;
            rows.iter().map(|row| Ok((Day(row.try_get(0)?), salt_in(row, 1)?))).collect()
        })
    }

    fn questions(&self) -> Result<Vec<Asked>, StoreError> {
        self.reader.read(|on| {
            let rows = on.query("SELECT number, body, answer FROM asks ORDER BY number", &[])?;
            let read =
                |row: &Row| Ok(Asked { number: unsigned(row, 0)?, body: row.try_get(1)?, answer: row.try_get(2)? });
            rows.iter().map(read).collect()
        })
    }
}

fn clear(on: &mut Work<'_>) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM entries",
        "DELETE FROM positions",
        "DELETE FROM dead_letters",
        "DELETE FROM dead_letter_counts",
        "DELETE FROM evidence",
        "DELETE FROM checkpoint",
        "DELETE FROM salts",
        "DELETE FROM asks",
    ] {
        on.execute(sql, &[])?;
    }
    Ok(())
}

fn fill(on: &mut Work<'_>, batch: &Batch) -> Result<(), Fault> {
    match batch {
        Batch::Entries(rows) => insert_rows(on, rows),
        Batch::Letters(letters) => insert_letters(on, letters),
        Batch::Counts(counts) => counts.iter().try_for_each(|(code, count)| count_letters(on, *code, *count)),
        Batch::Evidence(pieces) => keep(on, pieces),
        Batch::Salts(salts) => salts.iter().try_for_each(|(day, salt)| {
            let salt = salt.as_ref().map(<[u8; 32]>::as_slice);
            on.execute("INSERT INTO salts (day, salt) VALUES ($1, $2)", &[&day.0, &salt])?;
            Ok(())
        }),
        Batch::Asked(all) => {
            for one in all {
                let sql = "INSERT INTO asks (number, body, answer) VALUES ($1, $2, $3)";
                on.execute(sql, &[&signed(one.number)?, &one.body, &one.answer])?;
            }
            // New questions get numbers above those that came.
            let sql = "SELECT setval(pg_get_serial_sequence('asks', 'number'), 1 + COALESCE(max(number), 0), false) FROM asks";
            on.query(sql, &[])?;
            Ok(())
        }
        Batch::Positions(positions) => positions.iter().try_for_each(|position| {
            let sql = "INSERT INTO positions (stream, part, next) VALUES ($1, $2, $3)";
            on.execute(sql, &[&position.stream, &position.partition, &signed(position.offset)?])?;
            Ok(())
        }),
        Batch::Checkpoint(checkpoint) => mark(on, checkpoint),
    }
}

impl Target for Postgres {
    fn begin(&self) -> Result<(), StoreError> {
        self.writer.write(|on| {
            let moving = on.first("SELECT moving FROM format FOR UPDATE", &[])?;
            let moving: bool = moving.ok_or_else(|| failed("the database has no format"))?.try_get(0)?;
            let sql = "SELECT EXISTS (SELECT FROM entries) OR EXISTS (SELECT FROM positions)
                OR EXISTS (SELECT FROM dead_letter_counts) OR EXISTS (SELECT FROM evidence) OR EXISTS (SELECT FROM checkpoint)
                OR EXISTS (SELECT FROM salts) OR EXISTS (SELECT FROM asks)";
            let used = on.first(sql, &[])?.map_or(Ok(true), |row| row.try_get(0))?;
            if used && !moving {
                return Err(failed("the target is in use: an installation is moved into an empty database").into());
            }
            clear(on)?;
            on.execute("UPDATE format SET moving = true", &[])?;
            Ok(())
        })
    }

    fn put(&self, batch: Batch) -> Result<(), StoreError> {
        self.writer.write(move |on| {
            let moving = on.first("SELECT 1 FROM format WHERE moving FOR SHARE", &[])?;
            moving.ok_or_else(|| failed("nothing is being moved into this database"))?;
            fill(on, &batch)
        })
    }

    fn finish(&self) -> Result<(), StoreError> {
        self.writer.write(|on| {
            on.execute("UPDATE format SET moving = false", &[])?;
            Ok(())
        })
    }
}
