//! What makes one service of two servers: `bstar run`, or keepalived.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::lan::{DEVICE, Lan, VIRTUAL, address};
use crate::campaign::side::Side;
use crate::{Outcome, Process, programs};

/// Where clients come.
const PORT: u16 = 7000;
/// Where the server listens behind `bstar run`.
const BEHIND: &str = "127.0.0.1:7001";

/// One of them, with how often its nodes say that they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `bstar run` in front of the server.
    Bstar {
        /// Its heartbeat.
        heartbeat: Duration,
        /// Whether it takes its peer for dead when the peer's host proves it.
        proof: bool,
    },
    /// keepalived beside the server, with an address that moves.
    Keepalived {
        /// Its `advert_int`.
        advert: Duration,
    },
}

impl Kind {
    /// How often a node says that it lives.
    #[must_use]
    pub fn interval(self) -> Duration {
        match self {
            Kind::Bstar { heartbeat, .. } => heartbeat,
            Kind::Keepalived { advert } => advert,
        }
    }

    /// Where clients come.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        let hosts = match self {
            Kind::Bstar { .. } => Side::BOTH.map(address).to_vec(),
            Kind::Keepalived { .. } => vec![VIRTUAL],
        };
        hosts.into_iter().map(|host| (host, PORT).into()).collect()
    }

    /// Starts one side: the server, and what watches over it. `program` is the one that serves.
    pub(super) fn start(
        self,
        lan: &Lan,
        side: Side,
        folder: &Path,
        program: &Path,
    ) -> Outcome<Vec<Process>> {
        let program = program.to_str().ok_or("the program's path is no text")?;
        let name = ["A", "B"][side.index()];
        let within = |command: &[&str]| {
            let mut within = Command::new("ip");
            within
                .args(["netns", "exec", lan.server(side).name()])
                .args(command);
            Process::spawn(&format!("{self} {name}"), &mut within)
        };
        match self {
            Kind::Bstar { .. } => {
                let config = folder.join(format!("{name}.toml"));
                write(
                    &config,
                    &self.pair_file(side, folder, &[program, "serve", BEHIND, name]),
                )?;
                let bstar = programs::program("bstar");
                let paths = [&bstar, &config].map(|path| path.to_string_lossy());
                Ok(vec![within(&[&paths[0], "run", "--config", &paths[1]])])
            }
            Kind::Keepalived { advert } => {
                let config = folder.join(format!("{name}.conf"));
                write(&config, &vrrp_file(side, advert))?;
                let file = |what: &str| folder.join(format!("{name}.{what}")).display().to_string();
                let listen = format!("0.0.0.0:{PORT}");
                let server = within(&[program, "serve", &listen, name]);
                let (own, vrrp, config) = (file("pid"), file("vrrp.pid"), file("conf"));
                for left in [&own, &vrrp] {
                    // Who was killed left them; where nobody reaps it, it would be taken for one that lives.
                    let _ = fs::remove_file(left);
                }
                let logs = ["--dont-fork", "--log-console", "--log-detail", "--vrrp"];
                let files = ["-f", &config, "-p", &own, "-r", &vrrp];
                let command = [&["keepalived"][..], &logs[..], &files[..]].concat();
                Ok(vec![within(&command), server])
            }
        }
    }

    fn pair_file(self, side: Side, folder: &Path, server: &[&str]) -> String {
        let Kind::Bstar { heartbeat, proof } = self else {
            return String::new();
        };
        let (own, peer) = (address(side), address(side.other()));
        let role = ["primary", "backup"][side.index()];
        let control = folder.join(format!("{role}.sock"));
        let death = if proof {
            format!("[proof_of_death]\npeer_frontends = [\"tcp://{peer}:{PORT}\"]\n")
        } else {
            String::new()
        };
        format!(
            "role = \"{role}\"\n\
             pair = \"failover\"\n\
             heartbeat_ms = {}\n\
             control = {control:?}\n\
             [link]\n\
             local = \"tcp://{own}:5003\"\n\
             remote = \"tcp://{peer}:5003\"\n\
             [[tcp]]\n\
             listen = \"{own}:{PORT}\"\n\
             server = \"{BEHIND}\"\n\
             [server]\n\
             run = \"always\"\n\
             command = {server:?}\n\
             {death}",
            heartbeat.as_millis()
        )
    }

    /// Whether the side that these processes are stands by, as its log tells.
    pub(super) fn stands_by(self, processes: &[Process]) -> bool {
        let Some(process) = processes.first() else {
            return false;
        };
        let told = [process.stdout().text(), process.stderr().text()].concat();
        let last = |word: &str| told.rfind(word);
        match self {
            Kind::Bstar { .. } => last("to=\"passive\"") > last("to=\"active\""),
            Kind::Keepalived { .. } => {
                last("Entering BACKUP STATE") > last("Entering MASTER STATE")
            }
        }
    }

    /// Removes what a side that was killed has left in its host.
    pub(super) fn clear_away(self, lan: &Lan, side: Side) {
        if let Kind::Keepalived { .. } = self {
            let address = format!("{VIRTUAL}/24");
            // It is there only if that side was the master.
            let _ = lan
                .server(side)
                .run(&["ip", "addr", "del", &address, "dev", DEVICE]);
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.interval().as_millis();
        match self {
            Kind::Bstar { proof: false, .. } => write!(f, "bstar, {ms} ms"),
            Kind::Bstar { proof: true, .. } => write!(f, "bstar, {ms} ms, proof of death"),
            Kind::Keepalived { .. } => write!(f, "keepalived, {ms} ms"),
        }
    }
}

/// The best that it can do: of three adverts that it misses none is longer than told, since the highest
/// priorities add next to nothing, and whoever returns does not push in.
fn vrrp_file(side: Side, advert: Duration) -> String {
    let priority = 254 - side.index();
    let seconds = advert.as_secs_f64();
    format!(
        "global_defs {{\n    vrrp_version 3\n}}\n\
         vrrp_instance service {{\n    \
         state BACKUP\n    nopreempt\n    interface {DEVICE}\n    virtual_router_id 51\n    \
         priority {priority}\n    advert_int {seconds}\n    \
         virtual_ipaddress {{\n        {VIRTUAL}/24 dev {DEVICE}\n    }}\n}}\n"
    )
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
