//! SIGINT and SIGTERM. They reach the whole process, so that these tests have one of their own, and take turns in it.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use common::{BOUND, builder, turn_idly};
use reactor::{Backend, Builder};
use rustix::process::{Pid, Signal, getpid, kill_process};

const BACKENDS: [Backend; 2] = [Backend::Mio, Backend::Polling];

static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_signal_stops_every_reactor_that_wants_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in [Signal::INT, Signal::TERM] {
        for backend in BACKENDS {
            let mut first = Builder::new().backend(backend).build::<()>().unwrap();
            let mut second = Builder::new().backend(backend).build::<()>().unwrap();
            let mut unconcerned = builder(backend).build::<()>().unwrap();
            let runner = std::thread::spawn(move || {
                // Sent from beside the run, which it may precede or interrupt.
                kill_process(getpid(), signal).unwrap();
            });
            first.run(&mut ()).unwrap();
            second.run(&mut ()).unwrap();
            runner.join().unwrap();
            turn_idly(&mut unconcerned, &mut ());
            assert!(!unconcerned.is_stopping());
            // One signal stops once.
            turn_idly(&mut first, &mut ());
            assert!(!first.is_stopping());
        }
    }
}

#[test]
fn an_ended_reactor_leaves_the_pipe_closed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let keeper = Builder::new().build::<()>().unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for backend in BACKENDS {
        for _ in 0..20 {
            drop(Builder::new().backend(backend).build::<()>().unwrap());
        }
    }
    assert_eq!(open(), before, "descriptors were left behind");
    drop(keeper);
}

/// A process whose reactors leave signals alone dies of them, as any other.
#[test]
fn a_reactor_that_is_told_so_leaves_signals_alone() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "child_that_leaves_signals_alone",
                "--nocapture",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("running the reactor") {
            line.clear();
            assert_ne!(
                std::io::BufRead::read_line(&mut output, &mut line).unwrap(),
                0
            );
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
    }
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_leaves_signals_alone() {
    let mut reactor = builder(Backend::default()).build::<()>().unwrap();
    println!("running the reactor");
    reactor.turn(&mut (), Some(BOUND)).unwrap();
}
