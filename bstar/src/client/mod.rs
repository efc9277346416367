//! The client of a pair: it finds the server that serves, and goes to the other one when that one
//! stops.
//!
//! ```no_run
//! use std::time::Duration;
//! use bstar::client::{Client, Idempotent};
//!
//! let mut client = Client::builder()
//!     .servers(["tcp://192.0.2.1:5001", "tcp://192.0.2.2:5002"])
//!     .heartbeat(Duration::from_millis(500))
//!     .connect()?;
//! client.on_failover(|server, _epoch| eprintln!("served by server {server} now"));
//!
//! let reply = client.request(["balance of", "alice"], Idempotent::Yes, Duration::from_secs(10))?;
//! println!("server {} says {:?}", reply.server, reply.frames);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Client`] blocks its caller. The same client with callbacks, many requests at a time and no
//! thread of its own is attached to a reactor by [`ClientBuilder::attach`]:
//!
//! ```
//! use std::time::Duration;
//! use bstar::client::{Client, Idempotent, RequestError};
//! use reactor::Reactor;
//!
//! #[derive(Default)]
//! struct App {
//!     failed: Option<RequestError>,
//! }
//!
//! let mut reactor = Reactor::new()?;
//! let client = Client::builder()
//!     .servers(["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"]) // where nobody is
//!     .attach(reactor.scope())?;
//! let timeout = Duration::from_millis(50);
//! client.request(reactor.scope(), ["hello"], Idempotent::No, timeout, |app: &mut App, scope, result| {
//!     app.failed = result.err();
//!     scope.stop();
//! })?;
//! let mut app = App::default();
//! reactor.run(&mut app)?;
//! assert!(matches!(app.failed, Some(RequestError::NoServer)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The contract
//!
//! **A request ends once, at its deadline at the latest**, however many servers are tried: with a
//! [`Reply`], or with a [`RequestError`] that says whether it may have been executed.
//!
//! **Who is asked.** The primary first; then whoever answers, for as long as it does. Otherwise:
//!
//! | What the server does | What the client does |
//! |---|---|
//! | refuses the connection, or loses it | goes to the other server at once; dials again after a pause that does not grow |
//! | refuses by word: it is not active | goes to the other server at once; asks this one again after a moment that grows to a tenth of a heartbeat |
//! | says nothing for a heartbeat | goes to the other server; asks this one again two heartbeats after it was asked |
//!
//! So the delays of the Guide's client are spent only against servers that say nothing.
//!
//! **What is sent again.** What was refused by word, or could not leave, was not executed: it goes
//! elsewhere, whatever it is. What left, and of which nothing more was heard, is sent again only
//! if it is [`Idempotent::Yes`]. Any other request then ends with [`RequestError::Unknown`]: at
//! once when its link is lost, else at its deadline, up to which its answer is waited for.
//! Requests that are under way at the same time may be executed in another order than they were
//! made in, as soon as one of them is sent again.
//!
//! **State.** A server that takes over knows only what its application made sure that it knows.
//! The `on_failover` callback runs before the answer that shows the failover is handed out; it is
//! the place to rebuild what the old server knew of this client. Its epoch is the greatest that a
//! refusal stated so far, hence possibly older than the present one.
//!
//! # Servers
//!
//! Any server will do that returns the first two frames as they came, in front of its reply: REP
//! does by itself, an echo does, and so does [`Server`](crate::Server). What goes over the wire:
//!
//! ```text
//! request   [bstar-cli/1 NONCE SEQUENCE] [empty] [body] [body] ...
//! reply     [the same first frame      ] [empty] [body] [body] ...
//! refusal   [the same first frame      ] [empty] [bstar-no state=passive epoch=7]
//! ```
//!
//! NONCE is 16 hexadecimal digits and differs from client to client, SEQUENCE is a decimal number.
//! What does not match a request under way is counted in [`Stats`] and dropped. An application's
//! reply of one single frame must not begin with the word `bstar-no`.
//!
//! # What it does not do
//!
//! - It does not remember requests over a restart of its own process.
//! - It does not spread load: one server serves, and that is the pattern.
//! - It neither encrypts nor authenticates. Who can write on the link is believed.
//! - It cannot tell a server that lost a single request from one that is slow, as long as that
//!   server answers others: such a request ends at its deadline.
//! - It does not bound the number of frames of a reply, only the size of each.
//!
//! The decisions are made in [`core`], which knows neither sockets nor clocks; simulations and
//! tests can drive it by themselves.

mod blocking;
mod config;
pub mod core;
mod error;
mod handle;
mod link;
mod source;
pub(crate) mod wire;

pub use self::blocking::Client;
pub use self::config::Config;
pub use self::core::{RequestId, Stats};
pub use self::error::{Error, RequestError};
pub use self::handle::{ClientBuilder, ClientHandle};

/// Whether a request may be executed more than once without harm.
///
/// Only the caller can know, so each request says it, and there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotent {
    /// To execute it twice does what once does: when no answer comes, it is sent again.
    Yes,
    /// It must not be executed twice: once it left, it is sent again only when the server said
    /// that it did not take it.
    No,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The body, without the envelope.
    pub frames: Vec<Vec<u8>>,
    /// Index of the server that answered: 0 is the primary, 1 the backup.
    pub server: usize,
}
