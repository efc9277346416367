//! Calling a source, and what becomes of its error.

use std::rc::Rc;

use super::Scope;
use crate::{BoxError, Error, ErrorPolicy, Event, Removal, Source, SourceKey};

impl<S: 'static> Scope<S> {
    /// Calls a source, taken out of its slot meanwhile.
    pub(super) fn dispatch(&mut self, state: &mut S, owner: SourceKey, event: Event) {
        let Some(mut source) = self.take_source(owner) else {
            return;
        };
        self.meter.event();
        let result = source.on_event(state, self, event);
        self.put_source(owner, source);
        if let Err(error) = result {
            self.fail(state, owner, error);
        }
    }

    /// Takes a source out of its slot, to call it.
    #[inline]
    pub(super) fn take_source(&mut self, owner: SourceKey) -> Option<Box<dyn Source<S>>> {
        let source = self.sources.get_mut(owner.0)?.source.take()?;
        self.departed = None;
        self.running = Some(owner);
        Some(source)
    }

    /// Puts a source back after it was called; one that removed itself is dropped here.
    #[inline]
    pub(super) fn put_source(&mut self, owner: SourceKey, source: Box<dyn Source<S>>) {
        self.running = None;
        if let Some(slot) = self.sources.get_mut(owner.0) {
            slot.source = Some(source);
        }
    }

    /// Does what the source's policy says about an error.
    pub(super) fn fail(&mut self, state: &mut S, owner: SourceKey, error: BoxError) {
        let known = self
            .sources
            .get(owner.0)
            .map(|slot| (slot.name.clone(), slot.policy));
        let Some((name, policy)) = known.or(self.departed.clone()) else {
            return;
        };
        match policy {
            ErrorPolicy::Stop => self.stop_for(name, error),
            ErrorPolicy::Remove => self.remove_for(state, owner, &name, error),
            ErrorPolicy::Tolerate => tracing::warn!(source = %name, %error, "handler failed"),
        }
    }

    /// Ends the run for an error; the first of a turn is what the run returns.
    pub(super) fn stop_for(&mut self, name: Rc<str>, error: BoxError) {
        if self.failure.is_some() {
            tracing::error!(source = %name, %error, "another handler failed in the same turn");
            return;
        }
        self.failure = Some(Error::Handler {
            name: name.to_string(),
            error,
        });
    }

    /// Removes a source for an error, and tells the application.
    pub(super) fn remove_for(
        &mut self,
        state: &mut S,
        owner: SourceKey,
        name: &str,
        error: BoxError,
    ) {
        self.remove_source(owner);
        self.report(state, owner, name, error);
    }

    /// Tells the application that something was removed which it did not remove itself.
    pub(super) fn report(&mut self, state: &mut S, source: SourceKey, name: &str, error: BoxError) {
        tracing::warn!(source = %name, %error, "removed because of an error");
        let Some(mut handler) = self.on_removal.take() else {
            return;
        };
        let removal = Removal {
            source,
            name: name.to_owned(),
            error,
        };
        handler(state, self, removal);
        // Unless it set another in its place.
        self.on_removal.get_or_insert(handler);
    }
}
