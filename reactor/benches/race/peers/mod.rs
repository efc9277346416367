//! The programs that race, each as one who likes that library would write it.

mod calloop;
mod epoll;
mod ours;
mod poll;
pub(crate) mod zloop;

use std::thread;
use std::time::Duration;

use crate::Result;
use crate::contest::{Contestant, Test};
use crate::meter::Report;

/// After this a run is taken to hang.
const BOUND: Duration = Duration::from_secs(60);

/// One run, in the process that was started for it.
pub(crate) fn run(contestant: Contestant, test: Test, count: u64) -> Result<()> {
    thread::spawn(|| {
        thread::sleep(BOUND);
        eprintln!("it did not end within {} s", BOUND.as_secs());
        std::process::exit(1);
    });
    let report: Report = match contestant {
        Contestant::Mio | Contestant::Polling | Contestant::MioSingle => {
            ours::run(contestant, test, count)?
        }
        Contestant::Poll | Contestant::PollBatch => poll::run(contestant, test, count)?,
        Contestant::Epoll | Contestant::EpollBatch => epoll::run(contestant, test, count)?,
        Contestant::Calloop | Contestant::CalloopPing => calloop::run(contestant, test, count)?,
        Contestant::Zloop | Contestant::ZloopBatch => {
            return Err("zloop has its own program".into());
        }
    };
    for (label, values) in report {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
        println!("{label} {}", values.join(" "));
    }
    Ok(())
}

/// What a contestant says to a test that it does not enter.
fn not_entered<T>() -> Result<T> {
    Err("this contestant does not enter this test".into())
}
