//! A client that asks a pair for echoes, and keeps count.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use reactor::{BoxError, Missed, Next, Reactor, Scope};
use serde_json::json;

use super::parent::end_with_parent;
use super::{
    Failure, init_traces, parse_connect, parse_deadline, parse_heartbeat, parse_millis,
    refuse_usage, say,
};
use crate::client::{ClientBuilder, ClientHandle, Idempotent, Reply, RequestError};
use reactor::Endpoint;

const END_WITHIN: Duration = Duration::from_secs(1);
/// The largest time that the histogram tells from a larger one: two days.
const LONGEST_US: u64 = 48 * 3600 * 1_000_000;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
const GUIDE_FRONTENDS: [&str; 2] = ["tcp://localhost:5001", "tcp://localhost:5002"];

/// Arguments of a client of a pair.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Front end of a server, the primary's first [default: tcp://localhost:5001 and :5002]
    #[arg(long = "server", value_name = "EP", value_parser = parse_connect)]
    servers: Vec<Endpoint>,
    /// How many requests to send, one after the other; 0: until it is interrupted
    #[arg(long, value_name = "N", default_value_t = 0)]
    requests: u64,
    /// Milliseconds between an answer and the next request
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse_millis)]
    interval: Duration,
    /// Deadline of a request in milliseconds, over all attempts
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = parse_deadline)]
    timeout: Duration,
    /// Heartbeat of the pair in milliseconds: its servers' own, from which time-outs derive
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_heartbeat)]
    heartbeat: Duration,
    /// Print one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print a line for each answer that came late or from another server
    #[arg(long, hide = true)]
    events: bool,
    /// End with the process that started this one
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl ClientArgs {
    /// Runs the client until it has sent its requests or is interrupted.
    pub fn run(mut self) -> Result<ExitCode, Failure> {
        init_traces(self.verbose);
        if self.servers.len() > GUIDE_FRONTENDS.len() {
            return Ok(refuse_usage(
                &"a pair has two servers: give --server at most twice",
            ));
        }
        if self.servers.is_empty() {
            let servers = GUIDE_FRONTENDS.map(Endpoint::to_connect);
            self.servers = servers.into_iter().collect::<Result<_, _>>()?;
        }
        self.servers.iter().try_for_each(Endpoint::resolve)?;

        let mut reactor = Reactor::new()?;
        let client = ClientBuilder::default()
            .servers(self.servers.iter().map(|server| server.as_str().to_owned()))
            .heartbeat(self.heartbeat)
            .attach(reactor.scope())?;
        let show = std::io::stderr().is_terminal() && !self.json;
        if self.with_parent {
            end_with_parent(reactor.scope())?;
        }
        let mut run = Run::new(self, client)?;
        if show {
            let scope = reactor.scope();
            scope.add_interval(
                "progress",
                PROGRESS_EVERY,
                Missed::Skip,
                |run: &mut Run, _, _| {
                    run.show_progress();
                    Ok(())
                },
            )?;
        }
        let first = reactor.scope().now();
        reactor
            .scope()
            .add_timer("requests", first, |run: &mut Run, scope, _| {
                run.ask(scope)?;
                Ok(Next::Done)
            })?;
        reactor.run(&mut run)?;
        if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
            tracing::warn!("the sockets did not close within {END_WITHIN:?}");
        }
        if show {
            run.show_progress();
            eprintln!();
        }
        run.report()?;
        Ok(if run.failed == 0 && run.ok > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The run so far.
struct Run {
    args: ClientArgs,
    client: ClientHandle<Run>,
    began: Instant,
    sent: u64,
    ok: u64,
    failed: u64,
    failovers: u64,
    server: Option<usize>,
    longest: Duration,
    /// Microseconds.
    times: Histogram<u64>,
}

impl Run {
    fn new(args: ClientArgs, client: ClientHandle<Run>) -> Result<Run, Failure> {
        Ok(Run {
            args,
            client,
            began: Instant::now(),
            sent: 0,
            ok: 0,
            failed: 0,
            failovers: 0,
            server: None,
            longest: Duration::ZERO,
            times: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        })
    }

    fn ask(&mut self, scope: &mut Scope<Run>) -> Result<(), BoxError> {
        self.sent += 1;
        let body = self.sent.to_string();
        let sent = Instant::now();
        let expected = body.clone().into_bytes();
        let on_done = move |run: &mut Run, scope: &mut Scope<Run>, result| {
            run.take(result, &expected, sent);
            run.go_on(scope);
        };
        let timeout = self.args.timeout;
        self.client
            .request(scope, [body], Idempotent::Yes, timeout, on_done)?;
        Ok(())
    }

    fn take(&mut self, result: Result<Reply, RequestError>, expected: &[u8], sent: Instant) {
        match result {
            Ok(reply) if reply.frames == [expected] => self.count(reply.server, sent.elapsed()),
            Ok(reply) => {
                self.failed += 1;
                tracing::error!(?reply, "not the echo of request {}", self.sent);
            }
            Err(error) => {
                self.failed += 1;
                tracing::warn!(%error, "request {} failed", self.sent);
            }
        }
    }

    fn count(&mut self, server: usize, waited: Duration) {
        self.ok += 1;
        self.longest = self.longest.max(waited);
        self.times
            .saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        let moved = self
            .server
            .replace(server)
            .is_some_and(|before| before != server);
        self.failovers += u64::from(moved);
        if self.args.events && (moved || self.ok == 1 || waited > self.args.heartbeat / 10) {
            say(&format!("server={server} waited_ms={:.1}", millis(waited)));
        }
    }

    fn go_on(&mut self, scope: &mut Scope<Run>) {
        if self.args.requests > 0 && self.sent >= self.args.requests {
            return scope.stop();
        }
        let next = scope.fresh_now() + self.args.interval;
        let timer = scope.add_timer("requests", next, |run: &mut Run, scope, _| {
            run.ask(scope)?;
            Ok(Next::Done)
        });
        if let Err(error) = timer {
            tracing::error!(%error, "no further request can be sent");
            scope.stop();
        }
    }

    fn show_progress(&self) {
        eprint!(
            "\r{} answered, {} failed, {} failovers, longest wait {:.0} ms ",
            self.ok,
            self.failed,
            self.failovers,
            millis(self.longest)
        );
        // A terminal that went away is no reason to fail.
        let _ = std::io::stderr().flush();
    }

    /// Unlike other lines this one is what the run was for: not to get rid of it is a failure.
    fn report(&self) -> std::io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        let (ok, failed) = (self.ok, self.failed);
        let unanswered = self.sent - ok - failed;
        let at = |quantile| self.times.value_at_quantile(quantile);
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        let longest_ms = millis(self.longest);
        let mut out = std::io::stdout();
        if self.args.json {
            // Of no answer there is no time.
            let answered = |value: serde_json::Value| if ok > 0 { value } else { json!(null) };
            let object = json!({
                "requests": ok + failed,
                "ok": ok,
                "failed": failed,
                "unanswered": unanswered,
                "seconds": seconds,
                "p50_us": answered(json!(p50)),
                "p99_us": answered(json!(p99)),
                "max_us": answered(json!(max)),
                "failovers": self.failovers,
                "longest_outage_ms": answered(json!(longest_ms)),
            });
            return writeln!(out, "{object}");
        }
        let more = if unanswered > 0 {
            ", one without an answer yet"
        } else {
            ""
        };
        writeln!(
            out,
            "{ok} requests answered and {failed} failed in {seconds:.1} s{more}, \
             {} failovers, longest wait {longest_ms:.1} ms",
            self.failovers
        )?;
        if ok > 0 {
            writeln!(
                out,
                "round trip in µs: median {p50}, 99 % {p99}, longest {max}"
            )?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
