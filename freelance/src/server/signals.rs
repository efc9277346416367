//! SIGINT and SIGTERM drain before they stop.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use reactor::{BoxError, Event, FdKey, Interest, Scope, Source, SourceKey};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

use super::Handle;
use crate::Error;

/// Has SIGINT and SIGTERM drain these servers, and stop the reactor when all of them have closed. A second signal
/// stops it at once.
///
/// It is for a reactor that leaves signals alone; any other stops at the first, whatever is under way.
///
/// ```no_run
/// use freelance::{Model, Server, server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut reactor = reactor::Builder::new().signals(false).build::<()>()?;
/// let echo = Server::new(Model::One, "tcp://*:5555")
///     .attach(reactor.scope(), |_, scope, request| Ok(request.echo(scope)?))?;
/// server::drain_on_signals(reactor.scope(), [echo])?;
/// reactor.run(&mut ())?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the system refuses a pipe, or to take the signals over. They are given back to nobody: after the reactor has
/// ended they do nothing at all.
pub fn drain_on_signals<S: 'static>(
    scope: &mut Scope<S>,
    servers: impl IntoIterator<Item = Handle>,
) -> Result<(), Error> {
    let source = Signals {
        servers: servers.into_iter().collect(),
        ids: Vec::with_capacity(2),
        is_draining: false,
    };
    scope.add_source("freelance signals", source)?;
    Ok(())
}

struct Signals {
    servers: Vec<Handle>,
    ids: Vec<SigId>,
    is_draining: bool,
}

impl<S: 'static> Source<S> for Signals {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM] {
            self.ids.push(pipe::register(signal, writer.try_clone()?)?);
        }
        scope.own_fd(me, 0, reader, Interest::READ)?;
        for server in &self.servers {
            server.watch(me);
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        _state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        match event {
            Event::Fd { key, .. } => {
                let mut signals = taken(scope, key)?;
                if signals > 0 && !self.is_draining {
                    self.is_draining = true;
                    signals -= 1;
                    for server in &self.servers {
                        server.drain(scope);
                    }
                }
                if signals > 0 {
                    scope.stop();
                }
            }
            // A server has closed.
            Event::Notified => {}
            _ => return Ok(()),
        }
        if self.is_draining && self.servers.iter().all(Handle::is_closed) {
            scope.stop();
        }
        Ok(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
    }
}

/// Takes what signals have left, a byte for each; a pipe that is full has seen more than enough.
fn taken<S: 'static>(scope: &Scope<S>, key: FdKey) -> io::Result<usize> {
    let Some(mut reader) = scope.fd::<UnixStream>(key) else {
        return Ok(0);
    };
    let mut bytes = [0; 64];
    match reader.read(&mut bytes) {
        Ok(count) => Ok(count),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
