//! The intake log: the truth for mentions that came over HTTP or from files. In: batches of records. Out: their
//! offsets, once they are on the disk. Segments `<base offset, 20 digits>.log` hold frames one after the other; what a
//! crash tore off the end is cut at open and told, anything else that is broken is an error.

use super::reader::LogSource;
use super::{Body, frame};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes after which a new segment begins: small enough to read through at a seek, large enough for few files.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// What the log fails at; the process stops and recovers at start.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum LogError {
    /// The disk failed.
    #[error("intake log: {doing} {path}: {detail}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: String,
        /// What happened.
        detail: String,
    },
    /// A record that was durable is not what was written.
    #[error("intake log: {path} is broken at byte {byte}: {detail}")]
    Broken {
        /// Segment.
        path: String,
        /// Where.
        byte: u64,
        /// What is wrong.
        detail: String,
    },
    /// An earlier append failed: nobody knows what the disk holds.
    #[error("intake log: stopped after a failed append")]
    Stopped,
}

/// What was cut off the end at open: a write that a crash interrupted and nobody was told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Segment.
    pub path: PathBuf,
    /// Bytes cut.
    pub bytes: u64,
}

/// How far the log is durable, for all who wait for more.
#[derive(Debug, Default)]
pub(super) struct Durable {
    end: Mutex<u64>,
    grown: Condvar,
}

impl Durable {
    fn lock(&self) -> MutexGuard<'_, u64> {
        // A number is never half written, so a panic elsewhere leaves it whole.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The offset of the next record.
    pub(super) fn end(&self) -> u64 {
        *self.lock()
    }
    /// Waits until the end is past `offset`, at most so long.
    pub(super) fn wait_past(&self, offset: u64, most: Duration) -> u64 {
        let end = self.lock();
        let waited = self.grown.wait_timeout_while(end, most, |end| *end <= offset);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
    fn set(&self, to: u64) {
        *self.lock() = to;
        self.grown.notify_all();
    }
}

/// The log, owned by its one writer.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    size: u64,
    segment_bytes: u64,
    durable: Arc<Durable>,
    stopped: bool,
}

pub(super) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    let path = path.display().to_string();
    move |fault| LogError::Disk { doing, path, detail: fault.to_string() }
}

fn segment(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// The segments of a folder with their first offsets, in order.
pub(super) fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(disk("listing", dir))? {
        let path = entry.map_err(disk("listing", dir))?.path();
        let base = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".log"));
        if let Some(base) = base.filter(|base| base.len() == 20).and_then(|base| base.parse().ok()) {
            all.push((base, path));
        }
    }
    all.sort();
    Ok(all)
}

/// The offsets of the first and of the next record of the log in a folder, read beside its writer; `None` where there
/// is no log.
pub fn extent(dir: &Path) -> Result<Option<(u64, u64)>, LogError> {
    if !dir.exists() {
        return Ok(None);
    }
    let all = segments(dir)?;
    let (Some((first, _)), Some((base, path))) = (all.first(), all.last()) else { return Ok(None) };
    let (end, _) = scan(path, *base, true, &mut |_, _| {}, &mut None)?;
    Ok(Some((*first, end)))
}

/// Begins an empty log at an offset, in a folder without one: for a store that was restored where the log was lost.
pub fn begin(dir: &Path, offset: u64) -> Result<(), LogError> {
    std::fs::create_dir_all(dir).map_err(disk("making", dir))?;
    let path = segment(dir, offset);
    File::create_new(&path).and_then(|file| file.sync_all()).map_err(disk("making", &path))?;
    sync_folder(dir)
}

fn sync_folder(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(disk("syncing", dir))
}

impl Log {
    /// Opens the log in a folder, which is made where there is none. Every record is read once and given to `seen`,
    /// which also checks every frame.
    pub fn open(dir: &Path, seen: &mut dyn FnMut(u64, Body)) -> Result<(Log, Option<Torn>), LogError> {
        Log::open_with(dir, SEGMENT_BYTES, seen)
    }

