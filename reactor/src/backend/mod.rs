//! Who tells what is ready: a small trait, and two crates behind it.

mod alarm;
mod mio;
mod polling;

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use crate::arena::ShortKey;
use crate::{FdKey, Interest, Ready, SocketKey};

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

    /// Watches `fd`, signals what it is ready for already, and each new arrival once. The interest is not empty.
    fn add_edge(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Watches `fd` and signals that it is ready, also if it is already: once, and at most once more for each new
    /// arrival. The interest is not empty.
    ///
    /// What is signalled for as long as it is ready could not be stopped where the descriptor was closed by somebody
    /// else and lives on as a duplicate: the system takes no number for it any more.
    fn add_once(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Has what [`add_once`](Self::add_once) added signalled once more, for this interest: after each signal that was
    /// delivered, and where the interest changes. An error says that the descriptor was closed by somebody else.
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

/// What a descriptor was registered as. One that is closed behind the reactor's back may be signalled for as long as
/// the system knows it by a duplicate, and is not to be taken for the next in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The `ZMQ_FD` of this socket.
    Socket(ShortKey),
    /// This descriptor.
    Fd(ShortKey),
}

impl Token {
    pub(crate) fn socket(key: SocketKey) -> Self {
        Token::Socket(key.0.into())
    }

    pub(crate) fn fd(key: FdKey) -> Self {
        Token::Fd(key.0.into())
    }

    /// No slot is the last that can be written, and with that what is left to the wakers: [`usize::MAX`] and the one
    /// before.
    fn pack(self) -> usize {
        match self {
            Token::Socket(key) => key.bits() << 1,
            Token::Fd(key) => key.bits() << 1 | 1,
        }
    }

    fn unpack(packed: usize) -> Self {
        let key = ShortKey::from_bits(packed >> 1);
        if packed & 1 == 0 {
            Token::Socket(key)
        } else {
            Token::Fd(key)
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
        for bits in [0, 1, 7, 1 << 20, usize::MAX >> 1] {
            let key = ShortKey::from_bits(bits);
            for token in [Token::Socket(key), Token::Fd(key)] {
                assert_eq!(Token::unpack(token.pack()), token);
            }
        }
    }
}
