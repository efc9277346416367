//! Noise that is the same in each run.

use super::request::{Frames, Request};

/// Bytes of one message of noise.
const MOST_BYTES: usize = 1 << 20;

const NUMBERS: [usize; 9] = [1, 2, 3, 4, 5, 8, 33, 1, 1_000];
const SIZES: [usize; 14] = [0, 1, 2, 3, 4, 5, 8, 16, 17, 64, 255, 256, 1_000, 65_536];
/// Words that mean something, each where it means nothing.
const WORDS: [&[u8]; 8] = [
    b"",
    b"OK",
    b"PING",
    b"PONG",
    b"fl-no",
    b"fl-no full",
    b"fl/1 0000000000000000 0 0",
    b"bstar-no",
];

/// A source of bytes that look random.
pub(super) struct Noise {
    state: u64,
    messages: usize,
    /// Counted apart: the two are asked for in turn, and each must come to all its kinds.
    mangled: usize,
}

impl Noise {
    pub(super) fn new() -> Self {
        Self {
            state: 0x0005_1a7e_f1a9,
            messages: 0,
            mangled: 0,
        }
    }

    /// A number that looks random (splitmix64).
    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// As many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Frames of a number and size that come round in turn; the two tables have no common divisor
    /// in their lengths, so that each number meets each size.
    pub(super) fn frames(&mut self) -> Frames {
        let turn = self.messages;
        self.messages += 1;
        if turn % 5 == 4 {
            let word = |place: usize| WORDS[place % WORDS.len()].to_vec();
            return (0..=turn / 5 % 3).map(|n| word(turn / 15 + n)).collect();
        }
        let number = NUMBERS[turn % NUMBERS.len()];
        let size = SIZES[turn % SIZES.len()].min(MOST_BYTES / number);
        (0..number).map(|_| self.bytes(size)).collect()
    }

    /// What an answer to `request` looks like when its end, its middle or its order is lost. None
    /// of these is a reply, although the control frame is right.
    pub(super) fn mangled(&mut self, request: &Request) -> Frames {
        let turn = self.mangled;
        self.mangled += 1;
        let envelope = request.envelope.clone();
        let beheaded = request.body.clone();
        let backwards: Frames = request.body.iter().chain(&envelope).cloned().collect();
        request.say(match turn % 3 {
            0 => envelope,
            1 => beheaded,
            _ => backwards,
        })
    }
}
