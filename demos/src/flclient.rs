//! A Freelance client that asks servers for echoes, and keeps count.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bstar::programs::{
    Failure, init_traces, parse_connect, parse_deadline, parse_millis, refuse_usage,
};
use clap::Args;
use freelance::{
    Client, ClientHandle, Config, Error, Hedge, Idempotent, MAX_SERVERS, Model, Reply, RequestError,
};
use hdrhistogram::Histogram;
use reactor::{BoxError, Endpoint, Missed, Next, Reactor, Scope};
use serde_json::json;

use crate::histogram;

const END_WITHIN: Duration = Duration::from_secs(1);
/// The largest time that the histogram tells from a larger one: two days.
const LONGEST_US: u64 = 48 * 3600 * 1_000_000;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Arguments that the clients of all models take.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Where the servers are, the one to ask first in front; 64 at most
    #[arg(value_name = "ENDPOINT", required = true, value_parser = parse_connect)]
    servers: Vec<Endpoint>,
    /// How many requests to send; 0: until it is interrupted, which is no failure then
    #[arg(long, value_name = "N", default_value_t = 1000)]
    requests: u64,
    /// Milliseconds between an answer and the next request
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse_millis)]
    interval: Duration,
    /// Deadline of a request in milliseconds, over all attempts
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = parse_deadline)]
    timeout: Duration,
    /// Milliseconds that a server has for its answer before the request goes to another one too
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_deadline)]
    attempt: Duration,
    /// The servers share the requests, instead of being asked in order
    #[arg(long)]
    pool: bool,
    /// Print one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// What only some models take.
#[derive(Clone, Copy, Debug)]
pub struct Extras {
    /// Requests under way at the same time.
    pub outstanding: usize,
    /// Whether a second copy is sent when the first takes unusually long.
    pub hedge: bool,
}

