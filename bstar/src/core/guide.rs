//! The machine of the Guide's chapter 4, for the same interpreter.

use super::table::{
    ANY_ACTIVE, ANY_REQUEST, ANY_STEP_BACK, Event, Roles, Row, State, Table, Then, checked, row,
};

/// The Guide's table, literally, with the start-up guard that its C version has.
///
/// It is kept for comparison and for teaching: the exhaustive search finds its dead ends. It
/// knows neither lateness nor epochs, takes its own role for a sign of life, and its step back
/// is a literal return to the initial state.
pub static GUIDE: Table = checked(ROWS);

// A table reads as one: a rule, a line.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("guide-primary-meets-backup", Roles::Primary, State::Initial, &[Event::PeerInitial, Event::PeerInitialStale], Then::Activate),
    row("guide-backup-waits", Roles::Backup, State::Initial, &[Event::PeerInitial, Event::PeerInitialStale], Then::Stay),
    row("guide-initial-peer-active", Roles::Both, State::Initial, ANY_ACTIVE, Then::Yield),
    row("guide-initial-peer-other", Roles::Both, State::Initial, &[Event::PeerPassive, Event::Stranger], Then::Stay),
    row("guide-initial-refuse", Roles::Both, State::Initial, &[Event::RequestPeerFresh], Then::Refuse),
    row("guide-primary-vote", Roles::Primary, State::Initial, &[Event::RequestPeerExpired], Then::Vote),
    row("guide-backup-refuse", Roles::Backup, State::Initial, &[Event::RequestPeerExpired], Then::Refuse),
    row("guide-initial-late", Roles::Both, State::Initial, &[Event::Late, Event::Stopping], Then::Stay),
    row("guide-initial-step-back", Roles::Both, State::Initial, ANY_STEP_BACK, Then::Refuse),
    row("guide-active-peer", Roles::Both, State::Active, &[Event::PeerInitial, Event::PeerInitialStale, Event::PeerPassive, Event::Stranger], Then::Stay),
    row("guide-dual-active", Roles::Both, State::Active, ANY_ACTIVE, Then::Exit),
    row("guide-serve", Roles::Both, State::Active, ANY_REQUEST, Then::Serve),
    row("guide-active-late", Roles::Both, State::Active, &[Event::Late, Event::Stopping], Then::Stay),
    row("guide-step-back", Roles::Both, State::Active, &[Event::StepBackPeerReady], Then::Reset),
    row("guide-step-back-alone", Roles::Both, State::Active, &[Event::StepBackAlone], Then::Refuse),
    // The Guide names both initial digits here, also the node's own.
    row("guide-peer-restarted", Roles::Both, State::Passive, &[Event::PeerInitial, Event::PeerInitialStale, Event::Stranger], Then::Activate),
    row("guide-passive-peer-active", Roles::Both, State::Passive, ANY_ACTIVE, Then::Stay),
    row("guide-dual-passive", Roles::Both, State::Passive, &[Event::PeerPassive], Then::Exit),
    row("guide-passive-refuse", Roles::Both, State::Passive, &[Event::RequestPeerFresh], Then::Refuse),
    row("guide-vote", Roles::Both, State::Passive, &[Event::RequestPeerExpired], Then::Vote),
    row("guide-passive-late", Roles::Both, State::Passive, &[Event::Late, Event::Stopping], Then::Stay),
    row("guide-passive-step-back", Roles::Both, State::Passive, ANY_STEP_BACK, Then::Refuse),
    // The Guide has no such state, and no row of its table leads here; a table is total.
    row(
        "guide-no-such-state",
        Roles::Both,
        State::Resigned,
        &[
            Event::PeerInitial,
            Event::PeerInitialStale,
            Event::PeerActiveBare,
            Event::PeerActiveBareLong,
            Event::PeerActiveLower,
            Event::PeerActiveHigher,
            Event::PeerActiveDeaf,
            Event::PeerPassive,
            Event::Stranger,
            Event::Late,
            Event::StepBackPeerReady,
            Event::StepBackAlone,
            Event::Stopping,
        ],
        Then::Stay,
    ),
    row("guide-no-such-state-refuse", Roles::Both, State::Resigned, ANY_REQUEST, Then::Refuse),
];
