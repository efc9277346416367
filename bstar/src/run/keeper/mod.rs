//! The process between `bstar run` and a server, by which the server does not outlive it.
//!
//! ```text
//! bstar run ── pipe ──▶ keeper ──▶ server ──▶ whatever it starts
//!                       └──── one process group ────┘
//! ```
//!
//! It leads the server's process group, and its standard input is a pipe that nobody writes to and that ends with
//! `bstar run`, however that ends. So:
//!
//! - When `bstar run` ends, also by SIGKILL, the keeper kills every descendant and then its group, itself included,
//!   with SIGKILL. If it was stopped it is continued for that.
//! - At SIGTERM it asks the server, and the server alone, to end, since many servers have processes of their own to
//!   end in their own order. What the server leaves behind is asked then; the keeper ends when nothing is left.
//! - When the server ends without being asked, whatever it left behind is killed at once, so that the next one finds
//!   its ports free. Therefore a server must stay in the foreground.
//! - Should the keeper alone be killed, the server is killed with it (`PR_SET_PDEATHSIG`), and the group by whoever
//!   started the keeper and sees its end.
//!
//! A descendant that has left the group by `setsid` is found and killed as long as the keeper lives
//! (`PR_SET_CHILD_SUBREAPER`). It is not when the keeper itself was killed.

mod descendants;

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_current_process_group,
    kill_process, set_child_subreaper, set_parent_process_death_signal, setpgid, wait,
};
use signal_hook::consts::{SIGCHLD, SIGTERM};

use crate::programs::Failure;

/// What a shell says of a command that does not exist, and of one that it cannot run.
const EXIT_NOT_FOUND: u8 = 127;
const EXIT_CANNOT_RUN: u8 = 126;
/// What a shell adds to the number of a signal.
pub(super) const EXIT_SIGNAL: i32 = 128;

/// Runs a server that does not outlive the program at the other end of standard input
#[derive(Args)]
pub struct KeeperArgs {
    /// The second step, in the process that becomes the server: the keeper's number
    #[arg(long, value_name = "PID")]
    under: Option<u32>,
    /// The server's program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What starts a keeper, before the server's own command: this very program, also when its file was replaced.
pub(crate) fn launcher() -> Vec<String> {
    ["/proc/self/exe", "keeper", "--"]
        .map(str::to_owned)
        .to_vec()
}

impl KeeperArgs {
    /// Runs the server to its end, and ends with its exit code, or 128 and the signal that ended it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.under {
            Some(keeper) => become_server(keeper, &self.command),
            None => keep(&self.command),
        }
    }
}

/// Makes sure that this process ends with the keeper, and gives way to the server.
fn become_server(keeper: u32, command: &[OsString]) -> Result<ExitCode, Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that; then nobody would tell.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(keeper) {
        return Err("its keeper is gone".into());
    }
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let error = Command::new(program).args(arguments).exec();
    let program = program.to_string_lossy();
    // That nobody reads it is no reason to fail otherwise.
    let _ = writeln!(std::io::stderr(), "error: cannot start {program}: {error}");
    Ok(ExitCode::from(match error.kind() {
        ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_CANNOT_RUN,
    }))
}

fn keep(command: &[OsString]) -> Result<ExitCode, Failure> {
    // It fails only for the leader of a session, which leads its group, too.
    let _ = setpgid(None, None);
    set_child_subreaper(Some(getpid()))?;
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let mut signals = Signals::register()?;
    let me = getpid().as_raw_nonzero().to_string();
    let server = Command::new("/proc/self/exe")
        .arg0("bstar")
        .args(["keeper", "--under", &me, "--"])
        .args(command)
        .stdin(Stdio::null())
        .spawn()?;
    let server = Pid::from_child(&server);
    let mut asked = false;
    let mut ended = None;
    loop {
        if signals.wait()? == Woken::Alone {
            kill_all();
        }
        if signals.terminate.swap(false, Ordering::Relaxed) && ended.is_none() {
            asked = true;
            kill_process(server, Signal::TERM)?;
        }
        let left = reap(server, &mut ended);
        let Some(status) = ended else { continue };
        if !asked {
            descendants::signal_all(Signal::KILL);
        } else if left {
            // Once: what is about to end must not be told so again and again.
            if !std::mem::replace(&mut signals.rest_asked, true) {
                descendants::signal_all(Signal::TERM);
            }
            continue;
        }
        return Ok(exit_code(status));
    }
}

/// Collects who has ended, the orphans of others among them. Tells whether anybody is left.
fn reap(server: Pid, ended: &mut Option<WaitStatus>) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == server => *ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Nobody is left to serve for.
fn kill_all() -> ! {
    // Those that have left the group first: with the group this process ends.
    descendants::signal_all(Signal::KILL);
    let _ = kill_current_process_group(Signal::KILL);
    // Not reached, unless the system refuses a process its own end.
    std::process::abort()
}

fn exit_code(status: WaitStatus) -> ExitCode {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => EXIT_SIGNAL + signal,
        (None, None) => EXIT_SIGNAL,
    };
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// What wakes the keeper.
struct Signals {
    /// SIGTERM has come.
    terminate: Arc<AtomicBool>,
    woken: UnixStream,
    /// What the server left behind was asked to end.
    rest_asked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// A signal has come, or may have.
    Signalled,
    /// Whoever held the other end of standard input is gone.
    Alone,
}

impl Signals {
    fn register() -> std::io::Result<Signals> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let terminate = Arc::new(AtomicBool::new(false));
        // The flag is raised before the keeper is woken to see it.
        signal_hook::flag::register(SIGTERM, Arc::clone(&terminate))?;
        signal_hook::low_level::pipe::register(SIGTERM, wake.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGCHLD, wake)?;
        Ok(Signals {
            terminate,
            woken,
            rest_asked: false,
        })
    }

    fn wait(&mut self) -> Result<Woken, Failure> {
        let stdin = std::io::stdin();
        let mut watched = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.woken.as_fd(), PollFlags::IN),
        ];
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let heard = !watched[0].revents().is_empty();
        let mut bytes = [0; 64];
        // Taken before what it is about is looked at, so that no signal is slept through.
        while matches!(self.woken.read(&mut bytes), Ok(count) if count > 0) {}
        if !heard {
            return Ok(Woken::Signalled);
        }
        match rustix::io::read(&stdin, &mut bytes) {
            Ok(count) if count > 0 => Ok(Woken::Signalled),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Woken::Signalled),
            Ok(_) | Err(_) => Ok(Woken::Alone),
        }
    }
}
