//! Files of records, line by line: `.jsonl`, packed or not, or the standard input. In: a path or `-`. Out: every line
//! with its number, and how far the file has been read. The packing is told from the first bytes, not from the name.

use super::body::{HEAD_BYTES, Line, LineTooLong};
use crate::limits::LINE_BYTES;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// Window of a packed file, as a power of two: what `zstd --long` writes without further arguments.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// A file that cannot be read, or not to its end.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{path}: {detail}")]
pub struct FileError {
    /// As given.
    pub path: String,
    /// What happened.
    pub detail: String,
}

/// Counts the bytes that pass, as they stand in the file.
struct Counted<'a, R> {
    inner: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// Gives each line that is not empty with its number from 1 (empty ones count) until `visit` breaks; tells `progress`
/// the bytes of the file read so far after each. Gives the number of lines.
pub fn records(
    path: &Path,
    progress: &mut dyn FnMut(u64),
    visit: &mut dyn FnMut(u64, Line<'_>) -> ControlFlow<()>,
) -> Result<u64, FileError> {
    let fault = |fault: std::io::Error| FileError { path: path.display().to_string(), detail: fault.to_string() };
    let read = Cell::new(0);
    let inner: Box<dyn Read> =
        if path == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(path).map_err(fault)?) };
    let mut reader = BufReader::with_capacity(BUFFER, Counted { inner, read: &read });
    let mut first = [0u8; 4];
    let have = reader.fill_buf().map_err(fault)?;
    let known = have.len().min(4);
    first[..known].copy_from_slice(&have[..known]);
    let mut told = |line: u64, bytes: Line<'_>| {
        let flow = visit(line, bytes);
        progress(read.get());
        flow
    };
    match first {
        [0x1f, 0x8b, ..] => {
            let unpacked = flate2::bufread::MultiGzDecoder::new(reader);
            split(&mut BufReader::with_capacity(BUFFER, unpacked), &mut told)
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut unpacked = zstd::stream::read::Decoder::with_buffer(reader).map_err(fault)?;
            unpacked.window_log_max(ZSTD_WINDOW_LOG).map_err(fault)?;
            split(&mut BufReader::with_capacity(BUFFER, unpacked), &mut told)
        }
        _ => split(&mut reader, &mut told),
    }
    .map_err(fault)
}

/// Splits into lines; of one that is too long only the beginning is held.
fn split(reader: &mut impl BufRead, visit: &mut dyn FnMut(u64, Line<'_>) -> ControlFlow<()>) -> std::io::Result<u64> {
    let mut line: Vec<u8> = Vec::new();
    let (mut number, mut long, mut begun) = (0u64, false, false);
    loop {
        let have = match reader.fill_buf() {
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => continue,
            have => have?,
        };
        let end = have.iter().position(|byte| *byte == b'\n');
        let part = &have[..end.unwrap_or(have.len())];
        let (used, over) = (part.len() + usize::from(end.is_some()), have.is_empty());
        begun |= used > 0;
        if !long {
            line.extend_from_slice(part);
            // One byte more for the `\r` of a line of the greatest length.
            if line.len() > LINE_BYTES + 1 {
                long = true;
                line.truncate(HEAD_BYTES);
                line.shrink_to_fit();
            }
        }
        reader.consume(used);
        if end.is_none() && !over {
            continue;
        }
        if over && !begun {
            return Ok(number);
        }
        number += 1;
        let whole = line.strip_suffix(b"\r").unwrap_or(&line);
        let flow = if long || whole.len() > LINE_BYTES {
            visit(number, Err(LineTooLong { head: line[..line.len().min(HEAD_BYTES)].to_vec() }))
        } else if whole.trim_ascii().is_empty() {
            ControlFlow::Continue(())
        } else {
            visit(number, Ok(whole))
        };
        if over || flow.is_break() {
            return Ok(number);
        }
        line.clear();
        (long, begun) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::body::tests::{Lines, gzip};

    fn seen(bytes: &[u8]) -> Result<(u64, Lines), FileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        std::fs::write(&path, bytes).unwrap();
        let (mut all, mut read) = (Vec::new(), 0);
        let lines = records(&path, &mut |bytes| read = bytes, &mut |at, line| {
            all.push((at, line.ok().map(<[u8]>::to_vec)));
            ControlFlow::Continue(())
        })?;
        if !all.is_empty() {
            assert_eq!(read, bytes.len() as u64);
        }
        Ok((lines, all))
    }

    #[test]
    fn every_packing_gives_the_same_lines() {
        let plain = b"{1}\r\n\n{3}\n{4}";
        let expected =
            Ok((4, vec![(1, Some(b"{1}".to_vec())), (3, Some(b"{3}".to_vec())), (4, Some(b"{4}".to_vec()))]));
        assert_eq!(seen(plain), expected);
        assert_eq!(seen(&gzip(plain)), expected);
        assert_eq!(seen(&zstd::encode_all(&plain[..], 3).unwrap()), expected);
        assert_eq!(seen(b""), Ok((0, vec![])));
        assert_eq!(seen(b"\n\n"), Ok((2, vec![])));
    }

    #[test]
    fn long_lines_are_skipped_and_cut_files_told() {
        let mut plain = vec![b'x'; 10 << 20];
        plain.extend(b"\n{2}\n");
        assert_eq!(seen(&plain), Ok((2, vec![(1, None), (2, Some(b"{2}".to_vec()))])));
        let mut edge = vec![b'x'; LINE_BYTES];
        edge.extend(b"\r\n");
        assert_eq!(seen(&edge).unwrap().1[0].1.as_ref().map(Vec::len), Some(LINE_BYTES));
        edge[LINE_BYTES] = b'x';
        assert_eq!(seen(&edge).unwrap().1, [(1, None)]);
        let whole = gzip("{1}\n".repeat(5_000).as_bytes());
        assert!(seen(&whole[..whole.len() - 9]).is_err());
        let missing = records(Path::new("no-such-file"), &mut |_| {}, &mut |_, _| ControlFlow::Break(()));
        assert!(missing.is_err());
    }

    #[test]
    fn a_visit_can_end_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "1\n2\n3\n").unwrap();
        let mut count = 0;
        let lines = records(&path, &mut |_| {}, &mut |_, _| {
            count += 1;
            if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((lines, count), (Ok(2), 2));
    }
}
