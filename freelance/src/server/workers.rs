//! Threads that execute requests beside the reactor.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use reactor::{Scope, Sender};
use zmq::Message;

use super::config::within;
use super::desk::{Ending, Ticket};
use super::request::{Replier, Request};
use crate::Error;

/// What a worker does with a request.
pub(super) type Work = Arc<dyn Fn(Vec<Vec<u8>>) -> Vec<Vec<u8>> + Send + Sync>;

/// More threads than this are a typing error.
const MOST_THREADS: usize = 1024;

/// Threads that were asked for.
pub(super) struct Crew {
    pub(super) threads: usize,
    pub(super) work: Work,
}

/// The threads at work. They end with this, each after the job that it has.
pub(super) struct Pool {
    jobs: SyncSender<Job>,
    waiting: Waiting,
    /// Jobs that still wait are not for anybody.
    is_over: Arc<AtomicBool>,
}

/// Requests at the workers.
type Waiting = Rc<RefCell<HashMap<Ticket, Replier>>>;

struct Job {
    ticket: Ticket,
    frames: Vec<Vec<u8>>,
}

struct Done {
    ticket: Ticket,
    /// `None` when the job panicked.
    reply: Option<Vec<Vec<u8>>>,
}

impl Crew {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("workers", self.threads, 1, MOST_THREADS)
    }

    /// Starts the threads. No more jobs than `queue` are ever under way.
    pub(super) fn start<S: 'static>(
        self,
        scope: &mut Scope<S>,
        queue: usize,
    ) -> Result<Pool, Error> {
        let waiting = Waiting::default();
        let repliers = Rc::clone(&waiting);
        let (results, _) = scope.add_channel(
            "freelance workers",
            queue,
            move |_: &mut S, scope, done: Option<Done>| {
                if let Some(done) = done {
                    let replier = repliers.borrow_mut().remove(&done.ticket);
                    answer(scope, replier, done.reply);
                }
                Ok(())
            },
        )?;
        let (jobs, to_do) = sync_channel(queue);
        let to_do = Arc::new(Mutex::new(to_do));
        let is_over = Arc::new(AtomicBool::new(false));
        for thread in 0..self.threads {
            let worker = Worker {
                work: Arc::clone(&self.work),
                to_do: Arc::clone(&to_do),
                results: results.clone(),
                is_over: Arc::clone(&is_over),
            };
            // Where the system refuses one, those that run find nobody to give them jobs, and end.
            std::thread::Builder::new()
                .name(format!("freelance-{thread}"))
                .spawn(move || worker.toil())
                .map_err(Error::Thread)?;
        }
        Ok(Pool {
            jobs,
            waiting,
            is_over,
        })
    }
}

impl Pool {
    /// Hands a request to the next worker that is free.
    pub(super) fn execute<S: 'static>(&self, scope: &mut Scope<S>, request: Request) {
        let (frames, replier) = request.into_frames();
        let ticket = replier.ticket();
        let frames = frames.iter().map(|frame| frame.to_vec()).collect();
        // Full it cannot be, since no more are under way than it holds; without any worker it is closed.
        match self.jobs.try_send(Job { ticket, frames }) {
            Ok(()) => {
                self.waiting.borrow_mut().insert(ticket, replier);
            }
            Err(_) => replier.refuse(scope),
        }
    }

    /// Gives up those that are at work, and those that wait for it. They are to be dropped where nothing is borrowed.
    pub(super) fn abandon(&self) -> impl Sized + use<> {
        self.is_over.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.waiting.borrow_mut())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // What waits in the channel would else be executed for nobody.
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What a worker's thread has.
struct Worker {
    work: Work,
    to_do: Arc<Mutex<Receiver<Job>>>,
    results: Sender<Done>,
    is_over: Arc<AtomicBool>,
}

impl Worker {
    /// Does jobs, until nobody has any or wants replies any more.
    fn toil(self) {
        loop {
            // No foreign code runs under the lock. Who waits in there holds it, and the others wait for that.
            let to_do = self.to_do.lock().unwrap_or_else(PoisonError::into_inner);
            let job = to_do.recv();
            drop(to_do);
            let Ok(Job { ticket, frames }) = job else {
                return;
            };
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let reply = catch_unwind(AssertUnwindSafe(|| (self.work)(frames))).ok();
            // Full it cannot be, for the same reason as the queue of jobs; and if it is closed nobody wants more.
            if self.results.send(Done { ticket, reply }).is_err() {
                return;
            }
        }
    }
}

fn answer<S: 'static>(scope: &mut Scope<S>, replier: Option<Replier>, reply: Option<Vec<Vec<u8>>>) {
    // It may have been abandoned.
    let Some(replier) = replier else { return };
    match reply {
        Some(frames) if frames.is_empty() => drop(replier),
        Some(frames) => {
            let frames = frames.into_iter().map(Message::from).collect();
            replier.end(scope, Ending::Reply(frames));
        }
        None => {
            tracing::error!("a worker's job panicked");
            replier.end(scope, Ending::Panicked);
        }
    }
}
