//! Which data are served when there are two, or only old ones.

use std::time::Duration;

use tests::beside::wait_until;
use tests::{BOUND, Outcome, ensure};

use crate::pair::RedisPair;

/// The service goes to where the newer data are, also when both come back at once, and nothing of them is
/// overwritten.
pub(crate) fn newer_data_are_served(pair: &mut RedisPair) -> Outcome<()> {
    pair.wait_settled()?;
    // The backup is to be the last that was active: of two that start, the primary becomes active first.
    if pair.active()? == (0, 1) {
        pair.sides[0].node()?.ask(&["switchover"])?;
        pair.wait_settled()?;
    }
    ensure(pair.active()? == (1, 0), || {
        pair.describe("not switched over")
    })?;
    pair.sides[0].node()?.kill_family()?;
    let said = pair.sides[1].client(&["SET", "newest", "two's"])?;
    ensure(said == "OK", || said.clone())?;
    pair.sides[1].node()?.kill_family()?;
    pair.start_side(0)?;
    pair.start_side(1)?;
    pair.wait_settled()?;
    let newest = pair.sides[1].client(&["GET", "newest"]);
    ensure(newest.as_deref() == Ok("two's"), || {
        pair.describe(&format!("the newest is {newest:?}"))
    })
}

/// A copy that was cut off for longer than the limit is not served until an operator says so.
pub(crate) fn an_old_copy_is_not_served(pair: &mut RedisPair, limit: Duration) -> Outcome<()> {
    pair.wait_settled()?;
    let (active, passive) = pair.active()?;
    pair.sides[active].client(&["SET", "age", "old"])?;
    wait_until(BOUND, || {
        pair.sides[passive].redis(&["GET", "age"]).as_deref() == Ok("old")
    })?;
    // A replica of nobody: what a replication that is refused or misled looks like.
    pair.sides[passive].redis(&["REPLICAOF", "127.0.0.1", "1"])?;
    pair.sides[active].client(&["SET", "age", "new"])?;
    let beat = |side: usize| -> Option<u64> {
        pair.sides[side]
            .redis(&["GET", "bstar:beat"])
            .ok()?
            .parse()
            .ok()
    };
    wait_until(BOUND, || {
        let ahead = beat(active).zip(beat(passive));
        ahead.is_some_and(|(there, here)| there > here + limit.as_secs() + 2)
    })?;
    // By hand, it is declined as well.
    let declined = pair.sides[active].node()?.ask(&["switchover"]);
    ensure(declined.is_err(), || {
        pair.describe("switched over to an old copy")
    })?;
    let mark = pair.sides[passive].said();
    pair.sides[active].node()?.kill_family()?;
    let mut answer = Err(String::new());
    let declined = wait_until(BOUND, || {
        answer = pair.sides[passive].client(&["GET", "age"]);
        answer.is_ok() || pair.sides[passive].has_said(mark, "are missing")
    });
    declined.map_err(|why| pair.describe(&format!("not declined: {why}")))?;
    ensure(answer.is_err(), || {
        pair.describe(&format!("an old copy is served: {answer:?}"))
    })?;
    pair.sides[passive].node()?.ask(&["promote", "--force"])?;
    wait_until(BOUND, || {
        pair.sides[passive].client(&["GET", "age"]).as_deref() == Ok("old")
    })
    .map_err(|why| pair.describe(&format!("not promoted: {why}")))?;
    pair.start_side(active)?;
    pair.wait_settled()
}
