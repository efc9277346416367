//! What all contestants in Rust have in common: how they count, and who sends to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use reactor::zmq;
use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::contest::Transport;
use crate::cpus;

/// What a run gave: labels and numbers, a line each.
pub(crate) type Report = Vec<(&'static str, Vec<f64>)>;

/// Idle sockets and far-off timers must not have anything to do within a run.
pub(crate) const FAR_OFF: Duration = Duration::from_secs(3600);
/// Of the timer and of the neighbour that a flood is to leave alone.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);
/// libzmq allows 1,023 sockets a context.
const SOCKETS_A_CONTEXT: usize = 1000;

/// Counts what is dispatched; the first tenth is for warming up.
pub(crate) struct Meter {
    seen: u64,
    warm_up: u64,
    total: u64,
    clock: ClockId,
    began_ns: i64,
    took_ns: i64,
}

impl Meter {
    /// For what happens on one thread that never sleeps: it counts this thread's time on its CPU, and so leaves out
    /// what other programs take of that.
    pub(crate) fn on_cpu(count: u64) -> Self {
        Self::new(count, ClockId::ThreadCPUTime)
    }

    /// For what several threads do together.
    pub(crate) fn on_wall(count: u64) -> Self {
        Self::new(count, ClockId::Monotonic)
    }

    fn new(count: u64, clock: ClockId) -> Self {
        let warm_up = count / 10 + 1;
        Self {
            seen: 0,
            warm_up,
            total: warm_up + count,
            clock,
            began_ns: 0,
            took_ns: 0,
        }
    }

    fn now_ns(&self) -> i64 {
        let now = clock_gettime(self.clock);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// Counts one more. True at the last.
    #[inline]
    pub(crate) fn tick(&mut self) -> bool {
        self.seen += 1;
        if self.seen == self.warm_up {
            self.began_ns = self.now_ns();
        }
        if self.seen < self.total {
            return false;
        }
        self.took_ns = self.now_ns() - self.began_ns;
        true
    }

    pub(crate) fn report(&self) -> Report {
        let dispatched = self.seen - self.warm_up;
        let each_ns = self.took_ns as f64 / dispatched as f64;
        vec![
            ("dispatched", vec![dispatched as f64]),
            ("each_ns", vec![each_ns]),
        ]
    }
}

/// The far end of the busy PAIR: takes what the loop's end received, and sends the next.
///
/// One message is under way at any time. Its number is checked, so that each that is counted has gone the whole way.
pub(crate) struct Relay {
    pub(crate) meter: Meter,
    peer: zmq::Socket,
}

impl Relay {
    /// The loop's end, on which the first message waits, and the far end.
    pub(crate) fn new(count: u64) -> Result<(zmq::Socket, Self)> {
        let (mine, peer) = pair("inproc://busy")?;
        peer.send(&0_u64.to_ne_bytes()[..], 0)?;
        let meter = Meter::on_cpu(count);
        Ok((mine, Self { meter, peer }))
    }

    /// True after the last.
    #[inline]
    pub(crate) fn pass(
        &mut self,
        message: &mut zmq::Message,
    ) -> std::result::Result<bool, zmq::Error> {
        let number = number(message);
        assert_eq!(number, self.meter.seen, "a message is missing");
        message.copy_from_slice(&(number + 1).to_ne_bytes());
        if self.meter.tick() {
            return Ok(true);
        }
        // Not without blocking: then a sender does not always see that the reader has made room.
        self.peer
            .send(std::mem::replace(message, zmq::Message::new()), 0)?;
        Ok(false)
    }
}

/// So many sockets on which nothing ever happens.
pub(crate) fn idle_sockets(count: u32) -> Result<Vec<zmq::Socket>> {
    let mut context = zmq::Context::new();
    let mut sockets = Vec::new();
    for index in 0..count as usize {
        if index % SOCKETS_A_CONTEXT == 0 {
            context = zmq::Context::new();
        }
        sockets.push(context.socket(zmq::PAIR)?);
    }
    Ok(sockets)
}

/// Two connected PAIR sockets.
pub(crate) fn pair(endpoint: &str) -> Result<(zmq::Socket, zmq::Socket)> {
    let context = zmq::Context::new();
    let mine = context.socket(zmq::PAIR)?;
    mine.bind(endpoint)?;
    let peer = context.socket(zmq::PAIR)?;
    peer.connect(endpoint)?;
    Ok((mine, peer))
}

fn number(message: &zmq::Message) -> u64 {
    u64::from_ne_bytes(message[..].try_into().expect("messages have eight bytes"))
}

/// Deadlines far off, all over the range of those that are pending, so that none is a special case.
pub(crate) struct Spread {
    begin: Instant,
    size: u64,
    place: u64,
}

impl Spread {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            begin: Instant::now() + FAR_OFF,
            size: u64::from(size),
            place: 0,
        }
    }

    /// Of the pending ones.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Instant> + use<> {
        let begin = self.begin;
        (0..self.size).map(move |index| begin + Duration::from_millis(index))
    }

    /// Of the next one that is created and cancelled.
    #[inline]
    pub(crate) fn next(&mut self) -> Instant {
        self.place = (self.place + 7919) % (self.size + 1);
        self.begin + Duration::from_millis(self.place)
    }
}

