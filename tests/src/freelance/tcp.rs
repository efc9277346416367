//! A server that takes connections, and does not speak ZeroMQ.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::host::Tally;

/// Connections that are held open; the oldest is dropped for one more.
const MOST_HELD: usize = 256;

/// Accepts connections until the end, says `greeting` on each, and holds them open.
pub(super) fn accept(listener: &TcpListener, greeting: &[u8], tally: &Tally, ends: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((mut stream, _)) => {
                // Who hangs up before all is said does so rightly.
                let _ = stream.write_all(greeting);
                tally.connections.fetch_add(1, Ordering::Relaxed);
                if held.len() == MOST_HELD {
                    held.remove(0);
                }
                held.push(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
            }
            // One that hung up between the two.
            Err(_) => {}
        }
    }
}
