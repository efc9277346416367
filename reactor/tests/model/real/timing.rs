//! Operations on timers and tickets.

use reactor::{Error, Missed, Next, Scope, TimerKey};

use super::App;
use super::ops::{Outcome, in_ms, refusal};
use crate::log::Answer;
use crate::program::{Op, Target, Then};

impl App {
    pub(super) fn on_timers(&mut self, scope: &mut Scope<App>, op: Op) {
        let (len, me) = (self.timers.len(), self.current.timer);
        let target = match op {
            Op::AddTimer(owner, delay_ms, then, times, script) => {
                return self.add_timer(scope, owner, delay_ms, then, times, script);
            }
            Op::AddInterval(period_ms, missed, script) => {
                return self.add_interval(scope, period_ms, missed, script);
            }
            Op::SetTimer(target, _) | Op::CancelTimer(target) | Op::TimerDeadline(target) => target,
            _ => unreachable!("it is about something else"),
        };
        let Some(timer) = target.pick(len, 1, me) else {
            return self.answer(Answer::Nobody);
        };
        let key = self.timers[timer].0;
        let answer = match op {
            Op::SetTimer(_, delay_ms) => {
                Answer::Was(scope.set_timer(key, self.moment(scope.now(), delay_ms)))
            }
            Op::CancelTimer(_) => Answer::Was(scope.cancel_timer(key)),
            _ => Answer::At(scope.timer_deadline(key).map(|at| self.since_start(at))),
        };
        self.answer(answer);
    }

    fn add_timer(
        &mut self,
        scope: &mut Scope<App>,
        owner: Option<Target>,
        delay_ms: i64,
        then: Then,
        times: u8,
        script: u8,
    ) {
        let number = self.timers.len();
        let at = self.moment(scope.now(), delay_ms);
        if let Some(actor) = owner.and_then(|owner| self.actor(owner)) {
            let owner = self.sources[self.actors[actor].0];
            if let Some(key) = scope.own_timer(owner, number, at).or_log(self) {
                self.timers.push((key, script));
            }
            return;
        }
        let me = Some(self.sources.len());
        let mut left = times;
        let added = scope.add_timer(&self.name(), at, move |app: &mut App, scope, deadline| {
            app.on_timer(scope, me, number, deadline)?;
            if left == 0 {
                return Ok(Next::Done);
            }
            left -= 1;
            Ok(match then {
                Then::Done => Next::Done,
                Then::At(ms) => Next::At(app.moment(scope.now(), ms)),
                Then::After(ms) => Next::After(in_ms(ms)),
            })
        });
        self.note_timer(scope, added, script);
    }

    fn add_interval(&mut self, scope: &mut Scope<App>, period_ms: i64, missed: Missed, script: u8) {
        let number = self.timers.len();
        let me = Some(self.sources.len());
        let added = scope.add_interval(
            &self.name(),
            in_ms(period_ms),
            missed,
            move |app: &mut App, scope, deadline| app.on_timer(scope, me, number, deadline),
        );
        self.note_timer(scope, added, script);
    }

    fn note_timer(&mut self, scope: &Scope<App>, added: Result<TimerKey, Error>, script: u8) {
        if let Some(key) = added.or_log(self) {
            self.sources.push(scope.owner(key).unwrap());
            self.timers.push((key, script));
        }
    }

    pub(super) fn on_tickets(&mut self, scope: &mut Scope<App>, op: Op) {
        let class = |app: &App, target: Target| {
            let class = target.pick(app.classes.len(), 0, app.current.class)?;
            Some(app.classes[class].0)
        };
        let ticket = |app: &App, target: Target| {
            let ticket = target.pick(app.tickets.len(), 0, app.current.ticket)?;
            Some(app.tickets[ticket])
        };
        let answer = match op {
            Op::AddTickets(owner, delay_ms, script) => {
                return self.add_tickets(scope, owner, delay_ms, script);
            }
            Op::RemoveTickets(target) => {
                class(self, target).map(|key| Answer::Was(scope.remove_tickets(key)))
            }
            Op::Issue(target) => class(self, target).map(|key| {
                match scope.issue_ticket(key, self.tickets.len() as u64) {
                    Ok(ticket) => {
                        self.tickets.push(ticket);
                        Answer::Done
                    }
                    Err(error) => refusal(error),
                }
            }),
            Op::ResetTicket(target) => {
                ticket(self, target).map(|key| Answer::Was(scope.reset_ticket(key)))
            }
            Op::CancelTicket(target) => {
                ticket(self, target).map(|key| Answer::Was(scope.cancel_ticket(key)))
            }
            Op::TicketDeadline(target) => ticket(self, target)
                .map(|key| Answer::At(scope.ticket_deadline(key).map(|at| self.since_start(at)))),
            _ => unreachable!("it is about something else"),
        };
        self.answer(answer.unwrap_or(Answer::Nobody));
    }

    fn add_tickets(
        &mut self,
        scope: &mut Scope<App>,
        owner: Option<Target>,
        delay_ms: i64,
        script: u8,
    ) {
        let number = self.classes.len();
        let delay = in_ms(delay_ms);
        if let Some(actor) = owner.and_then(|owner| self.actor(owner)) {
            let owner = self.sources[self.actors[actor].0];
            if let Some(key) = scope.own_tickets(owner, number, delay).or_log(self) {
                self.classes.push((key, script));
            }
            return;
        }
        let me = Some(self.sources.len());
        let added = scope.add_tickets(
            &self.name(),
            delay,
            move |app: &mut App, scope, key, about| app.on_ticket(scope, me, number, key, about),
        );
        if let Some(key) = added.or_log(self) {
            self.sources.push(scope.owner(key).unwrap());
            self.classes.push((key, script));
        }
    }
}
