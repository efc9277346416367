//! The sockets of one attempt at a link, and what libzmq tells of it.
//!
//! Each attempt has a socket of its own, and libzmq is told not to reconnect. So what is said of a
//! link can only be about this one; nothing that waits in a socket is ever sent to the process
//! that comes after; and a monitor does not grow while the host does not look: an attempt tells a
//! handful of events and then is quiet.

use std::time::Duration;

use reactor::{Endpoint, Interest, Scope, SocketKey, SourceKey};

use super::{Config, Error};

/// libzmq is not to reconnect while the host has not yet seen that a link ended: a day.
const NEVER_MS: i32 = 24 * 3600 * 1000;

/// Where links to one server come from.
pub(super) struct Dialler {
    pub(super) context: zmq::Context,
    pub(super) endpoint: String,
    /// The I/O threads that may serve these links, as ZMQ_AFFINITY has it; 0 for any.
    pub(super) affinity: u64,
}

impl Dialler {
    /// Begins an attempt. Returns the DEALER, which is known as `tag`, and the monitor that tells
    /// about it, known as the next one.
    pub(super) fn dial<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        me: SourceKey,
        tag: usize,
        config: &Config,
    ) -> Result<(SocketKey, SocketKey), Error> {
        let dealer = self.context.socket(zmq::DEALER)?;
        set_up(&dealer, &self.endpoint, self.affinity, config)?;
        let dealer = scope
            .own_socket(me, tag, dealer, Interest::READ)
            .map_err(|rejected| Error::Reactor(rejected.error))?;
        let begun = self.begin(scope, me, tag + 1, dealer);
        if begun.is_err() {
            drop(scope.remove_socket(dealer));
        }
        begun
    }

    fn begin<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        me: SourceKey,
        tag: usize,
        dealer: SocketKey,
    ) -> Result<(SocketKey, SocketKey), Error> {
        let monitor = scope
            .own_monitor(me, tag, &self.context, dealer)
            .map_err(Error::Reactor)?;
        let connected = scope.with_socket(dealer, |dealer| dealer.connect(&self.endpoint));
        match connected.map_err(Error::Reactor)? {
            Ok(()) => Ok((dealer, monitor)),
            Err(error) => {
                drop(scope.remove_socket(monitor));
                Err(rejected(&self.endpoint, error.message()))
            }
        }
    }
}

/// Refuses what libzmq would take, and only fail at later, or what a client cannot use.
pub(super) fn check_endpoint(endpoint: &str) -> Result<(), Error> {
    let endpoint = Endpoint::to_connect(endpoint)?;
    if endpoint.is_inproc() {
        let reason = "an inproc link cannot be watched; use tcp:// or ipc://";
        return Err(rejected(endpoint.as_str(), reason));
    }
    Ok(())
}

/// An error that names a server.
pub(super) fn rejected(endpoint: &str, reason: &str) -> Error {
    Error::Server {
        endpoint: endpoint.to_owned(),
        reason: reason.to_owned(),
    }
}

fn set_up(
    dealer: &zmq::Socket,
    endpoint: &str,
    affinity: u64,
    config: &Config,
) -> Result<(), zmq::Error> {
    dealer.set_linger(0)?;
    // ZMQ_IMMEDIATE stays off: with it libzmq throws away the answers that wait in front of the end
    // of a link. Nothing queues all the same, since nothing is sent before the link stands, and
    // the socket is closed after it.
    dealer.set_reconnect_ivl(NEVER_MS)?;
    dealer.set_connect_timeout(millis(config.dial_timeout))?;
    dealer.set_handshake_ivl(millis(config.dial_timeout))?;
    // A half-open link is noticed within two heartbeats, whether or not requests are under way.
    dealer.set_heartbeat_ivl(millis(config.heartbeat))?;
    dealer.set_heartbeat_timeout(millis(config.heartbeat.saturating_mul(2)))?;
    let limit = i32::try_from(config.max_outstanding).unwrap_or(i32::MAX);
    dealer.set_sndhwm(limit)?;
    dealer.set_rcvhwm(limit)?;
    dealer.set_maxmsgsize(i64::try_from(config.max_reply_frame_bytes).unwrap_or(i64::MAX))?;
    dealer.set_affinity(affinity)?;
    dealer.set_ipv6(endpoint.starts_with("tcp://["))
}

/// At least one, since libzmq takes zero for "off".
fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_cannot_work_are_named_with_the_reason() {
        for good in [
            "tcp://127.0.0.1:5001",
            "tcp://[::1]:5001",
            "tcp://name:1",
            "ipc:///tmp/x",
        ] {
            check_endpoint(good).unwrap();
        }
        let bad = [
            "",
            "5001",
            "localhost:1",
            "inproc://x",
            "udp://1.2.3.4:5",
            "tcp://*:5001",
        ];
        for bad in bad {
            let text = check_endpoint(bad).unwrap_err().to_string();
            assert!(text.contains(bad), "{text}");
        }
    }
}
