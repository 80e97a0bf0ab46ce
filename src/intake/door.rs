//! The door itself: bodies and lines become records of the intake log. In: a body as sent, or lines of a file. Out: an
//! answer, given only when everything in it is durable. Many offer at once; one thread writes, and what waits together
//! is synced together.

use super::body::{self, BodyError, LineTooLong};
use super::log::{Log, LogError, Torn};
use super::reader::LogSource;
use super::seen::{GENERATION, Known, Seen};
use super::{Answer, Body, Taken};
use crate::clock::Clock;
use crate::limits::{BODIES_AT_ONCE, BODY_DECODED_BYTES, REFUSALS_TOLD};
use crate::mention::read::{Door, read_counted, too_long};
use crate::mention::{Mention, Refused};
use crate::time::{Day, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// How long a body waits for its turn before it is sent away: several syncs of a slow disk.
const TURN: Duration = Duration::from_secs(1);
/// Bytes of all bodies that wait for their turn: one large body, or many small ones.
const WAITING_BYTES: usize = BODY_DECODED_BYTES;
/// Records synced together: a hundred milliseconds of writing.
const GROUP_RECORDS: usize = 20_000;
/// Seconds after which a sender who was sent away comes back.
const RETRY_S: u64 = 1;

/// Gives the salt of a day, `None` once it is destroyed.
pub type Salts = Arc<dyn Fn(Day) -> Option<[u8; 32]> + Send + Sync>;

/// What the door knows of the city.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IntakeConfig {
    /// Registered platforms.
    pub platforms: BTreeSet<String>,
    /// Official accounts: `platform:author-id` or handle, to the unit's id.
    pub accounts: BTreeMap<String, String>,
}

/// One line after reading.
enum Item {
    Mention(Box<Mention>),
    Refused { refused: Refused, head: String },
}

/// Lines to write, and whom to tell.
struct Job {
    items: Vec<Item>,
    now: Instant,
    tell: SyncSender<Result<Taken, LogError>>,
}

/// Turns of bodies: so many are unpacked at once, so many bytes wait.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, usize)>,
    freed: Condvar,
}

struct Turn<'a>(&'a Gate);

impl Gate {
    fn enter(&self, bytes: usize, most: usize, wait: Duration) -> Option<Turn<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 >= most {
            if state.1 + bytes > WAITING_BYTES {
                return None;
            }
            state.1 += bytes;
            let waited = self.freed.wait_timeout_while(state, wait, |state| state.0 >= most);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.1 -= bytes;
            if state.0 >= most {
                return None;
            }
        }
        state.0 += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
        self.0.freed.notify_one();
    }
}

struct Shared {
    config: RwLock<Arc<IntakeConfig>>,
    salts: Salts,
    clock: Clock,
    gate: Gate,
    log: Arc<Mutex<Log>>,
    unknown_fields: AtomicU64,
}

/// A handle to the door; clones are the same door.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
}

impl Intake {
    /// Opens the log in a folder, learns from it what was seen, and starts the writer. The second value tells what a
    /// crash had torn off the end of the log. The writer ends with the last handle.
    pub fn open(
        dir: &Path,
        config: IntakeConfig,
        salts: Salts,
        clock: Clock,
    ) -> Result<(Intake, Option<Torn>), LogError> {
        let mut seen = Seen::new(GENERATION);
        let mut arrived = Instant::from_millis(i64::MIN);
        let (log, torn) = Log::open(dir, &mut |_, body| match body {
            Body::Mention(mention) => {
                arrived = arrived.max(mention.collected_at);
                seen.note(&mention.id, &mention.counts);
            }
            Body::Counts { id, counts } => {
                seen.note(&id, &counts);
            }
            Body::Refused { .. } | Body::Deleted { .. } => {}
        })?;
        let log = Arc::new(Mutex::new(log));
        let (queue, jobs) = sync_channel(BODIES_AT_ONCE);
        let writer = Writer { log: log.clone(), seen, arrived };
        std::thread::Builder::new().name("intake".into()).spawn(move || writer.run(&jobs)).map_err(|fault| {
            LogError::Disk {
                doing: "starting the writer of",
                path: dir.display().to_string(),
                detail: fault.to_string(),
            }
        })?;
        let shared = Shared {
            config: RwLock::new(Arc::new(config)),
            salts,
            clock,
            gate: Gate::default(),
            log,
            unknown_fields: AtomicU64::new(0),
        };
        Ok((Intake { shared: Arc::new(shared), queue }, torn))
    }

    /// Takes a body as sent over HTTP; blocks until it is durable, and for a second where others are before it.
    pub fn offer(&self, json: bool, coding: Option<&str>, body: &[u8], now: Instant) -> Answer {
        let Some(_turn) = self.shared.gate.enter(body.len(), BODIES_AT_ONCE, TURN) else {
            return Answer::Busy(RETRY_S);
        };
        let mut items = Vec::new();
        let reading = self.reading(now);
        let result = body::lines(json, coding, body, &mut |number, line| items.push(reading.item(number, line)));
        match result {
            Ok(()) => self.write(items, now).map_or_else(|fault| Answer::Failed(fault.to_string()), Answer::Taken),
            Err(fault @ BodyError::TooLarge(..)) => Answer::TooLarge(fault.to_string()),
            Err(fault @ BodyError::Undecodable(_)) => Answer::Undecodable(fault.to_string()),
            Err(fault @ BodyError::UnknownCoding) => Answer::UnknownCoding(fault.to_string()),
        }
    }

