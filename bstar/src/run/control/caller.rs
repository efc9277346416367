//! Asking a node by its control socket.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connection::{Answer, Command, read_line};
use super::place;
use super::report::Report;
use crate::core::Role;

/// A node that lives answers within this, unless it was asked for what takes longer.
const ANSWERS: Duration = Duration::from_secs(5);
/// An answer is at most so long.
const MAX_ANSWER: usize = 1 << 20;

/// Why a node was not asked, or what it answered in place of an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CallError {
    #[error("no bstar runs here: no socket of {what} in {}; --control tells where it is", directory.display())]
    NoneFound { what: String, directory: PathBuf },
    #[error("several nodes run here: choose one by --control or --pair and --role: {}", list(.0))]
    Several(Vec<PathBuf>),
    #[error("no bstar runs here: {} is not there", .0.display())]
    NotThere(PathBuf),
    #[error("no bstar runs here: nobody listens at {} any more", .0.display())]
    Dead(PathBuf),
    #[error("no bstar runs here: {} is no socket", .0.display())]
    NoSocket(PathBuf),
    #[error("{} may be used by its owner and root only", .0.display())]
    Forbidden(PathBuf),
    #[error("{} does not answer within {}", path.display(), seconds(*.within))]
    Silent { path: PathBuf, within: Duration },
    #[error("the bstar at {} ended before it answered", .0.display())]
    Ended(PathBuf),
    #[error("cannot ask {}: {error}", path.display())]
    Failed { path: PathBuf, error: io::Error },
    #[error("{} answers what is no answer: is it a control socket of bstar, of this version?", .0.display())]
    Garbage(PathBuf),
    #[error("{0}")]
    Refused(String),
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

fn seconds(within: Duration) -> String {
    format!("{} s", within.as_secs())
}

/// The one socket that is meant: by its path, or the only one of such a node in the default directory.
pub(crate) fn find(
    control: Option<&Path>,
    pair: Option<&str>,
    role: Option<Role>,
) -> Result<PathBuf, CallError> {
    if let Some(path) = control {
        return Ok(path.to_owned());
    }
    let (directory, mut found) = place::find(pair, role);
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (Some(path), false) => {
            found.push(path);
            Err(CallError::Several(found))
        }
        (None, _) => Err(CallError::NoneFound {
            what: match (pair, role) {
                (Some(pair), Some(role)) => format!("the {role} of the pair {pair}"),
                (Some(pair), None) => format!("the pair {pair}"),
                (None, Some(role)) => format!("a {role}"),
                (None, None) => "a node".to_owned(),
            },
            directory,
        }),
    }
}

/// Asks one node.
pub(crate) struct Caller {
    path: PathBuf,
}

impl Caller {
    pub(crate) fn new(path: PathBuf) -> Caller {
        Caller { path }
    }

    /// What the node knows.
    pub(crate) fn status(&self) -> Result<Report, CallError> {
        match self.ask(Command::Status, ANSWERS)? {
            Answer::Report(report) => Ok(*report),
            Answer::Done { .. } | Answer::Error { .. } => {
                Err(CallError::Garbage(self.path.clone()))
            }
        }
    }

    /// Waits for as long as that takes at this node, which is asked before.
    pub(crate) fn switch_over(&self) -> Result<String, CallError> {
        let within = self.status()?.switchover_within_ms;
        self.done(Command::Switchover, Duration::from_millis(within) + ANSWERS)
    }

    pub(crate) fn set_maintenance(&self, on: bool) -> Result<String, CallError> {
        self.done(Command::Maintenance { on }, ANSWERS)
    }

    pub(crate) fn promote(&self) -> Result<String, CallError> {
        self.done(Command::Promote { force: true }, ANSWERS)
    }

    fn done(&self, command: Command, within: Duration) -> Result<String, CallError> {
        match self.ask(command, within)? {
            Answer::Done { done } => Ok(done),
            Answer::Report(_) | Answer::Error { .. } => Err(CallError::Garbage(self.path.clone())),
        }
    }

    /// What is answered, unless that is an error.
    fn ask(&self, command: Command, within: Duration) -> Result<Answer, CallError> {
        let answer = self
            .exchange(command, within)
            .map_err(|error| self.explain(error, within))?;
        match serde_json::from_str(&answer) {
            Ok(Answer::Error { error }) => Err(CallError::Refused(error)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!(%error, "an answer that is none");
                Err(CallError::Garbage(self.path.clone()))
            }
        }
    }

    fn exchange(&self, command: Command, within: Duration) -> io::Result<String> {
        let mut question = serde_json::to_string(&command).map_err(io::Error::other)?;
        question.push('\n');
        let stream = place::connect(&self.path)?;
        stream.set_write_timeout(Some(ANSWERS))?;
        // Who is busy answers before it was asked, and does not read.
        let asked = (&stream).write_all(question.as_bytes());
        read_line(&stream, MAX_ANSWER, within).map_err(|error| asked.err().unwrap_or(error))
    }

    fn explain(&self, error: io::Error, within: Duration) -> CallError {
        use io::ErrorKind::*;
        let path = self.path.clone();
        match error.kind() {
            NotFound => CallError::NotThere(path),
            ConnectionRefused if !place::is_socket(&path) => CallError::NoSocket(path),
            ConnectionRefused => CallError::Dead(path),
            PermissionDenied => CallError::Forbidden(path),
            WouldBlock | TimedOut => CallError::Silent { path, within },
            InvalidData => CallError::Garbage(path),
            UnexpectedEof | BrokenPipe | ConnectionReset => CallError::Ended(path),
            _ => CallError::Failed { path, error },
        }
    }
}
