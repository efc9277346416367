//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Kind, Result, SERVE};

/// A server process, killed with this.
pub(crate) struct Server {
    pub(crate) process: Child,
    /// Where clients reach it; the identity of one that has one.
    pub(crate) endpoint: String,
}

impl Server {
    /// Starts this program again, as a server that answers so late, and returns when it is bound. One that answers late
    /// takes another delay by a line of microseconds on its input.
    pub(crate) fn start(kind: Kind, delay: Duration) -> Result<Self> {
        let process = Command::new(std::env::current_exe()?)
            .args([SERVE, kind.id(), &delay.as_micros().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut server = Self {
            process,
            endpoint: String::new(),
        };
        let Some(output) = server.process.stdout.take() else {
            return Err("a server without an output".into());
        };
        // Its end closes the output, so this line comes or the read ends.
        BufReader::new(output).read_line(&mut server.endpoint)?;
        server.endpoint.truncate(server.endpoint.trim_end().len());
        if server.endpoint.is_empty() {
            return Err("a server ended before it was bound".into());
        }
        Ok(server)
    }

    /// Several of a kind, none of them delayed.
    pub(crate) fn start_all(kind: Kind, count: usize) -> Result<Vec<Self>> {
        (0..count)
            .map(|_| Self::start(kind, Duration::ZERO))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
