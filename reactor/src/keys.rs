//! The names of what is registered.

use crate::arena::Key;

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        ///
        /// A key stays valid until what it names is removed, and never names anything else after that: the slot may
        /// be used again, the version is not. It means something only to the reactor that gave it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) Key);
    )*};
}

keys! {
    /// Names a source.
    SourceKey;
    /// Names a ZeroMQ socket.
    SocketKey;
    /// Names a descriptor.
    FdKey;
    /// Names a timer.
    TimerKey;
    /// Names a class of tickets: all those that wait for the same time.
    TicketClassKey;
    /// Names a ticket.
    TicketKey;
    /// Names a hook.
    HookKey;
}

/// The key of anything that a source owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AnyKey {
    /// A ZeroMQ socket.
    Socket(SocketKey),
    /// A descriptor.
    Fd(FdKey),
    /// A timer.
    Timer(TimerKey),
    /// A class of tickets.
    Tickets(TicketClassKey),
    /// A hook.
    Hook(HookKey),
}

impl From<SocketKey> for AnyKey {
    fn from(key: SocketKey) -> Self {
        AnyKey::Socket(key)
    }
}

impl From<FdKey> for AnyKey {
    fn from(key: FdKey) -> Self {
        AnyKey::Fd(key)
    }
}

impl From<TimerKey> for AnyKey {
    fn from(key: TimerKey) -> Self {
        AnyKey::Timer(key)
    }
}

impl From<TicketClassKey> for AnyKey {
    fn from(key: TicketClassKey) -> Self {
        AnyKey::Tickets(key)
    }
}

impl From<HookKey> for AnyKey {
    fn from(key: HookKey) -> Self {
        AnyKey::Hook(key)
    }
}
