//! The comparison of endpoints with one another, as in gRFC A50.

use super::{Cause, Settings};

/// Leaves out who succeeds less often than its peers: below the mean share of
/// successes, less `deviations` standard deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// A50 `stdev_factor`. Default 1.9.
    pub deviations: f64,
    /// How many endpoints must have had enough calls. Default 5.
    pub minimum_endpoints: usize,
    /// The calls in one interval that are enough. Default 100.
    pub minimum_calls: u32,
}

/// Leaves out who fails more often than `threshold`, when there are enough others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailurePercentage {
    /// In percent. Default 85.
    pub threshold: f64,
    /// How many endpoints must have had enough calls. Default 5.
    pub minimum_endpoints: usize,
    /// The calls in one interval that are enough. Default 50.
    pub minimum_calls: u32,
}

/// The calls that one endpoint ended in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { deviations: 1.9, minimum_endpoints: 5, minimum_calls: 100 }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self { threshold: 85.0, minimum_endpoints: 5, minimum_calls: 50 }
    }
}

impl Sample {
    fn calls(self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    fn success_rate(self) -> f64 {
        f64::from(self.successes) / f64::from(self.calls().max(1))
    }
}

/// Which of `samples` stand out, by their place among them: the worst first, so that
/// these are left out when not all can be.
pub(crate) fn outliers(settings: &Settings, samples: &[Sample]) -> Vec<(usize, Cause)> {
    let mut found = Vec::new();
    if let Some(rule) = &settings.success_rate {
        let lowest = lowest_success_rate(rule, samples);
        let is_out = |sample: Sample| lowest.is_some_and(|rate| sample.success_rate() < rate);
        collect(&mut found, samples, rule.minimum_calls, Cause::SuccessRate, is_out);
    }
    if let Some(rule) = &settings.failure_percentage {
        let enough = count(samples, rule.minimum_calls) >= rule.minimum_endpoints;
        let is_out =
            |sample: Sample| enough && (1.0 - sample.success_rate()) * 100.0 > rule.threshold;
        collect(&mut found, samples, rule.minimum_calls, Cause::FailurePercentage, is_out);
    }
    found.sort_by(|(a, _), (b, _)| {
        samples[*a].success_rate().total_cmp(&samples[*b].success_rate())
    });
    found
}

/// Adds those that are out and were not found before.
fn collect(
    found: &mut Vec<(usize, Cause)>,
    samples: &[Sample],
    minimum_calls: u32,
    cause: Cause,
    is_out: impl Fn(Sample) -> bool,
) {
    for (index, sample) in samples.iter().enumerate() {
        let known = found.iter().any(|(known, _)| *known == index);
        if !known && sample.calls() >= minimum_calls && is_out(*sample) {
            found.push((index, cause));
        }
    }
}

fn count(samples: &[Sample], minimum_calls: u32) -> usize {
    samples.iter().filter(|sample| sample.calls() >= minimum_calls).count()
}

/// `None` if too few endpoints had enough calls.
#[expect(clippy::cast_precision_loss, reason = "a number of endpoints")]
fn lowest_success_rate(rule: &SuccessRate, samples: &[Sample]) -> Option<f64> {
    let rates: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.calls() >= rule.minimum_calls)
        .map(|sample| sample.success_rate())
        .collect();
    if rates.len() < rule.minimum_endpoints.max(1) {
        return None;
    }
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    Some(mean - rule.deviations * variance.sqrt())
}
