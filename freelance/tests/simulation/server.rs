//! A server as clients meet it: well, or in one of the moods that servers have.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use freelance::Model;
use reactor::sim::{self, HostId, Life, ms};

use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::packet::{Copied, Frames, Packet, What};

/// Requests that a server keeps; more are refused.
const MAX_WAITING: usize = 32;

/// How a server is, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It answers pings, and drops requests.
    Mute,
    /// It executes requests, and their replies are lost.
    Dumb,
    /// Its link stands, and it answers nothing at all.
    Deaf,
    /// An answer takes longer than clients wait for one.
    Slow,
    /// It takes no request, and says so.
    Full,
    /// It answers each request twice, and earlier ones again.
    Echoing,
    /// What it says is no answer to anything that was asked.
    Raving,
    /// It ends its link at each request, executed or not.
    Dropping,
    /// Who dials it does not find it by the name that was dialled.
    Misnamed,
}

struct Job {
    from: HostId,
    link: u64,
    frames: Frames,
    copied: Copied,
}

pub(crate) struct ServerNode {
    host: HostId,
    model: Model,
    mood: Mood,
    mood_until: Option<Instant>,
    /// What waits; the first is worked on.
    jobs: VecDeque<Job>,
    done_at: Option<Instant>,
    /// The last answer that left, to be said again when it is out of place.
    last_answer: Option<(HostId, u64, Frames)>,
    serials: HashSet<(HostId, u64)>,
    /// The last link of each client.
    links: BTreeMap<HostId, u64>,
    dice: Dice,
    ledger: Ledger,
    outputs: VecDeque<sim::Output<Packet>>,
}

