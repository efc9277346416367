//! What the two nodes say to each other: bytes to checked values, once, at the edge.
//!
//! A message has one frame, the state as an ASCII digit, as in the Guide's chapter 4. When every
//! subscriber has also subscribed to [`METADATA_TOPIC`], a second frame of text follows:
//!
//! ```text
//! bstar/1 pair=bstar role=primary inc=00f1c2d3e4a5b697 epoch=3 heard=none timeout=2000
//! ```
//!
//! Behind these stand, while they hold, `offer=N` (an active hands the service over), `ready=N` or
//! `veto=N` (what its passive peer says to that), `wants=1` (a passive primary would fail back) and
//! `maintenance=1`. Keys that are not known are ignored, so that a later version may say more.

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
            State::Active | State::Draining => Announced::Active,
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

/// What a passive node says to an offer of the service, and to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfferAnswer {
    /// It can take the service over.
    Ready(u64),
    /// It cannot, or will not.
    Veto(u64),
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
    /// The number of the offer by which the sender hands the service over.
    pub offer: Option<u64>,
    /// What the sender says to the offer that it heard.
    pub answer: Option<OfferAnswer>,
    /// Whether the sender asks for the service.
    pub wants: bool,
    /// Whether the sender takes nothing over by itself.
    pub maintenance: bool,
    /// The number of this word among the sender's, if it has two state links: it grows within one
    /// incarnation.
    pub seq: Option<u64>,
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
        write!(f, " timeout={}", self.timeout.as_millis())?;
        if let Some(offer) = self.offer {
            write!(f, " offer={offer}")?;
        }
        match self.answer {
            Some(OfferAnswer::Ready(offer)) => write!(f, " ready={offer}")?,
            Some(OfferAnswer::Veto(offer)) => write!(f, " veto={offer}")?,
            None => {}
        }
        if self.wants {
            f.write_str(" wants=1")?;
        }
        if self.maintenance {
            f.write_str(" maintenance=1")?;
        }
        self.seq.map_or(Ok(()), |seq| write!(f, " seq={seq}"))
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
    let (mut offer, mut answer, mut wants, mut maintenance) = (None, None, None, None);
    let mut seq = None;
    for word in words {
        let (key, value) = word.split_once('=').ok_or(Garbage)?;
        match key {
            "pair" => once(&mut pair, PairId::new(value).ok())?,
            "role" => once(&mut role, Role::named(value))?,
            "inc" => once(&mut incarnation, parse_hex(value))?,
            "epoch" => once(&mut epoch, parse_decimal(value).filter(|e| *e <= MAX_EPOCH))?,
            "heard" => once(&mut heard, parse_heard(value))?,
            "timeout" => once(&mut timeout, parse_timeout(value))?,
            "offer" => once(&mut offer, parse_decimal(value))?,
            "ready" => once(&mut answer, parse_decimal(value).map(OfferAnswer::Ready))?,
            "veto" => once(&mut answer, parse_decimal(value).map(OfferAnswer::Veto))?,
            "wants" => once(&mut wants, parse_flag(value))?,
            "maintenance" => once(&mut maintenance, parse_flag(value))?,
            "seq" => once(&mut seq, parse_decimal(value))?,
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
        offer,
        answer,
        wants: wants.unwrap_or(false),
        maintenance: maintenance.unwrap_or(false),
        seq,
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

fn parse_flag(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn parse_timeout(value: &str) -> Option<Duration> {
    let timeout = Duration::from_millis(parse_decimal(value)?);
    (!timeout.is_zero() && timeout <= MAX_TIMEOUT).then_some(timeout)
}

/// Who listens, told by the subscription messages that an XPUB hands up when it is told to be
/// verbose about both subscribing and unsubscribing.
///
/// A message goes to every subscriber whose subscription fits its first frame, so it cannot have a
/// second frame for one and not for another: it has one only while all have asked for it.
///
/// Of a connection that ended libzmq says what was subscribed, in one go and in the order of the
/// topics, but not by whom. Then one is forgotten that had subscribed to just that; who it was
/// makes no difference. Where the words do not tell, the error is on the side of the bare digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subscribers {
    listeners: Vec<(Option<u64>, Wants)>,
    /// What one who is gone had subscribed to, as far as it has been said.
    leaving: Option<Wants>,
    /// There were more than are kept: nobody knows any more that all read metadata.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Wants {
    digits: bool,
    metadata: bool,
}

/// A pair has one listener, and perhaps a few that watch.
const MAX_LISTENERS: usize = 256;

impl Subscribers {
    /// Takes one message that the XPUB handed up, and whose it is, if it says so. True when
    /// somebody new listens, and so should hear the state now.
    pub fn handle(&mut self, message: &[u8], connection: Option<u64>) -> bool {
        let (subscribes, topic) = match message {
            [1, topic @ ..] => (true, topic),
            [0, topic @ ..] => (false, topic),
            _ => return false,
        };
        let wants = match topic {
            [] | [b'1'..=b'4'] => Wants {
                digits: true,
                metadata: false,
            },
            METADATA_TOPIC => Wants {
                digits: false,
                metadata: true,
            },
            _ => return false,
        };
        if !subscribes && connection.is_none() {
            self.note_leaving(wants, topic.is_empty());
            return false;
        }
        self.settle();
        if subscribes {
            self.note_subscribed(wants, connection);
        } else {
            for (_, known) in self
                .listeners
                .iter_mut()
                .filter(|(of, _)| *of == connection)
            {
                known.digits &= !wants.digits;
                known.metadata &= !wants.metadata;
            }
        }
        self.listeners
            .retain(|(_, wants)| wants.digits || wants.metadata);
        subscribes
    }

    /// Nothing more waits in the XPUB: what was said of one who is gone was all.
    pub fn settle(&mut self) {
        let Some(gone) = self.leaving.take() else {
            return;
        };
        if let Some(at) = self.listeners.iter().position(|(_, wants)| *wants == gone) {
            self.listeners.remove(at);
        } else if let Some((_, wants)) = self.listeners.iter_mut().find(|(_, w)| w.metadata) {
            // It cannot be told who it was: one that read metadata no longer counts as such.
            wants.metadata = false;
        }
        self.overflowed &= !self.listeners.is_empty();
    }

    /// Whether anyone listens.
    pub fn is_any(&self) -> bool {
        self.overflowed || !self.listeners.is_empty()
    }

    /// Whether a second frame may be sent.
    pub fn all_read_metadata(&self) -> bool {
        let mut readers = self
            .listeners
            .iter()
            .filter(|(_, wants)| wants.digits)
            .peekable();
        !self.overflowed && readers.peek().is_some() && readers.all(|(_, wants)| wants.metadata)
    }

    /// Topics come in their order, so an empty one, or one that was said already, is another's.
    fn note_leaving(&mut self, wants: Wants, first: bool) {
        let another = |gone: Wants| first || gone.metadata;
        if self.leaving.is_some_and(another) {
            self.settle();
        }
        let gone = self.leaving.get_or_insert_default();
        gone.digits |= wants.digits;
        gone.metadata |= wants.metadata;
    }

    /// Adds to what the one of this connection wants, the last of those that had its number. Who cannot be told
    /// apart is one of its own.
    ///
    /// A number is another's as soon as its connection has ended, and that may be told later. So who asks for
    /// what it has already is somebody new.
    fn note_subscribed(&mut self, wants: Wants, connection: Option<u64>) {
        let is_full = self.listeners.len() >= MAX_LISTENERS;
        let mut listeners = self.listeners.iter_mut().rev();
        let last = listeners.find(|(of, _)| connection.is_some() && *of == connection);
        let has = |known: &Wants| known.digits && wants.digits || known.metadata && wants.metadata;
        match last {
            Some((_, known)) if !has(known) => {
                known.digits |= wants.digits;
                known.metadata |= wants.metadata;
            }
            _ if is_full => self.overflowed = true,
            _ => self.listeners.push((connection, wants)),
        }
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
            offer: None,
            answer: None,
            wants: false,
            maintenance: false,
            seq: None,
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
            ("timeout=2000", "timeout=2000 seq=-1"),
            ("timeout=2000", "timeout=2000 seq=1 seq=2"),
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
        let mut all = Subscribers::default();
        assert!(!all.all_read_metadata());
        assert!(all.handle(b"\x01", Some(7)));
        assert!(!all.all_read_metadata());
        assert!(all.handle(b"\x01bstar/1", Some(7)));
        assert!(all.all_read_metadata());
        assert!(
            all.handle(b"\x013", Some(8)),
            "somebody wants to know of the active alone"
        );
        assert!(!all.all_read_metadata());
        assert!(!all.handle(b"\x003", Some(8)));
        assert!(all.all_read_metadata());
        assert!(!all.handle(b"\x01other", Some(9)));
        assert!(!all.handle(b"", Some(9)));
        assert!(!all.handle(b"noise", Some(9)));
        assert!(all.all_read_metadata());
    }

    #[test]
    fn who_asks_for_metadata_alone_does_not_speak_for_a_bare_one() {
        let mut all = Subscribers::default();
        all.handle(b"\x01bstar/1", Some(1));
        all.handle(b"\x01bstar/1", Some(1));
        all.handle(b"\x01", Some(2));
        assert!(!all.all_read_metadata());
        // It goes, and libzmq says once that somebody did.
        all.handle(b"\x00bstar/1", None);
        all.settle();
        assert!(!all.all_read_metadata());
    }

    #[test]
    fn who_subscribed_twice_and_left_is_gone() {
        let mut all = Subscribers::default();
        all.handle(b"\x01", Some(1));
        all.handle(b"\x01bstar/1", Some(1));
        all.handle(b"\x01", Some(2));
        all.handle(b"\x01", Some(2));
        assert!(!all.all_read_metadata());
        all.handle(b"\x00", Some(2));
        assert!(all.all_read_metadata());
    }

    #[test]
    fn who_left_unseen_is_known_by_what_it_had_asked_for() {
        let mut all = Subscribers::default();
        for connection in [1, 2, 3] {
            all.handle(b"\x01", Some(connection));
        }
        all.handle(b"\x01bstar/1", Some(1));
        // A bare one leaves, and another, in one go.
        all.handle(b"\x00", None);
        assert!(!all.all_read_metadata());
        all.handle(b"\x00", None);
        all.settle();
        assert!(all.all_read_metadata());
        // The reader leaves, and a bare one is there.
        all.handle(b"\x01", Some(4));
        all.handle(b"\x00", None);
        all.handle(b"\x00bstar/1", None);
        all.settle();
        assert!(!all.all_read_metadata());
    }

    #[test]
    fn who_left_and_who_has_its_number_by_now_are_two() {
        let mut all = Subscribers::default();
        all.handle(b"\x01", Some(1));
        all.handle(b"\x01bstar/1", Some(1));
        // A peer that dials anew gets the same descriptor, before libzmq has told that the other is gone.
        all.handle(b"\x01", Some(1));
        assert!(!all.all_read_metadata());
        all.handle(b"\x01bstar/1", Some(1));
        assert!(all.all_read_metadata());
        all.handle(b"\x00", None);
        all.handle(b"\x00bstar/1", None);
        all.settle();
        assert!(all.all_read_metadata());
        all.handle(b"\x00", None);
        all.handle(b"\x00bstar/1", None);
        all.settle();
        assert!(!all.is_any());
    }

    #[test]
    fn where_it_cannot_be_told_who_left_all_count_as_bare() {
        let mut all = Subscribers::default();
        all.handle(b"\x01", Some(1));
        all.handle(b"\x01bstar/1", Some(1));
        all.handle(b"\x00bstar/1", None);
        all.settle();
        assert!(!all.all_read_metadata());
    }

    #[test]
    fn too_many_to_know_are_served_digits() {
        let mut all = Subscribers::default();
        for connection in 0..1000 {
            all.handle(b"\x01", Some(connection));
            all.handle(b"\x01bstar/1", Some(connection));
        }
        assert!(!all.all_read_metadata());
        assert!(all.listeners.len() <= MAX_LISTENERS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(inc: u64, epoch in 0..=MAX_EPOCH, seq: Option<u64>, heard in prop_oneof![
            Just(Heard::Nothing), Just(Heard::Bare), any::<u64>().prop_map(Heard::Incarnation),
        ]) {
            let sent = Metadata { incarnation: inc, epoch, heard, seq, ..metadata() };
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
