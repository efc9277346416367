//! A name service on Freelance: the Guide's use case for it (chapter 4).
//!
//! An application knows names, and one address: that of the name service, or a few, since that is
//! what Freelance is for. A name stands for endpoints, to bind and to connect to, and each
//! environment (`test`, `production`) has its own. `docs/names.md` shows all of it at work.
//!
//! The server's side, which the program `flnamed` runs:
//!
//! - [`Zone`] is what all names stand for, and [`ZoneFile`] follows the file that says so.
//! - [`answer`] answers a question by a zone, in the words of [`wire`].
//!
//! The client's side, from which the program `flname` is made:
//!
//! - A [`Resolver`] answers a caller who waits, from its [`Cache`] for as long as it may.
//! - A [`Feed`] keeps the servers of another Freelance client equal to what a name stands for,
//!   while both run.

mod cache;
pub mod feed;
mod file;
pub mod flname;
pub mod flnamed;
mod name;
mod resolver;
mod service;
pub mod wire;
mod zone;

pub use self::cache::{Cache, Known, Look, MAX_KEPT};
pub use self::feed::{Fed, Feed, FeedConfig, FeedHandle, FeedStatus, Share};
pub use self::file::{Reload, ZoneFile, ZoneFileError};
pub use self::name::{Label, LabelError, MAX_LABEL_BYTES, Name};
pub use self::resolver::{
    Ask, Origin, ResolveError, Resolved, Resolver, ResolverConfig, name_client,
};
pub use self::service::{UNKNOWN_TTL, answer};
pub use self::zone::{
    DEFAULT_TTL, MAX_ENDPOINT_BYTES, MAX_ENDPOINTS, MAX_NAMES, MAX_TTL, MAX_ZONE_BYTES, Problem,
    Record, Unusable, Zone, ZoneError,
};
