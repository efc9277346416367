//! What a resolver asks and answers, with a name server that is made up.

use std::collections::VecDeque;

use reactor::Endpoint;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A name server that answers as it was told to, and else not.
#[derive(Default)]
struct Scripted {
    answers: VecDeque<Vec<Vec<u8>>>,
    asked: Vec<Vec<Vec<u8>>>,
}

impl Ask for Scripted {
    fn ask(
        &mut self,
        frames: Vec<Vec<u8>>,
        _timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, RequestError> {
        self.asked.push(frames);
        self.answers.pop_front().ok_or(RequestError::NoServer)
    }
}

fn found(endpoint: &str) -> Answer {
    Answer::Found {
        serial: 7,
        record: Record {
            bind: Vec::new(),
            connect: vec![Endpoint::to_connect(endpoint).unwrap()],
            ttl: MS(100),
        },
    }
}

fn not_there() -> Answer {
    Answer::Unknown {
        serial: 7,
        ttl: MS(10),
        what: Missing::Name,
    }
}

fn orders() -> Name {
    Name::new("test", "orders").unwrap()
}

fn resolver(answers: &[Answer]) -> (Resolver<Scripted>, Instant) {
    let asker = Scripted {
        answers: answers.iter().map(Answer::frames).collect(),
        asked: Vec::new(),
    };
    let config = ResolverConfig {
        stale_for: MS(1000),
        retry: MS(50),
        ..ResolverConfig::new()
    };
    (Resolver::new(asker, config), Instant::now())
}

/// Where it is from, and the endpoint.
fn at(resolver: &mut Resolver<Scripted>, now: Instant) -> Result<(Origin, String), ResolveError> {
    let resolved = resolver.resolve_at(&orders(), now)?;
    Ok((resolved.origin, resolved.record.connect[0].to_string()))
}

#[test]
fn nobody_is_asked_again_until_the_time_to_live_is_over() {
    let (mut names, start) = resolver(&[found("tcp://a:1"), found("tcp://b:1")]);
    let a = |origin| (origin, "tcp://a:1".to_owned());
    assert_eq!(at(&mut names, start).unwrap(), a(Origin::Server));
    assert_eq!(at(&mut names, start + MS(99)).unwrap(), a(Origin::Cache));
    assert_eq!(names.asker.asked.len(), 1);
    let b = (Origin::Server, "tcp://b:1".to_owned());
    assert_eq!(at(&mut names, start + MS(100)).unwrap(), b);
    assert_eq!(names.asker.asked.len(), 2);
}

#[test]
fn an_old_answer_is_given_and_marked_while_nobody_answers() {
    let (mut names, start) = resolver(&[found("tcp://a:1")]);
    let stale = (Origin::Stale, "tcp://a:1".to_owned());
    at(&mut names, start).unwrap();
    assert_eq!(at(&mut names, start + MS(200)).unwrap(), stale);
    assert_eq!(at(&mut names, start + MS(249)).unwrap(), stale);
    assert_eq!(names.asker.asked.len(), 2, "asked in vain once");
    assert_eq!(at(&mut names, start + MS(250)).unwrap(), stale);
    assert_eq!(names.asker.asked.len(), 3);
    let error = at(&mut names, start + MS(1100)).unwrap_err();
    assert!(matches!(error, ResolveError::Unanswered(_)), "{error}");
}

#[test]
fn a_name_that_is_not_there_is_an_error_and_asked_for_again_soon() {
    let (mut names, start) = resolver(&[not_there(), found("tcp://a:1")]);
    for ms in [0, 9] {
        let error = at(&mut names, start + MS(ms)).unwrap_err();
        assert!(matches!(error, ResolveError::Unknown { .. }), "{error}");
    }
    assert_eq!(names.asker.asked.len(), 1);
    assert_eq!(at(&mut names, start + MS(10)).unwrap().0, Origin::Server);
}

#[test]
fn a_name_that_is_taken_away_is_gone_at_once() {
    let (mut names, start) = resolver(&[found("tcp://a:1"), not_there()]);
    at(&mut names, start).unwrap();
    assert!(at(&mut names, start + MS(100)).is_err());
    let error = at(&mut names, start + MS(120)).unwrap_err();
    assert!(
        matches!(error, ResolveError::Unanswered(_)),
        "the old answer is not used any more: {error}"
    );
}

#[test]
fn noise_is_no_answer_and_the_old_one_serves() {
    let (mut names, start) = resolver(&[found("tcp://a:1")]);
    at(&mut names, start).unwrap();
    names.asker.answers.push_back(vec![b"noise".to_vec()]);
    assert_eq!(at(&mut names, start + MS(100)).unwrap().0, Origin::Stale);
    let (mut names, start) = resolver(&[Answer::List {
        serial: 1,
        names: Vec::new(),
    }]);
    let error = at(&mut names, start).unwrap_err();
    assert!(matches!(error, ResolveError::Mismatched), "{error}");
}

#[test]
fn errors_are_one_line_that_names_what_was_asked() {
    let (mut names, start) = resolver(&[not_there()]);
    let error = at(&mut names, start).unwrap_err().to_string();
    assert_eq!(error, "no name is orders in environment test");
}
