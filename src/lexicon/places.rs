//! The gazetteer: names of the city and of elsewhere, and the words that change what a name means. Takes the text of
//! `places.tsv`, `townships.tsv`, `elsewhere.tsv` and `place-phrases.tsv`, gives one automaton over all of them.
//!
//! One automaton for here and elsewhere, longest match first, keeps a name that chance cuts out of another from
//! matching: 海南昌江 is 海南 and 昌江, never 南昌.

use std::collections::BTreeMap;

use daachorse::MatchKind;
use daachorse::charwise::{CharwiseDoubleArrayAhoCorasick, CharwiseDoubleArrayAhoCorasickBuilder};

use super::{Fault, Sources};

/// Most names and phrases in all files together.
pub const MAX_NAMES: usize = 100_000;
/// Longest name in characters.
pub const MAX_NAME_CHARS: usize = 40;

const PLACES: &str = "places.tsv";
const TOWNSHIPS: &str = "townships.tsv";
const ELSEWHERE: &str = "elsewhere.tsv";
const PHRASES: &str = "place-phrases.tsv";
const KINDS: [&str; 13] = [
    "city",
    "district",
    "township",
    "zone",
    "station",
    "hub",
    "bridge",
    "road",
    "landmark",
    "hospital",
    "university",
    "dike",
    "water",
];
const OUTSIDE: [&str; 6] = ["home", "province", "city", "county", "foreign", "landmark"];

/// How surely a name means this city.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// The city by its name.
    Name,
    /// Nothing else bears the name.
    A,
    /// Few others bear it.
    B,
    /// Many others bear it.
    C,
    /// An everyday word: counts only beside a certain name.
    D,
    /// A river or lake that is also elsewhere.
    Water,
}

/// A word that tells of an effect here of something elsewhere, or that nothing is real.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cue {
    /// Flood.
    Flood,
    /// Weather over whole provinces.
    Weather,
    /// Something is closed.
    Closure,
    /// Goods are recalled.
    Recall,
    /// A game, a poem.
    Unreal,
}

/// What an entry of the automaton means.
#[derive(Clone, PartialEq, Debug)]
pub enum Role {
    /// A name of the city.
    Here {
        /// Kind as anchors name it.
        kind: &'static str,
        /// How sure.
        tier: Tier,
        /// District, county or zone.
        code: Option<String>,
        /// Official name of the township.
        township: Option<String>,
    },
    /// The province.
    Home,
    /// A place elsewhere.
    Elsewhere,
    /// Holds a name and names no place.
    Nothing,
    /// Says little about the place.
    Weak,
    /// A cue.
    Cue(Cue),
}

/// South, north, west, east, degrees.
type Bounds = [f64; 4];

/// All names and phrases, compiled.
pub struct Gazetteer {
    automaton: CharwiseDoubleArrayAhoCorasick<u32>,
    roles: Vec<Role>,
    labels: BTreeMap<String, String>,
    centre: Vec<String>,
    bounds: Option<Bounds>,
    words: BTreeMap<Beside, Vec<String>>,
}

/// Words that stand beside a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Beside {
    /// After a name: who reports.
    Media,
    /// After a name: where somebody or something is from.
    Origin,
    /// After a name elsewhere: something named after it, 北京路.
    Named,
    /// After a name elsewhere: somebody who comes from there.
    Person,
    /// After a name: undoes `Media`, `Origin` and `Named`.
    Bound,
    /// Before a name: the event is there.
    At,
    /// Before a name: the event may be elsewhere.
    Away,
    /// Before a name: undoes `Away`.
    Past,
}

/// A name found in a text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hit<'a> {
    /// First byte in the normalised text.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it means.
    pub role: &'a Role,
}

impl Gazetteer {
    /// Compiles the four files.
    ///
    /// # Errors
    /// All faults at once, each with file and line.
    pub fn load(sources: &Sources) -> Result<Gazetteer, Vec<Fault>> {
        let mut draft = Draft::default();
        draft.file(sources, PLACES, 4, Draft::place);
        draft.file(sources, TOWNSHIPS, 6, Draft::township);
        draft.file(sources, ELSEWHERE, 2, Draft::elsewhere);
        draft.file(sources, PHRASES, 2, Draft::phrase);
        if draft.names.len() > MAX_NAMES {
            draft.fault(PLACES, 0, format!("more than {MAX_NAMES} names in all; take some out"));
        }
        if draft.names.is_empty() && draft.faults.is_empty() {
            draft.fault(PLACES, 0, "no names; the city needs at least its own".to_owned());
        }
        if !draft.faults.is_empty() {
            draft.faults.sort();
            return Err(draft.faults);
        }
        draft.compile()
    }

    /// Names and cues of a normalised text in order, longest first, none overlapping.
    pub fn hits<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Hit<'a>> + 'a {
        self.automaton.leftmost_find_iter(text).map(|found| Hit {
            start: found.start(),
            end: found.end(),
            role: &self.roles[found.value() as usize],
        })
    }

    /// What the console calls a district, county or zone.
    pub fn district_name(&self, code: &str) -> Option<&str> {
        self.labels.get(code).map(String::as_str)
    }

