//! How a guard's thread ends, and who is told.

use std::any::Any;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a guard's node has ended by itself.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A callback returned an error, or the node could not go on.
    #[error(transparent)]
    Error(#[from] Arc<reactor::Error>),
    /// A callback panicked, with these words.
    #[error("a callback panicked: {0}")]
    Panic(String),
    /// The thread did not end in time, and is left behind.
    #[error("the guard's thread did not end within {0:?}")]
    Late(Duration),
}

/// Where the thread leaves how it ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    outcome: Mutex<Option<Result<(), Failure>>>,
    told: Condvar,
}

impl Ended {
    pub(super) fn tell(&self, outcome: Result<(), Failure>) {
        self.lock().get_or_insert(outcome);
        self.told.notify_all();
    }

    pub(super) fn outcome(&self) -> Option<Result<(), Failure>> {
        self.lock().clone()
    }

    pub(super) fn wait(&self) -> Result<(), Failure> {
        let mut outcome = self.lock();
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            let waited = self.told.wait(outcome);
            outcome = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// `None` when the bound has passed.
    pub(super) fn wait_within(&self, bound: Duration) -> Option<Result<(), Failure>> {
        let waited = self
            .told
            .wait_timeout_while(self.lock(), bound, |outcome| outcome.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<(), Failure>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a panic, as far as it had any.
pub(super) fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without words".to_owned())
}
