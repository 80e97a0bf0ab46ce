//! What one mention says: place, classes, severity, claims, and why. Pure: a mention and the lexicon in, a [`Reading`] out.
//!
//! Stance weighs nothing here: praise and anger change no field (public-trust rule 8).

pub mod place;
pub mod published;
mod evidence;
mod judge;
mod reader;
#[cfg(test)]
pub(crate) mod readings;

pub use reader::{Parted, Reader};

use crate::mention::PlaceTag;
use crate::text::Normal;
use serde::{Deserialize, Serialize};

/// The fourteen classes of `dictionaries/classes.toml`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Natural disaster 自然灾害.
    Nd,
    /// Accident 事故灾难.
    Ad,
    /// Public health 公共卫生.
    Ph,
    /// Public safety, danger to people and property only 社会治安.
    So,
    /// Housing 住房与物业.
    House,
    /// Work and wages 劳动与工资.
    Wage,
    /// Education 教育.
    Edu,
    /// Medical service 医疗卫生服务.
    Med,
    /// Transport 交通出行.
    Trans,
    /// Environment 生态环境与市容.
    Env,
    /// Utilities 公用事业.
    Util,
    /// Consumers 消费者权益.
    Cons,
    /// Food safety 食品安全.
    Food,
    /// Conduct of offices 政务服务与作风.
    Conduct,
}

impl Class {
    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Class::Nd => "自然灾害",
            Class::Ad => "事故灾难",
            Class::Ph => "公共卫生",
            Class::So => "社会治安",
            Class::House => "住房与物业",
            Class::Wage => "劳动与工资",
            Class::Edu => "教育",
            Class::Med => "医疗卫生服务",
            Class::Trans => "交通出行",
            Class::Env => "生态环境与市容",
            Class::Util => "公用事业",
            Class::Cons => "消费者权益",
            Class::Food => "食品安全",
            Class::Conduct => "政务服务与作风",
        }
    }
}

/// How bad, as a machine may say it; never the legal grades.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Level {
    /// Nothing to do 无须处理.
    #[default]
    L0,
    /// A single request 个别诉求.
    L1,
    /// Contained 局部可控.
    L2,
    /// Hazard goes on 险情持续.
    L3,
    /// Lives in danger 危及生命.
    L4,
}

/// Whether the event is in this city.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Here.
    Yes,
    /// Perhaps here.
    Possible,
    /// Elsewhere, or nowhere said.
    #[default]
    No,
    /// Elsewhere, with effect here.
    Related,
}

/// How an event elsewhere has effect here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Flood upstream.
    Upstream,
    /// A closed road, line or airport that leads here.
    Closure,
    /// Recalled goods sold here.
    Recall,
    /// Anything else.
    Other,
}

/// One word that speaks for or against a place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Anchor {
    /// The words, as in the masked text.
    pub text: String,
    /// What it is: `city`, `district`, `township`, `zone`, `station`, `road`, `landmark`, `elsewhere`, …
    pub kind: String,
    /// What it adds or takes.
    pub score: f64,
    /// First byte in the masked text.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// `summary` where the offsets point into the summary.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// Where the event is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// In this city?
    pub verdict: Verdict,
    /// For [`Verdict::Related`], how.
    #[serde(default)]
    pub relation: Option<Relation>,
    /// Code of the district, county or zone.
    pub district: Option<String>,
    /// Name of the township.
    pub township: Option<String>,
    /// What it rests on.
    pub anchors: Vec<Anchor>,
}

/// A class and how strongly it speaks, 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClassWeight {
    /// The class.
    pub class: Class,
    /// 0 to 1.
    pub weight: f64,
}

/// What the mention is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Tells of an event.
    Event,
    /// Asks an office for something.
    Request,
    /// Denies or corrects a claim.
    Clarification,
    /// Written by a registered official account.
    Official,
    /// Neither.
    #[default]
    Noise,
}

/// Which noise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// An exercise.
    Drill,
    /// Something of the past, told again.
    OldNews,
    /// Film, television, novel.
    Fiction,
    /// A game.
    Game,
    /// Advertising.
    Advert,
    /// Sport.
    Sport,
    /// A figure of speech.
    Figure,
    /// History, anniversaries.
    History,
    /// Science, law, training.
    Teaching,
    /// Anything else that calls for nothing.
    Other,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Something is wrong.
    Complaint,
    /// How does it work?
    Question,
    /// Help, now.
    Plea,
    /// It could be better.
    Suggestion,
}

/// What sort of number is claimed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// People dead.
    Deaths,
    /// People hurt.
    Injured,
    /// People who cannot get out.
    Trapped,
    /// People not found.
    Missing,
    /// Households touched.
    Households,
    /// Metres.
    WaterLevel,
    /// Metres.
    Depth,
}

/// A number somebody claims; never a fact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Claim {
    /// Of what.
    pub kind: ClaimKind,
    /// How many, or metres; `None` where the words give none ("several").
    pub value: Option<f64>,
    /// The words.
    pub words: String,
}

/// Why a part of the assessment is as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cause {
    /// `level`, `class`, `noise`, `place`, `request`, `claim`, `negation`, …
    pub part: String,
    /// The rule or dictionary entry.
    pub rule: String,
    /// The words, as in the masked text.
    pub words: String,
    /// First byte in the masked text.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it adds or takes.
    pub weight: f64,
    /// `summary` where the offsets point into the summary.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// The learned classifier's own word on a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Livelihood {
    /// Its label.
    pub label: String,
    /// Its probability.
    pub weight: f64,
}

/// What one mention says, and why (`yuqing assess --json`, `yuqing.assessed`).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Assessment {
    /// Id of the mention.
    pub id: String,
    /// Where.
    pub place: Place,
    /// Strongest first.
    pub classes: Vec<ClassWeight>,
    /// How bad, whatever the place.
    pub level: Level,
    /// What it is.
    pub what: What,
    /// Which noise.
    pub noise: Option<Noise>,
    /// What is asked.
    pub request: Option<Request>,
    /// The learned classifier's word.
    pub livelihood: Option<Livelihood>,
    /// Numbers claimed.
    pub claims: Vec<Claim>,
    /// Somebody may be about to die by their own hand: pages at once, kept out of everything else.
    pub person_in_danger: bool,
    /// Units it addresses.
    pub addressed: Vec<String>,
    /// Units that answer for it.
    pub responsible: Vec<String>,
    /// Why.
    pub causes: Vec<Cause>,
}

/// An assessment with what later stages need of the text: made once, used by fold and index alike.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reading {
    /// What it says.
    pub assessment: Assessment,
    /// Words of the masked text, then of the summary, normalised, in order, with [`crate::text::SEPARATOR`] between them;
    /// punctuation left out.
    pub words: String,
    /// Text and summary normalised, letters, digits and Han only, for fingerprints.
    pub bare: String,
}

/// Finds where a mention's event is.
pub trait Locate: Send + Sync {
    /// Reads the anchors of a text, its summary and the post's place tag.
    fn locate(&self, text: &Normal, summary: Option<&Normal>, tag: Option<&PlaceTag>) -> Place;
}

/// Finds no place: for tests and for reading without a gazetteer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Locate for Nowhere {
    fn locate(&self, _: &Normal, _: Option<&Normal>, _: Option<&PlaceTag>) -> Place {
        Place::default()
    }
}
