//! What the operations on timers and tickets change and answer.

use super::{Checked, ClassModel, Kind, Model, TicketModel, TimerModel, When};
use crate::log::Answer;
use crate::program::Op;

impl Model<'_> {
    fn add_timer(&mut self, source: Option<usize>, at: i64, kind: Kind, script: u8) -> Checked<()> {
        let Some(source) = source else {
            return self.answer(Answer::Stale);
        };
        self.timers.push(TimerModel {
            alive: true,
            source,
            script,
            when: When::Armed(at),
            kind,
        });
        self.answer(Answer::Done)
    }

    pub(super) fn on_timers(&mut self, op: Op) -> Checked<()> {
        let target = match op {
            Op::AddTimer(owner, delay, then, left, script) => {
                let source = self.owner(owner);
                let own = source.is_some_and(|source| self.sources[source].plain);
                let kind = if own {
                    Kind::Once { then, left }
                } else {
                    Kind::Owned
                };
                return self.add_timer(source, self.now + delay, kind, script);
            }
            Op::AddInterval(period, missed, script) => {
                let source = self.owner(None);
                let kind = Kind::Interval { period, missed };
                return self.add_timer(source, self.clock + period, kind, script);
            }
            Op::SetTimer(target, _) | Op::CancelTimer(target) | Op::TimerDeadline(target) => target,
            _ => unreachable!("it is about something else"),
        };
        let Some(timer) = target.pick(self.timers.len(), 1, self.current.timer) else {
            return self.answer(Answer::Nobody);
        };
        let (alive, when) = (self.timers[timer].alive, self.timers[timer].when);
        let answer = match op {
            Op::SetTimer(_, delay) => {
                match when {
                    When::Due(_) if alive => self.special("a due timer was moved"),
                    When::Running if alive => self.special("a running timer was moved"),
                    _ => {}
                }
                self.timers[timer].when = When::Armed(self.now + delay);
                Answer::Was(alive)
            }
            Op::CancelTimer(_) => {
                match when {
                    When::Due(_) if alive => self.special("a due timer was cancelled"),
                    When::Running if alive => self.special("a running timer was cancelled"),
                    _ => {}
                }
                if alive {
                    self.end_timer(timer);
                }
                Answer::Was(alive)
            }
            _ => Answer::At(deadline(alive, when)),
        };
        self.answer(answer)
    }

    pub(super) fn on_tickets(&mut self, op: Op) -> Checked<()> {
        let target = match op {
            Op::AddTickets(owner, delay, script) => {
                let Some(source) = self.owner(owner) else {
                    return self.answer(Answer::Stale);
                };
                self.classes.push(ClassModel {
                    alive: true,
                    source,
                    delay,
                    script,
                });
                return self.answer(Answer::Done);
            }
            Op::RemoveTickets(target) | Op::Issue(target) => {
                let class = target.pick(self.classes.len(), 0, self.current.class);
                return match class {
                    Some(class) => self.on_class(class, op),
                    None => self.answer(Answer::Nobody),
                };
            }
            Op::ResetTicket(target) | Op::CancelTicket(target) | Op::TicketDeadline(target) => {
                target
            }
            _ => unreachable!("it is about something else"),
        };
        let Some(ticket) = target.pick(self.tickets.len(), 0, self.current.ticket) else {
            return self.answer(Answer::Nobody);
        };
        let (alive, when) = (self.tickets[ticket].alive, self.tickets[ticket].when);
        let answer = match op {
            Op::ResetTicket(_) => {
                match when {
                    When::Due(_) if alive => self.special("a due ticket was reset"),
                    When::Running if alive => self.special("a running ticket was reset"),
                    _ => {}
                }
                let delay = self.classes[self.tickets[ticket].class].delay;
                self.orders += 1;
                self.tickets[ticket].order = self.orders;
                self.tickets[ticket].when = When::Armed(self.now + delay);
                Answer::Was(alive)
            }
            Op::CancelTicket(_) => {
                match when {
                    When::Due(_) if alive => self.special("a due ticket was cancelled"),
                    When::Running if alive => self.special("a running ticket was cancelled"),
                    _ => {}
                }
                self.tickets[ticket].alive = false;
                Answer::Was(alive)
            }
            _ => Answer::At(deadline(alive, when)),
        };
        self.answer(answer)
    }

    fn on_class(&mut self, class: usize, op: Op) -> Checked<()> {
        let alive = self.classes[class].alive;
        if let Op::RemoveTickets(_) = op {
            if alive && self.first_due_of(class).is_some() {
                self.special("a class with due tickets was removed");
            }
            if alive {
                self.end_class(class);
            }
            return self.answer(Answer::Was(alive));
        }
        if !alive {
            return self.answer(Answer::Stale);
        }
        self.orders += 1;
        self.tickets.push(TicketModel {
            alive: true,
            class,
            when: When::Armed(self.now + self.classes[class].delay),
            order: self.orders,
        });
        self.answer(Answer::Done)
    }
}

/// Nothing for what is gone, due, or runs.
fn deadline(alive: bool, when: When) -> Option<i64> {
    match when {
        When::Armed(at) if alive => Some(at),
        _ => None,
    }
}
