//! What a store reads and refuses, and what a crash leaves.

use proptest::prelude::*;

use super::*;

fn pair() -> PairId {
    PairId::new("orders").unwrap()
}

pub(super) fn open(path: &Path) -> Result<EpochStore, StoreError> {
    EpochStore::open(path, &pair(), Role::Primary)
}

/// A directory that has known these epochs.
pub(super) fn with_epochs(epochs: &[u64]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).unwrap();
    for epoch in epochs {
        store.write(*epoch).unwrap();
    }
    directory
}

pub(super) fn stored(path: &Path) -> u64 {
    open(path).unwrap().epoch()
}

#[test]
fn a_fresh_directory_knows_no_epoch_and_is_made_if_need_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    assert_eq!(open(&path).unwrap().epoch(), 0);
    assert_eq!(stored(&path), 0);
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    for epoch in [1, 3, 8, 1 << 62] {
        open(directory.path()).unwrap().write(epoch).unwrap();
        assert_eq!(stored(directory.path()), epoch);
    }
    let mut store = open(directory.path()).unwrap();
    let above = 1 << 62;
    for epoch in above + 1..above + 100 {
        store.write(epoch).unwrap();
        assert_eq!(store.epoch(), epoch);
    }
    drop(store);
    assert_eq!(stored(directory.path()), above + 99);
}

#[test]
fn an_epoch_that_is_not_above_all_is_refused() {
    let directory = with_epochs(&[7]);
    let mut store = open(directory.path()).unwrap();
    for asked in [0, 1, 6, 7] {
        assert!(matches!(
            store.write(asked),
            Err(StoreError::NotAbove { stored: 7, .. })
        ));
    }
    assert_eq!(store.epoch(), 7);
    store.write(8).unwrap();
    drop(store);
    assert_eq!(stored(directory.path()), 8);
}

#[test]
fn a_record_reads_as_the_manual_says() {
    let directory = with_epochs(&[7]);
    let text = fs::read_to_string(directory.path().join(EPOCH)).unwrap();
    assert_eq!(
        text,
        "bstar-epoch/1 pair=orders role=primary epoch=00000000000000000007 crc=b779d440\n"
    );
}

#[test]
fn the_directory_of_another_node_is_refused_and_not_touched() {
    let directory = with_epochs(&[7]);
    let other = PairId::new("invoices").unwrap();
    for (pair, role) in [(pair(), Role::Backup), (other, Role::Primary)] {
        let error = EpochStore::open(directory.path(), &pair, role).unwrap_err();
        assert!(matches!(error, StoreError::OtherNode { .. }), "{error}");
        let said = error.to_string();
        for part in [
            "belongs to the primary of the pair orders",
            &format!("this is the {role} of the pair {pair}"),
            "give each node a directory of its own",
        ] {
            assert!(said.contains(part), "{part:?} is missing in {said:?}");
        }
    }
    assert_eq!(stored(directory.path()), 7);
}

#[test]
fn one_directory_serves_one_at_a_time() {
    let directory = with_epochs(&[7]);
    let first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    drop(first);
    assert_eq!(stored(directory.path()), 7);
}

