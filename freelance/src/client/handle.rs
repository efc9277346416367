//! How an application speaks to a client on its reactor.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use reactor::Scope;

use super::source::{Body, Shared};
use super::{LONGEST, ServerEvent, link};
use crate::{
    Config, Error, Idempotent, Reply, RequestError, RequestId, ServerId, ServerStats, Stats, wire,
};

/// A client on a reactor. Clones speak to the same client; keep one in the application's state.
///
/// It belongs to the reactor's thread. From another thread, [post](reactor::Handle::post) to the reactor and use the
/// handle that is in the state; or use an [`Agent`](crate::Agent).
pub struct ClientHandle<S> {
    shared: Rc<RefCell<Shared<S>>>,
}

impl<S: 'static> ClientHandle<S> {
    pub(super) fn new(shared: Rc<RefCell<Shared<S>>>) -> Self {
        Self { shared }
    }

    /// Takes a request on, and sends it if a server may be asked now. `on_done` is called once, from the reactor and
    /// never from within this call, at most `timeout` later; if the reactor is late, so is the call. It is not called
    /// when the request is cancelled, or when the reactor ends before.
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
        self.begin(scope, body, idempotent, timeout, |shared, id| {
            shared.on_done.insert(id, Box::new(on_done));
        })
    }

    /// Takes a request on, about which `then` notes who wants to know how it ends.
    pub(super) fn begin(
        &self,
        scope: &mut Scope<S>,
        body: Body,
        idempotent: Idempotent,
        timeout: Duration,
        then: impl FnOnce(&mut Shared<S>, RequestId),
    ) -> Result<RequestId, Error> {
        let now = scope.fresh_now();
        let deadline = now + timeout.min(LONGEST);
        let mut guard = self.shared.borrow_mut();
        let shared = &mut *guard;
        if shared.closed {
            return Err(Error::Closed);
        }
        check_body(shared.engine.config(), &body)?;
        let id = shared.engine.submit(body, idempotent, deadline, now)?;
        then(shared, id);
        if let Err(error) = shared.pump_soon(scope) {
            shared.engine.cancel(id);
            let callback = shared.on_done.remove(&id);
            drop(guard);
            drop(callback);
            return Err(error.into());
        }
        Ok(id)
    }

    /// Forgets a request; its callback is dropped. What was sent is not called back. `false` when the request had
    /// ended.
    pub fn cancel(&self, id: RequestId) -> bool {
        let mut shared = self.shared.borrow_mut();
        let cancelled = shared.engine.cancel(id);
        let callback = if cancelled {
            // It may have been the last that a server was drained of.
            shared.notify();
            shared.on_done.remove(&id)
        } else {
            None
        };
        drop(shared);
        drop(callback);
        cancelled
    }

    /// Sets what is called when something becomes of a server: see [`ServerEvent`].
    pub fn on_server(&self, callback: impl FnMut(&mut S, &mut Scope<S>, ServerEvent) + 'static) {
        let callback = Box::new(callback);
        let before = self.shared.borrow_mut().on_server.replace(callback);
        drop(before);
    }

    /// Adds a server while the client runs. The lowest tier is asked first. One that was removed may be added again at
    /// once, and is new.
    ///
    /// # Errors
    /// When the address cannot be used, is known already, or too many are.
    pub fn add_server(
        &self,
        scope: &mut Scope<S>,
        endpoint: &str,
        tier: u32,
    ) -> Result<ServerId, Error> {
        let endpoint = link::check_endpoint(endpoint)?;
        let now = scope.fresh_now();
        self.change(scope, |shared| {
            let server = shared.engine.add_server(endpoint.as_str(), tier, now)?;
            shared.ports.add(server, endpoint);
            Ok(server)
        })
    }

    /// Removes a server at once. What waits for its answer is as after the loss of its link.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn remove_server(&self, scope: &mut Scope<S>, server: ServerId) -> Result<(), Error> {
        let now = scope.fresh_now();
        self.change(scope, |shared| shared.engine.remove_server(server, now))
    }

    /// Sends a server nothing more, and removes it when it has answered what it has; then comes
    /// [`ServerEvent::Drained`].
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn drain_server(&self, scope: &mut Scope<S>, server: ServerId) -> Result<(), Error> {
        let now = scope.fresh_now();
        self.change(scope, |shared| shared.engine.drain_server(server, now))
    }

    /// Changes the tier of a server, for the requests that come. The lowest is asked first.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn set_tier(&self, server: ServerId, tier: u32) -> Result<(), Error> {
        let mut shared = self.shared.borrow_mut();
        shared.engine.set_tier(server, tier)?;
        shared.notify();
        Ok(())
    }

    /// Ends the client: no request is taken on any more, and those under way end, from the reactor, with
    /// [`RequestError::Closed`] or, when it is certain that they were not executed, [`RequestError::NoServer`].
    pub fn close(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.closed = true;
        shared.notify();
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.shared.borrow().engine.outstanding()
    }

    /// Whether some server is live, so that a request would be sent at once.
    pub fn is_ready(&self) -> bool {
        let shared = self.shared.borrow();
        !shared.closed && shared.engine.is_ready()
    }

    /// What is known of each server, by tier.
    pub fn servers(&self) -> Vec<ServerStats> {
        self.shared.borrow().engine.servers().collect()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.shared.borrow().engine.stats()
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Shared<S>) -> R) -> R {
        f(&mut self.shared.borrow_mut())
    }

    /// Changes the servers, and has told from the reactor what that brought about.
    fn change<R>(
        &self,
        scope: &mut Scope<S>,
        change: impl FnOnce(&mut Shared<S>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let shared = &mut *self.shared.borrow_mut();
        if shared.closed {
            return Err(Error::Closed);
        }
        let changed = change(shared)?;
        shared.pump(scope)?;
        shared.notify();
        Ok(changed)
    }
}

/// Whether a request keeps the limits, and cannot be mistaken for something else when echoed.
fn check_body(config: &Config, body: &[Vec<u8>]) -> Result<(), Error> {
    if body.is_empty() {
        return Err(Error::Empty);
    }
    if let [only] = body
        && wire::is_refusal(only)
    {
        return Err(Error::LooksLikeRefusal);
    }
    let (frames, limit) = (body.len(), config.max_request_frames);
    if frames > limit {
        return Err(Error::TooManyFrames { frames, limit });
    }
    let bytes = body.iter().map(Vec::len).fold(0, usize::saturating_add);
    let limit = config.max_request_bytes;
    if bytes > limit {
        return Err(Error::TooLarge { bytes, limit });
    }
    Ok(())
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
