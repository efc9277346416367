//! The outages as a picture: a strip for each kind, every fault a dot, on a logarithmic scale.
//!
//! It brings its own background, since what shows it may be light or dark, and follows what the
//! reader prefers.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::journal::Journal;
use super::report::{Row, rows, shown};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 92.0;
const NAMES: f64 = 270.0;
const NOTES: f64 = 190.0;
const ROW: f64 = 24.0;

/// Of the scale, in ms.
const LEAST_MS: f64 = 1.0;

const STYLE: &str = "\
.back{fill:#ffffff}.ink{fill:#1f2328}.soft{fill:#59636e}.grid{stroke:#d1d9e0;stroke-width:1}\
.ours{fill:#e5484d}.ours-line{stroke:#e5484d;stroke-width:2}\
.theirs{fill:#3b82f6}.bad{fill:#e88c30;font-weight:600}\
@media (prefers-color-scheme:dark){.back{fill:#0d1117}.ink{fill:#f0f6fc}.soft{fill:#9198a1}\
.grid{stroke:#3d444d}}\
text{font-family:'Helvetica Neue',Helvetica,Arial,'DejaVu Sans',sans-serif;font-size:12px}\
.title{font-size:19px;font-weight:600}.small{font-size:11px}";

/// Draws the picture, with the Guide's rules beside ours if there are any.
#[must_use]
pub fn draw(pair: &Journal, guide: Option<&Journal>) -> String {
    let ours = rows(pair);
    let theirs = guide.map(rows).unwrap_or_default();
    let ours: Vec<&Row> = ours.iter().filter(|row| row.count > 0).collect();
    let longest = ours
        .iter()
        .copied()
        .chain(&theirs)
        .map(|row| row.outages.percentile(100));
    let scale = Scale::up_to(longest.max().unwrap_or_default());
    let bottom = TOP + ROW * ours.len() as f64;
    let mut picture = Picture(String::new());
    picture.text(
        MARGIN,
        36.0,
        "title ink",
        "start",
        "From the fault to the next answer",
    );
    let about = format!(
        "milliseconds, log scale; heartbeat {} ms; line: median to longest, dots: each tenth{}",
        pair.head.heartbeat_ms,
        if guide.is_some() {
            "; blue: the Guide's rules"
        } else {
            ""
        }
    );
    picture.text(MARGIN, 57.0, "soft", "start", &about);
    for mark in scale.marks() {
        let x = scale.place(mark);
        picture.line(x, TOP - 6.0, x, bottom, "grid");
        picture.text(x, TOP - 12.0, "small soft", "middle", &mark.to_string());
    }
    for (at, row) in ours.into_iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let beside = theirs.iter().find(|theirs| theirs.kind == row.kind);
        strip(&mut picture, &scale, row, beside, y);
    }
    let height = bottom + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" \
         aria-label=\"How long each kind of fault kept a pair from answering\">\n\
         <style>{STYLE}</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
        picture.0
    )
}

fn strip(picture: &mut Picture, scale: &Scale, row: &Row, beside: Option<&Row>, y: f64) {
    picture.text(
        MARGIN + NAMES - 12.0,
        y + 4.0,
        "ink",
        "end",
        row.kind.name(),
    );
    if let Some(theirs) = beside {
        for percent in (0..=100).step_by(10).filter(|_| theirs.outages.count() > 0) {
            let x = scale.place(ms(theirs.outages.percentile(percent)));
            picture.dot(x, y + 5.0, 2.0, "theirs");
        }
    }
    if row.outages.count() > 0 {
        let (half, most) = (row.outages.percentile(50), row.outages.percentile(100));
        picture.line(
            scale.place(ms(half)),
            y,
            scale.place(ms(most)),
            y,
            "ours-line",
        );
        for percent in (0..=100).step_by(10) {
            let x = scale.place(ms(row.outages.percentile(percent)));
            picture.dot(x, y, 2.5, "ours");
        }
        let x = scale.place(ms(most)) + 8.0;
        picture.text(x, y + 4.0, "small soft", "start", &shown(most));
    }
    let lost = |row: &Row| row.count - row.survivors[1];
    let note = match beside {
        Some(theirs) if lost(theirs) > 0 => {
            format!("Guide: {} of {} lost", lost(theirs), theirs.count)
        }
        Some(_) | None => String::new(),
    };
    picture.text(WIDTH - MARGIN, y + 4.0, "small bad", "end", &note);
    if lost(row) > 0 {
        let ours = format!("{} of {} lost", lost(row), row.count);
        picture.text(WIDTH - MARGIN - 100.0, y + 4.0, "small bad", "end", &ours);
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

struct Scale {
    decades: f64,
}

impl Scale {
    fn up_to(longest: Duration) -> Self {
        let decades = (ms(longest).max(LEAST_MS * 10.0) / LEAST_MS).log10();
        Self { decades }
    }

    fn place(&self, ms: f64) -> f64 {
        let part = (ms.max(LEAST_MS) / LEAST_MS).log10() / self.decades;
        MARGIN + NAMES + part.clamp(0.0, 1.0) * (WIDTH - 2.0 * MARGIN - NAMES - NOTES)
    }

    fn marks(&self) -> Vec<f64> {
        let last = self.decades.floor() as i32;
        (0..=last)
            .map(|power| LEAST_MS * 10_f64.powi(power))
            .collect()
    }
}

/// The elements, in the order in which they are painted.
struct Picture(String);

impl Picture {
    fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(element);
        self.0.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, class: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    fn dot(&mut self, x: f64, y: f64, radius: f64, class: &str) {
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"/>"
        ));
    }
}
