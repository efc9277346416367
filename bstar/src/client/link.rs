//! The sockets of one attempt at a link, and what libzmq tells of it.
//!
//! Each attempt has a socket of its own, and libzmq is told not to reconnect. So what is said of a
//! link can only be about this one; nothing that waits in a socket is ever sent to the process
//! that comes after; and no monitor fills up, which would block libzmq's thread, while the host
//! does not look: an attempt tells a handful of events and then is quiet.

use std::time::Duration;

use zmq::SocketEvent;

use super::{Config, Error};
use crate::endpoint::Endpoint;

/// libzmq is not to reconnect while the host has not yet seen that a link ended: a day.
const NEVER_MS: i32 = 24 * 3600 * 1000;

/// What a monitor's message says of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tidings {
    /// The handshake is complete. A connection alone proves nothing: a stopped process has one.
    Up,
    /// The link, or the attempt at it, has ended.
    Down,
}

const UP: [SocketEvent; 1] = [SocketEvent::HANDSHAKE_SUCCEEDED];
const DOWN: [SocketEvent; 6] = [
    SocketEvent::DISCONNECTED,
    SocketEvent::CLOSED,
    // An attempt that ends before there is a descriptor to close, as with an unknown name.
    SocketEvent::CONNECT_RETRIED,
    SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
    SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
    SocketEvent::HANDSHAKE_FAILED_AUTH,
];

/// Where links to one server come from.
pub(super) struct Dialler {
    pub(super) context: zmq::Context,
    pub(super) endpoint: String,
    /// The I/O threads that may serve these links, as ZMQ_AFFINITY has it; 0 for any.
    pub(super) affinity: u64,
    /// First part of the monitors' names, different for each server.
    pub(super) monitor_prefix: String,
    /// Attempts so far.
    pub(super) attempts: u64,
}

impl Dialler {
    /// Begins an attempt. Returns the DEALER and the PAIR that tells about it.
    pub(super) fn dial(&mut self, config: &Config) -> Result<(zmq::Socket, zmq::Socket), Error> {
        self.attempts += 1;
        let dealer = self.context.socket(zmq::DEALER)?;
        set_up(&dealer, &self.endpoint, self.affinity, config)?;
        let name = format!("inproc://{}/{}", self.monitor_prefix, self.attempts);
        let events = UP
            .iter()
            .chain(&DOWN)
            .map(|event| i32::from(event.to_raw()));
        dealer.monitor(&name, events.fold(0, |mask, event| mask | event))?;
        let monitor = self.context.socket(zmq::PAIR)?;
        monitor.set_linger(0)?;
        monitor.connect(&name)?;
        dealer
            .connect(&self.endpoint)
            .map_err(|error| rejected(&self.endpoint, error.message()))?;
        Ok((dealer, monitor))
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

/// Reads a monitor's message: the event in two bytes of this machine's order, then a value.
pub(super) fn read(frame: &[u8]) -> Option<Tidings> {
    let event = u16::from_ne_bytes(frame.get(..2)?.try_into().ok()?);
    if UP.iter().any(|known| known.to_raw() == event) {
        Some(Tidings::Up)
    } else if DOWN.iter().any(|known| known.to_raw() == event) {
        Some(Tidings::Down)
    } else {
        None
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

    #[test]
    fn a_monitors_message_is_read_and_noise_is_nothing() {
        let message = |event: SocketEvent| [event.to_raw().to_ne_bytes(), [0; 2], [0; 2]].concat();
        assert_eq!(
            read(&message(SocketEvent::HANDSHAKE_SUCCEEDED)),
            Some(Tidings::Up)
        );
        assert_eq!(
            read(&message(SocketEvent::DISCONNECTED)),
            Some(Tidings::Down)
        );
        assert_eq!(read(&message(SocketEvent::CONNECTED)), None);
        for noise in [&b""[..], b"\x01", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(read(noise), None);
        }
    }
}
