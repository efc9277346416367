//! Random programs: what is done to a reactor, from outside and from inside its handlers.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use reactor::{ErrorPolicy, Interest, Missed};

/// How many operations the handlers of one program carry out; after that they only note that they were called.
pub(crate) const INSIDE_OPS: u32 = 300;
/// The period of the timer that every program begins with, so that no turn sleeps for ever.
pub(crate) const TICK_MS: i64 = 7;

/// The number of the script of those who do nothing but note that they were called.
pub(crate) const NO_SCRIPT: u8 = u8::MAX;
const SCRIPTS: u8 = 8;

/// A reactor's settings, what handlers do when they are called, and what is done from outside.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) budget: usize,
    pub(crate) post_capacity: usize,
    pub(crate) metrics: bool,
    pub(crate) scripts: Vec<Vec<Op>>,
    pub(crate) steps: Vec<Step>,
}

/// A line for each script that does something, and for each step.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (budget, posts, metrics) = (self.budget, self.post_capacity, self.metrics);
        writeln!(
            f,
            "budget {budget}, capacity for posts {posts}, metrics {metrics}"
        )?;
        for (number, script) in self
            .scripts
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.is_empty())
        {
            writeln!(f, "script {number}: {script:?}")?;
        }
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        Ok(())
    }
}

impl Program {
    /// What a handler does; [`NO_SCRIPT`] is nothing.
    pub(crate) fn script(&self, script: u8) -> &[Op] {
        match script {
            NO_SCRIPT => &[],
            script => &self.scripts[usize::from(script)],
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Do(Op),
    /// One turn that sleeps so many milliseconds at most.
    Turn(i64),
    /// A run that ends after so many turns, if it is not stopped before.
    Run(u32),
}

/// Whom an operation is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// What is being handled right now, if it is of this kind; otherwise the latest.
    Me,
    /// Counted back from the latest.
    Back(u8),
}

impl Target {
    /// Which of `len` things that is; those below `reserved` are out of reach.
    pub(crate) fn pick(self, len: usize, reserved: usize, me: Option<usize>) -> Option<usize> {
        let open = len.checked_sub(reserved).filter(|open| *open > 0)?;
        match (self, me) {
            (Target::Me, Some(me)) if me >= reserved => Some(me),
            (Target::Me, _) => Some(len - 1),
            (Target::Back(back), _) => Some(len - 1 - usize::from(back) % open),
        }
    }
}

/// Added to how many messages a handler takes: it does nothing at all in every other call.
const LAZY: u8 = 8;

/// How many messages a socket's handler takes in a call; nothing for a call in which it does nothing at all.
pub(crate) fn reads_in_call(reads: u8, call: u32) -> Option<u8> {
    (reads < LAZY || call % 2 == 1).then_some(reads % LAZY)
}

/// What is handled right now, by its number among those of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Current {
    pub(crate) source: Option<usize>,
    pub(crate) socket: Option<usize>,
    pub(crate) timer: Option<usize>,
    pub(crate) class: Option<usize>,
    pub(crate) ticket: Option<usize>,
    pub(crate) hook: Option<usize>,
    pub(crate) channel: Option<usize>,
}

/// What a timer says after its first calls; then it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Done,
    At(i64),
    After(i64),
}

/// Where there is an owner, the thing belongs to that source; otherwise it has a handler of its own.
type Owner = Option<Target>;
/// The number of a script.
type Script = u8;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Wake,
    Advance(i64),
    Stop,
    StopByHandle,
    /// Has the handler that runs return an error in the end.
    Fail,
    AddSource(Script),
    RemoveSource(Target),
    SetPolicy(Target, ErrorPolicy),
    Notify(Target),
    AddSocket(Owner, Interest, u8, Script),
    RemoveSocket(Target),
    SetInterest(Target, Interest),
    /// Messages from the other end.
    Feed(Target, u8),
    Send(Target),
    Recv(Target),
    Readable(Target),
    AddTimer(Owner, i64, Then, u8, Script),
    AddInterval(i64, Missed, Script),
    SetTimer(Target, i64),
    CancelTimer(Target),
    TimerDeadline(Target),
    AddTickets(Owner, i64, Script),
    RemoveTickets(Target),
    Issue(Target),
    ResetTicket(Target),
    CancelTicket(Target),
    TicketDeadline(Target),
    AddHook(Owner, Script),
    RemoveHook(Target),
    Post(Script),
    Defer(Script),
    AddChannel(u8, Script),
    SendItem(Target),
    DropSender(Target),
}

