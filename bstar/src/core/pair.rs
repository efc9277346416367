//! The rules of our pair.
//!
//! ```text
//!            peer 2 (primary), vote               late, higher epoch, deaf peer, stopping
//!           ┌──────────────────────────┐     ┌───────────────────────────────────────────┐
//!           │                          ▼     │                                           ▼
//!      ┌─────────┐                ┌────────┐ │ peer ready    ┌──────────┐ drained ┌──────────┐
//!  ●──▶│ Initial │                │ Active │─┴──────────────▶│ Draining │────────▶│ Resigned │
//!      └─────────┘                └────────┘                 └──────────┘         └──────────┘
//!           │                          ▲  ▲ vote, peer 2 (primary)                    │      ▲
//!           │                          │  └───────────────────────────────────────────┤      │
//!           │       ┌─────────┐        │ vote, peer in its initial state              │      │
//!           └──────▶│ Passive │────────┘                                              │      │
//!     peer active   └─────────┘◀──────────────── peer active ─────────────────────────┘      │
//!                        └───────────────────────────────────────────────────────────────────┘
//!                                             peer passive (primary)
//! ```
//!
//! A switchover between two of ours: the active *offers*, the passive *considers* and says that it is
//! ready or vetoes, the active *drains* and resigns, the passive takes over.

use super::table::{
    ANY_ACTIVE, ANY_PROMOTE, ANY_REQUEST, ANY_STEP_BACK, Event, Roles, Row, State, Table, Then,
    checked, row,
};

/// Our pair.
///
/// What differs from the Guide's table, and why, is told in `docs/architecture.md`; in short: no
/// state is a dead end, two actives or two passives resolve themselves, and a node that was away
/// steps back before it serves again.
pub static PAIR: Table = checked(ROWS);

