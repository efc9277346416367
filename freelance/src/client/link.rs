//! The sockets of one attempt at a link, and what libzmq tells of it.
//!
//! Each attempt has a socket of its own, and libzmq is told not to reconnect. So what is said of a link can only be
//! about this one; nothing that waits in a socket is ever sent to the process that comes after (F5); and a ROUTER
//! knows one peer, whose identity no earlier pipe can hold.

use std::time::Duration;

use reactor::{Endpoint, Interest, Scope, SocketBuilder, SocketKey, SourceKey, zmq};

use crate::{Config, Error, Model};

/// libzmq is not to reconnect while the host has not yet seen that a link ended.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// Messages that a queue holds beside the requests that may be under way.
const SPARE: u32 = 100;
/// I/O threads at most, since libzmq resolves names on them, one after the other.
const MAX_THREADS: usize = 16;

/// Where links come from.
pub(super) struct Dialler {
    context: zmq::Context,
    /// I/O threads of a context that is the client's own. The first is for addresses, the others for names: one that
    /// takes long to resolve holds up nobody who needs no looking up.
    threads: Option<usize>,
    next_thread: usize,
}

/// The sockets of a link.
#[derive(Clone, Copy)]
pub(super) struct Sockets {
    /// Where requests go out and replies come in.
    pub(super) line: SocketKey,
    /// What tells of the line.
    pub(super) monitor: SocketKey,
}

impl Dialler {
    /// Links of a context that others use too, or of one of their own.
    pub(super) fn new(shared: Option<zmq::Context>, endpoints: &[Endpoint]) -> Result<Self, Error> {
        let mut dialler = Self {
            context: shared.clone().unwrap_or_default(),
            threads: None,
            next_thread: 1,
        };
        if shared.is_none() {
            let named = endpoints.iter().filter(|endpoint| is_name(endpoint));
            let threads = (1 + named.count().max(1)).min(MAX_THREADS);
            dialler.threads = Some(threads);
            let count = i32::try_from(threads).unwrap_or(1);
            dialler
                .context
                .set_io_threads(count)
                .map_err(reactor::Error::from)?;
        }
        Ok(dialler)
    }

    /// The context, if it is the client's own.
    pub(super) fn own_context(&self) -> Option<zmq::Context> {
        self.threads.map(|_| self.context.clone())
    }

    /// The I/O threads that may serve a server's links, as ZMQ_AFFINITY has it; 0 for any.
    pub(super) fn affinity(&mut self, endpoint: &Endpoint) -> u64 {
        match self.threads {
            None => 0,
            Some(_) if !is_name(endpoint) => 1,
            Some(threads) => {
                let thread = self.next_thread;
                self.next_thread = (thread % (threads - 1)) + 1;
                1 << thread
            }
        }
    }

