//! SIGINT and SIGTERM ask for the end, which takes a while.

use std::io::Read;
use std::os::unix::net::UnixStream;

use reactor::{Interest, Scope};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::programs::Failure;

/// Calls this for each; several that come at once may be one.
pub(super) fn stop_on_signals<S: 'static>(
    scope: &mut Scope<S>,
    stop: fn(&mut S, &mut Scope<S>),
) -> Result<(), Failure> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    scope
        .add_fd(
            "signals",
            reader,
            Interest::READ,
            move |state, scope, key, _| {
                if let Some(mut reader) = scope.fd::<UnixStream>(key) {
                    // What does not fit wakes us again.
                    let _ = reader.read(&mut [0; 64])?;
                }
                stop(state, scope);
                Ok(())
            },
        )
        .map_err(reactor::Error::from)?;
    Ok(())
}
