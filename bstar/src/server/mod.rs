//! One node of a pair, on a reactor.
//!
//! A [`Server`] is told its role, where it publishes its state, where its peer does, and which
//! front ends there are. [`Server::attach`] puts it on a [`reactor::Reactor`]; the application's
//! own sockets and timers live there too, and run in every state.
//!
//! # Contract
//!
//! - A request handler is called only while this node is active and certain that the peer cannot
//!   have taken over. In any other state a request is refused: by word to a
//!   [client of ours](crate::Client), in silence to others.
//! - `on_active` and `on_passive` are called on the reactor's thread, before any request that the
//!   new state lets through. An error of theirs, and of a request handler, ends the node: it
//!   steps back, and the reactor's run returns the error.
//! - A handler or callback that takes longer than the peer timeout less one heartbeat makes the
//!   node step back, as any other pause does: the peer could not hear it meanwhile.
//! - In a switchover the peer is asked first, and may decline. Then no request is begun any more, each
//!   that was begun and is counted by a [`Work`] has the time of [`Config::drain`](crate::Config::drain)
//!   to end, and the replies of handlers that returned are handed to their sockets. Then this node
//!   steps back.
//! - When the run is stopped, by [`Scope::stop`], a signal or a handle, an active node hands the
//!   service to a passive peer before it ends.
//!
//! # What it does not do
//!
//! It replicates no state; without a [`ProofOfDeath`] it does not tell a peer's death from a cut link;
//! and two islands, each with half of the pair and half of the clients, will each be served.
//! `docs/operations.md` says which networks to build.

mod death;
mod error;
#[cfg(test)]
mod fuzz;
mod handle;
mod history;
mod host;
mod link;
mod questions;
mod request;
mod store;
mod voter;
mod work;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use reactor::{BoxError, Scope};

pub use self::death::ProofOfDeath;
#[cfg(feature = "programs")]
pub(crate) use self::death::{MAX_PEER_FRONTENDS, numeric_address};
pub use self::error::{Error, HandleError};
pub use self::handle::Handle;
pub use self::history::Record;
pub use self::request::Request;
pub use self::store::StoreError;
pub use self::work::Work;

use self::death::Watch;
use self::handle::Shared;
use self::history::History;
use self::host::{Callbacks, Consideration, Host};
use self::link::Link;
use self::store::EpochStore;
#[cfg(feature = "programs")]
pub(crate) use self::voter::refusal;
use self::voter::{Handler, Voter};
use crate::core::{Config, Fatal, Machine, Offer, Outlook, PAIR, Table, Transition};
use reactor::Endpoint;

/// One node of a pair, before it is attached to a reactor.
///
/// ```no_run
/// use bstar::{Config, Role, Server};
/// use reactor::Reactor;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut reactor = Reactor::new()?;
/// Server::new(Config::new(Role::Primary), "tcp://*:5003", "tcp://backup.example:5004")
///     .frontend("tcp://*:5001", |served: &mut u64, scope, request| {
///         *served += 1;
///         Ok(request.echo(scope)?)
///     })
///     .on_active(|_, _, transition| {
///         println!("active, epoch {}", transition.epoch);
///         Ok(())
///     })
///     .attach(reactor.scope())?;
/// reactor.run(&mut 0)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a server does nothing until it is attached to a reactor"]
pub struct Server<S> {
    config: Config,
    table: &'static Table,
    local: String,
    remote: String,
    second_link: Option<[String; 2]>,
    proof_of_death: Option<ProofOfDeath>,
    context: zmq::Context,
    frontends: Vec<(Frontend, Handler<S>)>,
    without_voters: bool,
    state_dir: Option<PathBuf>,
    callbacks: Callbacks<S>,
}

enum Frontend {
    Endpoint(String),
    Socket(zmq::Socket),
}

