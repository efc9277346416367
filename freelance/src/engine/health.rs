//! Whether a server does its work: failures in a row, ejections, and how they end.

use std::time::Instant;

use super::server::Server;
use crate::Config;

/// Whether the server does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// As far as is known. `failures` attempts in a row went unanswered.
    Well { failures: u32 },
    /// It left too many unanswered.
    Ejected { until: Instant, cause: Failure },
    /// Its time is over, and it is up for one probe; without one the ejection lapses.
    ProbeDue { lapse_at: Instant, cause: Failure },
    /// One request tries it.
    Probing {
        sequence: u64,
        attempt: u32,
        give_up_at: Instant,
    },
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer in time.
    Silence,
    /// Its link was lost.
    Lost,
}

impl Server {
    /// It answered a copy within the attempt timeout.
    pub(super) fn answered_in_time(&mut self) {
        self.owes = None;
        self.health = Health::Well { failures: 0 };
        self.level = 0;
        self.outrun = 0;
    }

    /// A hedge was answered first. Who loses to hedges in a row costs one for each request, and is no better than who
    /// does not answer.
    pub(super) fn was_outrun(&mut self, config: &Config, now: Instant) {
        self.outrun += 1;
        if self.outrun >= config.eject_after && matches!(self.health, Health::Well { .. }) {
            self.outrun = 0;
            self.eject(Failure::Silence, config, now);
        }
    }

    /// It answered a copy after the attempt timeout, and was still waited for. That is no failure made good: who is
    /// late each time costs each request an attempt's time.
    pub(super) fn answered_late(&mut self, sequence: u64) {
        self.settle_debt(sequence);
    }

    /// It answered a copy that nobody waits for. When that left is not known any more; but what it owes is not
    /// overdue yet, so it was in time if that is what it answered, or something newer. A server that answers
    /// everything, and all of it too late, never does so.
    pub(super) fn answered_in_vain(&mut self, sequence: u64, attempt: u32) {
        if self.is_probed_by(sequence, attempt) {
            self.answered_in_time();
        } else if self.settle_debt(sequence)
            && let Health::Well { failures } = &mut self.health
        {
            *failures = 0;
        }
    }

    /// Says whether the answer, or refusal, was for what it owed, or for something newer.
    pub(super) fn settle_debt(&mut self, sequence: u64) -> bool {
        self.owes
            .take_if(|owed| owed.sequence <= sequence)
            .is_some()
    }

    pub(super) fn is_probed_by(&self, of: u64, copy: u32) -> bool {
        matches!(self.health, Health::Probing { sequence, attempt, .. } if sequence == of && attempt == copy)
    }

    /// The probe said nothing of the server: it did not leave, or was refused.
    pub(super) fn probe_again(&mut self, config: &Config, now: Instant) {
        self.health = Health::ProbeDue {
            lapse_at: now + config.max_eject_for,
            cause: Failure::Silence,
        };
    }

    /// One failure more in a row. While it is ejected, only the end of its probe or of its link tells anything new.
    pub(super) fn fail(&mut self, cause: Failure, config: &Config, now: Instant) {
        match self.health {
            Health::Well { failures } => {
                let failures = failures.saturating_add(1);
                self.health = Health::Well { failures };
                if failures >= config.eject_after {
                    self.eject(cause, config, now);
                }
            }
            Health::Probing { .. } if cause == Failure::Lost => self.eject(cause, config, now),
            Health::Ejected { .. } | Health::ProbeDue { .. } | Health::Probing { .. } => {}
        }
    }

    /// Each time in a row for twice as long.
    pub(super) fn eject(&mut self, cause: Failure, config: &Config, now: Instant) {
        let doubled = 1u32.checked_shl(self.level).unwrap_or(u32::MAX);
        let time = config
            .eject_for
            .saturating_mul(doubled)
            .min(config.max_eject_for);
        self.health = Health::Ejected {
            until: now + time,
            cause,
        };
        self.level = (self.level + 1).min(u32::BITS);
        self.counts.ejected += 1;
    }

    /// One more failure ejects it.
    fn on_parole(config: &Config) -> Health {
        Health::Well {
            failures: config.eject_after - 1,
        }
    }

    /// Behind a new link may be a new process, to which nothing of before applies. But a link that ended with
    /// something unanswered leaves a mark, and an ejection for such ends outlasts them, or a server that ends its
    /// link at each request would never be ejected.
    pub(super) fn renew_health(&mut self, config: &Config) {
        if !std::mem::take(&mut self.left_unanswered) {
            self.health = Health::Well { failures: 0 };
            self.level = 0;
            return;
        }
        self.health = match self.health {
            Health::Ejected {
                cause: Failure::Silence,
                ..
            }
            | Health::ProbeDue {
                cause: Failure::Silence,
                ..
            }
            | Health::Probing { .. } => Self::on_parole(config),
            Health::Well { .. }
            | Health::Ejected {
                cause: Failure::Lost,
                ..
            }
            | Health::ProbeDue {
                cause: Failure::Lost,
                ..
            } => self.health,
        };
    }

    /// What time alone does for the better. Says whether anything changed.
    pub(super) fn recover(&mut self, config: &Config, now: Instant) -> bool {
        let mut changed = self.rest.end(now);
        if let Health::Ejected { until, cause } = self.health
            && until <= now
        {
            self.health = Health::ProbeDue {
                lapse_at: until + config.max_eject_for,
                cause,
            };
            changed = true;
        }
        if let Health::ProbeDue { lapse_at, .. } = self.health
            && lapse_at <= now
        {
            self.health = Self::on_parole(config);
            changed = true;
        }
        changed
    }
}
