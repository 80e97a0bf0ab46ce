//! The dictionaries as meant: one automaton over all words, patterns with the words that wake them, routing.
//! In: the files' texts. Out: a [`Lexicon`], or every fault with file and line.

use super::read::{CLASS_CODES, ClassFile, Desk, NOISE_KINDS, PlatformFile};
use super::{Fault, Sources};
use daachorse::CharwiseDoubleArrayAhoCorasick;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// Patterns that a lexicon may hold: their triggers are kept as bits of one word.
const PATTERNS: usize = 128;
/// Trigger groups of one pattern.
const TRIGGER_GROUPS: usize = 2;

macro_rules! groups {
    ($($variant:ident = $name:literal : $doc:literal),+ $(,)?) => {
        /// Groups of cues, as `cues.tsv` names them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Group { $(#[doc = $doc] $variant),+ }

        impl Group {
            /// All groups.
            pub const ALL: &'static [Group] = &[$(Group::$variant),+];

            /// The name in the dictionary.
            pub fn name(self) -> &'static str {
                match self { $(Group::$variant => $name),+ }
            }
        }
    };
}

groups! {
    Plea = "plea": "Calls for help; weights add up.",
    Where = "where": "Address, telephone, kin: what a call for help carries.",
    Offer = "offer": "Offers, thanks, news of rescue: no call for help.",
    Life = "life": "Somebody cannot get out or is not found.",
    Death = "death": "Somebody died.",
    Hurt = "hurt": "Somebody is hurt.",
    Grave = "grave": "A dike, building or gas line fails, or an attack.",
    Evacuate = "evacuate": "People are moved out.",
    Unsafe = "unsafe": "Water, food or medicine that harms.",
    Urgency = "urgency": "It gets worse, hurry.",
    Recency = "recency": "It goes on now.",
    Scale = "scale": "Many households, a whole street.",
    Vulnerable = "vulnerable": "Old people, children, patients.",
    Critical = "critical": "Hospitals, schools, tunnels.",
    Firsthand = "firsthand": "The author sees it.",
    Hearsay = "hearsay": "The author heard it.",
    Repeat = "repeat": "Again and again.",
    Closing = "closing": "It is over.",
    Person = "person": "Somebody may be about to die by their own hand.",
    PersonWeak = "person_weak": "The same in words that are often a figure of speech.",
    PersonPlace = "person_place": "A bridge, a roof: the second cue for the two groups above.",
    Complaint = "complaint": "Something is wrong and nobody sees to it.",
    Question = "question": "How does it work?",
    Suggestion = "suggestion": "It could be better.",
    Clarify = "clarify": "A claim is denied.",
    Negate = "negate": "No, not, none.",
    Hypothetical = "hypothetical": "If, what if, dreamt.",
    Real = "real": "No exercise after all.",
}

/// What a word means.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Role {
    /// A term of a class (place in [`CLASS_CODES`]); `weak`: never enough alone.
    Term {
        /// Place of the class.
        class: u8,
        /// Needs a second cue.
        weak: bool,
    },
    /// A cue and its weight.
    Cue {
        /// Its group.
        group: Group,
        /// Its weight within the group.
        weight: u8,
    },
    /// A sign of noise (place in [`NOISE_KINDS`]).
    Noise {
        /// Place of the kind.
        kind: u8,
        /// From 2 the kind is taken.
        weight: u8,
    },
    /// Wakes a pattern.
    Trigger {
        /// Place of the pattern.
        pattern: u8,
        /// Which of its groups.
        group: u8,
    },
}

/// A word of the dictionaries with all it means.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The word, normalised.
    pub word: String,
    /// What it means.
    pub roles: Vec<Role>,
}

/// An entry found in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// Place of the entry.
    pub entry: u32,
}

/// A pattern and what it stands for.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// `R1`, or the class's code.
    pub id: String,
    /// The class of a gap pattern.
    pub class: Option<u8>,
    /// The compiled pattern.
    pub regex: Regex,
    groups: u8,
}

/// A class and who is first asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassInfo {
    /// Its code.
    pub code: String,
    /// Its Chinese name.
    pub name: String,
    /// Units first asked.
    pub units: Vec<String>,
}

