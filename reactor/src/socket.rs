//! ZeroMQ sockets with the usual options, and errors that say what to do.

use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Endpoint, raw};

/// How many sockets libzmq allows a context.
pub const MAX_SOCKETS: usize = 1023;
/// Its errors have a name of their own.
const IDENTITY: &str = "ROUTING_ID";

/// A socket to be: its kind, options and endpoints.
///
/// Options that are not set keep libzmq's defaults, but for the linger, which the reactor
/// [sets](crate::Builder::linger) where it has no limit. Times are in whole milliseconds, and rounded up.
///
/// ```
/// # use std::time::Duration;
/// use reactor::{SocketBuilder, last_endpoint, zmq};
///
/// # fn main() -> Result<(), reactor::SocketError> {
/// let context = zmq::Context::new();
/// let server = SocketBuilder::new(zmq::ROUTER)
///     .mandatory()
///     .heartbeat(Duration::from_secs(1), Duration::from_secs(3))
///     .bind("tcp://127.0.0.1:*")
///     .build(&context)?;
/// let client = SocketBuilder::new(zmq::DEALER)
///     .identity("client-1")
///     .connect(&last_endpoint(&server)?)
///     .build(&context)?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SocketBuilder {
    kind: zmq::SocketType,
    options: Vec<(&'static str, SetOption)>,
    endpoints: Vec<(Way, String)>,
}

type SetOption = Arc<dyn Fn(&zmq::Socket) -> zmq::Result<()> + Send + Sync>;

#[derive(Clone, Copy, Debug)]
enum Way {
    Bind,
    Connect,
}

/// Why there is no socket. What was made of it is closed again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The context has as many sockets as libzmq allows.
    #[error("the context has {MAX_SOCKETS} sockets, as many as libzmq allows: use another context")]
    TooManySockets,
    /// The process has as many descriptors as the system allows.
    #[error("the process has as many descriptors open as it may: raise its limit (ulimit -n)")]
    TooManyDescriptors,
    /// The context was terminated.
    #[error("the context has ended")]
    ContextEnded,
    /// The identity is empty, too long, or begins with a zero, which is libzmq's own.
    #[error("an identity has 1 to 255 bytes and does not begin with a zero")]
    Identity,
    /// The option is not one of this kind of socket, or its value is out of range.
    #[error("the option {option} cannot be set so on a {kind}: {reason}")]
    Option {
        /// The name of the option, without its prefix.
        option: &'static str,
        /// The kind of the socket.
        kind: &'static str,
        /// What libzmq said.
        reason: String,
    },
    /// Somebody else is bound there.
    #[error("{0} is in use")]
    InUse(String),
    /// No interface of this machine has the address.
    #[error(
        "{0} is no address of this machine: it takes a number or an interface, as in tcp://127.0.0.1:5555"
    )]
    NotLocal(String),
    /// The endpoint is malformed, or its transport does not exist or does not fit.
    #[error("cannot use the endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// What libzmq said.
        reason: String,
    },
}

