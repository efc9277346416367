//! How many clients there are descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::run::config::TcpConfig;

/// Descriptors for all but clients and their servers; a quarter where there are few.
const OTHER_DESCRIPTORS: u64 = 1024;
/// A client's own, and that of its connection to the server.
const PER_CLIENT: u64 = 2;

/// Lets this process have as many descriptors as its clients may need, as far as it may, and says how many
/// clients each front end takes at once. Where nobody said how many, fewer will do.
pub(super) fn make_room(tcp: &[TcpConfig]) -> Vec<usize> {
    let asked: Vec<usize> = tcp.iter().map(|front| front.max_connections).collect();
    let room = raise(needed(&asked, OTHER_DESCRIPTORS));
    let others = OTHER_DESCRIPTORS.min(room / 4);
    let limits = share(tcp, room - others);
    if limits != asked {
        tracing::info!(
            descriptors = room,
            clients = ?limits,
            "clients at once: as many as there are descriptors for (ulimit -n, LimitNOFILE)"
        );
    }
    let needed = needed(&limits, others);
    if room < needed {
        tracing::warn!(
            room,
            needed,
            "max_connections is more than this process may have descriptors for; raise its limit (ulimit -n, LimitNOFILE)"
        );
    }
    limits
}

fn needed(clients: &[usize], others: u64) -> u64 {
    let clients: u64 = clients.iter().map(|clients| *clients as u64).sum();
    clients.saturating_mul(PER_CLIENT).saturating_add(others)
}

/// What was said stands; the others get equal parts of what is left.
fn share(tcp: &[TcpConfig], room: u64) -> Vec<usize> {
    let (given, others): (Vec<_>, Vec<_>) = tcp.iter().partition(|tcp| tcp.max_connections_given);
    let given: u64 = given.iter().map(|tcp| tcp.max_connections as u64).sum();
    let left = (room / PER_CLIENT).saturating_sub(given);
    let part = left / (others.len() as u64).max(1);
    let part = usize::try_from(part).unwrap_or(usize::MAX).max(1);
    let limit = |tcp: &TcpConfig| match tcp.max_connections_given {
        true => tcp.max_connections,
        false => tcp.max_connections.min(part),
    };
    tcp.iter().map(limit).collect()
}

/// Raises the limit of descriptors to what is needed, as far as this process may. The limit then.
fn raise(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(now) = current.filter(|now| *now < needed) else {
        return current.unwrap_or(u64::MAX);
    };
    let allowed = maximum.map_or(needed, |maximum| maximum.min(needed));
    let wanted = Rlimit {
        current: Some(allowed),
        maximum,
    };
    setrlimit(Resource::Nofile, wanted).map_or(now, |()| allowed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::config::Vote;

    fn front(max_connections: usize, max_connections_given: bool) -> TcpConfig {
        TcpConfig {
            name: "web".to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            server: ([127, 0, 0, 1], 1).into(),
            vote: Vote::Data,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: None,
            max_connections,
            max_connections_given,
            proxy_protocol: false,
        }
    }

    #[test]
    fn the_default_takes_what_there_is_and_what_was_said_stands() {
        let usual = || front(10_000, false);
        let said = |clients| front(clients, true);
        assert_eq!(share(&[usual()], 1_000_000), [10_000]);
        assert_eq!(share(&[usual()], 18_976), [9_488]);
        assert_eq!(share(&[usual(), usual()], 18_976), [4_744, 4_744]);
        assert_eq!(
            share(&[said(9_000), usual(), usual()], 18_976),
            [9_000, 244, 244]
        );
        assert_eq!(share(&[said(20_000), usual()], 18_976), [20_000, 1]);
        assert_eq!(share(&[usual()], 0), [1]);
        assert_eq!(share(&[], 18_976), [0_usize; 0]);
    }
}
