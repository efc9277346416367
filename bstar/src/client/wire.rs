//! What goes over the wire between a client and a server of the pair.
//!
//! ```text
//! request   [bstar-cli/1 NONCE SEQUENCE] [empty] [body] [body] ...
//! reply     [the same first frame      ] [empty] [body] [body] ...
//! refusal   [the same first frame      ] [empty] [bstar-no state=passive epoch=7]
//! ```
//!
//! NONCE is 16 lower-case hexadecimal digits, SEQUENCE a decimal number without leading zeros. A
//! REP server returns the first two frames by itself, and so does any server that echoes what
//! stands before the body.

use std::ops::Deref;

const PREFIX: &[u8] = b"bstar-cli/1 ";
const NONCE_DIGITS: usize = 16;
/// Digits of the greatest sequence number, `u64::MAX`.
const MAX_SEQUENCE_DIGITS: usize = 20;
const REFUSAL: &[u8] = b"bstar-no";

/// A message that has the shape of an answer to some client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    /// Nonce of the client that is answered.
    pub(super) nonce: u64,
    /// The request that is answered.
    pub(super) sequence: u64,
    /// What the server says.
    pub(super) answer: Answer,
}

/// What a server says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Frames from [`BODY`] on are the reply.
    Reply,
    /// The server does not serve now; the request was not executed.
    Refusal {
        /// The epoch that the server stated, if it did.
        epoch: Option<u64>,
    },
}

/// Index of the first body frame.
pub(crate) const BODY: usize = 2;

/// The first frame of a request.
pub(super) fn first_frame(nonce: u64, sequence: u64) -> Vec<u8> {
    format!("bstar-cli/1 {nonce:016x} {sequence}").into_bytes()
}

/// Whether a message that begins with this frame is a request of a client of ours.
pub(crate) fn is_first_frame(frame: &[u8]) -> bool {
    parse_first_frame(frame).is_some()
}

/// What a server that is not active answers instead of a body.
pub(crate) fn refusal(state: &str, epoch: Option<u64>) -> String {
    let epoch = epoch.map_or(String::new(), |epoch| format!(" epoch={epoch}"));
    format!("bstar-no state={state}{epoch}")
}

/// Reads a message from a server; `None` when it is not an answer of any kind.
pub(super) fn parse<F: Deref<Target = [u8]>>(frames: &[F]) -> Option<Incoming> {
    let [first, empty, body @ ..] = frames else {
        return None;
    };
    if !empty.is_empty() {
        return None;
    }
    let (nonce, sequence) = parse_first_frame(first)?;
    let answer = match body {
        [only] if is_refusal(only) => Answer::Refusal { epoch: epoch(only) },
        _ => Answer::Reply,
    };
    Some(Incoming {
        nonce,
        sequence,
        answer,
    })
}

