//! Reading one record at the door. In: the bytes of a line and what the door knows. Out: a [`Mention`] that is masked
//! and without its author, or a [`Refusal`] with a code from the closed list. The checks stand in one order, so the
//! same record is always refused for the same reason.

use super::fields::{
    Step, Stop, author, author_names, bad_type, counts, is_id, kind, listing, media, parent, place, prose, stop, time,
    to,
};
use super::json::Value;
use super::source::source_key;
use super::{Mention, RefusalCode, Refused, scrub};
use crate::limits::{FUTURE, ID_CHARS, JSON_DEPTH, LINE_BYTES};
use crate::time::Instant;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};

/// What the door knows.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// Registered platforms.
    pub platforms: &'a BTreeSet<String>,
    /// Official accounts: `platform:author-id` or handle, to the unit's id.
    pub accounts: &'a BTreeMap<String, String>,
    /// Arrival; `None` in one-shot commands over files, where no time is too late.
    pub now: Option<Instant>,
    /// Salt of the day; `None` where it is destroyed or none is kept: then there are no source keys.
    pub salt: Option<&'a [u8; 32]>,
}

/// A refused record with its first bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub refused: Refused,
    /// First bytes, masked and without the author, lossily decoded.
    pub head: String,
}

/// A record that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Read {
    /// It.
    pub mention: Mention,
    /// Fields that nobody knows, ignored.
    pub unknown_fields: u64,
}

/// The known fields as they stand in the record; of a repeated field the last counts.
#[derive(Default)]
struct Fields<'a> {
    known: [Option<Value<'a>>; KNOWN.len()],
    unknown: u64,
}

impl<'a> Fields<'a> {
    fn get(&self, field: &str) -> Option<&Value<'a>> {
        self.known[place_of(field)?].as_ref()
    }

    /// A field that is there and not null.
    fn present(&self, field: &str) -> Option<&Value<'a>> {
        self.get(field).filter(|value| !value.is_null())
    }
}

const KNOWN: [&str; 15] = [
    "id",
    "platform",
    "kind",
    "text",
    "summary",
    "created_at",
    "collected_at",
    "url",
    "author",
    "parent",
    "to",
    "counts",
    "listing",
    "place",
    "media",
];

fn place_of(field: &str) -> Option<usize> {
    KNOWN.iter().position(|known| *known == field)
}

/// The place of a field's name among those known.
struct Name(Option<usize>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name(place_of(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        struct Record;
        impl<'de> Visitor<'de> for Record {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Name(place)) = map.next_key()? {
                    if let Some(place) = place {
                        fields.known[place] = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        fields.unknown += 1;
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Record)
    }
}

/// Reads a record.
pub fn read(line: &[u8], line_no: u64, door: &Door<'_>) -> Result<Mention, Box<Refusal>> {
    read_counted(line, line_no, door).map(|read| read.mention)
}

/// Reads a record and counts the fields that nobody knows.
pub fn read_counted(line: &[u8], line_no: u64, door: &Door<'_>) -> Result<Read, Box<Refusal>> {
    let mut mended = None;
    let mut fields = Fields::default();
    match parse(line, &mut mended, &mut fields).and_then(|()| build(&fields, door)) {
        Ok(mention) => Ok(Read { mention, unknown_fields: fields.unknown }),
        Err(Stop(code, detail)) => {
            let id = match fields.get("id") {
                Some(Value::String(id)) if is_id(id) => Some(id.to_string()),
                _ => None,
            };
            let author = author_names(fields.get("author"));
            Err(Box::new(Refusal {
                refused: Refused { line: line_no, id, code, detail },
                head: scrub::head(line, &author),
            }))
        }
    }
}

/// The refusal of a line over [`LINE_BYTES`], of which only the beginning is left.
pub fn too_long(beginning: &[u8], line_no: u64) -> Box<Refusal> {
    let detail = format!("the line has more than {LINE_BYTES} bytes");
    Box::new(Refusal {
        refused: Refused { line: line_no, id: None, code: RefusalCode::LineTooLong, detail },
        head: scrub::head(beginning, &[]),
    })
}

/// Fills the fields from the line, or from what of it could be mended.
fn parse<'a>(line: &'a [u8], mended: &'a mut Option<String>, fields: &mut Fields<'a>) -> Step<()> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.len() > LINE_BYTES {
        return stop(RefusalCode::LineTooLong, format!("the line has more than {LINE_BYTES} bytes"));
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return stop(RefusalCode::InvalidUtf8, "the line is not UTF-8");
    };
    if too_deep(line) {
        return stop(RefusalCode::TooDeep, format!("nested deeper than {JSON_DEPTH} levels"));
    }
    if !text.trim_start().starts_with('{') {
        return match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => stop(RefusalCode::NotAnObject, "the line is JSON, but no object"),
            Err(fault) => stop(RefusalCode::NotJson, format!("not JSON: {}", words(&fault))),
        };
    }
    let first = serde_json::from_str::<Fields<'a>>(text);
    let read = match first {
        // Half of a surrogate pair is what cutting a text by UTF-16 units leaves: the rest of the record is good.
        Err(fault) if fault.is_syntax() || fault.is_eof() => match scrub::without_lone_surrogates(text) {
            Some(whole) => serde_json::from_str::<Fields<'a>>(mended.insert(whole)),
            None => Err(fault),
        },
        other => other,
    };
    match read {
        Ok(read) => {
            *fields = read;
            Ok(())
        }
        Err(fault) if fault.to_string().starts_with("number out of range") => {
            stop(RefusalCode::BadType, "a number is out of range")
        }
        Err(fault) => stop(RefusalCode::NotJson, format!("not JSON: {}", words(&fault))),
    }
}

