//! Operations on the reactor.

use std::time::Duration;

use reactor::{Error, Interest, PostError, Rejected, Scope, SendError, SocketKey, zmq};

use super::{Actor, App, Socket};
use crate::common::pair;
use crate::log::{Answer, Event};
use crate::program::{Current, Op, Target};

/// What answers come from.
pub(super) trait Outcome<T> {
    fn or_log(self, app: &mut App) -> Option<T>;
}

impl<T> Outcome<T> for Result<T, Error> {
    fn or_log(self, app: &mut App) -> Option<T> {
        match self {
            Ok(value) => {
                app.answer(Answer::Done);
                Some(value)
            }
            Err(error) => {
                app.answer(refusal(error));
                None
            }
        }
    }
}

pub(super) fn refusal(error: Error) -> Answer {
    match error {
        Error::Stale => Answer::Stale,
        other => Answer::Unforeseen(other.to_string()),
    }
}

pub(super) fn in_ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

impl App {
    pub(super) fn carry_out(&mut self, scope: &mut Scope<App>, op: Op) {
        self.coverage.borrow_mut().op(op.name(), self.inside);
        match op {
            Op::Wake => self.handle.waker().wake(),
            Op::Advance(ms) => self.clock.advance(in_ms(ms)),
            Op::Stop => scope.stop(),
            Op::StopByHandle => self.handle.stop(),
            Op::Fail => self.failing = true,
            Op::AddSource(_) | Op::RemoveSource(_) | Op::SetPolicy(..) | Op::Notify(_) => {
                self.on_sources(scope, op);
            }
            Op::AddSocket(..)
            | Op::RemoveSocket(_)
            | Op::SetInterest(..)
            | Op::Feed(..)
            | Op::Send(_)
            | Op::Recv(_)
            | Op::Readable(_) => self.on_sockets(scope, op),
            Op::AddTimer(..)
            | Op::AddInterval(..)
            | Op::SetTimer(..)
            | Op::CancelTimer(_)
            | Op::TimerDeadline(_) => self.on_timers(scope, op),
            Op::AddTickets(..)
            | Op::RemoveTickets(_)
            | Op::Issue(_)
            | Op::ResetTicket(_)
            | Op::CancelTicket(_)
            | Op::TicketDeadline(_) => self.on_tickets(scope, op),
            Op::AddHook(..) | Op::RemoveHook(_) | Op::Post(_) | Op::Defer(_) => {
                self.on_moments(scope, op);
            }
            Op::AddChannel(..) | Op::SendItem(_) | Op::DropSender(_) => {
                self.on_channels(scope, op);
            }
        }
    }

    pub(super) fn actor(&self, owner: Target) -> Option<usize> {
        let me = self.current.source;
        let me = self
            .actors
            .iter()
            .position(|(source, _)| Some(*source) == me);
        owner.pick(self.actors.len(), 0, me)
    }

    pub(super) fn name(&self) -> String {
        self.sources.len().to_string()
    }

    fn on_sources(&mut self, scope: &mut Scope<App>, op: Op) {
        let len = self.sources.len();
        let pick = |target: Target| target.pick(len, 1, self.current.source);
        match op {
            Op::AddSource(script) => {
                let actor = Actor {
                    number: len,
                    script,
                };
                if let Some(key) = scope.add_source(&self.name(), actor).or_log(self) {
                    self.actors.push((len, script));
                    self.sources.push(key);
                }
            }
            Op::RemoveSource(target) => match pick(target) {
                Some(source) => {
                    let was = scope.remove_source(self.sources[source]);
                    self.answer(Answer::Was(was));
                }
                None => self.answer(Answer::Nobody),
            },
            Op::SetPolicy(target, policy) => {
                if let Some(source) = pick(target) {
                    scope.set_policy(self.sources[source], policy);
                }
            }
            Op::Notify(target) => {
                if let Some(source) = pick(target) {
                    self.handle.waker().notify(self.sources[source]);
                }
            }
            _ => unreachable!("it is about something else"),
        }
    }

    fn on_sockets(&mut self, scope: &mut Scope<App>, op: Op) {
        let (len, me) = (self.sockets.len(), self.current.socket);
        let target = match op {
            Op::AddSocket(owner, interest, reads, script) => {
                return self.add_socket(scope, owner, interest, reads, script);
            }
            Op::RemoveSocket(target)
            | Op::SetInterest(target, _)
            | Op::Feed(target, _)
            | Op::Send(target)
            | Op::Recv(target)
            | Op::Readable(target) => target,
            _ => unreachable!("it is about something else"),
        };
        let Some(socket) = target.pick(len, 0, me) else {
            return self.answer(Answer::Nobody);
        };
        let key = self.sockets[socket].key;
        let answer = match op {
            Op::RemoveSocket(_) => Answer::Returned(scope.remove_socket(key).map(|s| drain(&s))),
            Op::SetInterest(_, interest) => scope
                .set_interest(key, interest)
                .map_or_else(refusal, |()| Answer::Done),
            Op::Feed(_, count) => {
                for _ in 0..count {
                    self.payload += 1;
                    // Where the socket is gone nobody takes it.
                    let _ = self.sockets[socket]
                        .feed
                        .send(&self.payload.to_be_bytes()[..], zmq::DONTWAIT);
                }
                Answer::Done
            }
            Op::Send(_) => {
                self.payload += 1;
                scope
                    .send(key, [&self.payload.to_be_bytes()[..]])
                    .map_or_else(refusal, |()| Answer::Done)
            }
            Op::Recv(_) => self.receive(scope, key),
            Op::Readable(_) => scope.readable(key).map_or_else(refusal, Answer::Was),
            _ => unreachable!("it is about something else"),
        };
        self.answer(answer);
    }

