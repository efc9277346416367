//! A server that becomes slow.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use freelance::{Client, Config, Hedge, Idempotent, Model};

use crate::args::Args;
use crate::case::{ATTEMPT_TIMEOUT, Hedging, Order, Slowed, Waits};
use crate::common::child::Server;
use crate::common::{BODY, BOUND, Kind, Result};
use crate::fail::connect_all;

const SERVERS: usize = 3;
const DELAY: Duration = Duration::from_millis(200);
const OUTSTANDING: u32 = 8;
/// Requests before one becomes slow.
const WARM_UP: u32 = 200;
/// Requests for each trial. Where all wait for 200 ms it is one, since it would take minutes.
const REQUESTS: u32 = 20;

/// Times from sending to answer.
pub(crate) fn run(order: Order, slowed: Slowed, args: &Args) -> Result<Waits> {
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(Server::start(Kind::Flp, args.service())?);
    }
    let mut client = connect(order, slowed, &servers)?;
    exchange(&mut client, WARM_UP, &mut Waits::new()?)?;
    let each = match slowed {
        Slowed::None | Slowed::First(Hedging::On) => REQUESTS,
        Slowed::First(Hedging::Off) => 1,
    };
    if let Slowed::First(_) = slowed {
        slow_down(&mut servers[0], args.service() + DELAY)?;
    }
    let mut waits = Waits::new()?;
    exchange(&mut client, args.trials() * each, &mut waits)?;
    Ok(waits)
}

fn connect(order: Order, slowed: Slowed, servers: &[Server]) -> Result<Client> {
    let mut config = Config::new(Model::Three);
    config.attempt_timeout = ATTEMPT_TIMEOUT;
    config.hedge = match slowed {
        Slowed::None | Slowed::First(Hedging::Off) => None,
        Slowed::First(Hedging::On) => Some(Hedge {
            floor: Duration::from_millis(1),
            ..Hedge::default()
        }),
    };
    let endpoints = servers.iter().map(|server| server.endpoint.as_str());
    let builder = Client::builder(Model::Three).config(config);
    connect_all(match order {
        Order::OneTier => builder.pool(endpoints),
        Order::InOrder => builder.servers(endpoints),
    })
}

fn exchange(client: &mut Client, count: u32, waits: &mut Waits) -> Result<()> {
    let mut began = HashMap::new();
    let mut sent = 0;
    for _ in 0..count {
        while sent < count && began.len() < OUTSTANDING as usize {
            let now = Instant::now();
            began.insert(client.submit([BODY], Idempotent::Yes, BOUND)?, now);
            sent += 1;
        }
        let (id, answer) = client.next_done(BOUND).ok_or("no answer")?;
        answer?;
        let began = began.remove(&id).ok_or("an answer to nothing")?;
        waits.note(began.elapsed());
    }
    Ok(())
}

fn slow_down(server: &mut Server, delay: Duration) -> Result<()> {
    let input = server.process.stdin.as_mut().ok_or("no input")?;
    Ok(writeln!(input, "{}", delay.as_micros())?)
}
