//! The dictionary files as written: tab-separated tables and small TOML files. In: file name and text. Out: rows with
//! their lines, or every fault at once.

use super::{Fault, Sources};
use serde::Deserialize;

/// Codes of the fourteen classes, in their order.
pub const CLASS_CODES: [&str; 14] =
    ["ND", "AD", "PH", "SO", "HOUSE", "WAGE", "EDU", "MED", "TRANS", "ENV", "UTIL", "CONS", "FOOD", "CONDUCT"];

/// Names of the kinds of noise that `noise.tsv` may use, in their order.
pub const NOISE_KINDS: [&str; 9] =
    ["drill", "old_news", "fiction", "game", "advert", "sport", "figure", "history", "teaching"];

/// One row of a table: its line and its fields.
pub(super) struct Row<'a> {
    pub line: usize,
    pub fields: Vec<&'a str>,
}

/// Files read, and what is wrong with them.
pub(super) struct Desk<'a> {
    sources: &'a Sources,
    pub faults: Vec<Fault>,
}

/// `classes.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassFile {
    #[serde(default)]
    pub class: Vec<ClassRow>,
    #[serde(default)]
    pub route: Vec<RouteRow>,
}

/// A class as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassRow {
    pub code: String,
    pub name: String,
    pub units: Vec<String>,
}

/// A narrower routing rule as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteRow {
    pub class: String,
    pub words: Vec<String>,
    pub units: Vec<String>,
}

/// `platforms.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct PlatformFile {
    #[serde(default)]
    pub platform: Vec<PlatformRow>,
}

/// A platform as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlatformRow {
    pub name: String,
    pub title: String,
}

impl<'a> Desk<'a> {
    pub fn new(sources: &'a Sources) -> Desk<'a> {
        Desk { sources, faults: Vec::new() }
    }

    /// Notes a fault.
    pub fn fault(&mut self, file: &str, line: usize, detail: impl Into<String>) {
        self.faults.push(Fault { file: file.to_owned(), line, detail: detail.into() });
    }

    /// The text of a file; a missing or empty one is a fault.
    fn text(&mut self, file: &str) -> &'a str {
        match self.sources.get(file) {
            None => {
                self.fault(file, 0, "the file is missing; put it beside the other dictionaries");
                ""
            }
            Some(text) if text.trim().is_empty() => {
                self.fault(file, 0, "the file is empty; it must hold at least one entry");
                ""
            }
            Some(text) => text,
        }
    }

    /// Rows of a table whose first row names its columns; `#` opens a comment line.
    pub fn table(&mut self, file: &str, columns: &[&str]) -> Vec<Row<'a>> {
        let text = self.text(file);
        let mut rows = Vec::new();
        let mut headed = false;
        for (at, raw) in text.lines().enumerate() {
            let line = at + 1;
            let raw = raw.strip_suffix('\r').unwrap_or(raw);
            if raw.trim().is_empty() || raw.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = raw.split('\t').map(str::trim).collect();
            if !headed {
                headed = true;
                if fields != columns {
                    self.fault(file, line, format!("the columns must be {}, parted by tabs", columns.join(", ")));
                }
                continue;
            }
            if fields.len() != columns.len() {
                let detail = format!("{} fields where {} are wanted, parted by tabs", fields.len(), columns.len());
                self.fault(file, line, detail);
                continue;
            }
            rows.push(Row { line, fields });
        }
        if rows.is_empty() && !text.is_empty() {
            self.fault(file, 0, "the file has no entry");
        }
        rows
    }

    /// Words, one a line.
    pub fn words(&mut self, file: &str) -> Vec<Row<'a>> {
        let text = self.text(file);
        let lines = text.lines().enumerate();
        lines
            .filter(|(_, raw)| !raw.trim().is_empty() && !raw.starts_with('#'))
            .map(|(at, raw)| Row { line: at + 1, fields: vec![raw.trim()] })
            .collect()
    }

    /// A TOML file.
    pub fn toml<T: serde::de::DeserializeOwned + Default>(&mut self, file: &str) -> T {
        let text = self.text(file);
        match toml::from_str(text) {
            Ok(read) => read,
            Err(error) => {
                let line = error.span().map_or(0, |span| line_of(text, span.start));
                self.fault(file, line, error.message().to_owned());
                T::default()
            }
        }
    }

    /// The line where a quoted word first stands, for faults in TOML files.
    pub fn line_with(&self, file: &str, word: &str) -> usize {
        let quoted = format!("\"{word}\"");
        self.sources.get(file).and_then(|text| text.find(&quoted).map(|at| line_of(text, at))).unwrap_or(0)
    }

    /// The place of a class code in [`CLASS_CODES`].
    pub fn class(&mut self, file: &str, line: usize, code: &str) -> Option<u8> {
        let found = CLASS_CODES.iter().position(|known| *known == code);
        if found.is_none() {
            self.fault(file, line, format!("unknown class {code}; the classes are {}", CLASS_CODES.join(" ")));
        }
        found.map(|at| at as u8)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
