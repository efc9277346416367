//! Pipes for flows that are large, each in use only while something is in it.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What one pipe holds at most, if the system allows it.
const PIPE_BYTES: usize = 256 << 10;
/// In use at once. Further flows are copied: this many share the processor already.
const MAX_PIPES: usize = 256;
/// Kept for those who come.
const MAX_SPARE: usize = 16;

/// All pipes of a front end.
#[derive(Default)]
pub(super) struct Pipes {
    #[expect(
        clippy::vec_box,
        reason = "a pipe goes to a flow and back as a pointer, so that a flow without one is small"
    )]
    spare: Vec<Box<Pipe>>,
    in_use: usize,
}

impl Pipes {
    /// An empty pipe, unless there are too many already or the system has none.
    pub(super) fn take(&mut self) -> Option<Box<Pipe>> {
        if self.in_use >= MAX_PIPES {
            return None;
        }
        let pipe = self
            .spare
            .pop()
            .or_else(|| Pipe::open().ok().map(Box::new))?;
        self.in_use += 1;
        Some(pipe)
    }

    /// Takes back a pipe that is empty.
    pub(super) fn give_back(&mut self, pipe: Box<Pipe>) {
        self.in_use -= 1;
        if pipe.is_empty() && self.spare.len() < MAX_SPARE {
            self.spare.push(pipe);
        }
    }

    /// Closes a pipe together with what is in it.
    pub(super) fn discard(&mut self, pipe: Box<Pipe>) {
        self.in_use -= 1;
        drop(pipe);
    }
}

/// A pipe, and how much is in it.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    room: usize,
    bytes: usize,
}

impl Pipe {
    fn open() -> Result<Self, Errno> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Who may not have a larger one has one of the usual size.
        let room = fcntl_setpipe_size(&writer, PIPE_BYTES).unwrap_or(64 << 10);
        Ok(Self {
            reader,
            writer,
            room,
            bytes: 0,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes what is there into the empty pipe; 0 is the end.
    pub(super) fn fill_from(&mut self, source: BorrowedFd<'_>) -> Result<usize, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let count = splice(source, None, &self.writer, None, self.room, flags)?;
        self.bytes += count;
        Ok(count)
    }

    /// Hands over what the sink takes.
    pub(super) fn empty_into(&mut self, sink: BorrowedFd<'_>) -> Result<usize, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let count = splice(&self.reader, None, sink, None, self.bytes, flags)?;
        self.bytes -= count.min(self.bytes);
        Ok(count)
    }
}
