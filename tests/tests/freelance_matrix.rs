//! The three clients of Freelance against servers that are bad in every way: what must be answered,
//! and by when.

use std::time::Duration;

use tests::freelance::{Behaviour, ClientConfig, FlClient, Model, Report, ScriptedServer};
use tests::{Outcome, ensure, run_cases};

/// How long one server has for an answer: much for an echo, also on a busy machine.
const ATTEMPT: Duration = Duration::from_millis(200);

/// The deadline of a request in the cases in which all are answered.
const DEADLINE: Duration = Duration::from_secs(10);

/// The deadline where none is.
const HOPELESS: Duration = Duration::from_millis(500);

/// What a process may take to start and to end, on a busy machine.
const BESIDES: Duration = Duration::from_secs(5);

/// What stands in the place of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Server(Behaviour),
    /// A name that nobody has.
    Unresolvable,
}

use Behaviour::{
    Dead, DiesMidway, DropTwoOfThree, DuplicatesAndStale, Garbage, Good, Mute, OtherProtocol, Slow,
    Unreadable, WrongBody, WrongControl,
};
use Place::{Server, Unresolvable};

/// What must become of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// All are answered, the slowest within so many attempt timeouts.
    Answer(u32),
    /// None is answered, and all have failed by their deadlines.
    Fail,
    /// All are answered, with what was not asked for.
    BeWrong,
}

/// Between an answer and the next request there is a pause: what is asked at once goes to whoever
/// has shaken hands first, and a bad one might be left out.
struct Case {
    name: &'static str,
    servers: &'static [Place],
    requests: usize,
    interval: Duration,
    must: Must,
}

/// A client that nothing prevents answers in far less than an attempt timeout; each bad server
/// ahead of a good one costs one attempt timeout at most, and the rest is room for a busy machine.
const MATRIX: &[Case] = &[
    case(
        "all good",
        &[Server(Good), Server(Good)],
        100,
        Must::Answer(3),
    ),
    case(
        "first dead",
        &[Server(Dead), Server(Good)],
        100,
        Must::Answer(3),
    ),
    case(
        "all but one dead",
        &[
            Server(Dead),
            Server(Dead),
            Server(Dead),
            Server(Dead),
            Server(Good),
        ],
        100,
        Must::Answer(3),
    ),
    case(
        "first mute",
        &[Server(Mute), Server(Good)],
        100,
        Must::Answer(4),
    ),
    case(
        "all but one mute",
        &[Server(Mute), Server(Mute), Server(Mute), Server(Good)],
        50,
        Must::Answer(6),
    ),
    case(
        "first drops two of three",
        &[Server(DropTwoOfThree), Server(Good)],
        20,
        Must::Answer(4),
    ),
    case(
        "first answers under wrong control frames",
        &[Server(WrongControl), Server(Good)],
        50,
        Must::Answer(4),
    ),
    case(
        "first answers with garbage",
        &[Server(Garbage), Server(Good)],
        50,
        Must::Answer(5),
    ),
    case(
        "garbage beside one that works",
        &[Server(Good), Server(Garbage)],
        100,
        Must::Answer(4),
    ),
    case(
        "duplicates and stale replies",
        &[Server(DuplicatesAndStale)],
        100,
        Must::Answer(3),
    ),
    case(
        "all answer more than once",
        &[Server(DuplicatesAndStale), Server(DuplicatesAndStale)],
        100,
        Must::Answer(3),
    ),
    case(
        "first slower than an attempt",
        &[Server(Slow(Duration::from_millis(450))), Server(Good)],
        15,
        Must::Answer(4),
    ),
    case(
        "only one, slower than an attempt",
        &[Server(Slow(Duration::from_millis(450)))],
        3,
        Must::Answer(8),
    ),
    paced(
        "dies midway and returns",
        &[Server(DYING), Server(Good)],
        150,
        Must::Answer(4),
    ),
    paced(
        "two that die midway and return",
        &[Server(DYING), Server(DYING_LATER)],
        150,
        Must::Answer(8),
    ),
    case(
        "first never shakes hands",
        &[Server(Unreadable), Server(Good)],
        100,
        Must::Answer(4),
    ),
    case(
        "first speaks another protocol",
        &[Server(OtherProtocol), Server(Good)],
        100,
        Must::Answer(4),
    ),
    case(
        "each but the last bad in another way",
        &[
            Server(Dead),
            Server(Unreadable),
            Server(Mute),
            Server(WrongControl),
            Server(Good),
        ],
        50,
        Must::Answer(7),
    ),
    case(
        "first has no address",
        &[Unresolvable, Server(Good), Server(Good)],
        100,
        Must::Answer(4),
    ),
    case(
        "only one, without an address",
        &[Unresolvable],
        3,
        Must::Fail,
    ),
    case(
        "all dead",
        &[Server(Dead), Server(Dead), Server(Dead)],
        3,
        Must::Fail,
    ),
    case("all mute", &[Server(Mute), Server(Mute)], 3, Must::Fail),
    case(
        "all garbage",
        &[Server(Garbage), Server(Garbage)],
        3,
        Must::Fail,
    ),
    case(
        "all answer under wrong control frames",
        &[Server(WrongControl), Server(WrongControl)],
        3,
        Must::Fail,
    ),
    case(
        "none shakes hands",
        &[Server(Unreadable), Server(OtherProtocol)],
        3,
        Must::Fail,
    ),
    // Not a fault that a client can help, but the check of the checks.
    case(
        "answers what nobody asked",
        &[Server(WrongBody)],
        5,
        Must::BeWrong,
    ),
];

const DYING: Behaviour = DiesMidway {
    after: 10,
    away: Duration::from_millis(150),
};

const DYING_LATER: Behaviour = DiesMidway {
    after: 17,
    away: Duration::from_millis(150),
};

