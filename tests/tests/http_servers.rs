//! nginx and Python's `http.server` behind curl, as `docs/http.md` tells: none of them knows of the pair.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::beside::{follow, wait_until};
use tests::{BOUND, Beside, Outcome, Process, TryOut, ensure, rounds_asked, skip, tell};

const HEARTBEAT: Duration = Duration::from_millis(250);
const PORTS: [u16; 4] = [8000, 8080, 8081, 5003];

/// What curl exits with when it is refused.
const REFUSED: i32 = 7;

fn try_out(programs: &[&str]) -> Outcome<Option<TryOut>> {
    for program in programs {
        let version = Command::new(program).arg("-V").output();
        if let Err(error) = version {
            skip(&format!("{program}: {error}"));
            return Ok(None);
        }
    }
    let place = TryOut::new("http", &PORTS, HEARTBEAT)?;
    let path = place.path();
    for folder in ["www", "nginx-one", "nginx-two"] {
        fs::create_dir(path.join(folder)).map_err(|error| error.to_string())?;
    }
    fs::write(path.join("www/index.html"), "hello\n").map_err(|error| error.to_string())?;
    Ok(Some(place))
}

/// The arguments with which curl finds both machines under one name, as two records in the DNS give them.
fn both(place: &TryOut, path: &str) -> Vec<String> {
    vec![
        "--resolve".to_owned(),
        place.adapt("web:8000:127.0.0.1,127.0.0.2"),
        place.adapt(&format!("http://web:8000{path}")),
    ]
}

/// What curl says, and the status it exits with.
fn curl(args: &[String]) -> Outcome<(String, i32)> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "15"]);
    let asked = Process::spawn("curl", command.args(args));
    let status = asked.wait_exit(BOUND)?;
    Ok((asked.stdout().text(), status.code().unwrap_or(-1)))
}

/// A client that asks both addresses without pause: `200`, or `000` for no answer, each on a line.
fn load(place: &TryOut) -> Process {
    let ask = "while :; do curl --silent --output /dev/null --write-out '%{http_code}\n' \
               --max-time 2 \"$@\"; sleep 0.01; done";
    let mut command = Command::new("bash");
    command.args(["-c", ask, "load"]).args(both(place, "/"));
    Process::spawn("load", &mut command)
}

/// Does something to the pair, and tells how long after that the next answer came, and how many did not come.
fn strike(load: &Process, what: &str, act: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    let (before, since) = (load.stdout().count(), Instant::now());
    act()?;
    // Whoever answered until now is gone, or does not serve any more.
    let after = load.stdout().count();
    let found = load
        .stdout()
        .find(after, BOUND, |line| (line.text == "200").then_some(line.at));
    let at = found.ok_or_else(|| load.describe(&format!("{what}: no answer")))?;
    let took = at.saturating_duration_since(since);
    let lines = load.stdout().all();
    let between = lines.iter().skip(before).take_while(|line| line.at < at);
    let missing = between.filter(|line| line.text != "200").count();
    tell(&format!(
        "{what}: next answer after {took:.0?}, {missing} without"
    ));
    Ok(())
}