/// Says what is wrong and where, without the record's text.
fn words(fault: &serde_json::Error) -> String {
    if fault.is_eof() {
        format!("cut short at column {}", fault.column())
    } else {
        format!("wrong at column {}", fault.column())
    }
}

fn too_deep(line: &[u8]) -> bool {
    let opened = line.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if opened <= JSON_DEPTH {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > JSON_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The checks, in their order.
fn build(known: &Fields<'_>, door: &Door<'_>) -> Step<Mention> {
    let id = match known.present("id") {
        None => return stop(RefusalCode::MissingId, "no `id`"),
        Some(Value::String(id)) if is_id(id) => id.to_string(),
        Some(Value::String(_)) => {
            return stop(
                RefusalCode::BadId,
                format!("`id` must have 1 to {ID_CHARS} characters and no control characters"),
            );
        }
        Some(_) => return bad_type("id", "a string"),
    };
    let platform = match known.present("platform") {
        None => return stop(RefusalCode::MissingPlatform, "no `platform`"),
        Some(Value::String(name)) if door.platforms.contains(name.as_ref()) => name.to_string(),
        Some(Value::String(_)) => return stop(RefusalCode::UnknownPlatform, "the platform is not registered"),
        Some(_) => return bad_type("platform", "a string"),
    };
    let text = match known.present("text") {
        None => return stop(RefusalCode::MissingText, "no `text`"),
        Some(value) => prose("text", value)?,
    };
    let created_at = match known.present("created_at") {
        None => return stop(RefusalCode::MissingCreatedAt, "no `created_at`"),
        Some(value) => time("created_at", value)?,
    };
    if door.now.is_some_and(|now| created_at > now + FUTURE) {
        return stop(RefusalCode::FutureTime, "`created_at` lies in the future");
    }
    let collected_at = match known.present("collected_at") {
        None => door.now.unwrap_or(created_at),
        // A collector whose clock is ahead must not carry the stream's time with it.
        Some(value) => time("collected_at", value)?.min(door.now.unwrap_or(Instant::from_millis(i64::MAX))),
    };
    let kind = kind(known.present("kind"))?;
    let summary = known.present("summary").map(|value| prose("summary", value)).transpose()?;
    let author = author(known.present("author"))?;
    let (parent, parent_author) = parent(known.present("parent"))?;
    let names: Vec<&str> = [author.id.as_deref(), author.name.as_deref(), parent_author.as_deref()]
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .collect();
    let url = match known.present("url") {
        None => None,
        Some(Value::String(url)) => scrub::url(url, &names),
        Some(_) => return bad_type("url", "a string"),
    };
    let source = match (door.salt, &author.id) {
        (Some(salt), Some(id)) if !id.is_empty() => Some(source_key(salt, &platform, id)),
        _ => None,
    };
    Ok(Mention {
        official: author.unit(&platform, door),
        to: to(known.present("to"), &platform, door)?,
        counts: counts(known.present("counts"))?,
        listing: listing(known.present("listing"))?,
        place: place(known.present("place"))?,
        media: media(known.present("media"))?,
        id,
        platform,
        kind,
        text,
        summary,
        created_at,
        collected_at,
        url,
        source,
        parent,
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