/// A record that is not what was written is an error, and never another epoch.
fn ensure_damaged(directory: &Path, bytes: &[u8]) {
    fs::write(directory.join(EPOCH), bytes).unwrap();
    match open(directory) {
        Err(StoreError::Damaged(path)) => assert_eq!(path, directory.join(EPOCH)),
        other => panic!("{:?} was read as {other:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn a_record_that_is_cut_or_longer_is_damaged() {
    let directory = with_epochs(&[7]);
    let right = fs::read(directory.path().join(EPOCH)).unwrap();
    for length in 0..right.len() {
        ensure_damaged(directory.path(), &right[..length]);
        // As a file system does that had the length on the disk, and not the bytes.
        let mut zeros = right.clone();
        zeros[length..].fill(0);
        ensure_damaged(directory.path(), &zeros);
    }
    for more in [&b"\n"[..], b" ", b"\0", b"x", &right, &[b'7'; 1000]] {
        ensure_damaged(directory.path(), &[&right, more].concat());
    }
    fs::write(directory.path().join(EPOCH), &right).unwrap();
    assert_eq!(stored(directory.path()), 7);
}

#[test]
fn a_record_with_any_one_byte_changed_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    for (epoch, role) in [
        (7, Role::Primary),
        (8, Role::Backup),
        (u64::MAX, Role::Primary),
    ] {
        let record = Record {
            pair: pair(),
            role,
            epoch,
        };
        let right = record.to_string().into_bytes();
        assert_eq!(Record::parse(&right), Some(record));
        for at in 0..right.len() {
            for byte in (0..=u8::MAX).filter(|byte| *byte != right[at]) {
                let mut wrong = right.clone();
                wrong[at] = byte;
                assert_eq!(Record::parse(&wrong), None, "{byte} at {at}");
            }
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            ensure_damaged(directory.path(), &wrong);
        }
    }
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_written(
        name in "[a-zA-Z0-9._-]{1,64}", backup: bool, epoch: u64,
    ) {
        let role = if backup { Role::Backup } else { Role::Primary };
        let record = Record { pair: PairId::new(name).unwrap(), role, epoch };
        let text = record.to_string();
        prop_assert!((text.len() as u64) < MAX_RECORD_BYTES);
        prop_assert_eq!(Record::parse(text.as_bytes()), Some(record));
    }

    #[test]
    fn what_is_not_a_record_is_none(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        epoch: u64,
        at in 0_usize..200,
        long in 0_usize..20,
    ) {
        prop_assert_eq!(Record::parse(&bytes), None);
        // And one with bytes of it in its midst is whole, or none.
        let right = Record { pair: pair(), role: Role::Backup, epoch }.to_string().into_bytes();
        bytes.truncate(long);
        let mut wrong = right.clone();
        let at = at.min(right.len());
        wrong.splice(at..(at + long).min(right.len()), bytes);
        prop_assert_eq!(Record::parse(&wrong).is_some(), wrong == right);
    }
}

#[test]
fn a_record_that_is_gone_beside_a_later_spare_is_not_a_fresh_start() {
    let directory = with_epochs(&[7, 9]);
    fs::remove_file(directory.path().join(EPOCH)).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

/// The steps of a write, each of which a crash may be the last to see.
const STEPS: usize = 4;

/// Does the first few steps of a write.
fn write_up_to(store: &mut EpochStore, epoch: u64, steps: usize) {
    let next = Record {
        epoch,
        ..store.record.clone()
    };
    if steps > 0 {
        store.fill_spare(&next).unwrap();
    }
    if steps > 1 {
        store.put_in_place().unwrap();
    }
    if steps > 2 {
        store.sync_names().unwrap();
    }
}

#[test]
fn a_crash_between_any_two_steps_leaves_the_old_epoch_or_the_new_one() {
    for can_exchange in [true, false] {
        for before in [&[][..], &[3], &[3, 5]] {
            let old = before.last().copied().unwrap_or(0);
            for steps in 0..STEPS {
                let directory = with_epochs(before);
                let mut store = open(directory.path()).unwrap();
                store.can_exchange = can_exchange;
                write_up_to(&mut store, 9, steps);
                drop(store);
                assert_eq!(
                    stored(directory.path()),
                    if steps < 2 { old } else { 9 },
                    "{steps} steps above {before:?}"
                );
                // And it goes on from there.
                open(directory.path()).unwrap().write(10).unwrap();
                assert_eq!(stored(directory.path()), 10);
            }
        }
    }
}

#[test]
fn a_spare_that_is_torn_is_written_anew() {
    let next = Record {
        pair: pair(),
        role: Role::Primary,
        epoch: 9,
    }
    .to_string();
    for written in 0..=next.len() {
        let directory = with_epochs(&[5, 7]);
        let spare = directory.path().join(SPARE);
        let mut torn = fs::read(&spare).unwrap();
        torn[..written].copy_from_slice(&next.as_bytes()[..written]);
        fs::write(&spare, &torn).unwrap();
        let mut store = open(directory.path()).unwrap();
        assert_eq!(store.epoch(), 7);
        store.write(9).unwrap();
        drop(store);
        assert_eq!(stored(directory.path()), 9);
    }
    for left in [&b""[..], b"x", &[0; 5000]] {
        let directory = with_epochs(&[7]);
        fs::write(directory.path().join(SPARE), left).unwrap();
        open(directory.path()).unwrap().write(9).unwrap();
        assert_eq!(stored(directory.path()), 9);
    }
}

#[test]
fn a_first_start_that_was_cut_short_is_fresh() {
    let first = Record {
        pair: pair(),
        role: Role::Primary,
        epoch: 0,
    }
    .to_string();
    for written in 0..=first.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOCK), "").unwrap();
        fs::write(directory.path().join(SPARE), &first[..written]).unwrap();
        assert_eq!(stored(directory.path()), 0);
    }
}

#[test]
fn names_that_cannot_be_exchanged_are_replaced() {
    let directory = with_epochs(&[]);
    let mut store = open(directory.path()).unwrap();
    store.can_exchange = false;
    for epoch in 1..20 {
        store.write(epoch).unwrap();
        let left = directory.path().join(SPARE);
        assert!(left.exists(), "the next write has its room");
    }
    drop(store);
    assert_eq!(stored(directory.path()), 19);
}

#[test]
fn after_an_error_the_same_epoch_can_be_written() {
    let directory = with_epochs(&[7]);
    let spare = directory.path().join(SPARE);
    let mut store = open(directory.path()).unwrap();
    // In its place is what cannot be exchanged for a file, nor written.
    store.spare = None;
    fs::remove_file(&spare).unwrap();
    fs::create_dir(&spare).unwrap();
    for _ in 0..3 {
        let error = store.write(9).unwrap_err();
        assert!(matches!(error, StoreError::Write { .. }), "{error}");
        assert_eq!(store.epoch(), 7);
    }
    fs::remove_dir(&spare).unwrap();
    store.write(9).unwrap();
    store.write(11).unwrap();
    drop(store);
    assert_eq!(stored(directory.path()), 11);
}

#[test]
fn what_is_no_directory_is_a_clear_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "mine").unwrap();
    let dangling = place.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    let orphan = place.path().join("no").join("parent");
    for path in [&file, &dangling, &orphan] {
        let error = open(path).unwrap_err();
        assert!(matches!(error, StoreError::Directory { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(&path.display().to_string()), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(!orphan.exists() && !dangling.exists());
}

#[test]
fn what_stands_where_the_record_should_is_a_clear_error() {
    for make in [
        // No link is followed to a file elsewhere, and no pipe waited at.
        (|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()) as fn(&Path),
        |path| fs::create_dir(path).unwrap(),
        |path| {
            let made = rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                Mode::RUSR | Mode::WUSR,
                0,
            );
            made.unwrap();
        },
    ] {
        for name in [EPOCH, SPARE, LOCK] {
            let directory = tempfile::tempdir().unwrap();
            make(&directory.path().join(name));
            let opened = open(directory.path());
            // A pipe can be locked as well as a file.
            assert!(opened.is_err() || name == LOCK, "{name}: {opened:?}");
        }
    }
}
