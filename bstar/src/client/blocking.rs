//! The client for callers that wait.

use std::fmt;
use std::time::Duration;

use reactor::Reactor;

use super::{ClientBuilder, ClientHandle, Error, Idempotent, Reply, RequestError, Stats};

/// How long [`Client`]'s drop waits for its sockets to close; past that they close on their own.
const CLOSE_BOUND: Duration = Duration::from_secs(1);

/// A client of a pair that blocks its caller until a request has ended; see the
/// [module](super).
///
/// It runs on its caller's thread, and only during a call: between calls the links stand, probed by
/// libzmq's own threads, but a link that is lost then is dialled again at the next call. It belongs
/// to the thread that made it.
pub struct Client {
    /// Taken by the drop.
    reactor: Option<Reactor<State>>,
    handle: ClientHandle<State>,
    state: State,
}

type OnFailover = Box<dyn FnMut(usize, Option<u64>)>;

/// What the callbacks leave for the caller.
#[derive(Default)]
struct State {
    result: Option<Result<Reply, RequestError>>,
    on_failover: Option<OnFailover>,
}

impl Client {
    /// A client of the servers at these front ends, the primary's first, with the defaults for a
    /// heartbeat of 1,000 ms.
    ///
    /// # Errors
    /// When an address cannot be used, or the system refuses sockets. That servers are not there
    /// is no error: a request waits for them, up to its deadline.
    pub fn connect<I>(endpoints: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Self::builder().servers(endpoints).connect()
    }

    /// For everything that differs from the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Sends a request and waits for its reply, at most for `timeout`, however many servers are
    /// tried.
    ///
    /// # Errors
    /// See [`RequestError`], which says whether the request may have been executed.
    pub fn request<I>(
        &mut self,
        frames: I,
        idempotent: Idempotent,
        timeout: Duration,
    ) -> Result<Reply, RequestError>
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        let Some(reactor) = &mut self.reactor else {
            return Err(RequestError::Closed);
        };
        self.state.result = None;
        // What became of the links since the last call comes first: a request must not be given to
        // one that is known to be lost.
        if let Err(error) = reactor.turn(&mut self.state, Some(Duration::ZERO)) {
            return Err(Error::Reactor(error).into());
        }
        let on_done = |state: &mut State, _: &mut _, result| state.result = Some(result);
        let scope = reactor.scope();
        let id = self
            .handle
            .request(scope, frames, idempotent, timeout, on_done)?;
        let state = &mut self.state;
        let run = reactor.run_until(state, |state| state.result.is_some());
        match (self.state.result.take(), run) {
            (Some(result), _) => result,
            (None, run) => {
                self.handle.cancel(id);
                tracing::debug!(?run, "the reactor ended before the request did");
                Err(RequestError::Unknown)
            }
        }
    }

    /// Sets what is called, before [`request`](Self::request) returns, when the answer came from
    /// another server than the one before: with the index of that server, and the greatest epoch
    /// that a server's refusal stated so far, if one did.
    pub fn on_failover(&mut self, callback: impl FnMut(usize, Option<u64>) + 'static) {
        self.state.on_failover = Some(Box::new(callback));
    }

    /// Whether there was a link to the server when last looked at: 0 is the primary.
    pub fn is_connected(&self, server: usize) -> bool {
        self.handle.is_connected(server)
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    pub(super) fn open(builder: ClientBuilder) -> Result<Self, Error> {
        let mut reactor = Reactor::<State>::builder().signals(false).build()?;
        let handle = builder.attach(reactor.scope())?;
        handle.on_failover(|state: &mut State, _, server, epoch| {
            if let Some(callback) = &mut state.on_failover {
                callback(server, epoch);
            }
        });
        Ok(Self {
            reactor: Some(reactor),
            handle,
            state: State::default(),
        })
    }
}

/// Ends in bounded time, whatever the servers do.
impl Drop for Client {
    fn drop(&mut self) {
        if let Some(reactor) = self.reactor.take() {
            // What did not close by then closes on its own; nobody is left to be told.
            let _ = reactor.end(CLOSE_BOUND);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
