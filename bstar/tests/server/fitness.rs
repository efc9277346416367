//! What a node does when its application says that it cannot serve, or takes its time to say that it can.

use std::sync::mpsc;

use bstar::Role;
use bstar::core::{State, StepBackError};
use bstar::server::HandleError;

use crate::rig::{BOUND, Links, Running, pair_with, pair_without_sockets, wait};

#[test]
fn an_active_that_is_unfit_hands_the_service_over_and_one_that_stands_by_declines_it() {
    let (primary, backup) = pair_without_sockets();
    backup.handle.set_fit(false).unwrap();
    primary.handle.set_fit(false).unwrap();
    // Neither can: then whoever serves goes on.
    wait("an offer was declined", || {
        let result = primary.handle.switch_over(BOUND);
        result == Err(HandleError::StepBack(StepBackError::Vetoed))
    });
    assert_eq!(primary.handle.vote(BOUND), Ok(true));
    backup.handle.set_fit(true).unwrap();
    backup.wait_for(State::Active);
    primary.wait_for(State::Passive);
    assert!(!primary.handle.status(BOUND).unwrap().fit);
}

#[test]
fn an_application_takes_its_time_to_say_that_it_is_ready() {
    let (offered, offers) = mpsc::channel();
    let (primary, backup) = pair_with(
        |server| server,
        move |server| server.on_offer_later(move |_, _, offer| offered.send(offer).unwrap()),
    );
    let handle = primary.handle.clone();
    let operator = std::thread::spawn(move || {
        let mut result = Ok(());
        wait("the end of the offer", || {
            result = handle.switch_over(BOUND);
            result != Err(HandleError::StepBack(StepBackError::Alone))
        });
        result
    });
    let first = offers.recv_timeout(BOUND).unwrap();
    assert_eq!(primary.handle.status(BOUND).unwrap().state, State::Active);
    let veto = Err("its replica lags".to_owned());
    backup.handle.answer_offer(first, veto).unwrap();
    assert_eq!(
        operator.join().unwrap(),
        Err(HandleError::StepBack(StepBackError::Vetoed))
    );
    primary.handle.request_switchover().unwrap();
    let second = offers.recv_timeout(BOUND).unwrap();
    assert_ne!(first, second);
    backup.handle.answer_offer(second, Ok(())).unwrap();
    backup.wait_for(State::Active);
}

#[test]
fn front_ends_are_told_when_a_vote_counts_and_when_a_peer_is_there() {
    let (told, tells) = mpsc::channel();
    let links = Links::free();
    let other = Links(links.0.clone());
    let primary = Running::start(move || {
        links
            .server(Role::Primary)
            .without_voters()
            .on_outlook(move |_, _, outlook| {
                let _ = told.send((outlook.vote_counts, outlook.peer_heard));
            })
    });
    let next = || tells.recv_timeout(BOUND).unwrap();
    assert_eq!(next(), (true, false), "after the guard");
    primary.handle.request_vote().unwrap();
    assert_eq!(next(), (false, false), "when it is active");
    let _backup = Running::start(move || other.server(Role::Backup).without_voters());
    assert_eq!(next(), (false, true), "beside its peer");
}
