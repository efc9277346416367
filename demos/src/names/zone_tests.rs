//! Zones that are right, and what is said of those that are wrong.

use proptest::prelude::*;

use super::*;

const TWO: &str = r#"
ttl_ms = 5000

[test.orders]
bind = ["tcp://*:6001"]
connect = ["tcp://10.0.0.1:6001", "tcp://10.0.0.2:6001"]

[production.orders]
connect = ["tcp://10.1.0.1:6001"]
ttl_ms = 60000

[production."orders.eu"]
bind = ["ipc:///run/orders"]
"#;

fn zone(text: &str) -> Zone {
    Zone::parse(text.as_bytes()).unwrap()
}

fn name(environment: &str, service: &str) -> Name {
    Name::new(environment, service).unwrap()
}

fn texts(endpoints: &[Endpoint]) -> Vec<&str> {
    endpoints.iter().map(Endpoint::as_str).collect()
}

#[test]
fn environments_stand_side_by_side() {
    let zone = zone(TWO);
    let test = zone.get(&name("test", "orders")).unwrap();
    assert_eq!(texts(&test.bind), ["tcp://*:6001"]);
    assert_eq!(
        texts(&test.connect),
        ["tcp://10.0.0.1:6001", "tcp://10.0.0.2:6001"],
        "in the order of the file"
    );
    let production = zone.get(&name("production", "orders")).unwrap();
    assert_eq!(texts(&production.connect), ["tcp://10.1.0.1:6001"]);
    assert!(zone.get(&name("staging", "orders")).is_none());
    assert!(zone.get(&name("test", "orders.eu")).is_none());
}

#[test]
fn a_name_keeps_its_own_time_and_else_that_of_the_zone() {
    let with = zone(TWO);
    let of = |zone: &Zone, e, s| zone.get(&name(e, s)).unwrap().ttl.as_millis();
    assert_eq!(of(&with, "test", "orders"), 5000);
    assert_eq!(of(&with, "production", "orders"), 60_000);
    let without = zone("[test.orders]\nconnect = ['tcp://a:1']");
    assert_eq!(of(&without, "test", "orders"), 10_000);
}

#[test]
fn names_are_listed_in_order() {
    let zone = zone(TWO);
    let all: Vec<String> = zone.names(None).map(|name| name.to_string()).collect();
    assert_eq!(
        all,
        [
            "orders in environment production",
            "orders.eu in environment production",
            "orders in environment test"
        ]
    );
    let test = Label::new("test").unwrap();
    assert_eq!(zone.names(Some(&test)).count(), 1);
    assert_eq!(zone.len(), 3);
}

