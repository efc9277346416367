//! From frames to what they mean, once, at the edge.

use std::ops::Deref;

use crate::Model;
use crate::wire::PING;

/// What a message to a server is. The first frame, which is the client's routing id, is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Does the server live?
    Ping,
    /// A request.
    Request(Cut),
    /// Nothing that the model knows.
    Malformed,
}

/// Where a request is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Frames of the envelope, which goes back as it came.
    pub(super) envelope: usize,
    /// The frame in the envelope that may be a client control frame.
    pub(super) control: Option<usize>,
    /// The next frame is the sequence of model 2.
    pub(super) sequence: bool,
}

/// Reads a message that a ROUTER received.
///
/// For models 1 and 2 that is what REP makes of it: everything up to the first empty frame goes back, the rest is the
/// request, and there must be one.
pub(super) fn read<F: Deref<Target = [u8]>>(model: Model, frames: &[F]) -> Shape {
    match model {
        Model::Three => match frames {
            [] | [_] => Shape::Malformed,
            [_, only] if &**only == PING => Shape::Ping,
            [_, _] => Shape::Malformed,
            // However the control frame reads.
            [_, _, ..] => Shape::Request(Cut {
                envelope: 2,
                control: Some(1),
                sequence: false,
            }),
        },
        Model::One | Model::Two => {
            let sequence = model == Model::Two;
            let delimiter = frames.iter().skip(1).position(|frame| frame.is_empty());
            let Some(delimiter) = delimiter.map(|at| at + 1) else {
                return Shape::Malformed;
            };
            let envelope = delimiter + 1;
            if frames.len() <= envelope + usize::from(sequence) {
                return Shape::Malformed;
            }
            Shape::Request(Cut {
                envelope,
                // A proxy in between puts its frames in front, so that the client's own is the last.
                control: (delimiter > 1).then_some(delimiter - 1),
                sequence,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(model: Model, frames: &[&[u8]]) -> Shape {
        read(model, frames)
    }

    fn cut(envelope: usize, control: Option<usize>, sequence: bool) -> Shape {
        Shape::Request(Cut {
            envelope,
            control,
            sequence,
        })
    }

    #[test]
    fn model_1_is_cut_at_the_first_empty_frame() {
        let read = |frames: &[&[u8]]| shape(Model::One, frames);
        assert_eq!(read(&[b"id", b"", b"body"]), cut(2, None, false));
        assert_eq!(read(&[b"id", b"c", b"", b"body"]), cut(3, Some(1), false));
        assert_eq!(
            read(&[b"id", b"proxied", b"c", b"", b"", b""]),
            cut(4, Some(2), false)
        );
        for frames in [
            &[&b"id"[..]][..],
            &[b"id", b""],
            &[b"id", b"body"],
            &[b"", b"a", b"b"],
            &[b"id", b"c", b""],
        ] {
            assert_eq!(read(frames), Shape::Malformed, "{frames:?}");
        }
    }

    #[test]
    fn model_2_has_a_sequence_and_a_body() {
        let read = |frames: &[&[u8]]| shape(Model::Two, frames);
        assert_eq!(read(&[b"id", b"", b"1", b"body"]), cut(2, None, true));
        assert_eq!(
            read(&[b"id", b"c", b"", b"1", b"", b"x"]),
            cut(3, Some(1), true)
        );
        assert_eq!(read(&[b"id", b"", b"1"]), Shape::Malformed);
        assert_eq!(read(&[b"id", b"1", b"body"]), Shape::Malformed);
    }

    #[test]
    fn model_3_tells_a_ping_by_its_being_alone() {
        let read = |frames: &[&[u8]]| shape(Model::Three, frames);
        assert_eq!(read(&[b"id", b"PING"]), Shape::Ping);
        assert_eq!(read(&[b"id", b"PING", b""]), cut(2, Some(1), false));
        assert_eq!(read(&[b"id", b"", b""]), cut(2, Some(1), false));
        for frames in [
            &[][..],
            &[&b"id"[..]],
            &[b"id", b""],
            &[b"id", b"ping"],
            &[b"id", b"PING "],
        ] {
            assert_eq!(read(frames), Shape::Malformed, "{frames:?}");
        }
    }
}
