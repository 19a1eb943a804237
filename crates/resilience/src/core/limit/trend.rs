//! Whether more calls at once still get more done.

use std::collections::VecDeque;
use std::time::Duration;

/// Windows that are looked back at.
const WINDOWS: usize = 20;
/// Fewer windows, or ones with nearly the same concurrency, show no relation.
const FEWEST: usize = 10;
const VARIATION: f64 = 0.03;

/// The last windows: the calls at once, the calls per second, and the latency.
///
/// The queue estimate rests on one number, the latency without a queue. This does not,
/// so it notices when that number is wrong.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<[f64; 3]>);

impl Trend {
    pub(super) fn add(&mut self, concurrency: f64, throughput: f64, latency: Duration) {
        if self.0.len() == WINDOWS {
            self.0.pop_front();
        }
        self.0.push_back([concurrency, throughput, latency.as_secs_f64()]);
    }

    /// Whether more at once only means more waiting: the throughput falls, or it does
    /// not follow while the latency does, or it hardly moves at all while the latency
    /// does.
    pub(super) fn is_crowded(&self) -> bool {
        if self.0.len() < FEWEST || self.variation(0) < VARIATION {
            return false;
        }
        let throughput = self.correlation(1);
        let latency = self.correlation(2);
        throughput < 0.0 || (latency > 0.5 && (throughput < 0.3 || self.variation(1) < 0.2))
    }

    /// Pearson's, of the concurrency and `column`; zero where one of them stands still.
    fn correlation(&self, column: usize) -> f64 {
        let (mean_x, mean_y) = (self.mean(0), self.mean(column));
        let sum = |of: &dyn Fn(f64, f64) -> f64| {
            self.0.iter().map(|row| of(row[0] - mean_x, row[column] - mean_y)).sum::<f64>()
        };
        let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
        if spread > 0.0 { sum(&|x, y| x * y) / spread } else { 0.0 }
    }

    /// The standard deviation as a share of the mean.
    fn variation(&self, column: usize) -> f64 {
        let mean = self.mean(column);
        let square = self.0.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>();
        if mean > 0.0 { (square / self.count()).sqrt() / mean } else { 0.0 }
    }

    fn mean(&self, column: usize) -> f64 {
        self.0.iter().map(|row| row[column]).sum::<f64>() / self.count()
    }

    #[expect(clippy::cast_precision_loss, reason = "at most WINDOWS")]
    fn count(&self) -> f64 {
        self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `of` gives for 10 to 29 calls at once.
    fn trend(of: impl Fn(f64) -> (f64, f64)) -> Trend {
        let mut trend = Trend::default();
        for concurrency in 10..30 {
            let (throughput, latency) = of(f64::from(concurrency));
            trend.add(f64::from(concurrency), throughput, Duration::from_secs_f64(latency));
        }
        trend
    }

    #[test]
    fn throughput_that_follows_is_no_crowd() {
        assert!(!trend(|at_once| (at_once * 10.0, 0.1)).is_crowded());
    }

    #[test]
    fn latency_that_follows_instead_of_throughput_is_a_crowd() {
        assert!(trend(|at_once| (100.0, at_once / 100.0)).is_crowded());
        assert!(trend(|at_once| (100.0 + at_once / 10.0, at_once / 100.0)).is_crowded());
    }

    #[test]
    fn throughput_that_falls_is_a_crowd() {
        assert!(trend(|at_once| (200.0 - at_once, 0.1)).is_crowded());
    }

    #[test]
    fn nothing_is_seen_where_nothing_moves_or_in_few_windows() {
        let mut still = Trend::default();
        let mut few = Trend::default();
        let latency = Duration::from_millis(100);
        for window in 0..20_u32 {
            still.add(20.0, 100.0 - f64::from(window), latency * window);
        }
        for window in 0..9_u32 {
            few.add(f64::from(10 + window), 100.0 - f64::from(window), latency);
        }

        assert!(!still.is_crowded());
        assert!(!few.is_crowded());
    }
}
