//! What the peer says: whether it is the peer's, what it is called, and what follows.

use std::time::Instant;

use super::Machine;
use crate::core::links::Verdict;
use crate::core::output::{Fatal, Output, Stranger};
use crate::core::table::{Event, Role, State, Then};
use crate::core::wire::{Announced, Announcement, Heard, Metadata};

impl Machine {
    pub(super) fn hear(&mut self, link: usize, said: Announcement, now: Instant) {
        if let Some(stranger) = self.stranger(&said) {
            let row = self.row(Event::Stranger);
            match self.fire(Event::Stranger, now) {
                Then::Ignore => self.tell_stranger(stranger),
                Then::Exit => {
                    let fatal = Fatal {
                        row: row.id,
                        stranger: Some(stranger),
                    };
                    self.outputs.push_back(Output::Fatal(fatal));
                }
                _ => self.live(said, now),
            }
            return;
        }
        match self.links.judge(link, &said, now, self.timeout()) {
            Verdict::New => {}
            Verdict::Unordered => {
                self.silent_since = now;
                self.peer_dead = false;
                return;
            }
            Verdict::Old => {
                self.counters.old += 1;
                return;
            }
        }
        if !self.fresh(now) {
            self.hand_over.standing_by_since = None;
            self.hearing_since = None;
            self.dual_since = None;
            self.their_timeout = None;
        }
        if let Some(metadata) = &said.metadata {
            self.epoch_seen = self.epoch_seen.max(metadata.epoch);
            let theirs = metadata.timeout;
            self.their_timeout = Some(theirs);
            if theirs != self.config.timeout() && self.mismatch_told != Some(theirs) {
                self.mismatch_told = Some(theirs);
                let ours = self.config.timeout();
                self.outputs
                    .push_back(Output::TimeoutMismatch { ours, theirs });
            }
        }
        let event = self.classify(&said, now);
        if event == Event::PeerActiveBare && self.state == State::Active {
            self.dual_since.get_or_insert(now);
        } else if event != Event::PeerActiveBareLong {
            self.dual_since = None;
        }
        let metadata = said.metadata.clone();
        self.live(said, now);
        let row = self.row(event);
        if let Then::Exit = self.fire(event, now) {
            let fatal = Fatal {
                row: row.id,
                stranger: None,
            };
            self.outputs.push_back(Output::Fatal(fatal));
        }
        self.hear_hand_over(metadata.as_ref(), now);
    }

    /// Whose message it is not, if not our peer's.
    fn stranger(&self, said: &Announcement) -> Option<Stranger> {
        if let Some(metadata) = &said.metadata
            && metadata.pair != *self.config.pair()
        {
            return Some(Stranger::OtherPair {
                ours: self.config.pair().to_string(),
                theirs: metadata.pair.to_string(),
            });
        }
        let role = match (&said.metadata, said.state) {
            (Some(metadata), _) => metadata.role,
            (None, Announced::Initial(role)) => role,
            (None, Announced::Active | Announced::Passive) => return None,
        };
        (role == self.config.role()).then_some(Stranger::SameRole(role))
    }

    fn tell_stranger(&mut self, stranger: Stranger) {
        self.counters.strangers += 1;
        if !self.stranger_told {
            self.stranger_told = true;
            self.outputs.push_back(Output::Stranger(stranger));
        }
    }

    fn classify(&self, said: &Announcement, now: Instant) -> Event {
        match (said.state, &said.metadata) {
            (Announced::Initial(_), metadata) => {
                let just_woke = self
                    .woke
                    .is_some_and(|at| now < at + self.config.heartbeat());
                if just_woke {
                    Event::PeerInitialStale
                } else if metadata.as_ref().is_some_and(|m| self.hand_over.expects(m)) {
                    Event::PeerHandsOver
                } else {
                    Event::PeerInitial
                }
            }
            (Announced::Passive, _) => Event::PeerPassive,
            (Announced::Active, None) => {
                let long = self
                    .dual_since
                    .is_some_and(|since| now >= since + self.timeout());
                if long {
                    Event::PeerActiveBareLong
                } else {
                    Event::PeerActiveBare
                }
            }
            (Announced::Active, Some(metadata)) => {
                if self.is_deaf(metadata, now) {
                    Event::PeerActiveDeaf
                } else if metadata.epoch > self.epoch() {
                    Event::PeerActiveHigher
                } else if metadata.epoch == self.epoch() && self.config.role() == Role::Backup {
                    // Parity keeps two activations apart; should they tie, the primary stays.
                    Event::PeerActiveHigher
                } else {
                    Event::PeerActiveLower
                }
            }
        }
    }

    /// A peer that has only just come back has not heard us yet either, and says so. It is deaf
    /// when it still says so after a heartbeat in which we heard it.
    fn is_deaf(&self, metadata: &Metadata, now: Instant) -> bool {
        let for_long = self
            .hearing_since
            .is_some_and(|since| now >= since + self.config.heartbeat());
        !self.is_heard_by(metadata) && for_long
    }

    pub(super) fn is_heard_by(&self, peer: &Metadata) -> bool {
        match peer.heard {
            Heard::Nothing => false,
            Heard::Bare => true,
            Heard::Incarnation(incarnation) => incarnation == self.incarnation,
        }
    }

    fn live(&mut self, said: Announcement, now: Instant) {
        self.peer = Some(said);
        self.silent_since = now;
        self.peer_dead = false;
        self.hearing_since.get_or_insert(now);
    }
}
