//! The kinds of faults.

use std::time::Duration;

/// Declares the kinds with their names, so that the list and the names cannot differ.
macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $name] $kind,)*
        }

        impl Kind {
            /// All kinds, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// What a reader calls it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    KillActive = "kill -9 of the active",
    KillPassive = "kill -9 of the passive",
    TermActive = "SIGTERM of the active",
    TermPassive = "SIGTERM of the passive",
    RestartActiveWithin = "active restarted within the timeout",
    RestartActivePast = "active restarted past the timeout",
    RestartPassive = "passive restarted",
    RestartLoop = "restart loop",
    KillBothReturnBoth = "both killed, both return",
    KillBothPrimaryAlone = "both killed, the primary returns alone",
    KillBothBackupAlone = "both killed, the backup returns alone",
    PauseActiveShort = "active paused briefly",
    PauseActiveLong = "active paused for long",
    PausePassiveShort = "passive paused briefly",
    PausePassiveLong = "passive paused for long",
    SwitchOver = "switchover",
    SwitchOverKill = "switchover, and a kill in its midst",
    Block = "handler blocks for three timeouts",
    CutShort = "state link cut briefly",
    CutLong = "state link cut for long",
    CutMinute = "state link cut for 60 s",
    MuteActive = "the active is not heard",
    DeafActive = "the active hears nothing",
    LinkDown = "state link down and up",
    CutOne = "one of two state links cut",
    CutClients = "clients cut from the active",
    IslandsApart = "two islands, each with half of the clients",
    LoseSome = "10 % loss on the state link",
    LoseMany = "30 % loss on the state link",
    Resets = "state link reset",
    Slow = "slow state link",
    Clock = "clock stepped by hours",
    FullDisk = "full disk",
    GuidePrimary = "a Guide peer as the primary",
    GuideBackup = "a Guide peer as the backup",
}

/// Whether both may serve for a time in a fault of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The two hear each other, or one of them is gone: never both.
    Never,
    /// While the fault lasts, and until the two can hear each other again.
    WhileHeld,
    /// Now and then: so much loss may part them.
    ByChance,
}

/// Where the service is after a fault of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Where it was: there was no need to move.
    Stays,
    /// At the other server.
    Moves,
    /// At either: the two decide by moments.
    Either,
}

impl Kind {
    /// Whether both may serve.
    #[must_use]
    pub fn parting(self) -> Parting {
        match self {
            Self::CutShort
            | Self::CutLong
            | Self::CutMinute
            | Self::MuteActive
            | Self::DeafActive
            | Self::LinkDown
            | Self::IslandsApart
            | Self::Resets => Parting::WhileHeld,
            Self::LoseSome | Self::LoseMany | Self::Slow => Parting::ByChance,
            Self::KillActive
            | Self::KillPassive
            | Self::TermActive
            | Self::TermPassive
            | Self::RestartActiveWithin
            | Self::RestartActivePast
            | Self::RestartPassive
            | Self::RestartLoop
            | Self::KillBothReturnBoth
            | Self::KillBothPrimaryAlone
            | Self::KillBothBackupAlone
            | Self::PauseActiveShort
            | Self::PauseActiveLong
            | Self::PausePassiveShort
            | Self::PausePassiveLong
            | Self::SwitchOver
            | Self::SwitchOverKill
            | Self::Block
            | Self::CutOne
            | Self::CutClients
            | Self::Clock
            | Self::FullDisk
            | Self::GuidePrimary
            | Self::GuideBackup => Parting::Never,
        }
    }

    /// How long after the heal the network itself may carry nothing yet.
    #[must_use]
    pub fn network_returns(self) -> Duration {
        // A host asks for its neighbour's address once a second, and a question that is asked
        // while the other end is still down is lost.
        if self == Self::LinkDown {
            Duration::from_millis(1100)
        } else {
            Duration::ZERO
        }
    }

    /// Where the service is afterwards.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::KillPassive
            | Self::TermPassive
            | Self::RestartPassive
            | Self::PausePassiveShort
            | Self::PausePassiveLong
            | Self::CutOne
            | Self::CutClients
            | Self::Clock => Service::Stays,
            Self::KillActive
            | Self::TermActive
            | Self::SwitchOver
            | Self::Block
            | Self::FullDisk => Service::Moves,
            Self::RestartActiveWithin
            | Self::RestartActivePast
            | Self::RestartLoop
            | Self::KillBothReturnBoth
            | Self::KillBothPrimaryAlone
            | Self::KillBothBackupAlone
            | Self::PauseActiveShort
            | Self::PauseActiveLong
            | Self::SwitchOverKill
            | Self::CutShort
            | Self::CutLong
            | Self::CutMinute
            | Self::MuteActive
            | Self::DeafActive
            | Self::LinkDown
            | Self::IslandsApart
            | Self::LoseSome
            | Self::LoseMany
            | Self::Resets
            | Self::Slow
            | Self::GuidePrimary
            | Self::GuideBackup => Service::Either,
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kinds_apart() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(*kind));
        }
    }
}