    /// Begins an attempt. The line is known by `tag`, its monitor by the next one.
    pub(super) fn dial<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        me: SourceKey,
        tag: usize,
        to: (&Endpoint, u64),
        config: &Config,
    ) -> Result<Sockets, Error> {
        let line = self.socket(kind(config.model), to, config)?;
        let line = scope
            .own_socket(me, tag, line, Interest::READ)
            .map_err(|rejected| rejected.error)?;
        let begun = self.begin(scope, me, tag + 1, line, to.0);
        if begun.is_err() {
            drop(scope.remove_socket(line));
        }
        begun
    }

    /// A DEALER that asks a server of model 3 whether it lives, to see its identity at the answer.
    pub(super) fn ask_name<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        me: SourceKey,
        tag: usize,
        to: (&Endpoint, u64),
        config: &Config,
    ) -> Result<SocketKey, Error> {
        let asker = self.socket(zmq::DEALER, to, config)?;
        let asker = scope
            .own_socket(me, tag, asker, Interest::READ)
            .map_err(|rejected| rejected.error)?;
        let asked = scope
            .with_socket(asker, |socket| socket.connect(to.0.as_str()))
            .and_then(|connected| Ok(connected?))
            .and_then(|()| scope.send(asker, [crate::wire::PING]));
        match asked {
            Ok(()) => Ok(asker),
            Err(error) => {
                drop(scope.remove_socket(asker));
                Err(error.into())
            }
        }
    }

    fn begin<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        me: SourceKey,
        tag: usize,
        line: SocketKey,
        endpoint: &Endpoint,
    ) -> Result<Sockets, Error> {
        let monitor = scope.own_monitor(me, tag, &self.context, line)?;
        let connected = scope.with_socket(line, |line| line.connect(endpoint.as_str()))?;
        match connected {
            Ok(()) => Ok(Sockets { line, monitor }),
            Err(error) => {
                drop(scope.remove_socket(monitor));
                Err(rejected(endpoint.as_str(), error.message()))
            }
        }
    }

    fn socket(
        &self,
        kind: zmq::SocketType,
        (endpoint, affinity): (&Endpoint, u64),
        config: &Config,
    ) -> Result<zmq::Socket, Error> {
        // Room for all that may be under way, and for PINGs beside it.
        let limit = u32::try_from(config.max_outstanding).unwrap_or(u32::MAX);
        let limit = limit.saturating_add(SPARE);
        let mut builder = SocketBuilder::new(kind)
            .linger(Duration::ZERO)
            .reconnect(NEVER, NEVER)
            .connect_timeout(config.dial_timeout)
            // A half-open link is noticed whether or not requests are under way, and between the calls of a client
            // that blocks too. For models 1 and 2 it is the only sign.
            .heartbeat(config.ping_interval, config.suspect_after())
            .send_hwm(limit)
            .recv_hwm(limit)
            .max_frame_bytes(config.max_reply_frame_bytes as u64);
        if kind == zmq::ROUTER {
            builder = builder.mandatory();
        }
        if endpoint.is_ipv6() {
            builder = builder.ipv6();
        }
        let socket = builder.build(&self.context)?;
        socket
            .set_affinity(affinity)
            .map_err(reactor::Error::from)?;
        Ok(socket)
    }
}

/// Refuses what libzmq would take, and only fail at later, or what a client cannot use.
pub(super) fn check_endpoint(endpoint: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::to_connect(endpoint)?;
    if endpoint.is_inproc() {
        let reason = "an inproc link cannot be watched; use tcp:// or ipc://";
        return Err(rejected(endpoint.as_str(), reason));
    }
    if endpoint.as_str().len() > 255 {
        let reason = "an address has at most 255 bytes, as an identity has";
        return Err(rejected(endpoint.as_str(), reason));
    }
    Ok(endpoint)
}

fn kind(model: Model) -> zmq::SocketType {
    match model {
        Model::One | Model::Two => zmq::DEALER,
        Model::Three => zmq::ROUTER,
    }
}

fn rejected(endpoint: &str, reason: &str) -> Error {
    Error::Server {
        endpoint: endpoint.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Whether libzmq has to look it up.
fn is_name(endpoint: &Endpoint) -> bool {
    let host = endpoint
        .as_str()
        .strip_prefix("tcp://")
        .and_then(|address| address.rsplit_once(':'))
        .map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']'));
    host.is_some_and(|host| host.parse::<std::net::IpAddr>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_cannot_work_are_named_with_the_reason() {
        for good in [
            "tcp://127.0.0.1:5001",
            "tcp://[::1]:5001",
            "tcp://name:1",
            "ipc:///tmp/x",
        ] {
            check_endpoint(good).unwrap();
        }
        let long = format!("ipc:///{}", "x".repeat(256));
        let bad = [
            "",
            "5001",
            "localhost:1",
            "inproc://x",
            "udp://1.2.3.4:5",
            "tcp://*:5001",
            &long,
        ];
        for bad in bad {
            let text = check_endpoint(bad).unwrap_err().to_string();
            assert!(text.contains(bad), "{text}");
        }
    }

    #[test]
    fn names_have_threads_of_their_own() {
        let endpoints: Vec<_> = [
            "tcp://127.0.0.1:1",
            "tcp://a.example:1",
            "tcp://[::1]:1",
            "tcp://b.example:1",
        ]
        .into_iter()
        .map(|endpoint| check_endpoint(endpoint).unwrap())
        .collect();
        let mut dialler = Dialler::new(None, &endpoints).unwrap();
        let affinities: Vec<_> = endpoints.iter().map(|e| dialler.affinity(e)).collect();
        assert_eq!(affinities, [1, 2, 1, 4]);
        let mut shared = Dialler::new(Some(zmq::Context::new()), &endpoints).unwrap();
        assert_eq!(shared.affinity(&endpoints[1]), 0);
    }
}
