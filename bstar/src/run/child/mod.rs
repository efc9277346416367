//! Processes: each leads a group of its own, is heard line by line, and missed as soon as it is gone.
//!
//! Its end is told by a descriptor (`pidfd_open`, Linux 5.3 and later; without it nothing is started), and not
//! by the end of its output, which a process that it left behind may hold for ever.

mod lines;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use reactor::{BoxError, Error, Event, FdKey, Interest, Scope, Source, SourceKey};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use self::lines::Lines;

/// So much is read of an output in a turn: one that never ends keeps nobody waiting.
const HELPING: usize = 4 * 1024;
/// So many helpings are waited for when the process has ended, more than two pipes hold.
const LAST_HELPINGS: usize = 40;

const TAG_END: usize = 0;
const TAG_STDOUT: usize = 1;
const TAG_STDERR: usize = 2;

/// What a process is for, from which follows how it is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What it says goes to the log, and what it leaves behind when it has ended by itself may stay.
    Hook,
    /// What it says is for those who look closely, and nothing of it stays.
    Check,
    /// What it says goes to the log, nothing of it stays, and its standard input tells it that this program
    /// lives.
    Server,
}

/// A process to be.
pub(super) struct Job<'a> {
    pub(super) purpose: Purpose,
    /// What the log calls it.
    pub(super) name: &'a str,
    /// Program and arguments.
    pub(super) command: &'a [String],
    pub(super) directory: Option<&'a Path>,
    /// Added to this program's own environment.
    pub(super) environment: &'a [(String, String)],
    /// After this it counts as ended, and its group is killed.
    pub(super) timeout: Option<Duration>,
}

/// Why a process did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no such program, or the system is short of something.
    #[error("it cannot be started: {0}")]
    CannotStart(String),
    /// It exited, and not with 0.
    #[error("exit code {0}")]
    Exited(i32),
    /// A signal ended it.
    #[error("killed by signal {0}")]
    Killed(i32),
    /// It was not done in time, and killed.
    #[error("not done within {0:?}")]
    TimedOut(Duration),
    /// It has ended, and the system does not say how.
    #[error("its end was missed: {0}")]
    Missed(String),
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether it exited with 0.
    pub(super) result: Result<(), Failure>,
    /// The last that it said.
    pub(super) said: Option<String>,
}

/// A process that was started. Dropping this does nothing.
#[derive(Clone, Debug)]
pub(super) struct ChildKey {
    leader: Pid,
    fate: Rc<Fate>,
}

/// What a process and its key share.
#[derive(Debug, Default)]
struct Fate {
    /// Its number may be another's by now.
    reaped: Cell<bool>,
    /// Nobody wants to know of its end.
    abandoned: Cell<bool>,
}

impl ChildKey {
    /// The number of the process and of its group.
    pub(super) fn pid(&self) -> Pid {
        self.leader
    }

    /// Whether it has ended, and that was noticed.
    pub(super) fn is_gone(&self) -> bool {
        self.fate.reaped.get()
    }

    /// Asks the process, and nobody else of its group, to end.
    pub(super) fn terminate(&self) {
        if !self.fate.reaped.get() {
            note_failure(kill_process(self.leader, Signal::TERM));
        }
    }

    /// Kills the group. Its end is told.
    pub(super) fn kill(&self) {
        if !self.fate.reaped.get() {
            note_failure(kill_process_group(self.leader, Signal::KILL));
        }
    }

    /// Kills the group. Its end is not told.
    pub(super) fn abandon(&self) {
        self.fate.abandoned.set(true);
        self.kill();
    }
}

/// A signal finds everyone that was not reaped; where it does not, there is nothing to do but to say so.
fn note_failure(sent: rustix::io::Result<()>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "a signal found nobody");
    }
}

