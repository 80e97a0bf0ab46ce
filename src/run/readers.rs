//! Reading texts on several threads. In: a batch of records. Out: the same records in the same order with their readings, each
//! as soon as it is there, so that the one who takes them works on the first while the rest is still being read.
//!
//! The threads live as long as the process: a thread for each batch would begin every batch with cold memory.

use crate::assess::{Reader, Reading};
use crate::intake::{Body, Record};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant as Stopwatch;

/// Records read at once by one thread: few enough that the first is soon there, many enough that handing over costs nothing.
const SHARE: usize = 64;
/// Name of the threads.
pub const THREAD: &str = "reader";

type Read = (Record, Option<Reading>);

struct Job {
    reader: Arc<Reader>,
    records: Vec<Record>,
    tell: SyncSender<std::thread::Result<Vec<Read>>>,
}

/// A part of a batch.
enum Part {
    Done(Vec<Read>),
    Under(Receiver<std::thread::Result<Vec<Read>>>),
}

struct Pool {
    queue: Sender<Job>,
    jobs: Arc<Mutex<Receiver<Job>>>,
    threads: usize,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(|| {
    let (queue, jobs) = channel();
    Mutex::new(Pool { queue, jobs: Arc::new(Mutex::new(jobs)), threads: 0 })
});

/// Nanoseconds that went by while parting texts into words, and while assessing them, on all threads.
static SPENT: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Nanoseconds that went by, since the start, while parting texts into words, and while assessing them.
pub fn spent() -> [u64; 2] {
    [0, 1].map(|at: usize| SPENT[at].load(Ordering::Relaxed))
}

/// The records in their order with the readings of those that are mentions, made on `threads` threads.
pub fn read_all(reader: &Arc<Reader>, records: Vec<Record>, threads: usize) -> impl Iterator<Item = Read> + use<> {
    let parts = if threads < 2 || records.len() <= SHARE || !ready(threads) {
        vec![Part::Done(read(reader, records))]
    } else {
        hand_out(reader, records)
    };
    parts.into_iter().flat_map(|part| match part {
        Part::Done(read) => read,
        Part::Under(told) => match told.recv() {
            Ok(Ok(read)) => read,
            Ok(Err(panic)) => resume_unwind(panic),
            // A job is only dropped untold when its thread was ended from outside.
            Err(_) => resume_unwind(Box::new("a reading thread is gone")),
        },
    })
}

/// Whether there are so many threads; starts them where not.
fn ready(threads: usize) -> bool {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    while pool.threads < threads {
        let jobs = pool.jobs.clone();
        if std::thread::Builder::new().name(THREAD.into()).spawn(move || work(&jobs)).is_err() {
            return false;
        }
        pool.threads += 1;
    }
    true
}

fn hand_out(reader: &Arc<Reader>, records: Vec<Record>) -> Vec<Part> {
    let queue = POOL.lock().unwrap_or_else(PoisonError::into_inner).queue.clone();
    let mut parts = Vec::with_capacity(records.len().div_ceil(SHARE));
    let mut records = records.into_iter();
    loop {
        let records: Vec<Record> = records.by_ref().take(SHARE).collect();
        if records.is_empty() {
            return parts;
        }
        let (tell, told) = sync_channel(1);
        parts.push(match queue.send(Job { reader: reader.clone(), records, tell }) {
            Ok(()) => Part::Under(told),
            Err(back) => Part::Done(read(reader, back.0.records)),
        });
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let done = catch_unwind(AssertUnwindSafe(|| read(&job.reader, job.records)));
        // Who no longer listens needs no reading.
        let _ = job.tell.send(done);
    }
}

fn read(reader: &Reader, records: Vec<Record>) -> Vec<Read> {
    let started = Stopwatch::now();
    let mention = |record: &Record| match &record.body {
        Body::Mention(mention) if record.reading.is_none() => Some(reader.part(mention)),
        _ => None,
    };
    let parted: Vec<_> = records.iter().map(mention).collect();
    let between = Stopwatch::now();
    let read = records.into_iter().zip(parted).map(|(mut record, parted)| {
        let reading = match (&record.body, parted) {
            (Body::Mention(mention), Some(parted)) => Some(reader.assess(mention, parted)),
            _ => record.reading.take().map(|reading| *reading),
        };
        (record, reading)
    });
    let read = read.collect();
    SPENT[0].fetch_add((between - started).as_nanos() as u64, Ordering::Relaxed);
    SPENT[1].fetch_add(between.elapsed().as_nanos() as u64, Ordering::Relaxed);
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Position;

    fn records(count: u64) -> Vec<Record> {
        let record = |offset| {
            let mention = serde_json::json!({
                "id": format!("weibo:{offset}"), "platform": "weibo", "text": format!("第{offset}条：红谷滩积水"),
                "created_at": "2026-11-20T00:00:00Z", "collected_at": "2026-11-20T00:00:00Z",
            });
            let body = match offset % 7 {
                3 => Body::Deleted { id: format!("weibo:{offset}") },
                _ => Body::Mention(serde_json::from_value(mention).expect("a mention")),
            };
            let position = Position { stream: "intake".into(), partition: 0, offset };
            Record { position, body, reading: None, origin: None }
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn records_come_in_order_with_the_same_readings_on_any_number_of_threads() {
        let sources =
            crate::settings::read_dictionaries(std::path::Path::new("dictionaries"), true).expect("they are there");
        let reader = Arc::new(crate::run::tables::load(&sources).expect("the embedded files hold").reader);
        let one: Vec<Read> = read_all(&reader, records(500), 1).collect();
        assert_eq!(one.len(), 500);
        assert!(one.iter().enumerate().all(|(at, read)| read.0.position.offset == at as u64));
        assert!(one.iter().all(|(record, reading)| matches!(record.body, Body::Mention(_)) == reading.is_some()));
        assert!(one.iter().flat_map(|read| &read.1).any(|reading| !reading.assessment.classes.is_empty()));
        for threads in [2, 3] {
            let many: Vec<Read> = read_all(&reader, records(500), threads).collect();
            assert_eq!(many, one, "{threads} threads");
        }
    }
}
