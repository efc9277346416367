//! What the program `flname` runs: it looks up a name, or lists those that there are.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bstar::programs::{Failure, init_traces, parse_connect, parse_deadline, refuse_usage};
use clap::Args;
use freelance::{Client, MAX_SERVERS};
use reactor::Endpoint;
use serde_json::json;

use super::{
    Label, LabelError, Name, ResolveError, Resolved, Resolver, ResolverConfig, name_client,
};

/// Arguments of a look-up.
#[derive(Args, Clone, Debug)]
pub struct NameArgs {
    /// A name server, the one to ask first in front; may be given several times
    #[arg(long = "server", value_name = "EP", required = true, value_parser = parse_connect)]
    servers: Vec<Endpoint>,
    /// Which environment [default for a look-up: test; for a list: all]
    #[arg(long, value_name = "NAME", value_parser = parse_label)]
    env: Option<Label>,
    /// Print where the service binds, instead of where its clients connect
    #[arg(long, conflicts_with = "connect")]
    bind: bool,
    /// Print where its clients connect; this is the default
    #[arg(long)]
    connect: bool,
    /// List the names that there are
    #[arg(long, conflicts_with_all = ["name", "bind", "connect"])]
    list: bool,
    /// Print one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
    /// How long to wait for an answer, in milliseconds, over all servers
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = parse_deadline)]
    timeout: Duration,
    /// The name to look up
    #[arg(value_name = "NAME", required_unless_present = "list", value_parser = parse_label)]
    name: Option<Label>,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn parse_label(text: &str) -> Result<Label, LabelError> {
    Label::new(text)
}

impl NameArgs {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// When there is no such name, or nobody answers.
    pub fn run(self) -> Result<ExitCode, Failure> {
        init_traces(self.verbose);
        if self.servers.len() > MAX_SERVERS {
            return Ok(refuse_usage(&format!(
                "a client knows {MAX_SERVERS} servers at most"
            )));
        }
        let client = match name_client(self.servers.iter().map(Endpoint::as_str)).connect() {
            Ok(client) => client,
            Err(error) => return crate::flclient::explain(error),
        };
        let mut config = ResolverConfig::new();
        config.timeout = self.timeout;
        let resolver = Resolver::new(client, config);
        match &self.name {
            None => self.list(resolver),
            Some(service) => {
                let environment = match &self.env {
                    Some(environment) => environment.clone(),
                    None => Label::new("test")?,
                };
                let name = Name {
                    environment,
                    service: service.clone(),
                };
                self.look_up(resolver, &name)
            }
        }
    }

    fn look_up(&self, mut resolver: Resolver<Client>, name: &Name) -> Result<ExitCode, Failure> {
        let resolved = resolver.resolve(name).map_err(advise)?;
        let mut out = std::io::stdout();
        if self.json {
            writeln!(out, "{}", as_json(name, &resolved))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (which, endpoints) = match self.bind {
            true => ("bind", &resolved.record.bind),
            false => ("connect to", &resolved.record.connect),
        };
        if endpoints.is_empty() {
            return Err(format!(
                "there is nothing to {which} for {name}; the zone has no such endpoint"
            )
            .into());
        }
        for endpoint in endpoints {
            writeln!(out, "{endpoint}")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, mut resolver: Resolver<Client>) -> Result<ExitCode, Failure> {
        let names = resolver.list(self.env.as_ref()).map_err(advise)?;
        let mut out = std::io::stdout();
        if self.json {
            let pair = |name: &Name| {
                let (environment, service) = (name.environment.as_str(), name.service.as_str());
                json!({ "env": environment, "name": service })
            };
            let names: Vec<_> = names.iter().map(pair).collect();
            writeln!(out, "{}", json!({ "names": names }))?;
            return Ok(ExitCode::SUCCESS);
        }
        for name in &names {
            writeln!(out, "{} {}", name.environment, name.service)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is wrong, and what to do about it.
fn advise(error: ResolveError) -> String {
    let advice = match error {
        ResolveError::Unknown { .. } | ResolveError::UnknownEnvironment(_) => {
            "--list shows what there is"
        }
        ResolveError::Unanswered(_) => "check --server, and that flnamed runs there",
        ResolveError::Refused { .. } | ResolveError::Malformed(_) | ResolveError::Mismatched => {
            "check that --server is a name server of this version"
        }
    };
    format!("{error}; {advice}")
}

fn as_json(name: &Name, resolved: &Resolved) -> serde_json::Value {
    let texts = |endpoints: &[Endpoint]| {
        let texts = endpoints.iter().map(Endpoint::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let record = &resolved.record;
    json!({
        "env": name.environment.as_str(),
        "name": name.service.as_str(),
        "bind": texts(&record.bind),
        "connect": texts(&record.connect),
        "ttl_ms": u64::try_from(record.ttl.as_millis()).unwrap_or(u64::MAX),
        "serial": resolved.serial,
    })
}