impl<S: 'static> Server<S> {
    /// A node that publishes its state at `local`, an endpoint to bind, and hears its peer's at
    /// `remote`, an endpoint to connect to.
    pub fn new(config: Config, local: impl Into<String>, remote: impl Into<String>) -> Server<S> {
        Server {
            config,
            table: &PAIR,
            local: local.into(),
            remote: remote.into(),
            second_link: None,
            proof_of_death: None,
            context: zmq::Context::new(),
            frontends: Vec::new(),
            without_voters: false,
            state_dir: None,
            callbacks: Callbacks {
                on_active: None,
                on_passive: None,
                on_transition: None,
                on_offer: None,
                on_outlook: None,
                on_fatal: None,
            },
        }
    }

    /// Adds a second state link, over a network of its own: `local` is bound, `remote` connected to.
    ///
    /// The state is published on both links and heard on either, so that the peer counts as silent
    /// only when both are. When one alone falls silent this is logged, once, and shown by
    /// [`Status::links`](crate::core::Status::links). Give both nodes a second link: they number
    /// their words then, and the order of these is known by whichever link they come.
    pub fn second_link(mut self, local: impl Into<String>, remote: impl Into<String>) -> Server<S> {
        self.second_link = Some([local.into(), remote.into()]);
        self
    }

    /// Replaces the peer at once when its process is gone and its host says so, instead of after a
    /// peer timeout. The state links' remote endpoints must have numeric addresses.
    ///
    /// By this the operator asserts that **nothing between the two answers in the peer's stead**: a
    /// firewall that rejects the connections of each to the other makes both serve. See
    /// [`ProofOfDeath`] for all that it takes.
    pub fn proof_of_death(mut self, wanted: ProofOfDeath) -> Server<S> {
        self.proof_of_death = Some(wanted);
        self
    }

    /// Binds the front ends in this context, instead of one of their own. The state links have
    /// their own in any case.
    pub fn context(mut self, context: &zmq::Context) -> Server<S> {
        self.context = context.clone();
        self
    }

    /// Runs another table, such as [`GUIDE`](crate::core::GUIDE), to compare.
    pub fn table(mut self, table: &'static Table) -> Server<S> {
        self.table = table;
        self
    }

    /// Binds a ROUTER for clients. Their requests vote; `handler` serves those that are let
    /// through, one at a time.
    pub fn frontend<F>(mut self, endpoint: impl Into<String>, handler: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, Request<'_>) -> Result<(), BoxError> + 'static,
    {
        self.frontends
            .push((Frontend::Endpoint(endpoint.into()), Box::new(handler)));
        self
    }

    /// As [`Server::frontend`], on a socket of any type that can receive, bound or connected by
    /// the application.
    ///
    /// A REP cannot drop a request: what it may not serve waits in its queue, votes, and is
    /// served late if this node becomes active. A ROUTER does better.
    pub fn voter<F>(mut self, socket: zmq::Socket, handler: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, Request<'_>) -> Result<(), BoxError> + 'static,
    {
        self.frontends
            .push((Frontend::Socket(socket), Box::new(handler)));
        self
    }

    /// Says that no socket votes: all votes come through [`Handle::vote`].
    pub fn without_voters(mut self) -> Server<S> {
        self.without_voters = true;
        self
    }

    /// Keeps this node's epochs in a directory of its own, which is made if it is not there; its
    /// parent must be.
    ///
    /// Then [`Transition::fence`] is given to `on_active`: an epoch that is on the disk, and that no
    /// earlier activation of this node had, in this life or another. If it cannot be written the
    /// node ends instead, and nobody was told that it is active. What the peer says of its epochs
    /// is kept as well.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Server<S> {
        self.state_dir = Some(path.into());
        self
    }

    /// Called when this node becomes active, before it serves the first request.
    ///
    /// It must not take longer than the peer timeout less one heartbeat, or the node takes itself
    /// for one that was away, and steps back without having served: work that lasts belongs on a
    /// thread, or before the start.
    pub fn on_active<F>(mut self, callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, &Transition) -> Result<(), BoxError> + 'static,
    {
        self.callbacks.on_active = Some(Box::new(callback));
        self
    }

    /// Called when this node stops being active, and when it becomes passive after its start.
    pub fn on_passive<F>(mut self, callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, &Transition) -> Result<(), BoxError> + 'static,
    {
        self.callbacks.on_passive = Some(Box::new(callback));
        self
    }

    /// Called at each transition, before the two above.
    pub fn on_transition<F>(mut self, callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, &Transition) -> Result<(), BoxError> + 'static,
    {
        self.callbacks.on_transition = Some(Box::new(callback));
        self
    }

    /// Called on a passive node when its active peer offers it the service, for a switchover. An error
    /// is a veto: the peer goes on to serve, and this node's log tells why. Like every callback it must
    /// take less than the peer timeout less one heartbeat.
    pub fn on_offer<F>(mut self, mut callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>) -> Result<(), BoxError> + 'static,
    {
        self.callbacks.on_offer = Some(Box::new(move |state, scope, _| {
            match callback(state, scope) {
                Ok(()) => Consideration::Ready,
                Err(error) => Consideration::Veto(error),
            }
        }));
        self
    }

    /// As [`Server::on_offer`], for an application that takes its time to say whether it is ready: it answers
    /// by [`Handle::answer_offer`]. How long the peer waits is [its to say](crate::Config::with_offer_wait).
    pub fn on_offer_later<F>(mut self, mut callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, Offer) + 'static,
    {
        self.callbacks.on_offer = Some(Box::new(move |state, scope, offer| {
            callback(state, scope, offer);
            Consideration::Later
        }));
        self
    }

    /// Called when the outlook changes: for front ends that turn clients away while their votes would not
    /// count, so that these try the other node at once, and for alarms. Both are false at the start.
    pub fn on_outlook<F>(mut self, callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, Outlook) + 'static,
    {
        self.callbacks.on_outlook = Some(Box::new(callback));
        self
    }

    /// Called when this node cannot go on, before the reactor's run returns the same as an error.
    pub fn on_fatal<F>(mut self, callback: F) -> Server<S>
    where
        F: FnMut(&mut S, &mut Scope<S>, &Fatal) + 'static,
    {
        self.callbacks.on_fatal = Some(Box::new(callback));
        self
    }

    /// Binds and connects everything, and puts the node on a reactor.
    ///
    /// From here on a peer timeout passes before a primary may be voted active, so attach a
    /// node just before the reactor runs.
    pub fn attach(self, scope: &mut Scope<S>) -> Result<Handle, Error> {
        if self.frontends.is_empty() && !self.without_voters {
            return Err(Error::NoVoter);
        }
        let store = self.state_dir.map(|path| {
            let (pair, role) = (self.config.pair(), self.config.role());
            EpochStore::open(&path, pair, role)
        });
        let store = store.transpose()?;
        let stored = store.as_ref().map_or(0, EpochStore::epoch);
        let mut voters = Vec::with_capacity(self.frontends.len());
        let mut frontends = Vec::with_capacity(self.frontends.len());
        for (frontend, handler) in self.frontends {
            let socket = frontend.open(&self.context)?;
            frontends.push(link::last_endpoint(&socket)?);
            voters.push(Voter::new(socket, handler)?);
        }
        let first = [self.local, self.remote];
        let mut links = Vec::new();
        let mut bound = Vec::new();
        for [local, remote] in std::iter::once(first).chain(self.second_link) {
            let local = Endpoint::to_bind(&local)?;
            let remote = Endpoint::to_connect(&remote)?;
            if local.is_inproc() || remote.is_inproc() {
                return Err(Error::InprocLink);
            }
            let (link, endpoint) = Link::open(&self.config, &local, remote)?;
            links.push(link);
            bound.push(endpoint);
        }
        let watch = self
            .proof_of_death
            .map(|wanted| Watch::new(&wanted, &links))
            .transpose()?;
        let incarnation = getrandom::u64().map_err(|error| Error::Random(error.to_string()))?;
        let shared = Arc::new(Shared::new(bound, frontends, stored));
        let now = scope.fresh_now();
        let mut machine = Machine::with_table(self.config, self.table, incarnation, now);
        if links.len() > 1 {
            machine = machine.with_second_link();
        }
        if store.is_some() {
            machine.resume_epochs(stored);
        }
        let host = Host {
            machine,
            links,
            watch,
            store,
            unwritten: 0,
            voters,
            callbacks: self.callbacks,
            shared: Arc::clone(&shared),
            timer: None,
            switchovers: Vec::new(),
            history: History::new(now),
            me: None,
            outlook: Outlook::default(),
            states_read: now,
            frames: Vec::new(),
            ended: false,
        };
        let source = scope.add_source("pair", host)?;
        Ok(Handle::new(shared, scope.waker(), source))
    }
}

impl Frontend {
    fn open(self, context: &zmq::Context) -> Result<zmq::Socket, Error> {
        match self {
            Frontend::Socket(socket) => Ok(socket),
            Frontend::Endpoint(endpoint) => {
                let endpoint = Endpoint::to_bind(&endpoint)?;
                let socket = context.socket(zmq::ROUTER)?;
                link::bind(&socket, &endpoint)?;
                Ok(socket)
            }
        }
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
