//! A scripted peer: the other server's half of the state channel, under the test's control.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Outcome, ensure};

/// A message: its frames.
type Frames = Vec<Vec<u8>>;

/// How a scripted peer is set up.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Where it publishes.
    pub bind: String,
    /// Where the server under test publishes.
    pub connect: String,
    /// Whether it subscribes to `bstar/1`, and so asks for metadata.
    pub metadata: bool,
    /// How often it repeats what it says.
    pub period: Duration,
}

/// A message that came from the server under test.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Its frames.
    pub frames: Frames,
}

impl Heard {
    /// The digit in its first frame.
    #[must_use]
    pub fn digit(&self) -> Option<u8> {
        match self.frames.first().map(Vec::as_slice) {
            Some([digit]) => Some(*digit),
            _ => None,
        }
    }

    /// The value of `key` in the metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<String> {
        let text = String::from_utf8(self.frames.get(1)?.clone()).ok()?;
        let mut words = text.strip_prefix("bstar/1 ")?.split(' ');
        let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        value.map(str::to_owned)
    }
}

enum Command {
    Say(Option<Frames>),
    Burst(Vec<Frames>),
}

#[derive(Default)]
struct Record {
    heard: Mutex<RecordState>,
    changed: Condvar,
}

#[derive(Default)]
struct RecordState {
    heard: Vec<Heard>,
    subscriptions: usize,
}

impl Record {
    fn state(&self) -> MutexGuard<'_, RecordState> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, bound: Duration, mut until: impl FnMut(&RecordState) -> bool) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.state(), bound, |state| !until(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A scripted peer, silent until told otherwise.
pub struct ScriptedPeer {
    commands: Option<std::sync::mpsc::Sender<(Command, SyncSender<()>)>>,
    record: Arc<Record>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedPeer {
    /// Starts a peer.
    ///
    /// # Panics
    ///
    /// When its endpoint cannot be bound.
    #[must_use]
    pub fn start(config: &PeerConfig) -> Self {
        let (commands, orders) = channel();
        let record = Arc::new(Record::default());
        let mut script = Script::new(config, Arc::clone(&record));
        Self {
            commands: Some(commands),
            record,
            thread: Some(thread::spawn(move || script.run(&orders))),
        }
    }

    fn command(&self, command: Command) {
        let (done, is_done) = sync_channel(1);
        let commands = self.commands.as_ref().expect("the peer is not dropped yet");
        commands.send((command, done)).expect("the peer runs");
        is_done.recv().expect("the peer runs");
    }

    /// Says `frames` now and at each period.
    pub fn say(&self, frames: &[&[u8]]) {
        let frames = frames.iter().map(|frame| frame.to_vec()).collect();
        self.command(Command::Say(Some(frames)));
    }

    /// Says the bare `digit` now and at each period.
    pub fn say_digit(&self, digit: u8) {
        self.say(&[&[digit]]);
    }

    /// Says nothing any more; when this returns, nothing is said.
    pub fn silence(&self) {
        self.command(Command::Say(None));
    }

    /// Says each of `messages` once, besides what it says at each period.
    pub fn burst(&self, messages: &[Frames]) {
        self.command(Command::Burst(messages.to_vec()));
    }

    /// How much it has heard: a mark from which to wait for more.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.record.state().heard.len()
    }

    /// All that it has heard.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.record.state().heard.clone()
    }

    /// Waits until the server under test has subscribed.
    ///
    /// # Errors
    ///
    /// When it has not after `bound`.
    pub fn wait_subscribed(&self, bound: Duration) -> Outcome<()> {
        let subscribed = self.record.wait(bound, |state| state.subscriptions > 0);
        ensure(subscribed, || "nobody subscribed to the peer".to_owned())
    }

