//! Rows that a search cannot tell from their neighbours, under maintenance and not.

use super::*;

/// A node in this state, under maintenance or not.
fn each(roles: &[Role], states: &[State], mut test: impl FnMut(Bench)) {
    for maintenance in [false, true] {
        for role in roles {
            for state in states {
                let mut bench = Bench::in_state(*role, *state);
                bench.machine.set_maintenance(maintenance);
                bench.drain();
                test(bench);
            }
        }
    }
}

const STANDING_BY: [State; 3] = [State::Initial, State::Passive, State::Resigned];

#[test]
pub(super) fn who_stands_by_and_was_away_waits_anew() {
    each(&[Role::Primary], &STANDING_BY, |mut bench| {
        bench.run_for(beats(1.9));
        bench.now += beats(2.0);
        bench.machine.handle_timeout(bench.now);
        bench.machine.set_maintenance(false);
        bench.run_for(beats(1.9));
        assert_eq!(bench.request(), Answer::Refuse, "{:?}", bench.state());
        bench.run_for(beats(0.1));
        assert_eq!(bench.request(), Answer::Accept);
    });
}

#[test]
pub(super) fn who_stands_by_is_promoted_by_hand() {
    each(&Role::ALL, &STANDING_BY, |mut bench| {
        bench.run_for(beats(2.0));
        assert_eq!(bench.machine.handle_promote(bench.now), Ok(()));
        assert_eq!(bench.state(), State::Active);
    });
}

#[test]
pub(super) fn who_hears_an_active_peer_stands_by() {
    each(&Role::ALL, &STANDING_BY, |mut bench| {
        bench.hear("3");
        assert_eq!(bench.state(), State::Passive);
        bench.drain();
        bench.hear("3");
        assert!(bench.rows().is_empty(), "it does so already");
        let refused = Err(PromoteError::PeerActive);
        assert_eq!(bench.machine.handle_promote(bench.now), refused);
    });
}

#[test]
pub(super) fn a_drain_has_one_way_out() {
    each(&Role::ALL, &[State::Draining], |mut bench| {
        let again = bench.machine.handle_step_back(bench.now);
        assert_eq!(again, Ok(StepBack::Offered));
        assert_eq!(bench.state(), State::Draining);
        bench.machine.handle_stop(bench.now);
        assert_eq!(bench.state(), State::Resigned);
    });
    each(&Role::ALL, &[State::Draining], |mut bench| {
        for digit in ["4", ["2", "1"][bench.machine.config().role() as usize]] {
            bench.hear(digit);
            assert_eq!(bench.state(), State::Draining);
        }
        bench.hear_more("3", 0, Heard::Incarnation(OURS));
        assert_eq!(bench.state(), State::Resigned);
    });
}

#[test]
pub(super) fn a_stranger_changes_nothing_once_a_node_is_paired() {
    let paired = [
        State::Active,
        State::Draining,
        State::Passive,
        State::Resigned,
    ];
    each(&Role::ALL, &paired, assert_ignores_strangers);
    // Under maintenance nor before: an operator is at work.
    for role in Role::ALL {
        let mut bench = Bench::in_state(role, State::Initial);
        bench.machine.set_maintenance(true);
        bench.drain();
        assert_ignores_strangers(bench);
    }
}

fn assert_ignores_strangers(mut bench: Bench) {
    let role = bench.machine.config().role();
    let state = bench.state();
    bench.hear(["1", "2"][role as usize]);
    let outputs = bench.drain();
    let told = Output::Stranger(Stranger::SameRole(role));
    let fatal = |output: &Output| matches!(output, Output::Fatal(_));
    assert!(outputs.contains(&told) && !outputs.iter().any(fatal));
    assert_eq!(bench.state(), state);
    assert_eq!(bench.machine.status(bench.now).counters.strangers, 1);
}

#[test]
pub(super) fn a_resigned_backup_leaves_the_service_to_its_primary() {
    each(&[Role::Backup], &[State::Resigned], |mut bench| {
        bench.hear("1");
        assert_eq!(bench.state(), State::Resigned);
    });
}

