//! The city's files compiled into what the stages need, with every fault of all of them at once.

use crate::assess::Reader;
use crate::assess::place::Located;
use crate::intake::DoorTables;
use crate::lexicon::{Fault, Lexicon, Sources, places::Gazetteer};
use crate::rule::settings::Rules;
use std::sync::Arc;

/// Compiled tables.
pub struct Tables {
    /// Reads mentions.
    pub reader: Reader,
    /// Numbers of fold, heat and rule.
    pub rules: Rules,
    /// Platforms and official accounts for the door.
    pub door: DoorTables,
}

/// Compiles; gives every fault of every file.
pub fn load(sources: &Sources) -> Result<Tables, Vec<Fault>> {
    let (lexicon, places, rules) = (Lexicon::load(sources), Gazetteer::load(sources), Rules::load(sources));
    let mut faults = Vec::new();
    let lexicon = lexicon.map_err(|more| faults.extend(more)).ok();
    let places = places.map_err(|more| faults.extend(more)).ok();
    let rules = rules.map_err(|more| faults.extend(more)).ok();
    match (lexicon, places, rules) {
        (Some(lexicon), Some(places), Some(rules)) => {
            let door = DoorTables { platforms: lexicon.platforms().clone(), accounts: lexicon.accounts().clone() };
            let reader = Reader::new(Arc::new(lexicon), Box::new(Located(places)));
            Ok(Tables { reader, rules, door })
        }
        _ => Err(faults),
    }
}
