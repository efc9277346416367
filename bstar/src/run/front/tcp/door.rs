//! Where clients come in: a port that is ours throughout, and listens only while they are wanted.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use reactor::{FdKey, Interest, Scope, SourceKey};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, accept_with, bind, getpeername, getsockname,
    listen, shutdown, socket_with, sockopt,
};

use super::super::{FrontError, Plane};
use super::flow::unless_blocked;

/// After so long a silence a client is asked whether it is still there, so often, so many times. The server cannot do
/// that itself: all that it sees is this program, which is.
const SILENT_SECS: u64 = 300;
const ASKED_AGAIN_SECS: u64 = 30;
const ASKED_TIMES: u32 = 4;
/// Clients that the system lets wait to be accepted, if its own limit is not lower.
const MAX_BACKLOG: usize = 4096;

/// A bound socket.
pub(super) struct Door {
    address: SocketAddr,
    backlog: i32,
    /// Until the reactor has it.
    socket: Option<OwnedFd>,
    key: Option<FdKey>,
    listening: bool,
    watched: bool,
}

/// What came of an attempt to accept a client.
pub(super) enum Entry {
    Client(OwnedFd),
    /// Nobody waits; or the reactor will tell.
    Nobody,
    /// The system has no room for another: mostly since descriptors or memory are used up.
    NoRoom(Errno),
}

impl Door {
    /// Binds, and makes sure that nobody else listens there.
    pub(super) fn open(
        name: &str,
        address: SocketAddr,
        max_connections: usize,
    ) -> Result<Self, FrontError> {
        let backlog = i32::try_from(max_connections.clamp(128, MAX_BACKLOG)).unwrap_or(i32::MAX);
        let socket = bound(address, backlog).map_err(|error| {
            let name = name.to_owned();
            match error {
                Errno::ADDRINUSE => FrontError::InUse { name, address },
                Errno::ADDRNOTAVAIL => FrontError::NotOurs { name, address },
                Errno::ACCESS => FrontError::Forbidden { name, address },
                error => FrontError::Listen {
                    name,
                    address,
                    error: error.into(),
                },
            }
        })?;
        let bound_to = getsockname(&socket).ok().map(SocketAddr::try_from);
        Ok(Self {
            address: bound_to.and_then(Result::ok).unwrap_or(address),
            backlog,
            socket: Some(socket),
            key: None,
            listening: false,
            watched: false,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands the socket to the reactor, closed as it is.
    pub(super) fn register(
        &mut self,
        scope: &mut Scope<Plane>,
        me: SourceKey,
        tag: usize,
    ) -> Result<(), reactor::Error> {
        if let Some(socket) = self.socket.take() {
            self.key = Some(scope.own_fd(me, tag, socket, Interest::NONE)?);
        }
        Ok(())
    }

    /// Begins to listen.
    pub(super) fn listen(&mut self, scope: &mut Scope<Plane>) -> Result<(), Errno> {
        if !self.listening
            && let Some(socket) = self.socket(scope)
        {
            listen(socket, self.backlog)?;
            self.listening = true;
        }
        Ok(())
    }

    /// Ends that. Who waits to be accepted is reset, who comes is refused.
    pub(super) fn shut(&mut self, scope: &mut Scope<Plane>) {
        self.watch(scope, false);
        if self.listening
            && let Some(socket) = self.socket(scope)
            && let Err(error) = shutdown(socket, Shutdown::Read)
        {
            tracing::error!(address = %self.address, %error, "cannot stop listening");
            return;
        }
        self.listening = false;
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening
    }

    /// Whether the reactor is to tell of clients.
    pub(super) fn watch(&mut self, scope: &mut Scope<Plane>, on: bool) {
        let Some(key) = self.key.filter(|_| self.watched != on) else {
            return;
        };
        let interest = if on { Interest::READ } else { Interest::NONE };
        match scope.set_interest(key, interest) {
            Ok(()) => self.watched = on,
            Err(error) => tracing::error!(address = %self.address, %error, "cannot watch"),
        }
    }

    /// Lets one client in.
    pub(super) fn accept(&self, scope: &Scope<Plane>) -> Entry {
        let Some(socket) = self.socket(scope).filter(|_| self.listening) else {
            return Entry::Nobody;
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match unless_blocked(|| accept_with(socket, flags)) {
            Ok(Some(client)) => Entry::Client(client),
            // Or it left before it was let in, or its network did.
            Ok(None)
            | Err(
                Errno::CONNABORTED
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::PERM,
            ) => Entry::Nobody,
            Err(error) => Entry::NoRoom(error),
        }
    }

    fn socket<'a>(&self, scope: &'a Scope<Plane>) -> Option<&'a OwnedFd> {
        scope.fd(self.key?)
    }
}

/// A socket that is bound to the address and does not listen.
fn bound(address: SocketAddr, backlog: i32) -> Result<OwnedFd, Errno> {
    let socket = new_socket(address)?;
    bind(&socket, &address)?;
    if address.port() == 0 {
        // A port that the system chose is given up with the first end of listening, one that was asked for is not.
        let chosen = SocketAddr::try_from(getsockname(&socket)?)?;
        drop(socket);
        return bound(chosen, backlog);
    }
    // Two sockets may be bound to one address, as long as neither listens.
    listen(&socket, backlog)?;
    shutdown(&socket, Shutdown::Read)?;
    Ok(socket)
}

/// A socket whose options its clients inherit.
fn new_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = stream_socket(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(SILENT_SECS))?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(ASKED_AGAIN_SECS))?;
    sockopt::set_tcp_keepcnt(&socket, ASKED_TIMES)?;
    Ok(socket)
}

/// A socket of TCP for this kind of address that does not block.
pub(super) fn stream_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, None)
}

/// Whether the system took the very port that nobody listens at for this end of the connection, which then is its own
/// other end.
pub(super) fn meets_itself(socket: impl AsFd, server: SocketAddr) -> bool {
    let address = |of: rustix::net::SocketAddrAny| SocketAddr::try_from(of).ok();
    let ours = getsockname(&socket).ok().and_then(address);
    ours.is_some_and(|ours| {
        ours.port() == server.port()
            && getpeername(&socket).ok().flatten().and_then(address) == Some(ours)
    })
}

/// Has the close of this socket break the connection, and drop what was not sent.
pub(super) fn reset_at_close(socket: impl AsFd) {
    // Fails for one that is broken already.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use rustix::net::connect;

    use super::*;

    #[test]
    fn a_socket_that_meets_itself_is_told_from_one_that_meets_another() {
        let address =
            |socket: &OwnedFd| SocketAddr::try_from(getsockname(socket).unwrap()).unwrap();
        let own: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let alone = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        );
        let alone = alone.unwrap();
        bind(&alone, &own).unwrap();
        connect(&alone, &address(&alone)).unwrap();
        assert!(meets_itself(&alone, address(&alone)));

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let other = std::net::TcpStream::connect(address).unwrap();
        assert!(!meets_itself(other, address));
    }
}
