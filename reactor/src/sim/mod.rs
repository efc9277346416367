//! A stub.
mod clock;
mod config;
mod counts;
mod effects;
mod error;
mod fault;
mod host;
mod link;
mod network;
mod node;
mod plan;
mod queue;
mod random;
mod run;
mod search;
mod shrink;
mod timeline;
mod world;

use config::{MAX_SPAN, check_span};

pub use config::{Load, Sim};
pub use counts::Counts;
pub use error::ConfigError;
pub use fault::{Fault, Kind, Pasteable, Schedule, ms};
pub use host::Condition;
pub use link::{InFlight, Link};
pub use node::{HostId, Life, LinkChange, Node, Output};
pub use plan::Faults;
pub use run::{Run, Scenario};
pub use search::{Report, Search, SearchError, Seeds};
pub use timeline::Timeline;
pub use world::{Cause, Step, World};
