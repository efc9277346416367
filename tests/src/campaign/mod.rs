//! The fault campaign: real faults on real processes in networks of their own, judged from outside.
//!
//! ```text
//!            namespace a                        namespace b
//!         ┌──────────────┐  the state link   ┌──────────────┐
//!         │              │───── peer0 ───────│              │
//!         │   server a   │                   │   server b   │
//!         │              │───── peer1 ───────│              │
//!         └──────────────┘  for some pairs   └──────────────┘
//!        probe0 │    │ client0            client0 │    │ probe0
//!               │    └─────────────┐   ┌──────────┘    │
//!        probe-a│          client-a│   │client-b       │probe-b
//!         ┌─────────────────────────────────────────────────┐
//!         │ the judge: a prober of a, one of b, and a       │
//!         │ client of ours over both                        │
//!         └─────────────────────────────────────────────────┘
//! ```
//!
//! * [`kind`] names the kinds of faults, and [`plan`] says which comes when, from a seed: the same
//!   seed, the same faults;
//! * [`hosts`] makes the network and breaks it;
//! * [`site`] is a pair that runs there, with its judge;
//! * [`inject`] does what the plan says to a site;
//! * [`judge`] is the process that asks, and [`record`] what it writes down;
//! * [`verdict`] is the arithmetic over those records and the servers' own lines;
//! * [`trial`] is one fault from its start to its verdict;
//! * [`journal`] keeps the verdicts, [`run`] fills it with many trials, a few at a time;
//! * [`report`] and [`svg`] tell what came of it;
//! * [`serve`], [`kill`] and [`idle`] are the commands beside the run.
//!
//! Times are read from `CLOCK_MONOTONIC`, which all processes of a machine share.

pub mod clock;
pub mod hosts;
pub mod idle;
pub mod inject;
pub mod journal;
pub mod judge;
pub mod kill;
pub mod kind;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod serve;
pub mod side;
pub mod site;
pub mod svg;
pub mod trial;
pub mod verdict;
