//! The arithmetic of the judge: from what was answered when, and what the servers said of
//! themselves, to what a fault cost.

use std::time::Duration;

use super::clock::{Moment, between, nanos};
use super::kind::Parting;
use super::record::{Fate, Record};
use super::side::Side;

/// A stretch of time, its end included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
}

impl Span {
    /// A span from one moment to another.
    #[must_use]
    pub fn new(from: Moment, to: Moment) -> Self {
        Self { from, to }
    }

    /// Its length.
    #[must_use]
    pub fn length(self) -> Duration {
        between(self.from, self.to)
    }

    fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

/// Spans that neither overlap nor touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// The union of these spans.
    #[must_use]
    pub fn union(mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.from, span.to));
        let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match joined.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => joined.push(span),
            }
        }
        Self(joined)
    }

    /// The union of the spans between moments that follow each other within `bridge`: a server
    /// that answers twice in such a time served in between.
    #[must_use]
    pub fn bridged(mut moments: Vec<Moment>, bridge: Duration) -> Self {
        moments.sort_unstable();
        let mut joined: Vec<Span> = Vec::new();
        for moment in moments {
            match joined.last_mut() {
                Some(last) if between(last.to, moment) <= bridge => last.to = moment,
                _ => joined.push(Span::new(moment, moment)),
            }
        }
        Self(joined)
    }

    /// What lies in both.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Self {
        let pairs = self
            .0
            .iter()
            .flat_map(|a| other.0.iter().map(move |b| (a, b)));
        let common = pairs.filter(|(a, b)| a.meets(**b));
        Self::union(
            common
                .map(|(a, b)| Span::new(a.from.max(b.from), a.to.min(b.to)))
                .collect(),
        )
    }

    /// The length of all together.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.0.iter().map(|span| span.length()).sum()
    }

    /// Whether one of them meets this span.
    #[must_use]
    pub fn meets(&self, span: Span) -> bool {
        self.0.iter().any(|own| own.meets(span))
    }

    /// Whether one of them holds the whole span.
    #[must_use]
    pub fn holds(&self, span: Span) -> bool {
        self.0.iter().any(|own| own.holds(span))
    }

    /// The spans.
    #[must_use]
    pub fn all(&self) -> &[Span] {
        &self.0
    }
}

/// When what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The fault began.
    pub began: Moment,
    /// It was made in full.
    pub made: Moment,
    /// It was taken back in full.
    pub healed: Moment,
    /// The pair had settled, or was given up.
    pub settled: Moment,
}

/// For how long both served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// While the two were parted, or may have been.
    pub parted: Duration,
    /// After the heal, all of it.
    pub healed: Duration,
    /// When they could hear each other.
    pub together: Duration,
    /// Answers that one gave wholly within a time in which the other served, when they could
    /// hear each other.
    pub crossed: usize,
}

/// By what the arithmetic is scaled.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Two answers of a server within this time: it served in between.
    pub bridge: Duration,
    /// So late is a server's line read at most.
    pub slack: Duration,
    /// So long after a heal the two may not hear each other yet.
    pub grace: Duration,
}

impl Scale {
    /// The scale for a heartbeat, and for a network that needs so long after the heal before it
    /// carries anything.
    #[must_use]
    pub fn new(heartbeat: Duration, network: Duration) -> Self {
        Self {
            bridge: (heartbeat / 2).max(Duration::from_millis(25)),
            slack: heartbeat.max(Duration::from_millis(50)),
            // A handshake that was cut off is given up after the greater of a timeout and half a
            // second, and what follows takes three heartbeats.
            grace: network + heartbeat * 3 + (heartbeat * 2).max(Duration::from_millis(500)),
        }
    }
}

/// From the fault to the next answer to something that was asked after it; `None` when there is
/// none.
///
/// The fault's own moment is somewhere between its begin and when it was made in full: as long as
/// there are answers in that time, it had not come.
#[must_use]
pub fn outage(records: &[Record], marks: &Marks) -> Option<Duration> {
    let answered = |record: &&Record| record.answered_by().is_some();
    let answered: Vec<&Record> = records.iter().filter(answered).collect();
    let after = answered.iter().filter(|record| record.sent >= marks.made);
    let next = after.map(|record| record.ended).min()?;
    let before = answered.iter().map(|record| record.ended);
    let last = before.filter(|ended| *ended <= marks.made).max();
    Some(between(marks.began.max(last.unwrap_or(0)), next))
}

