//! What must hold of clients and servers together, whatever happens to them.
//!
//! Clients and servers write down what they do as they do it; each line is held against all that came before.
//!
//! - **Ends once**: a request that was taken on ends, and not twice, unless it was cancelled or its client crashed.
//! - **In time**: no request is open when its client has seen its deadline. None fails before for want of a server, or
//!   while a copy of it may still be answered.
//! - **Its own reply**: what a request ends with is what it was sent with, and some server did execute it.
//! - **At most once**: a request that is not idempotent is executed by one server, once; and no second copy leaves
//!   while the first may have been executed.
//! - **Certainly not**: what ended by `NoServer` was executed by nobody, and will not be; what ended by `Unknown` may
//!   have been.
//! - **Paid**: copies are at most burst + per request × requests + per second × time, but for those of first volleys and
//!   those in the place of a refused one.
//! - **Bounded**: as many requests are taken on as may be under way, and no more; none takes more attempts than it may.
//! - **Not too late**: nothing is sent at or after its deadline.
//! - **Linked**: nothing is sent to a server that there is no link to, or that is being drained; who was drained is
//!   gone; and on no link is a name asked for twice.
//! - **No doubling**: no second copy goes to a server that has not answered the first, while another one is live.
//! - **At once**: no request is nowhere while a live server could have it, unless it would have to be paid for; and one
//!   that must not be sent again ends when its copy is lost.
//! - **At rest**: when a client was drained, its next deadline is to come, is not after the deadline of any request, and
//!   what it does in a second is bounded.
//! - **Hung up**: of a server that was removed, no link is left.
//! - **Succeeds**: when all faults are over, and links had the time to come back ([`crate::fleet::well_from`]), each
//!   request that has 300 ms is answered, be it idempotent or not. Where servers stay ill for ever and one is well,
//!   each idempotent request is that has a second, and tokens for two attempts that may be in vain.
//! - **Comes back**: then each server is live to each client.
//! - **Rests**: nothing goes to a server that refused something, or could not take it, a retry pause ago.
//! - **Bounded load**: a server gets at most what was asked for, what was paid, and what was refused.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use freelance::Stats;
use reactor::sim::HostId;

use crate::packet::Body;

/// What all hosts of a run write to.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Book>>);

#[derive(Default)]
struct Book {
    requests: HashMap<Body, Fate>,
    /// Requests that ended since somebody last looked.
    ended: Vec<Ended>,
    /// Copies that each server got.
    received: Vec<u64>,
    total: Total,
    broken: Option<String>,
}

#[derive(Default)]
struct Fate {
    executed: u32,
    ended: bool,
    not_executed: bool,
}

/// How long a request took, how long it might have taken, and why it failed, if it did.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) body: Body,
    pub(crate) waited: Duration,
    pub(crate) timeout: Duration,
    pub(crate) failed: Option<&'static str>,
}

/// Sums over all clients and lives of a run, or of many runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) submitted: u64,
    pub(crate) copies: u64,
    pub(crate) replies: u64,
    pub(crate) refused: u64,
    /// What could be paid for.
    pub(crate) budget: f64,
    pub(crate) retries: u64,
    pub(crate) hedges: u64,
    pub(crate) hedges_won: u64,
    pub(crate) unpaid: u64,
    pub(crate) late: u64,
    pub(crate) foreign: u64,
    pub(crate) send_failed: u64,
    pub(crate) panics: u64,
    pub(crate) ejected: u64,
    pub(crate) misnamed: u64,
    pub(crate) drained: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) lives: u64,
}

impl Ledger {
    pub(crate) fn broken(&self) -> Option<String> {
        self.0.borrow().broken.clone()
    }

    /// The first thing that breaks is the one that is told.
    pub(crate) fn report(&self, broken: String) {
        self.0.borrow_mut().broken.get_or_insert(broken);
    }

    pub(crate) fn submitted(&self, body: Body) {
        self.0.borrow_mut().requests.insert(body, Fate::default());
    }

    pub(crate) fn received(&self, server: HostId) {
        let received = &mut self.0.borrow_mut().received;
        if received.len() <= server {
            received.resize(server + 1, 0);
        }
        received[server] += 1;
    }

    pub(crate) fn executed(&self, body: Body) {
        let fate = {
            let mut book = self.0.borrow_mut();
            let fate = book.requests.entry(body).or_default();
            fate.executed += 1;
            (fate.executed, fate.not_executed)
        };
        match fate {
            (_, true) => self.report(format!(
                "certainly not: {body:?} ended as not executed, and is"
            )),
            (2.., _) if !body.idempotent => {
                self.report(format!("at most once: {body:?} is executed again"));
            }
            _ => {}
        }
    }

    /// A request ended; with `not_executed`, as one that nobody had taken.
    pub(crate) fn ended(&self, ended: Ended, not_executed: bool) {
        let (body, replied) = (ended.body, ended.failed.is_none());
        let (again, executed) = {
            let mut book = self.0.borrow_mut();
            let fate = book.requests.entry(body).or_default();
            let again = std::mem::replace(&mut fate.ended, true);
            fate.not_executed = not_executed;
            let executed = fate.executed;
            book.ended.push(ended);
            (again, executed)
        };
        if again {
            self.report(format!("ends once: {body:?} ends again"));
        }
        if replied && executed == 0 {
            self.report(format!(
                "its own reply: {body:?} has one, and nobody executed it"
            ));
        }
        if not_executed && executed > 0 {
            self.report(format!(
                "certainly not: {body:?} ends as not executed, and was"
            ));
        }
    }

    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut self.0.borrow_mut().ended)
    }

    pub(crate) fn most_received(&self) -> u64 {
        self.0.borrow().received.iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn add(&self, more: &Total) {
        self.0.borrow_mut().total.add(more);
    }

    pub(crate) fn total(&self) -> Total {
        self.0.borrow().total
    }
}

impl Total {
    pub(crate) fn of(stats: &Stats) -> Self {
        Self {
            submitted: stats.submitted,
            replies: stats.replies,
            retries: stats.retries,
            hedges: stats.hedges,
            hedges_won: stats.hedges_won,
            unpaid: stats.budget_exhausted,
            late: stats.late,
            foreign: stats.foreign,
            send_failed: stats.send_failed,
            panics: stats.panics,
            failed: stats.failed,
            lives: 1,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, more: &Total) {
        // The pattern names every field, so that none is forgotten.
        let Total {
            submitted,
            copies,
            replies,
            refused,
            budget,
            retries,
            hedges,
            hedges_won,
            unpaid,
            late,
            foreign,
            send_failed,
            panics,
            ejected,
            misnamed,
            drained,
            failed,
            cancelled,
            lives,
        } = more;
        self.submitted += submitted;
        self.copies += copies;
        self.replies += replies;
        self.refused += refused;
        self.budget += budget;
        self.retries += retries;
        self.hedges += hedges;
        self.hedges_won += hedges_won;
        self.unpaid += unpaid;
        self.late += late;
        self.foreign += foreign;
        self.send_failed += send_failed;
        self.panics += panics;
        self.ejected += ejected;
        self.misnamed += misnamed;
        self.drained += drained;
        self.failed += failed;
        self.cancelled += cancelled;
        self.lives += lives;
    }
}
