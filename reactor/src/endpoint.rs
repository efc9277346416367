//! Endpoints, checked before libzmq sees them.
//!
//! libzmq looks a host name up only when it connects, again and again and in silence. A program
//! that is given a name with a typo in it should say so.

use std::fmt;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;

/// An endpoint that libzmq can bind or connect to: `tcp://HOST:PORT`, `ipc://PATH` or
/// `inproc://NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(String);

/// What is wrong with an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It does not parse.
    #[error("{text:?} is no endpoint: {reason}; write for example tcp://192.0.2.1:5003")]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its host name cannot be looked up.
    #[error("the host of {endpoint} cannot be found: {reason}; check the name, or give an address")]
    Host {
        /// The endpoint.
        endpoint: String,
        /// What the look-up said.
        reason: String,
    },
}

impl Endpoint {
    /// An endpoint to bind. Its host may be `*` or the name of an interface, its port `*`.
    pub fn to_bind(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, true)
    }

    /// An endpoint to connect to.
    pub fn to_connect(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, false)
    }

    fn parse(text: &str, wildcards: bool) -> Result<Endpoint, EndpointError> {
        let wrong = |reason| EndpointError::Syntax {
            text: text.to_owned(),
            reason,
        };
        if text.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(wrong("it has white space or control characters"));
        }
        match text.split_once("://") {
            Some(("tcp", address)) => {
                let (host, port) = address
                    .rsplit_once(':')
                    .ok_or_else(|| wrong("the port is missing"))?;
                check_host(host, wildcards).map_err(wrong)?;
                check_port(port, wildcards).map_err(wrong)?;
            }
            Some(("ipc" | "inproc", "")) => return Err(wrong("the name is missing")),
            Some(("ipc" | "inproc", _)) => {}
            Some(_) => return Err(wrong("its transport is not tcp, ipc or inproc")),
            None => return Err(wrong("it does not begin with a transport such as tcp://")),
        }
        Ok(Endpoint(text.to_owned()))
    }

    /// Looks the host name up, so that a wrong one is an error now instead of a silence later.
    ///
    /// This may block for as long as the system's resolver does. A node that must start while
    /// its peer's name cannot be looked up is given an address.
    pub fn resolve(&self) -> Result<(), EndpointError> {
        let Some(address) = self.0.strip_prefix("tcp://") else {
            return Ok(());
        };
        let wrong = |reason| EndpointError::Host {
            endpoint: self.0.clone(),
            reason,
        };
        let mut found = address
            .to_socket_addrs()
            .map_err(|e| wrong(e.to_string()))?;
        if self.is_ipv6() || found.any(|address| address.is_ipv4()) {
            Ok(())
        } else {
            Err(wrong(
                "it has no IPv4 address; give the IPv6 address in brackets".to_owned(),
            ))
        }
    }

    /// The text that libzmq takes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether binding it would take a path in the file system away from somebody: libzmq removes what is there.
    ///
    /// True where a socket listens, and where there is anything else than a socket. A socket at which nobody listens
    /// is left over, and free.
    pub fn is_taken(&self) -> bool {
        self.ipc_path().is_some_and(|path| {
            let is_socket = |there: std::fs::Metadata| there.file_type().is_socket();
            match std::fs::symlink_metadata(path).map(is_socket) {
                Ok(true) => UnixStream::connect(path).is_ok(),
                Ok(false) => true,
                Err(_) => false,
            }
        })
    }

    /// The path of a socket in the file system.
    fn ipc_path(&self) -> Option<&str> {
        // With an `@` the name is in Linux's abstract namespace.
        self.0
            .strip_prefix("ipc://")
            .filter(|path| !path.starts_with('@'))
    }

    /// Whether it stays within a context.
    pub fn is_inproc(&self) -> bool {
        self.0.starts_with("inproc://")
    }

    /// Whether sockets need `ZMQ_IPV6` for it.
    pub fn is_ipv6(&self) -> bool {
        self.0.starts_with("tcp://[")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_host(host: &str, wildcards: bool) -> Result<(), &'static str> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match (host, bracketed) {
        ("", _) => Err("the host is missing"),
        ("*", _) if wildcards => Ok(()),
        ("*", _) => Err("a wildcard can be bound, not connected to"),
        (_, Some(address)) if address.parse::<std::net::Ipv6Addr>().is_ok() => Ok(()),
        (_, Some(_)) => Err("what is in brackets is no IPv6 address"),
        (host, None) if host.contains([':', '[', ']', '/', '@']) => {
            Err("the host has a character that a name has not; an IPv6 address needs brackets")
        }
        (_, None) => Ok(()),
    }
}

fn check_port(port: &str, wildcards: bool) -> Result<(), &'static str> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        _ if port == "*" && wildcards => Ok(()),
        Ok(0) if wildcards => Ok(()),
        Ok(1..) if digits => Ok(()),
        _ => Err("the port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_ones_are_taken() {
        for text in [
            "tcp://localhost:5001",
            "tcp://[::1]:5001",
            "ipc:///tmp/x",
            "inproc://x",
        ] {
            assert_eq!(Endpoint::to_connect(text).unwrap().as_str(), text);
        }
        for text in ["tcp://*:5001", "tcp://127.0.0.1:*", "tcp://eth0:0"] {
            assert!(Endpoint::to_bind(text).is_ok(), "{text}");
            assert!(Endpoint::to_connect(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_ones_are_named() {
        for text in [
            "",
            "5001",
            "localhost:5001",
            "http://localhost:5001",
            "tcp://localhost",
            "tcp://:5001",
            "tcp://localhost:",
            "tcp://localhost:port",
            "tcp://localhost:65536",
            "tcp://localhost:+1",
            "tcp://a b:1",
            "tcp://::1:5001",
            "tcp://[::g]:1",
            "ipc://",
            "tcp://host/path:1",
            "tcp://localhost:5001\0",
        ] {
            for parsed in [Endpoint::to_bind(text), Endpoint::to_connect(text)] {
                let error = parsed.unwrap_err().to_string();
                assert!(error.contains("is no endpoint"), "{error}");
                assert!(!error.contains('\n') && !error.contains('\0'));
            }
        }
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error() {
        let wrong = Endpoint::to_connect("tcp://no-such-host.invalid:5001").unwrap();
        assert!(wrong.resolve().is_err());
        Endpoint::to_connect("tcp://127.0.0.1:5001")
            .unwrap()
            .resolve()
            .unwrap();
        Endpoint::to_connect("ipc:///tmp/x")
            .unwrap()
            .resolve()
            .unwrap();
    }
}
