//! What is due next: one step at a time, in the order of the picture on top of the conductor.

use std::time::Instant;

use super::{Conductor, Fault, Hold, Job, Output, Purpose, RETRY_AFTER, Server, Stop};
use crate::core::State;
use crate::run::config::ServerRun;
use crate::run::hooks::HookKind;

impl Conductor {
    fn begin(&mut self, job: Job) {
        self.job = Some(job);
        let again = self.is_promoted();
        let (kind, cause) = match job {
            Job::BeforeActive(Purpose::Vote) => (HookKind::BeforeActive, Some("vote")),
            Job::BeforeActive(Purpose::Offer(_)) => (HookKind::BeforeActive, Some("peer-offers")),
            Job::BeforeActive(Purpose::Activation) => (HookKind::BeforeActive, None),
            Job::OnActive(_) => (HookKind::OnActive, again.then_some("server-returned")),
            Job::BeforePassive => (HookKind::BeforePassive, None),
            Job::OnPassive => (HookKind::OnPassive, None),
        };
        self.put(Output::RunHooks { kind, cause });
    }

    pub(super) fn begin_next(&mut self, now: Instant) {
        // There is no later time at the end.
        let waits = self.retry_at.is_some() && self.stop != Stop::Closing;
        // What ended is put in order before anything else begins.
        if self.owes_on_passive && self.state != State::Draining {
            if self.settings.run == ServerRun::Active && self.server_is_there() {
                return self.stop_server();
            } else if self.server == Server::Stopping {
                return;
            } else if !waits {
                self.owes_on_passive = false;
                return self.begin(Job::OnPassive);
            }
            // It has failed, and whoever asks meanwhile is not to wait until it succeeds.
        }
        match self.state {
            State::Active if self.stop == Stop::Closing => self.close(),
            State::Active if !waits => self.make_ready(now),
            State::Active => {}
            State::Draining if self.serving.is_none() => self.release(),
            State::Draining if self.drained && self.hold == Hold::Yes && !waits => {
                self.begin(Job::BeforePassive)
            }
            State::Draining => {}
            State::Initial | State::Passive | State::Resigned if self.stop != Stop::Not => {
                self.close()
            }
            State::Initial | State::Passive | State::Resigned => self.answer_who_asks(now),
        }
    }

    pub(super) fn server_is_there(&self) -> bool {
        matches!(self.server, Server::Starting | Server::Up)
    }

    /// The steps from the activation to the open gate, one at a time.
    fn make_ready(&mut self, now: Instant) {
        let serves = self.serves();
        if serves && !self.owes_on_active {
            return;
        }
        let is_asked = serves || !self.settings.has_before_active || self.prepared.is_some();
        // It may look at a server that is there in every state, and so not before that one is well.
        if !is_asked && (self.settings.run == ServerRun::Active || self.is_ready()) {
            self.begin(Job::BeforeActive(Purpose::Activation));
        } else if self.settings.run == ServerRun::Active && self.server == Server::Off {
            self.start_server();
            self.ready_by = Some(now + self.settings.start_timeout);
        } else if !self.is_ready() {
            if !self.overdue {
                self.ready_by
                    .get_or_insert(now + self.settings.start_timeout);
            }
        } else {
            self.owes_on_active = false;
            self.begin(Job::OnActive(self.epoch));
        }
    }

    /// An offer of the peer, or a client's vote: before-active may decline.
    fn answer_who_asks(&mut self, now: Instant) {
        // What was good when another asked may be so no more.
        let is_prepared = |who| {
            let agreed = |(whom, at)| whom == who && now < at + RETRY_AFTER;
            !self.settings.has_before_active || self.prepared.is_some_and(agreed)
        };
        if let Some(offer) = self.offer {
            if let Some(reason) = self.unfit() {
                self.offer = None;
                self.put(Output::AnswerOffer(offer, Err(reason.to_owned())));
            } else if is_prepared(Purpose::Offer(offer)) {
                self.offer = None;
                self.put(Output::AnswerOffer(offer, Ok(())));
            } else {
                self.begin(Job::BeforeActive(Purpose::Offer(offer)));
            }
        } else if std::mem::take(&mut self.vote_asked)
            && self.outlook.vote_counts
            && self.vetoed_until.is_none()
        {
            if is_prepared(Purpose::Vote) {
                self.put(Output::CastVote);
            } else {
                self.begin(Job::BeforeActive(Purpose::Vote));
            }
        }
    }

    /// On the way to the end: the server first, then all.
    fn close(&mut self) {
        if self.server_is_there() {
            self.stop_server();
        } else if self.server != Server::Stopping {
            self.stop = Stop::Ended;
            self.put(Output::End);
        }
    }

    pub(super) fn end_job(&mut self, result: Result<(), String>, now: Instant) {
        let Some(job) = self.job.take() else { return };
        match result {
            Ok(()) => self.end_job_well(job, now),
            Err(error) => {
                self.fault(Fault::HookFailed, error.clone());
                self.end_job_badly(job, error, now);
            }
        }
    }

    fn end_job_well(&mut self, job: Job, now: Instant) {
        match job {
            // Whoever waits for it is answered when all is looked at anew.
            Job::BeforeActive(purpose) => {
                self.prepared = Some((purpose, now));
                self.vote_asked |= purpose == Purpose::Vote && self.outlook.vote_counts;
            }
            Job::OnActive(epoch) => {
                self.serving = Some(epoch);
                self.restarted = false;
                self.hook_failed = false;
            }
            Job::BeforePassive => self.release(),
            Job::OnPassive => self.serving = None,
        }
    }

    fn end_job_badly(&mut self, job: Job, error: String, now: Instant) {
        let retry_at = now + RETRY_AFTER;
        match job {
            Job::BeforeActive(Purpose::Vote) => self.vetoed_until = Some(retry_at),
            Job::BeforeActive(Purpose::Offer(offer)) => {
                if self.offer == Some(offer) {
                    self.offer = None;
                    self.put(Output::AnswerOffer(offer, Err(error)));
                }
            }
            Job::BeforeActive(Purpose::Activation) | Job::OnActive(_) => {
                self.hook_failed = self.is_active();
                self.owes_on_active |= self.serving.is_some();
                self.retry_at = Some(retry_at);
            }
            // As long as the drain lasts.
            Job::BeforePassive => self.retry_at = Some(retry_at),
            Job::OnPassive => {
                self.serving = None;
                // At the end there is no other time, and an active node is not kept from serving.
                self.owes_on_passive |= self.stop == Stop::Not && !self.is_active();
                self.retry_at = Some(retry_at);
            }
        }
    }
}
