//! Moving an installation from one store to another: every entry with its number and hash, verified on the way and again
//! where it arrived, and all that stands beside them. In: a source that nobody writes to, an empty target. Out: what moved.

use super::chain::{PAGE, Walk};
use super::{Checkpoint, DeadLetter, Evidence, Positions, Store, StoreError, Stored};
use crate::mention::RefusalCode;
use crate::time::Day;

/// Something asked through the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Its number.
    pub number: u64,
    /// What was asked.
    pub body: String,
    /// The answer, where it was given and not yet taken.
    pub answer: Option<String>,
}

/// The salt of a day, `None` where it was destroyed.
pub type DaySalt = (Day, Option<[u8; 32]>);

/// A store that can be read whole. Pages are asked for by the number of the last row had.
pub trait Source: Store {
    /// Entries as their rows have them.
    fn rows(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;
    /// Dead letters, oldest first, each with a number that grows.
    fn letters(&self, after: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, StoreError>;
    /// Evidence of all incidents, oldest first, each with a number that grows.
    fn pieces(&self, after: u64, limit: usize) -> Result<Vec<(u64, Evidence)>, StoreError>;
    /// Salts by day; `None` where it was destroyed.
    fn salts(&self) -> Result<Vec<DaySalt>, StoreError>;
    /// Everything asked and not done with.
    fn questions(&self) -> Result<Vec<Asked>, StoreError>;
}

/// A part of a store on its way.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Entries, in order.
    Entries(Vec<Stored>),
    /// Dead letters, oldest first; they do not count by themselves.
    Letters(Vec<DeadLetter>),
    /// How many dead letters there ever were.
    Counts(Vec<(RefusalCode, u64)>),
    /// Evidence, oldest first.
    Evidence(Vec<Evidence>),
    /// Salts and the days whose salt is gone.
    Salts(Vec<DaySalt>),
    /// Questions.
    Asked(Vec<Asked>),
    /// Where every partition stands.
    Positions(Positions),
    /// The state of the topics.
    Checkpoint(Checkpoint),
}

/// A store that can be filled.
pub trait Target: Source {
    /// Makes ready to be filled: refuses a store in use, clears one whose filling was broken off. Until
    /// [`Target::finish`] nothing else opens it.
    fn begin(&self) -> Result<(), StoreError>;
    /// Puts a part in, in one transaction.
    fn put(&self, batch: Batch) -> Result<(), StoreError>;
    /// Opens it for use.
    fn finish(&self) -> Result<(), StoreError>;
}

/// What was moved so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Moved {
    /// Ledger entries.
    pub entries: u64,
    /// Dead letters kept whole.
    pub dead_letters: u64,
    /// Pieces of evidence.
    pub evidence: u64,
    /// Days with a salt or with one destroyed.
    pub salts: u64,
    /// Questions and answers under way.
    pub asked: u64,
    /// Partitions with a position.
    pub positions: u64,
}

/// Copies a store into an empty one; `progress` hears after every page. A copy broken off is begun again from nothing, and
/// the target is not usable before it is whole and its chain has been verified there.
pub fn copy(from: &dyn Source, to: &dyn Target, progress: &mut dyn FnMut(&Moved)) -> Result<Moved, StoreError> {
    to.begin()?;
    let mut moved = Moved::default();
    let mut walk = Walk::default();
    loop {
        let rows = from.rows(walk.seq, PAGE)?;
        if rows.is_empty() {
            break;
        }
        rows.iter().try_for_each(|row| walk.pass(row))?;
        moved.entries = walk.seq;
        to.put(Batch::Entries(rows))?;
        progress(&moved);
    }
    letters(from, to, &mut moved, progress)?;
    to.put(Batch::Counts(from.dead_letter_counts()?))?;
    evidence(from, to, &mut moved, progress)?;
    let (salts, asked, positions) = (from.salts()?, from.questions()?, from.positions()?);
    (moved.salts, moved.asked) = (salts.len() as u64, asked.len() as u64);
    moved.positions = positions.iter().count() as u64;
    to.put(Batch::Salts(salts))?;
    to.put(Batch::Asked(asked))?;
    if let Some(checkpoint) = from.checkpoint()? {
        to.put(Batch::Checkpoint(checkpoint))?;
    }
    to.put(Batch::Positions(positions))?;
    let arrived = to.verify()?;
    if arrived != moved.entries {
        return Err(StoreError::Broken { seq: arrived + 1, detail: "it did not arrive".to_owned() });
    }
    to.finish()?;
    progress(&moved);
    Ok(moved)
}

fn letters(
    from: &dyn Source,
    to: &dyn Target,
    moved: &mut Moved,
    progress: &mut dyn FnMut(&Moved),
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let page = from.letters(after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        moved.dead_letters += page.len() as u64;
        to.put(Batch::Letters(page.into_iter().map(|(_, letter)| letter).collect()))?;
        progress(moved);
    }
}

fn evidence(
    from: &dyn Source,
    to: &dyn Target,
    moved: &mut Moved,
    progress: &mut dyn FnMut(&Moved),
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let page = from.pieces(after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        moved.evidence += page.len() as u64;
        to.put(Batch::Evidence(page.into_iter().map(|(_, piece)| piece).collect()))?;
        progress(moved);
    }
}
