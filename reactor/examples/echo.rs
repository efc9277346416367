//! A ZeroMQ echo server that says once a second how much it did.
//!
//! ```text
//! cargo run -p bstar-reactor --example echo -- [ENDPOINT]
//! ```
//!
//! It binds `tcp://127.0.0.1:5555` if it is told nothing else, serves any REQ or DEALER, and ends on Ctrl-C.

use std::error::Error;
use std::time::Duration;

use reactor::{
    Error as ReactorError, Interest, Missed, Reactor, SocketBuilder, last_endpoint, zmq,
};

/// How many replies may wait for clients that do not read.
const MAX_WAITING: usize = 10_000;

/// What all handlers share.
#[derive(Default)]
struct App {
    echoed: u64,
    dropped: u64,
    reported: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "tcp://127.0.0.1:5555".to_owned());
    let context = zmq::Context::new();
    // Without `mandatory` a ROUTER throws away in silence what a client has no room for.
    let server = SocketBuilder::new(zmq::ROUTER)
        .mandatory()
        .bind(endpoint)
        .build(&context)?;
    println!("listening on {}", last_endpoint(&server)?);

    let mut reactor = Reactor::<App>::new()?;
    let scope = reactor.scope();
    let mut frames = Vec::new();
    let server = scope.add_socket("echo", server, Interest::READ, move |app, scope, key, _| {
        // The identity of the client comes first, and goes back first.
        while scope.recv(key, &mut frames)? {
            match scope.send(key, frames.drain(..)) {
                Ok(()) => app.echoed += 1,
                // A client that is gone or does not read loses its reply, and must not stop the server.
                Err(ReactorError::Unreachable | ReactorError::QueueFull) => app.dropped += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    scope.queue_sends(server, MAX_WAITING)?;
    scope.add_interval(
        "report",
        Duration::from_secs(1),
        Missed::Skip,
        |app, _, _| {
            if app.echoed != app.reported {
                println!("{} in the last second", app.echoed - app.reported);
                app.reported = app.echoed;
            }
            Ok(())
        },
    )?;

    // Until Ctrl-C, or SIGTERM.
    let mut app = App::default();
    reactor.run(&mut app)?;
    println!("echoed {}, dropped {}", app.echoed, app.dropped);
    Ok(())
}
