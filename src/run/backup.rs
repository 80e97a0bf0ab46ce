//! `yuqing backup` and `yuqing restore`: the ledger, the accounts and the key of links in one folder, copied beside a
//! running process, checked by opening it.
//!
//! The index is left out: it is made from the stream again. The intake log is left out too, because it is the stream: a
//! restored store reads it on from the older positions, decides the same again, and notices keep their keys. Salts of
//! source keys and open sessions are left out because they must not outlive the machine they are on.

use crate::clock::Clock;
use crate::intake::{STREAM, log};
use crate::ledger::invariants::{Facts, Picture};
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Position, Positions, Store};
use crate::run::{say, settings};
use crate::settings::Overrides;
use crate::time::Instant;
use anyhow::{Context, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Digest;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Format of the folder; another one is refused.
const FORMAT: u32 = 1;
const LEDGER: &str = "ledger.sqlite";
const ACCOUNTS: &str = "accounts.sqlite";
const MANIFEST: &str = "manifest.json";
/// What a folder may hold that is restored into: mentions that wait or were taken, and nothing that was decided.
const STREAM_FOLDERS: [&str; 2] = ["intake", "inbox"];

/// What a backup says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the folder.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When.
    pub at: Instant,
    /// Entries of the ledger.
    pub entries: u64,
    /// Hash of the last one.
    pub hash: String,
    /// Where the streams are read on.
    pub positions: Positions,
    /// Where the intake log ended; `None` where there was none.
    pub intake_end: Option<u64>,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

/// `yuqing backup`: exit code 0.
pub fn backup(files: &[PathBuf], overrides: &Overrides, to: &Path, json: bool) -> anyhow::Result<u8> {
    let data = settings(files, overrides)?.data;
    let manifest = write(&data, to, Clock::Real.now())?;
    tell("backup", &manifest, to, json);
    Ok(0)
}

/// `yuqing restore`: exit code 0.
pub fn restore(files: &[PathBuf], overrides: &Overrides, from: &Path, json: bool) -> anyhow::Result<u8> {
    let data = settings(files, overrides)?.data;
    let manifest = read_back(from, &data)?;
    tell("restored", &manifest, &data, json);
    Ok(0)
}

fn tell(kind: &str, manifest: &Manifest, folder: &Path, json: bool) {
    if json {
        let mut line = serde_json::to_value(manifest).unwrap_or_default();
        line["type"] = kind.into();
        line["folder"] = json!(folder.display().to_string());
        say(&line);
    } else {
        println!("{kind}: {} entries, checked, in {}", manifest.entries, folder.display());
    }
}

/// Copies what is kept in `data` to the new folder `to`, which has its name only when it is whole and checked.
pub fn write(data: &Path, to: &Path, now: Instant) -> anyhow::Result<Manifest> {
    ensure!(!taken(to)?, "{} is there already; name a new folder", to.display());
    let part = to.with_added_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove the unfinished {}", part.display()))?;
    }
    fs::DirBuilder::new().mode(0o700).create(&part).with_context(|| format!("cannot make {}", part.display()))?;
    Sqlite::copy(data, &part.join(LEDGER)).with_context(|| format!("no ledger can be read in {}", data.display()))?;
    copy_accounts(&data.join(ACCOUNTS), &part.join(ACCOUNTS))?;
    let store = Sqlite::open_read_only(&part)?;
    let last = store.verify()?;
    let hash = store.entries(last.saturating_sub(1), 1)?.pop().map_or_else(String::new, |entry| entry.hash);
    let positions = store.positions()?;
    drop(store);
    let mut manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: now,
        entries: last,
        hash,
        positions,
        intake_end: log::extent(&data.join("intake"))?.map(|(_, end)| end),
        files: BTreeMap::new(),
    };
    for name in [LEDGER, ACCOUNTS] {
        seal(&part.join(name))?;
        manifest.files.insert(name.to_owned(), sha256(&part.join(name))?);
    }
    fs::write(part.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    seal(&part.join(MANIFEST))?;
    check(&part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, to).with_context(|| format!("cannot name {}", to.display()))?;
    sync_above(to)?;
    Ok(manifest)
}

