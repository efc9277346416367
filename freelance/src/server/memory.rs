//! What is remembered of requests: which are under way, and what the last ones were answered.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use super::Cache;

/// What makes two messages the same request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// A client of ours says it, whichever copy this is and whatever link it came by.
    Ours {
        /// The client.
        nonce: u64,
        /// The request.
        sequence: u64,
    },
    /// The same envelope on the same link, in model 2 with the same sequence, and the same body, of which a keyed hash
    /// is enough: a client whose control frame does not change would else be answered with what it did not ask for.
    Foreign {
        /// Routing id, envelope and sequence.
        address: Vec<Vec<u8>>,
        /// Of the body.
        hash: u64,
    },
}

impl Name {
    fn bytes(&self) -> usize {
        match self {
            Name::Ours { .. } => 0,
            Name::Foreign { address, .. } => bytes(address),
        }
    }
}

/// How a request that was executed was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With this.
    Reply(Rc<[Vec<u8>]>),
    /// Not at all: the handler let go of it, or its job panicked, after it had done who knows what.
    Silence,
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Outcome::Reply(frames) => bytes(frames),
            Outcome::Silence => 0,
        }
    }
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// It is being executed, under this ticket.
    UnderWay(T),
    /// It was executed.
    Done(Outcome),
}

/// The memory itself: bounded by entries, bytes and age.
pub(super) struct Memory<T> {
    limits: Cache,
    known: HashMap<Rc<Name>, Known<T>>,
    /// Those that are done, the oldest first.
    done: VecDeque<Done>,
    bytes: usize,
    evicted: u64,
}

struct Done {
    name: Rc<Name>,
    at: Instant,
    bytes: usize,
}

/// What an entry takes beside its frames, about.
const OVERHEAD: usize = 160;

impl<T: Copy> Memory<T> {
    pub(super) fn new(limits: Cache) -> Self {
        Self {
            limits,
            known: HashMap::new(),
            done: VecDeque::new(),
            bytes: 0,
            evicted: 0,
        }
    }

    /// What is known of a request by now.
    pub(super) fn recall(&mut self, name: &Name, now: Instant) -> Option<&Known<T>> {
        self.expire(now);
        self.known.get(name)
    }

    /// Notes that a request is being executed. Whoever calls this bounds how many are.
    pub(super) fn begin(&mut self, name: Name, ticket: T) -> Rc<Name> {
        let name = Rc::new(name);
        self.known.insert(Rc::clone(&name), Known::UnderWay(ticket));
        name
    }

    /// Notes how it was answered, and forgets what there is no room for.
    pub(super) fn finish(&mut self, name: Rc<Name>, outcome: Outcome, now: Instant) {
        self.expire(now);
        let bytes = OVERHEAD + name.bytes() + outcome.bytes();
        if bytes > self.limits.bytes {
            self.known.remove(&name);
            self.evicted += 1;
            return;
        }
        while self.done.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            self.forget_oldest();
            self.evicted += 1;
        }
        self.known.insert(Rc::clone(&name), Known::Done(outcome));
        self.bytes += bytes;
        self.done.push_back(Done {
            name,
            at: now,
            bytes,
        });
    }

    /// Forgets a request that was not executed after all.
    pub(super) fn forget(&mut self, name: &Name) {
        self.known.remove(name);
    }

    /// How many were forgotten before their time.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn expire(&mut self, now: Instant) {
        let age = self.limits.age;
        while let Some(oldest) = self.done.front()
            && now.saturating_duration_since(oldest.at) >= age
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.done.pop_front() {
            self.bytes -= oldest.bytes;
            self.known.remove(&oldest.name);
        }
    }
}

fn bytes(frames: &[Vec<u8>]) -> usize {
    const OF_A_FRAME: usize = size_of::<Vec<u8>>();
    frames.iter().map(|frame| OF_A_FRAME + frame.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(sequence: u64) -> Name {
        Name::Ours { nonce: 1, sequence }
    }

    fn reply(bytes: usize) -> Outcome {
        Outcome::Reply([vec![0; bytes]].into())
    }

    fn remember(memory: &mut Memory<u64>, sequence: u64, bytes: usize, now: Instant) {
        let name = memory.begin(name(sequence), sequence);
        memory.finish(name, reply(bytes), now);
    }

    fn remembered(memory: &mut Memory<u64>, upto: u64, now: Instant) -> Vec<u64> {
        (1..=upto)
            .filter(|sequence| memory.recall(&name(*sequence), now).is_some())
            .collect()
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let now = Instant::now();
        let mut memory = Memory::new(Cache {
            entries: 2,
            ..Cache::default()
        });
        for sequence in 1..=3 {
            remember(&mut memory, sequence, 1, now);
        }
        assert_eq!(remembered(&mut memory, 3, now), [2, 3]);
        assert_eq!(memory.evicted(), 1);
    }

    #[test]
    fn the_oldest_go_when_they_are_too_large() {
        let now = Instant::now();
        let mut memory = Memory::new(Cache {
            bytes: 10_000,
            ..Cache::default()
        });
        for sequence in 1..=4 {
            remember(&mut memory, sequence, 3000, now);
        }
        assert_eq!(remembered(&mut memory, 4, now), [2, 3, 4]);
        remember(&mut memory, 5, 9000, now);
        assert_eq!(remembered(&mut memory, 5, now), [5]);
        remember(&mut memory, 6, 20_000, now);
        assert_eq!(remembered(&mut memory, 6, now), [5], "what is too large");
        assert_eq!(memory.evicted(), 5);
        let all = memory.done.iter().map(|done| done.bytes).sum::<usize>();
        assert_eq!(memory.bytes, all);
    }

    #[test]
    fn age_counts_from_the_answer_and_is_no_eviction() {
        let start = Instant::now();
        let mut memory = Memory::new(Cache::default());
        let first = memory.begin(name(1), 1);
        let answered = start + Duration::from_secs(100);
        assert_eq!(remembered(&mut memory, 1, answered), [1]);
        memory.finish(first, reply(1), answered);
        let last = answered + Duration::from_secs(60) - Duration::from_nanos(1);
        assert_eq!(remembered(&mut memory, 1, last), [1]);
        assert!(remembered(&mut memory, 1, answered + Duration::from_secs(60)).is_empty());
        assert_eq!((memory.evicted(), memory.bytes), (0, 0));
    }

    #[test]
    fn what_was_not_executed_is_forgotten() {
        let now = Instant::now();
        let mut memory = Memory::new(Cache::default());
        let first = memory.begin(name(1), 1_u64);
        memory.forget(&first);
        assert!(remembered(&mut memory, 1, now).is_empty());
    }
}
