//! A reactor for one thread: ZeroMQ sockets, raw descriptors, timers, and handlers that share a state.
//!
//! It is what CZMQ's `zloop` is, for Rust: one loop that sleeps until something is to be done, and calls whoever
//! asked for it. No runtime, no executor, no threads but libzmq's own, and one in the end that closes the sockets.
//!
//! # Example
//!
//! An echo server that counts, reports once in a while, and is asked and ended by another thread.
//!
//! ```
//! use std::time::Duration;
//!
//! use reactor::{Interest, Missed, Reactor, zmq};
//!
//! /// What all handlers share: each gets it as its first argument.
//! #[derive(Default)]
//! struct App {
//!     echoed: u32,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = zmq::Context::new();
//! let server = context.socket(zmq::REP)?;
//! server.bind("tcp://127.0.0.1:*")?;
//! let endpoint = server.get_last_endpoint()?.map_err(|_| "no endpoint")?;
//!
//! let mut reactor = Reactor::<App>::new()?;
//! let mut frames = Vec::new();
//! reactor.scope().add_socket("server", server, Interest::READ, move |app, scope, key, _ready| {
//!     if scope.recv(key, &mut frames)? {
//!         scope.send(key, frames.drain(..))?;
//!         app.echoed += 1;
//!     }
//!     Ok(())
//! })?;
//! reactor.scope().add_interval("report", Duration::from_secs(1), Missed::Skip, |app, _, _| {
//!     println!("{} requests so far", app.echoed);
//!     Ok(())
//! })?;
//!
//! let handle = reactor.handle();
//! let client = std::thread::spawn(move || -> Result<String, zmq::Error> {
//!     let socket = context.socket(zmq::REQ)?;
//!     socket.connect(&endpoint)?;
//!     socket.send("hello", 0)?;
//!     let reply = socket.recv_msg(0)?;
//!     handle.stop();
//!     Ok(reply.as_str().unwrap_or_default().to_owned())
//! });
//!
//! // Until stopped: by the handle, by a handler, by Ctrl-C.
//! let mut app = App::default();
//! reactor.run(&mut app)?;
//! # let reply = client.join().map_err(|_| "the client panicked")??;
//! # assert_eq!((reply.as_str(), app.echoed), ("hello", 1));
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! [`Reactor<S>`](Reactor) owns everything and runs. `S` is the application's state. A handler gets `&mut S` and the
//! [`Scope`], by which it reaches the rest of the reactor: to send and receive, to register and cancel, to stop. So
//! neither needs cells or locks.
//!
//! - **Sockets** belong to the reactor from their registration on, and are reached through the scope only:
//!   [`send`](Scope::send), [`recv`](Scope::recv), and [`with_socket`](Scope::with_socket) for the rest. None of these
//!   blocks, but what is done with a socket that was lent. Where a socket has no room, sending is an error, or
//!   [queues](Scope::queue_sends). A [`SocketBuilder`] makes them, with errors that say what to do; a
//!   [monitor](Scope::add_monitor) tells what happens to their connections.
//! - **Descriptors** are whatever shows one ([`AsFd`](std::os::fd::AsFd)) and can be watched: streams, pipes, ttys,
//!   a `timerfd`. The reactor owns them too; [`Scope::fd`] lends them as what they were.
//! - **Timers** fire [once](Scope::add_timer), as long as their handler wants, or in [intervals](Scope::add_interval).
//! - **Tickets** are deadlines in bulk that are mostly put off: one for [each of a hundred thousand
//!   clients](Scope::own_tickets) costs what one for ten does.
//! - A [`Source`] owns several of these, with one state of its own: a protocol, a proxy, a client.
//! - **Moments**: work [deferred](Scope::defer) to the end of the turn, a [hook](Scope::add_before_sleep) before each
//!   sleep, and word of everything that was [removed](Scope::on_removal) because of an error.
//! - **Threads** send items through a bounded [channel](Scope::add_channel). A [`Handle`] or [`Waker`] posts work,
//!   notifies a source, wakes and stops.
//! - **Metrics** tell how [busy](Scope::metrics) the loop is, and name who held it up.
//! - A [`VirtualClock`] lets tests of an hour take no time. With the feature `sim` there is a deterministic simulation
//!   of pure cores, with hosts, links and faults, in the module `sim`.
//!
//! # The contract
//!
//! **A turn** is, in this order:
//!
//! 1. If nothing is to be done, the [hooks](Scope::add_before_sleep) before sleep are called.
//! 2. The reactor sleeps until the next deadline, a signal or a wake, and for ten milliseconds at most while a ROUTER
//!    [holds messages back](Scope::queue_sends); if something is known to be ready, not at all, but it looks for more.
//! 3. It reads the clock. [`Scope::now`] stays at that time for the turn.
//! 4. [Posted](Handle::post) work runs, and [notified](Waker::notify) sources are called, channels among them: what was
//!    there at this moment.
//! 5. Timers and tickets that are due run: by deadline. At equal deadlines timers come first, in the order of
//!    registration, and then tickets, those of a class in the order of their last reset.
//! 6. Sockets and descriptors that are ready are served. A socket's handler is called again while it receives and
//!    there may be more, up to the [budget](Builder::budget); a descriptor's handler is called once. Each turn begins
//!    with another of them. If a timer or a ticket comes due meanwhile, the rest is left for the next turn, where it
//!    comes first.
//! 7. [Deferred](Scope::defer) work runs.
//!
//! In 4 to 7 who is to run is settled before the first of them does. What handlers make ready, due, posted or, in 7,
//! deferred is for the next turn. Therefore **nobody can keep the others waiting** for more than their one share of a
//! turn, neither by being always ready, nor by registering more and more. Timers come before sockets since they are
//! what has been promised for a time.
//!
//! **Removing is final.** What was removed, cancelled, paused or moved gets nothing more, also if it was ready and
//! about to run in the same turn, and also if it did so to itself.
//!
//! **Keys do not lie.** A key finds what it was given for, or nothing ([`Error::Stale`]), never the next in the slot.
//! It means something only to the reactor that gave it.
//!
//! **No message is slept through.** `ZMQ_FD` alone loses signals: any call on a socket may swallow one. Whatever was
//! touched is therefore looked at again before the next sleep, and only that: a turn costs what is active, not what
//! is registered. Who is ready stays ready until it is read, as with level-triggered descriptors; a handler that
//! leaves a message unread is called again in the next turn, without sleep.
//!
//! **An error stays where it is.** What it does is the source's [`ErrorPolicy`]; by default it ends the run. Whatever
//! else was ready in the same turn still runs.
//!
//! **A panic passes through.** Where it is caught outside of the run, the reactor is in order: the source whose handler
//! panicked is removed at the beginning of the next turn and [reported](Scope::on_removal), and whatever else was ready
//! is served then. Posted or deferred work that panicked is gone, and a source that panics at [`Event::Stopping`] keeps
//! the others from being told. Of a message whose frames panicked nothing is sent. The state `S` is as the handler left
//! it.
//!
//! **Stopping is orderly.** The turn is completed, and then each source is [told](Event::Stopping), to say goodbye.
//! What is not done is done in the next run, if there is one.
//!
//! **Ending is bounded.** Dropping a reactor closes its sockets on a thread that is left behind after two seconds;
//! [`Reactor::end`] sets another bound and tells. A socket without a linger gets [one](Builder::linger).
//!
//! Not guaranteed:
//!
//! - A call does not mean that there is a message: after one was received it is tried whether there is another, which
//!   is cheaper than asking. [`Scope::recv`] tells; to a handler of its own it also says so when the share of the turn
//!   is used up.
//! - Timers are not exact. They never fire early; how late depends on the handlers before them, and on the
//!   [back end](Backend).
//! - There is no order between sockets, or between a socket and a descriptor.
//! - A descriptor that several processes read may be empty when the handler comes. A handler that would block is to
//!   make its descriptor non-blocking.
//!
//! `docs/reactor.md` in the repository has all of this in tables, for each kind of source, and tells how to move a
//! program from zloop.
//!
//! # What it does not do
//!
//! - It runs nothing on threads: a handler that computes for long holds up everyone.
//! - It has no futures. It is the loop, not a runtime.
//! - It hides nothing of libzmq: contexts, sockets and their options are the [`zmq`] crate's, which is re-exported here.
//! - It does not retry or time out messages.
//! - It runs on Unix only.

