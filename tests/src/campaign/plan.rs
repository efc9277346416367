//! Which faults there are, and which comes when: all of it from a seed.

use std::time::Duration;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::kind::Kind;
use super::side::Side;

/// Which of the two, by what it does when the fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one that serves.
    Active,
    /// The other one.
    Passive,
}

/// How a state link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutting {
    /// In both directions.
    Both,
    /// What this one says is lost.
    From(Who),
    /// The device is down.
    Down,
}

/// What both servers, once killed, come back as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Both at once.
    Both,
    /// This one, and the other later.
    First(Side),
}

/// What is done to a pair. Each is begun, held, and ended by the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A server is ended, and started again after a while.
    End {
        /// Which.
        who: Who,
        /// By SIGTERM; else by SIGKILL.
        politely: bool,
        /// Until it is started again.
        gone: Duration,
    },
    /// A server is killed and started again, many times.
    Loop {
        /// Which.
        who: Who,
        /// How often.
        times: u32,
        /// How long it is away, and then there, each time at most.
        pause: Duration,
    },
    /// Both are killed.
    EndBoth {
        /// Who comes back.
        back: Return,
        /// How long both are away.
        gone: Duration,
        /// How long the first is alone.
        alone: Duration,
    },
    /// A server is stopped and continued.
    Pause {
        /// Which.
        who: Who,
        /// For how long.
        held: Duration,
    },
    /// The active is asked to hand the service over.
    SwitchOver {
        /// Who is killed right after that, if one is.
        killed: Option<Who>,
        /// How long after.
        after: Duration,
        /// Until that one is started again.
        gone: Duration,
    },
    /// The handler of the active is told to sleep.
    Block {
        /// For how long.
        held: Duration,
    },
    /// The state link is cut.
    Cut {
        /// How.
        cutting: Cutting,
        /// For how long.
        held: Duration,
    },
    /// The pair has two state links, and one of them is cut.
    CutOne {
        /// The second one.
        second: bool,
        /// For how long.
        held: Duration,
    },
    /// Clients do not reach the active.
    CutClients {
        /// For how long.
        held: Duration,
    },
    /// The state link is cut, and the client over both reaches one only.
    Apart {
        /// The one that it reaches.
        reached: Who,
        /// For how long.
        held: Duration,
    },
    /// The state link loses packets.
    Lose {
        /// How many of a hundred.
        percent: u8,
        /// For how long.
        held: Duration,
    },
    /// The state link answers everything with a reset.
    Reset {
        /// For how long.
        held: Duration,
    },
    /// The state link is slow.
    Slow {
        /// Its rate in kbit/s.
        kbit: u32,
        /// For how long.
        held: Duration,
    },
    /// The wall clock of a server jumps.
    Clock {
        /// Whose.
        who: Who,
        /// By so many hours.
        hours: i32,
        /// For how long.
        held: Duration,
    },
    /// The disk that holds the state of both is full, and the active is killed.
    FullDisk {
        /// For how long.
        held: Duration,
    },
    /// One half is a server that speaks only the Guide's wire format, and one half is killed.
    Guide {
        /// Where it runs.
        theirs: Side,
        /// Which half is killed.
        killed: Who,
        /// Until it is started again.
        gone: Duration,
    },
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the plan.
    pub index: u64,
    /// Its own seed.
    pub seed: u64,
    /// Its kind.
    pub kind: Kind,
    /// What is done.
    pub action: Action,
    /// Who is active when it begins.
    pub active: Side,
    /// How long the pair serves before it begins: it may come at any time between two heartbeats.
    pub lead: Duration,
}

impl Fault {
    /// Whether the fault itself keeps this server from running.
    #[must_use]
    pub fn halts(&self, side: Side) -> bool {
        match self.action {
            Action::Pause { who, .. } => self.side(who) == side,
            Action::Block { .. } => self.active == side,
            Action::End { .. }
            | Action::Loop { .. }
            | Action::EndBoth { .. }
            | Action::SwitchOver { .. }
            | Action::Cut { .. }
            | Action::CutOne { .. }
            | Action::CutClients { .. }
            | Action::Apart { .. }
            | Action::Lose { .. }
            | Action::Reset { .. }
            | Action::Slow { .. }
            | Action::Clock { .. }
            | Action::FullDisk { .. }
            | Action::Guide { .. } => false,
        }
    }

    /// Where the one runs that is active or passive when the fault begins.
    #[must_use]
    pub fn side(&self, who: Who) -> Side {
        match who {
            Who::Active => self.active,
            Who::Passive => self.active.other(),
        }
    }
}

/// Every so many decks the long cut is a minute long.
const MINUTE_EVERY: u64 = 6;