/// Starts a process, and calls `on_end` once, in a later turn.
///
/// Starting waits until the system has loaded the program. Gives the key, and for a [`Purpose::Server`] the pipe
/// whose end tells it that this program is gone.
pub(super) fn spawn<S: 'static>(
    scope: &mut Scope<S>,
    job: &Job<'_>,
    on_end: impl FnOnce(&mut S, &mut Scope<S>, Ended) + 'static,
) -> Result<(ChildKey, Option<ChildStdin>), Failure> {
    let cannot = |error: io::Error| Failure::CannotStart(error.to_string());
    let (program, arguments) = job
        .command
        .split_first()
        .ok_or_else(|| Failure::CannotStart("there is no command".to_owned()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(job.environment.iter().map(|(key, value)| (key, value)))
        .stdin(match job.purpose {
            Purpose::Server => Stdio::piped(),
            Purpose::Hook | Purpose::Check => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = job.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(cannot)?;
    let lifeline = child.stdin.take();
    let leader = Pid::from_child(&child);
    let fate = Rc::new(Fate::default());
    let process = Process {
        purpose: job.purpose,
        name: job.name.to_owned(),
        leader,
        child,
        fate: Rc::clone(&fate),
        outputs: [None, None],
        timeout: job.timeout,
        said: None,
        result: None,
        last_helpings: LAST_HELPINGS,
        on_end: Some(Box::new(on_end)),
        me: None,
    };
    scope
        .add_source("child", process)
        .map_err(|error| Failure::CannotStart(error.to_string()))?;
    tracing::debug!(name = job.name, pid = leader.as_raw_pid(), command = ?job.command, "started");
    Ok((ChildKey { leader, fate }, lifeline))
}

/// What is called at the end.
type OnEnd<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>, Ended)>;

struct Process<S> {
    purpose: Purpose,
    name: String,
    leader: Pid,
    child: Child,
    fate: Rc<Fate>,
    /// As long as somebody may write to them.
    outputs: [Option<Output>; 2],
    timeout: Option<Duration>,
    said: Option<String>,
    /// How it ended, as long as what it said before that is read.
    result: Option<Result<(), Failure>>,
    last_helpings: usize,
    /// Gone when the end was told.
    on_end: Option<OnEnd<S>>,
    me: Option<SourceKey>,
}

struct Output {
    key: FdKey,
    lines: Lines,
}

impl<S: 'static> Source<S> for Process<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), Error> {
        self.me = Some(me);
        let ending = pidfd_open(self.leader, PidfdFlags::empty())
            .map_err(|error| Error::Io(error.into()))?;
        scope.own_fd(me, TAG_END, ending, Interest::READ)?;
        let stdout = self.child.stdout.take().map(OwnedFd::from);
        let stderr = self.child.stderr.take().map(OwnedFd::from);
        for (tag, pipe) in [(TAG_STDOUT, stdout), (TAG_STDERR, stderr)] {
            let Some(pipe) = pipe else { continue };
            // Ours alone: the other end is an open file of its own.
            rustix::io::ioctl_fionbio(&pipe, true).map_err(|error| Error::Io(error.into()))?;
            let key = scope.own_fd(me, tag, pipe, Interest::READ)?;
            self.outputs[tag - TAG_STDOUT] = Some(Output {
                key,
                lines: Lines::default(),
            });
        }
        if let Some(timeout) = self.timeout {
            let at = scope.fresh_now() + timeout;
            scope.own_timer(me, 0, at)?;
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        match event {
            Event::Fd {
                tag: TAG_END, key, ..
            } => self.handle_end(scope, key),
            Event::Fd { tag, .. } => self.read(scope, tag),
            Event::Timer { .. } => self.handle_timeout(state, scope),
            _ => {}
        }
        self.conclude(state, scope);
        self.leave_if_done(scope);
        Ok(())
    }
}

impl<S: 'static> Process<S> {
    /// The process has ended, or the system says so for no reason.
    fn handle_end(&mut self, scope: &mut Scope<S>, ending: FdKey) {
        // As long as it is not reaped, its number and that of its group are nobody else's.
        if self.purpose != Purpose::Hook {
            note_failure(kill_process_group(self.leader, Signal::KILL));
        }
        let result = match self.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => judge(status),
            Err(error) => Err(Failure::Missed(error.to_string())),
        };
        self.fate.reaped.set(true);
        scope.remove_fd(ending);
        self.result = Some(result);
    }

    /// Tells the end of a process that was reaped, once nothing waits to be read that it said before: so that stands in
    /// the log first.
    fn conclude(&mut self, state: &mut S, scope: &mut Scope<S>) {
        let Some(result) = self.result.take() else {
            return;
        };
        if self.last_helpings > 0 && self.has_more(scope) {
            self.last_helpings -= 1;
            self.result = Some(result);
            return;
        }
        // Whoever may go on writing begins a line of its own.
        (0..self.outputs.len()).for_each(|place| self.finish_line(place));
        self.tell(state, scope, result);
    }

    fn has_more(&self, scope: &mut Scope<S>) -> bool {
        self.outputs.iter().flatten().any(|output| {
            let waiting = scope.with_fd(output.key, |fd| rustix::io::ioctl_fionread(fd));
            matches!(waiting, Ok(Ok(bytes)) if bytes > 0)
        })
    }

    /// It is killed, and its end is told now: one that the system cannot kill keeps nobody waiting.
    fn handle_timeout(&mut self, state: &mut S, scope: &mut Scope<S>) {
        if self.fate.reaped.get() {
            return;
        }
        note_failure(kill_process_group(self.leader, Signal::KILL));
        let limit = self.timeout.unwrap_or_default();
        self.tell(state, scope, Err(Failure::TimedOut(limit)));
    }

    fn tell(&mut self, state: &mut S, scope: &mut Scope<S>, result: Result<(), Failure>) {
        let said = self.said.take();
        let Some(on_end) = self.on_end.take() else {
            return;
        };
        if !self.fate.abandoned.get() {
            on_end(state, scope, Ended { result, said });
        }
    }

    /// Reads a helping of an output.
    fn read(&mut self, scope: &mut Scope<S>, tag: usize) {
        let place = tag - TAG_STDOUT;
        let Some(output) = self.outputs[place].as_mut() else {
            return;
        };
        let mut bytes = [0; HELPING];
        let read = scope.with_fd(output.key, |fd| rustix::io::read(fd, &mut bytes));
        let count = match read {
            Ok(Ok(count)) if count > 0 => count,
            Ok(Err(Errno::INTR | Errno::AGAIN)) => return,
            // Its end, or nothing that can be read.
            Ok(_) | Err(_) => return self.close(scope, place),
        };
        let mut lines = std::mem::take(&mut output.lines);
        lines.push(&bytes[..count], |line| self.log(tag, line));
        if let Some(output) = self.outputs[place].as_mut() {
            output.lines = lines;
        }
    }

    fn close(&mut self, scope: &mut Scope<S>, place: usize) {
        self.finish_line(place);
        if let Some(output) = self.outputs[place].take() {
            scope.remove_fd(output.key);
        }
    }

    /// A last line has no end of its own.
    fn finish_line(&mut self, place: usize) {
        if let Some(output) = self.outputs[place].as_mut() {
            let mut lines = std::mem::take(&mut output.lines);
            lines.finish(|line| self.log(place + TAG_STDOUT, line));
        }
    }

    fn log(&mut self, tag: usize, line: &str) {
        let pid = self.leader.as_raw_pid();
        let stream = if tag == TAG_STDOUT {
            "stdout"
        } else {
            "stderr"
        };
        match self.purpose {
            Purpose::Hook | Purpose::Server => {
                tracing::info!(name = self.name, pid, stream, "{line}");
            }
            Purpose::Check => tracing::debug!(name = self.name, pid, stream, "{line}"),
        }
        // What is said when the end was told already is for the log alone.
        if self.on_end.is_some() {
            self.said = Some(line.to_owned());
        }
    }

    /// What a hook left behind may go on saying something, and would be killed if nobody read it. Of all others
    /// nothing is left that should.
    fn leave_if_done(&mut self, scope: &mut Scope<S>) {
        if !self.fate.reaped.get() || self.result.is_some() {
            return;
        }
        if self.purpose != Purpose::Hook || self.fate.abandoned.get() {
            (0..self.outputs.len()).for_each(|place| self.close(scope, place));
        }
        if self.outputs.iter().all(Option::is_none)
            && let Some(me) = self.me
        {
            scope.remove_source(me);
        }
    }
}

/// Nothing that was begun stays when the reactor ends, or where the end of a process cannot be watched.
impl<S> Drop for Process<S> {
    fn drop(&mut self) {
        if !self.fate.reaped.replace(true) {
            note_failure(kill_process_group(self.leader, Signal::KILL));
            // It is reaped if it is gone that fast, else by whoever inherits it.
            let _ = self.child.try_wait();
        }
    }
}

fn judge(status: ExitStatus) -> Result<(), Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failure::Exited(code)),
        (None, Some(signal)) => Err(Failure::Killed(signal)),
        (None, None) => Err(Failure::Missed(status.to_string())),
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(()) => f.write_str("exit code 0")?,
            Err(failure) => failure.fmt(f)?,
        }
        match &self.said {
            Some(said) => write!(f, "; it said last: {said}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
