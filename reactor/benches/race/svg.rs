//! The results as a picture: a chart of lines for the busy socket, small charts of bars for the rest.
//!
//! It brings its own background, since what shows it may be light or dark, and follows what the reader prefers.

use std::fmt::{self, Write as _};

use crate::contest::Contestant;
use crate::layout::{Column, Section, sections};
use crate::report::short;
use crate::results::Results;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 76.0;

/// Of the chart of lines.
const LINES_HEIGHT: f64 = 330.0;
const LINES_WIDTH: f64 = 680.0;
const AXIS: f64 = 56.0;

/// Of the charts of bars.
const PANELS_A_ROW: usize = 3;
const GAP: f64 = 26.0;
const BAR_ROW: f64 = 19.0;
const BAR: f64 = 12.0;
const NAMES: f64 = 124.0;
const VALUES: f64 = 50.0;
const PANEL_TOP: f64 = 40.0;
const PANEL_BOTTOM: f64 = 20.0;

const STYLE: &str = "\
.back{fill:#ffffff}.ink{fill:#1f2328}.soft{fill:#59636e}.grid{stroke:#d1d9e0;stroke-width:1}\
@media (prefers-color-scheme:dark){.back{fill:#0d1117}.ink{fill:#f0f6fc}.soft{fill:#9198a1}\
.grid{stroke:#3d444d}}\
text{font-family:'Helvetica Neue',Helvetica,Arial,'DejaVu Sans',sans-serif;font-size:12px}\
.title{font-size:19px;font-weight:600}.head{font-size:14px;font-weight:600}.small{font-size:11px}\
.ours{font-weight:600}";

pub(crate) fn draw(results: &Results) -> String {
    let sections = sections();
    let mut picture = Picture(String::new());
    picture.text(
        MARGIN,
        36.0,
        "title ink",
        "start",
        "The reactor and its peers",
    );
    let about = format!(
        "medians of {} rounds, interleaved, on one CPU unless marked",
        results.rounds
    );
    picture.text(MARGIN, 56.0, "soft", "start", &about);
    let mut y = TOP;
    let (lines, bars) = sections.split_first().expect("there are sections");
    if present(results, lines).next().is_some() {
        draw_lines(&mut picture, results, lines, y);
        y += LINES_HEIGHT + 80.0;
    }
    y = draw_panels(&mut picture, results, bars, y);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" \
         height=\"{y:.0}\" role=\"img\" aria-label=\"The reactor and its peers, measured\">\n\
         <style>{STYLE}</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
        picture.0
    )
}

/// Who has a figure in a section.
fn present<'a>(
    results: &'a Results,
    section: &'a Section,
) -> impl Iterator<Item = Contestant> + 'a {
    Contestant::ALL.into_iter().filter(|contestant| {
        let has = |column| results.median(*contestant, column).is_some();
        section.columns.iter().any(has)
    })
}

fn draw_lines(picture: &mut Picture, results: &Results, section: &Section, top: f64) {
    let heading = format!("{}, {} (log scale)", section.title, section.unit);
    picture.text(MARGIN, top + 14.0, "head ink", "start", &heading);
    let top = top + 30.0;
    let (left, bottom) = (MARGIN + AXIS, top + LINES_HEIGHT - 30.0);
    let right = MARGIN + LINES_WIDTH;
    let all: Vec<f64> = section
        .columns
        .iter()
        .flat_map(|column| bars(results, column))
        .map(|(_, value)| value)
        .collect();
    let scale = Scale::logarithmic(all.into_iter());
    for mark in scale.marks() {
        let y = bottom - scale.place(mark) * (bottom - top);
        picture.line(left, y, right, y, "class=\"grid\"");
        picture.text(left - 8.0, y + 4.0, "soft", "end", &plain(mark));
    }
    let step = (right - left) / section.columns.len() as f64;
    let across = |index: usize| left + step * (index as f64 + 0.5);
    for (index, column) in section.columns.iter().enumerate() {
        picture.text(
            across(index),
            bottom + 20.0,
            "soft",
            "middle",
            &column.heading,
        );
    }
    for (row, contestant) in present(results, section).enumerate() {
        let points: Vec<(f64, f64)> = section
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let value = results.median(contestant, column)?;
                Some((across(index), bottom - scale.place(value) * (bottom - top)))
            })
            .collect();
        picture.curve(&points, contestant);
        let y = top + 12.0 + 22.0 * row as f64;
        let key = [(right + 24.0, y), (right + 56.0, y)];
        picture.curve(&key, contestant);
        picture.text(
            right + 66.0,
            y + 4.0,
            name_class(contestant),
            "start",
            contestant.label(),
        );
    }
    let y = bottom + 42.0;
    let note =
        "Dashed: one message a turn. Solid: up to 32 a turn (calloop: as many as there are).";
    picture.text(left, y, "soft", "start", note);
}

/// Gives where they end.
fn draw_panels(picture: &mut Picture, results: &Results, sections: &[Section], top: f64) -> f64 {
    let panels: Vec<(&Section, &Column)> = sections
        .iter()
        .flat_map(|section| section.columns.iter().map(move |column| (section, column)))
        .filter(|(_, column)| column.drawn && !bars(results, column).is_empty())
        .collect();
    let width = (WIDTH - 2.0 * MARGIN - GAP * (PANELS_A_ROW - 1) as f64) / PANELS_A_ROW as f64;
    let mut y = top;
    for row in panels.chunks(PANELS_A_ROW) {
        let mut most = 0;
        for (index, (section, column)) in row.iter().enumerate() {
            let x = MARGIN + (width + GAP) * index as f64;
            most = most.max(bars(results, column).len());
            draw_panel(picture, results, section, column, (x, y, width));
        }
        y += PANEL_TOP + BAR_ROW * most as f64 + PANEL_BOTTOM + 22.0;
    }
    y
}

