//! The reactor itself, and how to build one.

use std::fmt;
use std::time::Duration;

use crate::clock::VirtualClock;
use crate::{Backend, Ending, Error, Handle, Scope};

/// How long a reactor that is dropped waits for its sockets to close.
pub(crate) const END_WITHIN: Duration = Duration::from_secs(2);

/// An event loop for one thread: ZeroMQ sockets, descriptors and timers, and handlers that share a state `S`.
///
/// Dropping it [ends](Self::end) it within two seconds.
pub struct Reactor<S> {
    scope: Scope<S>,
}

impl<S: 'static> Reactor<S> {
    /// A reactor as the [`Builder`] makes it by default.
    pub fn new() -> Result<Self, Error> {
        Builder::new().build()
    }

    /// What a reactor can be told before it begins. [`Builder::new`] is the same, and needs no `S`.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// For registering before the run, and looking around after it.
    pub fn scope(&mut self) -> &mut Scope<S> {
        self.scope.refresh_now();
        &mut self.scope
    }

    /// Runs until stopped: by [`Scope::stop`], by another thread, by a signal; or by a handler that failed. It can be
    /// run again after that, and goes on where it was. A stop that came before the run ends it at once.
    ///
    /// A handler gets the scope, and that cannot run: one run inside another does not compile.
    ///
    /// ```compile_fail
    /// # use reactor::{Next, Reactor};
    /// let mut reactor = Reactor::<()>::new()?;
    /// let now = reactor.scope().now();
    /// reactor.scope().add_timer("nested", now, |state, scope, _| {
    ///     scope.run(state)?;
    ///     Ok(Next::Done)
    /// })?;
    /// # Ok::<(), reactor::Error>(())
    /// ```
    pub fn run(&mut self, state: &mut S) -> Result<(), Error> {
        self.scope.see_remote_stop();
        self.scope.refresh_now();
        loop {
            if self.scope.take_stop() {
                return self.scope.say_stopping(state);
            }
            if let Err(error) = self.scope.turn(state, None) {
                self.scope.take_stop();
                return Err(error);
            }
        }
    }

    /// As [`run`](Self::run), or until `done` says so, which is asked first and after every turn.
    pub fn run_until(
        &mut self,
        state: &mut S,
        mut done: impl FnMut(&mut S) -> bool,
    ) -> Result<(), Error> {
        self.scope.see_remote_stop();
        loop {
            if self.scope.take_stop() {
                return self.scope.say_stopping(state);
            }
            if done(state) {
                return Ok(());
            }
            // Whatever the condition did took time.
            self.scope.refresh_now();
            if let Err(error) = self.scope.turn(state, None) {
                self.scope.take_stop();
                return Err(error);
            }
        }
    }

    /// Does one turn: sleeps until something is ready, at most `timeout`, and handles it. Without a time-out it
    /// sleeps as long as it takes, but not after a stop was [asked for](Self::is_stopping), which is left standing.
    pub fn turn(&mut self, state: &mut S, timeout: Option<Duration>) -> Result<(), Error> {
        self.scope.refresh_now();
        self.scope.turn(state, timeout)
    }

    /// Whether a stop was asked for that no run has seen; for loops around [`turn`](Self::turn).
    pub fn is_stopping(&mut self) -> bool {
        self.scope.see_remote_stop();
        self.scope.is_stopping()
    }

    /// What reaches the reactor from other threads.
    pub fn handle(&self) -> Handle<S> {
        self.scope.handle()
    }

    /// Closes all sockets on a thread that may be left behind, waits for it at most `bound`, and drops everything
    /// else.
    ///
    /// A context ends with the last that holds it. Where that is a socket of this reactor, the bound covers it; where
    /// it is a handler or the application's state, its drop waits for the linger of the sockets: hand that context
    /// to [`end_context`](crate::end_context).
    pub fn end(mut self, bound: Duration) -> Ending {
        self.scope.shut(bound)
    }
}

impl<S> fmt::Debug for Reactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("scope", &self.scope)
            .finish()
    }
}

/// What a reactor can be told before it begins.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    backend: Backend,
    clock: Option<VirtualClock>,
    signals: bool,
    budget: usize,
    post_capacity: usize,
    linger: Duration,
    metrics: bool,
    slow_handler: Option<Duration>,
}

/// A builder's choices, checked.
pub(crate) struct Settings {
    pub(crate) backend: Backend,
    pub(crate) clock: Option<VirtualClock>,
    pub(crate) signals: bool,
    pub(crate) budget: usize,
    pub(crate) post_capacity: usize,
    pub(crate) linger_ms: i32,
    pub(crate) metrics: bool,
    pub(crate) slow_handler: Option<Duration>,
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            backend: Backend::default(),
            clock: None,
            signals: true,
            budget: 32,
            post_capacity: 1024,
            linger: Duration::from_secs(1),
            metrics: true,
            slow_handler: Some(Duration::from_millis(100)),
        }
    }

    /// Who asks the operating system. By default [`Backend::Mio`].
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Uses a clock that stands still while there is something to do, and jumps where there is not.
    pub fn virtual_time(mut self, clock: &VirtualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Whether SIGINT and SIGTERM stop the reactor. By default they do.
    ///
    /// The signals are taken over with the first reactor of the process that wants them. After the last such reactor
    /// has ended they do nothing at all, since their former effect is not restored: a program that goes on for long
    /// after its reactor says `false` here and handles them itself.
    pub fn signals(mut self, on: bool) -> Self {
        self.signals = on;
        self
    }

    /// How many messages a socket's handler may take in a turn before the others get theirs: how often it is called
    /// again while its socket stays readable. By default 32. At least 1.
    pub fn budget(mut self, calls: usize) -> Self {
        self.budget = calls;
        self
    }

    /// How much [posted](Handle::post) work may wait. By default 1,024. At least 1.
    pub fn post_capacity(mut self, posts: usize) -> Self {
        self.post_capacity = posts;
        self
    }

    /// How long a closed socket may go on sending, for sockets that have no limit of their own when they are
    /// registered. By default one second; at most 24 days.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Whether [metrics](Scope::metrics) are taken that need the clock: busy and idle time, the longest hold, the
    /// greatest lateness, slow handlers. By default they are. It costs one look at the clock for each source that is
    /// served in a turn, and saves one for each turn that did not sleep.
    pub fn metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// How long a source may hold the loop before a warning says so, with its name; `None` warns of nobody. By default
    /// 100 ms.
    pub fn slow_handler(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.slow_handler = threshold.into();
        self
    }

    /// Builds the reactor. It belongs to this thread.
    pub fn build<S: 'static>(self) -> Result<Reactor<S>, Error> {
        let linger_ms = i32::try_from(self.linger.as_millis())
            .map_err(|_| Error::Invalid("a linger is at most 24 days"))?;
        if self.budget == 0 {
            return Err(Error::Invalid("the budget of a socket is at least 1"));
        }
        if self.post_capacity == 0 {
            return Err(Error::Invalid("the capacity for posted work is at least 1"));
        }
        let scope = Scope::open(Settings {
            backend: self.backend,
            clock: self.clock,
            signals: self.signals,
            budget: self.budget,
            post_capacity: self.post_capacity,
            linger_ms,
            metrics: self.metrics,
            slow_handler: self.slow_handler,
        })?;
        Ok(Reactor { scope })
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