    /// Waits for the first message behind the mark `from` that `wanted` accepts.
    ///
    /// # Errors
    ///
    /// When none comes within `bound`.
    pub fn wait_heard(
        &self,
        from: usize,
        bound: Duration,
        mut wanted: impl FnMut(&Heard) -> bool,
    ) -> Outcome<Heard> {
        let mut found = None;
        let mut next = from;
        self.record.wait(bound, |state| {
            while let Some(heard) = state.heard.get(next) {
                next += 1;
                if wanted(heard) {
                    found = Some(heard.clone());
                    return true;
                }
            }
            false
        });
        found.ok_or_else(|| {
            let heard = self.heard();
            let digits: String = heard.iter().map(|heard| shown(heard.digit())).collect();
            format!("the awaited state was not heard within {bound:?}; heard {digits:?}")
        })
    }

    /// Waits until `digit` is heard.
    ///
    /// # Errors
    ///
    /// When it is not within `bound`.
    pub fn wait_digit(&self, from: usize, digit: u8, bound: Duration) -> Outcome<Heard> {
        self.wait_heard(from, bound, |heard| heard.digit() == Some(digit))
            .map_err(|error| format!("{}: {error}", shown(Some(digit))))
    }

    /// Waits for `count` further messages and answers with them.
    ///
    /// This is how a test lets time pass for the server under test: by its own heartbeats.
    ///
    /// # Errors
    ///
    /// When fewer come within `bound`.
    pub fn next_heard(&self, count: usize, bound: Duration) -> Outcome<Vec<Heard>> {
        let mark = self.mark();
        let mut left = count;
        self.wait_heard(mark, bound, |_| {
            left -= 1;
            left == 0
        })?;
        Ok(self.heard().split_off(mark))
    }
}

fn shown(digit: Option<u8>) -> char {
    digit.map_or('?', char::from)
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A peer that panicked has already said so on its standard error.
            let _ = thread.join();
        }
    }
}

struct Script {
    publisher: zmq::Socket,
    listener: zmq::Socket,
    record: Arc<Record>,
    period: Duration,
    saying: Option<Frames>,
    next: Instant,
}

impl Script {
    fn new(config: &PeerConfig, record: Arc<Record>) -> Self {
        let context = zmq::Context::new();
        let publisher = context.socket(zmq::XPUB).expect("a socket");
        publisher.set_linger(0).expect("linger can be set");
        publisher.set_sndhwm(0).expect("the mark can be lifted");
        publisher
            .bind(&config.bind)
            .unwrap_or_else(|error| panic!("{}: {error}", config.bind));
        let listener = context.socket(zmq::SUB).expect("a socket");
        listener.set_linger(0).expect("linger can be set");
        listener.set_subscribe(b"").expect("a subscription");
        // Short, so that a server that comes later is heard at once.
        listener
            .set_reconnect_ivl(5)
            .expect("the interval can be set");
        if config.metadata {
            listener.set_subscribe(b"bstar/1").expect("a subscription");
        }
        listener
            .connect(&config.connect)
            .unwrap_or_else(|error| panic!("{}: {error}", config.connect));
        Self {
            publisher,
            listener,
            record,
            period: config.period,
            saying: None,
            next: Instant::now(),
        }
    }

    fn run(&mut self, orders: &Receiver<(Command, SyncSender<()>)>) {
        loop {
            self.receive();
            match orders.recv_timeout(Duration::from_millis(1)) {
                Ok((Command::Say(saying), done)) => {
                    self.saying = saying;
                    self.next = Instant::now();
                    self.speak();
                    let _ = done.send(());
                }
                Ok((Command::Burst(messages), done)) => {
                    for frames in &messages {
                        self.publish(frames);
                    }
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.speak(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn speak(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + self.period;
        if let Some(frames) = &self.saying {
            self.publish(frames);
        }
    }

    fn publish(&self, frames: &Frames) {
        self.publisher
            .send_multipart(frames, 0)
            .expect("a publisher does not fail");
    }

    fn receive(&self) {
        while let Ok(frames) = self.publisher.recv_multipart(zmq::DONTWAIT) {
            let is_subscription = frames
                .first()
                .is_some_and(|frame| frame.first() == Some(&1));
            self.record.state().subscriptions += usize::from(is_subscription);
            self.record.changed.notify_all();
        }
        while let Ok(frames) = self.listener.recv_multipart(zmq::DONTWAIT) {
            let at = Instant::now();
            self.record.state().heard.push(Heard { at, frames });
            self.record.changed.notify_all();
        }
    }
}
