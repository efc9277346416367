//! The clients, each as one who knows its library would write it.

mod bare;
mod guide;
mod ours;

use crate::common::{BODY, Result};
use crate::contest::Contestant;
use crate::meter::Times;

/// A client that is connected to its servers.
pub(crate) trait Peer {
    /// Sends so many requests, with so many under way at a time, looks at each answer and notes when it came.
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()>;
}

/// Returns when all servers can be asked.
pub(crate) fn connect(contestant: Contestant, endpoints: &[&str]) -> Result<Box<dyn Peer>> {
    Ok(match contestant {
        Contestant::Req => Box::new(bare::Req::connect(endpoints, false)?),
        Contestant::ReqPoll => Box::new(bare::Req::connect(endpoints, true)?),
        Contestant::Router => Box::new(bare::Router::connect(endpoints)?),
        Contestant::Dealer => Box::new(bare::Dealer::connect(endpoints)?),
        Contestant::Shotgun => Box::new(guide::Shotgun::connect(endpoints)?),
        Contestant::Guide => Box::new(guide::Complex::connect(endpoints)?),
        Contestant::OursOne | Contestant::OursTwo | Contestant::Blocking => {
            Box::new(ours::Blocking::connect(contestant.model(), endpoints)?)
        }
        Contestant::Callbacks => Box::new(ours::Callbacks::connect(endpoints)?),
        Contestant::Agent => Box::new(ours::Agent::connect(endpoints)?),
    })
}

/// Who sends one request after the other.
fn one_by_one(
    count: u32,
    times: &mut Times,
    mut request: impl FnMut() -> Result<()>,
) -> Result<()> {
    for _ in 0..count {
        request()?;
        times.note();
    }
    Ok(())
}

/// Who sends the next when the oldest is answered.
fn pipelined(
    outstanding: u32,
    count: u32,
    times: &mut Times,
    mut send: impl FnMut() -> Result<()>,
    mut receive: impl FnMut() -> Result<()>,
) -> Result<()> {
    let ahead = outstanding.min(count);
    for _ in 0..ahead {
        send()?;
    }
    for received in 0..count {
        receive()?;
        times.note();
        if received + ahead < count {
            send()?;
        }
    }
    Ok(())
}

fn is_echo(answer: &[u8]) -> Result<()> {
    if answer == BODY { Ok(()) } else { Err(wrong()) }
}

fn wrong() -> Box<dyn std::error::Error> {
    "not the answer to what was asked".into()
}
