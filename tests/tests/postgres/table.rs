//! What came of the faults.

use std::time::Duration;

use tests::{Distribution, tell};

/// What came of a fault.
pub(crate) struct Found {
    pub(crate) took: Duration,
    pub(crate) lost: usize,
}

/// What came of all faults of a kind.
#[derive(Default)]
struct Sum {
    took: Distribution,
    lost: usize,
    most: usize,
}

/// What came of all faults, in the order in which they first were.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, Sum)>);

impl Table {
    pub(crate) fn add(&mut self, what: &str, found: &Found) {
        let place = self.0.iter().position(|(name, _)| name == what);
        let place = place.unwrap_or_else(|| {
            self.0.push((what.to_owned(), Sum::default()));
            self.0.len() - 1
        });
        let (_, sum) = &mut self.0[place];
        sum.took.add(found.took);
        sum.lost += found.lost;
        sum.most = sum.most.max(found.lost);
    }

    /// Takes in the rows of another one, of a pair that was so.
    pub(crate) fn append(&mut self, other: Self, so: &str) {
        let rows = other.0.into_iter();
        self.0
            .extend(rows.map(|(what, sum)| (format!("{what}, {so}"), sum)));
    }

    /// Tells all of it, if there is anything.
    pub(crate) fn tell(&self) {
        if self.0.is_empty() {
            return;
        }
        let mut table =
            "| | n | to the next acknowledged row, ms: least | median | p90 | greatest | lost | most in one |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|"
                .to_owned();
        for (what, sum) in &self.0 {
            let ms = |percent| sum.took.percentile(percent).as_millis();
            let times = [0, 50, 90, 100].map(|percent| ms(percent).to_string());
            table += &format!(
                "\n| {what} | {} | {} | {} | {} |",
                sum.took.count(),
                times.join(" | "),
                sum.lost,
                sum.most
            );
        }
        tell(&table);
    }
}
