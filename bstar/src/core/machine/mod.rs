//! The interpreter: one node of a pair, without a socket, a clock or a thread.
//!
//! Feed it what happens, with the time; then drain [`Machine::poll_output`] and call
//! [`Machine::handle_timeout`] no later than [`Machine::next_deadline`]. Time must not go back
//! from call to call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::core::config::Config;
use crate::core::links::Links;
use crate::core::maintenance::MAINTENANCE;
use crate::core::output::{Answer, Counters, Outlook, Output, Status, Transition};
use crate::core::pair::PAIR;
use crate::core::table::{Event, Role, Row, State, Table, Then};
use crate::core::wire::{Announced, Announcement, Heard, MAX_EPOCH, Metadata};

mod hand_over;
mod hearing;

#[cfg(test)]
pub(super) mod tests;

use hand_over::HandOver;

/// A connection and its handshakes take several round trips: given up sooner, a slow link would
/// never come up.
pub const SHORTEST_REDIAL: Duration = Duration::from_millis(500);

/// One node of a pair.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    table: &'static Table,
    maintenance_table: &'static Table,
    incarnation: u64,
    state: State,
    /// The epoch of our last activation; it counts while we are active.
    activation: u64,
    /// The highest epoch that we know of, ours included.
    epoch_seen: u64,
    peer: Option<Announcement>,
    /// The peer's last sign of life, or the begin of the guard.
    silent_since: Instant,
    /// When the peer was first heard, if it has not been silent for a peer timeout since.
    hearing_since: Option<Instant>,
    /// Since when a peer that says no more than its digit has been active beside us.
    dual_since: Option<Instant>,
    /// The peer timeout that the peer last gave, if it has not been silent for one since.
    their_timeout: Option<Duration>,
    last_turn: Instant,
    /// When the last gap of more than a heartbeat ended.
    woke: Option<Instant>,
    /// The peer is proved to be gone, and nothing was heard since.
    peer_dead: bool,
    /// Epochs are written down before they are used.
    durable: bool,
    maintenance: bool,
    /// What the application says of itself.
    fit: bool,
    hand_over: HandOver,
    next_publish: Instant,
    links: Links,
    publish: bool,
    stranger_told: bool,
    unpaired_told: bool,
    mismatch_told: Option<Duration>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A node that starts now. `incarnation` tells this life from others: draw it at random.
    pub fn new(config: Config, incarnation: u64, now: Instant) -> Machine {
        Machine::with_table(config, &PAIR, incarnation, now)
    }

    /// The same on another table.
    pub fn with_table(
        config: Config,
        table: &'static Table,
        incarnation: u64,
        now: Instant,
    ) -> Machine {
        Machine {
            config,
            table,
            maintenance_table: &MAINTENANCE,
            incarnation,
            state: State::Initial,
            activation: 0,
            epoch_seen: 0,
            peer: None,
            silent_since: now,
            hearing_since: None,
            dual_since: None,
            their_timeout: None,
            last_turn: now,
            woke: None,
            peer_dead: false,
            durable: false,
            maintenance: false,
            fit: true,
            hand_over: HandOver::default(),
            next_publish: now,
            links: Links::new(now),
            publish: false,
            stranger_told: false,
            unpaired_told: false,
            mismatch_told: None,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Goes on from the epoch that was written down last, 0 if none was, and has each further one
    /// written down: see [`Output::Persist`]. To be called before anything else.
    pub fn resume_epochs(&mut self, stored: u64) {
        self.durable = true;
        self.epoch_seen = self.epoch_seen.max(stored.min(MAX_EPOCH));
    }

    /// Adds a second state link, number 1 wherever a link is asked for; the first is number 0.
    #[must_use]
    pub fn with_second_link(mut self) -> Machine {
        self.links.add(self.last_turn);
        self
    }

    /// A message arrived on the state channel, by this link.
    ///
    /// # Panics
    ///
    /// As everywhere, when there is no such link.
    pub fn handle_peer<F: AsRef<[u8]>>(&mut self, link: usize, frames: &[F], now: Instant) {
        self.wake(now);
        match Announcement::parse(frames) {
            Ok(said) => self.hear(link, said, now),
            Err(_) => self.counters.garbage += 1,
        }
    }

    /// The XPUB of a link handed up a message: somebody subscribed or left. `connection` tells
    /// whose word it is; libzmq does not say it of those who are gone.
    pub fn handle_subscription(
        &mut self,
        link: usize,
        message: &[u8],
        connection: Option<u64>,
        now: Instant,
    ) {
        self.wake(now);
        self.publish |= self.links.subscribers(link).handle(message, connection);
    }

    /// Nothing more waits in the XPUB of a link.
    pub fn handle_subscriptions_read(&mut self, link: usize) {
        self.links.subscribers(link).settle();
    }

    /// A client asks. Read the state channel to its end first, unless this node is active.
    ///
    /// A transition may come of it: drain the outputs before the request is begun.
    pub fn handle_request(&mut self, now: Instant) -> Answer {
        self.wake(now);
        let event = self.classify_request(now);
        match self.fire(event, now) {
            Then::Serve | Then::Vote => Answer::Accept,
            _ => {
                self.counters.refused += 1;
                if event == Event::RequestPeerExpired
                    && self.state == State::Initial
                    && !self.maintenance
                    && !self.unpaired_told
                {
                    self.unpaired_told = true;
                    self.outputs.push_back(Output::NeverPaired);
                }
                Answer::Refuse
            }
        }
    }

    /// The peer is proved to be gone, though it was heard within the peer timeout: its process ended,
    /// and the host that answers for it says so. Holds until something is heard.
    pub fn handle_peer_dead(&mut self, now: Instant) {
        self.wake(now);
        self.peer_dead = true;
    }

    /// What proved that the peer is gone is no more.
    pub fn withdraw_peer_dead(&mut self) {
        self.peer_dead = false;
    }

    /// Puts this node under maintenance, or takes it out: then it follows [`MAINTENANCE`], and takes
    /// nothing over but by hand. Ends with this life.
    pub fn set_maintenance(&mut self, on: bool) {
        self.publish |= on != self.maintenance;
        self.maintenance = on;
        // Nor does it ask for the service.
        self.hand_over.wants = false;
        self.hand_over.standing_by_since = None;
    }

    /// The application says whether it can serve. While it cannot, nobody votes for this node unless it is
    /// active; and an active one offers the service to its peer, time and again, and serves until that is
    /// ready for it.
    pub fn set_fit(&mut self, fit: bool) {
        self.fit = fit;
    }

    /// What a client's request, and an operator, may expect now. What has waited unread on the state
    /// channel may say otherwise.
    pub fn outlook(&self, now: Instant) -> Outlook {
        Outlook {
            vote_counts: self.row(self.classify_request(now)).then == Then::Vote,
            peer_heard: self.hearing_since.is_some() && self.fresh(now),
        }
    }

    /// This node is about to end: an active one steps back, so that its peer need not wait for
    /// its silence. Hand on what this publishes before the end.
    pub fn handle_stop(&mut self, now: Instant) {
        self.wake(now);
        self.fire(Event::Stopping, now);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
        self.pass_time_of_hand_over(now);
        // A link may be dead without anyone who would dial it again: libzmq gives a connection up
        // for good whose other end broke the protocol, be it with one frame.
        let redial_after = self.timeout().max(SHORTEST_REDIAL);
        while let Some(link) = self.links.redial(now, redial_after) {
            self.outputs.push_back(Output::Redial { link });
        }
        while let Some((link, silent)) = self.links.change(self.timeout()) {
            self.outputs.push_back(Output::Link { link, silent });
        }
    }

    /// When [`Machine::handle_timeout`] is due.
    ///
    /// This is well before the next heartbeat: a machine that is called often knows of a pause
    /// of its own by the gap.
    pub fn next_deadline(&self) -> Instant {
        let next = self
            .next_publish
            .min(self.last_turn + self.config.longest_gap() / 4);
        // From this moment on a request is a vote.
        let expiry = self.silent_since + self.timeout();
        if expiry > self.last_turn {
            next.min(expiry)
        } else {
            next
        }
    }

    /// What is to be done next; `None` when all is done. Drain it after each call above.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(Output::Persist { .. }) = self.outputs.front() {
            return self.outputs.pop_front();
        }
        if self.publish {
            self.publish = false;
            let seq = self.links.number();
            return Some(Output::Publish {
                state: self.announced(),
                metadata: self.metadata(seq),
            });
        }
        self.outputs.pop_front()
    }

    /// The state of this node.
    pub fn state(&self) -> State {
        self.state
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Our epoch if we are active, else the highest seen; 0 before any.
    pub fn epoch(&self) -> u64 {
        match self.state {
            State::Active | State::Draining => self.activation,
            State::Initial | State::Passive | State::Resigned => self.epoch_seen,
        }
    }

    /// The highest epoch that is known, whoever entered it; 0 before any. One that the peer said is
    /// worth writing down too: it keeps the next activation of ours above it, also after a restart.
    pub fn highest_epoch(&self) -> u64 {
        self.epoch_seen
    }

    /// Whether everyone who listens on a link reads a second frame.
    pub fn reads_metadata(&self, link: usize) -> bool {
        self.links.reads_metadata(link)
    }

    /// Whether anyone listens on a link.
    pub fn has_listeners(&self, link: usize) -> bool {
        self.links.has_listeners(link)
    }

    /// How many words of the peer came by a link.
    pub fn words_heard(&self, link: usize) -> u64 {
        self.links.heard(link)
    }

    /// When this node last ran after a gap of more than a heartbeat, if it ever did.
    pub fn woke(&self) -> Option<Instant> {
        self.woke
    }

    /// Until when others may rely on this node being active, if it is: later than that the peer may
    /// have taken over, unless this node has run meanwhile.
    pub fn relies_until(&self) -> Option<Instant> {
        match self.state {
            State::Active => Some(self.last_turn + self.config.longest_gap()),
            State::Initial | State::Draining | State::Passive | State::Resigned => None,
        }
    }

    /// What this node knows, for those who watch.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            state: self.state,
            epoch: self.epoch(),
            peer: self.peer.clone(),
            silence: now.saturating_duration_since(self.silent_since),
            fresh: self.fresh(now),
            maintenance: self.maintenance,
            fit: self.fit,
            timeout: self.timeout(),
            links: self.links.status(now),
            counters: self.counters,
        }
    }

    /// Each call passes here first: a gap that is too long is known before anything else.
    fn wake(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last_turn);
        self.last_turn = now;
        if gap > self.config.heartbeat() {
            // However long the peer timeout: what waited so long may be outdated by what waits behind it.
            self.woke = Some(now);
        }
        if gap > self.config.longest_gap() {
            self.counters.late += 1;
            self.hearing_since = None;
            self.peer_dead = false;
            self.hand_over.standing_by_since = None;
            self.links.wake(now);
            self.fire(Event::Late, now);
        }
        // Whatever keeps this node busy, the peer must hear of it.
        if now >= self.next_publish {
            self.publish = true;
            self.next_publish = now + self.config.heartbeat();
        }
    }

    fn classify_request(&self, now: Instant) -> Event {
        let lost = |after| now >= self.silent_since + after;
        match (self.fresh(now), self.peer_dead) {
            _ if !self.fit => Event::RequestPeerFresh,
            (true, false) => Event::RequestPeerFresh,
            (true, true) => Event::RequestPeerDead,
            (false, _) if self.config.serve_alone().is_some_and(lost) => Event::RequestPeerLost,
            (false, _) => Event::RequestPeerExpired,
        }
    }

    /// The one row for this event, as things stand.
    fn row(&self, event: Event) -> &'static Row {
        let table = if self.maintenance {
            self.maintenance_table
        } else {
            self.table
        };
        table.row(self.config.role(), self.state, event)
    }

    /// Applies the one row for this event, and says what it did.
    fn fire(&mut self, event: Event, now: Instant) -> Then {
        let row = self.row(event);
        let to = match row.then {
            Then::Activate | Then::Vote => Some(State::Active),
            Then::Yield => Some(State::Passive),
            Then::Resign => Some(State::Resigned),
            Then::Reset => Some(State::Initial),
            Then::Drain => Some(State::Draining),
            Then::Stay
            | Then::Guard
            | Then::Ignore
            | Then::Serve
            | Then::Refuse
            | Then::Offer
            | Then::Withdraw
            | Then::Consider
            | Then::Want
            | Then::Exit => None,
        };
        if let Then::Guard | Then::Resign = row.then {
            self.silent_since = now;
        }
        self.advance_hand_over(row.then, event, now);
        if let Some(to) = to {
            self.enter(to, row.id, event);
            if to == State::Active && !self.fit {
                self.rest_from_offers(self.config.heartbeat(), now);
            }
        }
        row.then
    }

    fn enter(&mut self, to: State, row: &'static str, cause: Event) {
        let from = self.state;
        self.state = to;
        self.dual_since = None;
        let mut fence = None;
        if to == State::Active {
            self.activation = next_epoch(self.epoch_seen, self.config.role());
            self.epoch_seen = self.activation;
            if self.durable {
                let epoch = self.activation;
                self.outputs.push_front(Output::Persist { epoch });
                fence = Some(epoch);
            }
        }
        self.counters.transitions += 1;
        self.publish = true;
        let epoch = self.epoch();
        self.outputs.push_back(Output::Transition(Transition {
            row,
            cause,
            from,
            to,
            epoch,
            fence,
        }));
        self.leave_hand_over(from, to);
    }

    fn fresh(&self, now: Instant) -> bool {
        now < self.silent_since + self.timeout()
    }

    /// The larger of our peer timeout and the peer's.
    fn timeout(&self) -> Duration {
        let theirs = self.their_timeout.unwrap_or_default();
        theirs.max(self.config.timeout())
    }

    fn announced(&self) -> Announced {
        Announced::of(self.config.role(), self.state)
    }

    fn metadata(&self, seq: Option<u64>) -> Metadata {
        // A guard keeps the peer fresh without its having spoken: only `hearing_since` tells.
        let spoke = self.outlook(self.last_turn).peer_heard;
        let heard = match &self.peer {
            Some(Announcement {
                metadata: Some(m), ..
            }) if spoke => Heard::Incarnation(m.incarnation),
            Some(Announcement { metadata: None, .. }) if spoke => Heard::Bare,
            _ => Heard::Nothing,
        };
        Metadata {
            pair: self.config.pair().clone(),
            role: self.config.role(),
            incarnation: self.incarnation,
            epoch: self.epoch(),
            heard,
            timeout: self.config.timeout(),
            offer: self.hand_over.offer(),
            answer: self.hand_over.answer(),
            wants: self.hand_over.wants,
            maintenance: self.maintenance,
            seq,
        }
    }
}

