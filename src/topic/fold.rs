//! Folding: which topic a mention belongs to, and why. In: mentions with readings, in the order of the stream. Out: the
//! topic, the reason, and the topics that turned out to be one.
//!
//! What hangs on another mention follows it; an equal text, then a near copy, then a text alike in content join unless place
//! or class contradict. The state is bounded: texts and ids by time, topics by number.

use super::finger::{Names, Window, key, says_enough, signature};
use super::kept;
use super::like::{Likes, Terms, terms};
use super::rules::{FoldRules, HeatRules};
use super::scene::Scenes;
use super::store::{self, Topic, event_time};
use super::{Joined, TopicId};
use crate::assess::Reading;
use crate::mention::{Counts, Kind, Mention};
use crate::time::{Instant, Span};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Merges remembered: those who hold an older id than this are told that it is gone.
const MERGES: usize = 100_000;

/// Where a mention went.
#[derive(Clone, PartialEq, Debug)]
pub struct Folded {
    /// Its topic.
    pub topic: TopicId,
    /// Why.
    pub joined: Joined,
    /// Topics that turned out to be one: the younger, the one that stays.
    pub merged: Vec<(TopicId, TopicId)>,
}

/// All topics.
#[derive(Clone, Serialize, Deserialize, Debug, Default)]
pub struct Topics {
    #[serde(with = "kept::sorted")]
    topics: FxHashMap<u64, Box<Topic>>,
    by_age: BTreeSet<(Instant, u64)>,
    merged: BTreeMap<u64, u64>,
    window: Window,
    names: Names,
    likes: Likes,
    scenes: Scenes,
}

fn hours(n: f64) -> Span {
    Span((n * 3_600_000.0) as i64)
}

fn percent(likeness: f64) -> u8 {
    (likeness.clamp(0.0, 1.0) * 100.0).round() as u8
}

impl Topics {
    /// Puts a mention into a topic, its own or another.
    pub fn fold(&mut self, mention: &Mention, reading: &Reading, rules: &FoldRules, heat: &HeatRules) -> Folded {
        let at = event_time(mention);
        let hanging = self.by_name(mention);
        let follows = !hanging.is_empty() && mention.kind != Kind::Post && mention.kind != Kind::Message;
        let telling = says_enough(&reading.bare) && !follows;
        let print = telling.then(|| (key(&reading.bare), signature(&reading.bare)));
        let content = (telling && store::matters(mention, reading)).then(|| terms(&reading.bare));

        let mut votes = hanging;
        if let Some((exact, signature)) = &print {
            self.by_copy(*exact, signature, reading, rules, &mut votes);
        }
        let same = matches!(votes.first(), Some((_, Joined::Same)));
        if let Some(content) = content.as_ref().filter(|_| !same) {
            self.by_content(content, mention, reading, rules, &mut votes);
        }
        if votes.is_empty() && mention.kind != Kind::Listing && mention.kind != Kind::Message {
            self.by_scene(reading, at, rules, &mut votes);
        }
        let (topic, joined) = votes.first().copied().unwrap_or_else(|| (self.open(mention, at), Joined::New));
        let mut merged = Vec::new();
        let mut stays = topic;
        for (other, _) in votes.iter().skip(1) {
            merged.extend(self.merge(TopicId(stays), TopicId(*other)));
            stays = self.resolve(TopicId(stays)).0;
        }
        self.put(stays, mention, reading, heat);
        if let Some((exact, signature)) = print {
            self.window.add(at, exact, signature, stays, hours(rules.window_hours));
        }
        if let Some(content) = content {
            self.likes.add(stays, &content);
        }
        if mention.kind != Kind::Listing && mention.kind != Kind::Message {
            self.scenes.add(reading, at, stays, rules.scene_hours);
        }
        self.name(mention, at, stays, rules);
        self.shrink(rules.topics);
        Folded { topic: TopicId(stays), joined, merged }
    }

    /// Topics that the mention's own id and its parent's are known under.
    fn by_name(&self, mention: &Mention) -> Vec<(u64, Joined)> {
        let reason = if mention.kind == Kind::Listing { Joined::Entry } else { Joined::Parent };
        let parent = mention.parent.as_ref().and_then(|parent| self.named(&parent.id)).map(|topic| (topic, reason));
        let own = if mention.kind == Kind::Listing { None } else { self.named(&mention.id) };
        let mut votes: Vec<(u64, Joined)> = parent.into_iter().chain(own.map(|topic| (topic, Joined::Child))).collect();
        votes.dedup_by_key(|vote| vote.0);
        votes
    }

