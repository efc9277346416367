//! Addresses: read, looked up, and compared, so that no two listen at one place and none leads to itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use reactor::Endpoint;

use super::problem::{Checked, Origin, Site};

/// Reads `HOST:PORT` of a front end. Without a host, or with `*`, it is every IPv4 address of the machine.
pub(super) fn to_listen(text: &str) -> Result<SocketAddr, String> {
    match text.rsplit_once(':') {
        Some(("" | "*", port)) => Ok((Ipv4Addr::UNSPECIFIED, self::port(text, port)?).into()),
        _ => resolve(text),
    }
}

/// Reads `HOST:PORT` of something that listens.
pub(super) fn to_connect(text: &str) -> Result<SocketAddr, String> {
    let nowhere = || {
        format!(
            "{text:?} says where to listen, not where to connect; give its address, for example 127.0.0.1:8000"
        )
    };
    if text.starts_with(':') || text.starts_with("*:") {
        return Err(nowhere());
    }
    let address = resolve(text)?;
    if address.ip().is_unspecified() {
        return Err(nowhere());
    }
    Ok(address)
}

/// Looks a name up, so that a wrong one is an error now: an IPv4 address if it has one.
fn resolve(text: &str) -> Result<SocketAddr, String> {
    if text.contains("://") {
        return Err(format!(
            "{text:?} is an endpoint; write HOST:PORT, for example 127.0.0.1:8000"
        ));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| {
        format!("{text:?} has no port; write HOST:PORT, for example 127.0.0.1:8000")
    })?;
    let port = self::port(text, port)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if bracketed.is_none() && host.contains(':') {
        return Err(format!(
            "{text:?} has too many colons; put an IPv6 address in brackets"
        ));
    }
    let found = (bracketed.unwrap_or(host), port).to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|error| {
            format!(
                "the host of {text:?} cannot be found: {error}; check the name, or give an address"
            )
        })?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4());
    first.or(found.first()).copied().ok_or_else(|| {
        format!("the host of {text:?} has no address; check the name, or give an address")
    })
}

fn port(text: &str, port: &str) -> Result<u16, String> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| format!("the port of {text:?} is no number from 1 to 65535"))
}

/// An endpoint that is bound, and that other processes connect to.
pub(super) fn to_bind_endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = outward(Endpoint::to_bind(text))?;
    let port = text
        .strip_prefix("tcp://")
        .and_then(|rest| rest.rsplit_once(':'));
    match port {
        // libzmq would choose one, which nobody is told.
        Some((_, port)) if port == "*" || port.bytes().all(|byte| byte == b'0') => {
            Err(format!("the port of {text:?} is no number from 1 to 65535"))
        }
        _ => Ok(endpoint),
    }
}

/// An endpoint to connect to, whose host is found.
pub(super) fn to_connect_endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = outward(Endpoint::to_connect(text))?;
    endpoint.resolve().map_err(|error| error.to_string())?;
    Ok(endpoint)
}

fn outward(endpoint: Result<Endpoint, reactor::EndpointError>) -> Result<Endpoint, String> {
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    if endpoint.is_inproc() {
        return Err(format!(
            "{endpoint} does not lead out of this process; write for example tcp://192.0.2.1:5003"
        ));
    }
    Ok(endpoint)
}

/// Where something listens, or connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    /// A path, or the name of an interface.
    Other(String),
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Place {
        Place::Tcp(address)
    }
}

impl Place {
    /// Of an endpoint that is bound: its host is a number, or the name of an interface.
    pub(super) fn bound(endpoint: &Endpoint) -> Place {
        let address = endpoint.as_str().strip_prefix("tcp://");
        let numeric = address.and_then(|address| match address.strip_prefix("*:") {
            Some(port) => Some((Ipv4Addr::UNSPECIFIED, port.parse().ok()?).into()),
            None => address.parse().ok(),
        });
        numeric.map_or_else(|| Place::Other(endpoint.to_string()), Place::Tcp)
    }

    /// Of an endpoint that is connected to: a name is looked up.
    pub(super) fn target(endpoint: &Endpoint) -> Place {
        let address = endpoint.as_str().strip_prefix("tcp://");
        let found = address.and_then(|address| resolve(address).ok());
        found.map_or_else(|| Place::Other(endpoint.to_string()), Place::Tcp)
    }

