//! A pair that runs in a network of its own, and the judge that asks it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{BOUND, Line, Outcome, Process, StateLine, programs, python};

use super::clock::{Moment, moment_of, now, wait};
use super::hosts::{Hosts, Link};
use super::record::Record;
use super::side::Side;
use super::verdict::{Span, Spans};

const STATE_PORT: u16 = 5003;
const SECOND_STATE_PORT: u16 = 5005;
const FRONTEND_PORT: u16 = 5001;

/// Whose rules the servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rules {
    /// The pair's own.
    Pair,
    /// The Guide's, to compare.
    Guide,
}

impl Rules {
    /// The word for it on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Guide => "guide",
        }
    }
}

/// What all pairs of a run have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program `campaign`, which is judge and server too.
    pub program: PathBuf,
    /// The pair's heartbeat.
    pub heartbeat: Duration,
    /// The servers' rules.
    pub rules: Rules,
    /// Whether each `bstarsrv` takes its peer for dead when the peer's host proves it.
    pub proof_of_death: bool,
    /// Further arguments for each `bstarsrv`.
    pub server_args: Vec<String>,
}

/// Which program a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `bstarsrv`.
    Server,
    /// A server whose handler can be told to sleep.
    Sleeper,
    /// A server in Python that knows only the Guide's wire format.
    Guide,
}

/// How a server is started, beside what all have in common.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: Program,
    /// Whether it speaks to its peer on the second state link too.
    pub has_second_link: bool,
    /// Further arguments.
    pub args: Vec<String>,
    /// Further variables of its environment.
    pub env: Vec<(String, OsString)>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            program: Program::Server,
            has_second_link: false,
            args: Vec::new(),
            env: Vec::new(),
        }
    }
}

/// One life of a server.
struct Life {
    side: Side,
    process: Process,
    ended: Option<Moment>,
}

/// What happened, for a timeline.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: String,
}

/// A pair in its network, with its judge. All of it ends when this is dropped; the network is
/// another's.
pub struct Site<'a> {
    /// The network.
    pub hosts: &'a Hosts,
    /// What it has in common with others.
    pub settings: &'a Settings,
    /// How each server is started.
    pub starts: [Start; 2],
    lives: Vec<Life>,
    judge: Option<Process>,
    events: Vec<Event>,
}

impl<'a> Site<'a> {
    /// A pair that does not run yet.
    #[must_use]
    pub fn new(hosts: &'a Hosts, settings: &'a Settings) -> Self {
        Self {
            hosts,
            settings,
            starts: [Start::default(), Start::default()],
            lives: Vec::new(),
            judge: None,
            events: Vec::new(),
        }
    }

