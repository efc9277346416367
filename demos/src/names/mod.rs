//! A name service on Freelance: the Guide's use case for it (chapter 4).
//!
//! An application knows names, and one address: that of the name service, or a few, since that is
//! what Freelance is for. A name stands for endpoints, several of each kind, and each environment
//! (`test`, `production`) has its own.
//!
//! - [`Zone`] is what all names stand for; a [`ZoneFile`] follows its file.
//! - [`answer`] answers a question by a zone, as [`wire`] says it. The program `flnamed` serves it.

mod cache;
mod file;
mod name;
mod service;
pub mod wire;
mod zone;

pub use self::cache::{Cache, Known, Look, MAX_KEPT};
pub use self::file::{Reload, ZoneFile, ZoneFileError};
pub use self::name::{Label, LabelError, MAX_LABEL_BYTES, Name};
pub use self::service::{UNKNOWN_TTL, answer};
pub use self::zone::{
    DEFAULT_TTL, MAX_ENDPOINT_BYTES, MAX_ENDPOINTS, MAX_NAMES, MAX_TTL, MAX_ZONE_BYTES, Problem,
    Record, Unusable, Zone, ZoneError,
};
