//! The second frame: only who subscribes to `bstar/1` gets it, and nobody else while it is sent.

use std::time::Duration;

use tests::{
    BOUND, Bench, Heard, Outcome, PeerConfig, Role, ScriptedPeer, State, ensure, free_endpoint,
    steady,
};

const HEARTBEAT: Duration = Duration::from_millis(50);

#[test]
fn only_who_asks_for_metadata_gets_it() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let bench = Bench::start(Role::Primary, HEARTBEAT, true)?;
        let told = bench
            .peer
            .wait_heard(0, BOUND, |heard| heard.frames.len() == 2)?;
        for (key, value) in [("pair", "bstar"), ("role", "primary"), ("timeout", "100")] {
            ensure(told.metadata(key).as_deref() == Some(value), || {
                format!("{key} in {told:?}")
            })?;
        }
        bench.moves(b'2', State::Active)?;
        let told = bench.peer.wait_heard(0, BOUND, |heard| {
            heard.metadata("epoch").as_deref() == Some("1")
        })?;
        ensure(told.metadata("heard").as_deref() == Some("bare"), || {
            format!("{told:?}")
        })
    })
}

#[test]
fn a_bare_listener_silences_metadata_for_all() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let bench = Bench::start(Role::Primary, HEARTBEAT, true)?;
        bench.moves(b'2', State::Active)?;
        let with_metadata = |heard: &Heard| heard.frames.len() == 2;
        for _ in 0..20 {
            bench
                .peer
                .wait_heard(bench.peer.mark(), BOUND, with_metadata)?;
            let bare = ScriptedPeer::start(&PeerConfig {
                bind: free_endpoint(),
                connect: bench.node.config().local.clone(),
                metadata: false,
                period: HEARTBEAT,
            });
            let heard = bare.next_heard(3, BOUND)?;
            ensure(heard.iter().all(|heard| heard.frames.len() == 1), || {
                bench.fails("a bare listener got a second frame")
            })?;
            let both = bench.peer.next_heard(2, BOUND)?;
            ensure(both.iter().all(|heard| heard.frames.len() == 1), || {
                bench.fails("a second frame was sent while a bare listener was there")
            })?;
        }
        // It is gone, so the metadata comes back.
        bench
            .peer
            .wait_heard(bench.peer.mark(), BOUND, with_metadata)?;
        Ok(())
    })
}
