//! A TCP echo server, and beside it on the same reactor a ZeroMQ socket that tells how it does.
//!
//! ```text
//! cargo run -p bstar-reactor --example tcp_and_zmq -- [ADDRESS [ENDPOINT]]
//! ```
//!
//! It listens on `127.0.0.1:7000` and binds `tcp://127.0.0.1:7001` if it is told nothing else: `nc 127.0.0.1 7000` is
//! echoed, and a REQ that sends anything to the other gets the counts. It ends on Ctrl-C.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use reactor::{
    BoxError, ErrorPolicy, FdKey, Interest, Reactor, Ready, Scope, SocketBuilder, last_endpoint,
    zmq,
};

/// What all handlers share: those of TCP write it, the one of ZeroMQ reads it.
#[derive(Default)]
struct App {
    open: u32,
    failed: u32,
    echoed_bytes: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());

    let listener = TcpListener::bind(argument("127.0.0.1:7000"))?;
    // A connection may be gone again when the handler comes to accept it.
    listener.set_nonblocking(true)?;
    println!("echoing on {}", listener.local_addr()?);

    let context = zmq::Context::new();
    let counts = SocketBuilder::new(zmq::REP)
        .bind(argument("tcp://127.0.0.1:7001"))
        .build(&context)?;
    println!("telling on {}", last_endpoint(&counts)?);

    let mut reactor = Reactor::<App>::new()?;
    let scope = reactor.scope();
    scope.add_fd(
        "listener",
        listener,
        Interest::READ,
        |app, scope, key, _| accept(app, scope, key),
    )?;
    let mut frames = Vec::new();
    scope.add_socket(
        "counts",
        counts,
        Interest::READ,
        move |app, scope, key, _| {
            if scope.recv(key, &mut frames)? {
                let (open, failed, bytes) = (app.open, app.failed, app.echoed_bytes);
                scope.send(
                    key,
                    [format!("open={open} failed={failed} bytes={bytes}").as_str()],
                )?;
            }
            Ok(())
        },
    )?;
    // Only connections are removed for an error; one of the listener ends the run.
    scope.on_removal(|app, _, removal| {
        app.open -= 1;
        app.failed += 1;
        eprintln!("a {} failed: {}", removal.name, removal.error);
    });

    let mut app = App::default();
    reactor.run(&mut app)?;
    println!("echoed {} bytes", app.echoed_bytes);
    Ok(())
}

/// Takes one connection. While there are more this is called again, and whoever is connected gets its share meanwhile.
fn accept(app: &mut App, scope: &mut Scope<App>, listener: FdKey) -> Result<(), BoxError> {
    let Some(accepted) = scope.fd::<TcpListener>(listener).map(TcpListener::accept) else {
        return Ok(());
    };
    let Some((stream, _)) = unless_in_vain(accepted)? else {
        return Ok(());
    };
    stream.set_nonblocking(true)?;
    // What was read and not yet written. Each connection has its own, in its handler.
    let mut waiting = Vec::new();
    let key = scope.add_fd(
        "connection",
        stream,
        Interest::READ,
        move |app, scope, key, ready| echo(app, scope, key, ready, &mut waiting),
    )?;
    if let Some(connection) = scope.owner(key) {
        scope.set_policy(connection, ErrorPolicy::Remove);
    }
    app.open += 1;
    Ok(())
}

/// Reads once, and writes as much as there is room for. What is left waits for room, and until it is gone nothing more
/// is read: a client that sends and does not read is held up by itself, and costs no memory.
fn echo(
    app: &mut App,
    scope: &mut Scope<App>,
    key: FdKey,
    ready: Ready,
    waiting: &mut Vec<u8>,
) -> Result<(), BoxError> {
    // Streams are read and written by shared reference.
    let Some(mut stream) = scope.fd::<TcpStream>(key) else {
        return Ok(());
    };
    if ready.readable {
        let mut bytes = [0; 16 * 1024];
        match unless_in_vain(stream.read(&mut bytes))? {
            Some(0) => {
                scope.remove_fd(key);
                app.open -= 1;
                return Ok(());
            }
            Some(length) => waiting.extend_from_slice(&bytes[..length]),
            None => {}
        }
    }
    if !waiting.is_empty()
        && let Some(length) = unless_in_vain(stream.write(waiting))?
    {
        waiting.drain(..length);
        app.echoed_bytes += length as u64;
    }
    // In place; that there is room is only of interest while there is something to write.
    let interest = if waiting.is_empty() {
        Interest::READ
    } else {
        Interest::WRITE
    };
    scope.set_interest(key, interest)?;
    Ok(())
}

/// Nothing, where the descriptor was not ready after all, or the connection was gone before it was accepted.
fn unless_in_vain<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}
