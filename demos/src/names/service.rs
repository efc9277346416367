//! What a name server answers.

use std::ops::Deref;
use std::time::Duration;

use super::wire::{Answer, Missing, Question};
use super::{Name, Zone};

/// How long a client may keep that there is no such name: long enough that one who asks without
/// pause costs little, short enough that a name is there when somebody looks for what they added.
pub const UNKNOWN_TTL: Duration = Duration::from_secs(1);

/// Answers a question, or whatever it is, by a zone.
pub fn answer<F: Deref<Target = [u8]>>(zone: &Zone, serial: u64, frames: &[F]) -> Answer {
    match Question::parse(frames) {
        Ok(Question::Lookup(name)) => look_up(zone, serial, &name),
        Ok(Question::List(Some(environment))) if !zone.has_environment(&environment) => {
            unknown(serial, Missing::Environment)
        }
        Ok(Question::List(environment)) => Answer::List {
            serial,
            names: zone.names(environment.as_ref()).collect(),
        },
        Err(malformed) => Answer::Error {
            reason: malformed.to_string(),
        },
    }
}

fn look_up(zone: &Zone, serial: u64, name: &Name) -> Answer {
    match zone.get(name) {
        Some(record) => Answer::Found {
            serial,
            record: record.clone(),
        },
        None if zone.has_environment(&name.environment) => unknown(serial, Missing::Name),
        None => unknown(serial, Missing::Environment),
    }
}

fn unknown(serial: u64, what: Missing) -> Answer {
    Answer::Unknown {
        serial,
        ttl: UNKNOWN_TTL,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "
        [test.orders]
        connect = ['tcp://a:1']
        [test.billing]
        connect = ['tcp://b:1']
        [production.orders]
        connect = ['tcp://c:1']
    ";

    fn ask(frames: &[&[u8]]) -> Answer {
        answer(&Zone::parse(ZONE.as_bytes()).unwrap(), 7, frames)
    }

    fn listed(frames: &[&[u8]]) -> Vec<String> {
        let Answer::List { names, .. } = ask(frames) else {
            panic!("a list is answered by one");
        };
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_is_looked_up_in_its_environment() {
        let endpoint = |environment: &[u8]| match ask(&[b"name/1 lookup", environment, b"orders"]) {
            Answer::Found { serial: 7, record } => record.connect[0].as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(endpoint(b"test"), "tcp://a:1");
        assert_eq!(endpoint(b"production"), "tcp://c:1");
    }

    #[test]
    fn what_is_not_there_is_answered_so() {
        let what = |frames: &[&[u8]]| match ask(frames) {
            Answer::Unknown { what, ttl, .. } => {
                assert_eq!(ttl, UNKNOWN_TTL);
                what
            }
            other => panic!("{other:?}"),
        };
        let lookup = b"name/1 lookup";
        assert_eq!(what(&[lookup, b"test", b"users"]), Missing::Name);
        assert_eq!(what(&[lookup, b"production", b"billing"]), Missing::Name);
        assert_eq!(what(&[lookup, b"staging", b"orders"]), Missing::Environment);
        assert_eq!(what(&[b"name/1 list", b"staging"]), Missing::Environment);
    }

    #[test]
    fn names_are_listed_by_environment_or_all() {
        assert_eq!(listed(&[b"name/1 list"]).len(), 3);
        assert_eq!(
            listed(&[b"name/1 list", b"test"]),
            ["billing in environment test", "orders in environment test"]
        );
    }

    #[test]
    fn what_is_no_question_is_answered_with_an_error() {
        for frames in [&[&b"hello"[..]][..], &[b"name/2 lookup", b"a", b"b"], &[]] {
            assert!(matches!(ask(frames), Answer::Error { .. }), "{frames:?}");
        }
    }
}
