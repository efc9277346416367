//! What is run at the turns of a node's life: commands, one after the other, each bounded in time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use reactor::Scope;

use super::child::{ChildKey, Failure, Job, Purpose, spawn};
use super::config::HookConfig;

/// At which turn of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HookKind {
    BeforeActive,
    OnActive,
    BeforePassive,
    OnPassive,
    OnFault,
}

impl HookKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            HookKind::BeforeActive => "before-active",
            HookKind::OnActive => "on-active",
            HookKind::BeforePassive => "before-passive",
            HookKind::OnPassive => "on-passive",
            HookKind::OnFault => "on-fault",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a hook finds in its environment beside this program's own.
pub(crate) type HookEnv = Vec<(String, String)>;

/// The first command of a list that failed. Those before it were done, those after it were not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {hook} hook `{command}` failed: {why}")]
pub(crate) struct HookError {
    pub(crate) hook: HookKind,
    pub(crate) command: String,
    pub(crate) why: Failure,
}

/// A list of commands that is being run. Dropping this does nothing.
pub(crate) struct HookRun<S>(Shared<S>);

impl<S> HookRun<S> {
    /// Kills the command that runs, with its group. Nothing more is run, and nothing is told.
    pub(crate) fn cancel(&self) {
        if let Some(child) = self.0.take().and_then(|run| run.child) {
            child.abandon();
        }
    }
}

/// Runs the commands in their order, until one fails; each is killed with its group when its time is over.
///
/// `done` is called once, never from within this call, and not at all after [`HookRun::cancel`].
pub(crate) fn run_hooks<S: 'static>(
    scope: &mut Scope<S>,
    kind: HookKind,
    hooks: &[HookConfig],
    env: HookEnv,
    done: impl FnOnce(&mut S, &mut Scope<S>, Result<(), HookError>) + 'static,
) -> HookRun<S> {
    let shared = Rc::new(RefCell::new(Some(Run {
        kind,
        left: hooks.iter().cloned().collect(),
        env,
        done: Box::new(done),
        child: None,
    })));
    advance(scope, &shared);
    HookRun(shared)
}

/// What is called at the end.
type Done<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>, Result<(), HookError>)>;
/// Gone when the end was told, or is not to be told any more.
type Shared<S> = Rc<RefCell<Option<Run<S>>>>;

struct Run<S> {
    kind: HookKind,
    left: VecDeque<HookConfig>,
    env: HookEnv,
    done: Done<S>,
    /// The command that runs.
    child: Option<ChildKey>,
}

/// Starts the next command.
fn advance<S: 'static>(scope: &mut Scope<S>, shared: &Shared<S>) {
    let mut slot = shared.borrow_mut();
    let Some(run) = slot.as_mut() else { return };
    let Some(hook) = run.left.pop_front() else {
        return conclude(scope, shared, Ok(()));
    };
    let failed = {
        let (hook, command) = (run.kind, hook.command.join(" "));
        move |why| HookError { hook, command, why }
    };
    let job = Job {
        purpose: Purpose::Hook,
        name: run.kind.as_str(),
        command: &hook.command,
        directory: None,
        environment: &run.env,
        timeout: Some(hook.timeout),
    };
    let (waiting, refused) = (Rc::clone(shared), failed.clone());
    let started = spawn(scope, &job, move |_, scope, ended| match ended.result {
        Ok(()) => advance(scope, &waiting),
        Err(why) => conclude(scope, &waiting, Err(failed(why))),
    });
    match started {
        Ok((child, _)) => run.child = Some(child),
        Err(why) => conclude(scope, shared, Err(refused(why))),
    }
}

