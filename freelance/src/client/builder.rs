//! What a client is told before it begins.

use std::fmt;
use std::time::Duration;

use reactor::{Endpoint, Scope, zmq};

use super::agent::Agent;
use super::blocking::Client;
use super::handle::ClientHandle;
use super::link::{self, Dialler};
use super::port::Ports;
use super::source::ClientSource;
use crate::engine::Engine;
use crate::{Config, Error, Hedge, Model};

/// What a client is told before it begins: the servers, and how to treat them.
#[derive(Clone)]
#[must_use]
pub struct ClientBuilder {
    servers: Vec<(String, u32)>,
    config: Config,
    context: Option<zmq::Context>,
}

impl ClientBuilder {
    /// A client of this model without servers.
    pub fn new(model: Model) -> Self {
        Self {
            servers: Vec::new(),
            config: Config::new(model),
            context: None,
        }
    }

    /// Servers in the order in which they are to be asked: each has a tier of its own, and the next one gets requests
    /// only while those before it are not well. Adds to those that were given, behind them.
    pub fn servers<I>(mut self, endpoints: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let tier = self.next_tier();
        let servers = endpoints.into_iter().map(Into::into);
        self.servers.extend(servers.zip(tier..));
        self
    }

    /// Servers that share the requests: they have one tier, behind those that were given. The one with the fewest
    /// requests under way gets the next.
    pub fn pool<I>(mut self, endpoints: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let tier = self.next_tier();
        let servers = endpoints.into_iter().map(|server| (server.into(), tier));
        self.servers.extend(servers);
        self
    }

    /// A server, with its tier; the lowest is asked first.
    pub fn server(mut self, endpoint: impl Into<String>, tier: u32) -> Self {
        self.servers.push((endpoint.into(), tier));
        self
    }

    /// How long a server has for an answer before the request goes to another one as well.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = timeout;
        self
    }

    /// Has a second copy of a request sent when the first takes unusually long; see [`Hedge`].
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.config.hedge = Some(hedge);
        self
    }

    /// All times and limits, in place of what was set before, the model included.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// A context to share. Without one the client has a context of its own, with I/O threads for servers that are
    /// given by name, so that a name that takes long to resolve holds nobody up.
    pub fn context(mut self, context: &zmq::Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// A client that blocks its caller, and runs on its caller's thread.
    ///
    /// # Errors
    /// When a setting or an address cannot be used, or the system refuses sockets. That servers are not there is no
    /// error: a request waits for them, up to its deadline.
    pub fn connect(self) -> Result<Client, Error> {
        Client::open(self)
    }

    /// A client on a thread of its own, which any number of threads share.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when no thread can be started.
    pub fn spawn(self) -> Result<Agent, Error> {
        Agent::open(self)
    }

    /// A client on a reactor, for callbacks.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn attach<S: 'static>(self, scope: &mut Scope<S>) -> Result<ClientHandle<S>, Error> {
        let (engine, ports) = self.prepare(scope.fresh_now())?;
        let own_context = ports.own_context();
        let source = ClientSource::new(engine, ports, own_context);
        let shared = source.shared();
        match scope.add_source("freelance client", source) {
            Ok(_) => Ok(ClientHandle::new(shared)),
            Err(error) => Err(shared
                .borrow_mut()
                .take_dial_error()
                .unwrap_or(error.into())),
        }
    }

    /// The engine and the servers that it knows, all checked.
    fn prepare<B, R>(self, now: std::time::Instant) -> Result<(Engine<B, R>, Ports), Error> {
        let random = || getrandom::u64().map_err(|error| Error::Random(error.to_string()));
        let model = self.config.model;
        let mut engine = Engine::new(self.config, random()?, random()?, now)?;
        let endpoints = self
            .servers
            .iter()
            .map(|(endpoint, _)| link::check_endpoint(endpoint))
            .collect::<Result<Vec<Endpoint>, Error>>()?;
        let mut ports = Ports::new(model, Dialler::new(self.context, &endpoints)?);
        for (endpoint, (_, tier)) in endpoints.into_iter().zip(&self.servers) {
            let server = engine.add_server(endpoint.as_str(), *tier, now)?;
            ports.add(server, endpoint);
        }
        Ok((engine, ports))
    }

    fn next_tier(&self) -> u32 {
        let tiers = self.servers.iter().map(|(_, tier)| *tier);
        tiers.max().map_or(0, |last| last.saturating_add(1))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("servers", &self.servers)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
