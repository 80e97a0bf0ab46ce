//! Writes mentions into shards by day. In: mentions, those of a partition in the order of their offsets; out: durable shards
//! and the positions to go on from.
//!
//! Each shard's commit carries the positions up to which that shard is complete, and the `position` file follows when all
//! shards are durable: a crash between two commits indexes nothing twice, for a shard skips what it holds. What was
//! deleted or is past its time stays away also when a lost shard is rebuilt from the stream.

use super::deleted::Deleted;
use super::schema::{self, Fields};
use super::shards;
use super::{IndexError, Searcher};
use crate::assess::Reading;
use crate::ledger::{Position, Positions};
use crate::mention::Mention;
use crate::time::{Day, Instant, Span};
use crate::topic::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::schema::Term;
use tantivy::{Index, IndexWriter};

/// Shards open for writing at once: today, yesterday, and two late ones.
const OPEN_SHARDS: usize = 4;
/// Bytes below which the engine refuses an indexing thread.
const THREAD_MIN_BYTES: usize = 16 << 20;
/// Bytes of a shard's share from which a second indexing thread is worth its segment.
const TWO_THREADS_BYTES: usize = 64 << 20;

/// A shard that could not be read and was moved aside; its mentions are to be read from the stream again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// `YYYY-MM-DD`.
    pub shard: String,
    /// Where it was moved to.
    pub moved_to: PathBuf,
    /// What was wrong.
    pub detail: String,
}

/// Writes the index; one a folder.
pub struct Writer {
    dir: PathBuf,
    share: usize,
    position: Positions,
    fields: Fields,
    open: BTreeMap<Day, Shard>,
    /// Looks up what is to be deleted.
    reader: Searcher,
    lost: Vec<Lost>,
    deleted: Deleted,
    /// Days before it are not kept; nothing is expired where there is none.
    kept_from: Option<Day>,
    uses: u64,
}

struct Shard {
    writer: IndexWriter,
    /// Records before these are in the last commit.
    held: Positions,
    /// One past the last record added.
    next: Positions,
    dirty: bool,
    used: u64,
}

impl Writer {
    /// Opens or makes the index in `dir`, with about `memory` bytes for all indexing. Broken shards are moved aside
    /// (see [`Writer::lost`]) and the position is 0 again.
    pub fn open(dir: &Path, memory: usize) -> Result<Writer, IndexError> {
        fs::create_dir_all(dir).map_err(shards::io(dir))?;
        let position = shards::read_positions(dir)?;
        let mut writer = Writer {
            dir: dir.to_owned(),
            share: (memory / OPEN_SHARDS).max(THREAD_MIN_BYTES),
            position,
            fields: schema::schema().1,
            open: BTreeMap::new(),
            reader: Searcher::open(dir, Arc::new(|_| Vec::new())),
            lost: Vec::new(),
            deleted: Deleted::open(dir)?,
            kept_from: shards::read_floor(dir)?,
            uses: 0,
        };
        // A crash may have met an expiry.
        writer.drop_expired()?;
        for day in shards::days(dir)? {
            if let Err(detail) = inspect(&shards::folder(dir, day), &writer.position) {
                writer.set_aside(day, detail)?;
            }
        }
        Ok(writer)
    }

    /// The next offset of each partition to index: what comes before is durable. After [`Writer::open`] told of a lost
    /// shard all begin at 0.
    pub fn positions(&self) -> &Positions {
        &self.position
    }

    /// Shards that were moved aside since the index was opened.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// Adds the mention at a position; one that its shard holds already, that was deleted or is past its time is skipped.
    /// Offsets of a partition ascend. Mentions of a person in danger are the caller's to leave out (public-trust rule 7).
    pub fn add(
        &mut self,
        at: &Position,
        mention: &Mention,
        reading: &Reading,
        topic: Option<TopicId>,
    ) -> Result<(), IndexError> {
        let day = mention.created_at.day();
        if self.unwanted(day, &mention.id) {
            return Ok(());
        }
        let document = schema::document(&self.fields, mention, reading, topic);
        let shard = self.shard(day)?;
        if shard.held.passed(at) {
            return Ok(());
        }
        shard.writer.add_document(document).map_err(shards::broken(day))?;
        shard.next.set(&at.at(at.offset + 1));
        shard.dirty = true;
        Ok(())
    }

    /// Adds a later state of a mention in place of the one before, which had the same time of writing.
    pub fn replace(
        &mut self,
        at: &Position,
        mention: &Mention,
        reading: &Reading,
        topic: Option<TopicId>,
    ) -> Result<(), IndexError> {
        let day = mention.created_at.day();
        if self.unwanted(day, &mention.id) {
            return Ok(());
        }
        let term = Term::from_field_text(self.fields.id, &mention.id);
        let shard = self.shard(day)?;
        if shard.held.passed(at) {
            return Ok(());
        }
        shard.writer.delete_term(term);
        self.add(at, mention, reading, topic)
    }

