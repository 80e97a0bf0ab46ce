//! Reading one record at the door. In: the bytes of a line and what the door knows. Out: a [`Mention`] that is masked
//! and without its author, or a [`Refusal`] with a code from the closed list. The checks stand in one order, so the
//! same record is always refused for the same reason.

use super::mask::mask;
use super::source::source_key;
use super::{Counts, Kind, Listing, Media, Mention, Parent, PlaceTag, RefusalCode, Refused, scrub};
use crate::limits::{FUTURE, ID_CHARS, JSON_DEPTH, LINE_BYTES, TEXT_CHARS};
use crate::time::Instant;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Handles kept of `to`: a post that addresses more than that addresses nobody.
const TO_MAX: usize = 50;
/// Pictures and videos kept: three times what the largest post of a known platform holds.
const MEDIA_MAX: usize = 54;
/// Characters of a name of a list, category, place or kind of media.
const NAME_CHARS: usize = 64;
/// The largest engagement taken as given: a hundred times mankind; more is a fault of the collector, and sums must hold.
const COUNT_MAX: u64 = 1_000_000_000_000;

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

/// Why a field stops the record.
struct Stop(RefusalCode, String);

type Step<T> = Result<T, Stop>;

fn stop<T>(code: RefusalCode, detail: impl Into<String>) -> Step<T> {
    Err(Stop(code, detail.into()))
}

fn bad_type<T>(field: &str, wanted: &str) -> Step<T> {
    stop(RefusalCode::BadType, format!("`{field}` must be {wanted}"))
}

/// The known fields as they stand in the record; of a repeated field the last counts.
#[derive(Default)]
struct Fields {
    known: Map<String, Value>,
    unknown: u64,
}

