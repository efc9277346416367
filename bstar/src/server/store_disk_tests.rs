//! A store on disks that are full or read-only, and in a process that is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::tests::{open, stored, with_epochs};
use super::*;

/// Where a test that runs in a process of its own finds its directory.
const PLACE: &str = "BSTAR_STORE_PLACE";

fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// The arguments with which this program runs one ignored test alone.
fn alone(test: &str) -> [String; 4] {
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    ["--ignored", "--exact", "--nocapture", &name].map(str::to_owned)
}

/// Runs an ignored test in a namespace of its own, in which `mount` puts a small disk at `$1`.
fn on_a_small_disk(what: &str, mount: &str, test: &str) {
    let place = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command
        .args(if root { &["-m"][..] } else { &["-rm"] })
        .args(["sh", "-c"])
        .arg(format!("({mount}) || exit 77; shift; exec \"$@\""))
        .arg("sh")
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .args(alone(test))
        .env(PLACE, place.path());
    let skip = |why: &str| {
        // Who cannot be told is not.
        let _ = writeln!(io::stderr(), "\nskipped: {test} on {what}: {why}");
    };
    match command.output() {
        Err(error) => skip(&format!("unshare: {error}")),
        Ok(done) if !done.status.success() => {
            let said = String::from_utf8_lossy(&done.stderr);
            let whole = String::from_utf8_lossy(&done.stdout);
            // What ran at all says how it ended.
            assert!(!whole.contains("running 1 test"), "{what}: {whole}\n{said}");
            skip(&format!("no such mount: {}", said.trim()));
        }
        Ok(done) => assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed")),
    }
}

const TMPFS: &str = "mount -t tmpfs -o size=64k bstar \"$1\"";
/// Without what is kept for the superuser, and with the journal that is usual.
const EXT4: &str = "truncate -s 8M \"$1/disk\" && mkfs.ext4 -q -m 0 -b 1024 -J size=1 \"$1/disk\" >&2 \
    && mount -o loop \"$1/disk\" \"$1\"";

#[test]
fn a_disk_that_has_become_full_takes_every_epoch() {
    for (what, mount) in [("tmpfs", TMPFS), ("ext4", EXT4)] {
        on_a_small_disk(what, mount, "the_disk_becomes_full");
    }
}

#[test]
#[ignore = "needs a process of its own"]
fn the_disk_becomes_full() {
    let Some(place) = place() else { return };
    let path = place.join("state");
    let mut store = open(&path).unwrap();
    fill(&place.join("filler"));
    for epoch in 1..=200 {
        store.write(epoch).unwrap();
    }
    drop(store);
    let mut store = open(&path).unwrap();
    assert_eq!(store.epoch(), 200);
    store.write(201).unwrap();
    drop(store);
    assert_eq!(stored(&path), 201);
    // A first start has no room, and says so.
    let error = open(&place.join("other")).unwrap_err();
    assert!(error.to_string().contains("space"), "{error}");
    fs::remove_file(place.join("filler")).unwrap();
    assert_eq!(stored(&place.join("other")), 0);
}

/// Writes until there is no room, not even for one byte of another file.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [&[1; 4096][..], &[1]] {
        while file.write_all(piece).and_then(|()| file.sync_all()).is_ok() {}
    }
    let mut number = 0;
    while fs::write(path.with_extension(number.to_string()), [1]).is_ok() {
        number += 1;
    }
    assert!(fs::write(path.with_extension("last"), [1]).is_err());
}

#[test]
fn a_disk_that_is_read_only_is_a_clear_error() {
    on_a_small_disk("tmpfs", TMPFS, "the_disk_is_read_only");
}

#[test]
#[ignore = "needs a process of its own"]
fn the_disk_is_read_only() {
    let Some(place) = place() else { return };
    let path = place.join("state");
    open(&path).unwrap().write(7).unwrap();
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(&place).status();
        assert!(done.unwrap().success());
    };
    remount("remount,ro");
    for path in [&path, &place.join("fresh")] {
        let error = open(path).unwrap_err();
        assert!(matches!(error, StoreError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("may write to"), "{error}");
    }
    remount("remount,rw");
    assert_eq!(stored(&path), 7);
}

#[test]
fn a_kill_at_any_moment_leaves_the_last_epoch_or_the_one_being_written() {
    let directory = with_epochs(&[]);
    let mut least = 0;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(alone("write_without_end"))
            .env(PLACE, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let written = lines.filter_map(|line| line.unwrap().strip_prefix("epoch ")?.parse().ok());
        let mut written = written.peekable();
        let first: u64 = *written.peek().expect("it writes");
        assert_eq!(first, least + 1, "it begins above what was left");
        // Somewhere else in each round, and what it still said before it was gone counts too.
        let some = written.by_ref().take(1 + round * 7 % 40).last();
        child.kill().unwrap();
        let last = written.last().or(some).unwrap();
        child.wait().unwrap();
        let found = stored(directory.path());
        assert!((last..=last + 1).contains(&found), "{found} after {last}");
        least = found;
    }
}

#[test]
#[ignore = "needs a process of its own"]
fn write_without_end() {
    let Some(place) = place() else { return };
    let mut store = open(&place).unwrap();
    loop {
        let epoch = store.epoch() + 1;
        store.write(epoch).unwrap();
        // Its parent may be gone.
        if writeln!(io::stdout(), "epoch {epoch}").is_err() {
            return;
        }
    }
}
