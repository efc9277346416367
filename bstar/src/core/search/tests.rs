//! The searches: their bounds, and how many states there are within.

use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model};

use super::model::{NEVER_DEAD_BOTH, SERVES_WITH_BOTH, SERVES_WITH_SURVIVORS};
use super::{Fault, HEARTBEAT, Pair, TIMEOUT, Travel, Wish};
use crate::core::GUIDE;

fn any_delay() -> Pair {
    Pair {
        travel: Travel::Anyhow,
        tick: HEARTBEAT,
        faults: (1, &[Fault::Crash, Fault::Stop, Fault::Pause]),
        max_epoch: 2,
        ..Pair::new("any loss and delay")
    }
}

fn any_delay_hand_over() -> Pair {
    Pair {
        travel: Travel::Anyhow,
        tick: HEARTBEAT,
        wishes: (1, &[Wish::StepBack]),
        max_epoch: 2,
        ..Pair::new("any loss and delay, a switchover")
    }
}

fn three_faults() -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (3, &[Fault::Crash, Fault::Stop, Fault::Pause]),
        max_epoch: 8,
        ..Pair::new("three faults")
    }
}

fn cuts() -> Pair {
    Pair {
        faults: (2, &[Fault::Cut, Fault::Crash, Fault::Pause]),
        max_epoch: 6,
        ..Pair::new("one-way loss")
    }
}

fn calm() -> Pair {
    Pair {
        wishes: (3, &[Wish::StepBack]),
        ..Pair::new("switchovers alone")
    }
}

fn hand_over() -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (2, &[Fault::Crash, Fault::Stop, Fault::Pause, Fault::Cut]),
        wishes: (1, &[Wish::StepBack]),
        ..Pair::new("a switchover, two faults")
    }
}

fn durable() -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (3, &[Fault::Crash, Fault::Cut]),
        durable: true,
        max_epoch: 8,
        ..Pair::new("state directories")
    }
}

fn maintenance() -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (1, &[Fault::Crash, Fault::Stop, Fault::Pause, Fault::Cut]),
        wishes: (2, &[Wish::Maintenance, Wish::Promote, Wish::StepBack]),
        max_epoch: 6,
        ..Pair::new("maintenance")
    }
}

fn options() -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (2, &[Fault::Crash, Fault::Pause, Fault::Cut]),
        death: true,
        max_offers: 2,
        fail_back: Some(TIMEOUT),
        serve_alone: Some(2 * TIMEOUT),
        max_epoch: 6,
        ..Pair::new("options")
    }
}

fn fail_back() -> Pair {
    Pair {
        wishes: (1, &[Wish::StepBack]),
        max_offers: 3,
        fail_back: Some(TIMEOUT),
        ..Pair::new("fail-back")
    }
}

fn unequal(timeouts: [Duration; 2]) -> Pair {
    Pair {
        tick: HEARTBEAT,
        faults: (2, &[Fault::Crash, Fault::Pause, Fault::Cut]),
        timeouts,
        max_epoch: 6,
        ..Pair::new("unequal timeouts")
    }
}

fn guide(n: usize) -> Pair {
    let mut pair = Pair {
        tick: HEARTBEAT,
        faults: (2, &[Fault::Crash, Fault::Pause, Fault::Cut]),
        wishes: (1, &[Wish::StepBack]),
        max_epoch: 6,
        ..Pair::new(["a primary of the Guide's", "a backup of the Guide's"][n])
    };
    pair.tables[n] = &GUIDE;
    pair
}

/// A search, and what it must have met.
type Small = (fn() -> Pair, &'static [&'static str]);

/// What a mutant is searched for, the smallest first, and what must be met.
pub(super) const SMALL: &[Small] = &[
    (fail_back, &["passive-handed-over"]),
    (
        calm,
        &[
            "vetoed",
            "unanswered",
            "draining-drained",
            "draining-expired",
        ],
    ),
    (small_maintenance, &["maintenance-passive-promote"]),
    (small_hand_over, &["draining-late"]),
    (durable, &["passive-vote"]),
    (|| guide(1), &["active-dual-bare-long"]),
];

fn small_maintenance() -> Pair {
    Pair {
        faults: (1, &[Fault::Crash]),
        max_epoch: 3,
        max_offers: 1,
        ..maintenance()
    }
}

fn small_hand_over() -> Pair {
    Pair {
        faults: (1, hand_over().faults.1),
        ..hand_over()
    }
}