// A table reads as one: a rule, a line.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Initial: a primary may be voted active once the guard has passed; a backup never, since
    // only one that was paired knows that the service has already moved to it, unless the
    // operator says otherwise.
    row("initial-primary-meets-backup", Roles::Primary, State::Initial, &[Event::PeerInitial, Event::PeerHandsOver], Then::Activate),
    row("initial-backup-waits", Roles::Backup, State::Initial, &[Event::PeerInitial, Event::PeerHandsOver], Then::Stay),
    row("initial-peer-initial-stale", Roles::Both, State::Initial, &[Event::PeerInitialStale], Then::Stay),
    row("initial-peer-active", Roles::Both, State::Initial, ANY_ACTIVE, Then::Yield),
    row("initial-peer-passive", Roles::Both, State::Initial, &[Event::PeerPassive], Then::Stay),
    row("initial-stranger", Roles::Both, State::Initial, &[Event::Stranger], Then::Exit),
    row("initial-refuse", Roles::Both, State::Initial, &[Event::RequestPeerFresh, Event::RequestPeerDead], Then::Refuse),
    row("initial-primary-vote", Roles::Primary, State::Initial, &[Event::RequestPeerExpired, Event::RequestPeerLost], Then::Vote),
    row("initial-backup-refuse", Roles::Backup, State::Initial, &[Event::RequestPeerExpired], Then::Refuse),
    row("initial-backup-alone", Roles::Backup, State::Initial, &[Event::RequestPeerLost], Then::Vote),
    row("initial-late", Roles::Both, State::Initial, &[Event::Late], Then::Guard),
    row("initial-step-back", Roles::Both, State::Initial, ANY_STEP_BACK, Then::Refuse),
    row("initial-promote", Roles::Both, State::Initial, &[Event::Promote], Then::Activate),
    row("initial-promote-refuse", Roles::Both, State::Initial, &[Event::PromoteBesideActive], Then::Refuse),
    row("initial-stopping", Roles::Both, State::Initial, &[Event::Stopping], Then::Stay),
    row("initial-no-hand-over", Roles::Both, State::Initial, HAND_OVER, Then::Stay),
    // Active: serves, until there is a reason to believe that the peer serves too.
    row("active-peer-initial", Roles::Both, State::Active, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerHandsOver], Then::Stay),
    row("active-peer-passive", Roles::Both, State::Active, &[Event::PeerPassive], Then::Stay),
    row("active-dual-bare", Roles::Both, State::Active, &[Event::PeerActiveBare], Then::Stay),
    row("active-dual-bare-long", Roles::Both, State::Active, &[Event::PeerActiveBareLong], Then::Resign),
    row("active-dual-lower", Roles::Both, State::Active, &[Event::PeerActiveLower], Then::Stay),
    row("active-dual-higher", Roles::Both, State::Active, &[Event::PeerActiveHigher], Then::Resign),
    row("active-dual-deaf", Roles::Both, State::Active, &[Event::PeerActiveDeaf], Then::Resign),
    row("active-stranger", Roles::Both, State::Active, &[Event::Stranger], Then::Ignore),
    row("active-serve", Roles::Both, State::Active, ANY_REQUEST, Then::Serve),
    row("active-late", Roles::Both, State::Active, &[Event::Late], Then::Resign),
    row("active-offer", Roles::Both, State::Active, &[Event::StepBackPeerReady, Event::PeerWants], Then::Offer),
    row("active-step-back-bare", Roles::Both, State::Active, &[Event::StepBackPeerBare], Then::Resign),
    row("active-step-back-alone", Roles::Both, State::Active, &[Event::StepBackAlone], Then::Refuse),
    row("active-peer-ready", Roles::Both, State::Active, &[Event::PeerReady], Then::Drain),
    row("active-offer-ends", Roles::Both, State::Active, &[Event::PeerVeto, Event::OfferExpired], Then::Withdraw),
    row("active-no-hand-over", Roles::Both, State::Active, &[Event::PeerOffers, Event::Drained, Event::DrainExpired, Event::FailBackDue], Then::Stay),
    row("active-promote", Roles::Both, State::Active, ANY_PROMOTE, Then::Refuse),
    row("active-stopping", Roles::Both, State::Active, &[Event::Stopping], Then::Resign),
    // Draining: on the way to resigned, and no way back, for the peer was told to be ready.
    row("draining-peer", Roles::Both, State::Draining, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerHandsOver, Event::PeerPassive], Then::Stay),
    row("draining-dual", Roles::Both, State::Draining, ANY_ACTIVE, Then::Resign),
    row("draining-stranger", Roles::Both, State::Draining, &[Event::Stranger], Then::Ignore),
    row("draining-refuse", Roles::Both, State::Draining, ANY_REQUEST, Then::Refuse),
    row("draining-late", Roles::Both, State::Draining, &[Event::Late], Then::Resign),
    row("draining-drained", Roles::Both, State::Draining, &[Event::Drained], Then::Resign),
    row("draining-expired", Roles::Both, State::Draining, &[Event::DrainExpired], Then::Resign),
    row("draining-step-back", Roles::Both, State::Draining, ANY_STEP_BACK, Then::Stay),
    row("draining-promote", Roles::Both, State::Draining, ANY_PROMOTE, Then::Refuse),
    row("draining-stopping", Roles::Both, State::Draining, &[Event::Stopping], Then::Resign),
    row("draining-goes-on", Roles::Both, State::Draining, &[Event::PeerOffers, Event::PeerReady, Event::PeerVeto, Event::PeerWants, Event::OfferExpired, Event::FailBackDue], Then::Stay),
    // Passive: takes over when the peer is back in its initial state, or is gone and asked for.
    row("passive-peer-initial", Roles::Both, State::Passive, &[Event::PeerInitial], Then::Activate),
    row("passive-handed-over", Roles::Both, State::Passive, &[Event::PeerHandsOver], Then::Activate),
    row("passive-peer-initial-stale", Roles::Both, State::Passive, &[Event::PeerInitialStale], Then::Stay),
    row("passive-peer-active", Roles::Both, State::Passive, ANY_ACTIVE, Then::Stay),
    row("passive-dual-primary", Roles::Primary, State::Passive, &[Event::PeerPassive], Then::Resign),
    row("passive-dual-backup", Roles::Backup, State::Passive, &[Event::PeerPassive], Then::Stay),
    row("passive-stranger", Roles::Both, State::Passive, &[Event::Stranger], Then::Ignore),
    row("passive-refuse", Roles::Both, State::Passive, &[Event::RequestPeerFresh], Then::Refuse),
    row("passive-vote", Roles::Both, State::Passive, &[Event::RequestPeerExpired, Event::RequestPeerLost], Then::Vote),
    row("passive-vote-dead", Roles::Both, State::Passive, &[Event::RequestPeerDead], Then::Vote),
    row("passive-late", Roles::Both, State::Passive, &[Event::Late], Then::Guard),
    row("passive-step-back", Roles::Both, State::Passive, ANY_STEP_BACK, Then::Refuse),
    row("passive-promote", Roles::Both, State::Passive, &[Event::Promote], Then::Activate),
    row("passive-promote-refuse", Roles::Both, State::Passive, &[Event::PromoteBesideActive], Then::Refuse),
    row("passive-stopping", Roles::Both, State::Passive, &[Event::Stopping], Then::Stay),
    row("passive-offered", Roles::Both, State::Passive, &[Event::PeerOffers], Then::Consider),
    row("passive-no-hand-over", Roles::Both, State::Passive, &[Event::PeerReady, Event::PeerVeto, Event::PeerWants, Event::OfferExpired, Event::Drained, Event::DrainExpired], Then::Stay),
    row("passive-primary-wants", Roles::Primary, State::Passive, &[Event::FailBackDue], Then::Want),
    row("passive-backup-content", Roles::Backup, State::Passive, &[Event::FailBackDue], Then::Stay),
    // Resigned: offers the service, and takes it again only when nobody else can.
    row("resigned-primary-meets-backup", Roles::Primary, State::Resigned, &[Event::PeerInitial, Event::PeerHandsOver], Then::Activate),
    row("resigned-backup-waits", Roles::Backup, State::Resigned, &[Event::PeerInitial, Event::PeerHandsOver], Then::Stay),
    row("resigned-peer-initial-stale", Roles::Both, State::Resigned, &[Event::PeerInitialStale], Then::Stay),
    row("resigned-peer-active", Roles::Both, State::Resigned, ANY_ACTIVE, Then::Yield),
    row("resigned-peer-passive", Roles::Both, State::Resigned, &[Event::PeerPassive], Then::Stay),
    row("resigned-stranger", Roles::Both, State::Resigned, &[Event::Stranger], Then::Ignore),
    row("resigned-refuse", Roles::Both, State::Resigned, &[Event::RequestPeerFresh, Event::RequestPeerDead], Then::Refuse),
    row("resigned-vote", Roles::Both, State::Resigned, &[Event::RequestPeerExpired, Event::RequestPeerLost], Then::Vote),
    row("resigned-late", Roles::Both, State::Resigned, &[Event::Late], Then::Guard),
    row("resigned-step-back", Roles::Both, State::Resigned, ANY_STEP_BACK, Then::Refuse),
    row("resigned-promote", Roles::Both, State::Resigned, &[Event::Promote], Then::Activate),
    row("resigned-promote-refuse", Roles::Both, State::Resigned, &[Event::PromoteBesideActive], Then::Refuse),
    row("resigned-stopping", Roles::Both, State::Resigned, &[Event::Stopping], Then::Stay),
    row("resigned-no-hand-over", Roles::Both, State::Resigned, HAND_OVER, Then::Stay),
];

/// What belongs to a hand-over between others than a node in its initial state or resigned.
const HAND_OVER: &[Event] = &[
    Event::PeerOffers,
    Event::PeerReady,
    Event::PeerVeto,
    Event::PeerWants,
    Event::OfferExpired,
    Event::Drained,
    Event::DrainExpired,
    Event::FailBackDue,
];
