//! Drives a world from its seed: desks that start, stand by, lead, freeze, crash and come back; a store that fails before or after a
//! call; senders, receivers and people. Everything on one thread, step by step, so that a seed is the same story every time.

use super::people::{People, Receivers};
use super::stream::Stream;
use super::world::{Rng, TABLES, World};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::sync::{mpsc, watch};
use yuqing::clock::Clock;
use yuqing::duty::event::Notice;
use yuqing::duty::plan::{self, Plan};
use yuqing::duty::{State, Verdict};
use yuqing::ledger::memory::{Call, Fault, Hook, Memory};
use yuqing::ledger::{DeadLetter, Position, Store, StoreError};
use yuqing::metrics::Metrics;
use yuqing::run::desk::{Ask, Desk, DeskError, Lead, Parts, Progress, Publish, Shown, Turn};
use yuqing::time::{Instant, Span};

/// How long a lead holds.
const HOLDS: Span = Span::seconds(40);
/// After the last record: longer than any notice is tried.
const AFTER: Span = Span::hours(27);
/// Turns in which a world with no more faults must come to rest.
const REST: usize = 6_000;

const PLAN: &str = r#"
    roster = ["li", "wang", "chen"]
    quiet = { from = "22:00", to = "07:00" }
    officers = [{ name = "li", channels = ["li-sms"] }, { name = "wang" }, { name = "chen", channels = ["chen-sms"] }]
    channels = [
        { name = "li-sms", levels = ["L3", "L4"] },
        { name = "wang-sms", levels = ["L3", "L4"], officer = "wang" },
        { name = "chen-sms" },
        { name = "bot", levels = ["L2", "L3", "L4"] },
        { name = "hub" },
    ]
"#;

static DUTY: LazyLock<Plan> =
    LazyLock::new(|| plan::check(toml::from_str(PLAN).expect("a plan")).expect("a sound plan"));
static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new().expect("metrics")));

