//! A store in memory: for simulations and tests. A [`Step`] in, one transaction on a shared "disk" out; the disk outlives whoever
//! wrote to it, and its hook can fail a call before or after it took effect. Its clock is the one it is given.

use super::chain::Stored;
use crate::clock::Clock;
use crate::duty::event::Entry;
use crate::ledger::{Checkpoint, DeadLetter, Evidence, Position, Positions, Step, Store, StoreError};
use crate::mention::RefusalCode;
use crate::time::{Day, Instant, Span};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

/// What is asked of the store, as the hook sees it.
#[derive(Debug)]
pub enum Call<'a> {
    /// A step is about to be committed. The hook may spoil it: so a test makes a store that does not hold to its word, and shows
    /// that it finds out.
    Commit(&'a mut Step),
    /// The lead is asked for, by this holder.
    Lead(&'a str),
    /// Any other write.
    Write,
    /// Anything read.
    Read,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is done.
    None,
    /// It fails and changed nothing.
    Before,
    /// It is done, but the caller hears that it failed: an answer that was lost, or a crash between commit and act.
    After,
}

/// Decides what becomes of each call.
pub type Hook = Arc<dyn Fn(Call<'_>) -> Fault + Send + Sync>;

/// One who holds the lead, or held it last.
#[derive(Debug)]
struct Led {
    token: u64,
    holder: String,
    until: Instant,
}

/// What is durable.
#[derive(Default)]
struct Disk {
    rows: Vec<(Stored, Entry)>,
    positions: Positions,
    dead_letters: Vec<DeadLetter>,
    evidence: Vec<Evidence>,
    checkpoint: Option<Checkpoint>,
    salts: BTreeMap<Day, Option<[u8; 32]>>,
    secrets: BTreeMap<String, [u8; 32]>,
    led: Option<Led>,
    asks: BTreeMap<u64, (String, Option<String>)>,
    asked: u64,
    moves: Vec<Move>,
}

/// What a committed step rested on: the leader's token, and the positions from and to.
pub type Move = (Option<u64>, Vec<(Position, Position)>);

/// A handle on a disk in memory.
#[derive(Clone)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
    clock: Clock,
    hook: Option<Hook>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

fn failed(error: impl fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl Memory {
    /// An empty disk, by whose clock the lead is held.
    pub fn new(clock: Clock) -> Memory {
        Memory { disk: Arc::default(), clock, hook: None }
    }

    /// Another handle on the same disk, whose calls the hook decides on.
    pub fn with_hook(&self, hook: Hook) -> Memory {
        Memory { hook: Some(hook), ..self.clone() }
    }

    /// What every committed step rested on, in order.
    pub fn moves(&self) -> Result<Vec<Move>, StoreError> {
        Ok(self.disk()?.moves.clone())
    }

    fn disk(&self) -> Result<MutexGuard<'_, Disk>, StoreError> {
        self.disk.lock().map_err(|_| failed("a writer died in the middle of a step"))
    }

    fn fault(&self, call: Call<'_>) -> Fault {
        self.hook.as_ref().map_or(Fault::None, |hook| hook(call))
    }

    fn run<T>(&self, fault: Fault, work: impl FnOnce(&mut Disk) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if fault == Fault::Before {
            return Err(failed("fault: nothing was done"));
        }
        let value = work(&mut *self.disk()?)?;
        if fault == Fault::After { Err(failed("fault: the answer was lost")) } else { Ok(value) }
    }

    fn read<T>(&self, work: impl FnOnce(&Disk) -> T) -> Result<T, StoreError> {
        self.run(self.fault(Call::Read), |disk| Ok(work(disk)))
    }

    fn write<T>(&self, work: impl FnOnce(&mut Disk) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.run(self.fault(Call::Write), work)
    }
}

impl Disk {
    /// Everything that may be refused is looked at before anything is changed.
    fn commit(&mut self, step: Step) -> Result<Vec<Entry>, StoreError> {
        let held = self.led.as_ref().map_or(0, |led| led.token);
        if let Some(ours) = step.fence.filter(|ours| *ours != held) {
            return Err(StoreError::Deposed { ours, held });
        }
        let mut positions = self.positions.clone();
        for (from, to) in &step.positions {
            if (&from.stream, from.partition) != (&to.stream, to.partition) {
                return Err(failed("a step moves one partition from one place to another"));
            }
            let stored = positions.next(&from.stream, from.partition);
            if stored != from.offset {
                let (stream, partition, expected) = (from.stream.clone(), from.partition, from.offset);
                return Err(StoreError::Fenced { stream, partition, stored, expected });
            }
            positions.set(to);
        }
        let mut rows = Vec::with_capacity(step.events.len());
        let (mut seq, mut before) = self.rows.last().map_or((0, ""), |(row, _)| (row.seq, row.hash.as_str()));
        for (at, actor, event) in step.events {
            let row = Stored::next((seq, before), at, actor, &event)?;
            let entry = row.clone().entry()?;
            rows.push((row, entry));
            (seq, before) = rows.last().map_or((seq, ""), |(row, _)| (row.seq, row.hash.as_str()));
        }
        self.positions = positions;
        self.moves.push((step.fence, step.positions));
        self.evidence.retain(|piece| !step.forget.contains(&piece.mention));
        for (number, answer) in step.answers {
            if let Some(ask) = self.asks.get_mut(&number) {
                ask.1 = Some(answer);
            }
        }
        self.dead_letters.extend(step.dead_letters);
        for piece in step.evidence {
            let same = |kept: &Evidence| (&kept.incident, &kept.mention) == (&piece.incident, &piece.mention);
            if !self.evidence.iter().any(same) {
                self.evidence.push(piece);
            }
        }
        self.checkpoint = step.checkpoint.or(self.checkpoint.take());
        let entries = rows.iter().map(|(_, entry)| entry.clone()).collect();
        self.rows.extend(rows);
        Ok(entries)
    }

    fn lead(&mut self, holder: &str, holds: Span, now: Instant) -> Option<u64> {
        let token = match &self.led {
            Some(led) if led.holder == holder => led.token,
            Some(led) if led.until > now => return None,
            Some(led) => led.token + 1,
            None => 1,
        };
        self.led = Some(Led { token, holder: holder.to_owned(), until: now + holds });
        Some(token)
    }
}

impl Store for Memory {
    fn commit(&self, mut step: Step) -> Result<Vec<Entry>, StoreError> {
        let fault = self.fault(Call::Commit(&mut step));
        self.run(fault, |disk| disk.commit(step))
    }

    fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        self.read(|disk| disk.rows.iter().skip(after).take(limit).map(|(_, entry)| entry.clone()).collect())
    }

    fn position(&self, stream: &str, partition: i32) -> Result<u64, StoreError> {
        self.read(|disk| disk.positions.next(stream, partition))
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.read(|disk| disk.checkpoint.clone())
    }

    fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.write(|disk| {
            disk.checkpoint = Some(checkpoint);
            Ok(())
        })
    }

    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(|disk| disk.dead_letters.iter().rev().take(limit).cloned().collect())
    }

    fn dead_letter_counts(&self) -> Result<Vec<(RefusalCode, u64)>, StoreError> {
        self.read(|disk| {
            let mut counts: BTreeMap<RefusalCode, u64> = BTreeMap::new();
            for letter in &disk.dead_letters {
                *counts.entry(letter.code).or_default() += 1;
            }
            counts.into_iter().collect()
        })
    }

    fn evidence(&self, incident: &str, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        self.read(|disk| disk.evidence.iter().filter(|one| one.incident == incident).take(limit).cloned().collect())
    }

    fn destroy_evidence(&self, incident: &str) -> Result<u64, StoreError> {
        self.write(|disk| {
            let before = disk.evidence.len();
            disk.evidence.retain(|piece| piece.incident != incident);
            Ok((before - disk.evidence.len()) as u64)
        })
    }

    fn lines(&self, after: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.read(|disk| {
            disk.rows.iter().map(|row| &row.0).filter(|row| row.seq > after).take(limit).map(Stored::line).collect()
        })
    }

    fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        self.write(|disk| {
            if let Some(secret) = disk.secrets.get(name) {
                return Ok(*secret);
            }
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(failed)?;
            disk.secrets.insert(name.to_owned(), secret);
            Ok(secret)
        })
    }

    fn salt(&self, day: Day) -> Result<Option<[u8; 32]>, StoreError> {
        self.write(|disk| {
            if let Some(salt) = disk.salts.get(&day) {
                return Ok(*salt);
            }
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(failed)?;
            disk.salts.insert(day, Some(salt));
            Ok(Some(salt))
        })
    }

    fn destroy_salts_before(&self, day: Day) -> Result<Vec<Day>, StoreError> {
        self.write(|disk| {
            let old = disk.salts.range_mut(..day).filter(|(_, salt)| salt.is_some());
            Ok(old.map(|(day, salt)| (*day, *salt = None).0).collect())
        })
    }

    fn lead(&self, holder: &str, holds: Span) -> Result<Option<u64>, StoreError> {
        self.run(self.fault(Call::Lead(holder)), |disk| Ok(disk.lead(holder, holds, self.clock.now())))
    }

    fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.write(|disk| {
            if let Some(led) = disk.led.as_mut().filter(|led| led.holder == holder) {
                (led.holder, led.until) = (String::new(), Instant::from_millis(0));
            }
            Ok(())
        })
    }

    fn ask(&self, body: &str) -> Result<u64, StoreError> {
        self.write(|disk| {
            disk.asked += 1;
            disk.asks.insert(disk.asked, (body.to_owned(), None));
            Ok(disk.asked)
        })
    }

    fn asked(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        self.read(|disk| {
            let open = disk.asks.iter().filter(|(_, (_, answer))| answer.is_none());
            open.take(limit).map(|(number, (body, _))| (*number, body.clone())).collect()
        })
    }

    fn take_answer(&self, number: u64) -> Result<Option<String>, StoreError> {
        self.write(|disk| {
            let answered = disk.asks.get(&number).is_some_and(|(_, answer)| answer.is_some());
            Ok(if answered { disk.asks.remove(&number).and_then(|(_, answer)| answer) } else { None })
        })
    }

    fn positions(&self) -> Result<Positions, StoreError> {
        self.read(|disk| disk.positions.clone())
    }

    fn verify(&self) -> Result<u64, StoreError> {
        let disk = self.disk()?;
        let (mut seq, mut before) = (0, "");
        for (row, _) in &disk.rows {
            row.follows(seq, before)?;
            (seq, before) = (row.seq, &row.hash);
        }
        Ok(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance;

    fn memory() -> Memory {
        Memory::new(Clock::at(Day(20_727).start()))
    }

    #[test]
    fn meets_the_suite_of_every_store() {
        let memory = memory();
        conformance::run(&memory);
        conformance::after_reopen(&memory.clone());
    }

    #[test]
    fn a_fault_comes_before_or_after_and_never_in_between() {
        let memory = memory();
        let step = || Step { forget: vec!["x".to_owned()], ..Step::default() };
        let ask = |fault| memory.with_hook(Arc::new(move |_| fault)).ask("one");
        assert!(ask(Fault::Before).is_err());
        assert_eq!(memory.asked(10).unwrap(), []);
        assert!(ask(Fault::After).is_err());
        assert_eq!(memory.asked(10).unwrap().len(), 1, "it was done, only the answer was lost");
        assert!(memory.with_hook(Arc::new(|_| Fault::Before)).commit(step()).is_err());
        assert!(memory.with_hook(Arc::new(|_| Fault::None)).commit(step()).is_ok());
    }
}
