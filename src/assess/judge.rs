//! From evidence to judgement: classes, noise, request, level. Conservative on purpose: an ordinary post wakes nobody.
//! In: an [`Evidence`]. Out: a [`Judgement`] with the names of the rules that made it.

use super::evidence::{Evidence, Sign};
use super::{ClaimKind, Class, ClassWeight, Level, Noise, Request};
use crate::lexicon::Group;

const STRONG: f64 = 0.35;
const GAP: f64 = 0.25;
const WEAK: f64 = 0.20;
/// Weight from which a class is told.
const TOLD: f64 = 0.19;
/// Plea points from which a text calls for help.
pub(super) const PLEA: i32 = 5;
/// Points of noise from which a kind is taken.
const TAKEN: u32 = 2;
/// People or households from which a matter is no single request.
const GROUP_OF: f64 = 10.0;

const CLASSES: [Class; 14] = [
    Class::Nd,
    Class::Ad,
    Class::Ph,
    Class::So,
    Class::House,
    Class::Wage,
    Class::Edu,
    Class::Med,
    Class::Trans,
    Class::Env,
    Class::Util,
    Class::Cons,
    Class::Food,
    Class::Conduct,
];

/// What is held of a mention, with the rules that made it.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgement {
    pub classes: Vec<ClassWeight>,
    pub noise: Option<Noise>,
    pub clarification: bool,
    pub request: Option<Request>,
    pub level: Level,
    pub rule: &'static str,
    pub person: bool,
}

/// The class at a place of the dictionaries.
pub(super) fn class_at(place: u8) -> Class {
    CLASSES[usize::from(place).min(CLASSES.len() - 1)]
}

fn emergency(class: Class) -> bool {
    matches!(class, Class::Nd | Class::Ad | Class::Ph | Class::So)
}

fn counts(sign: &Sign) -> bool {
    !sign.negated && !sign.figure
}

/// Judges.
pub(super) fn judge(evidence: &Evidence, message: bool) -> Judgement {
    let mut judged = Judgement { classes: classes(evidence), ..Judgement::default() };
    judged.person = person(evidence);
    let denied = evidence.signs.iter().any(|sign| sign.negated);
    let calls = plea(evidence);
    judged.clarification = evidence.has(Group::Clarify)
        && !calls
        && (denied
            || !judged.classes.is_empty()
            || evidence.has(Group::Hearsay)
            || evidence.cue(Group::Clarify).kinds > 0)
        || denied && judged.classes.is_empty() && evidence.has(Group::Hearsay);
    judged.noise = if message { None } else { noise(evidence, &judged, calls) };
    judged.request = request(evidence, &judged, calls, message);
    let (level, rule) = level(evidence, &judged, calls);
    judged.level = level;
    judged.rule = rule;
    judged
}

fn second_cue(evidence: &Evidence, class: u8, words: &str) -> bool {
    let same = evidence.signs.iter().any(|sign| {
        sign.class == class
            && counts(sign)
            && sign.words != words
            && !words.contains(&sign.words)
            && !sign.words.contains(words)
    });
    same || evidence.now
        || [
            Group::Hurt,
            Group::Death,
            Group::Life,
            Group::Recency,
            Group::Urgency,
            Group::Firsthand,
            Group::Complaint,
            Group::Grave,
        ]
        .iter()
        .any(|group| evidence.has(*group))
        || evidence.claims.iter().any(|claim| !matches!(claim.kind, ClaimKind::WaterLevel))
}

fn classes(evidence: &Evidence) -> Vec<ClassWeight> {
    let mut left = [1.0f64; CLASSES.len()];
    let mut again = [0.0f64; CLASSES.len()];
    let mut seen: Vec<(u8, &str)> = Vec::new();
    for sign in evidence.signs.iter().filter(|sign| counts(sign)) {
        let class = usize::from(sign.class);
        if seen.contains(&(sign.class, sign.words.as_str())) {
            again[class] += 0.04;
            continue;
        }
        seen.push((sign.class, &sign.words));
        let mut weight = match (sign.gap, sign.weak) {
            (true, _) => GAP,
            (false, false) => STRONG,
            (false, true) if second_cue(evidence, sign.class, &sign.words) => WEAK,
            (false, true) => 0.0,
        };
        if sign.supposed {
            weight = (weight - 0.3_f64).max(0.0);
        }
        left[class] *= 1.0 - weight;
    }
    let mut classes: Vec<ClassWeight> = Vec::new();
    for (at, class) in CLASSES.iter().enumerate() {
        let weight = 1.0 - left[at];
        if weight > TOLD {
            let weight = (weight + again[at].min(0.12) * (1.0 - weight)).min(1.0);
            classes.push(ClassWeight { class: *class, weight: (weight * 1000.0).round() / 1000.0 });
        }
    }
    let hurt = evidence.claimed(ClaimKind::Deaths).or(evidence.claimed(ClaimKind::Injured)).is_some();
    let best = classes.iter().filter(|held| emergency(held.class)).map(|held| held.weight).fold(0.0, f64::max);
    for held in &mut classes {
        if hurt && emergency(held.class) && held.weight >= best {
            held.weight = (held.weight + 0.2).min(1.0);
        }
    }
    classes.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.class.cmp(&b.class)));
    classes
}

