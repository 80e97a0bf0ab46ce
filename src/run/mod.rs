//! The loops and commands: one straight line of wiring in app.rs, the desk, the demo, backtest, replay, bench.

pub mod app;
pub mod assess;
pub mod backtest;
pub mod backup;
pub mod bench;
pub mod beside;
pub mod check;
pub mod day;
pub mod demo;
pub mod desk;
pub mod disk;
pub mod doctor;
pub mod follow;
pub mod health;
pub mod house;
pub mod keep;
pub mod lead;
pub mod ledger;
pub mod manual;
pub mod open;
pub mod readers;
pub mod replay;
pub mod search;
pub mod serve;
pub mod tables;
pub mod user;
pub mod worker;

use crate::mention::Refused;
use crate::settings::{Overrides, Settings};
use anyhow::anyhow;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Settings, or every fault in one error.
pub fn settings(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<Settings> {
    crate::settings::load(files, overrides).map_err(|faults| anyhow!("settings:\n{}", app::join(&faults)))
}

/// Waits for SIGTERM, Ctrl-C or the end of `work`; true where the work ended by itself.
pub async fn until_stopped(work: impl Future<Output = ()>) -> anyhow::Result<bool> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = terminate.recv() => false,
        _ = tokio::signal::ctrl_c() => false,
        () = work => true,
    })
}

/// Prints one JSON object on a line of standard output.
pub fn say<T: serde::Serialize>(line: &T) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) ends the printing, not the work.
    if serde_json::to_writer(&mut out, line).is_ok() {
        let _ = out.write_all(b"\n");
        let _ = out.flush();
    }
}

/// Takes a line with its number.
pub type Visit<'a> = dyn FnMut(u64, Result<&[u8], Refused>) -> anyhow::Result<()> + 'a;

/// Visits each record of a file; one that is too long is a refusal like any other. The first error of `visit` ends it.
pub fn lines(path: &std::path::Path, progress: &mut dyn FnMut(u64), visit: &mut Visit<'_>) -> anyhow::Result<()> {
    let mut failed = None;
    crate::intake::file::records(path, progress, &mut |number, line| {
        let line = line.map_err(|long| crate::mention::read::too_long(&long.head, number).refused);
        match visit(number, line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Bytes of a file; 0 where it has no length.
pub fn size(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// A line for a refused record.
pub fn say_refused(refused: &Refused) {
    let mut line = serde_json::to_value(refused).unwrap_or_default();
    line["type"] = "refused".into();
    say(&line);
}
