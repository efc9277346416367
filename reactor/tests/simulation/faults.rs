//! What faults do to hosts.

use reactor::sim::{Fault, Kind, ms};

use crate::probe::{LEFT, Log, Met, RIGHT, numbers, run, sim, times};

fn ticks(log: &Log) -> Vec<u128> {
    times(log, LEFT, |met| met == Met::Tick)
}

#[test]
fn a_crashed_node_is_gone_without_a_word_and_starts_a_new_life() {
    let crash = Fault::Crash {
        host: LEFT,
        lasts: ms(300),
    };
    let (run, log) = run(&sim(ms(700)), 1, &[(ms(250), crash)]);
    assert_eq!(ticks(&log), [100, 200, 650]);
    assert_eq!(numbers(&log, RIGHT), [1, 2, 1]);
    let lives = times(&log, LEFT, |met| met == Met::Started { life: 2 });
    assert_eq!(lives, [550]);
    assert_eq!(run.counts.faults(Kind::Crash), 1);
    assert!(
        run.counts.undelivered > 0,
        "nobody was there: {}",
        run.counts
    );
}

#[test]
fn a_dead_node_stays_dead() {
    let (_, log) = run(&sim(ms(900)), 1, &[(ms(250), Fault::Die { host: LEFT })]);
    assert_eq!(ticks(&log), [100, 200]);
}

#[test]
fn a_stopped_node_says_goodbye() {
    let stop = Fault::Stop {
        host: LEFT,
        lasts: ms(300),
    };
    let (_, log) = run(&sim(ms(600)), 1, &[(ms(250), stop)]);
    assert_eq!(numbers(&log, RIGHT), [1, 2, 999_999]);
    let lives = times(&log, LEFT, |met| matches!(met, Met::Started { .. }));
    assert_eq!(lives, [0, 550]);
}

#[test]
fn a_paused_host_does_nothing_and_then_all_that_waited() {
    let pause = Fault::Pause {
        host: LEFT,
        lasts: ms(300),
    };
    let (run, log) = run(&sim(ms(700)), 1, &[(ms(250), pause)]);
    assert_eq!(ticks(&log), [100, 200, 550, 650]);
    // Those of 300, 400 and 500 waited. As on a reactor, the tick that was due at 300 comes before them.
    assert_eq!(numbers(&log, LEFT), [1, 2, 3, 4, 5, 6]);
    let at_resume: Vec<Met> = log
        .iter()
        .filter(|(time, host, _)| *host == LEFT && time.as_millis() == 550)
        .map(|(_, _, met)| *met)
        .collect();
    assert_eq!(at_resume.first(), Some(&Met::Tick), "{at_resume:?}");
    assert_eq!(at_resume.len(), 4);
    assert_eq!(run.counts.waited, 3);
}

#[test]
fn a_slow_clock_makes_a_host_slow() {
    let (_, log) = run(&sim(ms(950)).clock_rate(LEFT, 500_000), 1, &[]);
    assert_eq!(ticks(&log), [200, 400, 600, 800]);
    let fast = Fault::ClockRate {
        host: LEFT,
        ppm: 2_000_000,
        lasts: ms(100),
    };
    let (_, log) = run(&sim(ms(450)), 1, &[(ms(200), fast)]);
    assert_eq!(ticks(&log), [100, 200, 250, 300, 400]);
}

#[test]
fn a_clock_that_jumps_brings_deadlines_nearer() {
    let step = Fault::ClockStep {
        host: LEFT,
        by: ms(70),
    };
    let (_, log) = run(&sim(ms(450)), 1, &[(ms(210), step)]);
    assert_eq!(ticks(&log), [100, 200, 230, 330, 430]);
}

#[test]
fn inputs_come_when_they_are_scheduled() {
    let input = Fault::Input {
        host: RIGHT,
        input: 42,
    };
    let (_, log) = run(&sim(ms(450)), 1, &[(ms(210), input)]);
    assert_eq!(times(&log, RIGHT, |met| met == Met::Input(42)), [210]);
}
