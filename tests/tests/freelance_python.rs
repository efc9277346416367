//! Servers and clients of Freelance that are written in Python and know the bare protocol only,
//! against ours, in both directions.

use std::time::Duration;

use tests::freelance::{
    Behaviour, ClientConfig, FlClient, FlServer, Model, ScriptedServer, wait_until,
};
use tests::{BOUND, Outcome, Process, ensure, free_endpoint, python, run_cases, skip};

const ATTEMPT: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_secs(10);

/// A program in Python takes its time to start, and so do some at once.
const BOUND_OF_A_RUN: Duration = Duration::from_secs(60);

fn python_is_missing() -> bool {
    match python::script("fl_server.py") {
        Ok(_) => false,
        Err(why) => {
            skip(&why);
            true
        }
    }
}

fn on_each_model(test: impl Fn(Model) -> Outcome<()> + Sync) -> Outcome<()> {
    if python_is_missing() {
        return Ok(());
    }
    run_cases(Model::ALL.to_vec(), 2, ATTEMPT / 2, |model| test(*model))
}

/// A server in Python, which ends after some messages if a number is given.
fn their_server(model: Model, messages: Option<usize>) -> Outcome<FlServer> {
    let mut command = python::script("fl_server.py")?;
    command.arg(model.number().to_string()).arg(free_endpoint());
    if let Some(messages) = messages {
        command.args(["--messages", &messages.to_string()]);
    }
    FlServer::spawn("theirs", &mut command)
}

fn their_client(model: Model, requests: usize, servers: &[&str]) -> Outcome<Process> {
    let mut command = python::script("fl_client.py")?;
    command
        .arg(model.number().to_string())
        .args(["--requests", &requests.to_string()])
        .args(["--attempt", &ATTEMPT.as_millis().to_string()])
        .args(servers);
    Ok(Process::spawn("their client", &mut command))
}

fn our_client(model: Model, requests: usize, servers: &[&str]) -> FlClient {
    FlClient::start(&ClientConfig {
        requests,
        // Or all might be answered before the first of its servers has shaken hands.
        interval: Duration::from_millis(2),
        timeout: DEADLINE,
        attempt: ATTEMPT,
        ..ClientConfig::new(model, servers)
    })
}

fn ends_well(client: &Process, requests: usize) -> Outcome<()> {
    let status = client.wait_exit(BOUND_OF_A_RUN)?;
    let last = client.stdout().all().pop().map(|line| line.text);
    ensure(
        status.success() && last == Some(format!("answered={requests}")),
        || client.describe("not all was answered"),
    )
}

#[test]
fn their_client_and_their_server_understand_each_other() -> Outcome<()> {
    on_each_model(|model| {
        let server = their_server(model, None)?;
        ends_well(&their_client(model, 50, &[server.endpoint()])?, 50)
    })
}

#[test]
fn their_client_is_not_confused_by_repeated_answers() -> Outcome<()> {
    on_each_model(|model| {
        let server = ScriptedServer::start(model, Behaviour::DuplicatesAndStale)?;
        ends_well(&their_client(model, 50, &[server.endpoint()])?, 50)
    })
}

#[test]
fn their_client_notices_an_answer_that_is_not_its_own() -> Outcome<()> {
    on_each_model(|model| {
        let server = ScriptedServer::start(model, Behaviour::WrongBody)?;
        let client = their_client(model, 50, &[server.endpoint()])?;
        let status = client.wait_exit(BOUND_OF_A_RUN)?;
        let why = client.stderr().text();
        ensure(
            status.code() == Some(1) && why.starts_with("asked 1,"),
            || client.describe("should have ended at the first answer"),
        )
    })
}

#[test]
fn our_client_is_served_by_their_servers() -> Outcome<()> {
    on_each_model(|model| {
        let servers = [their_server(model, None)?, their_server(model, None)?];
        let endpoints = servers.each_ref().map(FlServer::endpoint);
        let report = our_client(model, 500, &endpoints).all_answered(BOUND_OF_A_RUN, DEADLINE)?;
        ensure(report.ok == 500, || format!("{report:?}"))
    })
}

#[test]
fn our_client_leaves_a_server_of_theirs_that_dies() -> Outcome<()> {
    on_each_model(|model| {
        let dying = their_server(model, Some(100))?;
        let second = their_server(model, None)?;
        let servers = [dying.endpoint(), second.endpoint()];
        let client = our_client(model, 300, &servers);
        dying.process().wait_exit(BOUND)?;
        let report = client.all_answered(BOUND_OF_A_RUN, DEADLINE)?;
        ensure(report.ok == 300, || format!("{report:?}"))
    })
}

#[test]
fn their_clients_are_served_by_our_server() -> Outcome<()> {
    on_each_model(|model| {
        let server = FlServer::start(model)?;
        let clients = [
            their_client(model, 100, &[server.endpoint()])?,
            their_client(model, 100, &[server.endpoint()])?,
        ];
        clients
            .iter()
            .try_for_each(|client| ends_well(client, 100))?;
        server.process().terminate()
    })
}

#[test]
fn their_client_leaves_a_server_of_ours_that_dies() -> Outcome<()> {
    on_each_model(|model| {
        let dying = FlServer::start(model)?;
        let second = ScriptedServer::start(model, Behaviour::Good)?;
        // More than it can ask before the first is killed.
        let servers = [dying.endpoint(), second.endpoint()];
        let client = their_client(model, 1_000_000, &servers)?;
        let replied = client.stdout().find(0, BOUND, |line| {
            line.text.starts_with("reply=").then_some(())
        });
        replied.ok_or_else(|| client.describe("no reply"))?;
        dying.process().kill()?;
        // A copy for the second may be under way, but not one of the next request.
        let asked = second.requests();
        wait_until("the second is asked", || second.requests() > asked + 2)?;
        ensure(client.exit_status().is_none(), || {
            client.describe("it ended")
        })?;
        client.kill()
    })
}

#[test]
fn ours_and_theirs_stand_in_for_each_other() -> Outcome<()> {
    on_each_model(|model| {
        let ours = FlServer::start(model)?;
        let theirs = their_server(model, None)?;
        let servers = [ours.endpoint(), theirs.endpoint()];
        let clients = [
            our_client(model, 300, &servers),
            our_client(model, 300, &[servers[1], servers[0]]),
        ];
        let python = their_client(model, 30, &servers)?;
        for client in &clients {
            client.all_answered(BOUND_OF_A_RUN, DEADLINE)?;
        }
        ends_well(&python, 30)
    })
}
