//! What a store is, without a store: a pure model of ledger, positions, evidence, dead letters, questions, salts and lead.
//! [`drive`] does the same random things to both, crashes included, and panics where they differ. In: a store to drive and
//! bytes that choose. Out: how often each thing happened, so that a test can tell that it tested something.

use super::migrate::{Asked, Source};
use super::{Checkpoint, DeadLetter, Evidence, Position, Positions, Step, StoreError};
use crate::duty::event::{Entry, Event};
use crate::mention::RefusalCode;
use crate::time::{Day, Instant, Span};
use std::collections::BTreeMap;

/// A store that can crash.
pub trait Subject {
    /// The store, open.
    fn store(&self) -> &dyn Source;
    /// Ends it as a crash would, and opens it again.
    fn crash(&mut self);
}

/// How often each thing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Happened {
    /// Steps committed.
    pub steps: u64,
    /// Steps refused because another had moved a position.
    pub fenced: u64,
    /// Steps refused because another leads.
    pub deposed: u64,
    /// Crashes.
    pub crashes: u64,
    /// Answers taken.
    pub answers: u64,
    /// Salts destroyed.
    pub destroyed: u64,
}

impl Happened {
    /// Adds up the runs of a test.
    pub fn add(&mut self, other: Happened) {
        self.steps += other.steps;
        self.fenced += other.fenced;
        self.deposed += other.deposed;
        self.crashes += other.crashes;
        self.answers += other.answers;
        self.destroyed += other.destroyed;
    }
}

#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    said: Vec<(Instant, String, Event)>,
    positions: Positions,
    letters: Vec<DeadLetter>,
    evidence: Vec<Evidence>,
    checkpoint: Option<Checkpoint>,
    salts: BTreeMap<Day, Option<[u8; 32]>>,
    asks: Vec<Asked>,
    /// Token, holder, whether it has run out.
    lead: (u64, String, bool),
    happened: Happened,
}

const START: Day = Day(20_727);
const HOLDERS: [&str; 3] = ["a", "b", "c"];

fn partition(of: u8) -> (String, i32) {
    (["intake", "mentions", "提及"][usize::from(of % 3)].to_owned(), i32::from(of / 3 % 2))
}

/// Does to the store, and to the model of it, what the bytes say; compares all along.
pub fn drive(subject: &mut dyn Subject, commands: &[[u8; 4]]) -> Happened {
    let mut model = Model::default();
    for (number, command) in commands.iter().enumerate() {
        model.run(subject, number, *command);
        model.compare(subject.store(), false);
    }
    subject.crash();
    model.compare(subject.store(), true);
    model.happened
}

impl Model {
    fn run(&mut self, subject: &mut dyn Subject, number: usize, [kind, a, b, c]: [u8; 4]) {
        let store = subject.store();
        match kind % 16 {
            0..=6 => self.step(store, number, [a, b, c]),
            7 => self.zombie(store, number, [a, b, c]),
            8 => self.ladder(store, a, b),
            9 => {
                let holder = HOLDERS[usize::from(a % 3)];
                store.resign(holder).expect("resigns");
                if self.lead.1 == holder {
                    (self.lead.1, self.lead.2) = (String::new(), true);
                }
            }
            10 => {
                let body = format!("问 {number} '\"\\ 🚒");
                let given = store.ask(&body).expect("asks");
                assert!(self.asks.last().is_none_or(|last| last.number < given), "numbers grow");
                self.asks.push(Asked { number: given, body, answer: None });
            }
            11 => self.take(store, a),
            12 => {
                let day = Day(START.0 + i32::from(a % 4));
                let salt = store.salt(day).expect("salts");
                match self.salts.get(&day) {
                    Some(known) => assert_eq!(salt, *known, "one salt a day, and none once destroyed"),
                    None => {
                        assert!(salt.is_some(), "a new day has a salt");
                        self.salts.insert(day, salt);
                    }
                }
            }
            13 => {
                let day = Day(START.0 + i32::from(a % 4));
                let due: Vec<Day> =
                    self.salts.range(..day).filter(|(_, salt)| salt.is_some()).map(|it| *it.0).collect();
                assert_eq!(store.destroy_salts_before(day).expect("destroys"), due);
                self.happened.destroyed += due.len() as u64;
                self.salts.extend(due.into_iter().map(|day| (day, None)));
            }
            _ => {
                subject.crash();
                self.happened.crashes += 1;
                self.compare(subject.store(), true);
            }
        }
    }

