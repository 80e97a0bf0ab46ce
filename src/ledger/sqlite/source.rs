//! SQLite as what a move reads from: every table whole, page by page, in its own order.

use super::{Sqlite, failed, stored_rows, unsigned};
use crate::ledger::migrate::{Asked, Source};
use crate::ledger::{DeadLetter, Evidence, StoreError, Stored};
use crate::time::Day;
use rusqlite::{Row, params};

impl Sqlite {
    fn page<T>(
        &self,
        sql: &str,
        (after, limit): (u64, usize),
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached(sql)?;
        let (after, limit) = (i64::try_from(after).map_err(failed)?, i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.query_map(params![after, limit], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Source for Sqlite {
    fn rows(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        stored_rows(&*self.connection()?, after, limit)
    }

    fn letters(&self, after: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        let sql = "SELECT id, body FROM dead_letters WHERE id > ?1 ORDER BY id LIMIT ?2";
        let rows = self.page(sql, (after, limit), |row| Ok((unsigned(row, 0)?, row.get::<_, String>(1)?)))?;
        let read = |(id, body): (u64, String)| Ok((id, serde_json::from_str(&body).map_err(failed)?));
        rows.into_iter().map(read).collect()
    }

    fn pieces(&self, after: u64, limit: usize) -> Result<Vec<(u64, Evidence)>, StoreError> {
        let sql = "SELECT id, incident, mention, hash, body, joined FROM evidence WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.page(sql, (after, limit), |row| {
            let piece = Evidence {
                incident: row.get(1)?,
                mention: row.get(2)?,
                hash: row.get(3)?,
                body: row.get(4)?,
                joined: row.get(5)?,
            };
            Ok((unsigned(row, 0)?, piece))
        })
    }

    fn salts(&self) -> Result<Vec<(Day, Option<[u8; 32]>)>, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached("SELECT day, salt FROM salts ORDER BY day")?;
        let rows = query.query_map([], |row| Ok((Day(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn questions(&self) -> Result<Vec<Asked>, StoreError> {
        let connection = self.connection()?;
        let mut query = connection.prepare_cached("SELECT number, body, answer FROM asks ORDER BY number")?;
        let read = |row: &Row<'_>| Ok(Asked { number: unsigned(row, 0)?, body: row.get(1)?, answer: row.get(2)? });
        let rows = query.query_map([], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
