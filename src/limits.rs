//! Every bound of the program, each with its reason. What passes a bound is refused or degraded in a way the user sees,
//! and counted. Nothing else in the program names such a number.

use crate::time::Span;

/// Characters of a mention's id: post ids of all known platforms with their platform's name fit twice.
pub const ID_CHARS: usize = 128;
/// Characters of a text: the longest post that a known platform allows, doubled.
pub const TEXT_CHARS: usize = 20_000;
/// Bytes of one line of a body or file: a text of the greatest length with every character escaped, and its frame.
pub const LINE_BYTES: usize = 1 << 20;
/// Bytes of a body as sent.
pub const BODY_BYTES: usize = 32 << 20;
/// Bytes of a body when decoded: stops a compression bomb.
pub const BODY_DECODED_BYTES: usize = 64 << 20;
/// Bodies in memory at once: with the two bounds above this keeps the door under half a gigabyte.
pub const BODIES_AT_ONCE: usize = 4;
/// Refusals told in one answer; the rest are counted.
pub const REFUSALS_TOLD: usize = 1_000;
/// Nesting of a record: the deepest known field has three levels.
pub const JSON_DEPTH: usize = 32;
/// First bytes of a refused record kept in the dead letter.
pub const DEAD_LETTER_HEAD_BYTES: usize = 256;
/// How far a mention's time may lie in the future: clocks of platforms differ by minutes, not more.
pub const FUTURE: Span = Span::minutes(10);
/// Mentions named with an incident when it is raised.
pub const CARRIED: usize = 50;
/// Mentions listed with an incident in the API.
pub const INCIDENT_MENTIONS: usize = 200;
/// Hits on a page of search.
pub const PAGE: usize = 200;
/// Hits in one export: a review of a month's events, not a copy of the index.
pub const EXPORT_ROWS: usize = 10_000;
/// Bytes of one export; with one made at a time this is what it may take of memory.
pub const EXPORT_BYTES: usize = 32 << 20;
/// Mentions handed through the core in one step.
pub const STEP_MENTIONS: usize = 1_024;
/// Age at which the day salt of source keys is destroyed (public-trust rule 3).
pub const SALT_AGE: Span = Span::hours(48);

const _: () = assert!(LINE_BYTES > TEXT_CHARS * 12, "a text of the greatest length fits a line, however escaped");
const _: () = assert!(BODY_DECODED_BYTES >= BODY_BYTES);