impl ServerNode {
    pub(crate) fn new(model: Model, life: Life, ledger: Ledger) -> Self {
        Self {
            host: life.host,
            model,
            mood: Mood::Well,
            mood_until: None,
            jobs: VecDeque::new(),
            done_at: None,
            last_answer: None,
            serials: HashSet::new(),
            links: BTreeMap::new(),
            dice: Dice::new(life.random),
            ledger,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn set_mood(&mut self, mood: Mood, lasts: Duration, now: Instant) {
        self.mood = mood;
        self.mood_until = Some(now + lasts);
        if mood == Mood::Misnamed {
            // As when it was started anew under another name.
            for (client, link) in std::mem::take(&mut self.links) {
                self.say(client, link, What::Closed);
            }
        }
    }

    pub(crate) fn die(&mut self) {
        self.outputs.push_back(sim::Output::Exit("for good".into()));
    }

    pub(crate) fn handle_packet(&mut self, from: HostId, packet: Packet, now: Instant) {
        if !self.serials.insert((from, packet.serial)) {
            return;
        }
        let link = packet.link;
        match packet.what {
            What::Dial => {
                let misnamed = self.mood == Mood::Misnamed;
                self.links.insert(from, link);
                self.say(from, link, What::Accepted { misnamed });
            }
            What::Beat => self.say(from, link, What::Beat),
            What::WhoAreYou => self.say(from, link, What::Name("tcp://other:1".into())),
            What::Ask(_, None) if self.mood == Mood::Deaf => {}
            What::Ask(_, None) => self.answer(from, link, vec![b"PONG".to_vec()], None),
            What::Ask(frames, Some(copied)) => {
                let job = Job {
                    from,
                    link,
                    frames,
                    copied,
                };
                self.take(job, now);
            }
            What::Accepted { .. } | What::Closed | What::Name(_) | What::Answer(..) => {
                unreachable!("clients say no such thing")
            }
        }
    }

    fn take(&mut self, job: Job, now: Instant) {
        self.ledger.received(self.host);
        match self.mood {
            Mood::Mute | Mood::Deaf => {}
            Mood::Raving => self.rave(&job),
            Mood::Full => self.refuse(&job, b"fl-no full"),
            Mood::Dropping => {
                if self.dice.happens(50) {
                    self.ledger.executed(job.copied.body);
                }
                self.say(job.from, job.link, What::Closed);
            }
            Mood::Well | Mood::Dumb | Mood::Slow | Mood::Echoing | Mood::Misnamed => {
                if self.jobs.len() >= MAX_WAITING {
                    self.refuse(&job, b"fl-no full");
                    return;
                }
                self.jobs.push_back(job);
                if self.done_at.is_none() {
                    self.begin(now);
                }
            }
        }
    }

    fn begin(&mut self, now: Instant) {
        let takes = match self.mood {
            Mood::Slow => self.dice.ms(50, 400),
            _ => self.dice.ms(1, 3),
        };
        self.done_at = (!self.jobs.is_empty()).then(|| now + takes);
    }

    /// Ends the job that is worked on.
    fn finish(&mut self, now: Instant) {
        let Some(job) = self.jobs.pop_front() else {
            return;
        };
        self.ledger.executed(job.copied.body);
        if self.mood == Mood::Echoing
            && let Some((from, link, frames)) = self.last_answer.clone()
        {
            self.answer(from, link, frames, None);
        }
        if self.mood != Mood::Dumb {
            let mut frames = self.envelope(&job);
            frames.extend(job.frames.last().cloned());
            self.last_answer = Some((job.from, job.link, frames.clone()));
            self.answer(job.from, job.link, frames.clone(), None);
            if self.mood == Mood::Echoing {
                self.answer(job.from, job.link, frames, None);
            }
        }
        self.begin(now);
    }

    /// What stands before the body of an answer.
    fn envelope(&self, job: &Job) -> Frames {
        let frames = match self.model {
            Model::One => 2,
            Model::Two => 3,
            Model::Three => 1,
        };
        job.frames[..frames].to_vec()
    }

    fn refuse(&mut self, job: &Job, word: &[u8]) {
        let frames = match self.model {
            Model::One | Model::Two => 2,
            Model::Three => 1,
        };
        let mut frames = job.frames[..frames].to_vec();
        frames.push(word.to_vec());
        self.answer(job.from, job.link, frames, Some(job.copied));
    }

    fn rave(&mut self, job: &Job) {
        let mut frames = self.envelope(job);
        let envelope = frames.len();
        frames.extend(job.frames.last().cloned());
        let control = &mut frames[0];
        match self.dice.below(6) {
            // Another nonce, an attempt that was never made, no control frame at all.
            0 => control[6] ^= 1,
            1 => control.extend(b"7"),
            2 => control.truncate(3),
            3 => frames.clear(),
            4 => frames = vec![b"PONG".to_vec(), b"PONG".to_vec()],
            // An envelope alone is no reply in any model.
            _ => frames.truncate(envelope),
        }
        self.answer(job.from, job.link, frames, None);
    }

    fn answer(&mut self, to: HostId, link: u64, frames: Frames, refuses: Option<Copied>) {
        self.say(to, link, What::Answer(frames, refuses));
    }

    fn say(&mut self, to: HostId, link: u64, what: What) {
        let message = Packet {
            link,
            serial: 0,
            what,
        };
        self.outputs.push_back(sim::Output::Send { to, message });
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.mood_until.is_some_and(|until| until <= now) {
            self.mood = Mood::Well;
            self.mood_until = None;
        }
        if self.done_at.is_some_and(|at| at <= now) {
            self.finish(now);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.done_at.into_iter().chain(self.mood_until).min()
    }

    pub(crate) fn poll_output(&mut self) -> Option<sim::Output<Packet>> {
        self.outputs.pop_front()
    }
}

/// The moods that come over servers, and for how long at most: then all is well again.
pub(crate) const MOODS: [Mood; 9] = [
    Mood::Mute,
    Mood::Dumb,
    Mood::Deaf,
    Mood::Slow,
    Mood::Full,
    Mood::Echoing,
    Mood::Raving,
    Mood::Dropping,
    Mood::Misnamed,
];
pub(crate) const LONGEST_MOOD: Duration = ms(1000);
