//! A result that comes later, from another thread.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Reply, RequestError};

type Result = std::result::Result<Reply, RequestError>;

/// A request that an [`Agent`](crate::Agent) has taken on. Dropped, it goes on, and its reply is lost.
#[must_use = "the reply is lost with it"]
pub struct Pending {
    slot: Arc<Slot>,
    /// The agent lives as long as somebody waits for it.
    _agent: Arc<dyn Send + Sync>,
}

/// The other end of a [`Pending`]. The last of its clones that goes without keeping it says that the client was closed.
#[derive(Clone)]
pub(super) struct Promise(Arc<Guard>);

struct Guard(Arc<Slot>);

#[derive(Default)]
struct Slot {
    result: Mutex<Option<Result>>,
    kept: Condvar,
}

/// Both ends. The agent is kept alive by the one who waits.
pub(super) fn promise(agent: Arc<dyn Send + Sync>) -> (Promise, Pending) {
    let slot = Arc::new(Slot::default());
    let promise = Promise(Arc::new(Guard(Arc::clone(&slot))));
    let pending = Pending {
        slot,
        _agent: agent,
    };
    (promise, pending)
}

impl Pending {
    /// Waits until the request has ended, which it does at its deadline at the latest.
    ///
    /// # Errors
    /// See [`RequestError`], which says whether the request may have been executed.
    pub fn wait(self) -> Result {
        let mut result = self.slot.lock();
        loop {
            match result.take() {
                Some(result) => return result,
                None => {
                    result = self
                        .slot
                        .kept
                        .wait(result)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits for at most `timeout`, and gives itself back if the request has not ended by then.
    ///
    /// # Errors
    /// The request, which goes on.
    pub fn wait_for(self, timeout: Duration) -> std::result::Result<Result, Self> {
        let end = Instant::now().checked_add(timeout);
        let mut result = self.slot.lock();
        loop {
            if let Some(result) = result.take() {
                return Ok(result);
            }
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                drop(result);
                return Err(self);
            }
            (result, _) = self
                .slot
                .kept
                .wait_timeout(result, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Promise {
    /// Says how the request ended.
    pub(super) fn keep(self, result: Result) {
        self.0.0.keep(result);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.keep(Err(RequestError::Closed));
    }
}

impl Slot {
    /// The first word counts.
    fn keep(&self, result: Result) {
        let mut place = self.lock();
        if place.is_none() {
            *place = Some(result);
            self.kept.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
