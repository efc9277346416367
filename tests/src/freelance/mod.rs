//! Servers and clients of Freelance, as the harness sees them from outside.
//!
//! * [`ScriptedServer`] is a server of this test process that behaves well, or badly in one way of
//!   many ([`Behaviour`]);
//! * [`FlServer`] is a running `flserver1`, `2` or `3`;
//! * [`FlClient`] is a running `flclient1`, `2` or `3`, and [`Report`] what it says at its end.
//!
//! Whatever a server here answers as a reply carries the body of its request, so that who asks
//! with a body of its own each time can tell a reply that is not for it.

mod behaviour;
mod client;
mod host;
mod manners;
mod noise;
mod request;
mod server;
mod tcp;

use std::thread;
use std::time::{Duration, Instant};

pub use behaviour::Behaviour;
pub use client::{ClientConfig, FlClient, Report};
pub use server::{FlServer, ScriptedServer};

use crate::{BOUND, Outcome};

/// The three models of the Guide's chapter 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Simple retry and failover: REP servers that echo.
    One,
    /// The brutal shotgun massacre: REP servers that answer `[sequence]["OK"]`.
    Two,
    /// Complex and nasty: ROUTER servers with an identity, that speak 10/FLP and echo.
    Three,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// Its number, as programs have it in their names.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// Waits until `holds`, which is looked at again and again.
///
/// # Errors
///
/// `what`, when it does not hold within the bound.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Outcome<()> {
    let end = Instant::now() + BOUND;
    while !holds() {
        if Instant::now() > end {
            return Err(format!("not within {BOUND:?}: {what}"));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
