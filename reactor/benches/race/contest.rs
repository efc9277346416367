//! Who races, in which tests.

use std::fmt;

/// A program that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The reactor as it is by default, on mio.
    Mio,
    /// The same on polling.
    Polling,
    /// On mio, with a budget of one message a turn.
    MioSingle,
    /// zloop, whose handler takes one message a call.
    Zloop,
    /// zloop, whose handler takes up to [`BATCH`] messages a call.
    ZloopBatch,
    /// `zmq_poll`, one message a turn.
    Poll,
    /// `zmq_poll`, up to [`BATCH`] messages a turn.
    PollBatch,
    /// epoll on `ZMQ_FD`, one message a turn.
    Epoll,
    /// epoll on `ZMQ_FD`, up to [`BATCH`] messages a turn.
    EpollBatch,
    /// calloop, with a source as its book describes it; woken through its channel.
    Calloop,
    /// calloop, woken by a ping, which carries nothing.
    CalloopPing,
}

/// How many messages those take that take several at a time: as many as our default budget.
pub(crate) const BATCH: u32 = 32;

/// What it is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
    /// Not a peer: it has no timers, no fairness and no registration.
    Limit,
}

impl Contestant {
    pub(crate) const ALL: [Contestant; 11] = [
        Contestant::Mio,
        Contestant::Polling,
        Contestant::MioSingle,
        Contestant::Zloop,
        Contestant::ZloopBatch,
        Contestant::Poll,
        Contestant::PollBatch,
        Contestant::Calloop,
        Contestant::CalloopPing,
        Contestant::Epoll,
        Contestant::EpollBatch,
    ];

    /// For people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Contestant::Mio => "ours on mio",
            Contestant::Polling => "ours on polling",
            Contestant::MioSingle => "ours on mio, budget 1",
            Contestant::Zloop => "zloop",
            Contestant::ZloopBatch => "zloop, 32 a call",
            Contestant::Poll => "zmq_poll",
            Contestant::PollBatch => "zmq_poll, 32 a turn",
            Contestant::Epoll => "bare epoll",
            Contestant::EpollBatch => "bare epoll, 32 a turn",
            Contestant::Calloop => "calloop",
            Contestant::CalloopPing => "calloop, ping",
        }
    }

    /// For the command line of a child and for JSON.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Contestant::Mio => "mio",
            Contestant::Polling => "polling",
            Contestant::MioSingle => "mio-single",
            Contestant::Zloop => "zloop",
            Contestant::ZloopBatch => "zloop-batch",
            Contestant::Poll => "poll",
            Contestant::PollBatch => "poll-batch",
            Contestant::Epoll => "epoll",
            Contestant::EpollBatch => "epoll-batch",
            Contestant::Calloop => "calloop",
            Contestant::CalloopPing => "calloop-ping",
        }
    }

    pub(crate) fn from_id(id: &str) -> Option<Contestant> {
        Contestant::ALL
            .into_iter()
            .find(|contestant| contestant.id() == id)
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Contestant::Mio | Contestant::Polling | Contestant::MioSingle => Kind::Ours,
            Contestant::Zloop
            | Contestant::ZloopBatch
            | Contestant::Poll
            | Contestant::PollBatch
            | Contestant::Calloop
            | Contestant::CalloopPing => Kind::Peer,
            Contestant::Epoll | Contestant::EpollBatch => Kind::Limit,
        }
    }

    pub(crate) fn is_zloop(self) -> bool {
        matches!(self, Contestant::Zloop | Contestant::ZloopBatch)
    }

    /// How many messages it takes at a time, where that is for the program to decide.
    pub(crate) fn batch(self) -> u32 {
        match self {
            Contestant::ZloopBatch | Contestant::PollBatch | Contestant::EpollBatch => BATCH,
            Contestant::Mio
            | Contestant::Polling
            | Contestant::MioSingle
            | Contestant::Zloop
            | Contestant::Poll
            | Contestant::Epoll
            | Contestant::Calloop
            | Contestant::CalloopPing => 1,
        }
    }

    pub(crate) fn enters(self, test: Test) -> bool {
        use Contestant as C;
        match test {
            Test::Sockets(_) | Test::Flood(..) => self != C::CalloopPing,
            Test::Turn(_) | Test::Cancel(_) => {
                matches!(self, C::Mio | C::Polling | C::Zloop | C::Calloop)
            }
            Test::TurnAlone(_) | Test::Ticket(_) => matches!(self, C::Mio | C::Zloop),
            Test::Wake(_) => matches!(
                self,
                C::Mio | C::Polling | C::Zloop | C::Poll | C::Epoll | C::Calloop | C::CalloopPing
            ),
            Test::Fairness => matches!(
                self,
                C::Mio | C::Polling | C::MioSingle | C::Zloop | C::ZloopBatch
            ),
        }
    }
}

