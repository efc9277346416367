//! A deterministic simulation of pure cores: hosts, links, clocks, and whatever goes wrong with them.
//!
//! A pure core takes inputs with the time and is drained of outputs; it has no socket, no clock and no thread. The same
//! core that runs in production on a [`Reactor`](crate::Reactor) runs here, thousands of lives a second, while messages
//! are lost, delayed and doubled, links are cut in one direction or both, and hosts crash, pause and lose count of
//! time. All chance comes from one seed: what fails once fails again, step by step.
//!
//! # Example
//!
//! Two hosts that ping each other. Who hears nothing for a second takes the other for dead; that must not happen while
//! both are up. It does, where the link loses messages: the search finds a seed, and shrinks what went wrong to what
//! matters.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use reactor::sim::{
//!     Faults, HostId, Kind, Life, Node, Output, Scenario, Search, SearchError, Seeds, Sim, Step, World, ms,
//! };
//!
//! struct Pinger {
//!     peer: HostId,
//!     next_ping: Instant,
//!     heard: Instant,
//!     sends: bool,
//!     takes_peer_for_dead: bool,
//! }
//!
//! impl Node for Pinger {
//!     type Message = &'static str;
//!     type Input = ();
//!
//!     fn handle_message(&mut self, _: HostId, _: &'static str, now: Instant) {
//!         self.heard = now;
//!     }
//!
//!     fn handle_input(&mut self, (): (), _: Instant) {}
//!
//!     fn handle_timeout(&mut self, now: Instant) {
//!         self.sends = true;
//!         self.next_ping = now + ms(400);
//!         self.takes_peer_for_dead = now > self.heard + ms(1000);
//!     }
//!
//!     fn next_deadline(&self) -> Option<Instant> {
//!         Some(self.next_ping)
//!     }
//!
//!     fn poll_output(&mut self) -> Option<Output<&'static str>> {
//!         std::mem::take(&mut self.sends).then_some(Output::Send { to: self.peer, message: "ping" })
//!     }
//! }
//!
//! struct NobodyIsTakenForDead;
//!
//! impl Scenario for NobodyIsTakenForDead {
//!     type Node = Pinger;
//!
//!     fn start(&mut self, life: Life, now: Instant) -> Pinger {
//!         Pinger { peer: 1 - life.host, next_ping: now, heard: now, sends: false, takes_peer_for_dead: false }
//!     }
//!
//!     fn after_step(&mut self, world: &World<'_, Pinger>, step: Step) -> Result<(), String> {
//!         match step.host.and_then(|host| world.node(host)) {
//!             Some(node) if node.takes_peer_for_dead => Err("taken for dead: it is up".into()),
//!             _ => Ok(()),
//!         }
//!     }
//! }
//!
//! let sim = Sim::new(["left", "right"], Duration::from_secs(10));
//! // With perfect links nothing goes wrong.
//! let run = sim.run(1, &[], NobodyIsTakenForDead)?;
//! assert_eq!(run.broken, None);
//!
//! // With lossy ones it does.
//! let faults = Faults::new(Duration::from_secs(8)).weight(Kind::Loss, 1).loss_up_to(900);
//! let Err(SearchError::Broken(report)) =
//!     Search::new(sim, faults).run(Seeds::first(1000), |_| NobodyIsTakenForDead)
//! else {
//!     panic!("three pings in a row were never lost");
//! };
//! assert_eq!(report.schedule.len(), 1, "one fault is enough");
//! println!("{report}"); // the seed, the schedule to be pasted into a test, and what happened
//! # Ok::<(), reactor::sim::ConfigError>(())
//! ```
//!
//! # The parts
//!
//! - A [`Node`] is the core under test, mostly a thin adapter around it.
//! - A [`Sim`] says what is normal: the hosts, their [links](Link), the rates of their clocks, and the
//!   [load](Load) that comes from outside.
//! - A [`Fault`] is one thing that goes wrong, and a [`Schedule`] is when: plain data, drawn from a seed by [`Faults`]
//!   or written by hand.
//! - A [`Scenario`] makes the nodes and says what must hold, after each step and in the end.
//! - [`Sim::run`] runs once, and keeps the [`Timeline`]. [`Search`] runs many [`Seeds`] and [reports](Report) the first
//!   that fails, with the smallest schedule that still fails for the same reason.
//!
//! What such a core parses is tried apart: [`fuzz`] runs it over messages that a [`Mutator`] has damaged.
//!
//! # The contract
//!
//! **A run is a function** of the world, the seed, the schedule and the scenario. The generator is one whose values are
//! documented to be stable, ranges and shares are computed in whole numbers, and nothing depends on addresses, on the
//! order in a hash table, or on real time: the timeline is the same byte for byte on every machine.
//!
//! **Each link, host and load has chance of its own**, so that a fault which is left out in shrinking does not change
//! what the others draw.
//!
//! **A node sees the clock of its host**, which may run at half to double the right rate and jump forward, as after a
//! virtual machine was suspended. It never goes back, since no monotonic clock does.
//!
//! **A paused host does nothing.** What arrives waits, up to a bound. When it goes on, a deadline that has passed comes
//! first, as in a turn of the reactor, and then all that waited, in the order of its coming.
//!
//! **Links behave like connections.** A cut ends the connection of two hosts and what is on the way with it, or lets
//! that arrive, as [`InFlight`] says; without overtaking, messages arrive in order. Nodes hear of
//! [connections](Node::handle_link).
//!
//! **Everything is bounded**: hosts, faults, steps, what waits, and how much a node may say in answer to one call.
//!
//! # What it does not do
//!
//! - It runs no sockets and no threads, and therefore no [`Reactor`](crate::Reactor): hosts of a core, and what they do
//!   with descriptors, need tests with processes. For a reactor alone there is the
//!   [`VirtualClock`](crate::VirtualClock), which jumps where nothing is ready; the time here is of each host, and
//!   moved by the kernel.
//! - It does not search exhaustively. That is a model checker's, and finds what chance does not; this finds what lies
//!   beyond a model checker's bounds.
//! - Bandwidth, packets and TCP's own back-off are not modelled, and neither is a disk.

mod clock;
mod config;
mod counts;
mod effects;
mod error;
mod fault;
mod fuzz;
mod host;
mod link;
mod network;
mod node;
mod plan;
mod queue;
mod random;
mod run;
mod search;
mod shrink;
mod timeline;
mod world;

use config::{MAX_SPAN, check_span};

pub use config::{Load, Sim};
pub use counts::Counts;
pub use error::ConfigError;
pub use fault::{Fault, Kind, Pasteable, Schedule, ms};
pub use fuzz::{Mutator, fuzz};
pub use host::Condition;
pub use link::{InFlight, Link};
pub use node::{HostId, Life, LinkChange, Node, Output};
pub use plan::Faults;
pub use run::{Run, Scenario};
pub use search::{Report, Search, SearchError, Seeds};
pub use timeline::Timeline;
pub use world::{Cause, Step, World};
