//! Endpoints that no other test uses.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process;
use std::sync::{Mutex, PoisonError};

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
/// # Panics
///
/// When the system has no free port left.
#[must_use]
pub fn free_endpoint() -> String {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    for _ in 0..1_000 {
        // The listener is closed at once: what matters is that the system offered the port, and
        // that nobody else in this process is given the same one.
        let port = TcpListener::bind((IpAddr::V4(address()), 0))
            .and_then(|listener| listener.local_addr())
            .expect("a loopback address takes a listener")
            .port();
        if taken.insert(port) {
            return format!("tcp://{}:{port}", address());
        }
    }
    panic!("no free port at {}", address());
}
