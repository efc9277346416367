//! The sections "On two machines" of the pages, followed to the letter: both machines are addresses in one network, and
//! what is `/etc/bstar` and `/var/lib/bstar` on the page are folders of the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::beside::follow;
use tests::programs::search_path;
use tests::tryout::{commands, repository};
use tests::{BOUND, Namespace, Outcome, ensure, python, skip};

/// The addresses of both machines and of a client.
const ADDRESSES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.9"];

/// A page, and how it is seen that the pair serves.
struct Page {
    name: &'static str,
    /// Without these it is left out.
    programs: &'static [&'static str],
    /// What is done when both nodes have been started, and what that is to say.
    look: &'static str,
    wanted: &'static str,
}

/// What a page calls so, at this place.
fn adapt(text: &str, folder: &Path) -> String {
    let folder = folder.display();
    text.replace("/etc/bstar", &format!("{folder}/etc"))
        .replace("/var/lib/bstar", &format!("{folder}/lib"))
}

/// The commands of the page for both machines, one after the other.
fn script(page: &Page, folder: &Path) -> Outcome<String> {
    let mut script = "set -eux\ntrap 'kill $(jobs -p); wait' EXIT\n".to_owned();
    for address in ADDRESSES {
        script += &format!("ip address add {address}/32 dev lo\n");
    }
    let mut second_starts = false;
    for line in commands(&format!("{}.md", page.name), "On two machines")?.lines() {
        if !line.contains("bstar run") {
            if line.contains("setup-second.sh") {
                // Who goes to the second machine has seen that the first one runs.
                let check = "/etc/bstar/postgres/check.sh /etc/bstar/postgres/one.env";
                script += &format!("until {check}; do sleep 0.1; done\n");
            }
            script += &format!("{line}\n");
            continue;
        }
        // It does not end, and so is the last word of a machine.
        let (start, remark) = line.split_once('#').unwrap_or((line, ""));
        script += &format!("{start} &\n");
        second_starts |= start.contains("two.toml");
        if remark.contains("two.toml on the second") {
            script += &format!("{} &\n", start.replace("one.toml", "two.toml"));
            second_starts = true;
        }
    }
    ensure(second_starts, || {
        format!("{} starts no second node", page.name)
    })?;
    script += page.look;
    Ok(adapt(&script, folder))
}

/// A folder that servers reach that run as a user of their own.
fn folder() -> Outcome<TempDir> {
    let make = || -> std::io::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        // The pages say `python3`; here it is one that has the modules.
        if let Ok(python) = python::interpreter("zmq") {
            let named = folder.path().join("python3");
            fs::write(
                &named,
                format!("#!/bin/sh\nexec {} \"$@\"\n", python.display()),
            )?;
            fs::set_permissions(&named, fs::Permissions::from_mode(0o755))?;
        }
        Ok(folder)
    };
    make().map_err(|error| format!("no folder: {error}"))
}

fn followed(page: &Page) -> Outcome<()> {
    for program in page.programs {
        let mut asked = Command::new(program);
        asked.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
        let there = asked.status();
        if let Err(error) = there {
            skip(&format!("{}.md, {program}: {error}", page.name));
            return Ok(());
        }
    }
    let network = match Namespace::new() {
        Ok(network) => network,
        Err(why) => {
            skip(&format!("{}.md: {why}", page.name));
            return Ok(());
        }
    };
    let folder = folder()?;
    let script = script(page, folder.path())?;
    let mut command = Command::new("bash");
    let path = format!("{}:{}", folder.path().display(), search_path("bstar"));
    command
        .args(["-c", &script])
        .env("PATH", path)
        .current_dir(repository());
    let said = network.within(|| follow(&mut command, 3 * BOUND))?;
    ensure(said.contains(page.wanted), || {
        format!("no {:?}: {said}", page.wanted)
    })
}

#[test]
fn redis() -> Outcome<()> {
    followed(&Page {
        name: "redis",
        programs: &["redis-server", "redis-cli", "runuser"],
        look: "until redis-cli -h 10.0.0.1 SET where first; do sleep 0.1; done\n\
               until redis-cli -h 10.0.0.2 -p 6380 GET where | grep first; do sleep 0.1; done\n",
        wanted: "first",
    })
}

#[test]
fn postgres() -> Outcome<()> {
    followed(&Page {
        name: "postgres",
        programs: &["/usr/lib/postgresql/15/bin/initdb", "setpriv"],
        look: "until bstar status --control /var/lib/bstar/one.sock | grep 'gate *open'; do sleep 0.1; done\n\
               until /etc/bstar/postgres/check.sh /etc/bstar/postgres/two.env; do sleep 0.1; done\n\
               until bstar switchover --control /var/lib/bstar/one.sock; do sleep 1; done\n",
        wanted: "this node has stepped back",
    })
}

#[test]
fn http() -> Outcome<()> {
    followed(&Page {
        name: "http",
        programs: &["nginx", "curl"],
        // The pair's own connections to the server do not come from the loopback here.
        look: "curl --silent --retry 20 --retry-connrefused --interface 10.0.0.9 http://10.0.0.1:8000/who\n",
        wanted: "one sees 10.0.0.9",
    })
}

#[test]
fn zeromq() -> Outcome<()> {
    if let Err(why) = python::interpreter("zmq") {
        skip(&format!("zeromq.md: {why}"));
        return Ok(());
    }
    followed(&Page {
        name: "zeromq",
        programs: &[],
        look: "client=/etc/bstar/zeromq/req_client.py\n\
               timeout 5 python3 -u $client tcp://10.0.0.1:5001 tcp://10.0.0.2:5001 || [ $? = 124 ]\n",
        wanted: "request 1 is answer 1 of one",
    })
}
