//! The way to the end.

use super::*;

#[test]
fn a_node_that_stops_hands_over_stops_its_server_and_ends() {
    let mut bench = Bench::serving_always();
    bench.take_log();
    bench.feed(Input::Stop);
    assert_eq!(bench.take_log(), ["SwitchOver"]);
    assert_eq!(bench.gate, Gate::Open);
    bench.enter(State::Draining);
    bench.feed(Input::Front(FrontEvent::Drained));
    bench.end_hooks(HookKind::BeforePassive, Ok(()));
    bench.enter(State::Resigned);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    bench.feed(Input::ServerStopped);
    assert_eq!(bench.take_log().last().unwrap(), "End");

    // It ends, too, when its peer gives the service back meanwhile, again and again.
    let mut bench = Bench::serving();
    bench.feed(Input::Stop);
    bench.enter(State::Resigned);
    for state in [State::Active, State::Resigned, State::Active] {
        bench.enter(state);
    }
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    assert_eq!(bench.take_log().last().unwrap(), "End");

    // Who asks twice does not wait.
    let mut bench = Bench::serving();
    bench.feed(Input::Stop);
    bench.feed(Input::Stop);
    assert_eq!(bench.take_log(), ["SwitchOver", "End"]);
}

#[test]
fn what_on_active_did_is_undone_at_the_end_also_when_nobody_takes_over() {
    let mut bench = Bench::serving();
    bench.feed(Input::Stop);
    bench.feed(Input::SwitchoverEnded);
    assert_eq!(bench.gate, Gate::Closed);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    assert_eq!(bench.take_log(), ["SwitchOver", "on-passive", "End"]);
    // It does not keep the end waiting.
    let mut bench = Bench::serving();
    bench.feed(Input::Stop);
    bench.feed(Input::SwitchoverEnded);
    bench.end_hooks(HookKind::OnPassive, Err("no"));
    assert_eq!(bench.take_log().last().unwrap(), "End");
    // Half of it may have been done, or be under way.
    for result in [Ok(()), Err("no")] {
        let mut bench = Bench::standing_by();
        bench.enter(State::Active);
        bench.end_hooks(HookKind::BeforeActive, Ok(()));
        bench.end_hooks(HookKind::OnActive, Err("no"));
        bench.pass(RETRY_AFTER);
        bench.feed(Input::Stop);
        bench.end_hooks(HookKind::OnActive, result);
        bench.end_hooks(HookKind::OnPassive, Ok(()));
        assert_eq!(bench.take_log().last().unwrap(), "End");
    }
    let mut bench = Bench::standing_by();
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.end_hooks(HookKind::OnActive, Err("no"));
    bench.feed(Input::Stop);
    assert_eq!(bench.running, Some(HookKind::OnPassive), "at once");
}

#[test]
fn a_server_of_the_active_is_stopped_before_on_passive_also_at_the_end() {
    let mut bench = Bench::new(ServerRun::Active);
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.feed(Input::Stop);
    assert_eq!(bench.running, None);
    bench.feed(Input::ServerStopped);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    assert_eq!(
        bench.take_log(),
        [
            "before-active",
            "StartServer",
            "ForgetHealth",
            "StopServer",
            "on-passive",
            "End"
        ]
    );
}
