//! Rules as data: what a [`Table`] is made of, and what makes it one.
//!
//! A [`Row`] says what one node does in one state on one or more events; a [`Table`] is the
//! rows, checked to be total: each combination of role, state and event is covered by exactly
//! one row. There is one interpreter, [`Machine`](crate::core::Machine), and no rule beside the
//! table. [`PAIR`](crate::core::PAIR) is our pair; [`GUIDE`](crate::core::GUIDE) is the machine of
//! the Guide's chapter 4, for comparison.

use std::fmt;

/// Which half of the pair a node is configured to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The node that is active at first, and wins a tie.
    Primary,
    /// The node that stands by.
    Backup,
}

impl Role {
    /// Both roles.
    pub const ALL: [Role; 2] = [Role::Primary, Role::Backup];

    /// The other half of the pair.
    pub const fn other(self) -> Role {
        match self {
            Role::Primary => Role::Backup,
            Role::Backup => Role::Primary,
        }
    }

    /// The role that is written so, on the wire and on the disk.
    pub(crate) fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.to_string() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Primary => "primary",
            Role::Backup => "backup",
        })
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Started, and not paired in this life: the Guide's states "primary" and "backup".
    Initial,
    /// Serves clients.
    Active,
    /// Hands the service to its peer: takes no new request, and finishes those that it began. To
    /// the peer it is active still.
    Draining,
    /// Stands by, and takes over when the active node is gone and a client asks.
    Passive,
    /// Was active (or passive) in this life and stepped back. It announces its initial state,
    /// so that a passive peer takes over at once, and unlike an initial backup it may be voted
    /// active again when the peer stays silent.
    Resigned,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] = [
        State::Initial,
        State::Active,
        State::Draining,
        State::Passive,
        State::Resigned,
    ];

    /// The name that logs and status lines use: an initial node is called by its role.
    pub const fn name(self, role: Role) -> &'static str {
        match (self, role) {
            (State::Initial, Role::Primary) => "primary",
            (State::Initial, Role::Backup) => "backup",
            (State::Active, _) => "active",
            (State::Draining, _) => "draining",
            (State::Passive, _) => "passive",
            (State::Resigned, _) => "resigned",
        }
    }
}

