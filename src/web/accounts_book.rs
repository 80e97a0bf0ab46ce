//! What accounts are kept in: narrow operations on rows, each one transaction. The rules are in [`super::accounts`].

use super::accounts::AccountError;
use crate::time::Instant;

/// A person.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) salt: Vec<u8>,
    pub(super) hash: Vec<u8>,
    pub(super) created: Instant,
}

/// A program.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) hash: Vec<u8>,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) created: Instant,
}

/// A session.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) hash: Vec<u8>,
    pub(super) user: String,
    pub(super) csrf: String,
    pub(super) created: Instant,
    pub(super) seen: Instant,
}

/// Everything but counts of wrong passwords, to move it.
#[derive(Clone, Default)]
pub(super) struct All {
    pub(super) users: Vec<User>,
    pub(super) tokens: Vec<Token>,
    pub(super) sessions: Vec<Kept>,
    pub(super) used_links: Vec<(String, Instant)>,
    pub(super) facts: Vec<(String, String)>,
}

/// What accounts are kept in.
pub(super) trait Book: Send + Sync {
    /// Whether the very first start has been.
    fn bootstrapped(&self) -> Result<bool, AccountError>;
    /// Makes the first operator and the first token; false where another process was first.
    fn bootstrap(&self, operator: User, token: Token) -> Result<bool, AccountError>;
    /// Makes or changes a user and ends their sessions.
    fn put_user(&self, user: User) -> Result<(), AccountError>;
    /// A user by name.
    fn user(&self, name: &str) -> Result<Option<User>, AccountError>;
    /// Adds a token.
    fn add_token(&self, token: Token) -> Result<(), AccountError>;
    /// Ends the tokens of a name; how many.
    fn drop_tokens(&self, name: &str) -> Result<usize, AccountError>;
    /// A token by hash.
    fn token(&self, hash: &[u8]) -> Result<Option<Token>, AccountError>;
    /// Counts an attempt before the password is looked at, so that attempts at the same time count too. Until when the
    /// account pauses, where it does.
    fn attempt(&self, name: &str, now: Instant) -> Result<Option<Instant>, AccountError>;
    /// Opens a session, forgets wrong passwords of its user, and sweeps sessions that are over.
    fn open_session(&self, session: Kept) -> Result<(), AccountError>;
    /// A session by hash, with the role its user has now.
    fn session(&self, hash: &[u8]) -> Result<Option<(Kept, String)>, AccountError>;
    /// Notes that a session was used.
    fn touch(&self, hash: &[u8], now: Instant) -> Result<(), AccountError>;
    /// Ends a session.
    fn end_session(&self, hash: &[u8]) -> Result<(), AccountError>;
    /// Takes the one use of a link; whether it was there.
    fn take_link(&self, notice: &str, now: Instant) -> Result<bool, AccountError>;
    /// Gives it back.
    fn give_link_back(&self, notice: &str) -> Result<(), AccountError>;
    /// Whether it was taken.
    fn link_used(&self, notice: &str) -> Result<bool, AccountError>;
    /// Everything.
    fn all(&self) -> Result<All, AccountError>;
    /// Puts everything in; false, and nothing done, where there is something.
    fn fill(&self, all: All) -> Result<bool, AccountError>;
}
