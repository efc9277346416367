//! What follows from what a conductor knows, whatever led there: who is let in, and whether this node could serve.

use super::{Conductor, Hold, Server, Stop};
use crate::core::State;
use crate::run::config::ServerRun;
use crate::run::front::Gate;

impl Conductor {
    pub(super) fn gate_wanted(&self) -> Gate {
        let serves = self.is_promoted() && !self.owes_on_passive;
        match self.state {
            _ if matches!(self.stop, Stop::Closing | Stop::Ended) => Gate::Closed,
            State::Active if self.hook_failed || self.overdue || self.given_up_until.is_some() => {
                Gate::Closed
            }
            State::Active if serves && !self.server_is_away() && self.hold == Hold::Yes => {
                Gate::Open
            }
            State::Active => Gate::Voting,
            State::Draining if serves => Gate::Draining,
            State::Draining => Gate::Closed,
            State::Initial | State::Passive | State::Resigned => {
                if self.outlook.vote_counts && self.vetoed_until.is_none() {
                    Gate::Voting
                } else {
                    Gate::Closed
                }
            }
        }
    }

    /// While it is ours, and is restarted, or has not been told again what it is.
    fn server_is_away(&self) -> bool {
        match self.server {
            Server::Foreign => false,
            Server::Up => self.healthy.is_none() || self.restarted,
            Server::Off | Server::Starting | Server::Stopping => true,
        }
    }

    pub(super) fn fit_wanted(&self) -> Result<(), &'static str> {
        let forgiven = self.settings.vote_when_unhealthy
            && !self.is_active()
            && self.given_up_until.is_none()
            && self.stop == Stop::Not;
        self.unfit().filter(|_| !forgiven).map_or(Ok(()), Err)
    }

    /// Why this node cannot serve.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        let stands_by = !matches!(self.state, State::Active | State::Draining);
        // One that runs only while this node is active is not there to be looked at.
        let is_looked_at = self.settings.run != ServerRun::Active || !stands_by;
        if self.stop != Stop::Not {
            Some("it is being stopped")
        } else if self.given_up_until.is_some() {
            Some("its server cannot be kept alive")
        } else if self.hook_failed {
            Some("a hook failed")
        } else if self.overdue || (is_looked_at && self.healthy == Some(false)) {
            Some("its server is not well")
        } else if is_looked_at && stands_by && self.healthy.is_none() {
            Some("the health of its server is not known yet")
        } else {
            None
        }
    }
}
