//! What is done to the pair.

use std::fs;
use std::thread;

use rustix::process::Signal;
use tests::beside::{Relative, wait_until};
use tests::{BOUND, Beside, Outcome, ensure};

use crate::database::{Database, NAMES};
use crate::table::Found;

impl Database {
    pub(crate) fn switchover(&mut self) -> Outcome<()> {
        let from = self.active;
        let found = self.fault("switchover", 1 - from, |this| {
            this.node(from)?.ask(&["switchover"]).map(drop)
        })?;
        nothing_is_lost(&found, "a switchover")?;
        self.comes_back(from)
    }

    /// The standby receives nothing for a while: it has everything before the service moves all the same.
    pub(crate) fn switchover_behind(&mut self) -> Outcome<()> {
        let from = self.active;
        let found = self.fault("switchover with a standby that lags", 1 - from, |this| {
            let (active, standby) = (this.node(from)?, this.node(1 - from)?);
            let receiver = receiver(standby)?;
            receiver.signal(Signal::STOP);
            let written = this.writer()?.stdout().count();
            let lags = || {
                this.writer()
                    .is_ok_and(|w| w.stdout().count() > written + 50)
            };
            wait_until(BOUND, lags).map_err(|why| this.explain(&why))?;
            let mark = active.process().stderr().count();
            thread::scope(|scope| {
                let moved = scope.spawn(|| active.ask(&["switchover"]));
                let shuts_down = active.process().stderr().find(mark, BOUND, |line| {
                    line.text
                        .contains("received fast shutdown request")
                        .then_some(())
                });
                receiver.signal(Signal::CONT);
                shuts_down.ok_or_else(|| this.explain("the server is not shut down"))?;
                let moved = moved.join();
                moved.map_err(|_| "asking panicked".to_owned())?.map(drop)
            })
        })?;
        nothing_is_lost(&found, "a switchover")?;
        self.comes_back(from)
    }

    pub(crate) fn kill_side(&mut self) -> Outcome<()> {
        let from = self.active;
        self.fault("kill -9 of the active side", 1 - from, |this| {
            take(this, from)?.kill_family()
        })?;
        self.comes_back(from)
    }

    pub(crate) fn kill_bstar(&mut self) -> Outcome<()> {
        let from = self.active;
        self.fault("kill -9 of the active bstar", 1 - from, |this| {
            let node = take(this, from)?;
            let server = node.relative("postgres")?;
            node.process().kill()?;
            // Its keeper does not leave it behind.
            server.wait_gone()
        })?;
        self.comes_back(from)
    }

    /// The active side does not run for a while, or only its bstar; the other one takes over meanwhile.
    pub(crate) fn stall(&mut self, what: &str, whole: bool) -> Outcome<()> {
        let from = self.active;
        self.fault(what, 1 - from, |this| {
            let node = this.node(from)?;
            let family = if whole { node.family() } else { Vec::new() };
            let tell_all = |signal| {
                node.process().signal(signal);
                family.iter().for_each(|relative| relative.signal(signal));
            };
            tell_all(Signal::STOP);
            // The one who writes waits for an answer to what it sent; somebody else asks.
            let served = wait_until(BOUND, || this.ask(1 - from, "select 1").is_ok());
            tell_all(Signal::CONT);
            served.map_err(|why| format!("{what}: the other one does not serve: {why}"))
        })?;
        self.comes_back(from)
    }

    pub(crate) fn kill_server(&mut self) -> Outcome<()> {
        let active = self.active;
        let found = self.fault("kill -9 of the server alone", active, |this| {
            let server = this.node(active)?.relative("postgres")?;
            server.signal(Signal::KILL);
            server.wait_gone()
        })?;
        nothing_is_lost(&found, "a server that came back")?;
        self.comes_back(1 - active)
    }
}

fn nothing_is_lost(found: &Found, by: &str) -> Outcome<()> {
    ensure(found.lost == 0, || {
        format!("{by} lost {} acknowledged rows", found.lost)
    })
}

/// A node that is to be down.
fn take(database: &mut Database, index: usize) -> Outcome<Beside> {
    let node = database.nodes[index].take();
    node.ok_or_else(|| format!("node {} is down already", NAMES[index]))
}

/// The process of a standby that receives what the primary writes.
fn receiver(node: &Beside) -> Outcome<Relative> {
    let is_receiver = |relative: &Relative| {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", relative.pid));
        line.is_ok_and(|line| line.contains("walreceiver"))
    };
    let found = node.family().into_iter().find(is_receiver);
    found.ok_or_else(|| node.process().describe("nobody receives"))
}
