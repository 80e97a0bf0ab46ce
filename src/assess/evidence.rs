//! What the dictionaries find in a mention: terms, cues, patterns, each with its state (negated, supposed, cancelled).
//! In: normalised text and summary. Out: an [`Evidence`] that the judgement reads.

use super::{Cause, Claim, ClaimKind};
use crate::lexicon::{CLASS_CODES, Found, Group, Lexicon, NOISE_KINDS, Role};
use crate::text::Normal;

/// Characters that a negation reaches ahead of a term.
const NEGATION_REACH: usize = 8;
/// Characters that a short negation (无, 未, 没) reaches.
const SHORT_REACH: usize = 1;
/// Classes that a negation of the event cancels: natural disaster to public safety.
const NEGATABLE: u8 = 4;
/// Place of `figure` in [`NOISE_KINDS`].
const FIGURE: u8 = 6;

/// A term or gap pattern that was found.
#[derive(Clone, Debug)]
pub(super) struct Sign {
    pub class: u8,
    pub weak: bool,
    pub gap: bool,
    pub words: String,
    pub start: usize,
    pub end: usize,
    pub second: bool,
    pub negated: bool,
    pub supposed: bool,
    pub figure: bool,
}

/// A group of cues: how much, how often, and the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub sum: u32,
    pub kinds: u32,
    pub first: Option<(usize, usize, bool, String)>,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub signs: Vec<Sign>,
    pub cues: Vec<Tally>,
    pub noise: Vec<Tally>,
    pub claims: Vec<Claim>,
    pub causes: Vec<Cause>,
    pub cleared: bool,
    pub now: bool,
    pub again: bool,
    pub old_year: bool,
    pub crowd: Option<f64>,
    pub figures: u32,
}

impl Evidence {
    pub fn cue(&self, group: Group) -> &Tally {
        &self.cues[group as usize]
    }

    pub fn has(&self, group: Group) -> bool {
        self.cue(group).kinds > 0
    }

    /// Number claimed of a kind; people without a number count as two.
    pub fn claimed(&self, kind: ClaimKind) -> Option<f64> {
        let of_kind = self.claims.iter().filter(|claim| claim.kind == kind);
        of_kind
            .map(|claim| claim.value.unwrap_or(2.0))
            .fold(None, |most, value| Some(most.unwrap_or(0.0_f64).max(value)))
    }

    pub fn new() -> Evidence {
        Evidence {
            cues: vec![Tally::default(); Group::ALL.len()],
            noise: vec![Tally::default(); NOISE_KINDS.len()],
            ..Evidence::default()
        }
    }

    /// Reads one text; `year` is the year in which it was written.
    pub fn gather(&mut self, lexicon: &Lexicon, normal: &Normal, second: bool, year: i32) {
        let found = lexicon.scan(&normal.text);
        if found.is_empty() {
            return;
        }
        let page = Page::new(lexicon, normal, second, &found);
        page.terms(self);
        page.tallies(self);
        page.patterns(self, year);
    }
}

/// One text with what was found in it.
struct Page<'a> {
    lexicon: &'a Lexicon,
    normal: &'a Normal,
    second: bool,
    found: &'a [Found],
    negations: Vec<(usize, usize)>,
    supposals: Vec<(usize, usize)>,
    figures: Vec<(usize, usize)>,
    noises: Vec<(usize, usize)>,
    woken: Vec<usize>,
}

