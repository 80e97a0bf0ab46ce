//! Taking the author out of what is kept beside the text: addresses and the first bytes of refused records. In: what
//! was collected and what its author is called. Out: the same without them.

use super::mask::mask;
use crate::limits::DEAD_LETTER_HEAD_BYTES;

/// Bytes of an address: longer ones carry more than a post's name.
const URL_BYTES: usize = 1_024;
/// Names shorter than this are looked for as whole parts only: `1` stands in every number.
const SHORT_NAME: usize = 4;
/// Fields that may name an author, by their beginning.
const PRIVATE_FIELDS: [&str; 9] = ["author", "user", "name", "nick", "screen", "uid", "url", "avatar", "mid_author"];

/// The address as far as it names the post: no query, no user, no part that holds a name of the author; `None` where
/// nothing of use is left.
pub(super) fn url(url: &str, names: &[&str]) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    if !matches!(scheme, "http" | "https") || url.len() > URL_BYTES || url.contains(char::is_control) {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.split('.').any(|label| holds(label, names)) {
        return None;
    }
    let mut out = format!("{scheme}://{host}");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if !holds(part, names) && !holds(&decoded(part), names) {
            out.push('/');
            out.push_str(part);
        }
    }
    // Masking speaks of texts; an address that holds a person's number is of no use either way.
    Some(out).filter(|out| !out.contains('@') && !decoded(out).contains('@'))
}

fn holds(part: &str, names: &[&str]) -> bool {
    names.iter().any(|name| part.eq_ignore_ascii_case(name) || name.len() >= SHORT_NAME && part.contains(name))
}

/// Percent-decoded, lossily.
fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The first bytes of a refused record, for people who mend the collector: lossily decoded, masked, without the
/// values of fields that may name an author.
pub(super) fn head(line: &[u8], names: &[String]) -> String {
    // Twice the bytes kept, so that a number across the edge is seen whole; what is cut through is dropped.
    let cut = line.len() > DEAD_LETTER_HEAD_BYTES * 2;
    let text = String::from_utf8_lossy(&line[..line.len().min(DEAD_LETTER_HEAD_BYTES * 2)]).replace('\0', " ");
    let text =
        if cut { text.trim_end_matches(|c: char| !c.is_ascii_punctuation() || c == '@' || c == '.') } else { &text };
    let mut out = without_private(text);
    for name in names.iter().filter(|name| name.len() >= SHORT_NAME) {
        out = out.replace(name.as_str(), "[…]");
    }
    let mut out = mask(&out);
    let mut end = out.len().min(DEAD_LETTER_HEAD_BYTES);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out
}

/// Blanks the values of private fields; of one that is not closed, all the rest.
fn without_private(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        let (before, from) = rest.split_at(quote + 1);
        out.push_str(before);
        let Some(length) = closing_quote(from) else {
            // A string that is cut; the value of a private field never comes here.
            out.push_str(from);
            return out;
        };
        let (key, after) = from.split_at(length);
        out.push_str(key);
        out.push('"');
        rest = &after[1..];
        let value = rest.trim_start();
        let private =
            key.contains("\\u") || PRIVATE_FIELDS.iter().any(|field| key.to_ascii_lowercase().starts_with(field));
        if let (true, Some(value)) = (private, value.strip_prefix(':')) {
            out.push_str(":\"[…]\"");
            rest = after_value(value.trim_start());
        }
    }
    out.push_str(rest);
    out
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// What follows the JSON value at the beginning of the text.
fn after_value(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return &text[at + 1..];
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return &text[at + 1..];
                }
            }
            b',' | b'}' | b']' if depth == 0 => return &text[at..],
            _ => {}
        }
    }
    ""
}

/// The JSON text with every escaped half of a surrogate pair replaced; `None` where there is none.
pub(super) fn without_lone_surrogates(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        if bytes.get(at) != Some(&b'\\') || bytes.get(at + 1) != Some(&b'u') {
            return None;
        }
        u16::from_str_radix(text.get(at + 2..at + 6)?, 16).ok()
    };
    let (mut out, mut at, mut done, mut found) = (String::new(), 0, 0, false);
    while at < bytes.len() {
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                out.push_str(&text[done..at]);
                out.push_str("\\ufffd");
                at += 6;
                done = at;
                found = true;
            }
            _ => at += if bytes[at] == b'\\' { 2 } else { 1 },
        }
    }
    out.push_str(&text[done..]);
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_only_what_names_the_post() {
        let names = ["1234567890", "小明同学"];
        for (given, kept) in [
            ("https://weibo.com/1234567890/Nabc?from=1234567890#c", Some("https://weibo.com/Nabc")),
            ("https://me:secret@example.com/p/1", Some("https://example.com/p/1")),
            ("https://example.com/%E5%B0%8F%E6%98%8E%E5%90%8C%E5%AD%A6/7", Some("https://example.com/7")),
            ("https://1234567890.example.com/7", None),
            ("javascript:alert(1)", None),
            ("ftp://example.com/a", None),
        ] {
            assert_eq!(url(given, &names).as_deref(), kept, "{given}");
        }
    }

    #[test]
    fn a_head_has_no_author_and_no_number() {
        let line = r#"{"author":{"id":"u-7788","name":"某\"人"},"text":"打13812345678","user_id": 99887, "x":1"#;
        let head = head(line.as_bytes(), &[]);
        assert_eq!(head, r#"{"author":"[…]","text":"打[手机号]","user_id":"[…]", "x":1"#);
    }

    #[test]
    fn lone_surrogates_alone_are_replaced() {
        assert_eq!(without_lone_surrogates(r"a\ud83d\ude00b"), None);
        assert_eq!(without_lone_surrogates(r"a\ud83db\udE00").as_deref(), Some(r"a\ufffdb\ufffd"));
        assert_eq!(without_lone_surrogates(r"a\\ud83d"), None, "an escaped backslash begins no escape");
    }
}