fn assert_holds(pair: Pair, expected: &[&'static str], states: usize) {
    let name = pair.name;
    match pair.search(2, usize::MAX, expected) {
        Ok(count) => assert_eq!(count, states, "{name}"),
        Err(broken) => panic!("{broken}"),
    }
}

#[test]
fn any_loss_and_delay_and_a_fault() {
    let met = [
        "both active",
        "both passive",
        "both resigned",
        "two serve by a vote",
        "two serve by a word that crossed",
        "heard of the higher",
        "active-dual-deaf",
        "passive-dual-primary",
        "initial-primary-vote",
        "passive-vote",
        "resigned-vote",
        "active-late",
    ];
    assert_holds(any_delay(), &met, 356_687);
}

#[test]
fn any_loss_and_delay_and_a_switchover() {
    let met = [
        "stepped back",
        "vetoed",
        "unanswered",
        "passive-handed-over",
        "draining-drained",
        "draining-expired",
        "two serve by a vote",
        "heard of the higher",
    ];
    assert_holds(any_delay_hand_over(), &met, 69_355);
}

#[test]
fn three_faults_on_a_prompt_link() {
    let met = [
        "both active",
        "passive-peer-initial",
        "active-stopping",
        "active-late",
    ];
    assert_holds(three_faults(), &met, 636_888);
}

#[test]
fn one_way_loss() {
    let met = [
        "both active",
        "both resigned",
        "two serve by a vote",
        "heard of the higher",
        "active-dual-deaf",
        "active-dual-higher",
        "resigned-vote",
    ];
    assert_holds(cuts(), &met, 164_243);
}

#[test]
fn switchovers_while_nothing_fails() {
    let met = [
        "stepped back",
        "vetoed",
        "unanswered",
        "passive-handed-over",
        "draining-drained",
        "draining-expired",
    ];
    assert_holds(calm(), &met, 3_125);
}

#[test]
fn a_switchover_and_two_faults() {
    let met = [
        "stepped back",
        "vetoed",
        "unanswered",
        "passive-handed-over",
        "draining-drained",
        "draining-expired",
        "draining-late",
        "draining-dual",
        "draining-stopping",
    ];
    assert_holds(hand_over(), &met, 495_739);
}

#[test]
fn a_primary_fails_back_once() {
    let met = [
        "stepped back",
        "vetoed",
        "unanswered",
        "passive-handed-over",
    ];
    assert_holds(fail_back(), &met, 1_055);
    // Nothing lies beyond epoch 3: the primary's first, the backup's, and the primary's again.
    let bounded = Pair {
        max_epoch: 3,
        ..fail_back()
    };
    assert_holds(bounded, &met, 1_055);
}

#[test]
fn state_directories() {
    let met = ["both active", "passive-vote", "heard of the higher"];
    assert_holds(durable(), &met, 45_760);
}

#[test]
fn maintenance_and_promotion() {
    let met = [
        "maintenance-initial-promote",
        "maintenance-passive-promote",
        "maintenance-resigned-promote",
        "initial-promote",
        "passive-promote",
        "resigned-promote",
        "maintenance-passive-handed-over",
        "maintenance-active-gives-way",
        "maintenance-active-step-back",
        "maintenance-draining-ends",
    ];
    assert_holds(maintenance(), &met, 544_234);
}

#[test]
fn options_that_are_off_by_default() {
    let met = [
        "passive-vote-dead",
        "initial-backup-alone",
        "passive-handed-over",
        "heard of the higher",
    ];
    assert_holds(options(), &met, 160_105);
}

#[test]
fn unequal_timeouts() {
    let met = ["both active", "heard of the higher", "active-late"];
    assert_holds(unequal([TIMEOUT, 2 * TIMEOUT]), &met, 47_507);
    assert_holds(unequal([2 * TIMEOUT, TIMEOUT]), &met, 46_399);
}

#[test]
fn beside_a_peer_of_the_guides() {
    let met = ["ended by itself", "both active", "active-dual-bare-long"];
    assert_holds(guide(0), &met, 57_328);
    assert_holds(guide(1), &met, 99_013);
}

#[test]
fn b01_the_guides_table_has_dead_ends() {
    let guides = |travel, faults, wishes| Pair {
        tables: [&GUIDE, &GUIDE],
        travel,
        faults,
        wishes: (wishes, &[Wish::StepBack]),
        max_epoch: 6,
        ..Pair::new("the Guide's")
    };
    // Lost messages are enough: a dual active state that kills the node that hears of it first,
    // or both. And with a perfect link, crashes and pauses.
    for pair in [
        guides(Travel::Anyhow, (0, &[]), 0),
        guides(Travel::Promptly, (2, &[Fault::Crash, Fault::Pause]), 1),
    ] {
        let wanted = [SERVES_WITH_BOTH, SERVES_WITH_SURVIVORS, NEVER_DEAD_BOTH];
        let all = HasDiscoveries::AllOf(wanted.into());
        let search = pair
            .checker()
            .threads(2)
            .finish_when(all)
            .spawn_bfs()
            .join();
        for property in wanted {
            search.assert_any_discovery(property);
        }
    }
}
