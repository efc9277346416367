//! On which CPUs a thread may run. Threads and processes inherit it from who starts them.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::contest::Placement;

/// What this process was allowed when it began.
pub(crate) struct Cpus(CpuSet);

impl Cpus {
    pub(crate) fn allowed() -> rustix::io::Result<Self> {
        Ok(Self(sched_getaffinity(None)?))
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.count()
    }

    /// For this thread, and for what it starts.
    pub(crate) fn place(&self, placement: Placement) -> rustix::io::Result<()> {
        match placement {
            Placement::Free => sched_setaffinity(None, &self.0),
            Placement::Pinned => sched_setaffinity(None, &split(&self.0).0),
        }
    }
}

/// The first, and the others.
fn split(all: &CpuSet) -> (CpuSet, CpuSet) {
    let (mut first, mut others) = (CpuSet::new(), CpuSet::new());
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
        if first.count() == 0 {
            first.set(cpu);
        } else {
            others.set(cpu);
        }
    }
    (first, others)
}

/// Moves this thread to the first of the CPUs that it may use.
pub(crate) fn use_first() {
    if let Ok(all) = sched_getaffinity(None) {
        // A thread that cannot be moved stays where it is: the figures tell.
        let _ = sched_setaffinity(None, &split(&all).0);
    }
}

/// Moves this thread to the other CPUs, if there are any.
pub(crate) fn use_others() {
    if let Ok(all) = sched_getaffinity(None) {
        let (_, others) = split(&all);
        if others.count() > 0 {
            let _ = sched_setaffinity(None, &others);
        }
    }
}
