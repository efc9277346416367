//! From what was given to what is right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reactor::Endpoint;

use super::document::Document;
use super::flags::ConfigFlags;
use super::given::{Fields, Given};
use super::keys::Section;
use super::place::{Place, Places, to_bind_endpoint, to_connect_endpoint};
use super::problem::{Checked, ConfigProblem, Site};
use super::{LinkConfig, RunConfig, control, fronts, health, hooks, server};
use crate::core::{Config, ConfigError, PairId, Role};
use crate::server::{MAX_PEER_FRONTENDS, ProofOfDeath, numeric_address};

/// How long a switchover may take unless told otherwise: longer than a hook.
const DRAIN: Duration = Duration::from_secs(5);
/// How long an active node waits for its peer's hooks unless told otherwise.
const OFFER_WAIT: Duration = Duration::from_secs(30);

impl RunConfig {
    /// Reads a file, flags, or both, of which the flags count.
    ///
    /// Names are looked up, which may block for as long as the system's resolver does, and programs and
    /// directories are looked for.
    pub(crate) fn load(
        path: Option<&Path>,
        flags: &ConfigFlags,
    ) -> Result<RunConfig, ConfigProblem> {
        let mut document = Document::read(path, flags)?;
        let mut top = document.table_or_empty(Section::Top);
        let pair = pair(&mut top)?;
        let mut places = Places::default();
        let (link, remote) = link(&mut document, pair.role(), &mut places)?;
        let (second_link, second_remote) = second_link(&mut document, &mut places)?.unzip();
        let fronts = fronts::read(&mut document, &mut top, &mut places)?;
        places.check_target(&Place::target(&link.remote), &remote)?;
        if let (Some(second), Some(site)) = (&second_link, &second_remote) {
            places.check_target(&Place::target(&second.remote), site)?;
            if second.remote == link.remote {
                return Err(site.problem(
                    "it is the first link's too; give the peer's address on the second network",
                ));
            }
        }
        let remotes = [
            Some((&link, &remote)),
            second_link.as_ref().zip(second_remote.as_ref()),
        ];
        let proof_of_death = proof_of_death(&mut document, remotes)?;
        let config = RunConfig {
            state_dir: top.optional("state_dir", state_dir)?,
            control: control::read(&mut top, &pair)?,
            vote_when_unhealthy: top.read("vote_when_unhealthy", false, Given::switch)?,
            server: server::read(&mut document)?,
            health: health::read(&mut document, &fronts.tcp)?,
            hooks: hooks::read(&mut document, &pair)?,
            pair,
            link,
            second_link,
            proof_of_death,
            tcp: fronts.tcp,
            zmq: fronts.zmq,
        };
        top.finish();
        Ok(config)
    }
}

/// Role, name and times.
fn pair(top: &mut Fields) -> Checked<Config> {
    let role = top
        .need("role")?
        .one_of(&[("primary", Role::Primary), ("backup", Role::Backup)])?;
    let mut config = Config::new(role);
    if let Some(given) = top.take("pair") {
        let pair = given.parsed(|text| PairId::new(text))?;
        config = config.with_pair(pair);
    }
    config = config
        .with_drain(DRAIN)
        .and_then(|config| config.with_offer_wait(OFFER_WAIT))
        .map_err(|error| top.site("drain_ms").problem(error))?;
    type With = fn(Config, Duration) -> Result<Config, ConfigError>;
    let times: [(_, With); 6] = [
        ("heartbeat_ms", Config::with_heartbeat),
        ("timeout_ms", Config::with_timeout),
        ("drain_ms", Config::with_drain),
        ("offer_wait_ms", Config::with_offer_wait),
        ("fail_back_ms", Config::with_fail_back),
        ("serve_alone_ms", Config::with_serve_alone),
    ];
    for (name, with) in times {
        if let Some(given) = top.take(name) {
            // The pair's own bounds are narrower.
            let time = Duration::from_millis(given.number(0..=u64::MAX)?);
            config = with(config, time).map_err(|error| match error {
                ConfigError::Role { .. } => {
                    given.problem(format_args!("{error}, and this is a {role}; take it out"))
                }
                error => given.problem(error),
            })?;
        }
    }
    Ok(config)
}