/// What can happen to a node, after classification: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// The peer announces its initial state (it started, restarted or resigned).
    PeerInitial,
    /// As above, but within a heartbeat of our own waking from a pause: the word may have waited
    /// for us that long, and the peer may have gone on since.
    PeerInitialStale,
    /// The peer is active and says no more than that, as the Guide's servers do.
    PeerActiveBare,
    /// As above, and we have both been active for a peer timeout.
    PeerActiveBareLong,
    /// The peer is active, of an epoch lower than ours.
    PeerActiveLower,
    /// The peer is active, of an epoch higher than ours.
    PeerActiveHigher,
    /// The peer is active and says that it cannot hear us, though we have heard it for a
    /// heartbeat.
    PeerActiveDeaf,
    /// The peer is passive.
    PeerPassive,
    /// The peer, which offered us the service and was told that we are ready, has stepped back.
    PeerHandsOver,
    /// Whoever speaks is not our peer: it has our own role, or names another pair.
    Stranger,
    /// The active peer offers the service, and has no answer yet.
    PeerOffers,
    /// The passive peer says that it is ready for the service that we offer.
    PeerReady,
    /// The passive peer declines the service that we offer.
    PeerVeto,
    /// The passive peer asks for the service, to fail back.
    PeerWants,
    /// A client request that does not vote: the peer was heard within the peer timeout, or the application
    /// said that it cannot serve.
    RequestPeerFresh,
    /// A client request while the peer has been silent for the peer timeout: a vote.
    RequestPeerExpired,
    /// As above, and for as long as a backup that was never paired is to wait, if it may serve
    /// alone at all.
    RequestPeerLost,
    /// A client request while the peer was heard within the peer timeout, and is proved to be
    /// gone.
    RequestPeerDead,
    /// This node did not run for so long that the peer may have taken over.
    Late,
    /// The operator asks this node to step back; the peer is heard to be passive, and can answer an
    /// offer.
    StepBackPeerReady,
    /// As above, but the peer knows of no offers, as the Guide's servers.
    StepBackPeerBare,
    /// The operator asks this node to step back, and no passive peer is heard.
    StepBackAlone,
    /// The operator says that this node is to serve, and no active peer is heard.
    Promote,
    /// As above, beside a peer that is heard to be active.
    PromoteBesideActive,
    /// The offer was not answered in time.
    OfferExpired,
    /// What was begun before the hand-over is finished.
    Drained,
    /// The time for that is over.
    DrainExpired,
    /// This node has stood by for so long that it asks for the service again.
    FailBackDue,
    /// This node is about to end.
    Stopping,
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 29] = [
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
        Event::RequestPeerFresh,
        Event::RequestPeerExpired,
        Event::RequestPeerLost,
        Event::RequestPeerDead,
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

    /// The name that logs and status lines use as the cause of a transition.
    pub const fn name(self) -> &'static str {
        match self {
            Event::PeerInitial => "peer-initial",
            Event::PeerInitialStale => "peer-initial-stale",
            Event::PeerActiveBare => "peer-active-bare",
            Event::PeerActiveBareLong => "peer-active-bare-long",
            Event::PeerActiveLower => "peer-active-lower",
            Event::PeerActiveHigher => "peer-active-higher",
            Event::PeerActiveDeaf => "peer-active-deaf",
            Event::PeerPassive => "peer-passive",
            Event::PeerHandsOver => "peer-hands-over",
            Event::Stranger => "stranger",
            Event::PeerOffers => "peer-offers",
            Event::PeerReady => "peer-ready",
            Event::PeerVeto => "peer-veto",
            Event::PeerWants => "peer-wants",
            Event::RequestPeerFresh => "request-peer-fresh",
            Event::RequestPeerExpired => "request-peer-expired",
            Event::RequestPeerLost => "request-peer-lost",
            Event::RequestPeerDead => "request-peer-dead",
            Event::Late => "late",
            Event::StepBackPeerReady => "step-back",
            Event::StepBackPeerBare => "step-back-peer-bare",
            Event::StepBackAlone => "step-back-alone",
            Event::Promote => "promote",
            Event::PromoteBesideActive => "promote-beside-active",
            Event::OfferExpired => "offer-expired",
            Event::Drained => "drained",
            Event::DrainExpired => "drain-expired",
            Event::FailBackDue => "fail-back-due",
            Event::Stopping => "stopping",
        }
    }

    const fn is_request(self) -> bool {
        matches!(
            self,
            Event::RequestPeerFresh
                | Event::RequestPeerExpired
                | Event::RequestPeerLost
                | Event::RequestPeerDead
        )
    }

    /// What an operator asks for.
    const fn is_wish(self) -> bool {
        matches!(
            self,
            Event::StepBackPeerReady
                | Event::StepBackPeerBare
                | Event::StepBackAlone
                | Event::Promote
                | Event::PromoteBesideActive
        )
    }
}

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// Nothing changes. Said by a peer, it is a sign of life.
    Stay,
    /// Nothing changes, but the peer's silence counts from now: the start-up guard anew.
    Guard,
    /// Nothing changes, and it is no sign of life: counted, and logged once.
    Ignore,
    /// Becomes active.
    Activate,
    /// Becomes passive.
    Yield,
    /// Becomes resigned, with the start-up guard anew.
    Resign,
    /// Goes back to the literal initial state. Only the Guide's table does this.
    Reset,
    /// Offers the service to the peer, and serves on.
    Offer,
    /// Takes the offer back.
    Withdraw,
    /// Takes no new request; resigns when those that were begun are finished.
    Drain,
    /// Asks the application whether it is ready for the service, and tells the peer.
    Consider,
    /// Asks the peer for the service.
    Want,
    /// The request is served.
    Serve,
    /// The request voted: becomes active, and the request is served.
    Vote,
    /// The request, or the wish, is refused.
    Refuse,
    /// The node cannot go on.
    Exit,
}