impl SocketBuilder {
    /// A socket of this kind.
    pub fn new(kind: zmq::SocketType) -> Self {
        Self {
            kind,
            options: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// How long the socket goes on sending after it was closed.
    pub fn linger(self, linger: Duration) -> Self {
        let linger_ms = millis(linger);
        self.option("LINGER", move |socket| socket.set_linger(linger_ms))
    }

    /// How many messages may wait to be sent, for each peer; zero for no limit.
    pub fn send_hwm(self, messages: u32) -> Self {
        let messages = i32::try_from(messages).unwrap_or(i32::MAX);
        self.option("SNDHWM", move |socket| socket.set_sndhwm(messages))
    }

    /// How many messages may wait to be received, from each peer; zero for no limit.
    pub fn recv_hwm(self, messages: u32) -> Self {
        let messages = i32::try_from(messages).unwrap_or(i32::MAX);
        self.option("RCVHWM", move |socket| socket.set_rcvhwm(messages))
    }

    /// The largest frame that is taken from a peer, in bytes; one that sends more is disconnected.
    pub fn max_frame_bytes(self, bytes: u64) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.option("MAXMSGSIZE", move |socket| socket.set_maxmsgsize(bytes))
    }

    /// The name by which a ROUTER knows this socket: 1 to 255 bytes, not beginning with a zero.
    pub fn identity(self, identity: impl AsRef<[u8]>) -> Self {
        let identity = identity.as_ref().to_vec();
        self.option(IDENTITY, move |socket| match identity.first() {
            // libzmq takes such a one, and then no ROUTER does.
            Some(0) => Err(zmq::Error::EINVAL),
            _ => socket.set_identity(&identity),
        })
    }

    /// Has a ROUTER say that a peer is not there, or has no room, instead of throwing the message away.
    pub fn mandatory(self) -> Self {
        self.option("ROUTER_MANDATORY", |socket| {
            socket.set_router_mandatory(true)
        })
    }

    /// Has a ROUTER give an identity to the peer that claims it last.
    pub fn handover(self) -> Self {
        self.option("ROUTER_HANDOVER", |socket| socket.set_router_handover(true))
    }

    /// Has a REQ send again while it waits for a reply, and drop replies to earlier requests.
    pub fn relaxed(self) -> Self {
        self.option("REQ_RELAXED", |socket| socket.set_req_relaxed(true))
            .option("REQ_CORRELATE", |socket| socket.set_req_correlate(true))
    }

    /// Queues only for peers that are connected.
    pub fn immediate(self) -> Self {
        self.option("IMMEDIATE", |socket| socket.set_immediate(true))
    }

    /// Also uses IPv6.
    pub fn ipv6(self) -> Self {
        self.option("IPV6", |socket| socket.set_ipv6(true))
    }

    /// Has a SUB receive what begins with this; nothing is received without any.
    pub fn subscribe(self, prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref().to_vec();
        self.option("SUBSCRIBE", move |socket| socket.set_subscribe(&prefix))
    }

    /// Asks each peer for a sign of life once in an interval, and disconnects it when none comes for the timeout.
    pub fn heartbeat(self, interval: Duration, timeout: Duration) -> Self {
        let (interval_ms, timeout_ms) = (millis(interval).max(1), millis(timeout).max(1));
        self.option("HEARTBEAT_IVL", move |socket| {
            socket.set_heartbeat_ivl(interval_ms)
        })
        .option("HEARTBEAT_TIMEOUT", move |socket| {
            socket.set_heartbeat_timeout(timeout_ms)
        })
    }

    /// How long an attempt to connect may take, and its handshake as long again.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        let timeout_ms = millis(timeout).max(1);
        self.option("CONNECT_TIMEOUT", move |socket| {
            socket.set_connect_timeout(timeout_ms)
        })
        .option("HANDSHAKE_IVL", move |socket| {
            socket.set_handshake_ivl(timeout_ms)
        })
    }

    /// How long to wait before a lost connection is tried again: at first, and at the most. The same twice keeps it.
    pub fn reconnect(self, first: Duration, most: Duration) -> Self {
        let first_ms = millis(first).max(1);
        // Zero is libzmq's word for a wait that does not grow.
        let most_ms = if most > first { millis(most) } else { 0 };
        self.option("RECONNECT_IVL", move |socket| {
            socket.set_reconnect_ivl(first_ms)
        })
        .option("RECONNECT_IVL_MAX", move |socket| {
            socket.set_reconnect_ivl_max(most_ms)
        })
    }

    /// Binds an endpoint; a `*` for the port takes a free one, which [`last_endpoint`] tells.
    pub fn bind(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push((Way::Bind, endpoint.into()));
        self
    }

    /// Connects to an endpoint. Nobody needs to be there yet.
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push((Way::Connect, endpoint.into()));
        self
    }

    /// Makes the socket: the options first, then the endpoints in the order in which they were given.
    pub fn build(&self, context: &zmq::Context) -> Result<zmq::Socket, SocketError> {
        let mut socket = context.socket(self.kind).map_err(no_socket)?;
        for (name, set) in &self.options {
            set(&socket).map_err(|error| match *name {
                IDENTITY => SocketError::Identity,
                option => SocketError::Option {
                    option,
                    kind: kind_name(self.kind),
                    reason: error.message().to_owned(),
                },
            })?;
        }
        for (way, endpoint) in &self.endpoints {
            open(&mut socket, *way, endpoint)?;
        }
        Ok(socket)
    }

    fn option(
        mut self,
        name: &'static str,
        set: impl Fn(&zmq::Socket) -> zmq::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.options.push((name, Arc::new(set)));
        self
    }
}

impl fmt::Debug for SocketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&str> = self.options.iter().map(|(name, _)| *name).collect();
        f.debug_struct("SocketBuilder")
            .field("kind", &kind_name(self.kind))
            .field("options", &options)
            .field("endpoints", &self.endpoints)
            .finish()
    }
}

/// The endpoint that a socket was bound or connected to last, with the port that a wildcard took.
pub fn last_endpoint(socket: &zmq::Socket) -> Result<String, SocketError> {
    let reason = match socket.get_last_endpoint() {
        Ok(Ok(endpoint)) => return Ok(endpoint),
        Ok(Err(_)) => "it is not valid UTF-8",
        Err(error) => error.message(),
    };
    Err(SocketError::Endpoint {
        endpoint: String::new(),
        reason: reason.to_owned(),
    })
}