/// What was made to go wrong, and how often it did.
#[derive(Default, Clone, Debug)]
pub struct Tally(pub BTreeMap<&'static str, u64>);

impl Tally {
    pub fn hit(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// A store that breaks its word on purpose: the control.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    Nothing,
    /// Anybody may write, whoever leads.
    Fence,
    /// Positions move from wherever they are, whoever leads.
    Swap,
}

/// Faults for the handle of one desk, in thousandths of its calls; 0 when they are over.
struct Trouble {
    rng: Mutex<Rng>,
    rate: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
}

impl Trouble {
    fn fault(&self, times: u64) -> Fault {
        let mut rng = self.rng.lock().expect("one thread");
        if !rng.in_thousand((self.rate.load(Relaxed) * times / 4) as usize) {
            return Fault::None;
        }
        if rng.in_thousand(500) {
            self.before.fetch_add(1, Relaxed);
            Fault::Before
        } else {
            self.after.fetch_add(1, Relaxed);
            Fault::After
        }
    }
}

/// Where refused records are published.
struct Letters(Arc<Mutex<Vec<Position>>>, Arc<Trouble>);

impl Publish for Letters {
    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        let fault = self.1.fault(4);
        if fault != Fault::Before {
            self.0.lock().expect("one thread").extend(letters.iter().map(|letter| letter.position.clone()));
        }
        if fault == Fault::None { Ok(()) } else { Err("fault: the broker is away".to_owned()) }
    }
}

/// One process with its desk and senders.
struct Running {
    desk: Desk,
    leads: bool,
    asks: SyncSender<Ask>,
    due: mpsc::Receiver<Notice>,
    /// Notices in the senders' hands.
    sending: VecDeque<Notice>,
    /// Verdicts on their way home.
    verdicts: VecDeque<(String, Verdict)>,
}

/// A place where a desk runs, or ran.
struct Machine {
    running: Option<Running>,
    /// Not scheduled before then: a long pause, or the time a restart takes.
    sleeps: Instant,
    starts: u64,
}

/// One world as it goes.
pub struct Drive {
    pub world: Arc<World>,
    pub clock: Clock,
    pub disk: Memory,
    pub receivers: Receivers,
    pub people: People,
    pub published: Arc<Mutex<Vec<Position>>>,
    pub tally: Tally,
    pub end: Instant,
    /// It did not come to rest.
    pub restless: bool,
    /// The fold of the ledger, as anybody who reads it has it.
    pub state: State,
    rng: Rng,
    machines: Vec<Machine>,
    trouble: Arc<Trouble>,
    spoil: Spoil,
    told: bool,
    leader: Option<usize>,
}

impl Drive {
    /// The world with everything that can go wrong.
    pub fn wild(seed: u64, world: Arc<World>, spoil: Spoil, told: bool) -> Drive {
        let mut rng = Rng(seed);
        let desks = 1 + rng.below(3);
        let rate = *rng.pick(&[0, 2, 8, 20]);
        Drive::new(seed, world, desks, rate, spoil, told)
    }

    /// One desk and nothing that goes wrong.
    pub fn calm(world: Arc<World>) -> Drive {
        Drive::new(0, world, 1, 0, Spoil::Nothing, false)
    }

    fn new(seed: u64, world: Arc<World>, desks: usize, rate: u64, spoil: Spoil, told: bool) -> Drive {
        let clock = Clock::at(world.start);
        let rng = Mutex::new(Rng(seed ^ 0xfa17));
        let trouble = Trouble { rng, rate: rate.into(), before: 0.into(), after: 0.into() };
        let machine = |_| Machine { running: None, sleeps: world.start, starts: 0 };
        Drive {
            disk: Memory::new(clock.clone()),
            receivers: Receivers::default(),
            people: People::default(),
            published: Arc::default(),
            tally: Tally::default(),
            end: world.last + AFTER,
            restless: false,
            state: State::default(),
            rng: Rng(seed ^ 0xd21e),
            machines: (0..desks).map(machine).collect(),
            trouble: Arc::new(trouble),
            clock,
            world,
            spoil,
            told,
            leader: None,
        }
    }

    fn say(&self, machine: usize, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{} desk {machine}: {}", self.clock.now(), what());
        }
    }

    fn hook(&self) -> Hook {
        let (trouble, spoil, disk) = (self.trouble.clone(), self.spoil, self.disk.clone());
        Arc::new(move |call| match call {
            Call::Commit(step) => {
                if spoil != Spoil::Nothing {
                    step.fence = None;
                }
                if spoil == Spoil::Swap {
                    for (from, to) in &mut step.positions {
                        from.offset = disk.position(&from.stream, from.partition).unwrap_or(0);
                        to.offset = to.offset.max(from.offset);
                    }
                }
                trouble.fault(4)
            }
            Call::Lead(_) | Call::Write => trouble.fault(2),
            Call::Read => trouble.fault(1),
        })
    }

    // -- one step of one machine

    fn start(&mut self, at: usize) {
        self.machines[at].starts += 1;
        let starts = self.machines[at].starts;
        let (asks, asked) = sync_channel(1_024);
        let (due_out, due) = mpsc::channel(256);
        let seed = self.rng.next();
        let parts = Parts {
            clock: self.clock.clone(),
            store: Arc::new(self.disk.with_hook(self.hook())),
            source: Box::new(Stream::open(self.world.clone(), self.clock.clone(), seed)),
            reader: TABLES.0.clone(),
            rules: TABLES.1.clone(),
            plan: DUTY.clone(),
            index: None,
            lead: Some(Lead { holder: format!("desk-{at}/{starts}"), holds: HOLDS }),
            publish: Some(Box::new(Letters(self.published.clone(), self.trouble.clone()))),
            commit_ms: 0,
            keep_index: Span::days(30),
            metrics: METRICS.clone(),
            asks: asked,
            due: due_out,
            progress: watch::channel(Progress::default()).0,
            state: watch::channel(Arc::new(Shown::default())).0,
            observer: Box::new(|_| {}),
            readers: 1,
        };
        match Desk::recover(parts) {
            Ok(desk) => {
                self.say(at, || "starts and stands by".to_owned());
                let (sending, verdicts) = (VecDeque::new(), VecDeque::new());
                self.machines[at].running = Some(Running { desk, leads: false, asks, due, sending, verdicts });
            }
            Err(error) => self.died(at, &error),
        }
    }

    fn died(&mut self, at: usize, error: &DeskError) {
        self.say(at, || format!("stops: {error}"));
        match error {
            DeskError::Store(StoreError::Deposed { .. }) => self.tally.hit("deposed"),
            DeskError::Store(StoreError::Fenced { .. }) => self.tally.hit("fenced"),
            _ => self.tally.hit("stopped by a fault"),
        }
        self.crash(at);
    }

    fn crash(&mut self, at: usize) {
        self.machines[at].running = None;
        self.machines[at].sleeps = self.clock.now() + self.rng.seconds(60);
    }

    /// What `work` makes of the desk; a desk that failed is gone.
    fn with(&mut self, at: usize, work: impl FnOnce(&mut Running) -> Result<bool, DeskError>) -> bool {
        let Some(running) = self.machines[at].running.as_mut() else { return false };
        match work(running) {
            Ok(some) => some,
            Err(error) => {
                self.died(at, &error);
                false
            }
        }
    }

    fn stand(&mut self, at: usize) -> bool {
        if self.with(at, |one| one.desk.seek_lead()) {
            self.say(at, || "leads".to_owned());
            if self.leader.replace(at).is_some_and(|before| before != at) {
                self.tally.hit("takeover");
            }
            self.with(at, |one| {
                one.leads = true;
                one.desk.begin().map(|()| true)
            });
            return true;
        }
        self.with(at, |one| one.desk.keep_warm())
    }

    fn turn(&mut self, at: usize) -> bool {
        let took = self.with(at, |one| one.desk.turn().map(|turn| turn == Turn::Took));
        if let Some(one) = &mut self.machines[at].running {
            while let Ok(notice) = one.due.try_recv() {
                one.sending.push_back(notice);
            }
        }
        took
    }

    fn beat(&mut self, at: usize) -> bool {
        self.with(at, |one| {
            one.desk.keep_lead()?;
            one.desk.answer_asked().map(|()| true)
        })
    }

    /// The senders of a process make an attempt, or bring a verdict home.
    fn send(&mut self, at: usize, honest: bool) -> bool {
        let Some(one) = &mut self.machines[at].running else { return false };
        if let Some((key, verdict)) = one.verdicts.pop_front() {
            // A desk that stands by or is gone hears nothing.
            return one.asks.try_send(Ask::Sent(key, verdict)).is_ok();
        }
        let Some(notice) = one.sending.pop_front() else { return false };
        let verdicts = self.receivers.take(&notice, &mut self.rng, honest);
        one.verdicts.extend(verdicts.into_iter().map(|verdict| (notice.key.clone(), verdict)));
        true
    }

    fn step(&mut self, at: usize) {
        if self.machines[at].sleeps > self.clock.now() {
            return;
        }
        let Some(one) = &self.machines[at].running else { return self.start(at) };
        let leads = one.leads;
        if self.rng.in_thousand(15) {
            self.say(at, || "is killed".to_owned());
            self.tally.hit("killed");
            return self.crash(at);
        }
        if self.rng.in_thousand(15) {
            self.tally.hit("frozen");
            self.machines[at].sleeps = self.clock.now() + self.rng.seconds(120);
            return;
        }
        if !leads {
            self.stand(at);
            return;
        }
        match self.rng.below(100) {
            0..=49 => drop(self.turn(at)),
            50..=69 => drop(self.beat(at)),
            70..=95 => drop(self.send(at, false)),
            96..=98 => {
                self.with(at, |one| one.desk.settle(true).map(|()| true));
                self.tally.hit("checkpoint");
            }
            _ => {
                let Some(one) = self.machines[at].running.take() else { return };
                self.say(at, || "is asked to stop".to_owned());
                self.tally.hit("stopped");
                if let Err(error) = one.desk.close() {
                    self.died(at, &error);
                }
            }
        }
    }

    // -- the whole story

    /// Everything goes wrong that can until the last record has arrived, then nothing more; ends when all is at rest.
    pub fn run(&mut self, wild: bool) {
        while wild && self.clock.now() < self.world.last {
            self.follow();
            let pass = match self.rng.below(20) {
                0..=7 => Span::millis(0),
                8..=14 => self.rng.seconds(8),
                15..=17 => self.rng.seconds(60),
                _ => self.rng.seconds(400),
            };
            self.clock.advance(self.clock.now() + pass);
            if self.rng.in_thousand(40) {
                self.people.ask(&self.disk, &self.state, &self.world, &self.clock, &mut self.rng);
            }
            if self.rng.in_thousand(100) {
                self.people.listen(&self.disk);
            }
            for _ in 0..1 + self.rng.below(6) {
                let at = self.rng.below(self.machines.len());
                self.step(at);
            }
        }
        self.trouble.rate.store(0, Relaxed);
        self.clock.advance(self.world.last + Span::seconds(120));
        self.rest();
        let (before, after) = (self.trouble.before.load(Relaxed), self.trouble.after.load(Relaxed));
        self.tally.0.insert("store failed before", before);
        self.tally.0.insert("store failed after", after);
    }

    /// With no more faults: turns until nothing moves, then the clock goes to what is due next.
    fn rest(&mut self) {
        for _ in 0..REST {
            let mut moved = false;
            for at in 0..self.machines.len() {
                moved |= match &self.machines[at].running {
                    None => {
                        self.start(at);
                        true
                    }
                    Some(one) if !one.leads => self.stand(at),
                    Some(_) => {
                        self.beat(at);
                        self.turn(at) | self.send(at, true) | self.machines[at].running.is_none()
                    }
                };
            }
            if moved {
                continue;
            }
            self.follow();
            self.people.listen(&self.disk);
            let leads = self.machines.iter().flat_map(|one| &one.running).any(|one| one.leads);
            let next = [self.state.next_due(), self.state.notice_wakeup()].into_iter().flatten().min();
            let now = self.clock.now();
            match next.filter(|at| *at <= self.end) {
                // Whoever led last may be gone: the lease has to run out.
                _ if !leads => self.clock.advance(now + HOLDS),
                Some(at) if at > now => self.clock.advance(at),
                // What is due now is not done: nothing will move it.
                Some(_) if now >= self.end => return,
                Some(_) => self.clock.advance(now + Span::seconds(60)),
                None if now < self.end => self.clock.advance(self.end),
                None => return,
            }
        }
        self.restless = true;
    }

    /// Takes in what the ledger has.
    pub fn follow(&mut self) {
        for entry in self.disk.entries(self.state.seq(), usize::MAX).expect("no fault on this handle") {
            self.state.absorb(&entry);
        }
    }
}
