//! What is said to stdout and stderr by a program that must not wait until somebody reads it.
//!
//! A pipe whose reader has stopped takes 64 KiB, and then nothing: who writes to it all the same sends no more
//! heartbeats. So threads of their own write, a bounded amount waits for them, and what is beyond that is lost
//! and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// So much may wait to be written, in bytes.
const MOST_WAITING: usize = 1024 * 1024;
/// How long a program that ends waits for its last words to be taken.
const LAST_WORDS: Duration = Duration::from_secs(1);

static STDOUT: OnceLock<Outlet> = OnceLock::new();
static STDERR: OnceLock<Outlet> = OnceLock::new();

/// From here on nothing that this program says waits for its reader.
pub(super) fn open() -> io::Result<()> {
    // Copies, so that no lock of the standard library is held by a thread that waits.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    // Those that are there already are as good.
    let _ = STDOUT.set(Outlet::to("stdout", stdout)?);
    let _ = STDERR.set(Outlet::to("stderr", stderr)?);
    Ok(())
}

/// Waits, but not for long, until what was said is written.
pub(crate) fn close() {
    for outlet in [&STDOUT, &STDERR].into_iter().filter_map(OnceLock::get) {
        outlet.wait(LAST_WORDS);
    }
}

/// Where a line goes. It never fails: that nobody reads it is no reason to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outlet = match self {
            Stream::Stdout => STDOUT.get(),
            Stream::Stderr => STDERR.get(),
        };
        match (outlet, self) {
            (Some(outlet), _) => outlet.put(bytes),
            (None, Stream::Stdout) => drop(io::stdout().write_all(bytes)),
            (None, Stream::Stderr) => drop(io::stderr().write_all(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that a thread writes to.
#[derive(Debug)]
struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// What found no room since something was written last.
    lost: u64,
    /// Something was taken from the queue, and is not written yet.
    is_writing: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue is as good as it was before the thread that held it panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    fn to(name: &str, stream: impl Write + Send + 'static) -> io::Result<Outlet> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_on(&writer, stream))?;
        Ok(Outlet(shared))
    }

    /// Takes one or several whole lines.
    fn put(&self, lines: &[u8]) {
        let mut queue = self.0.queue();
        if queue.waiting_bytes + lines.len() > MOST_WAITING {
            queue.lost += 1;
            return;
        }
        queue.waiting_bytes += lines.len();
        queue.waiting.push_back(lines.to_vec());
        drop(queue);
        self.0.changed.notify_all();
    }

    fn wait(&self, within: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.0.queue(), within, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn write_on(shared: &Shared, mut stream: impl Write) {
    let mut queue = shared.queue();
    loop {
        if let Some(lines) = queue.next() {
            queue.is_writing = true;
            drop(queue);
            // Nobody may be there to read it any more, and somebody may be again: a FIFO has such readers.
            let _ = stream.write_all(&lines);
            queue = shared.queue();
            queue.is_writing = false;
            shared.changed.notify_all();
        } else {
            let woken = shared.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    /// What is to be written next. What was lost is told after all that was there before.
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(lines) = self.waiting.pop_front() {
            self.waiting_bytes -= lines.len();
            return Some(lines);
        }
        let lost = std::mem::take(&mut self.lost);
        (lost > 0).then(|| format!("lost={lost} lines that nobody read in time\n").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn who_speaks_does_not_wait_and_what_is_lost_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::to("trial", writer).unwrap();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        let count = 3 * MOST_WAITING / line.len();
        // The pipe takes 64 KiB, and the queue its bound; what is put after that is lost.
        for _ in 0..count {
            outlet.put(&line);
        }
        assert!(outlet.0.queue().waiting_bytes <= MOST_WAITING);
        outlet.wait(Duration::from_millis(1));
        let mut lines = BufReader::new(reader).lines();
        let mut read = 0;
        let last = lines.by_ref().map(Result::unwrap).find(|line| {
            let told = line.starts_with("lost=");
            read += usize::from(!told);
            told
        });
        let told = format!("lost={} lines that nobody read in time", count - read);
        assert_eq!(last, Some(told));
        assert!(read >= MOST_WAITING / line.len());
        outlet.put(b"next\n");
        assert_eq!(lines.next().unwrap().unwrap(), "next");
    }

    #[test]
    fn what_was_said_is_written_when_the_wait_is_over() {
        let (mut reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::to("trial", writer).unwrap();
        outlet.put(b"last");
        outlet.wait(Duration::from_secs(20));
        let mut bytes = [0; 4];
        // It does not wait: all is there.
        assert_eq!(rustix::io::ioctl_fionread(&reader).unwrap(), 4);
        io::Read::read_exact(&mut reader, &mut bytes).unwrap();
        assert_eq!(&bytes, b"last");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let outlet = Outlet::to("trial", writer).unwrap();
        for _ in 0..3 {
            outlet.put(b"nobody hears it\n");
            outlet.wait(Duration::from_secs(20));
            assert!(outlet.0.queue().waiting.is_empty());
        }
    }
}