/// Binds an endpoint of a socket that is there already.
pub(crate) fn bind(socket: &mut zmq::Socket, endpoint: &str) -> Result<(), SocketError> {
    open(socket, Way::Bind, endpoint)
}

fn open(socket: &mut zmq::Socket, way: Way, endpoint: &str) -> Result<(), SocketError> {
    let refused = |reason: String| SocketError::Endpoint {
        endpoint: endpoint.to_owned(),
        reason,
    };
    // libzmq would take what is left of a number after the sixteenth bit.
    if let Some((_, port)) = endpoint.rsplit_once(':')
        && endpoint.starts_with("tcp://")
        && port.parse::<u64>().is_ok_and(|port| port > u16::MAX.into())
    {
        return Err(refused("a port is at most 65535".to_owned()));
    }
    // What libzmq would remove; what is no endpoint is its to refuse.
    if matches!(way, Way::Bind) && Endpoint::to_bind(endpoint).is_ok_and(|path| path.is_taken()) {
        return Err(SocketError::InUse(endpoint.to_owned()));
    }
    let text = CString::new(endpoint).map_err(|_| refused("it has a zero byte".to_owned()))?;
    let opened = match way {
        Way::Bind => raw::bind(socket, &text),
        Way::Connect => raw::connect(socket, &text),
    };
    opened.map_err(|error| match error.known() {
        Some(zmq::Error::EADDRINUSE) => SocketError::InUse(endpoint.to_owned()),
        Some(zmq::Error::EADDRNOTAVAIL | zmq::Error::ENODEV) if matches!(way, Way::Bind) => {
            SocketError::NotLocal(endpoint.to_owned())
        }
        Some(zmq::Error::ETERM) => SocketError::ContextEnded,
        _ => refused(error.message()),
    })
}

/// libzmq says the same of both limits; whether the process has descriptors left tells them apart. A socket takes two
/// of them where libzmq was built without `eventfd`, otherwise one.
fn no_socket(error: zmq::Error) -> SocketError {
    let open = || std::fs::File::open("/dev/null");
    match error {
        zmq::Error::EMFILE => match (open(), open()) {
            (Ok(_), Ok(_)) => SocketError::TooManySockets,
            _ => SocketError::TooManyDescriptors,
        },
        // Of the others libzmq says only that the context has ended, by ETERM or, once it is gone, by EFAULT.
        _ => SocketError::ContextEnded,
    }
}

/// In whole milliseconds, rounded up.
fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

