//! What the reactor costs: an echo on it, beside bare loops on libzmq alone, interleaved in one run.
//!
//! ```text
//! taskset -c 0 cargo bench -p bstar-reactor --bench echo -- [ROUNDS] [REQUESTS]
//! ```
//!
//! Client and server are two threads over TCP on the loopback. Pinned to one CPU it shows what code costs; without,
//! the time for waking the other CPU covers everything else.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::Instant;

use reactor::{Backend, Builder, Interest, zmq};

fn main() {
    // Cargo hands `--bench` on.
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok());
    let rounds: usize = numbers.next().unwrap_or(7);
    let requests: usize = numbers.next().unwrap_or(20_000);
    type Serve = fn(zmq::Socket);
    let servers: [(&str, Serve); 4] = [
        ("blocking recv", serve_blocking),
        ("zmq_poll", serve_zmq_poll),
        ("reactor on mio", |socket| {
            serve_reactor(socket, Backend::Mio)
        }),
        ("reactor on polling", |socket| {
            serve_reactor(socket, Backend::Polling)
        }),
    ];
    for outstanding in [1, 64] {
        println!("{outstanding} outstanding, median of {rounds} runs of {requests} requests");
        let mut results = vec![Vec::new(); servers.len()];
        for _ in 0..rounds {
            for ((_, serve), results) in servers.iter().zip(&mut results) {
                results.push(measure(*serve, requests, outstanding));
            }
        }
        let mut base = None;
        for ((name, _), results) in servers.iter().zip(&mut results) {
            results.sort_by(f64::total_cmp);
            let median = results[results.len() / 2];
            let base = *base.get_or_insert(median);
            println!(
                "  {name:<20} {median:8.2} us a request, {:.3} of the first",
                median / base
            );
        }
    }
}

/// Microseconds a request.
fn measure(serve: fn(zmq::Socket), requests: usize, outstanding: usize) -> f64 {
    let context = zmq::Context::new();
    let server = context.socket(zmq::ROUTER).unwrap();
    server.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = server.get_last_endpoint().unwrap().unwrap();
    let server = thread::spawn(move || serve(server));
    let client = context.socket(zmq::DEALER).unwrap();
    client.connect(&endpoint).unwrap();
    let exchange = |requests: usize, outstanding: usize| {
        let mut sent = 0;
        let mut frame = zmq::Message::new();
        for received in 0..requests {
            while sent < requests && sent < received + outstanding {
                client.send("x", 0).unwrap();
                sent += 1;
            }
            client.recv(&mut frame, 0).unwrap();
        }
    };
    exchange(requests / 10, outstanding);
    let begin = Instant::now();
    exchange(requests, outstanding);
    let elapsed = begin.elapsed();
    client.send("end", 0).unwrap();
    server.join().unwrap();
    elapsed.as_secs_f64() * 1e6 / requests as f64
}

/// Echoes what waits; `false` after the end was asked for.
fn echo_all(socket: &zmq::Socket, frames: &mut Vec<zmq::Message>, flags: i32) -> bool {
    loop {
        frames.clear();
        loop {
            let mut frame = zmq::Message::new();
            match socket.recv(&mut frame, flags) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => return true,
                Err(error) => panic!("{error}"),
            }
            let more = frame.get_more();
            frames.push(frame);
            if !more {
                break;
            }
        }
        let end = &frames[1][..] == b"end";
        socket
            .send_multipart(frames.drain(..), zmq::DONTWAIT)
            .unwrap();
        if end {
            return false;
        }
    }
}

fn serve_blocking(socket: zmq::Socket) {
    echo_all(&socket, &mut Vec::new(), 0);
}

fn serve_zmq_poll(socket: zmq::Socket) {
    let mut frames = Vec::new();
    loop {
        let mut items = [socket.as_poll_item(zmq::POLLIN)];
        zmq::poll(&mut items, -1).unwrap();
        if !echo_all(&socket, &mut frames, zmq::DONTWAIT) {
            return;
        }
    }
}

fn serve_reactor(socket: zmq::Socket, backend: Backend) {
    let mut reactor = Builder::new()
        .backend(backend)
        .signals(false)
        .build::<()>()
        .unwrap();
    let mut frames: Vec<zmq::Message> = Vec::new();
    reactor
        .scope()
        .add_socket("echo", socket, Interest::READ, move |(), scope, key, _| {
            if scope.recv(key, &mut frames)? {
                if &frames[1][..] == b"end" {
                    scope.stop();
                }
                scope.send(key, frames.drain(..))?;
            }
            Ok(())
        })
        .unwrap();
    reactor.run(&mut ()).unwrap();
}