    /// A step from where the model stands; some with the token of the lead, some with an old one.
    fn step(&mut self, store: &dyn Source, number: usize, [a, b, c]: [u8; 3]) {
        let mut step = self.decided(number, [a, b, c]);
        step.fence = match c % 4 {
            0 => Some(self.lead.0),
            1 => Some(self.lead.0 + 1 - 2 * u64::from(self.lead.0 > 0)),
            _ => None,
        };
        if let Some(ours) = step.fence.filter(|ours| *ours != self.lead.0) {
            match store.commit(step) {
                Err(StoreError::Deposed { ours: told, held }) => assert_eq!((told, held), (ours, self.lead.0)),
                other => panic!("a step of one deposed: {other:?}"),
            }
            self.happened.deposed += 1;
            return;
        }
        let entries = store.commit(step.clone()).expect("commits");
        assert_eq!(entries.len(), step.events.len());
        self.entries.extend(entries);
        self.said.extend(step.events);
        step.positions.iter().for_each(|(_, to)| self.positions.set(to));
        for (number, answer) in step.answers {
            if let Some(asked) = self.asks.iter_mut().find(|asked| asked.number == number) {
                asked.answer = Some(answer);
            }
        }
        self.letters.extend(step.dead_letters);
        self.evidence.retain(|kept| !step.forget.contains(&kept.mention));
        for piece in step.evidence {
            let same = |kept: &Evidence| (&kept.incident, &kept.mention) == (&piece.incident, &piece.mention);
            if !self.evidence.iter().any(same) {
                self.evidence.push(piece);
            }
        }
        self.checkpoint = step.checkpoint.or(self.checkpoint.take());
        self.happened.steps += 1;
    }

    fn decided(&self, number: usize, [a, b, c]: [u8; 3]) -> Step {
        let at = START.start() + Span::seconds(number as i64);
        let events = (0..a % 4).map(|one| {
            let version = format!("{number}.{one} \u{0}\"七\" 🚒");
            (at, format!("actor-{}", b % 3), Event::Started { version })
        });
        let positions = (0..b % 3).map(|one| {
            let (stream, partition) = partition(a.wrapping_add(one));
            let from = Position { offset: self.positions.next(&stream, partition), stream, partition };
            let to = from.at(from.offset + u64::from(c % 5));
            (from, to)
        });
        let letters = (0..c % 3).map(|one| DeadLetter {
            position: Position { stream: "intake".to_owned(), partition: 0, offset: number as u64 },
            line: u64::from(one),
            id: (b % 2 == 0).then(|| format!("weibo:{number}")),
            code: if a % 2 == 0 { RefusalCode::MissingId } else { RefusalCode::NotJson },
            detail: "'); DROP TABLE entries; --".to_owned(),
            head: "\u{0}\u{fffd}{\"id\":".to_owned(),
            at,
        });
        let evidence = (0..a % 3).map(|one| Evidence {
            incident: format!("I-1001-0{}", b % 4),
            mention: format!("weibo:{}", c.wrapping_add(one) % 8),
            hash: format!("{number:064x}"),
            body: "{\"text\":\"老福山\\u0000着火\"}".to_owned(),
            joined: "首个提及".to_owned(),
        });
        let asked = self.asks.iter().filter(|asked| asked.answer.is_none()).take(usize::from(b % 2));
        let answers = asked.map(|asked| (asked.number, format!("答 {number}"))).collect();
        let positions: Vec<_> = positions.collect();
        let mut after = self.positions.clone();
        positions.iter().for_each(|(_, to)| after.set(to));
        let checkpoint =
            (b % 4 == 0).then(|| Checkpoint { positions: after, version: u32::from(a), body: vec![a, b, c, 0] });
        Step {
            events: events.collect(),
            positions,
            fence: None,
            forget: (a % 5 == 0).then(|| format!("weibo:{}", b % 8)).into_iter().collect(),
            answers,
            dead_letters: letters.collect(),
            evidence: evidence.collect(),
            checkpoint,
        }
    }

