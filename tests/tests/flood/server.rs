//! A server of few words: what stands behind the front ends that are flooded.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tests::Outcome;

use super::watch::Task;

/// Is answered with itself.
pub(crate) const ASK: u8 = b'?';
/// Is answered with [`GREAT_BYTES`] over TCP, and with [`LARGE_BYTES`] over ZeroMQ. Anything else is not answered.
pub(crate) const ASK_MUCH: u8 = b'*';
/// More than all buffers on the way hold.
pub(crate) const GREAT_BYTES: usize = 64 << 20;
/// An answer over ZeroMQ.
pub(crate) const LARGE_BYTES: usize = 16 << 10;

const LISTENER: u64 = u64::MAX;
/// How soon it notices that it is to end.
const LOOK_MS: i32 = 20;
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: LOOK_MS as i64 * 1_000_000,
};

/// It runs until it is dropped.
pub(crate) struct Server {
    _task: Task<()>,
}

impl Server {
    /// One of TCP: it has one thread for all connections, of which it takes as many as there are descriptors.
    pub(crate) fn tcp(address: SocketAddr) -> Outcome<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("server at {address}: {error}");
        let listener = TcpListener::bind(address).map_err(|error| failed(&error))?;
        // As many as the front end may bring in one moment.
        rustix::net::listen(&listener, 4096).map_err(|error| failed(&error))?;
        let mut crowd = Crowd::new(listener).map_err(|error| failed(&error))?;
        Ok(Self::run(move |ends| {
            while !ends.load(Ordering::Relaxed) {
                crowd.turn();
            }
        }))
    }

    /// One of ZeroMQ.
    pub(crate) fn zeromq(endpoint: &str) -> Outcome<Self> {
        let context = zmq::Context::new();
        let open = || -> zmq::Result<zmq::Socket> {
            let socket = context.socket(zmq::ROUTER)?;
            socket.set_linger(0)?;
            socket.set_rcvtimeo(LOOK_MS)?;
            // It drops nothing of a well-behaved client, however much waits for others.
            socket.set_sndhwm(0)?;
            socket.bind(endpoint)?;
            Ok(socket)
        };
        let socket = open().map_err(|error| format!("server at {endpoint}: {error}"))?;
        let large = vec![ASK_MUCH; LARGE_BYTES];
        Ok(Self::run(move |ends| {
            while !ends.load(Ordering::Relaxed) {
                let Ok(mut frames) = socket.recv_multipart(0) else {
                    continue;
                };
                if let Some(body) = frames.last_mut().filter(|body| ***body == [ASK_MUCH]) {
                    body.clone_from(&large);
                }
                let _ = socket.send_multipart(frames, 0);
            }
        }))
    }

    fn run(task: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let task = Task::start(|ends| {
            task(ends);
            Ok(())
        });
        Self { _task: task }
    }
}

/// All connections.
struct Crowd {
    epoll: OwnedFd,
    listener: TcpListener,
    clients: HashMap<u64, Client>,
    portion: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// Short answers first, then the bytes of great ones.
    short: usize,
    great: usize,
    waits: bool,
}

impl Crowd {
    fn new(listener: TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            clients: HashMap::new(),
            portion: vec![ASK_MUCH; 16 << 10],
        })
    }

    fn turn(&mut self) {
        let mut events = Vec::with_capacity(256);
        let room = rustix::buffer::spare_capacity(&mut events);
        // Interrupted or not, it is called again.
        let _ = epoll::wait(&self.epoll, room, Some(&LOOK));
        for event in events {
            match event.data.u64() {
                LISTENER => self.accept(),
                key => self.serve(key, event.flags),
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let key = u64::from(stream.as_raw_fd().unsigned_abs());
            let watched = stream.set_nonblocking(true).is_ok()
                && epoll::add(
                    &self.epoll,
                    &stream,
                    EventData::new_u64(key),
                    EventFlags::IN,
                )
                .is_ok();
            if watched {
                let client = Client {
                    stream,
                    short: 0,
                    great: 0,
                    waits: false,
                };
                self.clients.insert(key, client);
            }
        }
    }

    fn serve(&mut self, key: u64, flags: EventFlags) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        let stays = (!flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
            || client.hear())
            && client.answer(&self.portion);
        let waits = client.short + client.great > 0;
        if stays && waits != client.waits {
            client.waits = waits;
            // Who is owed something is not listened to.
            let flags = if waits {
                EventFlags::OUT
            } else {
                EventFlags::IN
            };
            let data = EventData::new_u64(key);
            let _ = epoll::modify(&self.epoll, &client.stream, data, flags);
        }
        if !stays {
            self.clients.remove(&key);
        }
    }
}

impl Client {
    /// Whether it is still there.
    fn hear(&mut self) -> bool {
        let mut heard = [0; 4096];
        match self.stream.read(&mut heard) {
            Ok(0) => false,
            Ok(count) => {
                for byte in &heard[..count] {
                    self.short += usize::from(*byte == ASK);
                    self.great += usize::from(*byte == ASK_MUCH) * GREAT_BYTES;
                }
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    /// Writes a portion of what it is owed.
    fn answer(&mut self, portion: &[u8]) -> bool {
        let short = [ASK; 64];
        let (bytes, left) = match (self.short, self.great) {
            (0, 0) => return true,
            (0, great) => (&portion[..portion.len().min(great)], &mut self.great),
            (count, _) => (&short[..short.len().min(count)], &mut self.short),
        };
        match self.stream.write(bytes) {
            Ok(count) => {
                *left -= count;
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}
