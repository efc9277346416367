//! Faults of real processes under traffic: whatever happens, one server is active at the end,
//! nobody dies, and every request is answered.
//!
//! A test does a few rounds of its fault. `BSTAR_FAULTS=50` does that many, and each test then
//! prints how long the client waited:
//!
//! ```text
//! BSTAR_FAULTS=50 cargo test -p tests --test faults -- --test-threads=1
//! ```

use std::thread;
use std::time::{Duration, Instant};

use tests::{
    BOUND, Distribution, Node, NodeConfig, Outcome, Pair, Role, ScriptedClient, StateLine, Traffic,
    ensure, rounds_asked, steady, tell,
};

/// What the distributions are about.
const FAST: Duration = Duration::from_millis(100);

/// Otherwise slower, since what is asserted must hold on a machine that is away for a while.
const SLOW: Duration = Duration::from_millis(200);

fn heartbeat() -> Duration {
    if rounds_asked().is_some() { FAST } else { SLOW }
}

/// Far above what any of these faults costs; the distributions are for the eye.
const GENEROUS: Duration = Duration::from_secs(5);

/// A pair under traffic.
struct Run {
    pair: Pair,
    traffic: Traffic,
}

impl Run {
    fn start() -> Outcome<Self> {
        let pair = Pair::running(heartbeat())?;
        let traffic = Traffic::start(&pair.frontends(), heartbeat())?;
        traffic.served_by(0, BOUND)?;
        Ok(Self { pair, traffic })
    }

    /// The two have settled, and the active one of them serves.
    fn settle(&self) -> Outcome<usize> {
        let end = Instant::now() + BOUND;
        loop {
            let active = self.pair.settle()?;
            match self.traffic.served_by(active, GENEROUS) {
                Ok(()) => return Ok(active),
                // A machine that stalls can move the service at any time: look again.
                Err(_) if Instant::now() < end => {}
                Err(error) => return Err(self.pair.describe(&error)),
            }
        }
    }

    fn settle_at(&self, index: usize) -> Outcome<usize> {
        let active = self.settle()?;
        ensure(active == index, || {
            let what = format!("{active} is active, and should not be");
            self.pair.describe(&what)
        })?;
        Ok(active)
    }
}

/// Does rounds of a fault. Each is given the index of the active server, makes the fault, waits
/// until the pair has settled again, and answers with who is active then.
fn rounds(
    name: &str,
    few: usize,
    mut fault: impl FnMut(&mut Run, usize) -> Outcome<usize>,
) -> Outcome<()> {
    let many = rounds_asked();
    let mut run = Run::start()?;
    let mut active = run.settle()?;
    let mut waited = Distribution::default();
    for round in 0..many.unwrap_or(few) {
        // The fault may come at any time between two heartbeats.
        let part = u32::try_from(round * 37 % 100).unwrap_or(0);
        thread::sleep(heartbeat() * part / 100);
        let mark = run.traffic.mark();
        let faulted = fault(&mut run, active);
        active = faulted.map_err(|error| format!("{name}, round {round}: {error}"))?;
        let longest = run.traffic.longest(mark)?;
        ensure(longest < GENEROUS, || {
            run.pair.describe(&format!("{name}: {longest:?}"))
        })?;
        waited.add(longest);
    }
    if many.is_some() {
        tell(&format!("{name:<32} {waited}"));
    }
    Ok(())
}

#[test]
fn kill_of_the_active() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        rounds("kill -9 of the active", 3, |run, active| {
            run.pair.node(active).process().kill()?;
            run.traffic.served_by(1 - active, BOUND)?;
            run.pair.start(active)?;
            run.settle_at(1 - active)
        })
    })
}

#[test]
fn an_orderly_stop_of_the_active_hands_over() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        rounds("SIGTERM of the active", 3, |run, active| {
            let mark = run.pair.node(1 - active).mark();
            run.pair.node(active).process().terminate()?;
            let taken = run
                .pair
                .node(1 - active)
                .wait_transition(mark, BOUND, |line| line.state == "active")?;
            ensure(taken.cause == "peer-initial", || {
                let what = "it should have been told, and not have waited for a vote";
                run.pair.describe(what)
            })?;
            run.traffic.served_by(1 - active, BOUND)?;
            run.pair.start(active)?;
            run.settle_at(1 - active)
        })
    })
}

#[test]
fn restart_of_the_active_within_the_peer_timeout() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        rounds("restart of the active", 3, |run, active| {
            run.pair.node(active).process().kill()?;
            run.pair.start(active)?;
            run.settle_at(1 - active)
        })
    })
}

#[test]
fn restart_of_the_passive_is_not_noticed() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        rounds("restart of the passive", 3, |run, active| {
            let mark = run.pair.node(active).mark();
            run.pair.node(1 - active).process().kill()?;
            run.pair.start(1 - active)?;
            let settled = run.settle()?;
            run.pair.node(active).ensure_quiet(mark)?;
            Ok(settled)
        })
    })
}

#[test]
fn kill_of_both() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        let mut first = 0;
        rounds("kill of both, both restarted", 2, |run, _| {
            for index in [0, 1] {
                run.pair.node(index).process().kill()?;
            }
            first = 1 - first;
            run.pair.start(first)?;
            run.pair.start(1 - first)?;
            run.settle()
        })
    })
}

#[test]
fn switchover() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        rounds("switchover", 3, |run, active| {
            let mark = run.pair.node(active).mark();
            run.pair.node(active).switch_over();
            let resigned = |line: &StateLine| line.state == "resigned";
            run.pair
                .node(active)
                .wait_transition(mark, BOUND, resigned)?;
            run.traffic.served_by(1 - active, BOUND)?;
            run.settle_at(1 - active)
        })
    })
}

