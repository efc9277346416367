//! Pairs of which one half, and the client, are written in Python and know only the Guide's wire
//! format.

use std::time::Duration;

use tests::{
    BOUND, Node, NodeConfig, Outcome, Process, Role, StateLine, ensure, free_endpoint, python,
    skip, steady,
};

const HEARTBEAT: Duration = Duration::from_millis(100);

/// A pair of one server of ours and one of the Guide's.
struct Mixed {
    config: NodeConfig,
    ours: Option<Node>,
    theirs: Option<Process>,
    their_frontend: String,
    client: Process,
}

impl Mixed {
    /// Starts both and a client, ours in the role `role`; the primary becomes active.
    fn start(role: Role) -> Outcome<Self> {
        let config = NodeConfig::new(role, &free_endpoint(), HEARTBEAT);
        let their_frontend = free_endpoint();
        let mut servers = [config.frontend.clone(), their_frontend.clone()];
        if role == Role::Backup {
            servers.reverse();
        }
        let mut client = python::script("guide_client.py")?;
        client
            .args(["--server", &servers[0], "--server", &servers[1]])
            .args(["--timeout", "300", "--settle", "200", "--interval", "20"]);
        let mut mixed = Self {
            ours: None,
            theirs: None,
            their_frontend,
            client: Process::spawn("client", &mut client),
            config,
        };
        mixed.start_ours()?;
        mixed.start_theirs()?;
        Ok(mixed)
    }

    fn start_ours(&mut self) -> Outcome<()> {
        self.ours = Some(Node::start(&self.config)?);
        Ok(())
    }

    fn start_theirs(&mut self) -> Outcome<()> {
        let mut command = python::script("guide_server.py")?;
        command
            .arg(self.config.role.other().option())
            .args(["--local", &self.config.remote])
            .args(["--remote", &self.config.local])
            .args(["--frontend", &self.their_frontend])
            .args(["--heartbeat", &HEARTBEAT.as_millis().to_string()]);
        let theirs = Process::spawn("theirs", &mut command);
        let initial = self.config.role.other().name();
        let started = wait_line(&theirs, 0, initial);
        self.theirs = Some(theirs);
        started.map(drop)
    }

    fn ours(&self) -> Outcome<&Node> {
        self.ours.as_ref().ok_or_else(|| "ours is down".to_owned())
    }

    fn theirs(&self) -> Outcome<&Process> {
        let theirs = self.theirs.as_ref();
        theirs.ok_or_else(|| "theirs is down".to_owned())
    }

    fn stop_theirs(&mut self) -> Outcome<()> {
        self.theirs()?.kill()?;
        self.theirs = None;
        Ok(())
    }

    fn stop_ours(&mut self) -> Outcome<()> {
        self.ours()?.process().kill()?;
        self.ours = None;
        Ok(())
    }

    /// Waits until ours is active, the client is served by it, and theirs stands by if it runs.
    fn served_by_ours(&self) -> Outcome<()> {
        self.ours()?.wait_state("active")?;
        self.served_by(&self.config.frontend)?;
        match &self.theirs {
            Some(theirs) => wait_last(theirs, "passive"),
            None => Ok(()),
        }
    }

    /// Waits until theirs is active, the client is served by it, and ours stands by if it runs.
    fn served_by_theirs(&self) -> Outcome<()> {
        wait_last(self.theirs()?, "active")?;
        self.served_by(&self.their_frontend)?;
        match &self.ours {
            Some(ours) => ours.wait_state("passive"),
            None => Ok(()),
        }
    }

    fn served_by(&self, server: &str) -> Outcome<()> {
        let mark = self.client.stdout().count();
        let end = format!(" server={server}");
        let found = self.client.stdout().find(mark, BOUND, |line| {
            let is_reply = line.text.starts_with("reply=") && line.text.ends_with(&end);
            is_reply.then_some(())
        });
        found.ok_or_else(|| self.describe(&format!("no reply from {server}")))
    }

