//! A running `flclient1`, `2` or `3`, and what it reports.

use std::time::Duration;

use serde_json::Value;

use super::Model;
use super::server::in_namespace;
use crate::{Outcome, Process, ensure};

/// With what a client is started.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Which of the three clients.
    pub model: Model,
    /// Requests that it makes.
    pub requests: usize,
    /// Deadline of each.
    pub timeout: Duration,
    /// How long one server has for an answer.
    pub attempt: Duration,
    /// Requests under way at once, for model 3.
    pub outstanding: Option<usize>,
    /// Time between an answer and the next request.
    pub interval: Duration,
    /// Its servers in order of priority.
    pub servers: Vec<String>,
    /// The network namespace to run it in.
    pub namespace: Option<String>,
}

impl ClientConfig {
    /// One request to these servers, with times that suit a test.
    #[must_use]
    pub fn new(model: Model, servers: &[impl AsRef<str>]) -> Self {
        let servers = servers.iter().map(|server| server.as_ref().to_owned());
        Self {
            model,
            requests: 1,
            timeout: Duration::from_secs(10),
            attempt: Duration::from_millis(200),
            outstanding: None,
            interval: Duration::ZERO,
            servers: servers.collect(),
            namespace: None,
        }
    }
}

/// What a client says at its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Requests made.
    pub requests: u64,
    /// Requests that were answered rightly.
    pub ok: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Of those that failed: how many got an answer that is not theirs.
    pub wrong: u64,
    /// How long it all took.
    pub elapsed: Duration,
    /// The longest time to a right answer; none when there was no right answer.
    pub longest: Option<Duration>,
    /// Each server with the replies that it gave.
    pub served: Vec<(String, u64)>,
}

/// A running client.
pub struct FlClient {
    process: Process,
    requests: u64,
}

impl FlClient {
    /// Starts one.
    #[must_use]
    pub fn start(config: &ClientConfig) -> Self {
        let name = format!("flclient{}", config.model.number());
        let mut command = in_namespace(config.namespace.as_deref(), &name);
        command
            .args(["--requests", &config.requests.to_string()])
            .args(["--timeout", &config.timeout.as_millis().to_string()])
            .args(["--attempt", &config.attempt.as_millis().to_string()])
            .arg("--json");
        if let Some(outstanding) = config.outstanding {
            command.args(["--outstanding", &outstanding.to_string()]);
        }
        if !config.interval.is_zero() {
            command.args(["--interval", &config.interval.as_millis().to_string()]);
        }
        command.args(&config.servers);
        Self {
            process: Process::spawn(&name, &mut command),
            requests: config.requests as u64,
        }
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for its end, and reads its last line.
    ///
    /// # Errors
    ///
    /// When it runs on after `bound`, or its last line is no report.
    pub fn report(&self, bound: Duration) -> Outcome<Report> {
        let status = self
            .process
            .wait_exit(bound)
            .map_err(|error| self.process.describe(&error))?;
        let lines = self.process.stdout().all();
        let last = lines.last().map_or("", |line| line.text.as_str());
        let report = Report::parse(status.code(), last);
        let report = report.and_then(|report| {
            ensure(report.requests == self.requests, || {
                format!("{} requests were asked for", self.requests)
            })?;
            Ok(report)
        });
        report.map_err(|error| self.process.describe(&error))
    }

    /// Waits for its end, and expects that all was answered, the slowest within `longest`.
    ///
    /// # Errors
    ///
    /// When it was not, or the client runs on after `bound`.
    pub fn all_answered(&self, bound: Duration, longest: Duration) -> Outcome<Report> {
        let report = self.report(bound)?;
        ensure(report.failed == 0, || {
            self.process.describe("not all was answered")
        })?;
        ensure(report.longest.is_some_and(|time| time <= longest), || {
            let what = format!("the slowest took {:?}, not {longest:?}", report.longest);
            self.process.describe(&what)
        })?;
        Ok(report)
    }
}

impl Report {
    /// Replies that the server at `endpoint` gave.
    #[must_use]
    pub fn served_by(&self, endpoint: &str) -> u64 {
        let server = self.served.iter().find(|(name, _)| name == endpoint);
        server.map_or(0, |(_, replies)| *replies)
    }

    /// Reads a report, and checks that its numbers agree with one another.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(code: Option<i32>, line: &str) -> Outcome<Self> {
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("no report: {error}: {line}"))?;
        let number = |key: &str| {
            let number = value.get(key).and_then(Value::as_u64);
            number.ok_or_else(|| format!("no number {key}: {line}"))
        };
        let seconds = value.get("seconds").and_then(Value::as_f64);
        let elapsed = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let report = Self {
            code,
            requests: number("requests")?,
            ok: number("ok")?,
            failed: number("failed")?,
            wrong: number("wrong")?,
            elapsed: elapsed.ok_or_else(|| format!("no time: {line}"))?,
            longest: number("max_us").ok().map(Duration::from_micros),
            served: served(&value)?,
        };
        ensure(report.ok + report.failed == report.requests, || {
            format!("requests are neither ok nor failed: {line}")
        })?;
        ensure(report.wrong <= report.failed, || {
            format!("a wrong answer is no failure: {line}")
        })?;
        ensure(report.ok == 0 || report.longest.is_some(), || {
            format!("no longest time although some were ok: {line}")
        })?;
        let succeeded = report.failed == 0 && report.ok > 0;
        ensure(code.is_none_or(|code| (code == 0) == succeeded), || {
            format!("exited {code:?} with {line}")
        })?;
        Ok(report)
    }
}

fn served(report: &Value) -> Outcome<Vec<(String, u64)>> {
    let servers = report.get("servers").and_then(Value::as_array);
    let servers = servers.ok_or_else(|| format!("no servers: {report}"))?;
    let one = |server: &Value| {
        let endpoint = server.get("endpoint")?.as_str()?.to_owned();
        Some((endpoint, server.get("replies")?.as_u64()?))
    };
    let all: Option<Vec<_>> = servers.iter().map(one).collect();
    all.ok_or_else(|| format!("not a server: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ok: u32, failed: u32, wrong: u32, max_us: &str) -> String {
        format!(
            r#"{{"requests":5,"ok":{ok},"failed":{failed},"wrong":{wrong},"seconds":0.5,"p50_us":1,"p99_us":2,"max_us":{max_us},"servers":[{{"endpoint":"tcp://a:1","replies":{ok}}}]}}"#
        )
    }

    #[test]
    fn a_report_that_agrees_with_itself_is_one() {
        let report = Report::parse(Some(0), &line(5, 0, 0, "3")).unwrap();
        assert_eq!(
            (report.ok, report.longest),
            (5, Some(Duration::from_micros(3)))
        );
        assert_eq!(report.served, [("tcp://a:1".to_owned(), 5)]);
        assert_eq!(report.elapsed, Duration::from_millis(500));
        assert!(Report::parse(Some(1), &line(3, 2, 1, "3")).is_ok());
        assert!(Report::parse(Some(1), &line(0, 5, 0, "null")).is_ok());
    }

    #[test]
    fn a_report_that_contradicts_itself_is_none() {
        for (code, line) in [
            (0, "done".to_owned()),
            (0, "{}".to_owned()),
            (0, line(4, 0, 0, "3")),
            (0, line(3, 2, 0, "3")),
            (1, line(5, 0, 0, "3")),
            (1, line(3, 2, 3, "3")),
            (1, line(3, 2, 0, "null")),
        ] {
            assert!(Report::parse(Some(code), &line).is_err(), "{line}");
        }
    }
}
