//! The two servers of a pair, by where they run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Role;

/// One of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The primary.
    A,
    /// The backup.
    B,
}

impl Side {
    /// Both, the primary first.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// Its place in a list of both.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The peer.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The role of the server there.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::A => Role::Primary,
            Self::B => Role::Backup,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}
