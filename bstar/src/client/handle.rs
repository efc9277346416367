//! How an application makes a client, and speaks to it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use reactor::Scope;

use super::blocking::Client;
use super::core::{Core, RequestId, Stats};
use super::link::{self, Dialler};
use super::source::{ClientSource, Shared};
use super::{Config, Error, Idempotent, Reply, RequestError};

/// Deadlines further away than this are cut to it; it keeps sums of times from overflowing.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a client is told before it begins: the servers, and how to treat them.
#[derive(Clone, Default)]
#[must_use]
pub struct ClientBuilder {
    servers: Vec<String>,
    config: Config,
    context: Option<zmq::Context>,
}

impl ClientBuilder {
    /// The servers' front ends, the primary's first: `tcp://HOST:PORT` or `ipc://PATH`. With one
    /// only, the client does all it does for two, save to fail over.
    pub fn servers<I>(mut self, endpoints: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.servers = endpoints.into_iter().map(Into::into).collect();
        self
    }

    /// The pair's heartbeat, from which all times derive. 1,000 ms, as in the Guide, if not set.
    /// It replaces what [`config`](Self::config) set.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.config = Config::with_heartbeat(heartbeat);
        self
    }

    /// All times and limits.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// A context to share. Without one the client has a context of its own, with an I/O thread for
    /// each server, so that a name that takes long to resolve does not hold the other link up.
    pub fn context(mut self, context: &zmq::Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// A client that blocks its caller.
    ///
    /// # Errors
    /// When a setting or an address cannot be used, or the system refuses sockets. That servers
    /// are not there is no error: a request waits for them, up to its deadline.
    pub fn connect(self) -> Result<Client, Error> {
        Client::open(self)
    }

    /// A client on a reactor, for callbacks.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn attach<S: 'static>(self, scope: &mut Scope<S>) -> Result<ClientHandle<S>, Error> {
        for (index, endpoint) in self.servers.iter().enumerate() {
            link::check_endpoint(endpoint)?;
            if self.servers[..index].contains(endpoint) {
                let reason = "given twice; the servers of a pair have an address each";
                return Err(link::rejected(endpoint, reason));
            }
        }
        let nonce = getrandom::u64().map_err(|error| Error::Random(error.to_string()))?;
        let core = Core::new(
            self.config.clone(),
            self.servers.len(),
            nonce,
            scope.fresh_now(),
        )?;
        let own_context = match self.context {
            Some(_) => None,
            None => Some(own_context(self.servers.len())?),
        };
        let context = self
            .context
            .or_else(|| own_context.clone())
            .unwrap_or_default();
        let diallers = self
            .servers
            .into_iter()
            .enumerate()
            .map(|(server, endpoint)| Dialler {
                context: context.clone(),
                endpoint,
                affinity: if own_context.is_some() {
                    1 << server
                } else {
                    0
                },
            });
        let diallers = diallers.collect();
        drop(context);
        let source = ClientSource::new(core, self.config, diallers, own_context);
        let shared = source.shared();
        match scope.add_source("bstar client", source) {
            Ok(_) => Ok(ClientHandle { shared }),
            Err(error) => Err(shared
                .borrow_mut()
                .take_dial_error()
                .unwrap_or(error.into())),
        }
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

/// A client on a reactor. Clones speak to the same client; keep one in the application's state.
///
/// It belongs to the reactor's thread. From another thread, post to the reactor and use the handle
/// that is in the state:
///
/// ```no_run
/// # use std::time::Duration;
/// # use bstar::client::{ClientHandle, Idempotent};
/// struct App {
///     client: ClientHandle<App>,
/// }
///
/// fn ask_from_elsewhere(reactor: &reactor::Handle<App>) -> Result<(), reactor::PostError> {
///     reactor.post(|app, scope| {
///         let request = app.client.request(
///             scope,
///             ["a question"],
///             Idempotent::Yes,
///             Duration::from_secs(10),
///             |_app, _scope, result| println!("{result:?}"),
///         );
///         if let Err(error) = request {
///             println!("not taken on: {error}");
///         }
///     })
/// }
/// ```
pub struct ClientHandle<S> {
    shared: Rc<RefCell<Shared<S>>>,
}

impl<S: 'static> ClientHandle<S> {
    /// Takes a request on, and sends it if a server may be asked now. `on_done` is called once,
    /// from the reactor and never from within this call, at most `timeout` later; if the reactor
    /// is late, so is the call. It is not called when the request is cancelled, or when the
    /// reactor ends before.
    ///
    /// # Errors
    /// When a limit is exceeded or the client is closed; nothing was sent and `on_done` is dropped.
    pub fn request<I>(
        &self,
        scope: &mut Scope<S>,
        frames: I,
        idempotent: Idempotent,
        timeout: Duration,
        on_done: impl FnOnce(&mut S, &mut Scope<S>, Result<Reply, RequestError>) + 'static,
    ) -> Result<RequestId, Error>
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        let body = frames.into_iter().map(Into::into).collect();
        let deadline = scope.fresh_now() + timeout.min(LONGEST_TIMEOUT);
        let mut guard = self.shared.borrow_mut();
        let shared = &mut *guard;
        if shared.closed {
            return Err(Error::Closed);
        }
        let id = shared.core.submit(body, idempotent, deadline)?;
        shared.on_done.insert(id, Box::new(on_done));
        if let Err(error) = shared.pump(scope) {
            shared.core.cancel(id);
            let callback = shared.on_done.remove(&id);
            drop(guard);
            drop(callback);
            return Err(error.into());
        }
        Ok(id)
    }

    /// Forgets a request; its callback is dropped. What was sent is not called back. `false` when
    /// the request had ended.
    pub fn cancel(&self, id: RequestId) -> bool {
        let mut shared = self.shared.borrow_mut();
        let cancelled = shared.core.cancel(id);
        let callback = if cancelled {
            shared.on_done.remove(&id)
        } else {
            None
        };
        drop(shared);
        drop(callback);
        cancelled
    }

    /// Sets what is called, before the answer's own callback, when an answer comes from another
    /// server than the one before: with the index of that server, and the greatest epoch that a
    /// server's refusal stated so far, if one did. The place to rebuild what the old server knew
    /// of this client.
    pub fn on_failover(
        &self,
        callback: impl FnMut(&mut S, &mut Scope<S>, usize, Option<u64>) + 'static,
    ) {
        let before = self
            .shared
            .borrow_mut()
            .on_failover
            .replace(Box::new(callback));
        drop(before);
    }

    /// Ends the client: no request is taken on any more, and those under way end, from the
    /// reactor, with [`RequestError::Closed`] or, when it is certain that they were not executed,
    /// [`RequestError::NoServer`].
    pub fn close(&self, scope: &mut Scope<S>) {
        let mut shared = self.shared.borrow_mut();
        shared.closed = true;
        if let Some(me) = shared.source() {
            scope.waker().notify(me);
        }
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.shared.borrow().core.outstanding()
    }

    /// Whether there is a link to the server: 0 is the primary.
    pub fn is_connected(&self, server: usize) -> bool {
        self.shared.borrow().core.is_connected(server)
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.shared.borrow().core.stats()
    }
}

impl<S> Clone for ClientHandle<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for ClientHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandle").finish_non_exhaustive()
    }
}

fn own_context(servers: usize) -> Result<zmq::Context, Error> {
    let context = zmq::Context::new();
    context.set_io_threads(i32::try_from(servers).unwrap_or(1))?;
    Ok(context)
}
