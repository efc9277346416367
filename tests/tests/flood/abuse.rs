//! What is done to front ends of TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use tests::{BOUND, Outcome, ensure};

use super::server::ASK_MUCH;
use super::watch::Task;

/// The server does not answer this.
pub(crate) const WORD: u8 = b'.';
/// What a client that does not read has room for.
const LITTLE_ROOM: usize = 4096;
/// In so many portions slow senders are gone through, one after each pause.
const PORTIONS: usize = 100;
const PORTION_PAUSE: Duration = Duration::from_millis(10);
/// Connections that vanish together.
const VANISH_AT_ONCE: usize = 100;

/// Connections that say a byte a second each.
pub(crate) fn slow_senders(to: SocketAddr, count: usize) -> Outcome<Task<String>> {
    let mut crowd = gather(to, count, &[WORD])?;
    for stream in &crowd {
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
    }
    Ok(Task::start(move |ends| {
        let mut bytes = 0;
        let portion = count.div_ceil(PORTIONS);
        while !ends.load(Ordering::Relaxed) {
            for some in crowd.chunks_mut(portion) {
                for stream in some {
                    let said = stream.write(&[WORD]);
                    bytes += said.map_err(|error| format!("a slow sender: {error}"))?;
                }
                thread::sleep(PORTION_PAUSE);
            }
        }
        Ok(format!("{count} connections, {bytes} bytes"))
    }))
}

/// Connections that ask for much and read nothing.
pub(crate) fn deaf(to: SocketAddr, count: usize) -> Outcome<Task<String>> {
    let crowd = gather(to, count, &[ASK_MUCH])?;
    Ok(hold(crowd, format!("{count} connections")))
}

/// Connections that say nothing.
pub(crate) fn silent(to: SocketAddr, count: usize) -> Outcome<Task<String>> {
    let crowd = gather(to, count, &[])?;
    Ok(hold(crowd, format!("{count} connections")))
}

/// Connections that ask for much, and whose other end is gone without a word: nothing of theirs passes any more.
pub(crate) fn vanishing(to: SocketAddr, most: usize) -> Task<String> {
    Task::start(move |ends| {
        let mut gone = Vec::new();
        while gone.len() + VANISH_AT_ONCE <= most && !ends.load(Ordering::Relaxed) {
            let host = new_host();
            for _ in 0..VANISH_AT_ONCE {
                gone.push(open(to, host, &[ASK_MUCH])?);
            }
            drop_packets_of(host)?;
        }
        wait_for(ends);
        Ok(format!("{} connections", gone.len()))
    })
}

/// Connections that are reset in the midst of an answer, one after the other.
pub(crate) fn resetting(to: SocketAddr) -> Task<String> {
    Task::start(move |ends| {
        let mut count = 0;
        let mut heard = [0; LITTLE_ROOM];
        while !ends.load(Ordering::Relaxed) {
            let mut stream = open(to, Ipv4Addr::LOCALHOST, &[ASK_MUCH])?;
            stream
                .read(&mut heard)
                .and_then(|_| {
                    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).map_err(Into::into)
                })
                .map_err(|error| format!("before its reset: {error}"))?;
            count += 1;
        }
        Ok(format!("{count} resets"))
    })
}

/// Connections to the node that does not serve, each of which is refused.
pub(crate) fn refused(to: SocketAddr) -> Task<String> {
    Task::start(move |ends| {
        let mut count = 0;
        while !ends.load(Ordering::Relaxed) {
            match TcpStream::connect(to) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => count += 1,
                Err(error) => return Err(format!("the passive one does not refuse: {error}")),
                Ok(_) => return Err("the passive one lets clients in".to_owned()),
            }
        }
        Ok(format!("{count} refusals"))
    })
}

/// `bstar status` by the wire, all the time, and lines that are no question.
pub(crate) fn questions(control: std::path::PathBuf) -> Task<String> {
    Task::start(move |ends| {
        let mut answers = 0;
        while !ends.load(Ordering::Relaxed) {
            for question in ["{\"command\":\"status\"}\n", "}{\n"] {
                let mut answer = String::new();
                let asked =
                    std::os::unix::net::UnixStream::connect(&control).and_then(|mut stream| {
                        stream.set_read_timeout(Some(BOUND))?;
                        stream.write_all(question.as_bytes())?;
                        stream.read_to_string(&mut answer)
                    });
                // Who is turned away since others ask may find the connection broken.
                answers += u64::from(asked.is_ok() && !answer.is_empty());
            }
        }
        ensure(answers > 0, || "nobody answers".to_owned())?;
        Ok(format!("{answers} answers"))
    })
}

/// Opens so many connections, each of which says `word`.
pub(crate) fn gather(to: SocketAddr, count: usize, word: &[u8]) -> Outcome<Vec<TcpStream>> {
    (0..count)
        .map(|_| open(to, Ipv4Addr::LOCALHOST, word))
        .collect()
}

/// Does nothing with them.
pub(crate) fn hold<T: Send + 'static>(crowd: T, what: String) -> Task<String> {
    Task::start(move |ends| {
        wait_for(ends);
        drop(crowd);
        Ok(what)
    })
}

pub(crate) fn wait_for(ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        thread::sleep(PORTION_PAUSE);
    }
}

/// A connection from an address of the loopback, with little room for answers.
pub(crate) fn open(to: SocketAddr, from: Ipv4Addr, word: &[u8]) -> Outcome<TcpStream> {
    let opened = || -> std::io::Result<TcpStream> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, LITTLE_ROOM)?;
        bind(&socket, &SocketAddr::from((from, 0)))?;
        connect(&socket, &to)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(BOUND))?;
        stream.write_all(word)?;
        Ok(stream)
    };
    opened().map_err(|error| format!("{from} cannot connect to {to}: {error}"))
}

/// An address of the loopback from which nobody has connected yet: what is dropped once is dropped for good.
fn new_host() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// Nothing passes to this address, or from it.
fn drop_packets_of(host: Ipv4Addr) -> Outcome<()> {
    for direction in ["saddr", "daddr"] {
        let rule = format!("add rule inet bstar input ip {direction} {host} drop");
        let done = Command::new("nft").arg(&rule).output();
        let done = done.map_err(|error| format!("nft: {error}"))?;
        ensure(done.status.success(), || {
            format!("nft {rule}: {}", String::from_utf8_lossy(&done.stderr))
        })?;
    }
    Ok(())
}
