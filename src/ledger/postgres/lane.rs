//! One connection with its thread. In: work on it. Out: what the work gave, as if no connection ever broke.
//!
//! The blocking client cannot be used inside a tokio runtime, so each lane keeps it on a thread of its own and may be
//! called from anywhere. A connection that breaks is made again and the work repeated, a bounded number of times. A write
//! puts a random mark beside what it writes: where the connection broke while it was being committed, inserting the same
//! mark again waits for the end of that transaction and tells whether it stands; only where it does not is it repeated.

use super::door::{Door, Expect};
use crate::ledger::StoreError;
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, IsolationLevel, Row, Statement, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Times that a piece of work is tried: with the waits between, a server that restarts within 15 s goes unnoticed.
const TRIES: u32 = 10;
/// Wait before the second try; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// A caller waits this long at most, also for a server that took the work and fell silent.
const ANSWER: Duration = Duration::from_secs(120);
/// Writes between two sweeps of old marks.
const SWEEP_EVERY: u64 = 1_000;

/// Why work on a connection did not succeed.
pub(crate) enum Fault {
    /// The connection or the server.
    Sql(postgres::Error),
    /// What the work itself refused.
    Store(StoreError),
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

/// What a lane went through since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recoveries {
    /// Connections that broke and were made again, or were tried to.
    pub broken: u64,
    /// Commits without an answer that were found to stand.
    pub stood: u64,
    /// Commits without an answer that were found not to stand, and were repeated.
    pub repeated: u64,
}

#[derive(Default)]
struct Tallies {
    broken: AtomicU64,
    stood: AtomicU64,
    repeated: AtomicU64,
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// A connection with its thread.
pub(crate) struct Lane {
    jobs: Sender<Job>,
    tallies: Arc<Tallies>,
}

impl Lane {
    /// Starts the thread and brings the database to the format this program knows, or refuses it.
    pub(crate) fn open(door: Door) -> Result<Lane, StoreError> {
        let (jobs, queue) = channel();
        let tallies = Arc::new(Tallies::default());
        let mut worker =
            Worker { door, client: None, known: BTreeMap::new(), expects: None, tallies: tallies.clone(), writes: 0 };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.serve(&queue))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let lane = Lane { jobs, tallies };
        lane.run(|worker| {
            let expects = worker.door.expects();
            worker.attempt(|worker| {
                let (door, client) = worker.connected()?;
                door.prepare(client)
            })?;
            worker.expects = Some(expects);
            Ok(())
        })?;
        Ok(lane)
    }

    /// A lane to the database at a url.
    pub(crate) fn to(url: &str) -> Result<Lane, StoreError> {
        Lane::open(Door::parse(url)?)
    }

    /// What it went through.
    pub(crate) fn recoveries(&self) -> Recoveries {
        let read = |tally: &AtomicU64| tally.load(Ordering::Relaxed);
        let tallies = &self.tallies;
        Recoveries { broken: read(&tallies.broken), stood: read(&tallies.stood), repeated: read(&tallies.repeated) }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = channel();
        let job: Job = Box::new(move |worker| {
            // Nobody listens any more after [`ANSWER`].
            let _ = tell.send(work(worker));
        });
        self.jobs.send(job).map_err(|_| gone())?;
        match apart(move || told.recv_timeout(ANSWER)) {
            Ok(outcome) => outcome,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                Err(StoreError::Failed(format!("no answer in {} s", ANSWER.as_secs())))
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    /// Reads, each statement by itself; repeated where the connection breaks.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |worker| {
            worker.attempt(|worker| {
                worker.connected()?;
                let Worker { client: Some(client), known, .. } = worker else { return Err(gone().into()) };
                work(&mut Work { on: On::Client(client), known })
            })
        })
    }

    /// Writes in one transaction, exactly once, durable when it returns.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |worker| worker.write(&mut work))
    }

    /// A statement that cannot stand in a transaction.
    pub(crate) fn apart(&self, sql: &'static str) -> Result<(), StoreError> {
        self.run(move |worker| {
            worker.attempt(|worker| {
                let (_, client) = worker.connected()?;
                Ok(client.batch_execute(sql)?)
            })
        })
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the thread of the store has ended".to_owned())
}

/// Waits without holding up the other tasks of a runtime's thread.
fn apart<T>(wait: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// What work is done with: a connection, or a transaction on it, and its prepared statements.
pub(crate) struct Work<'a> {
    on: On<'a>,
    known: &'a mut BTreeMap<&'static str, Statement>,
}