#[test]
pub(super) fn the_offer_of_a_lower_active_is_not_for_one_that_serves() {
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.hear_told("3", |told| told.offer = Some(1));
        assert_eq!(bench.state(), State::Active);
    });
}

#[test]
pub(super) fn who_serves_serves_on_beside_a_lower_one_or_alone() {
    each(&Role::ALL, &[State::Active], |mut bench| {
        assert_eq!(
            bench.machine.handle_step_back(bench.now),
            Err(StepBackError::Alone)
        );
        bench.hear_more("3", 0, Heard::Incarnation(OURS));
        bench.hear("3");
        assert_eq!(bench.state(), State::Active);
    });
}

#[test]
pub(super) fn who_serves_gives_way_under_maintenance_too() {
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.hear_more("3", 99, Heard::Incarnation(OURS));
        assert_eq!(bench.state(), State::Resigned);
    });
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.now += beats(1.1);
        assert_eq!(bench.request(), Answer::Refuse);
        assert_eq!(bench.state(), State::Resigned);
    });
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.machine.handle_stop(bench.now);
        assert_eq!(bench.state(), State::Resigned);
    });
}

#[test]
pub(super) fn a_switchover_is_by_hand_under_maintenance_too() {
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.offer(OfferAnswer::Veto);
        let outputs = bench.drain();
        assert_eq!(switchovers(&outputs), [Err(StepBackError::Vetoed)]);
    });
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.hear_told("4", |_| {});
        let _ = bench.machine.handle_step_back(bench.now);
        for _ in 0..4 {
            bench.run_for(beats(0.5));
            bench.hear_told("4", |_| {});
        }
        let outputs = bench.drain();
        assert_eq!(switchovers(&outputs), [Err(StepBackError::Unanswered)]);
    });
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.offer(OfferAnswer::Ready);
        assert_eq!(bench.state(), State::Draining);
        bench.run_for(beats(2.0));
        assert_eq!(bench.state(), State::Resigned);
    });
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.hear("4");
        assert_eq!(
            bench.machine.handle_step_back(bench.now),
            Ok(StepBack::Done)
        );
    });
}

#[test]
pub(super) fn a_wish_that_is_refused_is_answered_so() {
    each(&Role::ALL, &STANDING_BY, |mut bench| {
        let name = bench.state().name(bench.machine.config().role());
        let refused = Err(StepBackError::NotActive(name));
        assert_eq!(bench.machine.handle_step_back(bench.now), refused);
    });
    each(
        &Role::ALL,
        &[State::Active, State::Draining],
        |mut bench| {
            let state = bench.state();
            let refused = Err(PromoteError::Serves(state.name(Role::Primary)));
            assert_eq!(bench.machine.handle_promote(bench.now), refused);
            assert_eq!(bench.state(), state);
        },
    );
    // Who has just given way knows to whom.
    each(&Role::ALL, &[State::Active], |mut bench| {
        bench.hear_more("3", 99, Heard::Incarnation(OURS));
        let refused = Err(PromoteError::PeerActive);
        assert_eq!(bench.machine.handle_promote(bench.now), refused);
        assert_eq!(bench.state(), State::Resigned);
    });
}

#[test]
pub(super) fn a_drain_is_not_cut_short_by_an_answer_nor_outlives_a_pause() {
    each(&Role::ALL, &[State::Draining], |mut bench| {
        bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Ready(1)));
        bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Veto(1)));
        assert_eq!(bench.state(), State::Draining);
        bench.now += beats(1.1);
        assert_eq!(bench.request(), Answer::Refuse);
        assert_eq!(bench.state(), State::Resigned);
    });
}

#[test]
pub(super) fn a_resigned_primary_takes_the_service_from_a_backup_that_starts() {
    let mut bench = Bench::in_state(Role::Primary, State::Resigned);
    bench.hear("2");
    assert_eq!(bench.state(), State::Active);
}
