//! One request under way.

use std::time::Instant;

use super::super::config::MAX_SERVERS;
use super::{Idempotent, RequestError};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be sent as soon as a server may be asked.
    Queued,
    /// Sent; the server has the attempt timeout to say something.
    Waiting { server: usize, since: Instant },
    /// Sent to a server that keeps silent, and not to be sent again: an answer, a refusal, the end
    /// of the link or the deadline ends it.
    Stalled,
}

#[derive(Debug)]
pub(super) struct Request {
    /// The first frame on the wire.
    pub(super) first: Vec<u8>,
    pub(super) body: Vec<Vec<u8>>,
    pub(super) idempotent: Idempotent,
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
    /// Copies that left for each server and were neither refused nor lost with their link.
    pub(super) copies: [u32; MAX_SERVERS],
    /// When the last copy left for each server.
    pub(super) sent_at: [Option<Instant>; MAX_SERVERS],
    /// A copy was lost with its link: it may have been executed.
    pub(super) copy_lost: bool,
}

impl Request {
    pub(super) fn new(
        first: Vec<u8>,
        body: Vec<Vec<u8>>,
        idempotent: Idempotent,
        deadline: Instant,
    ) -> Self {
        Self {
            first,
            body,
            idempotent,
            deadline,
            phase: Phase::Queued,
            copies: [0; MAX_SERVERS],
            sent_at: [None; MAX_SERVERS],
            copy_lost: false,
        }
    }

    pub(super) fn waits_on(&self, server: usize) -> bool {
        matches!(self.phase, Phase::Waiting { server: on, .. } if on == server)
    }

    /// Whether a copy left of which nobody said that it was not executed.
    pub(super) fn may_be_executed(&self) -> bool {
        self.copy_lost || self.copies.iter().any(|copies| *copies > 0)
    }

    /// What to say when the request ends without a reply: `left` when it may have been executed.
    pub(super) fn error(&self, left: RequestError) -> RequestError {
        if self.may_be_executed() {
            left
        } else {
            RequestError::NoServer
        }
    }
}
