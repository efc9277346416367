//! The socket, beside a real node.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::connection::{MAX_CONNECTIONS, MAX_LINE, PATIENCE};
use super::*;
use crate::run::board::View;
use crate::run::config::ServerRun;
use crate::run::front::Gate;
use crate::run::rig::{BOUND, Node, wait};

/// A node that can be asked, and the directory of its socket.
struct Asked {
    node: Node,
    directory: TempDir,
    control: Option<Control>,
    board: Board,
}

impl Asked {
    fn start() -> Asked {
        Asked::of(Node::start(), Role::Backup)
    }

    fn of(node: Node, role: Role) -> Asked {
        let directory = tempfile::tempdir().unwrap();
        let board = Board::new(View::new(ServerRun::Active));
        let about = about(role);
        let path = directory.path().join("node.sock");
        let control = Control::start(&path, about, node.handle.clone(), board.clone()).unwrap();
        Asked {
            node,
            directory,
            control: Some(control),
            board,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("node.sock")
    }

    fn caller(&self) -> Caller {
        Caller::new(self.path())
    }

    fn again(&self) -> Result<Control, ControlError> {
        let (node, board) = (self.node.handle.clone(), self.board.clone());
        Control::start(&self.path(), about(Role::Backup), node, board)
    }

    /// What is answered to these bytes.
    fn says(&self, question: &[u8]) -> String {
        let mut stream = self.connect();
        // Who is refused at once is not read.
        let _ = stream.write_all(question);
        let mut answer = String::new();
        // Up to its end: of what was not read the end of the stream would tell.
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream
    }
}

fn about(role: Role) -> About {
    About {
        pair: "orders".to_owned(),
        role,
        switchover_within: BOUND,
        started: Instant::now(),
    }
}

fn error_of<T>(result: Result<T, CallError>) -> String {
    result
        .err()
        .map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

#[test]
fn a_status_tells_what_the_node_and_the_board_know() {
    let asked = Asked::start();
    let before = asked.caller().status().unwrap();
    assert_eq!(
        (before.pair.as_str(), before.role.as_str()),
        ("orders", "backup")
    );
    assert_eq!(
        (before.state.as_str(), before.epoch, before.may_serve),
        ("backup", 0, false)
    );
    assert_eq!((before.peer.state, before.peer.fresh), (None, false));
    assert_eq!((before.links.len(), before.links[0].heard), (1, 0));
    assert_eq!((before.state_since, before.gate.as_str()), (None, "closed"));

    asked.board.change(|view| {
        view.gate = Gate::Open;
        view.ready = true;
        view.server.pid = Some(7);
    });
    asked.node.promote();
    let after = asked.caller().status().unwrap();
    assert_eq!(
        (after.state.as_str(), after.epoch, after.may_serve),
        ("active", 2, true)
    );
    assert_eq!(
        (after.gate.as_str(), after.ready, after.server.pid),
        ("open", true, Some(7))
    );
    let last = after.transitions.last().unwrap();
    assert_eq!((last.from.as_str(), last.to.as_str()), ("backup", "active"));
    assert_eq!(after.state_since.as_ref(), Some(&last.time));
    assert!(last.time.ends_with('Z'), "{}", last.time);
    // Whatever carries it, it is one line.
    assert_eq!(
        asked
            .says(b"{\"command\":\"status\"}\n")
            .matches('\n')
            .count(),
        1
    );
}

#[test]
fn an_operator_switches_over_and_sees_it_on_both_nodes() {
    let [primary, backup] = Node::pair();
    let [primary, backup] = [
        Asked::of(primary, Role::Primary),
        Asked::of(backup, Role::Backup),
    ];
    wait("both are paired", || {
        let peers = [&primary, &backup].map(|asked| asked.caller().status().unwrap().peer);
        peers[0].state.as_deref() == Some("passive") && peers[1].state.as_deref() == Some("active")
    });
    let seen = backup.caller().status().unwrap().peer;
    assert!(
        seen.fresh && seen.age_ms < 20_000 && seen.epoch == Some(1),
        "{seen:?}"
    );
    assert_eq!(seen.incarnation.map(|digits| digits.len()), Some(16));
    assert_eq!(
        error_of(backup.caller().switch_over()),
        "this node is passive, and only an active one can step back"
    );
    assert_eq!(
        primary.caller().switch_over().unwrap(),
        "this node has stepped back"
    );
    wait("the backup serves", || {
        backup.caller().status().unwrap().state == "active"
    });
    let last = backup.caller().status().unwrap().transitions.pop().unwrap();
    assert_eq!(last.row, "passive-handed-over");
}

#[test]
fn maintenance_and_promotion_are_asked_for_by_word() {
    let asked = Asked::start();
    for on in [true, false] {
        asked.caller().set_maintenance(on).unwrap();
        assert_eq!(asked.caller().status().unwrap().maintenance, on);
    }
    let refused = asked.says(b"{\"command\":\"promote\"}\n");
    assert!(
        refused.contains("\"force\\\":true") && refused.contains("\"error\""),
        "{refused}"
    );
    assert_eq!(asked.caller().status().unwrap().state, "backup");
    assert_eq!(asked.caller().promote().unwrap(), "this node is active");
    assert_eq!(
        error_of(asked.caller().promote()),
        "this node is active already"
    );
}

#[test]
fn what_is_no_command_is_answered_by_an_error_and_the_next_is_served() {
    let asked = Asked::start();
    let long = vec![b'x'; 3 * MAX_LINE];
    let cases: [&[u8]; 8] = [
        b"\n",
        b"status\n",
        b"{\"command\":\"stop\"}\n",
        b"{\"command\":\"maintenance\"}\n",
        b"{\"command\":\"maintenance\",\"on\":1}\n",
        b"\xff\xfe\n",
        &long,
        b"[[[[[[[[\n",
    ];
    for question in cases {
        let answer = asked.says(question);
        let what = String::from_utf8_lossy(question);
        assert!(
            answer.starts_with("{\"error\":\"") && answer.ends_with("\"}\n"),
            "{what}: {answer}"
        );
    }
    // Without an end of line, what was said ends it.
    let mut stream = asked.connect();
    stream.write_all(b"{\"command\":\"status\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"state\":\"backup\""), "{answer}");
}

#[test]
fn only_the_owner_may_reach_it_whatever_the_umask() {
    let asked = Asked::start();
    let mode = fs::metadata(asked.path()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A directory that is not there is made for it, and is its owner's.
    let new = asked.directory.path().join("new");
    let (node, board) = (asked.node.handle.clone(), asked.board.clone());
    let path = new.join("node.sock");
    let control = Control::start(&path, about(Role::Backup), node.clone(), board.clone()).unwrap();
    assert_eq!(fs::metadata(&new).unwrap().mode() & 0o777, 0o700);
    drop(control);

    fs::set_permissions(&new, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Control::start(&path, about(Role::Backup), node, board);
    assert!(matches!(refused.err(), Some(ControlError::Directory(_))));
}

#[test]
fn another_user_is_refused_even_where_the_modes_let_him_in() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can ask as another user");
        return;
    }
    let asked = Asked::start();
    fs::set_permissions(asked.path(), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(asked.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = rustix::process::Uid::from_raw(65534);
    // The system knows a thread's user, not only a process's.
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            asked.says(b"{\"command\":\"status\"}\n")
        });
        asking.join().unwrap()
    });
    assert!(
        answer.contains("only the owner of this node and root"),
        "{answer}"
    );
}

