//! What faults do to the world, and what their end does.

use super::Fault;
use super::clock::nanoseconds;
use super::node::{HostId, Life, LinkChange, Node};
use super::queue::{Arrival, Happening};
use super::timeline::What;
use super::world::{Cause, Start, Step, World};

impl<N: Node> World<'_, N> {
    pub(super) fn begin(&mut self, number: usize) -> Step {
        let (_, fault) = &self.schedule[number];
        self.tell(None, || What::Begins(fault.to_string()));
        let took = self.apply(number, fault);
        if took {
            self.counts.count(fault.kind());
        }
        if let Some(lasts) = fault.lasts() {
            let over_ns = self.now_ns + nanoseconds(lasts);
            self.queue.push(over_ns, Happening::End(number));
        }
        Step {
            host: fault.host(),
            cause: Cause::Begin(fault.kind()),
        }
    }

    /// Whether it changed anything.
    fn apply(&mut self, number: usize, fault: &Fault<N::Input>) -> bool {
        match *fault {
            Fault::Crash { host, .. } | Fault::Die { host } => {
                let was_up = self.hosts[host].node.is_some();
                self.hosts[host].downs += 1;
                self.take_down(host, "crashes");
                was_up
            }
            Fault::Stop { host, .. } => self.stop(host),
            Fault::Pause { host, .. } => {
                let ran = self.hosts[host].runs();
                self.hosts[host].pauses += 1;
                ran
            }
            Fault::ClockRate { host, ppm, .. } => {
                self.hosts[host].rates.push((number, ppm));
                self.adjust_clock(host);
                true
            }
            Fault::ClockStep { host, by } => {
                self.hosts[host].clock.step(self.now_ns, by);
                self.set_timer(host, true);
                true
            }
            Fault::Cut { from, to, .. } => self.cut(from, to),
            Fault::Part { hosts: [a, b], .. } => {
                let (there, back) = (self.cut(a, b), self.cut(b, a));
                there || back
            }
            Fault::Loss { .. }
            | Fault::Delay { .. }
            | Fault::Reorder { .. }
            | Fault::Duplicate { .. } => {
                if let Some((from, to, link)) = fault.on_link() {
                    let at = self.link(from, to);
                    self.links[at].faults.push((number, link));
                }
                true
            }
            Fault::Input { host, ref input } => {
                let life = self.hosts[host].life;
                self.arrive(host, life, false, Arrival::Input(input.clone()));
                self.hosts[host].node.is_some()
            }
        }
    }

    pub(super) fn end(&mut self, number: usize, start: Start<'_, N>) -> Step {
        let (_, fault) = &self.schedule[number];
        self.tell(None, || What::Ends(fault.to_string()));
        match *fault {
            Fault::Crash { host, .. } | Fault::Stop { host, .. } => {
                self.hosts[host].downs -= 1;
                self.start(host, start);
            }
            Fault::Pause { host, .. } => {
                self.hosts[host].pauses -= 1;
                self.start(host, start);
                if self.hosts[host].runs() {
                    self.resume(host);
                }
            }
            Fault::ClockRate { host, .. } => {
                self.hosts[host].rates.retain(|(of, _)| *of != number);
                self.adjust_clock(host);
            }
            Fault::Cut { from, to, .. } => self.heal(from, to),
            Fault::Part { hosts: [a, b], .. } => {
                // In one go: a connection needs both ways, and there is to be one of it.
                let back = self.link(b, a);
                self.links[back].cuts -= 1;
                self.heal(a, b);
            }
            Fault::Loss { from, to, .. }
            | Fault::Delay { from, to, .. }
            | Fault::Reorder { from, to, .. }
            | Fault::Duplicate { from, to, .. } => {
                let at = self.link(from, to);
                self.links[at].faults.retain(|(of, _)| *of != number);
            }
            // These have no end.
            Fault::Die { .. } | Fault::ClockStep { .. } | Fault::Input { .. } => {}
        }
        Step {
            host: fault.host(),
            cause: Cause::End(fault.kind()),
        }
    }

    fn stop(&mut self, host: HostId) -> bool {
        let was_up = self.hosts[host].node.is_some();
        if self.hosts[host].runs() {
            self.call(host, |node, now| node.handle_stop(now));
        }
        self.hosts[host].downs += 1;
        self.take_down(host, "stops");
        was_up
    }

    /// Whether messages passed before.
    fn cut(&mut self, from: HostId, to: HostId) -> bool {
        let at = self.link(from, to);
        let link = &mut self.links[at];
        link.cuts += 1;
        link.cut_count += 1;
        link.cuts == 1
    }

    fn heal(&mut self, from: HostId, to: HostId) {
        let at = self.link(from, to);
        self.links[at].cuts -= 1;
        if self.links[at].cuts == 0 {
            self.connect(from, to);
        }
    }

    fn adjust_clock(&mut self, host: HostId) {
        let now_ns = self.now_ns;
        let this = &mut self.hosts[host];
        let ppm = this.rate_ppm();
        this.clock.set_rate(now_ns, ppm);
        self.set_timer(host, true);
    }

    /// Starts a node, if nothing keeps the host down.
    pub(super) fn start(&mut self, host: HostId, start: Start<'_, N>) {
        let now_ns = self.now_ns;
        let this = &mut self.hosts[host];
        if this.node.is_some() || this.downs > 0 || this.pauses > 0 || this.exited.is_some() {
            return;
        }
        this.life += 1;
        let life = Life {
            host,
            number: this.life,
            random: this.random.next(),
        };
        this.node = Some(start(life, this.clock.instant(now_ns)));
        self.counts.started += 1;
        self.tell(Some(host), || What::Starts { life: life.number });
        self.settle(host);
        for peer in 0..self.hosts.len() {
            self.connect(host, peer);
        }
    }

    /// Ends the host's node: its peers learn that the connections are gone.
    pub(super) fn take_down(&mut self, host: HostId, how: &'static str) {
        let this = &mut self.hosts[host];
        if this.node.take().is_none() {
            return;
        }
        this.timer = None;
        this.timer_stamp += 1;
        let waiting = this.inbox.drain(..);
        let lost = waiting
            .filter(|what| matches!(what, Arrival::Message { .. }))
            .count();
        this.connected.fill(None);
        self.counts.undelivered += lost as u64;
        self.tell(Some(host), || What::Gone(how));
        for peer in 0..self.hosts.len() {
            let at = self.link(host.min(peer), host.max(peer));
            let Some(connection) = self.connections[at].take() else {
                continue;
            };
            let link = self.link(host, peer);
            // Over a cut link the end of a connection is not heard of: the next one replaces it.
            if self.links[link].cuts == 0 {
                self.announce(peer, host, LinkChange::Down { connection });
            }
        }
    }

    /// Nobody waits at the end of a pause: all that came is handed on at once, the timer first.
    pub(super) fn resume(&mut self, host: HostId) {
        let life = self.hosts[host].life;
        let waiting: Vec<_> = self.hosts[host].inbox.drain(..).collect();
        for what in waiting {
            self.queue.push(
                self.now_ns,
                Happening::Arrive {
                    host,
                    life,
                    waited: true,
                    what,
                },
            );
        }
        self.set_timer(host, true);
    }
}
