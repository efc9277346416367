//! How much memory this process has, and when that is too much.
//!
//! libzmq has the whole of a message before it hands any of it over, and its queues count messages, not bytes: what
//! clients make it hold can be neither seen nor limited from outside of it, but for what the process has altogether.

use std::fs;
use std::io;
use std::time::Duration;

/// Whatever clients send, memory does not grow faster than this, in bytes a second.
const FASTEST_GROWTH: u64 = 4 << 30;
/// Between two looks, whatever room there is.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Tells the resident memory of this process, in bytes.
pub(super) type Meter = Box<dyn FnMut() -> io::Result<u64> + Send>;

/// What the process has, against the least that it had since the front end began anew: an allocator does not give
/// everything back, and what it keeps is used again.
pub(super) struct Memory {
    meter: Meter,
    limit: u64,
    least: u64,
    now: u64,
}

/// How much was too much, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) resident: u64,
    pub(super) least: u64,
    pub(super) limit: u64,
}

impl Memory {
    pub(super) fn new(limit: u64) -> Memory {
        Memory::measured_by(Box::new(resident), limit)
    }

    pub(super) fn measured_by(meter: Meter, limit: u64) -> Memory {
        Memory {
            meter,
            limit,
            least: u64::MAX,
            now: 0,
        }
    }

    /// Measures, and says if it has grown by more than the limit.
    pub(super) fn look(&mut self) -> io::Result<Option<Excess>> {
        self.now = (self.meter)()?;
        self.least = self.least.min(self.now);
        let exceeds = self.now - self.least > self.limit;
        Ok(exceeds.then_some(Excess {
            resident: self.now,
            least: self.least,
            limit: self.limit,
        }))
    }

    /// What there is now counts no more.
    pub(super) fn begin_anew(&mut self) {
        self.least = u64::MAX;
        // What is wrong with it the next look tells.
        let _ = self.look();
    }

    /// Whether there is less than there was a moment ago. Where that is not known there is not.
    pub(super) fn falls(&mut self) -> bool {
        let before = self.now;
        self.look().is_ok() && self.now < before
    }

    /// Until the next look: the less room there is, the sooner.
    pub(super) fn pause(&self) -> Duration {
        let room = self
            .limit
            .saturating_sub(self.now.saturating_sub(self.least));
        let ms = room.saturating_mul(1000) / FASTEST_GROWTH;
        Duration::from_millis(ms).clamp(LEAST_PAUSE, LONGEST_PAUSE)
    }
}

/// By the system's own count.
fn resident() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1);
    let pages: Option<u64> = pages.and_then(|pages| pages.parse().ok());
    let bytes = pages.and_then(|pages| pages.checked_mul(rustix::param::page_size() as u64));
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "statm tells no pages"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_above_the_least_since_it_began_anew_is_too_much() {
        let mut readings = [50, 150, 151, 400, 300, 400, 401].into_iter();
        let meter = move || Ok(readings.next().unwrap());
        let mut memory = Memory::measured_by(Box::new(meter), 100);
        assert_eq!(memory.look().unwrap(), None);
        assert_eq!(
            memory.look().unwrap(),
            None,
            "the limit itself is none too much"
        );
        let excess = Excess {
            resident: 151,
            least: 50,
            limit: 100,
        };
        assert_eq!(memory.look().unwrap(), Some(excess));
        memory.begin_anew();
        for _ in 0..2 {
            assert_eq!(memory.look().unwrap(), None, "what was kept counts no more");
        }
        let excess = memory.look().unwrap();
        assert_eq!(excess.map(|excess| excess.least), Some(300));
    }

    #[test]
    fn the_less_room_there_is_the_sooner_it_looks() {
        let mut readings = [0, 900 << 20, 1 << 30, 3 << 30].into_iter();
        let meter = move || Ok(readings.next().unwrap());
        let mut memory = Memory::measured_by(Box::new(meter), 1 << 30);
        let mut pauses = (0..4).map(|_| {
            memory.look().unwrap();
            memory.pause()
        });
        assert_eq!(pauses.next(), Some(LONGEST_PAUSE));
        assert_eq!(pauses.next(), Some(Duration::from_millis(30)));
        assert_eq!(pauses.next(), Some(LEAST_PAUSE));
        assert_eq!(pauses.next(), Some(LEAST_PAUSE));
    }

    #[test]
    fn the_system_tells_what_this_process_has() {
        match resident() {
            Ok(bytes) => assert!(bytes > 100_000, "{bytes}"),
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
}