/// The roles that a row holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Roles {
    /// Only the primary.
    Primary,
    /// Only the backup.
    Backup,
    /// Either half.
    Both,
}

impl Roles {
    const fn contain(self, role: usize) -> bool {
        match self {
            Roles::Primary => role == Role::Primary as usize,
            Roles::Backup => role == Role::Backup as usize,
            Roles::Both => true,
        }
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name by which logs, metrics and pictures call this rule.
    pub id: &'static str,
    /// Whom it holds for.
    pub roles: Roles,
    /// In which state.
    pub state: State,
    /// On which events.
    pub on: &'static [Event],
    /// What happens.
    pub then: Then,
}

const ROLE_COUNT: usize = Role::ALL.len();
const STATE_COUNT: usize = State::ALL.len();
const EVENT_COUNT: usize = Event::ALL.len();
const NO_ROW: u8 = u8::MAX;

/// Why some rows are not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A combination that no row covers.
    #[error("no row for a {role} in state {state:?} on {event:?}")]
    Missing {
        /// The role that is not covered.
        role: Role,
        /// The state that is not covered.
        state: State,
        /// The event that is not covered.
        event: Event,
    },
    /// A combination that two rows cover.
    #[error("two rows, {first} and {second}, for the same combination")]
    Doubled {
        /// The row that came first.
        first: &'static str,
        /// The row that covers the same again.
        second: &'static str,
    },
    /// A row whose action does not answer its event: a request is served, voted or refused, and
    /// nothing else is served or voted.
    #[error("row {row} does not answer its event")]
    Unfit {
        /// The row in question.
        row: &'static str,
    },
    /// More rows than a table can index.
    #[error("more than 254 rows")]
    TooMany,
}

/// Rows that are total over role, state and event.
#[derive(Debug)]
pub struct Table {
    rows: &'static [Row],
    index: [[[u8; EVENT_COUNT]; STATE_COUNT]; ROLE_COUNT],
}

impl Table {
    /// Checks that each combination of role, state and event is covered exactly once.
    pub const fn new(rows: &'static [Row]) -> Result<Table, TableError> {
        if rows.len() >= NO_ROW as usize {
            return Err(TableError::TooMany);
        }
        let mut index = [[[NO_ROW; EVENT_COUNT]; STATE_COUNT]; ROLE_COUNT];
        let mut r = 0;
        while r < rows.len() {
            let row = &rows[r];
            let mut e = 0;
            while e < row.on.len() {
                if !fits(row.on[e], row.then) {
                    return Err(TableError::Unfit { row: row.id });
                }
                let mut role = 0;
                while role < ROLE_COUNT {
                    if row.roles.contain(role) {
                        let cell = &mut index[role][row.state as usize][row.on[e] as usize];
                        if *cell != NO_ROW {
                            let first = rows[*cell as usize].id;
                            return Err(TableError::Doubled {
                                first,
                                second: row.id,
                            });
                        }
                        *cell = r as u8;
                    }
                    role += 1;
                }
                e += 1;
            }
            r += 1;
        }
        match first_gap(&index) {
            Some(missing) => Err(missing),
            None => Ok(Table { rows, index }),
        }
    }

    /// The one row for this combination.
    pub fn row(&self, role: Role, state: State, event: Event) -> &'static Row {
        let at = self.index[role as usize][state as usize][event as usize];
        &self.rows[usize::from(at)]
    }

    /// All rows, in the order in which they are written.
    pub fn rows(&self) -> &'static [Row] {
        self.rows
    }
}

const fn fits(event: Event, then: Then) -> bool {
    match then {
        Then::Serve | Then::Vote => event.is_request(),
        Then::Refuse => event.is_request() || event.is_wish(),
        Then::Ignore => matches!(event, Event::Stranger),
        Then::Stay
        | Then::Guard
        | Then::Activate
        | Then::Yield
        | Then::Resign
        | Then::Reset
        | Then::Offer
        | Then::Withdraw
        | Then::Drain
        | Then::Consider
        | Then::Want
        | Then::Exit => !event.is_request(),
    }
}

