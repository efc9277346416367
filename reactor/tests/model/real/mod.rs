//! Drives a reactor by a program, and writes down what is observed.

mod ops;
mod timing;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use reactor::{
    Backend, BoxError, Error, Event as Given, Handle, HookKey, Missed, Reactor, Ready, Scope,
    Sender, SocketKey, Source, SourceKey, TicketClassKey, TicketKey, TimerKey, VirtualClock, zmq,
};

use crate::common::builder;
use crate::coverage::Coverage;
use crate::log::{Answer, Entry, Event};
use crate::program::{Current, INSIDE_OPS, NO_SCRIPT, Op, Program, Step, TICK_MS, reads_in_call};

/// The state that all handlers share: how to find what was registered, and the log.
pub(crate) struct App {
    program: Rc<Program>,
    coverage: Rc<RefCell<Coverage>>,
    context: zmq::Context,
    clock: VirtualClock,
    start: Instant,
    handle: Handle<App>,
    log: Vec<Entry>,
    current: Current,
    /// A handler runs, or posted or deferred work.
    inside: bool,
    inside_ops: u32,
    failing: bool,
    payload: u32,
    posts: usize,
    deferred: usize,

    sources: Vec<SourceKey>,
    /// Those of the sources that own what others register for them, and what they do when called for themselves.
    actors: Vec<(usize, u8)>,
    sockets: Vec<Socket>,
    timers: Vec<(TimerKey, u8)>,
    classes: Vec<(TicketClassKey, u8)>,
    tickets: Vec<TicketKey>,
    hooks: Vec<(HookKey, u8)>,
    channels: Vec<(usize, Option<Sender<u32>>)>,
}

struct Socket {
    key: SocketKey,
    /// The other end.
    feed: zmq::Socket,
    /// How many messages its handler takes in a call.
    reads: u8,
    script: u8,
    calls: u32,
}

/// A source that owns several things.
struct Actor {
    number: usize,
    script: u8,
}

impl Source<App> for Actor {
    fn start(&mut self, _: &mut Scope<App>, _: SourceKey) -> Result<(), Error> {
        Ok(())
    }

    fn on_event(
        &mut self,
        app: &mut App,
        scope: &mut Scope<App>,
        event: Given,
    ) -> Result<(), BoxError> {
        let me = Some(self.number);
        match event {
            Given::Socket { tag, ready, .. } => app.on_socket(scope, me, tag, ready),
            Given::Timer { tag, deadline, .. } => app.on_timer(scope, me, tag, deadline),
            Given::Ticket {
                tag, key, about, ..
            } => app.on_ticket(scope, me, tag, key, about),
            Given::BeforeSleep { tag, .. } => app.on_hook(scope, me, tag),
            Given::Notified | Given::Stopping => {
                let source = self.number;
                let event = if event == Given::Notified {
                    Event::Notified { source }
                } else {
                    Event::Stopping { source }
                };
                app.enter(scope, event);
                let source = me;
                app.act(
                    scope,
                    Current {
                        source,
                        ..Current::default()
                    },
                    self.script,
                )
            }
            other => Err(format!("unforeseen: {other:?}").into()),
        }
    }
}

impl App {
    fn since_start(&self, moment: Instant) -> i64 {
        let later = moment.saturating_duration_since(self.start).as_millis() as i64;
        later - self.start.saturating_duration_since(moment).as_millis() as i64
    }

    fn moment(&self, after: Instant, ms: i64) -> Instant {
        let by = Duration::from_millis(ms.unsigned_abs());
        if ms < 0 { after - by } else { after + by }
    }

    fn clock_ms(&self) -> i64 {
        self.since_start(self.clock.now())
    }

    fn answer(&mut self, answer: Answer) {
        self.log.push(Entry::Answer(answer));
    }

    /// Notes that something is called.
    fn enter(&mut self, scope: &Scope<App>, event: Event) {
        self.coverage.borrow_mut().event(event.name());
        let now = self.since_start(scope.now());
        self.log.push(Entry::Event { now, event });
    }

    /// Carries out a script as `current`, and fails if the script says so.
    fn act(
        &mut self,
        scope: &mut Scope<App>,
        current: Current,
        script: u8,
    ) -> Result<(), BoxError> {
        // A removal is reported while its handler runs.
        let before = (self.current, self.inside, self.failing);
        (self.current, self.inside, self.failing) = (current, true, false);
        let program = Rc::clone(&self.program);
        for op in program.script(script) {
            if self.inside_ops < INSIDE_OPS {
                self.inside_ops += 1;
                self.carry_out(scope, *op);
            }
        }
        let failing = self.failing;
        (self.current, self.inside, self.failing) = before;
        if failing {
            Err("on purpose".into())
        } else {
            Ok(())
        }
    }

