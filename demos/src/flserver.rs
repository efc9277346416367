//! A Freelance server that echoes.

use std::process::ExitCode;
use std::time::Duration;

use bstar::programs::{Failure, init_traces, parse_bind, parse_millis, refuse_usage, say};
use clap::Args;
use freelance::server::{self, Cache, Config};
use freelance::{Error, Model, Server};
use reactor::{Endpoint, Reactor};

const END_WITHIN: Duration = Duration::from_secs(1);

/// Arguments that the servers of all models take.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Where to bind; a `*` for the port takes a free one
    #[arg(value_name = "ENDPOINT", value_parser = parse_bind)]
    endpoint: Endpoint,
    /// Remember replies, and answer a request that comes again with the first one
    #[arg(long)]
    cache: bool,
    /// Milliseconds that SIGINT or SIGTERM leaves for what is under way; a second one ends at once
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = parse_millis)]
    drain: Duration,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl ServerArgs {
    /// Serves until it is told to end.
    pub fn run(self, model: Model, identity: Option<String>) -> Result<ExitCode, Failure> {
        init_traces(self.verbose);
        if self.endpoint.is_inproc() {
            return Ok(refuse_usage(
                &"inproc ends at the border of a process; use tcp:// or ipc://",
            ));
        }
        let mut config = Config::new();
        config.drain = self.drain;
        let mut server = Server::new(model, self.endpoint.as_str()).config(config);
        if let Some(identity) = identity {
            server = server.identity(identity);
        }
        if self.cache {
            server = server.cache(Cache::default());
        }
        let mut reactor = Reactor::<()>::builder().signals(false).build()?;
        let attached = server.attach(reactor.scope(), move |(), scope, request| {
            match model {
                Model::One | Model::Three => request.echo(scope)?,
                Model::Two => request.reply(scope, ["OK"])?,
            }
            Ok(())
        });
        let handle = match attached {
            Ok(handle) => handle,
            Err(error @ Error::Config { .. }) => return Ok(refuse_usage(&error)),
            Err(error) => return Err(error.into()),
        };
        server::drain_on_signals(reactor.scope(), [handle.clone()])?;
        say(&format!("ready {}", handle.endpoint()));
        reactor.run(&mut ())?;
        if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
            tracing::warn!("the socket did not close within {END_WITHIN:?}");
        }
        tracing::info!(stats = ?handle.stats(), "ended");
        Ok(ExitCode::SUCCESS)
    }
}
