//! The server's socket, and the name that it goes by.

use std::net::{TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use reactor::{Endpoint, SocketBuilder, SocketError, last_endpoint};

use super::Config;
use super::config::bad;
use crate::{Error, Model};

/// How long it is tried to bind a port that the system named as free, before the system is asked again.
const FREE_WITHIN: Duration = Duration::from_millis(100);
/// How many ports the system is asked for.
const PORTS: usize = 10;

/// A ROUTER that is bound, and what it is called.
pub(super) struct Bound {
    pub(super) socket: zmq::Socket,
    pub(super) endpoint: String,
    pub(super) identity: Option<String>,
}

/// Binds the ROUTER of a server.
pub(super) fn bind(
    context: &zmq::Context,
    config: &Config,
    model: Model,
    endpoint: &str,
    identity: Option<&str>,
) -> Result<Bound, Error> {
    let endpoint = Endpoint::to_bind(endpoint)?;
    let max_frame_bytes = u64::try_from(config.max_request_frame_bytes).unwrap_or(u64::MAX);
    // Mandatory, so that an answer that cannot leave is counted, and not thrown away in silence.
    let mut builder = SocketBuilder::new(zmq::ROUTER)
        .mandatory()
        .max_frame_bytes(max_frame_bytes);
    if endpoint.is_ipv6() {
        builder = builder.ipv6();
    }
    let identity = match (model, identity) {
        (Model::One | Model::Two, None) => None,
        (Model::One | Model::Two, Some(_)) => {
            let reason = "belongs to model 3 alone: clients of the others do not address a server";
            return Err(bad("identity", reason.to_owned()));
        }
        (Model::Three, Some(identity)) => Some(Endpoint::to_connect(identity)?.to_string()),
        (Model::Three, None) => match name_of(&endpoint)? {
            Some(name) => Some(name),
            None => return bind_any_port(context, &builder, &endpoint),
        },
    };
    if let Some(identity) = &identity {
        builder = builder.identity(identity);
    }
    let socket = builder.bind(endpoint.as_str()).build(context)?;
    Ok(Bound {
        endpoint: last_endpoint(&socket)?,
        socket,
        identity,
    })
}

/// What clients dial to reach what is bound so; nothing where the port is still to be chosen.
fn name_of(endpoint: &Endpoint) -> Result<Option<String>, Error> {
    let missing = |why: &str| {
        let reason = format!(
            "model 3 needs one with {endpoint}, since {why}; give the endpoint that clients dial"
        );
        Err(bad("identity", reason))
    };
    let Some((host, port)) = tcp(endpoint) else {
        return match endpoint.as_str() {
            "ipc://*" => missing("its path is still to be chosen"),
            path => Ok(Some(path.to_owned())),
        };
    };
    match host {
        "*" | "0.0.0.0" | "[::]" => return missing("nobody can dial a wildcard"),
        host if (host, 1).to_socket_addrs().is_err() && !host.starts_with('[') => {
            return missing("its host is no name that clients can look up");
        }
        _ => {}
    }
    Ok((!is_any(port)).then(|| endpoint.to_string()))
}

/// Binds a port that the system chooses. The name has to be there before the socket is bound, and the port is known
/// only after that: so it is asked for first, let go, and taken.
fn bind_any_port(
    context: &zmq::Context,
    builder: &SocketBuilder,
    endpoint: &Endpoint,
) -> Result<Bound, Error> {
    let mut failure = SocketError::InUse(endpoint.to_string());
    let (host, _) = tcp(endpoint).unwrap_or_default();
    for _ in 0..PORTS {
        let free = TcpListener::bind(format!("{host}:0")).and_then(|probe| probe.local_addr());
        let Ok(free) = free else {
            return Err(SocketError::NotLocal(endpoint.to_string()).into());
        };
        let name = format!("tcp://{host}:{}", free.port());
        let builder = builder.clone().identity(&name).bind(&name);
        let asked = Instant::now();
        // Somebody else may have been faster, and may be as quick to let it go.
        while asked.elapsed() < FREE_WITHIN {
            match builder.build(context) {
                Ok(socket) => {
                    return Ok(Bound {
                        endpoint: last_endpoint(&socket)?,
                        socket,
                        identity: Some(name),
                    });
                }
                Err(error @ SocketError::InUse(_)) => failure = error,
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Err(failure.into())
}

/// Host and port of an endpoint of this kind.
fn tcp(endpoint: &Endpoint) -> Option<(&str, &str)> {
    endpoint.as_str().strip_prefix("tcp://")?.rsplit_once(':')
}

fn is_any(port: &str) -> bool {
    port == "*" || port.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(endpoint: &str) -> Result<Option<String>, String> {
        name_of(&Endpoint::to_bind(endpoint).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_bound_is_what_clients_dial() {
        for endpoint in [
            "tcp://127.0.0.1:5555",
            "tcp://localhost:5555",
            "tcp://[::1]:5555",
            "ipc:///tmp/x",
            "inproc://x",
        ] {
            assert_eq!(name(endpoint), Ok(Some(endpoint.to_owned())));
        }
        assert_eq!(name("tcp://127.0.0.1:*"), Ok(None));
        assert_eq!(name("tcp://127.0.0.1:0"), Ok(None));
    }

    #[test]
    fn what_nobody_can_dial_needs_a_name() {
        for endpoint in [
            "tcp://*:5555",
            "tcp://0.0.0.0:5555",
            "tcp://[::]:5555",
            "ipc://*",
            "tcp://no-such-host.invalid:5555",
        ] {
            let error = name(endpoint).unwrap_err();
            assert!(
                error.starts_with("identity: ") && error.contains(endpoint),
                "{error}"
            );
        }
    }
}
