//! Scenes: where a hazard of a class is being told of now, so that several witnesses of one event meet although their words
//! differ. In: hazards with a place. Out: the topic that tells of the same class at the same place within the hours.
//!
//! Only hazards meet here (natural disaster, accident, public health, public safety from L2): two complaints at one place are two.

use crate::assess::{Class, Level, Reading, Verdict, What};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scenes above which old ones are dropped: townships times classes, twice.
const SCENES: usize = 2_000;

/// The topic that last told of a class at a place.
#[derive(Clone, Serialize, Deserialize, Debug, Default, PartialEq)]
pub(crate) struct Scenes {
    latest: BTreeMap<(String, Class), (u64, Instant)>,
}

/// Places of a reading, the finest first: township, district, the city as a whole.
fn places(reading: &Reading) -> Vec<String> {
    let place = &reading.assessment.place;
    let mut all: Vec<String> = Vec::new();
    all.extend(place.township.clone());
    all.extend(place.district.clone());
    all.push(String::new());
    all
}

/// The class whose scene a reading belongs to; `None` where it tells of no hazard here.
fn hazard(reading: &Reading) -> Option<Option<Class>> {
    let said = &reading.assessment;
    let here = matches!(said.place.verdict, Verdict::Yes | Verdict::Possible);
    let tells = matches!(said.what, What::Event | What::Request) && said.noise.is_none();
    if !here || !tells || said.level < Level::L2 {
        return None;
    }
    match said.classes.first().map(|class| class.class) {
        Some(class @ (Class::Nd | Class::Ad | Class::Ph | Class::So)) => Some(Some(class)),
        None if said.level >= Level::L3 => Some(None),
        _ => None,
    }
}

impl Scenes {
    /// Topics that may tell of the same, the likeliest first.
    pub(crate) fn near(&self, reading: &Reading, at: Instant, hours: f64) -> Vec<u64> {
        let Some(class) = hazard(reading) else { return Vec::new() };
        let window = Span((hours * 3_600_000.0) as i64);
        let fresh = |seen: Instant| Span((at - seen).0.abs()) <= window;
        let mut found: Vec<u64> = Vec::new();
        for place in places(reading) {
            let classes = match class {
                Some(class) => vec![class],
                None => vec![Class::Nd, Class::Ad, Class::Ph, Class::So],
            };
            for class in classes {
                if let Some(&(topic, seen)) = self.latest.get(&(place.clone(), class))
                    && fresh(seen)
                    && !found.contains(&topic)
                {
                    found.push(topic);
                }
            }
            // A township or district that is named is enough to know that it is not the scene of another.
            if !place.is_empty() && reading.assessment.place.township.is_some() {
                break;
            }
        }
        found
    }

    /// Remembers where a topic is told of.
    pub(crate) fn add(&mut self, reading: &Reading, at: Instant, topic: u64, hours: f64) {
        if let Some(Some(class)) = hazard(reading) {
            for place in places(reading) {
                self.latest.insert((place, class), (topic, at));
            }
        }
        if self.latest.len() > SCENES {
            let oldest = at - Span((hours * 3_600_000.0) as i64);
            self.latest.retain(|_, (_, seen)| *seen >= oldest);
        }
    }
}
