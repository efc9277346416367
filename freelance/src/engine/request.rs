//! One request under way, and those that wait to be sent.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::{Idempotent, ServerId};
use crate::RequestError;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be sent as soon as a server may be asked.
    Queued(Cost),
    /// Sent, and there is time for an answer; or about to be.
    Waiting,
    /// Sent, not answered in time, and not to be sent again: a late answer, a refusal, the end of the link or the
    /// deadline ends it.
    Stalled,
}

/// What sending a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// Nothing: it is the first time, or the copy takes the place of one that was certainly not executed.
    Free,
    /// A token of the budget.
    Token,
}

/// A copy that left and was not refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) server: ServerId,
    pub(super) attempt: u32,
    pub(super) sent_at: Instant,
    pub(super) cost: Cost,
    pub(super) hedge: bool,
    pub(super) fate: Fate,
}

/// What became of a copy so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There is time for its answer.
    Out,
    /// It was not answered in time, and may still be.
    TimedOut,
    /// Its link is lost: no answer is expected, and it may have been executed.
    Lost,
}

#[derive(Debug)]
pub(super) struct Request<B> {
    pub(super) body: B,
    pub(super) idempotent: Idempotent,
    pub(super) submitted_at: Instant,
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
    pub(super) copies: Vec<Copy>,
    /// A copy was handed to a link once.
    pub(super) begun: bool,
    /// When a hedge is due, until it is looked at.
    pub(super) hedge_at: Option<Instant>,
    /// The number of the last copy, or volley, those included that did not leave.
    pub(super) attempt: u32,
    /// Copies that left; a volley is one.
    pub(super) sent: u32,
    /// Copies that count towards the most that may be sent: those that left and were not refused.
    pub(super) counted: u32,
    /// When the timers call for it; not before it was first looked at.
    pub(super) armed: Option<Instant>,
}

impl<B> Request<B> {
    pub(super) fn new(body: B, idempotent: Idempotent, deadline: Instant, now: Instant) -> Self {
        Self {
            body,
            idempotent,
            submitted_at: now,
            deadline,
            phase: Phase::Queued(Cost::Free),
            copies: Vec::new(),
            begun: false,
            hedge_at: None,
            attempt: 0,
            sent: 0,
            counted: 0,
            armed: None,
        }
    }

    /// A further copy, or volley, is about to be sent.
    pub(super) fn begin_attempt(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        self.sent = self.sent.saturating_add(1);
        self.counted = self.counted.saturating_add(1);
    }

    /// Whether a copy has time left.
    pub(super) fn is_out(&self) -> bool {
        self.copies.iter().any(|copy| copy.fate == Fate::Out)
    }

    /// Whether an answer can still come.
    pub(super) fn can_be_answered(&self) -> bool {
        self.copies.iter().any(|copy| copy.fate != Fate::Lost)
    }

    /// What to say when the request ends without a reply: `left` when it may have been executed.
    pub(super) fn error(&self, left: RequestError) -> RequestError {
        if self.copies.is_empty() {
            RequestError::NoServer
        } else {
            left
        }
    }

    /// When time alone changes something about it.
    pub(super) fn due_at(&self, attempt_timeout: Duration) -> Instant {
        let out = self.copies.iter().filter(|copy| copy.fate == Fate::Out);
        out.map(|copy| copy.sent_at + attempt_timeout)
            .chain(self.hedge_at)
            .fold(self.deadline, Instant::min)
    }
}

/// Requests under way, by their sequence numbers, in no order.
pub(super) type Requests<B> = HashMap<u64, Request<B>, BuildHasherDefault<SequenceHasher>>;

/// Sequence numbers are this client's own, and no two are equal: there is nothing to defend against, and an order
/// that differs from run to run would be a fault.
#[derive(Default)]
pub(super) struct SequenceHasher(u64);

impl Hasher for SequenceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    /// By an odd constant with no pattern in its bits, the golden ratio: successive numbers differ in every part.
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Requests that wait to be sent, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeSet<u64>,
    /// Those below were looked at since the servers last changed, and cannot be sent. So a long queue is not gone
    /// through again for each request that comes in.
    looked_below: u64,
}

impl Queue {
    pub(super) fn insert(&mut self, sequence: u64) {
        self.waiting.insert(sequence);
        self.looked_below = self.looked_below.min(sequence);
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        self.waiting.remove(&sequence);
    }

    /// The oldest that was not looked at.
    pub(super) fn next(&self) -> Option<u64> {
        self.waiting.range(self.looked_below..).next().copied()
    }

    pub(super) fn pass(&mut self, sequence: u64) {
        self.looked_below = sequence + 1;
    }

    pub(super) fn look_again(&mut self) {
        self.looked_below = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