fn kind_name(kind: zmq::SocketType) -> &'static str {
    match kind {
        zmq::PAIR => "PAIR",
        zmq::PUB => "PUB",
        zmq::SUB => "SUB",
        zmq::REQ => "REQ",
        zmq::REP => "REP",
        zmq::DEALER => "DEALER",
        zmq::ROUTER => "ROUTER",
        zmq::PULL => "PULL",
        zmq::PUSH => "PUSH",
        zmq::XPUB => "XPUB",
        zmq::XSUB => "XSUB",
        zmq::STREAM => "STREAM",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn refusal(builder: SocketBuilder) -> SocketError {
        match builder.build(&zmq::Context::new()) {
            Ok(_) => panic!("it was not refused: {builder:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn options_arrive_at_the_socket() {
        let socket = SocketBuilder::new(zmq::DEALER)
            .linger(Duration::from_micros(1500))
            .send_hwm(7)
            .recv_hwm(8)
            .max_frame_bytes(9)
            .identity("me")
            .immediate()
            .ipv6()
            .heartbeat(Duration::from_millis(10), Duration::ZERO)
            .connect_timeout(Duration::from_millis(11))
            .reconnect(Duration::from_millis(12), Duration::from_millis(12))
            .build(&zmq::Context::new())
            .unwrap();
        assert_eq!(socket.get_linger(), Ok(2));
        assert_eq!((socket.get_sndhwm(), socket.get_rcvhwm()), (Ok(7), Ok(8)));
        assert_eq!(socket.get_maxmsgsize(), Ok(9));
        assert_eq!(socket.get_identity(), Ok(b"me".to_vec()));
        assert_eq!(
            (socket.is_immediate(), socket.is_ipv6()),
            (Ok(true), Ok(true))
        );
        assert_eq!(socket.get_heartbeat_ivl(), Ok(10));
        assert_eq!(socket.get_connect_timeout(), Ok(11));
        assert_eq!(socket.get_handshake_ivl(), Ok(11));
        assert_eq!(socket.get_reconnect_ivl(), Ok(12));
        assert_eq!(socket.get_reconnect_ivl_max(), Ok(0));
    }

    #[test]
    fn an_option_of_another_kind_is_named() {
        let error = refusal(SocketBuilder::new(zmq::DEALER).mandatory());
        assert!(
            matches!(
                &error,
                SocketError::Option {
                    option: "ROUTER_MANDATORY",
                    kind: "DEALER",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn an_identity_that_no_router_takes_is_refused() {
        for identity in [&b""[..], b"\0me", &[1; 256]] {
            let error = refusal(SocketBuilder::new(zmq::DEALER).identity(identity));
            assert_eq!(error, SocketError::Identity);
        }
    }

    #[test]
    fn endpoints_that_cannot_be_used_are_named() {
        for endpoint in [
            "",
            "5555",
            "tcp://",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:99999",
            "carrier-pigeon://x",
            "tcp://a\0b:1",
            "ipc:///nowhere/at/all",
            "ipc:///dev/null/x",
        ] {
            let error = refusal(SocketBuilder::new(zmq::ROUTER).bind(endpoint));
            let named =
                matches!(&error, SocketError::Endpoint { endpoint: e, .. } if e == endpoint);
            assert!(named, "{endpoint:?}: {error:?}");
        }
        let foreign = refusal(SocketBuilder::new(zmq::ROUTER).bind("tcp://192.0.2.1:*"));
        assert_eq!(foreign, SocketError::NotLocal("tcp://192.0.2.1:*".into()));
        let error = refusal(SocketBuilder::new(zmq::DEALER).connect("tcp://name-without-port"));
        assert!(error.to_string().contains("name-without-port"), "{error}");
    }

    #[test]
    fn an_endpoint_in_use_is_said_to_be() {
        let context = zmq::Context::new();
        let router = SocketBuilder::new(zmq::ROUTER).bind("tcp://127.0.0.1:*");
        let first = router.build(&context).unwrap();
        let endpoint = last_endpoint(&first).unwrap();
        let second = SocketBuilder::new(zmq::ROUTER).bind(&endpoint);
        let error = second.build(&context).err();
        assert_eq!(error, Some(SocketError::InUse(endpoint)));
    }

    #[test]
    fn the_limit_of_a_context_has_an_error_of_its_own() {
        let context = zmq::Context::new();
        let pair = SocketBuilder::new(zmq::PAIR);
        let mut sockets = Vec::new();
        let error = loop {
            match pair.build(&context) {
                Ok(socket) => sockets.push(socket),
                Err(error) => break error,
            }
        };
        // Who may not open as many descriptors runs into that limit first.
        if error == SocketError::TooManyDescriptors {
            eprintln!("skipped: the limit of descriptors is below {MAX_SOCKETS}");
            return;
        }
        assert_eq!(
            (error, sockets.len()),
            (SocketError::TooManySockets, MAX_SOCKETS)
        );
        // One that is closed makes room, as soon as libzmq has cleared it away.
        sockets.pop();
        let end = Instant::now() + Duration::from_secs(20);
        while pair.build(&context).is_err() {
            assert!(Instant::now() < end, "there is no room again");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_path_is_not_taken_away_from_who_is_there() {
        let directory = std::env::temp_dir().join(format!("reactor-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let context = zmq::Context::new();
        let bind = |path: &std::path::Path| {
            let endpoint = format!("ipc://{}", path.display());
            let socket = SocketBuilder::new(zmq::REP).bind(&endpoint).build(&context);
            (endpoint, socket.map(drop))
        };
        let file = directory.join("file");
        std::fs::write(&file, "precious").unwrap();
        let (endpoint, refused) = bind(&file);
        assert_eq!(refused, Err(SocketError::InUse(endpoint)));
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        let socket = directory.join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let (endpoint, refused) = bind(&socket);
        assert_eq!(refused, Err(SocketError::InUse(endpoint)));
        drop(listener);
        assert_eq!(bind(&socket).1, Ok(()), "it is left over");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_context_that_ends_makes_no_sockets() {
        let mut context = zmq::Context::new();
        let open = context.socket(zmq::PAIR).unwrap();
        let (same, pair) = (context.clone(), SocketBuilder::new(zmq::PAIR));
        let ender = std::thread::spawn(move || {
            let ended = context.destroy();
            // Its drop would terminate once more what libzmq has freed by now: the crate knows no better.
            std::mem::forget(context);
            ended
        });
        let end = Instant::now() + Duration::from_secs(20);
        let error = loop {
            assert!(Instant::now() < end, "it does not end");
            match pair.build(&same) {
                // Until the other thread gets to run, sockets close here more slowly than they are made.
                Ok(_) | Err(SocketError::TooManySockets) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error, SocketError::ContextEnded);
        drop(open);
        assert_eq!(ender.join().unwrap(), Ok(()));
    }
}
