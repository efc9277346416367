//! What each `Then` is for, and so where a table may not have it: a check of any table for our
//! interpreter, far weaker than the rows.

use crate::core::table::{Event, Roles, Row, State, Table, Then};

/// The first row that does what it has no reason for.
pub(super) fn first_without_reason(table: &Table) -> Option<&'static str> {
    let rows = table.rows().iter();
    rows.flat_map(|row| row.on.iter().map(move |event| (row, *event)))
        .find(|(row, event)| !has_reason(row, *event))
        .map(|(row, _)| row.id)
}

fn has_reason(row: &Row, event: Event) -> bool {
    let active = row.state == State::Active;
    let serves = matches!(row.state, State::Active | State::Draining);
    let for_a_primary = row.roles == Roles::Primary;
    match row.then {
        // Nothing is done: whether that is right, only the tests and the searches can tell.
        Then::Stay | Then::Ignore | Then::Refuse => true,
        // The peer's silence counts anew only for one that was away itself.
        Then::Guard => event == Event::Late && !serves,
        // Who does not serve is asked to, by its peer's going or by hand.
        Then::Activate => !serves && is_invitation(event),
        // To whom else than to one that is active?
        Then::Yield => !serves && is_active(event),
        // Who neither serves nor may think that the other does has nothing to resign from.
        Then::Resign => serves || (row.state == State::Passive && event == Event::PeerPassive),
        Then::Offer => active && matches!(event, Event::StepBackPeerReady | Event::PeerWants),
        Then::Withdraw => active && matches!(event, Event::PeerVeto | Event::OfferExpired),
        Then::Drain => active && event == Event::PeerReady,
        Then::Consider => row.state == State::Passive && event == Event::PeerOffers,
        Then::Want => row.state == State::Passive && event == Event::FailBackDue && for_a_primary,
        Then::Serve => active,
        Then::Vote => !serves && event != Event::RequestPeerFresh,
        // Only who has never been paired may end for being set up wrongly.
        Then::Exit => row.state == State::Initial && event == Event::Stranger,
        Then::Reset => false,
    }
}

fn is_invitation(event: Event) -> bool {
    matches!(
        event,
        Event::PeerInitial | Event::PeerHandsOver | Event::Promote
    )
}

fn is_active(event: Event) -> bool {
    matches!(
        event,
        Event::PeerActiveBare
            | Event::PeerActiveBareLong
            | Event::PeerActiveLower
            | Event::PeerActiveHigher
            | Event::PeerActiveDeaf
    )
}

#[test]
fn our_tables_have_a_reason_for_each_row() {
    for table in [&crate::core::PAIR, &crate::core::MAINTENANCE] {
        assert_eq!(first_without_reason(table), None);
    }
    // The Guide's resets, and ends by itself.
    assert!(first_without_reason(&crate::core::GUIDE).is_some());
}
