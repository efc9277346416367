//! A switchover: what the server still says is handed on, until nothing leaves any more.

use std::time::{Duration, Instant};

use reactor::Scope;

use super::connection::Connection;
use super::{DRAIN_TIMER, TcpFront, arm};
use crate::run::front::{LONGEST_DRAIN, Plane, QUIET};

/// How long a server is listened to once more that seems to have been silent for long enough.
const LOOK: Duration = Duration::from_millis(1);

/// How far a switchover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    None,
    /// The server is listened to.
    Listening {
        heard: Instant,
        until: Instant,
        /// It seems to be silent, and is listened to once more.
        looks: bool,
    },
    /// Nothing leaves any more.
    Frozen,
}

impl TcpFront {
    pub(super) fn begin_drain(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        let now = scope.now();
        let until = now + LONGEST_DRAIN;
        self.drain = Drain::Listening {
            heard: now,
            until,
            looks: false,
        };
        let speaks = |(_, connection): (_, &Connection)| connection.server().is_some();
        if !self.connections.iter().any(speaks) {
            return self.freeze(plane);
        }
        arm(
            &mut self.drain_timer,
            scope,
            self.owned,
            DRAIN_TIMER,
            now + QUIET,
        );
    }

    pub(super) fn on_drain_timer(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        let Drain::Listening {
            heard,
            until,
            looks,
        } = &mut self.drain
        else {
            return;
        };
        let now = scope.now();
        let quiet_at = (*heard + QUIET).min(*until);
        let seems_over = now >= quiet_at;
        if seems_over && *looks {
            return self.freeze(plane);
        }
        // Timers come before what is ready: after a pause of this program it may have been spoken to, and not listened.
        *looks = seems_over;
        let at = if seems_over { now + LOOK } else { quiet_at };
        arm(&mut self.drain_timer, scope, self.owned, DRAIN_TIMER, at);
    }

    fn freeze(&mut self, plane: &mut Plane) {
        self.drain = Drain::Frozen;
        plane.tell_drained(self.setting);
    }

    pub(super) fn end_drain(&mut self, scope: &mut Scope<Plane>) {
        self.drain = Drain::None;
        if let Some(timer) = self.drain_timer.take() {
            scope.cancel_timer(timer);
        }
    }
}
