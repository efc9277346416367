//! Harness for tests across crates: real processes, scripted peers and scripted clients.
//!
//! Nothing here knows the library. A test starts the programs as an operator would, talks to
//! their sockets as a stranger would, and judges what it sees from outside:
//!
//! * [`programs`] builds the programs once and finds them;
//! * [`Process`] is a child whose lines are kept with the time at which they came;
//! * [`Node`] is a running `bstarsrv`, [`Pair`] the two of them;
//! * [`ScriptedPeer`] stands in for the other server on the state channel;
//! * [`ScriptedClient`] stands in for a client;
//! * [`beside`] runs `bstar run` beside a server, and hits what that started;
//! * [`Bench`] is one server between those two;
//! * [`Traffic`] asks a pair without pause and remembers how long each answer took;
//! * [`Namespace`] is a network of its own, in which links can be cut, [`Islands`] a pair in one;
//! * [`freelance`] has servers of Freelance, good and bad, and runs its programs;
//! * [`python`] finds an interpreter that has the modules a test needs;
//! * [`Timing`] is how soon a pair notices a death, where that is measured;
//! * [`TryOut`] has the files of `examples/` and the steps of the pages in `docs/`;
//! * [`campaign`] has hundreds of such faults, in networks of their own, with a judge outside;
//! * [`failover`] measures how long clients wait, beside keepalived;
//! * [`steady`] tells a defect from a machine that did not run.
//!
//! Every wait has a bound, and answers with an error that says what was waited for.

mod bench;
pub mod beside;
pub mod campaign;
mod cases;
mod client;
mod distribution;
mod endpoints;
pub mod failover;
pub mod freelance;
mod islands;
mod netns;
mod node;
mod peer;
mod process;
pub mod programs;
pub mod python;
mod steady;
mod timing;
mod traffic;
pub mod tryout;

use std::io::Write;
use std::time::Duration;

pub use bench::{Bench, State};
pub use beside::Beside;
pub use cases::run_cases;
pub use client::{Probe, ScriptedClient, Spoken};
pub use distribution::Distribution;
pub use endpoints::{address, free_endpoint, port};
pub use islands::Islands;
pub use netns::{Cut, Namespace};
pub use node::{Node, NodeConfig, Pair, Role, StateLine};
pub use peer::{Heard, PeerConfig, ScriptedPeer};
pub use process::{Line, Lines, Process};
pub use steady::steady;
pub use timing::Timing;
pub use traffic::{Sample, Traffic};
pub use tryout::{TryOut, second_address};

/// What a step of a test came to; the error says what was waited for and what was seen instead.
pub type Outcome<T> = Result<T, String>;

/// The bound of a wait that must succeed: far above any time that a sound run takes.
pub const BOUND: Duration = Duration::from_secs(20);

/// How many rounds of each fault are asked for, by `BSTAR_FAULTS`, in place of a few.
#[must_use]
pub fn rounds_asked() -> Option<usize> {
    std::env::var("BSTAR_FAULTS").ok()?.parse().ok()
}

/// Writes a line to the real standard error, past the capture of the test runner.
pub fn tell(what: &str) {
    // The runner may be in the midst of a line of its own. Who cannot be told is not.
    let _ = writeln!(std::io::stderr(), "\n{what}");
}

/// Tells why a test is left out.
pub fn skip(why: &str) {
    tell(&format!("skipped: {why}"));
}

/// Fails with `what` unless `holds`.
///
/// # Errors
///
/// `what`, when `holds` is false.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(what()) }
}
