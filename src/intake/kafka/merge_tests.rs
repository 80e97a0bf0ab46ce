//! The order of several partitions: by arrival, waiting only for who has more.

use super::*;

const GRACE: Duration = Duration::from_millis(500);

fn record(offset: u64, at: i64) -> Held {
    Held { offset, at: Instant::from_millis(at), key: None, value: Some(Vec::new()) }
}

fn lanes(of: &[&[(u64, i64)]]) -> Lanes {
    let mut all = Vec::new();
    for (number, records) in of.iter().enumerate() {
        let mut lane = Lane::new("m", number as i32, 0);
        assert!(records.iter().all(|(offset, at)| lane.take(record(*offset, *at))));
        all.push(lane);
    }
    Lanes::new(all)
}

fn drain(lanes: &mut Lanes, now: Moment) -> Vec<(i32, u64)> {
    let mut given = Vec::new();
    while let Next::Give(index) = lanes.next(now, GRACE) {
        let held = lanes.give(index).expect("a record");
        given.push((lanes.all()[index].partition, held.offset));
    }
    given
}

#[test]
fn order_is_arrival_then_partition_then_offset() {
    let mut lanes = lanes(&[&[(0, 10), (1, 30)], &[(0, 10), (1, 20)], &[(5, 5)]]);
    lanes.all().iter_mut().for_each(Lane::end);
    assert_eq!(drain(&mut lanes, Moment::now()), [(2, 5), (0, 0), (1, 0), (1, 1), (0, 1)]);
    assert!(lanes.at_end(Moment::now()));
}

#[test]
fn an_earlier_time_does_not_overtake_its_own_partition() {
    let mut lanes = lanes(&[&[(0, 50), (1, 10)], &[(0, 20), (1, 60)]]);
    lanes.all().iter_mut().for_each(Lane::end);
    assert_eq!(drain(&mut lanes, Moment::now()), [(1, 0), (0, 0), (0, 1), (1, 1)]);
}

#[test]
fn one_that_has_more_is_waited_for_and_then_passed_over() {
    let (start, mut lanes) = (Moment::now(), lanes(&[&[(0, 10)], &[]]));
    assert_eq!(lanes.next(start, GRACE), Next::Wait(GRACE));
    assert_eq!(lanes.next(start + GRACE / 2, GRACE), Next::Wait(GRACE / 2));
    assert_eq!(drain(&mut lanes, start + GRACE), [(0, 0)]);
    assert_eq!(lanes.passed_over, 1);
    let late = start + GRACE;
    assert!(!lanes.at_end(late), "it has more");
    assert!(lanes.find("m", 1).expect("a lane").take(record(0, 15)));
    assert_eq!(lanes.next(late, GRACE), Next::Wait(GRACE), "now the other one is waited for");
    lanes.find("m", 0).expect("a lane").end();
    assert_eq!(drain(&mut lanes, late), [(1, 0)]);
}

#[test]
fn what_cannot_come_earlier_is_not_waited_for() {
    let mut lanes = lanes(&[&[(0, 10), (1, 30)], &[(0, 20)]]);
    let now = Moment::now();
    assert_eq!(drain(&mut lanes, now), [(0, 0), (1, 0)]);
    assert_eq!(lanes.next(now, GRACE), Next::Wait(GRACE), "after 20 there may be one before 30");
    lanes.find("m", 1).expect("a lane").take(record(1, 40));
    assert_eq!(drain(&mut lanes, now), [(0, 1)]);
}

#[test]
fn an_unreachable_partition_does_not_hold_the_end_up_for_ever() {
    let (start, mut lanes) = (Moment::now(), lanes(&[&[], &[]]));
    lanes.find("m", 0).expect("a lane").end();
    assert_eq!(lanes.next(start, GRACE), Next::Wait(GRACE));
    assert!(!lanes.at_end(start + GRACE));
    assert!(lanes.at_end(start + SILENT));
}

#[test]
fn nothing_is_given_past_the_hold() {
    let mut lanes = lanes(&[&[(0, 10), (1, 30)], &[(0, 20), (1, 40)], &[(0, 5)]]);
    lanes.hold(Some(vec![("m".into(), 0, 1), ("m".into(), 1, 2)]));
    assert_eq!(drain(&mut lanes, Moment::now()), [(0, 0), (1, 0), (1, 1)]);
    assert!(!lanes.at_end(Moment::now()), "held records are there");
    lanes.hold(None);
    lanes.all().iter_mut().for_each(Lane::end);
    assert_eq!(drain(&mut lanes, Moment::now()), [(2, 0), (0, 1)]);
}

#[test]
fn what_comes_twice_is_given_once() {
    let mut lanes = lanes(&[&[(3, 10), (7, 11)]]);
    let lane = &mut lanes.all()[0];
    assert!(!lane.take(record(7, 12)) && !lane.take(record(3, 12)) && lane.take(record(9, 12)));
    lane.end();
    assert_eq!(drain(&mut lanes, Moment::now()), [(0, 3), (0, 7), (0, 9)]);
    assert!(!lanes.all()[0].take(record(9, 13)));
}
