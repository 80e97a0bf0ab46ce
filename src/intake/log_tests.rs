//! Tests of the log: what was acknowledged is there after every way to stop.

use super::*;
use crate::intake::Source;
use crate::ledger::{Position, Positions};
use crate::time::Span;

fn body(number: u64) -> Body {
    Body::Deleted { id: format!("weibo:{number}") }
}

fn open(dir: &Path) -> Result<(Log, Option<Torn>, Vec<Body>), LogError> {
    let mut all = Vec::new();
    let (log, torn) = Log::open_with(dir, 100, &mut |offset, body| {
        assert_eq!(offset, all.len() as u64);
        all.push(body);
    })?;
    Ok((log, torn, all))
}

/// A log of ten records in several segments.
fn ten(dir: &Path) -> Vec<Body> {
    let (mut log, torn, all) = open(dir).unwrap();
    assert!(torn.is_none() && all.is_empty());
    let bodies: Vec<Body> = (0..10).map(body).collect();
    for (at, pair) in bodies.chunks(2).enumerate() {
        assert_eq!(log.append(pair).unwrap(), at as u64 * 2);
    }
    assert!(segments(dir).unwrap().len() > 1);
    bodies
}

fn at(offset: u64) -> Positions {
    Positions::from(vec![Position { stream: "intake".into(), partition: 0, offset }])
}

#[test]
fn records_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = ten(dir.path());
    let (mut log, torn, all) = open(dir.path()).unwrap();
    assert_eq!((torn, &all, log.end()), (None, &bodies, 10));
    let mut source = log.source().unwrap();
    let read = source.poll(7, Span(0)).unwrap();
    assert_eq!(read.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), bodies[..7]);
    assert_eq!(read[6].position.offset, 6);
    assert!(!source.at_end());
    assert_eq!(source.poll(7, Span(0)).unwrap().len(), 3);
    assert!(source.at_end() && source.poll(7, Span(0)).unwrap().is_empty());
    log.append(&[body(10)]).unwrap();
    assert_eq!(source.poll(7, Span(0)).unwrap()[0].body, body(10));
    for offset in 0..=11 {
        source.seek(&at(offset)).unwrap();
        assert_eq!(source.poll(100, Span(0)).unwrap().len() as u64, 11 - offset);
    }
    assert!(source.seek(&at(12)).is_err());
}

#[test]
fn a_torn_tail_is_cut_and_told_wherever_it_tears() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = ten(dir.path());
    let path = segments(dir.path()).unwrap().pop().unwrap().1;
    let whole = std::fs::read(&path).unwrap();
    let one = whole.len() / 2;
    for cut in one + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (mut log, torn, all) = open(dir.path()).unwrap();
        assert_eq!(torn.unwrap().bytes, (cut - one) as u64);
        assert_eq!(all, bodies[..9]);
        assert_eq!(log.append(&[body(9)]).unwrap(), 9);
        drop(log);
        let (_, torn, all) = open(dir.path()).unwrap();
        assert_eq!((torn, &all), (None, &bodies));
    }
    let mut zeros = whole.clone();
    zeros.extend([0; 100]);
    std::fs::write(&path, zeros).unwrap();
    assert_eq!(open(dir.path()).unwrap().1.unwrap().bytes, 100);
}

#[test]
fn a_broken_middle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path());
    let all = segments(dir.path()).unwrap();
    for path in [&all[0].1, &all[all.len() - 1].1] {
        let whole = std::fs::read(path).unwrap();
        for byte in [0, 1, 3, 5, 9, 20] {
            let mut bytes = whole.clone();
            bytes[byte] ^= 0x41;
            std::fs::write(path, bytes).unwrap();
            assert!(matches!(open(dir.path()), Err(LogError::Broken { byte: 0, .. })), "byte {byte}");
        }
        std::fs::write(path, whole).unwrap();
    }
    std::fs::remove_file(&all[1].1).unwrap();
    assert!(matches!(open(dir.path()), Err(LogError::Broken { .. })), "a segment is missing");
}

#[test]
fn dropped_segments_are_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path());
    let (mut log, ..) = open(dir.path()).unwrap();
    assert_eq!(log.drop_before(3).unwrap(), 0);
    assert!(log.drop_before(9).unwrap() > 0);
    let mut source = log.source().unwrap();
    assert!(matches!(source.seek(&at(0)), Err(crate::intake::SourceError::Gap { from: 0, .. })));
    let first = source.partitions().unwrap().next("intake", 0);
    drop(log);
    let mut offsets = Vec::new();
    Log::open_with(dir.path(), 100, &mut |offset, _| offsets.push(offset)).unwrap();
    assert_eq!(offsets, (first..10).collect::<Vec<_>>());
}

#[test]
fn nothing_past_the_hold_is_given_until_it_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path());
    let (log, ..) = open(dir.path()).unwrap();
    let mut source = log.source().unwrap();
    source.hold_at(Some(at(4)));
    assert_eq!(source.poll(100, Span(0)).unwrap().len(), 4, "one batch never crosses from decided to undecided");
    assert!(source.poll(100, Span(0)).unwrap().is_empty() && !source.at_end());
    source.hold_at(None);
    assert_eq!(source.poll(100, Span(0)).unwrap()[0].position.offset, 4);
}
