//! An exhaustive search over the production machine: two nodes, clients at both, operators, the host
//! of each node, and an adversary who decides all that is not theirs to decide.
//!
//! The search visits every state within the bounds of a [`Pair`]. Of each it asks: **if the faults
//! stopped now and clients went on asking, would one serve and the other stand by?** And of each
//! step that led there, by a [`Witness`] that keeps its own record: **was a rule broken?**
//!
//! `docs/proof.md` states the properties, the bounds and the counts.

mod model;
mod quiet;
mod tests;
mod witness;
mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::core::{MAINTENANCE, PAIR, Table};
use quiet::Quiet;

const HEARTBEAT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Time goes on by half a heartbeat, so that a gap of one or two ticks is a node that runs, and
/// one of three is a pause.
const HALF: Duration = Duration::from_millis(500);

/// What the smaller searches find broken on these tables.
pub(super) fn first_to_break(tables: [&'static Table; 2]) -> Option<String> {
    tests::SMALL.iter().find_map(|(pair, expected)| {
        let pair = pair().with_tables(tables[0], tables[1]);
        pair.search(1, 300_000, expected).err()
    })
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A node ends, and is started again at any time.
    Crash,
    /// A node is told to end.
    Stop,
    /// A node does not run, and goes on at any time.
    Pause,
    /// One direction of the link delivers nothing that is sent from then on, and heals at any time.
    Cut,
}

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    StepBack,
    /// Asked for while the peer neither serves nor drains, and is sent nothing that it has not read:
    /// what comes of a promotion beside a node that serves is for the operator to know.
    Promote,
    /// On; off costs nothing.
    Maintenance,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Travel {
    /// They arrive before time goes on, where a node runs. For a node that is paused at most two
    /// wait, of any age, and for one that is down none.
    Promptly,
    /// Any may be lost, or come as late as it likes. A link holds one.
    Anyhow,
}

/// The model and its bounds.
#[derive(Clone)]
struct Pair {
    name: &'static str,
    /// Whose rules each node follows; the Guide's says its digit alone.
    tables: [&'static Table; 2],
    maintenance: &'static Table,
    start: Instant,
    tick: Duration,
    travel: Travel,
    /// These may go wrong, so often all together.
    faults: (u8, &'static [Fault]),
    /// These may be asked for, so often all together.
    wishes: (u8, &'static [Wish]),
    /// States with an epoch above this are not explored further.
    max_epoch: u64,
    /// Nor those in which a node has made more offers in a life.
    max_offers: u64,
    timeouts: [Duration; 2],
    /// The nodes have state directories.
    durable: bool,
    /// It is proved that a node is gone, at any time while it is.
    death: bool,
    fail_back: Option<Duration>,
    serve_alone: Option<Duration>,
    /// What was met on the way: rows, and what else a search would be worthless without.
    met: Arc<Mutex<BTreeSet<&'static str>>>,
    quiet: Arc<Quiet>,
}

impl Pair {
    fn new(name: &'static str) -> Pair {
        Pair {
            name,
            tables: [&PAIR, &PAIR],
            maintenance: &MAINTENANCE,
            start: Instant::now(),
            tick: HALF,
            travel: Travel::Promptly,
            faults: (0, &[]),
            wishes: (0, &[]),
            max_epoch: u64::MAX,
            max_offers: u64::MAX,
            timeouts: [TIMEOUT; 2],
            durable: false,
            death: false,
            fail_back: None,
            serve_alone: None,
            met: Arc::default(),
            quiet: Arc::default(),
        }
    }

    /// The same with other tables for the nodes of ours.
    fn with_tables(mut self, pair: &'static Table, maintenance: &'static Table) -> Pair {
        for n in 0..2 {
            if self.is_ours(n) {
                self.tables[n] = pair;
            }
        }
        self.maintenance = maintenance;
        self
    }

    fn is_ours(&self, n: usize) -> bool {
        !std::ptr::eq(self.tables[n], &crate::core::GUIDE)
    }

    /// Nothing goes wrong, and operators ask for switchovers alone.
    fn is_calm(&self) -> bool {
        let switchovers = self.wishes.1.iter().all(|wish| *wish == Wish::StepBack);
        self.travel == Travel::Promptly && self.faults.0 == 0 && switchovers
    }

    fn note(&self, happened: impl IntoIterator<Item = &'static str>) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.extend(happened);
    }

    /// Searches to the end, or to the first property that fails: how many states there are, or
    /// how that state is reached. What is `expected` must have been met, too.
    ///
    /// A mutant may have states without end: at more than `most` nothing was shown.
    fn search(
        self,
        threads: usize,
        most: usize,
        expected: &[&'static str],
    ) -> Result<usize, String> {
        let (met, name) = (Arc::clone(&self.met), self.name);
        let builder = self.checker().threads(threads).target_state_count(most);
        let search = builder
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let properties = search.model().properties();
        for property in properties {
            if let Some(path) = search.discovery(property.name) {
                let broken = path.last_state().witness.broken;
                let actions = path.into_actions();
                return Err(format!(
                    "{name}: not {:?} ({broken:?}) after {actions:?}",
                    property.name
                ));
            }
        }
        let met = met.lock().unwrap_or_else(PoisonError::into_inner);
        let found = search.unique_state_count();
        if search.state_count() >= most {
            return Ok(found);
        }
        match expected.iter().find(|what| !met.contains(*what)) {
            Some(missing) => Err(format!("{name}: {missing} was never met")),
            None => Ok(found),
        }
    }
}
