//! What a plan says, done to a site.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::run;
use crate::{Outcome, ScriptedClient, ensure, programs, python};

use super::clock::{Moment, now, wait};
use super::hosts::{Filter, Link};
use super::plan::{Action, Cutting, Fault, Return};
use super::serve::BLOCK;
use super::side::Side;
use super::site::{Program, Site};

/// What a fault has put up beside the pair; it is cleared away when this is dropped.
#[derive(Default)]
pub struct Props {
    folder: Option<TempDir>,
    disk: Option<PathBuf>,
    /// Who told the handler to sleep, and waits for its answer.
    asker: Option<ScriptedClient>,
}

impl Drop for Props {
    fn drop(&mut self) {
        if let Some(disk) = self.disk.take() {
            // Lazily: a server that has not ended yet may have a file open there.
            let _ = run("umount", &["--lazy", &disk.to_string_lossy()]);
        }
    }
}

/// When a fault began, was made in full, and was taken back.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// It began.
    pub began: Moment,
    /// It was made.
    pub made: Moment,
    /// It was taken back.
    pub healed: Moment,
}

/// Why a fault cannot be made here, if it cannot.
#[must_use]
pub fn why_skipped(action: &Action) -> Option<String> {
    match action {
        Action::Clock { .. } => faketime().as_ref().err().cloned(),
        Action::FullDisk { .. } => keeps_state().as_ref().err().cloned(),
        Action::Guide { .. } => python::script("guide_server.py").err(),
        Action::End { .. }
        | Action::Loop { .. }
        | Action::EndBoth { .. }
        | Action::Pause { .. }
        | Action::SwitchOver { .. }
        | Action::Block { .. }
        | Action::Cut { .. }
        | Action::CutOne { .. }
        | Action::CutClients { .. }
        | Action::Apart { .. }
        | Action::Lose { .. }
        | Action::Reset { .. }
        | Action::Slow { .. } => None,
    }
}

/// The library that gives a process another wall clock.
fn faketime() -> &'static Outcome<PathBuf> {
    static FOUND: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let folders = folders
            .map(|folder| folder.path())
            .chain(["/usr/lib".into()]);
        let mut paths = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
        let found = paths.find(|path| path.exists());
        found.ok_or_else(|| "there is no libfaketime".to_owned())
    })
}

/// Whether the server keeps state on a disk.
fn keeps_state() -> &'static Outcome<()> {
    static KNOWN: OnceLock<Outcome<()>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let help = Command::new(programs::program("bstarsrv"))
            .arg("--help")
            .output();
        let help = help.map_err(|error| error.to_string())?.stdout;
        if String::from_utf8_lossy(&help).contains("--state-dir") {
            Ok(())
        } else {
            Err("bstarsrv keeps no state on a disk".to_owned())
        }
    })
}

/// Puts up what the fault needs before the servers start.
///
/// # Errors
///
/// When this machine does not allow it.
pub fn prepare(site: &mut Site<'_>, fault: &Fault) -> Outcome<Props> {
    let mut props = Props::default();
    match fault.action {
        Action::Block { .. } => {
            for start in &mut site.starts {
                start.program = Program::Sleeper;
            }
        }
        Action::CutOne { .. } => {
            for start in &mut site.starts {
                start.has_second_link = true;
            }
        }
        Action::Guide { theirs, .. } => site.starts[theirs.index()].program = Program::Guide,
        Action::Clock { who, .. } => {
            let folder = TempDir::new().map_err(|error| error.to_string())?;
            let file = folder.path().join("clock");
            fs::write(&file, "+0").map_err(|error| error.to_string())?;
            let library = faketime().clone()?;
            site.starts[fault.side(who).index()].env = vec![
                ("LD_PRELOAD".to_owned(), library.into()),
                ("FAKETIME_TIMESTAMP_FILE".to_owned(), file.into()),
                ("FAKETIME_NO_CACHE".to_owned(), "1".into()),
                ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".into()),
            ];
            props.folder = Some(folder);
        }
        Action::FullDisk { .. } => prepare_disks(site, &mut props)?,
        Action::End { .. }
        | Action::Loop { .. }
        | Action::EndBoth { .. }
        | Action::Pause { .. }
        | Action::SwitchOver { .. }
        | Action::Cut { .. }
        | Action::CutClients { .. }
        | Action::Apart { .. }
        | Action::Lose { .. }
        | Action::Reset { .. }
        | Action::Slow { .. } => {}
    }
    Ok(props)
}

