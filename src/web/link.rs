//! Signed one-tap links: `/ack/{token}` in a notice lets its officer take the incident without a login.
//!
//! In: what the link stands for and the key. Out: a token, or from a token what it stands for. Pure; that a link is
//! used once is kept by the accounts file.

use crate::time::Instant;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a token: key, incident and officer are short names.
const TOKEN_BYTES: usize = 1_024;

/// What a link stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Notice it was sent in, `N-…`.
    pub notice: String,
    /// Incident, `I-…`.
    pub incident: String,
    /// Officer it was sent to.
    pub officer: String,
    /// From when on it is worth nothing.
    pub expires: Instant,
}

/// Why a link is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkRefused {
    /// Not made by us, or changed.
    #[error("the link is not ours or was changed")]
    Forged,
    /// Too late.
    #[error("the link has expired")]
    Expired,
}

impl Link {
    /// The token for the address.
    pub fn token(&self, key: &[u8; 32]) -> String {
        let body = self.body();
        let mac = signer(key, &body).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(mac))
    }

    /// What a token stands for.
    pub fn open(token: &str, key: &[u8; 32], now: Instant) -> Result<Link, LinkRefused> {
        let link = Link::read(token, key).ok_or(LinkRefused::Forged)?;
        if now >= link.expires { Err(LinkRefused::Expired) } else { Ok(link) }
    }

    fn body(&self) -> Vec<u8> {
        // A unit separator cannot stand in names; lengths would do the same less readably.
        format!("{}\u{1f}{}\u{1f}{}\u{1f}{}", self.notice, self.incident, self.officer, self.expires.millis())
            .into_bytes()
    }

    fn read(token: &str, key: &[u8; 32]) -> Option<Link> {
        if token.len() > TOKEN_BYTES {
            return None;
        }
        let (body, mac) = token.split_once('.')?;
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        signer(key, &body).verify_slice(&mac).ok()?;
        let text = String::from_utf8(body).ok()?;
        let parts: Vec<&str> = text.split('\u{1f}').collect();
        let [notice, incident, officer, expires] = parts[..] else { return None };
        Some(Link {
            notice: notice.to_owned(),
            incident: incident.to_owned(),
            officer: officer.to_owned(),
            expires: Instant::from_millis(expires.parse().ok()?),
        })
    }
}

fn signer(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(b"yuqing ack link v1\0");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn only_an_unchanged_link_in_time_opens() {
        let key = [7; 32];
        let now = Instant::from_millis(1_790_000_000_000);
        let link = Link {
            notice: "N-1".into(),
            incident: "I-1".into(),
            officer: "林川".into(),
            expires: now + Span::minutes(30),
        };
        let token = link.token(&key);
        assert_eq!(Link::open(&token, &key, now), Ok(link.clone()));
        assert_eq!(Link::open(&token, &key, link.expires), Err(LinkRefused::Expired));
        assert_eq!(Link::open(&token, &[8; 32], now), Err(LinkRefused::Forged));
        let other = Link { incident: "I-2".into(), ..link }.token(&key);
        let mixed = format!("{}.{}", other.split('.').next().unwrap(), token.split('.').nth(1).unwrap());
        assert_eq!(Link::open(&mixed, &key, now), Err(LinkRefused::Forged));
        assert_eq!(Link::open("", &key, now), Err(LinkRefused::Forged));
    }
}
