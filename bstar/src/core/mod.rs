//! The pure core: the rules, what the nodes say, and the machine that applies the one to the
//! other. No socket, no clock, no thread, no randomness.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bstar::core::{Answer, Config, Machine, Output, Role, State};
//!
//! let start = Instant::now();
//! let mut node = Machine::new(Config::new(Role::Primary), 7, start);
//!
//! // Its peer, a backup, announces its initial state: the primary becomes active.
//! node.handle_peer(0, &[b"2"], start);
//! assert_eq!(node.state(), State::Active);
//! assert!(matches!(node.poll_output(), Some(Output::Publish { .. })));
//! let Some(Output::Transition(t)) = node.poll_output() else { unreachable!() };
//! assert_eq!((t.row, t.epoch), ("initial-primary-meets-backup", 1));
//!
//! // It serves, until it is away for so long that the backup may have taken over.
//! assert_eq!(node.handle_request(start + Duration::from_millis(900)), Answer::Accept);
//! assert_eq!(node.handle_request(start + Duration::from_millis(2000)), Answer::Refuse);
//! assert_eq!(node.state(), State::Resigned);
//! ```

mod config;
mod guide;
mod links;
mod machine;
mod maintenance;
mod output;
mod pair;
mod table;
mod wire;

#[cfg(test)]
mod mutants;
#[cfg(test)]
mod principles;
#[cfg(test)]
mod search;

pub use config::{Config, ConfigError, HEARTBEAT_RANGE, MAX_TIMEOUT, PairId};
pub use guide::GUIDE;
pub use links::LinkStatus;
pub use machine::{Machine, SHORTEST_REDIAL};
pub use maintenance::MAINTENANCE;
pub use output::{
    Answer, Counters, Fatal, Offer, Outlook, Output, PromoteError, Status, StepBack, StepBackError,
    Stranger, Transition,
};
pub use pair::PAIR;
pub use table::{Event, Role, Roles, Row, State, Table, TableError, Then};
pub use wire::{
    Announced, Announcement, Garbage, Heard, MAX_EPOCH, MAX_METADATA_BYTES, METADATA_TOPIC,
    Metadata, OfferAnswer, Subscribers,
};
