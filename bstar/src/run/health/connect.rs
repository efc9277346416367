//! A connection that is made without waiting for it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::{Error, FdKey, Interest, Scope};

use super::{Call, Caller};

/// Begins to connect. The probe is called when the descriptor is ready, first when the connection is made or refused.
pub(super) fn connect<S: 'static>(
    scope: &mut Scope<S>,
    caller: Caller<S>,
    address: SocketAddr,
) -> Result<FdKey, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let added = scope.add_fd(
        "health",
        stream,
        Interest::WRITE,
        move |state, scope, key, _| {
            caller.call(state, scope, Call::Fd(key));
            Ok(())
        },
    );
    added.map_err(|rejected| Error::from(rejected).to_string())
}

/// What came of it, if anything has.
pub(super) fn outcome(stream: &TcpStream) -> Option<Result<(), String>> {
    match connected(stream) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

fn connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let peer = match stream.peer_addr() {
        Ok(peer) => peer,
        Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
        Err(error) => return Err(error),
    };
    // The system may have taken the very port that nobody listens at for this end, which then meets itself.
    if peer == stream.local_addr()? {
        return Err(io::Error::from(ErrorKind::ConnectionRefused));
    }
    Ok(true)
}
