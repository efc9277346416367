//! What other threads may ask of a node.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use reactor::{SourceKey, Waker};

use super::error::HandleError;
use super::history::Record;
use super::questions::{OnAnswer, Question};
use super::work::Work;
use crate::core::{Machine, Offer, Status};

/// Questions that may wait at once.
pub(super) const MAX_WAITING: usize = 1024;

/// Reaches a node of a pair from any thread: asks whether it may serve, votes, asks it to step
/// back.
///
/// The asking methods wait for the node's own thread; between the end of a run and the drop of the
/// reactor they wait in vain. From a handler on that thread use
/// [`Handle::may_serve`], [`Handle::try_begin`] and [`Handle::request_switchover`], which do not.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    waker: Waker,
    source: SourceKey,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, waker: Waker, source: SourceKey) -> Handle {
        Handle {
            shared,
            waker,
            source,
        }
    }

    /// Whether this node is active right now: true only while it is certain that the peer has
    /// not been able to take over. Takes no lock, and does not vote.
    ///
    /// It turns false by itself when the node's thread does not run for longer than the peer
    /// timeout less one heartbeat, even before that thread can know.
    pub fn may_serve(&self) -> bool {
        self.shared.may_serve()
    }

    /// A client asks: may it be served? As a request on a front end does, this makes a passive
    /// node active whose peer is gone. Waits at most `timeout` for the node's thread.
    pub fn vote(&self, timeout: Duration) -> Result<bool, HandleError> {
        if self.may_serve() {
            return Ok(true);
        }
        self.ask(timeout, |asker| Question::Vote(Some(asker)))
    }

    /// As [`Handle::vote`], without waiting: [`Server::on_active`](super::Server::on_active) tells if the
    /// vote counted.
    pub fn request_vote(&self) -> Result<(), HandleError> {
        self.put(Question::Vote(None))
    }

    /// As [`Handle::vote`], without waiting: `answered` is called with the answer, at once if it is known,
    /// else on the node's thread, which it must not hold up. For runtimes whose threads must not block: let
    /// it send the answer to whoever awaits it. It is dropped uncalled if the node ends before.
    pub fn vote_with<F>(&self, answered: F) -> Result<(), HandleError>
    where
        F: FnOnce(bool) + Send + 'static,
    {
        if self.may_serve() {
            answered(true);
            return Ok(());
        }
        self.put(Question::VoteWith(OnAnswer::new(answered)))
    }

    /// Says whether the application can serve; a node can at its start. Does not wait.
    ///
    /// While it cannot, nobody's vote makes this node active, and offers of its peer are declined. If it is
    /// active it offers the service to its peer, each peer timeout at most, and serves on until the peer is
    /// ready for it; beside no peer it serves as well as it can.
    pub fn set_fit(&self, fit: bool) -> Result<(), HandleError> {
        self.put(Question::Fit { fit, why: None })
    }

    /// As [`Handle::set_fit`] with `false`, for this reason: it is logged when the node was well before.
    pub fn set_ill(&self, reason: impl Into<String>) -> Result<(), HandleError> {
        let why = Some(reason.into());
        self.put(Question::Fit { fit: false, why })
    }

    /// As [`Handle::set_fit`] with `true`: the reason is gone.
    pub fn set_well(&self) -> Result<(), HandleError> {
        self.set_fit(true)
    }

    /// Answers an offer that [`Server::on_offer_later`](super::Server::on_offer_later) told of: ready, or
    /// the reason of a veto. Does not wait. An offer that stands no more is answered in vain.
    pub fn answer_offer(
        &self,
        offer: Offer,
        answer: Result<(), String>,
    ) -> Result<(), HandleError> {
        self.put(Question::Offer(offer, answer.err()))
    }

    /// As [`Handle::vote`], and counts a request that is under way until the [`Work`] is dropped: a
    /// switchover waits for it. `None`: it may not be served.
    pub fn begin(&self, timeout: Duration) -> Result<Option<Work>, HandleError> {
        match self.try_begin() {
            Some(work) => Ok(Some(work)),
            None => self.ask(timeout, Question::Begin),
        }
    }

    /// As [`Handle::begin`], without a vote and without waiting: for a handler that answers later, on
    /// any thread.
    pub fn try_begin(&self) -> Option<Work> {
        Work::begin(&self.shared, &self.waker, self.source)
    }

    /// Hands the service to the peer, if this node is active and hears a passive peer that is
    /// ready for it. `Ok` says that this node has stepped back; after
    /// [`HandleError::Timeout`] it may still.
    ///
    /// A peer of ours is offered the service, and has a peer timeout to answer; then those requests
    /// that are under way have the time of [`Config::drain`](crate::Config::drain) to end, and no
    /// other is begun.
    pub fn switch_over(&self, timeout: Duration) -> Result<(), HandleError> {
        Ok(self.ask(timeout, |asker| Question::SwitchOver(Some(asker)))??)
    }

    /// As [`Handle::switch_over`], without waiting: a refusal is logged.
    pub fn request_switchover(&self) -> Result<(), HandleError> {
        self.put(Question::SwitchOver(None))
    }

    /// Makes this node active because an operator says so: for a backup that was never paired and
    /// is alone, or under maintenance. Nobody else may serve, nor begin to: that is for the
    /// operator to know. Refused beside a peer that is heard to be active.
    pub fn promote(&self, timeout: Duration) -> Result<(), HandleError> {
        Ok(self.ask(timeout, Question::Promote)??)
    }

    /// Puts this node under maintenance, or takes it out. While it lasts the node takes nothing over
    /// but by hand: by [`Handle::promote`], or by a switchover at its peer. It lasts no longer than
    /// this process; to keep the pair as it is, put both nodes under it.
    ///
    /// An active node still steps back where two could serve, for example after a pause of its own,
    /// and then nobody takes over until somebody is promoted.
    pub fn set_maintenance(&self, on: bool, timeout: Duration) -> Result<(), HandleError> {
        self.ask(timeout, |asker| Question::Maintenance(on, asker))
    }

    /// The last 64 transitions, the oldest first.
    pub fn history(&self, timeout: Duration) -> Result<Vec<Record>, HandleError> {
        self.ask(timeout, Question::History)
    }

    /// What the node knows. Waits at most `timeout` for the node's thread.
    pub fn status(&self, timeout: Duration) -> Result<Status, HandleError> {
        self.ask(timeout, Question::Status)
    }

    /// Where the node publishes its state, with the port that the system chose if it was a
    /// wildcard.
    pub fn local_endpoint(&self) -> &str {
        &self.shared.links[0]
    }

    /// The same of [the second state link](super::Server::second_link), if there is one.
    pub fn second_local_endpoint(&self) -> Option<&str> {
        self.shared.links.get(1).map(String::as_str)
    }

    /// Where its front ends are bound, in the order in which they were given.
    pub fn frontend_endpoints(&self) -> &[String] {
        &self.shared.frontends
    }

    /// The epoch that its state directory held when it was attached; 0 without one.
    pub fn stored_epoch(&self) -> u64 {
        self.shared.stored_epoch
    }

    /// Stops the reactor that the node runs on. The node says goodbye: if it is active, a
    /// passive peer takes over at once.
    pub fn stop(&self) {
        self.waker.stop();
    }

    fn ask<T>(
        &self,
        timeout: Duration,
        question: impl FnOnce(SyncSender<T>) -> Question,
    ) -> Result<T, HandleError> {
        let (answer, answered): (_, Receiver<T>) = sync_channel(1);
        self.put(question(answer))?;
        answered.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => HandleError::Timeout(timeout),
            RecvTimeoutError::Disconnected => HandleError::Ended,
        })
    }

    fn put(&self, question: Question) -> Result<(), HandleError> {
        let mut waiting = self.shared.waiting();
        let Some(questions) = waiting.as_mut() else {
            return Err(HandleError::Ended);
        };
        if questions.len() >= MAX_WAITING {
            return Err(HandleError::Full);
        }
        questions.push_back(question);
        drop(waiting);
        self.waker.notify(self.source);
        Ok(())
    }
}