    /// Deletes a mention by its id, wherever it is and for good: it is not taken in again, however often it comes.
    /// Durable and unseen after the next commit. Gives back whether a committed shard holds it.
    pub fn delete(&mut self, id: &str) -> Result<bool, IndexError> {
        self.deleted.insert(id);
        let mut found = false;
        for day in shards::days(&self.dir)? {
            let committed = self.reader.holds(day, id).map_err(shards::broken(day))?;
            found |= committed;
            let uncommitted = self.open.get(&day).is_some_and(|shard| shard.dirty);
            if committed || uncommitted {
                let term = Term::from_field_text(self.fields.id, id);
                let shard = self.shard(day)?;
                shard.writer.delete_term(term);
                shard.dirty = true;
            }
        }
        Ok(found)
    }

    /// Makes everything so far durable and moves the positions to `next`.
    pub fn commit(&mut self, next: &Positions) -> Result<(), IndexError> {
        self.deleted.sync()?;
        for (day, shard) in &mut self.open {
            if shard.dirty {
                shard.commit(&self.dir, *day, next)?;
            }
        }
        if *next != self.position {
            shards::write_positions(&self.dir, next)?;
            self.position = next.clone();
        }
        Ok(())
    }

    /// Commits one shard and leaves the position: what a crash between two shards leaves behind.
    #[cfg(test)]
    pub(super) fn commit_one(&mut self, day: Day, next: &Positions) -> Result<(), IndexError> {
        self.open.get_mut(&day).expect("the shard is open").commit(&self.dir, day, next)
    }

    /// Drops all that was written before the day `first` (retention), shards moved aside too, and takes nothing of those
    /// days in any more, now and after a restart. To be called once a day; gives back how many shards it dropped.
    /// A later call with an earlier day lets in again what comes of the days between, and brings back nothing.
    pub fn expire(&mut self, first: Day) -> Result<usize, IndexError> {
        if self.kept_from != Some(first) {
            shards::write_floor(&self.dir, first)?;
            self.kept_from = Some(first);
        }
        self.drop_expired()
    }

    /// Drops the oldest shards whose day ended `keep` ago and into which nothing has come for as long: what was written long ago
    /// and taken in lately is kept its time. Gives back how many (public-trust rule 6).
    pub fn expire_kept(&mut self, now: Instant, keep: Span) -> Result<usize, IndexError> {
        let until = std::time::UNIX_EPOCH + std::time::Duration::from_millis((now - keep).millis().max(0) as u64);
        let rested = |day: &Day| {
            let written =
                fs::metadata(shards::folder(&self.dir, *day).join("meta.json")).and_then(|meta| meta.modified());
            written.is_ok_and(|written| written <= until)
        };
        let first = (now - keep).day();
        let last = shards::days(&self.dir)?.into_iter().take_while(|day| *day < first && rested(day)).last();
        last.map_or(Ok(0), |last| self.expire(Day(last.0 + 1)))
    }

    /// The first day that is kept; `None` where nothing was expired ever.
    pub fn kept_from(&self) -> Option<Day> {
        self.kept_from
    }

    fn drop_expired(&mut self) -> Result<usize, IndexError> {
        let Some(first) = self.kept_from else { return Ok(0) };
        let mut dropped = 0;
        for day in shards::days(&self.dir)?.into_iter().take_while(|day| *day < first) {
            if let Some(shard) = self.open.remove(&day) {
                // What it has not committed goes with it.
                shard.writer.wait_merging_threads().map_err(shards::broken(day))?;
            }
            shards::discard(&self.dir, day)?;
            dropped += 1;
        }
        shards::sweep(&self.dir, first)?;
        if dropped > 0 {
            shards::sync_folder(&self.dir)?;
        }
        self.reader.forget(&shards::days(&self.dir)?);
        Ok(dropped)
    }

    /// The positions of the index in a folder, read beside its writer.
    pub fn positions_in(dir: &Path) -> Result<Positions, IndexError> {
        shards::read_positions(dir)
    }

    fn unwanted(&self, day: Day, id: &str) -> bool {
        self.kept_from.is_some_and(|first| day < first) || self.deleted.holds(id)
    }

    /// Reads every byte of every shard against its checksum; the days that do not hold. For `yuqing doctor`.
    pub fn verify(dir: &Path) -> Result<Vec<String>, IndexError> {
        let mut bad = Vec::new();
        for day in shards::days(dir)? {
            if let Err(detail) = inspect(&shards::folder(dir, day), &Positions::default()) {
                bad.push(format!("{}: {detail}", day.iso()));
            }
        }
        Ok(bad)
    }