struct Web {
    place: TryOut,
    files: [&'static str; 2],
    nodes: [Beside; 2],
    active: usize,
}

impl Web {
    fn start(place: TryOut, files: [&'static str; 2]) -> Outcome<Self> {
        let nodes = [place.start(files[0])?, place.start(files[1])?];
        nodes[0].wait_state("active")?;
        nodes[1].wait_state("passive")?;
        Ok(Self {
            place,
            files,
            nodes,
            active: 0,
        })
    }

    fn address(&self, index: usize) -> String {
        let address = ["http://127.0.0.1:8000/", "http://127.0.0.2:8000/"][index];
        self.place.adapt(address)
    }

    /// The active one serves, and the passive one refuses.
    fn is_served(&self) -> Outcome<()> {
        let active = self.address(self.active);
        let retry = ["--retry", "10", "--retry-connrefused"].map(str::to_owned);
        let (text, status) = curl(&[&retry[..], &[active]].concat())?;
        ensure(status == 0 && text == "hello", || {
            format!("curl got {text:?}, status {status}")
        })?;
        let (_, status) = curl(&[self.address(1 - self.active)])?;
        ensure(status == REFUSED, || {
            format!("the passive one does not refuse: curl exits with {status}")
        })?;
        let (text, status) = curl(&both(&self.place, "/"))?;
        ensure(status == 0 && text == "hello", || {
            format!("by both addresses: {text:?}, status {status}")
        })
    }

    /// A switchover, a kill of the whole active side, and of its server alone, under load.
    fn faults(&mut self, server: &str) -> Outcome<()> {
        let load = load(&self.place);
        strike(&load, "no fault", || Ok(()))?;
        for _ in 0..rounds_asked().unwrap_or(1) {
            strike(&load, "switchover", || {
                self.nodes[self.active].ask(&["switchover"]).map(drop)
            })?;
            self.active = 1 - self.active;
            self.nodes[self.active].wait_state("active")?;
            self.nodes[1 - self.active].wait_state("passive")?;
            self.is_served()?;

            let killed = self.active;
            strike(&load, "kill -9 of the active side", || {
                self.nodes[killed].kill_family()
            })?;
            self.active = 1 - killed;
            self.nodes[self.active].wait_state("active")?;
            self.nodes[killed] = self.place.start(self.files[killed])?;
            self.nodes[killed].wait_state("passive")?;
            self.is_served()?;

            let process = self.nodes[self.active].relative(server)?;
            strike(&load, "kill -9 of the server alone", || {
                process.signal(Signal::KILL);
                process.wait_gone()
            })?;
            self.nodes[self.active].wait_state("active")?;
            self.is_served()?;
        }
        Ok(())
    }
}

#[test]
fn the_http_server_of_python() -> Outcome<()> {
    let Some(place) = try_out(&["curl", "python3"])? else {
        return Ok(());
    };
    let files = ["http/python-one.toml", "http/python-two.toml"];
    let mut web = Web::start(place, files)?;
    web.is_served()?;
    // The other one's does not even run.
    let passive = web.nodes[1].family();
    ensure(passive.is_empty(), || format!("passive, with {passive:?}"))?;
    web.faults("python3")
}

#[test]
fn nginx_is_told_where_its_clients_are() -> Outcome<()> {
    let Some(place) = try_out(&["curl", "nginx"])? else {
        return Ok(());
    };
    let files = ["http/nginx-one.toml", "http/nginx-two.toml"];
    let mut web = Web::start(place, files)?;
    web.is_served()?;
    let from = ["--interface", "127.0.0.9"].map(str::to_owned);
    let (who, _) = curl(&[&from[..], &both(&web.place, "/who")].concat())?;
    ensure(who == "one sees 127.0.0.9", || {
        format!("the client's address: {who:?}")
    })?;
    web.faults("nginx")
}

#[test]
fn two_addresses_in_a_script() -> Outcome<()> {
    let Some(place) = try_out(&["curl", "python3"])? else {
        return Ok(());
    };
    let files = ["http/python-one.toml", "http/python-two.toml"];
    let web = Web::start(place, files)?;
    web.is_served()?;
    let (one, two) = (web.address(0), web.address(1));
    for (first, second) in [(&one, &two), (&two, &one)] {
        let script = format!("curl --silent {first} || curl --silent {second}");
        let asked = Process::spawn("script", Command::new("sh").args(["-c", &script]));
        asked.wait_exit(BOUND)?;
        ensure(asked.stdout().text() == "hello", || {
            asked.describe("no answer")
        })?;
    }
    // Only a request takes over from a peer that is silent: a check that connects and closes does not.
    web.nodes[0].kill_family()?;
    let connect = place_connect(&web.place);
    wait_until(BOUND, &connect).map_err(|why| format!("the other one never listens: {why}"))?;
    for _ in 0..20 {
        connect();
    }
    ensure(web.nodes[1].state().as_deref() == Some("passive"), || {
        web.nodes[1].process().describe("a connection took over")
    })?;
    let (text, status) = curl(&[two])?;
    ensure(status == 0 && text == "hello", || {
        format!("a request did not take over: {text:?}, status {status}")
    })
}

/// A connection to the second node that says nothing.
fn place_connect(place: &TryOut) -> impl Fn() -> bool + use<> {
    let address = place.adapt("127.0.0.2:8000");
    move || std::net::TcpStream::connect(&address).is_ok()
}

#[test]
fn the_page_can_be_followed() -> Outcome<()> {
    for (heading, program, wanted) in [
        (
            "Python's http.server, tried on one machine",
            "python3",
            "hello",
        ),
        ("nginx, tried on one machine", "nginx", "one sees "),
    ] {
        // What needs the other program is followed all the same.
        let Some(place) = try_out(&["curl", program])? else {
            continue;
        };
        let said = follow(&mut place.script("http.md", heading)?, BOUND)?;
        ensure(said.contains(wanted), || format!("no {wanted:?}: {said}"))?;
    }
    Ok(())
}