#[cfg(test)]
impl Machine {
    /// How many offers this node has made.
    pub(in crate::core) fn offers(&self) -> u64 {
        self.hand_over.offers
    }

    pub(in crate::core) fn set_maintenance_table(&mut self, table: &'static Table) {
        self.maintenance_table = table;
    }

    /// All that decides what this node will do, with ages instead of times and no counters, for
    /// a search to tell states apart. The pattern names every field, so that none is forgotten.
    pub(in crate::core) fn canonical(
        &self,
        now: Instant,
    ) -> impl std::hash::Hash + PartialEq + use<> {
        let Machine {
            config,
            table: _,
            maintenance_table: _,
            incarnation,
            state,
            activation,
            epoch_seen,
            peer,
            silent_since,
            hearing_since,
            dual_since,
            their_timeout,
            last_turn,
            woke,
            peer_dead,
            durable: _,
            maintenance,
            fit,
            hand_over,
            next_publish,
            links,
            publish,
            stranger_told: _,
            unpaired_told: _,
            mismatch_told: _,
            counters: _,
            outputs,
        } = self;
        assert!(
            outputs.is_empty() && !publish,
            "a state between two steps is drained"
        );
        // Beyond these ages nothing changes any more.
        let age = |since: Instant, bound: Duration| now.duration_since(since).min(bound);
        (
            (*incarnation, *state, *activation, *epoch_seen, peer.clone()),
            age(
                *silent_since,
                self.timeout().max(config.serve_alone().unwrap_or_default()),
            ),
            hearing_since.map(|since| age(since, config.heartbeat())),
            dual_since.map(|since| age(since, self.timeout())),
            *their_timeout,
            age(*last_turn, config.longest_gap() + Duration::from_millis(1)),
            woke.map(|at| age(at, config.heartbeat())),
            (
                *peer_dead,
                *maintenance,
                *fit,
                hand_over.canonical(now, config),
            ),
            next_publish.saturating_duration_since(now),
            links.canonical(),
        )
    }
}

/// The smallest number above all seen that has the role's parity: odd for a primary, even for a
/// backup, so that no two activations share one.
fn next_epoch(seen: u64, role: Role) -> u64 {
    // At the end of all numbers, which no honest pair comes near, they repeat.
    let next = seen.min(MAX_EPOCH - 2) + 1;
    let odd = next % 2 == 1;
    if odd == (role == Role::Primary) {
        next
    } else {
        next + 1
    }
}
