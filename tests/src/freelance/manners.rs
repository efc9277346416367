//! What a server of a given behaviour does with a request.

use std::collections::VecDeque;
use std::time::Duration;

use super::Behaviour;
use super::noise::Noise;
use super::request::{Frames, Request};

/// Replies that are kept to be said again.
const MOST_KEPT: usize = 64;

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Say these messages.
    Say(Vec<Frames>),
    /// Say this one after a while.
    SayLater(Duration, Frames),
    /// Close the socket, and be away for a while.
    Die(Duration),
}

/// A behaviour, and what it remembers.
pub(super) struct Manners {
    behaviour: Behaviour,
    noise: Noise,
    /// Requests in this life.
    taken: usize,
    kept: VecDeque<Frames>,
}

impl Manners {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            noise: Noise::new(),
            taken: 0,
            kept: VecDeque::new(),
        }
    }

    /// A new life begins.
    pub(super) fn is_born(&mut self) {
        self.taken = 0;
    }

    /// Takes a request.
    pub(super) fn take(&mut self, request: &Request) -> Deed {
        self.taken += 1;
        match self.behaviour {
            Behaviour::Good => Deed::Say(vec![request.reply()]),
            Behaviour::Mute => Deed::Say(Vec::new()),
            Behaviour::DropTwoOfThree if !self.taken.is_multiple_of(3) => Deed::Say(Vec::new()),
            Behaviour::DropTwoOfThree => Deed::Say(vec![request.reply()]),
            Behaviour::WrongControl => Deed::Say(vec![self.misdirected(request)]),
            Behaviour::WrongBody => {
                let mut reply = request.reply();
                reply.pop();
                reply.push(b"what nobody asked".to_vec());
                Deed::Say(vec![reply])
            }
            Behaviour::Garbage => {
                let noise = self.noise.frames();
                Deed::Say(vec![self.noise.mangled(request), request.say(noise)])
            }
            Behaviour::DuplicatesAndStale => Deed::Say(self.repeated(request)),
            Behaviour::Slow(time) => Deed::SayLater(time, request.reply()),
            Behaviour::DiesMidway { after, away } if self.taken > after => Deed::Die(away),
            Behaviour::DiesMidway { .. } => Deed::Say(vec![request.reply()]),
            Behaviour::Dead | Behaviour::Unreadable | Behaviour::OtherProtocol => {
                unreachable!("{:?} reads no requests", self.behaviour)
            }
        }
    }

    /// What is said without being asked, to whoever is connected.
    pub(super) fn unasked(&mut self) -> Option<Frames> {
        (self.behaviour == Behaviour::Garbage).then(|| self.noise.frames())
    }

    /// The right body under a control frame that is not this request's, nor any other's: a client
    /// could not tell the latter from a right answer to the other request.
    fn misdirected(&mut self, request: &Request) -> Frames {
        let turn = self.taken;
        let mut envelope = request.envelope.clone();
        let mut sequence = request.sequence.clone();
        // What tells requests apart: a plain client of model 1 sends nothing that does, and gets
        // a frame too many.
        let place = match &mut sequence {
            Some(sequence) if turn.is_multiple_of(2) || envelope.len() == 1 => sequence,
            _ => {
                if envelope[0].is_empty() {
                    envelope.insert(0, b"0".to_vec());
                }
                &mut envelope[0]
            }
        };
        *place = match turn % 3 {
            0 => {
                let size = place.len().max(1);
                self.noise.bytes(size)
            }
            1 => one_digit_changed(place),
            _ => of_another_sequence(place),
        };
        request.answer(envelope, sequence)
    }

    /// The reply three times, and some of the earlier ones.
    fn repeated(&mut self, request: &Request) -> Vec<Frames> {
        let reply = request.reply();
        let mut all = Vec::new();
        for _ in 0..3 {
            if let Some(stale) = self.any_kept() {
                all.push(stale);
            }
            all.push(reply.clone());
        }
        self.kept.push_back(reply);
        if self.kept.len() > MOST_KEPT {
            self.kept.pop_front();
        }
        all
    }

    fn any_kept(&mut self) -> Option<Frames> {
        let count = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        let place = self.noise.number().checked_rem(count)?;
        self.kept.get(usize::try_from(place).ok()?).cloned()
    }
}

/// Another frame of the same shape: its first digit in the nonce of a client of ours, or the
/// lowest bit where there is no such digit.
fn one_digit_changed(frame: &[u8]) -> Vec<u8> {
    let mut changed = frame.to_vec();
    let place = if frame.starts_with(b"fl/1 ") { 5 } else { 0 };
    match changed.get_mut(place) {
        Some(digit @ (b'0'..=b'8' | b'a'..=b'e')) => *digit += 1,
        Some(digit @ (b'9' | b'f')) => *digit -= 1,
        Some(byte) => *byte ^= 1,
        None => changed.push(b'1'),
    }
    changed
}

/// A frame like those of the same client, of a request that it has not made by far.
fn of_another_sequence(frame: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(frame);
    let words: Vec<&str> = text.split(' ').collect();
    let far = |number: &str| format!("{number}000000");
    match words.as_slice() {
        [name, nonce, number, attempt] => {
            format!("{name} {nonce} {} {attempt}", far(number)).into_bytes()
        }
        [number] if number.bytes().all(|byte| byte.is_ascii_digit()) => far(number).into_bytes(),
        _ => frame.iter().map(|byte| !byte).collect(),
    }
}
