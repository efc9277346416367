//! Everything at once, for long: 15 seconds on each back end, or half of `REACTOR_SOAK_SECONDS`.
//!
//! Threads flood the reactor with messages over inproc and tcp, with posts and with items of channels, while it
//! registers and removes sockets, descriptors, sources, timers, tickets and monitors, and pauses and resumes those that
//! are flooded. In the end everything is accounted for exactly once, and nothing is left: no registration, no
//! descriptor, no memory.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod churn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use churn::{churn, pause_or_resume};
use common::{BOUND, builder};
use reactor::{
    Backend, Handle, Interest, PostError, Reactor, Scope, SendError, Sender, SocketBuilder,
    SocketKey, TicketClassKey, TimerKey, last_endpoint, zmq,
};

/// So much more memory at the end than after the warm-up is taken for noise of the allocators, which keep what queues
/// took at their longest. A leak of a few bytes for each message, or of one registration in a hundred, is more.
const TOLERANCE_BYTES: u64 = 16 << 20;
/// Of one page, as nearly everywhere; where pages are larger the tolerance is as much larger.
const PAGE_BYTES: u64 = 4096;
/// The producers, by kind: two of each.
const KINDS: usize = 4;
/// How many of each kind of thing may be on their way through the reactor.
const UNDER_WAY: u64 = 32;

/// What was begun and what came of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Churn {
    begun: u64,
    ended: u64,
}

#[derive(Default)]
struct App {
    /// What comes next from each producer.
    next: [u64; 2 * KINDS],
    flooded: Vec<SocketKey>,
    paused: bool,
    tickets_class: Option<TicketClassKey>,
    ticks: u64,
    sockets: Churn,
    streams: Churn,
    timers: Churn,
    tickets: Churn,
    monitors: Churn,
    sources: Churn,
}

impl App {
    /// Each number comes once and in order.
    fn account(&mut self, producer: usize, number: u64) {
        assert_eq!(number, self.next[producer], "of producer {producer}");
        self.next[producer] += 1;
    }

    fn churns(&self) -> [&Churn; 6] {
        [
            &self.sockets,
            &self.streams,
            &self.timers,
            &self.tickets,
            &self.monitors,
            &self.sources,
        ]
    }

    /// Whether more may be begun: what is under way is bounded.
    fn has_room(&self) -> bool {
        let mut churns = self.churns().into_iter();
        churns.all(|churn| churn.begun - churn.ended < UNDER_WAY)
    }

    fn is_settled(&self) -> bool {
        self.churns().iter().all(|churn| churn.begun == churn.ended)
    }
}

#[test]
fn a_long_flood_loses_nothing_and_leaves_nothing_behind() {
    let seconds = std::env::var("REACTOR_SOAK_SECONDS").map_or(30.0, |text| text.parse().unwrap());
    if open_descriptors().is_none() || resident_bytes().is_none() {
        println!("skipped: memory and descriptors, since there is no /proc to count them in");
    }
    for backend in [Backend::Mio, Backend::Polling] {
        soak(backend, Duration::from_secs_f64(seconds / 2.0));
    }
}

