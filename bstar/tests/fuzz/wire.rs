//! What the two nodes say to each other.

use std::time::Duration;

use bstar::core::{
    Announced, Announcement, Heard, MAX_EPOCH, MAX_METADATA_BYTES, MAX_TIMEOUT, Metadata,
    OfferAnswer, PairId, Role, Subscribers,
};
use proptest::prelude::*;
use reactor::sim::{Mutator, fuzz};

use crate::Message;

/// A message that says this.
pub(crate) fn print(said: &Announcement) -> Message {
    let metadata = said.metadata.iter();
    let metadata = metadata.map(|metadata| metadata.to_string().into_bytes());
    [vec![said.state.digit()]]
        .into_iter()
        .chain(metadata)
        .collect()
}

/// Some of all that a node can say: of itself, of a node of its own role and of another pair.
pub(crate) fn corpus() -> Vec<Message> {
    let bare = ["1", "2", "3", "4"].map(|digit| vec![digit.into()]);
    let mut messages = bare.to_vec();
    for (state, metadata) in [
        "3|bstar/1 pair=bstar role=primary inc=00f1c2d3e4a5b697 epoch=3 heard=none timeout=2000",
        "3|bstar/1 pair=bstar role=backup inc=00f1c2d3e4a5b697 epoch=8 heard=none timeout=2000 \
         offer=1",
        "4|bstar/1 pair=bstar role=backup inc=00f1c2d3e4a5b697 epoch=8 heard=bare timeout=600000",
        "3|bstar/1 pair=bstar role=backup inc=00f1c2d3e4a5b697 epoch=8 heard=none timeout=2000 seq=7",
        "4|bstar/1 pair=bstar role=primary inc=00f1c2d3e4a5b697 epoch=8 heard=none timeout=2000 seq=6",
        "4|bstar/1 pair=bstar role=backup inc=00f1c2d3e4a5b697 epoch=8 heard=bare timeout=2000 \
         ready=1",
        "4|bstar/1 pair=bstar role=primary inc=00f1c2d3e4a5b697 epoch=8 heard=bare timeout=2000 \
         veto=1 wants=1 maintenance=1",
        "2|bstar/1 pair=bstar role=backup inc=ffffffffffffffff epoch=0 heard=000000000000000a \
         timeout=1 priority=9",
        "1|bstar/1 pair=a.long-name_of.9 role=primary inc=0000000000000000 \
         epoch=4611686018427387904 heard=00f1c2d3e4a5b697 timeout=4000",
    ]
    .map(|text| text.split_once('|').expect("it has two frames"))
    {
        messages.push(vec![state.into(), metadata.into()]);
    }
    messages
}

/// What somebody damaged, or made up.
pub(crate) fn damaged(mutator: &mut Mutator, corpus: &[Message]) -> Message {
    if mutator.below(8) == 0 {
        return mutator.noise();
    }
    let mut message = mutator.pick(corpus).clone();
    mutator.damage(&mut message, corpus);
    message
}

/// What is taken is what the format allows, and says the same when it is said again.
pub(crate) fn check(frames: &Message) {
    let Ok(said) = Announcement::parse(frames) else {
        return;
    };
    assert!(
        matches!(frames[0][..], [b'1'..=b'4']),
        "the digit of {frames:?}"
    );
    assert_eq!(frames[0], [said.state.digit()]);
    assert_eq!(frames.len(), 1 + usize::from(said.metadata.is_some()));
    if let Some(metadata) = &said.metadata {
        assert!(frames[1].len() <= MAX_METADATA_BYTES);
        assert!(metadata.epoch <= MAX_EPOCH && metadata.timeout <= MAX_TIMEOUT);
        assert!(!metadata.timeout.is_zero());
    }
    assert_eq!(Announcement::parse(&print(&said)), Ok(said));
}

#[test]
fn announcements() {
    let corpus = corpus();
    for message in &corpus {
        assert!(Announcement::parse(message).is_ok(), "{message:?}");
    }
    fuzz("announcements", 100_000, |mutator| {
        check(&damaged(mutator, &corpus));
    })
    .unwrap();
}

