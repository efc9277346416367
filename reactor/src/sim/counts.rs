//! How often things happened: a test that met no fault has shown nothing.

use std::fmt;
use std::ops::AddAssign;

use super::Kind;

/// How often things happened, in one run or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Runs.
    pub runs: u64,
    /// Calls of a node, and beginnings and ends of faults.
    pub steps: u64,
    /// Messages that nodes sent.
    pub sent: u64,
    /// Messages handed to nodes, copies included.
    pub delivered: u64,
    /// Messages that a link lost by chance.
    pub lost: u64,
    /// Messages lost since the link was cut.
    pub cut: u64,
    /// Messages with nobody at the other end: no connection, no node, no room.
    pub undelivered: u64,
    /// Copies that were made of messages.
    pub duplicated: u64,
    /// Messages that arrived before one that was sent earlier.
    pub overtook: u64,
    /// What arrived while the host was paused.
    pub waited: u64,
    /// Inputs handed to nodes.
    pub inputs: u64,
    /// Deadlines that passed.
    pub timeouts: u64,
    /// Nodes that were started.
    pub started: u64,
    faults: [u64; Kind::ALL.len()],
}

impl Counts {
    /// How often a fault of this kind changed something: a pause of a host that is down does not.
    pub fn faults(&self, kind: Kind) -> u64 {
        self.faults[kind as usize]
    }

    pub(super) fn count(&mut self, kind: Kind) {
        self.faults[kind as usize] += 1;
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        // The pattern names every field, so that none is forgotten.
        let Counts {
            runs,
            steps,
            sent,
            delivered,
            lost,
            cut,
            undelivered,
            duplicated,
            overtook,
            waited,
            inputs,
            timeouts,
            started,
            faults,
        } = other;
        self.runs += runs;
        self.steps += steps;
        self.sent += sent;
        self.delivered += delivered;
        self.lost += lost;
        self.cut += cut;
        self.undelivered += undelivered;
        self.duplicated += duplicated;
        self.overtook += overtook;
        self.waited += waited;
        self.inputs += inputs;
        self.timeouts += timeouts;
        self.started += started;
        for (sum, more) in self.faults.iter_mut().zip(faults) {
            *sum += more;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs, {} steps, {} nodes started",
            self.runs, self.steps, self.started
        )?;
        writeln!(
            f,
            "{} messages sent: {} delivered, {} lost, {} cut, {} undelivered, {} duplicated, {} overtook, {} waited",
            self.sent,
            self.delivered,
            self.lost,
            self.cut,
            self.undelivered,
            self.duplicated,
            self.overtook,
            self.waited
        )?;
        write!(
            f,
            "{} inputs, {} timeouts; faults:",
            self.inputs, self.timeouts
        )?;
        for kind in Kind::ALL {
            write!(f, " {kind:?} {}", self.faults(kind))?;
        }
        Ok(())
    }
}
