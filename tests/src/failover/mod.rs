//! How long clients wait when the active side dies at once: `bstar run` beside keepalived.
//!
//! Each pair lives in three network namespaces on one bridge, its servers' and the client's. The client asks
//! every 10 ms, on a new connection each time: both servers in turn, or the one address that keepalived
//! moves. A fault is a kill of all that runs at the active side, at a random moment between two of its
//! signs of life; the host lives on, and refuses connections. What counts is the time from there to the
//! first answer of the other side. Then the dead side is started again, and stands by.

mod client;
mod kind;
mod lan;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use self::client::Client;
pub use self::client::serve;
pub use self::kind::Kind;
use self::lan::Lan;
use crate::campaign::clock;
use crate::campaign::side::Side;
use crate::{BOUND, Distribution, Outcome, Process, ensure};

/// How often a pair may be found to have moved its service without a fault: a machine that does not run for
/// the length of a heartbeat brings that about.
const ATTEMPTS: usize = 10;

/// What is measured, and how.
pub struct Job {
    /// What is compared.
    pub kinds: Vec<Kind>,
    /// How many faults of each.
    pub faults: usize,
    /// From which the moments of the faults are drawn.
    pub seed: u64,
    /// How many pairs live at a time.
    pub jobs: usize,
    /// The program that [serves](serve).
    pub program: PathBuf,
}

impl Job {
    /// Measures all; tells as it goes.
    ///
    /// # Errors
    ///
    /// The first thing that did not come about.
    pub fn run(&self) -> Outcome<Vec<(Kind, Distribution)>> {
        let left = Mutex::new(self.kinds.iter().copied().enumerate());
        let next = || {
            left.lock()
                .map_err(|_| "a thread panicked".to_owned())
                .map(|mut left| left.next())
        };
        let measured = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let work = || -> Outcome<()> {
                while let Some((place, kind)) = next()? {
                    let outages = self
                        .measure(kind)
                        .map_err(|error| format!("{kind}: {error}"))?;
                    eprintln!("{kind}: {outages}");
                    let mut measured = measured.lock().map_err(|_| "a thread panicked")?;
                    measured.push((place, kind, outages));
                }
                Ok(())
            };
            let workers: Vec<_> = (0..self.jobs).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| {
                let joined = worker.join();
                joined.unwrap_or_else(|_| Err("a thread panicked".to_owned()))
            });
            joined.collect::<Outcome<()>>()
        })?;
        let mut measured = measured.into_inner().map_err(|_| "a thread panicked")?;
        measured.sort_by_key(|(place, ..)| *place);
        Ok(measured
            .into_iter()
            .map(|(_, kind, outages)| (kind, outages))
            .collect())
    }

    fn measure(&self, kind: Kind) -> Outcome<Distribution> {
        let mut trial = Trial::start(kind, &self.program)?;
        let mut random = SplitMix64::seed_from_u64(self.seed);
        let mut outages = Distribution::default();
        for _ in 0..self.faults {
            outages.add(trial.fault(&mut random)?);
        }
        Ok(outages)
    }
}

/// The table of what was measured.
#[must_use]
pub fn markdown(measured: &[(Kind, Distribution)]) -> String {
    let mut table =
        "| | faults | min | median | p90 | max |\n|---|---|---|---|---|---|\n".to_owned();
    for (kind, outages) in measured {
        let ms = |percent| outages.percentile(percent).as_millis();
        // Writing to a text does not fail.
        let _ = writeln!(
            table,
            "| {kind} | {} | {} ms | {} ms | {} ms | {} ms |",
            outages.count(),
            ms(0),
            ms(50),
            ms(90),
            ms(100)
        );
    }
    table
}

/// A pair, and its client. What is dropped first stands first.
struct Trial {
    client: Client,
    sides: [Vec<Process>; 2],
    lan: Lan,
    folder: tempfile::TempDir,
    kind: Kind,
    program: PathBuf,
}

impl Trial {
    fn start(kind: Kind, program: &std::path::Path) -> Outcome<Trial> {
        let lan = Lan::new()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let start = |side| kind.start(&lan, side, folder.path(), program);
        let sides = [start(Side::A)?, start(Side::B)?];
        let client = Client::start(lan.client(), kind.addresses())?;
        Ok(Trial {
            client,
            sides,
            lan,
            folder,
            kind,
            program: program.to_owned(),
        })
    }

    /// Kills the side that serves; answers with how long clients had to wait for the other.
    fn fault(&mut self, random: &mut SplitMix64) -> Outcome<Duration> {
        let active = self.active(random)?;
        let killed = self.lan.kill_all(active)?;
        let answered = self
            .client
            .answer(killed, BOUND, |side| side != active)
            .map_err(|error| self.describe(&error))?
            .1;
        self.kind.clear_away(&self.lan, active);
        let folder = self.folder.path();
        self.sides[active.index()] = self.kind.start(&self.lan, active, folder, &self.program)?;
        Ok(answered - killed)
    }

    /// Waits for a random moment at which one serves and the other stands by; answers with which serves.
    fn active(&self, random: &mut SplitMix64) -> Outcome<Side> {
        let interval = self.kind.interval();
        for _ in 0..ATTEMPTS {
            let active = self.settle()?;
            // Two for what each learns of the other, and a random part for the moment.
            let part = interval.mul_f64((random.next_u64() % 1000) as f64 / 1000.0);
            clock::wait(2 * interval + part)?;
            if self.served()? == active {
                return Ok(active);
            }
            eprintln!("{}: the service moved without a fault", self.kind);
        }
        Err(self.describe("the service does not stay where it is"))
    }

    /// Waits until one serves and the other stands by; answers with which serves.
    fn settle(&self) -> Outcome<Side> {
        let deadline = Instant::now() + BOUND;
        loop {
            let active = self.served()?;
            if self.kind.stands_by(&self.sides[active.other().index()]) {
                return Ok(active);
            }
            ensure(Instant::now() < deadline, || {
                self.describe("nobody stands by")
            })?;
            clock::wait(Duration::from_millis(10))?;
        }
    }

    /// Who serves now.
    fn served(&self) -> Outcome<Side> {
        self.client.forget();
        let served = self.client.answer(Instant::now(), BOUND, |_| true);
        Ok(served.map_err(|error| self.describe(&error))?.0)
    }

    fn describe(&self, what: &str) -> String {
        let sides = self
            .sides
            .iter()
            .flatten()
            .map(|process| process.describe(what));
        sides.collect::<Vec<_>>().join("\n")
    }
}
