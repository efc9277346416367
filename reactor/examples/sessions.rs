//! A server that forgets clients which are silent for half a minute, with fifty thousand of them.
//!
//! ```text
//! cargo run -p bstar-reactor --example sessions
//! ```
//!
//! The clients are simulated: each speaks every ten seconds, until it falls silent for good. So is time: eleven minutes
//! pass in about a second. It ends by itself. What the server does, [`heard`] and the handler of the tickets, is the
//! same on sockets and in real time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use reactor::{Builder, Error, Missed, Next, Scope, TicketClassKey, TicketKey, VirtualClock};

const CLIENTS: u64 = 50_000;
const SILENCE: Duration = Duration::from_secs(30);
/// The clients take turns: one in ten speaks each second.
const SLOTS: u64 = 10;
const END: Duration = Duration::from_secs(640);

/// What the server knows.
#[derive(Default)]
struct Server {
    /// The clients, and of each the ticket that expires unless it is heard.
    sessions: HashMap<u64, TicketKey>,
    heard: u64,
    expired: u64,
}

/// A client spoke.
fn heard(
    server: &mut Server,
    scope: &mut Scope<Server>,
    silent: TicketClassKey,
    client: u64,
) -> Result<(), Error> {
    server.heard += 1;
    match server.sessions.entry(client) {
        Entry::Occupied(session) => {
            scope.reset_ticket(*session.get());
        }
        Entry::Vacant(session) => {
            session.insert(scope.issue_ticket(silent, client)?);
        }
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let clock = VirtualClock::new();
    let mut reactor = Builder::new().virtual_time(&clock).build::<Server>()?;
    let scope = reactor.scope();
    let begin = scope.now();

    let silent = scope.add_tickets("silent", SILENCE, |server: &mut Server, _, _, client| {
        server.sessions.remove(&client);
        server.expired += 1;
        Ok(())
    })?;

    let second = Duration::from_secs(1);
    scope.add_interval(
        "clients",
        second,
        Missed::CatchUp,
        move |server, scope, now| {
            let elapsed = (now - begin).as_secs();
            for client in (elapsed % SLOTS..CLIENTS).step_by(SLOTS as usize) {
                // One in twenty falls silent each minute.
                let last_minute = client / SLOTS % 20;
                if elapsed / 60 <= last_minute {
                    heard(server, scope, silent, client)?;
                }
            }
            Ok(())
        },
    )?;
    let minute = Duration::from_secs(60);
    scope.add_interval("report", minute, Missed::Skip, move |server, _, now| {
        println!(
            "{:3} min: {} sessions, {} expired",
            (now - begin).as_secs() / 60,
            server.sessions.len(),
            server.expired
        );
        Ok(())
    })?;
    scope.add_timer("end", begin + END, |_, scope, _| {
        scope.stop();
        Ok(Next::Done)
    })?;

    let (mut server, started) = (Server::default(), Instant::now());
    reactor.run(&mut server)?;
    println!("heard {} times, in {:?}", server.heard, started.elapsed());
    println!(
        "{} of {CLIENTS} clients expired, {} are left",
        server.expired,
        server.sessions.len()
    );
    Ok(())
}
