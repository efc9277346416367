//! One turn of the loop.

use std::time::Duration;

use super::sockets::Knowledge;
use super::{ReadyItem, Scope};
use crate::arena::Key;
use crate::backend::{Token, Until};
use crate::clock::Clock;
use crate::{BoxError, Error, ErrorPolicy, Event, FdKey, Ready, SocketKey, SourceKey, TimerKey};

impl<S: 'static> Scope<S> {
    /// Sleeps until something is to be done, `limit` at most, and does it.
    pub(crate) fn turn(&mut self, state: &mut S, limit: Option<Duration>) -> Result<(), Error> {
        self.settle();
        self.wait(limit)?;
        self.now = self.clock.now();
        self.run_remote(state);
        self.run_timers(state);
        self.settle();
        self.run_ready(state);
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Reads the clock for those who use the scope between runs.
    pub(crate) fn refresh_now(&mut self) {
        self.now = self.clock.now();
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

    /// Waits for signals and notes what they are about.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        let mut signals = std::mem::take(&mut self.signal_buffer);
        let result = match &self.clock {
            _ if self.stop || !self.ready.is_empty() => self.poll.wait(Until::Now, &mut signals),
            Clock::Monotonic => {
                let limit = limit.map(|limit| super::timing::later(self.clock.now(), limit));
                let until = match (self.timers.next(), limit) {
                    (Some(next), Some(limit)) => Until::Deadline(next.min(limit)),
                    (Some(moment), None) | (None, Some(moment)) => Until::Deadline(moment),
                    (None, None) => Until::Something,
                };
                self.poll.wait(until, &mut signals)
            }
            Clock::Virtual(_) => self.wait_virtually(limit, &mut signals),
        };
        for signal in signals.drain(..) {
            match signal.token {
                Token::Socket(slot) => {
                    if let Some(key) = self.sockets.key_at(slot) {
                        // The key was made from what is there.
                        let _ = self.touch(SocketKey(key));
                    }
                }
                Token::Fd(slot) => {
                    if let Some(key) = self.fds.key_at(slot) {
                        self.signal_fd(key, signal.ready);
                    }
                }
            }
        }
        self.signal_buffer = signals;
        result.map_err(Error::Io)
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
        let Clock::Virtual(clock) = &self.clock else {
            return Ok(());
        };
        let limit = limit.map(|limit| super::timing::later(clock.now(), limit));
        match (self.timers.next(), limit) {
            (Some(next), Some(limit)) => clock.advance_to(next.min(limit)),
            (Some(moment), None) | (None, Some(moment)) => clock.advance_to(moment),
            (None, None) => self.poll.wait(Until::Something, signals)?,
        }
        Ok(())
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
        let mut posts = std::mem::take(&mut self.post_buffer);
        self.posts.take(&mut posts);
        for post in posts.drain(..) {
            post(state, self);
        }
        self.post_buffer = posts;
        for source in self.waker.take_notified() {
            self.dispatch(state, source, Event::Notified);
        }
    }

    /// Collects the timers that are due before any of them runs, so that one that sets others cannot keep the pass
    /// from ending.
    fn run_timers(&mut self, state: &mut S) {
        let mut due = std::mem::take(&mut self.due_buffer);
        while let Some(key) = self.timers.pop_due(self.now) {
            due.push(TimerKey(key));
        }
        for key in due.drain(..) {
            // Another handler may have cancelled or moved it since.
            let Some(deadline) = self.timers.begin(key.0) else {
                continue;
            };
            let Some(slot) = self.timers.get(key.0) else {
                continue;
            };
            let (owner, tag) = (slot.owner, slot.tag);
            self.dispatch(state, owner, Event::Timer { tag, key, deadline });
            if self.timers.is_spent(key.0) {
                self.cancel_timer(key);
            }
        }
        self.due_buffer = due;
    }

    /// Serves those that are ready at this moment, each within its budget, beginning with another in each turn. Who
    /// becomes or stays ready meanwhile is served in the next turn.
    fn run_ready(&mut self, state: &mut S) {
        let mut batch = std::mem::take(&mut self.ready_buffer);
        std::mem::swap(&mut batch, &mut self.ready);
        if !batch.is_empty() {
            let begin = self.rotation % batch.len();
            self.rotation = self.rotation.wrapping_add(1);
            for item in batch[begin..].iter().chain(&batch[..begin]) {
                match *item {
                    ReadyItem::Socket(key) => self.run_socket(state, key),
                    ReadyItem::Fd(key) => self.run_fd(state, key),
                }
            }
            batch.clear();
        }
        self.ready_buffer = batch;
    }

    fn run_socket(&mut self, state: &mut S, key: SocketKey) {
        for round in 0..self.budget {
            let Some(slot) = self.sockets.get_mut(key.0) else {
                return;
            };
            slot.queued = false;
            let ready = if round > 0 && slot.knowledge == Knowledge::Received {
                Ready {
                    readable: true,
                    ..Ready::NONE
                }
                .masked(slot.interest)
            } else {
                slot.refresh();
                slot.ready()
            };
            // Called again only to read more: writing needs no more than one call a turn to go on.
            if !ready.any() || round > 0 && !ready.readable {
                break;
            }
            slot.reported |= ready.error;
            let (owner, tag, interest) = (slot.owner, slot.tag, slot.interest);
            let went_well = self.dispatch(state, owner, Event::Socket { tag, key, ready });
            let Some(slot) = self.sockets.get(key.0) else {
                return;
            };
            // Who did not touch the socket would do no more in a second call than in the first.
            if !went_well || slot.knowledge == Knowledge::Sure || slot.interest != interest {
                break;
            }
        }
        let Some(slot) = self.sockets.get_mut(key.0) else {
            return;
        };
        // What is not known for sure will be looked at before the next sleep.
        if slot.knowledge == Knowledge::Sure && !slot.queued && slot.ready().any() {
            slot.queued = true;
            self.ready.push(ReadyItem::Socket(key));
        }
    }

    fn run_fd(&mut self, state: &mut S, key: FdKey) {
        let Some(slot) = self.fds.get_mut(key.0) else {
            return;
        };
        slot.queued = false;
        let ready = std::mem::replace(&mut slot.signalled, Ready::NONE).masked(slot.interest);
        if slot.interest.is_none() {
            return;
        }
        let (owner, tag) = (slot.owner, slot.tag);
        if ready.any() {
            self.dispatch(state, owner, Event::Fd { tag, key, ready });
        }
        let Some(slot) = self.fds.get(key.0) else {
            return;
        };
        if slot.interest.is_none() {
            return;
        }
        if let Err(error) = self
            .poll
            .rearm(slot.fd, Token::Fd(key.0.index()), slot.interest)
        {
            self.fail(owner, error.into());
        }
    }

    /// Calls a source, taken out of its slot meanwhile. Tells whether it went well.
    fn dispatch(&mut self, state: &mut S, owner: SourceKey, event: Event) -> bool {
        let Some(mut source) = self
            .sources
            .get_mut(owner.0)
            .and_then(|slot| slot.source.take())
        else {
            return false;
        };
        self.running = Some(owner);
        let result = source.on_event(state, self, event);
        self.running = None;
        // One that removed itself is dropped here.
        if let Some(slot) = self.sources.get_mut(owner.0) {
            slot.source = Some(source);
        }
        match result {
            Ok(()) => true,
            Err(error) => {
                self.fail(owner, error);
                false
            }
        }
    }

    /// Does what the source's policy says about an error.
    fn fail(&mut self, owner: SourceKey, error: BoxError) {
        let departed = self.departed.take();
        let known = self
            .sources
            .get(owner.0)
            .map(|slot| (slot.name.clone(), slot.policy));
        let Some((name, policy)) = known.or(departed) else {
            return;
        };
        match policy {
            ErrorPolicy::Stop if self.failure.is_none() => {
                self.failure = Some(Error::Handler {
                    name: name.into(),
                    error,
                });
            }
            ErrorPolicy::Stop => {
                tracing::error!(source = %name, %error, "another handler failed in the same turn")
            }
            ErrorPolicy::Remove => {
                tracing::warn!(source = %name, %error, "handler failed: its source is removed");
                self.remove_source(owner);
            }
            ErrorPolicy::Tolerate => tracing::warn!(source = %name, %error, "handler failed"),
        }
    }
}