mod arena;
mod backend;
mod channel;
mod clock;
mod ending;
mod endpoint;
mod error;
mod keys;
mod metrics;
mod monitor;
mod raw;
mod reactor;
mod readiness;
mod remote;
mod scope;
mod signals;
#[cfg(feature = "sim")]
pub mod sim;
mod socket;
mod source;
mod tickets;
mod timers;

pub use zmq;

pub use crate::backend::Backend;
pub use crate::channel::{SendError, Sender};
pub use crate::clock::VirtualClock;
pub use crate::ending::{Ending, end_context};
pub use crate::endpoint::{Endpoint, EndpointError};
pub use crate::error::{BoxError, Error, PostError, Rejected};
pub use crate::keys::{
    AnyKey, FdKey, HookKey, SocketKey, SourceKey, TicketClassKey, TicketKey, TimerKey,
};
pub use crate::metrics::{Metrics, Named};
pub use crate::monitor::{Connection, Link, MonitorEvent};
pub use crate::raw::set_xpub_verboser;
pub use crate::reactor::{Builder, Reactor};
pub use crate::readiness::{Interest, Ready};
pub use crate::remote::{Handle, Waker};
pub use crate::scope::{Queued, Scope};
pub use crate::socket::{MAX_SOCKETS, SocketBuilder, SocketError, last_endpoint};
pub use crate::source::{ErrorPolicy, Event, Missed, Next, Removal, Source};
