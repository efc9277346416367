//! Clients whose servers are those that a name stands for, while the zone changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use demos::names::{Feed, FeedConfig, Name, Share, name_client};
use freelance::{Agent, Client, ClientHandle, Idempotent, Liveness, Model};
use reactor::{BoxError, Reactor, Scope};

use crate::rig::{ANY, BOUND, Echo, HOLD, Named, RELEASE, ZoneDir, orders, wait_until};

fn name() -> Name {
    Name::new("test", "orders").unwrap()
}

fn config() -> FeedConfig {
    let mut config = FeedConfig::new();
    config.retry = Duration::from_millis(20);
    config
}

fn fed(named: &Named, config: FeedConfig) -> (Agent, Feed) {
    let agent = Client::builder(Model::Three).spawn().unwrap();
    let names = name_client([&named.endpoint]);
    let feed = Feed::spawn(names, agent.clone(), name(), config).unwrap();
    (agent, feed)
}

/// Who is in the client's list, in the order in which they are asked.
fn list(agent: &Agent) -> Vec<String> {
    let servers = agent.servers().unwrap().into_iter();
    servers.map(|server| server.endpoint).collect()
}

fn wait_for_list(agent: &Agent, wanted: &[&Echo]) {
    let wanted: Vec<&str> = wanted.iter().map(|echo| echo.endpoint.as_str()).collect();
    wait_until("the list to be as the zone", || list(agent) == wanted);
}

/// Threads that ask without pause, and count who answers.
struct Traffic {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<String, u64>>>,
    threads: Vec<JoinHandle<Result<u64, String>>>,
}

impl Traffic {
    /// None of the requests may be executed twice, so that none is saved by a retry.
    fn start(agent: &Agent) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let threads = (0..3).map(|_| {
            let (agent, stop, answers) = (agent.clone(), Arc::clone(&stop), Arc::clone(&answers));
            std::thread::spawn(move || {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    let reply = agent.request(["who"], Idempotent::No, BOUND);
                    let reply = reply.map_err(|error| format!("request {asked}: {error}"))?;
                    let who = String::from_utf8(reply.frames[0].clone()).unwrap();
                    *answers.lock().unwrap().entry(who).or_insert(0) += 1;
                    asked += 1;
                }
                Ok(asked)
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            answers,
        }
    }

    fn answered_by(&self, echo: &Echo) -> u64 {
        let answers = self.answers.lock().unwrap();
        answers.get(&echo.endpoint).copied().unwrap_or(0)
    }

    /// Waits until a server has answered a hundred more.
    fn wait_for(&self, echo: &Echo) {
        let before = self.answered_by(echo);
        wait_until("answers", || self.answered_by(echo) >= before + 100);
    }

    /// How many there were, none of which failed.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap());
        ended.sum::<Result<u64, String>>().unwrap()
    }
}

#[test]
fn requests_move_with_the_zone_and_none_fails() {
    let (a, b, c) = (Echo::start(), Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let (agent, _feed) = fed(&named, config());
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    for (to, from) in [(&b, &a), (&c, &b), (&a, &c), (&b, &a)] {
        zone.replace(&orders(&[&to.endpoint], 50));
        traffic.wait_for(to);
        wait_for_list(&agent, &[to]);
        // It got nothing since: it is not even connected.
        let before = from.served();
        traffic.wait_for(to);
        assert_eq!(from.served(), before);
    }
    let asked = traffic.end();
    let served = a.served() + b.served() + c.served();
    assert_eq!(asked, served, "each was executed once");
    assert_eq!(agent.stats().unwrap().failed, 0);
}

#[test]
fn an_old_server_may_end_as_soon_as_it_is_out_of_the_list() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let (agent, _feed) = fed(&named, config());
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    zone.replace(&orders(&[&b.endpoint], 50));
    wait_for_list(&agent, &[&b]);
    drop(a);
    traffic.wait_for(&b);
    traffic.end();
}

#[test]
fn a_request_under_way_at_a_server_that_goes_is_answered_by_it() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let (agent, _feed) = fed(&named, config());
    let held = agent.submit([HOLD], Idempotent::No, BOUND).unwrap();
    wait_until("the request at the old server", || a.served() == 1);
    zone.replace(&orders(&[&b.endpoint], 50));
    wait_until("the old server to be drained", || {
        let servers = agent.servers().unwrap();
        let old = servers.iter().find(|server| server.endpoint == a.endpoint);
        old.is_some_and(|old| old.liveness == Liveness::Draining)
    });
    let reply = agent.request(["who"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.frames, [b.endpoint.as_bytes()]);
    let mut other = Client::builder(Model::Three)
        .servers([&a.endpoint])
        .connect()
        .unwrap();
    other.request([RELEASE], Idempotent::No, BOUND).unwrap();
    assert_eq!(held.wait().unwrap().frames, [a.endpoint.as_bytes()]);
    wait_for_list(&agent, &[&b]);
}

