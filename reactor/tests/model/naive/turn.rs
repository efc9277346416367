//! One turn, step by step as the contract has it.

use reactor::Missed;

use super::{ChannelModel, Checked, Kind, Model, When};
use crate::log::{Entry, Event};
use crate::program::{Current, Then};

/// So often in a row a reactor may be woken in vain: by the system, or by what it has seen already.
const IDLE_TURNS: u32 = 10;

impl Model<'_> {
    pub(super) fn turn(&mut self, limit: Option<i64>) -> Checked<()> {
        let before = self.at;
        self.before_sleep(limit)?;
        self.stop |= std::mem::take(&mut self.stop_by_handle);
        self.woken = false;
        self.remote()?;
        self.due()?;
        self.serve_sockets()?;
        for _ in 0..self.deferred.len() {
            if let Some((deferred, script)) = self.deferred.pop_front() {
                self.enter(Event::Deferred { deferred })?;
                self.act(Current::default(), script)?;
            }
        }
        if self.at > before {
            self.idle_turns = 0;
        }
        Ok(())
    }

    /// Whether there is something to do that the reactor knows of, so that it is not about to sleep. Of a message it
    /// may learn only when it looks.
    fn is_busy(&self) -> bool {
        self.stop
            || self.stop_by_handle
            || self.woken
            || !self.posts.is_empty()
            || self
                .notified
                .iter()
                .any(|source| self.sources[*source].alive)
            || !self.deferred.is_empty()
            || self.next_deadline() <= self.clock
    }

    pub(super) fn next_deadline(&self) -> i64 {
        let armed = |alive, when| match when {
            When::Armed(at) if alive => Some(at),
            _ => None,
        };
        let timers = self.timers.iter().filter_map(|t| armed(t.alive, t.when));
        let tickets = self.tickets.iter().filter_map(|t| armed(t.alive, t.when));
        timers.chain(tickets).min().unwrap_or(i64::MAX)
    }

    /// Calls the hooks, sleeps, and reads the clock.
    fn before_sleep(&mut self, limit: Option<i64>) -> Checked<()> {
        let hooks: Vec<usize> = (0..self.hooks.len())
            .filter(|hook| self.hooks[*hook].alive)
            .collect();
        let called = matches!(self.next_event(), Some(Event::Hook { .. }));
        if called {
            if self.is_busy() {
                return Err("a hook was called though the reactor was not to sleep".into());
            }
            for hook in &hooks {
                self.call_hook(*hook)?;
            }
        }
        self.before_sockets_end = true;
        for socket in &mut self.sockets {
            socket.must = socket.is_ready();
            socket.readable = socket.is_readable();
            socket.was_ready |= socket.is_ready();
            socket.may = false;
            socket.served = false;
            (socket.taken, socket.idle) = (0, 0);
        }
        let nothing = !self.is_busy() && !self.sockets.iter().any(|socket| socket.must);
        let latest = limit.map_or(i64::MAX, |limit| self.clock + limit);
        let target = if nothing {
            self.next_deadline().min(latest)
        } else {
            self.clock
        };
        let woke = self.observed_time();
        if nothing && woke == self.clock && target > self.clock {
            self.idle_turns += 1;
            if self.idle_turns > IDLE_TURNS {
                return Err("the reactor turns and turns and does not sleep".into());
            }
        } else if woke != target {
            return Err(format!("it was to wake at {target}, and did at {woke}"));
        } else if woke > self.clock && !hooks.is_empty() && !called {
            return Err("the reactor slept, and no hook was called before".into());
        }
        self.clock = woke;
        self.now = woke;
        Ok(())
    }

    fn call_hook(&mut self, hook: usize) -> Checked<()> {
        if !self.hooks[hook].alive {
            return Ok(());
        }
        self.enter(Event::Hook { hook })?;
        let source = self.hooks[hook].source;
        let current = Current {
            source: Some(source),
            hook: Some(hook),
            ..Current::default()
        };
        let failing = self.act(current, self.hooks[hook].script)?;
        self.fail(source, failing)
    }

    /// When the reactor woke, as far as one can tell from the next entry.
    fn observed_time(&self) -> i64 {
        match self.peek() {
            Some(Entry::Event { now, .. }) => *now,
            Some(Entry::TurnEnd { clock } | Entry::StepEnd { clock, .. }) => *clock,
            Some(Entry::Answer(_)) | None => self.clock,
        }
    }

    /// Posted work, in order, and those that were notified, in any order.
    fn remote(&mut self) -> Checked<()> {
        let posts = std::mem::take(&mut self.posts);
        let notified = std::mem::take(&mut self.notified);
        let budget = self.program.budget;
        for channel in &mut self.channels {
            let there = channel.waiting.len() + usize::from(!channel.has_sender);
            let is_owed = notified.contains(&channel.source);
            channel.owed = if is_owed { there.min(budget) } else { 0 };
        }
        let mut left = notified.clone();
        left.append(&mut self.looked_at);
        for (post, script) in posts {
            self.enter(Event::Post { post })?;
            self.act(Current::default(), script)?;
        }
        loop {
            match self.next_event() {
                Some(Event::Notified { source }) if left.remove(&source) => {
                    self.call_actor(source, Event::Notified { source })?;
                }
                Some(Event::Item { channel, .. })
                    if left.remove(&self.channels[channel].source) =>
                {
                    self.serve_channel(channel)?;
                }
                _ => break,
            }
        }
        for source in left {
            let owed = |c: &ChannelModel| c.source == source && c.owed > 0;
            let model = &self.sources[source];
            if model.alive && (model.actor.is_some() || self.channels.iter().any(owed)) {
                return Err(format!("source {source} was notified and not called"));
            }
            if !model.alive && model.actor.is_some() {
                self.special("a notified source was removed before its call");
            }
        }
        Ok(())
    }

    fn call_actor(&mut self, source: usize, event: Event) -> Checked<()> {
        let Some(script) = self.sources[source]
            .actor
            .filter(|_| self.sources[source].alive)
        else {
            return Err(format!("{event:?}, but there is no such source"));
        };
        self.enter(event)?;
        let current = Current {
            source: Some(source),
            ..Current::default()
        };
        let failing = self.act(current, script)?;
        self.fail(source, failing)
    }

    /// Hands over what waits in a channel, in order, as far as the budget goes.
    fn serve_channel(&mut self, channel: usize) -> Checked<()> {
        let source = self.channels[channel].source;
        let budget = self.program.budget;
        let mut count = 0;
        let mut failing = false;
        while !failing
            && matches!(self.next_event(), Some(Event::Item { channel: next, .. }) if next == channel)
        {
            let model = &mut self.channels[channel];
            let item = model.waiting.pop_front();
            if count == budget || item.is_none() && model.has_sender {
                return Err(format!("channel {channel} had no call to get"));
            }
            count += 1;
            if !self.sources[source].alive {
                return Err(format!("channel {channel} is removed"));
            }
            if item.is_none() {
                self.remove_source(source);
            }
            failing = self.call_channel(channel, item)?;
        }
        let model = &self.channels[channel];
        let alive = self.sources[source].alive;
        if alive && !failing && count < model.owed {
            return Err(format!("channel {channel} did not get its share"));
        }
        if alive && (!model.waiting.is_empty() || !model.has_sender) {
            self.special("a channel was left with items by its budget");
            self.notified.insert(source);
        } else if self.notified.remove(&source) || count == budget || failing {
            self.looked_at.insert(source);
        }
        Ok(())
    }

    fn call_channel(&mut self, channel: usize, item: Option<u32>) -> Checked<bool> {
        self.enter(Event::Item { channel, item })?;
        let model = &mut self.channels[channel];
        model.running = true;
        let (source, script) = (model.source, model.script);
        let current = Current {
            source: Some(source),
            channel: Some(channel),
            ..Current::default()
        };
        let failing = self.act(current, script)?;
        self.channels[channel].running = false;
        self.fail(source, failing)?;
        Ok(failing)
    }

    /// Timers and tickets that are due: by deadline; at equal deadlines timers in the order of registration, and the
    /// tickets of a class in the order in which they were issued or reset.
    fn due(&mut self) -> Checked<()> {
        let now = self.now;
        let whens = self.timers.iter_mut().map(|timer| &mut timer.when);
        for when in whens.chain(self.tickets.iter_mut().map(|ticket| &mut ticket.when)) {
            if let When::Armed(at) = *when
                && at <= now
            {
                *when = When::Due(at);
            }
        }
        loop {
            let mut heads: Vec<(i64, Event)> = Vec::new();
            let timers = (0..self.timers.len()).filter_map(|timer| {
                let model = &self.timers[timer];
                match model.when {
                    When::Due(deadline) if model.alive => Some((deadline, timer)),
                    _ => None,
                }
            });
            heads.extend(
                timers
                    .min()
                    .map(|(deadline, timer)| (deadline, Event::Timer { timer, deadline })),
            );
            for class in 0..self.classes.len() {
                heads.extend(self.first_due_of(class));
            }
            let Some(earliest) = heads.iter().map(|(deadline, _)| *deadline).min() else {
                return Ok(());
            };
            heads.retain(|(deadline, _)| *deadline == earliest);
            if heads.len() > 1 {
                self.special("timers or tickets were due at the same moment");
            }
            // Timers come before tickets; which class is the first of several is open.
            if let [(_, Event::Timer { .. }), ..] = heads[..] {
                heads.truncate(1);
            }
            let Some((_, event)) = heads.iter().find(|(_, e)| Some(*e) == self.next_event()) else {
                return Err(format!(
                    "one of {heads:?} was due, and {:?} came",
                    self.peek()
                ));
            };
            match *event {
                Event::Timer { timer, deadline } => self.call_timer(timer, deadline)?,
                Event::Ticket { ticket, .. } => self.call_ticket(ticket)?,
                _ => unreachable!("nothing else is due"),
            }
        }
    }

    pub(super) fn first_due_of(&self, class: usize) -> Option<(i64, Event)> {
        let due = (0..self.tickets.len()).filter_map(|ticket| {
            let model = &self.tickets[ticket];
            match model.when {
                When::Due(at) if model.alive && model.class == class => {
                    Some((at, model.order, ticket))
                }
                _ => None,
            }
        });
        let (at, _, ticket) = due.min()?;
        Some((at, Event::Ticket { ticket, class }))
    }

    fn call_timer(&mut self, timer: usize, deadline: i64) -> Checked<()> {
        self.enter(Event::Timer { timer, deadline })?;
        self.timers[timer].when = When::Running;
        let (source, script) = (self.timers[timer].source, self.timers[timer].script);
        let current = Current {
            source: Some(source),
            timer: Some(timer),
            ..Current::default()
        };
        let failing = self.act(current, script)?;
        let (clock, now) = (self.clock, self.now);
        let model = &mut self.timers[timer];
        match &mut model.kind {
            Kind::Owned => {}
            Kind::Once { .. } if failing => {}
            Kind::Once { left: 0, .. } => {}
            Kind::Once { then, left } => {
                *left -= 1;
                match then {
                    Then::Done => {}
                    Then::At(delay) => model.when = When::Armed(now + *delay),
                    Then::After(delay) => model.when = When::Armed(clock + *delay),
                }
            }
            Kind::Interval { period, missed } if model.when == When::Running => {
                let mut next = deadline + *period;
                match missed {
                    Missed::CatchUp => {}
                    Missed::Delay => next = clock + *period,
                    Missed::Skip => {
                        while next <= clock {
                            next += *period;
                        }
                    }
                }
                model.when = When::Armed(next);
            }
            Kind::Interval { .. } => {}
        }
        self.fail(source, failing)?;
        if self.timers[timer].alive && self.timers[timer].when == When::Running {
            self.end_timer(timer);
        }
        Ok(())
    }

    fn call_ticket(&mut self, ticket: usize) -> Checked<()> {
        let class = self.tickets[ticket].class;
        self.enter(Event::Ticket { ticket, class })?;
        self.tickets[ticket].when = When::Running;
        let (source, script) = (self.classes[class].source, self.classes[class].script);
        let current = Current {
            source: Some(source),
            class: Some(class),
            ticket: Some(ticket),
            ..Current::default()
        };
        let failing = self.act(current, script)?;
        self.fail(source, failing)?;
        if self.tickets[ticket].when == When::Running {
            self.tickets[ticket].alive = false;
        }
        Ok(())
    }

    /// Tells every source once, in any order.
    pub(super) fn say_stopping(&mut self) -> Checked<()> {
        let mut left: Vec<usize> = (0..self.sources.len())
            .filter(|source| self.sources[*source].alive)
            .collect();
        while let Some(Event::Stopping { source }) = self.next_event() {
            let Some(place) = left.iter().position(|other| *other == source) else {
                return Err(format!("source {source} was told of the stop unasked"));
            };
            left.remove(place);
            self.call_actor(source, Event::Stopping { source })?;
        }
        let untold = |source: &&usize| {
            self.sources[**source].alive && self.sources[**source].actor.is_some()
        };
        match left.iter().find(untold) {
            Some(source) => Err(format!("source {source} was not told of the stop")),
            None => Ok(()),
        }
    }
}
