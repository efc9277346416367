//! The server's process: started through a [keeper](super::keeper), started again when it ends, and stopped.

use std::process::ChildStdin;
use std::time::{Duration, Instant};

use reactor::{Next, Scope, TimerKey};

use super::child::{ChildKey, Ended, Failure, Job, Purpose, spawn};
use super::config::ServerConfig;
use super::keeper::EXIT_SIGNAL;

/// How long a keeper may take to kill a server that did not stop in time, before it is killed with its group.
const KEEPER_GRACE: Duration = Duration::from_secs(1);

/// What becomes of the server's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerEvent {
    /// It was started. Whether it is any good is a matter of its checks.
    Started,
    /// It ended, or could not be started, and nobody had asked for that. It is started again after a pause.
    Ended { how: String },
    /// So many ends came in a row that it counts as one that cannot be kept alive. It is tried again all the same,
    /// at the longest pause.
    GaveUp { why: String },
    /// As was asked: it has ended, and what was left of it was killed.
    Stopped,
}

/// What is seen of the server's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerView {
    pub(crate) phase: &'static str,
    /// The server's own process, not the keeper's.
    pub(crate) pid: Option<u32>,
    /// How often it was started again after an end that nobody had asked for.
    pub(crate) restarts: u64,
    /// How many ends came in a row, without a life between them that counts.
    pub(crate) ends_in_a_row: u32,
    /// How it ended last without having been asked to.
    pub(crate) last_end: Option<String>,
}

/// Keeps the server's process as it is meant to be.
pub(crate) struct Supervisor<S> {
    config: ServerConfig,
    /// What starts the keeper.
    launcher: Vec<String>,
    access: Access<S>,
    tell: Tell<S>,
    phase: Phase,
    restarts: u64,
    ends_in_a_row: u32,
    /// Since when this life has been ready.
    ready: Option<Instant>,
    last_end: Option<String>,
}

/// Finds the supervisor in the application's state.
type Access<S> = fn(&mut S) -> &mut Supervisor<S>;
/// Told of each event.
type Tell<S> = fn(&mut S, &mut Scope<S>, ServerEvent);

enum Phase {
    /// It is not there, and not wanted.
    Down,
    Running(Life),
    /// It has ended, and is started again when the timer fires.
    Pausing(TimerKey),
    /// It was told to end, and is killed when the timer fires.
    Stopping {
        life: Life,
        timer: Option<TimerKey>,
        /// Wanted again as soon as this one has ended.
        again: bool,
    },
}

/// A process that was started.
struct Life {
    child: ChildKey,
    /// The keeper kills everything when this is dropped.
    lifeline: Option<ChildStdin>,
}

