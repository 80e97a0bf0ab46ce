//! Raw mentions in Kafka. In: a record, in the order in which it is given. Out: what it says. A null value deletes what
//! its key names; a mention without a time of collection has that of the record; a repeat carries counts only.

use super::super::seen::{GENERATION, Known, Seen};
use super::super::{Body, IntakeConfig, Salts};
use super::{Decoded, KafkaRecord};
use crate::limits::ID_CHARS;
use crate::mention::read::{Door, read_counted};
use crate::mention::{RefusalCode, Refused};
use crate::time::Day;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Reads mentions out of records. What it has seen before it tells as counts: as far back as it was made.
pub struct MentionDecoder {
    config: Arc<RwLock<Arc<IntakeConfig>>>,
    salts: Salts,
    salt: Option<(Day, Option<[u8; 32]>)>,
    seen: Option<Seen>,
    unknown_fields: Arc<AtomicU64>,
}

impl MentionDecoder {
    /// A decoder for a desk that reads mentions itself: repeats become counts.
    pub fn new(config: IntakeConfig, salts: Salts) -> MentionDecoder {
        MentionDecoder { seen: Some(Seen::new(GENERATION)), ..MentionDecoder::for_worker(config, salts) }
    }

    /// A decoder that remembers nothing: each of several workers sees only a part.
    pub fn for_worker(config: IntakeConfig, salts: Salts) -> MentionDecoder {
        let config = Arc::new(RwLock::new(Arc::new(config)));
        MentionDecoder { config, salts, salt: None, seen: None, unknown_fields: Arc::default() }
    }

    /// Platforms and accounts, to be replaced while it runs.
    pub fn config(&self) -> Arc<RwLock<Arc<IntakeConfig>>> {
        self.config.clone()
    }

    /// Fields that nobody knew, counted while it runs.
    pub fn unknown_fields(&self) -> Arc<AtomicU64> {
        self.unknown_fields.clone()
    }

    /// What a record says.
    pub fn decode(&mut self, record: KafkaRecord<'_>) -> Decoded {
        let Some(value) = record.value else { return deletion(record).into() };
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let day = record.timestamp.day();
        // Asked once a day, not once a record.
        let salt = match &self.salt {
            Some((of, salt)) if *of == day => *salt,
            _ => (self.salts)(day),
        };
        self.salt = Some((day, salt));
        let door = Door {
            platforms: &config.platforms,
            accounts: &config.accounts,
            now: Some(record.timestamp),
            salt: salt.as_ref(),
        };
        match read_counted(value, 1, &door) {
            Ok(read) => {
                self.unknown_fields.fetch_add(read.unknown_fields, Ordering::Relaxed);
                let mention = read.mention;
                let known = self.seen.as_mut().map_or(Known::New, |seen| seen.note(&mention.id, &mention.counts));
                match known {
                    Known::New => Body::Mention(Box::new(mention)),
                    Known::Same => Body::Counts { id: mention.id, counts: mention.counts },
                    Known::Raised(counts) => Body::Counts { id: mention.id, counts },
                }
            }
            Err(refusal) => Body::Refused { refused: refusal.refused, head: refusal.head, at: record.timestamp },
        }
        .into()
    }
}

fn deletion(record: KafkaRecord<'_>) -> Body {
    let named = record.key.filter(|key| !key.is_empty()).map(std::str::from_utf8);
    let refused = |code, detail: String| Body::Refused {
        refused: Refused { line: 1, id: None, code, detail },
        head: String::new(),
        at: record.timestamp,
    };
    match named {
        None => refused(RefusalCode::MissingId, "a null value without a key deletes nothing".into()),
        Some(Ok(id)) if id.chars().count() <= ID_CHARS && !id.chars().any(char::is_control) => {
            Body::Deleted { id: id.to_owned() }
        }
        Some(_) => refused(RefusalCode::BadId, "a null value whose key is no id deletes nothing".into()),
    }
}
