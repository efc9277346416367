//! Requests that wait for the gate, or for room at the server.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use zmq::Message;

/// What all that wait may hold together, with what a frame takes beside its bytes: a client may send any number of
/// empty ones. The one that exceeds it is still taken, or a large one could never wait.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// For how long one waits: longer than a server takes to start, and yet an end, since a client that asked so
/// long ago has likely asked again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The oldest first; bounded in number, bytes and time.
pub(super) struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    max: usize,
}

/// A request that waits, with its envelope.
struct Request {
    frames: Vec<Message>,
    bytes: usize,
    since: Instant,
}

impl Waiting {
    pub(super) fn new(max: usize) -> Waiting {
        Waiting {
            requests: VecDeque::new(),
            bytes: 0,
            max,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= self.max || self.bytes >= MAX_BYTES
    }

    /// Adds one behind the others; the caller has seen that there is room.
    pub(super) fn push(&mut self, frames: Vec<Message>, now: Instant) {
        let bytes = size(&frames) + size_of_val(&frames[..]);
        self.bytes += bytes;
        self.requests.push_back(Request {
            frames,
            bytes,
            since: now,
        });
    }

    /// The frames of the oldest.
    pub(super) fn first_mut(&mut self) -> Option<&mut Vec<Message>> {
        self.requests.front_mut().map(|request| &mut request.frames)
    }

    /// Takes the oldest, with what is left of it.
    pub(super) fn pop(&mut self) -> Option<Vec<Message>> {
        let request = self.requests.pop_front()?;
        self.bytes -= request.bytes;
        Some(request.frames)
    }

    /// Takes the oldest if it has waited too long.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Vec<Message>> {
        if self.next_expiry()? > now {
            return None;
        }
        self.pop()
    }

    /// When the oldest will have waited too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        Some(self.requests.front()?.since + LONGEST_WAIT)
    }
}

/// The bytes of a message, with its envelope.
pub(super) fn size(frames: &[Message]) -> usize {
    frames.iter().map(|frame| frame.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> Vec<Message> {
        vec![Message::with_size(bytes)]
    }

    #[test]
    fn frames_without_bytes_are_not_held_for_nothing() {
        let mut waiting = Waiting::new(3);
        let frames = std::iter::repeat_with(Message::new).take(MAX_BYTES / 64 + 1);
        waiting.push(frames.collect(), Instant::now());
        assert!(waiting.is_full());
        waiting.pop();
        assert!(!waiting.is_full());
    }

    #[test]
    fn it_is_full_by_number_or_by_bytes_and_has_room_again() {
        let now = Instant::now();
        let mut waiting = Waiting::new(3);
        for bytes in 1..=3 {
            assert!(!waiting.is_full());
            waiting.push(request(bytes), now);
        }
        assert!(waiting.is_full());
        assert_eq!(waiting.pop().map(|frames| size(&frames)), Some(1));
        assert!(!waiting.is_full());
        waiting.push(request(MAX_BYTES), now);
        waiting.pop();
        assert!(waiting.is_full(), "two of three, and too many bytes");
        waiting.pop();
        waiting.pop();
        assert!(waiting.is_empty() && !waiting.is_full());
    }

    #[test]
    fn what_waited_too_long_goes_and_what_came_later_stays() {
        let start = Instant::now();
        let mut waiting = Waiting::new(3);
        assert_eq!(waiting.next_expiry(), None);
        waiting.push(request(1), start);
        waiting.push(request(2), start + Duration::from_secs(1));
        let end = start + LONGEST_WAIT;
        assert_eq!(waiting.next_expiry(), Some(end));
        assert!(waiting.pop_expired(end - Duration::from_nanos(1)).is_none());
        assert_eq!(
            waiting.pop_expired(end).map(|frames| size(&frames)),
            Some(1)
        );
        assert!(waiting.pop_expired(end).is_none());
        assert_eq!(waiting.pop().map(|frames| size(&frames)), Some(2));
    }
}
