//! The pair's client, whose servers may answer anything.

use std::time::{Duration, Instant};

use bstar::client::core::{Action, Core, Event, Stats};
use bstar::client::{Config, Idempotent};
use reactor::sim::{Mutator, fuzz};

use crate::Message;

const NONCE: u64 = 0xfeed_0000_0000_0bee;
const REQUESTS: usize = 6;

/// A client with requests under way, and what was sent of each.
fn client(mutator: &mut Mutator, now: Instant) -> (Core, Vec<Message>) {
    let config = Config::with_heartbeat(Duration::from_millis(100));
    let mut core = Core::new(config, 2, NONCE, now).expect("the defaults are right");
    perform(&mut core, now);
    core.handle_connected(0, now);
    core.handle_connected(1, now);
    let sent = (0..REQUESTS).map(|_| {
        let idempotent = *mutator.pick(&[Idempotent::Yes, Idempotent::No]);
        let body = vec![b"body".to_vec()];
        let deadline = now + Duration::from_secs(9);
        let id = core.submit(body, idempotent, deadline).expect("few wait");
        let frames = core.frames(id).expect("it waits");
        frames.map(<[u8]>::to_vec).collect()
    });
    let sent = sent.collect();
    perform(&mut core, now);
    (core, sent)
}

fn perform(core: &mut Core, now: Instant) -> Vec<Event> {
    while let Some(action) = core.poll_action(now) {
        if let Action::Send { id, .. } = action {
            assert!(core.frames(id).is_some());
        }
    }
    std::iter::from_fn(|| core.poll_event()).collect()
}

/// What servers answer to these requests, and what they would to others.
fn answers(sent: &[Message]) -> Vec<Message> {
    let foreign: [&[u8]; 4] = [
        b"bstar-cli/1 0000000000000abc 1",
        b"bstar-cli/1 feed000000000bee 7",
        b"bstar-cli/1 feed000000000bee 18446744073709551615",
        b"bstar-cli/2 feed000000000bee 1",
    ];
    let firsts = sent.iter().map(|frames| frames[0].clone());
    let mut answers = Vec::new();
    for first in firsts.chain(foreign.map(<[u8]>::to_vec)) {
        for body in [
            &[&b"body"[..]][..],
            &[],
            &[b"bstar-no"],
            &[b"bstar-no state=passive epoch=7"],
            &[b"", b"two"],
        ] {
            let head = [first.clone(), Vec::new()].into_iter();
            answers.push(
                head.chain(body.iter().map(|frame| frame.to_vec()))
                    .collect(),
            );
        }
    }
    answers
}

/// How often an answer was for a request of ours.
fn taken(stats: Stats) -> u64 {
    stats.answered + stats.refused + stats.late
}

#[test]
fn answers_of_a_server_that_raves() {
    let start = Instant::now();
    let mut seen = [0_u64; 2];
    let executions = fuzz("answers", 20_000, |mutator| {
        let mut now = start;
        let (mut core, sent) = client(mutator, now);
        let answers = answers(&sent);
        for _ in 0..=mutator.below(8) {
            now += Duration::from_millis(mutator.below(60) as u64);
            core.handle_timeout(now);
            perform(&mut core, now);
            let mut message = mutator.pick(&answers).clone();
            mutator.damage(&mut message, &answers);
            let is_ours = message.len() > 1
                && message[1].is_empty()
                && sent.iter().any(|frames| frames[0] == message[0]);
            seen[usize::from(is_ours)] += 1;
            let (before, due) = (core.stats(), core.next_deadline());
            let outstanding = core.outstanding();
            // A server that there is not is nobody's.
            let server = mutator.below(3);
            core.handle_message(server, &message, now);
            let after = core.stats();
            if server == 2 {
                assert_eq!(after, before);
            } else if is_ours {
                assert_eq!(taken(after), taken(before) + 1, "{message:?}");
                assert_eq!(after.foreign, before.foreign);
            } else {
                assert_eq!(after.foreign, before.foreign + 1, "{message:?}");
                assert_eq!(taken(after), taken(before));
                assert_eq!(core.outstanding(), outstanding);
                assert_eq!(core.next_deadline(), due, "it is no sign of life");
            }
            let done = perform(&mut core, now).into_iter().filter_map(|event| {
                let Event::Done { result, .. } = event else {
                    return None;
                };
                result.ok()
            });
            for reply in done {
                assert!(is_ours && reply.server == server);
                assert_eq!(reply.frames, message[2..]);
            }
        }
    })
    .unwrap();
    // Both are to be tried.
    assert!(executions < 1000 || seen.iter().all(|seen| *seen > executions / 4));
}