/// A small disk on which each server has a folder.
fn prepare_disks(site: &mut Site<'_>, props: &mut Props) -> Outcome<()> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).map_err(|error| error.to_string())?;
    let path = disk.to_string_lossy();
    run("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", &path])?;
    props.disk = Some(disk.clone());
    for side in Side::BOTH {
        let own = disk.join(side.to_string());
        fs::create_dir(&own).map_err(|error| error.to_string())?;
        let args = &mut site.starts[side.index()].args;
        args.extend(["--state-dir".to_owned(), own.to_string_lossy().into_owned()]);
    }
    props.folder = Some(folder);
    Ok(())
}

/// Makes the fault, holds it and takes it back.
///
/// # Errors
///
/// When something of it could not be done.
pub fn inflict(site: &mut Site<'_>, fault: &Fault, props: &mut Props) -> Outcome<Times> {
    site.note(format!("{}: {:?}", fault.kind.name(), fault.action));
    let began = now();
    make(site, fault, props)?;
    let made = now();
    site.note("the fault is made");
    wait(held(&fault.action))?;
    take_back(site, fault, props)?;
    let healed = now();
    site.note("the fault is taken back");
    Ok(Times {
        began,
        made,
        healed,
    })
}

fn held(action: &Action) -> Duration {
    match *action {
        Action::End { gone, .. }
        | Action::EndBoth { gone, .. }
        | Action::SwitchOver { gone, .. }
        | Action::Guide { gone, .. } => gone,
        Action::Loop { .. } => Duration::ZERO,
        Action::Pause { held, .. }
        | Action::Block { held }
        | Action::Cut { held, .. }
        | Action::CutOne { held, .. }
        | Action::CutClients { held }
        | Action::Apart { held, .. }
        | Action::Lose { held, .. }
        | Action::Reset { held }
        | Action::Slow { held, .. }
        | Action::Clock { held, .. }
        | Action::FullDisk { held } => held,
    }
}

fn make(site: &mut Site<'_>, fault: &Fault, props: &mut Props) -> Outcome<()> {
    let hosts = site.hosts;
    match fault.action {
        Action::End { who, politely, .. } => {
            let signal = if politely { Signal::TERM } else { Signal::KILL };
            site.end(fault.side(who), signal)
        }
        Action::Loop { who, .. } => site.end(fault.side(who), Signal::KILL),
        Action::EndBoth { .. } => {
            site.end(fault.active, Signal::KILL)?;
            site.end(fault.active.other(), Signal::KILL)
        }
        Action::Pause { who, .. } => {
            site.signal(fault.side(who), Signal::STOP);
            Ok(())
        }
        Action::SwitchOver { killed, after, .. } => {
            site.signal(fault.active, Signal::USR1);
            let Some(killed) = killed else {
                return Ok(());
            };
            wait(after)?;
            site.end(fault.side(killed), Signal::KILL)
        }
        Action::CutOne { second, .. } => {
            let link = if second { Link::Second } else { Link::State };
            hosts.filter(link, &Side::BOTH, Filter::Drop)
        }
        Action::Block { held } => {
            props.asker = Some(send_block(site, fault.active, held)?);
            // Until the handler has certainly begun.
            wait(site.heartbeat() / 4)
        }
        Action::Cut { cutting, .. } => match cutting {
            Cutting::Both => hosts.filter(Link::State, &Side::BOTH, Filter::Drop),
            Cutting::From(who) => {
                let hears = fault.side(who).other();
                hosts.filter(Link::State, &[hears], Filter::Drop)
            }
            Cutting::Down => hosts.set_state_link(false),
        },
        Action::CutClients { .. } => {
            let active = fault.active;
            hosts.filter(Link::Client(active), &[active], Filter::Drop)?;
            hosts.filter(Link::Probe(active), &[active], Filter::Drop)
        }
        Action::Apart { reached, .. } => {
            let other = fault.side(reached).other();
            hosts.filter(Link::Client(other), &[other], Filter::Drop)?;
            hosts.filter(Link::State, &Side::BOTH, Filter::Drop)
        }
        Action::Lose { percent, .. } => {
            hosts.filter(Link::State, &Side::BOTH, Filter::Lose(percent))
        }
        Action::Reset { .. } => hosts.filter(Link::State, &Side::BOTH, Filter::Reset),
        Action::Slow { kbit, .. } => hosts.slow_state_link(kbit),
        Action::Clock { hours, .. } => step_clock(props, hours),
        Action::FullDisk { .. } => {
            fill(props)?;
            site.end(fault.active, Signal::KILL)
        }
        Action::Guide { killed, .. } => site.end(fault.side(killed), Signal::KILL),
    }
}

