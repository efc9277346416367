//! The client's settings and their bounds.

use std::time::Duration;

use crate::Error;

/// Servers that a client knows at most.
pub const MAX_SERVERS: usize = 64;

/// No time is shorter: at less the client would do nothing but look at the clock.
const SHORTEST: Duration = Duration::from_millis(1);
/// No time is longer: at more it is a typing error.
const LONGEST: Duration = Duration::from_secs(3600);

/// The three clients of the Guide's chapter 4. They differ in what goes over the wire, and in how many servers a
/// request is sent to at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// Simple retry and failover: one server at a time. Servers are REP, or whatever returns the envelope.
    One,
    /// The brutal shotgun massacre: a copy to each server that is worth one, and the first reply wins. Servers are
    /// REP, take `[sequence][body]` and answer `[sequence]["OK"]`.
    Two,
    /// Complex and nasty: one server at a time, and pings tell who lives. Servers speak
    /// [10/FLP](https://rfc.zeromq.org/spec/10/).
    Three,
}

/// When a second copy of a request is sent although the first may still be answered.
///
/// *The Tail at Scale* (Dean and Barroso, 2013): a copy after the 95th percentile costs a twentieth more load, and
/// takes the longest waits away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// The share of requests that are answered without one, 0.95: the copy is sent when the request has waited for
    /// longer than that share of the latest ones did.
    pub percentile: f64,
    /// But never before this much, 10 ms: where all answer at once, a hiccup is no reason.
    pub floor: Duration,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            percentile: 0.95,
            floor: Duration::from_millis(10),
        }
    }
}

/// What retries and hedges may cost: a bucket of tokens, from which each copy after the first takes one.
///
/// It keeps an outage from being made worse by those who suffer from it. A copy that provably takes the place of one
/// that never left is free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Tokens that each request adds, 0.2: in the long run one copy more for five requests.
    pub per_request: f64,
    /// Tokens that each second adds, 10, so that who asks seldom may retry too.
    pub per_second: f64,
    /// Tokens that there are at most, and at the beginning, 1,024: all that may be under way by default moves at
    /// once when its server dies.
    pub burst: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            per_request: 0.2,
            per_second: 10.0,
            burst: 1024,
        }
    }
}

/// Times and limits of a client.
///
/// ```
/// use std::time::Duration;
/// use freelance::{Config, Hedge, Model};
///
/// let mut config = Config::new(Model::Three);
/// config.attempt_timeout = Duration::from_millis(200);
/// config.hedge = Some(Hedge::default());
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Which of the Guide's models it is.
    pub model: Model,
    /// How long a server has for an answer before the request goes to another one as well, 1 s, the Guide's. It is
    /// to be well above what an answer takes: a server that is only slow gets retries as load.
    pub attempt_timeout: Duration,
    /// Copies of a request that are sent at most, 5, gRPC's. Those that never left, or were refused by word, do not
    /// count. A volley of model 2 counts as one.
    pub max_attempts: u32,
    /// Hedging, off: it makes a server execute more than it was asked to.
    pub hedge: Option<Hedge>,
    /// What retries and hedges may cost together.
    pub budget: Budget,
    /// Attempts in a row that a server does not answer in time, or loses with its link, until it is ejected, 3. PONGs
    /// are no answers: a server may live and not work. So many hedges in a row that outrun it eject it too.
    pub eject_after: u32,
    /// How long a server is ejected for at first, 1 s; then one request tries it. It doubles each time that this
    /// fails.
    pub eject_for: Duration,
    /// How long it is ejected for at most, 30 s.
    pub max_eject_for: Duration,
    /// Silence after which a link is tried with a PING (model 3) or a ZMTP heartbeat, 1 s; the Guide waits for 2 s.
    /// A server that says nothing for two and a half of them is suspect and gets no requests; links of models 1 and
    /// 2 are given up then.
    pub ping_interval: Duration,
    /// How long a server that refused a request, or whose queue is full, is left alone, 20 ms. With each refusal in a
    /// row it doubles, up to `eject_for`, and one request at a time tries.
    pub retry_pause: Duration,
    /// Pause before a lost link is dialled again, 20 ms at first. It doubles with each attempt that fails, and
    /// varies by a fifth, so that clients do not come back in step.
    pub redial_pause: Duration,
    /// That pause at most, before it is varied, 1 s.
    pub max_redial_pause: Duration,
    /// How long an attempt at a link may take, handshake included, 2 s.
    pub dial_timeout: Duration,
    /// Requests under way at the same time, 1,024. One more is an error, not a queue without end.
    pub max_outstanding: usize,
    /// Frames of one request, 1,024.
    pub max_request_frames: usize,
    /// Bytes of one request, all frames together, 16 MiB.
    pub max_request_bytes: usize,
    /// Bytes of one frame of a reply, 64 MiB. A server that sends more loses its link.
    pub max_reply_frame_bytes: usize,
}

