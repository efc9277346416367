//! What happens to a socket's connections, as libzmq tells it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zmq::SocketEvent;

use crate::{BoxError, Error, Event, Interest, Scope, SocketKey, SourceKey};

/// Something that happened to a connection of a socket that is [monitored](Scope::add_monitor).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorEvent {
    /// What happened.
    pub what: Connection,
    /// The endpoint that it is about. For a connection that was accepted that is the address of this side.
    pub endpoint: String,
}

/// What happened to a connection. Numbers of errors are those of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Connection {
    /// A connection was begun, and is under way.
    Connecting,
    /// The transport stands. That proves nothing of the peer: a stopped process is connected to by its system.
    Connected,
    /// An attempt failed, and another follows after this time.
    Retrying(Duration),
    /// An endpoint is bound.
    Listening,
    /// An endpoint could not be bound.
    BindFailed(i32),
    /// A peer has connected.
    Accepted,
    /// A peer could not be accepted.
    AcceptFailed(i32),
    /// A connection or an endpoint was closed.
    Closed,
    /// It could not be closed.
    CloseFailed(i32),
    /// A connection was lost.
    Disconnected,
    /// The peer speaks ZMTP, and is ready.
    HandshakeSucceeded,
    /// The handshake failed for an error of the system, or the peer took too long.
    HandshakeFailed(i32),
    /// The peer does not speak ZMTP as it should; the number is one of libzmq's `ZMQ_PROTOCOL_ERROR_*`.
    HandshakeFailedProtocol(u32),
    /// The peer did not prove who it is; the number is a status of ZAP.
    HandshakeFailedAuth(u32),
    /// Nothing more is told: the socket was removed or closed.
    Stopped,
}

/// What an event says of the one connection of a socket, or of the attempt at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The handshake is complete. A connection alone proves nothing: a stopped process has one.
    Up,
    /// The connection, or the attempt at one, has ended.
    Down,
}

impl MonitorEvent {
    /// Reads a message of a monitor. Nothing comes of one that is not such a message, or of a kind that is not known.
    pub fn parse(frames: &[zmq::Message]) -> Option<Self> {
        let [event, endpoint] = frames else {
            return None;
        };
        let (kind, value) = event.split_first_chunk::<2>()?;
        let value = u32::from_ne_bytes(value.try_into().ok()?);
        Some(Self {
            what: Connection::new(u16::from_ne_bytes(*kind), value)?,
            endpoint: String::from_utf8_lossy(endpoint).into_owned(),
        })
    }
}

impl Connection {
    /// For a socket that connects to one peer: whether the link stands since, or has ended.
    pub fn link(self) -> Option<Link> {
        match self {
            Self::HandshakeSucceeded => Some(Link::Up),
            Self::Disconnected
            | Self::Closed
            // An attempt that ends before there is a descriptor to close, as with an unknown name.
            | Self::Retrying(_)
            | Self::HandshakeFailed(_)
            | Self::HandshakeFailedProtocol(_)
            | Self::HandshakeFailedAuth(_) => Some(Link::Down),
            Self::Connecting
            | Self::Connected
            | Self::Listening
            | Self::BindFailed(_)
            | Self::Accepted
            | Self::AcceptFailed(_)
            | Self::CloseFailed(_)
            | Self::Stopped => None,
        }
    }

    fn new(kind: u16, value: u32) -> Option<Self> {
        let errno = value.cast_signed();
        let kinds = [
            (SocketEvent::CONNECTED, Self::Connected),
            (SocketEvent::CONNECT_DELAYED, Self::Connecting),
            (
                SocketEvent::CONNECT_RETRIED,
                Self::Retrying(Duration::from_millis(value.into())),
            ),
            (SocketEvent::LISTENING, Self::Listening),
            (SocketEvent::BIND_FAILED, Self::BindFailed(errno)),
            (SocketEvent::ACCEPTED, Self::Accepted),
            (SocketEvent::ACCEPT_FAILED, Self::AcceptFailed(errno)),
            (SocketEvent::CLOSED, Self::Closed),
            (SocketEvent::CLOSE_FAILED, Self::CloseFailed(errno)),
            (SocketEvent::DISCONNECTED, Self::Disconnected),
            (SocketEvent::HANDSHAKE_SUCCEEDED, Self::HandshakeSucceeded),
            (
                SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
                Self::HandshakeFailed(errno),
            ),
            (
                SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
                Self::HandshakeFailedProtocol(value),
            ),
            (
                SocketEvent::HANDSHAKE_FAILED_AUTH,
                Self::HandshakeFailedAuth(value),
            ),
            (SocketEvent::MONITOR_STOPPED, Self::Stopped),
        ];
        kinds
            .into_iter()
            .find_map(|(known, what)| (known.to_raw() == kind).then_some(what))
    }
}

