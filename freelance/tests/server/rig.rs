//! A reactor with servers on it, and clients that are turned along with it.

use std::time::{Duration, Instant};

use freelance::server::{Handle, Replier, Request, Server};
use freelance::{Error, Model};
use reactor::{BoxError, Builder, Reactor, Scope};

/// Far above what anything here takes; a test that waits so long has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A free port of this machine.
pub(crate) const ANY: &str = "tcp://127.0.0.1:*";

pub(crate) type Frames = Vec<Vec<u8>>;

/// What the handlers note and keep.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) seen: Vec<Frames>,
    pub(crate) kept: Vec<Replier>,
    pub(crate) drained: u32,
}

pub(crate) struct Rig {
    pub(crate) reactor: Reactor<App>,
    pub(crate) app: App,
    pub(crate) context: zmq::Context,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            reactor: Builder::new().signals(false).build().unwrap(),
            app: App::default(),
            context: zmq::Context::new(),
        }
    }

    /// One server that notes what it gets and echoes it.
    pub(crate) fn echo(model: Model) -> (Self, Handle) {
        let mut rig = Self::new();
        let server = rig.attach(Server::new(model, ANY), echo).unwrap();
        (rig, server)
    }

    /// One server that keeps what it gets.
    pub(crate) fn keep(server: Server<App>) -> (Self, Handle) {
        let mut rig = Self::new();
        let server = rig.attach(server, keep).unwrap();
        (rig, server)
    }

    pub(crate) fn attach(
        &mut self,
        server: Server<App>,
        handler: impl FnMut(&mut App, &mut Scope<App>, Request) -> Result<(), BoxError> + 'static,
    ) -> Result<Handle, Error> {
        server.attach(self.reactor.scope(), handler)
    }

    /// A client's socket, connected to a server.
    pub(crate) fn client(&self, kind: zmq::SocketType, server: &Handle) -> zmq::Socket {
        let socket = self.context.socket(kind).unwrap();
        socket.set_linger(0).unwrap();
        if kind == zmq::ROUTER {
            socket.set_router_mandatory(true).unwrap();
        }
        socket.connect(&server.endpoint()).unwrap();
        socket
    }

    /// Sends to the server of this name, as soon as that is there.
    pub(crate) fn send_to(&mut self, client: &zmq::Socket, name: &str, frames: &[&[u8]]) {
        let message: Frames = std::iter::once(name.as_bytes())
            .chain(frames.iter().copied())
            .map(<[u8]>::to_vec)
            .collect();
        self.turn_until("the client's link", |_| {
            client.send_multipart(&message, zmq::DONTWAIT).is_ok()
        });
    }

    /// The next message that the client gets.
    pub(crate) fn answer(&mut self, client: &zmq::Socket) -> Frames {
        let mut answer = None;
        self.turn_until("an answer", |_| {
            answer = client.recv_multipart(zmq::DONTWAIT).ok();
            answer.is_some()
        });
        answer.unwrap()
    }

    /// Turns the reactor until the condition is met.
    pub(crate) fn turn_until(&mut self, what: &str, mut condition: impl FnMut(&mut App) -> bool) {
        let start = Instant::now();
        while !condition(&mut self.app) {
            assert!(start.elapsed() < BOUND, "waited in vain for {what}");
            let timeout = Some(Duration::from_millis(1));
            self.reactor.turn(&mut self.app, timeout).unwrap();
        }
    }

    /// Answers what was kept at this place.
    pub(crate) fn reply(&mut self, at: usize, body: &str) {
        let replier = self.app.kept.remove(at);
        replier.reply(self.reactor.scope(), [body]).unwrap();
    }
}

pub(crate) fn echo(
    app: &mut App,
    scope: &mut Scope<App>,
    request: Request,
) -> Result<(), BoxError> {
    app.seen.push(body(&request));
    Ok(request.echo(scope)?)
}

pub(crate) fn keep(app: &mut App, _: &mut Scope<App>, request: Request) -> Result<(), BoxError> {
    app.seen.push(body(&request));
    app.kept.push(request.later());
    Ok(())
}

pub(crate) fn body(request: &Request) -> Frames {
    request
        .frames()
        .iter()
        .map(|frame| frame.to_vec())
        .collect()
}

/// A control frame as clients of this crate send it.
pub(crate) fn control(sequence: u64, attempt: u32) -> String {
    format!("fl/1 00000000000000ab {sequence} {attempt}")
}

pub(crate) fn frames(frames: &[&str]) -> Frames {
    frames
        .iter()
        .map(|frame| frame.as_bytes().to_vec())
        .collect()
}

pub(crate) fn send(client: &zmq::Socket, message: &[&str]) {
    client.send_multipart(message, 0).unwrap();
}