/// The receiving end of a flood of known length.
pub(crate) struct Flooded {
    pub(crate) meter: Meter,
}

impl Flooded {
    /// The PULL, and a thread with a PUSH that sends as fast as it can.
    pub(crate) fn start(transport: Transport, count: u64) -> Result<(zmq::Socket, Self)> {
        let context = zmq::Context::new();
        let pull = context.socket(zmq::PULL)?;
        pull.bind(match transport {
            Transport::Inproc => "inproc://flood",
            Transport::Tcp => "tcp://127.0.0.1:*",
        })?;
        let endpoint = pull
            .get_last_endpoint()?
            .map_err(|_| "an endpoint that is no text")?;
        let push = context.socket(zmq::PUSH)?;
        push.connect(&endpoint)?;
        let meter = Meter::on_wall(count);
        let total = meter.total;
        thread::spawn(move || {
            for number in 0..total {
                send_number(&push, number);
            }
        });
        Ok((pull, Self { meter }))
    }

    /// Counts a message. True at the last.
    #[inline]
    pub(crate) fn take(&mut self, message: &zmq::Message) -> bool {
        assert_eq!(number(message), self.meter.seen, "a message is missing");
        self.meter.tick()
    }
}

/// Whether it was sent: a socket with a time-out may fail to.
fn send_number(push: &zmq::Socket, number: u64) -> bool {
    loop {
        match push.send(&number.to_ne_bytes()[..], 0) {
            Ok(()) => return true,
            Err(zmq::Error::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// A thread that wakes the loop, one time after the other, and waits for the answer each time.
pub(crate) struct Poster {
    shared: Arc<Posted>,
    thread: Thread,
    warm_up: u64,
    total: u64,
    samples_ns: Vec<f64>,
}

struct Posted {
    start: Instant,
    sent_ns: AtomicU64,
    handled: AtomicU64,
}

impl Poster {
    /// `post` is called on the other thread, and has [`answer`](Self::answer) called on the loop's.
    pub(crate) fn start(count: u64, mut post: impl FnMut() + Send + 'static) -> Self {
        let shared = Arc::new(Posted {
            start: Instant::now(),
            sent_ns: AtomicU64::new(0),
            handled: AtomicU64::new(0),
        });
        let warm_up = count / 10 + 1;
        let total = warm_up + count;
        let posted = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for number in 1..=total {
                let now_ns = posted.start.elapsed().as_nanos() as u64;
                posted.sent_ns.store(now_ns, Ordering::SeqCst);
                post();
                while posted.handled.load(Ordering::SeqCst) < number {
                    thread::park();
                }
            }
        });
        Self {
            shared,
            thread: thread.thread().clone(),
            warm_up,
            total,
            samples_ns: Vec::with_capacity(total as usize),
        }
    }

    /// Notes how long it took, and lets the other thread go on. True at the last.
    #[inline]
    pub(crate) fn answer(&mut self) -> bool {
        let now_ns = self.shared.start.elapsed().as_nanos() as u64;
        let sent_ns = self.shared.sent_ns.load(Ordering::SeqCst);
        self.samples_ns.push((now_ns - sent_ns) as f64);
        let handled = self.samples_ns.len() as u64;
        self.shared.handled.store(handled, Ordering::SeqCst);
        self.thread.unpark();
        handled == self.total
    }

    pub(crate) fn report(mut self) -> Report {
        let samples = self.samples_ns.split_off(self.warm_up as usize);
        vec![
            ("dispatched", vec![samples.len() as f64]),
            ("wake_ns", samples),
        ]
    }
}

/// A flood without end, and beside it a timer and a neighbour that want to be served in time.
pub(crate) struct Fairness {
    ticks: usize,
    flooded: u64,
    timer_us: Vec<f64>,
    neighbour_us: Vec<f64>,
    began: Instant,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Fairness {
    /// The flooded PULL, the neighbour's PAIR, and what counts. The loop has a CPU to itself from here on, where
    /// there is another for those who send: it is the loop that is looked at, not the system's scheduler.
    pub(crate) fn start(ticks: u64) -> Result<(zmq::Socket, zmq::Socket, Self)> {
        let context = zmq::Context::new();
        let pull = context.socket(zmq::PULL)?;
        pull.bind("inproc://flood")?;
        let push = context.socket(zmq::PUSH)?;
        push.set_sndtimeo(100)?;
        push.connect("inproc://flood")?;
        let (mine, peer) = pair("inproc://neighbour")?;
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let threads = vec![
            spawn_sender(Arc::clone(&stop), move |stop| flood(&push, stop)),
            spawn_sender(Arc::clone(&stop), move |stop| visit(&peer, began, stop)),
        ];
        cpus::use_first();
        let fairness = Self {
            ticks: ticks as usize,
            flooded: 0,
            timer_us: Vec::new(),
            neighbour_us: Vec::new(),
            began,
            stop,
            threads,
        };
        Ok((pull, mine, fairness))
    }

    #[inline]
    pub(crate) fn flooded(&mut self, message: &zmq::Message) {
        assert_eq!(number(message), self.flooded, "a message is missing");
        self.flooded += 1;
    }

    pub(crate) fn neighboured(&mut self, message: &zmq::Message) {
        let now_ns = self.began.elapsed().as_nanos() as u64;
        let delay_ns = now_ns - number(message);
        self.neighbour_us.push(delay_ns as f64 / 1e3);
    }

    /// True at the last.
    pub(crate) fn ticked(&mut self, deadline: Instant) -> bool {
        self.timer_us.push(deadline.elapsed().as_secs_f64() * 1e6);
        self.timer_us.len() >= self.ticks
    }

    pub(crate) fn report(self) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
        vec![
            ("dispatched", vec![self.timer_us.len() as f64]),
            ("flood_per_s", vec![self.flooded as f64 / seconds]),
            ("timer_us", self.timer_us),
            ("neighbour_us", self.neighbour_us),
        ]
    }
}

fn spawn_sender(
    stop: Arc<AtomicBool>,
    send: impl FnOnce(&AtomicBool) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        cpus::use_others();
        send(&stop);
    })
}

fn flood(push: &zmq::Socket, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        if send_number(push, number) {
            number += 1;
        }
    }
}

fn visit(peer: &zmq::Socket, began: Instant, stop: &AtomicBool) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        send_number(peer, began.elapsed().as_nanos() as u64);
    }
}
