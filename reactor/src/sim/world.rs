//! The simulated world: everything that is, and how one thing leads to the next.

use std::time::{Duration, Instant};

use super::clock::nanoseconds;
use super::host::{Condition, Host};
use super::link::LinkState;
use super::node::{HostId, Life, Node, Output};
use super::queue::{Arrival, Happening, Queue};
use super::random::{Random, Stream};
use super::timeline::{Timeline, What};
use super::{Counts, Fault, Kind, Sim};

/// A node that says more than this in answer to one call does not come to an end.
const MAX_OUTPUTS: usize = 10_000;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// To whom; `None` if it is a fault of a link.
    pub host: Option<HostId>,
    /// What.
    pub cause: Cause,
}

/// What happened in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A node was started at the begin of the run.
    Start,
    /// A message was handed to the node.
    Message {
        /// From whom.
        from: HostId,
        /// When it was sent, since the start of the run.
        sent: Duration,
    },
    /// A connection came up or went down.
    Link,
    /// An input was handed to the node.
    Input,
    /// The node's deadline passed.
    Timeout,
    /// A fault of this kind began.
    Begin(Kind),
    /// A fault of this kind is over.
    End(Kind),
}

/// The world during a run, for those who watch.
pub struct World<'a, N: Node> {
    pub(super) sim: &'a Sim<N::Input>,
    pub(super) schedule: &'a [(Duration, Fault<N::Input>)],
    pub(super) now_ns: u64,
    pub(super) hosts: Vec<Host<N>>,
    /// The link from one host to another, see [`World::link`].
    pub(super) links: Vec<LinkState>,
    /// The connection that two hosts have, if they have one, at the place of the link from the lower to the higher.
    pub(super) connections: Vec<Option<u64>>,
    pub(super) last_connection: u64,
    pub(super) queue: Queue<N::Message, N::Input>,
    pub(super) loads: Vec<Random>,
    pub(super) counts: Counts,
    /// Kept only if somebody will read it.
    pub(super) timeline: Option<Timeline>,
    /// A node broke its contract.
    pub(super) misbehaved: Option<String>,
}

/// Makes a node for a life that begins.
pub(super) type Start<'s, N> = &'s mut dyn FnMut(Life, Instant) -> N;

impl<'a, N: Node> World<'a, N> {
    pub(super) fn new(
        sim: &'a Sim<N::Input>,
        seed: u64,
        schedule: &'a [(Duration, Fault<N::Input>)],
        keep_timeline: bool,
    ) -> Self {
        let n = sim.names.len();
        let host = |h| Host::new(n, sim.rate_of(h), Random::new(seed, Stream::Host(h)));
        let link = |l| {
            LinkState::new(
                sim.link_from(l / n, l % n).clone(),
                Random::new(seed, Stream::Link(l)),
            )
        };
        let mut world = Self {
            sim,
            schedule,
            now_ns: 0,
            hosts: (0..n).map(host).collect(),
            links: (0..n * n).map(link).collect(),
            connections: vec![None; n * n],
            last_connection: 0,
            queue: Queue::new(),
            loads: (0..sim.loads.len())
                .map(|l| Random::new(seed, Stream::Load(l)))
                .collect(),
            counts: Counts::default(),
            timeline: keep_timeline.then(|| Timeline::new(&sim.names)),
            misbehaved: None,
        };
        world.counts.runs = 1;
        for (number, (at, _)) in schedule.iter().enumerate() {
            world.queue.push(nanoseconds(*at), Happening::Begin(number));
        }
        for (number, load) in sim.loads.iter().enumerate() {
            let first_ns = world.loads[number].up_to(load.every);
            world.queue.push(first_ns, Happening::Load(number));
        }
        world
    }

    /// The time since the start of the run.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// The host's node, if it has one, be it paused or not.
    pub fn node(&self, host: HostId) -> Option<&N> {
        self.hosts.get(host)?.node.as_ref()
    }

    /// How the host is.
    pub fn condition(&self, host: HostId) -> Condition {
        self.hosts
            .get(host)
            .map_or(Condition::Down, Host::condition)
    }

    /// Which life the host is in or was in last: 1 for the first.
    pub fn life(&self, host: HostId) -> u64 {
        self.hosts.get(host).map_or(0, |host| host.life)
    }

    /// What the host's clock shows.
    pub fn local_now(&self, host: HostId) -> Option<Instant> {
        Some(self.hosts.get(host)?.clock.instant(self.now_ns))
    }

