//! Abuse of the front ends of a pair: it does not move, its memory is bounded, and those who behave are served.
//!
//! Each abuse has a new pair, with a heartbeat of 100 ms, and lasts a moment;
//! `BSTAR_FLOOD_SECONDS=60 cargo test -p tests --test flood -- --nocapture` measures for longer.

mod abuse;
mod server;
mod site;
mod watch;
mod zeromq;

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{BOUND, Namespace, Outcome, ensure, skip, steady, tell};

use server::LARGE_BYTES;
use site::{HEARTBEAT, MAX_CONNECTIONS, Seen, Site};
use watch::Task;

const MIB: u64 = 1 << 20;
/// Of a kind, where it is by their number that they abuse.
const CROWD: usize = 3000;
/// Of each kind, where all abuse at once.
const CROWD_OF_ALL: usize = 600;
/// More than may be let in.
const TOO_MANY: usize = MAX_CONNECTIONS + 500;
/// Clients of ZeroMQ that read no reply.
const DEAF: usize = 16;
const DEAF_PAUSE: Duration = Duration::from_millis(1);
/// What all ask stands in one queue at their server, so a client that behaves waits for those before it: beside all
/// other abuse the processors are to have time for them.
const DEAF_PAUSE_OF_ALL: Duration = Duration::from_millis(20);
/// Clients of ZeroMQ that do not finish a frame, and the bytes of it.
const UNFINISHED: usize = 16;
const UNFINISHED_BYTES: usize = 4 << 20;
/// Clients of ZeroMQ whose message does not end.
const ENDLESS: usize = 4;
/// Both ends of each connection are this process's.
const DESCRIPTORS: u64 = 16 << 10;

/// What a node has when nobody has come yet: the program, its threads, and what the allocator keeps.
const REST: u64 = 48 * MIB;
/// What a front end of TCP keeps of all who do not read, and what each connection costs beside that.
const KEPT: u64 = 64 * MIB;
const CONNECTION: u64 = 4 << 10;
/// Replies that are queued for one client of ZeroMQ.
const REPLIES: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abuse {
    SlowSenders,
    Deaf,
    Silent,
    Vanishing,
    Resetting,
    RefusedByPassive,
    TooMany,
    ZeromqNoise,
    ZeromqUnfinished,
    ZeromqEndless,
    ZeromqEndlessAtPassive,
    ZeromqDeaf,
    AllAtOnce,
}

