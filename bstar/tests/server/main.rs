//! A node on a reactor, as an application sees it: two in one process, on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]

mod epochs;
mod fitness;
mod hand_over;
mod rig;

use std::net::TcpListener;
use std::time::Instant;

use bstar::Role;
use bstar::core::{State, StepBackError};
use bstar::server::HandleError;
use reactor::Builder;

use crate::rig::{BOUND, HEARTBEAT, Links, Log, Running, pair_without_sockets, wait};

#[test]
fn a_server_on_another_stack_asks_the_handle() {
    let (primary, backup) = pair_without_sockets();
    assert!(primary.handle.may_serve());
    assert_eq!(primary.handle.vote(BOUND), Ok(true));
    assert!(!backup.handle.may_serve());
    assert_eq!(backup.handle.vote(BOUND), Ok(false), "its peer lives");
    assert_eq!(
        backup.handle.switch_over(BOUND),
        Err(HandleError::StepBack(StepBackError::NotActive("passive")))
    );
    // Refused until the primary has heard that its peer stands by.
    wait("switchover", || primary.handle.switch_over(BOUND).is_ok());
    backup.wait_for(State::Active);
    primary.wait_for(State::Passive);
    assert!(backup.handle.may_serve() && !primary.handle.may_serve());
}

#[test]
fn a_node_that_stops_hands_over_at_once() {
    let (primary, backup) = pair_without_sockets();
    let stopped = Instant::now();
    primary.handle.stop();
    // No vote is cast here: only the goodbye can have made it active.
    backup.wait_for(State::Active);
    assert!(stopped.elapsed() < BOUND);
    assert_eq!(backup.handle.status(BOUND).unwrap().epoch, 2);
    let handle = primary.handle.clone();
    assert_eq!(primary.join(), Ok(()));
    wait("the node ends", || {
        handle.status(BOUND) == Err(HandleError::Ended)
    });
    assert!(!handle.may_serve());
    assert_eq!(handle.vote(BOUND), Err(HandleError::Ended));
}

#[test]
fn a_vote_from_a_thread_makes_a_lone_primary_active_after_the_guard() {
    let links = Links::free();
    let began = Instant::now();
    let primary = Running::start(move || links.server(Role::Primary).without_voters());
    assert!(!primary.handle.may_serve());
    wait("the primary serves", || {
        primary.handle.vote(BOUND) == Ok(true)
    });
    assert!(
        began.elapsed() >= 2 * HEARTBEAT,
        "the guard is a peer timeout"
    );
    assert!(primary.handle.may_serve());
}

/// Peer expiry by the wall clock: stepping it delayed or faked a failover. Nothing here reads it.
#[test]
fn b07_the_wall_clock_is_never_asked() {
    fn check(folder: &std::path::Path, files: &mut usize) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                check(&path, files);
            } else {
                *files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                // The history tells people when, and decides nothing.
                let tells = path.ends_with("server/history.rs");
                assert!(
                    tells || !text.contains("SystemTime"),
                    "{} reads the wall clock",
                    path.display()
                );
            }
        }
    }
    let mut files = 0;
    for folder in ["src", "../reactor/src"] {
        check(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut files,
        );
    }
    assert!(files > 40, "the sources were looked through");
}

#[test]
fn callbacks_and_own_timers_run_as_the_state_says() {
    let (primary, backup) = pair_without_sockets();
    primary.wait_to_hear("on_active");
    backup.wait_to_hear("on_passive");
    // The application's own timers run in every state.
    primary.wait_to_hear("tick");
    backup.wait_to_hear("tick");
    wait("switchover", || primary.handle.switch_over(BOUND).is_ok());
    primary.wait_to_hear("on_passive");
    backup.wait_to_hear("on_active");
}

