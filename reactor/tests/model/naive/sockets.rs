//! The part of a turn in which sockets are served: in any order, each once, within its budget.

use super::{Checked, Model, SocketModel};
use crate::log::{Answer, Entry, Event};
use crate::program::{Current, reads_in_call};

impl Model<'_> {
    pub(super) fn serve_sockets(&mut self) -> Checked<()> {
        for socket in &mut self.sockets {
            socket.may = socket.was_ready;
        }
        while let Some(Event::Socket { socket, .. }) = self.next_event() {
            self.serve_socket(socket)?;
            if self.next_deadline() <= self.clock {
                break;
            }
        }
        self.before_sockets_end = false;
        // Where something is due by now, the rest is for the next turn, and comes first there.
        let due = self.next_deadline() <= self.clock;
        for socket in 0..self.sockets.len() {
            let model = &mut self.sockets[socket];
            model.first = model.must;
            model.may_be_first = due && model.may && !model.served;
            if model.must && !due {
                return Err(format!("socket {socket} was ready and not served"));
            }
            if model.must {
                self.special("a ready socket waited for what came due");
            }
        }
        Ok(())
    }

    /// Goes through the calls that one socket gets.
    fn serve_socket(&mut self, socket: usize) -> Checked<()> {
        let budget = self.program.budget;
        let model = &self.sockets[socket];
        if model.served || !model.may || !model.is_ready() {
            return Err(format!("socket {socket} had no call to get"));
        }
        let left = |other: &SocketModel| other.first && other.must;
        if !model.may_be_first && self.sockets.iter().any(left) {
            return Err(format!("socket {socket} came before those left over"));
        }
        self.sockets[socket].served = true;
        self.sockets[socket].must = false;
        self.sockets[socket].was_ready = false;
        let interest = self.sockets[socket].interest;
        for call in 1.. {
            let before = self.sockets[socket].taken;
            let failing = self.call_socket(socket, call == 1)?;
            let took = self.sockets[socket].taken > before;
            self.sockets[socket].idle += usize::from(!took);
            let model = &self.sockets[socket];
            let again = matches!(self.next_event(), Some(Event::Socket { socket: next, .. }) if next == socket);
            let spent = model.taken + model.idle >= budget;
            if again {
                if !model.alive || failing || call >= budget || model.taken >= budget {
                    return Err(format!("socket {socket} was called again"));
                }
                if !took && model.waiting.is_empty() {
                    return Err(format!("socket {socket} was called again for nothing"));
                }
                continue;
            }
            let done = failing || !took || !model.readable || model.interest != interest;
            if !done && !spent {
                return Err(format!("socket {socket} did not get its share"));
            }
            if spent && model.is_readable() {
                self.special("a socket was left with messages by its budget");
            }
            break;
        }
        self.sockets[socket].was_ready = self.sockets[socket].is_ready();
        Ok(())
    }

    /// One call. Tells whether it failed.
    fn call_socket(&mut self, socket: usize, first: bool) -> Checked<bool> {
        let model = &self.sockets[socket];
        let (source, script) = (model.source, model.script);
        let mut readable = model.is_readable();
        let mut writable = model.interest.is_write();
        if first && !model.readable && self.tells_only_of_room(socket) {
            // What came during the turn it may not know of yet.
            readable = false;
        }
        if !first {
            // It may be called again to see whether there is more.
            readable = model.interest.is_read();
            if let Some(Event::Socket { writable: told, .. }) = self.next_event() {
                writable &= told;
            }
        }
        self.enter(Event::Socket {
            socket,
            readable,
            writable,
        })?;
        let model = &mut self.sockets[socket];
        model.calls += 1;
        let Some(reads) = reads_in_call(model.reads, model.calls) else {
            return Ok(false);
        };
        let current = Current {
            source: Some(source),
            socket: Some(socket),
            ..Current::default()
        };
        let outside = std::mem::replace(&mut self.current, current);
        let mut received = 0;
        for _ in 0..reads {
            let answer = self.receive(socket);
            let some = matches!(answer, Answer::Received(Some(_)));
            self.answer(answer)?;
            if !some {
                break;
            }
            received += 1;
        }
        self.current = outside;
        if reads > 0 && received == 0 && !writable {
            return Ok(false);
        }
        let failing = self.act(current, script)?;
        self.fail(source, failing)?;
        Ok(failing)
    }

    fn tells_only_of_room(&self, socket: usize) -> bool {
        let only_of_room = Event::Socket {
            socket,
            readable: false,
            writable: true,
        };
        self.next_event() == Some(only_of_room)
    }

    /// Takes a message, unless there is none, or the handler had its share of the turn.
    pub(super) fn receive(&mut self, socket: usize) -> Answer {
        let own = self.current.socket == Some(socket);
        let model = &self.sockets[socket];
        if !model.alive {
            return Answer::Stale;
        }
        let budget = self.program.budget;
        let limited = own && self.sources[model.source].plain;
        let refused = limited && model.taken >= budget;
        // A call that took nothing may count as well.
        let refusable = limited && model.taken + model.idle >= budget;
        let observed = self.peek() == Some(&Entry::Answer(Answer::Received(None)));
        if refused || refusable && observed {
            return Answer::Received(None);
        }
        let model = &mut self.sockets[socket];
        let message = model.waiting.pop_front();
        model.taken += usize::from(own && message.is_some());
        model.readable &= model.is_readable();
        Answer::Received(message)
    }
}