/// Stops the active for a number of tenths of a heartbeat, while another client asks it alone.
fn pause(tenths: u32) -> Outcome<()> {
    let name = format!("SIGSTOP for {:.1} heartbeats", f64::from(tenths) / 10.0);
    let mut number = 0_u32;
    rounds(&name, 2, |run, old| {
        let alone = ScriptedClient::connect(&run.pair.configs[old].frontend);
        let before = alone.probe()?;
        ensure(before.is_served(), || {
            format!("before the pause: {before:?}")
        })?;
        let mark = run.pair.node(old).mark();
        run.pair.node(old).pause();
        number += 1;
        for part in ["first", "second", "third"] {
            alone.ask(format!("{part} of {number}").as_bytes())?;
        }
        thread::sleep(heartbeat() * tenths / 10);
        run.pair.node(old).resume();
        let settled = run.settle()?;
        let (answers, _) = alone.answers()?;
        woke_well(run, old, mark, tenths, &answers)?;
        Ok(settled)
    })
}

/// What was sent to a server while it was stopped may be answered only after it became active
/// again. A pause of up to a heartbeat it need not notice, since nobody can have taken over.
fn woke_well(run: &Run, old: usize, mark: usize, tenths: u32, answers: &[Vec<u8>]) -> Outcome<()> {
    if tenths <= 10 {
        return Ok(());
    }
    let node = run.pair.node(old);
    let lines = node.process().stdout().all();
    let mut since = lines.iter().skip(mark).filter_map(StateLine::parse);
    let late = |line: StateLine| line.state == "resigned" && line.cause == "late";
    ensure(since.next().is_some_and(late), || {
        run.pair
            .describe("it should have noticed its pause before anything else")
    })?;
    let again = since.any(|line| line.state == "active");
    ensure(answers.is_empty() || again, || {
        let answers: Vec<_> = answers.iter().map(|a| String::from_utf8_lossy(a)).collect();
        let what = format!("it had lost the service, and answered {answers:?}");
        run.pair.describe(&what)
    })
}

#[test]
fn pause_of_half_a_heartbeat() -> Outcome<()> {
    steady(heartbeat() / 2, || pause(5))
}

#[test]
fn pause_of_one_heartbeat() -> Outcome<()> {
    steady(heartbeat() / 2, || pause(10))
}

#[test]
fn pause_of_one_and_a_half_heartbeats() -> Outcome<()> {
    steady(heartbeat() / 2, || pause(15))
}

#[test]
fn pause_of_two_heartbeats() -> Outcome<()> {
    steady(heartbeat() / 2, || pause(20))
}

#[test]
fn pause_of_five_heartbeats() -> Outcome<()> {
    steady(heartbeat() / 2, || pause(50))
}

#[test]
fn start_in_both_orders() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        for first in [0, 1] {
            let mut pair = Pair::new(heartbeat());
            pair.start(first)?;
            pair.start(1 - first)?;
            pair.settle_at(0)?;
            let traffic = Traffic::start(&pair.frontends(), heartbeat())?;
            traffic.served_by(0, BOUND)?;
        }
        Ok(())
    })
}

#[test]
fn two_of_the_same_role_say_so_and_end() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        for role in [Role::Primary, Role::Backup] {
            let first = NodeConfig::new(role, &tests::free_endpoint(), heartbeat());
            let mut second = NodeConfig::new(role, &first.local, heartbeat());
            second.local.clone_from(&first.remote);
            let nodes = [Node::start(&first)?, Node::start(&second)?];
            // The one that hears the other first ends, and the other may not hear it any more.
            let end = Instant::now() + BOUND;
            while nodes.iter().all(Node::is_alive) && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            let ended = nodes.iter().find(|node| !node.is_alive());
            let ended = ended.ok_or_else(|| format!("both run on as {}", role.name()))?;
            let status = ended.process().wait_exit(BOUND)?;
            let said = ended.process().stderr().text();
            ensure(
                status.code() == Some(1) && said.contains(role.name()),
                || {
                    ended
                        .process()
                        .describe("should have ended with 1 and a reason")
                },
            )?;
        }
        Ok(())
    })
}

#[test]
fn a_third_node_does_not_disturb_a_pair() -> Outcome<()> {
    steady(heartbeat() / 2, || {
        let run = Run::start()?;
        let lines = [0, 1].map(|index| run.pair.node(index).mark());
        let mark = run.traffic.mark();

        // Who listens to the active of its own role learns that the place is taken.
        let beside = NodeConfig::new(Role::Primary, &run.pair.configs[0].local, heartbeat());
        let third = Node::start(&beside)?;
        let status = third.process().wait_exit(BOUND)?;
        ensure(status.code() == Some(1), || {
            third.process().describe("a third node")
        })?;

        // Who listens to the passive finds a peer, and waits for it to offer the service.
        let beside = NodeConfig::new(Role::Primary, &run.pair.configs[1].local, heartbeat());
        let third = Node::start(&beside)?;
        let client = ScriptedClient::connect(&beside.frontend);
        for _ in 0..20 {
            run.traffic.served_by(0, BOUND)?;
            let probe = client.probe()?;
            ensure(probe.is_refused(), || {
                third.process().describe(&format!("it serves: {probe:?}"))
            })?;
        }

        run.settle()?;
        for index in [0, 1] {
            run.pair.node(index).ensure_quiet(lines[index])?;
        }
        let longest = run.traffic.longest(mark)?;
        ensure(longest < GENEROUS, || format!("{longest:?}"))
    })
}
