//! The rules of the house that no compiler holds: module order, core purity, sizes, paths named in documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CORE: &[&str] = &["time", "limits", "lexicon", "mention", "text", "assess", "topic", "rule", "duty", "notice"];
/// Words that a core module must not say: shell crates, clocks, files, sockets, threads, logs, random numbers.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "tracing::",
    "rusqlite",
    "reqwest",
    "axum",
    "tantivy",
    "getrandom",
    "SystemTime",
    "prometheus",
    "HashMap::new(",
    "HashSet::new(",
    "RandomState",
];
const LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found)
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path)
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).expect("inside").display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("text"))).collect()
}

/// Files that are test modules by themselves: named by a `mod` line under `#[cfg(test)]`.
fn test_modules() -> Vec<String> {
    let mut names = Vec::new();
    for (file, text) in all() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let module =
                pair[1].trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            if let Some(name) = module {
                let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                let stem = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
                names.extend([format!("{folder}/{name}.rs"), format!("{folder}/{stem}/{name}.rs")]);
            }
        }
    }
    names
}

/// The part of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn room(file: &str) -> String {
    let rest = file.trim_start_matches("src/");
    rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs").to_owned()
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let order: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 15, "lib.rs lists the modules");
    let rank: BTreeMap<&str, usize> = order.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let mut faults = Vec::new();
    for (file, text) in all() {
        let own = room(&file);
        let Some(&mine) = rank.get(own.as_str()) else { continue };
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + 7..];
                let used: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if rank.get(used.as_str()).is_some_and(|&theirs| theirs > mine) {
                    faults.push(format!("{file}:{}: {own} uses {used}, which stands below it", number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    let tests = test_modules();
    for (file, text) in all().into_iter().filter(|(file, _)| !tests.contains(file)) {
        if !CORE.contains(&room(&file).as_str()) {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            faults.extend(
                FORBIDDEN_IN_CORE
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{file}:{}: {word}", number + 1)),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_open_with_what_they_are_and_stay_small() {
    let mut faults = Vec::new();
    for (file, text) in all() {
        if !text.starts_with("//!") {
            faults.push(format!("{file} does not say what it is"));
        }
        let lines = code(&text).lines().count();
        if lines > LINES {
            faults.push(format!("{file} has {lines} lines before its tests; the limit is {LINES}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_path_a_document_names_exists() {
    let mut faults = Vec::new();
    for document in ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.trim_end_matches('/');
            let tops = [
                "src/",
                "tests/",
                "dictionaries/",
                "pipelines/",
                "scripts/",
                "templates/",
                "assets/",
                "benches/",
                "docs/",
                "demo/",
                ".ci/",
            ];
            if tops.iter().any(|top| path.starts_with(top))
                && !path.contains(['*', ' ', '…', '{'])
                && !root().join(path).exists()
            {
                faults.push(format!("{document} names {path}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn dictionaries_and_settings_say_what_they_are() {
    for folder in ["dictionaries", "pipelines", "pipelines/cluster"] {
        let entries = fs::read_dir(root().join(folder)).expect(folder).flatten();
        for entry in entries.filter(|entry| entry.path().is_file()) {
            let text = fs::read_to_string(entry.path()).expect("text");
            let json = entry.path().extension().is_some_and(|ext| ext == "json");
            assert!(json || text.starts_with('#'), "{} has no header", entry.path().display());
        }
    }
}

/// What cannot run is counted: `skip` of tests/skip.rs is the only way to leave a test out.
#[test]
fn skipped_tests_are_counted() {
    let mut faults = Vec::new();
    let mut found = Vec::new();
    sources(&root().join("tests"), &mut found);
    sources(&root().join("src"), &mut found);
    let words = [concat!("SKIP", "PED"), concat!("#[ign", "ore")];
    for path in found.iter().filter(|path| !path.ends_with("tests/skip.rs")) {
        let text = fs::read_to_string(path).expect("text");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        {
            faults.push(format!("{}:{}: {}; use skip of tests/skip.rs", path.display(), number + 1, line.trim()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
