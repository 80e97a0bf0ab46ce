//! What is destroyed on time: segments of the intake log that everything has passed, and evidence of incidents that ended.
//! Once a day; each destruction is a log line with its counts. Expired days of the index go by the desk, which owns it.

use crate::clock::Clock;
use crate::duty::State;
use crate::index::Writer;
use crate::intake::{Intake, STREAM};
use crate::ledger::{Store, StoreError};
use crate::settings::Keep;
use crate::time::{Instant, Span};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Between two rounds.
const ROUND: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// A mark younger than this is enough: starts are no rounds.
const MARK_AGE: Span = Span::hours(20);
/// Name of the file with the marks.
const MARKS: &str = "passed.json";
/// Entries read at once.
const PAGE: usize = 4_096;

/// How far everything had come at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// Records before this were decided, indexed and in the checkpoint.
    pub passed: u64,
}

/// What the rounds need.
pub struct Kept {
    /// The data folder.
    pub data: PathBuf,
    /// How long.
    pub keep: Keep,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
}

/// The offset before which records may go: passed at least `keep` ago.
pub fn droppable(marks: &[Mark], now: Instant, keep: Span) -> u64 {
    marks.iter().filter(|mark| mark.at <= now - keep).map(|mark| mark.passed).max().unwrap_or(0)
}

/// Incidents that are over, and of which nothing was heard for `keep`.
pub fn ended(store: &dyn Store, now: Instant, keep: Span) -> Result<Vec<String>, StoreError> {
    let (mut state, mut last) = (State::default(), BTreeMap::<String, Instant>::new());
    loop {
        let page = store.entries(state.seq(), PAGE)?;
        if page.is_empty() {
            break;
        }
        for entry in &page {
            state.absorb(entry);
            if let Some(incident) = entry.event.incident() {
                last.insert(incident.to_owned(), entry.at);
            }
        }
    }
    let over = |id: &str| state.incident(id).is_some_and(|one| !one.state.is_open());
    Ok(last.into_iter().filter(|(id, at)| *at <= now - keep && over(id)).map(|(id, _)| id).collect())
}

/// How far store, index and checkpoint have all come in the intake log.
fn passed(data: &Path, store: &dyn Store) -> anyhow::Result<u64> {
    let index = Writer::positions_in(&data.join("index"))?.next(STREAM, 0);
    let topics = store.checkpoint()?.map_or(0, |kept| kept.positions.next(STREAM, 0));
    Ok(store.position(STREAM, 0)?.min(index).min(topics))
}

/// One round: marks how far everything is, drops what may go, destroys evidence. Gives segments and pieces that went.
pub fn round(kept: &Kept, intake: &Intake) -> anyhow::Result<(usize, u64)> {
    let (now, path) = (kept.clock.now(), kept.data.join(MARKS));
    let mut marks: Vec<Mark> = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} cannot be read", path.display()))?,
        Err(_) => Vec::new(),
    };
    if marks.last().is_none_or(|mark| mark.at <= now - MARK_AGE) {
        marks.push(Mark { at: now, passed: passed(&kept.data, &*kept.store)? });
    }
    let before = droppable(&marks, now, kept.keep.stream);
    let segments = intake.drop_before(before)?;
    marks.retain(|mark| mark.passed >= before || mark.at > now - kept.keep.stream);
    let part = kept.data.join("passed.json.part");
    std::fs::write(&part, serde_json::to_vec(&marks)?)?;
    std::fs::rename(&part, &path)?;
    let mut pieces = 0;
    for incident in ended(&*kept.store, now, kept.keep.evidence)? {
        let gone = kept.store.destroy_evidence(&incident)?;
        if gone > 0 {
            tracing::info!(incident, pieces = gone, "evidence was destroyed: its time is over");
        }
        pieces += gone;
    }
    if segments > 0 {
        tracing::info!(segments, before, "intake log segments were destroyed: everything has passed them");
    }
    Ok((segments, pieces))
}

/// A round at the start and every day.
pub async fn daily(kept: Kept, intake: Intake, mut stopped: watch::Receiver<bool>) {
    let kept = Arc::new(kept);
    loop {
        let (one, intake) = (kept.clone(), intake.clone());
        match tokio::task::spawn_blocking(move || round(&one, &intake)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "what is over could not be destroyed"),
            Err(_) => return,
        }
        tokio::select! {
            _ = tokio::time::sleep(ROUND) => {}
            _ = stopped.wait_for(|&stop| stop) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: i64) -> Instant {
        Instant::default() + Span::days(days)
    }

    #[test]
    fn only_what_was_passed_long_ago_may_go() {
        let marks = [(1, 100), (5, 500), (8, 800)].map(|(at, passed)| Mark { at: day(at), passed });
        let drop = |now| droppable(&marks, day(now), Span::days(7));
        assert_eq!([drop(7), drop(8), drop(11), drop(12), drop(15)], [0, 100, 100, 500, 800]);
        assert_eq!(droppable(&[], day(100), Span::days(7)), 0);
    }
}
