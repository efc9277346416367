//! Schedules drawn from a seed.

use std::time::Duration;

use super::clock::nanoseconds;
use super::fault::ms;
use super::random::{Random, Stream};
use super::{ConfigError, Fault, HostId, Kind, Schedule, Sim};

/// What may go wrong, how often and how badly: a generator of schedules.
///
/// Every fault that it makes is over at a time after which all is quiet, but [`Fault::Die`] and the effect of
/// [`Fault::ClockStep`], which have no end. Times are whole milliseconds.
#[derive(Clone, Debug)]
pub struct Faults<I> {
    quiet_from: Duration,
    most: usize,
    longest: Duration,
    weights: [u32; Kind::ALL.len()],
    loss_permille: u16,
    duplicate_permille: u16,
    delay: Duration,
    step: Duration,
    drift_ppm: u32,
    inputs: Vec<(u32, HostId, I)>,
}

impl<I: Clone> Faults<I> {
    /// One to ten faults, each of up to a fourth of the time, and all over at `quiet_from`. No kind has a weight yet.
    pub fn new(quiet_from: Duration) -> Self {
        Self {
            quiet_from,
            most: 10,
            longest: quiet_from / 4,
            weights: [0; Kind::ALL.len()],
            loss_permille: 300,
            duplicate_permille: 300,
            delay: ms(1000),
            step: ms(5000),
            drift_ppm: 10_000,
            inputs: Vec::new(),
        }
    }

    /// At most so many faults in a run.
    #[must_use]
    pub fn most(mut self, faults: usize) -> Self {
        self.most = faults;
        self
    }

    /// None lasts longer than this.
    #[must_use]
    pub fn longest(mut self, lasts: Duration) -> Self {
        self.longest = lasts;
        self
    }

    /// How likely a kind is, relative to the others. Inputs get theirs with [`Faults::input`].
    #[must_use]
    pub fn weight(mut self, kind: Kind, weight: u32) -> Self {
        self.weights[kind as usize] = weight;
        self
    }

    /// The same for several kinds.
    #[must_use]
    pub fn weights(self, kinds: impl IntoIterator<Item = (Kind, u32)>) -> Self {
        kinds
            .into_iter()
            .fold(self, |faults, (kind, weight)| faults.weight(kind, weight))
    }

    /// An input that may come once or several times, and how likely it is.
    #[must_use]
    pub fn input(mut self, weight: u32, host: HostId, input: I) -> Self {
        self.inputs.push((weight, host, input));
        self
    }

    /// The highest share of messages that [`Fault::Loss`] loses: 300 of a thousand by default.
    #[must_use]
    pub fn loss_up_to(mut self, permille: u16) -> Self {
        self.loss_permille = permille;
        self
    }

    /// The highest share of messages that [`Fault::Duplicate`] doubles: 300 of a thousand by default.
    #[must_use]
    pub fn duplicates_up_to(mut self, permille: u16) -> Self {
        self.duplicate_permille = permille;
        self
    }

    /// The longest delay, jitter included, of [`Fault::Delay`] and [`Fault::Reorder`]: 1 s by default.
    #[must_use]
    pub fn delay_up_to(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest [`Fault::ClockStep`]: 5 s by default.
    #[must_use]
    pub fn step_up_to(mut self, step: Duration) -> Self {
        self.step = step;
        self
    }

    /// How wrong [`Fault::ClockRate`] lets a clock run, to either side: 10,000 ppm, a hundredth, by default.
    #[must_use]
    pub fn drift_up_to(mut self, ppm: u32) -> Self {
        self.drift_ppm = ppm;
        self
    }

    /// The schedule for a seed.
    pub fn draw(&self, seed: u64, sim: &Sim<I>) -> Result<Schedule<I>, ConfigError> {
        let mut random = Random::new(seed, Stream::Plan);
        let mut weights = self.weights;
        weights[Kind::Input as usize] = self.inputs.iter().map(|(weight, _, _)| weight).sum();
        if sim.names.len() < 2 {
            // Without a second host there is no link.
            for kind in [
                Kind::Cut,
                Kind::Part,
                Kind::Loss,
                Kind::Delay,
                Kind::Reorder,
                Kind::Duplicate,
            ] {
                weights[kind as usize] = 0;
            }
        }
        if weights.iter().all(|weight| *weight == 0) || self.quiet_from < ms(2) {
            return Err(ConfigError::NothingToDraw);
        }
        let count = random.between(1, self.most.max(1) as u64);
        let mut schedule = Schedule::new();
        for _ in 0..count {
            if let Some(kind) = random.weighted(weights.iter().copied()) {
                schedule.extend(self.draw_one(Kind::ALL[kind], sim.names.len(), &mut random));
            }
        }
        schedule.sort_by_key(|(at, _)| *at);
        sim.check(&schedule)?;
        Ok(schedule)
    }

    fn draw_one(
        &self,
        kind: Kind,
        hosts: usize,
        random: &mut Random,
    ) -> Option<(Duration, Fault<I>)> {
        let host = random.below(hosts as u64) as HostId;
        let other = (host + 1 + random.below(hosts as u64 - 1) as HostId) % hosts;
        let (from, to) = (host, other);
        let end = self.quiet_from.as_millis() as u64;
        let at = random.below(end);
        // Short ones as well as long ones: a failure often needs one that just reaches.
        let longest = (self.longest.as_millis() as u64 >> random.below(4)).min(end - at);
        let lasts = ms(random.between(1, longest.max(1)));
        let permille =
            |random: &mut Random, most: u16| random.between(1, u64::from(most.max(1))) as u16;
        let time = |random: &mut Random, most: Duration| {
            ms(random.between(0, nanoseconds(most) / 1_000_000))
        };
        let fault = match kind {
            Kind::Crash => Fault::Crash { host, lasts },
            Kind::Die => Fault::Die { host },
            Kind::Stop => Fault::Stop { host, lasts },
            Kind::Pause => Fault::Pause { host, lasts },
            Kind::ClockRate => {
                let drift = u64::from(self.drift_ppm.min(500_000));
                let ppm = 1_000_000 - drift + random.between(0, 2 * drift);
                Fault::ClockRate {
                    host,
                    ppm: ppm as u32,
                    lasts,
                }
            }
            Kind::ClockStep => Fault::ClockStep {
                host,
                by: time(random, self.step),
            },
            Kind::Cut => Fault::Cut { from, to, lasts },
            Kind::Part => Fault::Part {
                hosts: [from.min(to), from.max(to)],
                lasts,
            },
            Kind::Loss => Fault::Loss {
                from,
                to,
                permille: permille(random, self.loss_permille),
                lasts,
            },
            Kind::Delay => {
                let delay = time(random, self.delay);
                let jitter = time(random, self.delay - delay);
                Fault::Delay {
                    from,
                    to,
                    delay,
                    jitter,
                    lasts,
                }
            }
            Kind::Reorder => Fault::Reorder {
                from,
                to,
                jitter: time(random, self.delay),
                lasts,
            },
            Kind::Duplicate => Fault::Duplicate {
                from,
                to,
                permille: permille(random, self.duplicate_permille),
                lasts,
            },
            Kind::Input => {
                let which = random.weighted(self.inputs.iter().map(|(weight, _, _)| *weight))?;
                let (_, host, input) = self.inputs.get(which)?;
                Fault::Input {
                    host: *host,
                    input: input.clone(),
                }
            }
        };
        Some((ms(at), fault))
    }
}
