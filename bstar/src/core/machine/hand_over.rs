//! Handing the service over: the offer, the peer's answer, the drain; fail-back; promotion by hand.

use std::time::{Duration, Instant};

use super::Machine;
use crate::core::output::{Offer, Output, PromoteError, StepBack, StepBackError};
use crate::core::table::{Event, State, Then};
use crate::core::wire::{Announced, Metadata, OfferAnswer};

/// What is under way between the two.
#[derive(Clone, Debug, Default)]
pub(super) struct HandOver {
    /// How many offers were made in this life.
    pub(super) offers: u64,
    /// Ours, while we are active, drain or have resigned by it; and until when it stands, or the
    /// drain may last.
    ours: Option<(u64, Instant)>,
    /// Ours was made because this node is unfit, and by nobody else's wish.
    unasked: bool,
    /// The peer's, while we are passive.
    theirs: Option<Theirs>,
    /// We ask for the service.
    pub(super) wants: bool,
    /// Since when we have been passive beside an active peer.
    pub(super) standing_by_since: Option<Instant>,
    /// Not before then does a node that is unfit offer the service by itself.
    pub(super) offer_again: Option<Instant>,
}

/// An offer that was heard, and what the application says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Theirs {
    offer: Offer,
    ready: Option<bool>,
}

impl HandOver {
    pub(super) fn offer(&self) -> Option<u64> {
        self.ours.map(|(number, _)| number)
    }

    pub(super) fn answer(&self) -> Option<OfferAnswer> {
        let theirs = self.theirs?;
        Some(match theirs.ready? {
            true => OfferAnswer::Ready(theirs.offer.number),
            false => OfferAnswer::Veto(theirs.offer.number),
        })
    }

    /// Whether the peer, which steps back, hands over what we said to be ready for.
    pub(super) fn expects(&self, peer: &Metadata) -> bool {
        self.theirs
            .is_some_and(|theirs| theirs.is_of(peer) && theirs.ready == Some(true))
    }

    #[cfg(test)]
    pub(super) fn canonical(
        &self,
        now: Instant,
        config: &crate::core::Config,
    ) -> impl std::hash::Hash + PartialEq + use<> {
        let HandOver {
            offers,
            ours,
            unasked,
            theirs,
            wants,
            standing_by_since,
            offer_again,
        } = self;
        (
            *offers,
            ours.map(|(number, until)| (number, until.saturating_duration_since(now))),
            (*unasked, *theirs),
            *wants,
            config.fail_back().and_then(|after| {
                standing_by_since.map(|since| now.duration_since(since).min(after))
            }),
            offer_again.map(|at| at.saturating_duration_since(now)),
        )
    }
}

impl Theirs {
    fn is_of(&self, peer: &Metadata) -> bool {
        let Offer {
            incarnation,
            number,
        } = self.offer;
        incarnation == peer.incarnation && peer.offer == Some(number)
    }
}

impl Machine {
    /// The operator wants this node to step back in favour of its peer.
    ///
    /// A peer of ours is offered the service first: this node serves on until the peer says that
    /// it is ready, then it takes no new request, and steps back when the host says by
    /// [`Machine::handle_drained`] that those it began are finished.
    pub fn handle_step_back(&mut self, now: Instant) -> Result<StepBack, StepBackError> {
        self.wake(now);
        self.hand_over.unasked = false;
        let event = self.classify_step_back(now);
        let state = self.state;
        match self.fire(event, now) {
            Then::Refuse if state == State::Active => Err(StepBackError::Alone),
            Then::Refuse => Err(StepBackError::NotActive(state.name(self.config.role()))),
            Then::Offer | Then::Stay => Ok(StepBack::Offered),
            _ => Ok(StepBack::Done),
        }
    }

    /// The peer's offer that stands, answered or not.
    pub fn offered(&self) -> Option<Offer> {
        self.hand_over.theirs.map(|theirs| theirs.offer)
    }

