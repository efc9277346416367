//! Freelance: clients that reach one of a few servers, with no broker between, and their servers.
//!
//! It is the pattern of the ZeroMQ Guide, chapter 4, in all three models: simple retry and failover, the shotgun, and
//! 10/FLP, in which the client knows who lives. A client is given the servers, and each request a deadline; the rest
//! is what this crate is for.
//!
//! # Example
//!
//! Two servers and a client of model 3. It asks the first, and the second when the first does not answer.
//!
//! ```
//! use std::sync::mpsc;
//! use std::time::Duration;
//! use freelance::{Client, Idempotent, Model, Server};
//! use reactor::{BoxError, Reactor};
//!
//! # fn main() -> Result<(), BoxError> {
//! // Two echo servers, on a reactor that counts what they do.
//! let (tell, told) = mpsc::channel();
//! let servers = std::thread::spawn(move || -> Result<u32, BoxError> {
//!     let mut reactor = Reactor::<u32>::builder().signals(false).build()?;
//!     let mut endpoints = Vec::new();
//!     for _ in 0..2 {
//!         let server = Server::new(Model::Three, "tcp://127.0.0.1:*")
//!             .attach(reactor.scope(), |served: &mut u32, scope, request| {
//!                 *served += 1;
//!                 Ok(request.echo(scope)?)
//!             })?;
//!         endpoints.push(server.endpoint());
//!     }
//!     tell.send((endpoints, reactor.handle()))?;
//!     let mut served = 0;
//!     reactor.run(&mut served)?;
//!     Ok(served)
//! });
//! let (endpoints, handle) = told.recv()?;
//!
//! let mut client = Client::builder(Model::Three).servers(endpoints).connect()?;
//! let reply = client.request(["hello"], Idempotent::Yes, Duration::from_secs(10))?;
//! assert_eq!(reply.frames, [b"hello"]);
//!
//! handle.stop();
//! # assert_eq!(servers.join().map_err(|_| "the servers failed")??, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The clients
//!
//! - [`Client`] blocks its caller: [`request`](Client::request) sends one and waits, [`submit`](Client::submit) and
//!   [`next_done`](Client::next_done) have many under way, in the order in which they end.
//! - [`Agent`] runs one on a thread of its own, and any number of threads share it.
//! - [`ClientHandle`] is one on a reactor that the application owns: callbacks, and no thread of its own.
//!
//! All are built by [`ClientBuilder`], and take servers in, put them out, drain them and change their tier while they
//! run.
//!
//! # The contract
//!
//! **A request ends once, at its deadline at the latest**, however many servers are tried: with a [`Reply`], or with a
//! [`RequestError`] that says whether it may have been executed.
//!
//! **A reply belongs to its request.** What comes late, twice, from elsewhere, or is no answer at all is counted in
//! [`Stats`] and dropped. Nothing that a server sends can end the client.
//!
//! **Who is asked.** Among the servers that are well, those of the lowest tier; among these, the one with the fewest
//! requests under way. Model 2 asks all that are well.
//!
//! **When another one is asked.** At once, when there is no link, when the link is lost, or when the server refuses by
//! word. After [`attempt_timeout`](Config::attempt_timeout) otherwise, or as a [`Hedge`]; then both may answer, and the
//! first does.
//!
//! **What is sent again.** An [`Idempotent::Yes`] request, as often as [`max_attempts`](Config::max_attempts) and the
//! [`Budget`] allow. Any other only when it provably never left, or was refused by word: of it at most one copy may
//! ever be executed.
//!
//! **Who is well.** See [`Liveness`]. When all look dead, health is ignored.
//!
//! `docs/freelance.md` in the repository has the tables, the wire, the reasons, and what it costs.
//!
//! # The servers
//!
//! [`server`] has them, for all three models.
//!
//! # What it does not do
//!
//! - It does not remember requests over a restart of its own process.
//! - It makes no two servers one: what one of them executed the others do not know.
//! - It neither encrypts nor authenticates. Who can write on the link is believed.
//! - It does not bound the frames of a message that a peer sends, only the size of each: libzmq puts it together first.
//! - It finds no servers: it is told them. The name service among the demos can do that.
//!
//! The decisions are made in the [`engine`], which knows neither sockets nor clocks; simulations and tests drive it by
//! themselves.

mod client;
mod config;
pub mod engine;
mod error;
pub mod server;
mod wire;

pub use crate::client::{Agent, Client, ClientBuilder, ClientHandle, Pending, ServerEvent};
pub use crate::config::{Budget, Config, Hedge, MAX_SERVERS, Model};
pub use crate::engine::{Idempotent, Liveness, Reply, RequestId, ServerId, ServerStats, Stats};
pub use crate::error::{Error, RequestError};
pub use crate::server::Server;
