//! Makes a schedule that fails as small as it goes.

use std::time::Duration;

use super::fault::ms;
use super::{Fault, Schedule};

/// A schedule that was shrunk, and what it took.
pub(super) struct Shrunk<I> {
    pub(super) schedule: Schedule<I>,
    pub(super) reruns: u32,
}

/// Shrinks by taking away halves, quarters and so on down to single faults, and then by making what is left shorter,
/// weaker and rounder, as long as `fails` says that it still fails. It is asked at most `max_reruns` times.
pub(super) fn shrink<I: Clone>(
    schedule: Schedule<I>,
    max_reruns: u32,
    fails: impl FnMut(&[(Duration, Fault<I>)]) -> bool,
) -> Shrunk<I> {
    let mut shrinker = Shrinker {
        schedule,
        fails,
        reruns: 0,
        max_reruns,
    };
    loop {
        let shorter = shrinker.take_away();
        let simpler = shrinker.simplify();
        if !(shorter || simpler) || shrinker.reruns >= max_reruns {
            return Shrunk {
                schedule: shrinker.schedule,
                reruns: shrinker.reruns,
            };
        }
    }
}

struct Shrinker<I, F> {
    schedule: Schedule<I>,
    fails: F,
    reruns: u32,
    max_reruns: u32,
}

impl<I: Clone, F: FnMut(&[(Duration, Fault<I>)]) -> bool> Shrinker<I, F> {
    /// Keeps the candidate if it fails too.
    fn accept(&mut self, candidate: Schedule<I>) -> bool {
        if self.reruns >= self.max_reruns {
            return false;
        }
        self.reruns += 1;
        let fails = (self.fails)(&candidate);
        if fails {
            self.schedule = candidate;
        }
        fails
    }

    fn take_away(&mut self) -> bool {
        let mut changed = false;
        let mut chunk = self.schedule.len();
        while chunk > 0 {
            let mut from = 0;
            while from < self.schedule.len() {
                let to = (from + chunk).min(self.schedule.len());
                let mut candidate = self.schedule.clone();
                candidate.drain(from..to);
                if self.accept(candidate) {
                    changed = true;
                } else {
                    from = to;
                }
            }
            chunk /= 2;
        }
        changed
    }

    fn simplify(&mut self) -> bool {
        let mut changed = false;
        for number in 0..self.schedule.len() {
            while self.simplify_one(number) {
                changed = true;
            }
        }
        changed
    }

    fn simplify_one(&mut self, number: usize) -> bool {
        let (at, fault) = self.schedule[number].clone();
        let mut candidates: Vec<_> = simpler(&fault)
            .into_iter()
            .map(|fault| (at, fault))
            .collect();
        let rounder = [1000, 100, 10].map(|unit| ms(at.as_millis() as u64 / unit * unit));
        candidates.extend(
            rounder
                .into_iter()
                .filter(|r| *r < at)
                .map(|r| (r, fault.clone())),
        );
        candidates.into_iter().any(|candidate| {
            let mut schedule = self.schedule.clone();
            schedule[number] = candidate;
            self.accept(schedule)
        })
    }
}

/// Less of the same, the least first.
fn simpler<I: Clone>(fault: &Fault<I>) -> Vec<Fault<I>> {
    let mut all = Vec::new();
    for lasts in fault.lasts().into_iter().flat_map(smaller) {
        let mut shorter = fault.clone();
        if let Some(slot) = shorter.lasts_mut() {
            *slot = lasts;
        }
        all.push(shorter);
    }
    let mut push = |change: &dyn Fn(&mut Fault<I>)| {
        let mut weaker = fault.clone();
        change(&mut weaker);
        all.push(weaker);
    };
    match *fault {
        Fault::ClockStep { by, .. } => {
            for less in smaller(by) {
                push(&|fault| {
                    if let Fault::ClockStep { by, .. } = fault {
                        *by = less;
                    }
                });
            }
        }
        Fault::Delay { delay, jitter, .. } => {
            for less in smaller(jitter) {
                push(&|fault| {
                    if let Fault::Delay { jitter, .. } = fault {
                        *jitter = less;
                    }
                });
            }
            for less in smaller(delay) {
                push(&|fault| {
                    if let Fault::Delay { delay, .. } = fault {
                        *delay = less;
                    }
                });
            }
        }
        Fault::Reorder { jitter, .. } => {
            for less in smaller(jitter) {
                push(&|fault| {
                    if let Fault::Reorder { jitter, .. } = fault {
                        *jitter = less;
                    }
                });
            }
        }
        // A part of messages that is lost or doubled cannot be made simpler than it is: another one would be.
        Fault::Loss { .. } | Fault::Duplicate { .. } => {}
        Fault::Crash { .. }
        | Fault::Die { .. }
        | Fault::Stop { .. }
        | Fault::Pause { .. }
        | Fault::ClockRate { .. }
        | Fault::Cut { .. }
        | Fault::Part { .. }
        | Fault::Input { .. } => {}
    }
    all
}

/// Shorter and rounder times.
fn smaller(span: Duration) -> Vec<Duration> {
    let whole = span.as_millis() as u64;
    let mut less: Vec<_> = [
        0,
        whole / 2,
        whole / 4 * 3,
        whole / 1000 * 1000,
        whole / 100 * 100,
        whole / 10 * 10,
    ]
    .into_iter()
    .map(ms)
    .filter(|less| *less < span)
    .collect();
    less.dedup();
    less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_taken_away_and_the_rest_made_small() {
        let mut schedule: Schedule<()> = (0..20)
            .map(|n| {
                (
                    ms(n * 137),
                    Fault::Crash {
                        host: 0,
                        lasts: ms(3333),
                    },
                )
            })
            .collect();
        schedule[7].1 = Fault::Pause {
            host: 1,
            lasts: ms(2718),
        };
        let needed = |schedule: &[(Duration, Fault<()>)]| {
            schedule
                .iter()
                .any(|(_, fault)| matches!(fault, Fault::Pause { lasts, .. } if *lasts >= ms(1100)))
        };
        let shrunk = shrink(schedule, 500, needed);
        assert_eq!(shrunk.schedule.len(), 1);
        let (at, Fault::Pause { host: 1, lasts }) = &shrunk.schedule[0] else {
            panic!("{:?}", shrunk.schedule);
        };
        assert_eq!(*at, ms(0));
        assert!(*lasts >= ms(1100) && *lasts < ms(1500), "{lasts:?}");
    }

    #[test]
    fn it_asks_no_more_often_than_it_may() {
        let schedule: Schedule<()> = (0..100).map(|n| (ms(n), Fault::Die { host: 0 })).collect();
        let mut asked = 0;
        let shrunk = shrink(schedule, 30, |_| {
            asked += 1;
            false
        });
        assert_eq!((asked, shrunk.reruns, shrunk.schedule.len()), (30, 30, 100));
    }
}