#[test]
fn what_is_wrong_is_named_in_one_line() {
    let many: Vec<String> = (1..18).map(|n| format!("'tcp://a:{n}'")).collect();
    let many = format!("[test.orders]\nconnect = [{}]", many.join(","));
    let long = format!("[test.orders]\nconnect = ['tcp://{}:1']", "a".repeat(255));
    // The text, and what the line must say.
    let cases: &[(&str, &[&str])] = &[
        ("", &["no names"]),
        ("[test]", &["no names"]),
        ("ttl_ms = 1", &["no names"]),
        ("ttl_ms = 0\n[t.o]\nbind=['tcp://*:1']", &["ttl_ms", "1 to"]),
        ("ttl_ms = 'x'\n[t.o]\nbind=['tcp://*:1']", &["ttl_ms"]),
        ("\n\nx x", &["line 3"]),
        ("[a.b]\nbind=['tcp://*:1']\n[a.b]", &["line 3"]),
        ("test = 1", &["environment test", "no table"]),
        ("[\"a b\".o]", &["environment a b", "is no name"]),
        ("[test.\"a\\nb\"]", &["test", "is no name"]),
        (
            "[test]\norders = 1",
            &["orders in environment test", "no table"],
        ),
        (
            "[[test.orders]]",
            &["orders in environment test", "no table"],
        ),
        ("[test.\"a/b\"]", &["a/b in environment test", "is no name"]),
        (
            "[test.orders]",
            &["orders in environment test", "no endpoints"],
        ),
        (
            "[test.orders]\nconect = []",
            &["orders in", "conect", "connect"],
        ),
        (
            "[test.orders]\nconnect = 'tcp://a:1'",
            &["orders in", "lists"],
        ),
        ("[test.orders]\nconnect = [1]", &["orders in", "lists"]),
        (
            "[test.orders]\nconnect = ['tcp://a']",
            &["orders in", "connect", "tcp://a", "port"],
        ),
        (
            "[test.orders]\nconnect = ['tcp://*:1']",
            &["connect", "wildcard"],
        ),
        (
            "[test.orders]\nbind = ['inproc://a']",
            &["bind", "inproc://a", "use tcp or ipc"],
        ),
        (
            "[test.orders]\nbind = ['tcp://*:1','tcp://*:1']",
            &["twice"],
        ),
        (
            "[test.orders]\nbind = ['tcp://*:1']\nttl_ms = 86400001",
            &["orders in", "ttl_ms"],
        ),
        (
            "[test.orders]\nbind = ['tcp://*:1']\nttl_ms = -1",
            &["orders in", "ttl_ms"],
        ),
        (&many, &["orders in", "more than 16"]),
        (&long, &["orders in", "more than 255"]),
    ];
    for (text, words) in cases {
        let error = Zone::parse(text.as_bytes()).unwrap_err().to_string();
        for word in *words {
            assert!(error.contains(word), "{text:?}: {error:?} lacks {word:?}");
        }
        assert!(!error.contains('\n'), "{text:?}: {error:?}");
    }
}

#[test]
fn what_is_said_of_it_is_short_whatever_it_quotes() {
    let long = "x".repeat(1 << 18);
    for text in [
        format!("[test.orders]\n{long} = 1"),
        "[test.orders]\n\"a\\nb\\u001b\" = 1".to_owned(),
        format!("[test.{long}]"),
        format!("[test.orders]\nconnect = ['tcp://{long}:1']"),
        format!("[test.orders]\nconnect = [\"tcp://a\\nb\\t{long}:1\"]"),
        format!("[test.orders]\nttl_ms = '{long}'"),
        format!("{long} {long}"),
    ] {
        let error = Zone::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 600, "{} bytes", error.len());
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let error = Zone::parse(&vec![b'#'; MAX_ZONE_BYTES + 1]).unwrap_err();
    assert!(matches!(error, ZoneError::TooLarge));
    let of = |count: usize| -> String {
        let name = |n| format!("[test.n{n}]\nbind = ['tcp://*:1']\n");
        (0..count).map(name).collect()
    };
    assert_eq!(zone(&of(MAX_NAMES)).len(), MAX_NAMES);
    let error = Zone::parse(of(MAX_NAMES + 1).as_bytes()).unwrap_err();
    assert!(matches!(error, ZoneError::TooManyNames));
    let error = Zone::parse(b"\xff").unwrap_err();
    assert!(matches!(error, ZoneError::Encoding));
}

#[test]
fn a_zone_that_is_nested_without_end_is_refused_and_not_followed() {
    let deep = MAX_ZONE_BYTES / 4;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!(
            "[test.orders]\nbind = {}{}",
            "[".repeat(deep),
            "]".repeat(deep)
        ),
    ] {
        assert!(Zone::parse(text.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = Zone::parse(text.as_bytes());
    }

    #[test]
    fn a_zone_with_one_byte_changed_is_read_or_refused(at in 0..TWO.len(), byte: u8) {
        let mut bytes = TWO.as_bytes().to_vec();
        bytes[at] = byte;
        match Zone::parse(&bytes) {
            Ok(zone) => prop_assert!(!zone.is_empty()),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }
}
