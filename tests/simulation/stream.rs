//! The stream of a simulated world as a desk reads it: partitions merged in an order of its own, as far as the clock has let
//! records arrive, and never past where the desk asked it to hold.

use super::world::{Rng, World};
use std::sync::Arc;
use yuqing::clock::Clock;
use yuqing::intake::{Record, Source, SourceError};
use yuqing::ledger::{Position, Positions};
use yuqing::time::Span;

/// Name of the stream.
pub const STREAM: &str = "yuqing.assessed";

pub struct Stream {
    world: Arc<World>,
    clock: Clock,
    next: Vec<u64>,
    ends: Option<Positions>,
    rng: Rng,
}

pub fn position(partition: usize, offset: u64) -> Position {
    Position { stream: STREAM.to_owned(), partition: partition as i32, offset }
}

impl Stream {
    pub fn open(world: Arc<World>, clock: Clock, seed: u64) -> Stream {
        Stream { next: world.base.clone(), world, clock, ends: None, rng: Rng(seed) }
    }

    fn arrived(&self, partition: usize) -> u64 {
        let now = self.clock.now();
        let arrived = self.world.partitions[partition].partition_point(|sent| sent.arrives <= now);
        self.world.base[partition] + arrived as u64
    }

    fn open_to(&self, partition: usize) -> u64 {
        let held = self.ends.as_ref().map_or(u64::MAX, |ends| ends.next(STREAM, partition as i32));
        self.arrived(partition).min(held)
    }
}

impl Source for Stream {
    fn partitions(&mut self) -> Result<Positions, SourceError> {
        let firsts = self.world.base.iter().enumerate().map(|(partition, base)| position(partition, *base));
        Ok(Positions::from(firsts.collect::<Vec<_>>()))
    }

    fn seek(&mut self, to: &Positions) -> Result<(), SourceError> {
        for (partition, next) in self.next.iter_mut().enumerate() {
            *next = to.next(STREAM, partition as i32).max(self.world.base[partition]);
        }
        Ok(())
    }

    fn hold_at(&mut self, ends: Option<Positions>) {
        self.ends = ends;
    }

    fn report(&mut self, _: &Positions) {}

    fn poll(&mut self, max: usize, _: Span) -> Result<Vec<Record>, SourceError> {
        let batch = max.min(1 + self.rng.below(40));
        let mut records = Vec::new();
        // How many records one partition gives before another has its turn.
        let run = 1 + self.rng.below(12);
        while records.len() < batch {
            let open: Vec<usize> = (0..self.next.len()).filter(|&one| self.next[one] < self.open_to(one)).collect();
            if open.is_empty() {
                break;
            }
            let partition = *self.rng.pick(&open);
            let to = self.open_to(partition).min(self.next[partition] + run as u64);
            for offset in self.next[partition]..to {
                let sent = &self.world.partitions[partition][(offset - self.world.base[partition]) as usize];
                let (body, reading) = (sent.body.clone(), sent.reading.clone());
                records.push(Record { position: position(partition, offset), body, reading, origin: None });
            }
            self.next[partition] = to;
        }
        Ok(records)
    }

    fn at_end(&self) -> bool {
        (0..self.next.len()).all(|partition| self.next[partition] >= self.arrived(partition))
    }

    fn repeats(&self) -> bool {
        true
    }
}
