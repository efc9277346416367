//! The machine of the Guide's chapter 4, for the same interpreter.

use super::table::{
    ANY_ACTIVE, ANY_REQUEST, ANY_STEP_BACK, Event, Roles, Row, State, Table, Then, checked, row,
};

/// The Guide knows no hand-over, no fail-back, and no lateness.
const UNKNOWN: &[Event] = &[
    Event::PeerOffers,
    Event::PeerReady,
    Event::PeerVeto,
    Event::PeerWants,
    Event::OfferExpired,
    Event::Drained,
    Event::DrainExpired,
    Event::FailBackDue,
    Event::Late,
    Event::Stopping,
];
/// Nor is a node of its promoted by hand, and a peer is silent or is not.
const UNKNOWN_WISHES: &[Event] = &[Event::Promote, Event::PromoteBesideActive];
const FRESH: &[Event] = &[Event::RequestPeerFresh, Event::RequestPeerDead];
const EXPIRED: &[Event] = &[Event::RequestPeerExpired, Event::RequestPeerLost];
const INITIAL: &[Event] = &[
    Event::PeerInitial,
    Event::PeerInitialStale,
    Event::PeerHandsOver,
];

/// The Guide's table, literally, with the start-up guard that its C version has.
///
/// It is kept for comparison and for teaching: the exhaustive search finds its dead ends. It
/// knows neither lateness nor epochs, takes its own role for a sign of life, and its step back
/// is a literal return to the initial state.
pub static GUIDE: Table = checked(ROWS);

// A table reads as one: a rule, a line.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("guide-primary-meets-backup", Roles::Primary, State::Initial, INITIAL, Then::Activate),
    row("guide-backup-waits", Roles::Backup, State::Initial, INITIAL, Then::Stay),
    row("guide-initial-peer-active", Roles::Both, State::Initial, ANY_ACTIVE, Then::Yield),
    row("guide-initial-peer-other", Roles::Both, State::Initial, &[Event::PeerPassive, Event::Stranger], Then::Stay),
    row("guide-initial-refuse", Roles::Both, State::Initial, FRESH, Then::Refuse),
    row("guide-primary-vote", Roles::Primary, State::Initial, EXPIRED, Then::Vote),
    row("guide-backup-refuse", Roles::Backup, State::Initial, EXPIRED, Then::Refuse),
    row("guide-initial-promote", Roles::Both, State::Initial, UNKNOWN_WISHES, Then::Refuse),
    row("guide-initial-unknown", Roles::Both, State::Initial, UNKNOWN, Then::Stay),
    row("guide-initial-step-back", Roles::Both, State::Initial, ANY_STEP_BACK, Then::Refuse),
    row("guide-active-peer", Roles::Both, State::Active, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerHandsOver, Event::PeerPassive, Event::Stranger], Then::Stay),
    row("guide-dual-active", Roles::Both, State::Active, ANY_ACTIVE, Then::Exit),
    row("guide-serve", Roles::Both, State::Active, ANY_REQUEST, Then::Serve),
    row("guide-active-promote", Roles::Both, State::Active, UNKNOWN_WISHES, Then::Refuse),
    row("guide-active-unknown", Roles::Both, State::Active, UNKNOWN, Then::Stay),
    row("guide-step-back", Roles::Both, State::Active, &[Event::StepBackPeerReady, Event::StepBackPeerBare], Then::Reset),
    row("guide-step-back-alone", Roles::Both, State::Active, &[Event::StepBackAlone], Then::Refuse),
    // The Guide names both initial digits here, also the node's own.
    row("guide-peer-restarted", Roles::Both, State::Passive, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerHandsOver, Event::Stranger], Then::Activate),
    row("guide-passive-peer-active", Roles::Both, State::Passive, ANY_ACTIVE, Then::Stay),
    row("guide-dual-passive", Roles::Both, State::Passive, &[Event::PeerPassive], Then::Exit),
    row("guide-passive-refuse", Roles::Both, State::Passive, FRESH, Then::Refuse),
    row("guide-vote", Roles::Both, State::Passive, EXPIRED, Then::Vote),
    row("guide-passive-promote", Roles::Both, State::Passive, UNKNOWN_WISHES, Then::Refuse),
    row("guide-passive-unknown", Roles::Both, State::Passive, UNKNOWN, Then::Stay),
    row("guide-passive-step-back", Roles::Both, State::Passive, ANY_STEP_BACK, Then::Refuse),
    // The Guide has no such states, and no row of its table leads here; a table is total.
    row("guide-no-draining", Roles::Both, State::Draining, NO_SUCH_STATE, Then::Stay),
    row("guide-no-draining-refuse", Roles::Both, State::Draining, ANY_REQUEST, Then::Refuse),
    row("guide-no-resigned", Roles::Both, State::Resigned, NO_SUCH_STATE, Then::Stay),
    row("guide-no-resigned-refuse", Roles::Both, State::Resigned, ANY_REQUEST, Then::Refuse),
];

const NO_SUCH_STATE: &[Event] = &[
    Event::PeerInitial,
    Event::PeerInitialStale,
    Event::PeerActiveBare,
    Event::PeerActiveBareLong,
    Event::PeerActiveLower,
    Event::PeerActiveHigher,
    Event::PeerActiveDeaf,
    Event::PeerPassive,
    Event::PeerHandsOver,
    Event::Stranger,
    Event::PeerOffers,
    Event::PeerReady,
    Event::PeerVeto,
    Event::PeerWants,
    Event::Late,
    Event::StepBackPeerReady,
    Event::StepBackPeerBare,
    Event::StepBackAlone,
    Event::Promote,
    Event::PromoteBesideActive,
    Event::OfferExpired,
    Event::Drained,
    Event::DrainExpired,
    Event::FailBackDue,
    Event::Stopping,
];
