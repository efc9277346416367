//! Epochs that outlast a node: what the application is handed, and what happens when none can be kept.

use bstar::Role;
use bstar::core::State;

use crate::rig::{BOUND, Links, Node, Running, pair_with, wait};

/// A node that notes what it is handed to fence with.
fn noting_fences(server: Node) -> Node {
    server.on_active(|log, _, transition| {
        let own = transition
            .fence
            .is_none_or(|fence| fence == transition.epoch);
        assert!(own, "{transition:?}");
        log.note(match transition.fence {
            Some(fence) => format!("fence {fence}"),
            None => "nothing to fence with".to_owned(),
        });
        Ok(())
    })
}

/// What a node was handed so far.
fn fences(node: &Running) -> Vec<u64> {
    let notes = node.notes();
    assert!(!notes.iter().any(|note| note == "nothing to fence with"));
    let fences = notes.iter().filter_map(|note| note.strip_prefix("fence "));
    fences.map(|fence| fence.parse().unwrap()).collect()
}

#[test]
fn on_active_is_handed_an_epoch_to_fence_with_where_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let paths = [0, 1].map(|n| directory.path().join(n.to_string()));
    let mut highest = 0;
    for _ in 0..3 {
        let [one, other] = paths.clone();
        let (primary, backup) = pair_with(
            |server| noting_fences(server).state_dir(one),
            |server| noting_fences(server).state_dir(other),
        );
        for node in [&primary, &backup] {
            // What the peer said is kept too.
            assert!(node.handle.stored_epoch() >= highest);
        }
        wait("a switchover", || primary.handle.switch_over(BOUND).is_ok());
        backup.wait_for(State::Active);
        primary.wait_for(State::Passive);
        // Both have heard all of the lives before, so each is above all that was.
        for fence in [fences(&primary), fences(&backup)].concat() {
            assert!(fence > highest, "{fence} after {highest}");
            highest = fence;
        }
    }
}

#[test]
fn an_epoch_that_is_not_kept_is_nothing_to_fence_with() {
    for _ in 0..2 {
        let (primary, _backup) = pair_with(noting_fences, |server| server);
        assert_eq!(primary.handle.stored_epoch(), 0);
        primary.wait_to_hear("nothing to fence with");
    }
}

#[test]
fn an_epoch_that_cannot_be_written_ends_the_node_and_nobody_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let links = Links::free();
    let peer = zmq::Context::new().socket(zmq::SUB).unwrap();
    peer.set_subscribe(b"").unwrap();
    peer.connect(&links.0[0]).unwrap();
    let primary = Running::start(move || {
        let server = links.server(Role::Primary).without_voters();
        server.state_dir(path).on_transition(|log, _, _| {
            log.note("told");
            Ok(())
        })
    });
    // The next record is to be exchanged for this one.
    std::fs::remove_file(directory.path().join("epoch.spare")).unwrap();
    wait("a vote", || primary.handle.vote(BOUND).is_err());
    let notes = primary.notes();
    assert!(!notes.iter().any(|note| note != "tick"), "{notes:?}");
    let error = primary.join().unwrap_err();
    assert!(error.contains("cannot write an epoch"), "{error}");
    assert!(error.contains(&directory.path().display().to_string()));
    while let Ok(state) = peer.recv_multipart(zmq::DONTWAIT) {
        assert_eq!(state[0], b"1", "it must not say that it is active");
    }
}