fn person(evidence: &Evidence) -> bool {
    let doubt = evidence.noise.iter().enumerate().any(|(kind, tally)| kind != 6 && tally.sum >= TAKEN)
        || evidence.has(Group::Clarify);
    let placed = evidence.has(Group::PersonPlace);
    !doubt
        && placed
        && (evidence.has(Group::Person)
            || evidence.has(Group::PersonWeak) && (evidence.now || evidence.has(Group::Urgency)))
}

/// Whether the text calls for help: cries and needs against offers and thanks.
pub(super) fn plea(evidence: &Evidence) -> bool {
    let cries = evidence.cue(Group::Plea).sum;
    let founded =
        evidence.has(Group::Where) || evidence.has(Group::Life) || evidence.signs.iter().any(counts) || cries >= 5;
    plea_points(evidence) >= PLEA && cries >= 3 && founded
}

fn plea_points(evidence: &Evidence) -> i32 {
    let cries = evidence.cue(Group::Plea).sum as i32;
    let carried = (evidence.cue(Group::Where).sum as i32).min(4);
    let weak = i32::from(evidence.has(Group::Vulnerable)) + i32::from(evidence.now || evidence.has(Group::Recency));
    let claimed = evidence.claimed(ClaimKind::Trapped).or(evidence.claimed(ClaimKind::Missing)).is_some();
    let life = i32::from(evidence.has(Group::Life) && evidence.has(Group::Vulnerable)) + 3 * i32::from(claimed);
    let offers = evidence.cue(Group::Offer).sum as i32;
    cries + carried + weak + life - offers
}

fn noise(evidence: &Evidence, judged: &Judgement, calls: bool) -> Option<Noise> {
    if judged.person {
        return None;
    }
    let points = |kind: usize| evidence.noise[kind].sum;
    let classed = |wanted: &[Class]| judged.classes.first().is_some_and(|held| wanted.contains(&held.class));
    let current = evidence.now || evidence.has(Group::Recency);
    if points(0) >= TAKEN && !evidence.has(Group::Real) {
        return Some(Noise::Drill);
    }
    if calls {
        return None;
    }
    let hurt = evidence.has(Group::Real) || evidence.has(Group::Life) && evidence.has(Group::Plea);
    let complained =
        judged.classes.iter().any(|held| !emergency(held.class)) && (evidence.has(Group::Complaint) || evidence.again);
    let seen = current && evidence.has(Group::Firsthand);
    let kinds = [
        (2, Noise::Fiction, !hurt && !complained),
        (3, Noise::Game, !hurt && !complained),
        (5, Noise::Sport, !hurt && !complained),
        (7, Noise::History, !current && !complained),
        (1, Noise::OldNews, !(complained || seen)),
        (8, Noise::Teaching, !(complained || seen)),
        (4, Noise::Advert, !complained && !classed(&[Class::Food, Class::Cons])),
    ];
    for (kind, noise, open) in kinds {
        let old = kind == 1 && evidence.old_year && judged.classes.first().is_some_and(|held| emergency(held.class));
        if open && (points(kind) >= TAKEN || old) {
            return Some(noise);
        }
    }
    if judged.classes.is_empty() && evidence.signs.iter().any(|sign| sign.figure)
        || judged.classes.is_empty() && evidence.figures > 0
    {
        return Some(Noise::Figure);
    }
    None
}

fn request(evidence: &Evidence, judged: &Judgement, calls: bool, message: bool) -> Option<Request> {
    if judged.noise.is_some() || judged.clarification {
        return None;
    }
    if calls {
        return Some(Request::Plea);
    }
    let first = judged.classes.first();
    let livelihood = first.is_some_and(|held| !emergency(held.class));
    if evidence.has(Group::Question) && (message || livelihood) && !evidence.has(Group::Complaint) {
        return Some(Request::Question);
    }
    if evidence.has(Group::Suggestion) && (message || livelihood) {
        return Some(Request::Suggestion);
    }
    let told = evidence.has(Group::Complaint) || evidence.again || first.is_some_and(|held| held.weight >= GAP);
    (message || livelihood && told).then_some(Request::Complaint)
}

