//! What must hold of what the writers were told, and what is measured of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tests::{Outcome, ensure};

use crate::writer::Ack;

/// One writes at a time: each epoch is of one server, and what was begun after a later epoch was seen is of
/// no earlier one.
///
/// `acks` are in the order of their answers.
pub(crate) fn one_at_a_time(acks: &[Ack]) -> Outcome<()> {
    let mut servers: BTreeMap<u64, &str> = BTreeMap::new();
    let mut seen: Option<&Ack> = None;
    for ack in acks {
        ensure(ack.epoch > 0, || format!("without an epoch: {ack:?}"))?;
        let server = servers.entry(ack.epoch).or_insert(&ack.server);
        ensure(*server == ack.server, || {
            format!("epoch {} is of {server} too: {ack:?}", ack.epoch)
        })?;
        match seen {
            Some(later) if ack.epoch < later.epoch => {
                ensure(ack.sent <= later.answered, || {
                    format!("an earlier epoch after a later one: {ack:?} after {later:?}")
                })?;
            }
            // The first answer of the latest epoch is what the others are measured by.
            Some(later) if ack.epoch == later.epoch => {}
            _ => seen = Some(ack),
        }
    }
    Ok(())
}

/// The longest time in which nothing was acknowledged.
pub(crate) fn longest_gap(acks: &[Ack]) -> Duration {
    let pairs = acks.windows(2);
    let gaps = pairs.map(|pair| pair[1].answered.saturating_sub(pair[0].answered));
    gaps.max().unwrap_or_default()
}

/// How many of a writer's acknowledged writes are not in `kept`.
pub(crate) fn lost(acks: &[Ack], writer: usize, kept: &BTreeSet<u64>) -> usize {
    let own = acks.iter().filter(|ack| ack.writer == writer);
    own.filter(|ack| !kept.contains(&ack.number)).count()
}

fn ack(epoch: u64, server: &str, sent: u64, answered: u64) -> Ack {
    Ack {
        writer: 0,
        number: sent,
        epoch,
        server: server.to_owned(),
        sent: Duration::from_millis(sent),
        answered: Duration::from_millis(answered),
    }
}

#[test]
fn one_after_the_other_is_one_at_a_time() {
    // The second answer came late, for a write that was begun before the service moved.
    let acks = [ack(1, "a", 1, 2), ack(2, "b", 4, 5), ack(1, "a", 3, 6)];
    assert_eq!(one_at_a_time(&acks), Ok(()));
    assert_eq!(longest_gap(&acks), Duration::from_millis(3));
}

#[test]
fn two_at_a_time_are_seen() {
    let interleaved = [ack(1, "a", 1, 2), ack(2, "b", 3, 4), ack(1, "a", 5, 6)];
    assert!(one_at_a_time(&interleaved).is_err());
    let shared = [ack(1, "a", 1, 2), ack(1, "b", 3, 4)];
    assert!(one_at_a_time(&shared).is_err());
    let unknown = [ack(0, "a", 1, 2)];
    assert!(one_at_a_time(&unknown).is_err());
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let acks = [ack(1, "a", 1, 2), ack(1, "a", 3, 4)];
    assert_eq!(lost(&acks, 0, &BTreeSet::from([1, 2])), 1);
    assert_eq!(lost(&acks, 1, &BTreeSet::new()), 0);
}
