//! Whether a command exits with 0.

use reactor::Scope;

use super::{Call, Caller, Look};
use crate::run::child::{ChildKey, Ended, Job, Purpose, spawn};
use crate::run::hooks::HookEnv;

/// So many that were killed may be there yet: the system ends nobody who waits for a disk or a share that hangs.
const MOST_LEFT: usize = 8;

pub(super) struct CommandProbe {
    command: Vec<String>,
    environment: HookEnv,
    child: Option<ChildKey>,
    /// Those of earlier looks that were killed.
    left: Vec<ChildKey>,
}

impl CommandProbe {
    pub(super) fn new(command: Vec<String>) -> CommandProbe {
        CommandProbe {
            command,
            environment: HookEnv::new(),
            child: None,
            left: Vec::new(),
        }
    }

    /// For the next look.
    pub(super) fn set_environment(&mut self, environment: HookEnv) {
        self.environment = environment;
    }

    pub(super) fn is_looking(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn begin<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        caller: Caller<S>,
    ) -> Result<(), String> {
        self.left.retain(|child| !child.is_gone());
        if self.left.len() >= MOST_LEFT {
            return Err(format!(
                "{MOST_LEFT} of its commands were killed, and have not ended"
            ));
        }
        let job = Job {
            purpose: Purpose::Check,
            name: "health",
            command: &self.command,
            directory: None,
            environment: &self.environment,
            // Whoever looks counts the time.
            timeout: None,
        };
        let started = spawn(scope, &job, move |state, scope, ended| {
            caller.call(state, scope, Call::Ended(ended));
        });
        let (child, _) = started.map_err(|failure| failure.to_string())?;
        self.child = Some(child);
        Ok(())
    }

    pub(super) fn handle(&mut self, ended: &Ended) -> Option<Look> {
        Some(match ended.result {
            Ok(()) => Ok(()),
            Err(_) => Err(ended.to_string()),
        })
    }

    /// One that has not ended is killed with its group.
    pub(super) fn end(&mut self) {
        if let Some(child) = self.child.take() {
            child.abandon();
            self.left.push(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use reactor::Reactor;

    use super::*;
    use crate::run::trial::{reactor, shell, turn_until};

    fn begin(probe: &mut CommandProbe, reactor: &mut Reactor<()>) -> Result<(), String> {
        // Nobody is called: who was killed is heard no more.
        let caller = Caller {
            access: |()| unreachable!("the end of one that was abandoned is not told"),
            place: 0,
        };
        probe.begin(reactor.scope(), caller)
    }

    #[test]
    fn of_commands_that_do_not_end_when_killed_only_so_many_are_begun() {
        let mut reactor = reactor::<()>();
        let mut probe = CommandProbe::new(shell("sleep 1000"));
        // As long as the reactor does not turn, the end of nobody is noticed.
        for _ in 0..MOST_LEFT {
            begin(&mut probe, &mut reactor).unwrap();
            probe.end();
        }
        let error = begin(&mut probe, &mut reactor).unwrap_err();
        assert!(error.contains("have not ended"), "{error}");
        assert!(!probe.is_looking());
        let left = probe.left.clone();
        turn_until(&mut reactor, &mut (), |()| {
            left.iter().all(ChildKey::is_gone)
        });
        begin(&mut probe, &mut reactor).unwrap();
        probe.end();
    }
}
