//! A zone file in all the ways in which files change.

use std::fs;

use super::*;
use crate::names::Name;

fn text(endpoint: &str) -> String {
    format!("[test.orders]\nconnect = ['{endpoint}']\n")
}

/// A file in a directory of its own, and how it is written: by its name, as editors do that
/// rename, or into it, as others do.
struct Rig {
    file: ZoneFile,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zone.toml");
        fs::write(&path, text("tcp://a:1")).unwrap();
        Self {
            file: ZoneFile::open(&path, Instant::now()).unwrap(),
            path,
            _directory: directory,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn replace(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }

    fn endpoint(&self) -> &str {
        let name = Name::new("test", "orders").unwrap();
        self.file.zone().get(&name).unwrap().connect[0].as_str()
    }

    fn reload(&mut self) -> Reload {
        self.file.reload(Instant::now())
    }
}

#[test]
fn a_new_zone_is_taken_however_it_is_written() {
    let mut rig = Rig::new();
    assert!(matches!(rig.reload(), Reload::Same));
    let first = rig.file.serial();
    rig.write(&text("tcp://b:1"));
    assert!(matches!(rig.reload(), Reload::Taken));
    assert_eq!(rig.endpoint(), "tcp://b:1");
    let second = rig.file.serial();
    rig.replace(&text("tcp://c:1"));
    assert!(matches!(rig.reload(), Reload::Taken));
    assert_eq!(rig.endpoint(), "tcp://c:1");
    assert!(first < second && second < rig.file.serial());
}

#[test]
fn a_link_that_points_elsewhere_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (name, endpoint) in [("one", "tcp://a:1"), ("two", "tcp://b:1")] {
        fs::write(at(name), text(endpoint)).unwrap();
    }
    std::os::unix::fs::symlink(at("one"), at("zone.toml")).unwrap();
    let now = Instant::now();
    let mut file = ZoneFile::open(at("zone.toml"), now).unwrap();
    // It is settled, and the other file is no younger.
    file.reload(now + Duration::from_secs(4));
    std::os::unix::fs::symlink(at("two"), at("new")).unwrap();
    fs::rename(at("new"), at("zone.toml")).unwrap();
    let later = now + Duration::from_secs(5);
    assert!(matches!(file.reload(later), Reload::Taken));
}

#[test]
fn a_change_within_one_tick_of_the_file_system_is_seen() {
    let mut rig = Rig::new();
    for n in 1..200 {
        let endpoint = format!("tcp://a:{n:05}");
        rig.write(&text(&endpoint));
        rig.reload();
        assert_eq!(rig.endpoint(), endpoint);
    }
}

#[test]
fn a_file_that_is_settled_is_not_read_again_but_its_change_is_seen() {
    let mut rig = Rig::new();
    let later = |seconds| Instant::now() + Duration::from_secs(seconds);
    let is_settled = |rig: &Rig| rig.file.seen.is_some_and(|seen| seen.is_settled);
    assert!(matches!(rig.file.reload(later(1)), Reload::Same));
    assert!(!is_settled(&rig));
    assert!(matches!(rig.file.reload(later(4)), Reload::Same));
    assert!(is_settled(&rig));
    // To show that it is not read: there would be a difference.
    rig.file.content.clear();
    assert!(matches!(rig.file.reload(later(5)), Reload::Same));
    rig.replace(&text("tcp://b:1"));
    assert!(matches!(rig.file.reload(later(6)), Reload::Taken));
    assert_eq!(rig.endpoint(), "tcp://b:1");
    assert!(!is_settled(&rig), "it may be written again in this tick");
}

#[test]
fn a_zone_that_is_wrong_is_told_once_and_that_of_before_serves_on() {
    let mut rig = Rig::new();
    rig.write("[test.orders]\nconnect = ['nonsense']\n");
    let Reload::Refused(error) = rig.reload() else {
        panic!("it is wrong");
    };
    let error = error.to_string();
    for word in ["zone.toml", "orders", "test", "nonsense"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(matches!(rig.reload(), Reload::Same));
    assert_eq!(rig.endpoint(), "tcp://a:1");
    // Another mistake is news.
    rig.write("nonsense");
    assert!(matches!(rig.reload(), Reload::Refused(_)));
    rig.write(&text("tcp://b:1"));
    assert!(matches!(rig.reload(), Reload::Taken));
    assert_eq!(rig.endpoint(), "tcp://b:1");
    // And so is the same one after that.
    rig.write("nonsense");
    assert!(matches!(rig.reload(), Reload::Refused(_)));
}

#[test]
fn a_file_that_is_gone_is_told_once_and_taken_when_it_is_back() {
    let mut rig = Rig::new();
    fs::remove_file(&rig.path).unwrap();
    assert!(matches!(rig.reload(), Reload::Refused(_)));
    assert!(matches!(rig.reload(), Reload::Same));
    assert_eq!(rig.endpoint(), "tcp://a:1");
    rig.write(&text("tcp://a:1"));
    assert!(matches!(rig.reload(), Reload::Taken));
    fs::remove_file(&rig.path).unwrap();
    assert!(
        matches!(rig.reload(), Reload::Refused(_)),
        "a second loss is told too"
    );
}

#[test]
fn a_file_that_was_cut_short_changes_nothing() {
    let mut rig = Rig::new();
    rig.write("");
    assert!(matches!(rig.reload(), Reload::Refused(_)));
    assert_eq!(rig.endpoint(), "tcp://a:1");
}

#[test]
fn what_is_no_file_is_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path(), &directory.path().join("none")] {
        let error = ZoneFile::open(path, Instant::now())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("zone file /"), "{error}");
        assert!(error.contains("give the path"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.toml");
    // Without a block on the disk.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = ZoneFile::open(&path, Instant::now())
        .unwrap_err()
        .to_string();
    assert!(error.contains("limit"), "{error}");
}