/// Whether a frame that is alone reads as a refusal: the word `bstar-no`, then its end or a space.
/// A longer word, such as `bstar-north`, is an application's own.
pub(super) fn is_refusal(frame: &[u8]) -> bool {
    frame
        .strip_prefix(REFUSAL)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

/// Strict, so that one request has one spelling: what we sent comes back unchanged or is foreign.
fn parse_first_frame(frame: &[u8]) -> Option<(u64, u64)> {
    let rest = frame.strip_prefix(PREFIX)?;
    let (nonce, rest) = rest.split_at_checked(NONCE_DIGITS)?;
    let sequence = rest.strip_prefix(b" ")?;
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !nonce.iter().all(is_hex)
        || sequence.is_empty()
        || sequence.len() > MAX_SEQUENCE_DIGITS
        || sequence[0] == b'0'
        || !sequence.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let nonce = u64::from_str_radix(std::str::from_utf8(nonce).ok()?, 16).ok()?;
    let sequence = std::str::from_utf8(sequence).ok()?.parse().ok()?;
    Some((nonce, sequence))
}

/// Unknown keys, and values that do not read, are passed over: what counts is the refusal.
fn epoch(refusal: &[u8]) -> Option<u64> {
    refusal
        .split(|byte| *byte == b' ')
        .find_map(|pair| pair.strip_prefix(b"epoch="))
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reactor::sim::Mutator;

    use super::*;

    fn read(frames: &[&[u8]]) -> Option<Incoming> {
        parse(frames)
    }

    #[test]
    fn a_reply_is_read_with_any_body() {
        let first = first_frame(0xabc, 7);
        assert_eq!(first, b"bstar-cli/1 0000000000000abc 7");
        for body in [&[][..], &[b"x".as_slice()], &[b"".as_slice(), b"bstar-no"]] {
            let mut frames = vec![first.as_slice(), b""];
            frames.extend(body);
            let incoming = read(&frames).unwrap();
            assert_eq!((incoming.nonce, incoming.sequence), (0xabc, 7));
            assert_eq!(incoming.answer, Answer::Reply);
        }
    }

    #[test]
    fn a_refusal_is_read_leniently() {
        let first = first_frame(u64::MAX, u64::MAX);
        let cases: [(&[u8], Option<u64>); 6] = [
            (b"bstar-no", None),
            (b"bstar-no state=passive epoch=12", Some(12)),
            (b"bstar-no  epoch=3 colour=red", Some(3)),
            (b"bstar-no epoch=-1", None),
            (b"bstar-no epoch=99999999999999999999999", None),
            (b"bstar-no \xff\xfe epoch=\xff", None),
        ];
        for (text, epoch) in cases {
            let incoming = read(&[&first, b"", text]).unwrap();
            assert_eq!(incoming.answer, Answer::Refusal { epoch }, "{text:?}");
        }
    }

    #[test]
    fn a_word_that_only_begins_like_a_refusal_is_a_reply() {
        let first = first_frame(1, 1);
        let incoming = read(&[&first, b"", b"bstar-north"]).unwrap();
        assert_eq!(incoming.answer, Answer::Reply);
        let incoming = read(&[&first, b"", b"bstar-no", b"more"]).unwrap();
        assert_eq!(incoming.answer, Answer::Reply);
    }

    #[test]
    fn what_is_not_an_answer_is_nothing() {
        let firsts: [&[u8]; 12] = [
            b"",
            b"bstar-cli/1",
            b"bstar-cli/1 ",
            b"bstar-cli/1 0000000000000abc",
            b"bstar-cli/1 0000000000000abc ",
            b"bstar-cli/1 0000000000000abc 07",
            b"bstar-cli/1 0000000000000abc +7",
            b"bstar-cli/1 0000000000000ABC 7",
            b"bstar-cli/1 +000000000000abc 7",
            b"bstar-cli/1 0000000000000abc 7 ",
            b"bstar-cli/1 0000000000000abc 18446744073709551616",
            b"bstar-cli/2 0000000000000abc 7",
        ];
        for first in firsts {
            assert_eq!(read(&[first, b"", b"x"]), None, "{first:?}");
        }
        let good = first_frame(1, 1);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[&good]), None);
        assert_eq!(read(&[&good, b"not empty", b"x"]), None);
    }
    proptest! {
        #[test]
        fn every_answer_is_read_as_it_was_written(nonce: u64, sequence in 1..=u64::MAX, word: Option<u64>) {
            let first = first_frame(nonce, sequence);
            prop_assert!(is_first_frame(&first));
            let refusal = refusal("resigned", word).into_bytes();
            for (body, answer) in [
                (refusal, Answer::Refusal { epoch: word }),
                (b"body".to_vec(), Answer::Reply),
            ] {
                let incoming = Incoming { nonce, sequence, answer };
                prop_assert_eq!(parse(&[first.clone(), vec![], body]), Some(incoming));
            }
        }

        #[test]
        fn a_damaged_answer_reads_as_it_stands_or_not_at_all(nonce: u64, sequence in 1..50_u64, seed: u64) {
            let answer = |sequence| {
                vec![first_frame(nonce, sequence), vec![], refusal("passive", Some(7)).into_bytes()]
            };
            let mut frames = answer(sequence);
            Mutator::new(seed).damage(&mut frames, &[answer(sequence + 1)]);
            if let Some(read) = parse(&frames) {
                prop_assert_eq!(&first_frame(read.nonce, read.sequence), &frames[0]);
                prop_assert!(frames[1].is_empty());
                let refused = matches!(read.answer, Answer::Refusal { .. });
                prop_assert_eq!(refused, frames.len() == 3 && is_refusal(&frames[2]));
            }
        }

        #[test]
        fn no_frames_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..5)) {
            let _ = parse(&frames);
        }
    }
}
