//! What the two nodes say to each other: bytes to checked values, once, at the edge.
//!
//! A message has one frame, the state as an ASCII digit, as in the Guide's chapter 4. When every
//! subscriber has also subscribed to [`METADATA_TOPIC`], a second frame of text follows:
//!
//! ```text
//! bstar/1 pair=bstar role=primary inc=00f1c2d3e4a5b697 epoch=3 heard=none timeout=2000
//! ```
//!
//! Keys that are not known are ignored, so that a later version may say more.

use std::fmt;
use std::str;
use std::time::Duration;

use super::config::{MAX_TIMEOUT, PairId};
use super::table::{Role, State};

/// Who subscribes to this can read a second frame.
pub const METADATA_TOPIC: &[u8] = b"bstar/1";
/// The largest second frame that is read, in bytes.
pub const MAX_METADATA_BYTES: usize = 512;
/// The largest epoch that is believed: it leaves room to count on.
pub const MAX_EPOCH: u64 = 1 << 62;

/// A state as the peer sees it: one ASCII digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Announced {
    /// `1` or `2`: a node of this role in its initial state, or resigned.
    Initial(Role),
    /// `3`.
    Active,
    /// `4`.
    Passive,
}

impl Announced {
    /// What a node of this role announces in this state.
    pub fn of(role: Role, state: State) -> Announced {
        match state {
            State::Initial | State::Resigned => Announced::Initial(role),
            State::Active => Announced::Active,
            State::Passive => Announced::Passive,
        }
    }

    /// The digit of the Guide's wire format.
    pub fn digit(self) -> u8 {
        match self {
            Announced::Initial(Role::Primary) => b'1',
            Announced::Initial(Role::Backup) => b'2',
            Announced::Active => b'3',
            Announced::Passive => b'4',
        }
    }

    fn from_digit(digit: u8) -> Option<Announced> {
        match digit {
            b'1' => Some(Announced::Initial(Role::Primary)),
            b'2' => Some(Announced::Initial(Role::Backup)),
            b'3' => Some(Announced::Active),
            b'4' => Some(Announced::Passive),
            _ => None,
        }
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Announced::Initial(role) => role.fmt(f),
            Announced::Active => f.write_str("active"),
            Announced::Passive => f.write_str("passive"),
        }
    }
}

/// What a node says of its own ears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// Nothing from its peer within the peer timeout.
    Nothing,
    /// Only digits.
    Bare,
    /// A peer of this incarnation.
    Incarnation(u64),
}

/// What a second frame says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The pair that the sender belongs to.
    pub pair: PairId,
    /// The sender's role, also when its digit does not tell.
    pub role: Role,
    /// A number that the sender drew when it started.
    pub incarnation: u64,
    /// The sender's epoch if it is active, else the highest that it has seen.
    pub epoch: u64,
    /// What the sender hears.
    pub heard: Heard,
    /// The sender's peer timeout.
    pub timeout: Duration,
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bstar/1 pair={} role={} inc={:016x} epoch={} heard=",
            self.pair, self.role, self.incarnation, self.epoch
        )?;
        match self.heard {
            Heard::Nothing => f.write_str("none")?,
            Heard::Bare => f.write_str("bare")?,
            Heard::Incarnation(inc) => write!(f, "{inc:016x}")?,
        }
        write!(f, " timeout={}", self.timeout.as_millis())
    }
}

/// One message on the state channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// Frame 0.
    pub state: Announced,
    /// Frame 1, when there is one.
    pub metadata: Option<Metadata>,
}

/// A message that means nothing: it is counted and dropped, and is no sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state announcement")]
pub struct Garbage;

impl Announcement {
    /// Reads a message of one or two frames.
    pub fn parse<F: AsRef<[u8]>>(frames: &[F]) -> Result<Announcement, Garbage> {
        let (state, metadata) = match frames {
            [state] => (state, None),
            [state, metadata] => (state, Some(parse_metadata(metadata.as_ref())?)),
            _ => return Err(Garbage),
        };
        let &[digit] = state.as_ref() else {
            return Err(Garbage);
        };
        let state = Announced::from_digit(digit).ok_or(Garbage)?;
        Ok(Announcement { state, metadata })
    }
}

