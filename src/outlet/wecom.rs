//! WeCom group bot (企业微信 消息推送). In: a notice. Out: one POST of a text message, and the verdict from the `errcode` of
//! the answer's body: its status is 200 for nearly every failure, so HTTP 200 is not a yes.

use super::answer::{self, Answer};
use crate::duty::Verdict;
use crate::duty::event::Notice;
use crate::notice::render;
use crate::time::Instant;
use reqwest::{Client, StatusCode, Url, header};
use serde_json::Value;

/// Messages a minute that one bot takes.
pub const PER_MINUTE: usize = 20;
/// Wait after the receiver said that it was asked too often.
const TOO_OFTEN_MS: i64 = 60_000;

/// One bot. Its address holds its key and is a secret: it is never shown.
pub struct Wecom {
    pub(super) url: Url,
}

/// `errcode` and `errmsg` of an answer; only an object with a whole number says anything.
fn said(body: &[u8]) -> Option<(i64, String)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let errcode = body.as_object()?.get("errcode")?.as_i64()?;
    Some((errcode, body["errmsg"].as_str().unwrap_or_default().to_owned()))
}

impl Wecom {
    /// One attempt.
    pub async fn send(&self, client: &Client, notice: &Notice, _now: Instant, base_url: Option<&str>) -> Verdict {
        let request = client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(render::wecom(notice, base_url));
        match answer::ask(request, |_| true).await {
            Ok(answer) => judge(&answer),
            Err(verdict) => verdict,
        }
    }
}

fn judge(answer: &Answer) -> Verdict {
    let status = answer.status;
    let detail = answer::told(answer);
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Verdict::Retry { after_ms: Some(answer.wait_ms.unwrap_or(TOO_OFTEN_MS)), detail };
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Verdict::Retry { after_ms: answer.wait_ms, detail };
    }
    if !status.is_success() {
        return Verdict::Misconfigured { detail };
    }
    let Some((errcode, errmsg)) = answer.body.as_deref().and_then(said) else {
        return Verdict::Unknown { detail: format!("{detail} (no errcode)") };
    };
    let detail: String = format!("errcode {errcode}: {errmsg}").chars().take(200).collect();
    match errcode {
        0 => Verdict::Accepted,
        45009 | 45033 => Verdict::Retry { after_ms: Some(TOO_OFTEN_MS), detail },
        // "System busy" in the maker's table of codes.
        -1 => Verdict::Retry { after_ms: None, detail },
        40001 | 40014 | 40035 | 42001 | 48002 | 60020 | 93000 | 93004 | 93008 => Verdict::Misconfigured { detail },
        _ => Verdict::Refused { detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::render::tests::notice;
    use crate::outlet::receiver::{Receiver, kind_of};

    #[tokio::test]
    async fn the_verdict_comes_from_the_body() {
        let ok = r#"{"errcode":0,"errmsg":"ok"}"#;
        let cases: [(u16, &str, &str); 18] = [
            (200, ok, "accepted"),
            (200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "retry 60000"),
            (200, r#"{"errcode":-1,"errmsg":"system busy"}"#, "retry"),
            (200, r#"{"errcode":40058,"errmsg":"exceed max length"}"#, "refused"),
            (200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "misconfigured"),
            (200, r#"{"errcode":99999}"#, "refused"),
            (200, r#"{"errcode":"0"}"#, "unknown"),
            (200, r#"{"errmsg":"ok"}"#, "unknown"),
            (200, "", "unknown"),
            (200, "<html>captive portal</html>", "unknown"),
            (200, "[0]", "unknown"),
            (204, "", "unknown"),
            (302, ok, "misconfigured"),
            (401, ok, "misconfigured"),
            (404, ok, "misconfigured"),
            (429, ok, "retry 60000"),
            (500, ok, "retry"),
            (502, "<html>", "retry"),
        ];
        for (status, body, want) in cases {
            let receiver = Receiver::start(status, "", body).await;
            let bot = Wecom { url: receiver.url() };
            let verdict = bot.send(&receiver.client().await, &notice(), Instant::default(), None).await;
            assert_eq!(kind_of(&verdict), want, "{status} {body}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_is_a_text_within_the_limit() {
        let receiver = Receiver::start(200, "", r#"{"errcode":0}"#).await;
        let bot = Wecom { url: receiver.url() };
        let client = receiver.client().await;
        assert_eq!(
            bot.send(&client, &notice(), Instant::default(), Some("https://y.example")).await,
            Verdict::Accepted
        );
        let request = receiver.heard().await;
        assert!(request.starts_with("POST /hook?key=1 HTTP/1.1\r\n"), "{request}");
        let body: serde_json::Value =
            serde_json::from_str(request.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let text = body["text"]["content"].as_str().expect("a text");
        assert!(text.ends_with("I-1001-01 N-1001-01-1") && text.len() <= render::WECOM_TEXT_BYTES);
    }

    #[tokio::test]
    async fn an_endless_answer_is_not_read_to_its_end() {
        let receiver = Receiver::start(200, "", &" ".repeat(answer::ANSWER_BYTES + 10)).await;
        let bot = Wecom { url: receiver.url() };
        let verdict = bot.send(&receiver.client().await, &notice(), Instant::default(), None).await;
        assert_eq!(kind_of(&verdict), "unknown");
    }
}