    /// The application says whether it can take over what the peer offers: the answer to
    /// [`Output::Offered`], at once or later. An offer that stands no more is answered in vain.
    pub fn handle_offer_answer(&mut self, offer: Offer, ready: bool, now: Instant) {
        self.wake(now);
        let theirs = &mut self.hand_over.theirs;
        let Some(theirs) = theirs.as_mut().filter(|theirs| theirs.offer == offer) else {
            return;
        };
        let ready = ready && self.fit;
        theirs.ready = Some(ready);
        self.publish = true;
        if !ready && self.hand_over.wants {
            // Who asked and is not ready asks again after as long.
            self.hand_over.wants = false;
            self.hand_over.standing_by_since = Some(now);
        }
    }

    /// Every request that was begun before this node began to drain is finished.
    pub fn handle_drained(&mut self, now: Instant) {
        self.wake(now);
        self.fire(Event::Drained, now);
    }

    /// The operator says that this node is to serve: that no other does, and that none will, is for
    /// the operator to know. Refused beside a peer that is heard to be active.
    pub fn handle_promote(&mut self, now: Instant) -> Result<(), PromoteError> {
        self.wake(now);
        let event = if self.peer_is_active() && self.fresh(now) {
            Event::PromoteBesideActive
        } else {
            Event::Promote
        };
        let state = self.state;
        match self.fire(event, now) {
            Then::Refuse if matches!(state, State::Active | State::Draining) => {
                Err(PromoteError::Serves(state.name(self.config.role())))
            }
            Then::Refuse => Err(PromoteError::PeerActive),
            _ => Ok(()),
        }
    }

    /// What the peer says beyond its state, after that was taken in.
    pub(super) fn hear_hand_over(&mut self, said: Option<&Metadata>, now: Instant) {
        let active = self.peer_is_active();
        if active && self.state == State::Passive {
            self.hand_over.standing_by_since.get_or_insert(now);
        }
        // A word without metadata, said while a monitor listens, takes nothing back.
        let Some(said) = said else {
            return;
        };
        let theirs = &mut self.hand_over.theirs;
        *theirs = theirs.filter(|theirs| theirs.is_of(said));
        if active && said.offer.is_some() && self.hand_over.theirs.is_none() {
            self.fire(Event::PeerOffers, now);
        }
        if !self.is_heard_by(said) {
            return;
        }
        let ours = self.hand_over.offer();
        match said.answer {
            Some(OfferAnswer::Ready(number)) if Some(number) == ours => {
                let event = if self.is_offer_moot() {
                    Event::OfferExpired
                } else {
                    Event::PeerReady
                };
                self.fire(event, now);
            }
            Some(OfferAnswer::Veto(number)) if Some(number) == ours => {
                self.fire(Event::PeerVeto, now);
            }
            _ if said.wants && ours.is_none() => {
                self.fire(Event::PeerWants, now);
            }
            _ => {}
        }
    }

