//! What both benchmarks need: servers in processes of their own, which are plain loops on libzmq, so that what differs
//! between two clients is the clients.

pub(crate) mod child;
mod serve;

use std::error::Error;
use std::time::Duration;

pub(crate) use self::serve::{Kind, serve};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The first argument of a process that is to be a server.
pub(crate) const SERVE: &str = "serve";

/// What is asked of every server.
pub(crate) const BODY: &[u8] = b"x";

/// How long anything may take that takes milliseconds when all is well.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// Waits until something holds, at most for [`BOUND`].
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = std::time::Instant::now() + BOUND;
    while !holds()? {
        if std::time::Instant::now() >= end {
            return Err(format!("not within {} s: {what}", BOUND.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
