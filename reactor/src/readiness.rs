//! What one waits for, and what came.

use std::ops::{BitOr, BitOrAssign};

/// What a socket or a descriptor is watched for.
///
/// **Ask for writing only while there is something to write.** A socket that can take a message is ready for writing
/// all the time: its handler would be called in every turn, and the reactor would never sleep. Of a ROUTER, a PUB and
/// an XPUB, which are always ready, it is [refused](crate::Scope::own_socket).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    read: bool,
    write: bool,
}

impl Interest {
    /// Nothing: the registration pauses, and what happens meanwhile is seen when it goes on.
    pub const NONE: Interest = Interest {
        read: false,
        write: false,
    };
    /// There is something to read.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
    };
    /// There is room to write.
    pub const WRITE: Interest = Interest {
        read: false,
        write: true,
    };

    /// Whether reading is among it.
    pub const fn is_read(self) -> bool {
        self.read
    }

    /// Whether writing is among it.
    pub const fn is_write(self) -> bool {
        self.write
    }

    /// Whether it is [`Interest::NONE`].
    pub const fn is_none(self) -> bool {
        !self.read && !self.write
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest {
            read: self.read || other.read,
            write: self.write || other.write,
        }
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = *self | other;
    }
}

/// What a handler was called for.
///
/// It is a hint. Of a descriptor, since another process that shares it may have been faster; of a socket, since
/// after one message it is tried whether there is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Ready {
    /// There is something to read, or the end of it; never set without interest in reading.
    pub readable: bool,
    /// There is room to write, or nobody left to read; never set without interest in writing.
    pub writable: bool,
    /// A descriptor is in error; it is then readable and writable too, as far as these are of interest. Of a ZeroMQ
    /// socket: its context was terminated. Such a socket is reported once, and is good for nothing but removing.
    pub error: bool,
    /// The end of what a descriptor has to read may be here already, or an urgent byte of TCP: a read that fills less
    /// than its buffer is then not sure to be the last. Of use to those who are told of [edges](crate::Scope::own_edge_fd) only.
    pub ended: bool,
}

impl Ready {
    pub(crate) const NONE: Ready = Ready {
        readable: false,
        writable: false,
        error: false,
        ended: false,
    };

    #[inline]
    pub(crate) fn masked(self, interest: Interest) -> Ready {
        Ready {
            readable: self.readable && interest.read,
            writable: self.writable && interest.write,
            ..self
        }
    }

    #[inline]
    pub(crate) fn any(self) -> bool {
        self.readable || self.writable || self.error
    }

    pub(crate) fn merge(&mut self, other: Ready) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.error |= other.error;
        self.ended |= other.ended;
    }
}
