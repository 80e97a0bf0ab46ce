//! What comes back from a receiver, reduced to what a channel needs to judge it. In: a request. Out: status, the wait it
//! asks for and the first bytes of the body, or the verdict that needs no answer.

use crate::duty::Verdict;
use reqwest::{RequestBuilder, StatusCode, header};

/// Bytes of an answer that are read: the answers of all known receivers have under one thousand.
pub const ANSWER_BYTES: usize = 64 << 10;
/// The longest wait that a receiver may ask for, in seconds: more than an hour would hold up a page.
const LONGEST_WAIT_S: i64 = 3_600;
/// Characters of an answer that are told in a verdict.
const TOLD_CHARS: usize = 120;

/// An answer as far as it was read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Milliseconds, from `retry-after`.
    pub(super) wait_ms: Option<i64>,
    /// `None` where it broke off or was longer than [`ANSWER_BYTES`].
    pub(super) body: Option<Vec<u8>>,
}

/// Sends, and reads the answer's body where `read` says so of its status.
pub(super) async fn ask(request: RequestBuilder, read: fn(StatusCode) -> bool) -> Result<Answer, Verdict> {
    let mut response = request.send().await.map_err(|error| unanswered(&error))?;
    let status = response.status();
    let wait_ms = response.headers().get(header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?));
    let mut body = Some(Vec::new());
    while read(status) {
        match response.chunk().await {
            Ok(Some(chunk)) => match &mut body {
                Some(bytes) if bytes.len() + chunk.len() <= ANSWER_BYTES => bytes.extend_from_slice(&chunk),
                _ => {
                    body = None;
                    break;
                }
            },
            Ok(None) => break,
            Err(_) => {
                body = None;
                break;
            }
        }
    }
    Ok(Answer { status, wait_ms, body })
}

/// Seconds only: the other form of `retry-after` needs a clock and no known receiver uses it.
fn wait(text: &str) -> Option<i64> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(i64::try_from(seconds).unwrap_or(LONGEST_WAIT_S).min(LONGEST_WAIT_S) * 1_000)
}

/// What never connected was not sent; anything later may have arrived.
fn unanswered(error: &reqwest::Error) -> Verdict {
    if error.is_builder() {
        Verdict::Misconfigured { detail: "the request could not be built".into() }
    } else if error.is_connect() {
        Verdict::Retry { after_ms: None, detail: "could not connect".into() }
    } else if error.is_timeout() {
        Verdict::Unknown { detail: "no answer in time".into() }
    } else {
        Verdict::Unknown { detail: "the connection broke before the answer".into() }
    }
}

/// `HTTP 503`, and the beginning of what it said on one line.
pub(super) fn told(answer: &Answer) -> String {
    let mut told = format!("HTTP {}", answer.status.as_u16());
    if let Some(body) = answer.body.as_deref().filter(|body| !body.is_empty()) {
        let text = String::from_utf8_lossy(body);
        let clean: String =
            text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(TOLD_CHARS).collect();
        told.push_str(": ");
        told.push_str(clean.trim());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_seconds_and_bounded() {
        let cases = [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("999999999999999999", Some(3_600_000)),
            ("-5", None),
            ("1.5", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("99999999999999999999999", None),
        ];
        for (text, want) in cases {
            assert_eq!(wait(text), want, "{text}");
        }
    }
}
