//! `yuqing check`: every fault in settings and dictionaries at once, with file and line.

use crate::lexicon::Fault;
use crate::run::{say, tables};
use crate::settings::{Overrides, load, read_dictionaries};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Exit code 0 without faults, 1 with.
pub fn run(files: &[PathBuf], overrides: &Overrides, json: bool) -> anyhow::Result<u8> {
    let mut faults: Vec<Fault> = match load(files, overrides) {
        Ok(settings) => tables::load(&settings.sources).err().unwrap_or_default(),
        // The dictionaries are looked at even where the settings have faults.
        Err(mut faults) => {
            if let Ok(sources) = read_dictionaries(Path::new("dictionaries"), false) {
                faults.extend(tables::load(&sources).err().unwrap_or_default());
            }
            faults
        }
    };
    faults.sort();
    faults.dedup();
    for fault in &faults {
        if json {
            say(&json!({"type": "fault", "file": fault.file, "line": fault.line, "detail": fault.detail}));
        } else {
            println!("{fault}");
        }
    }
    if json {
        say(&json!({"type": "summary", "faults": faults.len()}));
    } else if faults.is_empty() {
        println!("no faults");
    }
    Ok(u8::from(!faults.is_empty()))
}