impl Abuse {
    const ALL: [Self; 13] = [
        Self::SlowSenders,
        Self::Deaf,
        Self::Silent,
        Self::Vanishing,
        Self::Resetting,
        Self::RefusedByPassive,
        Self::TooMany,
        Self::ZeromqNoise,
        Self::ZeromqUnfinished,
        Self::ZeromqEndless,
        Self::ZeromqEndlessAtPassive,
        Self::ZeromqDeaf,
        Self::AllAtOnce,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SlowSenders => "slow senders, a byte a second each",
            Self::Deaf => "clients that ask for 64 MiB and never read",
            Self::Silent => "clients that say nothing",
            Self::Vanishing => "clients that vanish in the midst of an answer",
            Self::Resetting => "clients that reset in the midst of an answer",
            Self::RefusedByPassive => "a flood to the passive node",
            Self::TooMany => "more clients than may be let in",
            Self::ZeromqNoise => "ZeroMQ: noise, and frames too large",
            Self::ZeromqUnfinished => "ZeroMQ: frames that are not finished",
            Self::ZeromqEndless => "ZeroMQ: messages without an end",
            Self::ZeromqEndlessAtPassive => "ZeroMQ: the same at the passive node",
            Self::ZeromqDeaf => "ZeroMQ: clients that never read",
            Self::AllAtOnce => "all at once, and questions at the control sockets",
        }
    }

    fn begin(self, site: &Site) -> Outcome<Vec<Task<String>>> {
        let (tcp, zeromq) = (site.tcp[0], &site.zeromq[0]);
        Ok(vec![match self {
            Self::SlowSenders => abuse::slow_senders(tcp, CROWD)?,
            Self::Deaf => abuse::deaf(tcp, CROWD)?,
            Self::Silent => abuse::silent(tcp, CROWD)?,
            Self::Vanishing => abuse::vanishing(tcp, CROWD),
            Self::Resetting => abuse::resetting(tcp),
            Self::RefusedByPassive => abuse::refused(site.tcp[1]),
            Self::TooMany => {
                let crowd = abuse::gather(tcp, TOO_MANY, &[abuse::WORD])?;
                site.wait_clients(MAX_CONNECTIONS)?;
                abuse::hold(crowd, format!("{TOO_MANY} connections"))
            }
            Self::ZeromqNoise => zeromq::noise(zeromq)?,
            Self::ZeromqUnfinished => zeromq::unfinished(zeromq, UNFINISHED, UNFINISHED_BYTES)?,
            Self::ZeromqEndless => zeromq::endless(zeromq, ENDLESS)?,
            Self::ZeromqEndlessAtPassive => zeromq::endless(&site.zeromq[1], ENDLESS)?,
            Self::ZeromqDeaf => zeromq::deaf(zeromq, DEAF, DEAF_PAUSE)?,
            Self::AllAtOnce => return all_at_once(site),
        }])
    }

    /// What the pair is configured with: the usual, or little.
    fn max_memory_mib(self) -> u64 {
        match self {
            Self::ZeromqEndless | Self::ZeromqEndlessAtPassive => 64,
            _ => 1024,
        }
    }

    /// How long a client of ZeroMQ that behaves waits before it asks anew: only where the front end begins anew may its
    /// request be lost.
    fn patience(self) -> Duration {
        match self {
            Self::ZeromqEndless => Duration::from_millis(200),
            _ => BOUND,
        }
    }

    /// The memory that a node may have, in bytes.
    fn memory_bound(self) -> u64 {
        let tcp = KEPT + MAX_CONNECTIONS as u64 * CONNECTION;
        let unfinished = (UNFINISHED * UNFINISHED_BYTES) as u64;
        let deaf = (DEAF * LARGE_BYTES) as u64 * REPLIES;
        REST + match self {
            Self::SlowSenders
            | Self::Deaf
            | Self::Silent
            | Self::Vanishing
            | Self::Resetting
            | Self::TooMany => tcp,
            Self::RefusedByPassive | Self::ZeromqNoise => 0,
            Self::ZeromqUnfinished => unfinished,
            // The limit, what comes before it is seen and acted on, and what the allocator keeps: far less than is sent.
            Self::ZeromqEndless | Self::ZeromqEndlessAtPassive => 8 * self.max_memory_mib() * MIB,
            Self::ZeromqDeaf => deaf,
            Self::AllAtOnce => tcp + unfinished + deaf,
        }
    }
}

fn all_at_once(site: &Site) -> Outcome<Vec<Task<String>>> {
    let (tcp, zeromq) = (site.tcp[0], &site.zeromq[0]);
    let mut floods = vec![
        abuse::slow_senders(tcp, CROWD_OF_ALL)?,
        abuse::deaf(tcp, CROWD_OF_ALL)?,
        abuse::silent(tcp, CROWD_OF_ALL)?,
        abuse::vanishing(tcp, CROWD_OF_ALL),
        abuse::resetting(tcp),
        abuse::refused(site.tcp[1]),
        zeromq::noise(zeromq)?,
        zeromq::noise(&site.zeromq[1])?,
        zeromq::unfinished(zeromq, UNFINISHED, UNFINISHED_BYTES)?,
        zeromq::deaf(zeromq, DEAF, DEAF_PAUSE_OF_ALL)?,
    ];
    for node in &site.nodes {
        floods.push(abuse::questions(node.control()?.into()));
    }
    Ok(floods)
}

