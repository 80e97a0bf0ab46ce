//! What has had its time leaves the index; what was written long ago and taken in lately stays its time.

use super::*;

#[test]
fn a_day_goes_when_it_and_what_came_into_it_are_old() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    let (now, keep) = (at("2026-11-20T12:00:00+08:00"), Span::days(30));
    assert_eq!(writer.expire_kept(now, keep).expect("looks"), 0, "all of it came in just now");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_millis((now - Span::days(31)).millis() as u64);
    for day in ["2026-10-01", "2026-10-03"] {
        let meta = std::fs::File::options().append(true).open(dir.path().join(day).join("meta.json")).expect("opens");
        meta.set_modified(old).expect("sets its time");
    }
    assert_eq!(writer.expire_kept(now, keep).expect("looks"), 1, "the oldest, and none behind one that still rests");
    assert_eq!(writer.kept_from(), Day::parse("2026-10-02"));
    assert_eq!(searcher(dir.path()).search(&query("*")).expect("answers").total, 9);
    assert_eq!(writer.expire_kept(now - Span::days(60), keep).expect("looks"), 0, "nothing has had its time yet");
}