#[test]
fn the_order_of_the_zone_is_that_of_the_tiers() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint, &b.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let (agent, _feed) = fed(&named, config());
    wait_for_list(&agent, &[&a, &b]);
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    zone.replace(&orders(&[&b.endpoint, &a.endpoint], 50));
    wait_for_list(&agent, &[&b, &a]);
    traffic.wait_for(&b);
    traffic.end();
}

#[test]
fn a_pool_has_one_tier() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint, &b.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let mut config = config();
    config.share = Share::Pool;
    let (agent, _feed) = fed(&named, config);
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    traffic.wait_for(&b);
    traffic.end();
    assert!(
        agent
            .servers()
            .unwrap()
            .iter()
            .all(|server| server.tier == 0)
    );
}

#[test]
fn without_the_name_service_or_with_a_wrong_zone_the_list_stays() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint]);
    let at = zone.socket("names");
    let named = Named::start(&zone.path(), &at);
    let (agent, _feed) = fed(&named, config());
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    zone.replace("nonsense");
    wait_until("a complaint", || named.process.stderr().count() > 0);
    traffic.wait_for(&a);
    // Another zone, in which the name is missing.
    zone.replace("[test.others]\nbind = ['tcp://*:1']\n");
    wait_until("the name to be gone", || {
        let mut names = name_client([&at]).connect().unwrap();
        let question = ["name/1 lookup", "test", "orders"];
        let reply = names.request(question, Idempotent::Yes, BOUND).unwrap();
        reply.frames[0] == b"name/1 unknown"
    });
    traffic.wait_for(&a);
    named.process.kill().unwrap();
    traffic.wait_for(&a);
    assert_eq!(list(&agent), [a.endpoint.as_str()]);
    zone.replace(&orders(&[&b.endpoint], 50));
    let _named = Named::start(&zone.path(), &at);
    wait_for_list(&agent, &[&b]);
    traffic.wait_for(&b);
    traffic.end();
}

#[test]
fn servers_that_work_are_kept_while_those_that_replace_them_are_not_there() {
    let a = Echo::start();
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let mut config = config();
    config.patience = Duration::from_secs(3600);
    let (agent, _feed) = fed(&named, config);
    let traffic = Traffic::start(&agent);
    traffic.wait_for(&a);
    let nobody = zone.socket("nobody");
    zone.replace(&orders(&[&nobody], 50));
    wait_until("the new server in the list", || {
        list(&agent).contains(&nobody)
    });
    traffic.wait_for(&a);
    traffic.end();
}

#[test]
fn a_feed_that_ends_leaves_the_servers() {
    let a = Echo::start();
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let (agent, feed) = fed(&named, config());
    wait_for_list(&agent, &[&a]);
    let begun = Instant::now();
    drop(feed);
    assert!(begun.elapsed() < BOUND);
    let reply = agent.request(["who"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.frames, [a.endpoint.as_bytes()]);
}

/// An application whose two clients are on its own reactor.
struct App {
    orders: ClientHandle<App>,
    answers: Vec<Vec<u8>>,
    failed: u32,
}

impl App {
    fn ask(&mut self, scope: &mut Scope<App>) -> Result<(), BoxError> {
        let orders = self.orders.clone();
        orders.request(
            scope,
            ["who"],
            Idempotent::No,
            BOUND,
            |app, scope, result| {
                match result {
                    Ok(mut reply) => app.answers.push(reply.frames.remove(0)),
                    Err(_) => app.failed += 1,
                }
                app.failed += u32::from(app.ask(scope).is_err());
            },
        )?;
        Ok(())
    }
}

#[test]
fn a_client_on_a_reactor_is_fed_on_it() {
    let (a, b) = (Echo::start(), Echo::start());
    let zone = ZoneDir::of(&[&a.endpoint]);
    let named = Named::start(&zone.path(), ANY);
    let mut reactor = Reactor::<App>::builder().signals(false).build().unwrap();
    let scope = reactor.scope();
    let names = name_client([&named.endpoint]).attach(scope).unwrap();
    let orders = Client::builder(Model::Three).attach(scope).unwrap();
    let feed = Feed::attach(scope, names, orders.clone(), name(), config()).unwrap();
    let mut app = App {
        orders,
        answers: Vec::new(),
        failed: 0,
    };
    app.ask(scope).unwrap();
    for echo in [&a, &b] {
        zone.replace(&self::orders(&[&echo.endpoint], 50));
        let begun = Instant::now();
        let done = |app: &mut App| {
            assert!(begun.elapsed() < BOUND, "{:?}", feed.status());
            let ours = |server: &freelance::ServerStats| server.endpoint == echo.endpoint;
            let list = app.orders.servers();
            list.len() == 1
                && list.iter().all(ours)
                && feed.status().is_settled
                && app
                    .answers
                    .last()
                    .is_some_and(|who| who == echo.endpoint.as_bytes())
        };
        reactor.run_until(&mut app, done).unwrap();
    }
    assert_eq!(app.failed, 0);
    assert_eq!(feed.status().trouble, None);
    feed.close();
    // What closes does so in the next turn, and asks nobody any more.
    reactor.turn(&mut app, Some(Duration::ZERO)).unwrap();
    reactor.turn(&mut app, Some(Duration::ZERO)).unwrap();
}