impl ClientArgs {
    /// Runs the client until it has sent its requests or is interrupted.
    pub fn run(self, model: Model, extras: Extras) -> Result<ExitCode, Failure> {
        init_traces(self.verbose);
        if self.servers.len() > MAX_SERVERS {
            return Ok(refuse_usage(&format!(
                "a client knows {MAX_SERVERS} servers at most"
            )));
        }
        let mut config = Config::new(model);
        config.attempt_timeout = self.attempt;
        config.hedge = extras.hedge.then(Hedge::default);
        config.max_outstanding = extras.outstanding;
        if let Err(error) = config.validate() {
            return Ok(refuse_usage(&error));
        }
        self.warn_of_names();
        let mut reactor = Reactor::new()?;
        let endpoints = self.servers.iter().map(Endpoint::as_str);
        let builder = Client::builder(model).config(config);
        let builder = match self.pool {
            true => builder.pool(endpoints),
            false => builder.servers(endpoints),
        };
        let client = match builder.attach(reactor.scope()) {
            Ok(client) => client,
            Err(error) => return explain(error),
        };
        let show = std::io::stderr().is_terminal() && !self.json;
        let mut run = Run::new(self, model, client)?;
        run.schedule(reactor.scope(), extras.outstanding, show)?;
        reactor.run(&mut run)?;
        if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
            tracing::warn!("the sockets did not close within {END_WITHIN:?}");
        }
        if show {
            run.show_progress();
            eprintln!();
        }
        run.report()?;
        let is_complete = run.args.requests == 0 || run.ok == run.args.requests;
        Ok(if run.failed == 0 && run.ok > 0 && is_complete {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// One that does not resolve is dialled again and again, beside others that may serve: no reason to fail.
    fn warn_of_names(&self) {
        for server in self.servers.clone() {
            std::thread::spawn(move || {
                if let Err(error) = server.resolve() {
                    tracing::warn!("{error}");
                }
            });
        }
    }
}

/// What the command line has wrong is told as such.
pub(crate) fn explain(error: Error) -> Result<ExitCode, Failure> {
    match error {
        Error::KnownServer(server) => Ok(refuse_usage(&format!("{server} is given twice"))),
        Error::Endpoint(_) | Error::Server { .. } => Ok(refuse_usage(&error)),
        error => Err(error.into()),
    }
}

/// The run so far.
struct Run {
    args: ClientArgs,
    model: Model,
    client: ClientHandle<Run>,
    began: Instant,
    sent: u64,
    ok: u64,
    failed: u64,
    /// Those of the failed that were answered, but not with what was asked for.
    wrong: u64,
    /// Microseconds.
    times: Histogram<u64>,
}

impl Run {
    fn new(args: ClientArgs, model: Model, client: ClientHandle<Run>) -> Result<Run, Failure> {
        Ok(Run {
            args,
            model,
            client,
            began: Instant::now(),
            sent: 0,
            ok: 0,
            failed: 0,
            wrong: 0,
            times: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        })
    }

    fn schedule(
        &self,
        scope: &mut Scope<Run>,
        outstanding: usize,
        show: bool,
    ) -> Result<(), reactor::Error> {
        if show {
            let show = |run: &mut Run, _: &mut _, _| {
                run.show_progress();
                Ok(())
            };
            scope.add_interval("progress", PROGRESS_EVERY, Missed::Skip, show)?;
        }
        scope.add_timer("requests", scope.now(), move |run: &mut Run, scope, _| {
            for _ in 0..outstanding {
                run.ask(scope)?;
            }
            Ok(Next::Done)
        })?;
        Ok(())
    }

    /// Sends the next request, if there is one.
    fn ask(&mut self, scope: &mut Scope<Run>) -> Result<(), BoxError> {
        if self.args.requests > 0 && self.sent >= self.args.requests {
            return Ok(());
        }
        self.sent += 1;
        let body = format!("request {} of {}", self.sent, std::process::id());
        let sent = Instant::now();
        let expected = body.clone().into_bytes();
        let on_done = move |run: &mut Run, scope: &mut Scope<Run>, result| {
            run.take(result, &expected, sent);
            run.go_on(scope);
        };
        let timeout = self.args.timeout;
        let client = self.client.clone();
        client.request(scope, [body], Idempotent::Yes, timeout, on_done)?;
        Ok(())
    }

    fn take(&mut self, result: Result<Reply, RequestError>, expected: &[u8], sent: Instant) {
        match result {
            Ok(reply) if is_right(self.model, &reply.frames, expected) => {
                self.ok += 1;
                let waited = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.times.saturating_record(waited);
            }
            Ok(reply) => {
                self.failed += 1;
                self.wrong += 1;
                let said = reply
                    .frames
                    .iter()
                    .map(|frame| frame.escape_ascii().to_string());
                let said = said.collect::<Vec<_>>().join("|");
                if self.wrong == 1 {
                    let model = self.model as u8 + 1;
                    tracing::error!(
                        said,
                        "not the reply to what was asked: is it a server of model {model}?"
                    );
                } else {
                    tracing::debug!(said, "not the reply to what was asked");
                }
            }
            Err(error) => {
                self.failed += 1;
                tracing::warn!("{error}");
            }
        }
    }

    fn go_on(&mut self, scope: &mut Scope<Run>) {
        if self.args.requests > 0 && self.sent >= self.args.requests {
            if self.ok + self.failed == self.sent {
                scope.stop();
            }
            return;
        }
        let asked = if self.args.interval.is_zero() {
            self.ask(scope)
        } else {
            let next = scope.fresh_now() + self.args.interval;
            let timer = scope.add_timer("requests", next, |run: &mut Run, scope, _| {
                run.ask(scope)?;
                Ok(Next::Done)
            });
            timer.map(drop).map_err(Into::into)
        };
        if let Err(error) = asked {
            tracing::error!(%error, "no further request can be sent");
            self.failed += 1;
            scope.stop();
        }
    }

    fn show_progress(&self) {
        let share = match self.args.requests {
            0 => String::new(),
            all => format!(" of {all}"),
        };
        eprint!(
            "\r{}{share} answered, {} failed, {:.0}/s ",
            self.ok,
            self.failed,
            self.ok as f64 / self.began.elapsed().as_secs_f64().max(1e-3)
        );
        // A terminal that went away is no reason to fail.
        let _ = std::io::stderr().flush();
    }

    /// Unlike other lines this one is what the run was for: not to get rid of it is a failure.
    fn report(&self) -> Result<(), Failure> {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut out = std::io::stdout();
        if self.args.json {
            return Ok(writeln!(out, "{}", self.json(seconds))?);
        }
        let (ok, failed) = (self.ok, self.failed);
        let unanswered = match self.sent - ok - failed {
            0 => String::new(),
            some => format!(", {some} without an answer yet"),
        };
        writeln!(
            out,
            "{ok} requests answered and {failed} failed in {seconds:.1} s{unanswered}"
        )?;
        for server in self.client.servers() {
            let round_trip = server.round_trip.map_or("-".to_owned(), |time| {
                format!("{:.0} µs", time.as_secs_f64() * 1e6)
            });
            writeln!(
                out,
                "{}: {:?}, {} replies, {} failures, round trip {round_trip}",
                server.endpoint, server.liveness, server.replies, server.failures
            )?;
        }
        if ok > 0 {
            let at = |quantile| self.times.value_at_quantile(quantile);
            let (p50, p99, max) = (at(0.5), at(0.99), self.times.max());
            writeln!(
                out,
                "round trip in µs: median {p50}, 99 % {p99}, longest {max}"
            )?;
            write!(out, "{}", histogram::draw(&self.times)?)?;
        }
        Ok(())
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        let (ok, failed) = (self.ok, self.failed);
        // Of no answer there is no time.
        let at = |quantile| (ok > 0).then(|| self.times.value_at_quantile(quantile));
        let stats = self.client.stats();
        let servers = self.client.servers().into_iter().map(|server| {
            json!({
                "endpoint": server.endpoint,
                "liveness": format!("{:?}", server.liveness).to_lowercase(),
                "replies": server.replies,
                "attempts": server.attempts,
                "failures": server.failures,
                "late": server.late,
                "ejected": server.ejected,
            })
        });
        json!({
            "requests": ok + failed,
            "ok": ok,
            "failed": failed,
            "wrong": self.wrong,
            "unanswered": self.sent - ok - failed,
            "seconds": seconds,
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "max_us": (ok > 0).then(|| self.times.max()),
            "attempts": stats.attempts,
            "retries": stats.retries,
            "hedges": stats.hedges,
            "late": stats.late,
            "servers": servers.collect::<Vec<_>>(),
        })
    }
}

/// An echo; servers of model 2 say OK, and may add the echo.
fn is_right(model: Model, reply: &[Vec<u8>], expected: &[u8]) -> bool {
    match (model, reply) {
        (Model::Two, [ok]) => ok == b"OK",
        (Model::Two, [ok, echo]) => ok == b"OK" && echo == expected,
        (Model::One | Model::Three, [echo]) => echo == expected,
        _ => false,
    }
}
