//! Text and messages that come from elsewhere: whatever they are, nothing panics, and what is taken reads the same
//! when it is read again.

use proptest::prelude::*;
use reactor::sim::{Mutator, fuzz};
use reactor::{Endpoint, EndpointError, MonitorEvent};

/// Endpoints of each kind, good ones and some that are nearly good.
const ENDPOINTS: [&str; 14] = [
    "tcp://*:5003",
    "tcp://*:*",
    "tcp://127.0.0.1:5003",
    "tcp://[::1]:5003",
    "tcp://[fe80::1%eth0]:1",
    "tcp://backup.example:65535",
    "tcp://eth0:0",
    "tcp://a:b:c",
    "ipc:///tmp/bstar.sock",
    "ipc://@abstract",
    "ipc://*",
    "inproc://name",
    "udp://239.0.0.1:5555",
    "pgm://eth0;239.0.0.1:5555",
];

fn message(text: impl Into<Vec<u8>>) -> Vec<Vec<u8>> {
    vec![text.into()]
}

fn check_endpoint(text: &str) {
    for parse in [Endpoint::to_bind, Endpoint::to_connect] {
        match parse(text) {
            Ok(endpoint) => {
                assert_eq!(endpoint.as_str(), text);
                assert_eq!(endpoint.to_string(), text);
                let known = ["tcp://", "ipc://", "inproc://"];
                assert!(known.iter().any(|transport| text.starts_with(transport)));
                // It goes to libzmq as a C string, and into logs as a word.
                assert!(!text.bytes().any(|b| b.is_ascii_control() || b == b' '));
            }
            Err(EndpointError::Syntax { text: said, .. }) => assert_eq!(said, text),
            Err(error) => panic!("{text:?}: {error}"),
        }
    }
    // Who can be connected to can be bound to, as far as the spelling goes.
    assert!(Endpoint::to_connect(text).is_err() || Endpoint::to_bind(text).is_ok());
}

#[test]
fn endpoints() {
    let valid = ENDPOINTS.map(message);
    let damaged = |mutator: &mut Mutator| {
        let mut frames = mutator.pick(&valid).clone();
        mutator.damage(&mut frames, &valid);
        check_endpoint(&String::from_utf8_lossy(&frames.concat()));
    };
    fuzz("endpoints", 100_000, damaged).unwrap();
}

/// Messages of libzmq's monitors, one of each kind and some of none.
fn monitor_messages() -> Vec<Vec<Vec<u8>>> {
    let kinds = (0..18).map(|bit| 1_u32 << bit);
    kinds
        .map(|kind| {
            let kind = u16::try_from(kind).unwrap_or(0);
            let value = 250_u32.to_ne_bytes();
            let event = [&kind.to_ne_bytes()[..], &value].concat();
            vec![event, b"tcp://127.0.0.1:5003".to_vec()]
        })
        .collect()
}

#[test]
fn monitor_events() {
    let valid = monitor_messages();
    let damaged = |mutator: &mut Mutator| {
        let mut frames = mutator.pick(&valid).clone();
        mutator.damage(&mut frames, &valid);
        let messages: Vec<zmq::Message> = frames.iter().map(|f| f[..].into()).collect();
        if let Some(event) = MonitorEvent::parse(&messages) {
            assert!(frames.len() == 2 && frames[0].len() == 6, "{frames:?}");
            assert_eq!(event.endpoint, String::from_utf8_lossy(&frames[1]));
            // For this one connection it means something, or nothing.
            let _ = event.what.link();
        }
    };
    fuzz("monitor events", 100_000, damaged).unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_an_endpoint_panic(text in "\\PC{0,40}", transport in 0..4_usize) {
        let transport = ["tcp://", "ipc://", "inproc://", ""][transport];
        check_endpoint(&format!("{transport}{text}"));
    }

    #[test]
    fn every_address_is_an_endpoint(four: std::net::Ipv4Addr, six: std::net::Ipv6Addr, port in 1..=u16::MAX) {
        for text in [format!("tcp://{four}:{port}"), format!("tcp://[{six}]:{port}")] {
            let endpoint = Endpoint::to_connect(&text).unwrap();
            prop_assert_eq!(endpoint.is_ipv6(), text.contains('['));
            check_endpoint(&text);
        }
    }
}