/// The longest time without an answer by anyone, from the fault until the pair had settled.
#[must_use]
pub fn longest_gap(records: &[Record], marks: &Marks) -> Duration {
    let answered = records
        .iter()
        .filter(|record| record.answered_by().is_some());
    let moments = answered.map(|record| record.ended);
    let mut moments: Vec<Moment> = moments
        .filter(|moment| (marks.began..=marks.settled).contains(moment))
        .collect();
    moments.extend([marks.began, marks.settled]);
    moments.sort_unstable();
    let gaps = moments.windows(2).map(|pair| between(pair[0], pair[1]));
    gaps.max().unwrap_or_default()
}

/// When this server served, by its answers. What was answered long after it was asked may have
/// waited on its way, and is no proof of that.
#[must_use]
pub fn served(records: &[Record], side: Side, scale: &Scale) -> Spans {
    let own = records
        .iter()
        .filter(|record| record.answered_by() == Some(side));
    let prompt = own.filter(|record| between(record.sent, record.ended) <= scale.bridge);
    Spans::bridged(prompt.map(|record| record.ended).collect(), scale.bridge)
}

/// For how long both served.
#[must_use]
pub fn both_served(records: &[Record], marks: &Marks, parting: Parting, scale: &Scale) -> Both {
    let spans = Side::BOTH.map(|side| served(records, side, scale));
    let overlap = spans[0].overlap(&spans[1]);
    let apart = match parting {
        Parting::Never => Spans::default(),
        Parting::WhileHeld | Parting::ByChance => {
            let until = marks.healed + nanos(scale.grace);
            Spans::union(vec![Span::new(marks.began, until)])
        }
    };
    let after = Spans::union(vec![Span::new(marks.healed, Moment::MAX)]);
    let parted = overlap.overlap(&apart).length();
    let crossed = records.iter().filter(|record| {
        let Some(side) = record.answered_by() else {
            return false;
        };
        let span = Span::new(record.sent, record.ended);
        spans[side.other().index()].holds(span) && !apart.meets(span)
    });
    Both {
        parted,
        healed: overlap.overlap(&after).length(),
        together: overlap.length().saturating_sub(parted),
        crossed: crossed.count(),
    }
}

