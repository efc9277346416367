//! A TCP front end without a pair: what benchmarks measure.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use reactor::Reactor;

use super::{Failure, init_traces, say};
use crate::core::{Config, Role};
use crate::run::config::{TcpConfig, Vote};
use crate::run::front::{FrontEnds, Gate};
use crate::server::Server;

/// More than the node needs to answer.
const PROMOTED_WITHIN: Duration = Duration::from_secs(10);

/// Forwards what comes in at an address to a server, as an active node does.
#[derive(Args)]
pub struct FrontArgs {
    /// Where clients connect
    #[arg(long)]
    listen: SocketAddr,
    /// Where the server listens
    #[arg(long)]
    server: SocketAddr,
    /// Clients at once
    #[arg(long, default_value_t = 20_000)]
    max_connections: usize,
    /// How many milliseconds a connection may carry nothing
    #[arg(long, value_parser = super::parse_deadline)]
    idle_timeout_ms: Option<Duration>,
    /// Tells the server the client's address
    #[arg(long)]
    proxy_protocol: bool,
}

impl FrontArgs {
    /// Runs until it is stopped.
    pub fn run(self) -> Result<ExitCode, Failure> {
        init_traces(0);
        let mut reactor = Reactor::<()>::new()?;
        // A node whose peer is never there, made active by hand: so the front end asks it as it asks any.
        let node = Server::new(
            Config::new(Role::Backup),
            "tcp://127.0.0.1:*",
            "tcp://127.0.0.1:1",
        );
        let node = node.without_voters().attach(reactor.scope())?;
        let config = TcpConfig {
            name: "front".to_owned(),
            listen: self.listen,
            server: self.server,
            vote: Vote::Data,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: self.idle_timeout_ms,
            max_connections: self.max_connections,
            max_connections_given: true,
            proxy_protocol: self.proxy_protocol,
        };
        let ends = FrontEnds::start(&[config], &[], node.clone(), Box::new(|_| {}))?;
        let promoted = thread::spawn(move || node.promote(PROMOTED_WITHIN));
        ends.set_gate(Gate::Open);
        say(&format!(
            "forwards {} to {}",
            ends.endpoints()[0],
            self.server
        ));
        reactor.run(&mut ())?;
        ends.end();
        match promoted.join() {
            Ok(result) => result?,
            Err(_) => return Err("the promotion panicked".into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
