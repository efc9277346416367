//! On which CPUs this process runs. What it starts inherits that.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread, and what it starts from now on, on the first of the CPUs that it may use.
///
/// Across two CPUs what is measured is the waking of the other one, which covers all that code costs.
pub(crate) fn use_first() -> rustix::io::Result<()> {
    let all = sched_getaffinity(None)?;
    let mut first = CpuSet::new();
    if let Some(cpu) = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)) {
        first.set(cpu);
    }
    sched_setaffinity(None, &first)
}
