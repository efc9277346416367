//! A REP server in Python and a plain REQ client, as `docs/zeromq.md` tells: neither knows of the pair.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tests::beside::follow;
use tests::{BOUND, Beside, Outcome, Process, TryOut, ensure, python, rounds_asked, skip, tell};

const HEARTBEAT: Duration = Duration::from_millis(250);
const PORTS: [u16; 3] = [5001, 5003, 5555];

fn try_out() -> Outcome<Option<TryOut>> {
    if let Err(why) = python::interpreter("zmq") {
        skip(&why);
        return Ok(None);
    }
    TryOut::new("zeromq", &PORTS, HEARTBEAT).map(Some)
}

/// The number of a request and who answered it, from a line of the client.
fn answer(line: &str) -> Option<(usize, String)> {
    let (number, rest) = line.strip_prefix("request ")?.split_once(" is answer ")?;
    let (_, rest) = rest.split_once(" of ")?;
    let (server, _) = rest.split_once(',')?;
    Some((number.parse().ok()?, server.to_owned()))
}

/// Waits until the client has an answer by this server, and tells how long it waited.
fn answered_by(client: &Process, mark: usize, server: &str) -> Outcome<String> {
    let found = client.stdout().find(mark, BOUND, |line| {
        let (_, by) = answer(&line.text)?;
        (by == server).then(|| line.text.clone())
    });
    found.ok_or_else(|| client.describe(&format!("no answer by {server}")))
}

#[test]
fn a_plain_client_is_answered_through_every_fault() -> Outcome<()> {
    let Some(place) = try_out()? else {
        return Ok(());
    };
    let files = ["zeromq/one.toml", "zeromq/two.toml"];
    let names = ["one", "two"];
    let start = |index: usize| place.start(files[index]);
    let mut nodes: [Beside; 2] = [start(0)?, start(1)?];
    nodes[0].wait_state("active")?;
    nodes[1].wait_state("passive")?;

    let mut command = Command::new(python::interpreter("zmq")?);
    command
        .arg("-u")
        .arg(place.path().join("zeromq/req_client.py"));
    command.arg(place.adapt("tcp://127.0.0.1:5001"));
    command.arg(place.adapt("tcp://127.0.0.2:5001"));
    let client = Process::spawn("client", &mut command);
    answered_by(&client, 0, "one")?;

    let mut active = 0;
    for _ in 0..rounds_asked().unwrap_or(1) {
        let mark = client.stdout().count();
        nodes[active].ask(&["switchover"])?;
        active = 1 - active;
        let line = answered_by(&client, mark, names[active])?;
        tell(&format!("switchover: {line}"));
        nodes[1 - active].wait_state("passive")?;

        let mark = client.stdout().count();
        nodes[active].kill_family()?;
        active = 1 - active;
        let line = answered_by(&client, mark, names[active])?;
        tell(&format!("kill -9 of the active side: {line}"));
        nodes[1 - active] = start(1 - active)?;
        nodes[1 - active].wait_state("passive")?;

        let family = nodes[active].family();
        let server = family.iter().find(|one| one.name.starts_with("python"));
        let server = server.ok_or("no server runs")?;
        let mark = client.stdout().count();
        server.signal(Signal::KILL);
        server.wait_gone()?;
        let line = answered_by(&client, mark, names[active])?;
        tell(&format!("kill -9 of the server alone: {line}"));
    }

    // It asks for the next only when it has the answer to the last: none is missing, none came twice.
    let lines = client.stdout().all();
    let numbers = lines.iter().filter_map(|line| answer(&line.text));
    for (index, (number, _)) in numbers.enumerate() {
        ensure(number == index + 1, || {
            client.describe(&format!("answer {number} in the place of {}", index + 1))
        })?;
    }
    Ok(())
}

#[test]
fn the_page_can_be_followed() -> Outcome<()> {
    let Some(place) = try_out()? else {
        return Ok(());
    };
    let mut command = place.script("zeromq.md", "A try-out on one machine")?;
    command.env("PYTHON", python::interpreter("zmq")?);
    let said = follow(&mut command, BOUND)?;
    ensure(said.contains("request 1 is answer 1 of one"), || {
        format!("the first one did not answer first: {said}")
    })
}
