//! One topic: who is in it, what credible mentions say, and the law by which two become one. In: mentions with their
//! readings. Out: the facts from which the rules decide.
//!
//! Every field merges by union, least or greatest, so merging is free of order and safe to repeat.

use super::few::FewSet;
use super::heat::Pulse;
use super::kept;
use super::rules::HeatRules;
use super::{Heat, TopicId};
use crate::assess::{Claim, Class, Level, Noise, Place, Reading, Verdict, What};
use crate::mention::{Kind, Mention};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Members named; the rest are counted.
pub const MEMBERS: usize = 200;
/// Platforms, districts, townships, units and claims told apart in a topic.
const KINDS: usize = 16;
/// Matched terms kept for the title.
const TERMS: usize = 2;
/// Characters of a term in a title: longer words would be a quotation.
const TERM_CHARS: usize = 10;

/// When and which mention: decides between equals, the earliest first.
pub(crate) type Order = Reverse<(Instant, u64)>;

/// How surely a place is ours: what is greater is surer.
pub(crate) fn surety(place: &Place) -> u8 {
    match place.verdict {
        Verdict::No => 0,
        Verdict::Related => 1,
        Verdict::Possible => 2,
        Verdict::Yes => 3,
    }
}

/// What was raised of a topic, to tell a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Raised {
    /// Level told.
    pub level: Level,
    /// Surety of the place told.
    pub surety: u8,
    /// Whether it was told as verified.
    pub verified: bool,
}

/// A place with what decides between equals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) rank: (u8, bool, bool, Order),
    #[serde(with = "kept::place")]
    pub(crate) place: Place,
}

/// The words of the gravest mention.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) rank: (Level, Order),
    pub(crate) terms: Vec<String>,
}

/// What the mentions of a topic say.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) level: Level,
    pub(crate) classes: BTreeMap<Class, f64>,
    pub(crate) placed: Option<Placed>,
    pub(crate) told: Option<Told>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) responsible: BTreeSet<String>,
    pub(crate) first: Option<Instant>,
}

/// One topic.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Topic {
    pub(crate) id: TopicId,
    pub(crate) last: Instant,
    pub(crate) members: FewSet<(Instant, String)>,
    pub(crate) total: u64,
    pub(crate) pulse: Pulse,
    pub(crate) platforms: FewSet<String>,
    pub(crate) engagement: u64,
    pub(crate) best_rank: Option<u32>,
    /// Says something of an event or request: never forgotten for one that does not.
    pub(crate) matters: bool,
    /// Only citizen messages.
    pub(crate) messages: bool,
    pub(crate) districts: BTreeSet<String>,
    pub(crate) townships: BTreeSet<String>,
    /// What credible mentions say.
    pub(crate) facts: Facts,
    /// Surest place of any mention, credible or not.
    pub(crate) somewhere: Option<Placed>,
    pub(crate) official: bool,
    pub(crate) drill: Option<Instant>,
    pub(crate) old_news: bool,
    pub(crate) refuters: BTreeSet<u64>,
    pub(crate) refuted: bool,
    pub(crate) clarified: bool,
    pub(crate) raised: Option<Raised>,
}

/// Whether a mention may stand as a witness.
pub(crate) fn is_credible(reading: &Reading) -> bool {
    matches!(reading.assessment.what, What::Event | What::Request | What::Official)
        && reading.assessment.noise.is_none()
}

/// Time of the event that a mention is: when it was written, never later than when it was collected.
pub(crate) fn event_time(mention: &Mention) -> Instant {
    mention.created_at.min(mention.collected_at)
}

/// Who speaks: the author's key, the hot list, or the mention itself where nobody is named.
pub(crate) fn source_of(mention: &Mention) -> u64 {
    match (&mention.listing, mention.source) {
        (Some(listing), _) => super::finger::key(&listing.list),
        (None, Some(source)) => source.0,
        (None, None) => super::finger::key(&mention.id),
    }
}

impl Topic {
    /// A topic without members.
    pub(crate) fn new(id: TopicId, at: Instant) -> Topic {
        Topic {
            id,
            last: at,
            members: FewSet::default(),
            total: 0,
            pulse: Pulse::default(),
            platforms: FewSet::default(),
            engagement: 0,
            best_rank: None,
            matters: false,
            messages: false,
            districts: BTreeSet::new(),
            townships: BTreeSet::new(),
            facts: Facts::default(),
            somewhere: None,
            official: false,
            drill: None,
            old_news: false,
            refuters: BTreeSet::new(),
            refuted: false,
            clarified: false,
            raised: None,
        }
    }

