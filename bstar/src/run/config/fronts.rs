//! Front ends.

use std::time::Duration;

use super::document::Document;
use super::given::{Fields, Given};
use super::keys::{self, Section};
use super::place::{Place, Places, to_bind_endpoint, to_connect, to_connect_endpoint, to_listen};
use super::problem::{Checked, ConfigProblem, Origin, Site};
use super::{TcpConfig, Vote, ZmqConfig};

const CONNECT_TIMEOUT_MS: u64 = 5000;
const MAX_CONNECTIONS: usize = 10_000;
const MAX_WAITING: usize = 1000;
/// What a limit may be: more than a process has descriptors, or memory, for.
const MOST: u64 = 1_000_000;
const MAX_MEMORY_MIB: u64 = 1024;
/// What may wait for a server, by its bytes, is to find room.
const LEAST_MEMORY_MIB: u64 = 64;
const LONGEST_NAME: usize = 64;

pub(super) struct Fronts {
    pub(super) tcp: Vec<TcpConfig>,
    pub(super) zmq: Vec<ZmqConfig>,
}

/// Reads all front ends: one at least, each at a place and with a name of its own, and none that leads back
/// here.
pub(super) fn read(
    document: &mut Document,
    top: &mut Fields,
    places: &mut Places,
) -> Checked<Fronts> {
    let max_memory_mib = top.read("max_memory_mib", MAX_MEMORY_MIB, |given| {
        given.number(LEAST_MEMORY_MIB..=MOST)
    })?;
    let mut names = Names::default();
    let mut targets: Vec<(Place, Site)> = Vec::new();
    let mut fronts = Fronts {
        tcp: Vec::new(),
        zmq: Vec::new(),
    };
    for fields in document.list(Section::Tcp) {
        let (config, server) = tcp(fields, &mut names, places)?;
        targets.push((config.server.into(), server));
        fronts.tcp.push(config);
    }
    for fields in document.list(Section::Zmq) {
        let (config, server) = zmq(fields, max_memory_mib << 20, &mut names, places)?;
        targets.push((Place::target(&config.server), server));
        fronts.zmq.push(config);
    }
    for (target, site) in &targets {
        places.check_target(target, site)?;
    }
    if fronts.tcp.is_empty() && fronts.zmq.is_empty() {
        return Err(none(&document.origin));
    }
    Ok(fronts)
}

fn tcp(mut fields: Fields, names: &mut Names, places: &mut Places) -> Checked<(TcpConfig, Site)> {
    let listen = fields.need("listen")?;
    let server = fields.need("server")?;
    let address = listen.parsed(to_listen)?;
    let idle = fields.millis("idle_timeout_ms", 0, 0)?;
    let max_connections = fields.optional("max_connections", limit)?;
    let config = TcpConfig {
        name: names.take(&mut fields, &address.to_string())?,
        listen: address,
        server: server.parsed(to_connect)?,
        vote: fields.read("vote", Vote::Data, |given| {
            given.one_of(&[("data", Vote::Data), ("connect", Vote::Connect)])
        })?,
        connect_timeout: fields.millis("connect_timeout_ms", CONNECT_TIMEOUT_MS, 1)?,
        idle_timeout: (idle > Duration::ZERO).then_some(idle),
        max_connections: max_connections.unwrap_or(MAX_CONNECTIONS),
        max_connections_given: max_connections.is_some(),
        proxy_protocol: fields.read("proxy_protocol", false, Given::switch)?,
    };
    places.listen(address.into(), listen.site)?;
    fields.finish();
    Ok((config, server.site))
}

fn zmq(
    mut fields: Fields,
    max_memory: u64,
    names: &mut Names,
    places: &mut Places,
) -> Checked<(ZmqConfig, Site)> {
    let listen = fields.need("listen")?;
    let server = fields.need("server")?;
    let endpoint = listen.parsed(to_bind_endpoint)?;
    let config = ZmqConfig {
        name: names.take(&mut fields, endpoint.as_str())?,
        server: server.parsed(to_connect_endpoint)?,
        max_waiting: fields.read("max_waiting", MAX_WAITING, limit)?,
        max_memory,
        listen: endpoint,
    };
    places.listen(Place::bound(&config.listen), listen.site)?;
    fields.finish();
    Ok((config, server.site))
}

fn limit(given: &Given) -> Checked<usize> {
    let number = given.number(1..=MOST)?;
    usize::try_from(number).map_err(|_| given.unfit())
}

fn none(origin: &Origin) -> ConfigProblem {
    let [tcp, zmq] = [Section::Tcp, Section::Zmq];
    match origin {
        Origin::File { .. } => {
            let [listen, server] = ["listen", "server"].map(|name| keys::key(tcp, name));
            let reason = format!(
                "no front end; add {} or {} with for example listen = {} and server = {}",
                tcp.header(),
                zmq.header(),
                listen.example,
                server.example
            );
            ConfigProblem::new(origin, tcp.name(), &reason)
        }
        Origin::Flag(_) | Origin::Rest | Origin::CommandLine => {
            let [listen, server] =
                ["listen", "server"].map(|name| keys::key(tcp, name).flag_example());
            let reason = format!("no front end; give --tcp {listen},{server}, or --zmq");
            ConfigProblem::new(&Origin::Flag("--tcp"), "", &reason)
        }
    }
}

/// The names of front ends, or of checks, none of which is given twice.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// The name that was given, or the usual one, with a number if there is one like it.
    pub(super) fn take(&mut self, fields: &mut Fields, usual: &str) -> Checked<String> {
        let name = match fields.take("name") {
            Some(given) => {
                let name = given.parsed(name)?;
                if self.0.contains(&name) {
                    let reason = format!("there is a {name} already; give another name");
                    return Err(given.problem(reason));
                }
                name
            }
            None => {
                let numbered = (2..).map(|number| format!("{usual}-{number}"));
                let mut names = std::iter::once(usual.to_owned()).chain(numbered);
                names
                    .find(|name| !self.0.contains(name))
                    .unwrap_or_default()
            }
        };
        self.0.push(name.clone());
        Ok(name)
    }
}

/// What a line of the status can show as one word.
fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    if text.chars().count() <= LONGEST_NAME && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no name; use 1 to {LONGEST_NAME} characters without white space"
        ))
    }
}
