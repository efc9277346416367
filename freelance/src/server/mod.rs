//! Servers of the three models, as callbacks on a reactor.
//!
//! ```
//! use freelance::{Model, Server};
//! use reactor::Reactor;
//!
//! let mut served = 0_u64; // the application's state: every handler gets it
//! let mut reactor = Reactor::new()?;
//! let server = Server::new(Model::Three, "tcp://127.0.0.1:*")
//!     .attach(reactor.scope(), |served: &mut u64, scope, request| {
//!         *served += 1;
//!         Ok(request.echo(scope)?)
//!     })?;
//! println!("dial {}", server.endpoint());
//! # let client = reactor::SocketBuilder::new(zmq::ROUTER).connect(&server.endpoint()).build(&zmq::Context::new())?;
//! # client.set_router_mandatory(true)?;
//! # let request = [server.endpoint().as_bytes(), b"1", b"hello"].map(<[u8]>::to_vec);
//! # while client.send_multipart(&request, 0).is_err() { std::thread::yield_now(); }
//! reactor.run_until(&mut served, |served| *served > 0)?;
//! # assert_eq!(client.recv_multipart(0)?, request);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What goes over the wire
//!
//! Each server is a ROUTER, and answers whom it can. In front of what follows stands the client's routing id.
//!
//! | | Request | Reply | |
//! |---|---|---|---|
//! | model 1 | `[envelope…][empty][body…]` | `[envelope…][empty][reply…]` | on the wire a REP, that holds many requests at once |
//! | model 2 | `[envelope…][empty][sequence][body…]` | `[envelope…][empty][sequence][reply…]` | the handler does not see the sequence |
//! | model 3 | `[control][body…]` | `[control][reply…]` | [10/FLP](https://rfc.zeromq.org/spec/10/): the control frame may hold anything, and goes back as it came |
//! | model 3 | `[PING]` | `[PONG]` | only where the frame is alone |
//!
//! What has no such shape is dropped and counted. A reply of one single frame must not read `fl-no`, or `fl-no` and a
//! space: so the server refuses, to clients of this crate, which are known by their control frame.
//!
//! **In model 3 a server has a name**, the endpoint that clients dial, and no client that dials another can address
//! it. It is the endpoint that is bound, as it was given; one with a wildcard for its host needs
//! [`Server::identity`]. With a fixed port it is the same after each restart, as 10/FLP asks for.
//!
//! # Later, and elsewhere
//!
//! A request need not be answered by its handler. [`Request::later`] gives a [`Replier`] that may be kept in the
//! application's state, and used at any time, in any order. [`Server::workers`] executes on threads:
//!
//! ```
//! use freelance::{Model, Server};
//!
//! # let mut reactor = reactor::Reactor::<()>::new()?;
//! let server = Server::new(Model::One, "tcp://127.0.0.1:*")
//!     .workers(4, |mut frames| {
//!         frames.reverse();
//!         frames
//!     })
//!     .attach(reactor.scope())?;
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is refused
//!
//! A client of this crate is told by word that its request was not taken, and asks another server at once. Other
//! clients would take the word for the reply: their request is dropped, and they wait for their time-out.
//!
//! | Word | When |
//! |---|---|
//! | `fl-no full` | [`Config::queue`] requests are under way |
//! | `fl-no draining` | the server is about to end |
//! | `fl-no refused` | the handler [says](Request::refuse) that it did not execute the request |
//!
//! # The end
//!
//! [`Handle::drain`] refuses new requests, finishes those under way within [`Config::drain`], closes, and calls
//! [`Server::on_drained`]. [`drain_on_signals`] does so at SIGINT and SIGTERM, and then stops the reactor. When a run of
//! the reactor is stopped, every server begins to drain, and tells who waits; what is under way then can be finished
//! only if the reactor runs again. Answers that were given leave within the linger, for which the end of the reactor
//! waits.
//!
//! # No request twice
//!
//! With a [`Cache`] a duplicate is answered as the first was, and one that comes while the first is executed waits for
//! that. Duplicates come from retries: a reply that was lost, or too slow. It makes a service that is not idempotent
//! safe to retry **within the cache's bounds, on this server, while the process lives**. So a client of several servers
//! still has to say whether a request is idempotent.
//!
//! Requests of our clients are known by nonce and sequence, over all attempts and links. Of other clients a request is
//! known by its link, its envelope (in model 2 with the sequence) and its body; in model 1 it is not known at all, since
//! the envelope of a REQ is the same for all that it asks. Each duplicate gets its own control frame back. A request
//! that the handler dropped, or whose job panicked, is not executed again either; one that it refused is.
//!
//! # The contract
//!
//! - **A client never holds up the server.** What cannot be sent to one that is gone or does not read is dropped and
//!   counted, as is what nobody understands. Neither is an error of the loop.
//! - **An error of the handler ends the run**, as that of any source; the request is not answered, unless it was.
//! - Everything is bounded: requests under way and duplicates that wait for them by [`Config::queue`] each, messages by
//!   [`Config::max_request_frames`] and [`Config::max_request_frame_bytes`], the cache by its own limits. What waits in
//!   libzmq is bounded for each client by its high-water mark, a thousand messages.
//! - Any number of servers, of whatever models, share a reactor.
//!
//! # What it does not do
//!
//! It neither encrypts nor authenticates: who can write a client's control frame gets its reply. It remembers nothing
//! over a restart.