/// The state link, with where its remote end was given; the Guide's ports if nothing is said.
fn link(document: &mut Document, role: Role, places: &mut Places) -> Checked<(LinkConfig, Site)> {
    let (local, remote) = match role {
        Role::Primary => ("tcp://*:5003", "tcp://localhost:5004"),
        Role::Backup => ("tcp://*:5004", "tcp://localhost:5003"),
    };
    let mut fields = document.table_or_empty(Section::Link);
    let mut end =
        |name: &str, default: &str, parse: fn(&str) -> Result<Endpoint, String>| match fields
            .take(name)
        {
            Some(given) => Ok((given.parsed(parse)?, given.site)),
            None => {
                let site = fields.site(name);
                Ok((parse(default).map_err(|reason| site.problem(reason))?, site))
            }
        };
    let (local, local_site) = end("local", local, to_bind_endpoint)?;
    let (remote, remote_site) = end("remote", remote, to_connect_endpoint)?;
    fields.finish();
    places.listen(Place::bound(&local), local_site)?;
    Ok((LinkConfig { local, remote }, remote_site))
}

fn second_link(
    document: &mut Document,
    places: &mut Places,
) -> Checked<Option<(LinkConfig, Site)>> {
    let Some(mut fields) = document.table(Section::SecondLink) else {
        return Ok(None);
    };
    let local = fields.need("local")?;
    let remote = fields.need("remote")?;
    fields.finish();
    let link = LinkConfig {
        local: local.parsed(to_bind_endpoint)?,
        remote: remote.parsed(to_connect_endpoint)?,
    };
    places.listen(Place::bound(&link.local), local.site)?;
    Ok(Some((link, remote.site)))
}

/// Everything that is asked must be a number: a name may lead to another machine.
fn proof_of_death(
    document: &mut Document,
    remotes: [Option<(&LinkConfig, &Site)>; 2],
) -> Checked<Option<ProofOfDeath>> {
    let Some(mut fields) = document.table(Section::ProofOfDeath) else {
        return Ok(None);
    };
    let given = fields.need("peer_frontends")?;
    let site = given.site.clone();
    let mut peer_frontends = Vec::new();
    for given in given.list()? {
        let endpoint = given.parsed(to_connect_endpoint)?;
        numeric_address(&endpoint).map_err(|error| given.problem(error))?;
        peer_frontends.push(endpoint.to_string());
    }
    if !(1..=MAX_PEER_FRONTENDS).contains(&peer_frontends.len()) {
        return Err(site.problem(format_args!(
            "a proof of death needs all front ends of the peer: name 1 to {MAX_PEER_FRONTENDS}"
        )));
    }
    for (link, site) in remotes.into_iter().flatten() {
        numeric_address(&link.remote).map_err(|error| site.problem(error))?;
    }
    let restart_grace = fields.millis("restart_grace_ms", 0, 0)?;
    fields.finish();
    Ok(Some(ProofOfDeath {
        peer_frontends,
        restart_grace,
    }))
}

/// A directory that is there, or may be made where its parent is.
fn state_dir(given: &Given) -> Checked<PathBuf> {
    let path = given.path()?;
    if path.exists() && !path.is_dir() {
        return Err(given.problem(format_args!("{} is no directory; give one", path.display())));
    }
    if !path.exists() {
        parent_is_there(given, &path)?;
    }
    Ok(path)
}

/// That something may be made here.
pub(super) fn parent_is_there(given: &Given, path: &Path) -> Checked<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => Err(given.problem(format_args!(
            "the directory {} is not there; make it, or give another path",
            parent.display()
        ))),
        _ => Ok(()),
    }
}
