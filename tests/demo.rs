//! The written day: the same bytes every time, every planted event as expected.

use crate::house::yuqing;
use serde_json::Value;

fn play(extra: &[&str]) -> String {
    let out =
        yuqing().args(["demo", "--exit", "--json", "--speed", "max"]).args(extra).output().expect("the demo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("utf-8")
}

#[test]
fn the_day_gives_the_same_bytes_twice_and_what_was_planted() {
    let (first, second) = (play(&[]), play(&[]));
    assert_eq!(first, second);
    let lines: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["type"], "summary");
    assert!(summary["mentions"].as_u64().expect("mentions") > 20_000);
    let planted: Vec<&Value> = lines.iter().filter(|line| line["type"] == "planted").collect();
    assert_eq!(summary["planted"].as_u64(), Some(planted.len() as u64));
    let wrong: Vec<&&Value> = planted.iter().filter(|one| one["expected"] != one["level"]).collect();
    assert!(wrong.is_empty(), "not as expected: {wrong:?}");
    assert_eq!(summary["false_alarms"], 0);
}
