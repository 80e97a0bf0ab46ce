//! Who may come in: users with passwords, tokens of programs, sessions of browsers, used links; in a file or a database.
//!
//! In: names, secrets and the time. Out: [`Who`] somebody is, or why not. Secrets are kept only as hashes (Argon2id for
//! passwords, SHA-256 for random 256-bit secrets). Several processes may use the same accounts at once.

use super::accounts_book::{Book, Kept, Token, User};
use super::accounts_postgres::PostgresBook;
use super::accounts_sqlite::SqliteBook;
use crate::time::{Instant, Span};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;
use subtle::ConstantTimeEq;

/// A session nobody used for this long is over: a shift with its handover.
pub(super) const SESSION_IDLE: Span = Span::hours(12);
/// A session is over after this long in any case.
pub(super) const SESSION_WHOLE: Span = Span::hours(24);
/// How stale `seen` of a session may get before it is written: saves a write a request.
const SESSION_TOUCH: Span = Span::minutes(1);
/// Wrong passwords in a row before an account pauses.
pub(super) const WRONG_LOGINS: u32 = 5;
/// How long it pauses.
pub(super) const PAUSE: Span = Span::minutes(15);
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
    /// The file or the database failed.
    #[error("accounts: {0}")]
    Failed(String),
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

/// Who may come in.
pub struct Accounts {
    book: Box<dyn Book>,
}

impl Accounts {
    /// Opens or makes `accounts.sqlite` in the folder: the accounts of one machine.
    pub fn open(dir: &Path) -> Result<Accounts, AccountError> {
        Ok(Accounts { book: Box::new(SqliteBook::open(dir)?) })
    }

    /// Opens or makes the accounts in the ledger's database: those that several machines share.
    pub fn open_postgres(url: &str) -> Result<Accounts, AccountError> {
        Ok(Accounts { book: Box::new(PostgresBook::open(url)?) })
    }

    /// Copies everything into accounts that nobody uses yet; how many users and tokens.
    pub fn copy_into(&self, empty: &Accounts) -> Result<(usize, usize), AccountError> {
        let all = self.book.all()?;
        let counts = (all.users.len(), all.tokens.len());
        if !empty.book.fill(all)? {
            return Err(AccountError::Invalid("the target has accounts already".to_owned()));
        }
        Ok(counts)
    }

    /// At the very first start a token and an operator; `None` ever after, in whichever process.
    pub fn bootstrap(&self, now: Instant) -> Result<Option<Bootstrap>, AccountError> {
        if self.book.bootstrapped()? {
            return Ok(None);
        }
        let made = Bootstrap { token: secret()?, user: "operator".to_owned(), password: secret()?[..20].to_owned() };
        let (salt, hash) = hashed(&made.password)?;
        let user = User { name: made.user.clone(), role: Role::Operator.name().to_owned(), salt, hash, created: now };
        let role = Role::Desk.name().to_owned();
        let token = Token { hash: digest(&made.token), name: "bootstrap".to_owned(), role, created: now };
        Ok(self.book.bootstrap(user, token)?.then_some(made))
    }

    /// Makes a user, or gives an existing one a new role and password; their sessions end.
    pub fn set_user(&self, name: &str, role: Role, password: &str, now: Instant) -> Result<(), AccountError> {
        check_name(name)?;
        if password.chars().count() < PASSWORD_CHARS || password.len() > PASSWORD_BYTES {
            return Err(AccountError::Invalid(format!("a password has {PASSWORD_CHARS} characters or more")));
        }
        let (salt, hash) = hashed(password)?;
        self.book.put_user(User { name: name.to_owned(), role: role.name().to_owned(), salt, hash, created: now })
    }

    /// Makes a token for a program; said once, kept only hashed.
    pub fn new_token(&self, name: &str, role: Role, now: Instant) -> Result<String, AccountError> {
        check_name(name)?;
        let made = secret()?;
        let role = role.name().to_owned();
        self.book.add_token(Token { hash: digest(&made), name: name.to_owned(), role, created: now })?;
        Ok(made)
    }

