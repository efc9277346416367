//! Servers: scripted ones of this process, and real ones.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::host::{Host, Tally};
use super::{Behaviour, Model, tcp};
use crate::{BOUND, Outcome, Process, free_endpoint, programs};

/// What a server of another protocol says to everyone, far more than a greeting of ZeroMQ.
const OTHER_GREETING: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n\
    HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";

/// A server of this process that behaves as it was told. Dropping it frees its port.
pub struct ScriptedServer {
    behaviour: Behaviour,
    endpoint: String,
    tally: Arc<Tally>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts a server; when this returns, its port is bound.
    ///
    /// # Errors
    ///
    /// When its port cannot be bound.
    pub fn start(model: Model, behaviour: Behaviour) -> Outcome<Self> {
        let endpoint = free_endpoint();
        let tally = Arc::new(Tally::default());
        let ends = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&tally), Arc::clone(&ends));
        let thread = match behaviour {
            Behaviour::Dead => None,
            Behaviour::Unreadable => Some(listen(&endpoint, b"", shared)?),
            Behaviour::OtherProtocol => Some(listen(&endpoint, OTHER_GREETING, shared)?),
            Behaviour::Good
            | Behaviour::Mute
            | Behaviour::DropTwoOfThree
            | Behaviour::WrongControl
            | Behaviour::WrongBody
            | Behaviour::Garbage
            | Behaviour::DuplicatesAndStale
            | Behaviour::Slow(_)
            | Behaviour::DiesMidway { .. } => {
                let host = Host::new(model, behaviour, &endpoint);
                let socket = host
                    .bind()
                    .map_err(|error| format!("{endpoint}: {error}"))?;
                Some(thread::spawn(move || {
                    host.run(socket, &shared.0, &shared.1)
                }))
            }
        };
        Ok(Self {
            behaviour,
            endpoint,
            tally,
            ends,
            thread,
        })
    }

    /// How it behaves.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.behaviour
    }

    /// Where clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Requests that it has received.
    #[must_use]
    pub fn requests(&self) -> usize {
        count(&self.tally.requests)
    }

    /// PINGs that it has received.
    #[must_use]
    pub fn pings(&self) -> usize {
        count(&self.tally.pings)
    }

    /// Messages that it has sent, of whatever kind.
    #[must_use]
    pub fn said(&self) -> usize {
        count(&self.tally.said)
    }

    /// Connections that it has accepted; counted where it does not speak ZeroMQ.
    #[must_use]
    pub fn connections(&self) -> usize {
        count(&self.tally.connections)
    }

    /// How often it has been born.
    #[must_use]
    pub fn lives(&self) -> usize {
        count(&self.tally.lives)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so, and its clients have had no answer.
            let _ = thread.join();
        }
    }
}

fn count(number: &AtomicUsize) -> usize {
    number.load(Ordering::Relaxed)
}

fn listen(
    endpoint: &str,
    greeting: &'static [u8],
    (tally, ends): (Arc<Tally>, Arc<AtomicBool>),
) -> Outcome<JoinHandle<()>> {
    let listener = TcpListener::bind(endpoint.trim_start_matches("tcp://"))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| format!("{endpoint}: {error}"))?;
    Ok(thread::spawn(move || {
        tcp::accept(&listener, greeting, &tally, &ends);
    }))
}

/// A running `flserver1`, `2` or `3`.
pub struct FlServer {
    endpoint: String,
    process: Process,
}

impl FlServer {
    /// Starts one at a free endpoint, and waits until it is bound.
    ///
    /// # Errors
    ///
    /// When it does not say that it is bound.
    pub fn start(model: Model) -> Outcome<Self> {
        Self::start_in(None, model)
    }

    /// Starts one in a network namespace.
    ///
    /// # Errors
    ///
    /// When it does not say that it is bound.
    pub fn start_in(namespace: Option<&str>, model: Model) -> Outcome<Self> {
        let name = format!("flserver{}", model.number());
        let mut command = in_namespace(namespace, &name);
        command.arg(free_endpoint());
        Self::spawn(&name, &mut command)
    }

    /// Starts one by a command, which is a program of ours or a peer of it in another language.
    ///
    /// # Errors
    ///
    /// When it does not say that it is bound.
    pub fn spawn(name: &str, command: &mut Command) -> Outcome<Self> {
        let process = Process::spawn(name, command);
        let ready = process.stdout().find(0, BOUND, |line| {
            line.text.strip_prefix("ready ").map(str::to_owned)
        });
        match ready {
            Some(endpoint) => Ok(Self { endpoint, process }),
            None => Err(process.describe("did not say that it is ready")),
        }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// The command that runs `program`, in a network namespace if one is named.
pub(super) fn in_namespace(namespace: Option<&str>, program: &str) -> Command {
    let program = programs::program(program);
    match namespace {
        // `ip netns exec` becomes the program, so that signals reach it.
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name]).arg(program);
            command
        }
        None => Command::new(program),
    }
}
