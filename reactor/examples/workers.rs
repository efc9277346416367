//! Threads that compute, and a reactor that gathers what they find.
//!
//! ```text
//! cargo run -p bstar-reactor --example workers -- [THREADS]
//! ```
//!
//! It counts the primes below 200,000 in small parts, two threads at a time if it is told nothing else, prints what the
//! loop did, and ends by itself; Ctrl-C ends it earlier.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use reactor::{Reactor, SendError, Sender};

const LIMIT: u32 = 200_000;
const PART: u32 = 1_000;
/// More answers than this do not wait: a worker that is faster than the reactor waits instead.
const MAX_WAITING: usize = 16;

/// What all handlers share.
#[derive(Default)]
struct App {
    primes: u32,
    parts: u32,
    /// How many parts were there when progress was last printed.
    printed: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads: u32 = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let mut reactor = Reactor::<App>::new()?;
    let scope = reactor.scope();
    let (sender, _) =
        scope.add_channel("answers", MAX_WAITING, |app: &mut App, scope, answer| {
            match answer {
                Some(primes) => {
                    app.parts += 1;
                    app.primes += primes;
                }
                // The last worker is gone, and everything has been handled. What is deferred comes after whatever else is
                // ready in this turn.
                None => scope.defer(|_, scope| scope.stop()),
            }
            Ok(())
        })?;
    // Once for all that came since the last sleep, not for each of them.
    scope.add_before_sleep("progress", |app, _| {
        if app.parts - app.printed >= LIMIT / PART / 10 {
            println!("{} of {} parts", app.parts, LIMIT / PART);
            app.printed = app.parts;
        }
        Ok(())
    })?;

    let next_part = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (sender, next_part) = (sender.clone(), Arc::clone(&next_part));
            thread::spawn(move || work(&sender, &next_part))
        })
        .collect();
    // The channel ends with its last sender.
    drop(sender);

    let mut app = App::default();
    reactor.run(&mut app)?;
    println!(
        "{} primes below {LIMIT}, from {} parts",
        app.primes, app.parts
    );
    println!("{}", reactor.scope().metrics());

    // With the reactor the channel closes, and tells those workers which are not done.
    drop(reactor);
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")?;
    }
    Ok(())
}

/// Takes one part after the other, until there is none, or nobody wants to know.
fn work(sender: &Sender<u32>, next_part: &AtomicU32) {
    loop {
        let begin = next_part.fetch_add(PART, Ordering::Relaxed);
        if begin >= LIMIT {
            return;
        }
        let mut answer = (begin..begin + PART).filter(|n| is_prime(*n)).count() as u32;
        loop {
            match sender.send(answer) {
                Ok(()) => break,
                Err(SendError::Full(back)) => answer = back,
                Err(_) => return,
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn is_prime(n: u32) -> bool {
    n >= 2
        && !(2..)
            .take_while(|d| d * d <= n)
            .any(|d| n.is_multiple_of(d))
}
