//! Reads one mention. In: a mention, the lexicon, a locator. Out: a [`Reading`]. Pure and deterministic.

use super::evidence::{Evidence, code};
use super::judge::{Judgement, class_at, judge};
use super::{Assessment, Cause, Class, Locate, Noise, Reading, What};
use crate::lexicon::{Group, Lexicon};
use crate::mention::{Kind, Mention};
use crate::text::{Normal, Normaliser, Segmenter};
use std::sync::Arc;

/// Units named for one mention.
const UNITS: usize = 4;
/// Causes told of one mention.
const CAUSES: usize = 40;

/// A mention's text and summary after the first half of reading.
#[derive(Clone, PartialEq, Debug)]
pub struct Parted {
    text: Normal,
    summary: Option<Normal>,
    words: String,
    bare: String,
}

/// Reads mentions with one lexicon.
pub struct Reader {
    lexicon: Arc<Lexicon>,
    locate: Box<dyn Locate>,
    normaliser: Normaliser,
    segmenter: Segmenter,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?})", self.lexicon)
    }
}

impl Reader {
    /// A reader with a compiled lexicon and whatever finds places.
    pub fn new(lexicon: Arc<Lexicon>, locate: Box<dyn Locate>) -> Reader {
        let normaliser = Normaliser::new(&lexicon.homophones);
        let segmenter = Segmenter::new(&lexicon.user_words);
        Reader { lexicon, locate, normaliser, segmenter }
    }

    /// The lexicon it reads with.
    pub fn lexicon(&self) -> &Arc<Lexicon> {
        &self.lexicon
    }

    /// Normalises a text as [`Reader::read`] does.
    pub fn normalise(&self, text: &str) -> Normal {
        self.normaliser.normalise(text)
    }

    /// The words of a query or text, normalised, without punctuation.
    pub fn words(&self, text: &str) -> Vec<String> {
        self.segmenter.words(&self.normaliser.normalise(text).text)
    }

    /// Reads one mention.
    pub fn read(&self, mention: &Mention) -> Reading {
        self.assess(mention, self.part(mention))
    }

    /// The reading of a mention that was assessed elsewhere; without its words where nobody indexes them.
    pub fn resume(&self, mention: &Mention, assessment: Assessment, words: bool) -> Reading {
        let Parted { words, bare, .. } = self.part_with(mention, words);
        Reading { assessment, words, bare }
    }

    /// The first half of reading: normalises and parts into words.
    pub fn part(&self, mention: &Mention) -> Parted {
        self.part_with(mention, true)
    }

    fn part_with(&self, mention: &Mention, cut: bool) -> Parted {
        let text = self.normaliser.normalise(&mention.text);
        let summary = mention.summary.as_deref().map(|summary| self.normaliser.normalise(summary));
        let said = [Some(&text), summary.as_ref()];
        let (mut words, mut bare) =
            (String::with_capacity(text.text.len() * 3 / 2), String::with_capacity(text.text.len()));
        for normal in said.into_iter().flatten() {
            if cut {
                self.segmenter.join(&normal.text, &mut words);
            }
            bare.extend(normal.text.chars().filter(|c| crate::text::is_bare(*c)));
        }
        Parted { text, summary, words, bare }
    }

    /// The second half of reading: what the words say.
    pub fn assess(&self, mention: &Mention, parted: Parted) -> Reading {
        let Parted { text, summary, words, bare } = parted;
        let year = i32::from(mention.created_at.shanghai().year());
        let mut evidence = Evidence::new();
        evidence.gather(&self.lexicon, &text, false, year);
        if let Some(summary) = &summary {
            evidence.gather(&self.lexicon, summary, true, year);
        }
        let judged = judge(&evidence, mention.kind == Kind::Message);
        let place = self.locate.locate(&text, summary.as_ref(), mention.place.as_ref());
        let said = [Some(&text), summary.as_ref()];
        let responsible = self.responsible(&judged, &said);
        let addressed = self.addressed(mention);
        let causes = causes(&mut evidence, &judged, &said);
        let (what, noise) = what(&judged, mention.official.is_some());
        let assessment = Assessment {
            id: mention.id.clone(),
            place,
            level: judged.level,
            what,
            noise,
            request: judged.request,
            livelihood: None,
            claims: evidence.claims,
            person_in_danger: judged.person,
            addressed,
            responsible,
            causes,
            classes: judged.classes,
        };
        Reading { assessment, words, bare }
    }

