//! Channels from other threads.

use std::sync::Arc;
use std::time::Duration;

use reactor::{Backend, ErrorPolicy, SendError, Sender, SourceKey};

use crate::common::{builder, on_both, reactor, turn_idly, turn_until};

on_both!(
    a_channel_hands_on_in_order,
    a_full_channel_says_so_and_gives_the_item_back,
    a_channel_ends_with_its_last_sender,
    a_removed_channel_tells_its_senders,
    a_channel_gets_no_more_than_its_share_of_a_turn,
    a_channel_whose_handler_fails_goes_on_with_the_next_item,
    items_of_many_threads_arrive_once_and_in_order,
    a_channel_that_removes_itself_gets_nothing_more,
);

fn a_channel_hands_on_in_order(backend: Backend) {
    let mut reactor = reactor::<Vec<u32>>(backend);
    let (sender, _) = reactor
        .scope()
        .add_channel("numbers", 10, |seen: &mut Vec<u32>, _, number| {
            seen.extend(number);
            Ok(())
        })
        .unwrap();
    for number in 0..10 {
        sender.send(number).unwrap();
    }
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert!(seen.into_iter().eq(0..10));
}

fn a_full_channel_says_so_and_gives_the_item_back(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let (sender, _) = reactor
        .scope()
        .add_channel("strings", 2, |seen: &mut u32, _, item: Option<String>| {
            *seen += u32::from(item.is_some());
            Ok(())
        })
        .unwrap();
    sender.send("one".to_owned()).unwrap();
    sender.send("two".to_owned()).unwrap();
    let error = sender.send("three".to_owned()).unwrap_err();
    assert_eq!(error.to_string(), "the channel is full");
    assert_eq!(error.into_inner(), "three");
    let mut seen = 0;
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen, 2);
    sender.send("three".to_owned()).unwrap();
    assert!(
        reactor
            .scope()
            .add_channel("none", 0, |_, _, _: Option<()>| Ok(()))
            .is_err()
    );
}

fn a_channel_ends_with_its_last_sender(backend: Backend) {
    let mut reactor = reactor::<Vec<Option<u32>>>(backend);
    let (sender, source) = reactor
        .scope()
        .add_channel("numbers", 10, |seen: &mut Vec<Option<u32>>, _, number| {
            seen.push(number);
            Ok(())
        })
        .unwrap();
    let second = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    let mut seen = Vec::new();
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen, [Some(1)]);
    second.send(2).unwrap();
    drop(second);
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen, [Some(1), Some(2), None]);
    assert!(!reactor.scope().remove_source(source), "it is gone");
}

fn a_removed_channel_tells_its_senders(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let (sender, source) = reactor
        .scope()
        .add_channel("items", 10, |seen: &mut u32, _, _: Option<Arc<()>>| {
            *seen += 1;
            Ok(())
        })
        .unwrap();
    let item = Arc::new(());
    sender.send(Arc::clone(&item)).unwrap();
    assert!(reactor.scope().remove_source(source));
    assert_eq!(Arc::strong_count(&item), 1, "what waited is dropped");
    let error = sender.send(item).unwrap_err();
    assert!(matches!(error, SendError::Closed(_)));
    let mut seen = 0;
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen, 0);
    drop(reactor);
    drop(sender);
}

fn a_channel_gets_no_more_than_its_share_of_a_turn(backend: Backend) {
    let mut reactor = builder(backend).budget(3).build::<Vec<u32>>().unwrap();
    let (sender, _) = reactor
        .scope()
        .add_channel("numbers", 100, |seen: &mut Vec<u32>, _, number| {
            seen.extend(number);
            Ok(())
        })
        .unwrap();
    for number in 0..10 {
        sender.send(number).unwrap();
    }
    let mut seen = Vec::new();
    for expected in [3, 6, 9, 10] {
        reactor
            .turn(&mut seen, Some(Duration::from_secs(20)))
            .unwrap();
        assert_eq!(seen.len(), expected);
    }
}

fn a_channel_whose_handler_fails_goes_on_with_the_next_item(backend: Backend) {
    let mut reactor = reactor::<Vec<u32>>(backend);
    let (sender, source) = reactor
        .scope()
        .add_channel("numbers", 10, |seen: &mut Vec<u32>, _, number| {
            seen.extend(number);
            Err("every one fails".into())
        })
        .unwrap();
    reactor.scope().set_policy(source, ErrorPolicy::Tolerate);
    for number in 0..3 {
        sender.send(number).unwrap();
    }
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == 3);
    assert_eq!(seen, [0, 1, 2]);
}

fn items_of_many_threads_arrive_once_and_in_order(backend: Backend) {
    const THREADS: usize = 4;
    const ITEMS: usize = 5000;
    let mut reactor = reactor::<(Vec<usize>, bool)>(backend);
    let (sender, _) = reactor
        .scope()
        .add_channel("items", 16, |state: &mut (Vec<usize>, bool), _, item| {
            match item {
                Some((thread, number)) => {
                    let next: &mut usize = &mut state.0[thread];
                    assert_eq!(*next, number);
                    *next += 1;
                }
                None => state.1 = true,
            }
            Ok(())
        })
        .unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let sender: Sender<(usize, usize)> = sender.clone();
            std::thread::spawn(move || {
                for number in 0..ITEMS {
                    let mut item = (thread, number);
                    while let Err(SendError::Full(back)) = sender.send(item) {
                        item = back;
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let mut state = (vec![0; THREADS], false);
    turn_until(&mut reactor, &mut state, |state| state.1);
    assert_eq!(state.0, [ITEMS; THREADS]);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

fn a_channel_that_removes_itself_gets_nothing_more(backend: Backend) {
    #[derive(Default)]
    struct State {
        me: Option<SourceKey>,
        seen: Vec<u32>,
    }
    let mut reactor = reactor::<State>(backend);
    let (sender, key) = reactor
        .scope()
        .add_channel("numbers", 10, |state: &mut State, scope, number| {
            state.seen.extend(number);
            assert!(state.me.is_some_and(|me| scope.remove_source(me)));
            Ok(())
        })
        .unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let mut state = State {
        me: Some(key),
        ..State::default()
    };
    turn_idly(&mut reactor, &mut state);
    assert_eq!(state.seen, [1]);
    assert_eq!(sender.send(3), Err(SendError::Closed(3)));
}