    pub(super) fn receive(&mut self, scope: &mut Scope<App>, key: SocketKey) -> Answer {
        let mut frames = Vec::new();
        match scope.recv(key, &mut frames) {
            Ok(true) => Answer::Received(Some(number(&frames[0]))),
            Ok(false) => Answer::Received(None),
            Err(error) => refusal(error),
        }
    }

    fn add_socket(
        &mut self,
        scope: &mut Scope<App>,
        owner: Option<Target>,
        interest: Interest,
        reads: u8,
        script: u8,
    ) {
        let (ours, feed) = pair(&self.context);
        let number = self.sockets.len();
        let added = match owner.and_then(|owner| self.actor(owner)) {
            Some(actor) => {
                let owner = self.sources[self.actors[actor].0];
                scope.own_socket(owner, number, ours, interest)
            }
            None => {
                let me = Some(self.sources.len());
                scope.add_socket(
                    &self.name(),
                    ours,
                    interest,
                    move |app: &mut App, scope, _, ready| app.on_socket(scope, me, number, ready),
                )
            }
        };
        let plain = owner.and_then(|owner| self.actor(owner)).is_none();
        let added = added.map_err(|rejected: Rejected<_>| rejected.error);
        if let Some(key) = added.or_log(self) {
            if plain {
                self.sources.push(scope.owner(key).unwrap());
            }
            self.sockets.push(Socket {
                key,
                feed,
                reads,
                script,
                calls: 0,
            });
        }
    }

    fn on_moments(&mut self, scope: &mut Scope<App>, op: Op) {
        match op {
            Op::AddHook(owner, script) => self.add_hook(scope, owner, script),
            Op::RemoveHook(target) => {
                let hook = target.pick(self.hooks.len(), 0, self.current.hook);
                let was = hook.map(|hook| Answer::Was(scope.remove_hook(self.hooks[hook].0)));
                self.answer(was.unwrap_or(Answer::Nobody));
            }
            Op::Post(script) => {
                let post = self.posts;
                let posted = self.handle.post(move |app, scope| {
                    app.enter(scope, Event::Post { post });
                    // What it returns concerns nobody.
                    let _ = app.act(scope, Current::default(), script);
                });
                self.answer(match posted {
                    Ok(()) => Answer::Done,
                    Err(PostError::Full) => Answer::Full,
                    Err(error) => Answer::Unforeseen(error.to_string()),
                });
                self.posts += usize::from(posted.is_ok());
            }
            Op::Defer(script) => {
                let deferred = self.deferred;
                self.deferred += 1;
                scope.defer(move |app, scope| {
                    app.enter(scope, Event::Deferred { deferred });
                    let _ = app.act(scope, Current::default(), script);
                });
            }
            _ => unreachable!("it is about something else"),
        }
    }

    fn add_hook(&mut self, scope: &mut Scope<App>, owner: Option<Target>, script: u8) {
        let number = self.hooks.len();
        if let Some(actor) = owner.and_then(|owner| self.actor(owner)) {
            let owner = self.sources[self.actors[actor].0];
            if let Some(key) = scope.own_hook(owner, number).or_log(self) {
                self.hooks.push((key, script));
            }
            return;
        }
        let me = Some(self.sources.len());
        let added = scope.add_before_sleep(&self.name(), move |app: &mut App, scope| {
            app.on_hook(scope, me, number)
        });
        if let Some(key) = added.or_log(self) {
            self.sources.push(scope.owner(key).unwrap());
            self.hooks.push((key, script));
        }
    }

    fn on_channels(&mut self, scope: &mut Scope<App>, op: Op) {
        let (len, me) = (self.channels.len(), self.current.channel);
        match op {
            Op::AddChannel(capacity, script) => {
                let source = self.sources.len();
                let current = Current {
                    source: Some(source),
                    channel: Some(len),
                    ..Current::default()
                };
                let added = scope.add_channel(
                    &self.name(),
                    capacity.into(),
                    move |app: &mut App, scope, item| {
                        app.enter(scope, Event::Item { channel: len, item });
                        app.act(scope, current, script)
                    },
                );
                if let Some((sender, key)) = added.or_log(self) {
                    self.sources.push(key);
                    self.channels.push((source, Some(sender)));
                }
            }
            Op::SendItem(target) => {
                self.payload += 1;
                let sender = target
                    .pick(len, 0, me)
                    .map(|channel| &self.channels[channel]);
                let answer = match sender.and_then(|(_, sender)| sender.as_ref()) {
                    None => Answer::Nobody,
                    Some(sender) => match sender.send(self.payload) {
                        Ok(()) => Answer::Done,
                        Err(SendError::Full(_)) => Answer::Full,
                        Err(SendError::Closed(_)) => Answer::Closed,
                        Err(error) => Answer::Unforeseen(format!("{error:?}")),
                    },
                };
                self.answer(answer);
            }
            Op::DropSender(target) => {
                if let Some(channel) = target.pick(len, 0, me) {
                    self.channels[channel].1 = None;
                }
            }
            _ => unreachable!("it is about something else"),
        }
    }
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame.try_into().unwrap())
}

/// What waits on a socket.
fn drain(socket: &zmq::Socket) -> Vec<u32> {
    std::iter::from_fn(|| socket.recv_bytes(zmq::DONTWAIT).ok())
        .map(|frame| number(&frame))
        .collect()
}
