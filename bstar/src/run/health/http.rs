//! Whether a GET is answered with the right status.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::{FdKey, Interest, Scope};

use super::connect::{connect, outcome};
use super::{Caller, Look};

/// The head of an answer is no longer than this, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

pub(super) struct HttpProbe {
    address: SocketAddr,
    request: Vec<u8>,
    /// Any from 200 to 399, if none is given.
    status: Option<u16>,
    look: Option<Progress>,
}

struct Progress {
    stream: FdKey,
    phase: Phase,
}

enum Phase {
    Connecting,
    /// So much of the request was sent.
    Asking(usize),
    /// What came of the answer.
    Reading(Vec<u8>),
}

impl HttpProbe {
    pub(super) fn new(
        address: SocketAddr,
        host: &str,
        path: &str,
        status: Option<u16>,
    ) -> HttpProbe {
        let agent = concat!("bstar/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        HttpProbe {
            address,
            request: request.into_bytes(),
            status,
            look: None,
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn begin<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        caller: Caller<S>,
    ) -> Result<(), String> {
        self.look = Some(Progress {
            stream: connect(scope, caller, self.address)?,
            phase: Phase::Connecting,
        });
        Ok(())
    }

    pub(super) fn handle<S: 'static>(&mut self, scope: &mut Scope<S>, key: FdKey) -> Option<Look> {
        let phase = &mut self.look.as_mut()?.phase;
        if matches!(phase, Phase::Connecting) {
            match outcome(scope.fd::<TcpStream>(key)?)? {
                Ok(()) => *phase = Phase::Asking(0),
                Err(why) => return Some(Err(why)),
            }
        }
        if let Phase::Asking(sent) = phase {
            let stream = scope.fd::<TcpStream>(key)?;
            match ask(stream, &self.request, sent) {
                Ok(true) => *phase = Phase::Reading(Vec::new()),
                Ok(false) => return None,
                Err(error) => return Some(Err(error.to_string())),
            }
            if let Err(error) = scope.set_interest(key, Interest::READ) {
                return Some(Err(error.to_string()));
            }
        }
        match phase {
            Phase::Reading(head) => read(scope.fd::<TcpStream>(key)?, head, self.status),
            Phase::Connecting | Phase::Asking(_) => None,
        }
    }

    pub(super) fn end<S: 'static>(&mut self, scope: &mut Scope<S>) {
        if let Some(look) = self.look.take() {
            scope.remove_fd(look.stream);
        }
    }
}

/// Sends what is left of the request. Tells whether that was all.
fn ask(mut stream: &TcpStream, request: &[u8], sent: &mut usize) -> std::io::Result<bool> {
    while *sent < request.len() {
        match stream.write(&request[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads one helping of the answer, and judges what has come.
fn read(mut stream: &TcpStream, head: &mut Vec<u8>, wanted: Option<u16>) -> Option<Look> {
    let mut bytes = [0; 2048];
    let count = match stream.read(&mut bytes) {
        Ok(0) => {
            return Some(Err(
                "it closed the connection before it had answered".to_owned()
            ));
        }
        Ok(count) => count,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return None;
        }
        Err(error) => return Some(Err(error.to_string())),
    };
    head.extend_from_slice(&bytes[..count]);
    let look = judge(head, wanted);
    if look.is_none() && head.len() > LONGEST_HEAD {
        return Some(Err(format!(
            "the head of its answer has more than {LONGEST_HEAD} bytes"
        )));
    }
    look
}

/// Judges the head of an answer, once it is complete. What comes before the final answer is taken away.
fn judge(head: &mut Vec<u8>, wanted: Option<u16>) -> Option<Look> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(head) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return None,
            Err(error) => return Some(Err(format!("its answer is no HTTP: {error}"))),
        };
        let status = answer.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            head.drain(..length);
            continue;
        }
        let good = wanted.map_or((200..400).contains(&status), |wanted| status == wanted);
        return Some(if good {
            Ok(())
        } else {
            Err(format!("status {status}"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(head: &str, wanted: Option<u16>) -> Option<Look> {
        judge(&mut head.as_bytes().to_vec(), wanted)
    }

    #[test]
    fn the_status_decides() {
        let answer = |status: u16| format!("HTTP/1.1 {status} Some words\r\nA: b\r\n\r\nbody");
        for (status, good) in [
            (200, true),
            (204, true),
            (302, true),
            (404, false),
            (503, false),
        ] {
            let look = judged(&answer(status), None).unwrap();
            assert_eq!(look.is_ok(), good, "{status}");
        }
        assert_eq!(judged(&answer(404), Some(404)), Some(Ok(())));
        let why = "status 200".to_owned();
        assert_eq!(judged(&answer(200), Some(404)), Some(Err(why)));
    }

    #[test]
    fn a_head_that_is_not_complete_says_nothing_yet() {
        let answer = "HTTP/1.0 200 OK\r\nServer: x\r\n\r\n";
        for length in 0..answer.len() {
            assert_eq!(judged(&answer[..length], None), None, "{length}");
        }
        assert_eq!(judged(answer, None), Some(Ok(())));
    }

    #[test]
    fn what_comes_before_the_answer_is_none() {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        assert_eq!(judged(early, None), None);
        let both = format!("{early}{early}HTTP/1.1 500 No\r\n\r\n");
        assert_eq!(judged(&both, None), Some(Err("status 500".to_owned())));
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "\0\0\0\0",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\0: x\r\n\r\n",
        ] {
            assert!(matches!(judged(text, None), Some(Err(_))), "{text:?}");
        }
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(MOST_HEADERS + 1)
        );
        assert!(matches!(judged(&many, None), Some(Err(_))));
    }
}