    /// Whether two listeners are in each other's way.
    fn clashes_with(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Tcp(one), Place::Tcp(two)) => {
                one.port() == two.port()
                    && (covers(one.ip(), two.ip()) || covers(two.ip(), one.ip()))
            }
            (one, two) => one == two,
        }
    }

    /// Whether who connects to `target` comes to this listener.
    fn takes(&self, target: &Place) -> bool {
        match (self, target) {
            (Place::Tcp(listener), Place::Tcp(target)) if listener.ip().is_unspecified() => {
                listener.port() == target.port()
                    && target.ip().is_loopback()
                    && covers(listener.ip(), target.ip())
            }
            (listener, target) => listener == target,
        }
    }
}

/// A listener at `::` takes IPv4, too.
fn covers(listener: IpAddr, address: IpAddr) -> bool {
    listener == address || listener.is_unspecified() && (listener.is_ipv6() || address.is_ipv4())
}

/// All places at which this node listens, and by which key.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(Place, Site)>);

impl Places {
    /// Takes a place for a listener.
    pub(super) fn listen(&mut self, place: Place, site: Site) -> Checked<()> {
        if let Some((_, holder)) = self.0.iter().find(|(taken, _)| taken.clashes_with(&place)) {
            let reason = format!(
                "{} listens there already; give it a port of its own",
                by(holder)
            );
            return Err(site.problem(reason));
        }
        self.0.push((place, site));
        Ok(())
    }

    /// Nothing that this node connects to is one of its own listeners.
    pub(super) fn check_target(&self, target: &Place, site: &Site) -> Checked<()> {
        match self.0.iter().find(|(place, _)| place.takes(target)) {
            Some((_, listener)) => Err(site.problem(format_args!(
                "it leads back to this node, where {} listens; give another",
                by(listener)
            ))),
            None => Ok(()),
        }
    }
}

/// A listener as its owner knows it.
fn by(site: &Site) -> impl fmt::Display {
    match &site.origin {
        Origin::File {
            line: Some(line), ..
        } => format!("{} of line {line}", site.key.path()),
        Origin::Flag(flag) if site.key.section.is_list() => format!("a {flag}"),
        Origin::Flag(flag) => (*flag).to_owned(),
        _ => site.key.path(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Place {
        Place::Tcp(to_listen(text).unwrap())
    }

    #[test]
    fn all_interfaces_may_be_written_in_three_ways() {
        for text in [":80", "*:80", "0.0.0.0:80"] {
            assert_eq!(to_listen(text).unwrap().to_string(), "0.0.0.0:80");
            assert!(to_connect(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_looked_up() {
        assert_eq!(
            to_connect("localhost:80").unwrap().to_string(),
            "127.0.0.1:80"
        );
        assert_eq!(to_connect("[::1]:80").unwrap().to_string(), "[::1]:80");
        for wrong in [
            "",
            "80",
            "x:",
            "x:0",
            "x:+1",
            "x:65536",
            "::1:80",
            "tcp://x:1",
            "[x:1",
        ] {
            assert!(to_connect(wrong).is_err(), "{wrong}");
        }
        assert!(to_connect("no-such-host.invalid:80").is_err());
    }

    #[test]
    fn listeners_clash_where_one_would_take_the_others_clients() {
        assert!(tcp(":80").clashes_with(&tcp("127.0.0.1:80")));
        assert!(tcp("127.0.0.1:80").clashes_with(&tcp(":80")));
        assert!(tcp("[::]:80").clashes_with(&tcp("127.0.0.1:80")));
        assert!(!tcp(":80").clashes_with(&tcp("[::1]:80")));
        assert!(!tcp("127.0.0.1:80").clashes_with(&tcp("127.0.0.2:80")));
        assert!(!tcp(":80").clashes_with(&tcp(":81")));
        let endpoint = |text| Place::bound(&Endpoint::to_bind(text).unwrap());
        assert!(endpoint("tcp://*:80").clashes_with(&tcp(":80")));
        assert!(endpoint("ipc:///tmp/x").clashes_with(&endpoint("ipc:///tmp/x")));
        assert!(!endpoint("ipc:///tmp/x").clashes_with(&endpoint("ipc:///tmp/y")));
    }

    #[test]
    fn a_listener_takes_what_leads_to_it() {
        assert!(tcp(":80").takes(&tcp("127.0.0.1:80")));
        assert!(tcp("127.0.0.2:80").takes(&tcp("127.0.0.2:80")));
        assert!(!tcp("127.0.0.2:80").takes(&tcp("127.0.0.1:80")));
        assert!(!tcp(":80").takes(&tcp("192.0.2.1:80")), "another machine's");
    }
}
