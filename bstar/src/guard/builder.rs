//! What a guard is told before it starts, and its thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use reactor::{BoxError, Builder, Reactor};

use super::Guard;
use super::outcome::{Ended, Failure, words};
use crate::core::{Config, Outlook, Transition};
use crate::server::{Error, Handle, ProofOfDeath, Server};

/// A server is built on the thread that it lives on: here is what is to be done to it there.
type Step = Box<dyn FnOnce(Server<()>) -> Server<()> + Send>;

/// What a [`Guard`] is told before it starts.
#[must_use = "a guard does nothing until it is spawned"]
pub struct GuardBuilder {
    config: Config,
    local: String,
    remote: String,
    steps: Vec<Step>,
    panicked: Panicked,
}

impl GuardBuilder {
    pub(super) fn new(config: Config, local: String, remote: String) -> GuardBuilder {
        GuardBuilder {
            config,
            local,
            remote,
            steps: Vec::new(),
            panicked: Panicked::default(),
        }
    }

    /// As [`Server::second_link`].
    pub fn second_link(self, local: impl Into<String>, remote: impl Into<String>) -> GuardBuilder {
        let [local, remote] = [local.into(), remote.into()];
        self.with(|server| server.second_link(local, remote))
    }

    /// As [`Server::proof_of_death`].
    pub fn proof_of_death(self, wanted: ProofOfDeath) -> GuardBuilder {
        self.with(|server| server.proof_of_death(wanted))
    }

    /// As [`Server::state_dir`]: from then on [`Transition::fence`] is there to fence writes with.
    pub fn state_dir(self, path: impl Into<PathBuf>) -> GuardBuilder {
        let path = path.into();
        self.with(|server| server.state_dir(path))
    }

    /// Called when this node becomes active, before [`Handle::may_serve`] says so: the place to open what
    /// an active node has open. An error says that it cannot serve, and ends it.
    pub fn on_active<F>(self, mut callback: F) -> GuardBuilder
    where
        F: FnMut(&Transition) -> Result<(), BoxError> + Send + 'static,
    {
        let panicked = self.panicked.clone();
        self.with(|server| server.on_active(move |(), _, t| panicked.tried(|| callback(t))))
    }

    /// Called when this node stops being active, after [`Handle::may_serve`] says so; and when it becomes
    /// passive after its start.
    pub fn on_passive<F>(self, mut callback: F) -> GuardBuilder
    where
        F: FnMut(&Transition) -> Result<(), BoxError> + Send + 'static,
    {
        let panicked = self.panicked.clone();
        self.with(|server| server.on_passive(move |(), _, t| panicked.tried(|| callback(t))))
    }

    /// Called at each transition, before the two above.
    pub fn on_transition<F>(self, mut callback: F) -> GuardBuilder
    where
        F: FnMut(&Transition) -> Result<(), BoxError> + Send + 'static,
    {
        let panicked = self.panicked.clone();
        self.with(|server| server.on_transition(move |(), _, t| panicked.tried(|| callback(t))))
    }

    /// Called on a passive node when its peer offers it the service, for a switchover. An error is a veto:
    /// the peer goes on to serve, and this node's log tells why. It ends nothing.
    pub fn on_offer<F>(self, mut callback: F) -> GuardBuilder
    where
        F: FnMut() -> Result<(), BoxError> + Send + 'static,
    {
        let panicked = self.panicked.clone();
        self.with(|server| {
            server.on_offer(move |(), scope| {
                panicked.caught(&mut callback).unwrap_or_else(|| {
                    scope.stop();
                    Err(Box::new(Panic))
                })
            })
        })
    }

    /// Called when it changes what a client's vote would do, or whether the peer is heard. Both are false
    /// at the start. For servers that do not listen while a vote would not count, and for alarms.
    pub fn on_outlook<F>(self, mut callback: F) -> GuardBuilder
    where
        F: FnMut(Outlook) + Send + 'static,
    {
        let panicked = self.panicked.clone();
        self.with(|server| {
            server.on_outlook(move |(), scope, outlook| {
                if panicked.caught(|| callback(outlook)).is_none() {
                    scope.stop();
                }
            })
        })
    }

