//! What the gate says, and what time brings.

use std::time::{Duration, Instant};

use reactor::{BoxError, Interest, Scope, SocketBuilder, SocketKey};

use super::{DEALER, PACE, Phase, REQUESTS_QUEUED, ZmqFront, with_family};
use crate::run::front::{FrontEvent, Gate, LONGEST_DRAIN, Plane, QUIET};

/// Replies that libzmq queues from the server, whose socket has but one queue for all clients and drops what finds
/// no room in it.
const ALL_REPLIES_QUEUED: u32 = 20_000;
/// A server that was started is found within this.
const RECONNECT: Duration = Duration::from_millis(20);
/// What is held while the gate is open is looked at again so soon: the node may serve again, or there is a socket
/// to be had.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What is held goes on voting at this pace.
const VOTE_AGAIN: Duration = Duration::from_secs(1);
/// However many requests come, no vote is told so soon after another.
const VOTE_PAUSE: Duration = Duration::from_millis(1);

impl ZmqFront {
    /// Does what the gate says now.
    pub(super) fn follow_gate(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let served = match self.phase {
            Phase::Open | Phase::Draining { .. } | Phase::Drained => true,
            Phase::Closed | Phase::Voting { .. } => false,
        };
        let serves = match plane.gate {
            Gate::Open | Gate::Draining => true,
            Gate::Closed | Gate::Voting => false,
        };
        if self.closings != plane.closings || (served && !serves) {
            self.closings = plane.closings;
            self.disconnect(scope);
        }
        let now = scope.fresh_now();
        self.phase = match plane.gate {
            Gate::Closed => Phase::Closed,
            Gate::Voting => Phase::Voting { told: None },
            Gate::Open => Phase::Open,
            Gate::Draining => Phase::Draining {
                since: now,
                heard: now,
            },
        };
        tracing::debug!(
            endpoint = self.endpoint,
            gate = plane.gate.name(),
            "front end"
        );
        match plane.gate {
            Gate::Closed => {
                while let Some(frames) = self.waiting.pop() {
                    self.refuse(router, frames, scope);
                }
                scope.set_interest(router, Interest::READ)?;
            }
            Gate::Voting => {
                scope.set_interest(router, Interest::READ)?;
                self.connect(scope);
                if !self.waiting.is_empty() {
                    self.vote(plane, now);
                }
            }
            Gate::Open => {
                scope.set_interest(router, Interest::READ)?;
                self.only_read_replies(scope)?;
                self.connect(scope);
                self.forward(router, plane, scope)?;
            }
            Gate::Draining => {
                scope.set_interest(router, Interest::NONE)?;
                self.only_read_replies(scope)?;
            }
        }
        Ok(())
    }

    /// Makes the connection to the server, if there is none. Where there is no socket for it, the requests wait.
    pub(super) fn connect(&mut self, scope: &mut Scope<Plane>) {
        let (None, Some(me)) = (self.dealer, self.me) else {
            return;
        };
        // Nothing is queued for a server that is not there: what waits here can still be refused.
        let dealer = with_family(SocketBuilder::new(zmq::DEALER), &self.server)
            .linger(Duration::ZERO)
            .immediate()
            .reconnect(RECONNECT, RECONNECT)
            .send_hwm(REQUESTS_QUEUED)
            .recv_hwm(ALL_REPLIES_QUEUED)
            .connect(self.server.as_str())
            .build(&self.context);
        let added = dealer.map_err(BoxError::from).and_then(|socket| {
            let added = scope.own_socket(me, DEALER, socket, Interest::READ);
            Ok(added.map_err(reactor::Error::from)?)
        });
        match added {
            Ok(key) => self.dealer = Some(key),
            Err(error) => {
                tracing::warn!(server = %self.server, %error, "no socket to reach the server by");
            }
        }
    }

    /// What the server was given and has not taken is gone, and what it still says is heard by nobody.
    pub(super) fn disconnect(&mut self, scope: &mut Scope<Plane>) {
        if let Some(dealer) = self.dealer.take() {
            drop(scope.remove_socket(dealer));
        }
        self.awaits_room = false;
        self.unanswered = 0;
    }

    pub(super) fn vote(&mut self, plane: &mut Plane, now: Instant) {
        let Phase::Voting { told } = &mut self.phase else {
            return;
        };
        if told.is_none_or(|told| now >= told + VOTE_PAUSE) {
            *told = Some(now);
            (plane.tell)(FrontEvent::Vote);
        }
    }

    /// Votes again, gives up what waited too long, and finds out whether all is drained.
    pub(super) fn pass_time(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let now = scope.fresh_now();
        while let Some(frames) = self.waiting.pop_expired(now) {
            self.refuse(router, frames, scope);
        }
        match self.phase {
            Phase::Closed | Phase::Drained => {}
            Phase::Voting { told } => {
                self.connect(scope);
                let due = told.is_none_or(|told| now >= told + VOTE_AGAIN);
                if due && !self.waiting.is_empty() {
                    self.vote(plane, now);
                }
            }
            Phase::Open => {
                self.connect(scope);
                self.forward(router, plane, scope)?;
            }
            Phase::Draining { since, heard } => {
                let waits = match self.dealer {
                    Some(dealer) => scope.readable(dealer)?,
                    None => false,
                };
                let late = now >= since + LONGEST_DRAIN;
                if late || (now >= self.drain_end(since, heard) && !waits) {
                    if let Some(dealer) = self.dealer {
                        scope.set_interest(dealer, Interest::NONE)?;
                    }
                    self.phase = Phase::Drained;
                    plane.tell_drained(self.setting);
                }
            }
        }
        Ok(())
    }

    /// When a drain that began at `since` ends, if nothing more is heard after `heard`.
    fn drain_end(&self, since: Instant, heard: Instant) -> Instant {
        let latest = since + LONGEST_DRAIN;
        match self.unanswered {
            0 => latest.min(heard + QUIET),
            _ => latest,
        }
    }

    /// Sets the timer to when there is something to be done next.
    pub(super) fn arm(&mut self, scope: &mut Scope<Plane>) -> Result<(), BoxError> {
        let Some(me) = self.me else {
            return Ok(());
        };
        let now = scope.now();
        let expiry = self.waiting.next_expiry();
        let next = match self.phase {
            Phase::Closed | Phase::Drained => None,
            Phase::Voting { told } => {
                let vote = told.filter(|_| !self.waiting.is_empty());
                expiry
                    .into_iter()
                    .chain(vote.map(|told| told + VOTE_AGAIN))
                    .min()
            }
            Phase::Open => {
                let looks = !self.waiting.is_empty() && !self.awaits_room;
                // A look that is due is not put off by whatever happens until then, such as a further request.
                let due = self.timer.and_then(|timer| scope.timer_deadline(timer));
                let look = due.into_iter().chain([now + LOOK_AGAIN]).min();
                expiry.into_iter().chain(look.filter(|_| looks)).min()
            }
            Phase::Draining { since, heard } => Some(self.drain_end(since, heard)),
        };
        match (next, self.timer) {
            (None, Some(timer)) => {
                scope.cancel_timer(timer);
                self.timer = None;
            }
            (Some(next), Some(timer)) if scope.set_timer(timer, next) => {}
            (Some(next), _) => self.timer = Some(scope.own_timer(me, PACE, next)?),
            (None, None) => {}
        }
        Ok(())
    }
}
