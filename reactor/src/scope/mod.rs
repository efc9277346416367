//! What a handler gets: everything but the handler that runs.

mod calling;
mod fds;
mod hooks;
mod outbox;
mod plain;
mod sending;
mod serving;
mod sockets;
mod ticketing;
mod timing;
mod turn;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::fds::FdSlot;
use self::hooks::{Deferred, HookSlot, OnRemoval};
pub use self::outbox::Queued;
pub(crate) use self::plain::Plain;
use self::sockets::SocketSlot;
use self::ticketing::ClassSlot;
use self::timing::TimerSlot;
use self::turn::Due;
use crate::arena::Arena;
use crate::backend::{Poll, Signal};
use crate::clock::Clock;
use crate::ending::drop_within;
use crate::metrics::Meter;
use crate::reactor::Settings;
use crate::remote::{Post, Posts};
use crate::signals::Signals;
use crate::tickets::Tickets;
use crate::timers::Timers;
use crate::{
    AnyKey, Ending, Error, ErrorPolicy, FdKey, Handle, HookKey, Interest, Metrics, Source,
    SourceKey, Waker,
};

/// What a handler gets beside the application's state: everything in the reactor but the handler itself.
///
/// Whatever it offers works from inside any handler, also on what is being handled. What is removed or cancelled is
/// so at once and for good: nothing more is delivered of it, even if it was ready already.
pub struct Scope<S> {
    poll: Box<dyn Poll>,
    clock: Clock,
    now: Instant,
    /// When the clock was last read, if that was so recently that only the loop has run since.
    mark: Option<Instant>,
    meter: Meter,
    budget: usize,
    linger_ms: i32,

    sources: Arena<SourceSlot<S>>,
    sockets: Arena<SocketSlot>,
    fds: Arena<FdSlot>,
    timers: Timers<TimerSlot>,
    tickets: Tickets<ClassSlot>,
    hooks: Arena<HookSlot>,
    /// The hooks in the order of registration.
    hook_order: Vec<HookKey>,
    /// What is to be done at the end of the turn.
    deferred: VecDeque<Deferred<S>>,
    on_removal: Option<OnRemoval<S>>,
    /// Every descriptor that the back end watches, so that none is registered twice, a paused one neither.
    watched: HashSet<RawFd>,

    /// Sockets that may have become ready without a signal, since somebody used them.
    touched: Vec<crate::SocketKey>,
    /// What is known to be ready, each once.
    ready: Vec<ReadyItem>,
    /// What is to be served in this turn.
    batch: VecDeque<ReadyItem>,
    /// What came due in this turn and did not run yet.
    due_buffer: VecDeque<Due>,
    /// How many ROUTERs hold messages back.
    stuck: usize,
    /// Whom the last turn began with that had several to serve: the next begins with the one after it.
    began: Option<ReadyItem>,
    /// The source that runs, and what it leaves behind when it removes itself and then fails.
    running: Option<SourceKey>,
    departed: Option<(Rc<str>, ErrorPolicy)>,
    /// Sources that start, to find those that panicked there.
    starting: Vec<SourceKey>,
    stop: bool,
    failure: Option<Error>,

    posts: Arc<Posts<S>>,
    waker: Waker,
    system_signals: Option<Signals>,

    // Buffers that are kept from turn to turn, so that a turn allocates nothing.
    signal_buffer: Vec<Signal>,
    post_buffer: VecDeque<Post<S>>,
    notified_buffer: VecDeque<SourceKey>,
    hook_buffer: Vec<HookKey>,
    touched_buffer: Vec<crate::SocketKey>,
    /// All but the first frame of a message that is being sent.
    frame_buffer: Vec<zmq::Message>,
}

struct SourceSlot<S> {
    name: Rc<str>,
    policy: ErrorPolicy,
    /// Registered with one handler for one thing, and gone with that.
    plain: bool,
    /// Taken out while it runs.
    source: Option<Box<dyn Source<S>>>,
    /// Each thing knows its place in here.
    owned: Vec<AnyKey>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadyItem {
    Socket(crate::SocketKey),
    Fd(FdKey),
}

impl<S: 'static> Scope<S> {
    pub(crate) fn open(settings: Settings) -> Result<Self, Error> {
        let poll = settings.backend.open()?;
        let waker = Waker::new(poll.waker());
        let clock = settings.clock.map_or(Clock::Monotonic, Clock::Virtual);
        let mut scope = Self {
            poll,
            now: clock.now(),
            clock,
            mark: None,
            meter: Meter::new(settings.metrics, settings.slow_handler),
            budget: settings.budget,
            linger_ms: settings.linger_ms,
            sources: Arena::new(),
            sockets: Arena::new(),
            fds: Arena::new(),
            timers: Timers::new(),
            tickets: Tickets::new(),
            hooks: Arena::new(),
            hook_order: Vec::new(),
            deferred: VecDeque::new(),
            on_removal: None,
            watched: HashSet::new(),
            touched: Vec::new(),
            ready: Vec::new(),
            batch: VecDeque::new(),
            due_buffer: VecDeque::new(),
            stuck: 0,
            began: None,
            running: None,
            departed: None,
            starting: Vec::new(),
            stop: false,
            failure: None,
            posts: Arc::new(Posts::new(settings.post_capacity)),
            waker,
            system_signals: None,
            signal_buffer: Vec::new(),
            post_buffer: VecDeque::new(),
            notified_buffer: VecDeque::new(),
            hook_buffer: Vec::new(),
            touched_buffer: Vec::new(),
            frame_buffer: Vec::new(),
        };
        if settings.signals {
            scope.watch_signals()?;
        }
        Ok(scope)
    }

