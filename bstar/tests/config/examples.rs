//! The examples that the command prints.

use crate::rig::Rig;

#[test]
fn every_example_is_commented_and_good() {
    let rig = Rig::new();
    for kind in ["tcp", "zmq", "redis", "postgres", "hooks"] {
        let example = rig.run(&["example-config", kind]);
        assert!(example.status.success(), "{kind}: {example:?}");
        let text = String::from_utf8(example.stdout).unwrap();
        assert!(text.matches('#').count() > 5, "{kind} has comments");
        rig.write("pair.toml", &text);
        for role in ["primary", "backup"] {
            let checked = rig.run(&["check-config", "pair.toml", "--role", role]);
            assert!(checked.status.success(), "{kind} as {role}: {checked:?}");
        }
    }
}

#[test]
fn an_example_of_something_else_is_refused_with_all_there_are() {
    let line = "error: invalid value 'mysql' for '<KIND>' [possible values: tcp, zmq, redis, postgres, hooks]; --help tells more";
    assert_eq!(Rig::new().refusal(&["example-config", "mysql"], line), None);
}