fn soak(backend: Backend, time: Duration) {
    let context = zmq::Context::new();
    // The threads of the context come with its first socket.
    let _first = context.socket(zmq::PAIR).unwrap();
    let mut reactor = builder(backend).build::<App>().unwrap();
    let (descriptors, empty) = (open_descriptors(), format!("{reactor:?}"));
    let mut app = App::default();
    let stop = Arc::new(AtomicBool::new(false));
    let threads = flood(&mut reactor, &mut app, &context, &stop);
    let churner = churn(&mut app, reactor.scope(), &context);

    let begin = Instant::now();
    let [mut warm, mut last] = [0; 2];
    while begin.elapsed() < time {
        reactor.turn(&mut app, Some(time / 100)).unwrap();
        let part = begin.elapsed().as_secs_f64() / time.as_secs_f64();
        // Highest water against highest water: what is in the queues comes and goes.
        if app.ticks.is_multiple_of(64) && part > 0.3 {
            let resident = resident_bytes().unwrap_or_default();
            let water = if part < 0.6 { &mut warm } else { &mut last };
            *water = resident.max(*water);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = finish(&mut reactor, &mut app, threads, churner);

    assert_eq!(app.next, sent, "lost on {backend:?}");
    assert!(sent.iter().all(|count| *count > 0), "{sent:?}");
    assert!(app.churns().iter().all(|churn| churn.begun > 0));
    assert_eq!(format!("{reactor:?}"), empty, "left behind on {backend:?}");
    expect_descriptors(descriptors);
    println!(
        "{backend:?}: {} ticks, sent {sent:?}, {:?}, {} KiB after the warm-up, {} KiB at the end, {}",
        app.ticks,
        app.churns().map(|churn| churn.begun),
        warm >> 10,
        last >> 10,
        reactor.scope().metrics(),
    );
    assert!(
        last <= warm + TOLERANCE_BYTES,
        "{warm} bytes after the warm-up, {last} at the end"
    );
}

/// Turns until the producers are done, and everything that they sent has arrived, and removes what is left then.
fn finish(
    reactor: &mut Reactor<App>,
    app: &mut App,
    threads: Vec<JoinHandle<u64>>,
    churner: TimerKey,
) -> [u64; 2 * KINDS] {
    let end = Instant::now() + 3 * BOUND;
    assert!(reactor.scope().cancel_timer(churner));
    if app.paused {
        pause_or_resume(app, reactor.scope()).unwrap();
    }
    let mut turn = |app: &mut App| {
        assert!(Instant::now() < end, "{:?}", app.churns());
        let limit = Duration::from_millis(10);
        reactor.turn(app, Some(limit)).unwrap();
    };
    while !threads.iter().all(JoinHandle::is_finished) {
        turn(app);
    }
    let mut sent = [0; 2 * KINDS];
    for (sent, thread) in sent.iter_mut().zip(threads) {
        *sent = thread.join().unwrap();
    }
    while app.next != sent || !app.is_settled() {
        turn(app);
    }
    // The channels end by themselves, a turn after their last item.
    for _ in 0..10 {
        turn(app);
    }
    let tickets = app.tickets_class.take().unwrap();
    assert!(reactor.scope().remove_tickets(tickets));
    for key in app.flooded.drain(..) {
        drop(reactor.scope().remove_socket(key));
    }
    sent
}

/// Starts two producers of each kind. Each tells in the end how much it sent.
fn flood(
    reactor: &mut Reactor<App>,
    app: &mut App,
    context: &zmq::Context,
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<u64>> {
    let handle = reactor.handle();
    let scope = reactor.scope();
    let mut threads = Vec::new();
    for producer in 0..2 * KINDS {
        let stop = Arc::clone(stop);
        threads.push(match producer % KINDS {
            0 => message_producer(app, scope, context, producer, "inproc", stop),
            1 => message_producer(app, scope, context, producer, "tcp", stop),
            2 => {
                let sender = add_channel(scope, producer);
                produce(stop, move |number| send(&sender, number))
            }
            _ => {
                let handle = handle.clone();
                produce(stop, move |number| post(&handle, producer, number))
            }
        });
    }
    threads
}

/// Has a thread send numbers in order. Where there is no room it tries again.
fn produce(
    stop: Arc<AtomicBool>,
    mut send: impl FnMut(u64) -> bool + Send + 'static,
) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            if send(number) {
                number += 1;
            } else {
                std::thread::yield_now();
            }
        }
        number
    })
}

fn message_producer(
    app: &mut App,
    scope: &mut Scope<App>,
    context: &zmq::Context,
    producer: usize,
    transport: &str,
    stop: Arc<AtomicBool>,
) -> JoinHandle<u64> {
    let endpoint = match transport {
        "inproc" => format!("inproc://soak-{producer}"),
        _ => "tcp://127.0.0.1:*".to_owned(),
    };
    let builder = SocketBuilder::new(zmq::PULL).recv_hwm(1000);
    let pull = builder.bind(endpoint).build(context).unwrap();
    let push = SocketBuilder::new(zmq::PUSH)
        .send_hwm(1000)
        // What was sent is to arrive, however long it takes.
        .linger(3 * BOUND)
        .connect(last_endpoint(&pull).unwrap())
        .build(context)
        .unwrap();
    let mut frames = Vec::new();
    let key = scope
        .add_socket(
            "flooded",
            pull,
            Interest::READ,
            move |app: &mut App, scope, key, _| {
                while scope.recv(key, &mut frames)? {
                    let [number, payload] = &frames[..] else {
                        return Err("it has two frames".into());
                    };
                    let number = u64::from_le_bytes(number[..].try_into()?);
                    assert_eq!(payload.len() as u64, number % 300);
                    app.account(producer, number);
                }
                Ok(())
            },
        )
        .unwrap();
    app.flooded.push(key);
    produce(stop, move |number| {
        let frames = [
            &number.to_le_bytes()[..],
            &[7; 300][..(number % 300) as usize],
        ];
        push.send_multipart(frames, zmq::DONTWAIT).is_ok()
    })
}

fn add_channel(scope: &mut Scope<App>, producer: usize) -> Sender<u64> {
    let (sender, _) = scope
        .add_channel("items", 100, move |app: &mut App, _, number| {
            if let Some(number) = number {
                app.account(producer, number);
            }
            Ok(())
        })
        .unwrap();
    sender
}

fn send(sender: &Sender<u64>, number: u64) -> bool {
    match sender.send(number) {
        Ok(()) => true,
        Err(SendError::Full(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn post(handle: &Handle<App>, producer: usize, number: u64) -> bool {
    let posted = handle.post(move |app, _| app.account(producer, number));
    match posted {
        Ok(()) => true,
        Err(PostError::Full) => false,
        Err(error) => panic!("{error}"),
    }
}

/// How many descriptors the process has open; nothing where the system does not say.
fn open_descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// Waits until no more are open than there were: libzmq closes on a thread of its own.
fn expect_descriptors(before: Option<usize>) {
    let end = Instant::now() + BOUND;
    while open_descriptors() > before {
        let open = open_descriptors();
        assert!(Instant::now() < end, "{open:?} are open, not {before:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How much memory the process has in use; nothing where the system does not say.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
