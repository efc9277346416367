//! One run of one client, in the process that was started for it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::common::Result;
use crate::contest::Contestant;
use crate::peers;

/// After this a run is taken to hang.
const LONGEST_RUN: Duration = Duration::from_secs(60);
const LONGEST_NS: u64 = 60_000_000_000;

/// When answers came.
pub(crate) struct Times {
    last: Instant,
    /// Nanoseconds from one to the next.
    between: Histogram<u64>,
}

/// What a run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) cpu_us: f64,
    /// What the servers took, which the referee knows.
    pub(crate) servers_cpu_us: f64,
}

impl Times {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            last: Instant::now(),
            between: Histogram::new_with_bounds(1, LONGEST_NS, 3)?,
        })
    }

    /// An answer came.
    pub(crate) fn note(&mut self) {
        let now = Instant::now();
        let waited = (now - self.last).as_nanos();
        self.between
            .saturating_record(u64::try_from(waited).unwrap_or(u64::MAX));
        self.last = now;
    }
}

/// Runs a client, and prints its figures.
pub(crate) fn run(
    contestant: Contestant,
    outstanding: u32,
    count: u32,
    endpoints: &[&str],
) -> Result<()> {
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST_RUN);
        eprintln!("it did not end within {} s", LONGEST_RUN.as_secs());
        std::process::exit(1);
    });
    let mut peer = peers::connect(contestant, endpoints)?;
    // Queues, caches and connections are warm then.
    peer.exchange(outstanding, warm_up(count), &mut Times::new()?)?;
    let mut times = Times::new()?;
    let cpu_before = cpu_time();
    let began = Instant::now();
    times.last = began;
    peer.exchange(outstanding, count, &mut times)?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_time().saturating_sub(cpu_before);
    let at = |quantile| times.between.value_at_quantile(quantile) as f64 / 1e3;
    let figures = Figures {
        median_us: at(0.5),
        p99_us: at(0.99),
        requests_per_s: f64::from(count) / seconds,
        cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(count),
        servers_cpu_us: 0.0,
    };
    println!("{figures}");
    Ok(())
}

/// Requests before those that count.
pub(crate) fn warm_up(count: u32) -> u32 {
    count / 10 + 1
}

/// What this process has had of the CPUs, on all its threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Figures {
    /// What could be answered if all had one CPU for themselves, whatever else the machine does.
    pub(crate) fn requests_per_cpu_s(&self) -> f64 {
        1e6 / (self.cpu_us + self.servers_cpu_us)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median_us,
            p99_us,
            requests_per_s,
            cpu_us,
            servers_cpu_us: _,
        } = self;
        write!(
            f,
            "{median_us:.3} {p99_us:.3} {requests_per_s:.1} {cpu_us:.4}"
        )
    }
}

impl FromStr for Figures {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self> {
        let figures = line
            .split_whitespace()
            .map(str::parse)
            .collect::<std::result::Result<Vec<f64>, _>>()?;
        match figures[..] {
            [median_us, p99_us, requests_per_s, cpu_us] => Ok(Self {
                median_us,
                p99_us,
                requests_per_s,
                cpu_us,
                servers_cpu_us: 0.0,
            }),
            _ => Err(format!("no figures: {line}").into()),
        }
    }
}