impl Config {
    /// The defaults, which are said at each field.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model,
            attempt_timeout: Duration::from_secs(1),
            max_attempts: 5,
            hedge: None,
            budget: Budget::default(),
            eject_after: 3,
            eject_for: Duration::from_secs(1),
            max_eject_for: Duration::from_secs(30),
            ping_interval: Duration::from_secs(1),
            retry_pause: Duration::from_millis(20),
            redial_pause: Duration::from_millis(20),
            max_redial_pause: Duration::from_secs(1),
            dial_timeout: Duration::from_secs(2),
            max_outstanding: 1024,
            max_request_frames: 1024,
            max_request_bytes: 16 << 20,
            max_reply_frame_bytes: 64 << 20,
        }
    }

    /// Silence after which a server is suspect.
    pub(crate) fn suspect_after(&self) -> Duration {
        self.ping_interval * 5 / 2
    }

    /// Checks every setting; nothing that passes makes the client spin or wait for ever.
    ///
    /// # Errors
    /// [`Error::Config`] names the first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let times = [
            ("attempt_timeout", self.attempt_timeout),
            ("eject_for", self.eject_for),
            ("max_eject_for", self.max_eject_for),
            ("ping_interval", self.ping_interval),
            ("retry_pause", self.retry_pause),
            ("redial_pause", self.redial_pause),
            ("max_redial_pause", self.max_redial_pause),
            ("dial_timeout", self.dial_timeout),
        ];
        for (name, time) in times {
            if !(SHORTEST..=LONGEST).contains(&time) {
                return Err(bad(name, "must be from 1 ms to 1 hour"));
            }
        }
        if self.max_eject_for < self.eject_for {
            return Err(bad("max_eject_for", "must be at least eject_for"));
        }
        if self.max_redial_pause < self.redial_pause {
            return Err(bad("max_redial_pause", "must be at least redial_pause"));
        }
        let limits = [
            ("max_attempts", self.max_attempts as usize, 1 << 10),
            ("eject_after", self.eject_after as usize, 1 << 20),
            ("max_outstanding", self.max_outstanding, 1 << 20),
            ("max_request_frames", self.max_request_frames, 1 << 20),
            ("max_request_bytes", self.max_request_bytes, 1 << 30),
            ("max_reply_frame_bytes", self.max_reply_frame_bytes, 1 << 30),
        ];
        for (name, limit, most) in limits {
            if !(1..=most).contains(&limit) {
                return Err(bad(name, &format!("must be from 1 to {most}")));
            }
        }
        self.validate_copies()
    }

    /// What decides how many copies there are.
    fn validate_copies(&self) -> Result<(), Error> {
        if let Some(hedge) = self.hedge {
            if !(0.5..=0.999).contains(&hedge.percentile) {
                return Err(bad("hedge.percentile", "must be from 0.5 to 0.999"));
            }
            if !(SHORTEST..=LONGEST).contains(&hedge.floor) {
                return Err(bad("hedge.floor", "must be from 1 ms to 1 hour"));
            }
        }
        let Budget {
            per_request,
            per_second,
            burst,
        } = self.budget;
        if !(0.0..=10.0).contains(&per_request) {
            return Err(bad("budget.per_request", "must be from 0 to 10"));
        }
        if !(0.0..=1e6).contains(&per_second) {
            return Err(bad("budget.per_second", "must be from 0 to 1,000,000"));
        }
        if burst > 1 << 20 {
            return Err(bad("budget.burst", "must be from 0 to 1,048,576"));
        }
        Ok(())
    }
}

fn bad(setting: &'static str, reason: &str) -> Error {
    Error::Config {
        setting,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass() {
        for model in [Model::One, Model::Two, Model::Three] {
            let mut config = Config::new(model);
            config.validate().unwrap();
            config.hedge = Some(Hedge::default());
            config.validate().unwrap();
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        type Spoil = fn(&mut Config);
        let cases: [(&str, Spoil); 10] = [
            ("attempt_timeout", |c| c.attempt_timeout = Duration::ZERO),
            ("dial_timeout", |c| c.dial_timeout = Duration::MAX),
            ("max_eject_for", |c| c.max_eject_for = c.eject_for / 2),
            ("max_redial_pause", |c| {
                c.max_redial_pause = c.redial_pause / 2;
            }),
            ("max_attempts", |c| c.max_attempts = 0),
            ("max_outstanding", |c| c.max_outstanding = (1 << 20) + 1),
            ("hedge.percentile", |c| {
                c.hedge = Some(Hedge {
                    percentile: f64::NAN,
                    ..Hedge::default()
                });
            }),
            ("hedge.floor", |c| {
                c.hedge = Some(Hedge {
                    floor: Duration::ZERO,
                    ..Hedge::default()
                });
            }),
            ("budget.per_request", |c| c.budget.per_request = -0.1),
            ("budget.per_second", |c| {
                c.budget.per_second = f64::INFINITY;
            }),
        ];
        for (setting, spoil) in cases {
            let mut config = Config::new(Model::Three);
            spoil(&mut config);
            let text = config.validate().unwrap_err().to_string();
            assert!(text.starts_with(setting), "{text}");
        }
    }
}
