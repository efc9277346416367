//! The model: what the contract says, in lists that are searched from end to end.
//!
//! It goes through what was observed and foretells each entry. Where the contract leaves the order open it looks who
//! came next, and asks whether that one may; in the end nobody may be left who should have come.

mod ops;
mod parts;
mod sockets;
mod timing;
mod turn;

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use reactor::{ErrorPolicy, Missed};

use self::parts::{
    ChannelModel, ClassModel, HookModel, Kind, SocketModel, SourceModel, TicketModel, TimerModel,
    When,
};
use crate::coverage::Coverage;
use crate::log::{Answer, Entry, Event};
use crate::program::{Current, INSIDE_OPS, NO_SCRIPT, Op, Program, Step, TICK_MS};

/// What was observed and what the contract says differ.
pub(crate) type Checked<T> = Result<T, String>;

pub(crate) struct Model<'a> {
    program: &'a Program,
    coverage: Rc<RefCell<Coverage>>,
    log: &'a [Entry],
    /// How much of the log was foretold.
    at: usize,
    clock: i64,
    now: i64,
    current: Current,
    inside: bool,
    inside_ops: u32,
    failing: bool,
    payload: u32,
    orders: usize,
    posted: usize,
    put_off: usize,
    /// How many turns in a row did nothing, though they could have slept.
    idle_turns: u32,
    /// The turn is not past its sockets.
    before_sockets_end: bool,

    stop: bool,
    stop_by_handle: bool,
    woken: bool,
    failure: Option<usize>,
    posts: VecDeque<(usize, u8)>,
    deferred: VecDeque<(usize, u8)>,
    notified: BTreeSet<usize>,
    /// Channels that may be looked at without need.
    looked_at: BTreeSet<usize>,

    sources: Vec<SourceModel>,
    sockets: Vec<SocketModel>,
    timers: Vec<TimerModel>,
    classes: Vec<ClassModel>,
    tickets: Vec<TicketModel>,
    hooks: Vec<HookModel>,
    channels: Vec<ChannelModel>,
}

/// Whether the log is what the contract says of the program.
pub(crate) fn check(
    program: &Program,
    log: &[Entry],
    coverage: &Rc<RefCell<Coverage>>,
) -> Checked<()> {
    let mut model = Model::new(program, log, coverage);
    model
        .carry_out(Op::AddInterval(TICK_MS, Missed::Skip, NO_SCRIPT))
        .and_then(|()| model.steps())
        .map_err(|difference| {
            let from = model.at.saturating_sub(40);
            let mut text = format!("{difference}\nAfter these of the {} entries:\n", log.len());
            for (number, entry) in log.iter().enumerate().take(model.at).skip(from) {
                text += &format!("{number:>6}: {entry:?}\n");
            }
            text
        })
}

impl<'a> Model<'a> {
    fn new(program: &'a Program, log: &'a [Entry], coverage: &Rc<RefCell<Coverage>>) -> Self {
        Self {
            program,
            coverage: Rc::clone(coverage),
            log,
            at: 0,
            clock: 0,
            now: 0,
            current: Current::default(),
            inside: false,
            inside_ops: 0,
            failing: false,
            payload: 0,
            orders: 0,
            posted: 0,
            put_off: 0,
            idle_turns: 0,
            before_sockets_end: false,
            stop: false,
            stop_by_handle: false,
            woken: false,
            failure: None,
            posts: VecDeque::new(),
            deferred: VecDeque::new(),
            notified: BTreeSet::new(),
            looked_at: BTreeSet::new(),
            sources: vec![],
            sockets: vec![],
            timers: vec![],
            classes: vec![],
            tickets: vec![],
            hooks: vec![],
            channels: vec![],
        }
    }

    fn steps(&mut self) -> Checked<()> {
        for step in &self.program.steps {
            self.now = self.clock;
            let failed = match *step {
                Step::Do(op) => {
                    self.carry_out(op)?;
                    None
                }
                Step::Turn(limit) => {
                    self.turn(Some(limit))?;
                    self.expect_turn_end()?;
                    self.failure.take()
                }
                Step::Run(turns) => self.run(turns)?,
            };
            self.stop |= std::mem::take(&mut self.stop_by_handle);
            let entry = Entry::StepEnd {
                clock: self.clock,
                failed,
                stopping: self.stop,
                counts: self.counts(),
            };
            self.expect(entry)?;
        }
        Ok(())
    }

    /// Turns until stopped, or an error, or there were enough.
    fn run(&mut self, turns: u32) -> Checked<Option<usize>> {
        self.stop |= std::mem::take(&mut self.stop_by_handle);
        for turn in 0.. {
            if std::mem::take(&mut self.stop) {
                self.say_stopping()?;
                self.stop = false;
                return Ok(self.failure.take());
            }
            if turn > 0 {
                self.expect_turn_end()?;
            }
            if turn == turns {
                break;
            }
            self.now = self.clock;
            self.turn(None)?;
            if let Some(failed) = self.failure.take() {
                self.stop = false;
                return Ok(Some(failed));
            }
        }
        Ok(None)
    }