    fn open_with(
        dir: &Path,
        segment_bytes: u64,
        seen: &mut dyn FnMut(u64, Body),
    ) -> Result<(Log, Option<Torn>), LogError> {
        std::fs::create_dir_all(dir).map_err(disk("making", dir))?;
        if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
            sync_folder(above)?;
        }
        let mut all = segments(dir)?;
        if all.is_empty() {
            all.push((0, segment(dir, 0)));
        }
        let mut next = all[0].0;
        let mut torn = None;
        let last = all.len() - 1;
        let mut size = 0;
        for (at, (base, path)) in all.iter().enumerate() {
            if *base != next {
                let detail = format!("its name says offset {base}, the segment before ends at {next}");
                return Err(LogError::Broken { path: path.display().to_string(), byte: 0, detail });
            }
            (next, size) = scan(path, next, at == last, seen, &mut torn)?;
        }
        let path = all[last].1.clone();
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(disk("opening", &path))?;
        if let Some(torn) = &torn {
            file.set_len(size).map_err(disk("cutting", &torn.path))?;
        }
        file.sync_all().map_err(disk("syncing", &path))?;
        sync_folder(dir)?;
        let durable = Arc::new(Durable::default());
        durable.set(next);
        Ok((Log { dir: dir.to_owned(), file, path, size, segment_bytes, durable, stopped: false }, torn))
    }

    /// Appends the records, all of them on the disk when this returns; gives the offset of the first.
    pub fn append(&mut self, bodies: &[Body]) -> Result<u64, LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        let first = self.end();
        if bodies.is_empty() {
            return Ok(first);
        }
        // Until the sync has told, nobody knows what is on the disk: a failure on the way stops the log for good.
        self.stopped = true;
        if self.size >= self.segment_bytes {
            self.roll(first)?;
        }
        let mut bytes = Vec::new();
        for body in bodies {
            frame::write(&mut bytes, body).map_err(|detail| LogError::Disk {
                doing: "writing a record to",
                path: self.path.display().to_string(),
                detail,
            })?;
        }
        self.file.write_all(&bytes).map_err(disk("appending to", &self.path))?;
        self.file.sync_data().map_err(disk("syncing", &self.path))?;
        self.size += bytes.len() as u64;
        self.stopped = false;
        self.durable.set(first + bodies.len() as u64);
        Ok(first)
    }

    fn roll(&mut self, base: u64) -> Result<(), LogError> {
        let path = segment(&self.dir, base);
        self.file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(disk("making", &path))?;
        sync_folder(&self.dir)?;
        self.path = path;
        self.size = 0;
        Ok(())
    }

    /// The offset of the next record.
    pub fn end(&self) -> u64 {
        self.durable.end()
    }

    /// A reader with its own file handles, at the first record that is there; several may read.
    pub fn source(&self) -> Result<LogSource, LogError> {
        LogSource::open(self.dir.clone(), self.durable.clone())
    }

    /// Removes the segments that hold only records before `offset`; never the last. Gives how many went.
    pub fn drop_before(&mut self, offset: u64) -> Result<usize, LogError> {
        let all = segments(&self.dir)?;
        let mut gone = 0;
        for pair in all.windows(2).take_while(|pair| pair[1].0 <= offset) {
            std::fs::remove_file(&pair[0].1).map_err(disk("removing", &pair[0].1))?;
            gone += 1;
        }
        if gone > 0 {
            sync_folder(&self.dir)?;
        }
        Ok(gone)
    }
}

/// Reads one segment through; gives the next offset and the length that holds.
fn scan(
    path: &Path,
    base: u64,
    last: bool,
    seen: &mut dyn FnMut(u64, Body),
    torn: &mut Option<Torn>,
) -> Result<(u64, u64), LogError> {
    let file = match File::open(path) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok((base, 0)),
        file => file.map_err(disk("opening", path))?,
    };
    let length = file.metadata().map_err(disk("opening", path))?.len();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let (mut next, mut byte) = (base, 0u64);
    let mut content = Vec::new();
    let broken = |byte, detail: String| LogError::Broken { path: path.display().to_string(), byte, detail };
    loop {
        match frame::read(&mut reader, &mut content).map_err(disk("reading", path))? {
            frame::Found::End => return Ok((next, byte)),
            frame::Found::Whole => {
                seen(next, frame::record(&content).map_err(|detail| broken(byte, detail))?);
                next += 1;
                byte += (frame::HEADER + 1 + content.len()) as u64;
            }
            frame::Found::Broken(detail) => {
                // Bytes 1 and on: the broken frame itself is no whole one.
                let rest = std::fs::read(path).map_err(disk("reading", path))?;
                if !last || frame::any(&rest[byte as usize + 1..]) {
                    return Err(broken(byte, detail.into()));
                }
                *torn = Some(Torn { path: path.to_owned(), bytes: length - byte });
                return Ok((next, byte));
            }
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
