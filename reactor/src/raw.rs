//! The one module with unsafe code: what libzmq and polling offer, and their safe interfaces do not.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use polling::{Event, PollMode, Poller};

/// Sets `ZMQ_XPUB_VERBOSER`, which the `zmq` crate lacks: an XPUB then passes up every subscription and every
/// unsubscription, also those that change nothing, so that a subscriber that comes again is seen.
pub fn set_xpub_verboser(socket: &mut zmq::Socket, on: bool) -> Result<(), zmq::Error> {
    let value = c_int::from(on);
    // SAFETY: the pointer comes from a live socket, borrowed exclusively for the length of the call; libzmq reads as
    // many bytes of `value` as it is told, which is its size.
    let rc = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            zmq_sys::ZMQ_XPUB_VERBOSER as c_int,
            (&raw const value).cast::<c_void>(),
            size_of::<c_int>(),
        )
    };
    outcome(rc)
}

/// Stops a socket monitor, which the `zmq` crate cannot: nothing more is said of this socket.
///
/// To be called before the PAIR that listens is closed. libzmq's I/O thread hands an event to a monitor that nobody
/// listens to by waiting for a listener: for ever, and with it everything else that this thread serves.
pub(crate) fn stop_monitor(socket: &mut zmq::Socket) -> Result<(), zmq::Error> {
    // SAFETY: the pointer comes from a live socket, borrowed exclusively for the length of the call; libzmq takes a
    // null address for the wish to stop.
    let rc = unsafe { zmq_sys::zmq_socket_monitor(socket.as_mut_ptr(), std::ptr::null(), 0) };
    outcome(rc)
}

/// An error of libzmq. The `zmq` crate panics at numbers that it has no name for, and an endpoint may be refused with
/// almost any.
pub(crate) struct Errno(c_int);

impl Errno {
    /// The ones that are told apart.
    pub(crate) fn known(&self) -> Option<zmq::Error> {
        [
            zmq::Error::EADDRINUSE,
            zmq::Error::EADDRNOTAVAIL,
            zmq::Error::ENODEV,
            zmq::Error::ETERM,
        ]
        .into_iter()
        .find(|error| error.to_raw() == self.0)
    }

    /// What libzmq or the system says of it.
    pub(crate) fn message(&self) -> String {
        // SAFETY: libzmq returns a string for any number, which lives at least until the next call on this thread.
        let text = unsafe { CStr::from_ptr(zmq_sys::zmq_strerror(self.0)) };
        text.to_string_lossy().into_owned()
    }
}

/// Binds an endpoint, without a panic for any error.
pub(crate) fn bind(socket: &mut zmq::Socket, endpoint: &CStr) -> Result<(), Errno> {
    // SAFETY: the pointers come from a live socket, borrowed exclusively, and a live string that ends with a zero.
    errno_of(unsafe { zmq_sys::zmq_bind(socket.as_mut_ptr(), endpoint.as_ptr()) })
}

/// Connects to an endpoint, without a panic for any error.
pub(crate) fn connect(socket: &mut zmq::Socket, endpoint: &CStr) -> Result<(), Errno> {
    // SAFETY: as in `bind`.
    errno_of(unsafe { zmq_sys::zmq_connect(socket.as_mut_ptr(), endpoint.as_ptr()) })
}

fn errno_of(rc: c_int) -> Result<(), Errno> {
    if rc == 0 {
        return Ok(());
    }
    // SAFETY: reads a number of the calling thread.
    Err(Errno(unsafe { zmq_sys::zmq_errno() }))
}

fn outcome(rc: c_int) -> Result<(), zmq::Error> {
    if rc == 0 {
        return Ok(());
    }
    // SAFETY: reads a number of the calling thread.
    Err(zmq::Error::from_raw(unsafe { zmq_sys::zmq_errno() }))
}

/// Registers a descriptor with polling.
///
/// The invariant on which this module rests: **whatever is registered belongs to an entry of the reactor, which is
/// let go of only after the descriptor was removed here.** Of a ZeroMQ socket that is its `ZMQ_FD`, which lives as
/// long as the socket; of an `F: AsFd` the descriptor that it showed when it was registered, and since it is lent by
/// shared reference only, nothing can put another in its place.
pub(crate) fn polling_add(
    poller: &Poller,
    fd: RawFd,
    event: Event,
    mode: PollMode,
) -> io::Result<()> {
    // SAFETY: by the invariant above the descriptor is open, and is deleted from the poller before it is closed.
    unsafe { poller.add_with_mode(fd, event, mode) }
}

/// Changes what a registered descriptor is watched for.
pub(crate) fn polling_modify(
    poller: &Poller,
    fd: RawFd,
    event: Event,
    mode: PollMode,
) -> io::Result<()> {
    // SAFETY: by the invariant above the descriptor is open for as long as it is registered, hence during the call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    poller.modify_with_mode(fd, event, mode)
}

/// Removes a registered descriptor.
pub(crate) fn polling_delete(poller: &Poller, fd: RawFd) -> io::Result<()> {
    // SAFETY: as in `polling_modify`.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    poller.delete(fd)
}
