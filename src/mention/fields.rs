//! The single fields of a record. In: a field's value as JSON. Out: what the mention keeps of it, or what stops the
//! record there.

use super::json::{Object, Value};
use super::mask::mask;
use super::read::Door;
use super::{Counts, Kind, Listing, Media, Parent, PlaceTag, RefusalCode};
use crate::limits::{ID_CHARS, TEXT_CHARS};
use crate::time::Instant;

/// Handles kept of `to`: a post that addresses more than that addresses nobody.
const TO_MAX: usize = 50;
/// Pictures and videos kept: three times what the largest post of a known platform holds.
const MEDIA_MAX: usize = 54;
/// Characters of a name of a list, category, place or kind of media.
const NAME_CHARS: usize = 64;
/// The largest engagement taken as given: a hundred times mankind; more is a fault of the collector, and sums must hold.
const COUNT_MAX: u64 = 1_000_000_000_000;

/// Why a field stops the record.
pub(super) struct Stop(pub(super) RefusalCode, pub(super) String);

pub(super) type Step<T> = Result<T, Stop>;

pub(super) fn stop<T>(code: RefusalCode, detail: impl Into<String>) -> Step<T> {
    Err(Stop(code, detail.into()))
}

pub(super) fn bad_type<T>(field: &str, wanted: &str) -> Step<T> {
    stop(RefusalCode::BadType, format!("`{field}` must be {wanted}"))
}

pub(super) fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.chars().count() <= ID_CHARS && !id.contains(char::is_control)
}

fn object<'a, 'b>(field: &str, value: &'a Value<'b>) -> Step<&'a Object<'b>> {
    match value {
        Value::Object(object) => Ok(object),
        _ => bad_type(field, "an object"),
    }
}

/// A text: within its bound, without NULs (no store takes them), masked.
pub(super) fn prose(field: &str, value: &Value<'_>) -> Step<String> {
    let Value::String(text) = value else { return bad_type(field, "a string") };
    // Bytes are at least as many as characters, so most texts need no count.
    if text.len() > TEXT_CHARS && text.chars().count() > TEXT_CHARS {
        return stop(RefusalCode::TextTooLong, format!("`{field}` has more than {TEXT_CHARS} characters"));
    }
    Ok(if text.contains('\0') { mask(&text.replace('\0', " ")) } else { mask(text) })
}

pub(super) fn time(field: &str, value: &Value<'_>) -> Step<Instant> {
    let Value::String(text) = value else { return bad_type(field, "an RFC 3339 time in a string") };
    match Instant::parse(text.trim()) {
        Some(at) => Ok(at),
        None => stop(RefusalCode::BadTime, format!("`{field}` is no RFC 3339 time with an offset")),
    }
}

/// A short name: masked, cut, without control characters.
fn short(field: &str, value: Option<&Value<'_>>) -> Step<Option<String>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => {
            let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
            Ok(Some(mask(&name)))
        }
        Some(_) => bad_type(field, "a string"),
    }
}

pub(super) fn kind(value: Option<&Value<'_>>) -> Step<Kind> {
    match value {
        None => Ok(Kind::Post),
        Some(Value::String(name)) => Ok(match name.as_ref() {
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
pub(super) struct Author {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    organisation: bool,
}

impl Author {
    /// The unit whose account it is. A name is taken only from an account that its platform verified.
    pub(super) fn unit(&self, platform: &str, door: &Door<'_>) -> Option<String> {
        let by_id = self.id.as_ref().and_then(|id| door.accounts.get(&format!("{platform}:{id}")));
        let by_name = || {
            let name = self.name.as_ref().filter(|_| self.organisation)?;
            door.accounts.get(&format!("{platform}:{name}")).or_else(|| door.accounts.get(name))
        };
        by_id.or_else(by_name).cloned()
    }
}

/// An id: platforms give it as a string or a number.
fn name_or_number(field: &str, value: Option<&Value<'_>>) -> Step<Option<String>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.to_string())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => bad_type(field, "a string"),
    }
}

pub(super) fn author(value: Option<&Value<'_>>) -> Step<Author> {
    let Some(value) = value else { return Ok(Author::default()) };
    let author = object("author", value)?;
    let organisation = match author.get("verified") {
        Some(Value::String(verified)) => verified == "organisation",
        None | Some(Value::Null | Value::Bool) => false,
        Some(_) => return bad_type("author.verified", "none, person or organisation"),
    };
    Ok(Author {
        id: name_or_number("author.id", author.get("id"))?,
        name: name_or_number("author.name", author.get("name"))?,
        organisation,
    })
}

/// What an author is called in a record that may be anything.
pub(super) fn author_names(value: Option<&Value<'_>>) -> Vec<String> {
    let Some(Value::Object(author)) = value else { return Vec::new() };
    ["id", "name"].iter().filter_map(|field| name_or_number(field, author.get(field)).ok().flatten()).collect()
}

pub(super) fn parent(value: Option<&Value<'_>>) -> Step<(Option<Parent>, Option<String>)> {
    let Some(value) = value else { return Ok((None, None)) };
    let parent = object("parent", value)?;
    let author = name_or_number("parent.author_id", parent.get("author_id"))?;
    match parent.get("id") {
        None | Some(Value::Null) => Ok((None, author)),
        Some(Value::String(id)) if is_id(id) => Ok((Some(Parent { id: id.to_string() }), author)),
        Some(Value::String(id)) if id.is_empty() => Ok((None, author)),
        Some(_) => bad_type("parent.id", "an id"),
    }
}

/// Official accounts alone: whom else a post addresses is nobody's business here.
pub(super) fn to(value: Option<&Value<'_>>, platform: &str, door: &Door<'_>) -> Step<Vec<String>> {
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

fn count(field: &str, object: &Object<'_>, name: &str) -> Step<u64> {
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

pub(super) fn counts(value: Option<&Value<'_>>) -> Step<Counts> {
    let Some(value) = value else { return Ok(Counts::default()) };
    let all = object("counts", value)?;
    Ok(Counts {
        reposts: count("counts", all, "reposts")?,
        comments: count("counts", all, "comments")?,
        likes: count("counts", all, "likes")?,
        views: count("counts", all, "views")?,
    })
}

pub(super) fn listing(value: Option<&Value<'_>>) -> Step<Option<Listing>> {
    let Some(value) = value else { return Ok(None) };
    let entry = object("listing", value)?;
    let Some(list) = short("listing.list", entry.get("list"))? else { return bad_type("listing.list", "a string") };
    let rank = count("listing", entry, "rank")?.min(u64::from(u32::MAX)) as u32;
    let heat = count("listing", entry, "heat")?;
    Ok(Some(Listing { list, rank, heat, category: short("listing.category", entry.get("category"))? }))
}

pub(super) fn place(value: Option<&Value<'_>>) -> Step<Option<PlaceTag>> {
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

pub(super) fn media(value: Option<&Value<'_>>) -> Step<Vec<Media>> {
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
