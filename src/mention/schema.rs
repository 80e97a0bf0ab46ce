//! What collectors write and what readers of dead letters get, as types of their own: their JSON Schemas are
//! `pipelines/mention.schema.json` and `pipelines/dead-letter.schema.json`. The door does not parse by [`Record`] (it
//! reads by hand, to refuse in one order with one reason); `tests/schemas.rs` holds the two together.

use super::{Kind, RefusalCode};
use crate::limits::{ID_CHARS, TEXT_CHARS};
use crate::time::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something visible and no control characters.
const ID: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
/// The same, or nothing at all.
const ID_OR_EMPTY: &str =
    r"^([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*)?$";

/// One public post, comment, citizen message or hot-list entry as a collector sends it: a Kafka record value, a line of a
/// .jsonl, .jsonl.zst or .jsonl.gz file, or a line of an HTTP body. Null is the same as absent; unknown fields are ignored
/// and counted. Beyond this schema a record is refused if its platform is not registered, if `created_at` lies more than
/// ten minutes in the future, if the line has more than 1 MiB, or if it nests deeper than 32 levels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Mention at the door")]
pub struct Record {
    /// `platform:post-id`, unique. A later record with the same id only raises the counts.
    #[schemars(length(max = ID_CHARS), regex(pattern = ID), example = &"weibo:4711")]
    pub id: String,
    /// A registered platform (`dictionaries/platforms.toml`).
    #[schemars(example = &"weibo")]
    pub platform: String,
    /// Default `post`.
    pub kind: Option<Kind>,
    /// The text; may be empty for a bare repost.
    #[schemars(length(max = TEXT_CHARS))]
    pub text: String,
    /// Second text: what a hot list says about its entry.
    #[schemars(length(max = TEXT_CHARS))]
    pub summary: Option<String>,
    /// When it was written: RFC 3339 with an offset.
    #[schemars(extend("format" = "date-time"), example = &"2026-10-01T10:05:00+08:00")]
    pub created_at: String,
    /// When it was collected; default: arrival, and never later than that.
    #[schemars(extend("format" = "date-time"))]
    pub collected_at: Option<String>,
    /// Address; kept only as far as it names the post.
    pub url: Option<String>,
    /// Who wrote it. Used at the door only, to know official accounts and to count distinct sources; then dropped.
    pub author: Option<AuthorRecord>,
    /// What it reposts, answers, or (listing) the hot-list entry it belongs to.
    pub parent: Option<ParentRecord>,
    /// Handles of accounts it addresses; only official ones are kept.
    pub to: Option<Vec<String>>,
    /// Engagement, a snapshot.
    pub counts: Option<CountsRecord>,
    /// Where a hot list had the entry, for the kind `listing`.
    pub listing: Option<ListingRecord>,
    /// Place tag of the post, never the author's home.
    pub place: Option<PlaceRecord>,
    /// Pictures and videos: never fetched, kept as kind and hash.
    pub media: Option<Vec<MediaRecord>>,
}

/// A name or a number: platforms give ids as either.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NameOrNumber {
    /// As a string.
    Name(String),
    /// As a number.
    Number(serde_json::Number),
}

/// Who wrote it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct AuthorRecord {
    /// The platform's id of the account.
    pub id: Option<NameOrNumber>,
    /// Its name.
    pub name: Option<NameOrNumber>,
    /// Followers; not read.
    pub followers: Option<serde_json::Value>,
    /// `none`, `person` or `organisation`: whom the platform verified; other words and bare booleans count as not an
    /// organisation.
    pub verified: Option<Verified>,
}

/// Whom the platform verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Verified {
    /// `none`, `person`, `organisation`.
    Word(String),
    /// Some mark, of whatever kind.
    Mark(bool),
}

/// What it hangs on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ParentRecord {
    /// Id of that mention or entry; empty is the same as absent.
    #[schemars(length(max = ID_CHARS), regex(pattern = ID_OR_EMPTY))]
    pub id: Option<String>,
    /// Who wrote that; used to clean addresses, then dropped.
    pub author_id: Option<NameOrNumber>,
}

/// Engagement.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CountsRecord {
    /// Times passed on.
    #[schemars(range(min = 0))]
    pub reposts: Option<f64>,
    /// Times answered.
    #[schemars(range(min = 0))]
    pub comments: Option<f64>,
    /// Times liked.
    #[schemars(range(min = 0))]
    pub likes: Option<f64>,
    /// Times seen.
    #[schemars(range(min = 0))]
    pub views: Option<f64>,
}

/// Where a hot list had the entry.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListingRecord {
    /// Name of the list.
    pub list: String,
    /// Rank, 1 is the top.
    #[schemars(range(min = 0))]
    pub rank: Option<f64>,
    /// The list's own figure.
    #[schemars(range(min = 0))]
    pub heat: Option<f64>,
    /// The list's own category.
    pub category: Option<String>,
}

/// Place tag.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlaceRecord {
    /// Name as given.
    pub name: Option<String>,
    /// Latitude, degrees; dropped beyond 90.
    pub lat: Option<f64>,
    /// Longitude, degrees; dropped beyond 180.
    pub lon: Option<f64>,
}

/// A picture or video.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MediaRecord {
    /// `image`, `video`, `audio` or what the platform says.
    pub kind: Option<String>,
    /// Its address; not read, not kept.
    pub url: Option<serde_json::Value>,
    /// SHA-256 in hex; dropped where it is none.
    pub sha256: Option<String>,
}

/// A refused record as it stands in the topic of dead letters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Dead letter")]
pub struct Buried {
    /// Topic (`intake` for the log on disk), partition, offset of the refused record.
    pub position: (String, i32, u64),
    /// Why.
    pub code: RefusalCode,
    /// The same in words, without the record's text.
    pub detail: String,
    /// First bytes, masked and without the author, lossily decoded.
    pub head: String,
    /// Its id, where one could be read.
    #[serde(default)]
    pub id: Option<String>,
    /// When it was refused.
    pub at: Instant,
}
