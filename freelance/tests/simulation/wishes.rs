//! What clients are asked for from outside.

use std::time::{Duration, Instant};

use freelance::{Error, Idempotent, RequestId, ServerId};
use reactor::sim::HostId;

use crate::client::{ClientNode, add_server};
use crate::line::Port;

/// What comes to a client from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A few requests.
    Ask,
    /// As many as it may have under way, and one more.
    Rush,
    CancelOne,
    /// Remove a server, and add it again after a time.
    Remove(HostId, Duration),
    /// Drain one, and add it again a time after it was drained.
    Drain(HostId, Duration),
    Retier(HostId, u32),
    /// Nothing fits into the queue to a server, for a time.
    Jam(HostId, Duration),
}

impl ClientNode {
    pub(crate) fn handle_wish(&mut self, wish: Wish, now: Instant) {
        let now = self.clock(now);
        match wish {
            Wish::Ask => {
                for _ in 0..1 + self.dice.below(self.shape.most_at_once) {
                    self.submit(self.now);
                }
            }
            Wish::Rush => {
                for _ in 0..=self.shape.config.max_outstanding {
                    self.submit(self.now);
                }
            }
            Wish::CancelOne => {
                if let Some(id) = self.requests.first() {
                    self.cancel(id, now);
                }
            }
            Wish::Remove(host, pause) => self.remove(host, pause, now),
            Wish::Drain(host, pause) => {
                if let Some(id) = self.server_at(host) {
                    self.added_again_after[host] = pause;
                    self.ports.get_mut(&id).expect("it was found").leaving = true;
                    self.engine.drain_server(id, now).expect("it is known");
                }
            }
            Wish::Retier(host, tier) => {
                if let Some(id) = self.server_at(host) {
                    self.engine.set_tier(id, tier).expect("it is known");
                }
            }
            Wish::Jam(host, lasts) => self.jammed_until[host] = Some(now + lasts),
        }
        self.drain(now);
    }

    fn cancel(&mut self, id: RequestId, now: Instant) {
        if self.engine.cancel(id) {
            self.requests.cancelled(id);
            return;
        }
        // It had ended, and that was not told yet.
        self.drain(now);
        if self.requests.first() == Some(id) {
            self.ledger.report(format!(
                "ends once: {id:?} cannot be cancelled, and is open"
            ));
        }
    }

    fn submit(&mut self, now: Instant) {
        let idempotent = self.dice.happens(self.shape.idempotent_percent);
        let (shortest, longest) = self.shape.timeout_ms;
        let deadline = now + self.dice.ms(shortest, longest);
        let body = self.requests.next_body(idempotent);
        let kind = if idempotent {
            Idempotent::Yes
        } else {
            Idempotent::No
        };
        let room = self.requests.open() < self.shape.config.max_outstanding;
        match self.engine.submit(body, kind, deadline, now) {
            Ok(id) if room => self.requests.submitted(id, body, deadline, now),
            Err(Error::TooManyOutstanding { .. }) if !room => {}
            other => self.ledger.report(format!(
                "bounded: {} are open, and one more is {other:?}",
                self.requests.open()
            )),
        }
        // Now and then several are taken on before the engine is drained, and now and then not.
        if self.dice.happens(50) {
            self.drain(now);
        }
    }

    fn server_at(&self, host: HostId) -> Option<ServerId> {
        let found = self
            .ports
            .iter()
            .find(|(_, port)| port.host == host && !port.leaving);
        found.map(|(id, _)| *id)
    }

    fn remove(&mut self, host: HostId, pause: Duration, now: Instant) {
        let of_host = self.ports.iter().find(|(_, port)| port.host == host);
        let Some(id) = of_host.map(|(id, _)| *id) else {
            return;
        };
        self.engine.remove_server(id, now).expect("it is known");
        self.requests.lost(id);
        if pause.is_zero() {
            // At once, before anything of the old one was hung up.
            let new = add_server(&mut self.engine, &self.shape, host, now);
            self.ports.insert(new, Port::new(host));
        } else {
            self.added_again_at[host] = Some(now + pause);
        }
        self.drain(now);
        self.forget(id);
    }
}
