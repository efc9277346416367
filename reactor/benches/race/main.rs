//! The reactor in a race with its peers: CZMQ's zloop, a bare loop on `zmq_poll`, calloop; and with a bare loop on
//! epoll, which is not a peer but the limit.
//!
//! ```text
//! cargo bench -p bstar-reactor --bench race -- --help
//! cargo bench -p bstar-reactor --bench race -- --svg ../docs/race.svg --markdown ../target/race.md
//! ```
//!
//! Cargo runs it in the folder of the package, and what files are named is relative to that.
//!
//! Each run is a process of its own, for every contestant alike, **pinned to one CPU** unless the test says otherwise:
//! across two, the waking of the other CPU covers everything else. Where all happens on one thread that never sleeps
//! (sockets, timers, tickets) its time on the CPU is measured, so that other programs do not count. Rounds are
//! interleaved: each has every contestant run once in every test, in an order that rotates, so that what disturbs the
//! machine for a while disturbs all. What is printed are medians, and the quartiles beside them; what counts are the
//! ratios. Every message has a number that its receiver checks, and who does not dispatch as many as it was asked for
//! is out.
//!
//! # Ours, twice
//!
//! By default a socket's handler is called up to 32 times a turn while there is more. A message then costs little more
//! than libzmq itself, since a turn's system calls are shared by 32. With `Builder::budget(1)` each message costs a
//! whole turn, as where messages come one by one. The first is what a user under load gets; the second is what our code
//! costs. For the same reason the peers come twice: as their examples are written, one message a turn, and as someone
//! would write them who wants speed, 32 a turn. calloop's source takes whatever there is, without a bound.
//!
//! # The tests
//!
//! - **sockets**: one end of an inproc PAIR is registered among so many idle sockets. Its handler takes a message, and
//!   sends the next from the other end, which belongs to the handler. So one message is under way at any time, and all
//!   of it happens on one thread.
//! - **timers**: turns made by a timer that is always due, beside many that are far off; and creating and cancelling
//!   one beside these. Turns are measured with one idle socket registered, as any loop for ZeroMQ has, and without one,
//!   where a loop on `zmq_poll` makes no system call.
//! - **tickets**: resetting one of many after the other.
//! - **wake**: from just before another thread's call to the handler's first line, one at a time. Ours by
//!   `Handle::post`, calloop by its channel and by a ping, loops on `zmq_poll` by an inproc PAIR as their users do it,
//!   the bare loop by an eventfd.
//! - **flood**: a PULL with a PUSH on another thread that sends as fast as it can.
//! - **fairness**: during such a flood, how late an interval timer of 10 ms is, and how long a message to another
//!   socket waits that is sent each 10 ms. Here the loop has a CPU to itself and the senders have the others.
//!
//! # What is not equal
//!
//! zloop runs on the libzmq that is installed, all others on the one that the `zmq` crate builds. Even where both are
//! of the same version that may matter: Debian's makes one more system call, `getpid`, for each call on a socket, of
//! about an eighth of zloop's time. How `zmq_poll` does, which is the same loop without zloop, on our libzmq, shows the
//! difference. And a ticket's reset reads the clock with zloop, where ours takes the time of the turn.
//!
//! It needs Linux. zloop's program, `peers/zloop.c`, is compiled by `cc` with what `pkg-config` says about `libczmq`;
//! where one of these is missing it is left out.

mod args;
mod contest;
mod cpus;
mod goals;
mod layout;
mod markdown;
mod meter;
mod peers;
mod raw;
mod referee;
mod report;
mod results;
mod svg;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::contest::{Contestant, Test};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("race: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let [referee::RUN, contestant, test, size, count] = args[..] {
        let contestant = Contestant::from_id(contestant).ok_or("no such contestant")?;
        let test = Test::parse(test, size.parse()?).ok_or("no such test")?;
        return peers::run(contestant, test, count.parse()?);
    }
    let args = Args::parse();
    // Before the race, which takes minutes.
    for file in args.files() {
        std::fs::File::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let results = referee::race(&args)?;
    report::print(&results, &args);
    if let Some(file) = &args.json {
        std::fs::write(file, report::json(&results)?)?;
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, svg::draw(&results))?;
    }
    if let Some(file) = &args.markdown {
        std::fs::write(file, markdown::tables(&results, &args))?;
    }
    Ok(())
}
