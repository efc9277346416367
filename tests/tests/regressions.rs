//! The defects of the Guide's own pair that a black box can show, by their number. None of them
//! may be here.
//!
//! B7 (the wall clock), B10 (return codes of handlers) cannot be seen from outside: the core
//! takes its time as an argument, and the reactor has tests of its own.

use std::thread;
use std::time::{Duration, Instant};

use tests::{
    BOUND, Bench, Node, NodeConfig, Outcome, Pair, Role, ScriptedClient, Spoken, State, Traffic,
    ensure, steady,
};

/// Long enough that a busy machine is not away for that long.
const HEARTBEAT: Duration = Duration::from_millis(200);
const ROLES: [Role; 2] = [Role::Primary, Role::Backup];

/// Stops the server of `bench` for five heartbeats while `meanwhile` is done.
fn pause(bench: &Bench, meanwhile: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    bench.node.pause();
    let done = meanwhile();
    thread::sleep(HEARTBEAT * 5);
    bench.node.resume();
    done
}

#[test]
fn b01_nobody_dies_of_two_actives() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        // Between two of ours, made by a long pause of the active under traffic.
        let pair = Pair::running(HEARTBEAT)?;
        let traffic = Traffic::start(&pair.frontends(), HEARTBEAT)?;
        traffic.served_by(0, BOUND)?;
        pair.node(0).pause();
        pair.node(1).wait_state("active")?;
        pair.node(0).resume();
        pair.settle_at(1)?;
        traffic.served_by(1, BOUND)?;
        // Against a peer that knows only digits: ours has one peer timeout of patience, then yields.
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, false)?;
            bench.bring_to(State::Active)?;
            let since = Instant::now();
            bench.moves(b'3', State::Resigned)?;
            ensure(since.elapsed() >= HEARTBEAT * 2, || {
                bench.fails("it yielded before the peer timeout had passed")
            })?;
            bench.hears(State::Passive)?;
            bench.node.ensure_alive()?;
        }
        Ok(())
    })
}

#[test]
fn b02_an_active_server_notices_its_own_pause() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, false)?;
            bench.bring_to(State::Active)?;
            bench.answers(State::Active)?;
            let mark = bench.node.mark();
            pause(&bench, || {
                // The peer took over in the meantime, and clients still ask here.
                bench.peer.say_digit(b'3');
                (0..10).try_for_each(|number| bench.client.ask(format!("late {number}").as_bytes()))
            })?;
            let first = bench.node.wait_transition(mark, BOUND, |_| true)?;
            ensure(first.state == "resigned" && first.cause == "late", || {
                bench.fails("it should have stepped back first of all")
            })?;
            let (answers, spoken) = bench.client.answers()?;
            ensure(answers.is_empty() && spoken != Spoken::Served, || {
                bench.fails(&format!("it served after the pause: {answers:?}"))
            })?;
            bench.node.wait_state("passive")?;
        }
        Ok(())
    })
}

#[test]
fn b05_two_servers_of_one_role_say_so() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, false)?;
            bench.peer.say_digit(role.digit());
            let status = bench.node.process().wait_exit(BOUND)?;
            let said = bench.node.process().stderr().text();
            let clear = said.contains(role.name()) && !said.contains("panicked");
            ensure(status.code() == Some(1) && clear, || {
                bench.fails("should have ended with status 1 and a reason")
            })?;
        }
        Ok(())
    })
}

#[test]
fn b06_noise_is_no_state_and_no_sign_of_life() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for noise in [&b"5"[..], b"noise", b"0", b""] {
            let bench = Bench::start(Role::Backup, HEARTBEAT, false)?;
            bench.bring_to(State::Passive)?;
            bench.peer.say(&[noise]);
            bench.stays(State::Passive)?;
            bench.answers(State::Active)?;
        }
        Ok(())
    })
}

#[test]
fn b08_a_refusal_is_spoken() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        // A heartbeat far above the bound: the client moves on because it was told to.
        let slow = Duration::from_secs(60);
        let active = Bench::start(Role::Primary, slow, false)?;
        active.bring_to(State::Active)?;
        let passive = Bench::start(Role::Backup, slow, false)?;
        passive.bring_to(State::Passive)?;
        let refused = passive.client.probe()?;
        let told = match &refused.spoken {
            Spoken::Refused(text) => text.clone(),
            Spoken::Served => return Err(passive.fails("a passive server served")),
        };
        ensure(told.starts_with("bstar-no state=passive epoch="), || told)?;
        let servers = [&passive, &active].map(|bench| bench.node.config().frontend.clone());
        let traffic = Traffic::start(&servers, slow)?;
        traffic.served_by(1, BOUND)
    })
}

#[test]
fn b09_state_is_published_at_once() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        // A heartbeat far above the bound: what is heard within it was not sent by the timer.
        let slow = Duration::from_secs(60);
        for role in ROLES {
            // At a subscription, and at each transition on the way.
            let bench = Bench::start(role, slow, false)?;
            bench.peer.say_digit(b'3');
            bench.hears(State::Passive)?;
        }
        Ok(())
    })
}

#[test]
fn b11_a_message_is_not_handled_twice() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, false)?;
            bench.bring_to(State::Passive)?;
            bench.peer.silence();
            // Messages that cannot be read, of no frame that is a state and of many frames: were the
            // last good one taken for them, the peer would seem to live.
            for _ in 0..6 {
                let many = vec![b"x".to_vec(); 100];
                bench
                    .peer
                    .burst(&[vec![Vec::new()], many, vec![vec![0xff; 100_000]]]);
                bench.peer.next_heard(1, BOUND)?;
            }
            bench.answers(State::Active)?;
        }
        Ok(())
    })
}

#[test]
fn b12_heartbeats_that_queued_are_read_before_requests() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, false)?;
            bench.bring_to(State::Passive)?;
            bench.answers(State::Passive)?;
            let mark = bench.node.mark();
            pause(&bench, || {
                (0..10)
                    .try_for_each(|number| bench.client.ask(format!("queued {number}").as_bytes()))
            })?;
            let (answers, spoken) = bench.client.answers()?;
            ensure(answers.is_empty() && spoken != Spoken::Served, || {
                bench.fails("a stall made it vote against a peer that lives")
            })?;
            bench.stays(State::Passive)?;
            ensure(bench.node.mark() == mark, || bench.fails("a transition"))?;
        }
        Ok(())
    })
}

#[test]
fn b13_a_primary_does_not_serve_before_the_peer_timeout() -> Outcome<()> {
    let heartbeat = Duration::from_secs(1);
    let config = NodeConfig::new(Role::Primary, &tests::free_endpoint(), heartbeat);
    let client = ScriptedClient::connect(&config.frontend);
    let started = Instant::now();
    let node = Node::start(&config)?;
    loop {
        let asked = Instant::now();
        let probe = client.probe()?;
        if probe.bare || probe.spoken == Spoken::Served {
            // Counted from before the start, so that it can only seem later than it was.
            ensure(asked.elapsed() + (asked - started) >= heartbeat * 2, || {
                node.process().describe("it served before the peer timeout")
            })?;
            return Ok(());
        }
        ensure(started.elapsed() < BOUND, || {
            node.process().describe("it never served")
        })?;
        thread::sleep(Duration::from_millis(5));
    }
}
