//! The one unsafe thing: `ZMQ_FD` as a descriptor that safe interfaces take.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A socket that shows its `ZMQ_FD`.
pub(crate) struct ZmqFd {
    socket: zmq::Socket,
    fd: RawFd,
}

impl ZmqFd {
    pub(crate) fn new(socket: zmq::Socket) -> Self {
        let fd = socket.as_raw_fd();
        Self { socket, fd }
    }

    pub(crate) fn socket(&self) -> &zmq::Socket {
        &self.socket
    }
}

impl AsFd for ZmqFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the socket's own, open and the same until that is closed, which is not before
        // `self` ends.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
