//! The others in a simulated world: receivers that lie, and people who ask through the store, at times twice.

use super::world::{Rng, World};
use std::collections::BTreeMap;
use yuqing::clock::Clock;
use yuqing::duty::event::{Event, Notice};
use yuqing::duty::view::IncidentView;
use yuqing::duty::{Command, State, Verdict};
use yuqing::ledger::Store;
use yuqing::ledger::memory::Memory;
use yuqing::run::desk::{AnswerBody, AskBody};
use yuqing::time::Span;

/// All receivers together.
#[derive(Default)]
pub struct Receivers {
    /// What was taken, byte for byte, as often as it was.
    pub heard: Vec<(String, String)>,
    pub lies: u64,
}

impl Receivers {
    /// One attempt: the verdicts that the sender comes home with, mostly one.
    pub fn take(&mut self, notice: &Notice, rng: &mut Rng, honest: bool) -> Vec<Verdict> {
        let mut hear = || self.heard.push((notice.key.clone(), serde_json::to_string(notice).expect("a notice")));
        let detail = || "simulated".to_owned();
        let kind = if honest { 0 } else { rng.below(16) };
        self.lies += u64::from(kind > 8);
        match kind {
            // Takes it and says no.
            9 | 10 => {
                hear();
                vec![Verdict::Retry { after_ms: None, detail: detail() }]
            }
            // Takes it and never answers.
            11 => {
                hear();
                vec![Verdict::Unknown { detail: detail() }]
            }
            // Hears nothing.
            12 => vec![Verdict::Unknown { detail: detail() }],
            // Answers twice.
            13 => {
                hear();
                vec![Verdict::Accepted, Verdict::Accepted]
            }
            // Asks to wait, at times for a week.
            14 => {
                let seconds = if rng.in_thousand(200) { 604_800 } else { 600 };
                let after_ms = Some(1_000 * rng.below(seconds) as i64);
                vec![Verdict::Retry { after_ms, detail: detail() }]
            }
            15 if rng.in_thousand(300) => vec![Verdict::Refused { detail: detail() }],
            15 if rng.in_thousand(300) => vec![Verdict::Misconfigured { detail: detail() }],
            _ => {
                hear();
                vec![Verdict::Accepted]
            }
        }
    }
}

/// What people asked through the store, and the answers they took.
#[derive(Default)]
pub struct People {
    /// Number of the question, and the mark by which its events are known.
    pub open: BTreeMap<u64, String>,
    pub answers: Vec<(u64, String, AnswerBody)>,
    asked: u64,
    pub repeats: u64,
}

impl People {
    /// Somebody asks something about an incident that is there, or of no incident at all.
    pub fn ask(&mut self, store: &Memory, state: &State, world: &World, clock: &Clock, rng: &mut Rng) {
        let incidents = state.incidents();
        let mark = format!("ask-{}", self.asked);
        self.asked += 1;
        let until = clock.now() + Span::seconds(5) + rng.seconds(600);
        let body = if rng.in_thousand(100) {
            let event =
                Event::Searched { by: "wang".to_owned(), purpose: mark.clone(), query: "*".to_owned(), total: 0 };
            AskBody::Audit { actor: "wang".to_owned(), event: Box::new(event) }
        } else {
            if incidents.is_empty() {
                return;
            }
            AskBody::Command { command: command(rng.pick(&incidents), world, &mark, rng), until }
        };
        let body = serde_json::to_string(&body).expect("a question");
        let times = if rng.in_thousand(200) { 2 } else { 1 };
        self.repeats += times - 1;
        for _ in 0..times {
            let number = store.ask(&body).expect("no fault on this handle");
            self.open.insert(number, mark.clone());
        }
    }

    /// Takes the answers that are there.
    pub fn listen(&mut self, store: &Memory) {
        let numbers: Vec<u64> = self.open.keys().copied().collect();
        for number in numbers {
            if let Some(answer) = store.take_answer(number).expect("no fault on this handle") {
                let answer = serde_json::from_str(&answer).expect("an answer");
                let mark = self.open.remove(&number).unwrap_or_default();
                self.answers.push((number, mark, answer));
            }
        }
    }
}

fn command(incident: &IncidentView, world: &World, mark: &str, rng: &mut Rng) -> Command {
    let by = (*rng.pick(&["li", "wang", "chen"])).to_owned();
    let id = incident.id.clone();
    let planted = world.planted.iter().find(|planted| incident.carried.iter().any(|id| planted.ids.contains(id)));
    match rng.below(8) {
        0..=4 => Command::Acknowledge { incident: id, by, via: mark.to_owned() },
        // What is dismissed and then found to be worse is raised again, rightly; here one event is one incident.
        5 if planted.is_some_and(|planted| !planted.rising) => {
            Command::Dismiss { incident: id, by, reason: mark.to_owned() }
        }
        _ => {
            let back = Span::seconds(rng.below(1_800) as i64);
            let occurred = rng.in_thousand(400).then(|| incident.times.first_mention.unwrap_or_default() - back);
            Command::Confirm { incident: id, by, occurred, reason: mark.to_owned() }
        }
    }
}