/// What was seen of one abuse.
struct Row {
    abuse: Abuse,
    did: String,
    seen: Seen,
    memory: [u64; 2],
}

impl Row {
    const HEAD: &str = "| abuse | how much | lateness of heartbeats, ms: active | passive | memory, MiB: active | passive | bound | slowest answer, ms: TCP | ZeroMQ |\n|---|---|--:|--:|--:|--:|--:|--:|--:|";

    fn line(&self) -> String {
        let ms = |duration: Duration| format!("{:.1}", duration.as_secs_f64() * 1000.0);
        let [active, passive] = self.seen.lateness.map(ms);
        let [by_active, by_passive] = self.memory.map(|bytes| bytes / MIB);
        let [tcp, zeromq] = self.seen.served.map(|served| ms(served.slowest));
        format!(
            "| {} | {} | {active} | {passive} | {by_active} | {by_passive} | {} | {tcp} | {zeromq} |",
            self.abuse.name(),
            self.did,
            self.abuse.memory_bound() / MIB,
        )
    }
}

#[test]
fn abuse_of_front_ends_moves_nothing_and_costs_little() -> Outcome<()> {
    let network = match Namespace::new().and_then(|network| may_open_enough().map(|()| network)) {
        Ok(network) => network,
        Err(why) => {
            skip(&why);
            return Ok(());
        }
    };
    network.within(|| {
        be_small()?;
        let mut table = vec![Row::HEAD.to_owned()];
        for abuse in Abuse::ALL {
            // The witness may have run where a node did not.
            let row = steady(HEARTBEAT / 2, || {
                table.push(endure(abuse)?.line());
                Ok(())
            });
            row.map_err(|why| format!("{}: {why}\n{}", abuse.name(), table.join("\n")))?;
        }
        tell(&table.join("\n"));
        Ok(())
    })
}

/// Does it to a pair for a while.
fn endure(abuse: Abuse) -> Outcome<Row> {
    let site = Site::start(abuse.max_memory_mib())?;
    let watch = site.watch(abuse.patience())?;
    let before = site.standing()?;
    let floods = abuse.begin(&site)?;
    thread::sleep(duration());
    site.stands(&before)?;
    let memory = site.greatest_memory()?;
    let seen = watch.end()?;
    let did: Outcome<Vec<String>> = floods.into_iter().map(Task::end).collect();
    let did = did?;
    site.serves_newcomers()?;
    site.stands(&before)?;
    for (node, bytes) in site.nodes.iter().zip(memory) {
        ensure(bytes <= abuse.memory_bound(), || {
            let bound = abuse.memory_bound();
            node.process()
                .describe(&format!("has {bytes} bytes, more than {bound}"))
        })?;
    }
    for served in seen.served {
        ensure(served.answers > 0, || {
            "one who behaves was not served".to_owned()
        })?;
    }
    let did = if abuse == Abuse::AllAtOnce {
        format!("of each of TCP {CROWD_OF_ALL} connections")
    } else {
        did.join(", ")
    };
    Ok(Row {
        abuse,
        did,
        seen,
        memory,
    })
}

/// For how long.
fn duration() -> Duration {
    let asked = std::env::var("BSTAR_FLOOD_SECONDS").ok();
    Duration::from_secs(asked.and_then(|asked| asked.parse().ok()).unwrap_or(2))
}

/// The system's own buffers are not what is tested, and thousands of connections share its memory with everybody on
/// this machine.
fn be_small() -> Outcome<()> {
    for what in ["rmem", "wmem"] {
        let path = format!("/proc/sys/net/ipv4/tcp_{what}");
        fs::write(&path, "4096 16384 65536").map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn may_open_enough() -> Outcome<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    ensure(maximum.is_none_or(|most| most >= DESCRIPTORS), || {
        format!("{DESCRIPTORS} descriptors are needed, the limit is {maximum:?}")
    })?;
    let limit = Rlimit {
        current: Some(DESCRIPTORS),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).map_err(|error| error.to_string())
}
