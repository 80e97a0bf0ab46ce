//! The city's files compiled into what the stages need, with every fault of all of them at once.

use crate::assess::Reader;
use crate::assess::{Locate, Place, place};
use crate::intake::IntakeConfig;
use crate::lexicon::{Fault, Lexicon, Sources, places::Gazetteer};
use crate::mention::PlaceTag;
use crate::rule::settings::Rules;
use crate::text::Normal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiled tables.
pub struct Tables {
    /// Reads mentions.
    pub reader: Reader,
    /// Numbers of fold, heat and rule.
    pub rules: Rules,
    /// Platforms and official accounts for the door.
    pub door: IntakeConfig,
    /// Names for people of districts and units, by code.
    pub names: BTreeMap<String, String>,
}

/// The gazetteer as the reader asks it.
struct Located(Gazetteer);

impl Locate for Located {
    fn locate(&self, text: &Normal, summary: Option<&Normal>, tag: Option<&PlaceTag>) -> Place {
        place::locate(&self.0, text, summary, tag)
    }
}

/// Compiles; gives every fault of every file.
pub fn load(sources: &Sources) -> Result<Tables, Vec<Fault>> {
    let (lexicon, places, rules) = (Lexicon::load(sources), Gazetteer::load(sources), rules(sources));
    let mut faults = Vec::new();
    let lexicon = lexicon.map_err(|more| faults.extend(more)).ok();
    let places = places.map_err(|more| faults.extend(more)).ok();
    let rules = rules.map_err(|more| faults.extend(more)).ok();
    match (lexicon, places, rules) {
        (Some(lexicon), Some(places), Some(rules)) => {
            let door =
                IntakeConfig { platforms: lexicon.platforms.keys().cloned().collect(), accounts: accounts(&lexicon) };
            let districts = places.districts().map(|(code, name)| (code.to_owned(), name.to_owned()));
            let units = lexicon.units.iter().map(|unit| (unit.id.clone(), unit.name.clone()));
            let platforms = lexicon.platforms.iter().map(|(name, title)| (name.clone(), title.clone()));
            let names = districts.chain(units).chain(platforms).collect();
            let reader = Reader::new(Arc::new(lexicon), Box::new(Located(places)));
            Ok(Tables { reader, rules, door, names })
        }
        _ => Err(faults),
    }
}

fn rules(sources: &Sources) -> Result<Rules, Vec<Fault>> {
    const FILE: &str = "rules.toml";
    let missing = || vec![Fault { file: FILE.to_owned(), line: 0, detail: "is missing".to_owned() }];
    Rules::read(FILE, sources.get(FILE).ok_or_else(missing)?)
}

/// Handles of official accounts: names and aliases of the units.
fn accounts(lexicon: &Lexicon) -> BTreeMap<String, String> {
    let handles = lexicon.units.iter().flat_map(|unit| {
        let names = std::iter::once(&unit.name).chain(&unit.aliases);
        names.map(|name| (name.clone(), unit.id.clone()))
    });
    handles.collect()
}
