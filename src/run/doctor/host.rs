//! What the doctor asks of the host: who runs, what the disk is, the clock, the modes of files. Reads only.

use crate::ledger::Advice;
use crate::time::{Instant, Span};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How far a file's time may lie ahead of the clock: two hosts' clocks and a coarse file system.
const AHEAD: Span = Span::minutes(1);
/// File systems that forget at a power cut.
const FORGETFUL: [&str; 2] = ["tmpfs", "ramfs"];
/// File systems over a network, on which SQLite's write-ahead log is unsafe.
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.glusterfs"];

/// Whether a process owns the folder.
pub(super) fn running(data: &Path) -> bool {
    // Where nobody has it, the lock is ours for an instant and goes with the file.
    File::open(data.join("lock")).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether the data folder lies on something that keeps what was synced.
pub(super) fn file_system(data: &Path) -> Advice {
    let place = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let kind = fs::read_to_string("/proc/self/mounts").ok().and_then(|mounts| kind_of(&mounts, &place));
    match kind.as_deref() {
        None => Advice::warning("the kind of file system cannot be read", "make sure that `data` is on a local disk"),
        Some(kind) if FORGETFUL.contains(&kind) => {
            Advice::fault(format!("{} is on {kind}: a power cut loses all", data.display()), "put `data` on a disk")
        }
        Some(kind) if REMOTE.contains(&kind) => {
            let what = format!("{} is on {kind}: two hosts may break the ledger", data.display());
            Advice::fault(what, "put `data` on a local disk, or use PostgreSQL")
        }
        Some(kind) => Advice::ok(format!("{} is on {kind}", data.display())),
    }
}

/// The type of the mount that a path lies under: the last of the longest.
fn kind_of(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut columns = line.split(' ').skip(1);
        let (Some(at), Some(kind)) = (columns.next(), columns.next()) else { continue };
        let at = at.replace("\\040", " ");
        if path.starts_with(&at) && best.is_none_or(|(length, _)| at.len() >= length) {
            best = Some((at.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Whether the clock is kept by somebody, and whether it went back.
pub(super) fn clock(data: &Path, now: Instant) -> Vec<Advice> {
    let said = std::process::Command::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output();
    let to_do = "run chrony or systemd-timesyncd: every deadline rests on this clock";
    let mut told = vec![match said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).as_deref() {
        Ok("yes") => Advice::ok("the clock is synchronised"),
        Ok("no") => Advice::warning("the clock is not synchronised", to_do),
        _ => Advice::warning("timedatectl does not say whether the clock is synchronised", to_do),
    }];
    let newest = newest(data).filter(|(_, at)| *at > now + AHEAD);
    told.push(match newest {
        None => Advice::ok("no file is younger than the clock"),
        Some((path, at)) => {
            let what = format!("{} was written at {at}, after now ({now}): the clock went back", path.display());
            Advice::fault(what, "set the clock right; deadlines wait until it has passed that time again")
        }
    });
    told
}

/// The file of the house that was written last.
fn newest(data: &Path) -> Option<(PathBuf, Instant)> {
    let mut all = vec![data.join("ledger.sqlite"), data.join("ledger.sqlite-wal"), data.join("index/position")];
    all.extend(fs::read_dir(data.join("intake")).into_iter().flatten().flatten().map(|entry| entry.path()));
    let at = |path: &PathBuf| {
        let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Instant::from_millis(since.as_millis() as i64))
    };
    all.into_iter().filter_map(|path| at(&path).map(|at| (path, at))).max_by_key(|(_, at)| *at)
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|file| file.permissions().mode() & 0o777)
}

/// Whether others can read what is kept.
pub(super) fn modes(data: &Path) -> Vec<Advice> {
    let mut told = Vec::new();
    match mode(data) {
        None => told.push(Advice::fault(
            format!("{} cannot be looked at", data.display()),
            "give the right folder with --data",
        )),
        Some(mode) if mode & 0o077 != 0 => {
            let what = format!("{} has mode {mode:o}: other accounts of this machine can enter", data.display());
            told.push(Advice::fault(what, format!("chmod 700 {}", data.display())));
        }
        Some(_) => told.push(Advice::ok("the data folder is for this account alone")),
    }
    for name in ["ledger.sqlite", "accounts.sqlite"] {
        let path = data.join(name);
        let Some(mode) = mode(&path).filter(|mode| mode & 0o077 != 0) else { continue };
        // The folder is closed already; a copy that keeps the mode is not.
        told.push(Advice::warning(format!("{name} has mode {mode:o}"), format!("chmod 600 {}", path.display())));
    }
    told
}

/// Settings files that hold secrets of channels or passwords and can be read by everybody.
pub(super) fn settings_files(files: &[PathBuf]) -> Vec<Advice> {
    let default = [PathBuf::from("pipelines/local.toml")];
    let files = if files.is_empty() { &default[..] } else { files };
    let secret = |line: &str| {
        let line = line.trim_start();
        ["url", "secret", "password", "sasl_password"]
            .iter()
            .any(|word| line.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('=')))
    };
    let mut told = Vec::new();
    for file in files {
        let holds = fs::read_to_string(file).is_ok_and(|text| text.lines().any(secret));
        if let Some(mode) = mode(file).filter(|mode| holds && mode & 0o007 != 0) {
            let what = format!("{} holds secrets and has mode {mode:o}", file.display());
            told.push(Advice::fault(what, format!("chmod 640 {}, its group the program's", file.display())));
        }
    }
    if told.is_empty() {
        told.push(Advice::ok("no settings file shows secrets to everybody"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nhost:/x /tmp/a\\040b nfs4 rw 0 0\n";
        let kind = |path| kind_of(mounts, Path::new(path)).unwrap();
        assert_eq!(
            [kind("/var/x"), kind("/tmp/x"), kind("/tmp/a b/c"), kind("/tmpx")],
            ["ext4", "tmpfs", "nfs4", "ext4"]
        );
    }

    #[test]
    fn a_clock_that_went_back_shows() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("ledger.sqlite"), "x").unwrap();
        let (_, at) = newest(data.path()).unwrap();
        let worst = |now| clock(data.path(), now).pop().unwrap().severity;
        assert_eq!(worst(at), crate::ledger::Severity::Ok);
        assert_eq!(worst(at - Span::hours(1)), crate::ledger::Severity::Fault);
    }

    #[test]
    fn open_folders_and_shown_secrets_are_faults() {
        let data = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let faults =
            |told: Vec<Advice>| told.iter().filter(|one| one.severity == crate::ledger::Severity::Fault).count();
        let settings = data.path().join("a.toml");
        set(data.path(), 0o700);
        fs::write(&settings, "[[channels]]\nurl = \"https://example.invalid\"\n").unwrap();
        for (mode, expected) in [(0o600, 0), (0o644, 1)] {
            set(&settings, mode);
            assert_eq!(faults(settings_files(std::slice::from_ref(&settings))), expected);
        }
        assert_eq!(faults(modes(data.path())), 0);
        set(data.path(), 0o755);
        assert_eq!(faults(modes(data.path())), 1);
    }
}