const KNOWN: [&str; 15] = [
    "id", "platform", "kind", "text", "summary", "created_at", "collected_at", "url", "author", "parent", "to", "counts",
    "listing", "place", "media",
];

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Record;
        impl<'de> Visitor<'de> for Record {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if KNOWN.contains(&key.as_ref()) {
                        fields.known.insert(key.into_owned(), map.next_value()?);
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
    let mut fields = Fields::default();
    match parse(line, &mut fields).and_then(|()| build(&mut fields.known, door)) {
        Ok(mention) => Ok(Read { mention, unknown_fields: fields.unknown }),
        Err(Stop(code, detail)) => {
            let id = fields.known.get("id").and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned);
            let author = author_names(fields.known.get("author"));
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

fn parse(line: &[u8], fields: &mut Fields) -> Step<()> {
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
    let first = serde_json::from_str::<Fields>(text);
    let read = match first {
        // Half of a surrogate pair is what cutting a text by UTF-16 units leaves: the rest of the record is good.
        Err(fault) if fault.is_syntax() || fault.is_eof() => match scrub::without_lone_surrogates(text) {
            Some(mended) => serde_json::from_str::<Fields>(&mended),
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

fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.chars().count() <= ID_CHARS && !id.contains(char::is_control)
}

/// The checks, in their order.
fn build(known: &mut Map<String, Value>, door: &Door<'_>) -> Step<Mention> {
    let id = match present(known, "id") {
        None => return stop(RefusalCode::MissingId, "no `id`"),
        Some(Value::String(id)) if is_id(id) => id.clone(),
        Some(Value::String(_)) => {
            return stop(RefusalCode::BadId, format!("`id` must have 1 to {ID_CHARS} characters and no control characters"));
        }
        Some(_) => return bad_type("id", "a string"),
    };
    let platform = match present(known, "platform") {
        None => return stop(RefusalCode::MissingPlatform, "no `platform`"),
        Some(Value::String(name)) if door.platforms.contains(name) => name.clone(),
        Some(Value::String(_)) => return stop(RefusalCode::UnknownPlatform, "the platform is not registered"),
        Some(_) => return bad_type("platform", "a string"),
    };
    let text = match present(known, "text") {
        None => return stop(RefusalCode::MissingText, "no `text`"),
        Some(value) => prose("text", value)?,
    };
    let created_at = match present(known, "created_at") {
        None => return stop(RefusalCode::MissingCreatedAt, "no `created_at`"),
        Some(value) => time("created_at", value)?,
    };
    if door.now.is_some_and(|now| created_at > now + FUTURE) {
        return stop(RefusalCode::FutureTime, "`created_at` lies in the future");
    }
    let collected_at = match present(known, "collected_at") {
        None => door.now.unwrap_or(created_at),
        // A collector whose clock is ahead must not carry the stream's time with it.
        Some(value) => time("collected_at", value)?.min(door.now.unwrap_or(Instant::from_millis(i64::MAX))),
    };
    let kind = kind(present(known, "kind"))?;
    let summary = present(known, "summary").map(|value| prose("summary", value)).transpose()?;
    let author = author(present(known, "author"))?;
    let (parent, parent_author) = parent(present(known, "parent"))?;
    let names: Vec<&str> = [author.id.as_deref(), author.name.as_deref(), parent_author.as_deref()]
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .collect();
    let url = match present(known, "url") {
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
        to: to(present(known, "to"), &platform, door)?,
        counts: counts(present(known, "counts"))?,
        listing: listing(present(known, "listing"))?,
        place: place(present(known, "place"))?,
        media: media(present(known, "media"))?,
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

fn present<'a>(known: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    known.get(field).filter(|value| !value.is_null())
}

fn object<'a>(field: &str, value: &'a Value) -> Step<&'a Map<String, Value>> {
    value.as_object().map_or_else(|| bad_type(field, "an object"), Ok)
}

/// A text: within its bound, without NULs (no store takes them), masked.
fn prose(field: &str, value: &Value) -> Step<String> {
    let Value::String(text) = value else { return bad_type(field, "a string") };
    // Bytes are at least as many as characters, so most texts need no count.
    if text.len() > TEXT_CHARS && text.chars().count() > TEXT_CHARS {
        return stop(RefusalCode::TextTooLong, format!("`{field}` has more than {TEXT_CHARS} characters"));
    }
    Ok(if text.contains('\0') { mask(&text.replace('\0', " ")) } else { mask(text) })
}

fn time(field: &str, value: &Value) -> Step<Instant> {
    let Value::String(text) = value else { return bad_type(field, "an RFC 3339 time in a string") };
    match Instant::parse(text.trim()) {
        Some(at) => Ok(at),
        None => stop(RefusalCode::BadTime, format!("`{field}` is no RFC 3339 time with an offset")),
    }
}

/// A short name: masked, cut, without control characters.
fn short(field: &str, value: Option<&Value>) -> Step<Option<String>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => {
            let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
            Ok(Some(mask(&name)))
        }
        Some(_) => bad_type(field, "a string"),
    }
}

fn kind(value: Option<&Value>) -> Step<Kind> {
    match value {
        None => Ok(Kind::Post),
        Some(Value::String(name)) => Ok(match name.as_str() {
            "post" => Kind::Post,
            "repost" => Kind::Repost,
            "comment" => Kind::Comment,
            "message" => Kind::Message,
            "listing" => Kind::Listing,
            _ => return bad_type("kind", "post, repost, comment, message or listing"),
        }),
        Some(_) => bad_type("kind", "a string"),
    }
}

/// What the door uses of an author, and then drops.
#[derive(Default)]
struct Author {
    id: Option<String>,
    name: Option<String>,
    organisation: bool,
}

impl Author {
    /// The unit whose account it is. A name is taken only from an account that its platform verified.
    fn unit(&self, platform: &str, door: &Door<'_>) -> Option<String> {
        let by_id = self.id.as_ref().and_then(|id| door.accounts.get(&format!("{platform}:{id}")));
        let by_name = || {
            let name = self.name.as_ref().filter(|_| self.organisation)?;
            door.accounts.get(&format!("{platform}:{name}")).or_else(|| door.accounts.get(name))
        };
        by_id.or_else(by_name).cloned()
    }
}

/// An id: platforms give it as a string or a number.
fn name_or_number(field: &str, value: Option<&Value>) -> Step<Option<String>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => bad_type(field, "a string"),
    }
}

fn author(value: Option<&Value>) -> Step<Author> {
    let Some(value) = value else { return Ok(Author::default()) };
    let author = object("author", value)?;
    let organisation = match author.get("verified") {
        Some(Value::String(verified)) => verified == "organisation",
        None | Some(Value::Null | Value::Bool(_)) => false,
        Some(_) => return bad_type("author.verified", "none, person or organisation"),
    };
    Ok(Author {
        id: name_or_number("author.id", author.get("id"))?,
        name: name_or_number("author.name", author.get("name"))?,
        organisation,
    })
}

