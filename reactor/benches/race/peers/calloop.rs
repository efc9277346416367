//! calloop, with a source for ZeroMQ sockets of the design that its book describes: `ZMQ_FD` in a `Generic` source in
//! edge mode, a ping that has the source look at the socket once after its registration, and a loop that takes messages
//! until there is none.
//!
//! Two things are done better than in the book, since they cost: whole messages are handed over in a buffer that is
//! kept, instead of copies; and that nothing is left is learnt from the receive that finds nothing, instead of reading
//! `ZMQ_EVENTS` before each.

use std::io;
use std::time::Instant;

use calloop::channel::{self, channel};
use calloop::generic::Generic;
use calloop::ping::{Ping, PingSource, make_ping};
use calloop::timer::{TimeoutAction, Timer};
use calloop::{
    EventLoop, EventSource, Interest, LoopHandle, LoopSignal, Mode, Poll, PostAction, Readiness,
    RegistrationToken, Token, TokenFactory,
};
use reactor::zmq::{self, Message, Socket};

use super::not_entered;
use crate::Result;
use crate::contest::{Contestant, Test};
use crate::meter::{Flooded, Meter, Poster, Relay, Report, Spread, idle_sockets};
use crate::raw::ZmqFd;

pub(super) fn run(contestant: Contestant, test: Test, count: u64) -> Result<Report> {
    match test {
        Test::Sockets(size) => sockets(size, count),
        Test::Flood(transport, _) => {
            let (pull, mut flooded) = Flooded::start(transport, count)?;
            serve(pull, 0, &mut flooded, |frames, flooded| {
                Ok(flooded.take(&frames[0]))
            })?;
            Ok(flooded.meter.report())
        }
        Test::Turn(size) => turns(size, count),
        Test::Cancel(size) => cancels(size, count),
        Test::Wake(_) if contestant == Contestant::CalloopPing => wake_by_ping(count),
        Test::Wake(_) => wake_by_channel(count),
        Test::TurnAlone(_) | Test::Ticket(_) | Test::Fairness => not_entered(),
    }
}

struct ZmqSource {
    socket: Generic<ZmqFd>,
    ping: Ping,
    pinged: PingSource,
    frames: Vec<Message>,
}

impl ZmqSource {
    fn new(socket: Socket) -> io::Result<Self> {
        let (ping, pinged) = make_ping()?;
        Ok(Self {
            socket: Generic::new(ZmqFd::new(socket), Interest::READ, Mode::Edge),
            ping,
            pinged,
            frames: Vec::new(),
        })
    }

    /// One whole message into `frames`; `false` if there is none.
    fn recv(&mut self) -> zmq::Result<bool> {
        let socket = self.socket.get_ref().socket();
        self.frames.clear();
        loop {
            let mut frame = Message::new();
            match socket.recv(&mut frame, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) if self.frames.is_empty() => return Ok(false),
                Err(error) => return Err(error),
            }
            let more = frame.get_more();
            self.frames.push(frame);
            if !more {
                return Ok(true);
            }
        }
    }
}

impl EventSource for ZmqSource {
    type Event = ();
    type Metadata = Vec<Message>;
    type Ret = zmq::Result<()>;
    type Error = io::Error;

    fn process_events<F>(
        &mut self,
        readiness: Readiness,
        token: Token,
        mut callback: F,
    ) -> io::Result<PostAction>
    where
        F: FnMut((), &mut Vec<Message>) -> zmq::Result<()>,
    {
        self.pinged
            .process_events(readiness, token, |(), _| {})
            .map_err(io::Error::other)?;
        // An edge: whatever is left now would not be signalled again.
        while self.recv()? {
            callback((), &mut self.frames)?;
        }
        Ok(PostAction::Continue)
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.socket.register(poll, tokens)?;
        self.pinged.register(poll, tokens)?;
        self.ping.ping();
        Ok(())
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.socket.reregister(poll, tokens)?;
        self.pinged.reregister(poll, tokens)?;
        self.ping.ping();
        Ok(())
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.socket.unregister(poll)?;
        self.pinged.unregister(poll)
    }
}

fn sockets(size: u32, count: u64) -> Result<Report> {
    let (busy, mut relay) = Relay::new(count)?;
    serve(busy, size, &mut relay, |frames, relay| {
        relay.pass(&mut frames[0])
    })?;
    Ok(relay.meter.report())
}

