//! What it costs to ask a guard whether one may serve, beside the clock and an uncontended lock: from one
//! thread, and from two at a time.
//!
//! ```text
//! cargo bench -p bstar --bench guard
//! ```

use std::error::Error;
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bstar::{Config, Guard, Role};

const ROUNDS: usize = 31;
const CALLS: u32 = 200_000;

/// What is measured: its name, and one call.
type Case<'a> = (&'a str, &'a (dyn Fn() -> bool + Sync));

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::new(Role::Primary).with_heartbeat(Duration::from_millis(100))?;
    // Nobody is there: the first vote after a peer timeout makes it active.
    let guard = Guard::builder(config, "tcp://127.0.0.1:*", "tcp://127.0.0.1:9").spawn()?;
    let began = Instant::now();
    while !guard.vote(Duration::from_secs(1))? {
        if began.elapsed() > Duration::from_secs(20) {
            return Err("a primary that is alone did not become active".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let may_serve = || guard.may_serve();
    let begin = || guard.try_begin().is_some();
    let clock = || Instant::now() > began;
    // A lock each, so that no thread waits for the other.
    thread_local!(static LOCK: Mutex<bool> = const { Mutex::new(true) });
    let lock = || LOCK.with(|lock| lock.lock().is_ok_and(|held| *held));
    let cases: [Case<'_>; 4] = [
        ("may_serve", &may_serve),
        ("try_begin, and its end", &begin),
        ("Instant::now", &clock),
        ("Mutex, uncontended", &lock),
    ];
    println!("ns a call, medians of {ROUNDS} rounds of {CALLS} calls");
    println!("{:26}{:>12}{:>12}", "", "1 thread", "2 threads");
    let mut times = [const { [const { Vec::new() }; 2] }; 4];
    for _ in 0..ROUNDS {
        for ((_, call), times) in cases.iter().zip(&mut times) {
            times[0].push(measure(*call, 1)?);
            times[1].push(measure(*call, 2)?);
        }
    }
    for ((name, _), times) in cases.iter().zip(times) {
        let [one, two] = times.map(median);
        println!("{name:26}{one:>12.1}{two:>12.1}");
    }
    Ok(())
}

/// Nanoseconds a call of each of so many threads.
fn measure(call: &(dyn Fn() -> bool + Sync), threads: usize) -> Result<f64, Box<dyn Error>> {
    let start = Barrier::new(threads);
    let took = thread::scope(|scope| {
        let start = &start;
        let task = move || {
            start.wait();
            let began = Instant::now();
            let yes = (0..CALLS).filter(|_| black_box(call())).count();
            (began.elapsed(), yes)
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(task)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<_>, _>>()
    });
    let took = took.map_err(|_| "a thread panicked")?;
    let of_each = f64::from(CALLS);
    let mut sum = 0.0;
    for (elapsed, yes) in &took {
        // A machine that was away for long makes the node step back, rightly so: that is not what is measured.
        if *yes != CALLS as usize {
            return Err("the node was not active throughout: try again on a calmer machine".into());
        }
        sum += elapsed.as_secs_f64() * 1e9 / of_each;
    }
    Ok(sum / took.len() as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
