//! What can be added to a reactor.

use std::time::{Duration, Instant};

use crate::{
    BoxError, Error, FdKey, HookKey, Ready, Scope, SocketKey, SourceKey, TicketClassKey, TicketKey,
    TimerKey,
};

/// Something that owns sockets, descriptors and timers, and one state of its own beside the application's `S`.
///
/// The reactor takes a source out of its slot while it runs, so that its handler may do to the reactor whatever it
/// likes, and that includes removing the source itself.
pub trait Source<S> {
    /// Registers what the source owns from the beginning. On an error everything it registered is removed again, and
    /// the source is dropped.
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), Error>;

    /// Called for each event of what the source owns. What an error does is the source's [`ErrorPolicy`].
    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError>;
}

/// What happened to something that a source owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A socket is ready. Called again in the same turn while the handler receives from it and there is more, as far
    /// as the [budget](crate::Builder::budget) goes.
    ///
    /// Whether there is more is found out by trying, since asking costs as much: after a message was received the
    /// handler may be called once in vain, and [`Scope::recv`] says so.
    Socket {
        /// What the source called it.
        tag: usize,
        /// Its key.
        key: SocketKey,
        /// What for.
        ready: Ready,
    },
    /// A descriptor is ready. Called once a turn, as long as it is; of one that is watched for its
    /// [edges](Scope::own_edge_fd), once for each arrival, and when it asked to be [called again](Scope::call_again).
    Fd {
        /// What the source called it.
        tag: usize,
        /// Its key.
        key: FdKey,
        /// What for.
        ready: Ready,
    },
    /// A timer came due. It ends with this call, unless [`Scope::set_timer`] arms it again before the call returns.
    Timer {
        /// What the source called it.
        tag: usize,
        /// Its key.
        key: TimerKey,
        /// The moment it was set to; [`Scope::now`] is that or later.
        deadline: Instant,
    },
    /// A ticket expired. It ends with this call, unless [`Scope::reset_ticket`] puts it off before the call returns.
    Ticket {
        /// What the source called the class.
        tag: usize,
        /// The class that it belongs to.
        class: TicketClassKey,
        /// Its key.
        key: TicketKey,
        /// What it was [issued](Scope::issue_ticket) about.
        about: u64,
        /// The moment it expired; [`Scope::now`] is that or later.
        deadline: Instant,
    },
    /// Nothing is left to do, and the reactor is about to sleep: the moment to flush what was gathered. What this
    /// makes ready is served without sleep.
    BeforeSleep {
        /// What the source called the hook.
        tag: usize,
        /// Its key.
        key: HookKey,
    },
    /// Somebody called [`Waker::notify`](crate::Waker::notify), at least once since the last such event.
    Notified,
    /// A run was stopped, and is about to return: the moment to say goodbye to peers. Delivered once for each run that
    /// is stopped, in no particular order among sources, and not where a run ends otherwise: by an error, or since
    /// [`run_until`](crate::Reactor::run_until) has what it waits for. What is sent here leaves within the linger.
    Stopping,
}

/// What becomes of a timer after its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends; unless the handler itself moved it by [`Scope::set_timer`].
    Done,
    /// It fires again at this moment; at once, in the next turn, if that has passed.
    At(Instant),
    /// It fires again so much later, counted from the end of the callback.
    After(Duration),
}

/// What an interval does with the periods it could not serve in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// Leaves them out, and keeps the phase: the next call is at the next multiple of the period.
    #[default]
    Skip,
    /// Calls once for each, one a turn, until it has caught up.
    CatchUp,
    /// Counts the next period from the end of the late call.
    Delay,
}

/// What an error of a source's handler does. In each case the others that are ready in the same turn still run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorPolicy {
    /// Ends the run with [`Error::Handler`]; the source stays.
    #[default]
    Stop,
    /// Removes the source with all it owns, and [reports](Scope::on_removal) that.
    Remove,
    /// Logs it and goes on.
    Tolerate,
}

/// Something that the reactor removed because of an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Removal {
    /// The source that failed. Its key is stale by now, unless only one thing of it was lost.
    pub source: SourceKey,
    /// The name that it was added with.
    pub name: String,
    /// Why.
    pub error: BoxError,
}
