//! Tickets: deadlines in bulk, one delay for each class of them.

use std::time::{Duration, Instant};

use super::Scope;
use super::timing::LONGEST;
use crate::{BoxError, Error, Event, SourceKey, TicketClassKey, TicketKey};

pub(super) struct ClassSlot {
    pub(super) owner: SourceKey,
    pub(super) place: usize,
    pub(super) tag: usize,
}

impl<S: 'static> Scope<S> {
    /// Opens a class of tickets with a handler of its own, which gets each ticket that expires and what it was issued
    /// about. See [`own_tickets`](Self::own_tickets).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reactor::{Builder, VirtualClock};
    /// # fn main() -> Result<(), reactor::Error> {
    /// # let clock = VirtualClock::new();
    /// # let mut reactor = Builder::new().virtual_time(&clock).signals(false).build::<Vec<u64>>()?;
    /// # let scope = reactor.scope();
    /// // Clients that are silent for ten seconds are forgotten.
    /// let silent = scope.add_tickets("silent", Duration::from_secs(10), |forgotten: &mut Vec<u64>, _, _, client| {
    ///     forgotten.push(client);
    ///     Ok(())
    /// })?;
    /// let first = scope.issue_ticket(silent, 1)?;
    /// let second = scope.issue_ticket(silent, 2)?;
    /// # clock.advance(Duration::from_secs(6));
    /// # let scope = reactor.scope();
    /// // Six seconds later one of them is heard.
    /// scope.reset_ticket(first);
    /// # let mut forgotten = Vec::new();
    /// # reactor.turn(&mut forgotten, Some(Duration::from_secs(5)))?;
    /// # assert_eq!(forgotten, [2]);
    /// # let _ = second;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_tickets(
        &mut self,
        name: &str,
        delay: Duration,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, TicketKey, u64) -> Result<(), BoxError> + 'static,
    ) -> Result<TicketClassKey, Error> {
        self.add_plain(
            name,
            move |state, scope, event| match event {
                Event::Ticket { key, about, .. } => handler(state, scope, key, about),
                _ => Ok(()),
            },
            |scope, source| scope.own_tickets(source, 0, delay),
        )
    }

    /// Opens a class of tickets that belongs to a source; `tag` comes back in their events.
    ///
    /// A ticket is a timer that is put off far more often than it fires, such as one for each client that may fall
    /// silent. All tickets of a class wait for the same delay, a hundred years at most, and that makes it cheap: to
    /// issue, to reset and to cancel one takes the same time whether there are ten or a million. There may be many
    /// classes; where every deadline is its own, a [timer](Self::add_timer) fits better.
    pub fn own_tickets(
        &mut self,
        owner: SourceKey,
        tag: usize,
        delay: Duration,
    ) -> Result<TicketClassKey, Error> {
        if delay > LONGEST {
            return Err(Error::Invalid("a ticket waits a hundred years at most"));
        }
        let place = self.next_place(owner)?;
        let slot = ClassSlot { owner, place, tag };
        let key = TicketClassKey(self.tickets.insert_class(delay, slot));
        self.own(owner, key);
        Ok(key)
    }

    /// Issues a ticket, which expires one delay of its class after [`now`](Self::now), the time of this turn. `about`
    /// comes back with it: the number of a client, or its place in a table.
    pub fn issue_ticket(&mut self, class: TicketClassKey, about: u64) -> Result<TicketKey, Error> {
        let now = self.now;
        let key = self.tickets.insert(class.0, now, about);
        key.map(TicketKey).ok_or(Error::Stale)
    }

    /// Puts a ticket off to one delay after [`now`](Self::now), whether it waits, has expired in this turn, or its
    /// handler runs. Tells whether it was there.
    #[inline]
    pub fn reset_ticket(&mut self, key: TicketKey) -> bool {
        self.tickets.reset(key.0, self.now)
    }

    /// Cancels a ticket for good: it does not come up any more, not even if it has expired already. Tells whether it
    /// was there.
    pub fn cancel_ticket(&mut self, key: TicketKey) -> bool {
        self.tickets.remove(key.0)
    }

    /// When a ticket expires; nothing for one that is gone, has expired in this turn, or whose handler runs.
    pub fn ticket_deadline(&self, key: TicketKey) -> Option<Instant> {
        self.tickets.deadline(key.0)
    }

    /// Closes a class and cancels its tickets. Tells whether it was there.
    pub fn remove_tickets(&mut self, class: TicketClassKey) -> bool {
        let Some(slot) = self.tickets.remove_class(class.0) else {
            return false;
        };
        self.disown(slot.owner, slot.place);
        true
    }
}
