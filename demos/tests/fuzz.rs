//! What a name server is asked, what it answers and what its zone says may be anything: nothing panics, what is taken
//! has one spelling, and an error is a line.

use std::time::Duration;

use demos::names::wire::{Answer, Missing, Question};
use demos::names::{Label, MAX_ENDPOINTS, MAX_NAMES, MAX_TTL, Name, Record, Zone, answer};
use proptest::prelude::*;
use reactor::Endpoint;
use reactor::sim::fuzz;

const ZONE: &str = r#"
ttl_ms = 5000

[test.orders]
bind = ["tcp://*:6001"]
connect = ["tcp://10.0.0.1:6001", "tcp://10.0.0.2:6001"]

[production.orders]
connect = ["tcp://10.1.0.1:6001", "ipc:///run/orders"]
ttl_ms = 86400000
"#;

fn zone() -> Zone {
    Zone::parse(ZONE.as_bytes()).expect("it is right")
}

/// Questions, good and bad, and what they are answered.
fn corpus() -> Vec<Vec<Vec<u8>>> {
    let questions: [&[&[u8]]; 7] = [
        &[b"name/1 lookup", b"test", b"orders"],
        &[b"name/1 lookup", b"test", b"none"],
        &[b"name/1 lookup", b"none", b"orders"],
        &[b"name/1 list"],
        &[b"name/1 list", b"production"],
        &[b"name/1 list", b"none"],
        &[b"name/2 list"],
    ];
    let questions = questions.map(|frames| frames.iter().map(|f| f.to_vec()).collect::<Vec<_>>());
    let zone = zone();
    let answers = questions
        .iter()
        .map(|question| answer(&zone, 7, question).frames());
    questions.iter().cloned().chain(answers).collect()
}

#[test]
fn questions_and_answers() {
    let (zone, corpus) = (zone(), corpus());
    let mut taken = 0_u64;
    let executions = fuzz("names", 80_000, |mutator| {
        let mut frames = mutator.pick(&corpus).clone();
        mutator.damage(&mut frames, &corpus);
        if let Ok(question) = Question::parse(&frames) {
            assert_eq!(question.frames(), frames);
        }
        if let Ok(said) = Answer::parse(&frames) {
            taken += 1;
            assert_eq!(said.frames(), frames);
            if let Answer::Found { record, .. } = said {
                assert!(
                    record.bind.len() <= MAX_ENDPOINTS && record.connect.len() <= MAX_ENDPOINTS
                );
                assert!(!record.ttl.is_zero() && record.ttl <= MAX_TTL);
            }
        }
        // Whatever it is, a server answers it with what a client reads.
        let answered = answer(&zone, 7, &frames);
        assert_eq!(Answer::parse(&answered.frames()), Ok(answered));
    })
    .unwrap();
    assert!(executions < 1000 || taken > executions / 100, "{taken}");
}

#[test]
fn zones() {
    let corpus = [
        vec![ZONE.as_bytes().to_vec()],
        vec![
            b"[a.b]\nbind = [\"inproc://x\"]\n[[c]]\nd = { e = 1979-05-27, f = '''x''' }".to_vec(),
        ],
        vec![b"x = [[[[{a.b.c = 1}]]]] # \xc3\xa9 \xff".to_vec()],
    ];
    let mut taken = 0_u64;
    let executions = fuzz("zones", 20_000, |mutator| {
        let mut frames = corpus[usize::from(mutator.below(4) == 0)].clone();
        mutator.damage(&mut frames, &corpus);
        match Zone::parse(&frames.concat()) {
            Ok(zone) => {
                taken += 1;
                assert!((1..=MAX_NAMES).contains(&zone.len()));
                for name in zone.names(None) {
                    assert!(zone.get(&name).is_some() && zone.has_environment(&name.environment));
                }
            }
            Err(error) => {
                let said = error.to_string();
                assert!(!said.contains(char::is_control), "{said:?}");
                assert!(said.chars().count() < 1000, "{said}");
            }
        }
    })
    .unwrap();
    assert!(executions < 1000 || taken > executions / 100, "{taken}");
}

fn name() -> impl Strategy<Value = Name> {
    let label = "[A-Za-z0-9._-]{1,63}";
    (label, label).prop_map(|(environment, service)| {
        Name::new(&environment, &service).expect("both are plain")
    })
}

fn endpoints(
    parse: fn(&str) -> Result<Endpoint, reactor::EndpointError>,
) -> impl Strategy<Value = Vec<Endpoint>> {
    prop::collection::btree_set(1..=u16::MAX, 0..=MAX_ENDPOINTS).prop_map(move |ports| {
        let endpoint = |port| parse(&format!("tcp://10.0.0.1:{port}")).expect("it is one");
        ports.into_iter().map(endpoint).collect()
    })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let longest = u64::try_from(MAX_TTL.as_millis()).expect("it is a day");
    let ttl = move || (1..=longest).prop_map(Duration::from_millis);
    let record = (
        endpoints(Endpoint::to_bind),
        endpoints(Endpoint::to_connect),
        ttl(),
    )
        .prop_filter("it has an endpoint", |(bind, connect, _)| {
            !(bind.is_empty() && connect.is_empty())
        })
        .prop_map(|(bind, connect, ttl)| Record { bind, connect, ttl });
    let what = prop_oneof![Just(Missing::Environment), Just(Missing::Name)];
    prop_oneof![
        (any::<u64>(), record).prop_map(|(serial, record)| Answer::Found { serial, record }),
        (any::<u64>(), ttl(), what).prop_map(|(serial, ttl, what)| Answer::Unknown {
            serial,
            ttl,
            what
        }),
        (any::<u64>(), prop::collection::vec(name(), 0..9))
            .prop_map(|(serial, names)| Answer::List { serial, names }),
        "[ -~]{0,200}".prop_map(|reason| Answer::Error { reason }),
    ]
}

proptest! {
    #[test]
    fn every_answer_is_read_as_it_was_said(said in any_answer()) {
        prop_assert_eq!(Answer::parse(&said.frames()), Ok(said));
    }

    #[test]
    fn every_question_is_read_as_it_was_asked(name in name()) {
        for asked in [
            Question::List(Some(name.environment.clone())),
            Question::Lookup(name.clone()),
            Question::List(None),
        ] {
            prop_assert_eq!(Question::parse(&asked.frames()), Ok(asked));
        }
    }

    #[test]
    fn a_label_is_what_it_was_made_of(text in "\\PC{0,70}") {
        if let Ok(label) = Label::new(&text) {
            prop_assert_eq!(label.as_str(), text);
        }
    }
}
