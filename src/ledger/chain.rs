//! The hash chain of the ledger, the same in every store: an entry as its row has it, and the hash that covers the hash
//! before it and the canonical JSON of `{actor, at, event, seq}`, so that every edit of a row shows.

use super::StoreError;
use crate::duty::event::{Entry, Event};
use crate::time::Instant;
use sha2::{Digest, Sha256};

/// JSON with sorted keys, whatever order the map keeps them in.
fn canonical(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

/// What the hash of an entry covers beside the hash before it: the canonical JSON of the entry as stored.
fn body(seq: u64, at: &str, actor: &str, event: &str) -> String {
    let (at, actor) = (serde_json::Value::from(at), serde_json::Value::from(actor));
    format!("{{\"actor\":{actor},\"at\":{at},\"event\":{event},\"seq\":{seq}}}")
}

/// SHA-256 of the hash before and a body, hex.
fn digest(before: &str, body: &str) -> String {
    let hash = Sha256::new().chain_update(before.as_bytes()).chain_update(body.as_bytes()).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hash of an entry: that of the one before, and the canonical JSON of the entry as stored.
fn chain(before: &str, seq: u64, at: &str, actor: &str, event: &str) -> String {
    digest(before, &body(seq, at, actor, event))
}

/// Checks one line of an audit pack ([`super::Store::lines`]) against the entry before it; gives its number and hash.
pub fn check_line(line: &str, (seq, before): (u64, &str)) -> Result<(u64, String), StoreError> {
    let broken = |detail: &str| StoreError::Broken { seq: seq + 1, detail: detail.to_owned() };
    let (body, hash) = line
        .strip_suffix("\"}")
        .and_then(|line| line.rsplit_once(",\"hash\":\""))
        .ok_or_else(|| broken("its line does not end with its hash"))?;
    let body = format!("{body}}}");
    let number = serde_json::from_str::<serde_json::Value>(&body).ok().and_then(|body| body["seq"].as_u64());
    match number {
        None => Err(broken("its line cannot be read")),
        Some(number) if number != seq + 1 => Err(broken("it is missing")),
        Some(_) if digest(before, &body) != hash => Err(broken("its hash does not fit")),
        Some(number) => Ok((number, hash.to_owned())),
    }
}

/// An entry as its row has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// From 1, without a hole.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// Canonical JSON.
    pub event: String,
    /// Hash over the one before and this one, hex.
    pub hash: String,
}

/// Entries of a page when a chain is walked: bounds memory.
pub(super) const PAGE: usize = 4_096;

/// A walk along a chain from its first entry.
#[derive(Default)]
pub(super) struct Walk {
    /// Entries passed.
    pub(super) seq: u64,
    before: String,
}

impl Walk {
    /// Passes the next entry, or says what is wrong with it.
    pub(super) fn pass(&mut self, row: &Stored) -> Result<(), StoreError> {
        row.follows(self.seq, &self.before)?;
        self.seq = row.seq;
        self.before.clone_from(&row.hash);
        row.clone().entry().map(|_| ())
    }
}

/// Walks the whole chain page by page; gives the number of entries.
pub(super) fn verify(page: impl Fn(u64, usize) -> Result<Vec<Stored>, StoreError>) -> Result<u64, StoreError> {
    let mut walk = Walk::default();
    loop {
        let rows = page(walk.seq, PAGE)?;
        if rows.is_empty() {
            return Ok(walk.seq);
        }
        rows.iter().try_for_each(|row| walk.pass(row))?;
    }
}

/// The rows of events that follow an entry with this number and hash (0 and "" for the first).
pub(super) fn link(
    (mut seq, mut before): (u64, String),
    events: &[(Instant, String, Event)],
) -> Result<Vec<Stored>, StoreError> {
    let mut rows = Vec::with_capacity(events.len());
    for (at, actor, event) in events {
        let row = Stored::next((seq, &before), *at, actor.clone(), event)?;
        seq = row.seq;
        before.clone_from(&row.hash);
        rows.push(row);
    }
    Ok(rows)
}

impl Stored {
    pub(super) fn next(
        (seq, before): (u64, &str),
        at: Instant,
        actor: String,
        event: &Event,
    ) -> Result<Stored, StoreError> {
        let mut text = String::new();
        let value = serde_json::to_value(event).map_err(|error| StoreError::Failed(error.to_string()))?;
        canonical(&value, &mut text);
        let (seq, at) = (seq + 1, at.to_string());
        let hash = chain(before, seq, &at, &actor, &text);
        Ok(Stored { seq, at, actor, event: text, hash })
    }

    /// Whether it follows the entry before: number and hash.
    pub(super) fn follows(&self, seq: u64, before: &str) -> Result<(), StoreError> {
        let broken = |detail: &str| StoreError::Broken { seq: seq + 1, detail: detail.to_owned() };
        if self.seq != seq + 1 {
            return Err(broken("it is missing"));
        }
        if chain(before, self.seq, &self.at, &self.actor, &self.event) != self.hash {
            return Err(broken("its hash does not fit"));
        }
        Ok(())
    }

    /// Its line in an audit pack: what its hash covers, and the hash as the last field.
    pub(super) fn line(&self) -> String {
        let mut line = body(self.seq, &self.at, &self.actor, &self.event);
        line.pop();
        format!("{line},\"hash\":\"{}\"}}", self.hash)
    }

    /// The entry itself.
    pub fn entry(self) -> Result<Entry, StoreError> {
        let broken = |detail: String| StoreError::Broken { seq: self.seq, detail };
        let at = Instant::parse(&self.at).ok_or_else(|| broken("its time cannot be read".to_owned()))?;
        let event = serde_json::from_str(&self.event).map_err(|error| broken(error.to_string()))?;
        Ok(Entry { seq: self.seq, at, actor: self.actor, event, hash: self.hash })
    }
}