/// The faults of a run. All kinds come once in each deck, in an order of its own.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// From which all is drawn.
    pub seed: u64,
    /// The pair's heartbeat, in which most times are counted.
    pub heartbeat: Duration,
}

impl Plan {
    /// The fault at a place: it does not depend on how many there are.
    #[must_use]
    pub fn fault(&self, index: u64) -> Fault {
        let kind = self.kind(index);
        let seed = mixed(self.seed, index);
        let mut chance = Chance {
            numbers: SplitMix64::seed_from_u64(seed),
            heartbeat: self.heartbeat,
        };
        let active = chance.either(Side::A, Side::B);
        let lead = chance.heartbeats(4.0, 5.0);
        Fault {
            index,
            seed,
            kind,
            action: chance.action(kind),
            active,
            lead,
        }
    }

    fn kind(&self, index: u64) -> Kind {
        let mut deck: Vec<Kind> = Kind::ALL.to_vec();
        deck.retain(|kind| *kind != Kind::CutMinute);
        let size = deck.len() as u64;
        let number = index / size;
        let mut numbers = SplitMix64::seed_from_u64(mixed(!self.seed, number));
        for last in (1..deck.len()).rev() {
            deck.swap(last, below(&mut numbers, last as u64 + 1) as usize);
        }
        match deck[(index % size) as usize] {
            Kind::CutLong if number % MINUTE_EVERY == MINUTE_EVERY - 1 => Kind::CutMinute,
            kind => kind,
        }
    }
}

fn mixed(seed: u64, index: u64) -> u64 {
    let stream = SplitMix64::seed_from_u64(index).next_u64();
    SplitMix64::seed_from_u64(seed ^ stream).next_u64()
}

fn below(numbers: &mut SplitMix64, end: u64) -> u64 {
    let product = u128::from(numbers.next_u64()) * u128::from(end);
    // The upper half of a product with `end` is below `end`.
    (product >> 64) as u64
}

