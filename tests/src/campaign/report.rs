//! What came of a run, as a table.

use std::fmt::Write;
use std::time::Duration;

use crate::Distribution;

use super::journal::{Entry, Journal, Result};
use super::kind::{Kind, Parting};
use super::trial::{Survivors, Verdict};

/// The verdicts of one kind.
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// From the fault to the next answer.
    pub outages: Distribution,
    /// The longest time without an answer.
    pub gap: Duration,
    /// The longest that both served while parted.
    pub parted: Duration,
    /// The longest that both served after the heal.
    pub healed: Duration,
    /// In how many faults both served while parted.
    pub both: usize,
    /// Faults that were judged.
    pub count: usize,
    /// Of these, with nobody, one and two serving at the end.
    pub survivors: [usize; 3],
    /// Faults in which a server ended by itself.
    pub died: usize,
    /// Faults that are no pass.
    pub failed: usize,
    /// Why faults of this kind were left out, if they were.
    pub skipped: Option<String>,
}

/// How the table is to be read.
const PREFACE: &str = "\
- **Outage**: from the fault to the next answer, by either server, to something that was asked after it.
- **Gap**: the longest time without an answer until the pair had settled.
- **Both, parted**: in how many faults both served while they could not hear each other, and for how long at \
  most. The judge asks both servers all the time; a client of the pair stays with the one that answers. **Healed**: \
  how much of that came after the network was mended. In kinds without a figure it may never be, and is a failure.
- **One at the end**: exactly one serves, the other stands by.
- **Failed**: the above, or a server that ended by itself, a service that moved without need, an answer that is not \
  what was asked, or one of a server that was not active by its own word.

While clients are cut from the active, and the two servers hear each other, nobody takes over: the outage lasts as \
long as the cut. After a link that was down, Linux may ask for its neighbour for a second before it carries anything. \
A server that is cut off in one direction only is soon cut off in both, since TCP waits for what confirms its packets.";

/// How the Guide's column is to be read.
const BESIDE: &str = "\
Beside it, the same faults on a pair that runs the Guide's table, on the same reactor, links and clients: only the \
rules differ. There **one at the end** is often the one that is left: two that hear each other active end \
themselves, and nobody is left to take over from who remains.";

/// The verdicts of a journal by kind, in the order of the kinds; those that never came are left
/// out.
#[must_use]
pub fn rows(journal: &Journal) -> Vec<Row> {
    let row = |kind: &Kind| {
        let own = |entry: &&Entry| entry.kind == kind.name();
        let entries: Vec<&Entry> = journal.entries.iter().filter(own).collect();
        (!entries.is_empty()).then(|| Row::of(*kind, &entries))
    };
    Kind::ALL.iter().filter_map(row).collect()
}

impl Row {
    fn of(kind: Kind, entries: &[&Entry]) -> Self {
        let verdicts: Vec<&Verdict> = entries.iter().filter_map(|entry| entry.verdict()).collect();
        let most = |figure: fn(&Verdict) -> u64| {
            let most = verdicts.iter().map(|verdict| figure(verdict)).max();
            Duration::from_micros(most.unwrap_or(0))
        };
        let count = |wanted: &dyn Fn(&Verdict) -> bool| {
            verdicts.iter().filter(|verdict| wanted(verdict)).count()
        };
        let survivors = [Survivors::None, Survivors::One, Survivors::Two]
            .map(|survivors| count(&|verdict| verdict.survivors == survivors));
        let mut outages = Distribution::default();
        for us in verdicts.iter().filter_map(|verdict| verdict.outage_us) {
            outages.add(Duration::from_micros(us));
        }
        Self {
            kind,
            outages,
            gap: most(|verdict| verdict.gap_us),
            parted: most(|verdict| verdict.parted_us),
            healed: most(|verdict| verdict.healed_us),
            both: count(&|verdict| verdict.parted_us > 0),
            count: verdicts.len(),
            survivors,
            died: count(&|verdict| verdict.died > 0),
            failed: entries
                .iter()
                .filter(|entry| !entry.failures().is_empty())
                .count(),
            skipped: entries.iter().find_map(|entry| match &entry.result {
                Result::Skipped(why) => Some(why.clone()),
                Result::Judged(_) | Result::Error(_) => None,
            }),
        }
    }
}

