//! The ways in which a server can be good or bad.

use std::time::Duration;

/// How a [`ScriptedServer`](super::ScriptedServer) behaves.
///
/// All but `Dead` take requests or at least connections. All that speak answer a PING, also the
/// bad ones: who lives is not thereby one who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers each request at once.
    Good,
    /// Its port is kept for it, but nobody is there: connections are refused.
    Dead,
    /// Takes requests and never answers one.
    Mute,
    /// Answers every third request.
    DropTwoOfThree,
    /// Answers each request under another control frame: of random bytes, with one digit changed,
    /// or of a request that nobody made.
    WrongControl,
    /// Answers each request under the right control frame, with what nobody asked: no client can
    /// tell, only who made the request.
    WrongBody,
    /// Answers with frames of every number and size, none of which is a reply, and says more of
    /// them before it is asked.
    Garbage,
    /// Answers each request three times, and repeats its replies to earlier requests.
    DuplicatesAndStale,
    /// Answers each request after this time.
    Slow(Duration),
    /// Answers some requests, dies at the next one, and comes back: again and again.
    DiesMidway {
        /// Requests that it answers in each of its lives.
        after: usize,
        /// How long it is away.
        away: Duration,
    },
    /// Accepts connections and never says a word on them, not even a greeting.
    Unreadable,
    /// Accepts connections, and speaks another protocol on them.
    OtherProtocol,
}
