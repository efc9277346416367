//! mio, which knows edges only: level semantics come from arming a descriptor anew after each delivery.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest as MioInterest, Token as MioToken, Waker};

use super::alarm::Alarm;
use super::{Poll, SIGNALS, Signal, Token, Until, Wake};
use crate::{Interest, Ready};

/// The waker's and the alarm's; slots never reach them.
const WAKE: MioToken = MioToken(usize::MAX);
const ALARM: MioToken = MioToken(usize::MAX - 1);

pub(super) struct MioPoll {
    poll: mio::Poll,
    events: Events,
    waker: Arc<Waker>,
    alarm: Alarm,
}

impl MioPoll {
    pub(super) fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(SIGNALS),
            waker,
            alarm,
        })
    }
}

impl Poll for MioPoll {
    fn wait(&mut self, until: Until, signals: &mut Vec<Signal>) -> io::Result<()> {
        let timeout = match until {
            Until::Now => Some(Duration::ZERO),
            Until::Deadline(deadline) => self.alarm.set(deadline)?,
            Until::Something => None,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            match event.token() {
                WAKE => continue,
                ALARM => {
                    self.alarm.rang();
                    continue;
                }
                _ => {}
            }
            let error = event.is_error();
            signals.push(Signal {
                token: Token::unpack(event.token().0),
                ready: Ready {
                    readable: event.is_readable() || event.is_read_closed() || error,
                    writable: event.is_writable() || event.is_write_closed() || error,
                    error,
                    ended: event.is_read_closed() || event.is_priority() || error,
                },
            });
        }
        Ok(())
    }

    fn add_edge(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        let interest = translate(interest);
        // An urgent byte cuts a read short, as the end does, though more may be there: who is told of edges is to know.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | MioInterest::PRIORITY;
        self.poll
            .registry()
            .register(&mut SourceFd(&fd), MioToken(token.pack()), interest)
    }

    fn add_once(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(
            &mut SourceFd(&fd),
            MioToken(token.pack()),
            translate(interest),
        )
    }

    fn rearm(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.poll.registry().reregister(
            &mut SourceFd(&fd),
            MioToken(token.pack()),
            translate(interest),
        )
    }

    fn remove(&mut self, fd: RawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd))
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.waker.clone()
    }
}

impl Wake for Waker {
    fn wake(&self) -> io::Result<()> {
        Waker::wake(self)
    }
}

fn translate(interest: Interest) -> MioInterest {
    match (interest.is_read(), interest.is_write()) {
        (true, true) => MioInterest::READABLE | MioInterest::WRITABLE,
        (false, true) => MioInterest::WRITABLE,
        // Nobody registers for nothing; reading is what does least harm if somebody did.
        (true, false) | (false, false) => MioInterest::READABLE,
    }
}
