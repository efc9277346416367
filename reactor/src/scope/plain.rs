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
    pub fn add_socket(
        &mut self,
        name: &str,
        socket: zmq::Socket,
        interest: Interest,
        handler: impl FnMut(&mut S, &mut Scope<S>, SocketKey, Ready) -> Result<(), BoxError> + 'static,
    ) -> Result<SocketKey, Rejected<zmq::Socket>> {
        let source = self.insert_source(name, Some(Box::new(PlainSocket(handler))), true);
        self.own_socket(source, 0, socket, interest)
            .inspect_err(|_| {
                self.remove_source(source);
            })
    }

    /// Registers a descriptor with a handler of its own. See [`own_fd`](Self::own_fd).
    pub fn add_fd<F: AsFd + Send + 'static>(
        &mut self,
        name: &str,
        fd: F,
        interest: Interest,
        handler: impl FnMut(&mut S, &mut Scope<S>, FdKey, Ready) -> Result<(), BoxError> + 'static,
    ) -> Result<FdKey, Rejected<F>> {
        let source = self.insert_source(name, Some(Box::new(PlainFd(handler))), true);
        self.own_fd(source, 0, fd, interest).inspect_err(|_| {
            self.remove_source(source);
        })
    }

    /// Sets a timer with a handler of its own, which gets the deadline and says what happens next. If it fails
    /// instead, and is not stopped for it, the timer ends.
    pub fn add_timer(
        &mut self,
        name: &str,
        at: Instant,
        handler: impl FnMut(&mut S, &mut Scope<S>, Instant) -> Result<Next, BoxError> + 'static,
    ) -> Result<TimerKey, Error> {
        let source = self.insert_source(name, Some(Box::new(PlainTimer(handler))), true);
        self.own_timer(source, 0, at)
    }

    /// Calls a handler once a period, which is more than zero, first after one period. An error that does not stop
    /// the reactor or remove the source does not end the interval either. The handler that moves it by
    /// [`set_timer`](Self::set_timer) begins a new phase.
    pub fn add_interval(
        &mut self,
        name: &str,
        period: Duration,
        missed: Missed,
        handler: impl FnMut(&mut S, &mut Scope<S>, Instant) -> Result<(), BoxError> + 'static,
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
        let source = self.insert_source(
            name,
            Some(Box::new(PlainInterval {
                period,
                missed,
                handler,
            })),
            true,
        );
        self.own_timer(source, 0, first)
    }
}

struct PlainSocket<H>(H);

impl<S, H> Source<S> for PlainSocket<H>
where
    H: FnMut(&mut S, &mut Scope<S>, SocketKey, Ready) -> Result<(), BoxError>,
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
        match event {
            Event::Socket { key, ready, .. } => (self.0)(state, scope, key, ready),
            Event::Fd { .. } | Event::Timer { .. } | Event::Notified | Event::Stopping => Ok(()),
        }
    }
}

struct PlainFd<H>(H);

impl<S, H> Source<S> for PlainFd<H>
where
    H: FnMut(&mut S, &mut Scope<S>, FdKey, Ready) -> Result<(), BoxError>,
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
        match event {
            Event::Fd { key, ready, .. } => (self.0)(state, scope, key, ready),
            Event::Socket { .. } | Event::Timer { .. } | Event::Notified | Event::Stopping => {
                Ok(())
            }
        }
    }
}

struct PlainTimer<H>(H);

impl<S: 'static, H> Source<S> for PlainTimer<H>
where
    H: FnMut(&mut S, &mut Scope<S>, Instant) -> Result<Next, BoxError>,
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
        let Event::Timer { key, deadline, .. } = event else {
            return Ok(());
        };
        // A timer that its handler cancelled stays so, whatever the handler says then: the key is stale.
        match (self.0)(state, scope, deadline)? {
            Next::Done => {}
            Next::At(at) => {
                scope.set_timer(key, at);
            }
            Next::After(delay) => {
                scope.set_timer(key, later(scope.fresh_now(), delay));
            }
        }
        Ok(())
    }
}

struct PlainInterval<H> {
    period: Duration,
    missed: Missed,
    handler: H,
}

impl<S: 'static, H> Source<S> for PlainInterval<H>
where
    H: FnMut(&mut S, &mut Scope<S>, Instant) -> Result<(), BoxError>,
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
        let Event::Timer { key, deadline, .. } = event else {
            return Ok(());
        };
        let result = (self.handler)(state, scope, deadline);
        if scope.timer_deadline(key).is_none() {
            scope.set_timer(
                key,
                next_period(self.missed, deadline, self.period, scope.fresh_now()),
            );
        }
        result
    }
}