    /// Ends all tokens of a name; how many there were.
    pub fn revoke_tokens(&self, name: &str) -> Result<usize, AccountError> {
        self.book.drop_tokens(name)
    }

    /// Whose token it is.
    pub fn token(&self, secret: &str) -> Result<Option<Who>, AccountError> {
        let found = self.book.token(&digest(secret))?;
        Ok(found.and_then(|token| Some(Who { role: Role::parse(&token.role)?, name: token.name, csrf: None })))
    }

    /// Checks a password and opens a session. Slow on purpose: not for an async thread.
    pub fn login(&self, name: &str, password: &str, now: Instant) -> Result<Session, AccountError> {
        if check_name(name).is_err() || password.len() > PASSWORD_BYTES {
            return Err(AccountError::Wrong);
        }
        if let Some(until) = self.book.attempt(name, now)? {
            return Err(AccountError::Paused(until));
        }
        // An unknown name costs the same work as a known one.
        let (role, salt, hash) = match self.book.user(name)? {
            Some(user) => (Role::parse(&user.role), user.salt, user.hash),
            None => (None, vec![0; 16], vec![0; 32]),
        };
        let same: bool = argon(password, &salt)?.ct_eq(hash.as_slice()).into();
        match role {
            Some(role) if same => self.open_session(name, role, now),
            _ => Err(AccountError::Wrong),
        }
    }

    fn open_session(&self, name: &str, role: Role, now: Instant) -> Result<Session, AccountError> {
        let (made, csrf) = (secret()?, secret()?);
        let (hash, user) = (digest(&made), name.to_owned());
        self.book.open_session(Kept { hash, user, csrf: csrf.clone(), created: now, seen: now })?;
        Ok(Session { secret: made, who: Who { name: name.to_owned(), role, csrf: Some(csrf) } })
    }

    /// Whose session it is, if it still stands.
    pub fn session(&self, secret: &str, now: Instant) -> Result<Option<Who>, AccountError> {
        let Some((kept, role)) = self.book.session(&digest(secret))? else { return Ok(None) };
        if now - kept.created >= SESSION_WHOLE || now - kept.seen >= SESSION_IDLE {
            self.book.end_session(&kept.hash)?;
            return Ok(None);
        }
        if now - kept.seen >= SESSION_TOUCH {
            self.book.touch(&kept.hash, now)?;
        }
        Ok(Role::parse(&role).map(|role| Who { name: kept.user, role, csrf: Some(kept.csrf) }))
    }

    /// Ends a session.
    pub fn logout(&self, secret: &str) -> Result<(), AccountError> {
        self.book.end_session(&digest(secret))
    }

    /// Takes the one use of a notice's link; whether it was still there.
    pub fn use_link(&self, notice: &str, now: Instant) -> Result<bool, AccountError> {
        self.book.take_link(notice, now)
    }

    /// Gives the use back, where the desk did not answer.
    pub fn unuse_link(&self, notice: &str) -> Result<(), AccountError> {
        self.book.give_link_back(notice)
    }

    /// Whether the link was used.
    pub fn link_used(&self, notice: &str) -> Result<bool, AccountError> {
        self.book.link_used(notice)
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
    use crate::web::accounts_conformance as conformance;

    #[test]
    fn a_file_meets_the_suite_of_all_accounts() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (Accounts::open(dir.path()).unwrap(), Accounts::open(dir.path()).unwrap());
        let secrets = conformance::run(&first, &second);
        let bytes = std::fs::read(dir.path().join("accounts.sqlite")).unwrap();
        let wal = std::fs::read(dir.path().join("accounts.sqlite-wal")).unwrap_or_default();
        for secret in secrets {
            let kept = [&bytes, &wal].iter().any(|file| file.windows(secret.len()).any(|at| at == secret.as_bytes()));
            assert!(!kept, "secrets are kept only hashed");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        conformance::moves(&first, &Accounts::open(elsewhere.path()).unwrap());
    }
}
