//! 涉昌: is the event in this city? Takes the normalised text, the summary and the platform's tag of one mention, gives
//! the verdict, the district and every word it rests on (taxonomy 4.4).
//!
//! It asks where the event is, not where the author is: names that say who reports, where somebody is from or where a
//! ship is named after do not count, and of two places the one that the text puts the event at, or names first, wins.

use crate::assess::{Anchor, Place, Relation, Verdict};
use crate::lexicon::places::{Beside, Cue, Gazetteer, Role, Tier};
use crate::mention::PlaceTag;
use crate::text::Normal;

/// Most anchors kept of one mention.
pub const MAX_ANCHORS: usize = 24;

const YES: f64 = 2.5;
const POSSIBLE: f64 = 0.5;
const CERTAIN: f64 = 3.0;
const NAMED: f64 = 2.5;
const FEW: f64 = 1.5;
const MANY: f64 = 0.5;
const PROVINCE: f64 = 0.25;
const OTHER: f64 = -3.0;
const AWAY: f64 = -1.0;
/// What names that many places bear can add up to.
const MANY_CAP: f64 = 2.0;
const STOPS: [char; 8] = ['。', '！', '？', '!', '?', '\n', '；', ';'];

/// Where a name was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Text,
    Summary,
    Tag,
}

/// How strongly the words around a name put the event there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// On the way, compared with, come from.
    Passing,
    /// Named.
    Plain,
    /// 在, 位于, or after the province.
    Located,
}

/// A name with what the words around it make of it.
struct Found<'a> {
    field: Field,
    start: usize,
    end: usize,
    name: &'a str,
    role: &'a Role,
    standing: Standing,
    /// Named in a row with places elsewhere: 上海、南昌、贵阳.
    listed: bool,
    score: f64,
}