    /// Codes and names of all districts, counties and zones, by code.
    pub fn districts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(code, name)| (code.as_str(), name.as_str()))
    }

    /// Codes of the districts of the centre, in the order of the file.
    pub fn centre(&self) -> &[String] {
        &self.centre
    }

    /// Is the point within the bounds of the city?
    pub fn holds(&self, lat: f64, lon: f64) -> bool {
        self.bounds
            .is_some_and(|[south, north, west, east]| (south..=north).contains(&lat) && (west..=east).contains(&lon))
    }

    /// Does a word of the kind end `before`? Longest that does.
    pub fn ends_with(&self, kind: Beside, before: &str) -> Option<&str> {
        self.words.get(&kind)?.iter().find(|word| before.ends_with(word.as_str())).map(String::as_str)
    }

    /// Does a word of the kind open `after`? Longest that does.
    pub fn opens(&self, kind: Beside, after: &str) -> Option<&str> {
        self.words.get(&kind)?.iter().find(|word| after.starts_with(word.as_str())).map(String::as_str)
    }
}

/// The files as far as they are read.
#[derive(Default)]
struct Draft {
    names: BTreeMap<String, Role>,
    labels: BTreeMap<String, String>,
    centre: Vec<String>,
    bounds: Option<Bounds>,
    words: BTreeMap<Beside, Vec<String>>,
    faults: Vec<Fault>,
}

impl Draft {
    fn fault(&mut self, file: &str, line: usize, detail: String) {
        self.faults.push(Fault { file: file.to_owned(), line, detail });
    }

