//! What a server counts.

/// Counters of a server since it was attached.
///
/// Each request that was received is at last one of: executed and replied to, refused, dropped, unanswered, failed,
/// abandoned, a hit of the cache or joined to one under way; until then it is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that had the shape of their model.
    pub received: u64,
    /// Requests that the handler or a worker answered.
    pub replied: u64,
    /// Requests that were refused by word, which only clients of ours are.
    pub refused: u64,
    /// Requests of other clients that were dropped where one of ours is refused: they would take the word for the reply.
    pub dropped: u64,
    /// Requests that the handler let go of without an answer.
    pub unanswered: u64,
    /// Requests whose job panicked.
    pub failed: u64,
    /// Requests that were under way when the server closed.
    pub abandoned: u64,
    /// Messages that had no shape, and were dropped.
    pub malformed: u64,
    /// PINGs, each of which got its PONG.
    pub pings: u64,
    /// Messages that could not leave: the client is gone, or does not read.
    pub lost: u64,
    /// Duplicates that were answered with the first reply.
    pub cache_hits: u64,
    /// Duplicates of requests under way, which are answered together with those.
    pub cache_joined: u64,
    /// Replies that were forgotten before their time, since there were too many or they were too large.
    pub cache_evicted: u64,
}
