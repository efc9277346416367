//! What the tests of processes share.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reactor::{Builder, Reactor};

/// No condition takes this long, unless it never comes.
pub(super) const BOUND: Duration = Duration::from_secs(20);

pub(super) fn reactor<S: 'static>() -> Reactor<S> {
    Builder::new().signals(false).build().unwrap()
}

/// Turns the reactor until `done`, and fails where that does not come.
pub(super) fn turn_until<S: 'static>(
    reactor: &mut Reactor<S>,
    state: &mut S,
    mut done: impl FnMut(&mut S) -> bool,
) {
    let end = Instant::now() + BOUND;
    while !done(state) {
        assert!(Instant::now() < end, "the condition did not come true");
        // Some conditions are those of other processes, which wake nobody here.
        reactor
            .turn(state, Some(Duration::from_millis(10)))
            .unwrap();
    }
}

/// A command of the shell.
pub(super) fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// The numbers that processes have written into a file, one a line; those lines that are complete.
pub(super) fn pids(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether there is no such process, or nothing left of it but its number.
pub(super) fn is_gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// What is logged while it lives, on this thread.
pub(super) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(super) fn capture() -> Log {
        let text = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(Mutex::new(Tee(Arc::clone(&text))))
            .finish();
        Log {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

struct Tee(Arc<Mutex<Vec<u8>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
