//! The front end begins anew when the process has too much memory.
//!
//! ```text
//! too much --> the endpoint is unbound --> libzmq has closed it --> new sockets --> bound again
//! ```
//!
//! With its sockets libzmq frees whatever it held for their clients, messages without an end too. An endpoint is bound
//! again only when libzmq has closed it: of a path it would otherwise take away the new one with the old; and when no
//! more memory is freed, since what newcomers send would otherwise come on top of what is still to go.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reactor::{BoxError, Interest, Scope, SocketKey};

use super::memory::Excess;
use super::{LOOK, MONITOR, Phase, ROUTER, Router, ZmqFront, add, to_clients};
use crate::run::front::{FrontEvent, Plane};

/// What cannot be done yet is tried again so soon.
const TRY_AGAIN: Duration = Duration::from_millis(10);
/// libzmq has closed an endpoint within this, or it is taken for closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);
/// Memory that was not freed any more for so long is not freed.
const CALM: Duration = Duration::from_millis(30);
/// Clients do not wait for longer than this, whatever is still freed.
const FREED_WITHIN: Duration = Duration::from_secs(1);

/// How far it is with beginning anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It is bound.
    None,
    /// libzmq was told to close the endpoint.
    Closing { until: Instant, complained: bool },
    /// The sockets are new, and the endpoint is not bound yet.
    Unbound {
        /// It is bound then, unless memory is freed until then.
        calm: Instant,
        /// It is bound then in any case.
        until: Instant,
        complained: bool,
    },
}

impl ZmqFront {
    /// It is time to look at the memory, or to go on with beginning anew.
    pub(super) fn look(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let tried = match self.renewal {
            Renewal::None => return Ok(self.look_at_memory(router, scope)?),
            Renewal::Closing { until, .. } if scope.now() < until => Ok(()),
            Renewal::Closing { .. } => self.replace(scope),
            Renewal::Unbound { .. } => {
                if self.is_freed_still(scope.now()) {
                    Ok(())
                } else {
                    self.bind(router, plane, scope)
                }
            }
        };
        // Whatever came of it.
        self.look_after(TRY_AGAIN, scope)?;
        tried
    }

    /// Looks now, and again after a while; begins anew if there is too much.
    pub(super) fn look_at_memory(
        &mut self,
        router: SocketKey,
        scope: &mut Scope<Plane>,
    ) -> Result<(), reactor::Error> {
        match self.memory.look() {
            Ok(None) => self.look_after(self.memory.pause(), scope),
            Ok(Some(excess)) => {
                self.begin_anew(excess, router, scope)?;
                self.look_after(TRY_AGAIN, scope)
            }
            Err(error) => {
                tracing::warn!(front = self.name, %error, "the memory cannot be measured, and is not limited");
                Ok(())
            }
        }
    }

    fn look_after(&self, pause: Duration, scope: &mut Scope<Plane>) -> Result<(), reactor::Error> {
        let Some(me) = self.me else {
            return Ok(());
        };
        let at = scope.now() + pause;
        scope.own_timer(me, LOOK, at).map(drop)
    }

    /// Lets nobody in any more. Who is there goes as soon as libzmq has closed the endpoint.
    fn begin_anew(
        &mut self,
        excess: Excess,
        router: SocketKey,
        scope: &mut Scope<Plane>,
    ) -> Result<(), reactor::Error> {
        tracing::warn!(
            front = self.name,
            resident_mib = excess.resident >> 20,
            least_mib = excess.least >> 20,
            limit_mib = excess.limit >> 20,
            clients = self.counts.open.load(Ordering::Relaxed),
            "too much memory: all clients are disconnected"
        );
        if let Err(error) = scope.with_socket(router, |socket| socket.unbind(&self.endpoint))? {
            tracing::debug!(front = self.name, %error, "the endpoint was not bound");
        }
        self.renewal = Renewal::Closing {
            until: scope.now() + CLOSED_WITHIN,
            complained: false,
        };
        Ok(())
    }

