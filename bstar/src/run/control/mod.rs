//! The control socket: one line of JSON is asked, one is answered.
//!
//! ```text
//! {"command":"status"}                        {"version":"0.1.0","state":"active", ...}
//! {"command":"switchover"}                    {"done":"..."}
//! {"command":"maintenance","on":true}         {"done":"..."}
//! {"command":"promote","force":true}          {"done":"..."}
//! anything else, or what fails                {"error":"..."}
//! ```
//!
//! It is a Unix socket of the owner's alone. It is served by a thread of its own and one for each connection, of
//! which there are few at a time, and each has an end; the node itself is never waited for but by these.

mod caller;
mod connection;
mod page;
mod place;
mod report;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::connection::Desk;
use self::place::Place;
use super::board::Board;
use crate::core::Role;
use crate::server::Handle;

pub(crate) use self::caller::{CallError, Caller, find};
pub(crate) use self::page::page;
pub(crate) use self::place::default_path;
#[allow(unused_imports, reason = "for other ways to tell a status")]
pub(crate) use self::report::{Report, report};

/// Where no connection can be accepted, for lack of descriptors, that is tried again after this.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// What does not change about a node.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) pair: String,
    pub(crate) role: Role,
    /// How long a switchover may take: the peer's hooks, what was begun, and this node's own hooks.
    pub(crate) switchover_within: Duration,
    pub(crate) started: Instant,
}

/// Why there is no control socket. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ControlError {
    #[error("another bstar runs this node: it listens at {}", .0.display())]
    Runs(PathBuf),
    #[error("{} is there and is no socket: remove it, or choose another control path", .0.display())]
    NoSocket(PathBuf),
    #[error(
        "others may replace the control socket in {}: let it be yours, or root's, and no one else's to write",
        .0.display()
    )]
    Directory(PathBuf),
    #[error("cannot listen at the control path {}: {error}", path.display())]
    Bind { path: PathBuf, error: io::Error },
    #[error("no thread for the control socket: {0}")]
    Thread(io::Error),
}

/// The socket, as long as this is kept.
pub(crate) struct Control {
    /// Its end ends the thread.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
    /// Removed after the thread has ended.
    _place: Place,
}

impl Control {
    /// Listens, and answers by asking the node and reading the board.
    pub(crate) fn start(
        path: &Path,
        about: About,
        node: Handle,
        board: Board,
    ) -> Result<Control, ControlError> {
        let (listener, place) = Place::bind(path)?;
        let (wake, woken) = UnixStream::pair().map_err(ControlError::Thread)?;
        let desk = Arc::new(Desk::new(about, node, board));
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || listen(&listener, &woken, &desk))
            .map_err(ControlError::Thread)?;
        Ok(Control {
            wake: Some(wake),
            thread: Some(thread),
            _place: place,
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.wake.take();
        if let Some(thread) = self.thread.take() {
            // A panic of its was reported.
            let _ = thread.join();
        }
    }
}

fn listen(listener: &UnixListener, woken: &UnixStream, desk: &Arc<Desk>) {
    loop {
        let mut fds = [
            PollFd::new(woken, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "the control socket is not served any more");
                return;
            }
        }
        if !fds[0].revents().is_empty() {
            return;
        }
        if fds[1].revents().is_empty() {
            continue;
        }
        match listener.accept() {
            Ok((stream, _)) => desk.receive(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket was not accepted");
                // Ends at once when this is to end.
                let _ = poll(&mut fds[..1], Some(&PAUSE));
            }
        }
    }
}
