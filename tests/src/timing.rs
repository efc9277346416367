//! The settings of a pair by which its failovers are measured.

use std::fmt;
use std::time::Duration;

use crate::rounds_asked;

/// How soon a pair notices that a side is dead.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The heartbeat of both; the peer timeout is two of them.
    pub heartbeat: Duration,
    /// Whether a side that refuses is taken for dead at once.
    pub proof_of_death: bool,
}

impl Timing {
    /// Those that are measured, or, where nobody asks how long it takes, one that shows that it works.
    #[must_use]
    pub fn measured() -> Vec<Self> {
        let of = |(ms, proof_of_death)| Self {
            heartbeat: Duration::from_millis(ms),
            proof_of_death,
        };
        match rounds_asked() {
            Some(_) => [(1000, false), (1000, true), (100, false), (100, true)]
                .map(of)
                .to_vec(),
            None => vec![of((100, true))],
        }
    }

    /// What the configuration of a node says of that, beside the heartbeat, when its peer's front end is at `peer`.
    #[must_use]
    pub fn section(self, peer: &str) -> String {
        if self.proof_of_death {
            format!("\n[proof_of_death]\npeer_frontends = [\"tcp://{peer}\"]\n")
        } else {
            String::new()
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "heartbeat {} ms", self.heartbeat.as_millis())?;
        if self.proof_of_death {
            write!(f, ", proof of death")?;
        }
        Ok(())
    }
}
