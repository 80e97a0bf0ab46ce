//! The watched folder: files that a collector renames into it are taken and then moved to `done/`. In: a folder. Out:
//! what became of each file. A crash between taking and moving is harmless: what was taken already is a duplicate.

use super::Taken;
use super::body::LineTooLong;
use super::door::Intake;
use super::file::records;
use super::log::LogError;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Lines offered together.
const BATCH_LINES: usize = 1_000;
/// Bytes offered together.
const BATCH_BYTES: usize = 8 << 20;
/// Endings of files that are taken; a collector writes under another name and renames.
const ENDINGS: [&str; 3] = [".jsonl", ".jsonl.zst", ".jsonl.gz"];

/// What became of one file.
#[derive(Clone, PartialEq, Debug)]
pub struct Swept {
    /// Where it lies now: in `done/`, or in `failed/` where it could not be read to its end.
    pub path: PathBuf,
    /// What was taken of it; of refusals the first ones are told.
    pub taken: Taken,
    /// Why it could not be read to its end; what precedes that is taken.
    pub fault: Option<String>,
}

/// What stops a sweep.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum FolderError {
    /// The log failed; the process stops.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The folder cannot be listed, or a file not moved out of it.
    #[error("{path}: {detail}")]
    Folder {
        /// Which.
        path: String,
        /// What happened.
        detail: String,
    },
}

fn folder(path: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = path.display().to_string();
    move |fault| FolderError::Folder { path, detail: fault.to_string() }
}

/// Takes every file that lies in the folder now, in the order of the names; the folder is made where there is none.
pub fn sweep(intake: &Intake, dir: &Path) -> Result<Vec<Swept>, FolderError> {
    std::fs::create_dir_all(dir).map_err(folder(dir))?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(folder(dir))? {
        let path = entry.map_err(folder(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with('.') && ENDINGS.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|path| take(intake, dir, path)).collect()
}

fn take(intake: &Intake, dir: &Path, path: &Path) -> Result<Swept, FolderError> {
    let mut taken = Taken::default();
    let mut batch: Vec<(u64, Result<Vec<u8>, LineTooLong>)> = Vec::new();
    let mut bytes = 0;
    let mut failure = None;
    let read = records(path, &mut |_| {}, &mut |number, line| {
        bytes += line.as_ref().map_or(0, |line| line.len());
        batch.push((number, line.map(<[u8]>::to_vec)));
        if batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
            return ControlFlow::Continue(());
        }
        bytes = 0;
        match offer(intake, &mut batch, &mut taken) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => {
                failure = Some(fault);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(fault) = failure {
        return Err(fault.into());
    }
    offer(intake, &mut batch, &mut taken)?;
    let fault = read.err().map(|fault| fault.detail);
    let path = put_away(path, &dir.join(if fault.is_some() { "failed" } else { "done" }))?;
    Ok(Swept { path, taken, fault })
}

fn offer(
    intake: &Intake,
    batch: &mut Vec<(u64, Result<Vec<u8>, LineTooLong>)>,
    sum: &mut Taken,
) -> Result<(), LogError> {
    if batch.is_empty() {
        return Ok(());
    }
    let taken = intake.offer_lines(batch, intake.clock().now())?;
    batch.clear();
    sum.accepted += taken.accepted;
    sum.duplicates += taken.duplicates;
    sum.refused_total += taken.refused_total;
    let room = crate::limits::REFUSALS_TOLD - sum.refused.len();
    sum.refused.extend(taken.refused.into_iter().take(room));
    Ok(())
}

/// Moves a file under its own name, or the next free one.
fn put_away(path: &Path, to: &Path) -> Result<PathBuf, FolderError> {
    std::fs::create_dir_all(to).map_err(folder(to))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut target = to.join(&name);
    let mut again = 1u32;
    while target.exists() {
        target = to.join(format!("{again}-{name}"));
        again += 1;
    }
    std::fs::rename(path, &target).map_err(folder(path))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::body::tests::gzip;
    use crate::intake::door::tests::{line, open};

    #[test]
    fn files_are_taken_once_and_moved() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("inbox");
        let intake = open(&dir.path().join("log"));
        assert_eq!(sweep(&intake, &inbox), Ok(vec![]));
        let text: String = (0..2_500).map(|at| line(&format!("weibo:{at}"), 0) + "\n").collect();
        std::fs::write(inbox.join("b.jsonl.zst"), zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
        std::fs::write(inbox.join("a.jsonl"), "{}\n\nnot json\n").unwrap();
        std::fs::write(inbox.join("c.jsonl.part"), "{}").unwrap();
        let packed = gzip(text.as_bytes());
        std::fs::write(inbox.join("d.jsonl.gz"), &packed[..packed.len() - 20]).unwrap();
        let swept = sweep(&intake, &inbox).unwrap();
        assert_eq!(swept.len(), 3);
        assert_eq!(swept[0].taken.refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((swept[1].taken.accepted, &swept[1].fault), (2_500, &None));
        assert_eq!(swept[1].path, inbox.join("done/b.jsonl.zst"));
        assert!(
            swept[2].fault.is_some() && swept[2].taken.accepted == 0 && swept[2].path.starts_with(inbox.join("failed"))
        );
        assert!(inbox.join("c.jsonl.part").exists());
        assert_eq!(sweep(&intake, &inbox), Ok(vec![]));
        std::fs::copy(inbox.join("done/b.jsonl.zst"), inbox.join("b.jsonl.zst")).unwrap();
        let again = sweep(&intake, &inbox).unwrap();
        assert_eq!((again[0].taken.accepted, again[0].taken.duplicates), (0, 2_500));
        assert_eq!(again[0].path, inbox.join("done/1-b.jsonl.zst"));
    }
}
