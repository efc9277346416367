//! An echo server as one node of a pair.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reactor::{Interest, Reactor, Scope};
use signal_hook::consts::SIGUSR1;

use super::parent::end_with_parent;
use super::{
    Failure, init_traces, outlet, parse_bind, parse_connect, parse_heartbeat, parse_millis,
    refuse_usage, say,
};
use crate::core::{Config, ConfigError, GUIDE, PAIR, PairId, Role, State, Table};
use crate::server::{Handle, ProofOfDeath, Server};
use reactor::Endpoint;

/// How long the sockets may take to close.
const END_WITHIN: Duration = Duration::from_secs(2);

/// One of the two, and not both.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct RoleArgs {
    /// This node is the primary
    #[arg(short, long)]
    primary: bool,
    /// This node is the backup
    #[arg(short, long)]
    backup: bool,
}

/// Whose rules a node runs.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Rules {
    Pair,
    Guide,
}

impl Rules {
    fn table(self) -> &'static Table {
        match self {
            Self::Pair => &PAIR,
            Self::Guide => &GUIDE,
        }
    }
}

/// Arguments of an echo server that is one node of a pair.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// Where this node publishes its state [default: tcp://*:5003 as primary, tcp://*:5004 as backup]
    #[arg(long, value_name = "EP", value_parser = parse_bind)]
    local: Option<Endpoint>,
    /// Where its peer does [default: tcp://localhost:5004 as primary, tcp://localhost:5003 as backup]
    #[arg(long, value_name = "EP", value_parser = parse_connect)]
    remote: Option<Endpoint>,
    /// Where this node publishes its state a second time, on a network of its own
    #[arg(long, value_name = "EP", value_parser = parse_bind, requires = "remote2")]
    local2: Option<Endpoint>,
    /// Where its peer does
    #[arg(long, value_name = "EP", value_parser = parse_connect, requires = "local2")]
    remote2: Option<Endpoint>,
    /// Replace the peer as soon as its host says that its process is gone. Only where nothing between
    /// the two answers in the peer's stead: a firewall that rejects makes both serve
    #[arg(long, requires = "peer_frontend")]
    proof_of_death: bool,
    /// Where the peer's clients connect, with a numeric address; once for each of its front ends
    #[arg(long, value_name = "EP", value_parser = parse_connect, requires = "proof_of_death")]
    peer_frontend: Vec<Endpoint>,
    /// Milliseconds that a peer whose process is gone has to be restarted in
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse_millis, requires = "proof_of_death")]
    restart_grace: Duration,
    /// Where clients connect [default: tcp://*:5001 as primary, tcp://*:5002 as backup]
    #[arg(long, value_name = "EP", value_parser = parse_bind)]
    frontend: Option<Endpoint>,
    /// Milliseconds between two signs of life; the same on both nodes. A node that does not run
    /// for as long steps back, so below 25 take a machine that never pauses
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_heartbeat)]
    heartbeat: Duration,
    /// Milliseconds of silence after which the peer may be replaced [default: two heartbeats]
    #[arg(long, value_name = "MS", value_parser = parse_millis)]
    timeout: Option<Duration>,
    /// As primary: after so many milliseconds beside an active backup, ask for the service again
    /// [default: never]
    #[arg(long, value_name = "MS", value_parser = parse_millis)]
    fail_back: Option<Duration>,
    /// As backup that was never paired: serve when the primary has been silent for so many
    /// milliseconds [default: never]
    #[arg(long, value_name = "MS", value_parser = parse_millis)]
    serve_alone: Option<Duration>,
    /// Directory that keeps this node's epochs over restarts; made if it is not there
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Name of the pair; the same on both nodes
    #[arg(long, value_name = "NAME", default_value = "bstar", value_parser = parse_pair)]
    pair: PairId,
    /// The rules to run: the pair's own, or the Guide's, to compare
    #[arg(long, value_enum, default_value_t = Rules::Pair)]
    table: Rules,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// End with the process that started this one
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl ServerArgs {
    /// Runs the server until it is stopped.
    pub fn run(self) -> Result<ExitCode, Failure> {
        // A node that waits for its log's reader is one that its peer replaces.
        outlet::open()?;
        init_traces(self.verbose);
        let role = if self.role.primary {
            Role::Primary
        } else {
            Role::Backup
        };
        let config = match self.config(role) {
            Ok(config) => config,
            Err(error) => return Ok(refuse_usage(&error)),
        };
        let (local, remote, frontend) = self.endpoints(role)?;
        remote.resolve()?;

        let mut reactor = Reactor::new()?;
        let mut node =
            Server::new(config, local.as_str(), remote.as_str()).table(self.table.table());
        if let (Some(local), Some(remote)) = (&self.local2, &self.remote2) {
            remote.resolve()?;
            node = node.second_link(local.as_str(), remote.as_str());
        }
        if self.proof_of_death {
            let peer_frontends = self.peer_frontend.iter().map(Endpoint::to_string);
            node = node.proof_of_death(ProofOfDeath {
                peer_frontends: peer_frontends.collect(),
                restart_grace: self.restart_grace,
            });
        }
        if let Some(path) = &self.state_dir {
            node = node.state_dir(path);
        }
        let node = node
            .frontend(frontend.as_str(), |_: &mut (), scope, request| {
                Ok(request.echo(scope)?)
            })
            .on_transition(move |_, _, transition| {
                say(&format!(
                    "state={} row={} epoch={} cause={}",
                    transition.to.name(role),
                    transition.row,
                    transition.epoch,
                    transition.cause.name()
                ));
                Ok(())
            })
            .attach(reactor.scope())?;
        switch_over_on_signal(reactor.scope(), node.clone())?;
        if self.with_parent {
            end_with_parent(reactor.scope())?;
        }
        let second = node.second_local_endpoint();
        say(&format!(
            "state={} row=- epoch={} cause=start local={}{} frontend={}",
            State::Initial.name(role),
            node.stored_epoch(),
            node.local_endpoint(),
            second.map_or(String::new(), |endpoint| format!(" local2={endpoint}")),
            node.frontend_endpoints().join(",")
        ));
        let result = reactor.run(&mut ());
        if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
            tracing::warn!("the sockets did not close within {END_WITHIN:?}");
        }
        match result {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(reactor::Error::Handler { error, .. }) => Err(error),
            Err(error) => Err(error.into()),
        }
    }

    fn config(&self, role: Role) -> Result<Config, ConfigError> {
        let mut config = Config::new(role)
            .with_heartbeat(self.heartbeat)?
            .with_pair(self.pair.clone());
        type With = fn(Config, Duration) -> Result<Config, ConfigError>;
        let options: [(_, With); 3] = [
            (self.timeout, Config::with_timeout),
            (self.fail_back, Config::with_fail_back),
            (self.serve_alone, Config::with_serve_alone),
        ];
        for (given, with) in options {
            if let Some(given) = given {
                config = with(config, given)?;
            }
        }
        Ok(config)
    }

    /// What was given, and for the rest the Guide's ports.
    fn endpoints(&self, role: Role) -> Result<(Endpoint, Endpoint, Endpoint), Failure> {
        let (local, remote, frontend) = match role {
            Role::Primary => ("tcp://*:5003", "tcp://localhost:5004", "tcp://*:5001"),
            Role::Backup => ("tcp://*:5004", "tcp://localhost:5003", "tcp://*:5002"),
        };
        let given = |endpoint: &Option<Endpoint>| endpoint.clone().map(Ok);
        Ok((
            given(&self.local).unwrap_or_else(|| Endpoint::to_bind(local))?,
            given(&self.remote).unwrap_or_else(|| Endpoint::to_connect(remote))?,
            given(&self.frontend).unwrap_or_else(|| Endpoint::to_bind(frontend))?,
        ))
    }
}

fn parse_pair(text: &str) -> Result<PairId, ConfigError> {
    PairId::new(text)
}

/// SIGUSR1 asks for a switchover. The signal handler writes a byte that the reactor reads.
fn switch_over_on_signal(scope: &mut Scope<()>, node: Handle) -> Result<(), Failure> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGUSR1, writer)?;
    scope
        .add_fd(
            "SIGUSR1",
            reader,
            Interest::READ,
            move |(), scope, key, _| {
                if let Some(mut reader) = scope.fd::<UnixStream>(key) {
                    let mut bytes = [0; 64];
                    // However many came, one switchover is asked for; what is left wakes us again.
                    let _ = reader.read(&mut bytes)?;
                }
                Ok(node.request_switchover()?)
            },
        )
        .map_err(reactor::Error::from)?;
    Ok(())
}