#[test]
fn b10_an_error_of_a_callback_ends_the_node() {
    let links = Links::free();
    let other = Links(links.0.clone());
    let backup = Running::start(move || other.server(Role::Backup).without_voters());
    let primary = Running::start(move || {
        links
            .server(Role::Primary)
            .without_voters()
            .on_active(|_, _, _| Err("the database is not there".into()))
    });
    // It cannot follow, so it offers the service: to a backup that was never paired, in vain.
    let error = primary.join().unwrap_err();
    assert!(error.contains("the database is not there"), "{error}");
    drop(backup);
}

#[test]
fn b10_an_error_of_a_handler_ends_the_node_and_the_peer_takes_over() {
    let links = Links::free();
    let other = Links(links.0.clone());
    let backup = Running::start(move || other.server(Role::Backup).without_voters());
    let primary = Running::start(move || {
        links
            .server(Role::Primary)
            .frontend("tcp://127.0.0.1:*", |_, _, _| Err("out of paper".into()))
    });
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    let client = zmq::Context::new().socket(zmq::DEALER).unwrap();
    client.set_linger(0).unwrap();
    client
        .connect(&primary.handle.frontend_endpoints()[0])
        .unwrap();
    client.send("print", 0).unwrap();
    let error = primary.join().unwrap_err();
    assert!(error.contains("out of paper"), "{error}");
    backup.wait_for(State::Active);
}

#[test]
fn on_fatal_is_told_the_row_and_the_run_the_reason() {
    let links = Links::free();
    let other = Links([links.0[1].clone(), links.0[0].clone()]);
    let nodes = [links, other].map(|links| {
        Running::start(move || {
            links
                .server(Role::Primary)
                .without_voters()
                .on_fatal(|log, _, fatal| log.note(fatal.row))
        })
    });
    // The one that hears the other first ends, maybe before it has told the other.
    wait("one of them ends", || {
        nodes
            .iter()
            .any(|node| node.handle.status(BOUND) == Err(HandleError::Ended))
    });
    let ended = nodes
        .into_iter()
        .find(|node| node.handle.status(BOUND) == Err(HandleError::Ended))
        .unwrap();
    ended.wait_to_hear("initial-stranger");
    let error = ended.join().unwrap_err();
    assert!(error.contains("configured as primary too"), "{error}");
}

#[test]
fn a_rep_front_end_keeps_what_it_may_not_serve_and_serves_it_when_it_may() {
    let links = Links::free();
    let context = zmq::Context::new();
    let rep = context.socket(zmq::REP).unwrap();
    rep.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = rep.get_last_endpoint().unwrap().unwrap();
    let primary = Running::start(move || {
        links
            .server(Role::Primary)
            .voter(rep, |log, scope, request| {
                log.note("served");
                Ok(request.reply(scope, ["done"])?)
            })
    });
    let client = context.socket(zmq::REQ).unwrap();
    client.set_linger(0).unwrap();
    client
        .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
        .unwrap();
    client.connect(&endpoint).unwrap();
    // Sent while the guard lasts: it is the vote that ends it, and it is answered.
    client.send("work", 0).unwrap();
    assert_eq!(client.recv_bytes(0).unwrap(), b"done");
    primary.wait_to_hear("on_active");
    primary.wait_to_hear("served");
}

#[test]
fn a_node_without_a_voter_is_a_mistake() {
    let mut reactor = Builder::new().signals(false).build::<Log>().unwrap();
    let error = Links::free()
        .server(Role::Primary)
        .attach(reactor.scope())
        .unwrap_err();
    assert!(matches!(error, bstar::server::Error::NoVoter));
}

#[test]
fn what_cannot_be_bound_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", taken.local_addr().unwrap());
    let mut reactor = Builder::new().signals(false).build::<Log>().unwrap();
    let server = Links::free()
        .server(Role::Primary)
        .frontend(&endpoint, |_, _, _| Ok(()));
    let error = server.attach(reactor.scope()).unwrap_err().to_string();
    assert!(
        error.contains(&endpoint) && error.contains("in use"),
        "{error}"
    );
}
