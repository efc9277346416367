//! What other threads can do: post work, wake, notify, stop.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::Wake;
use crate::{PostError, Scope, SourceKey};

/// Work for the reactor's thread.
pub(crate) type Post<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>) + Send>;

/// Reaches a reactor from any thread, and outlives it.
pub struct Handle<S> {
    posts: Arc<Posts<S>>,
    waker: Waker,
}

impl<S> Handle<S> {
    pub(crate) fn new(posts: Arc<Posts<S>>, waker: Waker) -> Self {
        Self { posts, waker }
    }

    /// Has `work` called on the reactor's thread, in its next turn, in the order of posting.
    ///
    /// Never waits. The queue is bounded: a full one is the reactor's way to say that it is behind.
    pub fn post(
        &self,
        work: impl FnOnce(&mut S, &mut Scope<S>) + Send + 'static,
    ) -> Result<(), PostError> {
        self.posts.push(Box::new(work))?;
        self.waker.wake();
        Ok(())
    }

    /// As [`Waker::stop`].
    pub fn stop(&self) {
        self.waker.stop();
    }

    /// The part of this that does not depend on `S`.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self {
            posts: Arc::clone(&self.posts),
            waker: self.waker.clone(),
        }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Wakes, notifies or stops a reactor from any thread, and outlives it.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

struct Shared {
    /// Set before the system is asked to wake, and cleared before the loop looks at what follows: of many wakes
    /// between two turns only the first costs a system call.
    woken: AtomicBool,
    stop: AtomicBool,
    notified: Mutex<BTreeSet<SourceKey>>,
    wake: Arc<dyn Wake>,
}

impl Waker {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        Self(Arc::new(Shared {
            woken: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            notified: Mutex::new(BTreeSet::new()),
            wake,
        }))
    }

    /// Ends the sleep of the reactor, or keeps it from the next one. It does one turn.
    pub fn wake(&self) {
        if self.0.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = self.0.wake.wake() {
            tracing::error!(%error, "cannot wake the reactor");
        }
    }

    /// Ends the run after the turn that is under way. Where no run is, the next one ends at once.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Sends the source [`Event::Notified`](crate::Event::Notified) in the next turn; once, however often this is
    /// called until then. A source that is gone is not missed.
    pub fn notify(&self, source: SourceKey) {
        lock(&self.0.notified).insert(source);
        self.wake();
    }

    /// Whether anything happened since the last call.
    pub(crate) fn take_woken(&self) -> bool {
        // The load keeps turns without a wake, nearly all of them, from writing to a line that other threads share.
        self.0.woken.load(Ordering::Acquire) && self.0.woken.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.0.woken.load(Ordering::Acquire)
    }

    pub(crate) fn take_stop(&self) -> bool {
        self.0.stop.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_notified(&self) -> BTreeSet<SourceKey> {
        std::mem::take(&mut *lock(&self.0.notified))
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

pub(crate) struct Posts<S> {
    queue: Mutex<Queue<S>>,
    capacity: usize,
}

struct Queue<S> {
    waiting: VecDeque<Post<S>>,
    ended: bool,
}

impl<S> Posts<S> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                ended: false,
            }),
            capacity,
        }
    }

    fn push(&self, post: Post<S>) -> Result<(), PostError> {
        let mut queue = lock(&self.queue);
        if queue.ended {
            return Err(PostError::Ended);
        }
        if queue.waiting.len() >= self.capacity {
            return Err(PostError::Full);
        }
        queue.waiting.push_back(post);
        Ok(())
    }

    /// Moves what waits into `batch`, which is empty; its buffer goes the other way, to be used again.
    pub(crate) fn take(&self, batch: &mut VecDeque<Post<S>>) {
        std::mem::swap(&mut lock(&self.queue).waiting, batch);
    }

    /// Refuses everything from now on, and drops what waits.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut queue = lock(&self.queue);
            queue.ended = true;
            std::mem::take(&mut queue.waiting)
        };
        // Outside the lock, since what is dropped is the application's and may well post.
        drop(waiting);
    }
}

/// No code of the application runs under these locks, so that a poisoned one still holds what it should.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