/// Tells the end, once this turn has; the log is for whoever is told.
fn conclude<S: 'static>(scope: &mut Scope<S>, shared: &Shared<S>, result: Result<(), HookError>) {
    let shared = Rc::clone(shared);
    scope.defer(move |state, scope| {
        if let Some(run) = shared.take() {
            (run.done)(state, scope, result);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::run::trial::{is_gone, pids, reactor, shell, turn_until};

    type Results = Vec<Result<(), HookError>>;

    fn hooks(scripts: &[&str], timeout: Duration) -> Vec<HookConfig> {
        let hook = |script: &&str| HookConfig {
            command: shell(script),
            timeout,
        };
        scripts.iter().map(hook).collect()
    }

    fn env(file: &Path) -> HookEnv {
        let file = file.display().to_string();
        vec![
            ("FILE".to_owned(), file),
            ("BSTAR_EPOCH".to_owned(), "7".to_owned()),
        ]
    }

    const LONG: Duration = Duration::from_secs(1000);

    /// Runs them in a new folder, and gives what came of it and what is in the file there.
    fn run(kind: HookKind, scripts: &[&str], timeout: Duration) -> (Result<(), HookError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let (mut reactor, mut results) = (reactor(), Results::new());
        let tell = |results: &mut Results, _: &mut Scope<Results>, result| results.push(result);
        run_hooks(
            reactor.scope(),
            kind,
            &hooks(scripts, timeout),
            env(&file),
            tell,
        );
        assert!(results.is_empty());
        turn_until(&mut reactor, &mut results, |results| !results.is_empty());
        assert_eq!(results.len(), 1);
        let text = std::fs::read_to_string(file).unwrap_or_default();
        (results.remove(0), text)
    }

    #[test]
    fn they_run_one_after_the_other_and_know_why() {
        let scripts = [
            "sleep 0.2; echo one >>$FILE",
            "echo $BSTAR_EPOCH >>$FILE",
            "echo three >>$FILE",
        ];
        let (result, text) = run(HookKind::OnActive, &scripts, LONG);
        assert_eq!(result, Ok(()));
        assert_eq!(text, "one\n7\nthree\n");
        assert_eq!(run(HookKind::OnActive, &[], LONG).0, Ok(()));
    }

    #[test]
    fn the_first_failure_ends_the_list() {
        let scripts = ["echo one >>$FILE", "exit 3", "echo never >>$FILE"];
        let (result, text) = run(HookKind::BeforeActive, &scripts, LONG);
        let error = result.unwrap_err();
        assert_eq!(error.hook, HookKind::BeforeActive);
        assert_eq!(error.why, Failure::Exited(3));
        assert_eq!(
            error.to_string(),
            "the before-active hook `sh -c exit 3` failed: exit code 3"
        );
        assert_eq!(text, "one\n");
    }

    #[test]
    fn a_command_that_does_not_exist_fails_as_any_other() {
        let (mut reactor, mut results) = (reactor(), Results::new());
        let mut list = hooks(&["exit 0"], LONG);
        list[0].command = vec!["/no/such/hook".to_owned()];
        let tell = |results: &mut Results, _: &mut Scope<Results>, result| results.push(result);
        run_hooks(
            reactor.scope(),
            HookKind::OnFault,
            &list,
            HookEnv::new(),
            tell,
        );
        turn_until(&mut reactor, &mut results, |results| !results.is_empty());
        let error = results[0].as_ref().unwrap_err();
        assert!(
            matches!(error.why, Failure::CannotStart(_)),
            "{:?}",
            error.why
        );
    }

    #[test]
    fn each_has_its_own_time() {
        let limit = Duration::from_secs(2);
        let scripts = ["sleep 1.1", "sleep 1.1", "echo $$ >>$FILE; sleep 1000"];
        let (result, text) = run(HookKind::BeforePassive, &scripts, limit);
        assert_eq!(result.unwrap_err().why, Failure::TimedOut(limit));
        assert_eq!(
            text.lines().count(),
            1,
            "the third had begun, and not the second ended"
        );
    }

    #[test]
    fn of_a_list_that_was_cancelled_nothing_goes_on_and_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let (mut reactor, mut results) = (reactor(), Results::new());
        let tell = |results: &mut Results, _: &mut Scope<Results>, result| results.push(result);
        let list = hooks(
            &[
                "sleep 1000 & echo $! >>$FILE; echo $$ >>$FILE; wait",
                "echo 0 >>$FILE",
            ],
            LONG,
        );
        let run = run_hooks(reactor.scope(), HookKind::OnActive, &list, env(&file), tell);
        // Also one that has nothing to do, and is about to say so.
        let empty = run_hooks(reactor.scope(), HookKind::OnActive, &[], env(&file), tell);
        empty.cancel();
        turn_until(&mut reactor, &mut results, |_| pids(&file).len() == 2);
        run.cancel();
        turn_until(&mut reactor, &mut results, |_| {
            pids(&file).iter().all(|pid| is_gone(*pid))
        });
        // Whatever is told is told in the turns in which another list runs from its start to its end.
        run_hooks(
            reactor.scope(),
            HookKind::OnFault,
            &hooks(&["exit 1"], LONG),
            env(&file),
            tell,
        );
        turn_until(&mut reactor, &mut results, |results| !results.is_empty());
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].as_ref().unwrap_err().hook, HookKind::OnFault);
        assert_eq!(pids(&file).len(), 2);
        run.cancel();
    }
}