    /// The endpoint is closed: takes new sockets in place of those that hold the memory. Where there are none to be had
    /// it is tried again.
    pub(super) fn replace(&mut self, scope: &mut Scope<Plane>) -> Result<(), BoxError> {
        let (Renewal::Closing { complained, .. }, &Router::Registered(old)) =
            (self.renewal, &self.router)
        else {
            return Ok(());
        };
        let (router, monitor) = match self.another_router(scope) {
            Ok(sockets) => sockets,
            Err(error) => {
                if !complained {
                    tracing::error!(front = self.name, %error, "cannot begin anew; tried again until it can");
                }
                self.renewal = Renewal::Closing {
                    until: scope.now(),
                    complained: true,
                };
                return Ok(());
            }
        };
        if let Some(monitor) = self.monitor.replace(monitor) {
            drop(scope.remove_socket(monitor));
        }
        if let Some(socket) = scope.remove_socket(old)
            && let Err(error) = socket.set_linger(0)
        {
            tracing::debug!(front = self.name, %error, "its last words are waited for");
        }
        self.router = Router::Registered(router);
        self.counts.open.store(0, Ordering::Relaxed);
        self.forget(scope);
        let now = scope.now();
        self.renewal = Renewal::Unbound {
            calm: now + CALM,
            until: now + FREED_WITHIN,
            complained: false,
        };
        Ok(())
    }

    /// Whether to wait for libzmq and the allocator.
    fn is_freed_still(&mut self, now: Instant) -> bool {
        let Renewal::Unbound { calm, until, .. } = &mut self.renewal else {
            return false;
        };
        if self.memory.falls() {
            *calm = now + CALM;
        }
        now < (*calm).min(*until)
    }

    /// A ROUTER that is not bound yet, and its monitor, which so hears of the first client.
    fn another_router(&self, scope: &mut Scope<Plane>) -> Result<(SocketKey, SocketKey), BoxError> {
        let Some(me) = self.me else {
            return Err("it is not registered".into());
        };
        let socket = to_clients(&self.listen).build(&self.context)?;
        let interest = match self.phase {
            Phase::Closed | Phase::Voting { .. } | Phase::Open => Interest::READ,
            Phase::Draining { .. } | Phase::Drained => Interest::NONE,
        };
        let added = scope.own_socket(me, ROUTER, socket, interest);
        let router = added.map_err(reactor::Error::from)?;
        match scope.own_monitor(me, MONITOR, &self.context, router) {
            Ok(monitor) => Ok((router, monitor)),
            Err(error) => {
                drop(scope.remove_socket(router));
                Err(error.into())
            }
        }
    }

    /// What is under way has nobody to go to any more, and what waits nobody who hears of it.
    fn forget(&mut self, scope: &mut Scope<Plane>) {
        let unanswered = self.unanswered;
        let mut lost = usize::try_from(unanswered).unwrap_or(usize::MAX);
        while self.waiting.pop().is_some() {
            lost = lost.saturating_add(1);
        }
        add(&self.counts.failed, lost);
        self.frames = Vec::new();
        self.disconnect(scope);
        match self.phase {
            Phase::Voting { .. } | Phase::Open => self.connect(scope),
            // The server may still be at what it was given: the drain takes as long as it would without replies.
            Phase::Draining { .. } => self.unanswered = unanswered,
            Phase::Closed | Phase::Drained => {}
        }
    }

    fn bind(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let Renewal::Unbound { complained, .. } = &mut self.renewal else {
            return Ok(());
        };
        match scope.bind(router, &self.endpoint)? {
            Ok(()) => {
                tracing::info!(front = self.name, endpoint = self.endpoint, "bound again");
                self.renewal = Renewal::None;
                self.memory.begin_anew();
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(complained, true) {
                    tracing::error!(front = self.name, %error, "cannot listen; tried again until it can");
                    (plane.tell)(FrontEvent::CannotListen);
                }
                Ok(())
            }
        }
    }
}
