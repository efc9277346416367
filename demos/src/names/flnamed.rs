//! What the program `flnamed` runs: a name server of one zone.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bstar::programs::{
    Failure, init_traces, parse_bind, parse_connect, parse_deadline, refuse_usage, say,
};
use clap::Args;
use freelance::{Error, Model, Server, server};
use reactor::{BoxError, Endpoint, Interest, Missed, Scope};
use signal_hook::consts::SIGHUP;

use super::{Reload, ZoneFile, answer};

/// How long the sockets may take to close.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Arguments of a name server.
#[derive(Args, Clone, Debug)]
pub struct NamedArgs {
    /// What the names stand for, as TOML
    #[arg(value_name = "ZONEFILE")]
    zone: PathBuf,
    /// Where to bind
    #[arg(value_name = "ENDPOINT", value_parser = parse_bind)]
    endpoint: Endpoint,
    /// The endpoint by which clients reach this server, if not by the one that is bound;
    /// required where that has a wildcard for its host
    #[arg(long, value_name = "EP", value_parser = parse_connect)]
    identity: Option<Endpoint>,
    /// Milliseconds between two looks at the file
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_deadline)]
    reload_interval: Duration,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl NamedArgs {
    /// Serves the zone until it is stopped.
    ///
    /// # Errors
    /// When there is no zone to begin with, or no place to serve it at.
    pub fn run(self) -> Result<ExitCode, Failure> {
        init_traces(self.verbose);
        let mut file = ZoneFile::open(self.zone, Instant::now())?;
        // Signals drain, and do not stop at once.
        let mut reactor = reactor::Builder::new().signals(false).build()?;
        let scope = reactor.scope();
        let mut names = Server::new(Model::Three, self.endpoint.as_str());
        if let Some(identity) = &self.identity {
            names = names.identity(identity.as_str());
        }
        let attached = names.attach(scope, |file: &mut ZoneFile, scope, request| {
            let answer = answer(file.zone(), file.serial(), request.frames());
            Ok(request.reply(scope, answer.frames())?)
        });
        let names = match attached {
            Ok(names) => names,
            // Such as a wildcard without an identity.
            Err(error @ Error::Config { .. }) => return Ok(refuse_usage(&error)),
            Err(error) => return Err(error.into()),
        };
        server::drain_on_signals(scope, [names.clone()])?;
        scope.add_interval(
            "zone file",
            self.reload_interval,
            Missed::Delay,
            |file, _, _| {
                reload(file);
                Ok(())
            },
        )?;
        reload_on_signal(scope)?;
        tracing::info!(names = file.zone().len(), serial = file.serial(), "zone");
        say(&format!("ready {}", names.endpoint()));
        let result = reactor.run(&mut file);
        if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
            tracing::warn!("the sockets did not close within {END_WITHIN:?}");
        }
        match result {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(reactor::Error::Handler { error, .. }) => Err(error),
            Err(error) => Err(error.into()),
        }
    }
}

fn reload(file: &mut ZoneFile) {
    match file.reload(Instant::now()) {
        Reload::Same => {}
        Reload::Taken => {
            let (names, serial) = (file.zone().len(), file.serial());
            tracing::info!(names, serial, "another zone serves from now on");
        }
        Reload::Refused(error) => tracing::error!("{error}; the zone of before serves on"),
    }
}

/// SIGHUP has the file looked at. The signal handler writes a byte that the reactor reads.
fn reload_on_signal(scope: &mut Scope<ZoneFile>) -> Result<(), Failure> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGHUP, writer)?;
    let on_signal = |file: &mut ZoneFile, scope: &mut Scope<ZoneFile>, key, _| {
        if let Some(mut signals) = scope.fd::<UnixStream>(key) {
            let mut bytes = [0; 64];
            // However many came, the file is read once; what is left wakes us again.
            let _ = signals.read(&mut bytes).map_err(BoxError::from)?;
        }
        reload(file);
        Ok(())
    };
    scope
        .add_fd("SIGHUP", reader, Interest::READ, on_signal)
        .map_err(reactor::Error::from)?;
    Ok(())
}