const fn case(name: &'static str, servers: &'static [Place], requests: usize, must: Must) -> Case {
    Case {
        name,
        servers,
        requests,
        interval: Duration::from_millis(2),
        must,
    }
}

/// With longer pauses, for what takes time to come about.
const fn paced(name: &'static str, servers: &'static [Place], requests: usize, must: Must) -> Case {
    Case {
        interval: Duration::from_millis(10),
        ..case(name, servers, requests, must)
    }
}

/// Each case with a client that has `outstanding` requests under way at once.
fn meets_every_fault(model: Model, outstanding: usize) -> Outcome<()> {
    let names: Vec<&str> = MATRIX.iter().map(|case| case.name).collect();
    run_cases(names, 4, ATTEMPT / 2, |name| {
        let case = MATRIX.iter().find(|case| case.name == *name);
        case.map_or(Ok(()), |case| run(model, outstanding, case))
    })
}

fn run(model: Model, outstanding: usize, case: &Case) -> Outcome<()> {
    let mut servers = Vec::new();
    let mut endpoints = Vec::new();
    for place in case.servers {
        match place {
            Server(behaviour) => {
                let server = ScriptedServer::start(model, *behaviour)?;
                endpoints.push(server.endpoint().to_owned());
                servers.push(server);
            }
            Unresolvable => endpoints.push("tcp://nobody.invalid:5555".to_owned()),
        }
    }
    let deadline = match case.must {
        Must::Answer(_) | Must::BeWrong => DEADLINE,
        Must::Fail => HOPELESS,
    };
    // A quarter of the run for each: a good server does more in that time, a bad one worse.
    let requests = match outstanding {
        1 => case.requests,
        many => case.requests * many / 4,
    };
    let client = FlClient::start(&ClientConfig {
        requests,
        timeout: deadline,
        attempt: ATTEMPT,
        outstanding: (outstanding > 1).then_some(outstanding),
        interval: case.interval,
        ..ClientConfig::new(model, &endpoints)
    });
    let all = deadline * u32::try_from(requests).unwrap_or(u32::MAX) + BESIDES;
    let report = client.report(all)?;
    judge(case, &report)
        .and_then(|()| all_were_tried(model, outstanding, &servers))
        .and_then(|()| bad_ones_were_spared(model, case, &report, &servers))
        .map_err(|error| client.process().describe(&error))
}

fn judge(case: &Case, report: &Report) -> Outcome<()> {
    match case.must {
        Must::Answer(attempts) => {
            ensure(report.failed == 0 && report.wrong == 0, || {
                "not all was answered".to_owned()
            })?;
            let bound = ATTEMPT * attempts;
            ensure(report.longest.is_some_and(|time| time <= bound), || {
                format!("the longest took {:?}, and not {bound:?}", report.longest)
            })
        }
        Must::Fail => {
            ensure(report.ok == 0 && report.wrong == 0, || {
                "somebody answered".to_owned()
            })?;
            let requests = u32::try_from(case.requests).unwrap_or(u32::MAX);
            let bound = HOPELESS * requests + ATTEMPT * 5;
            ensure(report.elapsed <= bound, || {
                format!("failed after {:?}, and not {bound:?}", report.elapsed)
            })
        }
        Must::BeWrong => ensure(report.wrong == report.requests, || {
            "a wrong answer was taken for a right one".to_owned()
        }),
    }
}

/// A case in which a bad server was not even asked would show nothing.
fn all_were_tried(model: Model, outstanding: usize, servers: &[ScriptedServer]) -> Outcome<()> {
    for (place, server) in servers.iter().enumerate() {
        let tried = match server.behaviour() {
            Dead => true,
            Unreadable | OtherProtocol => server.connections() > 0,
            DiesMidway { .. } if place == 0 => {
                server.lives() > if outstanding == 1 { 2 } else { 1 }
            }
            Good
            | Mute
            | DropTwoOfThree
            | WrongControl
            | WrongBody
            | Garbage
            | DuplicatesAndStale
            | Slow(_)
            | DiesMidway { .. } => {
                // One that is not first is asked when those before it fail; in model 2 all are.
                place > 0 && model != Model::Two || server.requests() > 0
            }
        };
        ensure(tried, || {
            format!(
                "{:?} was asked {} times, in {} lives, on {} connections",
                server.behaviour(),
                server.requests(),
                server.lives(),
                server.connections()
            )
        })?;
    }
    Ok(())
}

/// A server that never answers rightly is soon left alone, when there is another: else it would cost
/// an attempt timeout for each request. Model 2 asks all on purpose.
fn bad_ones_were_spared(
    model: Model,
    case: &Case,
    report: &Report,
    servers: &[ScriptedServer],
) -> Outcome<()> {
    let another = matches!(case.must, Must::Answer(_));
    for server in servers {
        let bad = matches!(server.behaviour(), Mute | WrongControl | Garbage);
        let spared = server.requests() as u64 <= report.requests / 4;
        ensure(spared || !another || !bad || model == Model::Two, || {
            format!("{:?} was asked on and on", server.behaviour())
        })?;
    }
    Ok(())
}

#[test]
fn a_client_of_model_1_meets_every_fault() -> Outcome<()> {
    meets_every_fault(Model::One, 1)
}

#[test]
fn a_client_of_model_2_meets_every_fault() -> Outcome<()> {
    meets_every_fault(Model::Two, 1)
}

#[test]
fn a_client_of_model_3_meets_every_fault() -> Outcome<()> {
    meets_every_fault(Model::Three, 1)
}

#[test]
fn a_client_of_model_3_with_many_requests_under_way_meets_every_fault() -> Outcome<()> {
    meets_every_fault(Model::Three, 16)
}
