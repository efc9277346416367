//! A child that does not outlive the process that started it.

use reactor::{Interest, Scope};

use super::Failure;

/// Ends this process when the one that holds the other end of its standard input does.
///
/// A process that is stopped reads nothing: where the system can, it is killed.
pub(super) fn end_with_parent<S: 'static>(scope: &mut Scope<S>) -> Result<(), Failure> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    scope
        .add_fd(
            "stdin",
            std::io::stdin(),
            Interest::READ,
            |_, scope, key, _| {
                let mut bytes = [0; 64];
                if scope.with_fd(key, |fd| rustix::io::read(fd, &mut bytes))?? == 0 {
                    scope.stop();
                }
                Ok(())
            },
        )
        .map_err(reactor::Error::from)?;
    Ok(())
}