    fn shard(&mut self, day: Day) -> Result<&mut Shard, IndexError> {
        self.uses += 1;
        let used = self.uses;
        if !self.open.contains_key(&day) {
            self.make_room()?;
            let shard = Shard::open(&self.dir, day, self.share)?;
            self.open.insert(day, shard);
        }
        let shard = self.open.get_mut(&day).expect("it was just put there");
        shard.used = used;
        Ok(shard)
    }

    /// Closes the shard that was not used for longest when all places are taken.
    fn make_room(&mut self) -> Result<(), IndexError> {
        while self.open.len() >= OPEN_SHARDS {
            let idlest = self.open.iter().min_by_key(|(_, shard)| shard.used).map(|(day, _)| *day);
            let Some((day, mut shard)) = idlest.and_then(|day| self.open.remove_entry(&day)) else { break };
            if shard.dirty {
                // All that came for this shard up to its last offset is in it, whatever the others have yet to commit.
                let next = shard.next.clone();
                shard.commit(&self.dir, day, &next)?;
            }
            shard.writer.wait_merging_threads().map_err(shards::broken(day))?;
        }
        Ok(())
    }

    fn set_aside(&mut self, day: Day, detail: String) -> Result<(), IndexError> {
        let from = shards::folder(&self.dir, day);
        let free =
            (0..).map(|n| self.dir.join(format!("{}{}-{n}", shards::BROKEN, day.iso()))).find(|path| !path.exists());
        let moved_to = free.expect("a counter without end finds a free name");
        fs::rename(&from, &moved_to).map_err(shards::io(&from))?;
        shards::sync_folder(&self.dir)?;
        self.position = Positions::default();
        shards::write_positions(&self.dir, &self.position)?;
        self.lost.push(Lost { shard: day.iso(), moved_to, detail });
        Ok(())
    }
}

impl Shard {
    fn open(dir: &Path, day: Day, share: usize) -> Result<Shard, IndexError> {
        let folder = shards::folder(dir, day);
        let index = if folder.join("meta.json").exists() {
            shards::open(&folder).map_err(shards::broken(day))?
        } else {
            fs::create_dir_all(&folder).map_err(shards::io(&folder))?;
            Index::create_in_dir(&folder, schema::schema().0).map_err(shards::broken(day))?;
            shards::sync_folder(&folder)?;
            shards::sync_folder(dir)?;
            shards::open(&folder).map_err(shards::broken(day))?
        };
        let held = shards::payload(&index).map_err(shards::broken(day))?;
        let threads = if share >= TWO_THREADS_BYTES { 2 } else { 1 };
        let writer = index.writer_with_num_threads(threads, share).map_err(shards::broken(day))?;
        Ok(Shard { writer, next: held.clone(), held, dirty: false, used: 0 })
    }

    fn commit(&mut self, dir: &Path, day: Day, next: &Positions) -> Result<(), IndexError> {
        let mut reached = self.held.clone();
        reached.raise(&self.next);
        reached.raise(next);
        let payload = serde_json::to_string(&reached).map_err(|error| shards::broken(day)(error.into()))?;
        let mut prepared = self.writer.prepare_commit().map_err(shards::broken(day))?;
        prepared.set_payload(&payload);
        prepared.commit().map_err(shards::broken(day))?;
        // The engine syncs its files and renames the list of segments, but leaves the folder to us.
        shards::sync_folder(&shards::folder(dir, day))?;
        self.held = reached.clone();
        self.next = reached;
        self.dirty = false;
        Ok(())
    }
}

/// What is wrong with the shard in a folder. Shards committed since the position was written (those a crash may have
/// met) are read whole against their checksums; the others are only opened.
fn inspect(folder: &Path, position: &Positions) -> Result<(), String> {
    if !folder.join("meta.json").exists() {
        let segments = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let data = segments.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "store"));
        return if data { Err("its list of segments is gone".to_owned()) } else { Ok(()) };
    }
    let check = || -> tantivy::Result<BTreeSet<PathBuf>> {
        let index = shards::open(folder)?;
        if index.schema() != schema::schema().0 {
            return Err(tantivy::TantivyError::SchemaError("it has the fields of another version".to_owned()));
        }
        let payload = shards::payload(&index)?;
        if *position == Positions::default() || !position.covers(&payload) || payload == *position {
            let bad: BTreeSet<PathBuf> = index.validate_checksum()?.into_iter().collect();
            if !bad.is_empty() {
                return Ok(bad);
            }
        }
        let reader = index.reader_builder().reload_policy(tantivy::ReloadPolicy::Manual);
        let _opened: tantivy::IndexReader = reader.try_into()?;
        Ok(BTreeSet::new())
    };
    match check() {
        Ok(bad) if bad.is_empty() => Ok(()),
        Ok(bad) => Err(format!("checksum: {bad:?}")),
        Err(error) => Err(error.to_string()),
    }
}
