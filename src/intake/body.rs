//! HTTP bodies: decoding within bounds, then lines. In: the bytes as sent with their coding. Out: each line with its
//! number, or one reason for which nothing of the body is taken. The body is decoded whole before the first line is
//! given out, so a cut or over-large one leaves no trace.

use crate::limits::{BODY_BYTES, BODY_DECODED_BYTES, DEAD_LETTER_HEAD_BYTES, LINE_BYTES};
use std::borrow::Cow;
use std::io::Read;

/// Window of a zstd body, as a power of two: the 8 MiB that RFC 9659 allows over HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;
/// First bytes handed on of a line that is too long: what the dead letter needs to mask a number across its edge.
pub(super) const HEAD_BYTES: usize = DEAD_LETTER_HEAD_BYTES * 2 + 1;

/// A line over [`LINE_BYTES`], skipped to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineTooLong {
    /// First bytes.
    pub head: Vec<u8>,
}

/// A line as it is given out.
pub type Line<'a> = Result<&'a [u8], LineTooLong>;

/// Why nothing of a body is taken.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// Over a bound, as sent or decoded.
    #[error("the body has more than {0} bytes {1}")]
    TooLarge(usize, &'static str),
    /// Broken or cut.
    #[error("the body cannot be decoded: {0}")]
    Undecodable(String),
    /// A coding that is neither gzip nor zstd.
    #[error("unknown content coding; send gzip, zstd or none")]
    UnknownCoding,
}

/// Gives each line of a body with its number from 1. A JSON body is one line; of the others, empty lines count and are
/// not given.
pub fn lines(
    json: bool,
    coding: Option<&str>,
    body: &[u8],
    visit: &mut dyn FnMut(u64, Line<'_>),
) -> Result<(), BodyError> {
    let decoded = decode(coding, body)?;
    if json {
        visit(1, bounded(&decoded));
        return Ok(());
    }
    for (at, line) in decoded.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            visit(at as u64 + 1, bounded(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }
    Ok(())
}

fn bounded(line: &[u8]) -> Result<&[u8], LineTooLong> {
    if line.len() <= LINE_BYTES { Ok(line) } else { Err(LineTooLong { head: line[..HEAD_BYTES].to_vec() }) }
}

fn decode<'a>(coding: Option<&str>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, BodyError> {
    if body.len() > BODY_BYTES {
        return Err(BodyError::TooLarge(BODY_BYTES, "as sent"));
    }
    match coding.map(|coding| coding.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => Ok(Cow::Borrowed(body)),
        Some("gzip" | "x-gzip") => unpack(flate2::read::MultiGzDecoder::new(body)),
        Some("zstd") => {
            let fault = |fault: std::io::Error| BodyError::Undecodable(fault.to_string());
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(fault)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(fault)?;
            if body.is_empty() {
                return Err(BodyError::Undecodable("the body is empty".into()));
            }
            unpack(decoder)
        }
        Some(_) => Err(BodyError::UnknownCoding),
    }
}

fn unpack(reader: impl Read) -> Result<Cow<'static, [u8]>, BodyError> {
    let mut decoded = Vec::new();
    match reader.take(BODY_DECODED_BYTES as u64 + 1).read_to_end(&mut decoded) {
        Ok(read) if read > BODY_DECODED_BYTES => Err(BodyError::TooLarge(BODY_DECODED_BYTES, "when decoded")),
        Ok(_) => Ok(Cow::Owned(decoded)),
        Err(fault) => Err(BodyError::Undecodable(fault.to_string())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    pub(in super::super) fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Lines with their numbers; `None` for one that is too long.
    pub(in super::super) type Lines = Vec<(u64, Option<Vec<u8>>)>;

    fn seen(json: bool, coding: Option<&str>, body: &[u8]) -> Result<Lines, BodyError> {
        let mut all = Vec::new();
        lines(json, coding, body, &mut |at, line| all.push((at, line.ok().map(<[u8]>::to_vec))))?;
        Ok(all)
    }

    #[test]
    fn empty_lines_count_and_codings_agree() {
        let plain = b"{1}\r\n\n {2}\n";
        let expected = vec![(1, Some(b"{1}".to_vec())), (3, Some(b" {2}".to_vec()))];
        assert_eq!(seen(false, None, plain), Ok(expected.clone()));
        assert_eq!(seen(false, Some("GZIP"), &gzip(plain)), Ok(expected.clone()));
        assert_eq!(seen(false, Some("zstd"), &zstd::encode_all(&plain[..], 3).unwrap()), Ok(expected));
        assert_eq!(seen(true, None, b"{\n}"), Ok(vec![(1, Some(b"{\n}".to_vec()))]));
        assert_eq!(seen(false, Some("br"), plain), Err(BodyError::UnknownCoding));
    }

    #[test]
    fn a_long_line_is_skipped_to_its_end() {
        let mut plain = vec![b'x'; 10 << 20];
        plain.extend(b"\n{2}");
        assert_eq!(seen(false, None, &plain), Ok(vec![(1, None), (2, Some(b"{2}".to_vec()))]));
        let edge = vec![b'x'; LINE_BYTES];
        assert!(matches!(seen(false, None, &edge).unwrap()[..], [(1, Some(_))]));
    }

    #[test]
    fn nothing_is_taken_of_a_bomb_or_a_cut_body() {
        let zeros = vec![b'\n'; BODY_DECODED_BYTES + 1];
        let bomb = zstd::encode_all(&zeros[..], 3).unwrap();
        assert!(bomb.len() < 100_000);
        let mut visits = 0;
        let mut count = |_: u64, _: Result<&[u8], LineTooLong>| visits += 1;
        assert!(matches!(lines(false, Some("zstd"), &bomb, &mut count), Err(BodyError::TooLarge(..))));
        assert!(matches!(lines(false, Some("gzip"), &gzip(&zeros), &mut count), Err(BodyError::TooLarge(..))));
        let raw = vec![b'x'; BODY_BYTES + 1];
        assert!(matches!(lines(false, None, &raw, &mut count), Err(BodyError::TooLarge(..))));
        let whole = gzip("{1}\n{2}\n".repeat(2_000).as_bytes());
        for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
            let result = lines(false, Some("gzip"), &whole[..cut], &mut count);
            assert!(matches!(result, Err(BodyError::Undecodable(_))), "gzip cut at {cut}");
        }
        let whole = zstd::encode_all("{1}\n{2}\n".repeat(2_000).as_bytes(), 3).unwrap();
        for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
            let result = lines(false, Some("zstd"), &whole[..cut], &mut count);
            assert!(matches!(result, Err(BodyError::Undecodable(_))), "zstd cut at {cut}");
        }
        assert_eq!(visits, 0);
    }
}
