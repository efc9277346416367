//! How the results are laid out: sections, each a table whose columns are figures of tests.

use crate::args::Axis;
use crate::contest::{Placement, Test, Transport};

pub(crate) struct Section {
    pub(crate) axis: Axis,
    pub(crate) title: &'static str,
    /// The title for a small place.
    pub(crate) brief: &'static str,
    /// What all its columns are in.
    pub(crate) unit: &'static str,
    pub(crate) columns: Vec<Column>,
}

pub(crate) struct Column {
    pub(crate) heading: String,
    pub(crate) test: Test,
    pub(crate) figure: Figure,
    /// It is in the picture too.
    pub(crate) drawn: bool,
}

/// One number that a run gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Microseconds for each that was dispatched.
    EachUs,
    /// The same in nanoseconds.
    EachNs,
    /// So many a second.
    Rate,
    WakeMedianUs,
    WakeP99Us,
    TimerUs(Quantile),
    NeighbourUs(Quantile),
    /// Of the flood beside which timer and neighbour are looked at.
    FloodRate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    Median,
    P99,
    Max,
}

impl Figure {
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Figure::Rate | Figure::FloodRate)
    }
}

pub(crate) fn sections() -> Vec<Section> {
    let mut sections = vec![sockets()];
    sections.extend(timers());
    sections.extend([tickets(), wake(), flood(), fairness()]);
    sections.push(Section {
        axis: Axis::Fairness,
        title: "... and messages of that flood received meanwhile",
        brief: "Flood beside them",
        unit: "messages/s",
        columns: vec![column("flood", Test::Fairness, Figure::FloodRate, false)],
    });
    sections
}

fn column(heading: impl Into<String>, test: Test, figure: Figure, drawn: bool) -> Column {
    Column {
        heading: heading.into(),
        test,
        figure,
        drawn,
    }
}

fn sockets() -> Section {
    let column = |size| {
        column(
            format!("{} idle", number(size)),
            Test::Sockets(size),
            Figure::EachUs,
            true,
        )
    };
    Section {
        axis: Axis::Sockets,
        title: "One busy inproc PAIR among idle sockets",
        brief: "Busy socket",
        unit: "µs a message",
        columns: [0, 10, 100, 1_000, 4_000].map(column).into(),
    }
}

fn timers() -> [Section; 3] {
    let columns = |test: fn(u32) -> Test, drawn: [bool; 3]| {
        let sizes = [10, 1_000, 100_000];
        let column = |(size, drawn)| {
            let heading = format!("{} pending", number(size));
            column(heading, test(size), Figure::EachUs, drawn)
        };
        sizes.into_iter().zip(drawn).map(column).collect()
    };
    [
        Section {
            axis: Axis::Timers,
            title: "A turn for a timer that is due, beside pending timers and one idle socket",
            brief: "Turn",
            unit: "µs a turn",
            columns: columns(Test::Turn, [true, false, true]),
        },
        Section {
            axis: Axis::Timers,
            title: "The same without a socket",
            brief: "Turn without a socket",
            unit: "µs a turn",
            columns: columns(Test::TurnAlone, [false; 3]),
        },
        Section {
            axis: Axis::Timers,
            title: "Create and cancel a timer, beside pending timers",
            brief: "Create + cancel",
            unit: "µs for both",
            columns: columns(Test::Cancel, [true, false, true]),
        },
    ]
}

fn tickets() -> Section {
    let column = |size| {
        column(
            format!("{} tickets", number(size)),
            Test::Ticket(size),
            Figure::EachNs,
            size > 10,
        )
    };
    Section {
        axis: Axis::Tickets,
        title: "Reset one of many tickets, in rotation",
        brief: "Ticket reset",
        unit: "ns a reset",
        columns: [10, 10_000, 100_000].map(column).into(),
    }
}

fn wake() -> Section {
    let (pinned, free) = (Test::Wake(Placement::Pinned), Test::Wake(Placement::Free));
    Section {
        axis: Axis::Wake,
        title: "Wake-up from another thread",
        brief: "Wake-up",
        unit: "µs",
        columns: vec![
            column("pinned", pinned, Figure::WakeMedianUs, true),
            column("pinned, p99", pinned, Figure::WakeP99Us, false),
            column("unpinned", free, Figure::WakeMedianUs, true),
            column("unpinned, p99", free, Figure::WakeP99Us, false),
        ],
    }
}

fn flood() -> Section {
    let mut columns = Vec::new();
    for (placement, placed) in [(Placement::Pinned, "pinned"), (Placement::Free, "unpinned")] {
        for (transport, over) in [(Transport::Inproc, "inproc"), (Transport::Tcp, "tcp")] {
            columns.push(column(
                format!("{over}, {placed}"),
                Test::Flood(transport, placement),
                Figure::Rate,
                placement == Placement::Pinned,
            ));
        }
    }
    Section {
        axis: Axis::Flood,
        title: "A flooded PULL",
        brief: "Flooded PULL",
        unit: "messages/s",
        columns,
    }
}

fn fairness() -> Section {
    let mut columns = Vec::new();
    type Of = fn(Quantile) -> Figure;
    for (what, of) in [
        ("timer", Figure::TimerUs as Of),
        ("neighbour", Figure::NeighbourUs),
    ] {
        for (name, quantile) in [
            ("median", Quantile::Median),
            ("p99", Quantile::P99),
            ("max", Quantile::Max),
        ] {
            let drawn = quantile == Quantile::P99;
            columns.push(column(
                format!("{what}, {name}"),
                Test::Fairness,
                of(quantile),
                drawn,
            ));
        }
    }
    Section {
        axis: Axis::Fairness,
        title: "While a PULL is flooded: lateness of a 10 ms timer, delay of a neighbour's message",
        brief: "Beside a flood",
        unit: "µs",
        columns,
    }
}

/// With commas.
pub(crate) fn number(value: u32) -> String {
    if value < 1_000 {
        value.to_string()
    } else {
        format!("{},{:03}", value / 1_000, value % 1_000)
    }
}
