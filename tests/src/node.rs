//! A running `bstarsrv`, and a pair of them.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{BOUND, Line, Outcome, Process, ensure, free_endpoint, programs};

/// The role of a server in its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server that is at first active.
    Primary,
    /// The server that is at first passive.
    Backup,
}

impl Role {
    /// The digit that a server of this role publishes in its initial state.
    #[must_use]
    pub fn digit(self) -> u8 {
        match self {
            Self::Primary => b'1',
            Self::Backup => b'2',
        }
    }

    /// The role of the peer.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Backup,
            Self::Backup => Self::Primary,
        }
    }

    /// The role's name, which is also the name of its initial state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    /// The option that gives this role to a program.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Primary => "-p",
            Self::Backup => "-b",
        }
    }
}

/// With what a server is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its role.
    pub role: Role,
    /// Where it publishes its state.
    pub local: String,
    /// Where its peer publishes.
    pub remote: String,
    /// Where it takes requests.
    pub frontend: String,
    /// Its heartbeat.
    pub heartbeat: Duration,
    /// Further arguments.
    pub more: Vec<String>,
    /// The network namespace to run it in.
    pub namespace: Option<String>,
}

impl NodeConfig {
    /// A server on fresh endpoints, with a peer that is to publish at `remote`.
    #[must_use]
    pub fn new(role: Role, remote: &str, heartbeat: Duration) -> Self {
        Self {
            role,
            local: free_endpoint(),
            remote: remote.to_owned(),
            frontend: free_endpoint(),
            heartbeat,
            more: Vec::new(),
            namespace: None,
        }
    }

    /// The command line that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let program = programs::program("bstarsrv");
        let mut command = match &self.namespace {
            // `ip netns exec` becomes the program, so that signals reach the server itself.
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .arg(self.role.option())
            .args(["--local", &self.local, "--remote", &self.remote])
            .args(["--frontend", &self.frontend])
            .args(["--heartbeat", &self.heartbeat.as_millis().to_string()])
            .args(&self.more);
        command
    }
}

/// A line of a server that names its state.
#[derive(Clone, Debug)]
pub struct StateLine {
    /// When it was read.
    pub at: Instant,
    /// The state: `primary`, `backup`, `active`, `passive` or `resigned`.
    pub state: String,
    /// The row of the table that fired.
    pub row: String,
    /// The epoch.
    pub epoch: u64,
    /// Why.
    pub cause: String,
}

impl StateLine {
    /// Reads a line of the form `state=… row=… epoch=… cause=…`.
    #[must_use]
    pub fn parse(line: &Line) -> Option<Self> {
        let value = |key: &str| {
            let mut words = line.text.split_whitespace();
            let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            value.map(str::to_owned)
        };
        Some(Self {
            at: line.at,
            state: value("state")?,
            row: value("row")?,
            epoch: value("epoch")?.parse().ok()?,
            cause: value("cause")?,
        })
    }
}

/// A running server.
pub struct Node {
    process: Process,
    config: NodeConfig,
}

impl Node {
    /// Starts a server and waits until it says that all is bound.
    ///
    /// # Errors
    ///
    /// When it does not say so.
    pub fn start(config: &NodeConfig) -> Outcome<Self> {
        let name = config.role.name();
        let node = Self {
            process: Process::spawn(name, &mut config.command()),
            config: config.clone(),
        };
        node.wait_transition(0, BOUND, |line| line.state == name)?;
        Ok(node)
    }

    /// The process behind it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// With what it was started.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.process.exit_status().is_none()
    }

    /// Fails unless it runs.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn ensure_alive(&self) -> Outcome<()> {
        ensure(self.is_alive(), || self.process.describe("has ended"))
    }

    /// Everything that it said about its state, in order.
    #[must_use]
    pub fn transitions(&self) -> Vec<StateLine> {
        let lines = self.process.stdout().all();
        lines.iter().filter_map(StateLine::parse).collect()
    }

    /// How many lines it has written: a mark from which to wait for the next.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.process.stdout().count()
    }

    /// The state that it named last.
    #[must_use]
    pub fn state(&self) -> String {
        let last = self.transitions().pop();
        last.map_or_else(String::new, |line| line.state)
    }

    /// Waits for a line behind the mark `from` that `wanted` accepts.
    ///
    /// # Errors
    ///
    /// When none comes within `bound`.
    pub fn wait_transition(
        &self,
        from: usize,
        bound: Duration,
        mut wanted: impl FnMut(&StateLine) -> bool,
    ) -> Outcome<StateLine> {
        let found = self.process.stdout().find(from, bound, |line| {
            StateLine::parse(line).filter(|line| wanted(line))
        });
        found.ok_or_else(|| self.process.describe("the awaited transition did not come"))
    }

    /// Waits until the state that it named last is `state`.
    ///
    /// # Errors
    ///
    /// When it does not come to that within the bound.
    pub fn wait_state(&self, state: &str) -> Outcome<()> {
        let end = Instant::now() + BOUND;
        loop {
            // The mark is taken first, so that no line is missed between looking and waiting.
            let mark = self.mark();
            if self.state() == state {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            let next = self.process.stdout().find(mark, left, |_| Some(()));
            if next.is_none() && self.state() != state {
                return Err(self.process.describe(&format!("did not become {state}")));
            }
        }
    }

    /// Fails if it has changed its state behind the mark `from`.
    ///
    /// # Errors
    ///
    /// When it has.
    pub fn ensure_quiet(&self, from: usize) -> Outcome<()> {
        ensure(self.mark() == from, || {
            self.process.describe("should not have changed its state")
        })
    }

    /// Asks for a switchover.
    pub fn switch_over(&self) {
        self.process.signal(Signal::USR1);
    }

    /// Stops it as a pause of its machine would.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it run on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }
}