impl<'a> Page<'a> {
    fn new(lexicon: &'a Lexicon, normal: &'a Normal, second: bool, found: &'a [Found]) -> Page<'a> {
        let woken = lexicon.woken(found);
        let mut page = Page {
            lexicon,
            normal,
            second,
            found,
            negations: vec![],
            supposals: vec![],
            figures: vec![],
            noises: vec![],
            woken,
        };
        for hit in found {
            for role in &lexicon.entry(hit.entry).roles {
                match role {
                    Role::Cue { group: Group::Negate, .. } if !page.asked(hit) => {
                        page.negations.push((hit.start, hit.end))
                    }
                    Role::Cue { group: Group::Hypothetical, .. } => page.supposals.push((hit.start, hit.end)),
                    Role::Noise { kind, .. } => {
                        page.noises.push((hit.start, hit.end));
                        if *kind == FIGURE {
                            page.figures.push((hit.start, hit.end));
                        }
                    }
                    _ => {}
                }
            }
        }
        for &at in &page.woken {
            let pattern = &lexicon.patterns[at];
            if pattern.id == "R10" {
                page.figures.extend(pattern.regex.find_iter(&normal.text).map(|hit| (hit.start(), hit.end())));
            }
        }
        page
    }

    /// 有没有, 是不是 ask; they do not deny.
    fn asked(&self, hit: &Found) -> bool {
        let (before, word) = (&self.normal.text[..hit.start], &self.normal.text[hit.start..hit.end]);
        (word.starts_with('没') && before.ends_with('有'))
            || (word.starts_with('不') && before.ends_with('是'))
            || (word == "无" && (before.ends_with('南') || self.normal.text[hit.end..].starts_with("人机")))
            || (word == "没人" || word == "无人") && self.normal.text[hit.end..].starts_with(['管', '救', '理', '机'])
            || (word.starts_with('没') || word == "无" || word == "无人")
                && self.normal.text[hit.end..].starts_with(['管', '救'])
    }

    fn negated(&self, start: usize) -> bool {
        self.negations.iter().any(|&(from, to)| {
            to <= start && {
                let between = &self.normal.text[to..start];
                let reach = if to - from <= 3 { SHORT_REACH } else { NEGATION_REACH };
                between.chars().count() <= reach && !between.contains(breaks)
            }
        })
    }

    fn supposed(&self, start: usize) -> bool {
        self.supposals.iter().any(|&(_, to)| {
            to <= start && start - to <= 60 && !self.normal.text[to..start].contains(['。', '！', '!', '\n'])
        })
    }

    fn figure(&self, start: usize, end: usize) -> bool {
        self.figures.iter().any(|&(from, to)| start < to && from < end)
    }

    fn sign(&self, class: u8, weak: bool, gap: bool, start: usize, end: usize) -> Sign {
        let words = self.normal.text[start..end].to_owned();
        let (negated, supposed) = (class < NEGATABLE && self.negated(start), self.supposed(start));
        Sign {
            class,
            weak,
            gap,
            words,
            start,
            end,
            second: self.second,
            negated,
            supposed,
            figure: class < NEGATABLE && self.figure(start, end),
        }
    }

    fn terms(&self, evidence: &mut Evidence) {
        let mut terms: Vec<(usize, usize, u8, bool)> = Vec::new();
        for hit in self.found {
            for role in &self.lexicon.entry(hit.entry).roles {
                if let Role::Term { class, weak } = role {
                    terms.push((hit.start, hit.end, *class, *weak));
                }
            }
        }
        for &(start, end, class, weak) in &terms {
            let within = |&(s, e, ..): &(usize, usize, u8, bool)| s <= start && end <= e && (e - s) > (end - start);
            if !terms.iter().any(within) {
                evidence.signs.push(self.sign(class, weak, false, start, end));
            }
        }
    }

    fn tallies(&self, evidence: &mut Evidence) {
        let mut seen: Vec<u32> = Vec::new();
        for hit in self.found {
            if self
                .noises
                .iter()
                .any(|&(from, to)| from <= hit.start && hit.end <= to && to - from > hit.end - hit.start)
            {
                continue;
            }
            let again = seen.contains(&hit.entry);
            let mut counted = false;
            for role in &self.lexicon.entry(hit.entry).roles {
                let (tally, weight) = match role {
                    Role::Cue { group: Group::Negate | Group::Hypothetical, .. } => continue,
                    Role::Cue { group, weight } => {
                        let person = matches!(
                            group,
                            Group::Life | Group::Death | Group::Hurt | Group::Grave | Group::Unsafe | Group::Person
                        );
                        if person
                            && (self.negated(hit.start) || self.supposed(hit.start) || self.figure(hit.start, hit.end))
                        {
                            continue;
                        }
                        (&mut evidence.cues[*group as usize], *weight)
                    }
                    Role::Noise { kind, weight } => (&mut evidence.noise[*kind as usize], *weight),
                    _ => continue,
                };
                counted = true;
                if !again {
                    tally.sum += u32::from(weight);
                    tally.kinds += 1;
                    tally.first.get_or_insert_with(|| {
                        (hit.start, hit.end, self.second, self.lexicon.entry(hit.entry).word.clone())
                    });
                }
            }
            if counted && !again {
                seen.push(hit.entry);
            }
        }
        evidence.figures += self.figures.len() as u32;
    }

    fn patterns(&self, evidence: &mut Evidence, year: i32) {
        let text = &self.normal.text;
        for &at in &self.woken {
            let pattern = &self.lexicon.patterns[at];
            if let Some(class) = pattern.class {
                if let Some(hit) = pattern.regex.find(text) {
                    evidence.signs.push(self.sign(class, true, true, hit.start(), hit.end()));
                }
                continue;
            }
            match pattern.id.as_str() {
                "R1" => self.claim(evidence, at, ClaimKind::Deaths),
                "R2" => self.claim(evidence, at, ClaimKind::Injured),
                "R3" => self.claim(evidence, at, ClaimKind::Trapped),
                "R4" => evidence.cleared |= pattern.regex.is_match(text),
                "R5" => self.claim(evidence, at, ClaimKind::WaterLevel),
                "R6" => self.claim(evidence, at, ClaimKind::Depth),
                "R7" => evidence.now |= pattern.regex.is_match(text),
                "R8" => {
                    for hit in pattern.regex.captures_iter(text) {
                        let told = hit.get(1).and_then(|group| group.as_str().parse::<i32>().ok());
                        evidence.old_year |= told.is_some_and(|told| told < year);
                    }
                }
                "R9" => evidence.again |= pattern.regex.is_match(text),
                "PLEA" => evidence.cues[Group::Where as usize].sum += u32::from(pattern.regex.is_match(text)),
                _ => {}
            }
        }
        evidence.crowd = evidence.crowd.or_else(|| crowd(text));
    }

    fn claim(&self, evidence: &mut Evidence, at: usize, kind: ClaimKind) {
        let pattern = &self.lexicon.patterns[at];
        for hit in pattern.regex.captures_iter(&self.normal.text) {
            let Some(whole) = hit.get(0) else { continue };
            if self.negated(whole.start()) || self.supposed(whole.start()) || self.figure(whole.start(), whole.end()) {
                continue;
            }
            let number = (1..hit.len()).find_map(|group| hit.get(group));
            let mut value = number.and_then(|group| number_of(group.as_str()));
            let words = whole.as_str();
            let kind = match kind {
                ClaimKind::Trapped if ["失联", "失踪", "下落不明"].iter().any(|word| words.contains(word)) => {
                    ClaimKind::Missing
                }
                other => other,
            };
            if kind == ClaimKind::Depth && (words.contains("厘米") || words.contains("公分") || words.contains("cm"))
            {
                value = value.map(|centimetres| centimetres / 100.0);
            }
            let (start, end) = self.normal.origin(whole.start(), whole.end());
            let within = self.second.then(|| "summary".to_owned());
            evidence.causes.push(Cause {
                part: "claim".into(),
                rule: pattern.id.clone(),
                words: words.to_owned(),
                start,
                end,
                weight: 0.0,
                within,
            });
            evidence.claims.push(Claim { kind, value, words: words.to_owned() });
        }
    }
}

fn breaks(c: char) -> bool {
    matches!(c, '，' | ',' | '。' | '！' | '!' | '？' | '?' | '；' | ';' | '、' | '\n' | ' ' | '：')
}

/// A number of people or households named: 30个人, 几十户.
fn crowd(text: &str) -> Option<f64> {
    for unit in ["个人", "户", "名工人", "多人", "人"] {
        for (at, _) in text.match_indices(unit) {
            if !text.as_bytes()[..at].last().is_some_and(u8::is_ascii_digit) {
                continue;
            }
            let digits: String = text[..at].chars().rev().take_while(char::is_ascii_digit).collect();
            let digits: String = digits.chars().rev().collect();
            if let Ok(number) = digits.parse::<f64>() {
                return Some(number);
            }
        }
    }
    None
}

/// The value of digits or Chinese numerals; `None` where they say only "several".
pub(super) fn number_of(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    let (mut total, mut section) = (0.0, None);
    for c in text.chars() {
        let digit = match c {
            '一' => 1.0,
            '二' | '两' => 2.0,
            '三' => 3.0,
            '四' => 4.0,
            '五' => 5.0,
            '六' => 6.0,
            '七' => 7.0,
            '八' => 8.0,
            '九' => 9.0,
            '十' | '百' | '千' => {
                let unit = match c {
                    '十' => 10.0,
                    '百' => 100.0,
                    _ => 1000.0,
                };
                total += section.take().unwrap_or(1.0) * unit;
                continue;
            }
            _ => return None,
        };
        section = Some(digit);
    }
    Some(total + section.unwrap_or(0.0))
}

/// The code of a class by its place.
pub(super) fn code(class: u8) -> &'static str {
    CLASS_CODES.get(class as usize).copied().unwrap_or("ND")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_numerals_have_values() {
        assert_eq!(number_of("十二"), Some(12.0));
        assert_eq!(number_of("三百二十"), Some(320.0));
        assert_eq!(number_of("两"), Some(2.0));
        assert_eq!(number_of("4"), Some(4.0));
        assert_eq!(number_of("好几"), None);
        assert_eq!(number_of("几十"), None);
    }
}
