//! Registrations with one handler: sources like all others, that end with the one thing they own.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Scope;
use super::timing::{LONGEST, later, next_period};
use crate::{
    BoxError, Error, Event, FdKey, Interest, Missed, Next, Ready, Rejected, SocketKey, Source,
    SourceKey, TimerKey,
};

impl<S: 'static> Scope<S> {
    /// Registers a socket with a handler of its own. See [`own_socket`](Self::own_socket).
    ///
    /// The handler may read until there is nothing: it gets no more messages in a turn than its
    /// [share](crate::Builder::budget).
    pub fn add_socket(
        &mut self,
        name: &str,
        socket: zmq::Socket,
        interest: Interest,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, SocketKey, Ready) -> Result<(), BoxError>
        + 'static,
    ) -> Result<SocketKey, Rejected<zmq::Socket>> {
        self.add_plain(
            name,
            move |state, scope, event| match event {
                Event::Socket { key, ready, .. } => handler(state, scope, key, ready),
                _ => Ok(()),
            },
            |scope, source| scope.own_socket(source, 0, socket, interest),
        )
    }

    /// Registers a descriptor with a handler of its own. See [`own_fd`](Self::own_fd).
    pub fn add_fd<F: AsFd + Send + 'static>(
        &mut self,
        name: &str,
        fd: F,
        interest: Interest,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, FdKey, Ready) -> Result<(), BoxError> + 'static,
    ) -> Result<FdKey, Rejected<F>> {
        self.add_plain(
            name,
            move |state, scope, event| match event {
                Event::Fd { key, ready, .. } => handler(state, scope, key, ready),
                _ => Ok(()),
            },
            |scope, source| scope.own_fd(source, 0, fd, interest),
        )
    }

    /// Sets a timer with a handler of its own, which gets the deadline and says what happens next. If it fails
    /// instead, and is not stopped for it, the timer ends.
    pub fn add_timer(
        &mut self,
        name: &str,
        at: Instant,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, Instant) -> Result<Next, BoxError> + 'static,
    ) -> Result<TimerKey, Error> {
        self.add_plain(
            name,
            move |state, scope, event| {
                let Event::Timer { key, deadline, .. } = event else {
                    return Ok(());
                };
                // A timer that its handler cancelled stays so, whatever the handler says then: the key is stale.
                match handler(state, scope, deadline)? {
                    Next::Done => {}
                    Next::At(at) => {
                        scope.set_timer(key, at);
                    }
                    Next::After(delay) => {
                        scope.set_timer(key, later(scope.fresh_now(), delay));
                    }
                }
                Ok(())
            },
            |scope, source| scope.own_timer(source, 0, at),
        )
    }

    /// Calls a handler once a period, which is more than zero, first after one period. An error that does not stop
    /// the reactor or remove the source does not end the interval either. The handler that moves it by
    /// [`set_timer`](Self::set_timer) begins a new phase.
    pub fn add_interval(
        &mut self,
        name: &str,
        period: Duration,
        missed: Missed,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, Instant) -> Result<(), BoxError> + 'static,
    ) -> Result<TimerKey, Error> {
        if period.is_zero() {
            return Err(Error::Invalid(
                "the period of an interval is more than zero",
            ));
        }
        if period > LONGEST {
            return Err(Error::Invalid(
                "the period of an interval is at most a hundred years",
            ));
        }
        let first = later(self.fresh_now(), period);
        self.add_plain(
            name,
            move |state, scope, event| {
                let Event::Timer { key, deadline, .. } = event else {
                    return Ok(());
                };
                let result = handler(state, scope, deadline);
                if scope.timer_deadline(key).is_none() {
                    let next = next_period(missed, deadline, period, scope.fresh_now());
                    scope.set_timer(key, next);
                }
                result
            },
            |scope, source| scope.own_timer(source, 0, first),
        )
    }

    /// Adds a source that is one closure and ends with the one thing that `register` registers for it.
    pub(crate) fn add_plain<K, E>(
        &mut self,
        name: &str,
        on_event: impl FnMut(&mut S, &mut Scope<S>, Event) -> Result<(), BoxError> + 'static,
        register: impl FnOnce(&mut Self, SourceKey) -> Result<K, E>,
    ) -> Result<K, E> {
        let source = self.insert_source(name, Some(Box::new(Plain(on_event))), true);
        register(self, source).inspect_err(|_| {
            self.remove_source(source);
        })
    }
}

/// A source that is one closure.
pub(crate) struct Plain<H>(pub(crate) H);

impl<S, H> Source<S> for Plain<H>
where
    H: FnMut(&mut S, &mut Scope<S>, Event) -> Result<(), BoxError>,
{
    fn start(&mut self, _scope: &mut Scope<S>, _me: SourceKey) -> Result<(), Error> {
        Ok(())
    }

    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        (self.0)(state, scope, event)
    }
}