const fn first_gap(index: &[[[u8; EVENT_COUNT]; STATE_COUNT]; ROLE_COUNT]) -> Option<TableError> {
    let mut role = 0;
    while role < ROLE_COUNT {
        let mut state = 0;
        while state < STATE_COUNT {
            let mut event = 0;
            while event < EVENT_COUNT {
                if index[role][state][event] == NO_ROW {
                    return Some(TableError::Missing {
                        role: Role::ALL[role],
                        state: State::ALL[state],
                        event: Event::ALL[event],
                    });
                }
                event += 1;
            }
            state += 1;
        }
        role += 1;
    }
    None
}

pub(super) const fn row(
    id: &'static str,
    roles: Roles,
    state: State,
    on: &'static [Event],
    then: Then,
) -> Row {
    Row {
        id,
        roles,
        state,
        on,
        then,
    }
}

pub(super) const fn checked(rows: &'static [Row]) -> Table {
    match Table::new(rows) {
        Ok(table) => table,
        Err(_) => panic!("the table is not total, or covers something twice"),
    }
}

pub(super) const ANY_ACTIVE: &[Event] = &[
    Event::PeerActiveBare,
    Event::PeerActiveBareLong,
    Event::PeerActiveLower,
    Event::PeerActiveHigher,
    Event::PeerActiveDeaf,
];
pub(super) const ANY_STEP_BACK: &[Event] = &[
    Event::StepBackPeerReady,
    Event::StepBackPeerBare,
    Event::StepBackAlone,
];
pub(super) const ANY_PROMOTE: &[Event] = &[Event::Promote, Event::PromoteBesideActive];
pub(super) const ANY_REQUEST: &[Event] = &[
    Event::RequestPeerFresh,
    Event::RequestPeerExpired,
    Event::RequestPeerLost,
    Event::RequestPeerDead,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{GUIDE, MAINTENANCE, PAIR};

    /// Leaks on purpose: a table's rows live as long as the program, here too.
    fn table(rows: Vec<Row>) -> Result<Table, TableError> {
        Table::new(rows.leak())
    }

    #[test]
    fn a_missing_row_is_no_table() {
        for at in 0..PAIR.rows().len() {
            let mut rows = PAIR.rows().to_vec();
            let gone = rows.remove(at);
            match table(rows) {
                Err(TableError::Missing { state, event, .. }) => {
                    assert_eq!(state, gone.state);
                    assert!(gone.on.contains(&event));
                }
                other => panic!("without {}: {other:?}", gone.id),
            }
        }
    }

    #[test]
    fn a_doubled_row_is_no_table() {
        for row in PAIR.rows() {
            let mut rows = PAIR.rows().to_vec();
            rows.push(*row);
            assert_eq!(
                table(rows).err(),
                Some(TableError::Doubled {
                    first: row.id,
                    second: row.id
                })
            );
        }
    }

    #[test]
    fn a_request_cannot_be_answered_by_staying() {
        let mut rows = PAIR.rows().to_vec();
        for row in &mut rows {
            if row.id == "active-serve" {
                row.then = Then::Stay;
            }
        }
        assert_eq!(
            table(rows).err(),
            Some(TableError::Unfit {
                row: "active-serve"
            })
        );
    }

    #[test]
    fn ids_are_unique_and_speakable() {
        for table in [&PAIR, &GUIDE, &MAINTENANCE] {
            let mut ids: Vec<_> = table.rows().iter().map(|row| row.id).collect();
            assert!(
                ids.iter()
                    .all(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
            );
            ids.sort_unstable();
            let all = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), all, "two rows share an id");
        }
    }

    #[test]
    fn indexes_match_declaration_order() {
        assert!(
            Role::ALL
                .iter()
                .enumerate()
                .all(|(at, role)| *role as usize == at)
        );
        assert!(
            State::ALL
                .iter()
                .enumerate()
                .all(|(at, state)| *state as usize == at)
        );
        assert!(
            Event::ALL
                .iter()
                .enumerate()
                .all(|(at, event)| *event as usize == at)
        );
    }
}