fn parse_metadata(bytes: &[u8]) -> Result<Metadata, Garbage> {
    if bytes.len() > MAX_METADATA_BYTES {
        return Err(Garbage);
    }
    let text = str::from_utf8(bytes).map_err(|_| Garbage)?;
    let mut words = text.split(' ');
    if words.next() != str::from_utf8(METADATA_TOPIC).ok() {
        return Err(Garbage);
    }
    let (mut pair, mut role, mut incarnation) = (None, None, None);
    let (mut epoch, mut heard, mut timeout) = (None, None, None);
    for word in words {
        let (key, value) = word.split_once('=').ok_or(Garbage)?;
        match key {
            "pair" => once(&mut pair, PairId::new(value).ok())?,
            "role" => once(&mut role, parse_role(value))?,
            "inc" => once(&mut incarnation, parse_hex(value))?,
            "epoch" => once(&mut epoch, parse_decimal(value).filter(|e| *e <= MAX_EPOCH))?,
            "heard" => once(&mut heard, parse_heard(value))?,
            "timeout" => once(&mut timeout, parse_timeout(value))?,
            _ => {}
        }
    }
    Ok(Metadata {
        pair: pair.ok_or(Garbage)?,
        role: role.ok_or(Garbage)?,
        incarnation: incarnation.ok_or(Garbage)?,
        epoch: epoch.ok_or(Garbage)?,
        heard: heard.ok_or(Garbage)?,
        timeout: timeout.ok_or(Garbage)?,
    })
}

/// A key may stand once, and its value must have parsed.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), Garbage> {
    if slot.is_some() || value.is_none() {
        return Err(Garbage);
    }
    *slot = value;
    Ok(())
}

fn parse_role(value: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.to_string() == value)
}

fn parse_heard(value: &str) -> Option<Heard> {
    match value {
        "none" => Some(Heard::Nothing),
        "bare" => Some(Heard::Bare),
        hex => parse_hex(hex).map(Heard::Incarnation),
    }
}

fn parse_hex(value: &str) -> Option<u64> {
    let fits = value.len() == 16 && value.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(value, 16).ok())?
}

/// Digits alone: `u64::from_str` would take a sign too.
fn parse_decimal(value: &str) -> Option<u64> {
    value
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| value.parse().ok())?
}

fn parse_timeout(value: &str) -> Option<Duration> {
    let timeout = Duration::from_millis(parse_decimal(value)?);
    (!timeout.is_zero() && timeout <= MAX_TIMEOUT).then_some(timeout)
}

/// Who listens, counted from the subscription messages that an XPUB hands up when it is told to
/// be verbose about both subscribing and unsubscribing.
///
/// A message goes to every subscriber whose subscription fits its first frame, so it cannot have
/// a second frame for one and not for another: it has one only while all have asked for it. A
/// subscriber that asks twice over one connection is counted twice and leaves once; ours asks
/// once, and the error is on the side of the bare digit for whoever asks for digits twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subscribers {
    digits: u32,
    metadata: u32,
}

impl Subscribers {
    /// Takes one message that the XPUB handed up. True when somebody new listens, and so should
    /// hear the state now.
    pub fn handle(&mut self, message: &[u8]) -> bool {
        let (subscribes, topic) = match message {
            [1, topic @ ..] => (true, topic),
            [0, topic @ ..] => (false, topic),
            _ => return false,
        };
        let count = match topic {
            [] | [b'1'..=b'4'] => &mut self.digits,
            METADATA_TOPIC => &mut self.metadata,
            _ => return false,
        };
        *count = if subscribes {
            count.saturating_add(1)
        } else {
            count.saturating_sub(1)
        };
        subscribes
    }

