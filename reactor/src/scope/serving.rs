//! Serving the sockets and descriptors that are ready, each within its share of the turn.

use super::fds::Trigger;
use super::sockets::Knowledge;
use super::{ReadyItem, Scope};
use crate::backend::Token;
use crate::metrics::Holder;
use crate::{BoxError, Error, ErrorPolicy, Event, FdKey, Ready, SocketKey, Source, SourceKey};

impl<S: 'static> Scope<S> {
    /// Serves those that are ready at this moment, each within its budget, beginning with another in each turn. Who
    /// becomes or stays ready meanwhile is served in the next turn.
    ///
    /// Something that comes due meanwhile waits for one share and not for all of them: the rest is left for the next
    /// turn, in front of everyone else.
    pub(super) fn run_ready(&mut self, state: &mut S) {
        if self.batch.is_empty() && self.ready.len() <= 1 {
            // One alone, as in nearly every turn, needs no order.
            if let Some(item) = self.ready.pop() {
                self.run_item(state, item);
            }
            return;
        }
        let rest = self.batch.len();
        self.batch.extend(self.ready.drain(..));
        if rest == 0 {
            let last = self.began;
            let begin = self.batch.iter().position(|item| Some(*item) == last);
            let begin = begin.map_or(0, |place| (place + 1) % self.batch.len());
            self.batch.rotate_left(begin);
            self.began = self.batch.front().copied();
        }
        while let Some(item) = self.batch.pop_front() {
            self.run_item(state, item);
            if !self.batch.is_empty() && self.is_due() {
                return;
            }
        }
    }

    fn run_item(&mut self, state: &mut S, item: ReadyItem) {
        match item {
            ReadyItem::Socket(key) => self.run_socket(state, key),
            ReadyItem::Fd(key) => self.run_fd(state, key),
        }
    }

    fn run_socket(&mut self, state: &mut S, key: SocketKey) {
        let Some(slot) = self.sockets.get_mut(key.0) else {
            return;
        };
        slot.queued = false;
        slot.refresh();
        let (owner, tag) = (slot.owner, slot.tag);
        if slot.ready().any()
            && let Some(mut source) = self.take_source(owner)
        {
            let served = self.serve(state, key, tag, &mut *source);
            self.put_source(owner, source);
            if let Err(error) = served {
                self.fail(state, owner, error);
            }
        }
        self.note(Holder::Source(owner));
        let Some(slot) = self.sockets.get_mut(key.0) else {
            return;
        };
        slot.share = None;
        // What is not known for sure will be looked at before the next sleep.
        if slot.knowledge == Knowledge::Sure && !slot.queued && slot.ready().any() {
            slot.queued = true;
            self.ready.push(ReadyItem::Socket(key));
        }
    }

    /// Calls the source of a socket for its share of the turn: as long as there is more to read, and the source does
    /// read.
    fn serve(
        &mut self,
        state: &mut S,
        key: SocketKey,
        tag: usize,
        source: &mut dyn Source<S>,
    ) -> Result<(), BoxError> {
        let mut left = self.budget;
        loop {
            let first = left == self.budget;
            let Some(slot) = self.sockets.get_mut(key.0) else {
                return Ok(());
            };
            let ready = if slot.knowledge == Knowledge::Received && !first {
                slot.maybe_readable()
            } else {
                slot.refresh();
                slot.ready()
            };
            // Called again only to read more: writing needs no more than one call a turn to go on.
            if !ready.any() || !first && !ready.readable {
                return Ok(());
            }
            slot.tell_error();
            slot.share = Some(left);
            let interest = slot.interest;
            self.meter.event();
            source.on_event(state, self, Event::Socket { tag, key, ready })?;
            let Some(slot) = self.sockets.get_mut(key.0) else {
                return Ok(());
            };
            let took = slot.share.is_some_and(|share| share < left);
            left = slot.share.map_or(0, |share| share.min(left - 1));
            // Who took nothing and did not touch the socket would do no more in the next call than in this one.
            let idle = !took && slot.knowledge != Knowledge::Stale;
            if left == 0 || idle || slot.interest != interest {
                return Ok(());
            }
        }
    }

    fn run_fd(&mut self, state: &mut S, key: FdKey) {
        let Some(slot) = self.fds.get_mut(key.0) else {
            return;
        };
        slot.queued = false;
        let again = std::mem::take(&mut slot.again);
        let ready = std::mem::replace(&mut slot.signalled, Ready::NONE).masked(slot.interest);
        if slot.interest.is_none() {
            return;
        }
        let (owner, tag) = (slot.owner, slot.tag);
        if ready.any() || again {
            self.dispatch(state, owner, Event::Fd { tag, key, ready });
            self.note(Holder::Source(owner));
        }
        let Some(slot) = self.fds.get(key.0) else {
            return;
        };
        if slot.interest.is_none() || slot.trigger == Trigger::Edge {
            return;
        }
        let (fd, interest) = (slot.fd, slot.interest);
        if let Err(error) = self.poll.rearm(fd, Token::fd(key), interest) {
            self.lose_fd(state, key, owner, Error::Lost { fd, error });
        }
    }

    /// Lets go of a descriptor that cannot be watched any more: somebody closed it behind the reactor's back.
    fn lose_fd(&mut self, state: &mut S, key: FdKey, owner: SourceKey, lost: Error) {
        let slot = self.sources.get(owner.0);
        let (name, policy) = slot.map_or_else(
            || (self.name_of(owner), ErrorPolicy::default()),
            |slot| (slot.name.clone(), slot.policy),
        );
        if let Some(slot) = self.release_fd(key) {
            slot.leak();
        }
        match policy {
            ErrorPolicy::Stop => self.stop_for(name, lost.into()),
            ErrorPolicy::Remove => self.remove_for(state, owner, &name, lost.into()),
            ErrorPolicy::Tolerate => self.report(state, owner, &name, lost.into()),
        }
    }
}
