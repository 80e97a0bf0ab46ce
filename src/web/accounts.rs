//! Who may come in: users with passwords, tokens of programs, sessions of browsers, used links; one SQLite file.
//!
//! In: names, secrets and the time. Out: [`Who`] somebody is, or why not. Secrets are kept only as hashes (Argon2id for
//! passwords, SHA-256 for random 256-bit secrets). Several processes may have the file open at once.

use crate::time::{Instant, Span};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;

/// A session nobody used for this long is over: a shift with its handover.
const SESSION_IDLE: Span = Span::hours(12);
/// A session is over after this long in any case.
const SESSION_WHOLE: Span = Span::hours(24);
/// How stale `seen` of a session may get before it is written: saves a write a request.
const SESSION_TOUCH: Span = Span::minutes(1);
/// Wrong passwords in a row before an account pauses.
const WRONG_LOGINS: u32 = 5;
/// How long it pauses.
const PAUSE: Span = Span::minutes(15);
/// Characters of a user's or token's name: it stands in the ledger and on pages.
const NAME_CHARS: usize = 64;
/// Bytes of a password: Argon2 takes more, people do not.
const PASSWORD_BYTES: usize = 1_024;
/// Characters of a password at least.
const PASSWORD_CHARS: usize = 10;

/// What somebody may be: a closed list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the program 运维.
    Operator,
    /// On duty 值班员.
    Officer,
    /// The desk and its programs 值班台.
    Desk,
    /// Reads and searches 研判员.
    Analyst,
    /// A collector's program 采集.
    Intake,
}

/// What somebody may want to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// See incidents.
    Read,
    /// Acknowledge, confirm, dismiss.
    Act,
    /// Search the mentions.
    Search,
    /// Take what a search finds away as a file.
    Export,
    /// Hand in mentions.
    Intake,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Operator, Role::Officer, Role::Desk, Role::Analyst, Role::Intake];

    /// Whether the role may do it; what is not listed here is denied.
    pub fn may(self, action: Action) -> bool {
        use Action::{Act, Export, Intake, Read, Search};
        let allowed: &[Action] = match self {
            Role::Operator | Role::Officer => &[Read, Act, Search, Export],
            Role::Desk => &[Read, Act, Search, Export, Intake],
            Role::Analyst => &[Read, Search],
            Role::Intake => &[Intake],
        };
        allowed.contains(&action)
    }

    /// The name programs see.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Officer => "officer",
            Role::Desk => "desk",
            Role::Analyst => "analyst",
            Role::Intake => "intake",
        }
    }

    /// The name people see.
    pub fn words(self) -> &'static str {
        match self {
            Role::Operator => "运维",
            Role::Officer => "值班员",
            Role::Desk => "值班台",
            Role::Analyst => "研判员",
            Role::Intake => "采集",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// Account or token name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// CSRF token of the session; `None` for a program's token.
    pub csrf: Option<String>,
}

/// What the very first start says, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// Token named `bootstrap` with the role desk.
    pub token: String,
    /// First user, an operator.
    pub user: String,
    /// Their password.
    pub password: String,
}

/// A fresh session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Secret for the cookie.
    pub secret: String,
    /// Whose.
    pub who: Who,
}

/// What the accounts fail at.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file failed.
    #[error("accounts: {0}")]
    File(#[from] rusqlite::Error),
    /// The system gave no random bytes, or hashing failed.
    #[error("accounts: {0}")]
    Secret(String),
    /// A name or password that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Name and password do not fit.
    #[error("wrong name or password")]
    Wrong,
    /// Too many wrong passwords.
    #[error("too many wrong passwords, paused until {0}")]
    Paused(Instant),
}

