use super::*;
use crate::core::Event;
use crate::run::hooks::HookKind;

mod ending;
mod fates;
mod server;

/// A conductor with what its outputs have led to.
struct Bench {
    conductor: Conductor,
    now: Instant,
    gate: Gate,
    fit: bool,
    /// Why it was unfit last.
    why: &'static str,
    /// Hooks that run.
    running: Option<HookKind>,
    /// All that was put out and is not the gate or the fitness, in short.
    log: Vec<String>,
    epoch: u64,
    state: State,
    /// Whether the node can be kept from handing over, when that is asked.
    may_hold: bool,
}

impl Bench {
    fn new(run: ServerRun) -> Bench {
        Bench::with(|settings| settings.run = run)
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Bench {
        let mut settings = Settings {
            run: ServerRun::None,
            vote_when_unhealthy: false,
            has_before_active: true,
            start_timeout: Duration::from_secs(30),
        };
        change(&mut settings);
        let now = Instant::now();
        let mut bench = Bench {
            conductor: Conductor::new(settings, now),
            now,
            gate: Gate::Closed,
            fit: true,
            why: "",
            running: None,
            log: Vec::new(),
            epoch: 0,
            state: State::Initial,
            may_hold: true,
        };
        bench.drain();
        bench
    }

    fn drain(&mut self) {
        while let Some(output) = self.conductor.poll_output() {
            match output {
                Output::Gate(gate) => self.gate = gate,
                Output::Fit(fit) => {
                    self.fit = fit.is_ok();
                    self.why = fit.err().unwrap_or(self.why);
                }
                Output::RunHooks { kind, .. } => {
                    assert_eq!(self.running.replace(kind), None, "one at a time");
                    self.log.push(kind.to_string());
                }
                Output::Fault { what, .. } => self.log.push(what.name().to_owned()),
                Output::AnswerOffer(_, answer) => {
                    let answer = if answer.is_ok() { "ready" } else { "veto" };
                    self.log.push(answer.to_owned());
                }
                Output::HoldSwitchover => {
                    self.log.push("HoldSwitchover".to_owned());
                    let held = Input::Held(self.may_hold);
                    self.conductor.handle(held, self.now);
                }
                other => self.log.push(format!("{other:?}")),
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.conductor.handle(input, self.now);
        self.drain();
    }

    fn enter(&mut self, to: State) {
        let from = std::mem::replace(&mut self.state, to);
        if to == State::Active {
            self.epoch += 1;
        }
        self.feed(Input::Transition(Transition {
            row: "a-row",
            cause: Event::PeerInitial,
            from,
            to,
            epoch: self.epoch,
            fence: None,
        }));
    }

    fn end_hooks(&mut self, expected: HookKind, result: Result<(), &str>) {
        assert_eq!(self.running.take(), Some(expected), "{:?}", self.log);
        self.feed(Input::HooksEnded(result.map_err(str::to_owned)));
    }

    fn look_out(&mut self, vote_counts: bool, peer_heard: bool) {
        self.feed(Input::Outlook(Outlook {
            vote_counts,
            peer_heard,
        }));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.conductor.next_deadline().filter(|at| *at <= end) {
            assert!(at > self.now, "a deadline that is over is none");
            self.now = at;
            self.feed(Input::Timeout);
        }
        self.now = end;
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// A foreign server that is well, beside a peer.
    fn standing_by() -> Bench {
        let mut bench = Bench::new(ServerRun::None);
        bench.feed(Input::Healthy);
        bench.look_out(false, true);
        bench.enter(State::Passive);
        bench.end_hooks(HookKind::OnPassive, Ok(()));
        bench.take_log();
        bench
    }

    /// A server of ours that serves.
    fn serving_always() -> Bench {
        let mut bench = Bench::new(ServerRun::Always);
        bench.feed(Input::ServerStarted);
        bench.feed(Input::Healthy);
        bench.enter(State::Active);
        bench.end_hooks(HookKind::BeforeActive, Ok(()));
        bench.end_hooks(HookKind::OnActive, Ok(()));
        assert_eq!(bench.gate, Gate::Open);
        bench
    }

    fn serving() -> Bench {
        let mut bench = Bench::standing_by();
        bench.enter(State::Active);
        bench.end_hooks(HookKind::BeforeActive, Ok(()));
        bench.end_hooks(HookKind::OnActive, Ok(()));
        assert_eq!(bench.gate, Gate::Open);
        bench.take_log();
        bench
    }
}

#[test]
fn a_vote_is_cast_when_before_active_agrees_and_clients_wait_for_on_active() {
    let mut bench = Bench::standing_by();
    assert_eq!(
        bench.gate,
        Gate::Closed,
        "a true refusal beside a live peer"
    );
    bench.feed(Input::Front(FrontEvent::Vote));
    assert!(bench.log.is_empty(), "no vote counts yet");
    bench.look_out(true, false);
    assert_eq!(bench.gate, Gate::Voting);
    bench.feed(Input::Front(FrontEvent::Vote));
    assert!(!bench.log.contains(&"CastVote".to_owned()));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    assert_eq!(
        bench.take_log(),
        ["peer-silent", "before-active", "CastVote"]
    );
    bench.enter(State::Active);
    assert_eq!(bench.gate, Gate::Voting, "held until on-active has run");
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
    assert_eq!(bench.take_log(), ["on-active", "HoldSwitchover"]);
    // Nobody is let in whose work a switchover would not wait for.
    let mut bench = Bench::standing_by();
    bench.may_hold = false;
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.end_hooks(HookKind::OnActive, Ok(()));
    bench.pass(HOLD_AGAIN);
    assert_eq!(bench.gate, Gate::Voting);
    bench.may_hold = true;
    bench.pass(HOLD_AGAIN);
    assert_eq!(bench.gate, Gate::Open);
}

#[test]
fn a_veto_turns_clients_away_for_a_moment() {
    let mut bench = Bench::standing_by();
    bench.look_out(true, false);
    bench.feed(Input::Front(FrontEvent::Vote));
    bench.end_hooks(HookKind::BeforeActive, Err("the replica lags"));
    assert_eq!(bench.gate, Gate::Closed);
    assert_eq!(
        bench.take_log(),
        ["peer-silent", "before-active", "hook-failed"]
    );
    bench.pass(RETRY_AFTER);
    assert_eq!(bench.gate, Gate::Voting);
    bench.feed(Input::Front(FrontEvent::Vote));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    assert_eq!(bench.take_log(), ["before-active", "CastVote"]);
}

#[test]
fn an_offer_is_answered_when_before_active_has_ended() {
    for (result, answer) in [(Ok(()), "ready"), (Err("no"), "veto")] {
        let mut bench = Bench::standing_by();
        bench.feed(Input::Offered(Offer::numbered(1)));
        assert_eq!(bench.take_log(), ["before-active"]);
        bench.end_hooks(HookKind::BeforeActive, result);
        assert_eq!(bench.take_log().last().unwrap(), answer);
    }
    // The hook is not asked again at the hand-over itself.
    let mut bench = Bench::standing_by();
    bench.feed(Input::Offered(Offer::numbered(1)));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.enter(State::Active);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
}

#[test]
fn what_was_agreed_to_one_who_asked_is_not_said_to_the_next() {
    let mut bench = Bench::standing_by();
    bench.feed(Input::Offered(Offer::numbered(1)));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    // The peer did not hand over, and offers once more.
    bench.feed(Input::Offered(Offer::numbered(2)));
    bench.end_hooks(HookKind::BeforeActive, Err("no"));
    assert_eq!(bench.take_log().last().unwrap(), "veto");
    // Nor is it good for a client's vote.
    let mut bench = Bench::standing_by();
    bench.feed(Input::Offered(Offer::numbered(1)));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.look_out(true, false);
    bench.take_log();
    bench.feed(Input::Front(FrontEvent::Vote));
    assert_eq!(bench.take_log(), ["before-active"]);
}

#[test]
fn a_node_that_is_not_well_declines_offers_and_takes_no_vote() {
    let mut bench = Bench::standing_by();
    assert!(bench.fit);
    bench.feed(Input::Unhealthy("refused".into()));
    assert!(!bench.fit);
    bench.feed(Input::Offered(Offer::numbered(1)));
    assert_eq!(bench.take_log(), ["unhealthy", "veto"]);
    // Told otherwise it votes, and still declines what a healthy peer offers.
    let mut bench = Bench::with(|settings| settings.vote_when_unhealthy = true);
    bench.feed(Input::Unhealthy("refused".into()));
    bench.enter(State::Passive);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    assert!(bench.fit);
    bench.take_log();
    bench.feed(Input::Offered(Offer::numbered(1)));
    assert_eq!(bench.take_log(), ["veto"]);
    // An active one that is not well offers, whatever it was told of votes.
    bench.enter(State::Active);
    assert!(!bench.fit);
}

#[test]
fn a_switchover_drains_runs_before_passive_and_only_then_lets_go() {
    let mut bench = Bench::serving();
    bench.enter(State::Draining);
    assert_eq!(bench.gate, Gate::Draining);
    assert_eq!(bench.take_log(), [""; 0]);
    bench.feed(Input::Front(FrontEvent::Drained));
    assert_eq!(bench.take_log(), ["before-passive"]);
    bench.end_hooks(HookKind::BeforePassive, Ok(()));
    assert_eq!(bench.take_log(), ["ReleaseSwitchover"]);
    bench.enter(State::Resigned);
    assert_eq!(bench.gate, Gate::Closed);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    assert_eq!(bench.take_log(), ["on-passive"]);
}

#[test]
fn a_switchover_waits_until_on_active_has_ended() {
    for result in [Ok(()), Err("no")] {
        let mut bench = Bench::standing_by();
        bench.enter(State::Active);
        bench.end_hooks(HookKind::BeforeActive, Ok(()));
        assert_eq!(
            bench.take_log(),
            ["before-active", "on-active", "HoldSwitchover"]
        );
        // What on-active begins the peer is not to begin as well.
        bench.enter(State::Draining);
        bench.pass(DRAINED_WITHIN);
        assert_eq!(bench.take_log(), [""; 0]);
        bench.end_hooks(HookKind::OnActive, result);
        if result.is_ok() {
            bench.end_hooks(HookKind::BeforePassive, Ok(()));
        }
        assert_eq!(bench.take_log().last().unwrap(), "ReleaseSwitchover");
    }
}

#[test]
fn what_is_held_too_late_is_let_go() {
    let mut bench = Bench::standing_by();
    bench.feed(Input::Held(true));
    assert_eq!(bench.take_log(), ["ReleaseSwitchover"]);
}

#[test]
fn before_passive_is_tried_for_as_long_as_the_drain_lasts() {
    let mut bench = Bench::serving();
    bench.enter(State::Draining);
    bench.feed(Input::Front(FrontEvent::Drained));
    bench.end_hooks(HookKind::BeforePassive, Err("the replica lags"));
    assert!(!bench.log.contains(&"ReleaseSwitchover".to_owned()));
    bench.pass(RETRY_AFTER);
    assert_eq!(bench.running, Some(HookKind::BeforePassive));
    // The drain is over all the same.
    bench.enter(State::Resigned);
    assert!(bench.take_log().contains(&"ReleaseSwitchover".to_owned()));
    bench.end_hooks(HookKind::BeforePassive, Ok(()));
    bench.end_hooks(HookKind::OnPassive, Ok(()));
}

#[test]
fn front_ends_that_do_not_drain_hold_nobody_up() {
    let mut bench = Bench::serving();
    bench.enter(State::Draining);
    bench.pass(DRAINED_WITHIN);
    assert_eq!(bench.running, Some(HookKind::BeforePassive));
}

#[test]
fn what_is_lost_is_put_in_order_before_it_is_taken_again() {
    let mut bench = Bench::serving();
    bench.enter(State::Resigned);
    assert_eq!(bench.gate, Gate::Closed);
    assert_eq!(bench.running, Some(HookKind::OnPassive));
    // Voted active again at once: on-passive runs to its end first.
    bench.enter(State::Active);
    assert_eq!(bench.gate, Gate::Voting);
    bench.end_hooks(HookKind::OnPassive, Ok(()));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    assert_eq!(bench.gate, Gate::Voting);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
}

#[test]
fn an_on_passive_that_fails_keeps_nobody_from_taking_over() {
    let failing = || {
        let mut bench = Bench::serving();
        bench.enter(State::Resigned);
        bench.end_hooks(HookKind::OnPassive, Err("the peer is not there"));
        bench.enter(State::Passive);
        bench.end_hooks(HookKind::OnPassive, Err("the peer is not there"));
        bench
    };
    // Who asks is answered before it is tried again, and it is tried again.
    let mut bench = failing();
    bench.feed(Input::Offered(Offer::numbered(1)));
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    assert_eq!(bench.take_log().last().unwrap(), "ready");
    bench.pass(RETRY_AFTER);
    assert_eq!(bench.running, Some(HookKind::OnPassive));
    // By hand, for example.
    let mut bench = failing();
    bench.enter(State::Active);
    bench.end_hooks(HookKind::OnPassive, Err("the peer is not there"));
    bench.pass(RETRY_AFTER);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!(bench.gate, Gate::Open);
}

#[test]
fn an_active_whose_hook_fails_is_unfit_and_tries_again() {
    let mut bench = Bench::standing_by();
    bench.enter(State::Active);
    bench.end_hooks(HookKind::BeforeActive, Ok(()));
    bench.end_hooks(HookKind::OnActive, Err("no"));
    assert_eq!((bench.gate, bench.fit), (Gate::Closed, false));
    assert_eq!(bench.why, "a hook failed");
    bench.pass(RETRY_AFTER);
    bench.end_hooks(HookKind::OnActive, Ok(()));
    assert_eq!((bench.gate, bench.fit), (Gate::Open, true));
}
