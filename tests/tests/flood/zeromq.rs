//! What is done to front ends of ZeroMQ.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::Outcome;

use super::abuse::{hold, open};
use super::server::ASK_MUCH;
use super::watch::Task;

/// More than any front end takes.
const OVERSIZED: u64 = 1 << 40;
const ENDLESS_FRAME: usize = 64 << 10;

/// Connections that say what is no ZMTP, or announce a frame that nobody takes; each is ended by the front end.
pub(crate) fn noise(endpoint: &str) -> Outcome<Task<String>> {
    let to = address(endpoint)?;
    Ok(Task::start(move |ends| {
        let noise: Vec<u8> = (0..4096_u32)
            .map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0])
            .collect();
        let oversized = [greeting(), frame_header(OVERSIZED)].concat();
        let mut count = 0;
        while !ends.load(Ordering::Relaxed) {
            for words in [&noise, &oversized] {
                let mut stream = open(to, Ipv4Addr::LOCALHOST, &[])?;
                // It may be ended before all is said.
                let _ = stream.write_all(words);
                let mut heard = [0; 4096];
                while matches!(stream.read(&mut heard), Ok(1..)) {}
                count += 1;
            }
        }
        Ok(format!("{count} connections"))
    }))
}

/// Connections whose message has no end: each sends frames that are not the last, and connects anew when it is ended.
pub(crate) fn endless(endpoint: &str, count: usize) -> Outcome<Task<String>> {
    let to = address(endpoint)?;
    let crowd: Vec<Task<[u64; 2]>> = (0..count)
        .map(|_| Task::start(move |ends| send_without_end(to, ends)))
        .collect();
    Ok(Task::start(move |ends| {
        while !ends.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        let mut sum = [0, 0];
        for task in crowd {
            let [bytes, connections] = task.end()?;
            sum = [sum[0] + bytes, sum[1] + connections];
        }
        let [bytes, connections] = sum;
        Ok(format!("{} MiB, {connections} connections", bytes >> 20))
    }))
}

/// The bytes that went, and over how many connections.
fn send_without_end(to: SocketAddr, ends: &AtomicBool) -> Outcome<[u64; 2]> {
    let mut frame = vec![0x03];
    frame.extend((ENDLESS_FRAME as u64).to_be_bytes());
    frame.resize(frame.len() + ENDLESS_FRAME, 7);
    let (mut bytes, mut connections) = (0, 0);
    while !ends.load(Ordering::Relaxed) {
        // Nobody listens for a moment when the front end begins anew.
        let Ok(mut stream) = open(to, Ipv4Addr::LOCALHOST, &greeting()) else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        connections += 1;
        let timeout = stream.set_write_timeout(Some(Duration::from_secs(1)));
        timeout.map_err(|error| error.to_string())?;
        while !ends.load(Ordering::Relaxed) && stream.write_all(&frame).is_ok() {
            bytes += frame.len() as u64;
        }
    }
    Ok([bytes, connections])
}

/// Connections of each of which all of a frame has come but its last byte.
pub(crate) fn unfinished(endpoint: &str, count: usize, bytes: usize) -> Outcome<Task<String>> {
    let to = address(endpoint)?;
    let words = [greeting(), frame_header(bytes as u64), vec![0; bytes - 1]].concat();
    let mut crowd = Vec::new();
    for _ in 0..count {
        crowd.push(open(to, Ipv4Addr::LOCALHOST, &words)?);
    }
    Ok(hold(
        crowd,
        format!("{count} connections, {bytes} bytes each"),
    ))
}

/// Clients that ask for much, each once in every `pause`, and read no reply.
pub(crate) fn deaf(endpoint: &str, count: usize, pause: Duration) -> Outcome<Task<String>> {
    let context = zmq::Context::new();
    let open = || -> zmq::Result<zmq::Socket> {
        let socket = context.socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        socket.set_rcvhwm(1)?;
        socket.set_rcvbuf(4096)?;
        socket.connect(endpoint)?;
        Ok(socket)
    };
    let crowd: zmq::Result<Vec<_>> = (0..count).map(|_| open()).collect();
    let crowd = crowd.map_err(|error| error.to_string())?;
    Ok(Task::start(move |ends| {
        let mut requests = 0;
        while !ends.load(Ordering::Relaxed) {
            for socket in &crowd {
                let said = socket.send_multipart([&[][..], &[ASK_MUCH]], zmq::DONTWAIT);
                requests += u64::from(said.is_ok());
            }
            thread::sleep(pause);
        }
        Ok(format!("{count} clients, {requests} requests"))
    }))
}

fn address(endpoint: &str) -> Outcome<SocketAddr> {
    let address = endpoint.trim_start_matches("tcp://").parse();
    address.map_err(|error| format!("{endpoint}: {error}"))
}

/// What a DEALER says first, by ZMTP 3.0 without security.
fn greeting() -> Vec<u8> {
    let mut words = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    words.extend(b"NULL");
    words.resize(64, 0);
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
    words.extend([0x04, ready.len() as u8]);
    words.extend(ready);
    words
}

/// The beginning of a frame of so many bytes, which ends its message.
fn frame_header(bytes: u64) -> Vec<u8> {
    let mut words = vec![0x02];
    words.extend(bytes.to_be_bytes());
    words
}
