//! Many cases of one test, some at a time, with all failures in one report.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::{Outcome, ensure, steady};

/// Runs `run` on each case, `at_once` of them at a time.
///
/// A case that fails while the machine is away for longer than `limit` is tried again.
///
/// # Errors
///
/// All that failed, with their cases.
pub fn run_cases<C: Debug + Send>(
    cases: Vec<C>,
    at_once: usize,
    limit: Duration,
    run: impl Fn(&C) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let cases = Mutex::new(VecDeque::from(cases));
    let failures = Mutex::new(Vec::new());
    let next = || cases.lock().map_or(None, |mut cases| cases.pop_front());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let outcome = steady(limit, || run(&case));
                    if let (Err(error), Ok(mut failures)) = (outcome, failures.lock()) {
                        failures.push(format!("{case:?}: {error}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().map_err(|error| error.to_string())?;
    ensure(failures.is_empty(), || {
        format!("{} failed\n{}", failures.len(), failures.join("\n\n"))
    })
}