    /// The pair's heartbeat.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.settings.heartbeat
    }

    /// Notes what was done.
    pub fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.events.push(Event { at: now(), what });
    }

    /// Starts a server and waits until it says that all is bound.
    ///
    /// # Errors
    ///
    /// When it does not say so.
    pub fn start(&mut self, side: Side) -> Outcome<()> {
        self.note(format!("start {side}"));
        let process = Process::spawn(side.role().name(), &mut self.command(side)?);
        let begun = process.stdout().find(0, BOUND, StateLine::parse);
        if begun.is_none() {
            return Err(process.describe("does not start"));
        }
        self.lives.push(Life {
            side,
            process,
            ended: None,
        });
        Ok(())
    }

    fn command(&self, side: Side) -> Outcome<Command> {
        let start = &self.starts[side.index()];
        let inner = match start.program {
            Program::Server => Command::new(programs::program("bstarsrv")),
            Program::Sleeper => {
                let mut command = Command::new(&self.settings.program);
                command.arg("server");
                command
            }
            Program::Guide => python::script("guide_server.py")?,
        };
        let mut command = within(self.hosts.server(side).name(), &inner);
        let heartbeat_ms = self.heartbeat().as_millis().to_string();
        let remote = Link::State.address(side.other());
        command
            .arg(side.role().option())
            .args(["--local", &format!("tcp://*:{STATE_PORT}")])
            .args(["--remote", &format!("tcp://{remote}:{STATE_PORT}")])
            .args(["--frontend", &format!("tcp://*:{FRONTEND_PORT}")])
            .args(["--heartbeat", &heartbeat_ms]);
        if start.has_second_link {
            let remote = Link::Second.address(side.other());
            command
                .args(["--local2", &format!("tcp://*:{SECOND_STATE_PORT}")])
                .args(["--remote2", &format!("tcp://{remote}:{SECOND_STATE_PORT}")]);
        }
        if start.program != Program::Guide {
            command.args(["--table", self.settings.rules.name()]);
        }
        if start.program == Program::Server {
            command.args(&self.settings.server_args);
            if self.settings.proof_of_death {
                let frontend = format!("tcp://{remote}:{FRONTEND_PORT}");
                command.args(["--proof-of-death", "--peer-frontend", &frontend]);
            }
        }
        command.args(&start.args);
        command.envs(start.env.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// Starts the judge.
    pub fn start_judge(&mut self) {
        let probed = |side| frontend(Link::Probe(side), side);
        let mut judge = Command::new(&self.settings.program);
        judge.arg("judge");
        for side in Side::BOTH {
            judge.args(["--probe", &probed(side), "--server", &self.endpoint(side)]);
        }
        judge.args(["--heartbeat", &self.heartbeat().as_millis().to_string()]);
        let mut command = within(self.hosts.client().name(), &judge);
        self.judge = Some(Process::spawn("judge", &mut command));
    }

    /// Where clients reach a server.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> String {
        frontend(Link::Client(side), side)
    }

    fn life(&self, side: Side) -> Option<&Life> {
        self.lives.iter().rev().find(|life| life.side == side)
    }

    /// The process of a server, if it has one that was not ended here.
    #[must_use]
    pub fn process(&self, side: Side) -> Option<&Process> {
        let life = self.life(side)?;
        life.ended.is_none().then_some(&life.process)
    }

    /// Whether a server runs.
    #[must_use]
    pub fn is_alive(&self, side: Side) -> bool {
        let process = self.process(side);
        process.is_some_and(|process| process.exit_status().is_none())
    }

    /// The servers that ended by themselves.
    #[must_use]
    pub fn died(&self) -> Vec<Side> {
        let died = |life: &&Life| life.ended.is_none() && life.process.exit_status().is_some();
        self.lives
            .iter()
            .filter(died)
            .map(|life| life.side)
            .collect()
    }

    /// Sends a signal to a server that runs.
    pub fn signal(&mut self, side: Side, signal: Signal) {
        self.note(format!("{signal:?} to {side}"));
        if let Some(process) = self.process(side) {
            process.signal(signal);
        }
    }

    /// Ends a server and waits until it is gone. One that ended by itself stays known as that.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn end(&mut self, side: Side, signal: Signal) -> Outcome<()> {
        if !self.is_alive(side) {
            return Ok(());
        }
        self.signal(side, signal);
        let ended = self.process(side).map(|process| process.wait_exit(BOUND));
        ended.transpose()?;
        let life = self.lives.iter_mut().rev().find(|life| life.side == side);
        if let Some(life) = life {
            life.ended = Some(now());
        }
        self.note(format!("{side} has ended"));
        Ok(())
    }

    /// The state that a running server named last.
    #[must_use]
    pub fn state(&self, side: Side) -> String {
        if !self.is_alive(side) {
            return "gone".to_owned();
        }
        let lines = self.process(side).map(|process| process.stdout().all());
        let last = lines
            .iter()
            .flatten()
            .filter_map(StateLine::parse)
            .next_back();
        last.map_or_else(String::new, |line| line.state)
    }

    /// Whoever is active by its own word, if that is one.
    #[must_use]
    pub fn active(&self) -> Option<Side> {
        let active = Side::BOTH.map(|side| self.state(side) == "active");
        match active {
            [true, false] => Some(Side::A),
            [false, true] => Some(Side::B),
            [true, true] | [false, false] => None,
        }
    }

    /// When a server last named its state.
    #[must_use]
    pub fn changed(&self, side: Side) -> Option<Moment> {
        let lines = self.life(side)?.process.stdout().all();
        let last = lines.iter().filter_map(StateLine::parse).next_back();
        last.map(|line| moment_of(line.at))
    }

    /// Waits until a server is active and the other passive.
    ///
    /// # Errors
    ///
    /// When they do not come to that.
    pub fn wait_roles(&self, active: Side) -> Outcome<()> {
        let end = Instant::now() + BOUND;
        while self.state(active) != "active" || self.state(active.other()) != "passive" {
            if Instant::now() > end {
                return Err(self.describe(&format!("{active} does not become the active one")));
            }
            wait(self.heartbeat() / 10)?;
        }
        Ok(())
    }

    /// The servers that say that they were not run for a while.
    #[must_use]
    pub fn late(&self) -> Vec<Side> {
        let is_late = |life: &&Life| {
            let lines = life.process.stdout().all();
            let mut lines = lines.iter().filter_map(StateLine::parse);
            lines.any(|line| line.cause == "late")
        };
        self.lives
            .iter()
            .filter(is_late)
            .map(|life| life.side)
            .collect()
    }

    /// When each server was active by its own lines, at the earliest and at the latest: a line is
    /// read up to `slack` after it was true.
    #[must_use]
    pub fn active_spans(&self, slack: Duration) -> [Spans; 2] {
        let early = |at: Moment| at.saturating_sub(super::clock::nanos(slack));
        Side::BOTH.map(|side| {
            let mut spans = Vec::new();
            for life in self.lives.iter().filter(|life| life.side == side) {
                let mut since = None;
                for line in life
                    .process
                    .stdout()
                    .all()
                    .iter()
                    .filter_map(StateLine::parse)
                {
                    let at = moment_of(line.at);
                    if line.state == "active" {
                        since.get_or_insert(early(at));
                    } else if let Some(from) = since.take() {
                        spans.push(Span::new(from, at));
                    }
                }
                if let Some(from) = since {
                    spans.push(Span::new(from, life.ended.unwrap_or(Moment::MAX)));
                }
            }
            Spans::union(spans)
        })
    }

    /// What the judge has written behind its line `from`.
    ///
    /// # Errors
    ///
    /// When it has ended, or writes what is no record.
    pub fn records(&self, from: usize) -> Outcome<Vec<Record>> {
        let judge = self.judge.as_ref().ok_or("there is no judge")?;
        if judge.exit_status().is_some() {
            return Err(judge.describe("has ended"));
        }
        let lines = judge.stdout().all();
        let lines = lines.get(from..).unwrap_or_default();
        lines
            .iter()
            .map(|line| Record::from_str(&line.text))
            .collect()
    }

    /// How many records there are: a mark from which to read on.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.judge
            .as_ref()
            .map_or(0, |judge| judge.stdout().count())
    }

    /// Everything that was done, and that the servers said, in its order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let said = |life: &Life, line: Line| Event {
            at: moment_of(line.at),
            what: format!("{}: {}", life.side, line.text),
        };
        let mut events = self.events.clone();
        for life in &self.lives {
            let outputs = [life.process.stdout().all(), life.process.stderr().all()];
            events.extend(outputs.concat().into_iter().map(|line| said(life, line)));
        }
        events.sort_by_key(|event| event.at);
        events
    }

    /// `what`, with all that the servers have written.
    #[must_use]
    pub fn describe(&self, what: &str) -> String {
        let lives = self.lives.iter().map(|life| life.process.describe(""));
        format!("{what}\n{}", lives.collect::<Vec<_>>().join("\n"))
    }
}

fn frontend(link: Link, side: Side) -> String {
    format!("tcp://{}:{FRONTEND_PORT}", link.address(side))
}

/// The command, run in a namespace; it ends with the thread that starts it, however that ends.
fn within(namespace: &str, inner: &Command) -> Command {
    let mut command = Command::new("ip");
    // Each becomes the next, so that signals reach the program itself.
    command
        .args(["netns", "exec", namespace])
        .args(["setpriv", "--pdeathsig", "KILL", "--"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command
}
