//! What a front end costs: the same client at the same server, through it and without it, in turns.
//!
//! ```text
//! cargo test --release -p bstar --lib front::zmq::speed -- --ignored --nocapture
//! ```

use std::thread;
use std::time::Instant;

use super::tests::{Front, Peers};
use super::*;
use crate::run::front::Gate;
use crate::run::rig::Node;

const ROUNDS: usize = 5;
const ROUND_TRIPS: u32 = 2_000;
const OUTSTANDING: usize = 64;

#[test]
#[ignore = "measures, and decides nothing"]
fn a_front_end_beside_none() {
    let peers = Peers(zmq::Context::new());
    let (server, direct) = peers.bind(zmq::ROUTER);
    server.set_rcvtimeo(-1).unwrap();
    // Ends with the process.
    thread::spawn(move || {
        while let Ok(request) = receive(&server) {
            answer(&server, request);
        }
    });
    let node = Node::active();
    let front = Front::start(&node, &direct, 1000);
    front.set_gates(&[Gate::Open]);
    println!(
        "{:>8}  {:>22}  {:>22}",
        "bytes", "round trip, us", "64 outstanding, 1/s"
    );
    println!(
        "{:>8}  {:>10}  {:>10}  {:>10}  {:>10}",
        "", "direct", "front", "direct", "front"
    );
    for (bytes, pipelined) in [(10, 20_000), (1_000, 20_000), (100_000, 2_000)] {
        let ways = [&direct, &front.endpoint].map(|way| peers.connect(zmq::DEALER, way));
        let mut times = [Vec::new(), Vec::new()];
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (n, way) in ways.iter().enumerate() {
                times[n].push(round_trip_us(way, bytes));
                rates[n].push(rate(way, bytes, pipelined));
            }
        }
        let [direct_us, front_us] = times.map(median);
        let [direct_rate, front_rate] = rates.map(median);
        println!(
            "{bytes:>8}  {direct_us:>10.1}  {front_us:>10.1}  {direct_rate:>10.0}  {front_rate:>10.0}"
        );
    }
}

fn receive(socket: &zmq::Socket) -> zmq::Result<Vec<Message>> {
    let mut frames = Vec::new();
    loop {
        frames.push(socket.recv_msg(0)?);
        if !frames[frames.len() - 1].get_more() {
            return Ok(frames);
        }
    }
}

fn answer(socket: &zmq::Socket, frames: Vec<Message>) {
    socket.send_multipart(frames, 0).unwrap();
}

fn round_trip_us(client: &zmq::Socket, bytes: usize) -> f64 {
    let began = Instant::now();
    for _ in 0..ROUND_TRIPS {
        client.send(Message::with_size(bytes), 0).unwrap();
        receive(client).unwrap();
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS)
}

fn rate(client: &zmq::Socket, bytes: usize, requests: usize) -> f64 {
    let began = Instant::now();
    for n in 0..requests + OUTSTANDING {
        if n < requests {
            client.send(Message::with_size(bytes), 0).unwrap();
        }
        if n >= OUTSTANDING {
            receive(client).unwrap();
        }
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
