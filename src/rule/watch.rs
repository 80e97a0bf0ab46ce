//! The whole watch as one value: mentions with their readings in, topics and findings out. Pure and deterministic; saved
//! and loaded without a trace.

use super::judge::{Call, Case};
use super::settings::Rules;
use super::{Finding, FindingKind};
use crate::assess::{Class, Level, Place, Reading, Verdict};
use crate::limits;
use crate::mention::{Counts, Kind, Mention};
use crate::time::Instant;
use crate::topic::{Folded, Heat, Joined, Raised, Topic, TopicId, Topics, event_time, surety};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the saved form; another is refused, never guessed.
const VERSION: u8 = 2;

/// Why a mention was not put before people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// An exercise, or a retelling of its announcement.
    Drill,
    /// Something of the past.
    OldNews,
    /// Elsewhere, or nowhere said.
    Elsewhere,
    /// Tells of nothing.
    Noise,
    /// A correction, or a retelling of what was corrected.
    Refuted,
    /// A single request: the case queue has it.
    CaseQueue,
    /// Contained, and told by too few: the digest has it.
    Digest,
    /// Nothing that calls for anything.
    Quiet,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Withheld::Drill => "演练",
            Withheld::OldNews => "旧闻重提",
            Withheld::Elsewhere => "不在本市或未说地点",
            Withheld::Noise => "与事件无关",
            Withheld::Refuted => "已澄清或属澄清信息",
            Withheld::CaseQueue => "个别诉求，转办件",
            Withheld::Digest => "局部可控且来源不足，列入简报",
            Withheld::Quiet => "无须处理",
        })
    }
}

/// What became of a mention.
#[derive(Clone, PartialEq, Debug)]
pub struct Taken {
    /// Its topic; `None` where it is kept out of everything.
    pub topic: Option<TopicId>,
    /// Why it is there.
    pub joined: Joined,
    /// What is put before people.
    pub findings: Vec<Finding>,
    /// Topics that turned out to be one: the younger, the one that stays.
    pub merged: Vec<(TopicId, TopicId)>,
    /// Why nothing is, where nothing is and the topic does not stand before people already.
    pub withheld: Option<Withheld>,
}

/// Why a saved watch cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing there.
    #[error("the saved watch is empty")]
    Empty,
    /// Written by another version.
    #[error("the saved watch has version {0}, this program reads {VERSION}")]
    Version(u8),
    /// Damaged.
    #[error("the saved watch is damaged: {0}")]
    Damaged(#[from] postcard::Error),
}

/// Topics, heat and what was raised.
#[derive(Clone, Debug)]
pub struct Watch {
    rules: Rules,
    topics: Topics,
    /// Time of the last finding.
    last: Instant,
}

impl Watch {
    /// A watch that has seen nothing.
    pub fn new(rules: Rules) -> Watch {
        Watch { rules, topics: Topics::default(), last: Instant::from_millis(i64::MIN) }
    }

    /// Takes one mention in.
    pub fn take(&mut self, mention: &Mention, reading: &Reading) -> Taken {
        if reading.assessment.person_in_danger {
            return self.keep_out(mention, reading);
        }
        let folded = self.fold(mention, reading);
        self.judge(mention, reading, folded)
    }

    /// The first half of taking a mention in that is not about a person in danger: its topic.
    pub fn fold(&mut self, mention: &Mention, reading: &Reading) -> Folded {
        self.topics.fold(mention, reading, &self.rules.fold, &self.rules.heat)
    }

    fn keep_out(&mut self, mention: &Mention, reading: &Reading) -> Taken {
        let finding = self.person_in_danger(mention, reading);
        // Nobody here can help elsewhere, and a line of a hot list is news already.
        let elsewhere = reading.assessment.place.verdict == Verdict::No && !self.rules.any_place;
        let withheld = (elsewhere || mention.kind == Kind::Listing).then_some(Withheld::Elsewhere);
        let findings = if withheld.is_some() { Vec::new() } else { vec![finding] };
        Taken { topic: None, joined: Joined::KeptOut, findings, merged: Vec::new(), withheld }
    }

    /// The second half: the heat of its topic, and what the rules say.
    pub fn judge(&mut self, mention: &Mention, reading: &Reading, folded: Folded) -> Taken {
        let now = event_time(mention);
        let mut taken = Taken {
            topic: Some(folded.topic),
            joined: folded.joined,
            findings: Vec::new(),
            merged: folded.merged,
            withheld: None,
        };
        let Some(topic) = self.topics.get(folded.topic) else { return taken };
        let heat = topic.heat(now, &self.rules.heat);
        let case = Case { topic, mention, reading, joined: folded.joined, heat, now, rules: &self.rules };
        let verified = case.is_verified();
        let (kind, level, reason) = match case.call() {
            Call::Raise(level, reason) => (FindingKind::Raised, level, reason),
            Call::Change(level, reason) => (FindingKind::Changed, level, reason),
            Call::Clarify(reason) => (FindingKind::Clarify, topic.facts.level, reason),
            Call::Standing => return taken,
            Call::Withhold(why) => {
                taken.withheld = Some(why);
                return taken;
            }
        };
        let at = now.max(self.last);
        self.last = at;
        let finding = finding(topic, mention, reading, Found { kind, at, level, heat, reason, unverified: !verified });
        let told = Raised { level, surety: surety(&finding.place), verified };
        self.topics.change(folded.topic, |topic| match kind {
            FindingKind::Clarify => topic.clarified = true,
            _ => topic.raised = Some(told),
        });
        taken.findings.push(finding);
        taken
    }

