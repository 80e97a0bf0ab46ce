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

/// Hash of an entry: that of the one before, and the canonical JSON of the entry as stored.
fn chain(before: &str, seq: u64, at: &str, actor: &str, event: &str) -> String {
    let (at, actor) = (serde_json::Value::from(at), serde_json::Value::from(actor));
    let body = format!("{{\"actor\":{actor},\"at\":{at},\"event\":{event},\"seq\":{seq}}}");
    let hash = Sha256::new().chain_update(before.as_bytes()).chain_update(body.as_bytes()).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An entry as its row has it.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) actor: String,
    pub(super) event: String,
    pub(super) hash: String,
}

impl Stored {
    /// The row of the event that follows an entry with this number and hash (0 and "" for the first).
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

    /// The entry itself.
    pub(super) fn entry(self) -> Result<Entry, StoreError> {
        let broken = |detail: String| StoreError::Broken { seq: self.seq, detail };
        let at = Instant::parse(&self.at).ok_or_else(|| broken("its time cannot be read".to_owned()))?;
        let event = serde_json::from_str(&self.event).map_err(|error| broken(error.to_string()))?;
        Ok(Entry { seq: self.seq, at, actor: self.actor, event, hash: self.hash })
    }
}