/// What the node's thread shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    links: Vec<String>,
    frontends: Vec<String>,
    stored_epoch: u64,
    /// Until when, in nanoseconds since the origin, the node is certainly active; 0 if it is not.
    active_until: AtomicU64,
    /// Requests under way.
    work: AtomicUsize,
    /// `None` when the node has ended.
    waiting: Mutex<Option<VecDeque<Question>>>,
}

impl Shared {
    /// Given where the state links and the front ends are bound.
    pub(super) fn new(links: Vec<String>, frontends: Vec<String>, stored_epoch: u64) -> Shared {
        Shared {
            links,
            frontends,
            stored_epoch,
            active_until: AtomicU64::new(0),
            work: AtomicUsize::new(0),
            waiting: Mutex::new(Some(VecDeque::new())),
        }
    }

    /// Says how long the others may rely on what the machine is now.
    pub(super) fn rely(&self, machine: &Machine) {
        // Whoever reads this relies on nothing else that was written, but for the count of work.
        self.active_until
            .store(machine.relies_until().map_or(0, nanos), Ordering::SeqCst);
    }

    pub(super) fn withdraw(&self) {
        self.active_until.store(0, Ordering::SeqCst);
    }

    pub(super) fn take_questions(&self) -> VecDeque<Question> {
        self.waiting()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Nobody will answer any more: who waits is told so by its channel's end.
    pub(super) fn end(&self) {
        self.withdraw();
        self.waiting().take();
    }

    pub(super) fn may_serve(&self) -> bool {
        nanos(Instant::now()) <= self.active_until.load(Ordering::SeqCst)
    }

    pub(super) fn count_work(&self) {
        self.work.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether it was the last, and the node may wait for that.
    pub(super) fn end_work(&self) -> bool {
        let last = self.work.fetch_sub(1, Ordering::SeqCst) == 1;
        last && self.active_until.load(Ordering::SeqCst) == 0
    }

    /// Whether no request is under way. Withdraw first, or one may be begun meanwhile.
    pub(super) fn is_idle(&self) -> bool {
        self.work.load(Ordering::SeqCst) == 0
    }

    fn waiting(&self) -> MutexGuard<'_, Option<VecDeque<Question>>> {
        // A queue that a panicking thread left behind is still a queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds since some moment in the past, never 0; enough for 500 years.
fn nanos(at: Instant) -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*ORIGIN.get_or_init(Instant::now));
    u64::try_from(since.as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}