impl<S: 'static> Supervisor<S> {
    /// What starts the keeper stands before the server's command; see
    /// [`keeper::launcher`](super::keeper::launcher).
    pub(crate) fn new(
        config: ServerConfig,
        launcher: Vec<String>,
        access: Access<S>,
        tell: Tell<S>,
    ) -> Supervisor<S> {
        Supervisor {
            config,
            launcher,
            access,
            tell,
            phase: Phase::Down,
            restarts: 0,
            ends_in_a_row: 0,
            ready: None,
            last_end: None,
        }
    }

    /// Wants the server. While one is being stopped: another, as soon as that has ended.
    ///
    /// Nothing is told from within this call.
    pub(crate) fn start(&mut self, scope: &mut Scope<S>) {
        match &mut self.phase {
            Phase::Down => {
                self.ends_in_a_row = 0;
                self.launch(scope);
            }
            Phase::Running(_) | Phase::Pausing(_) => {}
            Phase::Stopping { again, .. } => *again = true,
        }
    }

    /// Does not want the server any more: SIGTERM, and after the grace SIGKILL for all that descends from it.
    ///
    /// [`ServerEvent::Stopped`] is told when it is gone, also if it was not there, and never from within this call.
    /// While it is being stopped already that is told once.
    pub(crate) fn stop(&mut self, scope: &mut Scope<S>) {
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Down => self.tell_later(scope, ServerEvent::Stopped),
            Phase::Pausing(timer) => {
                scope.cancel_timer(timer);
                self.tell_later(scope, ServerEvent::Stopped);
            }
            Phase::Running(life) => {
                life.child.terminate();
                let timer = self.set_timer(scope, self.config.stop_grace, Self::handle_grace);
                self.phase = Phase::Stopping {
                    life,
                    timer,
                    again: false,
                };
            }
            Phase::Stopping { life, timer, .. } => {
                self.phase = Phase::Stopping {
                    life,
                    timer,
                    again: false,
                };
            }
        }
    }

    /// Notes that the checks of this life pass. One that goes on for the start timeout after that was kept alive, and
    /// its end is the first in a row.
    pub(crate) fn note_ready(&mut self, now: Instant) {
        if self.is_running() {
            self.ready.get_or_insert(now);
        }
    }

    /// Whether its process is there, and was not told to end.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// The number of the server's own process; the keeper's, as long as there is none.
    pub(crate) fn pid(&self) -> Option<u32> {
        let keeper = match &self.phase {
            Phase::Running(life) | Phase::Stopping { life, .. } => life.child.pid(),
            Phase::Down | Phase::Pausing(_) => return None,
        };
        let keeper = keeper.as_raw_nonzero();
        // The eldest is the server, the others are orphans of its own.
        let children = std::fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
        let server = children
            .ok()
            .and_then(|list| list.split_ascii_whitespace().next()?.parse().ok());
        Some(server.unwrap_or(keeper.get().unsigned_abs()))
    }

    pub(crate) fn view(&self) -> ServerView {
        ServerView {
            phase: match self.phase {
                Phase::Down => "down",
                Phase::Running(_) => "running",
                Phase::Pausing(_) => "waiting to be started again",
                Phase::Stopping { .. } => "stopping",
            },
            pid: self.pid(),
            restarts: self.restarts,
            ends_in_a_row: self.ends_in_a_row,
            last_end: self.last_end.clone(),
        }
    }

    /// Starts the process. What comes of it is told later.
    fn launch(&mut self, scope: &mut Scope<S>) {
        let access = self.access;
        let command = [&self.launcher[..], &self.config.command].concat();
        let environment: Vec<_> = self.config.environment.clone().into_iter().collect();
        let job = Job {
            purpose: Purpose::Server,
            name: "server",
            command: &command,
            directory: self.config.directory.as_deref(),
            environment: &environment,
            timeout: None,
        };
        self.ready = None;
        let started = spawn(scope, &job, move |state: &mut S, scope, ended| {
            access(state).handle_end(scope, &ended);
        });
        match started {
            Ok((child, lifeline)) => {
                self.phase = Phase::Running(Life { child, lifeline });
                self.tell_later(scope, ServerEvent::Started);
            }
            Err(failure) => self.pause(scope, failure.to_string()),
        }
    }

    /// The process has ended.
    fn handle_end(&mut self, scope: &mut Scope<S>, ended: &Ended) {
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Running(_) => self.pause(scope, describe(ended)),
            Phase::Stopping { timer, again, .. } => {
                if let Some(timer) = timer {
                    scope.cancel_timer(timer);
                }
                self.tell_later(scope, ServerEvent::Stopped);
                if again {
                    self.start(scope);
                }
            }
            // There was no process to end.
            phase @ (Phase::Down | Phase::Pausing(_)) => self.phase = phase,
        }
    }

    /// Waits before the next start, after an end that nobody asked for.
    fn pause(&mut self, scope: &mut Scope<S>, how: String) {
        let ready_for = self.ready.take().map(|at| scope.now().duration_since(at));
        if ready_for.is_some_and(|time| time >= self.config.start_timeout) {
            self.ends_in_a_row = 0;
        }
        self.ends_in_a_row = self.ends_in_a_row.saturating_add(1);
        let pause = self.pause_after(self.ends_in_a_row);
        tracing::info!(
            in_a_row = self.ends_in_a_row,
            ?pause,
            "the server is to be started again"
        );
        self.last_end = Some(how.clone());
        self.phase = match self.set_timer(scope, pause, Self::handle_pause) {
            Some(timer) => Phase::Pausing(timer),
            None => Phase::Down,
        };
        self.tell_later(scope, ServerEvent::Ended { how: how.clone() });
        if self.ends_in_a_row == self.config.give_up_after {
            let why = format!(
                "it has ended {} times in a row, the last time: {how}",
                self.ends_in_a_row
            );
            self.tell_later(scope, ServerEvent::GaveUp { why });
        }
    }

    /// Twice as long after each further end.
    fn pause_after(&self, ends: u32) -> Duration {
        let longest = self.config.longest_restart_pause;
        if ends >= self.config.give_up_after {
            return longest;
        }
        let factor = 1_u32
            .checked_shl(ends.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.config
            .restart_pause
            .saturating_mul(factor)
            .min(longest)
    }

    /// The pause is over.
    fn handle_pause(&mut self, scope: &mut Scope<S>) {
        self.restarts += 1;
        self.launch(scope);
    }

    /// The grace is over: first the keeper is to kill everything, then the keeper is killed.
    fn handle_grace(&mut self, scope: &mut Scope<S>) {
        let timer = self.set_timer(scope, KEEPER_GRACE, Self::handle_grace);
        if let Phase::Stopping {
            life, timer: next, ..
        } = &mut self.phase
        {
            if life.lifeline.take().is_some() {
                tracing::warn!(grace = ?self.config.stop_grace, "the server did not stop in time, and is killed");
            } else {
                life.child.kill();
            }
            *next = timer;
        }
    }

    /// Calls a method of this supervisor later.
    fn set_timer(
        &self,
        scope: &mut Scope<S>,
        after: Duration,
        then: fn(&mut Supervisor<S>, &mut Scope<S>),
    ) -> Option<TimerKey> {
        let (access, at) = (self.access, scope.fresh_now() + after);
        let timer = scope.add_timer("server", at, move |state, scope, _| {
            then(access(state), scope);
            Ok(Next::Done)
        });
        // It fails only for an owner that is gone, and this one owns itself.
        timer
            .inspect_err(|error| tracing::error!(%error, "no timer for the server"))
            .ok()
    }

    /// All is told this way, so that it is told in the order in which it happened.
    fn tell_later(&self, scope: &mut Scope<S>, event: ServerEvent) {
        let tell = self.tell;
        scope.defer(move |state, scope| tell(state, scope, event));
    }
}

/// How the server ended. Its keeper says it as a shell does.
fn describe(ended: &Ended) -> String {
    let mut ended = ended.clone();
    if let Err(Failure::Exited(code)) = ended.result
        && code > EXIT_SIGNAL
    {
        ended.result = Err(Failure::Killed(code - EXIT_SIGNAL));
    }
    ended.to_string()
}

#[cfg(test)]
mod tests;