    /// Whether the link is cut in this direction.
    pub fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.hosts() > from.max(to) && self.links[self.link(from, to)].cuts > 0
    }

    /// When a message from the one was last handed to the other, since the start of the run.
    pub fn last_delivered(&self, from: HostId, to: HostId) -> Option<Duration> {
        if self.hosts() <= from.max(to) {
            return None;
        }
        self.links[self.link(from, to)]
            .delivered_ns
            .map(Duration::from_nanos)
    }

    /// How often things have happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn link(&self, from: HostId, to: HostId) -> usize {
        from * self.hosts.len() + to
    }

    pub(super) fn tell(&mut self, host: Option<HostId>, what: impl FnOnce() -> What) {
        if let Some(timeline) = &mut self.timeline {
            timeline.add(self.now_ns, host, what());
        }
    }

    /// Goes on to the next thing that happens; `None` at the end of the time.
    pub(super) fn advance(&mut self, start: Start<'_, N>) -> Option<Step> {
        loop {
            let (at_ns, what) = self.queue.pop()?;
            if at_ns > nanoseconds(self.sim.duration) {
                self.now_ns = nanoseconds(self.sim.duration);
                return None;
            }
            self.now_ns = at_ns;
            let step = match what {
                Happening::Begin(number) => Some(self.begin(number)),
                Happening::End(number) => Some(self.end(number, start)),
                Happening::Timer { host, stamp } => self.pass_deadline(host, stamp),
                Happening::Arrive {
                    host,
                    life,
                    waited,
                    what,
                } => self.arrive(host, life, waited, what),
                Happening::Load(number) => self.load(number),
            };
            if step.is_some() {
                self.counts.steps += 1;
                return step;
            }
        }
    }

    fn load(&mut self, number: usize) -> Option<Step> {
        let load = &self.sim.loads[number];
        let next_ns = self.now_ns + nanoseconds(load.every) + self.loads[number].up_to(load.jitter);
        self.queue.push(next_ns, Happening::Load(number));
        self.arrive(
            load.host,
            self.hosts[load.host].life,
            false,
            Arrival::Input(load.input.clone()),
        )
    }

    fn pass_deadline(&mut self, host: HostId, stamp: u64) -> Option<Step> {
        let now_ns = self.now_ns;
        let this = &mut self.hosts[host];
        if this.timer_stamp != stamp || !this.runs() {
            return None;
        }
        this.timer = None;
        let now = this.clock.instant(now_ns);
        this.node.as_mut()?.handle_timeout(now);
        self.counts.timeouts += 1;
        self.settle(host);
        Some(Step {
            host: Some(host),
            cause: Cause::Timeout,
        })
    }

    /// Calls a node that is there, and does what it wants done.
    pub(super) fn call(&mut self, host: HostId, what: impl FnOnce(&mut N, Instant)) {
        let said = self.timeline.as_ref().map(Timeline::len);
        let this = &mut self.hosts[host];
        let now = this.clock.instant(self.now_ns);
        if let Some(node) = &mut this.node {
            what(node, now);
        }
        self.settle(host);
        if let (Some(timeline), Some(len)) = (&mut self.timeline, said) {
            timeline.mark_dull(len);
        }
    }

    /// After each call of a node: drains it, and sets its timer.
    pub(super) fn settle(&mut self, host: HostId) {
        for _ in 0..MAX_OUTPUTS {
            let Some(output) = self.hosts[host].node.as_mut().and_then(Node::poll_output) else {
                self.set_timer(host, false);
                return;
            };
            match output {
                Output::Send { to, message } if to < self.hosts.len() && to != host => {
                    self.send(host, to, message);
                }
                Output::Send { to, .. } => {
                    self.misbehaved = Some(format!("no such peer: host {host} sends to {to}"));
                }
                Output::Note(text) => self.tell(Some(host), || What::Note(text)),
                Output::Exit(why) => {
                    self.tell(Some(host), || What::Exits(why.clone()));
                    self.hosts[host].exited = Some(why);
                    self.take_down(host, "is gone");
                    return;
                }
            }
        }
        self.misbehaved = Some(format!(
            "no end of outputs: host {host} has said {MAX_OUTPUTS} things at once"
        ));
    }

    pub(super) fn set_timer(&mut self, host: HostId, anew: bool) {
        let now_ns = self.now_ns;
        let slack = self.sim.timer_slack;
        let this = &mut self.hosts[host];
        let deadline = this.node.as_ref().and_then(Node::next_deadline);
        if !this.runs() || (deadline == this.timer && !anew) {
            return;
        }
        this.timer = deadline;
        this.timer_stamp += 1;
        let Some(deadline) = deadline else {
            return;
        };
        let late_ns = if anew { 0 } else { this.random.up_to(slack) };
        let at_ns = this
            .clock
            .when(deadline)
            .max(now_ns)
            .saturating_add(late_ns);
        let stamp = this.timer_stamp;
        self.queue.push(at_ns, Happening::Timer { host, stamp });
    }
}
