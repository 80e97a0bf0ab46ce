//! The files of `dictionaries/`: from the folder where there is one, else those built into the program, so that a
//! binary carried elsewhere still knows its city.

use crate::lexicon::{Fault, Sources};
use std::path::Path;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// Every dictionary file with the text it had when the program was built.
        const EMBEDDED: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../dictionaries/", $name)))),*];
    };
}

embedded!(
    "calendar.csv",
    "classes.toml",
    "cues.tsv",
    "elsewhere.tsv",
    "homophones.tsv",
    "noise.tsv",
    "patterns.tsv",
    "place-phrases.tsv",
    "places.tsv",
    "platforms.toml",
    "rules.toml",
    "terms.tsv",
    "townships.tsv",
    "units.tsv",
    "user-words.txt",
);

/// Reads the folder; `must_exist` where a person named it.
pub fn read_dictionaries(folder: &Path, must_exist: bool) -> Result<Sources, Vec<Fault>> {
    if !folder.is_dir() {
        if must_exist {
            let detail = "no such folder; leave `dictionaries` out to use the built-in ones".to_owned();
            return Err(vec![Fault { file: folder.display().to_string(), line: 0, detail }]);
        }
        return Ok(EMBEDDED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect());
    }
    let mut sources = Sources::new();
    let mut faults = Vec::new();
    for (name, _) in EMBEDDED {
        match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => {
                sources.insert((*name).to_owned(), text);
            }
            Err(error) => {
                let file = folder.join(name).display().to_string();
                faults.push(Fault { file, line: 0, detail: format!("cannot be read: {error}") });
            }
        }
    }
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}
