//! Links, signs of life, and names.

use std::time::{Duration, Instant};

use rand_xoshiro::rand_core::Rng;

use super::choice::Grace;
use super::rest::Rest;
use super::server::{FIRST_PING_PAUSE, Link, Name, Reach, Up};
use super::{Engine, SendFailure, ServerId};
use crate::Model;

/// When a link is to be dialled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redial {
    /// After a pause that grows with each attempt that came to nothing.
    Backoff,
    /// After the longest: nothing suggests that it would be better soon.
    Late,
}

impl<B, R> Engine<B, R> {
    /// The link that was dialled stands, handshake included. Ignored when none was dialled.
    pub fn handle_connected(&mut self, server: ServerId, now: Instant) {
        let Some(index) = self.index(server) else {
            return;
        };
        let server = &mut self.servers[index];
        if !matches!(server.link, Link::Dialling { .. }) {
            return;
        }
        server.renew_health(&self.config);
        server.rest = Rest::default();
        server.counts.links += 1;
        let reach = match self.config.model {
            Model::One | Model::Two => Reach::Given,
            Model::Three => Reach::sought(now, now),
        };
        server.link = Link::Up(Up {
            heard_at: now,
            suspect: false,
            reach,
        });
        if matches!(reach, Reach::Given) {
            self.note_reached(index, now);
        }
    }

    /// The link is lost, or the attempt at one failed. Answers that came before are to be handed in first.
    pub fn handle_disconnected(&mut self, server: ServerId, now: Instant) {
        let Some(index) = self.index(server) else {
            return;
        };
        match self.servers[index].link {
            Link::Down { .. } => {}
            Link::Dialling { .. } | Link::Up(_) => self.take_down(index, Redial::Backoff, now),
        }
    }

    /// The PING could not leave.
    pub fn handle_ping_failed(&mut self, server: ServerId, failure: SendFailure, now: Instant) {
        let Some(index) = self.index(server) else {
            return;
        };
        let sought = self.pinged.take_if(|pinged| *pinged == server).is_some();
        let Link::Up(up) = &mut self.servers[index].link else {
            return;
        };
        match (failure, up.reach) {
            (SendFailure::Unreachable, Reach::Found { .. }) => {
                up.reach = Reach::sought(now, now + FIRST_PING_PAUSE);
            }
            (SendFailure::Unreachable, Reach::Given | Reach::Sought { .. }) => {}
            // A queue that is full belongs to a peer that is known.
            (SendFailure::Full, Reach::Sought { .. } | Reach::Found { .. }) => {
                up.reach = Reach::Found {
                    ping_at: now + self.config.retry_pause,
                };
                if sought {
                    up.heard_at = now;
                    self.note_reached(index, now);
                }
            }
            (SendFailure::Full, Reach::Given) => {}
        }
    }

    /// What became of [`Action::AskName`](super::Action::AskName): the server's identity, or `None` when it was not
    /// found out.
    pub fn handle_name(&mut self, server: ServerId, identity: Option<String>, now: Instant) {
        let Some(index) = self.index(server) else {
            return;
        };
        let server = &mut self.servers[index];
        let asked = matches!(
            server.link,
            Link::Up(Up {
                reach: Reach::Sought {
                    name: Name::Asked { .. },
                    ..
                },
                ..
            })
        );
        if !asked {
            return;
        }
        if let Some(identity) = identity.filter(|identity| *identity != server.endpoint)
            && server.misnamed.as_ref() != Some(&identity)
        {
            server.misnamed = Some(identity);
            server.misnamed_told = false;
        }
        self.take_down(index, Redial::Late, now);
    }

    /// A PING that was not said to have failed got through.
    pub(super) fn confirm_ping(&mut self, now: Instant) {
        let Some(index) = self.pinged.take().and_then(|id| self.index(id)) else {
            return;
        };
        let server = &mut self.servers[index];
        let Link::Up(up) = &mut server.link else {
            return;
        };
        up.reach = Reach::Found {
            ping_at: now + self.config.ping_interval,
        };
        up.heard_at = now;
        server.misnamed = None;
        server.misnamed_told = false;
        self.note_reached(index, now);
    }

    /// From now on requests can be sent to it.
    fn note_reached(&mut self, index: usize, now: Instant) {
        self.servers[index].novel = false;
        self.begin_grace(now);
        self.look_again();
    }

    pub(super) fn note_heard(&mut self, index: usize, now: Instant) {
        let server = &mut self.servers[index];
        let was = (server.is_reachable(), server.is_fit());
        server.heard(&self.config, now);
        if was != (server.is_reachable(), server.is_fit()) {
            self.note_reached(index, now);
        }
    }

    /// Ends the link, or the attempt at one.
    pub(super) fn take_down(&mut self, index: usize, redial: Redial, now: Instant) {
        let longest = self.config.max_redial_pause;
        let pause = match redial {
            Redial::Backoff => self.servers[index].redial_pause,
            Redial::Late => longest,
        };
        let redial_at = now + self.vary(pause);
        let server = &mut self.servers[index];
        let id = server.id;
        server.redial_pause = (pause * 2).min(longest);
        server.link = Link::Down { redial_at };
        server.novel = false;
        server.rest = Rest::default();
        self.pinged.take_if(|pinged| *pinged == id);
        self.hang_ups.push_back(id);
        self.lose_copies(index, now);
        self.look_again();
    }

    /// A fifth more or less, so that clients do not come back in step.
    fn vary(&mut self, pause: Duration) -> Duration {
        let fraction = (self.random.next_u64() >> 32) as u32;
        let spread = pause * 2 / 5;
        pause - spread / 2 + spread.mul_f64(f64::from(fraction) / f64::from(u32::MAX))
    }

    /// What time alone does for the better, and the end of servers that were drained.
    pub(super) fn recover(&mut self, now: Instant) {
        let mut changed = false;
        let mut index = 0;
        while let Some(server) = self.servers.get_mut(index) {
            if server.draining && server.outstanding == 0 {
                let id = self.forget_server(index);
                self.drained.push_back(id);
                continue;
            }
            changed |= server.recover(&self.config, now);
            index += 1;
        }
        if matches!(self.grace, Grace::Until(until) if until <= now) {
            self.grace = Grace::Over;
            changed = true;
        }
        if changed {
            self.look_again();
        }
    }
}
