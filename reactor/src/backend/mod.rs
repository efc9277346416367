//! Who tells what is ready: a small trait, and two crates behind it.

mod alarm;
mod mio;
mod polling;

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use crate::{Interest, Ready};

/// Which crate asks the operating system what is ready. Both behave the same; one suite of tests runs on both.
///
/// The default is the one that measures better. A wait on polling costs five system calls (it sets a timer and arms
/// two descriptors anew each time) where mio makes one. On Linux the timers of both are exact to the microsecond;
/// elsewhere those on mio may come a millisecond late. Neither is ever early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// [mio](https://docs.rs/mio).
    #[default]
    Mio,
    /// [polling](https://docs.rs/polling).
    Polling,
}

impl Backend {
    pub(crate) fn open(self) -> io::Result<Box<dyn Poll>> {
        Ok(match self {
            Backend::Mio => Box::new(mio::MioPoll::new()?),
            Backend::Polling => Box::new(polling::PollingPoll::new()?),
        })
    }
}

/// How many signals one wait fetches. Those beyond it come with the next: the system serves them in turn.
const SIGNALS: usize = 1024;

/// What the reactor needs of the operating system.
pub(crate) trait Poll {
    /// Waits for a signal, for a wake, or until it is time. Appends to `signals`. May return early with nothing.
    fn wait(&mut self, until: Until, signals: &mut Vec<Signal>) -> io::Result<()>;

    /// Watches `fd` for reading and signals each new arrival once.
    fn add_edge(&mut self, fd: RawFd, token: Token) -> io::Result<()>;

    /// Watches `fd` and signals as long as it is ready. The interest is not empty.
    fn add_level(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Changes the interest of what [`add_level`](Self::add_level) added. The interest is not empty.
    fn modify_level(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// To be called after each signal of a level descriptor was delivered, where edges are all the system gives.
    fn rearm(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Stops watching `fd`.
    fn remove(&mut self, fd: RawFd) -> io::Result<()>;

    /// What ends a wait from another thread, or keeps the next one from waiting.
    fn waker(&self) -> Arc<dyn Wake>;
}

/// How long a wait lasts when nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// It does not wait, it only looks.
    Now,
    /// This moment.
    Deadline(Instant),
    /// For ever.
    Something,
}

pub(crate) trait Wake: Send + Sync {
    fn wake(&self) -> io::Result<()>;
}

/// What a descriptor was registered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The `ZMQ_FD` of the socket in this slot.
    Socket(usize),
    /// The descriptor in this slot.
    Fd(usize),
}

impl Token {
    /// Slots are below 2³², and `usize::MAX` is left to the wakers.
    fn pack(self) -> usize {
        match self {
            Token::Socket(slot) => slot << 1,
            Token::Fd(slot) => slot << 1 | 1,
        }
    }

    fn unpack(packed: usize) -> Self {
        if packed & 1 == 0 {
            Token::Socket(packed >> 1)
        } else {
            Token::Fd(packed >> 1)
        }
    }
}

pub(crate) struct Signal {
    pub(crate) token: Token,
    pub(crate) ready: Ready,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        for token in [
            Token::Socket(0),
            Token::Fd(0),
            Token::Socket(7),
            Token::Fd(1 << 20),
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
