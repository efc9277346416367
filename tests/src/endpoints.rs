//! Endpoints that no other test uses.

use std::net::{Ipv4Addr, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST_PORT: u16 = 10_000;
const END_OF_PORTS: u16 = 32_000;

/// The loopback address of this test process.
///
/// Derived from the process id, so that test processes that run side by side never compete for a
/// port. An outgoing connection to it leaves from 127.0.0.1, so it cannot take one of its ports
/// either.
#[must_use]
pub fn address() -> Ipv4Addr {
    let [_, high, middle, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + high % 64, middle, low)
}

/// An endpoint `tcp://address:port` at which nobody listens, handed out once.
///
/// The ports of this address are handed out one by one, below those that the system chooses from.
/// None is bound to try it: a program that is started at that moment would inherit the socket, and
/// hold the port for a while.
///
/// # Panics
///
/// When the ports are used up.
#[must_use]
pub fn free_endpoint() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < END_OF_PORTS, "no free port at {}", address());
        // Somebody may have bound the port on all addresses of the machine.
        if TcpStream::connect((address(), port)).is_err() {
            return format!("tcp://{}:{port}", address());
        }
    }
}

/// The port of an endpoint `tcp://address:port`.
///
/// # Panics
///
/// When it has none.
#[must_use]
pub fn port(endpoint: &str) -> u16 {
    let port = endpoint
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {endpoint}"))
}
