//! What links do to messages.

use reactor::sim::{Fault, InFlight, Link, ms};

use crate::probe::{LEFT, Met, RIGHT, numbers, run, sim, times};

fn is_number(met: Met) -> bool {
    matches!(met, Met::Number { .. })
}

#[test]
fn a_message_takes_the_delay_of_its_link() {
    let sim = sim(ms(350)).link_between(
        LEFT,
        RIGHT,
        Link {
            delay: ms(30),
            ..Link::default()
        },
    );
    let (_, log) = run(&sim, 1, &[]);
    assert_eq!(times(&log, RIGHT, is_number), [130, 230, 330]);
    assert_eq!(times(&log, LEFT, is_number), [101, 201, 301]);
}

#[test]
fn a_delay_that_begins_later_holds_for_its_time() {
    let delayed = Fault::Delay {
        from: LEFT,
        to: RIGHT,
        delay: ms(50),
        jitter: ms(0),
        lasts: ms(100),
    };
    let (_, log) = run(&sim(ms(450)), 1, &[(ms(150), delayed)]);
    assert_eq!(times(&log, RIGHT, is_number), [101, 250, 301, 401]);
}

#[test]
fn messages_keep_their_order_unless_they_may_overtake() {
    for overtake in [false, true] {
        let link = Link {
            jitter: ms(2000),
            overtake,
            ..Link::default()
        };
        let (run, log) = run(&sim(ms(20_000)).link(link), 7, &[]);
        let numbers = numbers(&log, RIGHT);
        assert!(numbers.len() > 100);
        assert_eq!(numbers.is_sorted(), !overtake);
        assert_eq!(run.counts.overtook > 0, overtake);
    }
}

#[test]
fn a_link_loses_and_doubles_its_share() {
    let lossy = Link {
        loss_permille: 200,
        ..Link::default()
    };
    let doubling = Link {
        duplicate_permille: 200,
        ..Link::default()
    };
    let (lost, _) = run(&sim(ms(200_000)).link(lossy), 3, &[]);
    assert!((600..1000).contains(&lost.counts.lost), "{}", lost.counts);
    let (doubled, log) = run(&sim(ms(200_000)).link(doubling), 3, &[]);
    let copies = doubled.counts.duplicated;
    assert!((600..1000).contains(&copies), "{}", doubled.counts);
    let mut numbers = numbers(&log, RIGHT);
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1999, "each came at least once");
    assert!(all > 2200, "some came twice");
}

#[test]
fn a_cut_has_one_direction() {
    let cut = Fault::Cut {
        from: LEFT,
        to: RIGHT,
        lasts: ms(300),
    };
    let (_, log) = run(&sim(ms(650)), 1, &[(ms(150), cut)]);
    assert_eq!(numbers(&log, LEFT), [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(&log, RIGHT), [1, 5, 6]);
}

#[test]
fn a_part_has_both() {
    let part = Fault::Part {
        hosts: [LEFT, RIGHT],
        lasts: ms(300),
    };
    let (_, log) = run(&sim(ms(650)), 1, &[(ms(150), part)]);
    assert_eq!(numbers(&log, LEFT), [1, 5, 6]);
    assert_eq!(numbers(&log, RIGHT), [1, 5, 6]);
}

#[test]
fn what_is_on_the_way_at_a_cut_is_lost_or_arrives_as_told() {
    for (in_flight, expected) in [
        (InFlight::Lost, vec![2, 3]),
        (InFlight::Delivered, vec![1, 2, 3]),
    ] {
        let link = Link {
            delay: ms(50),
            in_flight,
            ..Link::default()
        };
        let cut = Fault::Cut {
            from: LEFT,
            to: RIGHT,
            lasts: ms(20),
        };
        // In the middle of the way of the first.
        let (_, log) = run(&sim(ms(390)).link(link), 1, &[(ms(120), cut)]);
        assert_eq!(numbers(&log, RIGHT), expected);
    }
}

#[test]
fn overlapping_cuts_end_with_the_last() {
    let cut = |lasts| Fault::Cut {
        from: LEFT,
        to: RIGHT,
        lasts: ms(lasts),
    };
    let (_, log) = run(
        &sim(ms(650)),
        1,
        &[(ms(150), cut(300)), (ms(250), cut(100))],
    );
    assert_eq!(numbers(&log, RIGHT), [1, 5, 6]);
}
