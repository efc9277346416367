//! What the hosts of the simulation send to each other.
//!
//! The kernel's connections come and go by themselves; a client of Freelance dials its own. So a link is a number in
//! each packet: what belongs to another link than the present one is not seen, as with a socket for each attempt.

use std::fmt;

/// The frames of one message, as they are on the wire.
pub(crate) type Frames = Vec<Vec<u8>>;

/// A request as the test knows it. It travels as the request's body and comes back as the reply's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Body {
    /// Of the client's life.
    pub(crate) nonce: u64,
    /// The test's own count within that life.
    pub(crate) number: u64,
    pub(crate) idempotent: bool,
}

impl Body {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17);
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.push(u8::from(self.idempotent));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Body> {
        let (nonce, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        Some(Body {
            nonce: u64::from_be_bytes(*nonce),
            number: u64::from_be_bytes(*number),
            idempotent: match rest {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        })
    }
}

/// A copy of a request, known beside the frames so that the test need not trust what it tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) body: Body,
    pub(crate) attempt: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) link: u64,
    /// Of what a client sends, no two share one: a link does not double what it carries, though a server may answer
    /// twice.
    pub(crate) serial: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An attempt at a link.
    Dial,
    /// The handshake is complete. A server that is misnamed cannot be reached by the address that was dialled.
    Accepted {
        misnamed: bool,
    },
    /// The server ends the link.
    Closed,
    /// A heartbeat of the transport, or the answer to one.
    Beat,
    /// A client asks for the server's identity.
    WhoAreYou,
    Name(String),
    /// Of a request, its copy is known; of a ping it is none.
    Ask(Frames, Option<Copied>),
    /// An answer of any kind, and the copy that it refuses.
    Answer(Frames, Option<Copied>),
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Dial => f.write_str("dial")?,
            What::Accepted { misnamed: false } => f.write_str("accepted")?,
            What::Accepted { misnamed: true } => f.write_str("accepted, under another name")?,
            What::Closed => f.write_str("closed")?,
            What::Beat => f.write_str("beat")?,
            What::WhoAreYou => f.write_str("who are you?")?,
            What::Name(name) => write!(f, "I am {name}")?,
            What::Ask(frames, _) | What::Answer(frames, _) => write_frames(f, frames)?,
        }
        write!(
            f,
            " on link {}.{}",
            self.link >> 32,
            self.link & 0xffff_ffff
        )
    }
}

fn write_frames(f: &mut fmt::Formatter<'_>, frames: &Frames) -> fmt::Result {
    for (at, frame) in frames.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { " | " })?;
        match Body::decode(frame) {
            Some(body) => write!(
                f,
                "#{}{}",
                body.number,
                if body.idempotent { "" } else { "!" }
            )?,
            None => f.write_str(&String::from_utf8_lossy(frame))?,
        }
    }
    Ok(())
}
