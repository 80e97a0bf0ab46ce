//! Source keys (public-trust rule 3): a keyed hash of an author under the salt of the day, only to count distinct
//! sources. In: the salt, the platform and the author's id. Out: eight bytes that nobody can reproduce once the salt
//! is destroyed.

use super::SourceKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of an author on the day of the salt.
pub fn source_key(salt: &[u8; 32], platform: &str, author_id: &str) -> SourceKey {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes a key of any length");
    mac.update(platform.as_bytes());
    // No platform's name holds a NUL, so two pairs never read as one.
    mac.update(&[0]);
    mac.update(author_id.as_bytes());
    let digest = mac.finalize().into_bytes();
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    SourceKey(u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_day_platform_or_author_is_another_key() {
        let key = source_key(&[1; 32], "weibo", "7");
        assert_eq!(key, source_key(&[1; 32], "weibo", "7"));
        assert_ne!(key, source_key(&[2; 32], "weibo", "7"));
        assert_ne!(key, source_key(&[1; 32], "douyin", "7"));
        assert_ne!(source_key(&[1; 32], "a", "b1"), source_key(&[1; 32], "ab", "1"));
    }
}
