//! What the conductor knows, for those who watch from other threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::config::ServerRun;
use super::front::{FrontView, Gate};

/// A [`View`] that one thread keeps up to date and others read.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Mutex<View>>);

impl Board {
    pub(crate) fn new(view: View) -> Board {
        Board(Arc::new(Mutex::new(view)))
    }

    /// `change` is to be short: whoever reads waits for it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        // What a panicking thread left behind is as true as it was before.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of it.
    pub(crate) fn view(&self) -> View {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Everything that a status tells beside what the pair's core knows.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) gate: Gate,
    /// Whether the server could serve.
    pub(crate) ready: bool,
    pub(crate) health: Vec<CheckView>,
    pub(crate) server: ServerView,
    /// The last run of each kind.
    pub(crate) hooks: Vec<HookView>,
    pub(crate) fronts: Vec<FrontView>,
    /// What is wrong now.
    pub(crate) fault: Option<FaultView>,
}

impl View {
    /// Before anything has happened.
    pub(crate) fn new(run: ServerRun) -> View {
        View {
            gate: Gate::Closed,
            ready: false,
            health: Vec::new(),
            server: ServerView {
                run,
                phase: "stopped",
                pid: None,
                restarts: 0,
                last_end: None,
            },
            hooks: Vec::new(),
            fronts: Vec::new(),
            fault: None,
        }
    }

    /// Notes a run of hooks, in place of the last one of its kind.
    pub(crate) fn note_hooks(&mut self, ran: HookView) {
        match self.hooks.iter_mut().find(|known| known.kind == ran.kind) {
            Some(known) => *known = ran,
            None => self.hooks.push(ran),
        }
    }
}

/// A check of health.
#[derive(Clone, Debug)]
pub(crate) struct CheckView {
    pub(crate) name: String,
    /// `None` before the first result.
    pub(crate) healthy: Option<bool>,
    /// Why it failed when it did so last.
    pub(crate) last_error: Option<String>,
    /// When its last result came.
    pub(crate) looked_at: Option<Instant>,
}

/// The server's process.
#[derive(Clone, Debug)]
pub(crate) struct ServerView {
    pub(crate) run: ServerRun,
    /// One word: what its supervisor does.
    pub(crate) phase: &'static str,
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u64,
    /// How it ended when it did so last.
    pub(crate) last_end: Option<String>,
}

/// A list of hooks that was run.
#[derive(Clone, Debug)]
pub(crate) struct HookView {
    /// As `BSTAR_HOOK` says it.
    pub(crate) kind: String,
    pub(crate) result: Result<(), String>,
    pub(crate) took: Duration,
    /// When it ended.
    pub(crate) at: Instant,
}

/// What is wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultView {
    /// As `BSTAR_FAULT` says it.
    pub(crate) what: String,
    pub(crate) detail: String,
    pub(crate) since: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_of_hooks_the_last_run_is_kept() {
        let board = Board::new(View::new(ServerRun::None));
        let runs = [("on-active", 1), ("on-passive", 2), ("on-active", 3)];
        for (kind, seconds) in runs {
            board.clone().change(|view| {
                view.note_hooks(HookView {
                    kind: kind.to_owned(),
                    result: Ok(()),
                    took: Duration::from_secs(seconds),
                    at: Instant::now(),
                });
            });
        }
        let hooks = board.view().hooks;
        let took: Vec<_> = hooks.iter().map(|hook| hook.took.as_secs()).collect();
        assert_eq!(took, [3, 2]);
    }
}