    /// Whether the peer said last that it is active, however long ago.
    fn peer_is_active(&self) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|peer| peer.state == Announced::Active)
    }

    pub(super) fn pass_time_of_hand_over(&mut self, now: Instant) {
        if let Some((_, until)) = self.hand_over.ours {
            match self.state {
                // A peer that has fallen silent answers nothing, however long it may take.
                State::Active if now >= until || !self.fresh(now) || self.is_offer_moot() => {
                    self.fire(Event::OfferExpired, now);
                }
                State::Draining if now >= until => drop(self.fire(Event::DrainExpired, now)),
                _ => {}
            }
        }
        if !self.fit {
            self.offer_unasked(now);
        }
        let since = self.hand_over.standing_by_since;
        if let (Some(after), Some(since)) = (self.config.fail_back(), since)
            && now >= since + after
            && self.fresh(now)
            && !self.hand_over.wants
        {
            self.fire(Event::FailBackDue, now);
        }
    }

    /// What made this node offer the service unasked is over.
    fn is_offer_moot(&self) -> bool {
        self.fit && self.hand_over.unasked
    }

    /// Nothing is offered unasked for so long.
    pub(super) fn rest_from_offers(&mut self, pause: Duration, now: Instant) {
        self.hand_over.offer_again = Some(now + pause);
    }

    /// A node that is active and unfit offers the service by itself whenever a peer could take it, and
    /// after each refusal waits for a peer timeout. One that has just become active waits for a heartbeat: what
    /// keeps a node from becoming active need not keep it from being so, and the application says which.
    fn offer_unasked(&mut self, now: Instant) {
        let offers = &self.hand_over;
        let waits = offers.ours.is_some() || offers.offer_again.is_some_and(|at| now < at);
        if self.state != State::Active || self.maintenance || waits {
            return;
        }
        let event = self.classify_step_back(now);
        if event != Event::StepBackAlone {
            self.rest_from_offers(self.timeout(), now);
            self.hand_over.unasked = true;
            self.fire(event, now);
        }
    }

    fn classify_step_back(&self, now: Instant) -> Event {
        let peer = self.peer.as_ref().filter(|_| self.fresh(now));
        match peer {
            Some(peer) if peer.state == Announced::Passive && peer.metadata.is_some() => {
                Event::StepBackPeerReady
            }
            Some(peer) if peer.state == Announced::Passive => Event::StepBackPeerBare,
            _ => Event::StepBackAlone,
        }
    }

    /// What a row does to a hand-over.
    pub(super) fn advance_hand_over(&mut self, then: Then, event: Event, now: Instant) {
        let offer_until = now + self.timeout().max(self.config.offer_wait());
        let hand_over = &mut self.hand_over;
        match then {
            Then::Offer => {
                if hand_over.ours.is_none() {
                    hand_over.offers += 1;
                    hand_over.ours = Some((hand_over.offers, offer_until));
                    self.publish = true;
                }
            }
            Then::Withdraw => {
                hand_over.unasked = false;
                if hand_over.ours.take().is_some() {
                    let error = match event {
                        Event::PeerVeto => StepBackError::Vetoed,
                        _ => StepBackError::Unanswered,
                    };
                    self.publish = true;
                    self.outputs.push_back(Output::SwitchoverEnded(Err(error)));
                }
            }
            Then::Drain => {
                let until = now + self.config.drain();
                hand_over.ours = hand_over.ours.map(|(number, _)| (number, until));
            }
            Then::Consider => {
                let peer = self.peer.as_ref().and_then(|peer| peer.metadata.as_ref());
                hand_over.theirs = peer.and_then(|peer| {
                    let offer = Offer {
                        incarnation: peer.incarnation,
                        number: peer.offer?,
                    };
                    Some(Theirs { offer, ready: None })
                });
                let offer = hand_over.theirs.map(|theirs| theirs.offer);
                self.outputs.extend(offer.map(Output::Offered));
            }
            Then::Want => {
                hand_over.wants = true;
                self.publish = true;
            }
            Then::Stay
            | Then::Guard
            | Then::Ignore
            | Then::Activate
            | Then::Yield
            | Then::Resign
            | Then::Reset
            | Then::Serve
            | Then::Vote
            | Then::Refuse
            | Then::Exit => {}
        }
    }

    /// A transition ends what belonged to the state before.
    pub(super) fn leave_hand_over(&mut self, from: State, to: State) {
        let hand_over = &mut self.hand_over;
        hand_over.theirs = None;
        hand_over.wants = false;
        hand_over.standing_by_since = None;
        hand_over.offer_again = None;
        hand_over.unasked = false;
        if to == State::Resigned && hand_over.ours.is_some() {
            self.outputs.push_back(Output::SwitchoverEnded(Ok(())));
        }
        match (from, to) {
            // What follows is to be known for what was offered.
            (State::Active, State::Draining) | (State::Draining, State::Resigned) => {}
            _ => hand_over.ours = None,
        }
    }
}
