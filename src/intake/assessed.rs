//! The record that a worker publishes for each mention it has read, and the dead letter of one it refused (`cli.md`, "Kafka").
//! In: what was read, and where. Out: one JSON object; and back.
//!
//! The value is the `assessment` line with `position`, `schema` and the masked `mention` beside it. A repeat after a crash has the
//! same position. A record that was refused travels the same way, so that the desk can put it beside what it decided.

use crate::assess::Assessment;
use crate::assess::published::{self, Published, RefusedRecord, RefusedType};
use crate::ledger::{DeadLetter, Position};
use crate::mention::schema::Buried;
use crate::mention::{Mention, Refused};
use crate::time::Instant;
use serde::Deserialize;

pub use crate::assess::published::SCHEMA;

/// `[topic, partition, offset]`.
type Place = (String, i32, u64);

fn place(position: &Position) -> Place {
    (position.stream.clone(), position.partition, position.offset)
}

#[derive(Deserialize)]
struct Kind {
    schema: u32,
}

/// What a record of `yuqing.assessed` says.
#[derive(Clone, PartialEq, Debug)]
pub enum Assessed {
    /// A mention with its reading.
    Mention {
        /// It.
        mention: Box<Mention>,
        /// What it says.
        assessment: Box<Assessment>,
        /// Where the worker read it.
        origin: Position,
    },
    /// A refused record.
    Refused {
        /// Why.
        refused: Refused,
        /// First bytes, masked.
        head: String,
        /// When.
        at: Instant,
        /// Where the worker read it.
        origin: Position,
    },
}

/// The value of an assessed record.
pub fn assessed(mention: Mention, assessment: Assessment, origin: &Position) -> Vec<u8> {
    // Plain data with string keys cannot fail to be written.
    serde_json::to_vec(&published::Assessed::new(place(origin), assessment, mention)).unwrap_or_default()
}

/// The value of a dead letter in its own topic.
pub fn dead_letter(letter: &DeadLetter) -> Vec<u8> {
    serde_json::to_vec(&buried(letter)).unwrap_or_default()
}

/// The value of a refused record among the assessed ones.
pub fn refused(letter: &DeadLetter) -> Vec<u8> {
    let line = RefusedRecord { r#type: RefusedType::Refused, schema: SCHEMA, letter: buried(letter) };
    serde_json::to_vec(&line).unwrap_or_default()
}

fn buried(letter: &DeadLetter) -> Buried {
    Buried {
        position: place(&letter.position),
        code: letter.code,
        detail: letter.detail.clone(),
        head: letter.head.clone(),
        id: letter.id.clone(),
        at: letter.at,
    }
}

/// Reads an assessed record back; the error says why it is none.
pub fn read(value: &[u8]) -> Result<Assessed, String> {
    let kind: Kind = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    if kind.schema != SCHEMA {
        return Err(format!("schema {} is not {SCHEMA}: update the desks before the workers", kind.schema));
    }
    let origin = |(stream, partition, offset): Place| Position { stream, partition, offset };
    match serde_json::from_slice(value).map_err(|error| error.to_string())? {
        Published::Assessed(line) => {
            let (mention, assessment) = (Box::new(line.mention), Box::new(line.assessment));
            Ok(Assessed::Mention { mention, assessment, origin: origin(line.position) })
        }
        Published::Refused(RefusedRecord { letter, .. }) => {
            let refused = Refused { line: 0, id: letter.id, code: letter.code, detail: letter.detail };
            Ok(Assessed::Refused { refused, head: letter.head, at: letter.at, origin: origin(letter.position) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mention::RefusalCode;

    fn mention() -> Mention {
        serde_json::from_value(serde_json::json!({
            "id": "weibo:1", "platform": "weibo", "kind": "post", "text": "红谷滩区丰和中大道一栋楼着火，3人被困",
            "summary": "着火", "created_at": "2026-10-01T02:05:00Z", "collected_at": "2026-10-01T02:06:00Z", "source": 7,
        }))
        .expect("a mention")
    }

    fn position() -> Position {
        Position { stream: "mentions".to_owned(), partition: 3, offset: 99 }
    }

    #[test]
    fn a_reading_comes_back_as_the_worker_made_it() {
        let reader = &*crate::assess::readings::READER;
        let (mention, origin) = (mention(), position());
        let made = reader.read(&mention);
        let value = assessed(mention.clone(), made.assessment.clone(), &origin);
        let line: serde_json::Value = serde_json::from_slice(&value).expect("JSON");
        assert_eq!(line["type"], "assessment");
        assert_eq!(line["position"], serde_json::json!(["mentions", 3, 99]));
        assert_eq!(line["id"], "weibo:1");
        let Ok(Assessed::Mention { mention: back, assessment, origin: from }) = read(&value) else {
            panic!("{line}");
        };
        assert_eq!((*back, from), (mention.clone(), origin));
        assert_eq!(reader.resume(&mention, *assessment, true), made);
    }

    #[test]
    fn a_dead_letter_keeps_its_position_and_a_stranger_is_refused() {
        let letter = DeadLetter {
            position: position(),
            line: 0,
            id: None,
            code: RefusalCode::MissingId,
            detail: "no id".to_owned(),
            head: "{}".to_owned(),
            at: Instant::from_millis(1_790_000_000_000),
        };
        let Ok(Assessed::Refused { refused: back, head, at, origin }) = read(&refused(&letter)) else {
            panic!("it is read back");
        };
        assert_eq!((back.code, back.detail.as_str(), head.as_str()), (letter.code, "no id", "{}"));
        assert_eq!((at, origin), (letter.at, letter.position.clone()));
        let line: serde_json::Value = serde_json::from_slice(&dead_letter(&letter)).expect("JSON");
        assert_eq!(line["position"], serde_json::json!(["mentions", 3, 99]));
        assert!(read(b"{\"type\":\"assessment\",\"schema\":2}").is_err_and(|why| why.contains("schema 2")));
        assert!(read(b"{\"type\":\"other\",\"schema\":1}").is_err());
        assert!(read(b"{").is_err());
    }
}
