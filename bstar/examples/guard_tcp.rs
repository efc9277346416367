//! A server of lines on `std::net`, as one half of a pair: each line comes back with who served it.
//!
//! ```text
//! cargo run -p bstar --example guard_tcp -- primary tcp://127.0.0.1:5003 tcp://127.0.0.1:5004 127.0.0.1:7001
//! cargo run -p bstar --example guard_tcp -- backup  tcp://127.0.0.1:5004 tcp://127.0.0.1:5003 127.0.0.1:7002
//! ```
//!
//! It listens only while it is active, or while a client's line would make it so. A client that comes to the
//! node that stands by is refused by the system, and tries the other one at once. A fifth argument is the
//! heartbeat in milliseconds. On its standard input it takes `ill REASON`, `well`, `switch` and `end`.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bstar::guard::GuardBuilder;
use bstar::{Config, Guard, Handle, Role};

/// How long a client waits to be told whether it is served.
const VOTE_WITHIN: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (role, local, remote, listen, heartbeat_ms) = match args[..] {
        [role, local, remote, listen] => (role, local, remote, listen, "1000"),
        [role, local, remote, listen, heartbeat_ms] => (role, local, remote, listen, heartbeat_ms),
        _ => return Err("usage: guard_tcp ROLE LOCAL REMOTE LISTEN [HEARTBEAT_MS]".into()),
    };
    let role = match role {
        "primary" => Role::Primary,
        "backup" => Role::Backup,
        _ => return Err("the role is primary or backup".into()),
    };
    let heartbeat = Duration::from_millis(heartbeat_ms.parse()?);
    let config = Config::new(role).with_heartbeat(heartbeat)?;
    let listen = listen.parse()?;

    let (tell, turns) = channel();
    let guard = watch(Guard::builder(config, local, remote), tell).spawn()?;
    let handle = guard.handle().clone();
    thread::spawn(move || keep_door(listen, role, &handle, &turns));

    for line in io::stdin().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ill", reason) => guard.set_ill(reason)?,
            ("well", _) => guard.set_well()?,
            ("switch", _) => guard.request_switchover()?,
            ("end", _) => return Ok(guard.end(Duration::from_secs(3))?),
            _ => eprintln!("ill REASON, well, switch or end"),
        }
    }
    // Without a terminal it serves until it is killed, or cannot go on.
    Ok(guard.wait()?)
}

/// What decides whether this server listens.
enum Turn {
    Active(bool),
    VoteCounts(bool),
}

/// The callbacks hold up the heartbeats: they pass on what happens, and another thread does the work.
fn watch(guard: GuardBuilder, tell: Sender<Turn>) -> GuardBuilder {
    let [on_active, on_passive, on_outlook] = [(); 3].map(|()| tell.clone());
    guard
        .on_active(move |_| Ok(on_active.send(Turn::Active(true))?))
        .on_passive(move |_| Ok(on_passive.send(Turn::Active(false))?))
        .on_outlook(move |outlook| {
            // The keeper of the door lives as long as the guard.
            let _ = on_outlook.send(Turn::VoteCounts(outlook.vote_counts));
        })
}

/// Opens the door and closes it, until the guard has ended.
fn keep_door(listen: SocketAddr, role: Role, handle: &Handle, turns: &Receiver<Turn>) {
    let (mut active, mut vote_counts) = (false, false);
    let mut door: Option<Door> = None;
    for turn in turns {
        match turn {
            Turn::Active(is_active) => active = is_active,
            Turn::VoteCounts(counts) => vote_counts = counts,
        }
        match (active || vote_counts, door.take()) {
            (true, Some(open)) => door = Some(open),
            (true, None) => match Door::open(listen, role, handle.clone()) {
                Ok(open) => door = Some(open),
                // Then the peer is to serve. Whether it has ended already is of no interest.
                Err(error) => {
                    let _ = handle.set_ill(format!("cannot listen at {listen}: {error}"));
                }
            },
            (false, open) => {
                if let Some(open) = open {
                    open.close();
                }
            }
        }
    }
}

/// A listener, and the thread that accepts.
struct Door {
    listen: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Door {
    fn open(listen: SocketAddr, role: Role, handle: Handle) -> io::Result<Door> {
        let listener = TcpListener::bind(listen)?;
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                let handle = handle.clone();
                if let Ok(client) = client {
                    // What a client does to its own connection is its own affair.
                    thread::spawn(move || serve(&client, role, &handle));
                }
            }
        });
        Ok(Door {
            listen,
            closed,
            thread,
        })
    }

    fn close(self) {
        self.closed.store(true, Ordering::SeqCst);
        // It wakes the thread that accepts; if it fails, somebody else has.
        let _ = TcpStream::connect(self.listen);
        let _ = self.thread.join();
    }
}

/// Answers lines. Each is a vote if need be, and is counted until it is answered: a switchover waits for
/// it. A line that may not be served closes the connection, unanswered.
fn serve(client: &TcpStream, role: Role, handle: &Handle) -> io::Result<()> {
    let mut answers = client;
    for line in BufReader::new(client).lines() {
        let line = line?;
        let Ok(Some(_work)) = handle.begin(VOTE_WITHIN) else {
            break;
        };
        answers.write_all(format!("{role} {line}\n").as_bytes())?;
    }
    Ok(())
}