/// The two servers of a pair, each of which may be down.
pub struct Pair {
    /// With what the primary and the backup are started.
    pub configs: [NodeConfig; 2],
    /// The primary and the backup, where they run.
    pub nodes: [Option<Node>; 2],
}

impl Pair {
    /// A pair on fresh endpoints, not yet started.
    #[must_use]
    pub fn new(heartbeat: Duration) -> Self {
        let mut primary = NodeConfig::new(Role::Primary, "", heartbeat);
        let backup = NodeConfig::new(Role::Backup, &primary.local, heartbeat);
        primary.remote.clone_from(&backup.local);
        Self {
            configs: [primary, backup],
            nodes: [None, None],
        }
    }

    /// A pair that runs, with the primary active and the backup passive.
    ///
    /// # Errors
    ///
    /// When the two do not come to that.
    pub fn running(heartbeat: Duration) -> Outcome<Self> {
        let mut pair = Self::new(heartbeat);
        pair.start(0)?;
        pair.start(1)?;
        pair.settle_at(0)?;
        Ok(pair)
    }

    /// Starts the server `index` (0 is the primary), killing the one that was.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(&mut self, index: usize) -> Outcome<()> {
        self.nodes[index] = None;
        self.nodes[index] = Some(Node::start(&self.configs[index])?);
        Ok(())
    }

    /// The server `index`.
    ///
    /// # Panics
    ///
    /// When the test has not started it.
    #[must_use]
    pub fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("the test has started it")
    }

    /// The front ends, the primary's first.
    #[must_use]
    pub fn frontends(&self) -> [String; 2] {
        [0, 1].map(|index| self.configs[index].frontend.clone())
    }

    /// Waits until the server `index` is active and the other is passive.
    ///
    /// # Errors
    ///
    /// When they do not come to that.
    pub fn settle_at(&self, index: usize) -> Outcome<()> {
        let settled = self.settle()?;
        if settled == index {
            return Ok(());
        }
        Err(self.describe(&format!("the active one is {settled} and not {index}")))
    }

    /// Waits until one is active, the other passive, and they stay so for six heartbeats;
    /// answers with the index of the active one.
    ///
    /// # Errors
    ///
    /// When they do not come to that, or one of them has ended.
    pub fn settle(&self) -> Outcome<usize> {
        let quiet = self.configs[0].heartbeat * 6;
        let end = Instant::now() + BOUND;
        loop {
            // The marks are taken first, so that no line is missed between looking and waiting.
            let marks = [0, 1].map(|index| self.node(index).mark());
            let states = [0, 1].map(|index| self.node(index).state());
            let changed = |bound| {
                let lines = self.node(0).process().stdout();
                lines.find(marks[0], bound, |_| Some(())).is_some()
                    || self.node(1).mark() != marks[1]
            };
            let active = states.iter().position(|state| state == "active");
            let is_settled = active.is_some_and(|active| states[1 - active] == "passive");
            if is_settled && !changed(quiet) {
                for index in [0, 1] {
                    self.node(index).ensure_alive()?;
                }
                return active.ok_or_else(|| self.describe("nobody is active"));
            }
            if Instant::now() > end {
                return Err(self.describe("one active and one passive did not come about"));
            }
            if !is_settled {
                changed(self.configs[0].heartbeat / 4);
            }
        }
    }

    /// `what`, with all that both have written.
    #[must_use]
    pub fn describe(&self, what: &str) -> String {
        let nodes = self.nodes.iter().flatten();
        let parts: Vec<String> = nodes.map(|node| node.process().describe("")).collect();
        format!("{what}\n{}", parts.join("\n"))
    }
}
