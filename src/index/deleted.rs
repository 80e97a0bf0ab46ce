//! Mentions that were deleted, for good: kept beside the shards, so that a deletion holds when a shard is lost and the
//! stream is read again, when the mention comes after its deletion, and when somebody collects it once more.
//!
//! In: ids; out: whether an id was deleted. Only hashes of ids are kept; the file is appended to and synced before the
//! shards and the position are, so a deletion the position has passed is never forgotten.

use super::{IndexError, shards};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Name of the file: a hash a line.
const FILE: &str = "deleted";
/// Bytes of a line: 32 hexadecimal digits and its end.
const LINE: usize = 33;

/// See the module.
pub struct Deleted {
    dir: PathBuf,
    known: BTreeSet<u128>,
    fresh: Vec<u128>,
    /// Bytes of the file that are whole lines; what a crash tore off after them is written over.
    whole: u64,
}

impl Deleted {
    /// Reads what was deleted in the index in `dir`.
    pub fn open(dir: &Path) -> Result<Deleted, IndexError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(shards::io(&path)(error)),
        };
        let read = |line: &[u8]| {
            let digits = line.strip_suffix(b"\n").and_then(|digits| std::str::from_utf8(digits).ok())?;
            u128::from_str_radix(digits, 16).ok()
        };
        let known: Vec<u128> = bytes.chunks(LINE).map_while(read).collect();
        let whole = (known.len() * LINE) as u64;
        if whole < bytes.len() as u64 {
            tracing::warn!(bytes = bytes.len() as u64 - whole, "the end of the list of deletions was torn");
        }
        Ok(Deleted { dir: dir.to_owned(), known: known.into_iter().collect(), fresh: Vec::new(), whole })
    }

    /// Whether an id was deleted.
    pub fn holds(&self, id: &str) -> bool {
        self.known.contains(&key(id))
    }

    /// Notes a deletion; durable after the next [`Deleted::sync`].
    pub fn insert(&mut self, id: &str) {
        let key = key(id);
        if self.known.insert(key) {
            self.fresh.push(key);
        }
    }

    /// Makes what was noted durable.
    pub fn sync(&mut self) -> Result<(), IndexError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(FILE);
        let lines: String = self.fresh.iter().map(|key| format!("{key:032x}\n")).collect();
        let write = || -> std::io::Result<()> {
            let mut file = File::options().create(true).write(true).truncate(false).open(&path)?;
            file.set_len(self.whole)?;
            file.seek(SeekFrom::Start(self.whole))?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        };
        write().map_err(shards::io(&path))?;
        if self.whole == 0 {
            shards::sync_folder(&self.dir)?;
        }
        self.whole += lines.len() as u64;
        self.fresh.clear();
        Ok(())
    }
}

fn key(id: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_outlive_the_process_and_a_torn_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut deleted = Deleted::open(dir.path()).expect("opens");
        assert!(!deleted.holds("weibo:1"));
        deleted.insert("weibo:1");
        deleted.insert("weibo:2");
        assert!(deleted.holds("weibo:1"), "at once");
        assert!(!Deleted::open(dir.path()).expect("opens").holds("weibo:1"), "not durable yet");
        deleted.sync().expect("writes");
        let path = dir.path().join(FILE);
        let mut torn = fs::read(&path).expect("reads");
        assert!(!torn.windows(5).any(|part| part == b"weibo"), "no id stands in it");
        torn.extend_from_slice(b"0123");
        fs::write(&path, torn).expect("writes");
        let mut deleted = Deleted::open(dir.path()).expect("opens");
        deleted.insert("weibo:3");
        deleted.insert("weibo:1");
        deleted.sync().expect("writes");
        let deleted = Deleted::open(dir.path()).expect("opens");
        for id in ["weibo:1", "weibo:2", "weibo:3"] {
            assert!(deleted.holds(id), "{id}");
        }
        assert!(!deleted.holds("weibo:4"));
        assert_eq!(fs::metadata(&path).expect("is there").len(), 3 * LINE as u64);
    }
}