    /// The time at which this turn began to handle what was ready. The same for all handlers of a turn, and free.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time right now.
    pub fn fresh_now(&self) -> Instant {
        self.clock.now()
    }

    /// Ends the run after this turn: what is ready in it is still handled.
    pub fn stop(&mut self) {
        self.stop = true;
    }

    /// What the loop did so far, and who held it up.
    pub fn metrics(&self) -> Metrics {
        self.meter.read()
    }

    /// Begins to count anew.
    pub fn reset_metrics(&mut self) {
        self.meter.reset();
    }

    /// What reaches this reactor from other threads.
    pub fn handle(&self) -> Handle<S> {
        Handle::new(Arc::clone(&self.posts), self.waker.clone())
    }

    /// As [`handle`](Self::handle), as far as that does not depend on `S`.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Adds a source and [starts](Source::start) it. The name is for errors and logs; it need not be unique.
    ///
    /// Where `start` fails everything that it registered is removed again. One that removes itself there is
    /// [`Error::Stale`].
    pub fn add_source(
        &mut self,
        name: &str,
        source: impl Source<S> + 'static,
    ) -> Result<SourceKey, Error> {
        let mut source = Box::new(source);
        let key = self.insert_source(name, None, false);
        self.starting.push(key);
        let started = source.start(self, key);
        self.starting.retain(|other| *other != key);
        if let Err(error) = started {
            self.remove_source(key);
            return Err(error);
        }
        let slot = self.sources.get_mut(key.0).ok_or(Error::Stale)?;
        slot.source = Some(source);
        Ok(key)
    }

    /// Removes a source with all it owns, and drops it; one that runs is dropped when its handler returns. Tells
    /// whether it was there.
    ///
    /// Sockets are closed here, which takes no time unless one is the last that holds its context: then this waits
    /// for the linger.
    pub fn remove_source(&mut self, key: SourceKey) -> bool {
        let Some(slot) = self.sources.remove(key.0) else {
            return false;
        };
        for item in slot.owned {
            match item {
                AnyKey::Socket(key) => drop(self.remove_socket(key)),
                AnyKey::Fd(key) => drop(self.release_fd(key)),
                AnyKey::Timer(key) => {
                    self.cancel_timer(key);
                }
                AnyKey::Tickets(key) => {
                    self.remove_tickets(key);
                }
                AnyKey::Hook(key) => {
                    self.remove_hook(key);
                }
            }
        }
        if self.running == Some(key) {
            self.departed = Some((slot.name, slot.policy));
        }
        true
    }

    /// Says what an error of this source's handler does, from now on. A stale key is ignored.
    pub fn set_policy(&mut self, key: SourceKey, policy: ErrorPolicy) {
        if let Some(slot) = self.sources.get_mut(key.0) {
            slot.policy = policy;
        }
    }

    /// The source that owns something; what was added with a handler of its own is a source of its own.
    pub fn owner(&self, key: impl Into<AnyKey>) -> Option<SourceKey> {
        match key.into() {
            AnyKey::Socket(key) => self.sockets.get(key.0).map(|slot| slot.owner),
            AnyKey::Fd(key) => self.fds.get(key.0).map(|slot| slot.owner),
            AnyKey::Timer(key) => self.timers.get(key.0).map(|slot| slot.owner),
            AnyKey::Tickets(key) => self.tickets.class(key.0).map(|slot| slot.owner),
            AnyKey::Hook(key) => self.hooks.get(key.0).map(|slot| slot.owner),
        }
    }

    /// Changes what a socket or a descriptor is watched for, in place; [`Interest::NONE`] pauses it. What is ready at
    /// that moment is seen.
    pub fn set_interest(
        &mut self,
        key: impl Into<AnyKey>,
        interest: Interest,
    ) -> Result<(), Error> {
        match key.into() {
            AnyKey::Socket(key) => self.set_socket_interest(key, interest),
            AnyKey::Fd(key) => self.set_fd_interest(key, interest),
            AnyKey::Timer(_) | AnyKey::Tickets(_) | AnyKey::Hook(_) => Err(Error::Invalid(
                "only sockets and descriptors have an interest",
            )),
        }
    }

    /// How many calls a source may have in a turn for what it has of one kind.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Whether the source was not removed, not even by itself.
    pub(crate) fn has_source(&self, key: SourceKey) -> bool {
        self.sources.get(key.0).is_some()
    }

