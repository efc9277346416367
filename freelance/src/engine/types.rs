//! What goes in and comes out of the engine.

use std::time::Duration;

use crate::RequestError;

/// A server, as long as it is known. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub(crate) u64);

/// A request. Never used again for another one of the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Whether a request may be executed more than once without harm.
///
/// Only the caller can know, so each request says it, and there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotent {
    /// To execute it twice does what once does: when no answer comes in time it is sent to another server too, and
    /// it may be hedged. Model 2 sends it to all.
    Yes,
    /// It must not be executed twice: it is sent again only when it provably never left, or the server said that it
    /// did not take it. In model 2 it goes to one server.
    No,
}

/// What a client thinks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Liveness {
    /// Nothing was heard of it yet: its first link is being dialled.
    Unknown,
    /// There was a link, or an attempt at one failed, and it is dialled again.
    Connecting,
    /// There is a link, and it answers.
    Live,
    /// There is a link, but it said nothing for so long that nothing is sent to it while others are there.
    Suspect,
    /// It left too many attempts unanswered; after a while one request tries it.
    Ejected,
    /// It finishes what it has, and gets nothing more.
    Draining,
}

/// What the host is to do. Each is carried out before the next is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an attempt at a link; whatever there was of an earlier one is closed.
    Dial {
        /// To whom.
        server: ServerId,
    },
    /// Close the link, or the attempt at it.
    HangUp {
        /// To whom.
        server: ServerId,
    },
    /// Send a PING (model 3 only). What becomes of it is told by `handle_send_failed` alone.
    Ping {
        /// To whom.
        server: ServerId,
    },
    /// Ask the server for its identity (model 3 only): there is a link, and still nobody is known by its address.
    AskName {
        /// Whom.
        server: ServerId,
    },
    /// Send a copy of a request: [`Engine::head`](super::Engine::head) is the envelope, and
    /// [`Engine::body`](super::Engine::body) what follows it.
    Send {
        /// To whom.
        server: ServerId,
        /// What.
        id: RequestId,
        /// Which copy it is, from 1 on.
        attempt: u32,
    },
}

/// What the application is to be told.
#[derive(Debug)]
pub enum Event<R> {
    /// A request ended.
    Done {
        /// Which.
        id: RequestId,
        /// How.
        result: Result<Reply<R>, RequestError>,
    },
    /// What the client thinks of a server has changed.
    Server {
        /// Which.
        server: ServerId,
        /// What it thinks now.
        liveness: Liveness,
    },
    /// A server has another identity than the address that it was dialled by, so that no request can reach it.
    Misnamed {
        /// Which.
        server: ServerId,
        /// What it calls itself.
        identity: String,
    },
    /// A server was drained, and is removed.
    Drained {
        /// Which.
        server: ServerId,
    },
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply<R = Vec<Vec<u8>>> {
    /// The body, without the envelope.
    pub frames: R,
    /// Who answered.
    pub server: ServerId,
    /// Copies that had been sent when it came; 1 if the first server answered.
    pub attempts: u32,
    /// From the moment the request was taken on to the reply.
    pub elapsed: Duration,
}

/// Why a message could not be sent; it certainly did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// Nobody is known by the server's identity (model 3), or there is no link.
    Unreachable,
    /// Its queue is full.
    Full,
}

/// Counters of a client since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests taken on.
    pub submitted: u64,
    /// Requests that ended with a reply.
    pub replies: u64,
    /// Requests that ended with an error.
    pub failed: u64,
    /// Copies handed to links, hedges, probes and volleys included, those that could not leave not.
    pub attempts: u64,
    /// Copies sent since an earlier one was not answered in time, or its link was lost.
    pub retries: u64,
    /// Copies sent although an earlier one could still be answered.
    pub hedges: u64,
    /// Hedges that were answered first.
    pub hedges_won: u64,
    /// Copies that were due and could not be paid.
    pub budget_exhausted: u64,
    /// Replies to requests that had ended, and further ones to the same.
    pub late: u64,
    /// Messages that are no answer to this client.
    pub foreign: u64,
    /// Refusals by word.
    pub refused: u64,
    /// Copies that could not leave.
    pub send_failed: u64,
    /// Decisions taken in panic mode: all servers looked dead, and health was ignored.
    pub panics: u64,
}

/// What is known of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Which.
    pub server: ServerId,
    /// Its address.
    pub endpoint: String,
    /// Its tier; the lowest is asked first.
    pub tier: u32,
    /// What the client thinks of it.
    pub liveness: Liveness,
    /// An identity that it has beside its address: clients cannot reach it by the one that was given (model 3).
    pub misnamed: Option<String>,
    /// Smoothed time of its replies, from sending to coming in; none before the first.
    pub round_trip: Option<Duration>,
    /// Copies that wait for its answer.
    pub outstanding: usize,
    /// Copies handed to its link.
    pub attempts: u64,
    /// Replies that ended a request.
    pub replies: u64,
    /// Attempts that it left unanswered in time, or lost with its link.
    pub failures: u64,
    /// Hedges that it answered first.
    pub hedges_won: u64,
    /// Replies that came too late, or twice.
    pub late: u64,
    /// Times that it was ejected.
    pub ejected: u64,
    /// Links that stood.
    pub links: u64,
}
