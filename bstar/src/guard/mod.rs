//! A node on a thread of its own, for a server on any stack.
//!
//! The program keeps its sockets, its threads and its runtime. A [`Guard`] runs the pair beside them, on
//! one thread, and answers the one question that matters: may I serve?
//!
//! ```no_run
//! use std::time::Duration;
//! use bstar::{Config, Guard, Role};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new(Role::Primary);
//! let guard = Guard::builder(config, "tcp://*:5003", "tcp://backup.example:5004")
//!     .on_active(|transition| {
//!         println!("active, epoch {}", transition.epoch);
//!         Ok(())
//!     })
//!     .spawn()?;
//!
//! // For each request, on any thread:
//! match guard.begin(Duration::from_secs(1)) {
//!     Ok(Some(_work)) => { /* serve it; a switchover waits until `_work` is dropped */ }
//!     _ => { /* turn the client away: it goes to the other node */ }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A guard is a [`Handle`] that keeps its node alive; for threads and tasks, clone the
//! [handle](Guard::handle).
//!
//! # Which question to ask
//!
//! | The program has | it asks | because |
//! |---|---|---|
//! | short requests | [`begin`](Handle::begin) for each, and keeps the [`Work`](crate::server::Work) until it has answered | the request is the vote, and a switchover waits for its answer |
//! | requests whose answers may be lost at a switchover | [`vote`](Handle::vote) for each | one question less to count |
//! | long connections: streams, sessions | `vote` when one comes, [`may_serve`](Handle::may_serve) before each piece of work in it, and closes all in `on_passive` | a connection that outlives the active state would be served by two |
//! | a protocol in which the server speaks first | `vote` when a connection comes | but then whatever connects votes, also a load balancer's check |
//! | work of its own: a cron job, a queue's consumer | [`try_begin`](Handle::try_begin), which never votes | only a client's request may take the service over: it tells a dead peer from a cut link |
//! | a runtime whose threads must not block | [`vote_with`](Handle::vote_with), then `try_begin` | nothing waits |
//!
//! A vote that does not count costs a message to the guard's thread and back. Where many clients come to a
//! passive node, [`on_outlook`](GuardBuilder::on_outlook) tells beforehand whether it would count; better
//! still, a passive node does not listen, so that clients are refused at once.
//!
//! # Contract
//!
//! - [`may_serve`](Handle::may_serve) takes no lock and no system call. It turns false when the node is no
//!   longer active, and by itself when the guard's thread has not run for so long that the peer may have
//!   taken over. After it is false nothing may be begun; whoever holds a `Work` may finish.
//! - Callbacks run on the guard's thread, each before `may_serve` shows what it tells of, and may run before
//!   [`spawn`](GuardBuilder::spawn) has returned. The node's heartbeats wait for them: they must return in
//!   less than the peer timeout less one heartbeat, and must not ask the guard anything that waits.
//! - An error of a callback, or a panic, ends the node: it steps back, its peer takes over, `may_serve`
//!   is false for good and [`outcome`](Guard::outcome) tells why. So whatever a program cannot do when it
//!   becomes active, it returns as an error.
//! - [Ending](Guard::end) or dropping the guard says goodbye: a passive peer takes over at once. It does not
//!   wait for requests under way: to let them finish, [`switch_over`](Handle::switch_over) first.
//! - No signal is touched: SIGTERM is the program's own to handle.
//!
//! # What it does not do
//!
//! It refuses nobody by itself: a program that does not ask, serves. It does not watch the program either:
//! one that hangs while its guard's thread runs is active; let a check of its own call
//! [`set_ill`](Handle::set_ill).

mod builder;
mod outcome;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use self::builder::GuardBuilder;
pub use self::outcome::Failure;

use self::outcome::Ended;
use crate::core::Config;
use crate::server::Handle;

/// How long the drop of a guard waits for its thread: a moment more than the thread waits for its sockets.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// A node of a pair that runs on a thread of its own until this is dropped. The [module](self) tells how to
/// use it.
///
/// All that can be asked of it is a method of [`Handle`].
pub struct Guard {
    handle: Handle,
    ended: Arc<Ended>,
    /// Until it was joined.
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// A node that publishes its state at `local`, an endpoint to bind, and hears its peer's at `remote`, an
    /// endpoint to connect to.
    pub fn builder(
        config: Config,
        local: impl Into<String>,
        remote: impl Into<String>,
    ) -> GuardBuilder {
        GuardBuilder::new(config, local.into(), remote.into())
    }

    /// To be cloned for threads and tasks. It outlives the guard, and then says that nothing may be served.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How the node ended; `None` while it runs. `Ok` says that it was stopped.
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        self.ended.outcome()
    }

    /// Waits until the node has ended: because a callback failed, or because somebody
    /// [stopped](Handle::stop) it.
    pub fn wait(&self) -> Result<(), Failure> {
        self.ended.wait()
    }

    /// Ends the node, with a goodbye to its peer, and waits at most `bound` for its thread. All that it had
    /// bound is free then.
    ///
    /// # Errors
    ///
    /// Why the node had ended before. After [`Failure::Late`] the thread is left behind, and ends when it can:
    /// `may_serve` is false at the latest when a peer timeout less a heartbeat has passed.
    pub fn end(mut self, bound: Duration) -> Result<(), Failure> {
        self.end_within(bound)
    }

    fn end_within(&mut self, bound: Duration) -> Result<(), Failure> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.handle.stop();
        if thread.thread().id() == thread::current().id() {
            // Dropped by one of its own callbacks: the thread ends when that has returned.
            return Ok(());
        }
        let Some(outcome) = self.ended.wait_within(bound) else {
            return Err(Failure::Late(bound));
        };
        // It has nothing left to do but to return, and its outcome was told.
        let _ = thread.join();
        outcome
    }
}

impl Deref for Guard {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.end_within(DROP_WITHIN) {
            tracing::warn!(%error, "a guard ended otherwise than by its drop");
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("handle", &self.handle)
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