    fn person_in_danger(&mut self, mention: &Mention, reading: &Reading) -> Finding {
        let now = event_time(mention);
        self.last = self.last.max(now);
        let said = &reading.assessment;
        Finding {
            kind: FindingKind::PersonInDanger,
            at: self.last,
            seen_at: mention.collected_at,
            topic: None,
            level: Level::L4,
            classes: Vec::new(),
            place: Place { anchors: Vec::new(), ..said.place.clone() },
            mentions: vec![mention.id.clone()],
            sources: 1,
            heat: Heat::default(),
            reason: "有人可能危及自身生命，立即核实并救助；不并入话题，不外传文字".to_owned(),
            first_mention: now,
            unverified: true,
            causes: Vec::new(),
            claims: Vec::new(),
            title: "个人安危，立即核实".to_owned(),
            responsible: said.responsible.clone(),
        }
    }

    /// A later look at a mention's engagement.
    pub fn counts(&mut self, id: &str, counts: Counts) {
        self.topics.counts(id, counts);
    }

    /// Distinct sources of a topic over time, as a running total by bins of five minutes.
    pub fn growth(&self, topic: TopicId) -> Vec<(Instant, u32)> {
        self.topics.get(topic).map(|topic| topic.pulse.growth()).unwrap_or_default()
    }

    /// Ids of the first mentions of a topic, and how many there are.
    pub fn members(&self, topic: TopicId) -> (Vec<String>, u64) {
        let found = self.topics.get(topic);
        found
            .map(|topic| (topic.members.iter().map(|member| member.1.clone()).collect(), topic.total))
            .unwrap_or_default()
    }

    /// Heat of a topic at a time.
    pub fn heat(&self, topic: TopicId, now: Instant) -> Heat {
        self.topics.get(topic).map(|topic| topic.heat(now, &self.rules.heat)).unwrap_or_default()
    }

    /// The topic that a mention, or what it hangs on, is in now.
    pub fn topic_of(&self, id: &str) -> Option<TopicId> {
        self.topics.topic_of(id)
    }

    /// The topic that an id stands for now: the oldest of those that became one.
    pub fn resolve(&self, topic: TopicId) -> TopicId {
        self.topics.resolve(topic)
    }

    /// Makes two topics one because an officer said so. The oldest id stays.
    pub fn merge(&mut self, a: TopicId, b: TopicId) -> Option<(TopicId, TopicId)> {
        self.topics.merge(a, b)
    }

    /// Topics held now.
    pub fn topic_count(&self) -> usize {
        self.topics.count()
    }

    /// Everything but the rules, as bytes.
    pub fn save(&self) -> Vec<u8> {
        // Writing to memory fails only for types that cannot tell their length, and these can.
        let body = postcard::to_stdvec(&(self.last, &self.topics)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(body.len() + 1);
        bytes.push(VERSION);
        bytes.extend(body);
        bytes
    }

    /// A watch that goes on exactly where the saved one stood.
    pub fn load(rules: Rules, bytes: &[u8]) -> Result<Watch, LoadError> {
        match bytes.split_first() {
            None => Err(LoadError::Empty),
            Some((&VERSION, body)) => {
                let (last, topics) = postcard::from_bytes(body)?;
                Ok(Watch { rules, topics, last })
            }
            Some((&other, _)) => Err(LoadError::Version(other)),
        }
    }
}

struct Found {
    kind: FindingKind,
    at: Instant,
    level: Level,
    heat: Heat,
    reason: String,
    unverified: bool,
}

fn finding(topic: &Topic, mention: &Mention, reading: &Reading, found: Found) -> Finding {
    let facts = &topic.facts;
    let placed = facts.placed.as_ref().filter(|placed| surety(&placed.place) > 0).or(topic.somewhere.as_ref());
    let place = placed.map(|placed| placed.place.clone()).unwrap_or_default();
    let mut classes: Vec<(Class, f64)> = facts.classes.iter().map(|(class, weight)| (*class, *weight)).collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let classes: Vec<Class> = classes.into_iter().map(|class| class.0).collect();
    let others = topic.members.iter().map(|member| &member.1).filter(|id| **id != mention.id);
    let mut mentions: Vec<String> = others.take(limits::CARRIED - 1).cloned().collect();
    mentions.push(mention.id.clone());
    Finding {
        kind: found.kind,
        at: found.at,
        seen_at: mention.collected_at,
        topic: Some(topic.id),
        level: found.level,
        title: title(&place, facts.told.as_ref().map(|told| told.terms.as_slice()).unwrap_or_default(), &classes),
        classes,
        place,
        mentions,
        sources: topic.pulse.sources(),
        heat: found.heat,
        reason: found.reason,
        first_mention: topic.first(),
        unverified: found.unverified,
        causes: reading.assessment.causes.clone(),
        claims: facts.claims.clone(),
        responsible: facts.responsible.iter().cloned().collect(),
    }
}

/// Characters of a place name in a title.
const PLACE_CHARS: usize = 12;

/// Place and matched terms; where there are none, the class.
fn title(place: &Place, terms: &[String], classes: &[Class]) -> String {
    let short = |text: &str| text.chars().nth(PLACE_CHARS).is_none();
    let anchor = |kind: &str| place.anchors.iter().find(|anchor| anchor.kind == kind && short(&anchor.text));
    let named = ["township", "district", "zone", "landmark", "station", "road"].iter().find_map(|kind| anchor(kind));
    let place = place.township.clone().or_else(|| named.map(|anchor| anchor.text.clone()));
    let place = place.unwrap_or_else(|| "本市".to_owned());
    if terms.is_empty() {
        return format!("{place} {}", classes.first().map_or("未知突增", |class| class.words()));
    }
    format!("{place} {}", terms.join("、"))
}

#[cfg(test)]
mod tests;
