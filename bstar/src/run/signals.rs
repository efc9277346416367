//! SIGINT and SIGTERM ask for the end, which takes a while.

use std::io::{self, ErrorKind, Read};
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
    let added = scope.add_fd(
        "signals",
        reader,
        Interest::READ,
        move |state, scope, key, _| {
            // A reactor may call for no reason, which is none to end.
            if let Some(reader) = scope.fd::<UnixStream>(key)
                && has_come(reader)?
            {
                stop(state, scope);
            }
            Ok(())
        },
    );
    added.map_err(reactor::Error::from)?;
    Ok(())
}

/// Takes what the handlers of signals wrote; what does not fit wakes us again.
fn has_come(mut reader: &UnixStream) -> io::Result<bool> {
    match reader.read(&mut [0; 64]) {
        Ok(count) => Ok(count > 0),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_call_without_a_signal_is_none() {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        assert!(!has_come(&reader).unwrap());
        writer.write_all(b"xx").unwrap();
        assert!(has_come(&reader).unwrap());
        assert!(!has_come(&reader).unwrap());
    }
}