impl<S: 'static> Scope<S> {
    /// Tells a handler what happens to the connections of a socket. See [`own_monitor`](Self::own_monitor).
    ///
    /// After [`Connection::Stopped`], which comes when the socket is removed, the monitor ends.
    ///
    /// ```
    /// # use reactor::{Connection, Interest, Reactor, zmq};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = zmq::Context::new();
    /// let mut reactor = Reactor::<Vec<Connection>>::new()?;
    /// let scope = reactor.scope();
    /// let key = scope.add_socket("server", context.socket(zmq::REP)?, Interest::READ, |_, _, _, _| Ok(()))?;
    /// scope.add_monitor("connections", &context, key, |seen: &mut Vec<Connection>, _, event| {
    ///     seen.push(event.what);
    ///     Ok(())
    /// })?;
    /// scope.with_socket(key, |socket| socket.bind("tcp://127.0.0.1:*"))??;
    /// let mut seen = Vec::new();
    /// reactor.run_until(&mut seen, |seen| !seen.is_empty())?;
    /// assert_eq!(seen, [Connection::Listening]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_monitor(
        &mut self,
        name: &str,
        context: &zmq::Context,
        socket: SocketKey,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, MonitorEvent) -> Result<(), BoxError> + 'static,
    ) -> Result<SocketKey, Error> {
        let mut frames = Vec::new();
        self.add_plain(
            name,
            move |state, scope, event| {
                let Event::Socket { key, .. } = event else {
                    return Ok(());
                };
                if !scope.recv(key, &mut frames)? {
                    return Ok(());
                }
                let Some(event) = MonitorEvent::parse(&frames) else {
                    return Ok(());
                };
                if event.what == Connection::Stopped {
                    drop(scope.remove_socket(key));
                }
                handler(state, scope, event)
            },
            |scope, source| scope.own_monitor(source, 0, context, socket),
        )
    }

    /// Registers a listener to what happens to the connections of a socket, as a socket that belongs to a source:
    /// its messages are read by [`MonitorEvent::parse`].
    ///
    /// `context` is the one that the socket was made with: of another nothing is heard. A socket has one monitor at a
    /// time. It is told what happens from now on, so that a socket is best registered and monitored before it is bound
    /// or connected. The end of either of the two is in order: libzmq is told first that nobody listens any more,
    /// since its I/O thread would wait for a listener for ever.
    pub fn own_monitor(
        &mut self,
        owner: SourceKey,
        tag: usize,
        context: &zmq::Context,
        socket: SocketKey,
    ) -> Result<SocketKey, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "inproc://reactor-monitor-{}",
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let listener = context.socket(zmq::PAIR)?;
        listener.set_linger(0)?;
        // Without a limit: where libzmq finds no room for an event it waits, and everyone with it.
        listener.set_rcvhwm(0)?;
        self.begin_monitor(socket, &name)?;
        let listened = listener
            .connect(&name)
            .map_err(Error::from)
            .and_then(|()| Ok(self.own_socket(owner, tag, listener, Interest::READ)?));
        self.link_monitor(socket, listened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &[u8]) -> Vec<zmq::Message> {
        vec![event.into(), "tcp://127.0.0.1:5555".into()]
    }

    #[test]
    fn every_event_of_libzmq_has_a_meaning() {
        for bit in 0..15 {
            let event = [&(1_u16 << bit).to_ne_bytes()[..], &7_u32.to_ne_bytes()].concat();
            let event = MonitorEvent::parse(&message(&event)).expect("it is known");
            assert_eq!(event.endpoint, "tcp://127.0.0.1:5555");
        }
    }

    #[test]
    fn values_are_read() {
        let raw = SocketEvent::CONNECT_RETRIED.to_raw().to_ne_bytes();
        let event = [&raw[..], &250_u32.to_ne_bytes()].concat();
        let event = MonitorEvent::parse(&message(&event)).map(|event| event.what);
        assert_eq!(
            event,
            Some(Connection::Retrying(Duration::from_millis(250)))
        );
    }

    #[test]
    fn a_link_is_up_after_its_handshake_and_down_when_it_ends() {
        assert_eq!(Connection::Connected.link(), None);
        assert_eq!(Connection::HandshakeSucceeded.link(), Some(Link::Up));
        assert_eq!(Connection::Disconnected.link(), Some(Link::Down));
        let retrying = Connection::Retrying(Duration::ZERO);
        assert_eq!(retrying.link(), Some(Link::Down));
    }

    #[test]
    fn noise_is_nothing() {
        for noise in [
            &b""[..],
            b"\x01",
            b"\x01\x00\x00",
            b"\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(MonitorEvent::parse(&message(noise)), None);
        }
        assert_eq!(MonitorEvent::parse(&[]), None);
        let unknown = [&u16::MAX.to_ne_bytes()[..], &0_u32.to_ne_bytes()].concat();
        assert_eq!(MonitorEvent::parse(&message(&unknown)), None);
    }
}
