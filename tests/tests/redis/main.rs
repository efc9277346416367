//! Redis as a pair, as docs/redis.md tells it, with its own clients, under faults.
//!
//! `BSTAR_FAULTS=50 cargo test -p tests --test redis -- --nocapture` does each fault so often.

mod data;
mod pair;
mod verdict;
mod writer;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tests::beside::{follow, wait_until};
use tests::{
    BOUND, Distribution, Outcome, Timing, TryOut, ensure, python, rounds_asked, skip, steady, tell,
};

use pair::RedisPair;
use writer::{Ack, WRITERS, Writers};

/// How many writes are acknowledged before a fault, and after it.
const WRITES: usize = 200;

/// That of the example.
const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(500),
    proof_of_death: false,
};

/// How much may be missing in a copy that takes over, where that is what is tested.
const LIMIT: Duration = Duration::from_secs(5);

/// What is done to the active side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillAll,
    KillRedis,
    KillBstar,
    StopAll,
    StopRedis,
    StopBstar,
    Terminate,
    Switchover,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::KillAll,
        Self::KillRedis,
        Self::KillBstar,
        Self::StopAll,
        Self::StopRedis,
        Self::StopBstar,
        Self::Terminate,
        Self::Switchover,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KillAll => "kill -9 of the whole active side",
            Self::KillRedis => "kill -9 of only redis-server",
            Self::KillBstar => "kill -9 of only bstar",
            Self::StopAll => "SIGSTOP of the whole active side",
            Self::StopRedis => "SIGSTOP of only redis-server",
            Self::StopBstar => "SIGSTOP of only bstar",
            Self::Terminate => "SIGTERM to the active bstar",
            Self::Switchover => "bstar switchover",
        }
    }

    /// Whether the service must move; after a crash of Redis alone it is started anew where it was.
    fn moves(self) -> bool {
        self != Self::KillRedis
    }

    /// Whether no acknowledged write may be lost.
    fn keeps_all(self) -> bool {
        self == Self::Switchover
    }

    fn begin(self, pair: &RedisPair, active: usize) -> Outcome<()> {
        let node = pair.sides[active].node()?;
        let redis = node.relative("redis-server")?;
        match self {
            Self::KillAll => node.kill_family()?,
            Self::KillRedis => redis.signal(Signal::KILL),
            Self::KillBstar => node.process().kill()?,
            Self::StopAll => {
                node.process().signal(Signal::STOP);
                for relative in node.family() {
                    relative.signal(Signal::STOP);
                }
            }
            Self::StopRedis => redis.signal(Signal::STOP),
            Self::StopBstar => node.process().signal(Signal::STOP),
            Self::Terminate => node.process().signal(Signal::TERM),
            Self::Switchover => drop(node.ask(&["switchover"])?),
        }
        if self == Self::KillBstar {
            // Its keeper does not leave it behind.
            redis.wait_gone()?;
        }
        Ok(())
    }

    fn end(self, pair: &mut RedisPair, active: usize) -> Outcome<()> {
        match self {
            Self::KillAll | Self::KillBstar => pair.start_side(active),
            Self::Terminate => {
                let node = pair.sides[active].node()?;
                let status = node.process().wait_exit(BOUND)?;
                ensure(status.success(), || node.process().describe("at its end"))?;
                pair.start_side(active)
            }
            Self::StopAll | Self::StopRedis | Self::StopBstar => {
                let node = pair.sides[active].node()?;
                for relative in node.family() {
                    relative.signal(Signal::CONT);
                }
                node.process().signal(Signal::CONT);
                Ok(())
            }
            Self::KillRedis | Self::Switchover => Ok(()),
        }
    }
}

/// What came of one fault, or of several of a kind.
#[derive(Default)]
struct Measured {
    without_service: Distribution,
    acknowledged: usize,
    lost: Vec<usize>,
}

#[test]
fn faults_of_a_pair_of_redis() -> Outcome<()> {
    if let Err(why) = writers_needed() {
        skip(&format!("Redis as a pair: {why}"));
        return Ok(());
    }
    let rounds = rounds_asked().unwrap_or(1);
    let mut pair = RedisPair::start(TIMING, None)?;
    redis_cli_is_served(&pair)?;
    let mut table = heading("fault");
    for fault in Fault::ALL {
        table.push(measure(&mut pair, fault, rounds)?.row(fault.name()));
    }
    tell(&table.join("\n"));
    Ok(())
}

/// How long clients of Redis wait after a kill of the whole active side, by the heartbeat of the pair.
#[test]
fn failovers_of_a_pair_of_redis() -> Outcome<()> {
    if let Err(why) = writers_needed() {
        skip(&format!("failovers of Redis: {why}"));
        return Ok(());
    }
    let rounds = rounds_asked().unwrap_or(1);
    let mut table = heading("kill -9 of the whole active side");
    for timing in Timing::measured() {
        steady(timing.heartbeat / 2, || {
            let mut pair = RedisPair::start(timing, None)?;
            let measured = measure(&mut pair, Fault::KillAll, rounds)?;
            table.push(measured.row(&timing.to_string()));
            Ok(())
        })?;
    }
    tell(&table.join("\n"));
    Ok(())
}

#[test]
fn newer_data_never_give_way_to_older_ones() -> Outcome<()> {
    if let Err(why) = needed() {
        skip(&format!("which data of Redis are served: {why}"));
        return Ok(());
    }
    let mut pair = RedisPair::start(TIMING, Some(LIMIT))?;
    data::newer_data_are_served(&mut pair)?;
    data::an_old_copy_is_not_served(&mut pair, LIMIT)
}

