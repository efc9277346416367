//! Whether a message of a REQ is answered.

use std::time::Duration;

use reactor::{Endpoint, Error, Interest, Scope, SocketBuilder, SocketKey, zmq};

use super::{Call, Caller, Look};

/// An answer is no larger than this, in bytes.
const LARGEST_FRAME: u64 = 1024 * 1024;
/// A connection is tried again this often: a look that begins when the server is back finds it.
const RECONNECT: Duration = Duration::from_millis(50);

pub(super) struct ZmqProbe {
    context: zmq::Context,
    endpoint: Endpoint,
    message: String,
    /// It is kept as long as it is answered: a new one owes nothing to what was before.
    pub(super) socket: Option<SocketKey>,
    looking: bool,
    frames: Vec<zmq::Message>,
}

impl ZmqProbe {
    pub(super) fn new(endpoint: Endpoint, message: String) -> ZmqProbe {
        ZmqProbe {
            context: zmq::Context::new(),
            endpoint,
            message,
            socket: None,
            looking: false,
            frames: Vec::new(),
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking
    }

    pub(super) fn begin<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        caller: Caller<S>,
    ) -> Result<(), String> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => self
                .open(scope, caller)
                .map_err(|error| error.to_string())?,
        };
        self.socket = Some(socket);
        self.looking = true;
        scope
            .send(socket, [self.message.as_str()])
            .map_err(|error| error.to_string())
    }

    fn open<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        caller: Caller<S>,
    ) -> Result<SocketKey, Error> {
        let mut builder = SocketBuilder::new(zmq::REQ)
            .linger(Duration::ZERO)
            .max_frame_bytes(LARGEST_FRAME)
            .reconnect(RECONNECT, RECONNECT);
        if self.endpoint.is_ipv6() {
            builder = builder.ipv6();
        }
        let socket = builder
            .connect(self.endpoint.as_str())
            .build(&self.context)?;
        let added = scope.add_socket(
            "health",
            socket,
            Interest::READ,
            move |state, scope, key, _| {
                caller.call(state, scope, Call::Socket(key));
                Ok(())
            },
        );
        Ok(added?)
    }

    pub(super) fn handle<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        key: SocketKey,
    ) -> Option<Look> {
        match scope.recv(key, &mut self.frames) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }

    pub(super) fn end<S: 'static>(&mut self, scope: &mut Scope<S>, well: bool) {
        self.looking = false;
        if !well && let Some(socket) = self.socket.take() {
            scope.remove_socket(socket);
        }
    }
}
