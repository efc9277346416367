//! Requests under way.

use std::sync::Arc;

use reactor::{SourceKey, Waker};

use super::handle::Shared;

/// A request that was begun while the node was active, and is not finished: a switchover waits for
/// it, as long as [`Config::drain`](crate::Config::drain) allows. It ends when this is dropped, on
/// any thread.
#[derive(Debug)]
#[must_use = "a request that nobody holds is finished"]
pub struct Work {
    shared: Arc<Shared>,
    waker: Waker,
    source: SourceKey,
}

impl Work {
    /// Counts one more, if the node may serve now.
    pub(super) fn begin(shared: &Arc<Shared>, waker: &Waker, source: SourceKey) -> Option<Work> {
        if !shared.may_serve() {
            return None;
        }
        // Counted before it is looked at again: who drains withdraws first, and counts then.
        shared.count_work();
        let work = Work {
            shared: Arc::clone(shared),
            waker: waker.clone(),
            source,
        };
        shared.may_serve().then_some(work)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.shared.end_work() {
            self.waker.notify(self.source);
        }
    }
}