fn level(evidence: &Evidence, judged: &Judgement, calls: bool) -> (Level, &'static str) {
    if judged.person {
        return (Level::L4, "person_in_danger");
    }
    if let Some(noise) = judged.noise {
        return (Level::L0, noise_rule(noise));
    }
    if judged.clarification {
        return (Level::L0, "denied");
    }
    let Some(first) = judged.classes.first() else {
        return match judged.request {
            Some(Request::Plea) => (Level::L3, "plea"),
            Some(_) => (Level::L1, "request"),
            None => (Level::L0, "nothing"),
        };
    };
    let hazard = judged.classes.iter().filter(|held| emergency(held.class)).map(|held| held.weight).fold(0.0, f64::max);
    let has = |group| evidence.has(group);
    let now = evidence.now || has(Group::Recency);
    let pressing = now || has(Group::Urgency) || has(Group::Firsthand);
    let over = has(Group::Closing) && !has(Group::Life);
    if hazard >= GAP && !over {
        let claimed = |kind| evidence.claimed(kind);
        if claimed(ClaimKind::Trapped).is_some_and(|n| n >= 2.0)
            || claimed(ClaimKind::Missing).is_some_and(|n| n >= 1.0)
        {
            return (Level::L4, "trapped_claimed");
        }
        if claimed(ClaimKind::Deaths).is_some_and(|n| n >= 1.0) && hazard >= STRONG {
            return (Level::L4, "deaths_claimed");
        }
        let hits = evidence.signs.iter().filter(|sign| counts(sign) && !sign.supposed && sign.class < 4).count();
        let seen = pressing || hits >= 2 || has(Group::Critical);
        if has(Group::Grave) && seen {
            return (Level::L4, "grave_failure");
        }
        if has(Group::Evacuate) && has(Group::Vulnerable) || evacuates(evidence) {
            return (Level::L4, "evacuation");
        }
        if calls && has(Group::Life) {
            return (Level::L4, "plea_lives");
        }
        if calls {
            return (Level::L3, "plea");
        }
        if has(Group::Grave) {
            return (Level::L3, "grave");
        }
        if has(Group::Unsafe) {
            return (Level::L3, "unsafe");
        }
        if hazard >= STRONG && (has(Group::Life) || has(Group::Death)) && pressing {
            return (Level::L3, "lives");
        }
        if hazard >= GAP && has(Group::Hurt) && (has(Group::Real) || pressing && has(Group::Critical)) {
            return (Level::L3, "hurt");
        }
        if hazard >= STRONG && has(Group::Urgency) && (now || has(Group::Critical) || hits >= 2) {
            return (Level::L3, "goes_on");
        }
    }
    if calls && !over {
        return (Level::L3, "plea");
    }
    contained(evidence, judged, first.class, hazard)
}

fn evacuates(evidence: &Evidence) -> bool {
    let told = evidence.signs.iter().any(|sign| {
        counts(sign)
            && !sign.supposed
            && sign.class == 0
            && (sign.words.ends_with("转移") || sign.words.ends_with("撤离"))
    });
    told && evidence.has(Group::Vulnerable) && !evidence.has(Group::Offer)
}

fn contained(evidence: &Evidence, judged: &Judgement, first: Class, hazard: f64) -> (Level, &'static str) {
    let many = evidence.has(Group::Scale) || evidence.crowd.is_some_and(|number| number >= GROUP_OF);
    if hazard >= STRONG && emergency(first) {
        let seen = first == Class::Ad
            || evidence.now
            || evidence.has(Group::Recency)
            || evidence.has(Group::Firsthand)
            || evidence.has(Group::Hurt)
            || many
            || evidence.claimed(ClaimKind::Depth).is_some()
            || hazard > 0.45;
        return if seen { (Level::L2, "contained") } else { (Level::L1, "told_of") };
    }
    let livelihood = judged.classes.iter().any(|held| !emergency(held.class) && held.weight >= GAP);
    if livelihood && many {
        return (Level::L2, "group");
    }
    (Level::L1, "single")
}

fn noise_rule(noise: Noise) -> &'static str {
    match noise {
        Noise::Drill => "drill",
        Noise::OldNews => "old_news",
        Noise::Fiction => "fiction",
        Noise::Game => "game",
        Noise::Advert => "advert",
        Noise::Sport => "sport",
        Noise::Figure => "figure",
        Noise::History => "history",
        Noise::Teaching => "teaching",
        Noise::Other => "other",
    }
}