/// The table in Markdown, beside that of the Guide's rules if there is one.
#[must_use]
pub fn markdown(pair: &Journal, guide: Option<&Journal>) -> String {
    let mut text = String::from("# Faults\n\n");
    let guide_rows = guide.map(rows);
    head(&mut text, pair, guide);
    for row in rows(pair) {
        let theirs = guide_rows.as_ref().map(|rows| {
            let same = rows.iter().find(|theirs| theirs.kind == row.kind);
            same.map_or(" – | – | – |".to_owned(), guide_cells)
        });
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}{}", cells(&row), theirs.unwrap_or_default());
    }
    text.push('\n');
    for journal in [Some(pair), guide].into_iter().flatten() {
        notes(&mut text, journal);
    }
    text
}

fn head(text: &mut String, pair: &Journal, guide: Option<&Journal>) {
    let count = |journal: &Journal| journal.entries.iter().filter_map(Entry::verdict).count();
    let _ = writeln!(
        text,
        "{} real faults on real pairs, each in network namespaces of its own, at a heartbeat of \
         {} ms. What a judge outside saw, in a process of its own that asks both servers all the \
         time, and as a client of the pair. Times are in ms.\n\n\
         {PREFACE}\n",
        count(pair),
        pair.head.heartbeat_ms
    );
    if guide.is_some() {
        let _ = writeln!(text, "{BESIDE}\n");
    }
    let _ = writeln!(text, "![The outage of each fault](faults.svg)\n\n```sh");
    for journal in [Some(pair), guide].into_iter().flatten() {
        let head = &journal.head;
        let count = journal.entries.len();
        let file = if head.table == "pair" { "" } else { "-guide" };
        let _ = writeln!(
            text,
            "cargo run --release -p tests --bin campaign -- run --table {} --faults {count} --seed {} \
             --heartbeat {} --jobs 4 --journal target/faults{file}.jsonl",
            head.table, head.seed, head.heartbeat_ms
        );
    }
    let beside = guide.map_or("", |_| " --guide target/faults-guide.jsonl");
    let _ = writeln!(
        text,
        "cargo run --release -p tests --bin campaign -- report --journal target/faults.jsonl{beside} \
         --markdown docs/faults.md --svg docs/faults.svg\n```\n"
    );
    let mut titles =
        "| Fault | n | outage p50 | p99 | max | gap max | both, parted: n | max | healed: max \
                      | one at the end | failed |"
            .to_owned();
    let mut line = "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned();
    if guide.is_some() {
        titles += " the Guide's rules: one at the end | a server ended itself | outage max |";
        line += "--:|--:|--:|";
    }
    let _ = writeln!(text, "{titles}\n{line}");
}

fn cells(row: &Row) -> String {
    if row.count == 0 && row.skipped.is_some() {
        let name = row.kind.name();
        return format!("| {name} | skipped | | | | | | | | | |");
    }
    let outage = |percent| shown(row.outages.percentile(percent));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} of {} | {} |",
        row.kind.name(),
        row.count,
        outage(50),
        outage(99),
        outage(100),
        shown(row.gap),
        if row.kind.parting() == Parting::Never {
            "–".to_owned()
        } else {
            row.both.to_string()
        },
        shown(row.parted),
        shown(row.healed),
        row.survivors[1],
        row.count,
        row.failed
    )
}

fn guide_cells(row: &Row) -> String {
    if row.count == 0 {
        return " – | – | – |".to_owned();
    }
    let without = row.count - row.outages.count();
    let outage = match without {
        0 => shown(row.outages.percentile(100)),
        _ => "for ever".to_owned(),
    };
    let (one, count, died) = (row.survivors[1], row.count, row.died);
    format!(" {one} of {count} | {died} | {outage} |")
}

/// A time in ms with as many digits as matter.
#[must_use]
pub fn shown(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        0.0 => "0".to_owned(),
        _ if ms < 10.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

fn notes(text: &mut String, journal: &Journal) {
    let head = &journal.head;
    let entries = &journal.entries;
    let failed = entries.iter().filter(|entry| !entry.failures().is_empty());
    let repeats: usize = entries.iter().map(|entry| entry.repeats).sum();
    let _ = writeln!(
        text,
        "Rules `{}`, seed {}: {} faults, {} failed, {repeats} repeated since they failed while the \
         machine itself did not run.",
        head.table,
        head.seed,
        entries.len(),
        failed.clone().count()
    );
    for row in rows(journal) {
        if let Some(why) = row.skipped {
            let _ = writeln!(text, "Left out: {}: {why}.", row.kind.name());
        }
    }
    text.push('\n');
    if head.table == "pair" {
        for entry in failed {
            let first = entry.failures().into_iter().next().unwrap_or_default();
            let first = first.lines().next().unwrap_or_default().to_owned();
            let _ = writeln!(text, "- fault {}, {}: {first}", entry.index, entry.kind);
        }
    }
}
