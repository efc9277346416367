//! How messages, inputs and the news of connections come to a host.

use std::time::Duration;

use super::link::InFlight;
use super::node::{HostId, LinkChange, Node};
use super::queue::{Arrival, Happening};
use super::timeline::{Loss, What};
use super::world::{Cause, Step, World};

impl<N: Node> World<'_, N> {
    /// Makes a new connection between two hosts, if there is a way and a node at both ends.
    pub(super) fn connect(&mut self, a: HostId, b: HostId) {
        let links = [self.link(a, b), self.link(b, a)];
        if a == b
            || [a, b].iter().any(|host| self.hosts[*host].node.is_none())
            || links.iter().any(|link| self.links[*link].cuts > 0)
        {
            return;
        }
        self.last_connection += 1;
        let connection = self.last_connection;
        let at = self.link(a.min(b), a.max(b));
        self.connections[at] = Some(connection);
        self.announce(a, b, LinkChange::Up { connection });
        self.announce(b, a, LinkChange::Up { connection });
    }

    pub(super) fn announce(&mut self, host: HostId, peer: HostId, change: LinkChange) {
        let link = self.link(peer, host);
        let at_ns = self.now_ns + self.links[link].delay_ns();
        let life = self.hosts[host].life;
        self.queue.push(
            at_ns,
            Happening::Arrive {
                host,
                life,
                waited: false,
                what: Arrival::Link { peer, change },
            },
        );
    }

    /// Something comes to a host: its node gets it, or it waits, or nobody is there.
    pub(super) fn arrive(
        &mut self,
        host: HostId,
        life: u64,
        waited: bool,
        what: Arrival<N::Message, N::Input>,
    ) -> Option<Step> {
        if !waited && !self.passes(host, &what) {
            return None;
        }
        let max_waiting = self.sim.max_waiting;
        let this = &mut self.hosts[host];
        if this.node.is_none() || this.life != life {
            self.lose(host, &what, Loss::NoNode);
            return None;
        }
        if this.pauses > 0 {
            if this.inbox.len() < max_waiting {
                this.inbox.push_back(what);
                self.counts.waited += 1;
            } else {
                self.lose(host, &what, Loss::Full);
            }
            return None;
        }
        match what {
            Arrival::Message {
                from,
                message,
                sent_ns,
                copy,
                ..
            } => self.deliver(host, from, message, sent_ns, copy),
            Arrival::Link { peer, change } => self.change_link(host, peer, change),
            Arrival::Input(input) => self.ask(host, input),
        }
    }

    /// What becomes of it at the end of the link.
    fn passes(&mut self, host: HostId, what: &Arrival<N::Message, N::Input>) -> bool {
        match what {
            Arrival::Message {
                from, cut_count, ..
            } => {
                let link = self.link(*from, host);
                let link = &mut self.links[link];
                link.flying -= 1;
                if link.base.in_flight == InFlight::Lost && link.cut_count != *cut_count {
                    self.lose(host, what, Loss::Cut);
                    return false;
                }
                true
            }
            Arrival::Link { peer, .. } => self.links[self.link(*peer, host)].cuts == 0,
            Arrival::Input(_) => true,
        }
    }

    fn deliver(
        &mut self,
        host: HostId,
        from: HostId,
        message: N::Message,
        sent_ns: u64,
        copy: bool,
    ) -> Option<Step> {
        self.tell(Some(host), || What::Delivered {
            from,
            text: message.to_string(),
            sent_ns,
            copy,
        });
        self.counts.delivered += 1;
        let (link, now_ns) = (self.link(from, host), self.now_ns);
        let link = &mut self.links[link];
        link.delivered_ns = Some(now_ns);
        if sent_ns < link.newest_ns {
            self.counts.overtook += 1;
        }
        link.newest_ns = link.newest_ns.max(sent_ns);
        self.call(host, |node, now| node.handle_message(from, message, now));
        let sent = Duration::from_nanos(sent_ns);
        Some(Step {
            host: Some(host),
            cause: Cause::Message { from, sent },
        })
    }

    fn ask(&mut self, host: HostId, input: N::Input) -> Option<Step> {
        self.tell(Some(host), || What::Input(format!("{input:?}")));
        self.counts.inputs += 1;
        self.call(host, |node, now| node.handle_input(input, now));
        Some(Step {
            host: Some(host),
            cause: Cause::Input,
        })
    }

    /// Tells a node of a connection. The new one may be there before the old one is known to be gone.
    fn change_link(&mut self, host: HostId, peer: HostId, change: LinkChange) -> Option<Step> {
        let this = &mut self.hosts[host];
        let before = this.connected[peer];
        let changes = match change {
            LinkChange::Down { connection } if before != Some(connection) => return None,
            LinkChange::Down { .. } => [Some(change), None],
            LinkChange::Up { connection } => {
                let at = self.link(host.min(peer), host.max(peer));
                // Another one is on its way already.
                if self.connections[at] != Some(connection) {
                    return None;
                }
                let old = before.map(|connection| LinkChange::Down { connection });
                if self.hosts[host].random.happens(500) {
                    [old, Some(change)]
                } else {
                    [Some(change), old]
                }
            }
        };
        self.hosts[host].connected[peer] = match change {
            LinkChange::Up { connection } => Some(connection),
            LinkChange::Down { .. } => None,
        };
        for change in changes.into_iter().flatten() {
            self.tell(Some(host), || What::Link { peer, change });
            self.call(host, |node, now| node.handle_link(peer, change, now));
        }
        Some(Step {
            host: Some(host),
            cause: Cause::Link,
        })
    }

    pub(super) fn send(&mut self, host: HostId, to: HostId, message: N::Message) {
        self.counts.sent += 1;
        let now_ns = self.now_ns;
        let at = self.link(host, to);
        let link = &mut self.links[at];
        // Drawn also for what cannot go, so that the next message does not depend on it.
        let fate = link.fate(now_ns);
        let cut_count = link.cut_count;
        let arrival = |message, copy| Arrival::Message {
            from: host,
            message,
            sent_ns: now_ns,
            cut_count,
            copy,
        };
        let loss = if self.hosts[host].connected[to].is_none() {
            Some(Loss::NoConnection)
        } else if link.cuts > 0 {
            Some(Loss::Cut)
        } else if fate.lost {
            Some(Loss::Chance)
        } else if link.flying >= self.sim.max_waiting {
            Some(Loss::Full)
        } else {
            None
        };
        if let Some(loss) = loss {
            self.lose(to, &arrival(message, false), loss);
            return;
        }
        // It goes to whoever is there when it is sent, not to a later life.
        let life = self.hosts[to].life;
        link.flying += 1 + usize::from(fate.copy_ns.is_some());
        let copy = fate.copy_ns.map(|copy_ns| (copy_ns, message.clone()));
        let what = arrival(message, false);
        self.queue.push(
            fate.arrives_ns,
            Happening::Arrive {
                host: to,
                life,
                waited: false,
                what,
            },
        );
        if let Some((copy_ns, message)) = copy {
            self.counts.duplicated += 1;
            self.tell(Some(host), || What::Duplicated {
                to,
                text: message.to_string(),
            });
            let what = arrival(message, true);
            self.queue.push(
                copy_ns,
                Happening::Arrive {
                    host: to,
                    life,
                    waited: false,
                    what,
                },
            );
        }
    }

    /// Something for this host got nowhere. Of inputs and connections nobody asks.
    fn lose(&mut self, to: HostId, what: &Arrival<N::Message, N::Input>, why: Loss) {
        let Arrival::Message { from, message, .. } = what else {
            return;
        };
        match why {
            Loss::Chance => self.counts.lost += 1,
            Loss::Cut => self.counts.cut += 1,
            Loss::NoConnection | Loss::NoNode | Loss::Full => self.counts.undelivered += 1,
        }
        self.tell(Some(*from), || What::Lost {
            to,
            text: message.to_string(),
            why,
        });
    }
}
