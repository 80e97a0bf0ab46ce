//! Accounts of one machine: `accounts.sqlite`. Several processes may have the file open at once.

use super::accounts::{AccountError, PAUSE, SESSION_IDLE, SESSION_WHOLE, WRONG_LOGINS};
use super::accounts_book::{All, Book, Kept, Token, User};
use crate::time::Instant;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, role TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tokens (hash BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, user TEXT NOT NULL, csrf TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS attempts (name TEXT PRIMARY KEY, wrong INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS used_links (notice TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";

/// The accounts file.
pub(super) struct SqliteBook {
    file: Mutex<Connection>,
}

impl From<rusqlite::Error> for AccountError {
    fn from(error: rusqlite::Error) -> AccountError {
        AccountError::Failed(error.to_string())
    }
}

impl SqliteBook {
    pub(super) fn open(dir: &Path) -> Result<SqliteBook, AccountError> {
        let file = Connection::open(dir.join("accounts.sqlite"))?;
        file.busy_timeout(std::time::Duration::from_millis(5_000))?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.pragma_update(None, "synchronous", "FULL")?;
        file.execute_batch(TABLES)?;
        Ok(SqliteBook { file: Mutex::new(file) })
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, AccountError>) -> Result<T, AccountError> {
        let mut file = self.file();
        let step = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&step)?;
        step.commit()?;
        Ok(value)
    }

    fn every<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>, AccountError> {
        let file = self.file();
        let mut query = file.prepare(sql)?;
        let rows = query.query_map([], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Instant> {
    Ok(Instant::from_millis(row.get(column)?))
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let (name, role, salt, hash) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(User { name, role, salt, hash, created: instant(row, 4)? })
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token { hash: row.get(0)?, name: row.get(1)?, role: row.get(2)?, created: instant(row, 3)? })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let (hash, user, csrf) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Kept { hash, user, csrf, created: instant(row, 3)?, seen: instant(row, 4)? })
}

fn insert_user(step: &Transaction<'_>, user: &User) -> Result<(), AccountError> {
    step.execute(
        "INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET role=excluded.role, salt=excluded.salt, hash=excluded.hash",
        params![user.name, user.role, user.salt, user.hash, user.created.millis()],
    )?;
    Ok(())
}

fn insert_token(on: &Connection, token: &Token) -> Result<(), AccountError> {
    let row = params![token.hash, token.name, token.role, token.created.millis()];
    on.execute("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4)", row)?;
    Ok(())
}

fn insert_session(step: &Transaction<'_>, session: &Kept) -> Result<(), AccountError> {
    let row = params![session.hash, session.user, session.csrf, session.created.millis(), session.seen.millis()];
    step.execute("INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
    Ok(())
}

impl Book for SqliteBook {
    fn bootstrapped(&self) -> Result<bool, AccountError> {
        let sql = "SELECT 1 FROM facts WHERE name='bootstrapped'";
        Ok(self.file().query_row(sql, [], |_| Ok(())).optional()?.is_some())
    }

    fn bootstrap(&self, operator: User, token: Token) -> Result<bool, AccountError> {
        self.write(|step| {
            let at = operator.created.to_string();
            if step.execute("INSERT OR IGNORE INTO facts VALUES ('bootstrapped', ?1)", params![at])? == 0 {
                return Ok(false);
            }
            step.execute(
                "INSERT OR IGNORE INTO users VALUES (?1, ?2, ?3, ?4, ?5)",
                params![operator.name, operator.role, operator.salt, operator.hash, operator.created.millis()],
            )?;
            insert_token(step, &token)?;
            Ok(true)
        })
    }

    fn put_user(&self, user: User) -> Result<(), AccountError> {
        self.write(|step| {
            insert_user(step, &user)?;
            step.execute("DELETE FROM sessions WHERE user=?1", params![user.name])?;
            Ok(())
        })
    }

    fn user(&self, name: &str) -> Result<Option<User>, AccountError> {
        let sql = "SELECT name, role, salt, hash, created FROM users WHERE name=?1";
        Ok(self.file().query_row(sql, params![name], user).optional()?)
    }

    fn add_token(&self, token: Token) -> Result<(), AccountError> {
        insert_token(&self.file(), &token)
    }

    fn drop_tokens(&self, name: &str) -> Result<usize, AccountError> {
        Ok(self.file().execute("DELETE FROM tokens WHERE name=?1", params![name])?)
    }

    fn token(&self, hash: &[u8]) -> Result<Option<Token>, AccountError> {
        let sql = "SELECT hash, name, role, created FROM tokens WHERE hash=?1";
        Ok(self.file().query_row(sql, params![hash], token).optional()?)
    }

    fn attempt(&self, name: &str, now: Instant) -> Result<Option<Instant>, AccountError> {
        self.write(|step| {
            step.execute("DELETE FROM attempts WHERE last < ?1", params![(now - PAUSE).millis()])?;
            let sql = "SELECT wrong, last FROM attempts WHERE name=?1";
            let read = |row: &Row<'_>| Ok((row.get::<_, u32>(0)?, instant(row, 1)?));
            if let Some((wrong, last)) = step.query_row(sql, params![name], read).optional()?
                && wrong >= WRONG_LOGINS
            {
                return Ok(Some(last + PAUSE));
            }
            step.execute(
                "INSERT INTO attempts VALUES (?1, 1, ?2) ON CONFLICT (name) DO UPDATE SET wrong=wrong+1, last=excluded.last",
                params![name, now.millis()],
            )?;
            Ok(None)
        })
    }

    fn open_session(&self, session: Kept) -> Result<(), AccountError> {
        self.write(|step| {
            step.execute("DELETE FROM attempts WHERE name=?1", params![session.user])?;
            let now = session.created;
            step.execute(
                "DELETE FROM sessions WHERE created < ?1 OR seen < ?2",
                params![(now - SESSION_WHOLE).millis(), (now - SESSION_IDLE).millis()],
            )?;
            insert_session(step, &session)
        })
    }

    fn session(&self, hash: &[u8]) -> Result<Option<(Kept, String)>, AccountError> {
        let sql = "SELECT sessions.hash, user, csrf, sessions.created, seen, role
            FROM sessions JOIN users ON users.name=user WHERE sessions.hash=?1";
        Ok(self.file().query_row(sql, params![hash], |row| Ok((session(row)?, row.get(5)?))).optional()?)
    }

    fn touch(&self, hash: &[u8], now: Instant) -> Result<(), AccountError> {
        self.file().execute("UPDATE sessions SET seen=?2 WHERE hash=?1", params![hash, now.millis()])?;
        Ok(())
    }

    fn end_session(&self, hash: &[u8]) -> Result<(), AccountError> {
        self.file().execute("DELETE FROM sessions WHERE hash=?1", params![hash])?;
        Ok(())
    }

    fn take_link(&self, notice: &str, now: Instant) -> Result<bool, AccountError> {
        let row = params![notice, now.millis()];
        Ok(self.file().execute("INSERT OR IGNORE INTO used_links VALUES (?1, ?2)", row)? == 1)
    }

    fn give_link_back(&self, notice: &str) -> Result<(), AccountError> {
        self.file().execute("DELETE FROM used_links WHERE notice=?1", params![notice])?;
        Ok(())
    }

    fn link_used(&self, notice: &str) -> Result<bool, AccountError> {
        let sql = "SELECT 1 FROM used_links WHERE notice=?1";
        Ok(self.file().query_row(sql, params![notice], |_| Ok(())).optional()?.is_some())
    }

    fn all(&self) -> Result<All, AccountError> {
        Ok(All {
            users: self.every("SELECT name, role, salt, hash, created FROM users", user)?,
            tokens: self.every("SELECT hash, name, role, created FROM tokens", token)?,
            sessions: self.every("SELECT hash, user, csrf, created, seen FROM sessions", session)?,
            used_links: self.every("SELECT notice, at FROM used_links", |row| Ok((row.get(0)?, instant(row, 1)?)))?,
            facts: self.every("SELECT name, value FROM facts", |row| Ok((row.get(0)?, row.get(1)?)))?,
        })
    }

    fn fill(&self, all: All) -> Result<bool, AccountError> {
        self.write(|step| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM tokens) OR EXISTS (SELECT 1 FROM facts)";
            if step.query_row(sql, [], |row| row.get(0))? {
                return Ok(false);
            }
            all.users.iter().try_for_each(|user| insert_user(step, user))?;
            all.tokens.iter().try_for_each(|token| insert_token(step, token))?;
            all.sessions.iter().try_for_each(|session| insert_session(step, session))?;
            for (notice, at) in &all.used_links {
                step.execute("INSERT OR IGNORE INTO used_links VALUES (?1, ?2)", params![notice, at.millis()])?;
            }
            for (name, value) in &all.facts {
                step.execute("INSERT INTO facts VALUES (?1, ?2)", params![name, value])?;
            }
            Ok(true)
        })
    }
}
