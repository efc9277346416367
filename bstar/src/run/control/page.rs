//! A status as a page for people: one screen, in columns, and what is old says how old it is.

use std::fmt::Write;

use super::report::{Check, FrontEnd, Hook, Link, Peer, Report, Server, Transition};

/// So many of the last transitions are shown.
const TRANSITIONS: usize = 8;
/// Where the values begin.
const LABEL: usize = 13;

/// The page, with a line feed at its end.
pub(crate) fn page(report: &Report) -> String {
    let mut page = Page(String::new());
    // Until a node knows of its peer, its role is its state.
    let is = if report.state == report.role {
        "waits for its peer".to_owned()
    } else {
        format!("is {}", report.state)
    };
    page.line(&format!(
        "{} {} {is}, epoch {}{}",
        report.pair,
        report.role,
        report.epoch,
        if report.maintenance {
            ", under maintenance"
        } else {
            ""
        }
    ));
    page.line("");
    if let Some(fault) = &report.fault {
        let age = age(fault.age_ms);
        page.entry(
            "fault",
            &format!("{}, for {age}: {}", fault.what, fault.detail),
        );
    }
    page.entry("this node", &this_node(report));
    page.entry("peer", &peer(&report.peer, report.timeout_ms));
    for (n, link) in report.links.iter().enumerate() {
        let name = if n == 0 { "link" } else { "second link" };
        page.entry(name, &self::link(link));
    }
    let ready = if report.ready { "ready" } else { "not ready" };
    page.entry("gate", &format!("{}, server {ready}", report.gate));
    page.entry("server", &server(&report.server));
    page.entries("health", report.health.iter().map(check).collect());
    page.entries("hooks", report.hooks.iter().map(hook).collect());
    page.entries("front ends", front_ends(&report.front_ends));
    page.entries("transitions", transitions(&report.transitions));
    page.entry(
        "program",
        &format!(
            "bstar {}, pid {}, up {}",
            report.version,
            report.pid,
            age(report.uptime_ms)
        ),
    );
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn entry(&mut self, label: &str, text: &str) {
        self.line(&format!("{label:LABEL$}{text}"));
    }

    /// One label for several rows of cells, in columns; nothing for none.
    fn entries(&mut self, label: &str, rows: Vec<Vec<String>>) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (n, row) in rows.iter().enumerate() {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // A string takes everything.
                let _ = write!(text, "{cell:width$}  ");
            }
            self.entry(if n == 0 { label } else { "" }, &text);
        }
    }
}

fn this_node(report: &Report) -> String {
    let fence = report
        .fence
        .map_or(String::new(), |fence| format!(", fence {fence}"));
    let since = match &report.state_since {
        Some(time) => format!("since {time} ({} ago)", age(report.state_age_ms)),
        None => format!("since its start {} ago", age(report.state_age_ms)),
    };
    let serves = if report.may_serve { ", may serve" } else { "" };
    format!("{}{serves}{fence}, {since}", report.state)
}

fn peer(peer: &Peer, timeout_ms: u64) -> String {
    let Some(state) = &peer.state else {
        return format!("never heard, for {}", age(peer.age_ms));
    };
    let mut text = if peer.fresh {
        format!("{state}, heard {} ago", age(peer.age_ms))
    } else {
        format!("SILENT for {}, was {state}", age(peer.age_ms))
    };
    if let Some(epoch) = peer.epoch {
        let _ = write!(text, ", epoch {epoch}");
    }
    if let Some(incarnation) = &peer.incarnation {
        let _ = write!(text, ", incarnation {incarnation}");
    }
    if peer.maintenance == Some(true) {
        text.push_str(", under maintenance");
    }
    let _ = write!(text, " (timeout {})", age(timeout_ms));
    text
}

fn link(link: &Link) -> String {
    match link.heard {
        0 => format!("silent since the start {} ago", age(link.age_ms)),
        heard => format!("heard {} ago, {heard} words", age(link.age_ms)),
    }
}

