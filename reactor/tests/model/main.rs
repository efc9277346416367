//! Random programs on a reactor in virtual time, compared with a model that is written from the contract.
//!
//! A program registers, cancels, moves, sends, receives, pauses, posts, notifies, defers, fails, stops and waits, from
//! outside and from inside handlers, among them on what is being handled and on what is about to be. [`real`] carries
//! it out on a reactor and writes down each call of a handler with its time, and each answer. [`naive`] goes through
//! that and foretells every entry. The order is compared where the contract fixes it: hooks, posts, what is due by its
//! deadline, deferred work. Where it leaves it open, among sockets and among those that were notified, each of a turn
//! has to come once, whatever the order, and nobody who is not ready.
//!
//! What the model leaves open, since the contract does: the order among sources that were notified, and among classes
//! of tickets with the same deadline; whether a socket that became ready in the middle of a turn gets its call in that
//! turn or in the next, and one that was ready, paused and resumed; whether an item that is sent to a channel in the
//! middle of a turn does; one more call of a socket or a channel to see whether there is more; and a few turns in a row
//! that neither do anything nor sleep. The order among sockets is open but for those that are left over; that each turn
//! begins with another is not looked at here. Raw descriptors, monitors, send queues and panics are left to tests of
//! their own.
//!
//! Every program has a number, which is the seed of all that is random in it. A failing one is made smaller by proptest
//! and printed with its number, its last entries and what differs; one that does not end is named after a while:
//!
//! ```text
//! REACTOR_SEED=17 cargo test -p bstar-reactor --test model   only this one
//! REACTOR_PROGRAMS=1000000 cargo test ...                    so many on each back end; 20,000 if it is not set
//! REACTOR_FIRST=5000 cargo test ...                          beginning with this one, and not with 0
//! ```
//!
//! The number makes the same program for as long as the generator stays as it is. So there is no file of failures: what
//! one is about belongs into a test with a name.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod coverage;
mod log;
mod naive;
mod program;
mod real;

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use reactor::{Backend, zmq};

use crate::common::{BOUND, on_both};
use crate::coverage::Coverage;
use crate::program::{Program, program};

on_both!(agrees_with_the_model);

fn agrees_with_the_model(backend: Backend) {
    let trial = Trial::new(backend);
    if let Some(seed) = variable("REACTOR_SEED") {
        trial.try_program(seed, &zmq::Context::new());
        return;
    }
    let programs = variable("REACTOR_PROGRAMS").unwrap_or(20_000);
    let first = variable("REACTOR_FIRST").unwrap_or(0);
    let begin = Instant::now();
    let mut context = zmq::Context::new();
    for seed in first..first + programs {
        // Sockets are closed in the background, and a context has so many at most.
        if seed % 50 == 0 {
            context = zmq::Context::new();
        }
        trial.try_program(seed, &context);
    }
    let coverage = trial.coverage.borrow();
    coverage.print();
    println!("{backend:?}: {:?}", begin.elapsed());
    if programs >= 1000 {
        coverage.assert_complete();
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

struct Trial {
    backend: Backend,
    coverage: Rc<RefCell<Coverage>>,
    /// Tells of each program that begins; one that does not end ends the test.
    begun: Sender<u64>,
}

impl Trial {
    fn new(backend: Backend) -> Self {
        let (begun, begins) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut seed = 0;
            loop {
                match begins.recv_timeout(BOUND) {
                    Ok(next) => seed = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        // Past the harness, which would keep it to itself.
                        let _ = writeln!(
                            std::io::stderr(),
                            "the reactor on {backend:?} sleeps for ever: REACTOR_SEED={seed} runs this one again"
                        );
                        std::process::exit(1);
                    }
                }
            }
        });
        Self {
            backend,
            coverage: Rc::default(),
            begun,
        }
    }

    /// Makes the program with this number, and compares; a difference is made as small as it gets.
    fn try_program(&self, seed: u64, context: &zmq::Context) {
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..Config::default()
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, random);
        self.coverage.borrow_mut().programs += 1;
        let outcome = runner.run(&program(), |program| {
            self.begun.send(seed).unwrap();
            self.compare(program, context).map_err(TestCaseError::fail)
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, program)) => panic!(
                "the reactor on {:?} and the model differ: {reason}\n{program}\n\
                 REACTOR_SEED={seed} runs this one again",
                self.backend
            ),
            Err(error) => panic!("REACTOR_SEED={seed}: {error}"),
        }
    }

    fn compare(&self, program: Program, context: &zmq::Context) -> Result<(), String> {
        let program = Rc::new(program);
        let log = real::run(&program, self.backend, context, &self.coverage);
        naive::check(&program, &log, &self.coverage)
    }
}