    /// Takes a batch of lines with their numbers; blocks until they are durable.
    pub fn offer_lines(&self, lines: &[(u64, Result<Vec<u8>, LineTooLong>)], now: Instant) -> Result<Taken, LogError> {
        let reading = self.reading(now);
        let items = lines.iter().map(|(number, line)| reading.item(*number, line.as_deref().map_err(Clone::clone)));
        self.write(items.collect(), now)
    }

    /// Notes that a mention is to be deleted everywhere; durable on return.
    pub fn delete(&self, id: &str) -> Result<u64, LogError> {
        self.log().append(&[Body::Deleted { id: id.to_owned() }])
    }

    /// A reader of the log.
    pub fn source(&self) -> Result<LogSource, LogError> {
        self.log().source()
    }

    /// The offset of the next record.
    pub fn end(&self) -> u64 {
        self.log().end()
    }

    /// Removes segments that hold only records before `offset`.
    pub fn drop_before(&self, offset: u64) -> Result<usize, LogError> {
        self.log().drop_before(offset)
    }

    /// The clock it was opened with.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Fields that nobody knew, since the start.
    pub fn unknown_fields(&self) -> u64 {
        self.shared.unknown_fields.load(Ordering::Relaxed)
    }

    /// Replaces platforms and accounts; bodies that are being read keep the old ones.
    pub fn configure(&self, config: IntakeConfig) {
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        // A log whose append was broken off has stopped by itself.
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self, now: Instant) -> Reading<'_> {
        let config = self.shared.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        Reading { config, salt: (self.shared.salts)(now.day()), now, unknown_fields: &self.shared.unknown_fields }
    }

    fn write(&self, items: Vec<Item>, now: Instant) -> Result<Taken, LogError> {
        let (tell, told) = sync_channel(1);
        self.queue.send(Job { items, now, tell }).map_err(|_| LogError::Stopped)?;
        told.recv().map_err(|_| LogError::Stopped)?
    }
}

/// Reading the lines of one body.
struct Reading<'a> {
    config: Arc<IntakeConfig>,
    salt: Option<[u8; 32]>,
    now: Instant,
    unknown_fields: &'a AtomicU64,
}

impl Reading<'_> {
    fn item(&self, number: u64, line: Result<&[u8], LineTooLong>) -> Item {
        let door = Door {
            platforms: &self.config.platforms,
            accounts: &self.config.accounts,
            now: Some(self.now),
            salt: self.salt.as_ref(),
        };
        let refusal = match line.map(|line| read_counted(line, number, &door)) {
            Ok(Ok(read)) => {
                self.unknown_fields.fetch_add(read.unknown_fields, Ordering::Relaxed);
                return Item::Mention(Box::new(read.mention));
            }
            Ok(Err(refusal)) => refusal,
            Err(long) => too_long(&long.head, number),
        };
        Item::Refused { refused: refusal.refused, head: refusal.head }
    }
}

/// The one that writes.
struct Writer {
    log: Arc<Mutex<Log>>,
    seen: Seen,
    arrived: Instant,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            let mut records = group[0].items.len();
            while records < GROUP_RECORDS
                && let Ok(job) = jobs.try_recv()
            {
                records += job.items.len();
                group.push(job);
            }
            let mut bodies = Vec::with_capacity(records);
            let told: Vec<_> = group.into_iter().map(|job| (job.tell.clone(), self.take(job, &mut bodies))).collect();
            let result = self.log.lock().unwrap_or_else(PoisonError::into_inner).append(&bodies);
            for (tell, taken) in told {
                // Who no longer listens has lost the answer, not the records.
                let _ = tell.send(result.clone().map(|_| taken));
            }
            if result.is_err() {
                return;
            }
        }
    }

    /// Decides what each line of a job is, in order.
    fn take(&mut self, job: Job, bodies: &mut Vec<Body>) -> Taken {
        let mut taken = Taken::default();
        for item in job.items {
            match item {
                Item::Mention(mut mention) => match self.seen.note(&mention.id, &mention.counts) {
                    Known::New => {
                        self.arrived = self.arrived.max(mention.collected_at);
                        mention.collected_at = self.arrived;
                        bodies.push(Body::Mention(mention));
                        taken.accepted += 1;
                    }
                    Known::Same => taken.duplicates += 1,
                    Known::Raised(counts) => {
                        bodies.push(Body::Counts { id: mention.id, counts });
                        taken.duplicates += 1;
                    }
                },
                Item::Refused { refused, head } => {
                    if taken.refused.len() < REFUSALS_TOLD {
                        taken.refused.push(refused.clone());
                    }
                    taken.refused_total += 1;
                    bodies.push(Body::Refused { refused, head, at: job.now });
                }
            }
        }
        taken
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
pub(super) mod tests;
