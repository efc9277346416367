//! What retries and hedges may cost.

use std::time::{Duration, Instant};

use crate::Budget;

/// Parts of a token: so small that a nanosecond of the slowest rate is a whole number of them, which leaves nothing
/// to round.
const TOKEN: u128 = 1_000_000_000_000_000;
/// What a rate of one token per second adds in a nanosecond.
const PER_NANOSECOND: f64 = 1e6;

/// The bucket of tokens.
#[derive(Debug)]
pub(super) struct Bucket {
    parts: u128,
    limit: u128,
    per_request: u128,
    per_nanosecond: u128,
    filled_at: Instant,
}

impl Bucket {
    /// Full. The settings were validated, so that each number fits.
    pub(super) fn new(budget: Budget, now: Instant) -> Self {
        let limit = u128::from(budget.burst) * TOKEN;
        Self {
            parts: limit,
            limit,
            per_request: (budget.per_request * TOKEN as f64) as u128,
            per_nanosecond: (budget.per_second * PER_NANOSECOND) as u128,
            filled_at: now,
        }
    }

    pub(super) fn note_request(&mut self) {
        self.parts = (self.parts + self.per_request).min(self.limit);
    }

    /// Whole tokens.
    pub(super) fn tokens(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.filled_at).as_nanos();
        self.filled_at = self.filled_at.max(now);
        let added = elapsed.saturating_mul(self.per_nanosecond);
        self.parts = self.parts.saturating_add(added).min(self.limit);
        (self.parts / TOKEN) as usize
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let paid = self.tokens(now) > 0;
        if paid {
            self.parts -= TOKEN;
        }
        paid
    }

    /// What was paid for did not leave.
    pub(super) fn refund(&mut self) {
        self.parts = (self.parts + TOKEN).min(self.limit);
    }

    /// When there is a token, if there is none now and time alone brings one.
    pub(super) fn token_at(&self) -> Option<Instant> {
        let missing = TOKEN.checked_sub(self.parts).filter(|parts| *parts > 0)?;
        if self.per_nanosecond == 0 || self.limit < TOKEN {
            return None;
        }
        let nanoseconds = missing.div_ceil(self.per_nanosecond);
        let time = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
        self.filled_at.checked_add(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(per_request: f64, per_second: f64, burst: u32, now: Instant) -> Bucket {
        let budget = Budget {
            per_request,
            per_second,
            burst,
        };
        Bucket::new(budget, now)
    }

    #[test]
    fn it_is_full_at_first_and_never_holds_more() {
        let now = Instant::now();
        let mut bucket = bucket(1.0, 1000.0, 2, now);
        let later = now + Duration::from_secs(3600);
        bucket.note_request();
        assert_eq!(bucket.tokens(later), 2);
        assert!(bucket.take(later) && bucket.take(later));
        assert!(!bucket.take(later));
    }

    #[test]
    fn five_requests_pay_for_one_copy() {
        let now = Instant::now();
        let mut bucket = bucket(0.2, 0.0, 1, now);
        assert!(bucket.take(now));
        for _ in 0..4 {
            bucket.note_request();
            assert_eq!(bucket.tokens(now), 0);
        }
        bucket.note_request();
        assert!(bucket.take(now));
        assert_eq!(bucket.token_at(), None, "time brings none");
    }

    #[test]
    fn the_moment_of_the_next_token_is_exact() {
        for per_second in [0.000_001, 0.3, 3.0, 7.7, 999_999.0] {
            let mut now = Instant::now();
            let mut bucket = bucket(0.0, per_second, 1, now);
            assert!(bucket.take(now));
            for _ in 0..5 {
                let at = bucket.token_at().unwrap();
                assert_eq!(bucket.tokens(at - Duration::from_nanos(1)), 0);
                assert!(bucket.take(at), "{per_second}");
                assert!(at > now);
                now = at;
            }
        }
    }

    #[test]
    fn without_burst_there_is_never_one() {
        let now = Instant::now();
        let mut bucket = bucket(10.0, 1e6, 0, now);
        bucket.note_request();
        assert!(!bucket.take(now + Duration::from_secs(1)));
        assert_eq!(bucket.token_at(), None);
    }
}
