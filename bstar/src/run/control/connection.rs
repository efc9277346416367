//! One connection to the control socket: one question, one answer, and an end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::About;
use super::place::is_ours;
use super::report::{NODE_ANSWERS, Report, report};
use crate::run::board::Board;
use crate::server::Handle;

/// Connections at once.
pub(super) const MAX_CONNECTIONS: usize = 8;
/// A question is at most so long.
pub(super) const MAX_LINE: usize = 4096;
/// It is to be there within this, and so is whoever reads the answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub(crate) enum Command {
    Status,
    Switchover,
    Maintenance {
        on: bool,
    },
    Promote {
        #[serde(default)]
        force: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Error { error: String },
    Done { done: String },
    Report(Box<Report>),
}

/// Answers questions; shared by the threads of all connections.
pub(super) struct Desk {
    about: About,
    node: Handle,
    board: Board,
    connections: AtomicUsize,
}

impl Desk {
    pub(super) fn new(about: About, node: Handle, board: Board) -> Desk {
        Desk {
            about,
            node,
            board,
            connections: AtomicUsize::new(0),
        }
    }

    /// Serves a connection on a thread of its own, if there is room for one more.
    pub(super) fn receive(self: &Arc<Self>, stream: UnixStream) {
        let place = Seat::take(self);
        let reason = match (is_ours(&stream), &place) {
            (Ok(true), Some(_)) => None,
            (Ok(true), None) => Some("too many are asking at once: try again"),
            (Ok(false) | Err(_), _) => Some("only the owner of this node and root may ask it"),
        };
        if let Some(reason) = reason {
            let answer = error(reason);
            // An answer has room in an empty socket; who does not take it goes without.
            let _ = stream.set_nonblocking(true);
            let _ = (&stream).write_all(line(&answer).as_bytes());
            return;
        }
        let spawned = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                if let Some(seat) = place
                    && let Err(error) = serve(&stream, &seat.0)
                {
                    tracing::debug!(%error, "a connection to the control socket ended early");
                }
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for a connection to the control socket");
        }
    }

    fn answer(&self, question: &str) -> Answer {
        let command = match serde_json::from_str(question) {
            Ok(command) => command,
            Err(why) => {
                return error(format_args!(
                    "no such command ({why}); there are {{\"command\":\"status\"}}, switchover, \
                     maintenance with \"on\", and promote with \"force\""
                ));
            }
        };
        match command {
            Command::Status => match report(&self.about, &self.node, &self.board) {
                Ok(report) => Answer::Report(Box::new(report)),
                Err(why) => error(why),
            },
            Command::Switchover => {
                tracing::info!("a switchover is asked for");
                let within = self.about.switchover_within;
                done(self.node.switch_over(within), "this node has stepped back")
            }
            Command::Maintenance { on } => {
                tracing::info!(on, "maintenance is asked for");
                let set = self.node.set_maintenance(on, NODE_ANSWERS);
                done(
                    set,
                    match on {
                        true => "this node takes nothing over by itself any more",
                        false => "this node takes over again when its peer is gone",
                    },
                )
            }
            Command::Promote { force: false } => error(
                "to promote a node says that its peer does not serve, nor begins to: say so by \"force\":true",
            ),
            Command::Promote { force: true } => {
                tracing::warn!("a promotion is asked for");
                done(self.node.promote(NODE_ANSWERS), "this node is active")
            }
        }
    }
}

/// One of the connections that may be there at once.
struct Seat(Arc<Desk>);

impl Seat {
    fn take(desk: &Arc<Desk>) -> Option<Seat> {
        let free = |taken: usize| (taken < MAX_CONNECTIONS).then_some(taken + 1);
        desk.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, free)
            .is_ok()
            .then(|| Seat(Arc::clone(desk)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(stream: &UnixStream, desk: &Desk) -> io::Result<()> {
    let answer = match read_line(stream, MAX_LINE, PATIENCE) {
        Ok(question) => desk.answer(&question),
        Err(why) if why.kind() == io::ErrorKind::InvalidData => error(why),
        Err(why) => return Err(why),
    };
    let mut left = line(&answer).into_bytes();
    let deadline = Instant::now() + PATIENCE;
    while !left.is_empty() {
        stream.set_write_timeout(Some(remaining(deadline)?))?;
        let written = { stream }.write(&left)?;
        left.drain(..written);
    }
    Ok(())
}

/// Reads a line without its end, of at most so many bytes and within this time.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if it is longer, or no text; what else befalls the stream.
pub(super) fn read_line(stream: &UnixStream, most: usize, within: Duration) -> io::Result<String> {
    let deadline = Instant::now() + within;
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut bytes = Vec::new();
    let mut portion = [0; 4096];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let count = { stream }.read(&mut portion)?;
        bytes.extend_from_slice(&portion[..count]);
        let end = bytes.iter().position(|byte| *byte == b'\n');
        if let Some(end) = end {
            bytes.truncate(end);
        } else if count == 0 && bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.len() > most {
            return Err(invalid("the line is too long"));
        }
        // The end of what is said ends the line too.
        if end.is_some() || count == 0 {
            return String::from_utf8(bytes).map_err(|_| invalid("the line is no text"));
        }
    }
}

/// What is left until then, which is not nothing.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn done<E: std::fmt::Display>(result: Result<(), E>, done: &str) -> Answer {
    match result {
        Ok(()) => Answer::Done {
            done: done.to_owned(),
        },
        Err(why) => error(why),
    }
}

fn error(why: impl std::fmt::Display) -> Answer {
    Answer::Error {
        error: why.to_string(),
    }
}

fn line(answer: &Answer) -> String {
    // Nothing in it can fail to be written.
    let mut line = serde_json::to_string(answer).unwrap_or_default();
    line.push('\n');
    line
}
