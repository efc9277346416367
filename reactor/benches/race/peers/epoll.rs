//! A bare loop on epoll: the limit for whatever waits on `ZMQ_FD`, not a peer. It has no timers, no registration while
//! it runs, and knows which one socket is busy.
//!
//! `ZMQ_FD` loses signals, so that before each sleep the socket that was used is asked again. With one message a turn
//! that is `ZMQ_EVENTS`; with several, the receive that finds nothing is as good.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use reactor::zmq::{self, Message};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::not_entered;
use crate::Result;
use crate::contest::{Contestant, Test};
use crate::meter::{Flooded, Poster, Relay, Report, idle_sockets};
use crate::raw::ZmqFd;

const BUSY: u64 = u64::MAX;
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

pub(super) fn run(contestant: Contestant, test: Test, count: u64) -> Result<Report> {
    let batch = contestant.batch();
    match test {
        Test::Sockets(size) => {
            let (busy, mut relay) = Relay::new(count)?;
            let idle = idle_sockets(size)?.into_iter().map(ZmqFd::new).collect();
            serve(&ZmqFd::new(busy), idle, batch, |message| {
                relay.pass(message)
            })?;
            Ok(relay.meter.report())
        }
        Test::Flood(transport, _) => {
            let (pull, mut flooded) = Flooded::start(transport, count)?;
            serve(&ZmqFd::new(pull), Vec::new(), batch, |message| {
                Ok(flooded.take(message))
            })?;
            Ok(flooded.meter.report())
        }
        Test::Wake(_) => wake(count),
        Test::Turn(_) | Test::TurnAlone(_) | Test::Cancel(_) | Test::Ticket(_) | Test::Fairness => {
            not_entered()
        }
    }
}

/// Calls `handle` with what `busy` receives, `batch` messages a turn at most, until it says that it is done.
fn serve(
    busy: &ZmqFd,
    idle: Vec<ZmqFd>,
    batch: u32,
    mut handle: impl FnMut(&mut Message) -> zmq::Result<bool>,
) -> Result<()> {
    let poll = watch(busy, BUSY, epoll::EventFlags::ET)?;
    for (index, idle) in idle.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(
            &poll,
            idle,
            data,
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        if idle.socket().get_events()?.contains(zmq::POLLIN) {
            return Err("an idle socket is readable".into());
        }
    }
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    let mut message = Message::new();
    // What waits already is not signalled.
    let mut ready = true;
    loop {
        events.clear();
        epoll::wait(
            &poll,
            spare_capacity(&mut events),
            ready.then_some(&AT_ONCE),
        )?;
        for event in &events {
            match event.data.u64() {
                BUSY => ready = true,
                // Signals come also for what the socket does for itself.
                index => {
                    let events = idle[index as usize].socket().get_events()?;
                    if events.contains(zmq::POLLIN) {
                        return Err("an idle socket is readable".into());
                    }
                }
            }
        }
        if !ready {
            continue;
        }
        for _ in 0..batch {
            match busy.socket().recv(&mut message, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => {
                    ready = false;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            if handle(&mut message)? {
                return Ok(());
            }
        }
        if ready && batch == 1 {
            ready = busy.socket().get_events()?.contains(zmq::POLLIN);
        }
    }
}

/// An eventfd, which is the least that wakes a loop.
fn wake(count: u64) -> Result<Report> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let poll = watch(&*bell, BUSY, epoll::EventFlags::empty())?;
    let rung = Arc::clone(&bell);
    let mut poster = Poster::start(count, move || {
        // Where it fails nobody answers, and the run ends by its bound.
        let _ = rustix::io::write(&*rung, &1_u64.to_ne_bytes());
    });
    let mut events = [MaybeUninit::uninit(); 16];
    loop {
        let (events, _) = epoll::wait(&poll, &mut events, None)?;
        if events.is_empty() {
            continue;
        }
        let mut rings = [0; 8];
        rustix::io::read(&*bell, &mut rings)?;
        if poster.answer() {
            return Ok(poster.report());
        }
    }
}

fn watch(fd: impl AsFd, data: u64, flags: epoll::EventFlags) -> Result<OwnedFd> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(data);
    epoll::add(&poll, fd, data, epoll::EventFlags::IN | flags)?;
    Ok(poll)
}
