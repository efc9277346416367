//! The proof that the peer's process is gone: what it brings, what never counts as one, and what
//! the operator asserts by asking for it.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::campaign::hosts::{Filter, Hosts, Link};
use tests::campaign::side::Side;
use tests::{
    BOUND, Namespace, Node, NodeConfig, Outcome, Pair, PeerConfig, Process, Role, ScriptedClient,
    ScriptedPeer, StateLine, Traffic, address, ensure, free_endpoint, rounds_asked, skip, steady,
    tell,
};

const HEARTBEAT: Duration = Duration::from_millis(200);
const DEAD: &str = "request-peer-dead";
const SILENT: &str = "request-peer-expired";

fn asks_for_proof(config: &mut NodeConfig, peer_frontend: &str) {
    let more = ["--proof-of-death", "--peer-frontend", peer_frontend];
    config.more.extend(more.map(str::to_owned));
}

/// A pair that runs on this machine's loopback, with the proof or without.
fn pair(heartbeat: Duration, proof: bool, more: &[&str]) -> Outcome<Pair> {
    let mut pair = Pair::new(heartbeat);
    let frontends = pair.frontends();
    for index in [0, 1] {
        let config = &mut pair.configs[index];
        config.more.extend(more.iter().map(|arg| (*arg).to_owned()));
        if proof {
            asks_for_proof(config, &frontends[1 - index]);
        }
    }
    pair.start(0)?;
    pair.start(1)?;
    pair.settle_at(0)?;
    Ok(pair)
}

/// Does `task` while somebody asks each of these front ends without pause, from where it can be
/// reached, and takes no answer.
fn asked(
    frontends: &[(Option<&Namespace>, &str)],
    task: impl FnOnce() -> Outcome<()>,
) -> Outcome<()> {
    let ends = AtomicBool::new(false);
    let ask = |endpoint: &str| -> Outcome<()> {
        let client = ScriptedClient::connect(endpoint);
        while !ends.load(Ordering::Relaxed) {
            client.ask(b"anything")?;
            let _ = client.receive(Duration::ZERO);
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let ask = &ask;
        let askers: Vec<_> = frontends
            .iter()
            .map(|(network, endpoint)| {
                scope.spawn(move || match network {
                    Some(network) => network.within(|| ask(endpoint)),
                    None => ask(endpoint),
                })
            })
            .collect();
        let done = task();
        ends.store(true, Ordering::Relaxed);
        for asker in askers {
            // One that panicked has already said so on the standard error.
            asker.join().map_err(|_| "a client panicked".to_owned())??;
        }
        done
    })
}

/// Waits until a node has become active, and checks why it did.
fn takes_over(node: &Node, from: usize, cause: &str) -> Outcome<StateLine> {
    let line = node.wait_transition(from, BOUND, |line| line.state == "active")?;
    ensure(line.cause == cause, || {
        node.process()
            .describe(&format!("should have become active by {cause}"))
    })?;
    Ok(line)
}

/// Kills the active one of a pair under traffic; answers with how long it took until the other
/// served.
fn outage(proof: bool) -> Outcome<Duration> {
    let heartbeat = Duration::from_secs(1);
    let pair = pair(heartbeat, proof, &[])?;
    let traffic = Traffic::start(&pair.frontends(), heartbeat)?;
    traffic.served_by(0, BOUND)?;
    let mark = pair.node(1).mark();
    let since = Instant::now();
    pair.node(0).process().kill()?;
    traffic.served_by(1, BOUND)?;
    let took = since.elapsed();
    takes_over(pair.node(1), mark, if proof { DEAD } else { SILENT })?;
    Ok(took)
}

#[test]
fn a_killed_server_is_replaced_long_before_it_counts_as_silent() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let [without, with] = [outage(false)?, outage(true)?];
        if rounds_asked().is_some() {
            tell(&format!(
                "kill -9 to the next answer at 1 s heartbeat: {without:?}, with a proof {with:?}"
            ));
        }
        ensure(
            with < without / 2 && with < Duration::from_millis(500),
            || format!("{with:?} with a proof, {without:?} without"),
        )
    })
}

