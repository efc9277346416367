//! The rules of a node under maintenance.

use super::table::{
    ANY_ACTIVE, ANY_PROMOTE, ANY_REQUEST, ANY_STEP_BACK, Event, Roles, Row, State, Table, Then,
    checked, row,
};

/// Nobody takes over but by hand: not by a vote, not by proof of death, not from a peer that starts or
/// stops.
///
/// What the operator asks for is done, here and at the peer: a switchover, a promotion, an end. A node
/// goes on to give way where two could serve: it was away for too long, or its peer is heard to be
/// active in a higher epoch.
pub static MAINTENANCE: Table = checked(ROWS);

// A table reads as one: a rule, a line.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("maintenance-initial-waits", Roles::Both, State::Initial, QUIET, Then::Stay),
    row("maintenance-initial-peer-active", Roles::Both, State::Initial, ANY_ACTIVE, Then::Yield),
    row("maintenance-initial-no-hand-over", Roles::Both, State::Initial, &[Event::PeerOffers, Event::PeerHandsOver], Then::Stay),
    row("maintenance-initial-stranger", Roles::Both, State::Initial, &[Event::Stranger], Then::Ignore),
    row("maintenance-initial-refuse", Roles::Both, State::Initial, ANY_REQUEST, Then::Refuse),
    row("maintenance-initial-late", Roles::Both, State::Initial, &[Event::Late], Then::Guard),
    row("maintenance-initial-step-back", Roles::Both, State::Initial, ANY_STEP_BACK, Then::Refuse),
    row("maintenance-initial-promote", Roles::Both, State::Initial, &[Event::Promote], Then::Activate),
    row("maintenance-initial-promote-refuse", Roles::Both, State::Initial, &[Event::PromoteBesideActive], Then::Refuse),
    // Active and draining: as ever, but that nothing is handed over because the peer wants it.
    row("maintenance-active-stays", Roles::Both, State::Active, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerPassive, Event::PeerHandsOver, Event::PeerOffers, Event::PeerWants, Event::Drained, Event::DrainExpired, Event::FailBackDue], Then::Stay),
    row("maintenance-active-dual", Roles::Both, State::Active, &[Event::PeerActiveBare, Event::PeerActiveLower], Then::Stay),
    row("maintenance-active-gives-way", Roles::Both, State::Active, &[Event::PeerActiveBareLong, Event::PeerActiveHigher, Event::PeerActiveDeaf, Event::Late], Then::Resign),
    row("maintenance-active-stranger", Roles::Both, State::Active, &[Event::Stranger], Then::Ignore),
    row("maintenance-active-serve", Roles::Both, State::Active, ANY_REQUEST, Then::Serve),
    row("maintenance-active-offer", Roles::Both, State::Active, &[Event::StepBackPeerReady], Then::Offer),
    row("maintenance-active-step-back", Roles::Both, State::Active, &[Event::StepBackPeerBare, Event::Stopping], Then::Resign),
    row("maintenance-active-step-back-alone", Roles::Both, State::Active, &[Event::StepBackAlone], Then::Refuse),
    row("maintenance-active-peer-ready", Roles::Both, State::Active, &[Event::PeerReady], Then::Drain),
    row("maintenance-active-offer-ends", Roles::Both, State::Active, &[Event::PeerVeto, Event::OfferExpired], Then::Withdraw),
    row("maintenance-active-promote", Roles::Both, State::Active, ANY_PROMOTE, Then::Refuse),
    row("maintenance-draining-goes-on", Roles::Both, State::Draining, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerPassive, Event::PeerHandsOver, Event::PeerOffers, Event::PeerReady, Event::PeerVeto, Event::PeerWants, Event::OfferExpired, Event::FailBackDue], Then::Stay),
    row("maintenance-draining-ends", Roles::Both, State::Draining, &[Event::Drained, Event::DrainExpired, Event::Late, Event::Stopping], Then::Resign),
    row("maintenance-draining-dual", Roles::Both, State::Draining, ANY_ACTIVE, Then::Resign),
    row("maintenance-draining-stranger", Roles::Both, State::Draining, &[Event::Stranger], Then::Ignore),
    row("maintenance-draining-refuse", Roles::Both, State::Draining, ANY_REQUEST, Then::Refuse),
    row("maintenance-draining-step-back", Roles::Both, State::Draining, ANY_STEP_BACK, Then::Stay),
    row("maintenance-draining-promote", Roles::Both, State::Draining, ANY_PROMOTE, Then::Refuse),
    // Passive, and resigned: taken over is what a hand, here or at the peer, hands over.
    row("maintenance-passive-waits", Roles::Both, State::Passive, QUIET, Then::Stay),
    row("maintenance-passive-peer-active", Roles::Both, State::Passive, ANY_ACTIVE, Then::Stay),
    row("maintenance-passive-offered", Roles::Both, State::Passive, &[Event::PeerOffers], Then::Consider),
    row("maintenance-passive-handed-over", Roles::Both, State::Passive, &[Event::PeerHandsOver], Then::Activate),
    row("maintenance-passive-stranger", Roles::Both, State::Passive, &[Event::Stranger], Then::Ignore),
    row("maintenance-passive-refuse", Roles::Both, State::Passive, ANY_REQUEST, Then::Refuse),
    row("maintenance-passive-late", Roles::Both, State::Passive, &[Event::Late], Then::Guard),
    row("maintenance-passive-step-back", Roles::Both, State::Passive, ANY_STEP_BACK, Then::Refuse),
    row("maintenance-passive-promote", Roles::Both, State::Passive, &[Event::Promote], Then::Activate),
    row("maintenance-passive-promote-refuse", Roles::Both, State::Passive, &[Event::PromoteBesideActive], Then::Refuse),
    row("maintenance-resigned-waits", Roles::Both, State::Resigned, QUIET, Then::Stay),
    row("maintenance-resigned-peer-active", Roles::Both, State::Resigned, ANY_ACTIVE, Then::Yield),
    row("maintenance-resigned-no-hand-over", Roles::Both, State::Resigned, &[Event::PeerOffers, Event::PeerHandsOver], Then::Stay),
    row("maintenance-resigned-stranger", Roles::Both, State::Resigned, &[Event::Stranger], Then::Ignore),
    row("maintenance-resigned-refuse", Roles::Both, State::Resigned, ANY_REQUEST, Then::Refuse),
    row("maintenance-resigned-late", Roles::Both, State::Resigned, &[Event::Late], Then::Guard),
    row("maintenance-resigned-step-back", Roles::Both, State::Resigned, ANY_STEP_BACK, Then::Refuse),
    row("maintenance-resigned-promote", Roles::Both, State::Resigned, &[Event::Promote], Then::Activate),
    row("maintenance-resigned-promote-refuse", Roles::Both, State::Resigned, &[Event::PromoteBesideActive], Then::Refuse),
];

/// What makes nobody serve who stands by.
const QUIET: &[Event] = &[
    Event::PeerInitial,
    Event::PeerInitialStale,
    Event::PeerPassive,
    Event::PeerReady,
    Event::PeerVeto,
    Event::PeerWants,
    Event::OfferExpired,
    Event::Drained,
    Event::DrainExpired,
    Event::FailBackDue,
    Event::Stopping,
];