    /// Whether a second frame may be sent.
    pub fn all_read_metadata(&self) -> bool {
        self.metadata > 0 && self.metadata >= self.digits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            pair: PairId::default(),
            role: Role::Primary,
            incarnation: 0xf1c2_d3e4_a5b6_97ff,
            epoch: 3,
            heard: Heard::Nothing,
            timeout: Duration::from_secs(2),
        }
    }

    #[test]
    fn a_digit_alone_is_the_guides_message() {
        for (digit, state) in [
            ("1", Announced::Initial(Role::Primary)),
            ("2", Announced::Initial(Role::Backup)),
            ("3", Announced::Active),
            ("4", Announced::Passive),
        ] {
            assert_eq!(
                Announcement::parse(&[digit]),
                Ok(Announcement {
                    state,
                    metadata: None
                })
            );
            assert_eq!(state.digit(), digit.as_bytes()[0]);
        }
    }

    #[test]
    fn b06_noise_is_not_a_state() {
        let none: [&[u8]; 0] = [];
        assert_eq!(Announcement::parse(&none), Err(Garbage));
        for noise in [
            "",
            "0",
            "5",
            "3x",
            " 3",
            "3 ",
            "33",
            "+3",
            "active",
            "\u{33}\u{0}",
        ] {
            assert_eq!(Announcement::parse(&[noise]), Err(Garbage), "{noise:?}");
        }
        assert_eq!(Announcement::parse(&["3", "3"]), Err(Garbage));
        assert_eq!(Announcement::parse(&["3", ""]), Err(Garbage));
        let right = metadata().to_string();
        assert_eq!(Announcement::parse(&["3", &right, ""]), Err(Garbage));
        assert_eq!(Announcement::parse(&["5", &right]), Err(Garbage));
    }

    #[test]
    fn metadata_that_is_not_whole_is_dropped() {
        let right = metadata().to_string();
        assert!(Announcement::parse(&["3", &right]).is_ok());
        for (from, to) in [
            ("bstar/1", "bstar/2"),
            ("pair=bstar ", ""),
            ("epoch=3", "epoch=-3"),
            ("epoch=3", "epoch=18446744073709551615"),
            ("epoch=3", "epoch=3 epoch=3"),
            ("timeout=2000", "timeout=0"),
            ("timeout=2000", "timeout=600001"),
            ("heard=none", "heard=f1c2"),
            ("role=primary", "role=Primary"),
            ("role=primary", "role"),
        ] {
            let wrong = right.replace(from, to);
            assert_ne!(wrong, right);
            assert_eq!(Announcement::parse(&["3", &wrong]), Err(Garbage), "{wrong}");
        }
    }

    #[test]
    fn unknown_keys_are_ignored() {
        let more = format!("{} priority=9 mood=", metadata());
        let read = Announcement::parse(&["3", &more]).unwrap();
        assert_eq!(read.metadata, Some(metadata()));
    }

    #[test]
    fn a_second_frame_needs_every_subscriber() {
        let mut subscribers = Subscribers::default();
        assert!(!subscribers.all_read_metadata());
        assert!(subscribers.handle(b"\x01"));
        assert!(!subscribers.all_read_metadata());
        assert!(subscribers.handle(b"\x01bstar/1"));
        assert!(subscribers.all_read_metadata());
        assert!(
            subscribers.handle(b"\x013"),
            "somebody wants to know of the active alone"
        );
        assert!(!subscribers.all_read_metadata());
        assert!(!subscribers.handle(b"\x003"));
        assert!(subscribers.all_read_metadata());
        assert!(!subscribers.handle(b"\x01other"));
        assert!(!subscribers.handle(b""));
        assert!(!subscribers.handle(b"noise"));
        assert!(subscribers.all_read_metadata());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(inc: u64, epoch in 0..=MAX_EPOCH, heard in prop_oneof![
            Just(Heard::Nothing), Just(Heard::Bare), any::<u64>().prop_map(Heard::Incarnation),
        ]) {
            let sent = Metadata { incarnation: inc, epoch, heard, ..metadata() };
            let read = Announcement::parse(&["4", &sent.to_string()]).unwrap();
            prop_assert_eq!(read.metadata, Some(sent));
        }

        #[test]
        fn no_bytes_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..4)) {
            let _ = Announcement::parse(&frames);
        }

        #[test]
        fn nearly_right_metadata_does_not_panic(at in 0usize..90, byte: u8) {
            let mut bytes = metadata().to_string().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Announcement::parse(&[&b"3"[..], &bytes]);
        }
    }
}
