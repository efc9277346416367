//! What other threads ask of the node, and its answers.

use std::fmt;
use std::sync::mpsc::SyncSender;

use reactor::{BoxError, Scope};

use super::handle::MAX_WAITING;
use super::history::Record;
use super::host::Host;
use super::work::Work;
use crate::core::{Answer, Offer, PromoteError, Status, StepBack, StepBackError};

/// What a thread may ask, and where it waits for the answer.
#[derive(Debug)]
pub(super) enum Question {
    /// Without a sender nobody waits.
    Vote(Option<SyncSender<bool>>),
    VoteWith(OnAnswer),
    Begin(SyncSender<Option<Work>>),
    /// Without a sender nobody waits: a refusal is logged all the same.
    SwitchOver(Option<Switchover>),
    Promote(SyncSender<Result<(), PromoteError>>),
    Maintenance(bool, SyncSender<()>),
    /// Whether the application can serve, and why not.
    Fit {
        fit: bool,
        why: Option<String>,
    },
    /// The answer to an offer that was considered, with the reason of a veto.
    Offer(Offer, Option<String>),
    Status(SyncSender<Status>),
    History(SyncSender<Vec<Record>>),
}

/// What is called with the answer to a vote.
pub(super) struct OnAnswer(Box<dyn FnOnce(bool) + Send>);

impl OnAnswer {
    pub(super) fn new(answered: impl FnOnce(bool) + Send + 'static) -> OnAnswer {
        OnAnswer(Box::new(answered))
    }
}

impl fmt::Debug for OnAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnAnswer")
    }
}

/// Who waits for the end of a switchover.
pub(super) type Switchover = SyncSender<Result<(), StepBackError>>;

impl<S: 'static> Host<S> {
    /// Those that wait now: who asks meanwhile has notified again.
    pub(super) fn answer_questions(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        // The end of a request that was under way notifies too.
        self.flush(state, scope)?;
        for question in self.shared.take_questions() {
            self.machine.handle_timeout(scope.fresh_now());
            self.flush(state, scope)?;
            self.answer(question, state, scope)?;
        }
        Ok(())
    }

    /// Who has stopped waiting is not told.
    fn answer(
        &mut self,
        question: Question,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        match question {
            Question::Vote(asker) => {
                let answer = self.decide(state, scope)?;
                if let Some(asker) = asker {
                    let _ = asker.try_send(answer == Answer::Accept);
                }
            }
            Question::VoteWith(OnAnswer(answered)) => {
                let answer = self.decide(state, scope)?;
                answered(answer == Answer::Accept);
            }
            Question::Begin(asker) => {
                let answer = self.decide(state, scope)?;
                let work = (answer == Answer::Accept)
                    .then(|| self.begin_work(scope))
                    .flatten();
                let _ = asker.try_send(work);
            }
            Question::SwitchOver(asker) => self.switch_over(asker, state, scope)?,
            Question::Promote(asker) => {
                // What the peer says of itself may wait to be read.
                self.read_states(state, scope)?;
                let result = self.machine.handle_promote(scope.fresh_now());
                self.flush(state, scope)?;
                let _ = asker.try_send(result);
            }
            Question::Maintenance(on, asker) => {
                self.machine.set_maintenance(on);
                self.flush(state, scope)?;
                let _ = asker.try_send(());
            }
            Question::Fit { fit, why } => {
                if self.machine.status(scope.fresh_now()).fit != fit {
                    let why = why.as_deref().unwrap_or("no reason was given");
                    match fit {
                        true => tracing::info!("this node can serve again"),
                        false => tracing::warn!(why, "this node cannot serve"),
                    }
                }
                self.machine.set_fit(fit);
                self.flush(state, scope)?;
            }
            Question::Offer(offer, veto) => {
                self.answer_offer(offer, veto, scope);
                self.flush(state, scope)?;
            }
            Question::Status(asker) => {
                let _ = asker.try_send(self.machine.status(scope.fresh_now()));
            }
            Question::History(asker) => {
                let _ = asker.try_send(self.history.records());
            }
        }
        Ok(())
    }

    fn switch_over(
        &mut self,
        asker: Option<Switchover>,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        self.read_states(state, scope)?;
        match self.machine.handle_step_back(scope.fresh_now()) {
            Ok(StepBack::Offered) => {
                if self.switchovers.len() >= MAX_WAITING {
                    // Whoever asked so long ago has stopped waiting.
                    self.switchovers.remove(0);
                }
                self.switchovers.extend(asker);
            }
            Ok(_) => self.end_switchover(asker, Ok(())),
            Err(error) => self.end_switchover(asker, Err(error)),
        }
        self.flush(state, scope)
    }

    /// Tells these of how a switchover ended.
    pub(super) fn end_switchover(
        &mut self,
        askers: impl IntoIterator<Item = Switchover>,
        result: Result<(), StepBackError>,
    ) {
        if let Err(error) = &result {
            tracing::warn!(%error, "no switchover");
        }
        for asker in askers {
            let _ = asker.try_send(result);
        }
    }
}
