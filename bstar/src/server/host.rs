//! Moves bytes and time between the machine and the reactor, and decides nothing.

use std::sync::Arc;
use std::time::Instant;

use reactor::{BoxError, Event, Interest, Scope, SocketKey, Source, SourceKey, TimerKey};
use zmq::Message;

use super::death::Watch;
use super::handle::Shared;
use super::history::History;
use super::link::Link;
use super::questions::Switchover;
use super::request::Request;
use super::store::EpochStore;
use super::voter::{Voter, refusal};
use super::work::Work;
use crate::core::{
    Announced, Answer, Fatal, Machine, Metadata, Offer, Outlook, Output, State, Transition,
};

/// What the application wants to be told.
pub(super) struct Callbacks<S> {
    pub(super) on_active: Option<OnTransition<S>>,
    pub(super) on_passive: Option<OnTransition<S>>,
    pub(super) on_transition: Option<OnTransition<S>>,
    pub(super) on_offer: Option<OnOffer<S>>,
    pub(super) on_outlook: Option<OnOutlook<S>>,
    pub(super) on_fatal: Option<OnFatal<S>>,
}

pub(super) type OnOffer<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, Offer) -> Consideration>;
pub(super) type OnOutlook<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, Outlook)>;

/// What the application says to an offer, or that it will: by the handle.
pub(super) enum Consideration {
    Ready,
    Veto(BoxError),
    Later,
}

pub(super) type OnTransition<S> =
    Box<dyn FnMut(&mut S, &mut Scope<S>, &Transition) -> Result<(), BoxError>>;
pub(super) type OnFatal<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, &Fatal)>;

/// States read in one go: more than the queue holds, and yet an end.
const STATES_AT_ONCE: usize = 4096;
/// Subscriptions read in one go.
const SUBSCRIPTIONS_AT_ONCE: usize = 256;

/// What an event of a socket is about: each kind by its number.
enum Tag {
    Publisher(usize),
    Subscriber(usize),
    Monitor(usize),
    Voter(usize),
}

const TAG_KINDS: usize = 4;

impl Tag {
    fn number(self) -> usize {
        match self {
            Tag::Publisher(link) => TAG_KINDS * link,
            Tag::Subscriber(link) => TAG_KINDS * link + 1,
            Tag::Monitor(link) => TAG_KINDS * link + 2,
            Tag::Voter(n) => TAG_KINDS * n + 3,
        }
    }

    fn of(number: usize) -> Tag {
        let n = number / TAG_KINDS;
        match number % TAG_KINDS {
            0 => Tag::Publisher(n),
            1 => Tag::Subscriber(n),
            2 => Tag::Monitor(n),
            _ => Tag::Voter(n),
        }
    }
}

/// The pair as a source on the reactor.
pub(super) struct Host<S> {
    pub(super) machine: Machine,
    pub(super) links: Vec<Link>,
    pub(super) watch: Option<Watch>,
    pub(super) store: Option<EpochStore>,
    /// The epoch of which it was said last that it could not be written.
    pub(super) unwritten: u64,
    pub(super) voters: Vec<Voter<S>>,
    pub(super) callbacks: Callbacks<S>,
    pub(super) shared: Arc<Shared>,
    pub(super) timer: Option<TimerKey>,
    /// Who waits for the end of a switchover.
    pub(super) switchovers: Vec<Switchover>,
    pub(super) history: History,
    pub(super) me: Option<SourceKey>,
    /// What the application was told of it.
    pub(super) outlook: Outlook,
    /// When the state channel was last read.
    pub(super) states_read: Instant,
    /// Kept from message to message, so that none allocates.
    pub(super) frames: Vec<Message>,
    /// It could not go on: whatever still comes is ignored.
    pub(super) ended: bool,
}

impl<S: 'static> Source<S> for Host<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        for (n, link) in self.links.iter_mut().enumerate() {
            let [publisher, subscriber] = [Tag::Publisher(n), Tag::Subscriber(n)];
            let (subscriber, context) =
                link.register(scope, me, publisher.number(), subscriber.number())?;
            if let Some(watch) = &mut self.watch {
                watch.monitor(scope, me, Tag::Monitor(n).number(), &context, subscriber)?;
            }
        }
        for (n, voter) in self.voters.iter_mut().enumerate() {
            voter.register(scope, me, Tag::Voter(n).number())?;
        }
        self.me = Some(me);
        self.timer = Some(scope.own_timer(me, 0, self.machine.next_deadline())?);
        Ok(())
    }

    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        if self.ended {
            return Ok(());
        }
        let result = self
            .handle(state, scope, event)
            .and_then(|()| self.watch_peer(state, scope, Some(event)));
        if result.is_err() {
            self.abandon(scope);
        }
        result
    }
}