/// The accounts file.
pub struct Accounts {
    file: Mutex<Connection>,
}

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, role TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tokens (hash BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, user TEXT NOT NULL, csrf TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS attempts (name TEXT PRIMARY KEY, wrong INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS used_links (notice TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";

impl Accounts {
    /// Opens or makes `accounts.sqlite` in the folder.
    pub fn open(dir: &Path) -> Result<Accounts, AccountError> {
        let file = Connection::open(dir.join("accounts.sqlite"))?;
        file.busy_timeout(std::time::Duration::from_millis(5_000))?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.pragma_update(None, "synchronous", "FULL")?;
        file.execute_batch(TABLES)?;
        Ok(Accounts { file: Mutex::new(file) })
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At the very first start a token and an operator; `None` ever after, in whichever process.
    pub fn bootstrap(&self, now: Instant) -> Result<Option<Bootstrap>, AccountError> {
        let known =
            self.file().query_row("SELECT 1 FROM facts WHERE name='bootstrapped'", [], |_| Ok(())).optional()?;
        if known.is_some() {
            return Ok(None);
        }
        let made = Bootstrap { token: secret()?, user: "operator".to_owned(), password: secret()?[..20].to_owned() };
        let (salt, hash) = hashed(&made.password)?;
        let mut file = self.file();
        let step = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let first =
            step.execute("INSERT OR IGNORE INTO facts VALUES ('bootstrapped', ?1)", params![now.to_string()])?;
        if first == 0 {
            return Ok(None);
        }
        step.execute(
            "INSERT OR IGNORE INTO users VALUES (?1, 'operator', ?2, ?3, ?4)",
            params![made.user, salt, hash, now.millis()],
        )?;
        step.execute(
            "INSERT INTO tokens VALUES (?1, 'bootstrap', 'desk', ?2)",
            params![digest(&made.token), now.millis()],
        )?;
        step.commit()?;
        Ok(Some(made))
    }

    /// Makes a user, or gives an existing one a new role and password; their sessions end.
    pub fn set_user(&self, name: &str, role: Role, password: &str, now: Instant) -> Result<(), AccountError> {
        check_name(name)?;
        if password.chars().count() < PASSWORD_CHARS || password.len() > PASSWORD_BYTES {
            return Err(AccountError::Invalid(format!("a password has {PASSWORD_CHARS} characters or more")));
        }
        let (salt, hash) = hashed(password)?;
        let mut file = self.file();
        let step = file.transaction()?;
        step.execute(
            "INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET role=excluded.role, salt=excluded.salt, hash=excluded.hash",
            params![name, role.name(), salt, hash, now.millis()],
        )?;
        step.execute("DELETE FROM sessions WHERE user=?1", params![name])?;
        step.commit()?;
        Ok(())
    }

    /// Makes a token for a program; said once, kept only hashed.
    pub fn new_token(&self, name: &str, role: Role, now: Instant) -> Result<String, AccountError> {
        check_name(name)?;
        let made = secret()?;
        let row = params![digest(&made), name, role.name(), now.millis()];
        self.file().execute("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4)", row)?;
        Ok(made)
    }

    /// Ends all tokens of a name; how many there were.
    pub fn revoke_tokens(&self, name: &str) -> Result<usize, AccountError> {
        Ok(self.file().execute("DELETE FROM tokens WHERE name=?1", params![name])?)
    }

    /// Whose token it is.
    pub fn token(&self, secret: &str) -> Result<Option<Who>, AccountError> {
        let found = self
            .file()
            .query_row("SELECT name, role FROM tokens WHERE hash=?1", params![digest(secret)], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        Ok(found.and_then(|(name, role)| Some(Who { name, role: Role::parse(&role)?, csrf: None })))
    }

    /// Checks a password and opens a session. Slow on purpose: not for an async thread.
    pub fn login(&self, name: &str, password: &str, now: Instant) -> Result<Session, AccountError> {
        if check_name(name).is_err() || password.len() > PASSWORD_BYTES {
            return Err(AccountError::Wrong);
        }
        self.count_attempt(name, now)?;
        let known = self
            .file()
            .query_row("SELECT role, salt, hash FROM users WHERE name=?1", params![name], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()?;
        // An unknown name costs the same work as a known one.
        let (role, salt, hash) = match known {
            Some((role, salt, hash)) => (Role::parse(&role), salt, hash),
            None => (None, vec![0; 16], vec![0; 32]),
        };
        let same: bool = argon(password, &salt)?.ct_eq(hash.as_slice()).into();
        match role {
            Some(role) if same => self.open_session(name, role, now),
            _ => Err(AccountError::Wrong),
        }
    }

    /// Counts an attempt before the password is looked at, so that attempts at the same time count too; a right one
    /// clears the count.
    fn count_attempt(&self, name: &str, now: Instant) -> Result<(), AccountError> {
        let mut file = self.file();
        let step = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step.execute("DELETE FROM attempts WHERE last < ?1", params![(now - PAUSE).millis()])?;
        let before = step
            .query_row("SELECT wrong, last FROM attempts WHERE name=?1", params![name], |row| {
                Ok((row.get::<_, u32>(0)?, Instant::from_millis(row.get(1)?)))
            })
            .optional()?;
        if let Some((wrong, last)) = before
            && wrong >= WRONG_LOGINS
        {
            return Err(AccountError::Paused(last + PAUSE));
        }
        step.execute(
            "INSERT INTO attempts VALUES (?1, 1, ?2) ON CONFLICT (name) DO UPDATE SET wrong=wrong+1, last=excluded.last",
            params![name, now.millis()],
        )?;
        step.commit()?;
        Ok(())
    }

    fn open_session(&self, name: &str, role: Role, now: Instant) -> Result<Session, AccountError> {
        let (made, csrf) = (secret()?, secret()?);
        let mut file = self.file();
        let step = file.transaction()?;
        step.execute("DELETE FROM attempts WHERE name=?1", params![name])?;
        step.execute(
            "DELETE FROM sessions WHERE created < ?1 OR seen < ?2",
            params![(now - SESSION_WHOLE).millis(), (now - SESSION_IDLE).millis()],
        )?;
        let row = params![digest(&made), name, csrf, now.millis()];
        step.execute("INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?4)", row)?;
        step.commit()?;
        Ok(Session { secret: made, who: Who { name: name.to_owned(), role, csrf: Some(csrf) } })
    }

    /// Whose session it is, if it still stands.
    pub fn session(&self, secret: &str, now: Instant) -> Result<Option<Who>, AccountError> {
        let hash = digest(secret);
        let file = self.file();
        let found = file
            .query_row(
                "SELECT user, role, csrf, sessions.created, seen FROM sessions JOIN users ON users.name=user WHERE sessions.hash=?1",
                params![hash],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, String>(2)?,
                        Instant::from_millis(row.get(3)?),
                        Instant::from_millis(row.get(4)?),
                    ))
                },
            )
            .optional()?;
        let Some((name, role, csrf, created, seen)) = found else { return Ok(None) };
        if now - created >= SESSION_WHOLE || now - seen >= SESSION_IDLE {
            file.execute("DELETE FROM sessions WHERE hash=?1", params![hash])?;
            return Ok(None);
        }
        if now - seen >= SESSION_TOUCH {
            file.execute("UPDATE sessions SET seen=?2 WHERE hash=?1", params![hash, now.millis()])?;
        }
        Ok(Role::parse(&role).map(|role| Who { name, role, csrf: Some(csrf) }))
    }

    /// Ends a session.
    pub fn logout(&self, secret: &str) -> Result<(), AccountError> {
        self.file().execute("DELETE FROM sessions WHERE hash=?1", params![digest(secret)])?;
        Ok(())
    }

    /// Takes the one use of a notice's link; whether it was still there.
    pub fn use_link(&self, notice: &str, now: Instant) -> Result<bool, AccountError> {
        let row = params![notice, now.millis()];
        Ok(self.file().execute("INSERT OR IGNORE INTO used_links VALUES (?1, ?2)", row)? == 1)
    }

    /// Gives the use back, where the desk did not answer.
    pub fn unuse_link(&self, notice: &str) -> Result<(), AccountError> {
        self.file().execute("DELETE FROM used_links WHERE notice=?1", params![notice])?;
        Ok(())
    }

    /// Whether the link was used.
    pub fn link_used(&self, notice: &str) -> Result<bool, AccountError> {
        let found = self.file().query_row("SELECT 1 FROM used_links WHERE notice=?1", params![notice], |_| Ok(()));
        Ok(found.optional()?.is_some())
    }
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(AccountError::Invalid(format!("a name has 1 to {NAME_CHARS} characters")));
    }
    Ok(())
}

/// 256 random bits, readable.
fn secret() -> Result<String, AccountError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

fn random<const N: usize>() -> Result<[u8; N], AccountError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AccountError::Secret(error.to_string()))?;
    Ok(bytes)
}

fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

fn hashed(password: &str) -> Result<(Vec<u8>, Vec<u8>), AccountError> {
    let salt = random::<16>()?.to_vec();
    let hash = argon(password, &salt)?;
    Ok((salt, hash))
}

/// Argon2id version 19 with the crate's default costs (19 MiB, two passes).
fn argon(password: &str, salt: &[u8]) -> Result<Vec<u8>, AccountError> {
    let mut out = vec![0; 32];
    argon2::Argon2::default()
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .map_err(|error| AccountError::Secret(error.to_string()))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_790_000_000_000);

    #[test]
    fn bootstrap_speaks_once_and_its_secrets_work() {
        let dir = tempfile::tempdir().unwrap();
        let first = Accounts::open(dir.path()).unwrap();
        let second = Accounts::open(dir.path()).unwrap();
        let made = first.bootstrap(NOW).unwrap().unwrap();
        assert_eq!(second.bootstrap(NOW).unwrap(), None, "another process hears nothing");
        assert_eq!(second.token(&made.token).unwrap().unwrap().role, Role::Desk);
        assert_eq!(second.token("guess").unwrap(), None);
        let session = second.login(&made.user, &made.password, NOW).unwrap();
        assert_eq!(session.who.role, Role::Operator);
        let bytes = std::fs::read(dir.path().join("accounts.sqlite")).unwrap();
        let wal = std::fs::read(dir.path().join("accounts.sqlite-wal")).unwrap_or_default();
        for secret in [&made.token, &made.password, &session.secret] {
            let kept = [&bytes, &wal].iter().any(|file| file.windows(secret.len()).any(|at| at == secret.as_bytes()));
            assert!(!kept, "secrets are kept only hashed");
        }
    }

    #[test]
    fn a_token_made_beside_a_running_process_works_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let running = Accounts::open(dir.path()).unwrap();
        let made = Accounts::open(dir.path()).unwrap().new_token("collector", Role::Intake, NOW).unwrap();
        assert_eq!(running.token(&made).unwrap().unwrap().name, "collector");
        assert_eq!(running.revoke_tokens("collector").unwrap(), 1);
        assert_eq!(running.token(&made).unwrap(), None);
    }

    #[test]
    fn five_wrong_passwords_pause_an_account() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.set_user("lin", Role::Officer, "long enough", NOW).unwrap();
        for _ in 0..5 {
            assert!(matches!(accounts.login("lin", "wrong", NOW), Err(AccountError::Wrong)));
        }
        assert!(matches!(accounts.login("lin", "long enough", NOW), Err(AccountError::Paused(_))));
        let later = NOW + PAUSE + Span::millis(1);
        assert!(accounts.login("lin", "long enough", later).is_ok());
        for _ in 0..5 {
            assert!(matches!(accounts.login("nobody", "wrong", later), Err(AccountError::Wrong)));
        }
        assert!(matches!(accounts.login("nobody", "wrong", later), Err(AccountError::Paused(_))), "as a known one");
    }

    #[test]
    fn sessions_end_by_idleness_age_and_logout() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.set_user("lin", Role::Officer, "long enough", NOW).unwrap();
        let idle = accounts.login("lin", "long enough", NOW).unwrap().secret;
        let used = accounts.login("lin", "long enough", NOW).unwrap().secret;
        assert_ne!(idle, used);
        assert!(accounts.session(&used, NOW + Span::hours(11)).unwrap().is_some());
        assert!(accounts.session(&idle, NOW + Span::hours(12)).unwrap().is_none(), "idle");
        assert!(accounts.session(&used, NOW + Span::hours(22)).unwrap().is_some());
        assert!(accounts.session(&used, NOW + Span::hours(24)).unwrap().is_none(), "age");
        let ended = accounts.login("lin", "long enough", NOW).unwrap().secret;
        accounts.logout(&ended).unwrap();
        assert!(accounts.session(&ended, NOW).unwrap().is_none());
    }

    #[test]
    fn a_link_is_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        assert!(!accounts.link_used("N-1").unwrap());
        assert!(accounts.use_link("N-1", NOW).unwrap());
        assert!(!accounts.use_link("N-1", NOW).unwrap());
        accounts.unuse_link("N-1").unwrap();
        assert!(accounts.use_link("N-1", NOW).unwrap());
    }
}
