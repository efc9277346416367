//! A client that asks without pause, and when it was answered by whom.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::campaign::side::Side;
use crate::{Namespace, Outcome};

/// From the beginning of one attempt to that of the next, if that has ended.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_millis(100);

/// A thread that asks these addresses in turn, each time on a new connection.
pub(super) struct Client {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    ends: AtomicBool,
    answers: Mutex<Vec<(Side, Instant)>>,
    answered: Condvar,
}

impl Client {
    pub(super) fn start(home: &Namespace, addresses: Vec<SocketAddr>) -> Outcome<Client> {
        let seen = Arc::<Seen>::default();
        let told = Arc::clone(&seen);
        // A thread lives where the one lives that started it.
        let thread = home.within(move || Ok(thread::spawn(move || told.ask(&addresses))))?;
        Ok(Client {
            seen,
            thread: Some(thread),
        })
    }

    /// Waits for the first answer after `since` that `wanted` is content with.
    ///
    /// # Errors
    ///
    /// When none comes within the bound.
    pub(super) fn answer(
        &self,
        since: Instant,
        bound: Duration,
        wanted: impl Fn(Side) -> bool,
    ) -> Outcome<(Side, Instant)> {
        let deadline = Instant::now() + bound;
        let mut answers = self.seen.answers();
        loop {
            let found = answers
                .iter()
                .find(|(side, at)| *at > since && wanted(*side));
            if let Some(found) = found {
                return Ok(*found);
            }
            answers.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("no answer within {bound:?}"));
            }
            let waited = self.seen.answered.wait_timeout(answers, left);
            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Forgets what was answered so far.
    pub(super) fn forget(&self) {
        self.seen.answers().clear();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.seen.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so on the standard error.
            let _ = thread.join();
        }
    }
}

impl Seen {
    fn ask(&self, addresses: &[SocketAddr]) {
        for address in addresses.iter().cycle() {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            if let Some(side) = ask_once(*address) {
                self.answers().push((side, Instant::now()));
                self.answered.notify_all();
            }
            thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
        }
    }

    fn answers(&self) -> MutexGuard<'_, Vec<(Side, Instant)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who answered, if anybody did.
fn ask_once(address: SocketAddr) -> Option<Side> {
    let mut stream = TcpStream::connect_timeout(&address, ATTEMPT).ok()?;
    stream.set_read_timeout(Some(ATTEMPT)).ok()?;
    stream.write_all(b"who\n").ok()?;
    let mut name = [0];
    stream.read_exact(&mut name).ok()?;
    Side::BOTH.into_iter().find(|side| name == [letter(*side)])
}

/// How a server names itself.
fn letter(side: Side) -> u8 {
    b"AB"[side.index()]
}

/// The server: says its name to whoever sends a line.
///
/// # Errors
///
/// When it cannot listen.
pub fn serve(listen: SocketAddr, side: Side) -> Outcome<()> {
    let listener = TcpListener::bind(listen).map_err(|error| format!("{listen}: {error}"))?;
    for stream in listener.incoming().flatten() {
        thread::spawn(move || -> std::io::Result<()> {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line)?;
            (&stream).write_all(&[letter(side)])
        });
    }
    Ok(())
}
