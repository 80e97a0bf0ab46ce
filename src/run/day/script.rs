//! The files under `demo/` as values: slots, groups of texts, planted events. In: their bytes, compiled in. Out: a
//! [`Script`], and texts filled from it. A fault in a file is a fault of the build, so the tests of this file find it.

use super::rng::Rng;
use crate::assess::Level;
use crate::time::Span;
use std::collections::BTreeMap;

const SLOTS: &str = include_str!("../../../demo/slots.tsv");
const TEXTS: &str = include_str!("../../../demo/texts.tsv");
const PLANTED: &str = include_str!("../../../demo/planted.tsv");

/// Slots within slots: values hold at most one level.
const DEPTH: usize = 4;

/// Texts of one sort and their share of the day.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) share: u32,
    pub(super) texts: Vec<&'static str>,
}

/// One planted event.
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) expected: Option<Level>,
    pub(super) title: &'static str,
    pub(super) says: Vec<Say>,
}

/// One planted post, or many of the same form.
pub(super) struct Say {
    pub(super) from: Span,
    /// End of the window of many; the same as `from` for one.
    pub(super) to: Span,
    pub(super) count: usize,
    pub(super) platform: &'static str,
    /// `None`: each of the many has an author of its own.
    pub(super) author: Option<&'static str>,
    pub(super) kind: &'static str,
    /// Which post of the same event it hangs on, from 1.
    pub(super) parent: Option<usize>,
    pub(super) text: &'static str,
}

/// The three files.
pub(super) struct Script {
    pub(super) slots: BTreeMap<&'static str, Vec<&'static str>>,
    pub(super) groups: Vec<Group>,
    pub(super) events: Vec<Event>,
}

impl Script {
    /// Reads the compiled-in files; lines that say nothing are passed over.
    pub(super) fn read() -> Script {
        Script { slots: slots(), groups: groups(), events: events() }
    }

    /// Fills the slots of `template`.
    pub(super) fn fill(&self, template: &str, rng: &mut Rng) -> String {
        let mut out = String::with_capacity(template.len() * 2);
        self.fill_into(template, rng, &mut out, DEPTH);
        out
    }

    fn fill_into(&self, template: &str, rng: &mut Rng, out: &mut String, depth: usize) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((slot, after)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            rest = after;
            if let Some(values) = self.slots.get(slot) {
                let value = rng.pick(values);
                if depth > 0 {
                    self.fill_into(value, rng, out, depth - 1);
                }
            } else if let Some((low, high)) = range(slot) {
                out.push_str(&rng.between(low, high).to_string());
            }
        }
        out.push_str(rest);
    }
}

fn range(slot: &str) -> Option<(u64, u64)> {
    let (low, high) = slot.split_once('-')?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn slots() -> BTreeMap<&'static str, Vec<&'static str>> {
    lines(SLOTS)
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, values)| (name, values.split(' ').filter(|value| !value.is_empty()).collect()))
        .collect()
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in lines(TEXTS) {
        if let Some(head) = line.strip_prefix("=\t") {
            let (name, share) = head.split_once('\t').unwrap_or((head, "0"));
            groups.push(Group { name, share: share.parse().unwrap_or(0), texts: Vec::new() });
        } else if let Some(group) = groups.last_mut() {
            group.texts.push(line);
        }
    }
    groups
}

fn events() -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for line in lines(PLANTED) {
        let fields: Vec<&'static str> = line.split('\t').collect();
        match fields.as_slice() {
            ["event", name, expected, title] => {
                events.push(Event { name, expected: level(expected), title, says: Vec::new() });
            }
            ["post", name, at, platform, author, kind, parent, text] => {
                let from = clock(at);
                let say = Say {
                    from,
                    to: from,
                    count: 1,
                    platform,
                    author: Some(author),
                    kind,
                    parent: parent.parse().ok(),
                    text,
                };
                add(&mut events, name, say);
            }
            ["many", name, from, to, count, platform, kind, parent, text] => {
                let say = Say {
                    from: clock(from),
                    to: clock(to),
                    count: count.parse().unwrap_or(0),
                    platform,
                    author: None,
                    kind,
                    parent: parent.parse().ok(),
                    text,
                };
                add(&mut events, name, say);
            }
            _ => {}
        }
    }
    events
}

fn add(events: &mut [Event], name: &str, say: Say) {
    if let Some(event) = events.iter_mut().find(|event| event.name == name) {
        event.says.push(say);
    }
}

fn level(text: &str) -> Option<Level> {
    match text {
        "L1" => Some(Level::L1),
        "L2" => Some(Level::L2),
        "L3" => Some(Level::L3),
        "L4" => Some(Level::L4),
        _ => None,
    }
}

fn clock(text: &str) -> Span {
    let mut parts = text.split(':').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    Span::seconds(next() * 3_600 + next() * 60 + next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_files_is_understood() {
        let script = Script::read();
        assert!(script.slots.values().all(|values| values.len() >= 6), "a slot with few values");
        assert_eq!(script.groups.iter().map(|group| group.share).sum::<u32>(), 100);
        assert!(script.groups.iter().all(|group| group.share > 0 && group.texts.len() >= 3));
        let said: usize = script.events.iter().map(|event| event.says.len()).sum();
        assert_eq!(said + script.events.len(), lines(PLANTED).count());
        assert!(script.events.iter().all(|event| !event.says.is_empty()));
    }

    #[test]
    fn every_slot_is_known() {
        let script = Script::read();
        let templates = script.groups.iter().flat_map(|group| group.texts.iter().copied());
        let planted = script.events.iter().flat_map(|event| event.says.iter().map(|say| say.text));
        let values = script.slots.values().flatten().copied();
        for text in templates.chain(planted).chain(values) {
            for part in text.split('{').skip(1) {
                let slot = part.split_once('}').map(|(slot, _)| slot).expect("a slot is closed");
                assert!(
                    script.slots.contains_key(slot) || range(slot).is_some_and(|(a, b)| a <= b),
                    "{slot} in {text}"
                );
            }
        }
    }

    #[test]
    fn parents_stand_before_their_children() {
        for event in Script::read().events {
            for (index, say) in event.says.iter().enumerate() {
                assert!(say.parent.is_none_or(|parent| (1..=index).contains(&parent)), "{}", event.name);
                assert!(say.from <= say.to && say.to < Span::hours(24));
            }
        }
    }
}
