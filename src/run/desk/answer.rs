//! What the desk does between records: answers, lets notices go, makes things durable, and shows its state.

use super::parts::{Ask, DeskError, Progress};
use super::recover::Kept;
use super::{CHECKPOINT_RECORDS, CHECKPOINT_VERSION, Desk, RECENT_MENTIONS};
use crate::assess::Reading;
use crate::duty::{self, Input};
use crate::intake::Seen;
use crate::ledger::{Checkpoint, Step, StoreError};
use crate::mention::Mention;
use crate::web::{CommandRefused, TopicView};
use std::sync::Arc;

impl Desk {
    pub(super) fn answer(&mut self, ask: Ask) -> Result<(), DeskError> {
        match ask {
            Ask::Command(command, reply) => {
                self.tick_if_read()?;
                let incident = command.incident().to_owned();
                let outcome = match duty::apply(&self.state, &self.parts.plan, self.now, Input::Command(command)) {
                    Ok(events) => {
                        let at = self.now;
                        let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
                        self.commit(Step { events, ..Step::default() })?;
                        self.state.incident(&incident).ok_or(CommandRefused::NotFound)
                    }
                    Err(refusal) => Err(refused(refusal)),
                };
                self.show();
                // The one who asked may have gone.
                let _ = reply.send(outcome);
            }
            Ask::Sent(key, verdict) => {
                self.tick_if_read()?;
                self.in_flight.remove(&key);
                if let Ok(events) = duty::apply(&self.state, &self.parts.plan, self.now, Input::Sent { key, verdict }) {
                    let at = self.now;
                    let events = events.into_iter().map(|(actor, event)| (at, actor, event)).collect();
                    self.commit(Step { events, ..Step::default() })?;
                }
                self.show();
            }
            Ask::Topic(incident, reply) => {
                let _ = reply.send(self.topic_view(&incident));
            }
            Ask::Audit(actor, event) => {
                let at = self.now.max(self.parts.clock.now());
                self.commit(Step { events: vec![(at, actor, *event)], ..Step::default() })?;
            }
            Ask::Stop => {}
        }
        Ok(())
    }

    /// Growth and members of an incident's topic; empty where it has none or it is forgotten.
    pub(super) fn topic_view(&self, incident: &str) -> TopicView {
        let topics = self.topics.iter().rev().filter(|(_, id)| *id == incident).map(|(topic, _)| *topic);
        let view = topics.map(|topic| {
            let (mentions, mentions_total) = self.watch.members(topic);
            TopicView { growth: self.watch.growth(topic), mentions, mentions_total }
        });
        view.max_by_key(|view| view.mentions_total).unwrap_or_default()
    }

    pub(super) fn tick_if_read(&mut self) -> Result<(), DeskError> {
        let clock = self.parts.clock.now();
        if self.parts.source.at_end() && self.caught_up { self.tick(clock) } else { Ok(()) }
    }

    /// Index commit and checkpoint when due or `last`, notices that are due, progress and view.
    pub fn settle(&mut self, last: bool) -> Result<(), DeskError> {
        let due = self.last_commit.elapsed().as_millis() as u64 >= self.parts.commit_ms;
        if (due && self.dirty) || last {
            if let Some(index) = &mut self.parts.index {
                index.commit(&self.next).map_err(|error| DeskError::Index(error.to_string()))?;
            }
            self.indexed.raise(&self.next);
            self.dirty = false;
            self.last_commit = std::time::Instant::now();
            self.parts.source.report(&self.decided);
            // Only what the index holds may be checkpointed: a restart reads the stream from there for both.
            let read = self.next.total();
            if self.caught_up && (read >= self.checkpointed + CHECKPOINT_RECORDS || last) {
                let body = Kept { watch: self.watch.save(), seen: self.seen.as_ref().map(Seen::save) };
                let body = postcard::to_stdvec(&body).map_err(|error| StoreError::Failed(error.to_string()))?;
                let checkpoint = Checkpoint { positions: self.next.clone(), version: CHECKPOINT_VERSION, body };
                self.commit(Step { checkpoint: Some(checkpoint), ..Step::default() })?;
                self.checkpointed = read;
            }
        }
        let (now, keep) = (self.parts.clock.now(), self.parts.keep_index);
        if let Some(index) = self.parts.index.as_mut().filter(|_| self.expired != Some(now.day())) {
            self.expired = Some(now.day());
            let dropped = index.expire_kept(now, keep).map_err(|error| DeskError::Index(error.to_string()))?;
            if dropped > 0 {
                tracing::info!(dropped, "days of the index have ended their time");
            }
        }
        for notice in self.state.due_notices(self.now) {
            let key = notice.key.clone();
            self.channels.entry(key.clone()).or_insert_with(|| notice.channel.clone());
            if !self.in_flight.contains(&key) && self.parts.due.try_send(notice).is_ok() {
                self.in_flight.insert(key);
            }
        }
        self.show();
        Ok(())
    }

    pub(super) fn show(&mut self) {
        if self.shown_version != Some(self.version) {
            self.shown.incidents = self.state.incidents();
            self.shown.restricted = self.restricted.iter().filter_map(|id| self.state.incident(id)).collect();
            self.shown_version = Some(self.version);
        }
        self.parts.metrics.topics.set(self.watch.topic_count() as i64);
        let (read, indexed) = (self.next.total(), self.indexed.total());
        self.parts.metrics.index_lag.set(read.saturating_sub(indexed) as i64);
        let left = self.shown.incidents.iter().filter(|one| one.state.is_open()).flat_map(|one| &one.clocks);
        let left = left
            .filter(|clock| clock.state == duty::view::ClockState::Running)
            .map(|clock| (clock.due - self.now).0 / 1_000)
            .min();
        self.parts.metrics.time_left.set(left.unwrap_or(7_200));
        self.parts.state.send_replace(Arc::new(self.shown.clone()));
        let progress = Progress { offset: read, now: Some(self.now), indexed, version: self.version };
        self.parts.progress.send_replace(progress);
    }

    pub(super) fn count(&mut self, mention: &Mention) {
        self.parts.metrics.mentions.with_label_values(&[&mention.platform]).inc();
        let day = mention.collected_at.day();
        if self.shown.day != Some(day) {
            self.shown.day = Some(day);
            let over = std::mem::replace(&mut self.shown.per_hour, vec![0; 24]);
            self.shown.usual_per_hour = crate::web::usual(&self.shown.usual_per_hour, &over);
            self.shown.withheld.clear();
        }
        self.shown.per_hour[(mention.collected_at.minute_of_day() / 60) as usize] += 1;
        self.shown.last_mention = Some(mention.collected_at);
    }

    pub(super) fn remember(&mut self, mention: &Mention, reading: &Reading) {
        let assessment = &reading.assessment;
        if assessment.person_in_danger || assessment.classes.is_empty() {
            return;
        }
        if self.recent.insert(mention.id.clone(), mention.clone()).is_none() {
            self.recent_order.push_back(mention.id.clone());
        }
        while self.recent_order.len() > RECENT_MENTIONS {
            if let Some(oldest) = self.recent_order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
    }
}

pub(super) fn refused(refusal: duty::Refusal) -> CommandRefused {
    match refusal {
        duty::Refusal::NotFound => CommandRefused::NotFound,
        duty::Refusal::Conflict(why) => CommandRefused::Conflict(why),
        duty::Refusal::Invalid(why) => CommandRefused::Invalid(why),
    }
}