/// What was answered wrongly: with another body, to nothing, twice, or by a server that by its own
/// lines was at no time active between the question and the answer.
#[must_use]
pub fn wrong_answers(records: &[Record], active: &[Spans; 2]) -> Vec<String> {
    let judge = |record: &Record| match &record.fate {
        Fate::Wrong(what) => Some(format!("{}: {what}", record.asker)),
        Fate::Answered(side) => {
            let span = Span::new(record.sent, record.ended);
            let was_active = active[side.index()].meets(span);
            (!was_active).then(|| format!("{side} answered while not active: {record}"))
        }
        Fate::Refused | Fate::Silent | Fate::Failed => None,
    };
    records.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::Asker;
    use super::*;

    const MS: u64 = 1_000_000;
    const SCALE: Scale = Scale {
        bridge: Duration::from_millis(20),
        slack: Duration::from_millis(10),
        grace: Duration::from_millis(100),
    };
    const MARKS: Marks = Marks {
        began: 100 * MS,
        made: 110 * MS,
        healed: 300 * MS,
        settled: 1000 * MS,
    };

    fn spans(spans: &[(u64, u64)]) -> Spans {
        Spans::union(
            spans
                .iter()
                .map(|(from, to)| Span::new(*from, *to))
                .collect(),
        )
    }

    fn answer(side: Side, sent_ms: u64, ended_ms: u64) -> Record {
        Record {
            asker: Asker::Prober(side),
            sent: sent_ms * MS,
            ended: ended_ms * MS,
            fate: Fate::Answered(side),
        }
    }

    /// Answers each 10 ms, asked 2 ms before.
    fn answers(side: Side, from_ms: u64, to_ms: u64) -> Vec<Record> {
        let times = (from_ms..=to_ms).step_by(10);
        times.map(|ended| answer(side, ended - 2, ended)).collect()
    }

    #[test]
    fn a_union_joins_what_overlaps_or_touches() {
        let joined = spans(&[(5, 9), (0, 2), (2, 3), (8, 12), (20, 20)]);
        assert_eq!(
            joined,
            Spans(vec![Span::new(0, 3), Span::new(5, 12), Span::new(20, 20)])
        );
        assert_eq!(joined.length(), Duration::from_nanos(10));
    }

    #[test]
    fn an_overlap_is_what_lies_in_both() {
        let (a, b) = (spans(&[(0, 10), (20, 30)]), spans(&[(5, 22), (29, 40)]));
        let common = spans(&[(5, 10), (20, 22), (29, 30)]);
        assert_eq!(a.overlap(&b), common);
        assert_eq!(b.overlap(&a), common);
        assert_eq!(a.overlap(&Spans::default()), Spans::default());
    }

    #[test]
    fn moments_are_bridged_up_to_the_bridge() {
        let bridged = Spans::bridged(vec![40, 0, 20, 61], Duration::from_nanos(20));
        assert_eq!(bridged, Spans(vec![Span::new(0, 40), Span::new(61, 61)]));
    }

    #[test]
    fn the_outage_ends_with_an_answer_to_what_was_asked_after_the_fault() {
        let records = [
            answer(Side::A, 90, 95),
            // Was on its way already.
            answer(Side::A, 99, 112),
            answer(Side::B, 200, 260),
            answer(Side::B, 230, 240),
        ];
        assert_eq!(outage(&records, &MARKS), Some(Duration::from_millis(140)));
        assert_eq!(outage(&records[..2], &MARKS), None);
        let slow = Marks {
            made: 150 * MS,
            ..MARKS
        };
        let since_the_last = Duration::from_millis(128);
        assert_eq!(
            outage(&records, &slow),
            Some(since_the_last),
            "served while it was made"
        );
    }

    #[test]
    fn the_longest_gap_lies_between_the_fault_and_the_settling() {
        let records = [
            answer(Side::A, 1, 2),
            answer(Side::B, 200, 250),
            answer(Side::B, 600, 700),
        ];
        assert_eq!(longest_gap(&records, &MARKS), Duration::from_millis(450));
        assert_eq!(longest_gap(&[], &MARKS), Duration::from_millis(900));
    }

    #[test]
    fn a_takeover_is_no_time_in_which_both_served() {
        let records = [answers(Side::A, 20, 100), answers(Side::B, 102, 500)].concat();
        let both = both_served(&records, &MARKS, Parting::Never, &SCALE);
        assert_eq!(both, Both::default());
    }

    #[test]
    fn both_serve_while_their_answers_interleave() {
        let records = [answers(Side::A, 20, 480), answers(Side::B, 205, 905)].concat();
        let both = both_served(&records, &MARKS, Parting::WhileHeld, &SCALE);
        assert_eq!(
            both.parted,
            Duration::from_millis(195),
            "up to the grace after the heal"
        );
        assert_eq!(both.healed, Duration::from_millis(180));
        assert_eq!(both.together, Duration::from_millis(80));
        assert!(both.crossed > 0);
        let never = both_served(&records, &MARKS, Parting::Never, &SCALE);
        assert_eq!(
            (never.parted, never.together),
            (Duration::ZERO, Duration::from_millis(275))
        );
    }

    #[test]
    fn one_answer_beside_the_other_server_is_seen() {
        let mut records = answers(Side::B, 120, 500);
        records.push(answer(Side::A, 200, 205));
        let both = both_served(&records, &MARKS, Parting::Never, &SCALE);
        assert_eq!((both.together, both.crossed), (Duration::ZERO, 1));
        // What was asked before the other served was in progress, and may leave.
        let last = records.len() - 1;
        records[last] = answer(Side::A, 90, 205);
        let both = both_served(&records, &MARKS, Parting::Never, &SCALE);
        assert_eq!(both.crossed, 0);
    }

    #[test]
    fn an_answer_of_a_server_that_was_not_active_is_wrong() {
        let active = [spans(&[(0, 50 * MS)]), spans(&[(80 * MS, 900 * MS)])];
        let records = [
            answer(Side::A, 40, 60),
            answer(Side::B, 70, 85),
            answer(Side::A, 55, 60),
            answer(Side::B, 60, 79),
        ];
        assert!(wrong_answers(&records[..2], &active).is_empty());
        assert_eq!(wrong_answers(&records[2..], &active).len(), 2);
    }

    #[test]
    fn a_wrong_body_is_wrong_whoever_is_active() {
        let active = [spans(&[(0, 900 * MS)]), Spans::default()];
        let mut record = answer(Side::A, 40, 60);
        record.fate = Fate::Wrong("asked 1, got 2".to_owned());
        assert_eq!(wrong_answers(&[record], &active).len(), 1);
    }
}