fn server(server: &Server) -> String {
    if server.run == "none" {
        return "run by somebody else".to_owned();
    }
    let mut text = server.phase.clone();
    if let Some(pid) = server.pid {
        let _ = write!(text, ", pid {pid}");
    }
    let _ = write!(text, ", run {}, {} restarts", server.run, server.restarts);
    if let Some(end) = &server.last_end {
        let _ = write!(text, ", last end: {end}");
    }
    text
}

fn check(check: &Check) -> Vec<String> {
    let result = match check.healthy {
        Some(true) => "well",
        Some(false) => "ILL",
        None => "not known yet",
    };
    let looked = check
        .age_ms
        .map_or(String::new(), |ms| format!("{} ago", age(ms)));
    let error = check
        .last_error
        .clone()
        .filter(|_| check.healthy != Some(true));
    vec![
        check.name.clone(),
        result.to_owned(),
        looked,
        error.unwrap_or_default(),
    ]
}

fn hook(hook: &Hook) -> Vec<String> {
    vec![
        hook.kind.clone(),
        if hook.ok { "done" } else { "FAILED" }.to_owned(),
        format!("in {}", age(hook.took_ms)),
        format!("{} ago", age(hook.age_ms)),
        hook.error.clone().unwrap_or_default(),
    ]
}

fn front_ends(front_ends: &[FrontEnd]) -> Vec<Vec<String>> {
    if front_ends.is_empty() {
        return Vec::new();
    }
    let head = ["", "open", "accepted", "refused", "failed", "in", "out"].map(str::to_owned);
    let row = |front: &FrontEnd| {
        vec![
            front.name.clone(),
            front.open.to_string(),
            front.accepted.to_string(),
            front.refused.to_string(),
            front.failed.to_string(),
            bytes(front.bytes_in),
            bytes(front.bytes_out),
        ]
    };
    std::iter::once(head.to_vec())
        .chain(front_ends.iter().map(row))
        .collect()
}

/// The last ones, the newest first.
fn transitions(transitions: &[Transition]) -> Vec<Vec<String>> {
    let row = |transition: &Transition| {
        vec![
            format!("{} ago", age(transition.age_ms)),
            transition.time.clone(),
            format!("{} -> {}", transition.from, transition.to),
            format!("epoch {}", transition.epoch),
            format!("{} ({})", transition.row, transition.cause),
        ]
    };
    transitions
        .iter()
        .rev()
        .take(TRANSITIONS)
        .map(row)
        .collect()
}

