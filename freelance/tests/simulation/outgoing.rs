//! How a client does what the engine wants done.

use std::time::{Duration, Instant};

use freelance::engine::{Action, SendFailure};
use freelance::{Liveness, Model, RequestId, ServerId};
use reactor::sim::HostId;

use crate::client::ClientNode;
use crate::line::{Line, Port, REFUSAL_TAKES};
use crate::packet::{Copied, What};

/// How long the order in which the first links come up is not to decide who is asked.
const LONGEST_GRACE: Duration = Duration::from_millis(50);

impl ClientNode {
    pub(super) fn carry_out(&mut self, action: Action, now: Instant) {
        match action {
            Action::Dial { server } => self.dial(server, now),
            Action::HangUp { server } => {
                if let Some(port) = self.ports.get_mut(&server) {
                    port.line = Line::Down;
                }
                self.requests.lost(server);
            }
            Action::Ping { server } => match self.way(server, now) {
                Ok((host, link)) => {
                    let ping = vec![b"PING".to_vec()];
                    self.say(host, link, What::Ask(ping, None));
                }
                Err(failure) => self.engine.handle_ping_failed(server, failure, now),
            },
            Action::AskName { server } => {
                let Some(port) = self.ports.get_mut(&server) else {
                    return;
                };
                let (host, link) = (port.host, port.link());
                if link.is_none() || std::mem::replace(&mut port.asked, link) == link {
                    self.ledger
                        .report(format!("linked: {server:?} is asked for its name again"));
                }
                self.say(host, link.unwrap_or_default(), What::WhoAreYou);
            }
            Action::Send {
                server,
                id,
                attempt,
            } => self.send(server, id, attempt, now),
        }
    }

    fn dial(&mut self, server: ServerId, now: Instant) {
        self.requests.lost(server);
        self.last_link += 1;
        let link = self.life << 32 | self.last_link;
        let Some(port) = self.ports.get_mut(&server) else {
            self.ledger
                .report(format!("hung up: {server:?} is dialled, and gone"));
            return;
        };
        let host = port.host;
        let over = self.connections[host].ok_or(now + REFUSAL_TAKES);
        port.line = Line::Dialling { link, over };
        port.trouble = None;
        port.refusing = None;
        if over.is_ok() {
            self.say(host, link, What::Dial);
        }
    }

    /// Where a message to a server would go, and over which link, or why it cannot leave.
    fn way(&mut self, server: ServerId, now: Instant) -> Result<(HostId, u64), SendFailure> {
        let port = self.ports.get(&server);
        let Some((
            host,
            Line::Up {
                link, routable_at, ..
            },
        )) = port.map(|p| (p.host, &p.line))
        else {
            self.ledger.report(format!(
                "linked: something goes to {server:?} without a link"
            ));
            return Err(SendFailure::Unreachable);
        };
        let by_name = self.shape.config.model == Model::Three;
        if by_name && routable_at.is_none_or(|at| now < at) {
            return Err(SendFailure::Unreachable);
        }
        // Only a peer that is known has a queue to be full.
        if self.jammed_until[host].is_some_and(|until| now < until) {
            return Err(SendFailure::Full);
        }
        Ok((host, *link))
    }

    fn send(&mut self, server: ServerId, id: RequestId, attempt: u32, now: Instant) {
        let way = self.way(server, now);
        if let Err(broken) = self.requests.may_send(server, id, now) {
            self.ledger.report(broken);
        }
        if let Some(asked) = self
            .ports
            .get_mut(&server)
            .and_then(|p| p.refusing.as_mut())
        {
            *asked = now;
        }
        let (host, link) = match way {
            Ok(way) => way,
            Err(failure) => {
                if let (Some(port), SendFailure::Full) = (self.ports.get_mut(&server), failure) {
                    port.trouble = Some(now);
                }
                self.engine.handle_send_failed(server, id, failure, now);
                return;
            }
        };
        if self.ports.get(&server).is_some_and(|port| port.leaving) {
            self.ledger.report(format!(
                "linked: {id:?} goes to {server:?}, which is drained"
            ));
        }
        let trouble = self.ports.get(&server).and_then(|port| port.trouble);
        if trouble.is_some_and(|at| now < at + self.shape.config.retry_pause) {
            self.ledger.report(format!(
                "rests: {id:?} goes to {server:?}, which just took nothing"
            ));
        }
        self.check_doubling(server, id);
        let (Some(head), Some(body)) = (self.engine.head(id, attempt), self.engine.body(id)) else {
            self.ledger
                .report(format!("ends once: {id:?} is sent, and has no body"));
            return;
        };
        let mut frames: Vec<_> = head.frames().map(<[u8]>::to_vec).collect();
        frames.push(body.encode());
        let copied = Copied {
            body: *body,
            attempt,
        };
        self.requests.sent(server, id, attempt);
        self.say(host, link, What::Ask(frames, Some(copied)));
    }

    /// Servers that may get any request, by all that is known here. None while the first links are waited for.
    pub(super) fn idle_servers(&self, now: Instant) -> Vec<ServerId> {
        let in_grace = self.first_live.is_none_or(|at| now <= at + LONGEST_GRACE);
        if in_grace || !self.requests.some_are_nowhere() {
            return Vec::new();
        }
        let liveness = |id| self.engine.server(id).map(|stats| stats.liveness);
        let rested = |port: &Port| {
            let config = &self.shape.config;
            let rests = 2 * config.retry_pause;
            port.trouble.is_none_or(|at| now > at + rests)
                // One that refused is tried ever less often.
                && port.refusing.is_none_or(|at| now > at + rests + config.eject_for)
        };
        self.ports
            .iter()
            .filter(|(id, port)| rested(port) && liveness(**id) == Some(Liveness::Live))
            .map(|(id, _)| *id)
            .collect()
    }

    /// A server that has not answered gets no second copy while there is another one that has none.
    fn check_doubling(&self, server: ServerId, id: RequestId) {
        if self.shape.config.model == Model::Two || !self.requests.is_out_at(server, id) {
            return;
        }
        let other = |(other, port): (&ServerId, &Port)| {
            let liveness = self.engine.server(*other).map(|stats| stats.liveness);
            liveness == Some(Liveness::Live) && port.is_up() && !self.requests.is_out_at(*other, id)
        };
        if self.ports.iter().any(other) {
            self.ledger.report(format!(
                "no doubling: {id:?} goes to {server:?} again, and another server is live"
            ));
        }
    }
}
