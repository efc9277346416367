//! What goes from one socket to another: one direction of a connection.
//!
//! Small helpings go through a buffer that the whole front end shares, and are written at once; only what the other
//! side does not take is kept, and nothing is read until that is gone. A read that fills the buffer shows a large flow,
//! which then goes through a pipe without being copied, as long as it stays large.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::pipes::{Pipe, Pipes};

/// What one read takes at most, unless it goes through a pipe. A remainder is never longer.
const BUFFER_BYTES: usize = 32 << 10;
/// Remainders of all connections together, beyond which helpings are small: clients that do not read cost little more
/// than their sockets, however many there are.
const MAX_KEPT_BYTES: usize = 64 << 20;
const SMALL_HELPING_BYTES: usize = 1 << 10;
/// A pipe that brings less than this at a time is not worth its system calls.
const WORTH_A_PIPE_BYTES: usize = 8 << 10;
/// Reads of one direction in one turn; then the others have theirs.
const HELPINGS: usize = 4;

/// What all connections of a front end use in turn.
pub(super) struct Means {
    buffer: Box<[u8]>,
    pub(super) pipes: Pipes,
    /// Bytes of remainders.
    kept: usize,
}

impl Means {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES].into(),
            pipes: Pipes::default(),
            kept: 0,
        }
    }

    fn helping(&self) -> usize {
        if self.kept > MAX_KEPT_BYTES {
            SMALL_HELPING_BYTES
        } else {
            self.buffer.len()
        }
    }
}

/// One direction.
#[derive(Default)]
pub(super) struct Flow {
    /// What was read and not yet taken by the other side.
    kept: Kept,
    source: Reading,
    /// The sink had no room for all of the last write.
    full: bool,
    /// Helpings go through a pipe.
    large: bool,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    /// From the position on.
    Bytes(Box<[u8]>, usize),
    InPipe(Box<Pipe>),
}

/// What is known of the end that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// Nothing is there.
    #[default]
    Empty,
    /// There may be something.
    More,
    /// There may be something, and the end follows.
    Ending,
    /// The end was read, and the sink is to be told.
    Ended,
    /// The sink was told.
    Done,
}

/// What a flow came to in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Bytes that the sink took.
    pub(super) bytes: usize,
    /// There is more to do, and nothing will happen that tells so.
    pub(super) unfinished: bool,
}

impl Flow {
    /// The source has something to read; if `ended`, the end of it, too.
    pub(super) fn arrived(&mut self, ended: bool) {
        self.source = match (self.source, ended) {
            (Reading::Empty | Reading::More, false) => Reading::More,
            (Reading::Empty | Reading::More | Reading::Ending, _) => Reading::Ending,
            (done @ (Reading::Ended | Reading::Done), _) => done,
        };
    }

    /// The source has nothing to read after all.
    pub(super) fn was_empty(&mut self) {
        if self.source == Reading::More {
            self.source = Reading::Empty;
        }
    }

    /// The sink has room.
    pub(super) fn has_room(&mut self) {
        self.full = false;
    }

    /// These bytes go before everything that is read.
    pub(super) fn put_first(&mut self, bytes: &[u8], means: &mut Means) {
        self.keep(bytes.into(), means);
    }

    /// Whether a call of [`pump`](Self::pump) would do anything.
    pub(super) fn is_ready(&self) -> bool {
        match (&self.kept, self.source) {
            (Kept::Nothing, Reading::Empty | Reading::Done) => false,
            (Kept::Nothing, Reading::Ended) => true,
            (Kept::Nothing | Kept::Bytes(..) | Kept::InPipe(_), _) => !self.full,
        }
    }

