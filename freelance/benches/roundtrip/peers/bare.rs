//! What libzmq costs, without a client around it.

use zmq::{Message, Socket};

use super::{Peer, is_echo, one_by_one, pipelined, wrong};
use crate::common::{BODY, BOUND, Result, wait_until};
use crate::meter::Times;

/// As long as those of our requests.
const CONTROL: &[u8] = b"fl/1 0123456789abcdef 10000 1";

/// A REQ to the first server, kept from request to request.
pub(crate) struct Req {
    socket: Socket,
    polls: bool,
}

impl Req {
    pub(crate) fn connect(endpoints: &[&str], polls: bool) -> Result<Self> {
        let socket = socket(zmq::REQ)?;
        for endpoint in endpoints.iter().take(1) {
            socket.connect(endpoint)?;
        }
        Ok(Self { socket, polls })
    }
}

impl Peer for Req {
    fn exchange(&mut self, _outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        one_by_one(count, times, || {
            self.socket.send(BODY, 0)?;
            if self.polls && self.socket.poll(zmq::POLLIN, bound_ms())? == 0 {
                return Err("no answer".into());
            }
            is_echo(&self.socket.recv_msg(0)?)
        })
    }
}

/// A ROUTER that knows all servers and asks the first, with the frames of our model 3 and nothing else of it.
pub(crate) struct Router {
    socket: Socket,
    first: Vec<u8>,
}

impl Router {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let first = endpoints.first().ok_or("no server")?.as_bytes().to_vec();
        let socket = connect_router(endpoints)?;
        Ok(Self { socket, first })
    }
}

impl Peer for Router {
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        let (socket, first) = (&self.socket, &self.first);
        let mut frame = Message::new();
        let send = || {
            socket.send(&first[..], zmq::SNDMORE)?;
            socket.send(CONTROL, zmq::SNDMORE)?;
            Ok(socket.send(BODY, 0)?)
        };
        let receive = || {
            socket.recv(&mut frame, 0)?;
            receive_answer(socket, &mut frame)
        };
        pipelined(outstanding, count, times, send, receive)
    }
}

/// A DEALER to the first server.
pub(crate) struct Dealer {
    socket: Socket,
}

impl Dealer {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let socket = socket(zmq::DEALER)?;
        for endpoint in endpoints.iter().take(1) {
            socket.connect(endpoint)?;
        }
        Ok(Self { socket })
    }
}

impl Peer for Dealer {
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        let socket = &self.socket;
        let mut frame = Message::new();
        let send = || {
            socket.send(CONTROL, zmq::SNDMORE)?;
            Ok(socket.send(BODY, 0)?)
        };
        let receive = || receive_answer(socket, &mut frame);
        pipelined(outstanding, count, times, send, receive)
    }
}

/// Receives the control frame and the body.
fn receive_answer(socket: &Socket, frame: &mut Message) -> Result<()> {
    socket.recv(frame, 0)?;
    if frame[..] != *CONTROL || !frame.get_more() {
        return Err(wrong());
    }
    socket.recv(frame, 0)?;
    is_echo(frame)
}

/// A ROUTER that every one of the servers has answered by its name.
pub(super) fn connect_router(endpoints: &[&str]) -> Result<Socket> {
    let socket = socket(zmq::ROUTER)?;
    socket.set_router_mandatory(true)?;
    for endpoint in endpoints {
        socket.connect(endpoint)?;
        // Until the handshake is over it knows nobody of that name.
        wait_until("a server can be addressed", || {
            match socket.send_multipart([endpoint.as_bytes(), b"PING"], 0) {
                Ok(()) => Ok(true),
                Err(zmq::Error::EHOSTUNREACH) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })?;
        let answer = socket.recv_multipart(0)?;
        if answer != [endpoint.as_bytes(), b"PONG"] {
            return Err(wrong());
        }
    }
    Ok(socket)
}

/// In a context of its own.
pub(super) fn socket(kind: zmq::SocketType) -> Result<Socket> {
    let socket = zmq::Context::new().socket(kind)?;
    socket.set_linger(0)?;
    socket.set_rcvtimeo(bound_ms().try_into()?)?;
    Ok(socket)
}

pub(super) fn bound_ms() -> i64 {
    i64::try_from(BOUND.as_millis()).unwrap_or(i64::MAX)
}
