//! Our clients.

use std::collections::VecDeque;

use freelance::{Client, ClientBuilder, ClientHandle, Idempotent, Liveness, Model, Pending, Reply};
use freelance::{RequestError, ServerStats};
use reactor::{BoxError, Reactor, Scope};

use super::{Peer, is_echo, one_by_one, pipelined, wrong};
use crate::common::{BODY, BOUND, Result, wait_until};
use crate::meter::Times;

const IDEMPOTENT: Idempotent = Idempotent::Yes;

fn builder(model: Model, endpoints: &[&str]) -> ClientBuilder {
    Client::builder(model).servers(endpoints.iter().copied())
}

fn all_live(servers: &[ServerStats]) -> bool {
    servers
        .iter()
        .all(|server| server.liveness == Liveness::Live)
}

fn check(model: Model, answer: std::result::Result<Reply, RequestError>) -> Result<()> {
    match (model, &answer?.frames[..]) {
        (Model::Two, [word]) if word == b"OK" => Ok(()),
        (Model::One | Model::Three, [echo]) => is_echo(echo),
        _ => Err(wrong()),
    }
}

/// On its caller's thread.
pub(crate) struct Blocking {
    model: Model,
    client: Client,
}

impl Blocking {
    pub(crate) fn connect(model: u8, endpoints: &[&str]) -> Result<Self> {
        let model = match model {
            1 => Model::One,
            2 => Model::Two,
            _ => Model::Three,
        };
        let mut client = builder(model, endpoints).connect()?;
        wait_until("all servers are live", || {
            client.wait_ready(BOUND)?;
            Ok(all_live(&client.servers()))
        })?;
        Ok(Self { model, client })
    }
}

impl Peer for Blocking {
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        let (model, client) = (self.model, &mut self.client);
        if outstanding == 1 {
            return one_by_one(count, times, || {
                check(model, client.request([BODY], IDEMPOTENT, BOUND))
            });
        }
        let ahead = outstanding.min(count);
        for _ in 0..ahead {
            client.submit([BODY], IDEMPOTENT, BOUND)?;
        }
        for received in 0..count {
            let (_, answer) = client.next_done(BOUND).ok_or("no answer")?;
            check(model, answer)?;
            times.note();
            if received + ahead < count {
                client.submit([BODY], IDEMPOTENT, BOUND)?;
            }
        }
        Ok(())
    }
}

/// As callbacks on a reactor: each answer brings about the next request.
pub(crate) struct Callbacks {
    reactor: Reactor<State>,
    state: State,
}

struct State {
    client: ClientHandle<State>,
    to_send: u32,
    to_receive: u32,
    times: Times,
    failed: Option<String>,
}

impl Callbacks {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let mut reactor = Reactor::<State>::builder().signals(false).build()?;
        let client = builder(Model::Three, endpoints).attach(reactor.scope())?;
        let mut state = State {
            client,
            to_send: 0,
            to_receive: 0,
            times: Times::new()?,
            failed: None,
        };
        wait_until("all servers are live", || {
            reactor.turn(&mut state, Some(std::time::Duration::from_millis(1)))?;
            Ok(all_live(&state.client.servers()))
        })?;
        Ok(Self { reactor, state })
    }
}

impl State {
    fn ask(&mut self, scope: &mut Scope<Self>) -> std::result::Result<(), BoxError> {
        self.to_send -= 1;
        let done = |state: &mut Self, scope: &mut Scope<Self>, answer| {
            state.to_receive -= 1;
            let checked = check(Model::Three, answer);
            state.times.note();
            if let Err(error) = checked {
                state.failed = Some(error.to_string());
            } else if state.to_send > 0
                && let Err(error) = state.ask(scope)
            {
                state.failed = Some(error.to_string());
            }
        };
        self.client
            .request(scope, [BODY], IDEMPOTENT, BOUND, done)?;
        Ok(())
    }
}

impl Peer for Callbacks {
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        let Self { reactor, state } = self;
        (state.to_send, state.to_receive) = (count, count);
        std::mem::swap(&mut state.times, times);
        for _ in 0..outstanding.min(count) {
            state.ask(reactor.scope()).map_err(|e| e.to_string())?;
        }
        reactor.run_until(state, |state| {
            state.to_receive == 0 || state.failed.is_some()
        })?;
        std::mem::swap(&mut state.times, times);
        match state.failed.take() {
            None => Ok(()),
            Some(why) => Err(why.into()),
        }
    }
}

/// On a thread of its own, as its users have it: answers are waited for in the order of their requests.
pub(crate) struct Agent {
    agent: freelance::Agent,
}

impl Agent {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let agent = builder(Model::Three, endpoints).spawn()?;
        wait_until("all servers are live", || Ok(all_live(&agent.servers()?)))?;
        Ok(Self { agent })
    }
}

impl Peer for Agent {
    fn exchange(&mut self, outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        let agent = &self.agent;
        let waiting: std::cell::RefCell<VecDeque<Pending>> = Default::default();
        let send = || {
            let pending = agent.submit([BODY], IDEMPOTENT, BOUND)?;
            waiting.borrow_mut().push_back(pending);
            Ok(())
        };
        let receive = || {
            let oldest = waiting
                .borrow_mut()
                .pop_front()
                .ok_or("none is under way")?;
            check(Model::Three, oldest.wait())
        };
        pipelined(outstanding, count, times, send, receive)
    }
}
