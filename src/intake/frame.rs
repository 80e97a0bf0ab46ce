//! Frames of the intake log: length, checksum, kind and one record as JSON. In: bytes of a segment. Out: records, or
//! what is wrong at which byte.

use super::Body;
use std::io::{ErrorKind, Read};

/// Length and checksum.
pub(super) const HEADER: usize = 8;
/// Version and kind of the content: JSON of [`Body`].
const JSON: u8 = 1;
/// Bytes of the largest frame: a line of the greatest length grows by far less than four times at the door.
const FRAME_BYTES: usize = 4 * crate::limits::LINE_BYTES;

/// What stands at a place of a segment.
pub(super) enum Found {
    /// A whole frame; its content, without its kind, stands in the buffer.
    Whole,
    /// The end, exactly.
    End,
    /// Something that is no whole frame.
    Broken(&'static str),
}

/// Appends the frame of a record.
pub(super) fn write(out: &mut Vec<u8>, body: &Body) -> Result<(), String> {
    let start = out.len();
    out.extend([0; HEADER]);
    out.push(JSON);
    serde_json::to_writer(&mut *out, body).map_err(|fault| fault.to_string())?;
    let content = &out[start + HEADER..];
    if content.len() > FRAME_BYTES {
        return Err(format!("a record has more than {FRAME_BYTES} bytes"));
    }
    let (length, sum) = (content.len() as u32, crc32fast::hash(content));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEADER].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Length and checksum of a header, where they can be true.
pub(super) fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = number(&bytes[..4]) as usize;
    (2..=FRAME_BYTES).contains(&length).then(|| (length, number(&bytes[4..HEADER])))
}

/// Reads the frame at which the reader stands into the buffer.
pub(super) fn read(reader: &mut impl Read, content: &mut Vec<u8>) -> std::io::Result<Found> {
    let mut head = [0u8; HEADER];
    match fill(reader, &mut head)? {
        0 => return Ok(Found::End),
        HEADER => {}
        _ => return Ok(Found::Broken("the header is cut")),
    }
    let Some((length, sum)) = header(&head) else { return Ok(Found::Broken("the length cannot be true")) };
    let mut kind = [0u8];
    content.resize(length - 1, 0);
    if fill(reader, &mut kind)? + fill(reader, content)? < length {
        return Ok(Found::Broken("the frame is cut"));
    }
    let mut check = crc32fast::Hasher::new();
    check.update(&kind);
    check.update(content);
    if check.finalize() != sum {
        return Ok(Found::Broken("the checksum differs"));
    }
    if kind[0] != JSON {
        return Ok(Found::Broken("the frame is of a kind that this version does not know"));
    }
    Ok(Found::Whole)
}

/// The record of a frame's content.
pub(super) fn record(content: &[u8]) -> Result<Body, String> {
    serde_json::from_slice(content).map_err(|fault| fault.to_string())
}

/// Whether a whole frame stands anywhere in the bytes: then what precedes it was not torn off the end.
pub(super) fn any(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at + HEADER + 2 <= bytes.len() {
        let rest = &bytes[at..];
        if rest[HEADER] == JSON
            && rest[HEADER + 1] == b'{'
            && let Some((length, sum)) = header(rest)
            && let Some(content) = rest.get(HEADER..HEADER + length)
            && crc32fast::hash(content) == sum
        {
            return true;
        }
        at += 1;
    }
    false
}

/// Fills the buffer as far as the reader goes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(filled)
}
