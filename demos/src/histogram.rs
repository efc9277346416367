//! A histogram as text.

use std::fmt::{self, Write};

use hdrhistogram::Histogram;

const WIDTH: usize = 50;

/// A bar for each doubling of the time, from the shortest that occurred to the longest.
pub(crate) fn draw(times_us: &Histogram<u64>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let mut bars = Vec::new();
    let mut above = 0;
    for edge in (0..u64::BITS).map(|bit| 1 << bit) {
        let counted = times_us.count_between(above, edge);
        bars.push((above, edge, counted));
        above = edge + 1;
        if edge >= times_us.max() {
            break;
        }
    }
    let most = bars.iter().map(|bar| bar.2).max().unwrap_or(0).max(1);
    for (from, to, count) in bars.into_iter().skip_while(|bar| bar.2 == 0) {
        let scaled = (count as f64 / most as f64 * WIDTH as f64).ceil() as usize;
        writeln!(
            text,
            "{from:>9} … {to:>9} µs {count:>9} {}",
            "█".repeat(scaled)
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubling_has_a_bar_and_nothing_is_left_out() {
        let mut times = Histogram::new_with_bounds(1, 1 << 40, 3).unwrap();
        for time in [3, 3, 3, 3, 9, 100] {
            times.record(time).unwrap();
        }
        let text = draw(&times).unwrap();
        let counts: Vec<u64> = text
            .lines()
            .map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts, [4, 0, 1, 0, 0, 1], "{text}");
        assert!(text.lines().next().unwrap().ends_with(&"█".repeat(WIDTH)));
    }

    #[test]
    fn nothing_measured_is_nothing_drawn() {
        let times = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        assert_eq!(draw(&times).unwrap(), "");
    }
}