    fn file(&mut self, sources: &Sources, file: &str, columns: usize, read: fn(&mut Draft, usize, &[&str])) {
        let Some(text) = sources.get(file) else {
            return self.fault(file, 0, "missing; put it beside the other dictionaries".to_owned());
        };
        if !text.trim_start_matches('\u{feff}').starts_with('#') {
            self.fault(file, 1, "the first line must start with # and say what the file is".to_owned());
        }
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
            if cells.len() == columns && cells.iter().all(|cell| !cell.is_empty()) {
                read(self, number + 1, &cells);
            } else {
                let found = cells.len();
                self.fault(
                    file,
                    number + 1,
                    format!("{columns} columns between tabs needed, none empty; found {found}"),
                );
            }
        }
    }

    fn name(&mut self, file: &str, line: usize, name: &str, role: Role) {
        let chars = name.chars().count();
        if !(2..=MAX_NAME_CHARS).contains(&chars) {
            return self.fault(file, line, format!("{name}: a name has 2 to {MAX_NAME_CHARS} characters"));
        }
        if self.names.insert(name.to_lowercase(), role).is_some() {
            self.fault(file, line, format!("{name}: given twice; keep one"));
        }
    }

    fn tier(&mut self, file: &str, line: usize, tier: &str) -> Option<Tier> {
        let found = match tier {
            "N" => Some(Tier::Name),
            "A" => Some(Tier::A),
            "B" => Some(Tier::B),
            "C" => Some(Tier::C),
            "D" => Some(Tier::D),
            "W" => Some(Tier::Water),
            _ => None,
        };
        if found.is_none() {
            self.fault(file, line, format!("{tier}: no such tier; one of N A B C D W"));
        }
        found
    }

    fn code(&mut self, file: &str, line: usize, code: &str) -> Option<String> {
        if code == "-" {
            return None;
        }
        if !matches!(code.len(), 4 | 6) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fault(file, line, format!("{code}: a code has 4 or 6 digits, or is -"));
        }
        // The code of the city itself says nothing about the district.
        (code.len() == 6).then(|| code.to_owned())
    }

    fn place(&mut self, line: usize, cells: &[&str]) {
        let &[kind, name, tier, code] = cells else { return };
        match kind {
            "label" => {
                if let Some(code) = self.code(PLACES, line, code) {
                    self.labels.insert(code, name.to_owned());
                }
            }
            "centre" => {
                if let Some(code) = self.code(PLACES, line, code) {
                    self.centre.push(code);
                }
            }
            "box" => {
                let numbers: Vec<f64> = name.split(',').filter_map(|number| number.trim().parse().ok()).collect();
                self.bounds = numbers.try_into().ok();
                if self.bounds.is_none() {
                    self.fault(PLACES, line, format!("{name}: south,north,west,east needed"));
                }
            }
            _ => {
                let Some(&kind) = KINDS.iter().find(|&&known| known == kind) else {
                    return self.fault(PLACES, line, format!("{kind}: no such kind; one of {}", KINDS.join(" ")));
                };
                let code = self.code(PLACES, line, code);
                if let Some(tier) = self.tier(PLACES, line, tier) {
                    self.name(PLACES, line, name, Role::Here { kind, tier, code, township: None });
                }
            }
        }
    }

    fn township(&mut self, line: usize, cells: &[&str]) {
        let &[_, name, tier, short, short_tier, runs] = cells else { return };
        let code = self.code(TOWNSHIPS, line, runs);
        let township = Some(name.to_owned());
        if let Some(tier) = self.tier(TOWNSHIPS, line, tier) {
            let role = Role::Here { kind: "township", tier, code: code.clone(), township: township.clone() };
            self.name(TOWNSHIPS, line, name, role);
        }
        if short == "-" {
            return;
        }
        if let Some(tier) = self.tier(TOWNSHIPS, line, short_tier) {
            self.name(TOWNSHIPS, line, short, Role::Here { kind: "township", tier, code, township });
        }
    }

    fn elsewhere(&mut self, line: usize, cells: &[&str]) {
        let &[kind, name] = cells else { return };
        if !OUTSIDE.contains(&kind) {
            return self.fault(ELSEWHERE, line, format!("{kind}: no such kind; one of {}", OUTSIDE.join(" ")));
        }
        self.name(ELSEWHERE, line, name, if kind == "home" { Role::Home } else { Role::Elsewhere });
    }

    fn phrase(&mut self, line: usize, cells: &[&str]) {
        let &[kind, words] = cells else { return };
        let beside = match kind {
            "media" => Some(Beside::Media),
            "origin" => Some(Beside::Origin),
            "named" => Some(Beside::Named),
            "person" => Some(Beside::Person),
            "bound" => Some(Beside::Bound),
            "at" => Some(Beside::At),
            "away" => Some(Beside::Away),
            "past" => Some(Beside::Past),
            _ => None,
        };
        if let Some(beside) = beside {
            return self.words.entry(beside).or_default().push(words.to_lowercase());
        }
        let role = match kind {
            "nothing" => Role::Nothing,
            "weak" => Role::Weak,
            "city" => Role::Here { kind: "city", tier: Tier::Name, code: None, township: None },
            "flood" => Role::Cue(Cue::Flood),
            "weather" => Role::Cue(Cue::Weather),
            "closure" => Role::Cue(Cue::Closure),
            "recall" => Role::Cue(Cue::Recall),
            "unreal" => Role::Cue(Cue::Unreal),
            _ => return self.fault(PHRASES, line, format!("{kind}: no such kind; see the head of the file")),
        };
        self.name(PHRASES, line, words, role);
    }

    fn compile(mut self) -> Result<Gazetteer, Vec<Fault>> {
        for words in self.words.values_mut() {
            words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        }
        let (names, roles): (Vec<String>, Vec<Role>) = self.names.into_iter().unzip();
        let automaton = CharwiseDoubleArrayAhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build_with_values(names.iter().zip(0u32..))
            .map_err(|error| vec![Fault { file: PLACES.to_owned(), line: 0, detail: error.to_string() }])?;
        let (labels, centre, bounds, words) = (self.labels, self.centre, self.bounds, self.words);
        Ok(Gazetteer { automaton, roles, labels, centre, bounds, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        [
            (PLACES, "# places\nlabel\t东湖区\t-\t360102\ncentre\t东湖区\t-\t360102\ncity\t南昌\tN\t3601\nbox\t28,29,115,116\tA\t3601\n"),
            (TOWNSHIPS, "# townships\n360102100\t扬子洲镇\tA\t扬子洲\tA\t360102\n"),
            (ELSEWHERE, "# elsewhere\nprovince\t海南\nhome\t江西\n"),
            (PHRASES, "# phrases\nnothing\t南昌舰\nmedia\t晚报\nat\t在\n"),
        ]
        .into_iter()
        .map(|(file, text)| (file.to_owned(), text.to_owned()))
        .collect()
    }

    #[test]
    fn names_are_found_longest_first_and_never_cut_by_chance() {
        let gazetteer = Gazetteer::load(&sources()).unwrap();
        let found = |text: &'static str| gazetteer.hits(text).map(|hit| &text[hit.start..hit.end]).collect::<Vec<_>>();
        assert_eq!(found("海南昌江下雨"), ["海南"]);
        assert_eq!(found("南昌舰到了南昌扬子洲镇"), ["南昌舰", "南昌", "扬子洲镇"]);
        assert_eq!(gazetteer.district_name("360102"), Some("东湖区"));
        assert_eq!(gazetteer.centre(), ["360102"]);
        assert!(gazetteer.holds(28.6, 115.9) && !gazetteer.holds(30.2, 120.1));
    }

    #[test]
    fn every_fault_has_file_and_line() {
        let mut given = sources();
        given.insert(PLACES.to_owned(), "# places\ncity\t南昌\tX\t3601\nplanet\t火星\tA\t-\ncity\t南昌\n".to_owned());
        given.insert(ELSEWHERE.to_owned(), "# elsewhere\nprovince\t海南\ncity\t海南\n".to_owned());
        given.remove(PHRASES);
        let faults = Gazetteer::load(&given).err().unwrap();
        let at: Vec<(&str, usize)> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
        assert_eq!(at, [(ELSEWHERE, 3), (PHRASES, 0), (PLACES, 2), (PLACES, 3), (PLACES, 4)]);
    }

    #[test]
    fn a_file_without_its_head_line_is_refused() {
        let mut given = sources();
        given.insert(ELSEWHERE.to_owned(), "province\t海南\n".to_owned());
        assert_eq!(Gazetteer::load(&given).err().unwrap()[0].line, 1);
    }
}
