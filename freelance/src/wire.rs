//! What goes over the wire between a client and a server of Freelance.
//!
//! ```text
//! models 1, 2   request   [fl/1 NONCE SEQUENCE ATTEMPT] [empty] ([SEQUENCE] in model 2) [body] ...
//!               reply     [the same first frame       ] [empty] ([SEQUENCE] in model 2) [body] ...
//! model 3       request   [fl/1 NONCE SEQUENCE ATTEMPT] [body] ...
//!               reply     [the same first frame       ] [body] ...
//!               ping      [PING]        pong   [PONG]
//! all           refusal   [the same first frame] ([empty]) [fl-no REASON]
//! ```
//!
//! NONCE is 16 lower-case hexadecimal digits, SEQUENCE and ATTEMPT are decimal numbers without leading zeros, each
//! from 1 on. A REP server returns the first two frames of models 1 and 2 by itself.

use std::ops::Deref;

use crate::Model;

/// What a FLP client says to ask whether a server lives: alone, and only then. A control frame may spell it too.
pub(crate) const PING: &[u8] = b"PING";
/// What a FLP server says to that.
pub(crate) const PONG: &[u8] = b"PONG";

const PREFIX: &[u8] = b"fl/1 ";
const NONCE_DIGITS: usize = 16;
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Digits of the greatest number, `u64::MAX`.
const MAX_DIGITS: usize = 20;
const REFUSAL: &[u8] = b"fl-no";

/// The client control frame of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Tells a client's requests from those of others and of earlier lives.
    pub(crate) nonce: u64,
    /// The request.
    pub(crate) sequence: u64,
    /// Which copy of it, from 1 on.
    pub(crate) attempt: u32,
}

impl Control {
    /// As it goes over the wire.
    pub(crate) fn write(self) -> WrittenControl {
        let mut written = WrittenControl {
            bytes: [0; WrittenControl::CAPACITY],
            sequence_end: 0,
            end: 0,
        };
        written.push(PREFIX);
        for digit in (0..NONCE_DIGITS).rev() {
            let value = (self.nonce >> (4 * digit)) as usize & 0xf;
            written.push(&HEX[value..=value]);
        }
        written.push(b" ");
        written.push_number(self.sequence);
        written.sequence_end = written.end;
        written.push(b" ");
        written.push_number(self.attempt.into());
        written
    }

    /// Strict, so that one request has one spelling: what we sent comes back unchanged or is foreign.
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let rest = frame.strip_prefix(PREFIX)?;
        let (digits, rest) = rest.split_at_checked(NONCE_DIGITS)?;
        let nonce = digits.iter().try_fold(0, |number, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(value))
        })?;
        let rest = rest.strip_prefix(b" ")?;
        let space = rest.iter().position(|byte| *byte == b' ')?;
        Some(Self {
            nonce,
            sequence: number(&rest[..space])?,
            attempt: number(&rest[space + 1..])?.try_into().ok()?,
        })
    }
}

/// A control frame as bytes. It is written for each copy of each request, so it is built in place.
#[derive(Clone, Debug)]
pub(crate) struct WrittenControl {
    bytes: [u8; Self::CAPACITY],
    sequence_end: usize,
    end: usize,
}

impl WrittenControl {
    const SEQUENCE_START: usize = PREFIX.len() + NONCE_DIGITS + 1;
    const CAPACITY: usize = Self::SEQUENCE_START + 2 * MAX_DIGITS + 1;

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// The sequence alone, as servers of model 2 get it too.
    pub(crate) fn sequence(&self) -> &[u8] {
        &self.bytes[Self::SEQUENCE_START..self.sequence_end]
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.end..self.end + part.len()].copy_from_slice(part);
        self.end += part.len();
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; MAX_DIGITS];
        let mut start = MAX_DIGITS;
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[start..]);
    }
}

/// What a server says, as far as its shape tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Frames from this index on are the reply.
    Reply(Control, usize),
    /// The server did not take the request.
    Refusal(Control),
    /// It lives.
    Pong,
}

