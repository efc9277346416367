//! What an operator does: switch over, promote, keep a pair as it is, and look back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bstar::core::{Event, PromoteError, State, StepBackError};
use bstar::server::HandleError;
use bstar::{Config, Role};

use crate::rig::{BOUND, HEARTBEAT, Links, Running, pair_with, pair_without_sockets, wait};

#[test]
fn a_peer_that_is_not_ready_declines_and_the_active_serves_on() {
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let (primary, backup) = pair_with(
        |server| server,
        move |server| {
            server.on_offer(move |log, _| {
                log.note("on_offer");
                match asked.load(Ordering::SeqCst) {
                    true => Ok(()),
                    false => Err("its replica lags".into()),
                }
            })
        },
    );
    // Refused until the primary has heard that its peer stands by.
    let mut result = Ok(());
    wait("the veto", || {
        result = primary.handle.switch_over(BOUND);
        result != Err(HandleError::StepBack(StepBackError::Alone))
    });
    assert_eq!(result, Err(HandleError::StepBack(StepBackError::Vetoed)));
    backup.wait_to_hear("on_offer");
    assert_eq!(primary.handle.vote(BOUND), Ok(true));

    ready.store(true, Ordering::SeqCst);
    assert_eq!(primary.handle.switch_over(BOUND), Ok(()));
    backup.wait_for(State::Active);
    primary.wait_for(State::Passive);
    let taken = backup.handle.history(BOUND).unwrap().pop().unwrap();
    assert_eq!(taken.transition.row, "passive-handed-over");
}

#[test]
fn a_switchover_waits_for_what_is_under_way_and_lets_nothing_new_begin() {
    let links = Links::free();
    let other = Links(links.0.clone());
    let primary = Running::start(move || {
        let config = Config::new(Role::Primary)
            .with_heartbeat(HEARTBEAT)
            .unwrap();
        links
            .server_with(config.with_drain(BOUND).unwrap())
            .without_voters()
    });
    let backup = Running::start(move || other.server(Role::Backup).without_voters());
    backup.wait_for(State::Passive);
    let mut work = None;
    wait("the first request", || {
        work = primary.handle.begin(BOUND).unwrap();
        work.is_some()
    });
    let (done, is_done) = mpsc::channel();
    let handle = primary.handle.clone();
    thread::spawn(move || {
        wait("switchover", || handle.switch_over(BOUND).is_ok());
        done.send(()).unwrap();
    });
    primary.wait_for(State::Draining);
    assert_eq!(backup.handle.status(BOUND).unwrap().state, State::Passive);
    assert!(primary.handle.begin(BOUND).unwrap().is_none());
    assert!(primary.handle.try_begin().is_none());
    assert_eq!(primary.handle.vote(BOUND), Ok(false));
    assert!(is_done.try_recv().is_err());
    drop(work);
    is_done.recv_timeout(BOUND).unwrap();
    backup.wait_for(State::Active);
    let rows = rows(&primary);
    assert!(rows.contains(&"draining-drained"), "{rows:?}");
}

#[test]
fn a_switchover_does_not_wait_for_ever() {
    let (primary, backup) = pair_without_sockets();
    let _work = primary.handle.begin(BOUND).unwrap().unwrap();
    wait("switchover", || primary.handle.switch_over(BOUND).is_ok());
    backup.wait_for(State::Active);
    let rows = rows(&primary);
    assert!(rows.contains(&"draining-expired"), "{rows:?}");
}

#[test]
fn b04_an_operator_promotes_a_backup_that_is_alone() {
    let links = Links::free();
    let backup = Running::start(move || links.server(Role::Backup).without_voters());
    assert_eq!(backup.handle.vote(BOUND), Ok(false));
    assert_eq!(backup.handle.promote(BOUND), Ok(()));
    backup.wait_to_hear("on_active");
    assert_eq!(backup.handle.vote(BOUND), Ok(true));
    assert_eq!(
        backup.handle.promote(BOUND),
        Err(HandleError::Promote(PromoteError::Serves("active")))
    );
}

#[test]
fn b04_a_backup_serves_alone_where_the_operator_said_so() {
    let links = Links::free();
    let backup = Running::start(move || {
        let config = Config::new(Role::Backup).with_heartbeat(HEARTBEAT).unwrap();
        let config = config.with_serve_alone(4 * HEARTBEAT).unwrap();
        links.server_with(config).without_voters()
    });
    wait("it serves", || backup.handle.vote(BOUND) == Ok(true));
    let first = backup.handle.history(BOUND).unwrap().remove(0);
    assert_eq!(first.transition.row, "initial-backup-alone");
    assert!(first.lasted >= 4 * HEARTBEAT, "{first:?}");
}

#[test]
fn nobody_is_promoted_beside_an_active_peer() {
    let (_primary, backup) = pair_without_sockets();
    assert_eq!(
        backup.handle.promote(BOUND),
        Err(HandleError::Promote(PromoteError::PeerActive))
    );
}

#[test]
fn under_maintenance_a_peer_that_ends_is_not_replaced_but_by_hand() {
    let (primary, backup) = pair_without_sockets();
    backup.handle.set_maintenance(true, BOUND).unwrap();
    assert!(backup.handle.status(BOUND).unwrap().maintenance);
    primary.handle.stop();
    primary.join().unwrap();
    // The primary said goodbye, and is silent: either would do at any other time.
    wait("its silence is noticed", || {
        let status = backup.handle.status(BOUND).unwrap();
        !status.fresh && backup.handle.vote(BOUND) == Ok(false)
    });
    assert_eq!(backup.handle.promote(BOUND), Ok(()));
    assert_eq!(backup.handle.vote(BOUND), Ok(true));
}

#[test]
fn a_switchover_by_hand_works_under_maintenance() {
    let (primary, backup) = pair_without_sockets();
    for node in [&primary, &backup] {
        node.handle.set_maintenance(true, BOUND).unwrap();
    }
    wait("switchover", || primary.handle.switch_over(BOUND).is_ok());
    backup.wait_for(State::Active);
    primary.wait_for(State::Passive);
}

#[test]
fn a_primary_fails_back_by_itself_where_the_operator_said_so() {
    let links = Links::free();
    let other = Links(links.0.clone());
    let primary = Running::start(move || {
        let config = Config::new(Role::Primary)
            .with_heartbeat(HEARTBEAT)
            .unwrap();
        let config = config.with_fail_back(3 * HEARTBEAT).unwrap();
        links.server_with(config).without_voters()
    });
    let backup = Running::start(move || other.server(Role::Backup).without_voters());
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    wait("switchover", || primary.handle.switch_over(BOUND).is_ok());
    backup.wait_for(State::Active);
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    let taken = primary.handle.history(BOUND).unwrap().pop().unwrap();
    assert_eq!(taken.transition.row, "passive-handed-over");
    assert!(taken.lasted >= 3 * HEARTBEAT, "{taken:?}");
}

#[test]
fn the_history_tells_what_happened_why_and_when() {
    let (primary, _backup) = pair_without_sockets();
    let history = primary.handle.history(BOUND).unwrap();
    let [became] = &history[..] else {
        panic!("{history:?}");
    };
    assert_eq!(became.transition.cause, Event::PeerInitial);
    assert_eq!(became.transition.epoch, 1);
    // By the clock of this machine, for people.
    let ago = became.at.elapsed().unwrap();
    assert!(ago < BOUND + Duration::from_secs(60), "{ago:?}");
}

fn rows(node: &Running) -> Vec<&'static str> {
    let history = node.handle.history(BOUND).unwrap();
    history.iter().map(|record| record.transition.row).collect()
}
