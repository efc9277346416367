//! One client, and its connection to the server.

use std::os::fd::{AsFd, OwnedFd};

use reactor::{FdKey, Ready, Scope, TicketKey};
use rustix::io::Errno;

use super::super::Plane;
use super::flow::{Flow, Means, Moved};

pub(super) struct Connection {
    pub(super) client: FdKey,
    pub(super) stage: Stage,
    /// From the client to the server.
    pub(super) up: Flow,
    /// From the server to the client.
    pub(super) down: Flow,
    /// For how long it may stay as it is.
    pub(super) ticket: Option<TicketKey>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for the gate, and all that it says is left in the system. Whether it has voted.
    Held { voted: bool },
    /// The server is to accept.
    Connecting { server: FdKey },
    /// Both ends are there.
    Forwarding { server: FdKey },
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Connection {
    pub(super) fn new(client: FdKey) -> Self {
        Self {
            client,
            stage: Stage::Held { voted: false },
            up: Flow::default(),
            down: Flow::default(),
            ticket: None,
        }
    }

    pub(super) fn server(&self) -> Option<FdKey> {
        match self.stage {
            Stage::Held { .. } => None,
            Stage::Connecting { server } | Stage::Forwarding { server } => Some(server),
        }
    }

    /// Notes what one of its ends is ready for.
    pub(super) fn note(&mut self, side: Side, ready: Ready) {
        let (from, to) = match side {
            Side::Client => (&mut self.up, &mut self.down),
            Side::Server => (&mut self.down, &mut self.up),
        };
        if ready.readable {
            from.arrived(ready.ended);
        }
        if ready.writable {
            to.has_room();
        }
    }

    /// Hands on what the client said.
    pub(super) fn pump_up(
        &mut self,
        scope: &Scope<Plane>,
        server: FdKey,
        means: &mut Means,
    ) -> Result<Moved, Errno> {
        let Self { up, down, .. } = self;
        pump(up, down, scope, (self.client, server), means)
    }

    /// Hands on what the server said.
    pub(super) fn pump_down(
        &mut self,
        scope: &Scope<Plane>,
        server: FdKey,
        means: &mut Means,
    ) -> Result<Moved, Errno> {
        let Self { up, down, .. } = self;
        pump(down, up, scope, (server, self.client), means)
    }

    /// Hands on what is left of a server that takes nothing any more, as far as the client takes it at once; how many
    /// bytes that were. Such a server may have said why. The end is not passed on, which would say that this is all.
    pub(super) fn pump_last_words(
        &mut self,
        scope: &Scope<Plane>,
        server: FdKey,
        means: &mut Means,
    ) -> usize {
        self.down.arrived(true);
        let ends = scope.fd::<OwnedFd>(server).zip(scope.fd(self.client));
        let moved = ends.map(|(server, client): (_, &OwnedFd)| {
            self.down.pump(server.as_fd(), client.as_fd(), means)
        });
        // Either of the two may be broken, which is why these are the last.
        moved.and_then(Result::ok).map_or(0, |moved| moved.bytes)
    }

    /// Whether both ends have said all.
    pub(super) fn is_done(&self) -> bool {
        self.up.is_done() && self.down.is_done()
    }
}

fn pump(
    flow: &mut Flow,
    opposite: &Flow,
    scope: &Scope<Plane>,
    (from, to): (FdKey, FdKey),
    means: &mut Means,
) -> Result<Moved, Errno> {
    let from = scope.fd::<OwnedFd>(from).ok_or(Errno::BADF)?;
    let to = scope.fd::<OwnedFd>(to).ok_or(Errno::BADF)?;
    let moved = flow.pump(from.as_fd(), to.as_fd(), means)?;
    flow.pass_end(to.as_fd(), opposite.is_done())?;
    Ok(moved)
}
