//! The first server falls silent, and its connections stand: packets are dropped, or the process is
//! stopped, and nobody is told. The clients of Freelance go on with the second server.

use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tests::freelance::{
    Behaviour, ClientConfig, FlClient, FlServer, Model, ScriptedServer, wait_until,
};
use tests::{Cut, Namespace, Outcome, Process, ensure, port, run_cases, skip};

const ATTEMPT: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(10);

/// A run takes fifteen seconds; more is room for a busy machine.
const BOUND_OF_A_RUN: Duration = Duration::from_secs(60);

/// For longer than two and a half of the client's pings, after which it gives a link up.
const CUT: Duration = Duration::from_secs(4);

const INTERVAL: Duration = Duration::from_millis(10);

/// Runs each client while the first of its servers is cut off for a while, and not.
fn cut_off(cut: Cut) -> Outcome<()> {
    run_cases(
        Model::ALL.to_vec(),
        3,
        ATTEMPT / 2,
        |model| match Namespace::new() {
            Ok(network) => goes_on(&network, *model, cut),
            Err(why) => {
                skip(&why);
                Ok(())
            }
        },
    )
}

fn goes_on(network: &Namespace, model: Model, cut: Cut) -> Outcome<()> {
    let first = FlServer::start_in(Some(network.name()), model)?;
    let second = network.within(|| ScriptedServer::start(model, Behaviour::Good))?;
    let config = ClientConfig {
        requests: 1_000,
        timeout: DEADLINE,
        attempt: ATTEMPT,
        interval: INTERVAL,
        namespace: Some(network.name().to_owned()),
        ..ClientConfig::new(model, &[first.endpoint(), second.endpoint()])
    };
    let short = ClientConfig {
        requests: 50,
        ..config.clone()
    };
    let client = FlClient::start(&config);
    // Long enough for some requests, and the report tells whether there were any.
    thread::sleep(INTERVAL * 50);
    let asked = second.requests();
    network.cut(&[port(first.endpoint())], cut)?;
    wait_until("the second is asked", || second.requests() > asked + 2)?;
    // Meanwhile one begins that never knew the first otherwise.
    let meanwhile = FlClient::start(&short).all_answered(BOUND_OF_A_RUN, ATTEMPT * 5)?;
    thread::sleep(CUT);
    network.heal()?;
    let throughout = client.all_answered(BOUND_OF_A_RUN, ATTEMPT * 5)?;
    // In model 2 whoever is quicker wins.
    ensure(
        model == Model::Two || throughout.served_by(first.endpoint()) > 0,
        || format!("the first did not serve: {throughout:?}"),
    )?;
    ensure(meanwhile.served_by(first.endpoint()) == 0, || {
        format!("the first served although it was cut off: {meanwhile:?}")
    })?;
    first.process().terminate()
}

#[test]
fn a_server_that_is_cut_off_costs_no_request() -> Outcome<()> {
    cut_off(Cut::Both)
}

#[test]
fn a_server_whose_answers_are_cut_off_costs_no_request() -> Outcome<()> {
    cut_off(Cut::From)
}

/// A name is looked up by whoever dials, and that takes the more time the less the resolver says.
#[test]
fn a_resolver_that_says_nothing_holds_nobody_up() -> Outcome<()> {
    run_cases(Model::ALL.to_vec(), 3, ATTEMPT / 2, |model| {
        let mut network = match Namespace::new() {
            Ok(network) => network,
            Err(why) => {
                skip(&why);
                return Ok(());
            }
        };
        if let Err(why) = network.silence_resolver() {
            skip(&why);
            return Ok(());
        }
        let [second, third] =
            [(), ()].map(|()| network.within(|| ScriptedServer::start(*model, Behaviour::Good)));
        let (second, third) = (second?, third?);
        let names = [
            "tcp://nobody.invalid:5555",
            second.endpoint(),
            third.endpoint(),
        ];
        let mut getent = Command::new("ip");
        getent.args(["netns", "exec", network.name()]);
        getent.args(["getent", "hosts", "nobody.invalid"]);
        let lookup = Process::spawn("getent", &mut getent);
        let client = FlClient::start(&ClientConfig {
            requests: 300,
            timeout: DEADLINE,
            attempt: ATTEMPT,
            interval: INTERVAL,
            namespace: Some(network.name().to_owned()),
            ..ClientConfig::new(*model, &names)
        });
        client.all_answered(BOUND_OF_A_RUN, ATTEMPT * 5)?;
        ensure(lookup.exit_status().is_none(), || {
            lookup.describe("the resolver said something")
        })
    })
}

/// A server that is stopped keeps its connections, and its kernel takes what is sent to it.
#[test]
fn a_server_that_is_stopped_for_ten_seconds_costs_no_request() -> Outcome<()> {
    const STOPPED: Duration = Duration::from_secs(10);
    run_cases(Model::ALL.to_vec(), 3, ATTEMPT / 2, |model| {
        let first = FlServer::start(*model)?;
        let second = ScriptedServer::start(*model, Behaviour::Good)?;
        let servers = [first.endpoint(), second.endpoint()];
        let config = ClientConfig {
            requests: 1_800,
            timeout: DEADLINE,
            attempt: ATTEMPT,
            interval: INTERVAL,
            ..ClientConfig::new(*model, &servers)
        };
        let short = ClientConfig {
            requests: 50,
            ..config.clone()
        };
        let run = |client: &FlClient| client.all_answered(BOUND_OF_A_RUN, ATTEMPT * 5);
        let before = run(&FlClient::start(&short))?;
        let client = FlClient::start(&config);
        // Long enough for some requests, and the report tells whether there were any.
        thread::sleep(INTERVAL * 50);
        let asked = second.requests();
        first.process().signal(Signal::STOP);
        wait_until("the second is asked", || second.requests() > asked + 2)?;
        // Meanwhile one begins that never knew the first otherwise.
        let meanwhile = run(&FlClient::start(&short))?;
        thread::sleep(STOPPED);
        first.process().signal(Signal::CONT);
        let throughout = run(&client)?;
        // In model 2 whoever is quicker wins.
        ensure(
            *model == Model::Two
                || before.served_by(servers[0]) > 0 && throughout.served_by(servers[0]) > 0,
            || format!("the first did not serve: {before:?} {throughout:?}"),
        )?;
        ensure(meanwhile.served_by(servers[0]) == 0, || {
            format!("a stopped server served: {meanwhile:?}")
        })?;
        first.process().terminate()
    })
}
