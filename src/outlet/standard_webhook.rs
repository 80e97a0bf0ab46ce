//! Webhooks by the Standard Webhooks specification 1.0. In: a notice. Out: one signed POST with the notice's key as its id,
//! and a verdict from the status: 2xx is a yes, nothing else is. Every attempt has the same body; only the time of the
//! attempt and the signature differ.

use super::answer::{self, Answer};
use crate::duty::Verdict;
use crate::duty::event::Notice;
use crate::notice::render;
use crate::time::Instant;
use base64::Engine;
use reqwest::{Client, Url, header};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

/// Bytes of a secret, by the specification.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// One endpoint and its signer.
pub struct StandardWebhook {
    pub(super) url: Url,
    pub(super) signer: Webhook,
}

/// The signer of a secret in the form `whsec_…`.
pub(super) fn signer(secret: &str) -> Result<Webhook, String> {
    let coded = secret.trim().strip_prefix("whsec_").ok_or("the secret does not begin with whsec_")?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(coded)
        .map_err(|_| "the secret is not base64 after whsec_".to_owned())?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(format!(
            "the secret has {} bytes, not {} to {}",
            bytes.len(),
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        ));
    }
    Webhook::from_bytes(bytes).map_err(|error| error.to_string())
}

impl StandardWebhook {
    /// One attempt.
    pub async fn send(&self, client: &Client, notice: &Notice, now: Instant, base_url: Option<&str>) -> Verdict {
        let body = render::webhook(notice, base_url);
        let at = now.millis().div_euclid(1_000);
        if notice.key.contains('.') || notice.key.is_empty() {
            return Verdict::Refused { detail: "the key cannot be signed".into() };
        }
        let Ok(signature) = self.signer.sign(&notice.key, at, body.as_bytes()) else {
            return Verdict::Refused { detail: "the body could not be signed".into() };
        };
        let request = client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, &notice.key)
            .header(HEADER_WEBHOOK_TIMESTAMP, at)
            .header(HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body);
        match answer::ask(request, |status| !status.is_success()).await {
            Ok(answer) => judge(&answer),
            Err(verdict) => verdict,
        }
    }
}

fn judge(answer: &Answer) -> Verdict {
    let detail = answer::told(answer);
    match answer.status.as_u16() {
        200..=299 => Verdict::Accepted,
        408 | 425 | 429 | 500..=599 => Verdict::Retry { after_ms: answer.wait_ms, detail },
        // Says something of this notice, not of the endpoint.
        400 | 413 | 422 => Verdict::Refused { detail },
        _ => Verdict::Misconfigured { detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::render::tests::notice;
    use crate::outlet::guard;
    use crate::outlet::receiver::{Receiver, kind_of};

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn endpoint(receiver: &Receiver) -> StandardWebhook {
        StandardWebhook { url: receiver.url(), signer: signer(SECRET).expect("a secret") }
    }

    #[test]
    fn the_published_vector_is_signed_alike() {
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let signed = signer(SECRET).expect("a secret").sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signed.expect("a signature"), "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn weak_or_broken_secrets_are_told() {
        for bad in ["", "whsec_", "whsec_AAAA", "whsec_%%%", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"] {
            assert!(signer(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn only_2xx_is_a_yes() {
        let cases: [(u16, &str, &str); 19] = [
            (200, "", "accepted"),
            (202, "", "accepted"),
            (204, "", "accepted"),
            (301, "location: http://127.0.0.1:1/\r\n", "misconfigured"),
            (307, "location: /elsewhere\r\n", "misconfigured"),
            (400, "", "refused"),
            (413, "", "refused"),
            (422, "", "refused"),
            (401, "", "misconfigured"),
            (403, "", "misconfigured"),
            (404, "", "misconfigured"),
            (410, "", "misconfigured"),
            (405, "", "misconfigured"),
            (429, "retry-after: 7\r\n", "retry 7000"),
            (429, "", "retry"),
            (502, "retry-after: 2\r\n", "retry 2000"),
            (504, "", "retry"),
            (500, "retry-after: never\r\n", "retry"),
            (0, "", "unknown"),
        ];
        for (status, headers, want) in cases {
            let receiver = Receiver::start(status, headers, "{\"ok\":false}").await;
            let verdict = endpoint(&receiver).send(&receiver.client().await, &notice(), Instant::default(), None).await;
            assert_eq!(kind_of(&verdict), want, "{status} {headers}");
            receiver.heard().await;
            assert_eq!(receiver.waiting().await, 0, "{status}: one request an attempt");
        }
    }

    #[tokio::test]
    async fn attempts_differ_in_time_and_signature_only() {
        let receiver = Receiver::start(503, "", "").await;
        let endpoint = endpoint(&receiver);
        let client = receiver.client().await;
        let mut requests = Vec::new();
        for now in [1_790_000_000_000, 1_790_000_005_000] {
            endpoint.send(&client, &notice(), Instant::from_millis(now), None).await;
            requests.push(receiver.heard().await);
        }
        let lines = |request: &str, keep: bool| {
            let changing = |line: &&str| line.starts_with("webhook-timestamp") || line.starts_with("webhook-signature");
            request.lines().filter(|line| changing(line) == keep).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&requests[0], false), lines(&requests[1], false));
        assert_ne!(lines(&requests[0], true), lines(&requests[1], true));
        let head = requests[0].split_once("\r\n\r\n").expect("a body");
        assert!(head.0.contains("webhook-id: N-1001-01-1\r\n"), "{}", head.0);
        let want =
            signer(SECRET).expect("a secret").sign("N-1001-01-1", 1_790_000_000, head.1.as_bytes()).expect("signed");
        assert!(head.0.contains(&format!("webhook-signature: {want}")), "{}", head.0);
    }

    #[tokio::test]
    async fn nobody_there_is_tried_again() {
        let receiver = Receiver::start(200, "", "").await;
        let client = receiver.client().await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let url = Url::parse(&format!("http://{closed}/")).expect("a URL");
        let endpoint = StandardWebhook { url, signer: signer(SECRET).expect("a secret") };
        assert_eq!(kind_of(&endpoint.send(&client, &notice(), Instant::default(), None).await), "retry");
    }

    #[tokio::test]
    async fn no_answer_in_time_is_unknown() {
        guard::client(&Url::parse("https://8.8.8.8/").expect("a URL"), &[]).await.expect("installs the cryptography");
        // Takes the connection into its queue and never reads it.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = Url::parse(&format!("http://{}/", silent.local_addr().expect("an address"))).expect("a URL");
        let client =
            Client::builder().no_proxy().timeout(std::time::Duration::from_millis(50)).build().expect("a client");
        let endpoint = StandardWebhook { url, signer: signer(SECRET).expect("a secret") };
        assert_eq!(kind_of(&endpoint.send(&client, &notice(), Instant::default(), None).await), "unknown");
    }
}