mod bind;
mod config;
mod desk;
#[cfg(test)]
mod fuzz;
mod handle;
mod host;
mod memory;
mod request;
mod shape;
mod shared;
mod signals;
mod stats;
mod workers;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use reactor::{BoxError, Scope};

pub use self::config::{Cache, Config};
pub use self::handle::Handle;
pub use self::request::{Replier, Request};
pub use self::signals::drain_on_signals;
pub use self::stats::Stats;

use self::bind::bind;
use self::desk::Desk;
use self::host::{Host, Link, OnDrained, Service};
use self::shared::Shared;
use self::workers::Crew;
use crate::{Error, Model};

/// A server, before it is attached to a reactor. See the [module](self).
#[must_use = "a server does nothing until it is attached to a reactor"]
pub struct Server<S> {
    model: Model,
    endpoint: String,
    identity: Option<String>,
    config: Config,
    cache: Option<Cache>,
    context: Option<zmq::Context>,
    on_drained: Option<OnDrained<S>>,
}

/// A server whose requests are executed by threads, before it is attached to a reactor.
#[must_use = "a server does nothing until it is attached to a reactor"]
pub struct ServerWithWorkers<S> {
    server: Server<S>,
    crew: Crew,
}

impl<S: 'static> Server<S> {
    /// A server that speaks to clients of this model, at an endpoint to bind.
    pub fn new(model: Model, endpoint: impl Into<String>) -> Self {
        Self {
            model,
            endpoint: endpoint.into(),
            identity: None,
            config: Config::new(),
            cache: None,
            context: None,
            on_drained: None,
        }
    }

    /// In model 3 the endpoint that clients dial, where that is not the one that is bound.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// All limits.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Remembers replies, so that no request is executed twice. Off if not set.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// A context to share, as `inproc` needs it. Without one the server has its own.
    pub fn context(mut self, context: &zmq::Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Called once, when the server has closed: after a drain, or by [`Handle::close`].
    pub fn on_drained(
        mut self,
        callback: impl FnOnce(&mut S, &mut Scope<S>) -> Result<(), BoxError> + 'static,
    ) -> Self {
        self.on_drained = Some(Box::new(callback));
        self
    }

    /// Has this many threads execute the requests, each the next that waits. They take the body and give the reply; one
    /// without a frame is none.
    ///
    /// A job that panics costs its request, which is not answered, and not its thread. When the server closes, each thread ends after the job
    /// that it has.
    pub fn workers(
        self,
        threads: usize,
        work: impl Fn(Vec<Vec<u8>>) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> ServerWithWorkers<S> {
        let work = Arc::new(work);
        ServerWithWorkers {
            server: self,
            crew: Crew { threads, work },
        }
    }

    /// Binds the server, and has `handler` execute its requests, one call each.
    ///
    /// # Errors
    /// When a setting or an endpoint cannot be used, when somebody else is bound there, or the system refuses sockets.
    /// Nothing is left of the server then.
    pub fn attach(
        self,
        scope: &mut Scope<S>,
        handler: impl FnMut(&mut S, &mut Scope<S>, Request) -> Result<(), BoxError> + 'static,
    ) -> Result<Handle, Error> {
        let handler = Box::new(handler);
        self.open(scope, |_, _| Ok(Service::Handler(handler)))
    }

    fn open(
        self,
        scope: &mut Scope<S>,
        service: impl FnOnce(&mut Scope<S>, &Config) -> Result<Service<S>, Error>,
    ) -> Result<Handle, Error> {
        self.config.validate()?;
        self.cache.as_ref().map_or(Ok(()), Cache::validate)?;
        let (context, own_context) = match self.context {
            Some(context) => (context, None),
            None => {
                let context = zmq::Context::new();
                (context.clone(), Some(context))
            }
        };
        let bound = bind(
            &context,
            &self.config,
            self.model,
            &self.endpoint,
            self.identity.as_deref(),
        )?;
        drop(context);
        let service = service(scope, &self.config)?;
        let drain = self.config.drain;
        let shared = Rc::new(RefCell::new(Shared::new(
            Desk::new(self.model, self.config, self.cache),
            bound.endpoint,
            bound.identity,
            drain,
            scope.waker(),
            scope.now(),
        )));
        let host = Host {
            shared: Rc::clone(&shared),
            service,
            link: Link::Unregistered(bound.socket),
            own_context,
            on_drained: self.on_drained,
            timer: None,
            frames: Vec::new(),
        };
        scope.add_source("freelance server", host)?;
        Ok(Handle::new(shared))
    }
}

impl<S: 'static> ServerWithWorkers<S> {
    /// Binds the server, and starts its threads.
    ///
    /// # Errors
    /// As [`Server::attach`], and when the system refuses a thread.
    pub fn attach(self, scope: &mut Scope<S>) -> Result<Handle, Error> {
        let crew = self.crew;
        crew.validate()?;
        self.server.open(scope, |scope, config| {
            Ok(Service::Workers(crew.start(scope, config.queue)?))
        })
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("model", &self.model)
            .field("endpoint", &self.endpoint)
            .field("identity", &self.identity)
            .field("config", &self.config)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for ServerWithWorkers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerWithWorkers")
            .field("server", &self.server)
            .field("threads", &self.crew.threads)
            .finish_non_exhaustive()
    }
}