/// Reads a backup through: files as they were written, pages, chain, invariants.
pub fn check(dir: &Path) -> anyhow::Result<Manifest> {
    let text = fs::read(dir.join(MANIFEST)).with_context(|| format!("{} holds no backup", dir.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text).context("manifest.json cannot be read")?;
    ensure!(manifest.format == FORMAT, "the backup has format {}, this program reads {FORMAT}", manifest.format);
    for name in [LEDGER, ACCOUNTS] {
        let hash = sha256(&dir.join(name))?;
        ensure!(manifest.files.get(name) == Some(&hash), "{name} is not what was written: use another backup");
    }
    let store = Sqlite::open_read_only(dir)?;
    store.check_pages()?;
    let facts = Facts { exported: Some((manifest.entries, manifest.hash.clone())), ..Facts::default() };
    let picture = Picture::read(&store, Some(manifest.entries))?;
    let broken = picture.judge(&facts);
    if let Some(first) = broken.first() {
        bail!("the backup does not hold: {} {} (and {} more)", first.invariant.name(), first.detail, broken.len() - 1);
    }
    let accounts = Connection::open_with_flags(dir.join(ACCOUNTS), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = accounts.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    ensure!(found == "ok", "{ACCOUNTS}: {found}");
    Ok(manifest)
}

/// Puts a checked backup into a folder that holds nothing but the stream.
pub fn read_back(from: &Path, data: &Path) -> anyhow::Result<Manifest> {
    let manifest = check(from)?;
    if let Ok(entries) = fs::read_dir(data) {
        for entry in entries {
            let name = entry?.file_name();
            let stream = name.to_str().is_some_and(|name| STREAM_FOLDERS.contains(&name));
            ensure!(
                stream,
                "{} holds `{}`; stop the process, move everything but `intake` and `inbox` away, and restore again",
                data.display(),
                name.display()
            );
        }
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let (intake, decided) = (data.join("intake"), manifest.positions.next(STREAM, 0));
    match log::extent(&intake)? {
        None if decided > 0 => log::begin(&intake, decided)?,
        Some((_, end)) if end < decided => bail!(
            "the intake log ends at record {end}, the backup decided on {decided}: the log is older than the backup. \
             Move {} away to go on without it",
            intake.display()
        ),
        Some((first, _)) if first > decided => bail!(
            "the intake log begins at record {first}, the backup goes on at {decided}: use a later backup, or move {} \
             away to go on without the records between",
            intake.display()
        ),
        _ => {}
    }
    // The ledger last: a folder without one was not restored.
    for name in [ACCOUNTS, LEDGER] {
        let part = data.join(format!("{name}.part"));
        fs::copy(from.join(name), &part)?;
        seal(&part)?;
        fs::rename(&part, data.join(name))?;
    }
    File::open(data)?.sync_all()?;
    sync_above(data)?;
    Ok(manifest)
}

fn taken(folder: &Path) -> anyhow::Result<bool> {
    Ok(folder.exists() && (!folder.is_dir() || fs::read_dir(folder)?.next().is_some()))
}

fn copy_accounts(from: &Path, to: &Path) -> anyhow::Result<()> {
    let from = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    from.busy_timeout(std::time::Duration::from_secs(5))?;
    let mut copy = Connection::open(to)?;
    let step = rusqlite::backup::Backup::new(&from, &mut copy)?.step(-1)?;
    ensure!(step == rusqlite::backup::StepResult::Done, "the accounts could not be copied: {step:?}");
    copy.pragma_update(None, "journal_mode", "delete")?;
    copy.pragma_update(None, "secure_delete", true)?;
    copy.execute("DELETE FROM sessions", [])?;
    Ok(())
}

/// Durable, and for this account alone.
fn seal(path: &Path) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(File::open(path)?.sync_all()?)
}

fn sync_above(path: &Path) -> anyhow::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(above)?.sync_all()?)
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = sha2::Sha256::new();
    let mut part = vec![0; 1 << 18];
    loop {
        let read = std::io::Read::read(&mut file, &mut part)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&part[..read]);
    }
}

/// The extent of the intake log as the invariants take it.
pub fn extent_of_intake(data: &Path) -> anyhow::Result<Vec<crate::ledger::invariants::Extent>> {
    let at = |offset| Position { stream: STREAM.to_owned(), partition: 0, offset };
    let found = log::extent(&data.join("intake"))?;
    Ok(found.into_iter().map(|(first, end)| crate::ledger::invariants::Extent { first: at(first), end }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Step;

    /// A house that decided on ten records, and its backup.
    fn saved(dir: &Path) -> PathBuf {
        let (data, to) = (dir.join("data"), dir.join("saved"));
        let store = Sqlite::open(&data).unwrap();
        drop(crate::web::accounts::Accounts::open(&data).unwrap());
        let at = |offset| Position { stream: STREAM.to_owned(), partition: 0, offset };
        store.commit(Step { positions: vec![(at(0), at(10))], ..Step::default() }).unwrap();
        write(&data, &to, Instant::default()).unwrap();
        to
    }

    #[test]
    fn a_log_that_does_not_fit_the_backup_is_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path());
        for (begins, expected) in [(9, "older"), (11, "begins at record 11")] {
            let data = dir.path().join(format!("at-{begins}"));
            log::begin(&data.join("intake"), begins).unwrap();
            let error = read_back(&from, &data).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!data.join(LEDGER).exists());
        }
        for (name, log_is_there) in [("with", true), ("without", false)] {
            let data = dir.path().join(name);
            if log_is_there {
                log::begin(&data.join("intake"), 10).unwrap();
            }
            read_back(&from, &data).unwrap();
            assert_eq!(log::extent(&data.join("intake")).unwrap(), Some((10, 10)));
            assert_eq!(Sqlite::open(&data).unwrap().position(STREAM, 0).unwrap(), 10);
        }
    }

    #[test]
    fn a_backup_that_was_changed_or_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path());
        check(&from).unwrap();
        let mut accounts = fs::OpenOptions::new().append(true).open(from.join(ACCOUNTS)).unwrap();
        std::io::Write::write_all(&mut accounts, b"one byte more").unwrap();
        assert!(check(&from).unwrap_err().to_string().contains(ACCOUNTS));
        fs::remove_file(from.join(ACCOUNTS)).unwrap();
        fs::remove_file(from.join(MANIFEST)).unwrap();
        assert!(read_back(&from, &dir.path().join("new")).is_err());
    }
}
