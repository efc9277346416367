//! Asks the peer's host whether anybody listens there: a round of connects that do not block.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use reactor::{FdKey, Interest, Scope, SourceKey};

/// A host that lives refuses in a round trip. Who has not answered by then has not refused.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Some have not answered yet.
    Pending,
    /// Every port refused (`ECONNREFUSED`).
    AllRefused,
    /// One accepted, was not reached, or did not answer in time.
    Other,
}

/// The ports of the peer, and the round that is under way.
pub(super) struct Prober {
    targets: Vec<SocketAddr>,
    pending: Vec<FdKey>,
    until: Option<Instant>,
}

impl Prober {
    pub(super) fn new(targets: Vec<SocketAddr>) -> Prober {
        Prober {
            targets,
            pending: Vec::new(),
            until: None,
        }
    }

    /// Connects to every port. What was under way is given up.
    pub(super) fn begin<S: 'static>(&mut self, scope: &mut Scope<S>, owner: SourceKey) -> Round {
        self.end(scope);
        for target in &self.targets {
            match TcpStream::connect(*target) {
                // The descriptor tells by becoming writable, whatever the answer is.
                Ok(stream) => match scope.own_fd(owner, 0, stream, Interest::WRITE) {
                    Ok(key) => self.pending.push(key),
                    Err(error) => {
                        tracing::warn!(%error, "the peer's ports cannot be asked");
                        return self.conclude(scope, Round::Other);
                    }
                },
                Err(error) if is_refusal(&error) => {}
                Err(error) => {
                    tracing::debug!(%target, %error, "not refused");
                    return self.conclude(scope, Round::Other);
                }
            }
        }
        self.until = Some(scope.fresh_now() + ANSWER_WITHIN);
        self.check(scope)
    }

    /// A descriptor is ready.
    pub(super) fn handle_fd<S: 'static>(&mut self, scope: &mut Scope<S>, key: FdKey) -> Round {
        let answer = match scope.fd::<TcpStream>(key) {
            Some(stream) => answer(stream),
            None => return Round::Pending,
        };
        match answer {
            Some(Err(error)) if is_refusal(&error) => {
                self.pending.retain(|other| *other != key);
                scope.remove_fd(key);
                self.check(scope)
            }
            Some(answer) => {
                tracing::debug!(?answer, "not refused");
                self.conclude(scope, Round::Other)
            }
            None => Round::Pending,
        }
    }

    /// Time passed.
    pub(super) fn handle_timeout<S: 'static>(&mut self, scope: &mut Scope<S>) -> Round {
        if self.until.is_some_and(|until| scope.fresh_now() >= until) {
            tracing::debug!(unanswered = self.pending.len(), "not refused");
            return self.conclude(scope, Round::Other);
        }
        Round::Pending
    }

    /// When [`Prober::handle_timeout`] is due, if it is.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Gives up what is under way.
    pub(super) fn end<S: 'static>(&mut self, scope: &mut Scope<S>) {
        self.until = None;
        for key in self.pending.drain(..) {
            scope.remove_fd(key);
        }
    }

    fn check<S: 'static>(&mut self, scope: &mut Scope<S>) -> Round {
        if self.pending.is_empty() {
            self.conclude(scope, Round::AllRefused)
        } else {
            Round::Pending
        }
    }

    fn conclude<S: 'static>(&mut self, scope: &mut Scope<S>, round: Round) -> Round {
        self.end(scope);
        round
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused
}

/// What came of a connect, if anything has.
fn answer(stream: &TcpStream) -> Option<io::Result<SocketAddr>> {
    match (stream.take_error(), stream.peer_addr()) {
        (Ok(Some(error)) | Err(error), _) => Some(Err(error)),
        (Ok(None), Ok(peer)) => Some(Ok(peer)),
        (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => None,
        (Ok(None), Err(error)) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use reactor::{BoxError, Builder, Error, Event, Source};

    use super::*;

    /// Asks once.
    struct Once(Prober);

    impl Source<Round> for Once {
        fn start(&mut self, scope: &mut Scope<Round>, me: SourceKey) -> Result<(), Error> {
            let round = self.0.begin(scope, me);
            if round != Round::Pending {
                // It was known at once, and there is no state yet to tell it to.
                scope.defer(move |state, _| *state = round);
            }
            if let Some(at) = self.0.next_deadline() {
                scope.own_timer(me, 0, at)?;
            }
            Ok(())
        }

        fn on_event(
            &mut self,
            round: &mut Round,
            scope: &mut Scope<Round>,
            event: Event,
        ) -> Result<(), BoxError> {
            match event {
                Event::Fd { key, .. } => *round = self.0.handle_fd(scope, key),
                Event::Timer { .. } => *round = self.0.handle_timeout(scope),
                _ => {}
            }
            assert_eq!(self.0.pending.is_empty(), *round != Round::Pending);
            Ok(())
        }
    }

    fn ask(targets: Vec<SocketAddr>) -> Round {
        let mut reactor = Builder::new().signals(false).build().unwrap();
        let once = Once(Prober::new(targets));
        reactor.scope().add_source("once", once).unwrap();
        let mut round = Round::Pending;
        reactor
            .run_until(&mut round, |round| *round != Round::Pending)
            .unwrap();
        round
    }

    /// Addresses at which nobody listens: they were given to a listener that is gone.
    fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[test]
    fn only_if_every_port_refuses_all_have_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(ask(vec![free(), free(), free()]), Round::AllRefused);
        assert_eq!(ask(vec![open]), Round::Other);
        assert_eq!(ask(vec![free(), open, free()]), Round::Other);
    }

    #[test]
    fn who_does_not_answer_has_not_refused() {
        // A queue of one that is full: the system drops what comes beyond it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let full = listener.local_addr().unwrap();
        let _held: Vec<_> = (0..4).map(|_| TcpStream::connect(full).unwrap()).collect();
        assert_eq!(ask(vec![free(), full]), Round::Other);
    }

    #[test]
    fn an_address_that_cannot_be_reached_has_not_refused() {
        // Nobody is connected to by a broadcast.
        assert_eq!(
            ask(vec!["255.255.255.255:9".parse().unwrap()]),
            Round::Other
        );
    }
}
