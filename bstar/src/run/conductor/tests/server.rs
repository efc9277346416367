//! A server of ours that starts, ends and starts again.

use super::*;

#[test]
fn a_server_that_runs_only_while_active_is_started_first_and_stopped_first() {
    let mut bench = Bench::new(ServerRun::Active);
    assert!(bench.fit, "what is not there is not looked at");
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    assert_eq!(bench.take_log(), ["before-active", "StartServer"]);
    bench.feed(Input::ServerStarted);
    assert_eq!(bench.gate, Gate::Voting);
    bench.feed(Input::Healthy);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
    bench.take_log();
    bench.enter(State::Resigned);
    assert_eq!(
        bench.take_log(),
        ["ReleaseSwitchover", "ForgetHealth", "StopServer"]
    );
    assert_eq!(bench.running, None);
    bench.feed(Input::ServerStopped);
    assert_eq!(bench.running, Some(HookKind::OnPassive));
}

#[test]
fn a_server_that_does_not_become_ready_makes_the_node_unfit() {
    let mut bench = Bench::new(ServerRun::Active);
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.feed(Input::ServerStarted);
    bench.pass(Duration::from_secs(29));
    assert!(bench.fit);
    bench.pass(Duration::from_secs(1));
    assert_eq!((bench.gate, bench.fit), (Gate::Closed, false));
    bench.feed(Input::Healthy);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!((bench.gate, bench.fit), (Gate::Open, true));
}

#[test]
fn a_server_that_does_not_become_ready_again_is_not_waited_for_without_end() {
    let mut bench = Bench::serving_always();
    bench.feed(Input::ServerEnded("signal 9".into()));
    // It lives, and answers nobody: that is no end, and of what was never well no check says that it is ill.
    bench.feed(Input::ServerStarted);
    bench.pass(Duration::from_secs(29));
    assert_eq!((bench.gate, bench.fit), (Gate::Voting, true));
    bench.pass(Duration::from_secs(1));
    assert_eq!((bench.gate, bench.fit), (Gate::Closed, false));
    bench.feed(Input::Healthy);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!((bench.gate, bench.fit), (Gate::Open, true));
}

#[test]
fn a_server_that_is_restarted_is_told_again_what_it_is_before_clients_are_let_in() {
    let mut bench = Bench::serving_always();
    bench.feed(Input::ServerEnded("signal 9".into()));
    assert_eq!(bench.gate, Gate::Voting, "clients wait for its restart");
    bench.feed(Input::ServerStarted);
    bench.feed(Input::Healthy);
    assert_eq!(bench.gate, Gate::Voting);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
    // One that cannot be kept alive is for the peer to replace.
    bench.feed(Input::ServerEnded("signal 9".into()));
    bench.feed(Input::ServerGaveUp("5 ends in a row".into()));
    assert_eq!((bench.gate, bench.fit), (Gate::Closed, false));
}

#[test]
fn a_node_made_active_asks_before_active_when_its_server_is_well() {
    let mut bench = Bench::new(ServerRun::Always);
    bench.enter(State::Active);
    bench.feed(Input::ServerStarted);
    bench.pass(RETRY_AFTER);
    assert_eq!(bench.running, None);
    assert_eq!(bench.gate, Gate::Voting);
    bench.feed(Input::Healthy);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
    // One that does not become well in time is never asked.
    let mut bench = Bench::new(ServerRun::Always);
    bench.enter(State::Active);
    bench.feed(Input::ServerStarted);
    bench.look_out(false, true);
    bench.take_log();
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.take_log(), ["unhealthy"]);
    assert!(!bench.fit);
    assert_eq!(bench.gate, Gate::Closed);
}

#[test]
fn a_peer_that_was_never_heard_is_told_of_once() {
    let mut bench = Bench::new(ServerRun::None);
    bench.take_log();
    bench.pass(FIRST_HEARD_WITHIN * 3);
    assert_eq!(bench.take_log(), ["peer-silent"]);
    let mut bench = Bench::new(ServerRun::None);
    bench.look_out(false, true);
    bench.take_log();
    bench.pass(FIRST_HEARD_WITHIN * 3);
    assert!(bench.log.is_empty());
}
