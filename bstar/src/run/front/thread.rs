//! The thread that runs all front ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use reactor::{ErrorPolicy, Reactor, SourceKey};

use super::room::make_room;
use super::tcp::TcpFront;
use super::zmq::ZmqFront;
use super::{FrontCounts, FrontError, FrontEvent, FrontView, Gate, Plane};
use crate::run::config::{TcpConfig, ZmqConfig};
use crate::server::Handle;

/// How long [`FrontEnds::end`] waits for the thread.
const END_WITHIN: Duration = Duration::from_secs(2);

/// All front ends, on a thread of their own. When dropped they end without being waited for.
pub(crate) struct FrontEnds {
    views: Vec<FrontView>,
    endpoints: Vec<String>,
    reactor: reactor::Handle<Plane>,
    fronts: Arc<[SourceKey]>,
    /// Front ends that still drain.
    undrained: Arc<AtomicUsize>,
    ended: Receiver<()>,
}

/// Front ends that are bound, by their names.
#[derive(Default)]
struct Opened {
    tcp: Vec<(String, TcpFront)>,
    zmq: Vec<(String, ZmqFront)>,
}

/// What its thread says when it has begun.
struct Begun {
    reactor: reactor::Handle<Plane>,
    fronts: Arc<[SourceKey]>,
}

impl FrontEnds {
    /// Binds all of them and runs them, with the gate closed. `tell` is called on their thread, and is not to block.
    ///
    /// # Errors
    ///
    /// When one cannot be bound; then none of them is.
    pub(crate) fn start(
        tcp: &[TcpConfig],
        zmq: &[ZmqConfig],
        node: Handle,
        tell: Box<dyn FnMut(FrontEvent) + Send>,
    ) -> Result<FrontEnds, FrontError> {
        let limits = make_room(tcp);
        let mut views = Vec::new();
        let mut view = |name: &str| {
            let counts = Arc::new(FrontCounts::default());
            views.push(FrontView {
                name: name.to_owned(),
                counts: Arc::clone(&counts),
            });
            counts
        };
        let mut fronts = Opened::default();
        let mut endpoints = Vec::new();
        for (config, max_connections) in tcp.iter().zip(limits) {
            let config = TcpConfig {
                max_connections,
                ..config.clone()
            };
            let front = TcpFront::open(&config, view(&config.name))?;
            endpoints.push(front.address().to_string());
            fronts.tcp.push((config.name.clone(), front));
        }
        for config in zmq {
            let name = &config.name;
            let front = ZmqFront::open(config, view(name)).map_err(|error| FrontError::Socket {
                name: name.clone(),
                error,
            })?;
            endpoints.push(front.endpoint().to_owned());
            fronts.zmq.push((name.clone(), front));
        }
        let undrained = Arc::new(AtomicUsize::new(0));
        let plane = Plane {
            gate: Gate::Closed,
            settings: 0,
            closings: 0,
            node,
            tell: tell_of_all(tell, Arc::clone(&undrained)),
        };
        let (begin, begun) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        thread::Builder::new()
            .name("front ends".to_owned())
            .spawn(move || run(plane, fronts, &begin, &end))?;
        // It answers at once, or ends without an answer, by a panic that was reported.
        let Begun { reactor, fronts } = begun
            .recv()
            .map_err(|_| std::io::Error::other("their thread ended"))??;
        Ok(FrontEnds {
            views,
            endpoints,
            reactor,
            fronts,
            undrained,
            ended,
        })
    }

    /// Has them do so from now on. Closing and opening in a row is no less than closing.
    pub(crate) fn set_gate(&self, gate: Gate) {
        let (fronts, undrained) = (Arc::clone(&self.fronts), Arc::clone(&self.undrained));
        let posted = self.reactor.post(move |plane, scope| {
            plane.gate = gate;
            plane.settings += 1;
            plane.closings += u64::from(gate == Gate::Closed);
            undrained.store(fronts.len(), Ordering::Relaxed);
            let waker = scope.waker();
            for front in fronts.iter() {
                waker.notify(*front);
            }
        });
        if let Err(error) = posted {
            tracing::error!(?gate, %error, "the front ends cannot be told");
        }
    }

    /// What they count, in the order in which they were given.
    pub(crate) fn views(&self) -> &[FrontView] {
        &self.views
    }

    /// Where they are bound, those of TCP first, in the order in which they were given.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Resets all clients and ends the thread; a thread that does not end within two seconds is left behind.
    pub(crate) fn end(self) {
        self.reactor.stop();
        if self.ended.recv_timeout(END_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the front ends do not end");
        }
    }
}

#[cfg(test)]
impl FrontEnds {
    /// Has their thread do this between two turns, or hang in it.
    pub(super) fn interpose(&self, work: impl FnOnce() + Send + 'static) {
        self.reactor.post(move |_, _| work()).unwrap();
    }
}

impl Drop for FrontEnds {
    fn drop(&mut self) {
        self.reactor.stop();
    }
}

/// The thread.
fn run(
    mut plane: Plane,
    opened: Opened,
    begin: &SyncSender<Result<Begun, FrontError>>,
    end: &SyncSender<()>,
) {
    // Without metrics, which would read the clock for every message.
    let reactor = Reactor::<Plane>::builder()
        .signals(false)
        .metrics(false)
        .build();
    let mut reactor = match reactor {
        Ok(reactor) => reactor,
        Err(error) => return drop(begin.send(Err(error.into()))),
    };
    let begun = register(&mut reactor, opened).map_err(FrontError::from);
    let failed = begun.is_err();
    // Whoever waits for it does so for as long as it takes.
    let _ = begin.send(begun);
    if failed {
        return;
    }
    match catch_unwind(AssertUnwindSafe(|| reactor.run(&mut plane))) {
        Ok(Ok(())) => {}
        // Half of a node is none: the peer is to take over.
        Ok(Err(error)) => give_up(&error.to_string()),
        Err(_) => give_up("they panicked"),
    }
    // What was left behind has been logged.
    let _ = reactor.end(END_WITHIN);
    let _ = end.send(());
}

fn register(reactor: &mut Reactor<Plane>, opened: Opened) -> Result<Begun, reactor::Error> {
    let scope = reactor.scope();
    let mut fronts = Vec::new();
    for (name, front) in opened.tcp {
        fronts.push(scope.add_source(&name, front)?);
    }
    for (name, front) in opened.zmq {
        fronts.push(scope.add_source(&name, front)?);
    }
    for front in &fronts {
        // What befalls one client is no reason to end; nor is it one for a front end to leave the others.
        scope.set_policy(*front, ErrorPolicy::Tolerate);
    }
    Ok(Begun {
        fronts: fronts.into(),
        reactor: reactor.handle(),
    })
}

/// Lets the conductor hear of a drain when all have said that theirs is over.
fn tell_of_all(
    mut tell: Box<dyn FnMut(FrontEvent) + Send>,
    undrained: Arc<AtomicUsize>,
) -> Box<dyn FnMut(FrontEvent) + Send> {
    Box::new(move |event| {
        if event != FrontEvent::Drained || undrained.fetch_sub(1, Ordering::Relaxed) == 1 {
            tell(event);
        }
    })
}

fn give_up(why: &str) -> ! {
    tracing::error!(why, "the front ends have ended; this node ends with them");
    crate::programs::finish_saying();
    std::process::exit(1)
}