    /// Units that answer for the first class; a narrower rule goes before the class's own list.
    fn responsible(&self, judged: &Judgement, said: &[Option<&Normal>]) -> Vec<String> {
        let mut units: Vec<String> = Vec::new();
        if judged.noise.is_some() {
            return units;
        }
        for held in judged.classes.iter().take(2) {
            if held.weight < judged.classes[0].weight * 0.6 {
                continue;
            }
            let class = held.class as usize;
            let speaks = |word: &String| said.iter().flatten().any(|text| text.text.contains(word.as_str()));
            let route = self
                .lexicon
                .routes
                .iter()
                .find(|route| usize::from(route.class) == class && route.words.iter().any(speaks));
            let own = self.lexicon.classes.get(class).map_or(&[][..], |info| &info.units);
            for unit in route.map_or(&[][..], |route| &route.units).iter().chain(own) {
                if !units.contains(unit) && units.len() < UNITS {
                    units.push(unit.clone());
                }
            }
            if held.class == Class::Conduct {
                break;
            }
        }
        units
    }

    fn addressed(&self, mention: &Mention) -> Vec<String> {
        let at = mention.text.contains('@');
        if mention.to.is_empty() && !at {
            return Vec::new();
        }
        let named = |name: &str| {
            mention.to.iter().any(|to| to.contains(name)) || at && mention.text.contains(&format!("@{name}"))
        };
        let units = self.lexicon.units.iter();
        units
            .filter(|unit| {
                mention.to.contains(&unit.id) || named(&unit.name) || unit.aliases.iter().any(|alias| named(alias))
            })
            .map(|unit| unit.id.clone())
            .collect()
    }
}

fn what(judged: &Judgement, official: bool) -> (What, Option<Noise>) {
    if official {
        return (What::Official, judged.noise);
    }
    if judged.person {
        return (What::Event, None);
    }
    if let Some(noise) = judged.noise {
        return (What::Noise, Some(noise));
    }
    if judged.clarification {
        return (What::Clarification, None);
    }
    match (judged.classes.first(), judged.request) {
        (Some(first), _) if matches!(first.class, Class::Nd | Class::Ad | Class::Ph | Class::So) => (What::Event, None),
        (_, Some(_)) => (What::Request, None),
        (Some(_), None) => (What::Request, None),
        (None, None) => (What::Noise, Some(Noise::Other)),
    }
}

fn causes(evidence: &mut Evidence, judged: &Judgement, said: &[Option<&Normal>]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut push = |part: &str, rule: String, span: (usize, usize, bool), weight: f64| {
        let Some(normal) = said[usize::from(span.2)] else { return };
        let (start, end) = normal.origin(span.0, span.1);
        let words = normal.text[span.0..span.1].to_owned();
        let within = span.2.then(|| "summary".to_owned());
        causes.push(Cause { part: part.to_owned(), rule, words, start, end, weight, within });
    };
    let mut level = (0, 0, false);
    for sign in &evidence.signs {
        let (part, weight) = match (sign.negated, sign.figure, sign.supposed) {
            (true, ..) => ("negation", 0.0),
            (_, true, _) => ("noise", 0.0),
            (.., true) => ("class", 0.05),
            _ if sign.gap => ("class", 0.25),
            _ if sign.weak => ("class", 0.2),
            _ => ("class", 0.35),
        };
        let told = judged.classes.iter().any(|held| held.class == class_at(sign.class));
        if told || part != "class" {
            push(part, code(sign.class).to_owned(), (sign.start, sign.end, sign.second), weight);
        }
        if level.1 == 0 && told {
            level = (sign.start, sign.end, sign.second);
        }
    }
    for group in Group::ALL {
        if let Some((start, end, second, _)) = &evidence.cue(*group).first {
            push("cue", group.name().to_owned(), (*start, *end, *second), f64::from(evidence.cue(*group).sum));
        }
    }
    if judged.noise.is_some() {
        for (kind, tally) in evidence.noise.iter().enumerate() {
            if let Some((start, end, second, _)) = &tally.first {
                push(
                    "noise",
                    crate::lexicon::NOISE_KINDS[kind].to_owned(),
                    (*start, *end, *second),
                    f64::from(tally.sum),
                );
            }
        }
    }
    if level.1 == 0 {
        let groups = [Group::Person, Group::PersonWeak, Group::Plea, Group::Clarify, Group::Real].into_iter();
        let mut firsts = groups.filter_map(|group| evidence.cue(group).first.as_ref());
        level = firsts.next().map_or(level, |(start, end, second, _)| (*start, *end, *second));
    }
    push("level", judged.rule.to_owned(), level, 0.0);
    causes.append(&mut evidence.causes);
    causes.truncate(CAUSES);
    causes
}
