//! What goes over the wire, and what is no message of this protocol.

use proptest::prelude::*;

use super::*;

fn name(environment: &str, service: &str) -> Name {
    Name::new(environment, service).unwrap()
}

fn found() -> Answer {
    Answer::Found {
        serial: 7,
        record: Record {
            bind: vec![Endpoint::to_bind("tcp://*:6001").unwrap()],
            connect: vec![
                Endpoint::to_connect("tcp://a:6001").unwrap(),
                Endpoint::to_connect("tcp://b:6001").unwrap(),
            ],
            ttl: Duration::from_secs(5),
        },
    }
}

fn unknown(what: Missing) -> Answer {
    Answer::Unknown {
        serial: 7,
        ttl: Duration::from_millis(1),
        what,
    }
}

fn question(frames: &[&[u8]]) -> Result<Question, Malformed> {
    Question::parse(frames)
}

fn answer(frames: &[&[u8]]) -> Result<Answer, Malformed> {
    Answer::parse(frames)
}

#[test]
fn the_frames_are_as_the_documentation_shows_them() {
    let lookup = Question::Lookup(name("test", "orders"));
    assert_eq!(lookup.frames(), [&b"name/1 lookup"[..], b"test", b"orders"]);
    assert_eq!(Question::List(None).frames(), [b"name/1 list"]);
    let ok: [&[u8]; 7] = [
        b"name/1 ok",
        b"5000",
        b"7",
        b"1",
        b"tcp://*:6001",
        b"tcp://a:6001",
        b"tcp://b:6001",
    ];
    assert_eq!(found().frames(), ok);
    let no: [&[u8]; 4] = [b"name/1 unknown", b"1", b"7", b"environment"];
    assert_eq!(unknown(Missing::Environment).frames(), no);
}

#[test]
fn what_was_said_is_what_is_read() {
    let environment = Label::new("test").unwrap();
    for said in [
        Question::Lookup(name("test", "orders")),
        Question::List(None),
        Question::List(Some(environment)),
    ] {
        assert_eq!(Question::parse(&said.frames()), Ok(said));
    }
    for said in [
        found(),
        unknown(Missing::Environment),
        unknown(Missing::Name),
        Answer::List {
            serial: u64::MAX,
            names: vec![name("a", "b"), name("a", "c")],
        },
        Answer::List {
            serial: 0,
            names: Vec::new(),
        },
        Answer::Error {
            reason: "no such verb".to_owned(),
        },
    ] {
        assert_eq!(Answer::parse(&said.frames()), Ok(said));
    }
}

#[test]
fn a_question_of_another_shape_is_none() {
    let cases: [&[&[u8]]; 11] = [
        &[],
        &[b""],
        &[b"name/2 lookup", b"test", b"orders"],
        &[b"name/1 lookup "],
        &[b"name/1 lookup", b"test"],
        &[b"name/1 lookup", b"test", b"orders", b""],
        &[b"name/1 lookup", b"", b"orders"],
        &[b"name/1 lookup", b"test", b"or ders"],
        &[b"name/1 list", b"test", b"orders"],
        &[b"name/1 list", b""],
        &[b"NAME/1 list"],
    ];
    for frames in cases {
        assert!(question(frames).is_err(), "{frames:?}");
    }
}

#[test]
fn an_answer_of_another_shape_is_none() {
    let cases: [&[&[u8]]; 20] = [
        &[],
        &[b"name/1 ok"],
        &[b"name/1 ok", b"5000", b"7", b"0"],
        &[b"name/1 ok", b"0", b"7", b"0", b"tcp://a:1"],
        &[b"name/1 ok", b"86400001", b"7", b"0", b"tcp://a:1"],
        &[b"name/1 ok", b"05000", b"7", b"0", b"tcp://a:1"],
        &[b"name/1 ok", b"+5000", b"7", b"0", b"tcp://a:1"],
        &[
            b"name/1 ok",
            b"5000",
            b"18446744073709551616",
            b"0",
            b"tcp://a:1",
        ],
        &[b"name/1 ok", b"5000", b"7", b"2", b"tcp://a:1"],
        &[
            b"name/1 ok",
            b"5000",
            b"7",
            b"18446744073709551615",
            b"tcp://a:1",
        ],
        &[b"name/1 ok", b"5000", b"7", b"0", b"tcp://*:1"],
        &[b"name/1 ok", b"5000", b"7", b"0", b"inproc://a"],
        &[
            b"name/1 ok",
            b"5000",
            b"7",
            b"0",
            b"tcp://a:1",
            b"tcp://a:1",
        ],
        &[b"name/1 ok", b"5000", b"7", b"0", b"\xff"],
        &[b"name/1 unknown"],
        &[b"name/1 unknown", b"1", b"7", b"both"],
        &[b"name/1 list"],
        &[b"name/1 list", b"7", b"test"],
        &[b"name/1 error", b"two\nlines"],
        &[b"name/1 error"],
    ];
    for frames in cases {
        assert!(answer(frames).is_err(), "{frames:?}");
    }
}

#[test]
fn an_answer_keeps_the_limits_of_a_zone() {
    let of = |count: usize| {
        let endpoint = |n: usize| format!("tcp://a:{}", n + 1).into_bytes();
        let head = [&b"name/1 ok"[..], b"1", b"1", b"0"].map(<[u8]>::to_vec);
        Answer::parse(
            &head
                .into_iter()
                .chain((0..count).map(endpoint))
                .collect::<Vec<_>>(),
        )
    };
    assert!(of(MAX_ENDPOINTS).is_ok());
    assert!(of(MAX_ENDPOINTS + 1).is_err());
}

#[test]
fn a_reason_always_fits() {
    let said = Answer::Error {
        reason: "é\n".repeat(9) + &"x".repeat(1000),
    };
    let Ok(Answer::Error { reason }) = Answer::parse(&said.frames()) else {
        panic!("an error is read as one");
    };
    assert_eq!(reason.len(), MAX_REASON_BYTES);
}

/// Frames that are nearly a message: its words, in any order and number, and noise between.
fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let words = prop::sample::select(vec![
        LOOKUP,
        LIST,
        OK,
        UNKNOWN,
        ERROR,
        b"0",
        b"1",
        b"2",
        b"5000",
        b"test",
        b"name",
        b"environment",
        b"tcp://a:1",
        b"tcp://*:1",
        b"ipc:///a",
    ]);
    let noise = prop::collection::vec(any::<u8>(), 0..24);
    let frame = prop_oneof![8 => words.prop_map(<[u8]>::to_vec), 1 => noise];
    prop::collection::vec(frame, 0..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_message_has_one_spelling(frames in frames()) {
        if let Ok(question) = Question::parse(&frames) {
            prop_assert_eq!(question.frames(), frames.clone());
        }
        if let Ok(answer) = Answer::parse(&frames) {
            prop_assert_eq!(answer.frames(), frames);
        }
    }

    #[test]
    fn a_damaged_answer_is_read_as_it_stands_or_not_at_all(
        frame in 0..7_usize,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut frames = found().frames();
        let at = at.index(frames[frame].len());
        frames[frame][at] = byte;
        if let Ok(answer) = Answer::parse(&frames) {
            prop_assert_eq!(answer.frames(), frames);
        }
    }
}