#[test]
fn the_page_can_be_followed() -> Outcome<()> {
    if let Err(why) = needed() {
        skip(&format!("the page about Redis: {why}"));
        return Ok(());
    }
    // The page makes the folders itself.
    let place = TryOut::new("redis", &pair::PORTS, TIMING.heartbeat)?;
    let mut script = place.script("redis.md", "A try-out on one machine")?;
    let said = follow(&mut script, 3 * BOUND)?;
    // The active one before the switchover, its replica, the other one after it, and the first one after the kill.
    let answers = said.lines().filter(|line| *line == "hello").count();
    ensure(answers == 3, || format!("{answers} of 3 answers: {said}"))
}

/// Does a fault so often.
fn measure(pair: &mut RedisPair, fault: Fault, rounds: usize) -> Outcome<Measured> {
    let mut measured = Measured::default();
    for round in 0..rounds {
        let prefix = format!("{fault:?}:{round}");
        one_fault(pair, fault, &prefix, &mut measured)
            .map_err(|why| format!("{}, round {round}: {why}", fault.name()))?;
    }
    Ok(measured)
}

/// The head of a table, whose rows are [`Measured::row`].
fn heading(what: &str) -> Vec<String> {
    vec![
        format!(
            "| {what} | n | without an acknowledged write, ms: least | median | p90 | greatest \
             | acknowledged | lost | most in one |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ]
}

impl Measured {
    fn row(&self, what: &str) -> String {
        let ms = |percent| self.without_service.percentile(percent).as_millis();
        format!(
            "| {what} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.lost.len(),
            ms(0),
            ms(50),
            ms(90),
            ms(100),
            self.acknowledged,
            self.lost.iter().sum::<usize>(),
            self.lost.iter().max().copied().unwrap_or_default(),
        )
    }
}

/// Does `fault` to the active side under load, heals it, and judges what the writers were told.
fn one_fault(
    pair: &mut RedisPair,
    fault: Fault,
    prefix: &str,
    measured: &mut Measured,
) -> Outcome<()> {
    pair.wait_settled()?;
    let (active, _) = pair.active()?;
    let fronts = pair.sides.each_ref().map(pair::Side::front);
    let writers = Writers::start(prefix, &fronts)?;
    let before = writers.wait_acks(0, WRITES, |_| true)?;
    fault
        .begin(pair, active)
        .map_err(|why| pair.describe(&why))?;
    let mark = writers.mark();
    let is_after = |ack: &Ack| !fault.moves() || ack.epoch > before.epoch;
    let served = writers.wait_acks(mark, WRITES, is_after);
    let served = served.map_err(|why| pair.describe(&why));
    // A side that is stopped is let go also when the test fails.
    fault.end(pair, active)?;
    served?;
    pair.wait_settled()?;
    // The one that came back does not take over by itself, nor disturb.
    writers.wait_acks(writers.mark(), WRITES, |_| true)?;
    let acks = writers.stop()?;
    verdict::one_at_a_time(&acks)?;
    let lost = judge_lists(pair, &writers, &acks)?;
    ensure(lost == 0 || !fault.keeps_all(), || {
        pair.describe(&format!("{lost} acknowledged writes are lost"))
    })?;
    measured.without_service.add(verdict::longest_gap(&acks));
    measured.acknowledged += acks.len();
    measured.lost.push(lost);
    Ok(())
}

/// How many acknowledged writes are lost. Both have the same in the end.
fn judge_lists(pair: &RedisPair, writers: &Writers, acks: &[Ack]) -> Outcome<usize> {
    let (active, passive) = pair.active()?;
    let mut lost = 0;
    for writer in 0..WRITERS {
        let ask = ["LRANGE", &writers.key(writer), "0", "-1"];
        let kept = pair.sides[active].client(&ask)?;
        let is_copied = || pair.sides[passive].redis(&ask).as_ref() == Ok(&kept);
        wait_until(BOUND, is_copied)
            .map_err(|why| pair.describe(&format!("the copy differs: {why}")))?;
        let kept: BTreeSet<u64> = kept.lines().filter_map(|line| line.parse().ok()).collect();
        lost += verdict::lost(acks, writer, &kept);
    }
    Ok(lost)
}

/// redis-cli gets an answer from the active one, and a refusal from the other.
fn redis_cli_is_served(pair: &RedisPair) -> Outcome<()> {
    let (active, passive) = pair.active()?;
    // The gate opens when the epoch is there, a moment later.
    let mut said = Err(String::new());
    let asked = wait_until(BOUND, || {
        said = pair.sides[active].client(&["SET", "by", "redis-cli"]);
        said.as_deref() == Ok("OK")
    });
    asked.map_err(|why| pair.describe(&format!("{why}: {said:?}")))?;
    let refused = pair.sides[passive].client(&["GET", "by"]);
    ensure(
        matches!(&refused, Err(why) if why.contains("Connection refused")),
        || format!("the passive one answers {refused:?}"),
    )
}

/// What a test needs that writes under faults.
fn writers_needed() -> Outcome<()> {
    needed()?;
    python::script_with("redis_writer.py", "redis").map(drop)
}

/// What any test needs.
fn needed() -> Outcome<()> {
    for program in ["redis-server", "redis-cli"] {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{program}: {error}"))?;
    }
    Ok(())
}