/// What an XPUB hands up, and what it would not.
pub(crate) fn subscription(mutator: &mut Mutator) -> (Vec<u8>, Option<u64>) {
    const TOPICS: [&[u8]; 7] = [b"", b"bstar/1", b"1", b"3", b"4", b"5", b"bstar/10"];
    let mut message = vec![vec![1 - u8::from(mutator.below(3) == 0)]];
    message[0].extend(*mutator.pick(&TOPICS));
    if mutator.below(4) == 0 {
        mutator.damage(&mut message, &corpus());
    }
    let connection = (mutator.below(4) > 0).then(|| mutator.below(5) as u64);
    (message.concat(), connection)
}

/// A second frame goes out only while somebody reads digits and metadata; and whoever may be there
/// that reads digits alone, the error is on the side of those.
#[test]
fn subscriptions() {
    fuzz("subscriptions", 50_000, |mutator| {
        let mut all = Subscribers::default();
        let mut asked = false;
        for _ in 0..mutator.below(24) {
            let (message, connection) = subscription(mutator);
            let is_new = all.handle(&message, connection);
            assert!(!is_new || message.first() == Some(&1), "{message:?}");
            asked |= message == b"\x01bstar/1";
            assert!(asked || !all.all_read_metadata());
            if mutator.below(3) == 0 {
                all.settle();
                assert!(asked || !all.all_read_metadata());
            }
        }
        // Whoever says that it reads digits, and no more, is one.
        all.handle(b"\x01", Some(u64::MAX));
        assert!(!all.all_read_metadata());
    })
    .unwrap();
}

type HandOver = (Option<u64>, Option<OfferAnswer>, bool, bool, Option<u64>);

/// What belongs to a hand-over, to maintenance and to a second link.
fn hand_over() -> impl Strategy<Value = HandOver> {
    let answer = (any::<bool>(), any::<u64>()).prop_map(|(ready, number)| match ready {
        true => OfferAnswer::Ready(number),
        false => OfferAnswer::Veto(number),
    });
    let offer = prop::option::of(any::<u64>());
    (
        offer,
        prop::option::of(answer),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(any::<u64>()),
    )
}

fn announcement() -> impl Strategy<Value = Announcement> {
    let role = || prop_oneof![Just(Role::Primary), Just(Role::Backup)];
    let state = prop_oneof![
        role().prop_map(Announced::Initial),
        Just(Announced::Active),
        Just(Announced::Passive),
    ];
    let heard = prop_oneof![
        Just(Heard::Nothing),
        Just(Heard::Bare),
        any::<u64>().prop_map(Heard::Incarnation),
    ];
    let longest = u64::try_from(MAX_TIMEOUT.as_millis()).expect("it is minutes");
    let metadata = (
        "[a-zA-Z0-9._-]{1,64}",
        role(),
        any::<u64>(),
        0..=MAX_EPOCH,
        heard,
        1..=longest,
        hand_over(),
    );
    let metadata = metadata.prop_map(
        |(pair, role, incarnation, epoch, heard, timeout, hand_over)| {
            let (offer, answer, wants, maintenance, seq) = hand_over;
            Metadata {
                pair: PairId::new(pair).expect("it is plain"),
                role,
                incarnation,
                epoch,
                heard,
                timeout: Duration::from_millis(timeout),
                offer,
                answer,
                wants,
                maintenance,
                seq,
            }
        },
    );
    (state, prop::option::of(metadata))
        .prop_map(|(state, metadata)| Announcement { state, metadata })
}

proptest! {
    #[test]
    fn every_announcement_is_read_as_it_was_printed(said in announcement()) {
        prop_assert_eq!(Announcement::parse(&print(&said)), Ok(said));
    }

    #[test]
    fn a_damaged_announcement_reads_as_it_stands_or_not_at_all(said in announcement(), seed: u64) {
        let mut message = print(&said);
        Mutator::new(seed).damage(&mut message, &corpus());
        check(&message);
    }

    #[test]
    fn a_name_of_a_pair_is_plain(text in "\\PC{0,70}") {
        if let Ok(pair) = PairId::new(text.clone()) {
            prop_assert_eq!(pair.to_string(), text);
        }
    }
}