/// Units for a class when one of the words is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Place of the class.
    pub class: u8,
    /// Any of these.
    pub words: Vec<String>,
    /// Then these units.
    pub units: Vec<String>,
}

/// A unit of the administration or a public service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// `U01`.
    pub id: String,
    /// Full name.
    pub name: String,
    /// What people call it.
    pub aliases: Vec<String>,
    /// `livelihood`, `policy` or `none`.
    pub category: String,
    /// What it does.
    pub duty: String,
}

/// All dictionaries, compiled.
pub struct Lexicon {
    /// In the order of [`CLASS_CODES`].
    pub classes: Vec<ClassInfo>,
    /// Narrower routing, first match wins.
    pub routes: Vec<Route>,
    /// Units in file order.
    pub units: Vec<Unit>,
    /// Platforms by name, with their Chinese names.
    pub platforms: BTreeMap<String, String>,
    /// Slips of hand and what was meant.
    pub homophones: Vec<(String, String)>,
    /// Words for the segmenter.
    pub user_words: Vec<String>,
    /// Cue and gap patterns.
    pub patterns: Vec<Pattern>,
    /// Masking patterns `R11` to `R14`.
    pub masks: Vec<(String, Regex)>,
    entries: Vec<Entry>,
    automaton: CharwiseDoubleArrayAhoCorasick<u32>,
}

impl std::fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lexicon({} entries, {} patterns)", self.entries.len(), self.patterns.len())
    }
}

/// What is built up while the files are read.
#[derive(Default)]
struct Draft {
    roles: BTreeMap<String, Vec<Role>>,
    patterns: Vec<Pattern>,
    masks: Vec<(String, Regex)>,
}

impl Draft {
    fn add(&mut self, word: &str, role: Role) {
        self.roles.entry(word.to_lowercase()).or_default().push(role);
    }
}

impl Lexicon {
    /// The files that a lexicon is made of.
    pub fn embedded_names() -> &'static [&'static str] {
        &[
            "classes.toml",
            "terms.tsv",
            "patterns.tsv",
            "cues.tsv",
            "noise.tsv",
            "homophones.tsv",
            "platforms.toml",
            "units.tsv",
            "user-words.txt",
        ]
    }

    /// Compiles the files, or tells every fault.
    pub fn load(sources: &Sources) -> Result<Lexicon, Vec<Fault>> {
        let mut desk = Desk::new(sources);
        let mut draft = Draft::default();
        let units = read_units(&mut desk);
        let (classes, routes) = read_classes(&mut desk, &units);
        read_terms(&mut desk, &mut draft);
        read_cues(&mut desk, &mut draft);
        read_noise(&mut desk, &mut draft);
        read_patterns(&mut desk, &mut draft);
        let homophones = read_homophones(&mut desk);
        let platforms = read_platforms(&mut desk);
        let user_words = desk.words("user-words.txt").iter().map(|row| row.fields[0].to_owned()).collect();
        let mut faults = desk.faults;
        let entries: Vec<Entry> =
            std::mem::take(&mut draft.roles).into_iter().map(|(word, roles)| Entry { word, roles }).collect();
        let pairs = entries.iter().enumerate().map(|(at, entry)| (entry.word.as_str(), at as u32));
        let automaton = match CharwiseDoubleArrayAhoCorasick::with_values(pairs) {
            Ok(automaton) if faults.is_empty() => automaton,
            Ok(_) => return Err(sorted(faults)),
            Err(error) => {
                faults.push(Fault { file: "terms.tsv".into(), line: 0, detail: format!("cannot compile: {error}") });
                return Err(sorted(faults));
            }
        };
        let Draft { patterns, masks, .. } = draft;
        Ok(Lexicon { classes, routes, units, platforms, homophones, user_words, patterns, masks, entries, automaton })
    }

    /// The entry at a place.
    pub fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    /// Finds every word of the dictionaries in a normalised text, overlapping ones too, in order of their ends.
    pub fn scan(&self, text: &str) -> Vec<Found> {
        let found = self.automaton.find_overlapping_iter(text);
        found.map(|hit| Found { start: hit.start(), end: hit.end(), entry: hit.value() }).collect()
    }

    /// Places of the patterns whose every trigger group stands among `found`.
    pub fn woken(&self, found: &[Found]) -> Vec<usize> {
        let mut seen = [0u128; TRIGGER_GROUPS];
        for hit in found {
            for role in &self.entry(hit.entry).roles {
                if let Role::Trigger { pattern, group } = role {
                    seen[*group as usize] |= 1 << pattern;
                }
            }
        }
        if seen[0] == 0 {
            return Vec::new();
        }
        let has = |at: usize, group: usize| seen[group] & (1 << at) != 0;
        let patterns = self.patterns.iter().enumerate();
        patterns.filter(|(at, p)| (0..p.groups as usize).all(|g| has(*at, g))).map(|(at, _)| at).collect()
    }

    /// Whether records of this platform are taken.
    pub fn knows_platform(&self, name: &str) -> bool {
        self.platforms.contains_key(name)
    }
}

fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults
}

fn read_units(desk: &mut Desk<'_>) -> Vec<Unit> {
    let rows = desk.table("units.tsv", &["id", "name", "aliases", "category", "topics", "duty", "status"]);
    let mut seen = BTreeSet::new();
    let mut units = Vec::new();
    for row in rows {
        if !seen.insert(row.fields[0]) {
            desk.fault("units.tsv", row.line, format!("unit {} stands twice", row.fields[0]));
        }
        units.push(Unit {
            id: row.fields[0].to_owned(),
            name: row.fields[1].to_owned(),
            aliases: row.fields[2].split_whitespace().map(str::to_owned).collect(),
            category: row.fields[3].to_owned(),
            duty: row.fields[5].to_owned(),
        });
    }
    units
}

fn read_classes(desk: &mut Desk<'_>, units: &[Unit]) -> (Vec<ClassInfo>, Vec<Route>) {
    const FILE: &str = "classes.toml";
    let file: ClassFile = desk.toml(FILE);
    let wanted: Vec<&String> =
        file.class.iter().flat_map(|c| &c.units).chain(file.route.iter().flat_map(|r| &r.units)).collect();
    for id in wanted {
        if !units.is_empty() && !units.iter().any(|unit| &unit.id == id) {
            let line = desk.line_with(FILE, id);
            desk.fault(FILE, line, format!("unknown unit {id}; add it to units.tsv"));
        }
    }
    for row in &file.class {
        let line = desk.line_with(FILE, &row.code);
        desk.class(FILE, line, &row.code);
    }
    let mut classes = Vec::new();
    for code in CLASS_CODES {
        match file.class.iter().find(|row| row.code == code) {
            Some(row) => {
                classes.push(ClassInfo { code: code.into(), name: row.name.clone(), units: row.units.clone() })
            }
            None if !file.class.is_empty() => desk.fault(FILE, 0, format!("class {code} is missing")),
            None => {}
        }
    }
    let mut routes = Vec::new();
    for row in file.route {
        let line = desk.line_with(FILE, &row.class);
        if let Some(class) = desk.class(FILE, line, &row.class) {
            routes.push(Route { class, words: row.words, units: row.units });
        }
    }
    (classes, routes)
}

fn read_terms(desk: &mut Desk<'_>, draft: &mut Draft) {
    const FILE: &str = "terms.tsv";
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in desk.table(FILE, &["class", "term", "needs_second_cue"]) {
        let (code, term, second) = (row.fields[0], row.fields[1], row.fields[2]);
        let class = desk.class(FILE, row.line, code);
        if term.is_empty() {
            desk.fault(FILE, row.line, "the term is empty");
            continue;
        }
        if let Some(first) = seen.insert(term, row.line) {
            desk.fault(FILE, row.line, format!("{term} stands in line {first} already; a term has one class"));
        }
        if !matches!(second, "0" | "1") {
            desk.fault(FILE, row.line, format!("needs_second_cue is 0 or 1, not {second}"));
        }
        if let Some(class) = class {
            draft.add(term, Role::Term { class, weak: second == "1" });
        }
    }
}

fn weight(desk: &mut Desk<'_>, file: &str, line: usize, text: &str) -> u8 {
    match text.parse::<u8>() {
        Ok(weight) if weight > 0 => weight,
        _ => {
            desk.fault(file, line, format!("the weight is a whole number from 1 to 255, not {text}"));
            1
        }
    }
}

