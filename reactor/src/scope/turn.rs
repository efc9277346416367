//! One turn of the loop.
//!
//! Whatever is to be handled stands in a queue of the scope until right before its handler runs. So where a handler
//! panics and the panic is caught outside, the next turn goes on with the rest.

use std::time::{Duration, Instant};

use super::{ReadyItem, Scope};
use crate::arena::Key;
use crate::backend::{Token, Until};
use crate::clock::Clock;
use crate::metrics::Holder;
use crate::{
    Error, Event, FdKey, Ready, SocketKey, SourceKey, TicketClassKey, TicketKey, TimerKey,
};

/// While a ROUTER holds back messages for a peer it is tried again at least so often: a peer that has room again may go
/// unnoticed, since a ROUTER can be written to as long as any of its peers can.
const RETRY: Duration = Duration::from_millis(10);

/// What came due and waits for its turn.
#[derive(Clone, Copy)]
pub(super) enum Due {
    Timer(TimerKey),
    Ticket(TicketKey),
}

impl<S: 'static> Scope<S> {
    /// Sleeps until something is to be done, `limit` at most, and does it.
    pub(crate) fn turn(&mut self, state: &mut S, limit: Option<Duration>) -> Result<(), Error> {
        self.recover(state);
        self.settle();
        self.run_before_sleep(state);
        let waited = self.wait(limit);
        self.see_time(*waited.as_ref().unwrap_or(&true));
        waited?;
        self.run_remote(state);
        self.run_due(state);
        self.settle();
        self.run_ready(state);
        self.run_deferred(state);
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Reads the clock for those who use the scope between runs, or for a turn that follows what is not the loop's.
    pub(crate) fn refresh_now(&mut self) {
        self.now = self.clock.now();
        self.mark = self.meter.is_on().then_some(self.now);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop
    }

    /// Whether a stop was asked for, which is forgotten with that.
    pub(crate) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }

    /// Tells every source that the run ends. Who stops it once more in reply stops no more than this run.
    pub(crate) fn say_stopping(&mut self, state: &mut S) -> Result<(), Error> {
        for source in self.sources.keys() {
            self.dispatch(state, SourceKey(source), Event::Stopping);
        }
        self.take_stop();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Sees a stop that another thread asked for before there was a turn to see it.
    pub(crate) fn see_remote_stop(&mut self) {
        self.stop |= self.waker.take_stop();
    }

    /// Puts in order what a panic left behind.
    fn recover(&mut self, state: &mut S) {
        while let Some(source) = self.starting.pop() {
            let name = self.name_of(source);
            self.remove_for(state, source, &name, "it panicked when it started".into());
        }
        if let Some(source) = self.running.take() {
            let name = self.name_of(source);
            self.remove_for(state, source, &name, "its handler panicked".into());
        }
        if !self.post_buffer.is_empty() || !self.notified_buffer.is_empty() {
            self.waker.wake();
        }
    }

    /// Whether there is something to do without waiting for it.
    fn is_busy(&self) -> bool {
        self.stop
            || !self.ready.is_empty()
            || !self.batch.is_empty()
            || !self.deferred.is_empty()
            || !self.due_buffer.is_empty()
    }

    /// Tells those who asked for it that the reactor is about to sleep, and sees what they did.
    fn run_before_sleep(&mut self, state: &mut S) {
        if self.hook_order.is_empty() || self.is_busy() || self.waker.is_woken() || self.is_due() {
            return;
        }
        let mut hooks = std::mem::take(&mut self.hook_buffer);
        hooks.extend_from_slice(&self.hook_order);
        for key in hooks.drain(..) {
            // Another hook may have removed it.
            if let Some((owner, tag)) = self.hook_of(key) {
                self.dispatch(state, owner, Event::BeforeSleep { tag, key });
                self.note(Holder::Source(owner));
            }
        }
        self.hook_buffer = hooks;
        self.settle();
    }

    /// Waits for signals and notes what they are about. Tells whether time may have passed.
    fn wait(&mut self, limit: Option<Duration>) -> Result<bool, Error> {
        let mut signals = std::mem::take(&mut self.signal_buffer);
        let result = if self.is_busy() {
            self.poll.wait(Until::Now, &mut signals).map(|()| false)
        } else {
            match &self.clock {
                Clock::Monotonic => {
                    let until = self.until(limit);
                    self.poll.wait(until, &mut signals).map(|()| true)
                }
                Clock::Virtual(_) => self.wait_virtually(limit, &mut signals).map(|()| true),
            }
        };
        for signal in signals.drain(..) {
            match signal.token {
                Token::Socket(short) => {
                    if let Some(key) = self.sockets.find(short) {
                        // The key was made from what is there.
                        let _ = self.touch(SocketKey(key));
                    }
                }
                Token::Fd(short) => {
                    if let Some(key) = self.fds.find(short) {
                        self.signal_fd(key, signal.ready);
                    }
                }
            }
        }
        self.signal_buffer = signals;
        result.map_err(Error::Io)
    }

    /// When the sleep ends at the latest.
    fn until(&mut self, limit: Option<Duration>) -> Until {
        let limit = match (limit, self.stuck) {
            (Some(limit), 0) => Some(limit),
            (None, 0) => None,
            (limit, _) => Some(limit.unwrap_or(RETRY).min(RETRY)),
        };
        if limit == Some(Duration::ZERO) {
            return Until::Now;
        }
        let limit = limit.map(|limit| super::timing::later(self.clock.now(), limit));
        earliest(self.next_due(), limit).map_or(Until::Something, Until::Deadline)
    }

    /// When the next timer or ticket is due.
    pub(super) fn next_due(&mut self) -> Option<Instant> {
        earliest(self.timers.next(), self.tickets.next())
    }

    /// Whether a timer or a ticket is due by now.
    pub(super) fn is_due(&mut self) -> bool {
        let now = self.mark.unwrap_or_else(|| self.clock.now());
        self.next_due().is_some_and(|due| due <= now)
    }

    /// With a virtual clock: looks whether something is ready, and if not goes to the next deadline. Where there is
    /// none, time has nowhere to go, and only the world outside can do something.
    fn wait_virtually(
        &mut self,
        limit: Option<Duration>,
        signals: &mut Vec<crate::backend::Signal>,
    ) -> std::io::Result<()> {
        self.poll.wait(Until::Now, signals)?;
        if !signals.is_empty() || self.waker.is_woken() {
            return Ok(());
        }
        let next = self.next_due();
        let Clock::Virtual(clock) = &self.clock else {
            return Ok(());
        };
        let limit = limit.map(|limit| super::timing::later(clock.now(), limit));
        match earliest(next, limit) {
            Some(moment) => clock.advance_to(moment),
            None => self.poll.wait(Until::Something, signals)?,
        }
        Ok(())
    }

    /// Sets the time of this turn. Where the turn before ended a moment ago, its end is good enough.
    fn see_time(&mut self, slept: bool) {
        self.now = match self.mark {
            Some(mark) if !slept => mark,
            mark => {
                let now = self.clock.now();
                if let Some(mark) = mark {
                    self.meter.slept(now.saturating_duration_since(mark));
                }
                now
            }
        };
        self.meter.turn();
        self.mark = self.meter.is_on().then_some(self.now);
    }

    /// Notes how long somebody held the loop, until now.
    pub(super) fn note(&mut self, holder: Holder) {
        let Some(mark) = self.mark else { return };
        let now = self.clock.now();
        self.mark = Some(now);
        let held = now.saturating_duration_since(mark);
        if self.meter.held(held) {
            let name = match holder {
                Holder::Source(source) => self.name_of(source),
                Holder::Posted => "posted work".into(),
                Holder::Deferred => "deferred work".into(),
            };
            self.meter.name_holder(name, held);
        }
    }

    /// Notes how late something is that was due.
    fn note_lateness(&mut self, owner: SourceKey, deadline: Instant) {
        let Some(mark) = self.mark else { return };
        let late = mark.saturating_duration_since(deadline);
        if self.meter.late(late) {
            let name = self.name_of(owner);
            self.meter.name_latest(name, late);
        }
    }

    fn signal_fd(&mut self, key: Key, ready: Ready) {
        let Some(slot) = self.fds.get_mut(key) else {
            return;
        };
        slot.signalled.merge(ready);
        if !slot.queued {
            slot.queued = true;
            self.ready.push(ReadyItem::Fd(FdKey(key)));
        }
    }

    /// Does what other threads asked for; what they ask for meanwhile is for the next turn.
    fn run_remote(&mut self, state: &mut S) {
        if !self.waker.take_woken() {
            return;
        }
        self.see_remote_stop();
        // Where there is a rest, after a panic, the wake that called for it is followed by another.
        if self.post_buffer.is_empty() && self.notified_buffer.is_empty() {
            self.posts.take(&mut self.post_buffer);
            self.notified_buffer.extend(self.waker.take_notified());
        } else {
            self.waker.wake();
        }
        while let Some(post) = self.post_buffer.pop_front() {
            post(state, self);
            self.note(Holder::Posted);
        }
        while let Some(source) = self.notified_buffer.pop_front() {
            self.dispatch(state, source, Event::Notified);
            self.note(Holder::Source(source));
        }
    }

    /// Collects what is due before any of it runs, so that a handler that sets timers cannot keep the pass from ending.
    fn run_due(&mut self, state: &mut S) {
        self.collect_due();
        while let Some(due) = self.due_buffer.pop_front() {
            // Another handler may have cancelled or moved it since.
            match due {
                Due::Timer(key) => self.run_timer(state, key),
                Due::Ticket(key) => self.run_ticket(state, key),
            }
        }
    }

    fn collect_due(&mut self) {
        let now = self.now;
        loop {
            let timer = self.timers.next().filter(|at| *at <= now);
            let ticket = self.tickets.next().filter(|at| *at <= now);
            let due = match (timer, ticket) {
                (None, None) => return,
                (Some(timer), Some(ticket)) if ticket < timer => self.pop_ticket(now),
                (None, Some(_)) => self.pop_ticket(now),
                (Some(_), _) => self.timers.pop_due(now).map(TimerKey).map(Due::Timer),
            };
            self.due_buffer.extend(due);
        }
    }

    fn pop_ticket(&mut self, now: Instant) -> Option<Due> {
        self.tickets.pop_due(now).map(TicketKey).map(Due::Ticket)
    }

    fn run_timer(&mut self, state: &mut S, key: TimerKey) {
        let Some(deadline) = self.timers.begin(key.0) else {
            return;
        };
        let Some(slot) = self.timers.get(key.0) else {
            return;
        };
        let (owner, tag) = (slot.owner, slot.tag);
        self.note_lateness(owner, deadline);
        self.dispatch(state, owner, Event::Timer { tag, key, deadline });
        self.note(Holder::Source(owner));
        if self.timers.is_spent(key.0) {
            self.cancel_timer(key);
        }
    }

    fn run_ticket(&mut self, state: &mut S, key: TicketKey) {
        let Some(expired) = self.tickets.begin(key.0) else {
            return;
        };
        let Some(class) = self.tickets.class(expired.class) else {
            return;
        };
        let (owner, tag) = (class.owner, class.tag);
        self.note_lateness(owner, expired.deadline);
        let event = Event::Ticket {
            tag,
            class: TicketClassKey(expired.class),
            key,
            about: expired.about,
            deadline: expired.deadline,
        };
        self.dispatch(state, owner, event);
        self.tickets.finish(key.0);
        self.note(Holder::Source(owner));
    }

    /// Does what was put off until now; what is put off meanwhile is for the next turn.
    fn run_deferred(&mut self, state: &mut S) {
        for _ in 0..self.deferred.len() {
            let Some(work) = self.deferred.pop_front() else {
                return;
            };
            work(state, self);
            self.note(Holder::Deferred);
        }
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
