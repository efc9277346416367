//! What a configuration means, in a few lines.

use std::fmt;

use super::{CheckKind, HookConfig, LinkConfig, RunConfig, ServerRun, Vote};

impl fmt::Display for RunConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = &self.pair;
        writeln!(
            f,
            "  pair     {}, {}, heartbeat {} ms, peer timeout {} ms",
            pair.pair(),
            pair.role(),
            pair.heartbeat().as_millis(),
            pair.timeout().as_millis()
        )?;
        for LinkConfig { local, remote } in [Some(&self.link), self.second_link.as_ref()]
            .into_iter()
            .flatten()
        {
            writeln!(f, "  link     {local}, peer at {remote}")?;
        }
        for tcp in &self.tcp {
            let vote = match tcp.vote {
                Vote::Data => "data",
                Vote::Connect => "connect",
            };
            let (name, listen, server) = (&tcp.name, tcp.listen, tcp.server);
            writeln!(f, "  tcp      {name}: {listen} to {server}, vote {vote}")?;
        }
        for zmq in &self.zmq {
            writeln!(
                f,
                "  zmq      {}: {} to {}",
                zmq.name, zmq.listen, zmq.server
            )?;
        }
        let when = match self.server.run {
            ServerRun::None => "somebody else's",
            ServerRun::Always => "always: ",
            ServerRun::Active => "while active: ",
        };
        writeln!(f, "  server   {when}{}", shown(&self.server.command))?;
        for check in &self.health {
            let what = match &check.kind {
                CheckKind::Tcp(address) => format!("connect to {address}"),
                CheckKind::Http { host, path, .. } => format!("GET http://{host}{path}"),
                CheckKind::Command(command) => shown(command),
                CheckKind::Zmq { endpoint, .. } => format!("ask {endpoint}"),
            };
            writeln!(
                f,
                "  check    {}: {what}, every {} ms",
                check.name,
                check.interval.as_millis()
            )?;
        }
        for (name, commands) in self.hooks.all() {
            for HookConfig { command, timeout } in commands {
                writeln!(
                    f,
                    "  hook     {name}: {}, {} ms at most",
                    shown(command),
                    timeout.as_millis()
                )?;
            }
        }
        if let Some(proof) = &self.proof_of_death {
            writeln!(
                f,
                "  proof    of the peer's death by {}",
                proof.peer_frontends.join(", ")
            )?;
        }
        if let Some(state_dir) = &self.state_dir {
            writeln!(f, "  state    {}", state_dir.display())?;
        }
        write!(f, "  control  {}", self.control.display())
    }
}

/// A command as one short line.
fn shown(command: &[String]) -> String {
    const LONGEST: usize = 60;
    let line = command
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
