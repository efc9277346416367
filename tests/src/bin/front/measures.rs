//! What is measured.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{BOUND, Outcome};

use super::contenders::{Kind, Race, Service};

const IDLE_CLIENTS: usize = 5000;

/// What was measured of a contender in one round.
pub(crate) struct Figures {
    /// In the unit of the row.
    pub(crate) figure: f64,
    /// Processor time of the proxy, in µs for each request, connection or MiB.
    pub(crate) cpu: Option<f64>,
}

/// A row of the table.
pub(crate) enum Row {
    /// `redis-benchmark`: requests per second.
    Redis {
        test: &'static str,
        connections: u32,
        pipeline: u32,
        requests: u64,
    },
    /// `redis-benchmark`, each request on a connection of its own: connections per second.
    Connects { requests: u64 },
    /// MB per second.
    Bulk { service: Service, megabytes: u64 },
    /// KiB of the proxy for each idle client.
    Idle,
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for test in ["get", "set"] {
        for (connections, pipeline, requests) in [
            (1, 1, 100_000),
            (1, 16, 1_200_000),
            (50, 1, 250_000),
            (50, 16, 2_000_000),
        ] {
            rows.push(Row::Redis {
                test,
                connections,
                pipeline,
                requests,
            });
        }
    }
    rows.push(Row::Connects { requests: 20_000 });
    rows.push(Row::Bulk {
        service: Service::Bulk,
        megabytes: 4096,
    });
    rows.push(Row::Bulk {
        service: Service::SlowBulk,
        megabytes: 400,
    });
    rows.push(Row::Idle);
    rows
}

impl Row {
    /// Its name, with the unit.
    pub(crate) fn name(&self) -> String {
        match self {
            Row::Redis {
                test,
                connections,
                pipeline,
                ..
            } => format!(
                "{} {connections} × {pipeline}, requests/s",
                test.to_uppercase()
            ),
            Row::Connects { .. } => "connections/s".to_owned(),
            Row::Bulk {
                service: Service::SlowBulk,
                ..
            } => "bulk on 1 Gbit/s, MB/s".to_owned(),
            Row::Bulk { megabytes, .. } => format!("bulk of {megabytes} MiB, MB/s"),
            Row::Idle => format!("{IDLE_CLIENTS} idle clients, KiB each"),
        }
    }

    /// What one contender came to; nothing where there is nothing to measure.
    pub(crate) fn measure(
        &self,
        race: &mut Race,
        kind: Kind,
        percent: u64,
    ) -> Outcome<Option<Figures>> {
        let Some((service, requests)) = self.work() else {
            let figure = self.figure(race, kind, percent)?;
            return Ok(figure.map(|figure| Figures { figure, cpu: None }));
        };
        let process = race.process(service, kind)?;
        let before = processor_time(process)?;
        let figure = self.figure(race, kind, percent)?;
        let spent = processor_time(process)?.saturating_sub(before);
        let cpu = spent.as_secs_f64() * 1e6 / (requests * percent / 100) as f64;
        Ok(figure.map(|figure| Figures {
            figure,
            cpu: (kind != Kind::Direct).then_some(cpu),
        }))
    }

    /// Who is asked, and for how many requests, connections or MiB in all.
    fn work(&self) -> Option<(Service, u64)> {
        match self {
            Row::Redis { requests, .. } | Row::Connects { requests } => {
                Some((Service::Redis, *requests))
            }
            Row::Bulk { service, megabytes } => Some((*service, *megabytes)),
            Row::Idle => None,
        }
    }

    fn figure(&self, race: &mut Race, kind: Kind, percent: u64) -> Outcome<Option<f64>> {
        match self {
            Row::Redis {
                test,
                connections,
                pipeline,
                requests,
            } => {
                let address = race.address(Service::Redis, kind)?;
                let (connections, pipeline) = (connections.to_string(), pipeline.to_string());
                let args = ["-t", test, "-c", &connections, "-P", &pipeline];
                redis_benchmark(address, &args, requests * percent / 100).map(Some)
            }
            Row::Connects { requests } => {
                let address = race.address(Service::Redis, kind)?;
                let args = ["-t", "ping_inline", "-c", "50", "-k", "0"];
                redis_benchmark(address, &args, requests * percent / 100).map(Some)
            }
            Row::Bulk { service, megabytes } => {
                let address = race.address(*service, kind)?;
                let bytes = (megabytes << 20) * percent / 100;
                bulk(race, *service, address, bytes).map(Some)
            }
            Row::Idle if kind == Kind::Direct => Ok(None),
            Row::Idle => idle(race, kind).map(Some),
        }
    }
}

/// Requests per second.
fn redis_benchmark(address: SocketAddr, args: &[&str], requests: u64) -> Outcome<f64> {
    let mut command = Race::client("redis-benchmark");
    command
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-n", &requests.to_string(), "--csv"])
        .args(args);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "GET","42800.00",...
    let line = text.lines().find(|line| !line.starts_with("\"test\""));
    let figure = line.and_then(|line| line.split(',').nth(1));
    let figure = figure.and_then(|figure| figure.trim_matches('"').parse().ok());
    figure.ok_or_else(|| format!("{command:?} said: {text}"))
}

fn bulk(race: &Race, service: Service, address: SocketAddr, bytes: u64) -> Outcome<f64> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Race::client(&own.to_string_lossy());
    command.args(["sink", &address.to_string(), &bytes.to_string()]);
    let output = race.at_clients(service, || {
        command.output().map_err(|error| error.to_string())
    })?;
    let seconds = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<f64>();
    let seconds = seconds.map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(bytes as f64 / 1e6 / seconds)
}

/// What a client that has been served, and is silent now, costs the proxy.
fn idle(race: &mut Race, kind: Kind) -> Outcome<f64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| error.to_string())?;
    // Memory that was used before is not given back, so that this needs a fresh one.
    race.end(Service::Redis, kind);
    let process = race.process(Service::Redis, kind)?;
    let address = race.address(Service::Redis, kind)?;
    let served = || -> std::io::Result<TcpStream> {
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(BOUND))?;
        client.write_all(b"PING\r\n")?;
        client.read_exact(&mut [0; 7])?;
        Ok(client)
    };
    let failed = |error: std::io::Error| format!("{kind:?}: {error}");
    let mut clients = vec![served().map_err(failed)?];
    let before = resident(process)?;
    for _ in 0..IDLE_CLIENTS {
        clients.push(served().map_err(failed)?);
    }
    let grown = resident(process)?.saturating_sub(before);
    drop(clients);
    race.end(Service::Redis, kind);
    Ok(grown as f64 / IDLE_CLIENTS as f64)
}

/// What a process has used of its processor so far.
fn processor_time(process: u32) -> Outcome<Duration> {
    let folder = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut nanoseconds = 0;
    for task in tasks {
        let path = task
            .map_err(|error| error.to_string())?
            .path()
            .join("schedstat");
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let figure = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<u64>().ok());
        nanoseconds += figure.ok_or_else(|| format!("no time in {}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Memory of a process, in KiB.
fn resident(process: u32) -> Outcome<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    figure.ok_or_else(|| format!("no memory in {path}"))
}
