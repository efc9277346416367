//! Two hosts and their clients on one network, which an address may wander in.

use std::net::Ipv4Addr;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::campaign::side::Side;
use crate::netns::run;
use crate::{BOUND, Namespace, Outcome, ensure};

/// The address that wanders.
pub(super) const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 100);
/// The device of a server on the network.
pub(super) const DEVICE: &str = "lan0";
const BRIDGE: &str = "bridge0";

/// The address of a server.
pub(super) fn address(side: Side) -> Ipv4Addr {
    [Ipv4Addr::new(10, 79, 0, 1), Ipv4Addr::new(10, 79, 0, 2)][side.index()]
}

/// Three namespaces on one bridge, which is the clients'; removed when dropped.
pub(super) struct Lan {
    servers: [Namespace; 2],
    client: Namespace,
}

impl Lan {
    /// # Errors
    ///
    /// Why this machine cannot.
    pub(super) fn new() -> Outcome<Lan> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = process::id();
        let named = |part| Namespace::named(format!("bstar-failover-{id}-{count}-{part}"));
        let lan = Lan {
            servers: [named("a")?, named("b")?],
            client: named("c")?,
        };
        let hub = lan.client.name();
        run("ip", &["-n", hub, "link", "add", BRIDGE, "type", "bridge"])?;
        run(
            "ip",
            &["-n", hub, "addr", "add", "10.79.0.3/24", "dev", BRIDGE],
        )?;
        run("ip", &["-n", hub, "link", "set", BRIDGE, "up"])?;
        for side in Side::BOTH {
            lan.connect(side)?;
        }
        Ok(lan)
    }

    fn connect(&self, side: Side) -> Outcome<()> {
        let (hub, host) = (self.client.name(), self.server(side).name());
        let port = ["port-a", "port-b"][side.index()];
        let own = format!("{}/24", address(side));
        let veth = ["link", "add", "name", port, "netns", hub, "type", "veth"];
        let peer = ["peer", "name", DEVICE, "netns", host];
        run("ip", &[&veth[..], &peer[..]].concat())?;
        run(
            "ip",
            &["-n", hub, "link", "set", port, "master", BRIDGE, "up"],
        )?;
        run("ip", &["-n", host, "addr", "add", &own, "dev", DEVICE])?;
        run("ip", &["-n", host, "link", "set", DEVICE, "up"])
    }

    pub(super) fn server(&self, side: Side) -> &Namespace {
        &self.servers[side.index()]
    }

    pub(super) fn client(&self) -> &Namespace {
        &self.client
    }

    /// Kills all that runs at a server as one, so that none of it can say that another has died. Answers
    /// with when.
    ///
    /// # Errors
    ///
    /// When something lives on.
    pub(super) fn kill_all(&self, side: Side) -> Outcome<Instant> {
        // All of it was started by this test.
        let running = self.processes(side)?;
        let at = Instant::now();
        for signal in [Signal::STOP, Signal::KILL] {
            for pid in &running {
                // Some end by the death of others.
                let _ = kill_process(*pid, signal);
            }
        }
        let deadline = at + BOUND;
        while !self.processes(side)?.is_empty() {
            ensure(Instant::now() < deadline, || {
                "a kill was survived".to_owned()
            })?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(at)
    }

    fn processes(&self, side: Side) -> Outcome<Vec<Pid>> {
        let output = Command::new("ip")
            .args(["netns", "pids", self.server(side).name()])
            .output()
            .map_err(|error| format!("ip netns pids: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
        Ok(pids.filter_map(Pid::from_raw).collect())
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // What was killed took others with it that nobody waits for, but not those it started last.
        for side in Side::BOTH {
            let _ = self.kill_all(side);
        }
    }
}
