//! The least that does something: a timer that ticks three times.
//!
//! ```text
//! cargo run -p bstar-reactor --example timer
//! ```
//!
//! It ends by itself.

use std::time::Duration;

use reactor::{Next, Reactor};

fn main() -> Result<(), reactor::Error> {
    let mut reactor = Reactor::<u32>::new()?;
    let scope = reactor.scope();
    scope.add_timer("tick", scope.now(), |ticks, scope, _deadline| {
        *ticks += 1;
        println!("tick {ticks}");
        if *ticks == 3 {
            scope.stop();
        }
        Ok(Next::After(Duration::from_millis(100)))
    })?;
    reactor.run(&mut 0)
}
