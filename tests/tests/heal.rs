//! What two servers of ours tell each other beyond the digit, and how they use it when both are
//! active: against a scripted peer that speaks `bstar/1`, with each case at will.

use std::time::Duration;

use tests::{BOUND, Bench, Outcome, Role, State, ensure, steady};

/// Long enough that a busy machine is not away for that long.
const HEARTBEAT: Duration = Duration::from_millis(200);
const ROLES: [Role; 2] = [Role::Primary, Role::Backup];

/// What the peer tells of itself.
struct Told {
    pair: &'static str,
    role: Role,
    epoch: u64,
    /// The incarnation that it hears; `None`: nobody.
    heard: Option<String>,
}

impl Told {
    fn text(&self) -> String {
        let heard = self.heard.as_deref().unwrap_or("none");
        let (pair, role, epoch) = (self.pair, self.role.name(), self.epoch);
        let timeout = (HEARTBEAT * 2).as_millis();
        format!(
            "bstar/1 pair={pair} role={role} inc=00000000000000aa epoch={epoch} heard={heard} \
             timeout={timeout}"
        )
    }
}

/// A server that is active, its epoch, and what a sound peer would tell.
fn active(role: Role) -> Outcome<(Bench, u64, Told)> {
    let bench = Bench::start(role, HEARTBEAT, true)?;
    bench.bring_to(State::Active)?;
    let heard = bench.peer.wait_heard(0, BOUND, |heard| {
        heard.digit() == Some(b'3') && heard.metadata("inc").is_some()
    })?;
    let epoch = heard.metadata("epoch").and_then(|text| text.parse().ok());
    let epoch: u64 = epoch.ok_or_else(|| format!("no epoch in {heard:?}"))?;
    let told = Told {
        pair: "bstar",
        role: role.other(),
        epoch,
        heard: heard.metadata("inc"),
    };
    Ok((bench, epoch, told))
}

/// The peer is active too, and tells this.
fn is_active_too(bench: &Bench, told: &Told) {
    bench.peer.say(&[b"3", told.text().as_bytes()]);
}

fn yields(bench: &Bench) -> Outcome<()> {
    bench.hears(State::Resigned)?;
    bench.node.wait_state("passive")?;
    bench.node.ensure_alive()?;
    bench.answers(State::Passive)
}

fn stays(bench: &Bench) -> Outcome<()> {
    bench.stays(State::Active)?;
    bench.answers(State::Active)
}

#[test]
fn an_epoch_has_the_parity_of_its_role() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for (role, parity) in [(Role::Primary, 1), (Role::Backup, 0)] {
            let (bench, epoch, _) = active(role)?;
            ensure(epoch > 0 && epoch % 2 == parity, || {
                bench.fails(&format!("epoch {epoch}"))
            })?;
        }
        Ok(())
    })
}

#[test]
fn of_two_actives_the_higher_epoch_stays() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let (bench, epoch, mut told) = active(role)?;
            told.epoch = epoch - 1;
            is_active_too(&bench, &told);
            stays(&bench)?;
            told.epoch = epoch + 1;
            is_active_too(&bench, &told);
            yields(&bench)?;
        }
        Ok(())
    })
}

#[test]
fn of_two_actives_with_one_epoch_the_primary_stays() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let (bench, _, told) = active(Role::Primary)?;
        is_active_too(&bench, &told);
        stays(&bench)?;
        let (bench, _, told) = active(Role::Backup)?;
        is_active_too(&bench, &told);
        yields(&bench)
    })
}

#[test]
fn who_is_not_heard_yields_whatever_the_epochs() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            for heard in [None, Some("00000000000000bb".to_owned())] {
                let (bench, epoch, mut told) = active(role)?;
                told.epoch = epoch - 1;
                told.heard = heard;
                is_active_too(&bench, &told);
                yields(&bench)?;
            }
        }
        Ok(())
    })
}

#[test]
fn the_next_epoch_is_above_all_that_were_heard() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let bench = Bench::start(role, HEARTBEAT, true)?;
            let mut told = Told {
                pair: "bstar",
                role: role.other(),
                epoch: 41,
                heard: None,
            };
            is_active_too(&bench, &told);
            bench.hears(State::Passive)?;
            // The peer restarts and knows nothing of its past.
            told.epoch = 0;
            let digit = [role.other().digit()];
            bench.peer.say(&[&digit, told.text().as_bytes()]);
            let is_active = |line: &tests::StateLine| line.state == "active";
            let line = bench.node.wait_transition(0, BOUND, is_active)?;
            let next = match role {
                Role::Primary => 43,
                Role::Backup => 42,
            };
            ensure(line.epoch == next, || bench.fails("the wrong epoch"))?;
        }
        Ok(())
    })
}

#[test]
fn a_stranger_ends_a_newcomer_and_not_a_pair() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        for role in ROLES {
            let strangers = [("other", role.other()), ("bstar", role)];
            for (pair, theirs) in strangers {
                for digit in [b"3", b"4"] {
                    let stranger = Told {
                        pair,
                        role: theirs,
                        epoch: 99,
                        heard: None,
                    };
                    let text = stranger.text();
                    let (bench, _, _) = active(role)?;
                    bench.peer.say(&[digit, text.as_bytes()]);
                    stays(&bench)?;
                    let bench = Bench::start(role, HEARTBEAT, true)?;
                    bench.peer.say(&[digit, text.as_bytes()]);
                    let status = bench.node.process().wait_exit(BOUND)?;
                    ensure(status.code() == Some(1), || {
                        bench.fails("should have ended with 1")
                    })?;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn it_says_whom_it_hears() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let bench = Bench::start(Role::Primary, HEARTBEAT, true)?;
        let says = |value: &str| {
            let mark = bench.peer.mark();
            bench.peer.wait_heard(mark, BOUND, |heard| {
                heard.metadata("heard").as_deref() == Some(value)
            })
        };
        says("none")?;
        bench.peer.say(&[b"4"]);
        says("bare")?;
        let told = Told {
            pair: "bstar",
            role: Role::Backup,
            epoch: 0,
            heard: None,
        };
        bench.peer.say(&[b"4", told.text().as_bytes()]);
        says("00000000000000aa")?;
        // Who falls silent is no longer heard.
        bench.peer.silence();
        says("none").map(drop)
    })
}
