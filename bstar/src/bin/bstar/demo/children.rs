//! The processes of the demo: started from this very executable, watched by what they print, and
//! gone when the demo is, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bstar::Role;
use bstar::programs::Failure;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How often a wait looks whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(20);
/// The client pauses this long between an answer and the next request.
pub(super) const INTERVAL: Duration = Duration::from_millis(10);

/// Who is on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    Node(Role),
    Client,
}

/// What a node printed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: String,
    pub(super) row: String,
    pub(super) epoch: String,
}

/// A line, and when it was read.
struct Line {
    from: Actor,
    /// Which of the processes that play this part printed it.
    life: u32,
    at: Instant,
    text: String,
}

#[derive(Default)]
struct Cast {
    child: Option<Child>,
    life: u32,
    said: Said,
}

/// The processes and what they say.
pub(super) struct Stage {
    pub(super) began: Instant,
    heartbeat: Duration,
    /// The state links and the front ends, primary first.
    states: [String; 2],
    frontends: [String; 2],
    nodes: [Cast; 2],
    client: Cast,
    /// The longest that an answer took since this was last taken, and who gave the last one.
    waited: Duration,
    served_by: Option<Role>,
    /// What the client says at its end.
    totals: String,
    lines: (Sender<Line>, Receiver<Line>),
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    pub(super) fn open(heartbeat: Duration) -> Result<Stage, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let [states_1, states_2, frontend_1, frontend_2] = free_endpoints()?;
        Ok(Stage {
            began: Instant::now(),
            heartbeat,
            states: [states_1, states_2],
            frontends: [frontend_1, frontend_2],
            nodes: Default::default(),
            client: Cast::default(),
            waited: Duration::ZERO,
            served_by: None,
            totals: String::new(),
            lines: channel(),
            interrupted,
        })
    }

    /// Starts a node, and waits until it has bound its sockets.
    pub(super) fn start_node(&mut self, role: Role) -> Result<u32, Failure> {
        let (mine, other) = (role as usize, role.other() as usize);
        let mut command = self.command("node")?;
        command
            .args([&format!("--{role}"), "--with-parent"])
            .args([
                "--local",
                &self.states[mine],
                "--remote",
                &self.states[other],
            ])
            .args(["--frontend", &self.frontends[mine]]);
        let id = self.spawn(Actor::Node(role), command)?;
        self.wait("the node has bound its sockets", |stage| {
            !stage.said(role).state.is_empty()
        })?;
        Ok(id)
    }

    pub(super) fn start_client(&mut self) -> Result<u32, Failure> {
        let mut command = self.command("client")?;
        command
            .args(["--events", "--with-parent", "--timeout", "60000"])
            .args(["--interval", &INTERVAL.as_millis().to_string()])
            .args([
                "--server",
                &self.frontends[0],
                "--server",
                &self.frontends[1],
            ]);
        self.spawn(Actor::Client, command)
    }

    fn command(&self, name: &str) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([name, "--heartbeat", &self.heartbeat.as_millis().to_string()])
            // It ends when this pipe does, should this process be killed. The thread that starts it
            // is the one that lives as long as the process: the system looks at that.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A timeline with log lines in between is no timeline, unless that is asked for.
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned()),
            );
        Ok(command)
    }

    fn spawn(&mut self, actor: Actor, mut command: Command) -> Result<u32, Failure> {
        let mut child = command.spawn()?;
        let id = child.id();
        let stdout = child.stdout.take();
        let cast = self.cast(actor);
        cast.child = Some(child);
        cast.life += 1;
        cast.said = Said::default();
        let (life, lines) = (cast.life, self.lines.0.clone());
        let stdout = stdout.ok_or("the child has no standard output")?;
        thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Fails when the stage is gone; then nobody wants to know.
                let _ = lines.send(Line {
                    from: actor,
                    life,
                    at: Instant::now(),
                    text,
                });
            }
        });
        Ok(id)
    }

    pub(super) fn said(&self, role: Role) -> &Said {
        &self.nodes[role as usize].said
    }

    pub(super) fn is_in(&self, role: Role, state: &str) -> bool {
        self.said(role).state == state
    }

    pub(super) fn served_by(&self) -> Option<Role> {
        self.served_by
    }

    /// The longest that an answer took since this was last asked.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Sends a signal to the process that plays this part.
    pub(super) fn signal(&mut self, actor: Actor, signal: Signal) -> Result<(), Failure> {
        let child = self
            .cast(actor)
            .child
            .as_ref()
            .ok_or("that process is not running")?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Waits until the process has ended, and tells whether it ended well.
    pub(super) fn wait_for_end(&mut self, actor: Actor) -> Result<bool, Failure> {
        let bound = self.bound();
        let deadline = Instant::now() + bound;
        let child = &mut self.cast(actor).child;
        while let Some(running) = child {
            match running.try_wait()? {
                Some(status) => {
                    *child = None;
                    return Ok(status.success());
                }
                None if Instant::now() > deadline => {
                    return Err(format!("{actor:?} did not end within {bound:?}").into());
                }
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
        Ok(true)
    }

    /// Reads what is printed until the condition holds, and gives when it did.
    pub(super) fn wait(
        &mut self,
        for_what: &str,
        mut holds: impl FnMut(&Stage) -> bool,
    ) -> Result<Instant, Failure> {
        let bound = self.bound();
        let deadline = Instant::now() + bound;
        let mut at = Instant::now();
        while !holds(self) {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            }
            if Instant::now() > deadline {
                return Err(format!("this did not come about in {bound:?}: {for_what}").into());
            }
            match self.lines.1.recv_timeout(GLANCE) {
                Ok(line) => {
                    at = line.at;
                    self.note(line);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(at)
    }

    /// Lets a peer timeout pass: time to read along, and for the links to come up as they would
    /// have in real life. What the client waits meanwhile counts for no step.
    pub(super) fn breathe(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + 2 * self.heartbeat;
        self.wait("time passes", |_| Instant::now() >= end)?;
        self.take_waited();
        Ok(())
    }

    fn note(&mut self, line: Line) {
        if self.cast(line.from).life != line.life {
            return;
        }
        let value = |key: &str| {
            let words = line.text.split(' ').find_map(|word| word.strip_prefix(key));
            words
                .and_then(|rest| rest.strip_prefix('='))
                .unwrap_or_default()
                .to_owned()
        };
        match line.from {
            Actor::Node(role) => {
                self.nodes[role as usize].said = Said {
                    state: value("state"),
                    row: value("row"),
                    epoch: value("epoch"),
                };
            }
            Actor::Client => {
                if let Ok(waited) = value("waited_ms").parse::<f64>() {
                    self.waited = self.waited.max(Duration::from_secs_f64(waited / 1e3));
                    let index = value("server").parse::<usize>().ok();
                    self.served_by = index.and_then(|index| Role::ALL.get(index).copied());
                } else if self.totals.is_empty() {
                    self.totals = line.text;
                }
            }
        }
    }

    /// What the client says at its end; empty before.
    pub(super) fn totals(&self) -> &str {
        &self.totals
    }

    fn cast(&mut self, actor: Actor) -> &mut Cast {
        match actor {
            Actor::Node(role) => &mut self.nodes[role as usize],
            Actor::Client => &mut self.client,
        }
    }

    /// Far more than any step takes, so that a step that hangs is an error and not a silence.
    fn bound(&self) -> Duration {
        20 * self.heartbeat + Duration::from_secs(10)
    }
}

/// Leaves no process behind, also none that is stopped, and none when a step failed.
impl Drop for Stage {
    fn drop(&mut self) {
        let casts = self.nodes.iter_mut().chain([&mut self.client]);
        for child in casts.filter_map(|cast| cast.child.as_mut()) {
            // Both fail only when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        // What was printed last must be seen, also when standard output is a pipe.
        let _ = std::io::stdout().flush();
    }
}

/// Ports that the system gives, all at once, so that no two are the same.
fn free_endpoints() -> Result<[String; 4], Failure> {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(TcpListener::bind(("127.0.0.1", 0))?);
    }
    let endpoint = |listener: &TcpListener| -> Result<String, Failure> {
        Ok(format!("tcp://127.0.0.1:{}", listener.local_addr()?.port()))
    };
    let endpoints: Vec<String> = listeners.iter().map(endpoint).collect::<Result<_, _>>()?;
    endpoints
        .try_into()
        .map_err(|_| "four ports were asked for".into())
}