#[test]
fn a_grace_for_restarts_is_waited_for() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let more = ["--timeout", "8000", "--restart-grace", "1500"];
        let pair = pair(HEARTBEAT, true, &more)?;
        let [_, frontend] = pair.frontends();
        asked(&[(None, &frontend)], || {
            let mark = pair.node(1).mark();
            let since = Instant::now();
            pair.node(0).process().kill()?;
            let line = takes_over(pair.node(1), mark, DEAD)?;
            ensure(line.at - since >= Duration::from_millis(1500), || {
                format!("replaced after {:?}", line.at - since)
            })
        })
    })
}

#[test]
fn who_is_restarted_again_and_again_never_serves_beside_the_other() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let mut pair = pair(HEARTBEAT, true, &[])?;
        let frontends = pair.frontends();
        let everyone = frontends
            .each_ref()
            .map(|endpoint| (None, endpoint.as_str()));
        asked(&everyone, || {
            for round in 0..rounds_asked().unwrap_or(6) {
                let victim = round % 2;
                pair.node(victim).process().kill()?;
                // At once, as a supervisor does, or when it has been replaced.
                if round % 3 == 0 {
                    pair.node(1 - victim).wait_state("active")?;
                }
                pair.start(victim)?;
                pair.settle_at(1 - victim)?;
                let restarted = pair.node(victim).transitions();
                ensure(restarted.iter().all(|line| line.state != "active"), || {
                    pair.describe("who was restarted served beside the other")
                })?;
            }
            Ok(())
        })
    })
}

#[test]
fn a_stopped_process_is_not_gone() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let pair = pair(HEARTBEAT, true, &[])?;
        let [_, frontend] = pair.frontends();
        asked(&[(None, &frontend)], || {
            let mark = pair.node(1).mark();
            pair.node(0).pause();
            takes_over(pair.node(1), mark, SILENT)?;
            pair.node(0).resume();
            pair.settle_at(1)
        })
    })
}

#[test]
fn with_two_links_a_killed_server_is_replaced_as_well() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let mut pair = Pair::new(HEARTBEAT);
        let frontends = pair.frontends();
        let second = [free_endpoint(), free_endpoint()];
        for index in [0, 1] {
            let config = &mut pair.configs[index];
            let link = ["--local2", &second[index], "--remote2", &second[1 - index]];
            config.more.extend(link.map(str::to_owned));
            asks_for_proof(config, &frontends[1 - index]);
        }
        pair.start(0)?;
        pair.start(1)?;
        pair.settle_at(0)?;
        asked(&[(None, &frontends[1])], || {
            let mark = pair.node(1).mark();
            pair.node(0).process().kill()?;
            takes_over(pair.node(1), mark, DEAD).map(drop)
        })
    })
}

/// A passive node whose peer is scripted, and ends; answers with why the node became active then.
fn replaced(peer_frontend: &str) -> Outcome<String> {
    let bind = free_endpoint();
    let mut config = NodeConfig::new(Role::Backup, &bind, HEARTBEAT);
    asks_for_proof(&mut config, peer_frontend);
    // Ports that do not answer are asked several times before the peer counts as silent.
    config.more.extend(["--timeout", "2000"].map(str::to_owned));
    let peer = ScriptedPeer::start(&PeerConfig {
        bind,
        connect: config.local.clone(),
        metadata: true,
        period: HEARTBEAT / 2,
    });
    let node = Node::start(&config)?;
    peer.wait_subscribed(BOUND)?;
    peer.say_digit(b'3');
    node.wait_state("passive")?;
    // So it has subscribed to the node as well.
    peer.wait_digit(0, b'4', BOUND)?;
    let mut cause = String::new();
    asked(&[(None, &config.frontend)], || {
        let mark = node.mark();
        drop(peer);
        let line = node.wait_transition(mark, BOUND, |line| line.state == "active")?;
        cause = line.cause;
        Ok(())
    })?;
    Ok(cause)
}

