//! How long a client waits for its answer when a server fails: killed, stopped, or slow.
//!
//! ```text
//! cargo bench -p freelance --bench faults -- --help
//! ```
//!
//! Three servers, plain loops on libzmq, each in a process of its own; a client that blocks its caller, on no CPU in
//! particular, since this is about what a user waits for.
//!
//! - **killed between requests**: from just before `kill -9` of the server that answered last to the next answer.
//! - **killed under a request**: that server has a request, and will not answer it; from just before the kill to the
//!   answer. How long the request had waited before does not count.
//! - **stopped**: from just before SIGSTOP of that server to the next answer. Its connection stands, so only time tells.
//! - **slow**: the servers take a few milliseconds for an answer, and after a while the first of them 200 ms longer.
//!   Several requests are under way; each is measured from being sent to being answered. The hedge's floor is 1 ms, so
//!   that its percentile decides, and all else is by default, the budget too.
//!
//! In trials with kills and stops each has a client of its own and, in place of the server that failed, a new one.

mod args;
mod case;
#[path = "../common/mod.rs"]
mod common;
mod fail;
mod report;
mod slow;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::case::Case;
use crate::common::{Result, SERVE};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let [SERVE, kind, delay_us] = args[..] {
        return common::serve(kind, delay_us);
    }
    let args = Args::parse();
    report::print_heading(&args);
    let mut results = Vec::new();
    for case in Case::ALL {
        let waits = case.run(&args)?;
        report::print_row(case, &waits);
        results.push((case, waits));
    }
    report::print_goals(&results);
    Ok(())
}
