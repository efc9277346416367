//! From a client that may be served to its server, and all that goes between the two.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

use reactor::{FdKey, Scope};
use rustix::io::Errno;
use rustix::net::{connect, getpeername, getsockname, sockopt};

use super::connection::{Side, Stage};
use super::door::{meets_itself, stream_socket};
use super::drain::Drain;
use super::{Close, TcpFront, proxy, tag_of};
use crate::run::front::{Gate, Plane};

impl TcpFront {
    pub(super) fn connect(&mut self, scope: &mut Scope<Plane>, index: usize) -> Result<(), Errno> {
        let Some((owned, connection)) = self.owned.zip(self.connections.get_mut(index)) else {
            return Ok(());
        };
        if self.config.proxy_protocol {
            let client = scope.fd::<OwnedFd>(connection.client).ok_or(Errno::BADF)?;
            let Ok(Some(theirs)) = getpeername(client) else {
                // It left before it was let in, which is nothing that the server did.
                self.close(scope, index, Close::Quiet);
                return Ok(());
            };
            let header = proxy::header(theirs.try_into()?, getsockname(client)?.try_into()?);
            connection.up.put_first(&header, &mut self.means);
        }
        let address = self.config.server;
        let socket = stream_socket(address)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let tag = tag_of(index, Side::Server);
        let server = scope.own_edge_fd(owned.me, tag, socket);
        let server = server.map_err(|_| Errno::NOMEM)?;
        connection.stage = Stage::Connecting { server };
        self.be_patient(scope, index);
        Ok(())
    }

    pub(super) fn connected(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
    ) {
        let socket = scope.fd::<OwnedFd>(server);
        if socket.is_some_and(|socket| meets_itself(socket, self.config.server)) {
            return self.fail(scope, index, Errno::CONNREFUSED);
        }
        self.warned = false;
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.stage = Stage::Forwarding { server };
        if let Some(ticket) = connection.ticket.take() {
            scope.cancel_ticket(ticket);
        }
        if let Some(idle) = self.owned.and_then(|owned| owned.idle) {
            connection.ticket = scope.issue_ticket(idle, index as u64).ok();
        }
        self.forward(plane, scope, index, server);
    }

    pub(super) fn forward(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
    ) {
        let may_give = self.may_give(plane);
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let takes = connection.up.is_ready() && self.drain == Drain::None;
        let may_take = takes && self.may_take(plane);
        if takes && !may_take && plane.gate == Gate::Open {
            self.ask_later(scope);
        }
        match self.pump(scope, index, server, may_take, may_give) {
            Ok(true) => self.close(scope, index, Close::Quiet),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(front = %self.config.name, %error, "a connection broke");
                self.close(scope, index, Close::Reset);
            }
        }
    }

    /// Moves what is there, in each direction that is allowed. Tells whether the connection is at its end.
    fn pump(
        &mut self,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
        take: bool,
        give: bool,
    ) -> Result<bool, Errno> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(false);
        };
        let mut bytes = 0;
        if take {
            let moved = match connection.pump_up(scope, server, &mut self.means) {
                Ok(moved) => moved,
                Err(error) => {
                    if give {
                        let bytes = connection.pump_last_words(scope, server, &mut self.means);
                        self.counts.bytes_out.fetch_add(bytes as u64, Relaxed);
                    }
                    return Err(error);
                }
            };
            self.counts.bytes_in.fetch_add(moved.bytes as u64, Relaxed);
            bytes += moved.bytes;
            if moved.unfinished {
                scope.call_again(connection.client);
            }
        }
        if give && connection.down.is_ready() {
            let moved = connection.pump_down(scope, server, &mut self.means)?;
            self.counts.bytes_out.fetch_add(moved.bytes as u64, Relaxed);
            bytes += moved.bytes;
            if moved.unfinished {
                scope.call_again(server);
            }
            if let Drain::Listening { heard, .. } = &mut self.drain
                && moved.bytes > 0
            {
                *heard = scope.now();
            }
        }
        if bytes > 0
            && let Some(ticket) = connection.ticket
        {
            scope.reset_ticket(ticket);
        }
        Ok(connection.is_done())
    }
}
