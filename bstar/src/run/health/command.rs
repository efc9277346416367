//! Whether a command exits with 0.

use reactor::Scope;

use super::{Call, Caller, Look};
use crate::run::child::{ChildKey, Ended, Job, Purpose, spawn};
use crate::run::hooks::HookEnv;

pub(super) struct CommandProbe {
    command: Vec<String>,
    environment: HookEnv,
    child: Option<ChildKey>,
}

impl CommandProbe {
    pub(super) fn new(command: Vec<String>) -> CommandProbe {
        CommandProbe {
            command,
            environment: HookEnv::new(),
            child: None,
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
        }
    }
}
