//! A bare loop on `zmq_poll`: a list of items that is built once, and looked through after each sleep.

use reactor::zmq::{self, Message, PollItem, Socket};

use super::not_entered;
use crate::Result;
use crate::contest::{Contestant, Test};
use crate::meter::{Flooded, Poster, Relay, Report, idle_sockets, pair};

pub(super) fn run(contestant: Contestant, test: Test, count: u64) -> Result<Report> {
    let batch = contestant.batch();
    match test {
        Test::Sockets(size) => sockets(batch, size, count),
        Test::Flood(transport, _) => {
            let (pull, mut flooded) = Flooded::start(transport, count)?;
            serve(&pull, &[], batch, |message| Ok(flooded.take(message)))?;
            Ok(flooded.meter.report())
        }
        Test::Wake(_) => wake(count),
        Test::Turn(_) | Test::TurnAlone(_) | Test::Cancel(_) | Test::Ticket(_) | Test::Fairness => {
            not_entered()
        }
    }
}

fn sockets(batch: u32, size: u32, count: u64) -> Result<Report> {
    let (busy, mut relay) = Relay::new(count)?;
    let idle = idle_sockets(size)?;
    serve(&busy, &idle, batch, |message| relay.pass(message))?;
    Ok(relay.meter.report())
}

/// Its users wake such a loop through a PAIR.
fn wake(count: u64) -> Result<Report> {
    let (mine, peer) = pair("inproc://wake")?;
    let mut poster = Poster::start(count, move || {
        // Where it fails nobody answers, and the run ends by its bound.
        let _ = peer.send("", 0);
    });
    serve(&mine, &[], 1, |_| Ok(poster.answer()))?;
    Ok(poster.report())
}

/// Calls `handle` with what `busy` receives, `batch` messages a turn at most, until it says that it is done.
fn serve(
    busy: &Socket,
    idle: &[Socket],
    batch: u32,
    mut handle: impl FnMut(&mut Message) -> zmq::Result<bool>,
) -> Result<()> {
    let mut items: Vec<PollItem<'_>> = std::iter::once(busy)
        .chain(idle)
        .map(|socket| socket.as_poll_item(zmq::POLLIN))
        .collect();
    let mut message = Message::new();
    loop {
        zmq::poll(&mut items, -1)?;
        if items[1..].iter().any(PollItem::is_readable) {
            return Err("an idle socket is readable".into());
        }
        if !items[0].is_readable() {
            continue;
        }
        for _ in 0..batch {
            match busy.recv(&mut message, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
            if handle(&mut message)? {
                return Ok(());
            }
        }
    }
}
