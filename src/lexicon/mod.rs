//! Classes, terms, patterns, cues, places, units, platforms, rules and calendar: as written (raw, with file and line for
//! every fault) and as meant (compiled tables). Takes text, never a path: reading files is the shell's work.

pub mod places;
mod compile;
mod read;

pub use compile::{ClassInfo, Entry, Found, Group, Lexicon, Pattern, Role, Route, Unit};
pub use read::{CLASS_CODES, NOISE_KINDS};

use std::collections::BTreeMap;

/// The files of `dictionaries/`, by file name (`terms.tsv`).
pub type Sources = BTreeMap<String, String>;

/// Something wrong in a file that people write.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fault {
    /// File, as given.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong and what to do.
    pub detail: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.detail)
    }
}