struct Chance {
    numbers: SplitMix64,
    heartbeat: Duration,
}

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        below(&mut self.numbers, end)
    }

    fn either<T>(&mut self, one: T, other: T) -> T {
        if self.below(2) == 0 { one } else { other }
    }

    fn who(&mut self) -> Who {
        self.either(Who::Active, Who::Passive)
    }

    /// A time between so many heartbeats; short ones are as likely as long ones, by their
    /// logarithm, since what is delicate happens around a few heartbeats.
    fn heartbeats(&mut self, least: f64, most: f64) -> Duration {
        let place = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        self.heartbeat.mul_f64(least * (most / least).powf(place))
    }

    fn action(&mut self, kind: Kind) -> Action {
        let end = |who, politely, gone| Action::End {
            who,
            politely,
            gone,
        };
        match kind {
            Kind::KillActive => end(Who::Active, false, self.heartbeats(4.0, 12.0)),
            Kind::KillPassive => end(Who::Passive, false, self.heartbeats(0.2, 12.0)),
            Kind::TermActive => end(Who::Active, true, self.heartbeats(0.2, 12.0)),
            Kind::TermPassive => end(Who::Passive, true, self.heartbeats(0.2, 12.0)),
            Kind::RestartActiveWithin => end(Who::Active, false, self.heartbeats(0.05, 1.5)),
            Kind::RestartActivePast => end(Who::Active, false, self.heartbeats(2.0, 6.0)),
            Kind::RestartPassive => end(Who::Passive, false, self.heartbeats(0.05, 4.0)),
            Kind::RestartLoop => Action::Loop {
                who: self.who(),
                times: 3 + self.below(4) as u32,
                pause: self.heartbeats(0.5, 4.0),
            },
            Kind::KillBothReturnBoth => self.end_both(Return::Both),
            Kind::KillBothPrimaryAlone => self.end_both(Return::First(Side::A)),
            Kind::KillBothBackupAlone => self.end_both(Return::First(Side::B)),
            Kind::PauseActiveShort => self.pause(Who::Active, 0.1, 2.0),
            Kind::PauseActiveLong => self.pause(Who::Active, 2.0, 40.0),
            Kind::PausePassiveShort => self.pause(Who::Passive, 0.1, 2.0),
            Kind::PausePassiveLong => self.pause(Who::Passive, 2.0, 40.0),
            Kind::SwitchOver => self.switch_over(None),
            Kind::SwitchOverKill => {
                let killed = self.who();
                self.switch_over(Some(killed))
            }
            Kind::Block => Action::Block {
                held: self.heartbeat * 6,
            },
            Kind::CutShort => self.cut(Cutting::Both, 0.2, 2.0),
            Kind::CutLong => self.cut(Cutting::Both, 2.0, 60.0),
            Kind::CutMinute => Action::Cut {
                cutting: Cutting::Both,
                held: Duration::from_secs(60),
            },
            Kind::MuteActive => self.cut(Cutting::From(Who::Active), 1.0, 30.0),
            Kind::DeafActive => self.cut(Cutting::From(Who::Passive), 1.0, 30.0),
            Kind::LinkDown => self.cut(Cutting::Down, 0.5, 30.0),
            Kind::CutOne => Action::CutOne {
                second: self.either(false, true),
                held: self.heartbeats(2.0, 40.0),
            },
            Kind::CutClients => Action::CutClients {
                held: self.heartbeats(2.0, 20.0),
            },
            Kind::IslandsApart => Action::Apart {
                reached: self.who(),
                held: self.heartbeats(3.0, 40.0),
            },
            Kind::LoseSome => self.lose(10),
            Kind::LoseMany => self.lose(30),
            Kind::Resets => Action::Reset {
                held: self.heartbeats(1.0, 20.0),
            },
            Kind::Slow => Action::Slow {
                kbit: 8 << self.below(5),
                held: self.heartbeats(10.0, 40.0),
            },
            Kind::Clock => Action::Clock {
                who: self.who(),
                hours: self.either(1, -1) * (1 + self.below(48) as i32),
                held: self.heartbeats(6.0, 12.0),
            },
            Kind::FullDisk => Action::FullDisk {
                held: self.heartbeats(4.0, 12.0),
            },
            Kind::GuidePrimary => self.guide(Side::A),
            Kind::GuideBackup => self.guide(Side::B),
        }
    }

    fn end_both(&mut self, back: Return) -> Action {
        Action::EndBoth {
            back,
            gone: self.heartbeats(0.5, 6.0),
            alone: self.heartbeats(4.0, 10.0),
        }
    }

    fn switch_over(&mut self, killed: Option<Who>) -> Action {
        Action::SwitchOver {
            killed,
            after: self.heartbeats(0.001, 1.0),
            gone: self.heartbeats(4.0, 12.0),
        }
    }

    fn pause(&mut self, who: Who, least: f64, most: f64) -> Action {
        let held = self.heartbeats(least, most);
        Action::Pause { who, held }
    }

    fn cut(&mut self, cutting: Cutting, least: f64, most: f64) -> Action {
        let held = self.heartbeats(least, most);
        Action::Cut { cutting, held }
    }

    fn lose(&mut self, percent: u8) -> Action {
        let held = self.heartbeats(10.0, 40.0);
        Action::Lose { percent, held }
    }

    fn guide(&mut self, theirs: Side) -> Action {
        Action::Guide {
            theirs,
            killed: self.who(),
            gone: self.heartbeats(4.0, 12.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PLAN: Plan = Plan {
        seed: 7,
        heartbeat: Duration::from_millis(50),
    };

    fn counts(faults: u64) -> HashMap<Kind, u64> {
        let mut counts = HashMap::new();
        for index in 0..faults {
            *counts.entry(PLAN.fault(index).kind).or_default() += 1;
        }
        counts
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = |plan: Plan| (0..200).map(|index| plan.fault(index)).collect::<Vec<_>>();
        assert_eq!(faults(PLAN), faults(PLAN));
        let other = faults(Plan { seed: 8, ..PLAN });
        let same = faults(PLAN)
            .into_iter()
            .zip(other)
            .filter(|(a, b)| a.action == b.action);
        assert!(same.count() < 100);
    }

    #[test]
    fn all_kinds_come_equally_often() {
        let deck = Kind::ALL.len() as u64 - 1;
        for (decks, expected) in [(1, 1), (5, 5)] {
            let counts = counts(deck * decks);
            assert_eq!(
                counts.len() as u64,
                deck,
                "a minute is not in the first decks"
            );
            assert!(
                counts.values().all(|count| *count == expected),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_few_cuts_last_a_minute() {
        let deck = Kind::ALL.len() as u64 - 1;
        let counts = counts(deck * MINUTE_EVERY * 2);
        assert_eq!(counts[&Kind::CutMinute], 2);
        assert_eq!(counts[&Kind::CutLong], 2 * (MINUTE_EVERY - 1));
    }

    #[test]
    fn decks_differ_in_their_order() {
        let deck = Kind::ALL.len() as u64 - 1;
        let order = |number| (0..deck).map(move |at| PLAN.fault(number * deck + at).kind);
        assert!(order(0).ne(order(1)));
    }

    #[test]
    fn a_pause_that_is_brief_is_never_long() {
        let pauses = (0..2000)
            .map(|index| PLAN.fault(index))
            .filter_map(|fault| match (fault.kind, fault.action) {
                (Kind::PauseActiveShort, Action::Pause { held, .. }) => Some(held),
                _ => None,
            });
        let most = pauses.max().expect("there are some");
        assert!(most <= PLAN.heartbeat * 2 && most > PLAN.heartbeat);
    }
}