/// As precise as people need it.
fn age(ms: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms / 1000 {
        0 => format!("{ms} ms"),
        seconds @ 1..10 => format!("{seconds}.{} s", ms % 1000 / 100),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds if seconds < 2 * HOUR => format!("{} min", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::super::report::{Counters, Fault};
    use super::*;

    fn report() -> Report {
        Report {
            version: "0.1.0".to_owned(),
            pid: 4711,
            uptime_ms: 7_260_000,
            pair: "orders".to_owned(),
            role: "backup".to_owned(),
            state: "active".to_owned(),
            state_age_ms: 95_000,
            state_since: Some("2026-01-02T03:04:05.678Z".to_owned()),
            epoch: 4,
            fence: Some(4),
            may_serve: true,
            maintenance: false,
            timeout_ms: 2000,
            switchover_within_ms: 40_000,
            peer: Peer {
                state: Some("active".to_owned()),
                epoch: Some(3),
                incarnation: Some("00f1c2d3e4a5b697".to_owned()),
                maintenance: Some(false),
                age_ms: 97_123,
                fresh: false,
            },
            links: vec![
                Link {
                    age_ms: 97_123,
                    heard: 7000,
                },
                Link {
                    age_ms: 7_260_000,
                    heard: 0,
                },
            ],
            gate: "open".to_owned(),
            ready: true,
            fault: Some(Fault {
                what: "peer-silent".to_owned(),
                detail: "nothing heard for 2 s".to_owned(),
                age_ms: 95_200,
            }),
            server: Server {
                run: "active".to_owned(),
                phase: "running".to_owned(),
                pid: Some(4712),
                restarts: 1,
                last_end: Some("signal 9".to_owned()),
            },
            health: vec![
                Check {
                    name: "redis".to_owned(),
                    healthy: Some(true),
                    last_error: Some("refused".to_owned()),
                    age_ms: Some(312),
                },
                Check {
                    name: "disk-space".to_owned(),
                    healthy: Some(false),
                    last_error: Some("exit code 1".to_owned()),
                    age_ms: Some(4_500),
                },
            ],
            hooks: vec![Hook {
                kind: "on-active".to_owned(),
                ok: true,
                error: None,
                took_ms: 41,
                age_ms: 94_900,
            }],
            front_ends: vec![FrontEnd {
                name: "redis".to_owned(),
                open: 50,
                accepted: 1234,
                refused: 7,
                failed: 0,
                bytes_in: 1023,
                bytes_out: 5_600_000,
            }],
            transitions: vec![
                transition(
                    "backup",
                    "passive",
                    3,
                    "initial-peer-active",
                    "peer-active-bare",
                ),
                transition(
                    "passive",
                    "active",
                    4,
                    "passive-vote",
                    "request-peer-expired",
                ),
            ],
            counters: Counters {
                garbage: 0,
                strangers: 0,
                old: 0,
                late: 0,
                refused: 0,
                transitions: 2,
            },
        }
    }

    fn transition(from: &str, to: &str, epoch: u64, row: &str, cause: &str) -> Transition {
        Transition {
            row: row.to_owned(),
            cause: cause.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            epoch,
            fence: None,
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            age_ms: 95_000,
        }
    }

    #[test]
    fn a_page_is_in_columns_and_tells_how_old_things_are() {
        let expected = "\
orders backup is active, epoch 4

fault        peer-silent, for 95 s: nothing heard for 2 s
this node    active, may serve, fence 4, since 2026-01-02T03:04:05.678Z (95 s ago)
peer         SILENT for 97 s, was active, epoch 3, incarnation 00f1c2d3e4a5b697 (timeout 2.0 s)
link         heard 97 s ago, 7000 words
second link  silent since the start 2 h ago
gate         open, server ready
server       running, pid 4712, run active, 1 restarts, last end: signal 9
health       redis       well  312 ms ago
             disk-space  ILL   4.5 s ago   exit code 1
hooks        on-active  done  in 41 ms  94 s ago
front ends          open  accepted  refused  failed  in      out
             redis  50    1234      7        0       1023 B  5.3 MiB
transitions  95 s ago  2026-01-02T03:04:05.678Z  passive -> active  epoch 4  passive-vote (request-peer-expired)
             95 s ago  2026-01-02T03:04:05.678Z  backup -> passive  epoch 3  initial-peer-active (peer-active-bare)
program      bstar 0.1.0, pid 4711, up 2 h
";
        assert_eq!(page(&report()), expected);
    }

    #[test]
    fn a_page_fits_one_screen_however_long_the_history_is() {
        let mut report = report();
        let last = report.transitions[1].clone();
        report.transitions.resize(64, last);
        report.maintenance = true;
        report.peer.state = None;
        let page = page(&report);
        assert!(page.lines().count() <= 24, "{page}");
        assert!(page.starts_with("orders backup is active, epoch 4, under maintenance\n"));
        assert!(
            page.contains("\npeer         never heard, for 97 s\n"),
            "{page}"
        );
        report.state.clone_from(&report.role);
        let first = "orders backup waits for its peer, epoch 4, under maintenance\n";
        assert!(super::page(&report).starts_with(first));
    }

    #[test]
    fn ages_and_sizes_are_as_precise_as_people_need_them() {
        let ages = [
            0, 999, 1000, 9_999, 10_000, 119_999, 120_000, 7_199_999, 7_200_000,
        ]
        .map(age)
        .join(", ");
        assert_eq!(
            ages,
            "0 ms, 999 ms, 1.0 s, 9.9 s, 10 s, 119 s, 2 min, 119 min, 2 h"
        );
        assert_eq!(age(3 * 24 * 3600 * 1000), "3 days");
        assert_eq!(age(u64::MAX), "213503982334 days");
        let sizes = [0, 1023, 1024, 1536, 1 << 20, u64::MAX]
            .map(bytes)
            .join(", ");
        assert_eq!(sizes, "0 B, 1023 B, 1.0 KiB, 1.5 KiB, 1.0 MiB, 16383.9 PiB");
    }
}