enum On<'a> {
    Client(&'a mut Client),
    Step(Transaction<'a>),
}

impl Work<'_> {
    fn statement(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(known) = self.known.get(sql) {
            return Ok(known.clone());
        }
        let made = match &mut self.on {
            On::Client(client) => client.prepare(sql),
            On::Step(step) => step.prepare(sql),
        }?;
        self.known.insert(sql, made.clone());
        Ok(made)
    }

    /// Rows of a query.
    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = self.statement(sql)?;
        match &mut self.on {
            On::Client(client) => client.query(&statement, values),
            On::Step(step) => step.query(&statement, values),
        }
    }

    /// The first row of a query.
    pub(crate) fn first(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, postgres::Error> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// Rows that a statement touched.
    pub(crate) fn execute(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, postgres::Error> {
        let statement = self.statement(sql)?;
        match &mut self.on {
            On::Client(client) => client.execute(&statement, values),
            On::Step(step) => step.execute(&statement, values),
        }
    }
}

struct Worker {
    door: Door,
    client: Option<Client>,
    known: BTreeMap<&'static str, Statement>,
    /// Checked at every connection, once the first has prepared the database.
    expects: Option<Expect>,
    tallies: Arc<Tallies>,
    writes: u64,
}

impl Worker {
    fn serve(&mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            job(self);
        }
    }

    fn connected(&mut self) -> Result<(&Door, &mut Client), Fault> {
        if self.client.is_none() {
            self.known.clear();
            let mut client = self.door.connect()?;
            if let Some(expects) = self.expects {
                expects.check(&mut client)?;
            }
            self.client = Some(client);
        }
        match &mut self.client {
            Some(client) => Ok((&self.door, client)),
            None => Err(gone().into()),
        }
    }

    /// Tries until it works, is refused, or the tries are used up.
    fn attempt<T>(&mut self, mut work: impl FnMut(&mut Worker) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut wait = FIRST_WAIT;
        let mut tried = 1;
        loop {
            let error = match work(self) {
                Ok(value) => return Ok(value),
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::Sql(error)) => error,
            };
            // Whatever state the connection is in, the next one is fresh.
            self.client = None;
            if !passes(&error) || tried == TRIES {
                return Err(StoreError::Failed(in_words(&error)));
            }
            self.tallies.broken.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = in_words(&error), tried, "the connection to the store broke; trying again");
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
            tried += 1;
        }
    }

    fn write<T>(&mut self, work: &mut impl FnMut(&mut Work<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mark = i64::from_ne_bytes(random()?);
        // What a commit without an answer was about to give.
        let mut in_doubt: Option<T> = None;
        let value = self.attempt(|worker| {
            worker.connected()?;
            let Worker { client: Some(client), known, tallies, .. } = worker else { return Err(gone().into()) };
            let step = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start()?;
            let mut on = Work { on: On::Step(step), known };
            // Waits for a transaction of ours that the server has not ended yet.
            let sql = "INSERT INTO marks (mark, at) VALUES ($1, now()) ON CONFLICT (mark) DO NOTHING";
            if on.execute(sql, &[&mark])? == 0 {
                tallies.stood.fetch_add(1, Ordering::Relaxed);
                tracing::info!("a commit without an answer stands");
                let value = in_doubt.take();
                return value.ok_or_else(|| StoreError::Failed("a mark was there before its write".to_owned()).into());
            }
            if in_doubt.take().is_some() {
                tallies.repeated.fetch_add(1, Ordering::Relaxed);
                tracing::info!("a commit without an answer does not stand; it is repeated");
            }
            let value = work(&mut on)?;
            if let On::Step(step) = on.on {
                in_doubt = Some(value);
                step.commit()?;
            }
            in_doubt.take().ok_or_else(|| gone().into())
        })?;
        self.sweep();
        Ok(value)
    }

    /// Old marks go: nobody is in doubt for an hour. Apart from the write, which stands already.
    fn sweep(&mut self) {
        if self.writes.is_multiple_of(SWEEP_EVERY) {
            let sql = "DELETE FROM marks WHERE at < now() - interval '1 hour'";
            let swept = self.client.as_mut().map_or(Ok(()), |client| client.batch_execute(sql));
            if let Err(error) = swept {
                tracing::warn!(error = in_words(&error), "old marks stay for now");
                self.client = None;
            }
        }
        self.writes += 1;
    }
}

/// Whether it may be gone at the next try: a broken connection, a server that stops or starts, a lock not had in time.
fn passes(error: &postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Without a code it came from the connection, or from a value that did not fit.
        use std::io::ErrorKind::{InvalidData, InvalidInput};
        let source = std::error::Error::source(error);
        let broken = source.and_then(|source| source.downcast_ref::<std::io::Error>());
        // A certificate that is not to be trusted stays so.
        return error.is_closed() || broken.is_some_and(|it| !matches!(it.kind(), InvalidData | InvalidInput));
    };
    code.code().starts_with("08")
        || [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::LOCK_NOT_AVAILABLE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(&code)
}

/// The error with what is under it; the client says only `db error` by itself.
pub(super) fn in_words(error: &postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(bytes)
}