    /// Tells the [`Server`] whatever else there is, on the guard's thread: a ZeroMQ front end beside the
    /// program's own, for example.
    ///
    /// A panic of what is given here ends the node too, but without a goodbye: the peer takes over after a
    /// peer timeout, as after a crash.
    pub fn with<F>(mut self, step: F) -> GuardBuilder
    where
        F: FnOnce(Server<()>) -> Server<()> + Send + 'static,
    {
        self.steps.push(Box::new(step));
        self
    }

    /// Starts the thread, binds and connects everything there, and runs the node.
    ///
    /// From here on a peer timeout passes before a primary may be voted active.
    ///
    /// # Errors
    ///
    /// Those of [`Server::attach`]; then nothing is left of it.
    ///
    /// # Panics
    ///
    /// When something that was given to [`GuardBuilder::with`] does.
    pub fn spawn(self) -> Result<Guard, Error> {
        let ended = Arc::new(Ended::default());
        let (started, start) = sync_channel(1);
        let told = Arc::clone(&ended);
        let thread = thread::Builder::new()
            .name("bstar-guard".to_owned())
            .spawn(move || {
                if let Some(outcome) = self.run(&started) {
                    told.tell(outcome);
                }
            })
            .map_err(reactor::Error::from)?;
        match start.recv() {
            Ok(Ok(handle)) => Ok(Guard {
                handle,
                ended,
                thread: Some(thread),
            }),
            Ok(Err(error)) => {
                // It has nothing left to do but to return.
                let _ = thread.join();
                Err(error)
            }
            Err(_) => match thread.join() {
                Err(payload) => resume_unwind(payload),
                Ok(()) => unreachable!("a thread that does not panic says how it started"),
            },
        }
    }

    /// The thread, from its start to its end; `None` when there was no start.
    fn run(self, started: &SyncSender<Result<Handle, Error>>) -> Option<Result<(), Failure>> {
        let panicked = self.panicked.clone();
        let (mut reactor, handle) = match self.attach() {
            Ok(attached) => attached,
            Err(error) => {
                // Who waits for it is there: it waits without a bound.
                let _ = started.send(Err(error));
                return None;
            }
        };
        let _ = started.send(Ok(handle));
        let run = catch_unwind(AssertUnwindSafe(|| reactor.run(&mut ())));
        let outcome = match (panicked.words(), run) {
            (Some(words), _) => Err(Failure::Panic(words)),
            (None, Ok(Ok(()))) => Ok(()),
            (None, Ok(Err(error))) => Err(Failure::Error(Arc::new(error))),
            (None, Err(payload)) => {
                // The next turn begins by removing what panicked: then nobody relies on it any more, even
                // while the sockets are being closed. How that turn goes is of no interest.
                let turn = || reactor.turn(&mut (), Some(Duration::ZERO));
                let _ = catch_unwind(AssertUnwindSafe(turn));
                Err(Failure::Panic(words(&*payload)))
            }
        };
        if let Err(error) = &outcome {
            tracing::error!(%error, "the guard's node has ended");
        }
        // Told only when all that was bound is free, whatever the drops of what callbacks hold do.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(reactor)));
        Some(outcome)
    }

    fn attach(self) -> Result<(Reactor<()>, Handle), Error> {
        let mut reactor = Builder::new().signals(false).build()?;
        let server = Server::new(self.config, self.local, self.remote).without_voters();
        let server = self
            .steps
            .into_iter()
            .fold(server, |server, step| step(server));
        let handle = server.attach(reactor.scope())?;
        Ok((reactor, handle))
    }
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("config", &self.config)
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// The words of the first callback that panicked.
///
/// A panic that went through the reactor would take the node with it, without a word to the peer. It is
/// caught at the callback instead, and made an error: so the node steps back in order.
#[derive(Clone, Default)]
struct Panicked(Arc<OnceLock<String>>);

/// Stands for a panic whose words are kept elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("a callback panicked")]
struct Panic;

impl Panicked {
    fn caught<T>(&self, callback: impl FnOnce() -> T) -> Option<T> {
        // What the callback left half done is its own: it is not called again.
        match catch_unwind(AssertUnwindSafe(callback)) {
            Ok(value) => Some(value),
            Err(payload) => {
                // The first is what matters.
                let _ = self.0.set(words(&*payload));
                None
            }
        }
    }

    fn tried(&self, callback: impl FnOnce() -> Result<(), BoxError>) -> Result<(), BoxError> {
        self.caught(callback)
            .unwrap_or_else(|| Err(Box::new(Panic)))
    }

    fn words(&self) -> Option<String> {
        self.0.get().cloned()
    }
}