/// Where the threads of a run may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// All on one CPU: what code costs.
    Pinned,
    /// Where the system likes: what a user sees, mostly the waking of another CPU.
    Free,
}

/// What a flood comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Inproc,
    Tcp,
}

/// One thing that is measured, with its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// One busy socket among so many idle ones.
    Sockets(u32),
    /// Turns with so many far-off timers, and one idle socket.
    Turn(u32),
    /// The same without a socket: a loop on `zmq_poll` then makes no system call.
    TurnAlone(u32),
    /// Creating and cancelling a timer, beside so many.
    Cancel(u32),
    /// Resetting one after another of so many tickets.
    Ticket(u32),
    /// From another thread's call to the handler's.
    Wake(Placement),
    /// A PULL that always has another message.
    Flood(Transport, Placement),
    /// What such a PULL does to a timer and to a neighbour.
    Fairness,
}

impl Test {
    /// The word for it on a child's command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Test::Sockets(_) => "sockets",
            Test::Turn(_) => "turn",
            Test::TurnAlone(_) => "turn-alone",
            Test::Cancel(_) => "cancel",
            Test::Ticket(_) => "ticket",
            Test::Wake(_) => "wake",
            Test::Flood(Transport::Inproc, _) => "flood-inproc",
            Test::Flood(Transport::Tcp, _) => "flood-tcp",
            Test::Fairness => "fairness",
        }
    }

    pub(crate) fn size(self) -> u32 {
        match self {
            Test::Sockets(size)
            | Test::Turn(size)
            | Test::TurnAlone(size)
            | Test::Cancel(size)
            | Test::Ticket(size) => size,
            Test::Wake(_) | Test::Flood(..) | Test::Fairness => 0,
        }
    }

    /// How many timers are pending in it.
    pub(crate) fn timers(self) -> u32 {
        match self {
            Test::Turn(size) | Test::TurnAlone(size) | Test::Cancel(size) => size,
            Test::Sockets(_)
            | Test::Ticket(_)
            | Test::Wake(_)
            | Test::Flood(..)
            | Test::Fairness => 0,
        }
    }

    /// The opposite of [`word`](Self::word); a child runs where it was put.
    pub(crate) fn parse(word: &str, size: u32) -> Option<Test> {
        Some(match word {
            "sockets" => Test::Sockets(size),
            "turn" => Test::Turn(size),
            "turn-alone" => Test::TurnAlone(size),
            "cancel" => Test::Cancel(size),
            "ticket" => Test::Ticket(size),
            "wake" => Test::Wake(Placement::Free),
            "flood-inproc" => Test::Flood(Transport::Inproc, Placement::Free),
            "flood-tcp" => Test::Flood(Transport::Tcp, Placement::Free),
            "fairness" => Test::Fairness,
            _ => return None,
        })
    }

    pub(crate) fn placement(self) -> Placement {
        match self {
            Test::Wake(placement) | Test::Flood(_, placement) => placement,
            // It places its threads itself.
            Test::Fairness => Placement::Free,
            Test::Sockets(_)
            | Test::Turn(_)
            | Test::TurnAlone(_)
            | Test::Cancel(_)
            | Test::Ticket(_) => Placement::Pinned,
        }
    }

    /// How many descriptors a run may take: libzmq has two for each socket, where it was built without eventfd, and
    /// calloop one more.
    pub(crate) fn descriptors(self) -> u64 {
        match self {
            Test::Sockets(size) => 3 * u64::from(size) + 200,
            Test::Turn(_)
            | Test::TurnAlone(_)
            | Test::Cancel(_)
            | Test::Ticket(_)
            | Test::Wake(_)
            | Test::Flood(..)
            | Test::Fairness => 200,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Test::Wake(placement) | Test::Flood(_, placement) => match placement {
                Placement::Pinned => f.write_str(" pinned"),
                Placement::Free => f.write_str(" unpinned"),
            },
            Test::Fairness => Ok(()),
            Test::Sockets(size)
            | Test::Turn(size)
            | Test::TurnAlone(size)
            | Test::Cancel(size)
            | Test::Ticket(size) => write!(f, " {size}"),
        }
    }
}