#[test]
fn every_port_must_refuse() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let expect = |cause: &str, why: &str, peer_frontend: &str| {
            let seen = replaced(peer_frontend)?;
            ensure(seen == cause, || format!("{why}: replaced by {seen}"))
        };
        expect(DEAD, "all refuse", &free_endpoint())?;
        let listener = TcpListener::bind((address(), 0)).map_err(|e| e.to_string())?;
        let at = listener.local_addr().map_err(|e| e.to_string())?;
        expect(SILENT, "the front end listens", &format!("tcp://{at}"))?;
        // Now its queue is full, and what comes beyond it is dropped.
        rustix::net::listen(&listener, 0).map_err(|e| e.to_string())?;
        let connect = |_| TcpStream::connect_timeout(&at, HEARTBEAT / 4).ok();
        let held: Vec<_> = (0..4).map(connect).collect();
        ensure(held.iter().any(Option::is_none), || {
            "there is room".to_owned()
        })?;
        expect(SILENT, "the front end is silent", &format!("tcp://{at}"))?;
        drop(held);
        expect(SILENT, "it is unreachable", "tcp://255.255.255.255:9")
    })
}

/// A pair on two hosts of its own, each with its front end on all its addresses.
struct Parted {
    pair: Pair,
    hosts: Hosts,
}

impl Parted {
    fn start() -> Outcome<Option<Self>> {
        let hosts = match Hosts::new() {
            Ok(hosts) => hosts,
            Err(why) => {
                skip(&why);
                return Ok(None);
            }
        };
        let mut pair = Pair::new(HEARTBEAT);
        for side in Side::BOTH {
            let config = &mut pair.configs[side.index()];
            let at = |side: Side, port: usize| {
                format!(
                    "tcp://{}:{}",
                    Link::State.address(side),
                    port + side.index()
                )
            };
            config.namespace = Some(hosts.server(side).name().to_owned());
            config.local = at(side, 5003);
            config.remote = at(side.other(), 5003);
            config.frontend = format!("tcp://*:{}", 5001 + side.index());
            asks_for_proof(config, &at(side.other(), 5001));
        }
        pair.start(0)?;
        pair.start(1)?;
        pair.settle_at(0)?;
        Ok(Some(Self { pair, hosts }))
    }

    /// Where a client on the same host asks the server.
    fn frontend(&self, side: Side) -> (Option<&Namespace>, &'static str) {
        let endpoint = ["tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002"][side.index()];
        (Some(self.hosts.server(side)), endpoint)
    }

    fn under_traffic(&self, task: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
        asked(&Side::BOTH.map(|side| self.frontend(side)), task)
    }

    fn serves(&self, side: Side) -> Outcome<bool> {
        let (_, endpoint) = self.frontend(side);
        let probe = || Ok(ScriptedClient::connect(endpoint).probe()?.is_served());
        self.hosts.server(side).within(probe)
    }

    /// Resets the connections of the state link, as many as there are.
    fn reset_connections(&self) -> Outcome<usize> {
        let output = Command::new("ip")
            .args(["netns", "exec", self.hosts.server(Side::B).name()])
            .args(["ss", "-H", "-t", "-K", "dport = :5003 or sport = :5004"])
            .output()
            .map_err(|error| format!("ss: {error}"))?;
        // It names those that it has closed.
        Ok(String::from_utf8_lossy(&output.stdout).lines().count())
    }

    fn backup(&self) -> &Node {
        self.pair.node(1)
    }
}

