//! polling, which knows edges, levels, and signals that come once: level semantics come from arming a descriptor anew
//! after each delivery.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::{Event, Events, PollMode, Poller};

use super::{Poll, SIGNALS, Signal, Token, Until, Wake};
use crate::{Interest, Ready, raw};

pub(super) struct PollingPoll {
    poller: Arc<Poller>,
    events: Events,
}

impl PollingPoll {
    pub(super) fn new() -> io::Result<Self> {
        let capacity = NonZeroUsize::new(SIGNALS).expect("the constant is not zero");
        Ok(Self {
            poller: Arc::new(Poller::new()?),
            events: Events::with_capacity(capacity),
        })
    }
}

impl Poll for PollingPoll {
    fn wait(&mut self, until: Until, signals: &mut Vec<Signal>) -> io::Result<()> {
        let timeout = match until {
            Until::Now => Some(Duration::ZERO),
            Until::Deadline(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Until::Something => None,
        };
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        for event in self.events.iter() {
            let error = event.is_err().unwrap_or(false);
            signals.push(Signal {
                token: Token::unpack(event.key),
                ready: Ready {
                    readable: event.readable || error,
                    writable: event.writable || error,
                    error,
                    // It does not say, so it may be.
                    ended: event.readable || error,
                },
            });
        }
        Ok(())
    }

    fn add_edge(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        raw::polling_add(&self.poller, fd, translate(token, interest), PollMode::Edge)
    }

    fn add_once(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        raw::polling_add(
            &self.poller,
            fd,
            translate(token, interest),
            PollMode::Oneshot,
        )
    }

    fn rearm(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        raw::polling_modify(
            &self.poller,
            fd,
            translate(token, interest),
            PollMode::Oneshot,
        )
    }

    fn remove(&mut self, fd: RawFd) -> io::Result<()> {
        raw::polling_delete(&self.poller, fd)
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.poller.clone()
    }
}

impl Wake for Poller {
    fn wake(&self) -> io::Result<()> {
        self.notify()
    }
}

fn translate(token: Token, interest: Interest) -> Event {
    Event::new(token.pack(), interest.is_read(), interest.is_write())
}
