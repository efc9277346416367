//! What the reactor aims for, as ratios within one run.

use crate::contest::{Contestant, Test};
use crate::layout::Figure;
use crate::results::Results;

/// One figure of ours is to be at most so many times another.
pub(crate) struct Goal {
    pub(crate) what: String,
    ours: (Contestant, Test),
    other: (Contestant, Test),
    at_most: f64,
}

pub(crate) struct Checked {
    pub(crate) what: String,
    pub(crate) ratio: f64,
    pub(crate) at_most: f64,
}

impl Checked {
    pub(crate) fn is_met(&self) -> bool {
        self.ratio <= self.at_most
    }
}

/// Those goals for which everything has run.
pub(crate) fn check(results: &Results) -> Vec<Checked> {
    goals()
        .into_iter()
        .filter_map(|goal| {
            let median = |(contestant, test)| {
                let spread = results.spread(contestant, test, Figure::EachNs)?;
                Some(spread.median)
            };
            Some(Checked {
                ratio: median(goal.ours)? / median(goal.other)?,
                what: goal.what,
                at_most: goal.at_most,
            })
        })
        .collect()
}

fn goals() -> Vec<Goal> {
    use Contestant::{Epoll, EpollBatch, Mio, MioSingle, Zloop};
    let goal = |what: String, ours, other, at_most| Goal {
        what,
        ours,
        other,
        at_most,
    };
    let mut goals = vec![goal(
        "a message, 0 idle: ours / zloop".to_owned(),
        (Mio, Test::Sockets(0)),
        (Zloop, Test::Sockets(0)),
        0.9,
    )];
    for idle in [0, 10, 100, 1_000, 4_000] {
        let test = Test::Sockets(idle);
        for (what, ours, limit) in [
            ("ours / bare epoll", Mio, Epoll),
            ("32 a turn: ours / bare epoll", Mio, EpollBatch),
            ("one a turn: ours / bare epoll", MioSingle, Epoll),
        ] {
            let what = format!("a message, {idle} idle, {what}");
            goals.push(goal(what, (ours, test), (limit, test), 1.2));
        }
    }
    for (kind, test) in [
        ("a turn", Test::Turn as fn(u32) -> Test),
        ("a turn without a socket", Test::TurnAlone),
    ] {
        let (few, many) = (test(10), test(100_000));
        let what = format!("{kind}, 100,000 timers: ours / ours at 10");
        goals.push(goal(what, (Mio, many), (Mio, few), 1.2));
        let what = format!("{kind}, 100,000 timers: ours / zloop at 10");
        goals.push(goal(what, (Mio, many), (Zloop, few), 1.0));
    }
    goals.push(goal(
        "create + cancel, 100,000 timers: ours / zloop at 10".to_owned(),
        (Mio, Test::Cancel(100_000)),
        (Zloop, Test::Cancel(10)),
        2.0,
    ));
    goals.push(goal(
        "reset, 100,000 tickets: ours / zloop at 10".to_owned(),
        (Mio, Test::Ticket(100_000)),
        (Zloop, Test::Ticket(10)),
        1.3,
    ));
    goals
}