impl Found<'_> {
    fn tier(&self) -> Option<Tier> {
        match self.role {
            Role::Here { tier, .. } => Some(*tier),
            _ => None,
        }
    }

    fn certain(&self) -> bool {
        matches!(self.tier(), Some(Tier::Name | Tier::A))
    }

    fn kind(&self) -> &'static str {
        match self.role {
            Role::Here { kind, .. } => kind,
            Role::Home => "province",
            Role::Weak => "city",
            _ => "elsewhere",
        }
    }

    fn code(&self) -> Option<&str> {
        match self.role {
            Role::Here { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    fn township(&self) -> Option<&str> {
        match self.role {
            Role::Here { township, .. } => township.as_deref(),
            _ => None,
        }
    }
}

/// What the cues of all fields say.
#[derive(Default)]
struct Cues {
    flood: bool,
    weather: bool,
    closure: bool,
    recall: bool,
    unreal: bool,
    river: bool,
    /// The province as a whole.
    home: bool,
}

/// Where the event of one mention is.
pub fn locate(gazetteer: &Gazetteer, text: &Normal, summary: Option<&Normal>, tag: Option<&PlaceTag>) -> Place {
    let mut found = Vec::new();
    let mut cues = Cues::default();
    collect(gazetteer, Field::Text, &text.text, &mut found, &mut cues);
    if let Some(summary) = summary {
        collect(gazetteer, Field::Summary, &summary.text, &mut found, &mut cues);
    }
    let tag_name = tag.and_then(|tag| tag.name.as_deref()).unwrap_or_default().to_lowercase();
    collect(gazetteer, Field::Tag, &tag_name, &mut found, &mut cues);
    let within_bounds = tag.is_some_and(|tag| tag.lat.zip(tag.lon).is_some_and(|(lat, lon)| gazetteer.holds(lat, lon)));
    if found.is_empty() && !within_bounds && !cues.home && !cues.river {
        return Place::default();
    }
    if cues.unreal {
        found.retain(|one| !matches!(one.kind(), "landmark" | "bridge" | "station" | "water"));
    }
    let texts = |field: Field| match field {
        Field::Text => text.text.as_str(),
        Field::Summary => summary.map_or("", |summary| summary.text.as_str()),
        Field::Tag => tag_name.as_str(),
    };
    weigh(&mut found, texts, within_bounds);
    let tagged = |mine: fn(&Found<'_>) -> bool| found.iter().any(|one| one.field == Field::Tag && mine(one));
    let poi = within_bounds
        || tagged(|one| matches!(one.tier(), Some(Tier::Name | Tier::A | Tier::B)))
            && !tagged(|one| matches!(one.role, Role::Elsewhere));
    let total = total(&found, poi);
    let elsewhere = against(&mut found, poi);
    let verdict = verdict(&found, total, elsewhere);
    let relation = if verdict == Verdict::Yes { None } else { related(&found, &cues, elsewhere) };
    let verdict = if relation.is_some() { Verdict::Related } else { verdict };
    let mut place = Place { verdict, relation, ..Place::default() };
    if matches!(verdict, Verdict::Yes | Verdict::Possible) {
        (place.district, place.township) = resolve(&found);
    }
    place.anchors = anchors(&found, text, summary);
    if poi {
        let words = tag.and_then(|tag| tag.name.clone()).unwrap_or_default();
        place.anchors.push(Anchor {
            start: 0,
            end: words.len(),
            text: words,
            kind: "poi".to_owned(),
            score: CERTAIN,
            within: Some("place".to_owned()),
        });
    }
    place
}

/// Names and cues of one field.
fn collect<'a>(gazetteer: &'a Gazetteer, field: Field, text: &'a str, found: &mut Vec<Found<'a>>, cues: &mut Cues) {
    // The end of the province's name, where the last hit was one.
    let mut home_end = None;
    for hit in gazetteer.hits(text) {
        let (start, end) = (hit.start, hit.end);
        let after_home = home_end == Some(start);
        match hit.role {
            Role::Nothing => {}
            Role::Cue(Cue::Flood) => cues.flood = true,
            Role::Cue(Cue::Weather) => cues.weather = true,
            Role::Cue(Cue::Closure) => cues.closure = true,
            Role::Cue(Cue::Recall) => cues.recall = true,
            Role::Cue(Cue::Unreal) => cues.unreal = true,
            role => {
                // 江西 before a place only says which province it is in.
                if after_home && found.last().is_some_and(|last| last.end == start && last.field == field) {
                    found.pop();
                }
                let before = text[..start].trim_end_matches("江西省").trim_end_matches("江西");
                if let Some(standing) = standing(gazetteer, role, before, &text[end..], after_home) {
                    let name = &text[start..end];
                    found.push(Found { field, start, end, name, role, standing, listed: false, score: 0.0 });
                    mark_listed(text, found);
                }
            }
        }
        home_end = matches!(hit.role, Role::Home).then_some(end);
    }
    cues.home |= found.iter().any(|one| one.field == field && matches!(one.role, Role::Home));
    cues.river |= found.iter().any(|one| one.field == field && one.tier() == Some(Tier::Water));
}

/// What the words beside a name make of it; `None` where it is no place of an event.
fn standing(gazetteer: &Gazetteer, role: &Role, before: &str, after: &str, after_home: bool) -> Option<Standing> {
    let bound = || gazetteer.opens(Beside::Bound, after).is_some();
    let outside = matches!(role, Role::Elsewhere);
    let region = outside || matches!(role, Role::Home | Role::Here { kind: "city" | "district", .. });
    if region && gazetteer.opens(Beside::Media, after).is_some() && !bound() {
        return None;
    }
    if region && gazetteer.opens(Beside::Origin, after).is_some() && !bound() {
        return None;
    }
    if outside && gazetteer.opens(Beside::Named, after).is_some() && !bound() {
        return None;
    }
    if gazetteer.ends_with(Beside::At, before).is_some() {
        return Some(Standing::Located);
    }
    if gazetteer.ends_with(Beside::Away, before).is_some() && gazetteer.ends_with(Beside::Past, before).is_none() {
        return Some(Standing::Passing);
    }
    // 四川游客, 韩国歌手: where somebody comes from, unless nothing else is named.
    if outside && gazetteer.opens(Beside::Person, after).is_some() {
        return Some(Standing::Passing);
    }
    Some(if after_home && !outside { Standing::Located } else { Standing::Plain })
}

/// Marks the last two names where a list mark alone stands between them and one of them is elsewhere.
fn mark_listed(text: &str, found: &mut [Found<'_>]) {
    let [.., first, second] = found else { return };
    if first.field != second.field || first.end > second.start {
        return;
    }
    let counts = |one: &Found<'_>| one.certain() || matches!(one.role, Role::Home);
    let outside = |one: &Found<'_>| matches!(one.role, Role::Elsewhere);
    let mixed = outside(first) && counts(second) || counts(first) && outside(second);
    if mixed && matches!(&text[first.end..second.start], "、" | "/") {
        first.listed = true;
        second.listed = true;
    }
}

/// Gives every name of here its score; a name that needs another and has none gets nothing.
fn weigh<'a>(found: &mut [Found<'a>], texts: impl Fn(Field) -> &'a str, within_bounds: bool) {
    let certain: Vec<(Field, usize, usize)> =
        found.iter().filter(|one| one.certain()).map(|one| (one.field, one.start, one.end)).collect();
    let districts: Vec<&str> = found
        .iter()
        .filter(|one| one.kind() == "district")
        .filter_map(|one| one.code())
        .map(|code| code as &str)
        .collect();
    let joint: Vec<bool> = found
        .iter()
        .map(|one| {
            one.township().is_some_and(|name| one.name == name)
                && one.code().is_some_and(|code| districts.contains(&code))
        })
        .collect();
    drop(districts);
    let beside = |field: Field, start: usize, end: usize| {
        certain
            .iter()
            .any(|&(other, from, to)| other == field && !texts(field)[to.min(start)..from.max(end)].contains(STOPS))
    };
    for (one, joint) in found.iter_mut().zip(joint) {
        let doubled = || if beside(one.field, one.start, one.end) { 2.0 } else { 1.0 };
        one.score = match one.role {
            // A district and a township in it, both by their full names, are together unique.
            Role::Here { .. } if joint => CERTAIN,
            Role::Here { tier: Tier::Name, .. } => NAMED,
            Role::Here { tier: Tier::A, .. } => CERTAIN,
            Role::Here { tier: Tier::B, .. } => FEW * doubled(),
            Role::Here { tier: Tier::C, .. } => MANY * doubled(),
            Role::Here { tier: Tier::D | Tier::Water, .. } if certain.is_empty() && !within_bounds => 0.0,
            Role::Here { tier: Tier::D | Tier::Water, .. } => MANY * doubled(),
            Role::Weak => MANY,
            Role::Home => PROVINCE,
            _ => 0.0,
        };
        if one.standing == Standing::Passing && matches!(one.kind(), "city" | "district") {
            one.score += AWAY;
        }
    }
}

/// What all names of here add up to, each name once.
fn total(found: &[Found<'_>], poi: bool) -> f64 {
    let (mut sum, mut many, mut home) = (0.0, 0.0, 0.0_f64);
    for (index, one) in found.iter().enumerate() {
        if poi && one.field == Field::Tag || found[..index].iter().any(|other| other.name == one.name) {
            continue;
        }
        match one.tier() {
            Some(Tier::C | Tier::D | Tier::Water) if one.score < CERTAIN => many += one.score,
            Some(_) => sum += one.score,
            None => home = home.max(one.score),
        }
    }
    sum + many.min(MANY_CAP) + home + if poi { CERTAIN } else { 0.0 }
}

/// Does a place elsewhere stand against here? Those that are overruled keep a score of 0.
fn against(found: &mut [Found<'_>], poi: bool) -> bool {
    // The event's place: the one it is put at, else the one named first.
    let best = |mine: &dyn Fn(&Found<'_>) -> bool| {
        found.iter().filter(|one| mine(one)).map(|one| (std::cmp::Reverse(one.standing), one.field, one.start)).min()
    };
    let here =
        best(&|one| one.tier().is_some() && one.score >= NAMED + AWAY && (one.certain() || one.score >= CERTAIN));
    let outside = best(&|one| matches!(one.role, Role::Elsewhere));
    let wins = match (here, outside) {
        (_, None) => false,
        (Some(here), Some(outside)) => outside < here,
        (None, Some(outside)) => !poi || outside.1 != Field::Tag,
    };
    if wins {
        for one in found.iter_mut().filter(|one| matches!(one.role, Role::Elsewhere)) {
            one.score = OTHER;
        }
    }
    wins
}

fn verdict(found: &[Found<'_>], total: f64, elsewhere: bool) -> Verdict {
    let listed = found.iter().any(|one| one.listed && one.tier().is_some())
        && !found.iter().any(|one| one.certain() && !one.listed && one.kind() != "city");
    let score = if elsewhere && !listed { total + OTHER } else { total };
    match score {
        score if score >= YES && !elsewhere && !listed => Verdict::Yes,
        score if score >= POSSIBLE => Verdict::Possible,
        _ => Verdict::No,
    }
}

/// How an event elsewhere has effect here, if it has.
fn related(found: &[Found<'_>], cues: &Cues, elsewhere: bool) -> Option<Relation> {
    let named = found.iter().any(|one| one.certain() && one.score > 0.0);
    if cues.river && cues.flood && !found.iter().any(|one| matches!(one.tier(), Some(Tier::B)) && one.score > 0.0) {
        return Some(Relation::Upstream);
    }
    if elsewhere && named && cues.closure {
        return Some(Relation::Closure);
    }
    if cues.recall && (elsewhere && named || cues.home) {
        return Some(Relation::Recall);
    }
    let listed = found.iter().any(|one| one.listed && matches!(one.role, Role::Home));
    (cues.home && (cues.weather || cues.flood && (listed || !elsewhere))).then_some(Relation::Other)
}

/// District or zone, and township: the finest name that is sure enough.
fn resolve(found: &[Found<'_>]) -> (Option<String>, Option<String>) {
    let order = |one: &&Found<'_>| {
        let fineness = match one.kind() {
            "township" => 0,
            "zone" => 1,
            "district" => 2,
            _ => 3,
        };
        (one.tier() == Some(Tier::D), fineness, one.tier(), one.field, one.start)
    };
    let usable = |one: &&Found<'_>| {
        one.score > 0.0 && one.code().is_some() && (one.tier() != Some(Tier::D) || one.kind() == "zone")
    };
    let certain_district = found.iter().find(|one| one.kind() == "district" && one.certain() && one.score > 0.0);
    let best = found
        .iter()
        .filter(usable)
        // A township that many places bear gives way to a district that says otherwise.
        .filter(|one| one.certain() || certain_district.is_none_or(|district| agrees(one, district)))
        .min_by_key(order);
    match best {
        Some(best) => (best.code().map(str::to_owned), best.township().map(str::to_owned)),
        None => (None, None),
    }
}

/// May the two names be the same place? Zones lie within districts, so only two districts exclude each other.
fn agrees(one: &Found<'_>, district: &Found<'_>) -> bool {
    let zone = |code: Option<&str>| code.is_some_and(|code| code.as_bytes().get(4) == Some(&b'9'));
    one.code() == district.code() || zone(one.code())
}

fn anchors(found: &[Found<'_>], text: &Normal, summary: Option<&Normal>) -> Vec<Anchor> {
    let mut anchors = Vec::new();
    for one in found.iter().filter(|one| one.field != Field::Tag) {
        let outside = matches!(one.role, Role::Elsewhere);
        if one.score == 0.0 && !outside || anchors.len() >= MAX_ANCHORS {
            continue;
        }
        let (from, within) = match (one.field, summary) {
            (Field::Summary, Some(summary)) => (summary, Some("summary".to_owned())),
            _ => (text, None),
        };
        let (start, end) = from.origin(one.start, one.end);
        let (text, kind) = (one.name.to_owned(), one.kind().to_owned());
        anchors.push(Anchor { text, kind, score: one.score, start, end, within });
    }
    anchors
}

#[cfg(test)]
mod tests;