    /// Asks ours to step back until it has heard that theirs is passive, and so does.
    fn switch_over(&self) -> Outcome<()> {
        let ours = self.ours()?;
        let mark = ours.mark();
        for _ in 0..100 {
            ours.switch_over();
            let resigned = |line: &StateLine| line.state == "resigned";
            if ours.wait_transition(mark, HEARTBEAT, resigned).is_ok() {
                return Ok(());
            }
        }
        Err(self.describe("ours did not step back"))
    }

    fn describe(&self, what: &str) -> String {
        let ours = self.ours.as_ref().map(Node::process);
        let all = [ours, self.theirs.as_ref(), Some(&self.client)];
        let parts: Vec<String> = all.iter().flatten().map(|p| p.describe("")).collect();
        format!("{what}\n{}", parts.join("\n"))
    }

    /// Nobody who is meant to run has ended: theirs would if it ever got more than a digit.
    fn all_alive(&self) -> Outcome<()> {
        let ours = self.ours()?.process();
        let all = [ours, self.theirs()?, &self.client];
        ensure(all.iter().all(|p| p.exit_status().is_none()), || {
            self.describe("somebody has ended")
        })
    }
}

fn wait_line(process: &Process, mark: usize, state: &str) -> Outcome<StateLine> {
    let found = process.stdout().find(mark, BOUND, |line| {
        StateLine::parse(line).filter(|line| line.state == state)
    });
    found.ok_or_else(|| process.describe(&format!("did not become {state}")))
}

/// Waits until the last state that `process` named is `state`.
fn wait_last(process: &Process, state: &str) -> Outcome<()> {
    let last = || {
        let lines = process.stdout().all();
        lines.iter().rev().find_map(StateLine::parse)
    };
    loop {
        let mark = process.stdout().count();
        if last().is_some_and(|line| line.state == state) {
            return Ok(());
        }
        wait_line(process, mark, state)?;
    }
}

/// From any state in which ours serves: all that can move the service between the two.
fn there_and_back(mixed: &mut Mixed) -> Outcome<()> {
    mixed.switch_over()?;
    mixed.served_by_theirs()?;
    mixed.all_alive()?;

    // Theirs is restarted: it announces its initial state, and ours takes over.
    mixed.stop_theirs()?;
    mixed.start_theirs()?;
    mixed.served_by_ours()?;
    mixed.all_alive()?;

    // Ours is stopped in an orderly way: theirs takes over because it was told to.
    mixed.ours()?.process().terminate()?;
    mixed.ours = None;
    mixed.served_by_theirs()?;
    let theirs = mixed.theirs()?.stdout().all();
    let last = theirs.iter().rev().find_map(StateLine::parse);
    let cause = format!("peer-{}", mixed.config.role.name());
    ensure(last.is_some_and(|line| line.cause == cause), || {
        mixed.describe("theirs should have taken over at the last word of ours")
    })?;

    // And back to ours, as an operator does it: the other is stopped.
    mixed.start_ours()?;
    mixed.served_by_theirs()?;
    mixed.stop_theirs()?;
    mixed.served_by_ours()?;
    mixed.start_theirs()?;
    mixed.served_by_ours()?;
    mixed.all_alive()
}

fn python_is_missing() -> bool {
    match python::script("guide_server.py") {
        Ok(_) => false,
        Err(why) => {
            skip(&why);
            true
        }
    }
}

#[test]
fn our_primary_with_a_backup_of_the_guide() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        if python_is_missing() {
            return Ok(());
        }
        let mut mixed = Mixed::start(Role::Primary)?;
        mixed.served_by_ours()?;
        mixed.stop_ours()?;
        mixed.served_by_theirs()?;
        mixed.start_ours()?;
        mixed.served_by_theirs()?;
        mixed.stop_theirs()?;
        mixed.served_by_ours()?;
        mixed.start_theirs()?;
        mixed.served_by_ours()?;
        there_and_back(&mut mixed)
    })
}

#[test]
fn our_backup_with_a_primary_of_the_guide() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        if python_is_missing() {
            return Ok(());
        }
        let mut mixed = Mixed::start(Role::Backup)?;
        mixed.served_by_theirs()?;
        mixed.stop_theirs()?;
        mixed.served_by_ours()?;
        mixed.start_theirs()?;
        mixed.served_by_ours()?;
        there_and_back(&mut mixed)
    })
}
