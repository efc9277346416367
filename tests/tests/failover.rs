//! The measure of failovers beside keepalived works; how fast they are is not asserted.

use std::process::Command;
use std::time::Duration;

use tests::{Outcome, Process, ensure, steady, tell};

#[test]
fn failovers_are_measured_beside_keepalived() -> Outcome<()> {
    steady(Duration::from_millis(100), || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_failover"));
        let measure = Process::spawn("failover", command.arg("--quick"));
        // Each of its waits has a bound.
        let status = measure.wait_exit(Duration::from_secs(600))?;
        tell(&[measure.stderr().text(), measure.stdout().text()].join("\n"));
        ensure(status.success(), || measure.describe("measured"))
    })
}
