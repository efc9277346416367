//! What the tests of processes share.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::sync::Once;
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

thread_local! {
    /// What processes of this thread said, while somebody wants to see it.
    static SAID: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What is logged of processes while it lives, on this thread.
pub(super) struct Log;

impl Log {
    pub(super) fn capture() -> Log {
        // One for all threads: what a subscriber of one thread wants is not asked where another logs first.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter("bstar::run::child=info")
                .with_ansi(false)
                .with_writer(|| Said)
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        SAID.set(Some(Vec::new()));
        Log
    }

    pub(super) fn text(&self) -> String {
        SAID.with_borrow(|said| String::from_utf8_lossy(said.as_deref().unwrap()).into_owned())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        SAID.set(None);
    }
}

struct Said;

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said {
                said.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
