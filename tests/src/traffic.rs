//! A client of ours that asks without pause, and how long it waited for each answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bstar::client::{Client, Idempotent};

use crate::{BOUND, Outcome};

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was first sent.
    pub asked: Instant,
    /// How long it took until it was answered or given up.
    pub took: Duration,
    /// Which server answered, or why none did.
    pub outcome: Result<usize, String>,
}

#[derive(Default)]
struct Record {
    samples: Mutex<Vec<Sample>>,
    changed: Condvar,
    ends: AtomicBool,
}

impl Record {
    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that asks one request after the other, until it is dropped.
pub struct Traffic {
    record: Arc<Record>,
    thread: Option<JoinHandle<()>>,
}

/// The pause of the client between an answer and the next request.
const INTERVAL: Duration = Duration::from_millis(10);

impl Traffic {
    /// Starts to ask the pair with these front ends.
    ///
    /// # Errors
    ///
    /// When the client does not take the endpoints.
    pub fn start(servers: &[String; 2], heartbeat: Duration) -> Outcome<Self> {
        let record = Arc::new(Record::default());
        let writer = Arc::clone(&record);
        let servers = servers.clone();
        let (built, is_built) = sync_channel(1);
        // The client belongs to the thread that made it.
        let thread = thread::spawn(move || {
            let client = Client::builder().servers(servers).heartbeat(heartbeat);
            match client.connect() {
                Ok(client) => {
                    let _ = built.send(Ok(()));
                    ask(client, &writer);
                }
                Err(error) => drop(built.send(Err(error.to_string()))),
            }
        });
        let traffic = Self {
            record,
            thread: Some(thread),
        };
        is_built.recv().map_err(|error| error.to_string())??;
        Ok(traffic)
    }

    /// How many requests have come to their end: a mark from which to look on.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.record.samples().len()
    }

    /// Waits until `server` has answered a request that was first sent after this call.
    ///
    /// # Errors
    ///
    /// When it has not within `bound`.
    pub fn served_by(&self, server: usize, bound: Duration) -> Outcome<()> {
        let since = Instant::now();
        let found = self.wait(bound, |sample| {
            sample.asked >= since && sample.outcome == Ok(server)
        });
        found.map_err(|last| format!("no answer from server {server}; the last: {last:?}"))
    }

    fn wait(
        &self,
        bound: Duration,
        wanted: impl Fn(&Sample) -> bool,
    ) -> Result<(), Option<Sample>> {
        let end = Instant::now() + bound;
        let mut samples = self.record.samples();
        loop {
            if samples.last().is_some_and(&wanted) {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(samples.last().cloned());
            }
            let waited = self.record.changed.wait_timeout(samples, left);
            samples = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The longest that a request waited which came to its end behind the mark `from`.
    ///
    /// # Errors
    ///
    /// When one of them was not answered at all.
    pub fn longest(&self, from: usize) -> Outcome<Duration> {
        let samples = self.record.samples();
        let samples = samples.get(from..).unwrap_or_default();
        if let Some(failed) = samples.iter().find(|sample| sample.outcome.is_err()) {
            return Err(format!("a request failed: {failed:?}"));
        }
        let longest = samples.iter().map(|sample| sample.took).max();
        longest.ok_or_else(|| "no request came to its end".to_owned())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.record.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A client that panicked has already said so on the standard error.
            let _ = thread.join();
        }
    }
}

fn ask(mut client: Client, record: &Record) {
    let mut number = 0_u64;
    while !record.ends.load(Ordering::Relaxed) {
        number += 1;
        let body = number.to_string();
        let asked = Instant::now();
        let answer = client.request([body.as_str()], Idempotent::Yes, BOUND / 2);
        let outcome = match answer {
            Ok(reply) if reply.frames.concat() == body.as_bytes() => Ok(reply.server),
            Ok(reply) => Err(format!("asked {body}, was answered {reply:?}")),
            Err(error) => Err(error.to_string()),
        };
        let took = asked.elapsed();
        record.samples().push(Sample {
            asked,
            took,
            outcome,
        });
        record.changed.notify_all();
        thread::sleep(INTERVAL);
    }
}
