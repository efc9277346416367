//! Servers that are killed or stopped.

use std::time::{Duration, Instant};

use freelance::{Client, ClientBuilder, Config, Hedge, Idempotent, Liveness, Model, Reply};
use rustix::process::{Pid, Signal, kill_process};

use crate::case::{ATTEMPT_TIMEOUT, Hedging, Waits, When};
use crate::common::child::Server;
use crate::common::{BODY, BOUND, Kind, Result, wait_until};

const SERVERS: usize = 3;
/// Requests before a server fails, so that the client knows how long answers take.
const WARM_UP: u32 = 50;

/// Times from `kill -9` of the server that answered last to the next answer.
pub(crate) fn killed(model: Model, when: When, trials: u32) -> Result<Waits> {
    let kind = match model {
        Model::One => Kind::Echo,
        Model::Two => Kind::Shotgun,
        Model::Three => Kind::Flp,
    };
    let mut servers = Server::start_all(kind, SERVERS)?;
    let mut waits = Waits::new()?;
    for _ in 0..trials {
        let mut client = connect(model, Hedging::Off, &servers)?;
        let reply = ask(&mut client)?;
        let victim = who_answered(&client, &reply)?;
        let waited = match when {
            When::BetweenRequests => {
                let began = Instant::now();
                signal(&servers[victim], Signal::KILL)?;
                ask(&mut client)?;
                began.elapsed()
            }
            When::UnderARequest => {
                // It takes the request and does not answer.
                signal(&servers[victim], Signal::STOP)?;
                client.submit([BODY], Idempotent::Yes, BOUND)?;
                let began = Instant::now();
                signal(&servers[victim], Signal::KILL)?;
                client.next_done(BOUND).ok_or("no answer")?.1?;
                began.elapsed()
            }
        };
        waits.note(waited);
        servers[victim] = Server::start(kind, Duration::ZERO)?;
    }
    Ok(waits)
}

/// Times from SIGSTOP of the server that answered last to the next answer.
pub(crate) fn stopped(hedging: Hedging, trials: u32) -> Result<Waits> {
    let mut servers = Server::start_all(Kind::Flp, SERVERS)?;
    let mut waits = Waits::new()?;
    for _ in 0..trials {
        let mut client = connect(Model::Three, hedging, &servers)?;
        for _ in 0..WARM_UP {
            ask(&mut client)?;
        }
        let reply = ask(&mut client)?;
        let victim = who_answered(&client, &reply)?;
        let began = Instant::now();
        signal(&servers[victim], Signal::STOP)?;
        ask(&mut client)?;
        waits.note(began.elapsed());
        // A stopped process can be killed.
        servers[victim] = Server::start(Kind::Flp, Duration::ZERO)?;
    }
    Ok(waits)
}

fn connect(model: Model, hedging: Hedging, servers: &[Server]) -> Result<Client> {
    let mut config = Config::new(model);
    config.attempt_timeout = ATTEMPT_TIMEOUT;
    config.hedge = match hedging {
        Hedging::Off => None,
        Hedging::On => Some(Hedge::default()),
    };
    let endpoints = servers.iter().map(|server| server.endpoint.as_str());
    let builder = Client::builder(model).config(config).servers(endpoints);
    connect_all(builder)
}

/// Returns when all servers are live.
pub(crate) fn connect_all(builder: ClientBuilder) -> Result<Client> {
    let mut client = builder.connect()?;
    wait_until("all servers are live", || {
        client.wait_ready(BOUND)?;
        let servers = client.servers();
        Ok(servers.iter().all(|s| s.liveness == Liveness::Live))
    })?;
    Ok(client)
}

fn ask(client: &mut Client) -> Result<Reply> {
    Ok(client.request([BODY], Idempotent::Yes, BOUND)?)
}

/// The servers of a client are in the order in which they were given.
fn who_answered(client: &Client, reply: &Reply) -> Result<usize> {
    let servers = client.servers();
    let place = servers.iter().position(|s| s.server == reply.server);
    Ok(place.ok_or("an answer from nobody")?)
}

fn signal(server: &Server, signal: Signal) -> Result<()> {
    Ok(kill_process(Pid::from_child(&server.process), signal)?)
}