#[test]
fn a_process_that_is_gone_on_a_host_that_lives_is_replaced_at_once() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(parted) = Parted::start()? else {
            return Ok(());
        };
        parted.under_traffic(|| {
            let mark = parted.backup().mark();
            parted.pair.node(0).process().kill()?;
            takes_over(parted.backup(), mark, DEAD)?;
            Ok(())
        })
    })
}

#[test]
fn a_link_that_is_reset_while_the_peer_listens_proves_nothing() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(parted) = Parted::start()? else {
            return Ok(());
        };
        parted.under_traffic(|| {
            let marks = [0, 1].map(|index| parted.pair.node(index).mark());
            for _ in 0..rounds_asked().unwrap_or(10) {
                let mark = parted.backup().process().stderr().count();
                let closed = parted.reset_connections()?;
                if closed == 0 {
                    skip("the kernel closes no connections for others");
                    return Ok(());
                }
                ensure(closed >= 2, || format!("only {closed} were closed"))?;
                // Time to be dialled again, and for whatever would come of it.
                thread::sleep(HEARTBEAT);
                let told = parted.backup().process().stderr();
                let gone = told.find(mark, Duration::ZERO, |line| {
                    line.text.contains("gone").then_some(())
                });
                ensure(gone.is_none(), || parted.pair.describe("nobody is gone"))?;
            }
            parted.pair.node(0).ensure_quiet(marks[0])?;
            parted.backup().ensure_quiet(marks[1])
        })
    })
}

/// The two are parted in this way, and put together again: only silence counts meanwhile.
fn proves_nothing(
    part: impl Fn(&Parted) -> Outcome<()> + Sync,
    mend: impl Fn(&Parted) -> Outcome<()> + Sync,
) -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(parted) = Parted::start()? else {
            return Ok(());
        };
        parted.under_traffic(|| {
            let mark = parted.backup().mark();
            part(&parted)?;
            takes_over(parted.backup(), mark, SILENT)?;
            mend(&parted)?;
            parted.pair.settle().map(drop)
        })
    })
}

#[test]
fn packets_that_are_dropped_prove_nothing() -> Outcome<()> {
    proves_nothing(
        |parted| parted.hosts.filter(Link::State, &Side::BOTH, Filter::Drop),
        |parted| parted.hosts.pass_all(),
    )
}

#[test]
fn a_host_that_cannot_be_reached_proves_nothing() -> Outcome<()> {
    proves_nothing(
        |parted| parted.hosts.set_state_link(false),
        |parted| parted.hosts.set_state_link(true),
    )
}

/// The price: what answers in the stead of both makes each believe that the other is dead.
#[test]
fn a_firewall_that_rejects_makes_both_serve_until_it_is_gone() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(parted) = Parted::start()? else {
            return Ok(());
        };
        parted.under_traffic(|| {
            let mark = parted.backup().mark();
            parted
                .hosts
                .filter(Link::State, &Side::BOTH, Filter::Reset)?;
            takes_over(parted.backup(), mark, DEAD)?;
            for side in Side::BOTH {
                ensure(parted.serves(side)?, || {
                    parted
                        .pair
                        .describe(&format!("{side} should serve: that is the price"))
                })?;
            }
            parted.hosts.pass_all()?;
            // The later activation has the higher epoch.
            parted.pair.settle_at(1)
        })
    })
}

#[test]
fn addresses_are_numbers() -> Outcome<()> {
    for (remote, frontend) in [
        ("tcp://localhost:5003", "tcp://127.0.0.1:5001"),
        ("tcp://127.0.0.1:5003", "tcp://localhost:5001"),
    ] {
        let mut config = NodeConfig::new(Role::Backup, remote, HEARTBEAT);
        asks_for_proof(&mut config, frontend);
        let process = Process::spawn("backup", &mut config.command());
        let status = process.wait_exit(BOUND)?;
        let told = process.stderr().text();
        ensure(status.code() == Some(1) && told.contains("numeric"), || {
            process.describe("should have asked for a number")
        })?;
    }
    Ok(())
}
