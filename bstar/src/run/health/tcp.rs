//! Whether a connection is accepted.

use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::{FdKey, Scope};

use super::connect::{connect, outcome};
use super::{Caller, Look};

pub(super) struct TcpProbe {
    address: SocketAddr,
    stream: Option<FdKey>,
}

impl TcpProbe {
    pub(super) fn new(address: SocketAddr) -> TcpProbe {
        TcpProbe {
            address,
            stream: None,
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn begin<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        caller: Caller<S>,
    ) -> Result<(), String> {
        self.stream = Some(connect(scope, caller, self.address)?);
        Ok(())
    }

    pub(super) fn handle<S: 'static>(&mut self, scope: &mut Scope<S>, key: FdKey) -> Option<Look> {
        outcome(scope.fd::<TcpStream>(key)?)
    }

    pub(super) fn end<S: 'static>(&mut self, scope: &mut Scope<S>) {
        if let Some(key) = self.stream.take() {
            scope.remove_fd(key);
        }
    }
}