/// Calls `handle` with what `busy` receives until it says that it is done.
fn serve<S: 'static>(
    busy: Socket,
    idle: u32,
    state: &mut S,
    mut handle: impl FnMut(&mut Vec<Message>, &mut S) -> zmq::Result<bool> + 'static,
) -> Result<()> {
    let mut event_loop: EventLoop<'_, S> = EventLoop::try_new()?;
    let signal = event_loop.get_signal();
    event_loop
        .handle()
        .insert_source(ZmqSource::new(busy)?, move |(), frames, state| {
            if handle(frames, state)? {
                signal.stop();
            }
            Ok(())
        })
        .map_err(|error| error.error)?;
    add_idle(&event_loop.handle(), idle)?;
    event_loop.run(None, state, |_| {})?;
    Ok(())
}

fn add_idle<S: 'static>(handle: &LoopHandle<'_, S>, size: u32) -> Result<()> {
    for idle in idle_sockets(size)? {
        handle
            .insert_source(ZmqSource::new(idle)?, |(), _, _| Err(zmq::Error::EPROTO))
            .map_err(|error| error.error)?;
    }
    Ok(())
}

fn turns(size: u32, count: u64) -> Result<Report> {
    let mut event_loop: EventLoop<'_, Meter> = EventLoop::try_new()?;
    let handle = event_loop.handle();
    for at in Spread::new(size).pending() {
        add_far_off(&handle, at)?;
    }
    add_idle(&handle, 1)?;
    let signal: LoopSignal = event_loop.get_signal();
    handle
        .insert_source(
            Timer::immediate(),
            move |deadline, (), meter: &mut Meter| {
                if meter.tick() {
                    signal.stop();
                    return TimeoutAction::Drop;
                }
                TimeoutAction::ToInstant(deadline)
            },
        )
        .map_err(|error| error.error)?;
    let mut meter = Meter::on_cpu(count);
    event_loop.run(None, &mut meter, |_| {})?;
    Ok(meter.report())
}

fn add_far_off<S>(handle: &LoopHandle<'_, S>, at: Instant) -> Result<RegistrationToken> {
    let never = |_, &mut (): &mut (), _: &mut S| unreachable!("a far-off timer fired");
    let token = handle.insert_source(Timer::from_deadline(at), never);
    Ok(token.map_err(|error| error.error)?)
}

fn cancels(size: u32, count: u64) -> Result<Report> {
    let event_loop: EventLoop<'_, ()> = EventLoop::try_new()?;
    let handle = event_loop.handle();
    let mut spread = Spread::new(size);
    for at in spread.pending() {
        add_far_off(&handle, at)?;
    }
    let mut meter = Meter::on_cpu(count);
    loop {
        let token = add_far_off(&handle, spread.next())?;
        handle.remove(token);
        if meter.tick() {
            return Ok(meter.report());
        }
    }
}

fn wake_by_ping(count: u64) -> Result<Report> {
    let mut event_loop: EventLoop<'_, Poster> = EventLoop::try_new()?;
    let (ping, pinged) = make_ping()?;
    let signal = event_loop.get_signal();
    event_loop
        .handle()
        .insert_source(pinged, move |(), (), poster| {
            if poster.answer() {
                signal.stop();
            }
        })
        .map_err(|error| error.error)?;
    let mut poster = Poster::start(count, move || ping.ping());
    event_loop.run(None, &mut poster, |_| {})?;
    Ok(poster.report())
}

fn wake_by_channel(count: u64) -> Result<Report> {
    let mut event_loop: EventLoop<'_, Poster> = EventLoop::try_new()?;
    // As with our `post`, what is sent is work.
    let (sender, receiver) = channel::<Box<dyn FnOnce(&mut Poster) -> bool + Send>>();
    let signal = event_loop.get_signal();
    event_loop
        .handle()
        .insert_source(receiver, move |event, (), poster| match event {
            channel::Event::Msg(work) => {
                if work(poster) {
                    signal.stop();
                }
            }
            channel::Event::Closed => {}
        })
        .map_err(|error| error.error)?;
    let mut poster = Poster::start(count, move || {
        // Where it fails nobody answers, and the run ends by its bound.
        let _ = sender.send(Box::new(Poster::answer));
    });
    event_loop.run(None, &mut poster, |_| {})?;
    Ok(poster.report())
}
