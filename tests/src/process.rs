//! A child process, its lines, and the signals sent to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// A line that a process wrote, and when it was read.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the harness read it.
    pub at: Instant,
    /// The line without its end.
    pub text: String,
}

/// The lines that a process wrote to one of its outputs so far.
#[derive(Clone, Default)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    lines: Vec<Line>,
    closed: bool,
}

impl Lines {
    fn collect(input: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        thread::spawn(move || {
            let mut input = BufReader::new(input);
            let mut bytes = Vec::new();
            while matches!(input.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                let at = Instant::now();
                writer.seen().lines.push(Line { at, text });
                writer.shared.changed.notify_all();
            }
            writer.seen().closed = true;
            writer.shared.changed.notify_all();
        });
        lines
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        let seen = self.shared.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<Line> {
        self.seen().lines.clone()
    }

    /// How many lines there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen().lines.len()
    }

    /// All lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let seen = self.seen();
        let lines: Vec<&str> = seen.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// Waits for the first line, from the one with the number `from`, for which `wanted` answers
    /// with a value; gives up at the end of the output or after `bound`.
    pub fn find<T>(
        &self,
        from: usize,
        bound: Duration,
        mut wanted: impl FnMut(&Line) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + bound;
        let mut next = from;
        let mut seen = self.seen();
        loop {
            while let Some(line) = seen.lines.get(next) {
                if let Some(found) = wanted(line) {
                    return Some(found);
                }
                next += 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            if seen.closed || left.is_zero() {
                return None;
            }
            let waited = self.shared.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the output: all writers are gone.
    pub fn wait_closed(&self, bound: Duration) -> bool {
        let seen = self.seen();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(seen, bound, |seen| !seen.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

/// A child process. Dropping it kills and reaps it, also when it is stopped.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    /// Of a process that is spoken to.
    stdin: Option<Mutex<ChildStdin>>,
    pid: Pid,
    started: Instant,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts `command` and collects what it writes.
    ///
    /// # Panics
    ///
    /// When the command cannot be started.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        Self::spawn_with(name, command, Stdio::null())
    }

    /// As [`Process::spawn`], for a process that is to be [spoken to](Process::say).
    ///
    /// # Panics
    ///
    /// When the command cannot be started.
    #[must_use]
    pub fn spawn_listening(name: &str, command: &mut Command) -> Self {
        Self::spawn_with(name, command, Stdio::piped())
    }

    fn spawn_with(name: &str, command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?} does not start: {error}"));
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        Self {
            name: name.to_owned(),
            pid: Pid::from_child(&child),
            started: Instant::now(),
            stdout: Lines::collect(stdout),
            stderr: Lines::collect(stderr),
            stdin: child.stdin.take().map(Mutex::new),
            child: Mutex::new(child),
        }
    }

    /// The name under which it was started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What it wrote to its standard output.
    #[must_use]
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// What it wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// When it does not listen, or no more.
    pub fn say(&self, line: &str) -> Outcome<()> {
        let stdin = self.stdin.as_ref().ok_or("it is not spoken to")?;
        let mut stdin = stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let said = stdin.write_all(format!("{line}\n").as_bytes());
        said.map_err(|error| self.describe(&format!("{line}: {error}")))
    }

    /// Sends a signal; one that has ended is left in peace.
    pub fn signal(&self, signal: Signal) {
        // The lock keeps the process unreaped, so the id cannot be another's by now.
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// When it runs on after `bound`.
    pub fn wait_exit(&self, bound: Duration) -> Outcome<ExitStatus> {
        let end = Instant::now() + bound;
        loop {
            if let Some(status) = self.exit_status() {
                self.stdout.wait_closed(bound);
                self.stderr.wait_closed(bound);
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(format!("{} still runs after {bound:?}", self.name));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The status with which it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it is still there after the bound.
    pub fn kill(&self) -> Outcome<()> {
        self.signal(Signal::KILL);
        self.wait_exit(crate::BOUND).map(drop)
    }

    /// Asks it to end, and expects that it does so cleanly.
    ///
    /// # Errors
    ///
    /// When it ends with anything but success, or not at all.
    pub fn terminate(&self) -> Outcome<()> {
        self.signal(Signal::TERM);
        let status = self.wait_exit(crate::BOUND)?;
        crate::ensure(status.success(), || self.describe(&format!("{status}")))
    }

    /// `what`, with what it has written, for the message of a failure.
    #[must_use]
    pub fn describe(&self, what: &str) -> String {
        let status = self.exit_status().map_or("runs".to_owned(), |status| {
            match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited {code}"),
                (None, Some(signal)) => format!("ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            }
        });
        // Times make the lines of several processes comparable.
        let timed = |lines: &Lines| -> String {
            let lines = lines.all().into_iter();
            let line = |line: Line| {
                let at = line.at.saturating_duration_since(self.started).as_millis();
                format!("{at:>8} ms  {}\n", line.text)
            };
            lines.map(line).collect()
        };
        let ago = self.started.elapsed().as_millis();
        format!(
            "{}: {what} ({status}, started {ago} ms ago)\n-- stdout\n{}-- stderr\n{}",
            self.name,
            timed(&self.stdout),
            timed(&self.stderr)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It was killed, so this returns; there is nobody to tell if it does not.
        let _ = child.wait();
    }
}
