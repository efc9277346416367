//! Whatever befalls a conductor.

use proptest::prelude::*;

use super::*;

/// What may befall a conductor, in any order that its surroundings allow.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Enter(State),
    Outlook(bool, bool),
    Offer(u64),
    Vote,
    Drained,
    HooksEnd(bool),
    ServerStarts,
    ServerEnds,
    ServerGivesUp,
    ServerStops,
    Healthy,
    Unhealthy,
    Time(u64),
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        3 => prop::sample::select(State::ALL.to_vec()).prop_map(Fate::Enter),
        1 => any::<(bool, bool)>().prop_map(|(vote, peer)| Fate::Outlook(vote, peer)),
        1 => (0..3_u64).prop_map(Fate::Offer),
        2 => Just(Fate::Vote),
        1 => Just(Fate::Drained),
        6 => prop::bool::weighted(0.8).prop_map(Fate::HooksEnd),
        3 => Just(Fate::ServerStarts),
        1 => Just(Fate::ServerEnds),
        1 => Just(Fate::ServerGivesUp),
        3 => Just(Fate::ServerStops),
        4 => Just(Fate::Healthy),
        1 => Just(Fate::Unhealthy),
        2 => (0..40_000_u64).prop_map(Fate::Time),
    ];
    prop::collection::vec(fate, 0..80)
}

fn may_enter(from: State, to: State) -> bool {
    use State::{Active, Draining, Initial, Passive, Resigned};
    match (from, to) {
        (_, Initial) => false,
        (Active, Draining | Resigned) | (Draining, Resigned) => true,
        (Initial | Resigned, Active | Passive) | (Passive, Active | Resigned) => true,
        _ => false,
    }
}

fn befall(bench: &mut Bench, fate: Fate) {
    match fate {
        Fate::Enter(to) if may_enter(bench.state, to) => bench.enter(to),
        Fate::Outlook(vote, peer) => {
            let serves = matches!(bench.state, State::Active | State::Draining);
            bench.look_out(vote && !serves, peer);
        }
        Fate::Offer(number) if bench.state == State::Passive => {
            bench.feed(Input::Offered(Offer::numbered(number)));
        }
        Fate::Vote if bench.gate == Gate::Voting => bench.feed(Input::Front(FrontEvent::Vote)),
        Fate::Drained if bench.gate == Gate::Draining => {
            bench.feed(Input::Front(FrontEvent::Drained));
        }
        Fate::HooksEnd(well) if bench.running.take().is_some() => {
            let result = if well {
                Ok(())
            } else {
                Err("failed".to_owned())
            };
            bench.feed(Input::HooksEnded(result));
        }
        Fate::ServerStarts if bench.conductor.server == Server::Starting => {
            bench.feed(Input::ServerStarted);
        }
        Fate::ServerEnds if bench.conductor.server == Server::Up => {
            bench.feed(Input::ServerEnded("ended".into()));
        }
        Fate::ServerGivesUp if bench.conductor.server == Server::Starting => {
            bench.feed(Input::ServerGaveUp("gave up".into()));
        }
        Fate::ServerStops if bench.conductor.server == Server::Stopping => {
            bench.feed(Input::ServerStopped);
        }
        Fate::Healthy
            if matches!(bench.conductor.server, Server::Up | Server::Foreign)
                && bench.conductor.healthy != Some(true) =>
        {
            bench.feed(Input::Healthy);
        }
        Fate::Unhealthy if bench.conductor.healthy == Some(true) => {
            bench.feed(Input::Unhealthy("refused".into()));
        }
        Fate::Time(millis) => bench.pass(Duration::from_millis(millis)),
        _ => {}
    }
}

proptest! {
    /// Whatever happens: the gate is open only to who may be let in, and when all goes well again the
    /// node serves, or stands by with nothing left to do.
    #[test]
    fn whatever_happens_the_gate_is_right_and_nothing_gets_stuck(
        run in prop::sample::select(vec![ServerRun::None, ServerRun::Always, ServerRun::Active]),
        has_before_active: bool,
        fates in fates(),
    ) {
        let mut bench = Bench::with(|settings| {
            settings.run = run;
            settings.has_before_active = has_before_active;
        });
        let mut told = None;
        for fate in fates {
            let ran = bench.running;
            befall(&mut bench, fate);
            if let (Fate::HooksEnd(true), Some(HookKind::OnActive)) = (fate, ran) {
                told = Some(bench.epoch);
            }
            match bench.gate {
                Gate::Open => {
                    prop_assert_eq!(bench.state, State::Active);
                    prop_assert_eq!(bench.conductor.hold, Hold::Yes);
                    prop_assert_eq!(told, Some(bench.epoch), "on-active has run for this activation");
                }
                Gate::Draining => prop_assert_eq!(bench.state, State::Draining),
                Gate::Voting => {
                    let counts = bench.conductor.outlook.vote_counts;
                    prop_assert!(bench.state == State::Active || counts);
                }
                Gate::Closed => {}
            }
            if bench.state != State::Active && bench.state != State::Draining {
                prop_assert!(bench.conductor.hold == Hold::No, "nobody waits for who has stepped back");
            }
        }
        // From here on all goes well.
        if bench.state == State::Draining {
            bench.enter(State::Resigned);
        }
        for _ in 0..20 {
            for fate in [Fate::HooksEnd(true), Fate::ServerStarts, Fate::ServerStops, Fate::Healthy] {
                befall(&mut bench, fate);
            }
            bench.pass(Duration::from_secs(2));
        }
        if bench.state == State::Active {
            prop_assert_eq!(bench.gate, Gate::Open);
        } else {
            prop_assert_eq!(bench.running, None);
            prop_assert!(!bench.conductor.owes_on_passive);
            let off = matches!(bench.conductor.server, Server::Off);
            prop_assert_eq!(off, run == ServerRun::Active);
        }
        prop_assert!(bench.fit);
    }
}
