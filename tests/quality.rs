//! The quality floors of tests/quality/: the scorers run on the shared data beside the checkout. A change that lowers a figure fails.

use crate::house::{folder, shared, skip, yuqing};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

fn tool(shared: &Path, script: &str, args: &[String], out: &Path) {
    let status = Command::new("python3")
        .arg(shared.join("tools/score").join(script))
        .args(args)
        .stdout(File::create(out).expect("file"))
        .status()
        .expect("python3");
    assert!(status.success(), "{script}");
}

fn ours(args: &[String], out: &Path) {
    let status =
        yuqing().args(args).stdout(File::create(out).expect("file")).stderr(Stdio::null()).status().expect("runs");
    assert!(status.success(), "yuqing {args:?}");
}

/// Runs a scorer and holds its figures against `tests/quality/{floor}.tsv`: name, `min` or `max`, figure.
fn hold(shared: &Path, script: &str, floor: &str, mut args: Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quality").join(format!("{floor}.tsv"));
    let text = fs::read_to_string(&path).expect("floors");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(!rows.is_empty(), "{floor} holds nothing");
    for row in rows {
        args.push(format!("--{}", row[1]));
        args.push(format!("{}={}", row[0], row[2]));
    }
    let out =
        Command::new("python3").arg(shared.join("tools/score").join(script)).args(&args).output().expect("python3");
    assert!(
        out.status.success(),
        "{floor}:\n{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

macro_rules! words {
    ($($part:expr),* $(,)?) => { [$($part.to_string()),*].to_vec() };
}

fn data(name: &str) -> Option<std::path::PathBuf> {
    let shared = shared();
    if shared.is_none() {
        skip(
            &format!("quality::{name}"),
            "there is no ../shared/data beside the checkout; this quality is not measured",
        );
    }
    shared
}

#[test]
fn place() {
    let Some(shared) = data("place") else { return };
    let (dir, d, s) = (folder(), shared.join("data"), shared.join("tools/score"));
    let at = |name: &str| dir.path().join(name);
    tool(
        &shared,
        "mentions.py",
        &words!["entries", d.join("hot-list/listings.jsonl.zst").display()],
        &at("entries.jsonl"),
    );
    tool(&shared, "mentions.py", &words!["traps", d.join("place/traps.csv").display()], &at("traps.jsonl"));
    ours(&words!["assess", "--json", at("entries.jsonl").display(), at("traps.jsonl").display()], &at("assess.jsonl"));
    hold(
        &shared,
        "place.py",
        "place",
        words![
            at("assess.jsonl").display(),
            "--gold",
            d.join("hot-list/jiangxi-events.csv").display(),
            "--listings",
            d.join("hot-list/listings.jsonl.zst").display(),
            "--traps",
            d.join("place/traps.csv").display(),
            "--divisions",
            d.join("place/jiangxi-divisions.csv").display(),
            "--second-pass",
            s.join("second-pass.csv").display(),
        ],
    );
}

#[test]
fn severity() {
    let Some(shared) = data("severity") else { return };
    let (dir, d, s) = (folder(), shared.join("data"), shared.join("tools/score"));
    let at = |name: &str| dir.path().join(name);
    tool(
        &shared,
        "mentions.py",
        &words!["untagged", d.join("crisis/henan-flood-2021.jsonl").display()],
        &at("flood.jsonl"),
    );
    tool(
        &shared,
        "mentions.py",
        &words!["posts", d.join("background/everyday-posts.jsonl").display()],
        &at("posts.jsonl"),
    );
    let news = d.join("background/news-account-2020.jsonl");
    ours(
        &words!["assess", "--json", at("flood.jsonl").display(), at("posts.jsonl").display(), news.display()],
        &at("assess.jsonl"),
    );
    hold(
        &shared,
        "severity.py",
        "severity",
        words![
            at("assess.jsonl").display(),
            "--positives",
            at("flood.jsonl").display(),
            "--labels",
            s.join("help-calls.csv").display(),
            "--negatives",
            at("posts.jsonl").display(),
            "--news",
            news.display(),
        ],
    );
}

#[test]
fn emergency() {
    let Some(shared) = data("emergency") else { return };
    let (dir, d) = (folder(), shared.join("data"));
    let at = |name: &str| dir.path().join(name);
    let news = d.join("crisis/emergency-news.jsonl");
    tool(&shared, "mentions.py", &words!["news", news.display()], &at("news.jsonl"));
    ours(&words!["assess", "--json", at("news.jsonl").display()], &at("assess.jsonl"));
    hold(&shared, "emergency.py", "emergency", words![at("assess.jsonl").display(), "--gold", news.display()]);
}

#[test]
fn events() {
    let Some(shared) = data("events") else { return };
    let (dir, d, s) = (folder(), shared.join("data"), shared.join("tools/score"));
    let at = |name: &str| dir.path().join(name);
    let listings = d.join("hot-list/listings.jsonl.zst");
    ours(
        &words!["backtest", "--json", "--topics", at("topics.csv").display(), listings.display()],
        &at("raised.jsonl"),
    );
    hold(
        &shared,
        "events.py",
        "events",
        words![
            at("raised.jsonl").display(),
            "--topics",
            at("topics.csv").display(),
            "--gold",
            d.join("hot-list/jiangxi-events.csv").display(),
            "--listings",
            listings.display(),
            "--second-pass",
            s.join("second-pass.csv").display(),
        ],
    );
}

#[test]
fn issues() {
    let Some(shared) = data("issues") else { return };
    let (dir, d) = (folder(), shared.join("data"));
    let at = |name: &str| dir.path().join(name);
    ours(
        &words![
            "backtest",
            "--json",
            "--topics",
            at("issues.csv").display(),
            d.join("citizen/hot-messages.jsonl").display()
        ],
        &at("raised.jsonl"),
    );
    hold(
        &shared,
        "clusters.py",
        "issues",
        words![at("issues.csv").display(), "--gold", d.join("citizen/hot-issues.gold.csv").display()],
    );
}