fn read_cues(desk: &mut Desk<'_>, draft: &mut Draft) {
    const FILE: &str = "cues.tsv";
    let mut seen = BTreeSet::new();
    for row in desk.table(FILE, &["group", "cue", "weight"]) {
        let weight = weight(desk, FILE, row.line, row.fields[2]);
        if row.fields[1].is_empty() || !seen.insert((row.fields[0], row.fields[1])) {
            desk.fault(FILE, row.line, format!("cue {} is empty or stands twice in its group", row.fields[1]));
            continue;
        }
        match Group::ALL.iter().find(|group| group.name() == row.fields[0]) {
            Some(&group) => draft.add(row.fields[1], Role::Cue { group, weight }),
            None => desk.fault(FILE, row.line, format!("unknown group {}", row.fields[0])),
        }
    }
}

fn read_noise(desk: &mut Desk<'_>, draft: &mut Draft) {
    const FILE: &str = "noise.tsv";
    for row in desk.table(FILE, &["kind", "cue", "weight"]) {
        let weight = weight(desk, FILE, row.line, row.fields[2]);
        if row.fields[1].is_empty() {
            desk.fault(FILE, row.line, "the cue is empty");
            continue;
        }
        match NOISE_KINDS.iter().position(|kind| *kind == row.fields[0]) {
            Some(kind) => draft.add(row.fields[1], Role::Noise { kind: kind as u8, weight }),
            None => desk.fault(FILE, row.line, format!("unknown kind {}", row.fields[0])),
        }
    }
}

fn read_patterns(desk: &mut Desk<'_>, draft: &mut Draft) {
    const FILE: &str = "patterns.tsv";
    for row in desk.table(FILE, &["id_or_class", "kind", "note", "triggers", "pattern"]) {
        let (id, kind, triggers) = (row.fields[0], row.fields[1], row.fields[3]);
        let regex = match Regex::new(row.fields[4]) {
            Ok(regex) => regex,
            Err(error) => {
                let detail = error.to_string();
                let last = detail.lines().last().unwrap_or("cannot be read").trim().to_owned();
                desk.fault(FILE, row.line, format!("bad pattern: {last}"));
                continue;
            }
        };
        let class = match kind {
            "mask" => {
                draft.masks.push((id.to_owned(), regex));
                continue;
            }
            "cue" => None,
            "gap" => match desk.class(FILE, row.line, id) {
                Some(class) => Some(class),
                None => continue,
            },
            _ => {
                desk.fault(FILE, row.line, format!("the kind is cue, gap or mask, not {kind}"));
                continue;
            }
        };
        let at = draft.patterns.len();
        let groups: Vec<&str> = triggers.split(" / ").collect();
        if at >= PATTERNS || groups.len() > TRIGGER_GROUPS || triggers.trim().is_empty() {
            let detail = format!("at most {PATTERNS} patterns, each with 1 to {TRIGGER_GROUPS} groups of triggers");
            desk.fault(FILE, row.line, detail);
            continue;
        }
        for (group, words) in groups.iter().enumerate() {
            for word in words.split_whitespace() {
                draft.add(word, Role::Trigger { pattern: at as u8, group: group as u8 });
            }
        }
        draft.patterns.push(Pattern { id: id.to_owned(), class, regex, groups: groups.len() as u8 });
    }
}

fn read_homophones(desk: &mut Desk<'_>) -> Vec<(String, String)> {
    let rows = desk.table("homophones.tsv", &["wrong", "right"]);
    rows.iter().map(|row| (row.fields[0].to_owned(), row.fields[1].to_owned())).collect()
}

fn read_platforms(desk: &mut Desk<'_>) -> BTreeMap<String, String> {
    const FILE: &str = "platforms.toml";
    let file: PlatformFile = desk.toml(FILE);
    let mut platforms = BTreeMap::new();
    for row in file.platform {
        if platforms.insert(row.name.clone(), row.title).is_some() {
            let line = desk.line_with(FILE, &row.name);
            desk.fault(FILE, line, format!("platform {} stands twice", row.name));
        }
    }
    platforms
}
