//! Messages as a broken or hostile peer sends them, and a loop that counts what was tried.

use std::io::Write;
use std::{io, thread};

use super::ConfigError;
use super::random::{Random, Stream};
use super::search::variable;

/// Frames of a damaged message at most.
const MAX_FRAMES: usize = 64;
/// Bytes of a damaged frame at most.
const MAX_FRAME_BYTES: usize = 4096;

/// Bytes at which parsers of text go wrong.
const TELLING_BYTES: &[u8] = b"\0\x01\x7f\x80\xc3\xff \t\r\n=+-.,_0129aAfFgGzZ/:*[]@\"";

/// Numbers at which parsers of numbers go wrong, and what is none.
const TELLING_NUMBERS: [&[u8]; 14] = [
    b"",
    b"0",
    b"00",
    b"1",
    b"01",
    b"-1",
    b"+1",
    b"1e3",
    b"0x10",
    b"4611686018427387904",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999",
];

/// Runs `execution` many times, each time with chance of its own, and tells on stderr how often: `usual` times, or as
/// `FUZZ_EXECUTIONS=10000000` says. `FUZZ_SEED=17` runs one alone; which that is, is told where an execution panics.
///
/// ```
/// # fn parse(frames: &[Vec<u8>]) -> Option<u64> { std::str::from_utf8(frames.first()?).ok()?.parse().ok() }
/// let valid = [vec![b"17".to_vec()], vec![b"4".to_vec(), b"more".to_vec()]];
/// let executions = reactor::sim::fuzz("numbers", 1000, |mutator| {
///     let mut frames = mutator.pick(&valid).clone();
///     mutator.damage(&mut frames, &valid);
///     let _ = parse(&frames); // and whatever must hold of it
/// })?;
/// assert_eq!(executions, 1000);
/// # Ok::<(), reactor::sim::ConfigError>(())
/// ```
///
/// # Errors
/// When one of the two variables is no number. Nothing was run then.
pub fn fuzz(
    name: &str,
    usual: u64,
    mut execution: impl FnMut(&mut Mutator),
) -> Result<u64, ConfigError> {
    let seeds = match variable("FUZZ_SEED")? {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..variable("FUZZ_EXECUTIONS")?.unwrap_or(usual),
    };
    let executions = seeds.end - seeds.start;
    for seed in seeds {
        let _replay = Replay { name, seed };
        execution(&mut Mutator::new(seed));
    }
    // Past the capture of a test runner; who cannot be told is not.
    let _ = writeln!(io::stderr(), "\nfuzz {name}: {executions} executions");
    Ok(executions)
}

/// Tells how to run once more what panicked.
struct Replay<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Replay { name, seed } = self;
            eprintln!("fuzz {name}: FUZZ_SEED={seed} runs what panicked, and that alone");
        }
    }
}

/// Damages messages, and makes up others. All its chance comes from one seed.
pub struct Mutator {
    random: Random,
}

impl Mutator {
    /// The mutator of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, Stream::Fuzz),
        }
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    /// A number from all that there are, small ones and those at a border more often than others.
    pub fn number(&mut self) -> u64 {
        let any = self.random.next();
        match self.below(4) {
            0 => any,
            1 => any >> 60,
            2 => (any >> self.below(64)).wrapping_sub(any & 1),
            _ => 1_u64.rotate_left(self.below(64) as u32) - (any & 1),
        }
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Up to this many bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.byte()).collect()
    }

    /// A message that nobody wrote: up to six frames of up to 64 bytes.
    pub fn noise(&mut self) -> Vec<Vec<u8>> {
        let frames = self.below(7);
        (0..frames).map(|_| self.bytes(64)).collect()
    }

    /// Does a message harm, one to four times over: bytes are changed, added, taken away, repeated and cut off; frames
    /// are dropped, doubled, exchanged, split and joined; and pieces of `others` are put in. It keeps within 64 frames
    /// of 4096 bytes each, and may come to no harm, or to one that makes it another valid message.
    pub fn damage(&mut self, message: &mut Vec<Vec<u8>>, others: &[Vec<Vec<u8>>]) {
        for _ in 0..=self.below(4) {
            if message.is_empty() || self.below(3) == 0 {
                self.harm_frames(message, others);
            } else {
                let at = self.below(message.len());
                self.harm_bytes(&mut message[at], others);
            }
        }
        message.truncate(MAX_FRAMES);
        for frame in message {
            frame.truncate(MAX_FRAME_BYTES);
        }
    }

    fn harm_frames(&mut self, message: &mut Vec<Vec<u8>>, others: &[Vec<Vec<u8>>]) {
        let count = message.len();
        let at = self.below(count);
        match self.below(8) {
            0 if count > 0 => drop(message.remove(at)),
            1 if count > 0 => message.insert(at, message[at].clone()),
            2 if count > 0 => {
                let other = self.below(count);
                message.swap(at, other);
            }
            3 if count > 0 => {
                let cut = self.below(message[at].len() + 1);
                let tail = message[at].split_off(cut);
                message.insert(at + 1, tail);
            }
            4 if count > 1 => {
                let at = self.below(count - 1);
                let tail = message.remove(at + 1);
                message[at].extend(tail);
            }
            5 => message.insert(self.below(count + 1), Vec::new()),
            6 => {
                let frame = self.bytes(40);
                message.insert(self.below(count + 1), frame);
            }
            _ => {
                let frame = self.frame_of(others);
                message.insert(self.below(count + 1), frame);
            }
        }
    }

    fn harm_bytes(&mut self, frame: &mut Vec<u8>, others: &[Vec<Vec<u8>>]) {
        let at = self.below(frame.len());
        let end = at + self.below(frame.len() - at + 1).min(self.below(20));
        match self.below(10) {
            0 if !frame.is_empty() => frame[at] ^= 1 << self.below(8),
            1 if !frame.is_empty() => frame[at] = self.byte(),
            2 if !frame.is_empty() => {
                let other = self.below(frame.len());
                frame.swap(at, other);
            }
            3 => drop(frame.drain(at..end)),
            4 => {
                let piece = frame[at..end].repeat(1 + self.below(64));
                frame.splice(at..at, piece);
            }
            5 => frame.truncate(at),
            6 => {
                let piece = self.bytes(8);
                frame.splice(at..at, piece);
            }
            7 => {
                let number = *self.pick(&TELLING_NUMBERS);
                frame.splice(digits_from(frame, at), number.iter().copied());
            }
            8 => frame[at..end].iter_mut().for_each(|byte| *byte ^= 0x20),
            _ => {
                let other = self.frame_of(others);
                let from = self.below(other.len() + 1);
                frame.truncate(at);
                frame.extend(&other[from..]);
            }
        }
    }

    fn byte(&mut self) -> u8 {
        match self.below(2) {
            0 => *self.pick(TELLING_BYTES),
            _ => self.random.next() as u8,
        }
    }

    fn frame_of(&mut self, messages: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let frames = messages.get(self.below(messages.len()));
        let frame = frames.and_then(|frames| frames.get(self.below(frames.len())));
        frame.cloned().unwrap_or_default()
    }
}