    fn counts(&self) -> [usize; 5] {
        let alive = |alive: &dyn Fn(usize) -> bool, len| (0..len).filter(|n| alive(*n)).count();
        [
            alive(&|n| self.sources[n].alive, self.sources.len()),
            alive(&|n| self.sockets[n].alive, self.sockets.len()),
            0,
            alive(&|n| self.timers[n].alive, self.timers.len()),
            alive(&|n| self.tickets[n].alive, self.tickets.len()),
        ]
    }

    fn special(&self, name: &'static str) {
        self.coverage.borrow_mut().special(name);
    }

    /// What was observed next.
    fn peek(&self) -> Option<&'a Entry> {
        self.log.get(self.at)
    }

    /// Who was called next.
    fn next_event(&self) -> Option<Event> {
        match self.peek() {
            Some(Entry::Event { event, .. }) => Some(*event),
            _ => None,
        }
    }

    fn expect(&mut self, entry: Entry) -> Checked<()> {
        let observed = self.peek();
        if observed != Some(&entry) {
            return Err(format!("expected {entry:?}, observed {observed:?}"));
        }
        self.at += 1;
        Ok(())
    }

    fn expect_turn_end(&mut self) -> Checked<()> {
        self.expect(Entry::TurnEnd { clock: self.clock })
    }

    fn answer(&mut self, answer: Answer) -> Checked<()> {
        if matches!(
            answer,
            Answer::Was(false) | Answer::Stale | Answer::Returned(None)
        ) {
            self.special("a stale key was used");
        }
        self.expect(Entry::Answer(answer))
    }

    fn enter(&mut self, event: Event) -> Checked<()> {
        self.expect(Entry::Event {
            now: self.now,
            event,
        })
    }

    /// Carries out a script as `current`. Tells whether the handler fails.
    fn act(&mut self, current: Current, script: u8) -> Checked<bool> {
        let before = (self.current, self.inside, self.failing);
        (self.current, self.inside, self.failing) = (current, true, false);
        let program = self.program;
        for op in program.script(script) {
            if self.inside_ops < INSIDE_OPS {
                self.inside_ops += 1;
                self.carry_out(*op)?;
            }
        }
        let failing = self.failing;
        (self.current, self.inside, self.failing) = before;
        Ok(failing)
    }

    /// Does what the policy of a source says about its error.
    fn fail(&mut self, source: usize, failing: bool) -> Checked<()> {
        if !failing {
            return Ok(());
        }
        if !self.sources[source].alive {
            self.special("a handler that had removed itself failed");
        }
        match self.sources[source].policy {
            ErrorPolicy::Stop => {
                self.failure.get_or_insert(source);
            }
            ErrorPolicy::Remove => {
                self.remove_source(source);
                self.enter(Event::Removal { source })?;
                self.act(Current::default(), 0)?;
            }
            ErrorPolicy::Tolerate => {}
        }
        Ok(())
    }

    fn add_source(&mut self, plain: bool, actor: Option<u8>) -> usize {
        self.sources.push(SourceModel {
            alive: true,
            plain,
            policy: ErrorPolicy::Stop,
            actor,
        });
        self.sources.len() - 1
    }

    /// Removes a source with all it owns. Tells whether it was there.
    fn remove_source(&mut self, source: usize) -> bool {
        if !std::mem::take(&mut self.sources[source].alive) {
            return false;
        }
        let owned = |owner: usize| owner == source;
        for socket in 0..self.sockets.len() {
            if self.sockets[socket].alive && owned(self.sockets[socket].source) {
                self.end_socket(socket);
            }
        }
        for timer in self.timers.iter_mut().filter(|t| owned(t.source)) {
            timer.alive = false;
        }
        for class in 0..self.classes.len() {
            if self.classes[class].alive && owned(self.classes[class].source) {
                self.end_class(class);
            }
        }
        for hook in self.hooks.iter_mut().filter(|h| owned(h.source)) {
            hook.alive = false;
        }
        for channel in self.channels.iter_mut().filter(|c| owned(c.source)) {
            channel.waiting.clear();
        }
        true
    }

    /// A source that was made for one thing ends with it.
    fn disown(&mut self, source: usize) {
        if self.sources[source].plain {
            self.remove_source(source);
        }
    }

    fn end_socket(&mut self, socket: usize) {
        let model = &mut self.sockets[socket];
        model.alive = false;
        model.must = false;
        let source = model.source;
        self.disown(source);
    }

    fn end_timer(&mut self, timer: usize) {
        self.timers[timer].alive = false;
        self.disown(self.timers[timer].source);
    }

    fn end_class(&mut self, class: usize) {
        self.classes[class].alive = false;
        for ticket in self.tickets.iter_mut().filter(|t| t.class == class) {
            ticket.alive = false;
        }
        self.disown(self.classes[class].source);
    }
}
