//! The path of a message, the tick of a timer, a ticket and a hook allocate nothing of the reactor's.
#![allow(unsafe_code, clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use common::{builder, pair, turn_until};
use reactor::{Backend, Interest, Missed, VirtualClock, zmq};

thread_local! {
    // Without a destructor, and without an allocation of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts what each thread allocates through Rust; libzmq has its own ways.
struct Counting;

// SAFETY: hands everything to the system's allocator, whose contract it takes over unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_message_a_tick_a_ticket_and_a_hook_allocate_nothing() {
    for backend in [Backend::Mio, Backend::Polling] {
        let context = zmq::Context::new();
        let (ours, theirs) = pair(&context);
        let clock = VirtualClock::new();
        let mut reactor = builder(backend)
            .virtual_time(&clock)
            .build::<(u64, u64)>()
            .unwrap();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "echo",
                ours,
                Interest::READ,
                move |(messages, _), scope, key, _| {
                    while scope.recv(key, &mut frames)? {
                        scope.send(key, frames.drain(..))?;
                        *messages += 1;
                    }
                    Ok(())
                },
            )
            .unwrap();
        reactor
            .scope()
            .add_interval(
                "tick",
                Duration::from_millis(1),
                Missed::Skip,
                |(_, ticks), _, _| {
                    *ticks += 1;
                    Ok(())
                },
            )
            .unwrap();
        let silent = reactor
            .scope()
            .add_tickets("silent", Duration::from_micros(700), |_, scope, key, _| {
                assert!(scope.reset_ticket(key));
                Ok(())
            })
            .unwrap();
        for about in 0..10 {
            reactor.scope().issue_ticket(silent, about).unwrap();
        }
        reactor
            .scope()
            .add_before_sleep("hook", move |_, scope| {
                let short_lived = scope.issue_ticket(silent, 0)?;
                assert!(scope.cancel_ticket(short_lived));
                Ok(())
            })
            .unwrap();
        let mut state = (0, 0);
        let mut frame = zmq::Message::new();
        let mut before = 0;
        for round in 1..=1000 {
            if round == 100 {
                // By now the buffers are as long as they get.
                before = ALLOCATIONS.get();
            }
            theirs
                .send(zmq::Message::from("short"), zmq::SNDMORE)
                .unwrap();
            theirs.send(zmq::Message::from("frames"), 0).unwrap();
            turn_until(&mut reactor, &mut state, |(messages, ticks)| {
                *messages >= round && *ticks >= round
            });
            theirs.recv(&mut frame, 0).unwrap();
            theirs.recv(&mut frame, 0).unwrap();
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{backend:?}");
    }
}
