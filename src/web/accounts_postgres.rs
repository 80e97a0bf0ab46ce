//! Accounts that several machines share: tables in the ledger's database (`src/ledger/migrations/`).

use super::accounts::{AccountError, PAUSE, SESSION_IDLE, SESSION_WHOLE, WRONG_LOGINS};
use super::accounts_book::{All, Book, Kept, Token, User};
use crate::ledger::StoreError;
use crate::ledger::postgres::lane::{Fault, Lane, Work};
use crate::time::Instant;
use postgres::Row;
use std::sync::Arc;

/// The accounts in the database.
pub(super) struct PostgresBook {
    lane: Lane,
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> AccountError {
        AccountError::Failed(error.to_string())
    }
}

impl PostgresBook {
    pub(super) fn open(url: &str) -> Result<PostgresBook, AccountError> {
        Ok(PostgresBook { lane: Lane::to(url)? })
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, AccountError> {
        Ok(self.lane.write(work)?)
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, AccountError> {
        Ok(self.lane.read(work)?)
    }
}

fn instant(row: &Row, column: usize) -> Result<Instant, Fault> {
    Ok(Instant::from_millis(row.try_get(column)?))
}

fn user(row: &Row) -> Result<User, Fault> {
    let (name, role, salt, hash) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    Ok(User { name, role, salt, hash, created: instant(row, 4)? })
}

fn token(row: &Row) -> Result<Token, Fault> {
    Ok(Token { hash: row.try_get(0)?, name: row.try_get(1)?, role: row.try_get(2)?, created: instant(row, 3)? })
}

fn session(row: &Row) -> Result<Kept, Fault> {
    let (hash, user, csrf) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Kept { hash, user, csrf, created: instant(row, 3)?, seen: instant(row, 4)? })
}

fn insert_user(on: &mut Work<'_>, user: &User) -> Result<(), Fault> {
    let sql = "INSERT INTO users (name, role, salt, hash, created) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET role = excluded.role, salt = excluded.salt, hash = excluded.hash";
    on.execute(sql, &[&user.name, &user.role, &user.salt, &user.hash, &user.created.millis()])?;
    Ok(())
}

fn insert_token(on: &mut Work<'_>, token: &Token) -> Result<(), Fault> {
    let sql = "INSERT INTO tokens (hash, name, role, created) VALUES ($1, $2, $3, $4)";
    on.execute(sql, &[&token.hash, &token.name, &token.role, &token.created.millis()])?;
    Ok(())
}

fn insert_session(on: &mut Work<'_>, session: &Kept) -> Result<(), Fault> {
    let sql = "INSERT INTO sessions (hash, account, csrf, created, seen) VALUES ($1, $2, $3, $4, $5)";
    let (created, seen) = (session.created.millis(), session.seen.millis());
    on.execute(sql, &[&session.hash, &session.user, &session.csrf, &created, &seen])?;
    Ok(())
}

fn first_fact(on: &mut Work<'_>, at: Instant) -> Result<bool, Fault> {
    let sql = "INSERT INTO facts (name, value) VALUES ('bootstrapped', $1) ON CONFLICT (name) DO NOTHING";
    Ok(on.execute(sql, &[&at.to_string()])? == 1)
}

fn take_link(on: &mut Work<'_>, notice: &str, at: Instant) -> Result<bool, Fault> {
    let sql = "INSERT INTO used_links (notice, at) VALUES ($1, $2) ON CONFLICT (notice) DO NOTHING";
    Ok(on.execute(sql, &[&notice, &at.millis()])? == 1)
}

/// Counts in one statement: attempts at the same time wait for each other's row.
fn attempt(on: &mut Work<'_>, name: &str, now: Instant) -> Result<Option<Instant>, Fault> {
    on.execute("DELETE FROM attempts WHERE last < $1", &[&(now - PAUSE).millis()])?;
    let sql = "INSERT INTO attempts (name, wrong, last) VALUES ($1, 1, $2)
        ON CONFLICT (name) DO UPDATE SET wrong = attempts.wrong + 1, last = excluded.last WHERE attempts.wrong < $3";
    if on.execute(sql, &[&name, &now.millis(), &i64::from(WRONG_LOGINS)])? == 1 {
        return Ok(None);
    }
    let last = on.first("SELECT last FROM attempts WHERE name = $1", &[&name])?;
    Ok(Some(last.map_or(Ok(now), |row| instant(&row, 0))? + PAUSE))
}

fn fill(on: &mut Work<'_>, all: &All) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM tokens) OR EXISTS (SELECT FROM facts)";
    if on.first(sql, &[])?.map_or(Ok(true), |row| row.try_get(0))? {
        return Ok(false);
    }
    all.users.iter().try_for_each(|user| insert_user(on, user))?;
    all.tokens.iter().try_for_each(|token| insert_token(on, token))?;
    all.sessions.iter().try_for_each(|session| insert_session(on, session))?;
    for (notice, at) in &all.used_links {
        take_link(on, notice, *at)?;
    }
    for (name, value) in &all.facts {
        on.execute("INSERT INTO facts (name, value) VALUES ($1, $2)", &[name, value])?;
    }
    Ok(true)
}

impl Book for PostgresBook {
    fn bootstrapped(&self) -> Result<bool, AccountError> {
        self.read(|on| Ok(on.first("SELECT 1 FROM facts WHERE name = 'bootstrapped'", &[])?.is_some()))
    }

