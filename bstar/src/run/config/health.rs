//! Checks of the server's health.

use std::time::Duration;

use super::document::Document;
use super::fronts::Names;
use super::given::{Fields, Given};
use super::keys::{self, Section};
use super::place::{to_connect, to_connect_endpoint};
use super::problem::{Checked, ConfigProblem, Site};
use super::program::Programs;
use super::{CheckConfig, CheckKind, TcpConfig};

const KINDS: [&str; 4] = ["tcp", "http", "command", "zmq"];
const USUAL_MS: u64 = 1000;
const RISE: u32 = 2;
const FALL: u32 = 3;
/// Checks in a row that anybody may wait for.
const MOST_IN_A_ROW: u64 = 1000;

/// Those that were given, or else: that the server of each front end accepts connections.
pub(super) fn read(document: &mut Document, fronts: &[TcpConfig]) -> Checked<Vec<CheckConfig>> {
    let mut names = Names::default();
    let given = document.list(Section::Health);
    if given.is_empty() {
        return Ok(fronts.iter().map(of_front).collect());
    }
    let all = given.into_iter();
    all.map(|fields| check(fields, &mut names)).collect()
}

fn of_front(front: &TcpConfig) -> CheckConfig {
    let usual = Duration::from_millis(USUAL_MS);
    CheckConfig {
        name: front.name.clone(),
        kind: CheckKind::Tcp(front.server),
        interval: usual,
        timeout: usual,
        rise: RISE,
        fall: FALL,
    }
}

fn check(mut fields: Fields, names: &mut Names) -> Checked<CheckConfig> {
    let kinds: Vec<_> = KINDS
        .into_iter()
        .filter_map(|kind| fields.take(kind))
        .collect();
    let given = match kinds.as_slice() {
        [given] => given,
        [] => return Err(no_kind(&fields)),
        [first, second, ..] => {
            return Err(second.problem(format_args!(
                "there is {} already; write a check of its own for each",
                first.site.key.name
            )));
        }
    };
    let kind = kind(given, &mut fields)?;
    for of_another in ["status", "message"] {
        if let Some(option) = fields.take(of_another) {
            let right = if of_another == "status" {
                "http"
            } else {
                "zmq"
            };
            return Err(option.problem(format_args!("it is for {right}; take it out")));
        }
    }
    let (interval, timeout) = times(&mut fields)?;
    let in_a_row = |given: &Given| given.number(1..=MOST_IN_A_ROW);
    let rise = fields.read("rise", u64::from(RISE), in_a_row)?;
    let fall = fields.read("fall", u64::from(FALL), in_a_row)?;
    let config = CheckConfig {
        name: names.take(&mut fields, &usual_name(&kind))?,
        kind,
        interval,
        timeout,
        rise: u32::try_from(rise).unwrap_or(u32::MAX),
        fall: u32::try_from(fall).unwrap_or(u32::MAX),
    };
    fields.finish();
    Ok(config)
}

fn no_kind(fields: &Fields) -> ConfigProblem {
    let example = Site {
        origin: fields.origin.clone(),
        key: keys::key(Section::Health, "tcp"),
    };
    let reason = format!(
        "what is checked is missing; give one of {}, for example {}",
        KINDS.join(", "),
        example.example()
    );
    fields.problem(&reason)
}

fn kind(given: &Given, fields: &mut Fields) -> Checked<CheckKind> {
    match given.site.key.name {
        "tcp" => Ok(CheckKind::Tcp(given.parsed(to_connect)?)),
        "http" => {
            let status = |given: &Given| given.number(100..=599);
            let status = fields.optional("status", status)?;
            let (host, path) = given.parsed(url)?;
            let with_port = if host
                .rsplit(']')
                .next()
                .is_some_and(|rest| rest.contains(':'))
            {
                host.clone()
            } else {
                format!("{host}:80")
            };
            let address = to_connect(&with_port).map_err(|reason| given.problem(reason))?;
            Ok(CheckKind::Http {
                address,
                host,
                path,
                status: status.and_then(|status| u16::try_from(status).ok()),
            })
        }
        "command" => {
            let command = given.command()?;
            let program = command.first().map_or("", String::as_str);
            let found = Programs::default().check(program);
            found.map_err(|reason| given.problem(reason))?;
            Ok(CheckKind::Command(command))
        }
        _ => Ok(CheckKind::Zmq {
            endpoint: given.parsed(to_connect_endpoint)?,
            message: fields.read("message", "ping".to_owned(), |given| {
                given.text().map(str::to_owned)
            })?,
        }),
    }
}

/// Host with port, and path, of a URL.
fn url(text: &str) -> Result<(String, String), String> {
    const FOR_EXAMPLE: &str = "write for example http://127.0.0.1:8080/health";
    if text.starts_with("https://") {
        return Err(format!(
            "{text:?} needs TLS, which a check does not speak; check with http, or with a command such as curl"
        ));
    }
    let rest = text
        .strip_prefix("http://")
        .ok_or_else(|| format!("{text:?} is no URL; {FOR_EXAMPLE}"))?;
    let (host, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.starts_with(':') || host.contains('@') || !plain(host) {
        return Err(format!(
            "{text:?} has no host that can be asked; {FOR_EXAMPLE}"
        ));
    }
    if !plain(path) || path.contains('#') {
        return Err(format!(
            "the path of {text:?} has characters that a request has not; write them as %XX"
        ));
    }
    let path = match path.strip_prefix('?') {
        Some(_) => format!("/{path}"),
        None => path.to_owned(),
    };
    Ok((host.to_owned(), path))
}

/// Interval and timeout. If one is given, the other follows it where it must.
fn times(fields: &mut Fields) -> Checked<(Duration, Duration)> {
    let usual = Duration::from_millis(USUAL_MS);
    let interval = fields.optional("interval_ms", |given| given.millis(1))?;
    let Some(given) = fields.take("timeout_ms") else {
        let interval = interval.unwrap_or(usual);
        return Ok((interval, usual.min(interval)));
    };
    let timeout = given.millis(1)?;
    let interval = interval.unwrap_or(usual.max(timeout));
    if timeout > interval {
        return Err(given.problem(format_args!(
            "a check may not last longer than to the next; give at most interval_ms, {}",
            interval.as_millis()
        )));
    }
    Ok((interval, timeout))
}

/// What is checked.
fn usual_name(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Tcp(address) => address.to_string(),
        CheckKind::Http { host, path, .. } => format!("http://{host}{path}"),
        CheckKind::Command(command) => {
            let program = command.first().map_or("", String::as_str);
            program.rsplit('/').next().unwrap_or(program).to_owned()
        }
        CheckKind::Zmq { endpoint, .. } => endpoint.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parts = |host: &str, path: &str| Ok((host.to_owned(), path.to_owned()));
        assert_eq!(url("http://a:80/b?c"), parts("a:80", "/b?c"));
        assert_eq!(url("http://a"), parts("a", "/"));
        assert_eq!(url("http://[::1]:8080?x"), parts("[::1]:8080", "/?x"));
        for wrong in [
            "a:80",
            "https://a/",
            "http://",
            "http:///x",
            "http://:80/",
            "http://u@a/",
            "http://a/b c",
            "http://a/#b",
            "http://a\r\nX: y/",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