impl Op {
    /// The first word of how it prints.
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        let end = text.find('(').unwrap_or(text.len());
        text[..end].to_owned()
    }

    /// An operation from bytes: the lower they are, the simpler it is, so that shrinking them simplifies the program.
    fn from_bytes([kind, a, b, c, d]: [u8; 5]) -> Op {
        let script = d % SCRIPTS;
        let kinds: [(u8, Op); 34] = [
            (2, Op::Wake),
            (1, Op::Advance((a % 9).into())),
            (1, Op::Stop),
            (1, Op::StopByHandle),
            (3, Op::Fail),
            (5, Op::AddSource(script)),
            (2, Op::RemoveSource(target(a))),
            (4, Op::SetPolicy(target(a), policy(b))),
            (4, Op::Notify(target(a))),
            (6, Op::AddSocket(owner(a), interest(b), reads(c), script)),
            (2, Op::RemoveSocket(target(a))),
            (4, Op::SetInterest(target(a), interest(b))),
            (9, Op::Feed(target(a), 1 + b % 5)),
            (3, Op::Send(target(a))),
            (3, Op::Recv(target(a))),
            (2, Op::Readable(target(a))),
            (
                9,
                Op::AddTimer(owner(a), delay(b), then(c), 1 + c % 3, script),
            ),
            (4, Op::AddInterval((1 + a % 6).into(), missed(b), script)),
            (6, Op::SetTimer(target(a), delay(b))),
            (6, Op::CancelTimer(target(a))),
            (2, Op::TimerDeadline(target(a))),
            (5, Op::AddTickets(owner(a), (b % 4).into(), script)),
            (2, Op::RemoveTickets(target(a))),
            (9, Op::Issue(target(a))),
            (6, Op::ResetTicket(target(a))),
            (6, Op::CancelTicket(target(a))),
            (2, Op::TicketDeadline(target(a))),
            (3, Op::AddHook(owner(a), script)),
            (2, Op::RemoveHook(target(a))),
            (5, Op::Post(script)),
            (5, Op::Defer(script)),
            (3, Op::AddChannel(1 + a % 6, script)),
            (6, Op::SendItem(target(a))),
            (1, Op::DropSender(target(a))),
        ];
        let total: u32 = kinds.iter().map(|(weight, _)| u32::from(*weight)).sum();
        let mut place = u32::from(kind) * total / 256;
        for (weight, op) in kinds {
            match place.checked_sub(weight.into()) {
                Some(rest) => place = rest,
                None => return op,
            }
        }
        Op::Wake
    }
}

fn target(byte: u8) -> Target {
    match byte % 16 {
        0 => Target::Back(0),
        1..=4 => Target::Me,
        5..=14 => Target::Back(byte % 5),
        _ => Target::Back(byte / 2),
    }
}

fn owner(byte: u8) -> Owner {
    (byte % 3 == 2).then(|| target(byte / 3))
}

fn delay(byte: u8) -> i64 {
    // Mostly soon, so that many are due together.
    [1, 0, 2, 1, 3, 2, 1, 0, -1, -2, 5, 9][usize::from(byte % 12)]
}

fn then(byte: u8) -> Then {
    match byte % 4 {
        0 | 1 => Then::Done,
        2 => Then::At(delay(byte / 4)),
        _ => Then::After(i64::from(byte / 4 % 6)),
    }
}

fn missed(byte: u8) -> Missed {
    [Missed::Skip, Missed::CatchUp, Missed::Delay][usize::from(byte % 3)]
}

fn policy(byte: u8) -> ErrorPolicy {
    match byte % 5 {
        0 => ErrorPolicy::Stop,
        1 | 2 => ErrorPolicy::Remove,
        _ => ErrorPolicy::Tolerate,
    }
}

fn reads(byte: u8) -> u8 {
    match byte % 8 {
        few @ 0..=4 => few,
        5 => 1,
        lazy => lazy - 5 + LAZY,
    }
}

fn interest(byte: u8) -> Interest {
    // There is always room to write, so that the reactor never sleeps again: not too often.
    match byte % 16 {
        0..=9 => Interest::READ,
        10 => Interest::WRITE,
        11 => Interest::READ | Interest::WRITE,
        _ => Interest::NONE,
    }
}

fn op() -> impl Strategy<Value = Op> {
    any::<[u8; 5]>().prop_map(Op::from_bytes)
}

/// Something that is there from the beginning.
fn first_step() -> impl Strategy<Value = Step> {
    any::<[u8; 5]>().prop_map(|[kind, a, b, c, d]| {
        let script = d % SCRIPTS;
        Step::Do(match kind % 16 {
            0..=3 => Op::AddTimer(owner(a), delay(b), then(c), 1 + c % 3, script),
            4..=6 => Op::AddSocket(owner(a), Interest::READ, reads(c), script),
            7..=8 => Op::Feed(target(a), 1 + b % 5),
            9 => Op::AddInterval((1 + a % 3).into(), missed(b), script),
            10 => Op::AddTickets(owner(a), (b % 4).into(), script),
            11..=13 => Op::Issue(target(a)),
            14 => Op::AddSource(script),
            _ => Op::AddChannel(1 + a % 6, script),
        })
    })
}

fn step() -> impl Strategy<Value = Step> {
    any::<(u8, [u8; 5])>().prop_map(|(kind, bytes)| match kind % 16 {
        0..=8 => Step::Do(Op::from_bytes(bytes)),
        9..=13 => Step::Turn((bytes[0] % 8).into()),
        _ => Step::Run((bytes[0] % 5).into()),
    })
}

pub(crate) fn program() -> impl Strategy<Value = Program> {
    let settings = (1_usize..5, 1_usize..5, any::<bool>());
    let scripts = vec(vec(op(), 0..6), usize::from(SCRIPTS));
    let steps = (vec(first_step(), 0..12), vec(step(), 1..40));
    (settings, scripts, steps).prop_map(
        |((budget, post_capacity, metrics), scripts, (mut first, steps))| {
            first.extend(steps);
            Program {
                budget,
                post_capacity,
                metrics,
                scripts,
                steps: first,
            }
        },
    )
}
