//! What an application keeps of a server that it attached.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use reactor::{Scope, SourceKey};

use super::Stats;
use super::desk::Phase;
use super::shared::Shared;

/// A server on a reactor. Clones speak to the same server.
///
/// It belongs to the reactor's thread. From another thread [post](reactor::Handle::post) to the reactor, and use the
/// handle that is in the application's state. To drop it changes nothing: the server goes on.
#[derive(Clone)]
pub struct Handle {
    shared: Rc<RefCell<Shared>>,
}

impl Handle {
    pub(super) fn new(shared: Rc<RefCell<Shared>>) -> Self {
        Self { shared }
    }

    /// Where the server is bound, with the port that the system chose if it was a wildcard.
    pub fn endpoint(&self) -> String {
        self.shared.borrow().endpoint.clone()
    }

    /// In model 3 the endpoint that clients are to dial: by that, and nothing else, they can address the server.
    pub fn identity(&self) -> Option<String> {
        self.shared.borrow().identity.clone()
    }

    /// Counters since the start. They stay when the server has closed.
    pub fn stats(&self) -> Stats {
        self.shared.borrow().desk.stats()
    }

    /// Requests under way: kept by the application, or at the workers.
    pub fn under_way(&self) -> usize {
        self.shared.borrow().desk.under_way()
    }

    /// Refuses new requests from now on, and closes the server when those under way are answered, or after
    /// [`Config::drain`](super::Config::drain). PINGs are answered until then. Once more changes nothing.
    pub fn drain<S: 'static>(&self, scope: &mut Scope<S>) {
        self.shared.borrow_mut().drain(scope.fresh_now());
    }

    /// Closes the server without waiting for what is under way.
    ///
    /// Nothing is taken or answered from here on; the socket is closed in the next turn.
    pub fn close<S: 'static>(&self, _scope: &mut Scope<S>) {
        self.shared.borrow_mut().close();
    }

    /// Whether the server refuses new requests: it drains, or has closed.
    pub fn is_draining(&self) -> bool {
        self.shared.borrow().desk.phase() != Phase::Serving
    }

    /// Whether the server has closed, after a drain or by [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.shared.borrow().ended
    }

    /// Has a source notified when the server has closed.
    pub(super) fn watch(&self, watcher: SourceKey) {
        self.shared.borrow_mut().watchers.push(watcher);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("endpoint", &self.endpoint())
            .finish_non_exhaustive()
    }
}
