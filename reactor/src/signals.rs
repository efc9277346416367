//! SIGINT and SIGTERM, as a descriptor among others.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

/// Both signals write into a pipe, for as long as this lives.
pub(crate) struct Signals(Vec<SigId>);

impl Signals {
    /// Also gives the end to read from, which does not block.
    pub(crate) fn register() -> io::Result<(Self, UnixStream)> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        let mut signals = Self(Vec::with_capacity(2));
        for signal in [SIGINT, SIGTERM] {
            signals.0.push(pipe::register(signal, writer.try_clone()?)?);
        }
        Ok((signals, reader))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            unregister(id);
        }
    }
}

/// Takes everything out of the pipe, so that it is silent until the next signal.
pub(crate) fn drain(mut reader: &UnixStream) -> io::Result<()> {
    let mut bytes = [0; 64];
    loop {
        match reader.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
