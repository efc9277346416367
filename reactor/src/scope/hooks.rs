//! Work at certain moments of the loop: at the end of the turn, before sleep, and when something was removed.

use super::Scope;
use crate::{BoxError, Error, Event, HookKey, Removal, SourceKey};

/// Work for the end of the turn.
pub(super) type Deferred<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>)>;
/// Whom the application has told of removals.
pub(super) type OnRemoval<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, Removal)>;

pub(super) struct HookSlot {
    pub(super) owner: SourceKey,
    pub(super) place: usize,
    pub(super) tag: usize,
}

impl<S: 'static> Scope<S> {
    /// Puts work off to the end of this turn, after everything that is ready; between turns, to the end of the next,
    /// which does not sleep. In the order of the calls. What is deferred by such work is for the next turn.
    ///
    /// For what a handler cannot do while it runs, or is to do once for many events. It cannot be taken back; where
    /// that matters, it is to look whether what it is about is still there.
    pub fn defer(&mut self, work: impl FnOnce(&mut S, &mut Scope<S>) + 'static) {
        self.deferred.push_back(Box::new(work));
    }

    /// Calls a handler each time before the reactor sleeps. See [`own_hook`](Self::own_hook).
    pub fn add_before_sleep(
        &mut self,
        name: &str,
        mut handler: impl FnMut(&mut S, &mut Scope<S>) -> Result<(), BoxError> + 'static,
    ) -> Result<HookKey, Error> {
        self.add_plain(
            name,
            move |state, scope, event| match event {
                Event::BeforeSleep { .. } => handler(state, scope),
                _ => Ok(()),
            },
            |scope, source| scope.own_hook(source, 0),
        )
    }

    /// Sends a source [`Event::BeforeSleep`] when nothing is left to do and the reactor is about to sleep, at most
    /// once a turn; `tag` comes back in the event. Hooks are called in the order of registration.
    ///
    /// A reactor that is always busy does not sleep, and calls no hook: what must happen at a time needs a timer.
    pub fn own_hook(&mut self, owner: SourceKey, tag: usize) -> Result<HookKey, Error> {
        let place = self.next_place(owner)?;
        let key = HookKey(self.hooks.insert(HookSlot { owner, place, tag }));
        self.hook_order.push(key);
        self.own(owner, key);
        Ok(key)
    }

    /// Removes a hook. Tells whether it was there.
    pub fn remove_hook(&mut self, key: HookKey) -> bool {
        let Some(slot) = self.hooks.remove(key.0) else {
            return false;
        };
        self.hook_order.retain(|other| *other != key);
        self.disown(slot.owner, slot.place);
        true
    }

    /// Has a handler told of everything that the reactor removes because of an error: a source by its
    /// [policy](crate::ErrorPolicy::Remove), a source whose handler panicked, a descriptor that was closed behind the
    /// reactor's back. It is called right after the removal. A later one takes the place of an earlier one; without
    /// any there is a warning in the log.
    pub fn on_removal(&mut self, handler: impl FnMut(&mut S, &mut Scope<S>, Removal) + 'static) {
        self.on_removal = Some(Box::new(handler));
    }

    pub(super) fn hook_of(&self, key: HookKey) -> Option<(SourceKey, usize)> {
        self.hooks.get(key.0).map(|slot| (slot.owner, slot.tag))
    }
}