    fn bootstrap(&self, operator: User, token: Token) -> Result<bool, AccountError> {
        self.write(move |on| {
            if !first_fact(on, operator.created)? {
                return Ok(false);
            }
            let sql = "INSERT INTO users (name, role, salt, hash, created) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (name) DO NOTHING";
            let created = operator.created.millis();
            on.execute(sql, &[&operator.name, &operator.role, &operator.salt, &operator.hash, &created])?;
            insert_token(on, &token)?;
            Ok(true)
        })
    }

    fn put_user(&self, user: User) -> Result<(), AccountError> {
        self.write(move |on| {
            insert_user(on, &user)?;
            on.execute("DELETE FROM sessions WHERE account = $1", &[&user.name])?;
            Ok(())
        })
    }

    fn user(&self, name: &str) -> Result<Option<User>, AccountError> {
        let name = name.to_owned();
        self.read(move |on| {
            let row = on.first("SELECT name, role, salt, hash, created FROM users WHERE name = $1", &[&name])?;
            row.map(|row| user(&row)).transpose()
        })
    }

    fn add_token(&self, token: Token) -> Result<(), AccountError> {
        self.write(move |on| insert_token(on, &token))
    }

    fn drop_tokens(&self, name: &str) -> Result<usize, AccountError> {
        let name = name.to_owned();
        let dropped = self.write(move |on| Ok(on.execute("DELETE FROM tokens WHERE name = $1", &[&name])?))?;
        Ok(usize::try_from(dropped).unwrap_or(usize::MAX))
    }

    fn token(&self, hash: &[u8]) -> Result<Option<Token>, AccountError> {
        let hash = hash.to_vec();
        self.read(move |on| {
            let row = on.first("SELECT hash, name, role, created FROM tokens WHERE hash = $1", &[&hash])?;
            row.map(|row| token(&row)).transpose()
        })
    }

    fn attempt(&self, name: &str, now: Instant) -> Result<Option<Instant>, AccountError> {
        let name = name.to_owned();
        self.write(move |on| attempt(on, &name, now))
    }

    fn open_session(&self, session: Kept) -> Result<(), AccountError> {
        self.write(move |on| {
            on.execute("DELETE FROM attempts WHERE name = $1", &[&session.user])?;
            let (whole, idle) = ((session.created - SESSION_WHOLE).millis(), (session.created - SESSION_IDLE).millis());
            on.execute("DELETE FROM sessions WHERE created < $1 OR seen < $2", &[&whole, &idle])?;
            insert_session(on, &session)
        })
    }

    fn session(&self, hash: &[u8]) -> Result<Option<(Kept, String)>, AccountError> {
        let hash = hash.to_vec();
        self.read(move |on| {
            let sql = "SELECT s.hash, account, csrf, s.created, seen, role
                FROM sessions s JOIN users u ON u.name = account WHERE s.hash = $1";
            let row = on.first(sql, &[&hash])?;
            row.map(|row| Ok((session(&row)?, row.try_get(5)?))).transpose()
        })
    }

    fn touch(&self, hash: &[u8], now: Instant) -> Result<(), AccountError> {
        let hash = hash.to_vec();
        self.write(move |on| {
            on.execute("UPDATE sessions SET seen = $2 WHERE hash = $1", &[&hash, &now.millis()])?;
            Ok(())
        })
    }

    fn end_session(&self, hash: &[u8]) -> Result<(), AccountError> {
        let hash = hash.to_vec();
        self.write(move |on| {
            on.execute("DELETE FROM sessions WHERE hash = $1", &[&hash])?;
            Ok(())
        })
    }

    fn take_link(&self, notice: &str, now: Instant) -> Result<bool, AccountError> {
        let notice = notice.to_owned();
        self.write(move |on| take_link(on, &notice, now))
    }

    fn give_link_back(&self, notice: &str) -> Result<(), AccountError> {
        let notice = notice.to_owned();
        self.write(move |on| {
            on.execute("DELETE FROM used_links WHERE notice = $1", &[&notice])?;
            Ok(())
        })
    }

    fn link_used(&self, notice: &str) -> Result<bool, AccountError> {
        let notice = notice.to_owned();
        self.read(move |on| Ok(on.first("SELECT 1 FROM used_links WHERE notice = $1", &[&notice])?.is_some()))
    }

    fn all(&self) -> Result<All, AccountError> {
        self.read(|on| {
            let users = on.query("SELECT name, role, salt, hash, created FROM users", &[])?;
            let tokens = on.query("SELECT hash, name, role, created FROM tokens", &[])?;
            let sessions = on.query("SELECT hash, account, csrf, created, seen FROM sessions", &[])?;
            let links = on.query("SELECT notice, at FROM used_links", &[])?;
            let facts = on.query("SELECT name, value FROM facts", &[])?;
            let link = |row: &Row| Ok::<_, Fault>((row.try_get(0)?, instant(row, 1)?));
            let fact = |row: &Row| Ok::<_, Fault>((row.try_get(0)?, row.try_get(1)?));
            Ok(All {
                users: users.iter().map(user).collect::<Result<_, _>>()?,
                tokens: tokens.iter().map(token).collect::<Result<_, _>>()?,
                sessions: sessions.iter().map(session).collect::<Result<_, _>>()?,
                used_links: links.iter().map(link).collect::<Result<_, _>>()?,
                facts: facts.iter().map(fact).collect::<Result<_, _>>()?,
            })
        })
    }

    fn fill(&self, all: All) -> Result<bool, AccountError> {
        let all = Arc::new(all);
        self.write(move |on| fill(on, &all))
    }
}
