//! Servers and clients of a run, and what must hold of them together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use freelance::Model;
use reactor::sim::{self, HostId, Life, LinkChange, Scenario, Step, World, ms};

use crate::client::ClientNode;
use crate::ledger::{Ended, Ledger, Total};
use crate::packet::Packet;
use crate::server::{LONGEST_MOOD, Mood, ServerNode};
use crate::shape::{SERVERS, Shape};
use crate::wishes::Wish;

/// From then on no fault begins or lasts, but for moods.
pub(crate) const QUIET_FROM: Duration = ms(4000);

/// What is made on a host from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Client(Wish),
    /// The server is like this for a while.
    Mood(Mood, Duration),
    /// The server is gone, and nothing starts it again.
    Die,
}

pub(crate) enum Host {
    Server(Box<ServerNode>),
    Client(Box<ClientNode>),
    /// This run has fewer clients than hosts for them.
    Nobody,
}

/// The time from which on each request is answered.
pub(crate) fn well_from() -> Duration {
    QUIET_FROM + LONGEST_MOOD + Shape::link_recovers_in()
}

/// Copies for a thousand requests of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amplification {
    pub(crate) sent: u64,
    /// Those that no server refused.
    pub(crate) taken: u64,
}

/// What all runs of a search did, to be told at its end.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) total: Total,
    /// Of each run, by the kind of its clients.
    pub(crate) amplification: BTreeMap<&'static str, Vec<Amplification>>,
    /// Requests that were made when all was well, and had to succeed.
    pub(crate) judged: u64,
}

/// The hosts of a run, and what they write down.
pub(crate) struct Fleet<'a> {
    shape: Shape,
    ledger: Ledger,
    tally: &'a RefCell<Tally>,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(shape: Shape, tally: &'a RefCell<Tally>) -> Self {
        Self {
            shape,
            ledger: Ledger::default(),
            tally,
        }
    }

    /// In model 2 each server gets a copy of each request. In the others all servers together get one.
    fn check_load(&self, total: &Total) -> Result<(), String> {
        let most = (total.submitted + total.refused) as f64 + total.budget;
        let got = match self.shape.config.model {
            Model::One | Model::Three => total.copies,
            Model::Two => self.ledger.most_received(),
        };
        if got as f64 > most + 1e-3 {
            return Err(format!(
                "bounded load: {got} copies of {} requests, {most:.1} at most",
                total.submitted
            ));
        }
        Ok(())
    }

    /// Looks at a request that ended.
    fn check(&self, ended: &Ended, now: Duration) -> Result<(), String> {
        // The client's clock may be off by a hundredth.
        let since = now.saturating_sub(ended.waited * 102 / 100);
        let excused =
            self.shape.servers_stay_ill && (self.shape.is_thrifty || !ended.body.idempotent);
        if since < well_from() || ended.timeout < self.shape.enough() || excused {
            return Ok(());
        }
        match ended.failed {
            None => {
                self.tally.borrow_mut().judged += 1;
                Ok(())
            }
            Some(why) => Err(format!(
                "succeeds: {:?} of {since:?} failed after {:?}, and all was well: {why}",
                ended.body, ended.waited
            )),
        }
    }
}

impl Scenario for Fleet<'_> {
    type Node = Host;

    fn start(&mut self, life: Life, now: Instant) -> Host {
        let ledger = self.ledger.clone();
        match life.host.checked_sub(SERVERS) {
            None => Host::Server(Box::new(ServerNode::new(
                self.shape.config.model,
                life,
                ledger,
            ))),
            Some(client) if client < self.shape.clients => {
                Host::Client(Box::new(ClientNode::new(&self.shape, life, ledger, now)))
            }
            Some(_) => Host::Nobody,
        }
    }

    fn after_step(&mut self, world: &World<'_, Host>, _: Step) -> Result<(), String> {
        if let Some(broken) = self.ledger.broken() {
            return Err(broken);
        }
        let ended = self.ledger.take_ended();
        ended
            .iter()
            .try_for_each(|ended| self.check(ended, world.now()))
    }

    fn at_end(&mut self, world: &World<'_, Host>) -> Result<(), String> {
        let mut total = self.ledger.total();
        for host in 0..world.hosts() {
            if let Some(Host::Client(client)) = world.node(host) {
                total.add(&client.total());
                if let Some(server) = client.leaving() {
                    return Err(format!(
                        "linked: {server:?} was to be drained, and is there"
                    ));
                }
                if let Some(lost) = client.lost_servers()
                    && !self.shape.servers_stay_ill
                {
                    return Err(format!("comes back: all is well, and {lost}"));
                }
            }
        }
        if let Some(broken) = self.ledger.broken() {
            return Err(broken);
        }
        self.check_load(&total)?;
        let mut tally = self.tally.borrow_mut();
        tally.total.add(&total);
        if total.submitted > 0 {
            let permille = |copies| copies * 1000 / total.submitted;
            let amplification = Amplification {
                sent: permille(total.copies),
                taken: permille(total.copies - total.refused),
            };
            let of_kind = tally.amplification.entry(self.shape.kind()).or_default();
            of_kind.push(amplification);
        }
        Ok(())
    }
}

impl sim::Node for Host {
    type Message = Packet;
    type Input = Ask;

    fn handle_message(&mut self, from: HostId, message: Packet, now: Instant) {
        match self {
            Host::Server(server) => server.handle_packet(from, message, now),
            Host::Client(client) => client.handle_packet(from, message, now),
            Host::Nobody => {}
        }
    }

    fn handle_input(&mut self, input: Ask, now: Instant) {
        match (self, input) {
            (Host::Client(client), Ask::Client(wish)) => client.handle_wish(wish, now),
            (Host::Server(server), Ask::Mood(mood, lasts)) => server.set_mood(mood, lasts, now),
            (Host::Server(server), Ask::Die) => server.die(),
            (Host::Client(_) | Host::Nobody | Host::Server(_), _) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Host::Server(server) => server.handle_timeout(now),
            Host::Client(client) => client.handle_timeout(now),
            Host::Nobody => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self {
            Host::Server(server) => server.next_deadline(),
            Host::Client(client) => client.next_deadline(),
            Host::Nobody => None,
        }
    }

    fn handle_link(&mut self, peer: HostId, change: LinkChange, now: Instant) {
        if let Host::Client(client) = self
            && peer < SERVERS
        {
            client.handle_link(peer, change, now);
        }
    }

    fn handle_stop(&mut self, now: Instant) {
        if let Host::Client(client) = self {
            client.handle_stop(now);
        }
    }

    fn poll_output(&mut self) -> Option<sim::Output<Packet>> {
        match self {
            Host::Server(server) => server.poll_output(),
            Host::Client(client) => client.poll_output(),
            Host::Nobody => None,
        }
    }
}