    /// Takes a mention in.
    pub(crate) fn add(&mut self, mention: &Mention, reading: &Reading, rules: &HeatRules) {
        let at = event_time(mention);
        let order = Reverse((at, super::finger::key(&mention.id)));
        self.last = self.last.max(at);
        self.total += 1;
        self.members.keep_first((at, mention.id.clone()), MEMBERS);
        let fresh = self.pulse.add(source_of(mention), at, rules);
        if fresh {
            self.platforms.keep_first(mention.platform.clone(), KINDS);
            self.engagement = self.engagement.max(engagement(&mention.counts));
        }
        if let Some(listing) = &mention.listing {
            self.best_rank = Some(self.best_rank.map_or(listing.rank, |rank| rank.min(listing.rank)));
        }
        self.messages = mention.kind == Kind::Message && (self.messages || self.total == 1);
        self.matters |= matters(mention, reading);
        self.learn(mention, reading, order);
    }

    fn learn(&mut self, mention: &Mention, reading: &Reading, order: Order) {
        let said = &reading.assessment;
        let place = &said.place;
        let rank = (surety(place), place.township.is_some(), place.district.is_some(), order);
        if surety(place) > 0 && self.somewhere.as_ref().is_none_or(|own| rank > own.rank) {
            self.somewhere = Some(Placed { rank, place: place.clone() });
        }
        if mention.official.is_some() || said.what == What::Official {
            self.official = true;
        }
        // A comment that doubts ("only a drill?") does not speak for what it comments on.
        match said.noise.filter(|_| mention.kind != Kind::Comment) {
            Some(Noise::Drill) => self.drill = self.drill.max(Some(order.0.0)),
            Some(Noise::OldNews) => self.old_news = true,
            _ => {}
        }
        if said.what == What::Clarification {
            keep_first(&mut self.refuters, source_of(mention), KINDS);
            self.refuted |= mention.official.is_some() || mention.kind == Kind::Listing || self.refuters.len() > 1;
        }
        if !is_credible(reading) {
            return;
        }
        if self.facts.placed.as_ref().is_none_or(|own| rank > own.rank) {
            self.facts.placed = Some(Placed { rank, place: place.clone() });
        }
        if let Some(district) = &said.place.district {
            keep_first(&mut self.districts, district.clone(), KINDS);
        }
        if let Some(township) = &said.place.township {
            keep_first(&mut self.townships, township.clone(), KINDS);
        }
        let facts = &mut self.facts;
        facts.level = facts.level.max(said.level);
        for class in &said.classes {
            let weight = facts.classes.entry(class.class).or_insert(class.weight);
            *weight = weight.max(class.weight);
        }
        gravest(&mut facts.told, Told { rank: (said.level, order), terms: title_terms(reading) });
        for claim in &said.claims {
            greatest(&mut facts.claims, claim);
        }
        for unit in &said.responsible {
            keep_first(&mut facts.responsible, unit.clone(), KINDS);
        }
        facts.first = Some(facts.first.map_or(order.0.0, |first| first.min(order.0.0)));
    }

    /// Heat at a time, with its parts.
    pub fn heat(&self, now: Instant, rules: &HeatRules) -> Heat {
        let further = self.platforms.len().saturating_sub(1) as f64;
        let rank = self.best_rank.map_or(0.0, |rank| (51.0 - f64::from(rank.clamp(1, 51))) / 50.0);
        let engaged = (1.0 + self.engagement as f64).log10();
        self.pulse.heat(now, rules.platform * further + rules.engagement * engaged + rules.rank * rank, rules)
    }

    /// Earliest time of a credible mention, else of any.
    pub fn first(&self) -> Instant {
        self.facts.first.or_else(|| self.members.first().map(|member| member.0)).unwrap_or(self.last)
    }

    /// Whether a place cannot be this topic's: both name a township or district, and not the same.
    pub(crate) fn contradicts_place(&self, place: &Place) -> bool {
        let apart = |own: &BTreeSet<String>, other: &Option<String>| {
            other.as_ref().is_some_and(|name| !own.is_empty() && !own.contains(name))
        };
        let here = self.somewhere.as_ref().map(|placed| placed.place.verdict);
        let elsewhere = here == Some(Verdict::Yes) && place.verdict == Verdict::No && !place.anchors.is_empty();
        elsewhere || apart(&self.districts, &place.district) || apart(&self.townships, &place.township)
    }

    /// Whether classes cannot be this topic's: both name some, and none in common.
    pub(crate) fn contradicts_class(&self, reading: &Reading) -> bool {
        let own = &self.facts.classes;
        let other = &reading.assessment.classes;
        !own.is_empty() && !other.is_empty() && !other.iter().any(|class| own.contains_key(&class.class))
    }

    /// Until when a topic is dear: when room runs short, the one that was dear the shortest goes first.
    pub(crate) fn dear_until(&self) -> Instant {
        self.last
            + match (self.raised.is_some(), self.matters, self.messages) {
                (_, _, true) => Span::days(400),
                (true, _, _) => Span::days(90),
                (_, true, _) => Span::days(7),
                _ => Span::days(0),
            }
    }

