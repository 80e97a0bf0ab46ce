//! The folders of the index: one a Shanghai day, named `YYYY-MM-DD`; the `position` file beside them. In: the folder of
//! the index; out: days, opened shards, the position read and durably written.

use super::{IndexError, tokenizer};
use crate::ledger::Positions;
use crate::time::Day;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tantivy::Index;

/// Name of the file with the next offset to index of each partition.
const POSITION: &str = "position";

/// Name of the file with the first day that is kept.
const FLOOR: &str = "kept-from";
/// Begins the name of a shard that was moved aside.
pub const BROKEN: &str = "broken-";
/// Begins the name of a shard that is being dropped.
const GONE: &str = "gone-";

/// An error of a file or folder.
pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> IndexError {
    let path = path.display().to_string();
    move |source| IndexError::Io { path, source }
}

/// An error of a shard.
pub fn broken(day: Day) -> impl FnOnce(tantivy::TantivyError) -> IndexError {
    move |source| IndexError::Shard { shard: day.iso(), source: Box::new(source) }
}

/// Folder of a day.
pub fn folder(dir: &Path, day: Day) -> PathBuf {
    dir.join(day.iso())
}

/// The days that have a folder, in order. A folder that is not there yet has none.
pub fn days(dir: &Path) -> Result<Vec<Day>, IndexError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(dir)(error)),
    };
    let mut days = Vec::new();
    for entry in entries {
        let name = entry.map_err(io(dir))?.file_name();
        let Some(name) = name.to_str() else { continue };
        days.extend(Day::parse(name).filter(|day| day.iso() == name));
    }
    days.sort_unstable();
    Ok(days)
}

/// Opens the shard in a folder, with our tokenizer.
pub fn open(folder: &Path) -> tantivy::Result<Index> {
    let index = Index::open_in_dir(folder)?;
    index.tokenizers().register(tokenizer::NAME, tokenizer::Words::default());
    Ok(index)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), IndexError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(io(folder))
}

/// What the position file says; nothing where there is none or it cannot be read (shards skip what they hold already).
pub fn read_positions(dir: &Path) -> Result<Positions, IndexError> {
    let path = dir.join(POSITION);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Positions::default()),
        Err(error) => Err(io(&path)(error)),
    }
}

/// Writes the positions durably.
pub fn write_positions(dir: &Path, next: &Positions) -> Result<(), IndexError> {
    let path = dir.join(POSITION);
    let body = serde_json::to_vec(next).map_err(|error| io(&path)(error.into()))?;
    put(dir, POSITION, &body)
}

/// The first day that is kept, where one was ever set.
pub fn read_floor(dir: &Path) -> Result<Option<Day>, IndexError> {
    let path = dir.join(FLOOR);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Day::parse(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(&path)(error)),
    }
}

/// Writes the first day that is kept.
pub fn write_floor(dir: &Path, first: Day) -> Result<(), IndexError> {
    put(dir, FLOOR, first.iso().as_bytes())
}

/// Puts a small file in place: a new file, synced, renamed, and the folder synced.
fn put(dir: &Path, name: &str, body: &[u8]) -> Result<(), IndexError> {
    let path = dir.join(name);
    let fresh = dir.join(format!("{name}.new"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(io(&path))?;
    sync_folder(dir)
}

/// Drops a shard: out of sight at once, then off the disk. What a crash leaves of it, [`sweep`] takes.
pub fn discard(dir: &Path, day: Day) -> Result<(), IndexError> {
    let (from, to) = (folder(dir, day), dir.join(format!("{GONE}{}", day.iso())));
    if to.exists() {
        fs::remove_dir_all(&to).map_err(io(&to))?;
    }
    fs::rename(&from, &to).map_err(io(&from))?;
    fs::remove_dir_all(&to).map_err(io(&to))
}

/// Removes what is left of dropped shards, and the shards of days before `first` that were moved aside.
pub fn sweep(dir: &Path, first: Day) -> Result<(), IndexError> {
    for entry in fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let aside = name.strip_prefix(BROKEN).and_then(|rest| Day::parse(rest.get(..10)?));
        if name.starts_with(GONE) || aside.is_some_and(|day| day < first) {
            fs::remove_dir_all(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// The positions in a shard's last commit.
pub fn payload(index: &Index) -> tantivy::Result<Positions> {
    let payload = index.load_metas()?.payload;
    Ok(payload.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Position;

    #[test]
    fn the_position_outlives_the_process_and_only_days_are_shards() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(read_positions(dir.path()).expect("reads"), Positions::default());
        let at = |partition, offset| Position { stream: "mentions".to_owned(), partition, offset };
        let positions = Positions::from(vec![at(0, 17), at(5, 3)]);
        write_positions(dir.path(), &positions).expect("writes");
        assert_eq!(read_positions(dir.path()).expect("reads"), positions);
        for name in ["2026-10-02", "2026-10-01", "broken-2026-10-01-0", "2026-1-1"] {
            fs::create_dir(dir.path().join(name)).expect("a folder");
        }
        let found: Vec<String> = days(dir.path()).expect("reads").into_iter().map(Day::iso).collect();
        assert_eq!(found, ["2026-10-01", "2026-10-02"]);
        assert!(days(&dir.path().join("none")).expect("reads").is_empty());
    }
}