/// Who has a figure in a column, and which.
fn bars(results: &Results, column: &Column) -> Vec<(Contestant, f64)> {
    Contestant::ALL
        .into_iter()
        .filter_map(|contestant| Some((contestant, results.median(contestant, column)?)))
        .collect()
}

fn draw_panel(
    picture: &mut Picture,
    results: &Results,
    section: &Section,
    column: &Column,
    (x, y, width): (f64, f64, f64),
) {
    let bars = bars(results, column);
    let better = if column.figure.more_is_better() {
        "more is better"
    } else {
        "less is better"
    };
    let heading = format!("{}: {}", section.brief, column.heading);
    picture.text(x, y + 12.0, "head ink", "start", &heading);
    let scale = Scale::fit(bars.iter().map(|(_, value)| *value));
    let log = if matches!(scale, Scale::Logarithmic { .. }) {
        ", log scale"
    } else {
        ""
    };
    let unit = format!("{}, {better}{log}", section.unit);
    picture.text(x, y + 29.0, "small soft", "start", &unit);
    let (left, right) = (x + NAMES, x + width - VALUES);
    let (top, bottom) = (y + PANEL_TOP, y + PANEL_TOP + BAR_ROW * bars.len() as f64);
    for mark in scale.marks() {
        let x = left + scale.place(mark) * (right - left);
        picture.line(x, top - 2.0, x, bottom, "class=\"grid\"");
        picture.text(x, bottom + 13.0, "small soft", "middle", &plain(mark));
    }
    for (index, (contestant, value)) in bars.into_iter().enumerate() {
        let y = top + BAR_ROW * index as f64;
        let length = scale.place(value) * (right - left);
        picture.bar(left, y, length, contestant);
        let class = format!("small {}", name_class(contestant));
        picture.text(left - 6.0, y + 10.0, &class, "end", contestant.label());
        picture.text(
            left + length + 5.0,
            y + 10.0,
            &class,
            "start",
            &short(value),
        );
    }
}

fn name_class(contestant: Contestant) -> &'static str {
    if contestant == Contestant::Mio {
        "ours ink"
    } else {
        "ink"
    }
}

/// One hue a family, so bright that it is seen on white and on black.
fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Mio | Contestant::MioSingle => "#e5484d",
        Contestant::Polling => "#e88c30",
        Contestant::Zloop | Contestant::ZloopBatch => "#3b82f6",
        Contestant::Poll | Contestant::PollBatch => "#2f9e5b",
        Contestant::Calloop | Contestant::CalloopPing => "#a26be0",
        Contestant::Epoll | Contestant::EpollBatch => "#8a929c",
    }
}

/// Whether it takes one message a turn.
fn is_dashed(contestant: Contestant) -> bool {
    match contestant {
        Contestant::MioSingle | Contestant::Zloop | Contestant::Poll | Contestant::Epoll => true,
        Contestant::Mio
        | Contestant::Polling
        | Contestant::ZloopBatch
        | Contestant::PollBatch
        | Contestant::EpollBatch
        | Contestant::Calloop
        | Contestant::CalloopPing => false,
    }
}

enum Scale {
    /// From nothing to the greatest value.
    Linear { high: f64 },
    /// From a power of ten below the smallest value to the greatest, both as powers.
    Logarithmic { low: f64, high: f64 },
}

impl Scale {
    /// Linear, unless the smallest would not be seen on that.
    fn fit(values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        if low * 25.0 > high {
            Self::Linear { high }
        } else {
            Self::logarithmic(values)
        }
    }

    fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let low = values.fold(f64::INFINITY, f64::min);
        // Bars begin at whole powers; and the range is never empty.
        let low = (low.max(1e-9) * 0.7).log10().floor();
        Self::Logarithmic {
            low,
            high: high.max(1e-9).log10().max(low + 1.0),
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { high } => value / high,
            Self::Logarithmic { low, high } => (value.log10() - low) / (high - low),
        };
        place.clamp(0.0, 1.0)
    }

    /// Where there are lines and numbers.
    fn marks(&self) -> Vec<f64> {
        match *self {
            Self::Linear { high } => {
                // 1, 2 or 5 times a power of ten, so that there are few marks, which do not run into each other.
                let power = 10_f64.powf((high / 2.0).log10().floor());
                let steps = [5.0, 2.0].map(|step| step * power);
                let step = steps.into_iter().find(|step| *step <= 0.6 * high);
                let step = step.unwrap_or(power);
                (0..=(high / step) as u32)
                    .map(|mark| f64::from(mark) * step)
                    .collect()
            }
            Self::Logarithmic { low, high } => (low as i32..=high as i32)
                .map(|power| 10_f64.powi(power))
                .collect(),
        }
    }
}

/// A number at a mark.
fn plain(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e5 => format!("{} k", v / 1e3),
        // As few digits as say it, in spite of what binary fractions add.
        v => ((v * 1e9).round() / 1e9).to_string(),
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
        let text = escape(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, style: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
        ));
    }

    fn bar(&mut self, x: f64, y: f64, length: f64, contestant: Contestant) {
        let colour = colour(contestant);
        let length = length.max(1.0);
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" \
             fill=\"{colour}\"/>"
        ));
    }

    fn curve(&mut self, points: &[(f64, f64)], contestant: Contestant) {
        let colour = colour(contestant);
        let dashes = if is_dashed(contestant) {
            " stroke-dasharray=\"6 4\""
        } else {
            ""
        };
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>",
            path.join(" ")
        ));
        for (x, y) in points {
            self.add(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            ));
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