fn take_back(site: &mut Site<'_>, fault: &Fault, props: &Props) -> Outcome<()> {
    let hosts = site.hosts;
    match fault.action {
        Action::End { who, .. } => site.start(fault.side(who)),
        Action::Loop { who, times, pause } => run_loop(site, fault.side(who), times, pause),
        Action::EndBoth { back, alone, .. } => match back {
            Return::Both => {
                site.start(fault.active)?;
                site.start(fault.active.other())
            }
            Return::First(first) => {
                site.start(first)?;
                wait(alone)?;
                site.start(first.other())
            }
        },
        Action::Pause { who, .. } => {
            site.signal(fault.side(who), Signal::CONT);
            Ok(())
        }
        Action::SwitchOver { killed, .. } => {
            killed.map_or(Ok(()), |killed| site.start(fault.side(killed)))
        }
        Action::Block { held } => {
            let answer = props.asker.as_ref().and_then(|asker| asker.receive(held));
            let is = if answer.is_some() { "is" } else { "is not" };
            site.note(format!("the request whose handler slept {is} answered"));
            Ok(())
        }
        Action::Cut {
            cutting: Cutting::Down,
            ..
        } => hosts.set_state_link(true),
        Action::Cut { .. }
        | Action::CutOne { .. }
        | Action::CutClients { .. }
        | Action::Apart { .. }
        | Action::Lose { .. }
        | Action::Reset { .. } => hosts.pass_all(),
        Action::Slow { .. } => hosts.quicken_state_link(),
        Action::Clock { .. } => step_clock(props, 0),
        Action::FullDisk { .. } => {
            let disk = props.disk.as_ref().ok_or("there is no disk")?;
            fs::remove_file(disk.join("filler")).map_err(|error| error.to_string())?;
            restart_ended(site)
        }
        Action::Guide { killed, .. } => site.start(fault.side(killed)),
    }
}

/// Starts the server that was killed, and one that rather ended than serve without a disk.
fn restart_ended(site: &mut Site<'_>) -> Outcome<()> {
    for side in Side::BOTH {
        if !site.is_alive(side) {
            site.start(side)?;
        }
    }
    Ok(())
}

/// It was killed once already.
fn run_loop(site: &mut Site<'_>, side: Side, times: u32, pause: Duration) -> Outcome<()> {
    for round in 1..=times {
        // Away and there for longer and longer, so that one loop has restarts of many kinds.
        let part = pause * round / times;
        wait(part / 2)?;
        site.start(side)?;
        if round < times {
            wait(part)?;
            site.end(side, Signal::KILL)?;
        }
    }
    Ok(())
}

/// A request of a client of its own, whose handler sleeps.
fn send_block(site: &Site<'_>, side: Side, held: Duration) -> Outcome<ScriptedClient> {
    let endpoint = site.endpoint(side);
    let body = format!("{BLOCK}{}", held.as_millis());
    site.hosts.client().within(|| {
        let client = ScriptedClient::connect(&endpoint);
        client.ask(body.as_bytes())?;
        Ok(client)
    })
}

fn step_clock(props: &Props, hours: i32) -> Outcome<()> {
    let folder = props.folder.as_ref().ok_or("there is no clock to step")?;
    let text = format!("{hours:+}h");
    // Renamed into place: it is read at each look at the clock.
    let new = folder.path().join("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, folder.path().join("clock")))
        .map_err(|error| error.to_string())
}

fn fill(props: &Props) -> Outcome<()> {
    let disk = props.disk.as_ref().ok_or("there is no disk")?;
    // As much as fits, and the error that says that no more does.
    let _ = fs::write(disk.join("filler"), vec![0; 1 << 20]);
    let more = fs::write(disk.join("more"), "0");
    ensure(more.is_err(), || "the disk is not full".to_owned())?;
    fs::remove_file(disk.join("more")).map_err(|error| error.to_string())
}
