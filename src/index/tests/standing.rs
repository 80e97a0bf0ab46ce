//! What was deleted stays away, and so does what is past its time: over restarts, lost shards and second collections.

use super::*;
use std::fs;

/// A mention, its deletion and another mention, in the order of the log; `None` is the deletion.
fn replay(writer: &mut Writer, log: &[Option<usize>], gone: &str) {
    let rows = rows();
    for (offset, record) in log.iter().enumerate() {
        match record {
            Some(row) => write(writer, offset as u64, &rows[*row]),
            None => {
                writer.delete(gone).expect("deletes");
            }
        }
    }
    writer.commit(&upto(log.len() as u64)).expect("commits");
}

fn breaks(dir: &Path, day: &str) {
    fs::write(dir.join(day).join("meta.json"), "{ torn").expect("writes");
}

#[test]
fn a_deleted_mention_is_gone_after_its_shard_was_lost_and_rebuilt() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = [Some(0), Some(1), None, Some(2), Some(4)];
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    replay(&mut writer, &log, "weibo:1");
    drop(writer);
    for lost in [&["2026-10-01"][..], &["2026-10-02"], &["2026-10-01", "2026-10-02"]] {
        lost.iter().for_each(|day| breaks(dir.path(), day));
        let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
        assert_eq!((writer.lost().len(), writer.positions().total()), (lost.len(), 0));
        replay(&mut writer, &log, "weibo:1");
        let page = searcher(dir.path()).search(&query("*")).expect("answers");
        assert_eq!((numbers(&page), page.total), (vec![5, 3, 2], 3), "after losing {lost:?}");
        assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 0);
    }
    // Without the list of deletions the log alone says it: the deletion comes after the mention.
    fs::remove_file(dir.path().join("deleted")).expect("removes");
    breaks(dir.path(), "2026-10-01");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    replay(&mut writer, &log, "weibo:1");
    assert_eq!(numbers(&searcher(dir.path()).search(&query("*")).expect("answers")), [5, 3, 2]);
}

#[test]
fn a_deletion_holds_when_the_mention_comes_after_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    // Of another partition, or collected a second time.
    replay(&mut writer, &[None, Some(0), Some(1)], "weibo:1");
    assert_eq!(numbers(&searcher(dir.path()).search(&query("*")).expect("answers")), [2]);
    drop(writer);
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    write(&mut writer, 3, &rows()[0]);
    let again = mention("weibo:1", rows()[0].1, "南昌红谷滩火灾，改过的");
    writer.replace(&here(4), &again, &reading(&again, Level::L2, None, None), None).expect("passes over it");
    writer.commit(&upto(5)).expect("commits");
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 0, "also after a restart");
    drop(writer);
    breaks(dir.path(), "2026-10-01");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    // Partitions are read again in another order: the mention first this time.
    replay(&mut writer, &[Some(0), Some(1), None], "weibo:1");
    assert_eq!(numbers(&searcher(dir.path()).search(&query("*")).expect("answers")), [2]);
}

#[test]
fn a_deletion_that_was_not_committed_is_read_again_and_one_that_was_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    write(&mut writer, 0, &rows()[0]);
    writer.commit(&upto(1)).expect("commits");
    writer.delete("weibo:1").expect("deletes");
    drop(writer);
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 1, "the crash came before the commit");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(*writer.positions(), upto(1), "so the deletion is still to be read");
    writer.delete("weibo:1").expect("deletes");
    writer.commit(&upto(2)).expect("commits with no mention after it");
    drop(writer);
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 0);
    assert_eq!(*Writer::open(dir.path(), MEMORY).expect("opens").positions(), upto(2));
}

#[test]
fn what_is_past_its_time_is_gone_for_searches_cursors_and_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    let searcher = searcher(dir.path());
    let first = searcher.search(&Query { limit: 4, ..query("*") }).expect("answers");
    assert_eq!((first.total, numbers(&first)), (12, vec![12, 11, 10, 9]));
    let third = Day::parse("2026-10-03").expect("a day");
    assert_eq!(writer.expire(third).expect("drops"), 2);
    assert_eq!(writer.expire(third).expect("drops"), 0, "once");
    assert_eq!(writer.kept_from(), Some(third));
    let rest = searcher.search(&Query { limit: 4, cursor: first.next, ..query("*") }).expect("a cursor goes on");
    assert_eq!((rest.total, numbers(&rest), rest.next), (5, vec![8], None));
    assert_eq!((rest.facets.of, rest.histogram.buckets.iter().map(|bucket| bucket.count).sum::<u64>()), (5, 5));
    assert_eq!(searcher.search(&query("time:[2026-10-01 TO 2026-10-02]")).expect("answers").total, 0);
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 0);
    let left = fs::read_dir(dir.path()).expect("reads").flatten().map(|entry| entry.file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("-10-0") && name != "2026-10-03"));
}

#[test]
fn an_expired_day_comes_back_neither_late_nor_after_a_restart_nor_with_a_rebuild() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = write_all(dir.path());
    breaks(dir.path(), "2026-10-01");
    drop(writer);
    writer = Writer::open(dir.path(), MEMORY).expect("opens");
    for (offset, row) in rows().iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    let second = Day::parse("2026-10-02").expect("a day");
    writer.expire(second).expect("drops what is not committed too");
    assert!(!dir.path().join("broken-2026-10-01-0").exists(), "shards moved aside are of their day too");
    writer.commit(&upto(12)).expect("commits");
    write(&mut writer, 12, &rows()[0]);
    writer.commit(&upto(13)).expect("commits");
    assert_eq!(searcher(dir.path()).search(&query("*")).expect("answers").total, 9);
    drop(writer);
    // A crash in the middle of an expiry leaves a folder without its list of segments.
    let half = dir.path().join("2026-10-01");
    fs::create_dir(&half).expect("makes");
    fs::write(half.join("half.store"), "x").expect("writes");
    fs::create_dir(dir.path().join("gone-2026-09-30")).expect("makes");
    breaks(dir.path(), "2026-10-03");
    let mut writer = Writer::open(dir.path(), MEMORY).expect("opens");
    assert_eq!(writer.lost().len(), 1, "the expired one is not lost: {:?}", writer.lost());
    assert!(!half.exists() && !dir.path().join("gone-2026-09-30").exists());
    for (offset, row) in rows().iter().enumerate() {
        write(&mut writer, offset as u64, row);
    }
    writer.commit(&upto(13)).expect("commits");
    assert_eq!(searcher(dir.path()).search(&query("*")).expect("answers").total, 9, "the first day stays away");
    assert_eq!(writer.expire(Day::parse("2026-10-01").expect("a day")).expect("drops"), 0);
    write(&mut writer, 13, &rows()[0]);
    writer.commit(&upto(14)).expect("commits");
    assert_eq!(count_id(dir.path(), "weibo:1").expect("counts"), 1, "kept for longer again, from now on");
}