impl<S: 'static> Host<S> {
    fn handle(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        match event {
            Event::Socket { tag, key, .. } => match Tag::of(tag) {
                Tag::Publisher(link) => {
                    self.read_subscriptions(link, scope)?;
                    self.flush(state, scope)
                }
                Tag::Subscriber(_) => self.read_states(state, scope),
                Tag::Monitor(_) => Ok(()),
                Tag::Voter(n) => self.serve(n, key, state, scope),
            },
            Event::Timer { key, .. } if self.timer == Some(key) => self.pass_time(state, scope),
            Event::Notified => self.answer_questions(state, scope),
            Event::Stopping => self.say_goodbye(state, scope),
            _ => Ok(()),
        }
    }

    fn pass_time(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        self.machine.handle_timeout(scope.fresh_now());
        self.flush(state, scope)?;
        self.shared.rely(&self.machine);
        for n in 0..self.voters.len() {
            // What is held is a request, and goes on voting.
            if self.voters[n].is_held() && self.decide(state, scope)? == Answer::Accept {
                self.voters[n].release(scope)?;
            }
        }
        if let Some(timer) = self.timer {
            scope.set_timer(timer, self.machine.next_deadline());
        }
        Ok(())
    }

    /// libzmq queues what subscribers send without a bound; here it is taken in portions.
    pub(super) fn read_subscriptions(
        &mut self,
        link: usize,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        let Some([publisher, _]) = self.links[link].keys() else {
            return Ok(());
        };
        let mut frames = Vec::new();
        for _ in 0..SUBSCRIPTIONS_AT_ONCE {
            if !scope.recv(publisher, &mut frames)? {
                self.machine.handle_subscriptions_read(link);
                break;
            }
            // A subscription is one frame; what has more is somebody's message.
            if let [message] = &mut frames[..] {
                let connection = message.gets("__fd").and_then(|text| text.parse().ok());
                let now = scope.fresh_now();
                self.machine
                    .handle_subscription(link, message, connection, now);
            }
        }
        Ok(())
    }

    /// Reads the state channel to its end, or to the first word that changes something: what the
    /// application does on that occasion may take its time.
    pub(super) fn read_states(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        self.states_read = scope.fresh_now();
        let before = self.machine.state();
        for link in 0..self.links.len() {
            let Some([_, subscriber]) = self.links[link].keys() else {
                continue;
            };
            for _ in 0..STATES_AT_ONCE {
                if self.machine.state() != before || !scope.recv(subscriber, &mut self.frames)? {
                    break;
                }
                // Two frames are all that a state has; a third tells it from one.
                let frames = self.frames.iter().take(3).map(|frame| &frame[..]);
                let frames: Vec<&[u8]> = frames.collect();
                self.machine.handle_peer(link, &frames, scope.fresh_now());
                self.flush(state, scope)?;
            }
        }
        self.note_epoch();
        Ok(())
    }

    /// What the peer said of its epochs outlasts this life: the next activation of ours is to be
    /// above them, whoever starts first.
    fn note_epoch(&mut self) {
        let heard = self.machine.highest_epoch();
        let Some(store) = self.store.as_mut().filter(|store| store.epoch() < heard) else {
            return;
        };
        // A disk that fails is tried once for each: an activation of ours writes a higher one.
        if self.unwritten == heard {
            return;
        }
        if let Err(error) = store.write(heard) {
            self.unwritten = heard;
            tracing::warn!(%error, "the peer's epoch is not kept over a restart");
        }
    }

    /// One request on a front end.
    fn serve(
        &mut self,
        n: usize,
        key: SocketKey,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        if self.voters[n].must_reply() {
            // A request that a REP took must be answered, so it is taken only to be served.
            if !scope.readable(key)? {
                return Ok(());
            }
            if self.decide(state, scope)? == Answer::Refuse {
                self.voters[n].hold(scope)?;
                return Ok(());
            }
            if !scope.recv(key, &mut self.frames)? {
                return Ok(());
            }
        } else {
            let mut frames = std::mem::take(&mut self.frames);
            let received = scope.recv(key, &mut frames);
            let decided = match received {
                Ok(true) => self.decide(state, scope).map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error.into()),
            };
            self.frames = frames;
            match decided? {
                Some(Answer::Accept) => {}
                Some(Answer::Refuse) => {
                    self.refuse(n, key, scope);
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
        let voter = &mut self.voters[n];
        let request = Request::new(key, voter.is_routed(), &mut self.frames);
        voter.handle(state, scope, request)
    }

    /// Tells a client of ours that it came to the wrong server; any other finds out by itself.
    fn refuse(&mut self, n: usize, key: SocketKey, scope: &mut Scope<S>) {
        let name = self.machine.state().name(self.machine.config().role());
        if self.voters[n].is_routed()
            && let Some(refusal) = refusal(&mut self.frames, name, Some(self.machine.epoch()))
            && let Err(error) = scope.send(key, refusal)
        {
            tracing::debug!(%error, "a refusal was not sent");
        }
    }

    /// May a request be begun now? It may be what makes this node active; then the application
    /// is told before the answer is given.
    pub(super) fn decide(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<Answer, BoxError> {
        let mut now = scope.fresh_now();
        // Before it is a vote; and once in a heartbeat, however many requests are queued.
        if self.machine.state() != State::Active
            || now > self.states_read + self.machine.config().heartbeat()
        {
            let mut frames = std::mem::take(&mut self.frames);
            let read = self.read_states(state, scope);
            std::mem::swap(&mut self.frames, &mut frames);
            read?;
            self.prove_again(state, scope)?;
            now = scope.fresh_now();
        }
        let before = self.machine.state();
        let answer = self.machine.handle_request(now);
        self.flush(state, scope)?;
        if self.machine.state() == before {
            return Ok(answer);
        }
        // What the application did on this occasion may have taken too long.
        let answer = self.machine.handle_request(scope.fresh_now());
        self.flush(state, scope)?;
        Ok(answer)
    }

    /// Counts a request that another thread begins.
    pub(super) fn begin_work(&self, scope: &Scope<S>) -> Option<Work> {
        Work::begin(&self.shared, &scope.waker(), self.me?)
    }

    /// The run ends: a passive peer need not wait for our silence.
    fn say_goodbye(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        self.machine.handle_stop(scope.fresh_now());
        self.flush(state, scope)
    }

    /// Does what the machine wants done.
    pub(super) fn flush(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let mut changed = false;
        while let Some(output) = self.next_output(scope) {
            changed = true;
            self.carry_out(output, state, scope)?;
        }
        // Otherwise what the others rely on is only older than it could be, by a fraction of what it
        // is good for: time passes here often enough.
        if changed {
            self.shared.rely(&self.machine);
        }
        self.tell_outlook(state, scope);
        Ok(())
    }

    fn tell_outlook(&mut self, state: &mut S, scope: &mut Scope<S>) {
        let Some(on_outlook) = &mut self.callbacks.on_outlook else {
            return;
        };
        let outlook = self.machine.outlook(scope.fresh_now());
        if outlook != self.outlook {
            self.outlook = outlook;
            on_outlook(state, scope, outlook);
        }
    }

    /// What the machine wants done next. One that drains is told when all work has ended.
    fn next_output(&mut self, scope: &mut Scope<S>) -> Option<Output> {
        let output = self.machine.poll_output();
        if output.is_some() || self.machine.state() != State::Draining || !self.shared.is_idle() {
            return output;
        }
        self.machine.handle_drained(scope.fresh_now());
        self.machine.poll_output()
    }

    fn carry_out(
        &mut self,
        output: Output,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        match output {
            Output::Publish { state, metadata } => {
                // Whoever hears it may take over, so no thread may go on relying on this node.
                if self.machine.relies_until().is_none() {
                    self.shared.withdraw();
                }
                self.publish(scope, state, &metadata)?;
            }
            Output::Persist { epoch } => self.persist(epoch, scope)?,
            Output::Transition(transition) => self.tell(state, scope, &transition)?,
            Output::Offered(offer) => self.consider(offer, state, scope),
            Output::SwitchoverEnded(result) => {
                let askers = std::mem::take(&mut self.switchovers);
                self.end_switchover(askers, result);
            }
            Output::Stranger(stranger) => {
                tracing::warn!(%stranger, "someone who is not our peer is ignored");
            }
            Output::TimeoutMismatch { ours, theirs } => tracing::warn!(
                ?ours,
                ?theirs,
                "the nodes were given different peer timeouts: both use the larger"
            ),
            Output::NeverPaired => tracing::warn!(
                "requests are refused: this backup has not met its primary since it started, \
                 and cannot know whether that one serves elsewhere"
            ),
            Output::Redial { link } => {
                if let Some(watch) = &mut self.watch {
                    watch.handle_redial(link, scope.fresh_now());
                }
                self.links[link].redial(scope)?;
            }
            Output::Link { link, silent } => {
                let remote = self.links[link].remote().as_str();
                if silent {
                    tracing::warn!(remote, "a state link is silent: the other one is left");
                } else {
                    tracing::warn!(remote, "a state link is back");
                }
            }
            Output::Fatal(fatal) => {
                if let Some(on_fatal) = &mut self.callbacks.on_fatal {
                    on_fatal(state, scope, &fatal);
                }
                return Err(fatal.into());
            }
        }
        Ok(())
    }

    /// A machine has epochs written down only when it was told where it left off.
    fn persist(&mut self, epoch: u64, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let began = scope.fresh_now();
        store.write(epoch)?;
        let took = scope.fresh_now().saturating_duration_since(began);
        if took > self.machine.config().longest_gap() {
            tracing::warn!(
                ?took,
                "the state directory's disk is so slow that this node steps back when it becomes \
                 active: use a longer heartbeat, or a faster disk"
            );
        }
        Ok(())
    }

    /// The peer offers the service: the application may decline.
    fn consider(&mut self, offer: Offer, state: &mut S, scope: &mut Scope<S>) {
        let said = match &mut self.callbacks.on_offer {
            Some(on_offer) => on_offer(state, scope, offer),
            None => Consideration::Ready,
        };
        let veto = match said {
            Consideration::Ready => None,
            Consideration::Veto(error) => Some(error.to_string()),
            Consideration::Later => return,
        };
        self.answer_offer(offer, veto, scope);
    }

    pub(super) fn answer_offer(
        &mut self,
        offer: Offer,
        veto: Option<String>,
        scope: &mut Scope<S>,
    ) {
        if let Some(veto) = &veto {
            tracing::warn!(veto, "the peer offers the service, and this node declines");
        }
        self.machine
            .handle_offer_answer(offer, veto.is_none(), scope.fresh_now());
    }

    fn publish(
        &mut self,
        scope: &mut Scope<S>,
        state: Announced,
        metadata: &Metadata,
    ) -> Result<(), BoxError> {
        for link in 0..self.links.len() {
            // libzmq sends to a new subscriber before it has told of it: look once more.
            if self.machine.reads_metadata(link) {
                self.read_subscriptions(link, scope)?;
            }
            let text = self.machine.reads_metadata(link);
            let text = text.then(|| metadata.to_string());
            self.links[link].publish(scope, state, text);
        }
        Ok(())
    }

    fn tell(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        transition: &Transition,
    ) -> Result<(), BoxError> {
        let role = self.machine.config().role();
        tracing::info!(
            row = transition.row,
            cause = transition.cause.name(),
            from = transition.from.name(role),
            to = transition.to.name(role),
            epoch = transition.epoch,
            "transition"
        );
        // Other threads must not go on relying on what is no longer so, nor begin before the
        // application is ready.
        self.shared.withdraw();
        let began = scope.fresh_now();
        self.history.add(*transition, began);
        let callbacks = &mut self.callbacks;
        let stands_by = match (transition.from, transition.to) {
            (State::Active, State::Draining) => false,
            (State::Active | State::Draining, _) | (State::Initial, State::Passive) => true,
            // Of what led here the application was told, or it changes nothing for it.
            _ => false,
        };
        let told = [
            callbacks.on_transition.as_mut(),
            callbacks
                .on_active
                .as_mut()
                .filter(|_| transition.to == State::Active),
            callbacks.on_passive.as_mut().filter(|_| stands_by),
        ];
        let result = told
            .into_iter()
            .flatten()
            .try_for_each(|callback| callback(state, scope, transition));
        let took = scope.fresh_now().saturating_duration_since(began);
        if took > self.machine.config().longest_gap() {
            tracing::warn!(
                ?took,
                "a callback took so long that the peer may have taken over"
            );
        }
        result
    }

    /// After an error nothing more is served, and a passive peer need not wait for our silence.
    fn abandon(&mut self, scope: &mut Scope<S>) {
        self.machine.handle_stop(scope.fresh_now());
        while let Some(output) = self.machine.poll_output() {
            if let Output::Publish { state, metadata } = output
                && let Err(error) = self.publish(scope, state, &metadata)
            {
                tracing::debug!(%error, "the last word was not published");
            }
        }
        self.ended = true;
        self.end_watch(scope);
        self.shared.end();
        let links = self.links.iter().filter_map(Link::keys).flatten();
        for key in links.chain(self.voters.iter().filter_map(Voter::key)) {
            // A run that is begun again all the same must not spin on what nobody reads. The
            // sockets are there: they are removed only with this source.
            let _ = scope.set_interest(key, Interest::NONE);
        }
    }
}

impl<S> Drop for Host<S> {
    fn drop(&mut self) {
        self.shared.end();
    }
}