    fn named(&self, id: &str) -> Option<u64> {
        self.living(self.names.topic(key(id))?)
    }

    fn living(&self, topic: u64) -> Option<u64> {
        let topic = self.resolve(TopicId(topic)).0;
        self.topics.contains_key(&topic).then_some(topic)
    }

    fn by_copy(
        &self,
        exact: u64,
        signature: &super::finger::Signature,
        reading: &Reading,
        rules: &FoldRules,
        votes: &mut Vec<(u64, Joined)>,
    ) {
        let before = votes.len();
        if let Some(topic) = self.window.same(exact).and_then(|topic| self.living(topic)) {
            vote(votes, topic, Joined::Same);
        }
        if votes.len() > before {
            return;
        }
        for (likeness, topic) in self.window.near(signature, rules.near) {
            let Some(topic) = self.living(topic) else { continue };
            if !self.contradicts(topic, reading) {
                vote(votes, topic, Joined::Near(percent(likeness)));
                return;
            }
        }
    }

    fn by_content(
        &self,
        content: &Terms,
        mention: &Mention,
        reading: &Reading,
        rules: &FoldRules,
        votes: &mut Vec<(u64, Joined)>,
    ) {
        let at = event_time(mention);
        let mut scored: Vec<(f64, u64)> = Vec::new();
        for (cosine, topic) in self.likes.nearest(content) {
            let Some(found) = self.topics.get(&topic) else { continue };
            let message = mention.kind == Kind::Message && found.messages;
            let half_life = if message { rules.message_half_life_hours } else { rules.half_life_hours };
            let age = Span((at.millis() - found.last.millis()).abs());
            let likeness = cosine * 0.5f64.powf(age.as_seconds() / 3_600.0 / half_life);
            let least = if message {
                rules.alike_message
            } else if self.contradicts(topic, reading) || found.contradicts_class(reading) {
                rules.alike_contradicted
            } else {
                rules.alike
            };
            if likeness >= least {
                scored.push((likeness, topic));
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (likeness, topic) in scored {
            match votes.first() {
                None => vote(votes, topic, Joined::Alike(percent(likeness))),
                Some((first, _)) => {
                    let tied = likeness >= rules.merge && self.likes.between(*first, topic) >= rules.merge;
                    if tied && !self.apart(*first, topic) {
                        vote(votes, topic, Joined::Alike(percent(likeness)));
                    }
                }
            }
        }
    }

    /// The hazard of the same class that is told of at the same place now.
    fn by_scene(&self, reading: &Reading, at: Instant, rules: &FoldRules, votes: &mut Vec<(u64, Joined)>) {
        let near = self.scenes.near(reading, at, rules.scene_hours);
        let met =
            near.into_iter().filter_map(|topic| self.living(topic)).find(|&topic| !self.contradicts(topic, reading));
        votes.extend(met.map(|topic| (topic, Joined::Scene)));
    }

    fn contradicts(&self, topic: u64, reading: &Reading) -> bool {
        self.topics.get(&topic).is_some_and(|topic| topic.contradicts_place(&reading.assessment.place))
    }

    /// Whether two topics name different places.
    fn apart(&self, a: u64, b: u64) -> bool {
        let (Some(a), Some(b)) = (self.topics.get(&a), self.topics.get(&b)) else { return true };
        b.facts.placed.as_ref().is_some_and(|placed| a.contradicts_place(&placed.place))
    }

    fn open(&mut self, mention: &Mention, at: Instant) -> u64 {
        let mut id = TopicId::of(mention).0;
        while self.topics.contains_key(&id) || self.merged.contains_key(&id) {
            id += 1;
        }
        self.topics.insert(id, Box::new(Topic::new(TopicId(id), at)));
        self.by_age.insert((at, id));
        id
    }

    fn put(&mut self, topic: u64, mention: &Mention, reading: &Reading, heat: &HeatRules) {
        self.change(TopicId(topic), |topic| topic.add(mention, reading, heat));
    }

    /// Changes a topic and keeps its place in the order of age.
    pub(crate) fn change<T>(&mut self, topic: TopicId, change: impl FnOnce(&mut Topic) -> T) -> Option<T> {
        let found = self.topics.get_mut(&topic.0)?;
        let before = (found.dear_until(), topic.0);
        let out = change(found);
        let after = (found.dear_until(), topic.0);
        if before != after {
            self.by_age.remove(&before);
            self.by_age.insert(after);
        }
        Some(out)
    }

    fn name(&mut self, mention: &Mention, at: Instant, topic: u64, rules: &FoldRules) {
        let keep = hours(rules.names_hours);
        if mention.kind != Kind::Listing {
            self.names.add(at, key(&mention.id), topic, keep);
        }
        if let Some(parent) = &mention.parent {
            let id = key(&parent.id);
            if mention.kind == Kind::Listing || self.names.topic(id).is_none() {
                self.names.add(at, id, topic, keep);
            }
        }
    }

    fn shrink(&mut self, most: usize) {
        while self.topics.len() > most.max(1) {
            let Some((_, topic)) = self.by_age.pop_first() else { return };
            self.topics.remove(&topic);
            self.likes.forget(topic);
        }
        while self.merged.len() > MERGES {
            self.merged.pop_first();
        }
    }

    /// Makes two topics one: the oldest id stays. `None` where they are one already or one of them is gone.
    pub fn merge(&mut self, a: TopicId, b: TopicId) -> Option<(TopicId, TopicId)> {
        let (a, b) = (self.resolve(a).0, self.resolve(b).0);
        let (into, from) = (a.min(b), a.max(b));
        if into == from || !self.topics.contains_key(&into) {
            return None;
        }
        let gone = self.topics.remove(&from)?;
        self.by_age.remove(&(gone.dear_until(), from));
        self.merged.insert(from, into);
        self.likes.merge(from, into);
        self.change(TopicId(into), |topic| topic.merge(*gone));
        Some((TopicId(from), TopicId(into)))
    }

    /// The topic that an id stands for now.
    pub fn resolve(&self, topic: TopicId) -> TopicId {
        let mut id = topic.0;
        while let Some(&into) = self.merged.get(&id) {
            id = into;
        }
        TopicId(id)
    }

    /// A topic, by any id it had.
    pub fn get(&self, topic: TopicId) -> Option<&Topic> {
        self.topics.get(&self.resolve(topic).0).map(|topic| &**topic)
    }

    /// The topic that a mention, or what it hangs on, is in.
    pub fn topic_of(&self, id: &str) -> Option<TopicId> {
        self.named(id).map(TopicId)
    }

    /// Topics held now.
    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// A later look at a mention's engagement.
    pub fn counts(&mut self, id: &str, counts: Counts) {
        if let Some(topic) = self.topic_of(id) {
            let engaged = store::engagement(&counts);
            self.change(topic, |topic| topic.engagement = topic.engagement.max(engaged));
        }
    }
}

fn vote(votes: &mut Vec<(u64, Joined)>, topic: u64, joined: Joined) {
    if votes.iter().all(|vote| vote.0 != topic) {
        votes.push((topic, joined));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Eight topics of one mention each, and their ids, the oldest first.
    fn eight() -> (Topics, Vec<TopicId>) {
        let mut topics = Topics::default();
        let mut ids = Vec::new();
        for n in 0..8 {
            let json = serde_json::json!({
                "id": format!("weibo:{n}"), "platform": format!("p{}", n % 3), "text": "短", "source": n % 5,
                "created_at": format!("2026-11-20T0{n}:00:00Z"), "collected_at": format!("2026-11-20T09:0{n}:00Z"),
            });
            let mention: Mention = serde_json::from_value(json).expect("a mention");
            ids.push(topics.fold(&mention, &Reading::default(), &FoldRules::default(), &HeatRules::default()).topic);
        }
        (topics, ids)
    }

    proptest! {
        #[test]
        fn merging_is_free_of_order_safe_to_repeat_and_keeps_the_oldest_id(
            pairs in proptest::collection::vec((0usize..8, 0usize..8), 0..12)) {
            let ((mut one, ids), (mut two, same)) = (eight(), eight());
            prop_assert_eq!(&ids, &same);
            for (a, b) in &pairs {
                one.merge(ids[*a], ids[*b]);
            }
            for (a, b) in pairs.iter().rev().chain(&pairs) {
                two.merge(ids[*b], ids[*a]);
            }
            for id in ids {
                prop_assert_eq!(one.resolve(id), two.resolve(id));
                prop_assert!(one.resolve(id) <= id);
                prop_assert_eq!(one.get(id), two.get(id));
            }
            prop_assert_eq!(one.count(), one.by_age.len());
        }
    }
}