/// What an author is called in a record that may be anything.
fn author_names(value: Option<&Value>) -> Vec<String> {
    let Some(Value::Object(author)) = value else { return Vec::new() };
    ["id", "name"].iter().filter_map(|field| name_or_number(field, author.get(*field)).ok().flatten()).collect()
}

fn parent(value: Option<&Value>) -> Step<(Option<Parent>, Option<String>)> {
    let Some(value) = value else { return Ok((None, None)) };
    let parent = object("parent", value)?;
    let author = name_or_number("parent.author_id", parent.get("author_id"))?;
    match parent.get("id") {
        None | Some(Value::Null) => Ok((None, author)),
        Some(Value::String(id)) if is_id(id) => Ok((Some(Parent { id: id.clone() }), author)),
        Some(Value::String(id)) if id.is_empty() => Ok((None, author)),
        Some(_) => bad_type("parent.id", "an id"),
    }
}

/// Official accounts alone: whom else a post addresses is nobody's business here.
fn to(value: Option<&Value>, platform: &str, door: &Door<'_>) -> Step<Vec<String>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(handles) = value else { return bad_type("to", "a list of handles") };
    let mut kept: Vec<String> = Vec::new();
    for handle in handles {
        let Value::String(handle) = handle else { return bad_type("to", "a list of handles") };
        let handle = handle.trim_start_matches('@').trim();
        let known = door.accounts.contains_key(handle) || door.accounts.contains_key(&format!("{platform}:{handle}"));
        if known && kept.len() < TO_MAX && !kept.iter().any(|have| have == handle) {
            kept.push(handle.to_owned());
        }
    }
    Ok(kept)
}

fn count(field: &str, object: &Map<String, Value>, name: &str) -> Step<u64> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(count), _) => Ok(count.min(COUNT_MAX)),
            (None, Some(count)) if count >= 0.0 => Ok((count as u64).min(COUNT_MAX)),
            _ => bad_type(&format!("{field}.{name}"), "a number from 0"),
        },
        Some(_) => bad_type(&format!("{field}.{name}"), "a number from 0"),
    }
}

fn counts(value: Option<&Value>) -> Step<Counts> {
    let Some(value) = value else { return Ok(Counts::default()) };
    let all = object("counts", value)?;
    Ok(Counts {
        reposts: count("counts", all, "reposts")?,
        comments: count("counts", all, "comments")?,
        likes: count("counts", all, "likes")?,
        views: count("counts", all, "views")?,
    })
}

fn listing(value: Option<&Value>) -> Step<Option<Listing>> {
    let Some(value) = value else { return Ok(None) };
    let entry = object("listing", value)?;
    let Some(list) = short("listing.list", entry.get("list"))? else { return bad_type("listing.list", "a string") };
    let rank = count("listing", entry, "rank")?.min(u64::from(u32::MAX)) as u32;
    let heat = count("listing", entry, "heat")?;
    Ok(Some(Listing { list, rank, heat, category: short("listing.category", entry.get("category"))? }))
}

fn place(value: Option<&Value>) -> Step<Option<PlaceTag>> {
    let Some(value) = value else { return Ok(None) };
    let tag = object("place", value)?;
    let degrees = |name: &str, most: f64| match tag.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64().filter(|degrees| degrees.abs() <= most)),
        Some(_) => bad_type(&format!("place.{name}"), "a number of degrees"),
    };
    Ok(Some(PlaceTag {
        name: short("place.name", tag.get("name"))?,
        lat: degrees("lat", 90.0)?,
        lon: degrees("lon", 180.0)?,
    }))
}

fn media(value: Option<&Value>) -> Step<Vec<Media>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(items) = value else { return bad_type("media", "a list") };
    let mut kept = Vec::new();
    for item in items {
        let item = object("media[]", item)?;
        let kind = short("media[].kind", item.get("kind"))?.unwrap_or_default();
        let sha256 = match item.get("sha256") {
            None | Some(Value::Null) => None,
            Some(Value::String(hash)) => Some(hash.to_ascii_lowercase())
                .filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())),
            Some(_) => return bad_type("media[].sha256", "a string"),
        };
        if kept.len() < MEDIA_MAX {
            kept.push(Media { kind, sha256 });
        }
    }
    Ok(kept)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
