//! Free disk space: two limits and a ballast file. In: free bytes of the data folder, every two seconds. Out: whether
//! the doors take mentions, and space for the ledger when there is none left.
//!
//! Below the first limit mentions wait outside (HTTP 503, files stay in the inbox) while alerts, acknowledgements and
//! notices go on. Below the second the ballast is given up, so that the ledger can still be written. Both end by
//! themselves when space returns.

use crate::settings::Disk;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Between two looks: at 500 MB/s, faster than the doors can take in, half the default first limit passes.
const LOOK: Duration = Duration::from_secs(2);
/// Name of the reserve in the data folder.
const BALLAST: &str = "ballast";
/// Bytes written at once when the ballast is made.
const BLOCK: usize = 1 << 20;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Space {
    /// Enough.
    Open,
    /// Mentions wait outside.
    Paused,
    /// The ballast is given up.
    Critical,
}

/// What follows from `spare` free bytes, not counting those that the ballast takes or would take. A state is left only
/// a tenth above its limit, so that it does not flap.
pub fn decide(before: Space, spare: u64, limits: &Disk) -> Space {
    let below = |limit: u64, already: bool| spare < if already { limit + limit / 10 } else { limit };
    if below(limits.stop_below, before == Space::Critical) {
        Space::Critical
    } else if below(limits.pause_below, before >= Space::Paused) {
        Space::Paused
    } else {
        Space::Open
    }
}

/// Free bytes for an ordinary account on the file system of a folder, by the system's own `df`; `None` where that
/// cannot be had.
pub fn free(dir: &Path) -> Option<u64> {
    let said = std::process::Command::new("df").args(["-P", "-k", "--"]).arg(dir).env("LC_ALL", "C").output().ok()?;
    available(&String::from_utf8_lossy(&said.stdout))
}

/// The fourth column of the last line of `df -P -k`, counted from the percentage: names may hold spaces.
fn available(said: &str) -> Option<u64> {
    let columns: Vec<&str> = said.lines().last()?.split_whitespace().collect();
    let percent = columns.iter().position(|column| column.ends_with('%') && column.len() > 1)?;
    columns.get(percent.checked_sub(1)?)?.parse::<u64>().ok().map(|blocks| blocks * 1024)
}

/// Watches the disk until the last handle is dropped.
pub struct DiskGuard {
    space: Arc<AtomicU8>,
    _ends_the_watch: SyncSender<()>,
}

impl DiskGuard {
    /// Looks once, gives up the ballast where that is needed, and goes on looking on a thread of its own. Comes before
    /// the store is opened, which needs a little room.
    pub fn start(dir: &Path, limits: Disk) -> std::io::Result<Arc<DiskGuard>> {
        let mut watch = Watch { dir: dir.to_owned(), limits, space: Space::Open, blind: false };
        watch.look(false);
        let space = Arc::new(AtomicU8::new(watch.space as u8));
        let (stop, stopped) = sync_channel(0);
        let shown = space.clone();
        std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            // The ballast is laid after the first wait: a start has enough to read and write.
            while matches!(stopped.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
                watch.look(true);
                shown.store(watch.space as u8, Ordering::SeqCst);
            }
        })?;
        Ok(Arc::new(DiskGuard { space, _ends_the_watch: stop }))
    }

    /// Whether mentions wait outside.
    pub fn paused(&self) -> bool {
        self.space.load(Ordering::SeqCst) != Space::Open as u8
    }
}

struct Watch {
    dir: PathBuf,
    limits: Disk,
    space: Space,
    /// Free space could not be had, and that was said.
    blind: bool,
}

impl Watch {
    fn look(&mut self, make: bool) {
        let Some(free) = free(&self.dir) else {
            if !std::mem::replace(&mut self.blind, true) {
                tracing::warn!("free disk space cannot be read (no `df`): nothing pauses before the disk is full");
            }
            return;
        };
        let ballast = self.dir.join(BALLAST);
        let held = std::fs::metadata(&ballast).is_ok_and(|file| file.len() >= self.limits.ballast);
        let spare = if held { free } else { free.saturating_sub(self.limits.ballast) };
        let before = self.space;
        self.space = decide(before, spare, &self.limits);
        if before != self.space {
            tracing::warn!(free, before = ?before, now = ?self.space, "disk space changed");
        }
        if self.space == Space::Critical {
            match std::fs::remove_file(&ballast) {
                Ok(()) => tracing::error!(free, "the disk is nearly full: the ballast is given up for the ledger"),
                Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
                Err(fault) => tracing::error!(%fault, "the ballast cannot be given up"),
            }
        } else if make && !held && self.limits.ballast > 0 {
            match lay(&self.dir, self.limits.ballast) {
                Ok(()) => tracing::info!(bytes = self.limits.ballast, "ballast laid"),
                Err(fault) => tracing::warn!(%fault, "the ballast cannot be laid"),
            }
        }
    }
}

/// Writes the ballast: random bytes, so that no file system stores them in less.
fn lay(dir: &Path, bytes: u64) -> std::io::Result<()> {
    let part = dir.join("ballast.part");
    let write = || -> std::io::Result<()> {
        let mut block = vec![0; BLOCK];
        getrandom::fill(&mut block).map_err(|fault| std::io::Error::other(fault.to_string()))?;
        let mut file = File::create(&part)?;
        let mut left = bytes;
        while left > 0 {
            let now = left.min(BLOCK as u64);
            file.write_all(&block[..now as usize])?;
            left -= now;
        }
        file.sync_all()?;
        std::fs::rename(&part, dir.join(BALLAST))
    };
    write().inspect_err(|_| {
        // Half a ballast only takes room.
        let _ = std::fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Disk = Disk { pause_below: 1_000, stop_below: 200, ballast: 50 };

    #[test]
    fn limits_hold_and_do_not_flap() {
        use Space::{Critical, Open, Paused};
        let steps = [
            (Open, 1_000, Open),
            (Open, 999, Paused),
            (Paused, 1_099, Paused),
            (Paused, 1_100, Open),
            (Paused, 199, Critical),
            (Open, 0, Critical),
            (Critical, 219, Critical),
            (Critical, 220, Paused),
            (Critical, 1_050, Paused),
            (Critical, u64::MAX, Open),
        ];
        for (before, spare, after) in steps {
            assert_eq!(decide(before, spare, &LIMITS), after, "{before:?} at {spare}");
        }
    }

    #[test]
    fn what_df_says_is_read_from_the_right() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        assert_eq!(available(&format!("{head}/dev/vda 1000 400 600 40% /")), Some(600 * 1024));
        assert_eq!(available(&format!("{head}//host/a share 1000 400 7 99% /mnt/100% mine")), Some(7 * 1024));
        assert_eq!(available(""), None);
        assert!(free(Path::new("/")).is_some());
        assert_eq!(free(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn the_ballast_is_laid_and_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Disk { pause_below: 1, stop_below: 0, ballast: 3 << 20 };
        let mut watch = Watch { dir: dir.path().to_owned(), limits, space: Space::Open, blind: false };
        watch.look(true);
        assert_eq!(std::fs::metadata(dir.path().join(BALLAST)).unwrap().len(), 3 << 20);
        watch.limits.stop_below = u64::MAX / 2;
        watch.look(true);
        assert_eq!(watch.space, Space::Critical);
        assert!(!dir.path().join(BALLAST).exists());
        watch.limits.stop_below = 0;
        watch.look(true);
        assert_eq!(watch.space, Space::Open);
        assert!(dir.path().join(BALLAST).exists());
    }
}
