//! A mention: one public post, comment, citizen message or hot-list entry, as it stands after the door.
//!
//! In: one JSON object (design section 5). Out: a [`Mention`] whose texts are masked and whose author is gone but for
//! a day-salted source key, or a [`Refused`] with a reason from a closed list. Nothing here reads a clock or a file.

mod fields;
mod json;
pub mod mask;
mod numbers;
pub mod read;
pub mod schema;
mod scrub;
pub mod source;

use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// What sort of record a mention is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A post of its own.
    #[default]
    Post,
    /// A post that passes another on.
    Repost,
    /// An answer to another.
    Comment,
    /// Addressed to an office: mayor's mailbox, 12345 import.
    Message,
    /// One line of a hot list at one capture.
    Listing,
}

/// A day-salted keyed hash of an author: only to count distinct sources, worth nothing after two days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceKey(pub u64);

/// What a mention reposts, answers, or (listing) the hot-list entry it belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parent {
    /// Id of that mention or entry.
    pub id: String,
}

/// Engagement as last seen; a later record with the same id raises it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Times passed on.
    pub reposts: u64,
    /// Times answered.
    pub comments: u64,
    /// Times liked.
    pub likes: u64,
    /// Times seen.
    pub views: u64,
}

/// Where a hot list had the entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Listing {
    /// Name of the list.
    pub list: String,
    /// Rank, 1 is the top.
    pub rank: u32,
    /// The list's own figure.
    #[serde(default)]
    pub heat: u64,
    /// The list's own category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// Place tag of the post, never the author's home.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaceTag {
    /// Name as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Latitude, degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude, degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

/// A picture or video: never fetched, kept as kind and hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Media {
    /// `image`, `video`, `audio` or what the platform says.
    pub kind: String,
    /// SHA-256 in hex, where the collector knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One mention after the door: masked, without its author.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mention {
    /// `platform:post-id`, unique.
    pub id: String,
    /// Registered platform.
    pub platform: String,
    /// Sort of record.
    #[serde(default)]
    pub kind: Kind,
    /// Masked text.
    pub text: String,
    /// Masked second text (what a hot list says about its entry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When it was written.
    pub created_at: Instant,
    /// When it was collected; never earlier than the mention before it in the stream.
    pub collected_at: Instant,
    /// Address, only as far as it names the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Source key; `None` where the record named no author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKey>,
    /// Unit whose registered official account wrote it (`U01`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official: Option<String>,
    /// What it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Official accounts it addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Engagement.
    #[serde(default)]
    pub counts: Counts,
    /// Hot-list rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Listing>,
    /// Place tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceTag>,
    /// Pictures and videos.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
}

/// Why a record was refused: a closed list that scripts rely on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Not JSON at all, or cut short.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// No `id`.
    MissingId,
    /// An empty or over-long `id`.
    BadId,
    /// No `platform`.
    MissingPlatform,
    /// A platform that is not registered.
    UnknownPlatform,
    /// No `text`.
    MissingText,
    /// More characters than [`crate::limits::TEXT_CHARS`].
    TextTooLong,
    /// No `created_at`.
    MissingCreatedAt,
    /// A time that is not RFC 3339.
    BadTime,
    /// Written further in the future than clocks differ.
    FutureTime,
    /// A field of the wrong type.
    BadType,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A line over [`crate::limits::LINE_BYTES`].
    LineTooLong,
    /// Nested deeper than [`crate::limits::JSON_DEPTH`].
    TooDeep,
    /// The record stopped the program three times.
    Crash,
}

/// A record that was refused, for the answer and the dead letters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Refused {
    /// Line in the decoded body or file, from 1; empty lines count.
    pub line: u64,
    /// Its id, where one could be read.
    pub id: Option<String>,
    /// Why.
    pub code: RefusalCode,
    /// The same in words, without the record's text.
    pub detail: String,
}

impl RefusalCode {
    /// The name scripts see: `missing_id`.
    pub fn name(self) -> &'static str {
        match self {
            RefusalCode::NotJson => "not_json",
            RefusalCode::NotAnObject => "not_an_object",
            RefusalCode::MissingId => "missing_id",
            RefusalCode::BadId => "bad_id",
            RefusalCode::MissingPlatform => "missing_platform",
            RefusalCode::UnknownPlatform => "unknown_platform",
            RefusalCode::MissingText => "missing_text",
            RefusalCode::TextTooLong => "text_too_long",
            RefusalCode::MissingCreatedAt => "missing_created_at",
            RefusalCode::BadTime => "bad_time",
            RefusalCode::FutureTime => "future_time",
            RefusalCode::BadType => "bad_type",
            RefusalCode::InvalidUtf8 => "invalid_utf8",
            RefusalCode::LineTooLong => "line_too_long",
            RefusalCode::TooDeep => "too_deep",
            RefusalCode::Crash => "crash",
        }
    }
}