    /// A full step of a process that has not seen that a position moved: nothing of it may stay.
    fn zombie(&mut self, store: &dyn Source, number: usize, [a, b, c]: [u8; 3]) {
        let mut step = self.decided(number, [a | 1, b | 1, c | 1]);
        let Some((from, _)) = step.positions.last_mut() else { return };
        from.offset += 1 + u64::from(c);
        let (wrong, stored) = (from.clone(), from.offset - 1 - u64::from(c));
        match store.commit(step) {
            Err(StoreError::Fenced { stream, partition, stored: told, expected }) => {
                assert_eq!((stream, partition, told, expected), (wrong.stream, wrong.partition, stored, wrong.offset));
            }
            other => panic!("a zombie's step: {other:?}"),
        }
        self.happened.fenced += 1;
    }

    /// A lead that holds for ever, or has run out as soon as it is had: no test waits for a clock.
    fn ladder(&mut self, store: &dyn Source, a: u8, b: u8) {
        let holder = HOLDERS[usize::from(a % 3)];
        let (holds, over) = if b.is_multiple_of(2) { (Span::days(1), false) } else { (Span::days(-1), true) };
        let given = store.lead(holder, holds).expect("asks for the lead");
        let (token, by, free) = &mut self.lead;
        if by == holder {
            assert_eq!(given, Some(*token), "who leads keeps its token");
        } else if *token == 0 || *free {
            assert_eq!(given, Some(*token + 1), "a new leader has a new token");
            *token += 1;
        } else {
            assert_eq!(given, None, "the lead is held");
            return;
        }
        (*by, *free) = (holder.to_owned(), over);
    }

    fn take(&mut self, store: &dyn Source, a: u8) {
        let Some(asked) = self.asks.get(usize::from(a) % self.asks.len().max(1)) else {
            assert_eq!(store.take_answer(1_000_000).expect("looks"), None);
            return;
        };
        let (number, answer) = (asked.number, asked.answer.clone());
        assert_eq!(store.take_answer(number).expect("takes"), answer);
        if answer.is_some() {
            self.asks.retain(|asked| asked.number != number);
            self.happened.answers += 1;
        }
    }

    fn compare(&self, store: &dyn Source, whole: bool) {
        assert_eq!(store.positions().expect("reads"), self.positions);
        assert_eq!(store.checkpoint().expect("reads"), self.checkpoint);
        let open = self.asks.iter().filter(|asked| asked.answer.is_none());
        let open: Vec<(u64, String)> = open.map(|asked| (asked.number, asked.body.clone())).collect();
        assert_eq!(store.asked(usize::MAX).expect("reads"), open);
        let from = if whole { 0 } else { self.entries.len().saturating_sub(8) };
        let entries = store.entries(from as u64, usize::MAX).expect("reads");
        assert_eq!(entries, self.entries[from..], "what was given is what is stored");
        if !whole {
            return;
        }
        let said: Vec<_> = entries.into_iter().map(|entry| (entry.at, entry.actor, entry.event)).collect();
        assert_eq!(said, self.said, "what was decided is what is stored");
        assert_eq!(store.verify().expect("the chain is whole"), self.entries.len() as u64);
        let letters: Vec<_> = store.letters(0, usize::MAX).expect("reads").into_iter().map(|it| it.1).collect();
        assert_eq!(letters, self.letters);
        let mut counts: BTreeMap<&str, (RefusalCode, u64)> = BTreeMap::new();
        for letter in &self.letters {
            counts.entry(letter.code.name()).or_insert((letter.code, 0)).1 += 1;
        }
        assert_eq!(store.dead_letter_counts().expect("reads"), counts.into_values().collect::<Vec<_>>());
        let pieces: Vec<_> = store.pieces(0, usize::MAX).expect("reads").into_iter().map(|it| it.1).collect();
        assert_eq!(pieces, self.evidence);
        assert_eq!(store.salts().expect("reads"), self.salts.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(store.questions().expect("reads"), self.asks);
    }
}
