//! Binary Star: a primary and a backup server make one pair, of which exactly one serves.
//!
//! The pattern is from chapter 4 of *ZeroMQ: Messaging for Many Applications* (the Guide). Each
//! server tells the other its state every heartbeat; clients speak to the one that is *active*.
//! The *passive* one takes over when two things come together: it has not heard its peer for two
//! heartbeats, and a client's request reaches it. A client that can reach it is the third party
//! that tells a dead peer from a broken link.
//!
//! ```
//! use bstar::{Config, Role, Server};
//! use reactor::Reactor;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut reactor = Reactor::new()?;
//! let node = Server::new(
//!     Config::new(Role::Backup),
//!     "tcp://127.0.0.1:*", // our state, for the peer
//!     "tcp://127.0.0.1:5003", // the peer's, for us
//! )
//! .frontend("tcp://127.0.0.1:*", |served: &mut u64, scope, request| {
//!     *served += 1;
//!     Ok(request.echo(scope)?)
//! })
//! .attach(reactor.scope())?;
//! assert!(!node.may_serve(), "a backup waits for its primary");
//!
//! let stopper = node.clone();
//! std::thread::spawn(move || stopper.stop());
//! reactor.run(&mut 0)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - [`Server`]: one node of a pair on a [`reactor::Reactor`]; [`Handle`]: the same for threads
//!   that are elsewhere.
//! - [`Guard`]: the node on a thread of its own, for servers on any other stack; [`guard`] tells how.
//! - [`Client`]: finds the active server, and fails over; [`client`] tells the rules.
//! - [`core`]: the rules themselves, as a table and a machine without a socket, for simulators,
//!   model checkers and other hosts.
//!
//! # Contract
//!
//! - At most one node serves, unless the two are parted (for a peer timeout no message arrives in
//!   at least one direction) and clients reach both; or, for a moment, by words that crossed
//!   (`docs/proof.md` has the exact statement); or an operator promotes a node beside one that serves.
//!   When they hear each other again one resigns.
//! - A failover by silence comes two heartbeats (the peer timeout) after the last sign of life,
//!   which is one to two after a crash, and needs a request. A planned one takes a few round trips,
//!   and the time of what was begun.
//! - Both nodes must have the same peer timeout (if not, the larger counts), and it must exceed
//!   every pause of either and the time in which a crashed one is restarted.
//! - Time is monotonic; no clock of the two needs to agree with anything.
//!
//! # What it does not do
//!
//! No state is replicated and no third node is asked. Nobody on the state channel is
//! authenticated: keep it on a network of its own. Without a [state directory](Server::state_dir) an
//! epoch may come again after a restart, and fences nothing.
//!
//! # Features
//!
//! `programs` (on by default) is what the command `bstar` needs; a library user turns it off.

pub mod client;
pub mod core;
pub mod guard;
#[cfg(feature = "programs")]
pub mod programs;
#[cfg(feature = "programs")]
mod run;
pub mod server;

pub use client::{Client, Idempotent, Reply};
pub use core::{Config, Role, State};
pub use guard::Guard;
pub use server::{Handle, Request, Server};