    /// Whether there is something to read.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self.source, Reading::More | Reading::Ending)
    }

    /// Whether all was handed over, and the end as well.
    pub(super) fn is_done(&self) -> bool {
        self.source == Reading::Done
    }

    /// Moves what can be moved, a few helpings at most.
    ///
    /// # Errors
    ///
    /// One of the two sockets is good for nothing any more.
    pub(super) fn pump(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        means: &mut Means,
    ) -> Result<Moved, Errno> {
        let mut moved = Moved::default();
        let mut left = HELPINGS;
        loop {
            if !self.hand_over_kept(sink, means, &mut moved)? {
                return Ok(moved);
            }
            match self.source {
                Reading::Empty | Reading::Ended | Reading::Done => return Ok(moved),
                Reading::More | Reading::Ending if self.full => return Ok(moved),
                Reading::More | Reading::Ending => {}
            }
            if left == 0 {
                moved.unfinished = true;
                return Ok(moved);
            }
            left -= 1;
            self.take_helping(source, sink, means, &mut moved)?;
        }
    }

    /// Passes the end on, once it was read and all before it was handed over. Where the sink is about to be closed it
    /// is not told, since that says as much.
    ///
    /// # Errors
    ///
    /// The sink is good for nothing any more.
    pub(super) fn pass_end(&mut self, sink: BorrowedFd<'_>, closes: bool) -> Result<(), Errno> {
        if self.source != Reading::Ended || !matches!(self.kept, Kept::Nothing) {
            return Ok(());
        }
        self.source = Reading::Done;
        if closes { Ok(()) } else { tell_end(sink) }
    }

    /// Gives back what it holds; the connection ends.
    pub(super) fn abandon(&mut self, means: &mut Means) {
        match std::mem::take(&mut self.kept) {
            Kept::Nothing => {}
            Kept::Bytes(bytes, _) => means.kept -= bytes.len(),
            Kept::InPipe(pipe) => means.pipes.discard(pipe),
        }
    }

    /// Whether nothing is kept any more.
    fn hand_over_kept(
        &mut self,
        sink: BorrowedFd<'_>,
        means: &mut Means,
        moved: &mut Moved,
    ) -> Result<bool, Errno> {
        while !self.full {
            let count = match &mut self.kept {
                Kept::Nothing => return Ok(true),
                Kept::Bytes(bytes, from) => write(sink, &bytes[*from..])?,
                Kept::InPipe(pipe) => unless_blocked(|| pipe.empty_into(sink))?,
            };
            moved.bytes += count.unwrap_or(0);
            match (count, std::mem::take(&mut self.kept)) {
                (_, Kept::Nothing) => {}
                (Some(count), Kept::Bytes(bytes, from)) if from + count == bytes.len() => {
                    means.kept -= bytes.len();
                }
                (Some(_), Kept::InPipe(pipe)) if pipe.is_empty() => means.pipes.give_back(pipe),
                (Some(count), Kept::Bytes(bytes, from)) => {
                    self.kept = Kept::Bytes(bytes, from + count);
                }
                (count, kept) => {
                    self.full = count.is_none();
                    self.kept = kept;
                }
            }
        }
        Ok(matches!(self.kept, Kept::Nothing))
    }

    fn take_helping(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        means: &mut Means,
        moved: &mut Moved,
    ) -> Result<(), Errno> {
        if self.large
            && let Some(pipe) = means.pipes.take()
        {
            return self.splice(source, pipe, means);
        }
        let helping = means.helping();
        let Some(count) = self.read(source, &mut means.buffer[..helping])? else {
            return Ok(());
        };
        self.large = count == means.buffer.len();
        let taken = write(sink, &means.buffer[..count])?.unwrap_or(0);
        moved.bytes += taken;
        if taken < count {
            self.full = true;
            let rest = means.buffer[taken..count].into();
            self.keep(rest, means);
        }
        Ok(())
    }

    /// How much was read; nothing where nothing is there, or the end.
    fn read(&mut self, source: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let room = buffer.len();
        match unless_blocked(|| recv(source, &mut *buffer, RecvFlags::empty()))? {
            None => self.source = Reading::Empty,
            Some((_, 0)) => self.source = Reading::Ended,
            Some((_, count)) => {
                // What comes after a read that did not fill the buffer is a new arrival.
                if count < room {
                    self.was_empty();
                }
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    fn splice(
        &mut self,
        source: BorrowedFd<'_>,
        mut pipe: Box<Pipe>,
        means: &mut Means,
    ) -> Result<(), Errno> {
        match unless_blocked(|| pipe.fill_from(source)) {
            Ok(Some(count)) if count > 0 => {
                self.large = count >= WORTH_A_PIPE_BYTES;
                self.kept = Kept::InPipe(pipe);
                return Ok(());
            }
            Ok(Some(_)) => self.source = Reading::Ended,
            Ok(None) => self.source = Reading::Empty,
            Err(error) => {
                means.pipes.give_back(pipe);
                return Err(error);
            }
        }
        means.pipes.give_back(pipe);
        Ok(())
    }

    fn keep(&mut self, bytes: Box<[u8]>, means: &mut Means) {
        means.kept += bytes.len();
        self.kept = Kept::Bytes(bytes, 0);
    }
}

/// Says that nothing more will come.
fn tell_end(sink: BorrowedFd<'_>) -> Result<(), Errno> {
    match shutdown(sink, Shutdown::Write) {
        // It is gone as a whole, which is what the other direction hears.
        Err(Errno::NOTCONN) => Ok(()),
        result => result,
    }
}

fn write(sink: BorrowedFd<'_>, bytes: &[u8]) -> Result<Option<usize>, Errno> {
    unless_blocked(|| send(sink, bytes, SendFlags::NOSIGNAL))
}

/// Nothing where the call would have blocked.
pub(super) fn unless_blocked<T>(
    call: impl FnMut() -> Result<T, Errno>,
) -> Result<Option<T>, Errno> {
    match retry_on_intr(call) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}
