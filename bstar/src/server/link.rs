//! The sockets of a state link.

use std::time::Duration;

use reactor::{BoxError, Endpoint, Interest, Scope, SocketKey, SourceKey};
use zmq::Message;

use super::error::Error;
use crate::core::{Announced, Config, METADATA_TOPIC, SHORTEST_REDIAL};

/// A state is a digit and a line of text, and what is larger is dropped when it is read. Only what
/// would exhaust the memory costs its sender the connection: libzmq would not dial it again.
const MAX_FRAME_BYTES: i64 = 8 << 20;
/// States are stale after a moment; what a peer that does not read leaves behind is dropped.
const STATES_QUEUED: i32 = 1000;

/// However short the heartbeat, a round trip on the state link may take so long, or it would never
/// come up.
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(50);
/// Between two attempts at a connection, at most: a peer that starts is to be found soon, however
/// long the heartbeat.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Where this node publishes its state, and where it hears its peer's.
pub(super) struct Link {
    place: Place,
    remote: Endpoint,
}

enum Place {
    Unregistered {
        publisher: zmq::Socket,
        subscriber: zmq::Socket,
        /// The subscriber's.
        context: zmq::Context,
    },
    Registered {
        publisher: SocketKey,
        subscriber: SocketKey,
    },
    Gone,
}

impl Link {
    /// Binds and connects it, and says where it is bound.
    pub(super) fn open(
        config: &Config,
        local: &Endpoint,
        remote: Endpoint,
    ) -> Result<(Link, String), Error> {
        // Each has an I/O thread of its own. Heartbeats do not queue behind the clients' traffic,
        // nor behind the look-up of a name, in which libzmq's thread may hang when it dials.
        let publisher = publisher(&zmq::Context::new(), config, local)?;
        let bound = last_endpoint(&publisher)?;
        let context = zmq::Context::new();
        let subscriber = subscriber(&context, config, &remote)?;
        let place = Place::Unregistered {
            publisher,
            subscriber,
            context,
        };
        Ok((Link { place, remote }, bound))
    }

    /// Registers both sockets, each with a tag of its own. Hands out the subscriber with its context,
    /// which is not to be held any longer than that.
    pub(super) fn register<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        owner: SourceKey,
        publisher_tag: usize,
        subscriber_tag: usize,
    ) -> Result<(SocketKey, zmq::Context), reactor::Error> {
        let place = std::mem::replace(&mut self.place, Place::Gone);
        let Place::Unregistered {
            publisher,
            subscriber,
            context,
        } = place
        else {
            return Err(reactor::Error::Invalid("a node is attached once"));
        };
        let publisher = scope.own_socket(owner, publisher_tag, publisher, Interest::READ)?;
        let subscriber = scope.own_socket(owner, subscriber_tag, subscriber, Interest::READ)?;
        self.place = Place::Registered {
            publisher,
            subscriber,
        };
        Ok((subscriber, context))
    }

    /// The publisher and the subscriber, when they are registered.
    pub(super) fn keys(&self) -> Option<[SocketKey; 2]> {
        match self.place {
            Place::Registered {
                publisher,
                subscriber,
            } => Some([publisher, subscriber]),
            Place::Unregistered { .. } | Place::Gone => None,
        }
    }

    /// Where the peer publishes.
    pub(super) fn remote(&self) -> &Endpoint {
        &self.remote
    }

    pub(super) fn publish<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        state: Announced,
        text: Option<String>,
    ) {
        let Some([publisher, _]) = self.keys() else {
            return;
        };
        let digit = Message::from(&[state.digit()][..]);
        let text = text.map(|text| Message::from(text.as_bytes()));
        // An XPUB drops for a subscriber that does not keep up, and blocks for none.
        if let Err(error) = scope.send(publisher, [Some(digit), text].into_iter().flatten()) {
            tracing::warn!(%error, "the state was not published");
        }
    }

    /// Gives up the connection to the peer, whatever state it is in, and begins a new one.
    pub(super) fn redial<S: 'static>(&self, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let Some([_, subscriber]) = self.keys() else {
            return Ok(());
        };
        let remote = self.remote.as_str();
        tracing::debug!(remote, "the peer is silent: its state link is dialled anew");
        scope.with_socket(subscriber, |socket| match socket.disconnect(remote) {
            // There was none any more.
            Ok(()) | Err(zmq::Error::ENOENT) => socket.connect(remote),
            Err(error) => Err(error),
        })??;
        Ok(())
    }
}

/// Publishes our state.
fn publisher(
    context: &zmq::Context,
    config: &Config,
    local: &Endpoint,
) -> Result<zmq::Socket, Error> {
    let mut socket = context.socket(zmq::XPUB)?;
    reactor::set_xpub_verboser(&mut socket, true)?;
    tune(&socket, config, local)?;
    bind(&socket, local)?;
    Ok(socket)
}

/// Hears the peer's state.
fn subscriber(
    context: &zmq::Context,
    config: &Config,
    remote: &Endpoint,
) -> Result<zmq::Socket, Error> {
    let socket = context.socket(zmq::SUB)?;
    tune(&socket, config, remote)?;
    // A link that is cut comes back when it is dialled anew, and how soon after the heal decides for
    // how long two may serve. Left to TCP, it comes back when its own timer fires next, after a
    // second at first and then after twice as long each time.
    let answer_within = (config.heartbeat() / 2).max(LONGEST_ROUND_TRIP);
    socket.set_connect_timeout(millis(answer_within))?;
    socket.set_reconnect_ivl(millis((config.heartbeat() / 5).min(LONGEST_PAUSE)))?;
    socket.set_reconnect_ivl_max(0)?;
    socket.set_subscribe(METADATA_TOPIC)?;
    socket.set_subscribe(b"")?;
    socket
        .connect(remote.as_str())
        .map_err(|error| Error::Connect {
            endpoint: remote.to_string(),
            error,
        })?;
    Ok(socket)
}

/// Binds, and says where it did not.
pub(super) fn bind(socket: &zmq::Socket, endpoint: &Endpoint) -> Result<(), Error> {
    let failed = |error| Error::Bind {
        endpoint: endpoint.to_string(),
        error,
    };
    // libzmq takes a path away from whoever listens there.
    if endpoint.is_taken() {
        return Err(failed(zmq::Error::EADDRINUSE));
    }
    socket.set_ipv6(endpoint.is_ipv6())?;
    socket.bind(endpoint.as_str()).map_err(failed)
}

/// Where a socket was bound last; empty if it was not.
pub(super) fn last_endpoint(socket: &zmq::Socket) -> Result<String, Error> {
    let text = socket.get_last_endpoint()?;
    Ok(text.unwrap_or_else(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn tune(socket: &zmq::Socket, config: &Config, endpoint: &Endpoint) -> Result<(), Error> {
    socket.set_ipv6(endpoint.is_ipv6())?;
    socket.set_maxmsgsize(MAX_FRAME_BYTES)?;
    socket.set_sndhwm(STATES_QUEUED)?;
    socket.set_rcvhwm(STATES_QUEUED)?;
    // ZMTP's own heartbeats find out that a connection is dead; a handshake that a cut
    // interrupted is given up as soon.
    socket.set_heartbeat_ivl(millis(config.heartbeat()))?;
    socket.set_heartbeat_timeout(millis(config.timeout()))?;
    socket.set_handshake_ivl(millis(config.timeout().max(SHORTEST_REDIAL)))?;
    Ok(())
}

/// At least one millisecond: libzmq takes 0 for "never". A configuration is bounded to minutes.
fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis())
        .unwrap_or(i32::MAX)
        .max(1)
}