    /// Adds a source that knows its own key from the beginning.
    pub(crate) fn add_source_with<T: Source<S> + 'static>(
        &mut self,
        name: &str,
        make: impl FnOnce(SourceKey) -> T,
    ) -> SourceKey {
        let key = self.insert_source(name, None, false);
        if let Some(slot) = self.sources.get_mut(key.0) {
            slot.source = Some(Box::new(make(key)));
        }
        key
    }

    fn insert_source(
        &mut self,
        name: &str,
        source: Option<Box<dyn Source<S>>>,
        plain: bool,
    ) -> SourceKey {
        let slot = SourceSlot {
            name: name.into(),
            policy: ErrorPolicy::default(),
            plain,
            source,
            owned: Vec::new(),
        };
        SourceKey(self.sources.insert(slot))
    }

    /// The place that the next thing will have among those which `owner` owns.
    fn next_place(&self, owner: SourceKey) -> Result<usize, Error> {
        self.sources
            .get(owner.0)
            .map(|slot| slot.owned.len())
            .ok_or(Error::Stale)
    }

    /// Notes a new thing at the place that was asked for just before.
    fn own(&mut self, owner: SourceKey, key: impl Into<AnyKey>) {
        if let Some(slot) = self.sources.get_mut(owner.0) {
            slot.owned.push(key.into());
        }
    }

    /// Forgets the thing at `place`; the last one moves there. A plain source ends with its thing.
    fn disown(&mut self, owner: SourceKey, place: usize) {
        // Where the whole source is being removed, there is nothing to keep in order.
        let Some(slot) = self.sources.get_mut(owner.0) else {
            return;
        };
        slot.owned.swap_remove(place);
        if slot.plain && slot.owned.is_empty() {
            self.remove_source(owner);
            return;
        }
        let moved = match slot.owned.get(place) {
            Some(AnyKey::Socket(key)) => self.sockets.get_mut(key.0).map(|slot| &mut slot.place),
            Some(AnyKey::Fd(key)) => self.fds.get_mut(key.0).map(|slot| &mut slot.place),
            Some(AnyKey::Timer(key)) => self.timers.get_mut(key.0).map(|slot| &mut slot.place),
            Some(AnyKey::Tickets(key)) => self.tickets.class_mut(key.0).map(|slot| &mut slot.place),
            Some(AnyKey::Hook(key)) => self.hooks.get_mut(key.0).map(|slot| &mut slot.place),
            None => None,
        };
        if let Some(moved) = moved {
            *moved = place;
        }
    }

    /// The name of a source, also of one that has just removed itself.
    fn name_of(&self, source: SourceKey) -> Rc<str> {
        let slot = self.sources.get(source.0);
        let departed = self.departed.as_ref().map(|(name, _)| name);
        slot.map(|slot| &slot.name)
            .or(departed)
            .map_or_else(|| "(removed)".into(), Rc::clone)
    }

    fn watch_signals(&mut self) -> Result<(), Error> {
        let (signals, reader) = Signals::register()?;
        self.system_signals = Some(signals);
        self.add_fd("signals", reader, Interest::READ, |_, scope, key, _| {
            if let Some(reader) = scope.fd(key) {
                crate::signals::drain(reader)?;
            }
            scope.stop();
            Ok(())
        })?;
        Ok(())
    }
}

impl<S> Scope<S> {
    /// Removes everything: sockets first, on a thread that may be left behind.
    pub(crate) fn shut(&mut self, bound: Duration) -> Ending {
        self.posts.close();
        self.system_signals = None;
        let mut sockets = Vec::with_capacity(self.sockets.len());
        for mut slot in self.sockets.drain() {
            unwatch(&mut *self.poll, slot.fd);
            slot.stop_monitor();
            sockets.push(slot.socket);
        }
        let ending = if sockets.is_empty() {
            Ending::Clean
        } else {
            drop_within(sockets, bound)
        };
        for slot in self.fds.drain() {
            if !slot.interest.is_none() {
                unwatch(&mut *self.poll, slot.fd);
            }
        }
        self.watched.clear();
        self.timers.clear();
        self.tickets.clear();
        self.hooks.drain().for_each(drop);
        self.hook_order.clear();
        self.deferred.clear();
        self.on_removal = None;
        self.sources.drain().for_each(drop);
        ending
    }
}

impl<S> Drop for Scope<S> {
    fn drop(&mut self) {
        // What was left behind has been logged.
        let _ = self.shut(crate::reactor::END_WITHIN);
    }
}

impl<S> fmt::Debug for Scope<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("sources", &self.sources.len())
            .field("sockets", &self.sockets.len())
            .field("fds", &self.fds.len())
            .field("timers", &self.timers.len())
            .field("tickets", &self.tickets.len())
            .finish_non_exhaustive()
    }
}

/// A descriptor that was closed behind the reactor's back has left the system's list already: nothing is to be done.
fn unwatch(poll: &mut dyn Poll, fd: RawFd) {
    if let Err(error) = poll.remove(fd) {
        tracing::warn!(fd, %error, "a descriptor was not registered any more");
    }
}
