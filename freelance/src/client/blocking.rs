//! The client for callers that wait.

use std::fmt;
use std::time::{Duration, Instant};

use reactor::Reactor;

use super::source::Shared;
use super::{ClientBuilder, ClientHandle};
use crate::{
    Error, Idempotent, Model, Reply, RequestError, RequestId, ServerId, ServerStats, Stats,
};

/// How long [`Client`]'s drop waits for its sockets to close; past that they close on their own.
const CLOSE_BOUND: Duration = Duration::from_secs(1);
/// What became of the links is looked at before a request, unless the last call ended so recently that the loss of
/// one could as well come just after.
const FRESH: Duration = Duration::from_millis(1);

/// A client that blocks its caller until a request has ended; see the [crate](crate).
///
/// It runs on its caller's thread, and only during a call: between calls the links stand, probed by libzmq's own
/// threads, but a link that is lost then is dialled again at the next call. It belongs to the thread that made it;
/// threads share an [`Agent`](crate::Agent).
pub struct Client {
    /// Taken by the drop.
    reactor: Option<Reactor<()>>,
    handle: ClientHandle<()>,
    looked_at: Instant,
}

impl Client {
    /// What to tell a client of this model before it begins.
    pub fn builder(model: Model) -> ClientBuilder {
        ClientBuilder::new(model)
    }

    /// Sends a request and waits for its reply, at most for `timeout`, however many servers are tried.
    ///
    /// Requests that were [submitted](Self::submit) go on meanwhile.
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
        let body = frames.into_iter().map(Into::into).collect();
        self.look()?;
        let Some(reactor) = &mut self.reactor else {
            return Err(RequestError::Closed);
        };
        let id = self
            .handle
            .begin(reactor.scope(), body, idempotent, timeout, |shared, id| {
                shared.answer = None;
                shared.awaited = Some(id);
            })?;
        let handle = &self.handle;
        let run = reactor.run_until(&mut (), |()| handle.with(|shared| shared.answer.is_some()));
        self.looked_at = Instant::now();
        match (self.handle.with(|shared| shared.answer.take()), run) {
            (Some(result), _) => result,
            (None, run) => {
                self.handle.cancel(id);
                self.handle.with(|shared| shared.awaited = None);
                tracing::debug!(?run, "the reactor ended before the request did");
                Err(RequestError::Unknown)
            }
        }
    }

    /// Sends a request and does not wait. [`next_done`](Self::next_done) tells how it ended.
    ///
    /// Replies are received, and servers that fail left, only during calls that wait.
    ///
    /// # Errors
    /// When a limit is exceeded; nothing was sent.
    pub fn submit<I>(
        &mut self,
        frames: I,
        idempotent: Idempotent,
        timeout: Duration,
    ) -> Result<RequestId, Error>
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        let body = frames.into_iter().map(Into::into).collect();
        self.look()?;
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        let finished = self.handle.with(|shared| shared.finished.len());
        let limit = self.handle.with(|s| s.engine.config().max_outstanding);
        // What ended and was not fetched is kept, and must not grow without end.
        if finished + self.handle.outstanding() >= limit {
            return Err(Error::TooManyOutstanding { limit });
        }
        self.handle
            .begin(reactor.scope(), body, idempotent, timeout, |_, _| {})
    }

    /// Waits until one of the submitted requests has ended, and tells which and how; in the order in which they end.
    /// `None` when none is under way, or none ended within `timeout`.
    pub fn next_done(
        &mut self,
        timeout: Duration,
    ) -> Option<(RequestId, Result<Reply, RequestError>)> {
        let done = |handle: &ClientHandle<()>| handle.with(|shared| shared.finished.pop_front());
        if let Some(first) = done(&self.handle) {
            return Some(first);
        }
        let end = Instant::now().checked_add(timeout);
        let reactor = self.reactor.as_mut()?;
        let is_awaited =
            |shared: &mut Shared<()>| shared.engine.outstanding() > 0 || shared.engine.has_ended();
        while self.handle.with(is_awaited) {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let turned = reactor.turn(&mut (), left);
            self.looked_at = Instant::now();
            if let Some(first) = done(&self.handle) {
                return Some(first);
            }
            if turned.is_err() || left.is_some_and(|left| left.is_zero()) {
                return None;
            }
        }
        None
    }

    /// Forgets a request that was submitted. `false` when it had ended; how is told all the same.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        self.handle.cancel(id)
    }

    /// Waits until some server is live, at most for `timeout`. A request need not wait for that: it waits itself.
    ///
    /// # Errors
    /// [`Error::NotReady`] when none was.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now().checked_add(timeout);
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        loop {
            // Also when it was ready before: that may be long ago.
            reactor.turn(&mut (), Some(Duration::ZERO))?;
            self.looked_at = Instant::now();
            if self.handle.is_ready() {
                return Ok(());
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::NotReady);
            }
            reactor.turn(&mut (), left)?;
        }
    }

    /// Adds a server. The lowest tier is asked first.
    ///
    /// # Errors
    /// When the address cannot be used, is known already, or too many are.
    pub fn add_server(&mut self, endpoint: &str, tier: u32) -> Result<ServerId, Error> {
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        self.handle.add_server(reactor.scope(), endpoint, tier)
    }

    /// Removes a server at once. What waits for its answer is as after the loss of its link.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn remove_server(&mut self, server: ServerId) -> Result<(), Error> {
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        self.handle.remove_server(reactor.scope(), server)
    }

    /// Sends a server nothing more, and removes it when it has answered what it has.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn drain_server(&mut self, server: ServerId) -> Result<(), Error> {
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        self.handle.drain_server(reactor.scope(), server)
    }

    /// Changes the tier of a server, for the requests that come.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn set_tier(&mut self, server: ServerId, tier: u32) -> Result<(), Error> {
        self.handle.set_tier(server, tier)
    }

    /// Requests under way, those not that have ended and were not fetched.
    pub fn outstanding(&self) -> usize {
        self.handle.outstanding()
    }

    /// What is known of each server, by tier.
    pub fn servers(&self) -> Vec<ServerStats> {
        self.handle.servers()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    pub(super) fn open(builder: ClientBuilder) -> Result<Self, Error> {
        let mut reactor = Reactor::<()>::builder().signals(false).build()?;
        let handle = builder.attach(reactor.scope())?;
        Ok(Self {
            reactor: Some(reactor),
            handle,
            looked_at: Instant::now(),
        })
    }

    /// What became of the links since the last call comes first: a request must not be given to one that is known to
    /// be lost.
    fn look(&mut self) -> Result<(), Error> {
        if self.looked_at.elapsed() < FRESH {
            return Ok(());
        }
        let reactor = self.reactor.as_mut().ok_or(Error::Closed)?;
        reactor.turn(&mut (), Some(Duration::ZERO))?;
        self.looked_at = Instant::now();
        Ok(())
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
