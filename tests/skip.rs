//! A test that cannot run says so here and counts as skipped: `scripts/test` counts the lines and fails unless the user
//! allowed it. Uses nothing but the standard library, so that a unit test can take it in by its path.

use std::io::Write;

/// Tells that the test `name` did not run and why. The caller returns.
pub fn skip(name: &str, why: &str) {
    // Not `eprintln!`: the harness would hide it, since the test goes on to end well.
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "SKIPPED {name}: {why}");
    let Some(list) = std::env::var_os("YUQING_SKIPPED") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
    // One write a line: tests run side by side.
    file.and_then(|mut file| file.write_all(format!("{name}: {why}\n").as_bytes())).expect("the skip is written down");
}
