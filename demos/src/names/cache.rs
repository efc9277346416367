//! What was answered, for as long as it may be used: pure, and time is an argument.
//!
//! ```text
//!          ttl                    stale_for
//! |---- fresh -----|---- stale, if nobody answers ----|  gone
//! asked            expires                            forgotten
//! ```
//!
//! Times count from the question, not from the answer: an answer may have been on its way for
//! long, and a name server that was paused must not make an old one young.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::wire::Missing;
use super::{Name, Record};

/// Names that are kept at most.
pub const MAX_KEPT: usize = 1024;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// What it stands for.
    Found {
        /// Which zone says so.
        serial: u64,
        /// What it says.
        record: Record,
    },
    /// That there is none.
    Unknown {
        /// How long that may be kept.
        ttl: Duration,
        /// Which part of it there is not.
        what: Missing,
    },
}

/// What is to be done about a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<'a> {
    /// Use this.
    Fresh(&'a Known),
    /// Nobody answered a moment ago: use this, and do not ask yet.
    Stale(&'a Known),
    /// Ask.
    Ask,
}

/// What was answered about names, bounded in number and time.
#[derive(Debug)]
pub struct Cache {
    entries: HashMap<Name, Entry>,
    stale_for: Duration,
    retry: Duration,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    asked: Instant,
    /// Until when nobody is asked again, after one who did not answer.
    rest_until: Option<Instant>,
}

impl Entry {
    fn expires(&self) -> Instant {
        self.asked
            + match &self.known {
                Known::Found { record, .. } => record.ttl,
                Known::Unknown { ttl, .. } => *ttl,
            }
    }

    /// That there was no such name is no use to anyone later.
    fn forgotten(&self, stale_for: Duration) -> Instant {
        match self.known {
            Known::Found { .. } => self.expires() + stale_for,
            Known::Unknown { .. } => self.expires(),
        }
    }
}

impl Cache {
    /// An empty one. What has expired is used for `stale_for` more while nobody answers, and
    /// meanwhile somebody is asked once each `retry`.
    pub fn new(stale_for: Duration, retry: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            stale_for,
            retry,
        }
    }

    /// What is to be done about a name.
    pub fn look(&self, name: &Name, now: Instant) -> Look<'_> {
        let Some(entry) = self.entries.get(name) else {
            return Look::Ask;
        };
        if now < entry.expires() {
            Look::Fresh(&entry.known)
        } else if now < entry.forgotten(self.stale_for)
            && entry.rest_until.is_some_and(|until| now < until)
        {
            Look::Stale(&entry.known)
        } else {
            Look::Ask
        }
    }

    /// Keeps an answer to a question that was asked at `asked`, in place of any before it.
    pub fn keep(&mut self, name: Name, known: Known, asked: Instant) {
        if self.entries.len() >= MAX_KEPT && !self.entries.contains_key(&name) {
            self.make_room(asked);
        }
        let entry = Entry {
            known,
            asked,
            rest_until: None,
        };
        self.entries.insert(name, entry);
    }

    /// Nobody answered by `now`: gives what is known still, if it may be used.
    pub fn unanswered(&mut self, name: &Name, now: Instant) -> Option<&Known> {
        let forgotten = self.entries.get(name)?.forgotten(self.stale_for);
        if now >= forgotten {
            self.entries.remove(name);
            return None;
        }
        let entry = self.entries.get_mut(name)?;
        entry.rest_until = Some(now + self.retry);
        Some(&entry.known)
    }

    /// How many names are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is of no use any more goes, and if all is, what was asked for the longest time ago.
    fn make_room(&mut self, now: Instant) {
        let stale_for = self.stale_for;
        self.entries
            .retain(|_, entry| now < entry.forgotten(stale_for));
        if self.entries.len() < MAX_KEPT {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.asked);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.entries.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use reactor::Endpoint;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn name(n: usize) -> Name {
        Name::new("test", &format!("n{n}")).unwrap()
    }

    fn found(ttl_ms: u64) -> Known {
        Known::Found {
            serial: 1,
            record: Record {
                bind: Vec::new(),
                connect: vec![Endpoint::to_connect("tcp://a:1").unwrap()],
                ttl: MS(ttl_ms),
            },
        }
    }

    fn unknown(ttl_ms: u64) -> Known {
        Known::Unknown {
            ttl: MS(ttl_ms),
            what: Missing::Name,
        }
    }

    /// A cache with one name, asked for at `start`; it expires after 100 ms, is stale for 1 s,
    /// and somebody is asked each 50 ms.
    fn one(known: Known) -> (Cache, Instant) {
        let start = Instant::now();
        let mut cache = Cache::new(MS(1000), MS(50));
        cache.keep(name(1), known, start);
        (cache, start)
    }

    #[test]
    fn an_answer_is_used_until_its_time_is_over() {
        let (cache, start) = one(found(100));
        assert_eq!(cache.look(&name(1), start), Look::Fresh(&found(100)));
        assert_eq!(
            cache.look(&name(1), start + MS(99)),
            Look::Fresh(&found(100))
        );
        assert_eq!(cache.look(&name(1), start + MS(100)), Look::Ask);
        assert_eq!(cache.look(&name(2), start), Look::Ask);
    }

    #[test]
    fn that_there_is_no_such_name_is_kept_too_but_never_stale() {
        let (mut cache, start) = one(unknown(100));
        assert_eq!(
            cache.look(&name(1), start + MS(99)),
            Look::Fresh(&unknown(100))
        );
        assert_eq!(cache.look(&name(1), start + MS(100)), Look::Ask);
        assert_eq!(cache.unanswered(&name(1), start + MS(100)), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn while_nobody_answers_the_old_answer_serves_for_a_bounded_time() {
        let (mut cache, start) = one(found(100));
        assert_eq!(
            cache.unanswered(&name(1), start + MS(1099)),
            Some(&found(100))
        );
        assert_eq!(cache.unanswered(&name(1), start + MS(1100)), None);
        assert_eq!(cache.unanswered(&name(1), start + MS(1099)), None, "gone");
    }

    #[test]
    fn after_a_question_in_vain_nobody_is_asked_for_a_while() {
        let (mut cache, start) = one(found(100));
        cache.unanswered(&name(1), start + MS(200));
        assert_eq!(
            cache.look(&name(1), start + MS(249)),
            Look::Stale(&found(100))
        );
        assert_eq!(cache.look(&name(1), start + MS(250)), Look::Ask);
        cache.unanswered(&name(1), start + MS(1090));
        assert_eq!(
            cache.look(&name(1), start + MS(1100)),
            Look::Ask,
            "the rest does not make it last longer"
        );
    }

    #[test]
    fn a_new_answer_takes_the_place_of_the_old_one() {
        let (mut cache, start) = one(found(100));
        cache.unanswered(&name(1), start + MS(200));
        cache.keep(name(1), unknown(10), start + MS(220));
        assert_eq!(
            cache.look(&name(1), start + MS(221)),
            Look::Fresh(&unknown(10))
        );
        assert_eq!(cache.look(&name(1), start + MS(230)), Look::Ask);
    }

    #[test]
    fn it_keeps_no_more_than_its_limit_and_the_oldest_goes_first() {
        let start = Instant::now();
        let mut cache = Cache::new(MS(1000), MS(50));
        for n in 0..=MAX_KEPT {
            cache.keep(name(n), found(1_000_000), start + MS(n as u64));
        }
        assert_eq!(cache.len(), MAX_KEPT);
        let now = start + MS(MAX_KEPT as u64);
        assert_eq!(cache.look(&name(0), now), Look::Ask);
        assert_ne!(cache.look(&name(1), now), Look::Ask);
        // To ask again for what is there needs no room.
        cache.keep(name(1), found(1_000_000), now);
        assert_eq!(cache.len(), MAX_KEPT);
    }

    #[test]
    fn what_is_of_no_use_any_more_goes_before_the_oldest() {
        let start = Instant::now();
        let mut cache = Cache::new(MS(0), MS(50));
        cache.keep(name(0), found(1_000_000), start);
        for n in 1..MAX_KEPT {
            cache.keep(name(n), found(1), start + MS(1));
        }
        cache.keep(name(MAX_KEPT), found(1), start + MS(10));
        assert_eq!(cache.len(), 2);
        assert_ne!(cache.look(&name(0), start + MS(10)), Look::Ask);
    }
}
