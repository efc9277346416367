//! What a request costs: our clients of the Guide's three models beside the Guide's designs, written plainly on
//! libzmq, and beside loops that do nothing but send and receive.
//!
//! ```text
//! cargo bench -p freelance --bench roundtrip -- --help
//! ```
//!
//! Servers are plain loops on libzmq, the same for all, each in a process of its own; each run of a client is a process
//! too. All are **pinned to one CPU** unless told otherwise: across two, the waking of the other CPU covers everything
//! else. Rounds are interleaved: each has every client run once in every test, in an order that rotates, so that what
//! disturbs the machine for a while disturbs all. What is printed are medians of the rounds; what counts are the
//! ratios. Every answer is looked at, and who gets a wrong one or none is out.
//!
//! # Who takes part
//!
//! - **model 1**: a REQ without a poll, the floor of libzmq; a REQ that is kept and waits in `zmq_poll`, the least that
//!   a client with a time-out does; ours, which blocks its caller.
//! - **model 2**: the shotgun on a DEALER; ours. With three servers each request goes to three, and is answered when
//!   the first answers.
//! - **model 3**: the Guide's, with an agent on a thread of its own behind a PAIR; ours three times: on its caller's
//!   thread, as callbacks on a reactor, and on a thread of its own; a bare ROUTER with the same frames, which is the
//!   ceiling, and a DEALER beside it. With three servers the first gets all requests, the others are known.
//!
//! The Guide's clients have one request under way at a time, and so these have too.
//!
//! # What the figures are
//!
//! The round trip is from answer to answer with one request under way. CPU is what the client's process takes of it for
//! a request, on all of its threads, libzmq's among them; the servers' is not in it. Beside the goals for requests a
//! second stands what they would be if nothing else ran on the machine: the same by the CPU time of clients and servers.

mod args;
#[path = "../common/mod.rs"]
mod common;
mod contest;
mod cpus;
mod goals;
mod meter;
mod peers;
mod referee;
mod report;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::common::{Result, SERVE};
use crate::contest::Contestant;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roundtrip: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [SERVE, kind, delay_us] => return common::serve(kind, delay_us),
        [
            referee::RUN,
            contestant,
            outstanding,
            count,
            ref endpoints @ ..,
        ] => {
            let contestant = Contestant::from_id(contestant).ok_or("no such contestant")?;
            return meter::run(contestant, outstanding.parse()?, count.parse()?, endpoints);
        }
        _ => {}
    }
    let args = Args::parse();
    let results = referee::race(&args)?;
    report::print(&results, &args);
    match results.out.len() {
        0 => Ok(()),
        some => Err(format!("out of {some} tests, see above").into()),
    }
}
