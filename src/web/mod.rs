//! The HTTP door for people and programs: console, API, health, metrics, accounts and sessions.

pub mod accounts;
mod accounts_book;
pub mod accounts_conformance;
mod accounts_postgres;
mod accounts_sqlite;
pub mod link;
pub mod openapi;
pub mod problem;
pub mod router;
mod api;
mod console;
mod dossier;
mod drawing;
mod export;
mod gate;
mod pages;
mod proof;
#[cfg(test)]
mod tests;
mod words;

pub use accounts::{AccountError, Accounts, Action, Bootstrap, Role, Who};
pub(crate) use drawing::usual;
pub use link::Link;
pub use router::{WebOptions, router};

use crate::duty::Command;
use crate::duty::view::IncidentView;
use crate::intake::Answer;
use crate::ledger::Evidence;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What the pages and the API show, as of one instant: replaced whole, never changed.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Stream time of the desk.
    pub now: Option<Instant>,
    /// All incidents that are not restricted, newest first.
    pub incidents: Vec<IncidentView>,
    /// When the last mention was read, and how many since the start of the Shanghai day.
    pub last_mention: Option<Instant>,
    /// Mentions read today.
    pub read_today: u64,
    /// Mentions read per hour today, 24 values.
    pub per_hour: Vec<u64>,
    /// What was read in the same hours of the days before; empty or 0 where that is not known.
    pub usual_per_hour: Vec<u64>,
    /// Records in the dead letters.
    pub dead_letters: u64,
    /// What did not wake anybody: reason (`演练`, `旧闻`, `不在本市`, `留到晨报`, …), count.
    pub withheld: Vec<(String, u64)>,
    /// Officers on duty: role, name.
    pub on_duty: Vec<(String, String)>,
    /// Incidents about a person in danger: they stand in no list, and only those who may act see numbers to dial.
    pub restricted: Vec<IncidentView>,
    /// Names for people of codes that stand in incidents: districts, units, officers, channels. A code without one is
    /// shown as it is.
    pub names: std::collections::BTreeMap<String, String>,
    /// Channels: name, whether the last send was accepted (`None`: nothing sent yet).
    pub channels: Vec<(String, Option<bool>)>,
}

/// Growth and members of an incident's topic.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TopicView {
    /// Distinct sources up to an instant, cumulative, oldest first.
    pub growth: Vec<(Instant, u32)>,
    /// First 200 ids.
    pub mentions: Vec<String>,
    /// All.
    pub mentions_total: u64,
}

/// Why a command was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "refused", content = "why")]
pub enum CommandRefused {
    /// No such incident.
    #[error("no such incident")]
    NotFound,
    /// The state forbids it.
    #[error("{0}")]
    Conflict(String),
    /// A field is missing or wrong.
    #[error("{0}")]
    Invalid(String),
    /// The desk is stopping or failed.
    #[error("the desk does not answer")]
    Unavailable,
}

/// A future that can be sent between threads.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the door needs of the rest of the house; `run` wires the real one, tests a made-up one.
pub trait House: Send + Sync {
    /// The time.
    fn now(&self) -> Instant;
    /// The view now.
    fn view(&self) -> Arc<View>;
    /// Hears a number each time the view changed.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Topic of an incident.
    fn topic<'a>(&'a self, incident: &'a str) -> Answering<'a, TopicView>;
    /// Evidence of an incident.
    fn evidence<'a>(&'a self, incident: &'a str) -> Answering<'a, Vec<Evidence>>;
    /// Carries out a command; the incident after it.
    fn command<'a>(&'a self, command: Command) -> Answering<'a, Result<IncidentView, CommandRefused>>;
    /// A body of mentions at the door; `json` = one object, else JSON lines.
    fn mentions<'a>(&'a self, json: bool, coding: Option<String>, body: Vec<u8>) -> Answering<'a, Answer>;
    /// Search; audited.
    fn search<'a>(
        &'a self,
        by: &'a str,
        purpose: &'a str,
        query: crate::index::Query,
    ) -> Answering<'a, Result<crate::index::Page, crate::index::QueryError>>;
    /// Hits as a file, at most [`crate::limits::EXPORT_ROWS`]; audited.
    fn export<'a>(
        &'a self,
        by: &'a str,
        purpose: &'a str,
        query: crate::index::Query,
        format: crate::index::Format,
    ) -> Answering<'a, Result<crate::index::Exported, crate::index::QueryError>>;
    /// Whether everything is ready; else what is not.
    fn ready(&self) -> Result<(), String>;
    /// Prometheus text.
    fn metrics(&self) -> String;
}