/// Reads a message from a server, without the identity that a ROUTER puts in front; `None` when it is not an answer
/// of any kind.
pub(crate) fn parse<F: Deref<Target = [u8]>>(model: Model, frames: &[F]) -> Option<Answer> {
    let (first, rest) = frames.split_first()?;
    if model == Model::Three && rest.is_empty() {
        return (&**first == PONG).then_some(Answer::Pong);
    }
    let control = Control::parse(first)?;
    let start = match model {
        Model::Three => 1,
        Model::One | Model::Two if !rest.first()?.is_empty() => return None,
        Model::One | Model::Two => 2,
    };
    let body = &frames[start..];
    if let [only] = body
        && is_refusal(only)
    {
        return Some(Answer::Refusal(control));
    }
    match model {
        Model::One | Model::Three => (!body.is_empty()).then_some(Answer::Reply(control, start)),
        // What a server of model 2 made of the sequence is its word, that of the envelope is libzmq's.
        Model::Two => (body.len() > 1 && number(&body[0]) == Some(control.sequence))
            .then_some(Answer::Reply(control, start + 1)),
    }
}

/// Whether a frame that is alone reads as a refusal: the word `fl-no`, then its end or a space. A longer word, such as
/// `fl-north`, is an application's own.
pub(crate) fn is_refusal(frame: &[u8]) -> bool {
    frame
        .strip_prefix(REFUSAL)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

/// What a server says that does not take a request. `reason` is one word.
pub(crate) fn refusal(reason: &str) -> String {
    format!("fl-no {reason}")
}

/// A decimal number from 1 on, without leading zeros.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.first().is_none_or(|first| *first == b'0') {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reactor::sim::{Mutator, fuzz};

    use super::*;

    const CONTROL: Control = Control {
        nonce: 0xabc,
        sequence: 7,
        attempt: 2,
    };
    const FRAME: &[u8] = b"fl/1 0000000000000abc 7 2";

    fn read(model: Model, frames: &[&[u8]]) -> Option<Answer> {
        parse(model, frames)
    }

    #[test]
    fn a_control_frame_comes_back_as_it_went() {
        assert_eq!(CONTROL.write().as_bytes(), FRAME);
        let greatest = Control {
            nonce: u64::MAX,
            sequence: u64::MAX,
            attempt: u32::MAX,
        };
        for control in [CONTROL, greatest] {
            assert_eq!(Control::parse(control.write().as_bytes()), Some(control));
        }
    }

    #[test]
    fn a_control_frame_has_one_spelling() {
        let wrong: [&[u8]; 14] = [
            b"",
            b"fl/1",
            b"fl/1 ",
            b"fl/1 0000000000000abc",
            b"fl/1 0000000000000abc 7",
            b"fl/1 0000000000000abc 7 ",
            b"fl/1 0000000000000abc 7 02",
            b"fl/1 0000000000000abc 0 2",
            b"fl/1 0000000000000abc +7 2",
            b"fl/1 0000000000000ABC 7 2",
            b"fl/1 0000000000000abc 7 2 ",
            b"fl/1 0000000000000abc 18446744073709551616 2",
            b"fl/1 0000000000000abc 7 4294967296",
            b"fl/2 0000000000000abc 7 2",
        ];
        for frame in wrong {
            assert_eq!(Control::parse(frame), None, "{frame:?}");
        }
    }

    #[test]
    fn each_model_has_a_shape_of_its_own() {
        let one = Some(Answer::Reply(CONTROL, 2));
        assert_eq!(read(Model::One, &[FRAME, b"", b"body"]), one);
        assert_eq!(read(Model::One, &[FRAME, b"", b""]), one);
        assert_eq!(read(Model::One, &[FRAME, b""]), None);
        assert_eq!(read(Model::One, &[FRAME, b"body"]), None);
        let two = Some(Answer::Reply(CONTROL, 3));
        assert_eq!(read(Model::Two, &[FRAME, b"", b"7", b"OK"]), two);
        assert_eq!(read(Model::Two, &[FRAME, b"", b"8", b"OK"]), None);
        assert_eq!(read(Model::Two, &[FRAME, b"", b"7"]), None);
        let three = Some(Answer::Reply(CONTROL, 1));
        assert_eq!(read(Model::Three, &[FRAME, b"body"]), three);
        assert_eq!(read(Model::Three, &[FRAME, b"", b"body"]), three);
        assert_eq!(read(Model::Three, &[FRAME]), None);
    }

    #[test]
    fn only_a_pong_that_is_alone_is_one() {
        assert_eq!(read(Model::Three, &[b"PONG"]), Some(Answer::Pong));
        assert_eq!(read(Model::Three, &[b"PONG", b""]), None);
        assert_eq!(read(Model::Three, &[b"pong"]), None);
        assert_eq!(read(Model::One, &[b"PONG"]), None);
        assert_eq!(read(Model::Three, &[]), None);
    }

    #[test]
    fn a_refusal_is_one_frame_of_its_word() {
        let no = Some(Answer::Refusal(CONTROL));
        let text = refusal("full");
        assert_eq!(read(Model::One, &[FRAME, b"", text.as_bytes()]), no);
        assert_eq!(read(Model::Two, &[FRAME, b"", b"fl-no"]), no);
        assert_eq!(read(Model::Three, &[FRAME, b"fl-no draining"]), no);
        let reply = Some(Answer::Reply(CONTROL, 1));
        assert_eq!(read(Model::Three, &[FRAME, b"fl-north"]), reply);
        assert_eq!(read(Model::Three, &[FRAME, b"fl-no", b"more"]), reply);
    }

    const MODELS: [Model; 3] = [Model::One, Model::Two, Model::Three];

    /// Replies and refusals of each model, and what is none.
    fn corpus() -> Vec<Vec<Vec<u8>>> {
        let messages: [&[&[u8]]; 9] = [
            &[FRAME, b"", b"body"],
            &[FRAME, b"", b"7", b"OK"],
            &[FRAME, b"body", b""],
            &[FRAME, b"", b"fl-no full"],
            &[FRAME, b"fl-no draining"],
            &[FRAME, b"fl-north"],
            &[PONG],
            &[PING],
            &[
                b"fl/1 ffffffffffffffff 18446744073709551615 4294967295",
                b"",
                b"",
            ],
        ];
        let frames = |message: &&[&[u8]]| message.iter().map(|frame| frame.to_vec()).collect();
        messages.iter().map(frames).collect()
    }

    /// What is taken for an answer begins with the one spelling of its control frame, and is cut within the message.
    fn check_parsed(model: Model, frames: &[Vec<u8>]) {
        match parse(model, frames) {
            None => {}
            Some(Answer::Pong) => assert!(model == Model::Three && frames == [PONG]),
            Some(Answer::Reply(control, start)) => {
                assert_eq!(frames[0], control.write().as_bytes());
                assert!(start < frames.len());
                assert!(model == Model::Three || frames[1].is_empty());
                assert!(model != Model::Two || frames[2] == control.write().sequence());
            }
            Some(Answer::Refusal(control)) => {
                assert_eq!(frames[0], control.write().as_bytes());
                assert!(frames.last().is_some_and(|last| is_refusal(last)));
            }
        }
    }

    #[test]
    fn f9_a_damaged_message_is_read_as_it_stands_or_not_at_all() {
        let corpus = corpus();
        fuzz("answers", 100_000, |mutator| {
            let mut frames = mutator.pick(&corpus).clone();
            mutator.damage(&mut frames, &corpus);
            check_parsed(*mutator.pick(&MODELS), &frames);
        })
        .unwrap();
    }

    proptest! {
        #[test]
        fn every_control_frame_is_read_as_it_was_written(
            nonce: u64, sequence in 1..=u64::MAX, attempt in 1..=u32::MAX,
        ) {
            let control = Control { nonce, sequence, attempt };
            let written = control.write();
            prop_assert_eq!(Control::parse(written.as_bytes()), Some(control));
            prop_assert_eq!(number(written.sequence()), Some(sequence));
        }

        #[test]
        fn a_damaged_control_frame_is_another_or_none(
            nonce: u64, sequence in 1..=u64::MAX, attempt in 1..=u32::MAX, seed: u64,
        ) {
            let control = Control { nonce, sequence, attempt };
            let mut frames = vec![control.write().as_bytes().to_vec()];
            Mutator::new(seed).damage(&mut frames, &corpus());
            for frame in frames {
                if let Some(read) = Control::parse(&frame) {
                    let written = read.write();
                    prop_assert_eq!(written.as_bytes(), &frame[..]);
                }
            }
        }
    }
}
