//! The rules of our pair.
//!
//! ```text
//!            peer 2 (primary), vote              late, step back, stopping,
//!           ┌──────────────────────────┐            higher epoch, deaf peer
//!           │                          ▼          ┌────────────────────────┐
//!      ┌─────────┐                ┌────────┐      │                        ▼
//!  ●──▶│ Initial │                │ Active │──────┘                  ┌──────────┐
//!      └─────────┘                └────────┘◀────── vote, peer 2 ────│ Resigned │
//!           │                          ▲              (primary)      └──────────┘
//!           │                          │ vote, peer in its             │      ▲
//!           │       ┌─────────┐        │ initial state                 │      │ peer passive
//!           └──────▶│ Passive │────────┘                               │      │ (primary)
//!         peer      └─────────┘◀───────────── peer active ─────────────┘      │
//!         active         └────────────────────────────────────────────────────┘
//! ```

use super::table::{
    ANY_ACTIVE, ANY_REQUEST, ANY_STEP_BACK, Event, Roles, Row, State, Table, Then, checked, row,
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
    // only one that was paired knows that the service has already moved to it.
    row("initial-primary-meets-backup", Roles::Primary, State::Initial, &[Event::PeerInitial], Then::Activate),
    row("initial-backup-waits", Roles::Backup, State::Initial, &[Event::PeerInitial], Then::Stay),
    row("initial-peer-initial-stale", Roles::Both, State::Initial, &[Event::PeerInitialStale], Then::Stay),
    row("initial-peer-active", Roles::Both, State::Initial, ANY_ACTIVE, Then::Yield),
    row("initial-peer-passive", Roles::Both, State::Initial, &[Event::PeerPassive], Then::Stay),
    row("initial-stranger", Roles::Both, State::Initial, &[Event::Stranger], Then::Exit),
    row("initial-refuse", Roles::Both, State::Initial, &[Event::RequestPeerFresh], Then::Refuse),
    row("initial-primary-vote", Roles::Primary, State::Initial, &[Event::RequestPeerExpired], Then::Vote),
    row("initial-backup-refuse", Roles::Backup, State::Initial, &[Event::RequestPeerExpired], Then::Refuse),
    row("initial-late", Roles::Both, State::Initial, &[Event::Late], Then::Guard),
    row("initial-step-back", Roles::Both, State::Initial, ANY_STEP_BACK, Then::Refuse),
    row("initial-stopping", Roles::Both, State::Initial, &[Event::Stopping], Then::Stay),
    // Active: serves, until there is a reason to believe that the peer serves too.
    row("active-peer-initial", Roles::Both, State::Active, &[Event::PeerInitial, Event::PeerInitialStale], Then::Stay),
    row("active-peer-passive", Roles::Both, State::Active, &[Event::PeerPassive], Then::Stay),
    row("active-dual-bare", Roles::Both, State::Active, &[Event::PeerActiveBare], Then::Stay),
    row("active-dual-bare-long", Roles::Both, State::Active, &[Event::PeerActiveBareLong], Then::Resign),
    row("active-dual-lower", Roles::Both, State::Active, &[Event::PeerActiveLower], Then::Stay),
    row("active-dual-higher", Roles::Both, State::Active, &[Event::PeerActiveHigher], Then::Resign),
    row("active-dual-deaf", Roles::Both, State::Active, &[Event::PeerActiveDeaf], Then::Resign),
    row("active-stranger", Roles::Both, State::Active, &[Event::Stranger], Then::Ignore),
    row("active-serve", Roles::Both, State::Active, ANY_REQUEST, Then::Serve),
    row("active-late", Roles::Both, State::Active, &[Event::Late], Then::Resign),
    row("active-step-back", Roles::Both, State::Active, &[Event::StepBackPeerReady], Then::Resign),
    row("active-step-back-alone", Roles::Both, State::Active, &[Event::StepBackAlone], Then::Refuse),
    row("active-stopping", Roles::Both, State::Active, &[Event::Stopping], Then::Resign),
    // Passive: takes over when the peer is back in its initial state, or is gone and asked for.
    row("passive-peer-initial", Roles::Both, State::Passive, &[Event::PeerInitial], Then::Activate),
    row("passive-peer-initial-stale", Roles::Both, State::Passive, &[Event::PeerInitialStale], Then::Stay),
    row("passive-peer-active", Roles::Both, State::Passive, ANY_ACTIVE, Then::Stay),
    row("passive-dual-primary", Roles::Primary, State::Passive, &[Event::PeerPassive], Then::Resign),
    row("passive-dual-backup", Roles::Backup, State::Passive, &[Event::PeerPassive], Then::Stay),
    row("passive-stranger", Roles::Both, State::Passive, &[Event::Stranger], Then::Ignore),
    row("passive-refuse", Roles::Both, State::Passive, &[Event::RequestPeerFresh], Then::Refuse),
    row("passive-vote", Roles::Both, State::Passive, &[Event::RequestPeerExpired], Then::Vote),
    row("passive-late", Roles::Both, State::Passive, &[Event::Late], Then::Guard),
    row("passive-step-back", Roles::Both, State::Passive, ANY_STEP_BACK, Then::Refuse),
    row("passive-stopping", Roles::Both, State::Passive, &[Event::Stopping], Then::Stay),
    // Resigned: offers the service, and takes it again only when nobody else can.
    row("resigned-primary-meets-backup", Roles::Primary, State::Resigned, &[Event::PeerInitial], Then::Activate),
    row("resigned-backup-waits", Roles::Backup, State::Resigned, &[Event::PeerInitial], Then::Stay),
    row("resigned-peer-initial-stale", Roles::Both, State::Resigned, &[Event::PeerInitialStale], Then::Stay),
    row("resigned-peer-active", Roles::Both, State::Resigned, ANY_ACTIVE, Then::Yield),
    row("resigned-peer-passive", Roles::Both, State::Resigned, &[Event::PeerPassive], Then::Stay),
    row("resigned-stranger", Roles::Both, State::Resigned, &[Event::Stranger], Then::Ignore),
    row("resigned-refuse", Roles::Both, State::Resigned, &[Event::RequestPeerFresh], Then::Refuse),
    row("resigned-vote", Roles::Both, State::Resigned, &[Event::RequestPeerExpired], Then::Vote),
    row("resigned-late", Roles::Both, State::Resigned, &[Event::Late], Then::Guard),
    row("resigned-step-back", Roles::Both, State::Resigned, ANY_STEP_BACK, Then::Refuse),
    row("resigned-stopping", Roles::Both, State::Resigned, &[Event::Stopping], Then::Stay),
];