    /// Takes another topic in. The oldest id stays.
    pub(crate) fn merge(&mut self, other: Topic) {
        self.id = self.id.min(other.id);
        self.last = self.last.max(other.last);
        self.total += other.total;
        self.pulse.merge(&other.pulse);
        for member in other.members {
            self.members.keep_first(member, MEMBERS);
        }
        for platform in other.platforms {
            self.platforms.keep_first(platform, KINDS);
        }
        for district in other.districts {
            keep_first(&mut self.districts, district, KINDS);
        }
        for township in other.townships {
            keep_first(&mut self.townships, township, KINDS);
        }
        for source in other.refuters {
            keep_first(&mut self.refuters, source, KINDS);
        }
        self.engagement = self.engagement.max(other.engagement);
        self.best_rank = match (self.best_rank, other.best_rank) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.matters |= other.matters;
        self.messages &= other.messages;
        self.official |= other.official;
        self.drill = self.drill.max(other.drill);
        self.old_news |= other.old_news;
        self.refuted |= other.refuted || self.refuters.len() > 1;
        self.clarified |= other.clarified;
        self.raised = match (self.raised, other.raised) {
            (Some(a), Some(b)) => Some(Raised {
                level: a.level.max(b.level),
                surety: a.surety.max(b.surety),
                verified: a.verified || b.verified,
            }),
            (a, b) => a.or(b),
        };
        if let Some(placed) = &other.somewhere {
            surest(&mut self.somewhere, placed);
        }
        self.facts.merge(other.facts);
    }
}

impl Facts {
    fn merge(&mut self, other: Facts) {
        self.level = self.level.max(other.level);
        for (class, weight) in other.classes {
            let mine = self.classes.entry(class).or_insert(weight);
            *mine = mine.max(weight);
        }
        if let Some(placed) = &other.placed {
            surest(&mut self.placed, placed);
        }
        if let Some(told) = other.told {
            gravest(&mut self.told, told);
        }
        for claim in &other.claims {
            greatest(&mut self.claims, claim);
        }
        for unit in other.responsible {
            keep_first(&mut self.responsible, unit, KINDS);
        }
        self.first = match (self.first, other.first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Sum of what people did with a mention; seeing it is not doing.
pub(crate) fn engagement(counts: &crate::mention::Counts) -> u64 {
    counts.reposts.saturating_add(counts.comments).saturating_add(counts.likes / 10)
}

/// Whether a mention is worth comparing by content: it tells of something, or is addressed to an office.
pub(crate) fn matters(mention: &Mention, reading: &Reading) -> bool {
    let said = &reading.assessment;
    mention.kind == Kind::Message
        || (said.what != What::Noise && !said.classes.is_empty())
        || matches!(said.noise, Some(Noise::Drill | Noise::OldNews))
}

fn keep_first<T: Ord>(set: &mut BTreeSet<T>, one: T, most: usize) {
    if set.len() >= most && set.last().is_some_and(|last| one >= *last) {
        return;
    }
    set.insert(one);
    if set.len() > most {
        set.pop_last();
    }
}

fn surest(own: &mut Option<Placed>, other: &Placed) {
    if own.as_ref().is_none_or(|own| other.rank > own.rank) {
        *own = Some(other.clone());
    }
}

fn gravest(own: &mut Option<Told>, other: Told) {
    if own.as_ref().is_none_or(|own| other.rank > own.rank) {
        *own = Some(other);
    }
}

/// One claim a kind: the greatest number, between equals the first words in order.
fn greatest(claims: &mut Vec<Claim>, claim: &Claim) {
    let size = |claim: &Claim| claim.value.unwrap_or(-1.0);
    match claims.iter_mut().find(|own| own.kind == claim.kind) {
        Some(own) => {
            if size(claim).total_cmp(&size(own)).then_with(|| own.words.cmp(&claim.words)).is_gt() {
                *own = claim.clone();
            }
        }
        None => {
            claims.push(claim.clone());
            claims.sort_by_key(|claim| claim.kind);
        }
    }
}

/// The matched words that name the matter, gravest first; nothing long enough to be a quotation.
fn title_terms(reading: &Reading) -> Vec<String> {
    let mut causes: Vec<_> = reading
        .assessment
        .causes
        .iter()
        .filter(|cause| matches!(cause.part.as_str(), "level" | "class"))
        .filter(|cause| !cause.words.is_empty() && cause.words.chars().nth(TERM_CHARS).is_none())
        .collect();
    causes.sort_by(|a, b| b.part.cmp(&a.part).then(b.weight.total_cmp(&a.weight)).then(a.start.cmp(&b.start)));
    let mut terms: Vec<String> = Vec::new();
    for cause in causes {
        if terms.len() < TERMS && !terms.iter().any(|term| term.contains(&cause.words) || cause.words.contains(term)) {
            terms.push(cause.words.clone());
        }
    }
    terms
}
