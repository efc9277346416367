//! What other threads can do, and stopping.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use reactor::{
    Backend, BoxError, Error, Event, Handle, Missed, PostError, Scope, Source, SourceKey, Waker,
};

use crate::common::{builder, on_both, reactor, turn_idly, turn_until};

on_both!(
    posts_run_in_order_in_the_next_turn,
    posts_of_many_threads_all_arrive,
    posts_are_bounded,
    a_post_after_the_end_is_refused,
    a_post_may_do_what_a_handler_may,
    a_notification_arrives_once,
    a_wake_makes_one_turn,
    a_stop_ends_the_run_after_the_turn,
    a_stop_before_the_run_ends_it,
    sources_are_told_of_a_stop_once,
);

fn posts_run_in_order_in_the_next_turn(backend: Backend) {
    let mut reactor = reactor::<Vec<u32>>(backend);
    let handle = reactor.handle();
    for number in 0..10 {
        let again = handle.clone();
        handle
            .post(move |seen, _| {
                seen.push(number);
                again.post(move |seen, _| seen.push(100 + number)).unwrap();
            })
            .unwrap();
    }
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen[10..], (100..110).collect::<Vec<_>>());
}

fn posts_of_many_threads_all_arrive(backend: Backend) {
    const THREADS: usize = 4;
    const POSTS: usize = 2000;
    let mut reactor = builder(backend)
        .post_capacity(16)
        .build::<Vec<usize>>()
        .unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let handle = reactor.handle();
            std::thread::spawn(move || {
                for number in 0..POSTS {
                    let post = move |next: &mut Vec<usize>, _: &mut Scope<Vec<usize>>| {
                        assert_eq!(next[thread], number, "in the order of posting");
                        next[thread] += 1;
                    };
                    while let Err(error) = handle.post(post) {
                        assert_eq!(error, PostError::Full);
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    turn_until(&mut reactor, &mut vec![0; THREADS], |next| {
        next.iter().all(|next| *next == POSTS)
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

fn posts_are_bounded(backend: Backend) {
    let mut reactor = builder(backend).post_capacity(3).build::<u32>().unwrap();
    let handle = reactor.handle();
    for _ in 0..3 {
        handle.post(|ran, _| *ran += 1).unwrap();
    }
    assert_eq!(handle.post(|ran, _| *ran += 1), Err(PostError::Full));
    let mut ran = 0;
    turn_idly(&mut reactor, &mut ran);
    assert_eq!(ran, 3);
    handle.post(|ran, _| *ran += 1).unwrap();
}

fn a_post_after_the_end_is_refused(backend: Backend) {
    let reactor = reactor::<()>(backend);
    let handle = reactor.handle();
    let (sender, receiver) = mpsc::channel::<()>();
    handle.post(move |_, _| drop(sender)).unwrap();
    drop(reactor);
    assert_eq!(
        receiver.try_recv(),
        Err(mpsc::TryRecvError::Disconnected),
        "what waits is dropped"
    );
    assert_eq!(handle.post(|_, _| ()), Err(PostError::Ended));
    // These have nobody to reach, and harm nobody.
    handle.stop();
    handle.waker().wake();
}

fn a_post_may_do_what_a_handler_may(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    reactor
        .handle()
        .post(|_, scope| {
            scope
                .add_interval(
                    "posted",
                    Duration::from_millis(1),
                    Missed::Skip,
                    |ticks, scope, _| {
                        *ticks += 1;
                        if *ticks == 3 {
                            scope.stop();
                        }
                        Ok(())
                    },
                )
                .unwrap();
        })
        .unwrap();
    let mut ticks = 0;
    reactor.run(&mut ticks).unwrap();
    assert_eq!(ticks, 3);
}

struct Listener;

impl Source<u32> for Listener {
    fn start(&mut self, _: &mut Scope<u32>, _: SourceKey) -> Result<(), Error> {
        Ok(())
    }

    fn on_event(
        &mut self,
        heard: &mut u32,
        _: &mut Scope<u32>,
        event: Event,
    ) -> Result<(), BoxError> {
        assert_eq!(event, Event::Notified);
        *heard += 1;
        Ok(())
    }
}

fn a_notification_arrives_once(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let key = reactor.scope().add_source("listener", Listener).unwrap();
    let gone = reactor.scope().add_source("gone", Listener).unwrap();
    let mut heard = 0;
    for round in 1..=3 {
        let waker = reactor.handle().waker();
        std::thread::spawn(move || {
            for _ in 0..100 {
                waker.notify(key);
                waker.notify(gone);
            }
        })
        .join()
        .unwrap();
        if round == 1 {
            assert!(reactor.scope().remove_source(gone));
        }
        turn_until(&mut reactor, &mut heard, |heard| *heard >= round);
        turn_idly(&mut reactor, &mut heard);
        assert_eq!(heard, round);
    }
}

fn a_wake_makes_one_turn(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    let waker = reactor.handle().waker();
    for _ in 0..10 {
        let waker = waker.clone();
        let wakes = std::thread::spawn(move || {
            for _ in 0..10 {
                waker.wake();
            }
        });
        // Returns, though nothing is registered.
        reactor.turn(&mut (), None).unwrap();
        wakes.join().unwrap();
        turn_idly(&mut reactor, &mut ());
    }
}

fn a_stop_ends_the_run_after_the_turn(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let now = reactor.scope().now();
    for _ in 0..5 {
        reactor
            .scope()
            .add_timer("stopper", now, |ran, scope, _| {
                *ran += 1;
                scope.stop();
                Ok(reactor::Next::At(scope.now()))
            })
            .unwrap();
    }
    let mut ran = 0;
    for round in 1..=3 {
        reactor.run(&mut ran).unwrap();
        assert_eq!(
            ran,
            5 * round,
            "the turn is completed, and a run after a stop goes on"
        );
        assert!(!reactor.is_stopping());
    }
    reactor.turn(&mut ran, None).unwrap();
    assert!(
        reactor.is_stopping(),
        "a single turn leaves a stop standing"
    );
}

fn a_stop_before_the_run_ends_it(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    for _ in 0..3 {
        reactor.handle().stop();
        assert!(reactor.is_stopping());
        reactor.turn(&mut (), None).unwrap();
        reactor.run(&mut ()).unwrap();
        assert!(!reactor.is_stopping());
    }
    let mut asked = 0;
    reactor
        .run_until(&mut (), |()| {
            asked += 1;
            true
        })
        .unwrap();
    assert_eq!(asked, 1, "the condition is asked before the first sleep");
}

struct Polite {
    others: Vec<SourceKey>,
    fails: bool,
}

impl Source<Vec<SourceKey>> for Polite {
    fn start(&mut self, _: &mut Scope<Vec<SourceKey>>, _: SourceKey) -> Result<(), Error> {
        Ok(())
    }

    fn on_event(
        &mut self,
        told: &mut Vec<SourceKey>,
        scope: &mut Scope<Vec<SourceKey>>,
        event: Event,
    ) -> Result<(), BoxError> {
        if event != Event::Stopping {
            return Ok(());
        }
        // A goodbye may be anything: the others go, and nobody is told who is gone.
        for other in self.others.drain(..) {
            assert!(scope.remove_source(other));
        }
        scope.stop();
        told.push(scope.add_source(
            "newcomer",
            Polite {
                others: vec![],
                fails: false,
            },
        )?);
        if self.fails {
            Err("on purpose".into())
        } else {
            Ok(())
        }
    }
}

fn sources_are_told_of_a_stop_once(backend: Backend) {
    let mut reactor = reactor::<Vec<SourceKey>>(backend);
    let scope = reactor.scope();
    let other = Polite {
        others: vec![],
        fails: false,
    };
    let other = scope.add_source("other", other).unwrap();
    let last = Polite {
        others: vec![],
        fails: true,
    };
    let first = Polite {
        others: vec![other],
        fails: true,
    };
    // Whichever of the two is told first, both are, and the first error is the run's.
    scope.add_source("polite", first).unwrap();
    scope.add_source("polite", last).unwrap();
    let mut told = Vec::new();
    reactor.run_until(&mut told, |_| true).unwrap();
    assert!(told.is_empty(), "that was no stop");
    reactor.handle().stop();
    let error = reactor.run(&mut told).unwrap_err();
    assert!(matches!(error, Error::Handler { name, .. } if name == "polite"));
    assert!((2..=3).contains(&told.len()), "newcomers are not told");
    assert!(!reactor.is_stopping(), "the run that was stopped is over");
}

/// Handles travel, whatever the state is.
#[test]
fn handles_can_be_sent_and_shared() {
    fn travels<T: Send + Sync + Clone + 'static>() {}
    travels::<Handle<Rc<()>>>();
    travels::<Waker>();
}
