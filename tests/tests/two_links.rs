//! Two state links: what one carries the other carries too, and neither makes an old word new.

use std::time::Duration;

use tests::{
    BOUND, Cut, Islands, Namespace, Node, NodeConfig, Outcome, PeerConfig, Role, ScriptedPeer,
    ensure, free_endpoint, port, steady,
};

const HEARTBEAT: Duration = Duration::from_millis(100);
const SILENT: &str = "a state link is silent";
const BACK: &str = "a state link is back";

/// A pair with two links, and the ports of each.
fn start() -> Outcome<Option<(Islands, [[u16; 2]; 2])>> {
    let second = [free_endpoint(), free_endpoint()];
    let islands = Islands::start(HEARTBEAT, |configs| {
        for (n, config) in configs.iter_mut().enumerate() {
            let [local, remote] = [&second[n], &second[1 - n]];
            config.more = ["--local2", local, "--remote2", remote]
                .map(str::to_owned)
                .into();
        }
    })?;
    Ok(islands.map(|islands| {
        let first = [islands.port(0), islands.port(1)];
        (islands, [first, second.map(|endpoint| port(&endpoint))])
    }))
}

/// How often a node has complained of something on its standard error.
fn told(node: &Node, what: &str) -> usize {
    let lines = node.process().stderr().all();
    lines.iter().filter(|line| line.text.contains(what)).count()
}

fn wait_told(node: &Node, what: &str, from: usize) -> Outcome<()> {
    let lines = node.process().stderr();
    let found = lines.find(from, BOUND, |line| line.text.contains(what).then_some(()));
    found.ok_or_else(|| {
        node.process()
            .describe(&format!("should have said: {what}"))
    })
}

fn cut_and_heal(network: &Namespace, ports: &[u16], nodes: [&Node; 2]) -> Outcome<()> {
    let from = nodes.map(|node| node.process().stderr().count());
    let before = nodes.map(|node| [told(node, SILENT), told(node, BACK)]);
    network.cut(ports, Cut::Both)?;
    for (node, from) in nodes.into_iter().zip(from) {
        wait_told(node, SILENT, from)?;
    }
    // Time for whatever would follow, if that were taken for the peer's death.
    std::thread::sleep(HEARTBEAT * 10);
    network.heal()?;
    for (node, from) in nodes.into_iter().zip(from) {
        wait_told(node, BACK, from)?;
    }
    let after = nodes.map(|node| [told(node, SILENT), told(node, BACK)]);
    let once = before.map(|before| before.map(|count| count + 1));
    ensure(after == once, || {
        format!("told {before:?} times, then {after:?}")
    })
}

#[test]
fn one_link_cut_changes_nothing_but_a_warning() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some((islands, links)) = start()? else {
            return Ok(());
        };
        let nodes = [0, 1].map(|index| islands.pair.node(index));
        let marks = nodes.map(Node::mark);
        islands.under_traffic(|| {
            for ports in &links {
                cut_and_heal(&islands.network, ports, nodes)?;
            }
            for (node, mark) in nodes.into_iter().zip(marks) {
                node.ensure_quiet(mark)?;
                node.ensure_alive()?;
            }
            Ok(())
        })
    })
}

#[test]
fn both_links_cut_are_a_cut_and_either_heals_it() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some((islands, links)) = start()? else {
            return Ok(());
        };
        islands.under_traffic(|| {
            for (rest, back) in [(&links[1], &links[0]), (&links[0], &links[1])] {
                let passive = usize::from(islands.pair.node(0).state() == "active");
                islands.network.cut(&[*rest, *back].concat(), Cut::Both)?;
                islands.pair.node(passive).wait_state("active")?;
                // One link is enough for them to find each other again.
                islands.network.heal()?;
                islands.network.cut(rest, Cut::Both)?;
                islands.heals()?;
                islands.network.heal()?;
            }
            Ok(())
        })
    })
}

/// A node between two scripted ends of the links to its peer.
fn between(role: Role) -> Outcome<(Node, [ScriptedPeer; 2])> {
    let remotes = [free_endpoint(), free_endpoint()];
    let mut config = NodeConfig::new(role, &remotes[0], HEARTBEAT);
    let second = free_endpoint();
    config.more = ["--local2", &second, "--remote2", &remotes[1]]
        .map(str::to_owned)
        .into();
    let locals = [config.local.clone(), second];
    let peers = [0, 1].map(|link| {
        ScriptedPeer::start(&PeerConfig {
            bind: remotes[link].clone(),
            connect: locals[link].clone(),
            metadata: true,
            period: HEARTBEAT / 2,
        })
    });
    let node = Node::start(&config)?;
    for peer in &peers {
        peer.wait_subscribed(BOUND)?;
    }
    Ok((node, peers))
}

fn word(seq: u64) -> String {
    format!(
        "bstar/1 pair=bstar role=primary inc=00000000000000aa epoch=1 heard=none timeout={} \
         seq={seq}",
        (HEARTBEAT * 2).as_millis()
    )
}

#[test]
fn a_word_that_the_slower_link_brings_late_is_dropped() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let (node, [quick, slow]) = between(Role::Backup)?;
        quick.say(&[b"3", word(5).as_bytes()]);
        node.wait_state("passive")?;
        let mark = node.mark();
        // What the peer said before it became active.
        slow.say(&[b"1", word(4).as_bytes()]);
        quick.next_heard(10, BOUND)?;
        node.ensure_quiet(mark)?;
        slow.say(&[b"1", word(6).as_bytes()]);
        node.wait_state("active")
    })
}

#[test]
fn both_links_carry_the_same_numbers() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let (node, peers) = between(Role::Primary)?;
        peers[0].say(&[b"2"]);
        node.wait_state("active")?;
        let mut numbers = Vec::new();
        for peer in &peers {
            let mut last = 0;
            for _ in 0..5 {
                let heard = peer.wait_heard(peer.mark(), BOUND, |heard| heard.frames.len() == 2)?;
                let seq = heard.metadata("seq").and_then(|seq| seq.parse().ok());
                let seq: u64 = seq.ok_or_else(|| format!("no number in {heard:?}"))?;
                ensure(seq > last, || format!("{seq} after {last}"))?;
                last = seq;
            }
            numbers.push(last);
        }
        // Whatever the second has heard last, the first has heard too.
        peers[0].wait_heard(0, BOUND, |heard| {
            heard.metadata("seq") == Some(numbers[1].to_string())
        })?;
        Ok(())
    })
}

#[test]
fn a_peer_without_numbers_is_kept_alive_by_either_link() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let (node, [first, second]) = between(Role::Backup)?;
        second.say_digit(b'3');
        node.wait_state("passive")?;
        first.say_digit(b'3');
        let mark = node.mark();
        // The link that it was listened to on falls silent. What comes by the other is listened to
        // after a peer timeout.
        second.silence();
        first.next_heard(10, BOUND)?;
        node.ensure_quiet(mark)?;
        first.say_digit(b'1');
        node.wait_state("active")
    })
}
