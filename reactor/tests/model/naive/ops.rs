//! What each operation changes and answers.

use std::collections::VecDeque;

use reactor::Interest;

use super::{ChannelModel, Checked, HookModel, Model, SocketModel};
use crate::log::{Answer, Entry};
use crate::program::{Op, Target};

impl Model<'_> {
    pub(super) fn carry_out(&mut self, op: Op) -> Checked<()> {
        match op {
            Op::Wake => self.woken = true,
            Op::Advance(ms) => {
                self.clock += ms;
                if self.inside && ms > 0 {
                    self.special("the clock went on during a turn");
                }
            }
            Op::Stop => self.stop = true,
            Op::StopByHandle => {
                self.stop_by_handle = true;
                self.woken = true;
            }
            Op::Fail => self.failing = true,
            Op::AddSource(_) | Op::RemoveSource(_) | Op::SetPolicy(..) | Op::Notify(_) => {
                self.on_sources(op)?;
            }
            Op::AddSocket(..)
            | Op::RemoveSocket(_)
            | Op::SetInterest(..)
            | Op::Feed(..)
            | Op::Send(_)
            | Op::Recv(_)
            | Op::Readable(_) => self.on_sockets(op)?,
            Op::AddTimer(..)
            | Op::AddInterval(..)
            | Op::SetTimer(..)
            | Op::CancelTimer(_)
            | Op::TimerDeadline(_) => self.on_timers(op)?,
            Op::AddTickets(..)
            | Op::RemoveTickets(_)
            | Op::Issue(_)
            | Op::ResetTicket(_)
            | Op::CancelTicket(_)
            | Op::TicketDeadline(_) => self.on_tickets(op)?,
            Op::AddHook(..) | Op::RemoveHook(_) | Op::Post(_) | Op::Defer(_) => {
                self.on_moments(op)?;
            }
            Op::AddChannel(..) | Op::SendItem(_) | Op::DropSender(_) => self.on_channels(op)?,
        }
        // Who was not ready for a moment may have missed its turn, and gets the next.
        for socket in &mut self.sockets {
            socket.must &= socket.is_ready();
            socket.readable &= socket.is_readable();
            socket.was_ready |= socket.is_ready();
        }
        Ok(())
    }

    /// The source that a thing will belong to: one that is there, one that is gone, or a new one of its own.
    pub(super) fn owner(&mut self, owner: Option<Target>) -> Option<usize> {
        let actors: Vec<usize> = (0..self.sources.len())
            .filter(|source| self.sources[*source].actor.is_some())
            .collect();
        let me = actors
            .iter()
            .position(|source| Some(*source) == self.current.source);
        match owner.and_then(|owner| owner.pick(actors.len(), 0, me)) {
            Some(actor) => Some(actors[actor]).filter(|source| self.sources[*source].alive),
            None => Some(self.add_source(true, None)),
        }
    }

    fn on_sources(&mut self, op: Op) -> Checked<()> {
        let (len, me) = (self.sources.len(), self.current.source);
        match op {
            Op::AddSource(script) => {
                self.add_source(false, Some(script));
                self.answer(Answer::Done)
            }
            Op::RemoveSource(target) => {
                let Some(source) = target.pick(len, 1, me) else {
                    return self.answer(Answer::Nobody);
                };
                if me == Some(source) && self.sources[source].alive {
                    self.special("a running source was removed");
                }
                let was = self.remove_source(source);
                self.answer(Answer::Was(was))
            }
            Op::SetPolicy(target, policy) => {
                if let Some(source) = target.pick(len, 1, me)
                    && self.sources[source].alive
                {
                    self.sources[source].policy = policy;
                }
                Ok(())
            }
            Op::Notify(target) => {
                if let Some(source) = target.pick(len, 1, me) {
                    self.notified.insert(source);
                }
                Ok(())
            }
            _ => unreachable!("it is about something else"),
        }
    }

    fn on_sockets(&mut self, op: Op) -> Checked<()> {
        let (len, me) = (self.sockets.len(), self.current.socket);
        let target = match op {
            Op::AddSocket(owner, interest, reads, script) => {
                return self.add_socket(owner, interest, reads, script);
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
        let waits_for_its_call = self.before_sockets_end && self.sockets[socket].must;
        let alive = self.sockets[socket].alive;
        let answer = match op {
            Op::RemoveSocket(_) => {
                if waits_for_its_call {
                    self.special("a ready socket was removed before its call");
                }
                let waiting = std::mem::take(&mut self.sockets[socket].waiting);
                if alive {
                    self.end_socket(socket);
                }
                Answer::Returned(alive.then(|| waiting.into()))
            }
            Op::Feed(_, count) => {
                for _ in 0..count {
                    self.payload += 1;
                    if alive {
                        self.sockets[socket].waiting.push_back(self.payload);
                    }
                }
                Answer::Done
            }
            Op::Send(_) => {
                self.payload += 1;
                if alive { Answer::Done } else { Answer::Stale }
            }
            _ if !alive => Answer::Stale,
            Op::SetInterest(_, interest) => {
                if waits_for_its_call && interest.is_none() {
                    self.special("a ready socket was paused before its call");
                }
                self.sockets[socket].interest = interest;
                Answer::Done
            }
            Op::Recv(_) => {
                let answer = self.receive(socket);
                if waits_for_its_call && !self.sockets[socket].is_ready() {
                    self.special("a ready socket was drained before its call");
                }
                answer
            }
            _ => Answer::Was(!self.sockets[socket].waiting.is_empty()),
        };
        self.answer(answer)
    }

    fn add_socket(
        &mut self,
        owner: Option<Target>,
        interest: Interest,
        reads: u8,
        script: u8,
    ) -> Checked<()> {
        let Some(source) = self.owner(owner) else {
            return self.answer(Answer::Stale);
        };
        self.sockets.push(SocketModel {
            alive: true,
            source,
            interest,
            reads,
            script,
            calls: 0,
            waiting: VecDeque::new(),
            must: false,
            readable: false,
            was_ready: false,
            may: false,
            served: false,
            first: false,
            may_be_first: false,
            taken: 0,
            idle: 0,
        });
        self.answer(Answer::Done)
    }

    fn on_moments(&mut self, op: Op) -> Checked<()> {
        match op {
            Op::AddHook(owner, script) => {
                let Some(source) = self.owner(owner) else {
                    return self.answer(Answer::Stale);
                };
                self.hooks.push(HookModel {
                    alive: true,
                    source,
                    script,
                });
                self.answer(Answer::Done)
            }
            Op::RemoveHook(target) => {
                let Some(hook) = target.pick(self.hooks.len(), 0, self.current.hook) else {
                    return self.answer(Answer::Nobody);
                };
                let was = std::mem::take(&mut self.hooks[hook].alive);
                if was {
                    self.disown(self.hooks[hook].source);
                }
                self.answer(Answer::Was(was))
            }
            Op::Post(script) => {
                if self.posts.len() == self.program.post_capacity {
                    return self.answer(Answer::Full);
                }
                self.posts.push_back((self.posted, script));
                self.posted += 1;
                self.answer(Answer::Done)
            }
            Op::Defer(script) => {
                self.deferred.push_back((self.put_off, script));
                self.put_off += 1;
                Ok(())
            }
            _ => unreachable!("it is about something else"),
        }
    }

    fn on_channels(&mut self, op: Op) -> Checked<()> {
        let (len, me) = (self.channels.len(), self.current.channel);
        match op {
            Op::AddChannel(capacity, script) => {
                let source = self.add_source(false, None);
                self.channels.push(ChannelModel {
                    source,
                    capacity: capacity.into(),
                    script,
                    waiting: VecDeque::new(),
                    has_sender: true,
                    owed: 0,
                    running: false,
                });
                self.answer(Answer::Done)
            }
            Op::SendItem(target) => {
                self.payload += 1;
                let observed = self.peek();
                let channel = target
                    .pick(len, 0, me)
                    .map(|channel| &mut self.channels[channel]);
                let answer = match channel.filter(|channel| channel.has_sender) {
                    None => Answer::Nobody,
                    // One that removed itself takes nothing more, and says so when its handler has returned.
                    Some(channel) if !self.sources[channel.source].alive => match observed {
                        Some(Entry::Answer(answer @ (Answer::Done | Answer::Full)))
                            if channel.running =>
                        {
                            answer.clone()
                        }
                        _ => Answer::Closed,
                    },
                    Some(channel) if channel.waiting.len() == channel.capacity => Answer::Full,
                    Some(channel) => {
                        channel.waiting.push_back(self.payload);
                        self.notified.insert(channel.source);
                        Answer::Done
                    }
                };
                self.answer(answer)
            }
            Op::DropSender(target) => {
                if let Some(channel) = target.pick(len, 0, me) {
                    let model = &mut self.channels[channel];
                    let had = std::mem::take(&mut model.has_sender);
                    if had && self.sources[model.source].alive {
                        self.notified.insert(model.source);
                    }
                }
                Ok(())
            }
            _ => unreachable!("it is about something else"),
        }
    }
}