/// The first digits at or behind a place; nothing at the end where there are none.
fn digits_from(frame: &[u8], at: usize) -> std::ops::Range<usize> {
    let first = frame[at..].iter().position(u8::is_ascii_digit);
    let first = first.map_or(frame.len(), |offset| at + offset);
    let count = frame[first..].iter().take_while(|b| b.is_ascii_digit());
    first..first + count.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Vec<Vec<u8>>> {
        vec![
            vec![b"bstar/1 epoch=17 heard=none".to_vec(), b"body".to_vec()],
            vec![b"3".to_vec()],
        ]
    }

    fn damaged(seed: u64) -> Vec<Vec<u8>> {
        let mut message = messages().remove(0);
        Mutator::new(seed).damage(&mut message, &messages());
        message
    }

    #[test]
    fn a_seed_means_the_same_for_ever() {
        // If this fails, seeds that were noted down no longer replay what they did.
        let shown = |seed| String::from_utf8_lossy(&damaged(seed).join(&b'|')).into_owned();
        assert_eq!(shown(12), "bstar/1 epoch=17 heard=none|BODy|3");
        assert_eq!(shown(14), "bstar/1 epocone|body9223372036854775808");
    }

    #[test]
    fn every_kind_of_harm_is_done_and_all_within_bounds() {
        let right = messages().remove(0);
        let (mut fewer, mut more, mut shorter, mut longer, mut changed) = (0, 0, 0, 0, 0);
        for seed in 0..2000 {
            let wrong = damaged(seed);
            assert!(wrong.len() <= MAX_FRAMES);
            assert!(wrong.iter().all(|frame| frame.len() <= MAX_FRAME_BYTES));
            fewer += u32::from(wrong.len() < right.len());
            more += u32::from(wrong.len() > right.len());
            let [first, ..] = &wrong[..] else { continue };
            shorter += u32::from(first.len() < right[0].len());
            longer += u32::from(first.len() > right[0].len());
            changed += u32::from(first.len() == right[0].len() && *first != right[0]);
        }
        for seen in [fewer, more, shorter, longer, changed] {
            assert!(seen > 100, "{fewer} {more} {shorter} {longer} {changed}");
        }
    }

    #[test]
    fn what_is_empty_can_be_damaged_too() {
        for seed in 0..2000 {
            for mut message in [vec![], vec![vec![]], vec![vec![], vec![]]] {
                Mutator::new(seed).damage(&mut message, &[]);
            }
        }
    }

    #[test]
    fn numbers_are_small_large_and_at_borders() {
        let mut mutator = Mutator::new(1);
        let numbers: Vec<u64> = (0..5000).map(|_| mutator.number()).collect();
        for number in [0, 1, 2, 3, (1 << 62) - 1, 1 << 62, u64::MAX >> 1] {
            assert!(numbers.contains(&number), "{number}");
        }
        assert!(numbers.iter().any(|number| *number > 1 << 63));
    }
}
