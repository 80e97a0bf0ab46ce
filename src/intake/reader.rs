//! Reading the intake log by offset. In: a folder of segments and how far it is durable. Out: records in order, never
//! one that might still be lost.

use super::log::{Durable, LogError, segments};
use super::{Record, Source, SourceError, frame};
use crate::ledger::{Position, Positions};
use crate::time::Span;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Name of the log among streams.
pub const STREAM: &str = "intake";

/// One reader of the log, with its own place and file handle.
#[derive(Debug)]
pub struct LogSource {
    dir: PathBuf,
    durable: Arc<Durable>,
    next: u64,
    /// Gives no record at or past this.
    hold: Option<u64>,
    open: Option<BufReader<File>>,
    content: Vec<u8>,
}

fn failed(doing: &str, fault: impl std::fmt::Display) -> SourceError {
    SourceError::Failed { doing: format!("intake log: {doing}"), detail: fault.to_string() }
}

impl LogSource {
    pub(super) fn open(dir: PathBuf, durable: Arc<Durable>) -> Result<LogSource, LogError> {
        let next = segments(&dir)?.first().map_or(0, |first| first.0);
        Ok(LogSource { dir, durable, next, hold: None, open: None, content: Vec::new() })
    }

    fn position(&self, offset: u64) -> Position {
        Position { stream: STREAM.into(), partition: 0, offset }
    }

    /// Opens the segment that holds a record, at that record.
    fn find(&self, offset: u64) -> Result<BufReader<File>, SourceError> {
        let all = segments(&self.dir).map_err(|fault| failed("listing", fault))?;
        let Some((base, path)) = all.iter().rev().find(|(base, _)| *base <= offset) else {
            let to = all.first().map_or(self.durable.end(), |first| first.0);
            return Err(SourceError::Gap { stream: STREAM.into(), partition: 0, from: offset, to });
        };
        let file = File::open(path).map_err(|fault| failed("opening", fault))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        for _ in *base..offset {
            let mut head = [0u8; frame::HEADER];
            reader.read_exact(&mut head).map_err(|fault| failed("seeking", fault))?;
            let (length, _) = frame::header(&head).ok_or_else(|| failed("seeking", "a frame is broken"))?;
            reader.seek_relative(length as i64).map_err(|fault| failed("seeking", fault))?;
        }
        Ok(reader)
    }

    /// The next record, which is durable.
    fn one(&mut self) -> Result<Record, SourceError> {
        let mut fresh = self.open.is_none();
        loop {
            let mut reader = match self.open.take() {
                Some(reader) => reader,
                None => self.find(self.next)?,
            };
            match frame::read(&mut reader, &mut self.content).map_err(|fault| failed("reading", fault))? {
                frame::Found::Whole => {
                    let body = frame::record(&self.content).map_err(|fault| failed("reading", fault))?;
                    self.open = Some(reader);
                    self.next += 1;
                    return Ok(Record { position: self.position(self.next - 1), body, reading: None, origin: None });
                }
                // The end of a segment: the next one holds it.
                frame::Found::End if !fresh => fresh = true,
                frame::Found::End => return Err(failed("reading", format!("record {} is not there", self.next))),
                frame::Found::Broken(detail) => {
                    return Err(failed("reading", format!("record {}: {detail}", self.next)));
                }
            }
        }
    }
}

impl Source for LogSource {
    fn partitions(&mut self) -> Result<Positions, SourceError> {
        let first = segments(&self.dir).map_err(|fault| failed("listing", fault))?.first().map_or(0, |first| first.0);
        Ok(Positions::from(vec![self.position(first)]))
    }

    fn hold_at(&mut self, ends: Option<Positions>) {
        self.hold = ends.map(|ends| ends.next(STREAM, 0));
    }

    fn report(&mut self, _done: &Positions) {}

    fn seek(&mut self, to: &Positions) -> Result<(), SourceError> {
        if let Some(other) = to.iter().find(|other| other.stream != STREAM || other.partition != 0) {
            return Err(failed("seeking", format!("{}/{} is another stream", other.stream, other.partition)));
        }
        let Some(to) = to.iter().next() else { return Ok(()) };
        let end = self.durable.end();
        if to.offset > end {
            return Err(failed("seeking", format!("offset {} lies past the end, {end}", to.offset)));
        }
        // A seek that fails leaves the reader where it was.
        self.open = if to.offset < end { Some(self.find(to.offset)?) } else { None };
        self.next = to.offset;
        Ok(())
    }

    fn poll(&mut self, max: usize, wait: Span) -> Result<Vec<Record>, SourceError> {
        let end = self.durable.wait_past(self.next, Duration::from_millis(wait.0.max(0) as u64));
        let end = self.hold.map_or(end, |hold| end.min(hold));
        let count = end.saturating_sub(self.next).min(max as u64);
        let mut records = Vec::with_capacity(count as usize);
        for _ in 0..count {
            records.push(self.one()?);
        }
        Ok(records)
    }

    fn at_end(&self) -> bool {
        self.next >= self.durable.end()
    }
}