#[test]
fn a_live_one_is_left_alone_a_dead_one_replaced_and_the_path_removed_at_the_end() {
    let mut asked = Asked::start();
    let refused = asked.again().err().map(|error| error.to_string());
    assert!(
        refused
            .unwrap()
            .starts_with("another bstar runs this node: ")
    );
    asked.caller().status().unwrap();
    asked.control.take();
    assert!(!asked.path().exists());
    assert!(error_of(asked.caller().status()).starts_with("no bstar runs here: "));

    // As a process leaves it that is killed.
    drop(UnixListener::bind(asked.path()).unwrap());
    assert!(error_of(asked.caller().status()).contains("nobody listens at"));
    asked.control = Some(asked.again().unwrap());
    asked.caller().status().unwrap();
    let names = fs::read_dir(asked.directory.path()).unwrap().count();
    assert_eq!(names, 1, "nothing else is left in the directory");

    // Somebody else's by now.
    fs::remove_file(asked.path()).unwrap();
    let other = UnixListener::bind(asked.path()).unwrap();
    asked.control.take();
    assert!(asked.path().exists());
    drop(other);
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let mut asked = Asked::start();
    asked.control.take();
    fs::write(asked.path(), "precious").unwrap();
    assert!(matches!(
        asked.again().err(),
        Some(ControlError::NoSocket(_))
    ));
    assert_eq!(fs::read_to_string(asked.path()).unwrap(), "precious");
    fs::remove_file(asked.path()).unwrap();
    symlink("/nowhere", asked.path()).unwrap();
    assert!(matches!(
        asked.again().err(),
        Some(ControlError::NoSocket(_))
    ));
}

#[test]
fn several_ask_at_once_and_who_says_nothing_is_let_go() {
    let asked = Asked::start();
    let began = Instant::now();
    let mut silent: Vec<_> = (1..MAX_CONNECTIONS).map(|_| asked.connect()).collect();
    // One place is left, and two share it in turn.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    wait("an answer", || asked.caller().status().is_ok());
                }
            });
        }
    });
    // So that the place of the last status is free.
    wait("a place", || {
        let last = asked.connect();
        let mut byte = [0];
        last.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let waits = { &last }.read(&mut byte).is_err();
        if waits {
            silent.push(last);
        }
        waits
    });
    let busy = asked.says(b"{\"command\":\"status\"}\n");
    assert!(busy.contains("too many are asking at once"), "{busy}");
    assert!(error_of(asked.caller().status()).contains("too many are asking at once"));
    for stream in &mut silent {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert!(began.elapsed() >= PATIENCE);
    wait("it is served", || asked.caller().status().is_ok());
}

#[test]
fn a_flood_of_connections_keeps_nobody_from_an_answer_after_it() {
    let asked = Asked::start();
    let streams: Vec<_> = (0..200)
        .filter_map(|_| UnixStream::connect(asked.path()).ok())
        .collect();
    drop(streams);
    wait("it is served", || asked.caller().status().is_ok());
}

#[test]
fn a_node_that_has_ended_is_told_of() {
    let asked = Asked::start();
    asked.node.handle.stop();
    wait("it has ended", || asked.node.handle.status(BOUND).is_err());
    assert_eq!(error_of(asked.caller().status()), "the node has ended");
}

#[test]
fn a_process_that_hangs_does_not_hang_who_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Whoever finds no place in its queue would wait for one.
    let mut waiting = Vec::new();
    wait("the queue is full", || match place::connect(&path) {
        Ok(stream) => {
            waiting.push(stream);
            false
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    });
    let caller = Caller::new(path.clone());
    assert_eq!(
        error_of(caller.status()),
        format!("{} does not answer within 5 s", path.display())
    );
    drop(listener);
}