    fn on_socket(
        &mut self,
        scope: &mut Scope<App>,
        source: Option<usize>,
        socket: usize,
        ready: Ready,
    ) -> Result<(), BoxError> {
        let (readable, writable) = (ready.readable, ready.writable);
        self.enter(
            scope,
            Event::Socket {
                socket,
                readable,
                writable,
            },
        );
        let this = &mut self.sockets[socket];
        this.calls += 1;
        let key = this.key;
        let Some(reads) = reads_in_call(this.reads, this.calls) else {
            return Ok(());
        };
        let mut received = 0;
        for _ in 0..reads {
            let answer = self.receive(scope, key);
            let some = matches!(answer, Answer::Received(Some(_)));
            self.answer(answer);
            if !some {
                break;
            }
            received += 1;
        }
        if reads > 0 && received == 0 && !writable {
            return Ok(());
        }
        let current = Current {
            source,
            socket: Some(socket),
            ..Current::default()
        };
        self.act(scope, current, self.sockets[socket].script)
    }

    fn on_timer(
        &mut self,
        scope: &mut Scope<App>,
        source: Option<usize>,
        timer: usize,
        deadline: Instant,
    ) -> Result<(), BoxError> {
        let deadline = self.since_start(deadline);
        self.enter(scope, Event::Timer { timer, deadline });
        let current = Current {
            source,
            timer: Some(timer),
            ..Current::default()
        };
        self.act(scope, current, self.timers[timer].1)
    }

    fn on_ticket(
        &mut self,
        scope: &mut Scope<App>,
        source: Option<usize>,
        class: usize,
        key: TicketKey,
        about: u64,
    ) -> Result<(), BoxError> {
        let ticket = about as usize;
        assert_eq!(self.tickets[ticket], key, "what it is about is its own");
        self.enter(scope, Event::Ticket { ticket, class });
        let current = Current {
            source,
            class: Some(class),
            ticket: Some(ticket),
            ..Current::default()
        };
        self.act(scope, current, self.classes[class].1)
    }

    fn on_hook(
        &mut self,
        scope: &mut Scope<App>,
        source: Option<usize>,
        hook: usize,
    ) -> Result<(), BoxError> {
        self.enter(scope, Event::Hook { hook });
        let current = Current {
            source,
            hook: Some(hook),
            ..Current::default()
        };
        self.act(scope, current, self.hooks[hook].1)
    }
}

/// Runs the program on a reactor, and gives what was observed.
pub(crate) fn run(
    program: &Rc<Program>,
    backend: Backend,
    context: &zmq::Context,
    coverage: &Rc<RefCell<Coverage>>,
) -> Vec<Entry> {
    let clock = VirtualClock::new();
    let mut reactor: Reactor<App> = builder(backend)
        .virtual_time(&clock)
        .budget(program.budget)
        .post_capacity(program.post_capacity)
        .metrics(program.metrics)
        .build()
        .unwrap();
    let mut app = App {
        program: Rc::clone(program),
        coverage: Rc::clone(coverage),
        context: context.clone(),
        start: clock.now(),
        clock,
        handle: reactor.handle(),
        log: vec![],
        current: Current::default(),
        inside: false,
        inside_ops: 0,
        failing: false,
        payload: 0,
        posts: 0,
        deferred: 0,
        sources: vec![],
        actors: vec![],
        sockets: vec![],
        timers: vec![],
        classes: vec![],
        tickets: vec![],
        hooks: vec![],
        channels: vec![],
    };
    let scope = reactor.scope();
    scope.on_removal(|app: &mut App, scope, removal| {
        let source: usize = removal.name.parse().unwrap();
        assert_eq!(removal.source, app.sources[source]);
        app.enter(scope, Event::Removal { source });
        // What it returns concerns nobody.
        let _ = app.act(scope, Current::default(), 0);
    });
    app.carry_out(scope, Op::AddInterval(TICK_MS, Missed::Skip, NO_SCRIPT));
    for step in &program.steps {
        app.step(&mut reactor, *step);
    }
    app.log
}

impl App {
    fn step(&mut self, reactor: &mut Reactor<App>, step: Step) {
        let result = match step {
            Step::Do(op) => {
                self.carry_out(reactor.scope(), op);
                Ok(())
            }
            Step::Turn(limit_ms) => {
                let limit = Duration::from_millis(limit_ms.unsigned_abs());
                let result = reactor.turn(self, Some(limit));
                let clock = self.clock_ms();
                self.log.push(Entry::TurnEnd { clock });
                result
            }
            Step::Run(turns) => {
                let mut done = None;
                reactor.run_until(self, |app| {
                    let count = done.map_or(0, |count| count + 1);
                    if count > 0 {
                        let clock = app.clock_ms();
                        app.log.push(Entry::TurnEnd { clock });
                    }
                    done = Some(count);
                    count >= turns
                })
            }
        };
        let failed = result.err().map(|error| match error {
            Error::Handler { name, .. } => name.parse().unwrap(),
            error => panic!("no handler's error: {error}"),
        });
        self.log.push(Entry::StepEnd {
            clock: self.clock_ms(),
            failed,
            stopping: reactor.is_stopping(),
            counts: counts(reactor.scope()),
        });
    }
}

/// The numbers in what a scope shows of itself.
fn counts(scope: &Scope<App>) -> [usize; 5] {
    let text = format!("{scope:?}");
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap())
}
