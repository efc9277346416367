//! A request, as a handler gets it, and the answer that is owed.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use reactor::Scope;
use zmq::Message;

use super::desk::{Address, Arrival, Ending, Ticket};
use super::shared::Shared;

/// A request: to be answered at once, or [later](Request::later).
///
/// One that is dropped is not answered.
#[derive(Debug)]
#[must_use = "a request that is dropped is not answered"]
pub struct Request {
    frames: Vec<Message>,
    replier: Replier,
}

impl Request {
    pub(super) fn new(shared: Rc<RefCell<Shared>>, arrival: Arrival) -> Self {
        Self {
            frames: arrival.body,
            replier: Replier {
                shared,
                ticket: arrival.ticket,
                address: Some(arrival.address),
            },
        }
    }

    /// The body, one or more frames: without the envelope, and in model 2 without the sequence.
    pub fn frames(&self) -> &[Message] {
        &self.frames
    }

    /// The routing id of the client's link: the same until that breaks.
    pub fn client(&self) -> &[u8] {
        self.replier.client()
    }

    /// The client control frame, as it came. In models 1 and 2 that is the frame before the empty one, and there may
    /// be none.
    pub fn control(&self) -> Option<&[u8]> {
        self.replier.control()
    }

    /// Answers, with one or more frames. That the client is gone, or the server closed, is no error: it is counted.
    ///
    /// # Errors
    /// Where there are no frames: the request is not answered then.
    pub fn reply<S, I>(self, scope: &mut Scope<S>, frames: I) -> Result<(), reactor::Error>
    where
        S: 'static,
        I: IntoIterator<Item: Into<Message>>,
    {
        self.replier.reply(scope, frames)
    }

    /// Answers with the body as it came.
    pub fn echo<S: 'static>(self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        self.replier.reply(scope, self.frames)
    }

    /// As [`Replier::refuse`].
    pub fn refuse<S: 'static>(self, scope: &mut Scope<S>) {
        self.replier.refuse(scope);
    }

    /// Keeps the request under way, to be answered later, in whatever order.
    pub fn later(self) -> Replier {
        self.replier
    }

    /// The body, and what answers it.
    pub fn into_frames(self) -> (Vec<Message>, Replier) {
        (self.frames, self.replier)
    }
}

/// Answers a request, at any time, from the reactor's thread.
///
/// It is for the reactor that the server is attached to. Until it is used or dropped the request is
/// [under way](crate::server::Config::queue).
#[must_use = "a request whose replier is dropped is not answered"]
pub struct Replier {
    shared: Rc<RefCell<Shared>>,
    ticket: Ticket,
    /// `None` when it was used.
    address: Option<Address>,
}

impl Replier {
    /// The routing id of the client's link.
    pub fn client(&self) -> &[u8] {
        self.address.as_ref().map_or(&[], Address::client)
    }

    /// The client control frame, as it came; see [`Request::control`].
    pub fn control(&self) -> Option<&[u8]> {
        self.address.as_ref()?.control()
    }

    /// Answers, with one or more frames; see [`Request::reply`].
    pub fn reply<S, I>(self, scope: &mut Scope<S>, frames: I) -> Result<(), reactor::Error>
    where
        S: 'static,
        I: IntoIterator<Item: Into<Message>>,
    {
        let frames: Vec<Message> = frames.into_iter().map(Into::into).collect();
        if frames.is_empty() {
            return Err(reactor::Error::Invalid("a reply has at least one frame"));
        }
        self.end(scope, Ending::Reply(frames));
        Ok(())
    }

    /// Says that the request **was not executed**, by `fl-no refused` to a client of ours, which then asks another
    /// server at once, whatever the request is. Other clients hear nothing.
    pub fn refuse<S: 'static>(self, scope: &mut Scope<S>) {
        self.end(scope, Ending::Refused);
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub(super) fn end<S: 'static>(mut self, scope: &mut Scope<S>, ending: Ending) {
        if let Some(address) = self.address.take() {
            let mut shared = self.shared.borrow_mut();
            shared.end(self.ticket, address, ending, scope.now());
            shared.flush(scope);
        }
    }
}

impl Drop for Replier {
    fn drop(&mut self) {
        // Nobody else borrows it while foreign code runs, which is where a replier is dropped.
        if let Some(address) = self.address.take()
            && let Ok(mut shared) = self.shared.try_borrow_mut()
        {
            let now = shared.latest();
            shared.end(self.ticket, address, Ending::Dropped, now);
        }
    }
}

impl fmt::Debug for Replier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replier")
            .field("client", &self.client())
            .field("control", &self.control())
            .finish_non_exhaustive()
    }
}
