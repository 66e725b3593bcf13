//! The percentile text that plotters of HdrHistogram read: values in milliseconds.
//!
//! Invariant: the columns are those of `outputPercentileDistribution` in HdrHistogram's Java original, five steps to
//! each half of the distance to 100 %.
//! Not here: refusals, which are quick and would hide how long answers take.

use std::fmt::Write;

use super::Results;

/// Steps for each half of the distance to 100 %.
const STEPS: u32 = 5;

impl Results {
    /// The percentiles of everything together.
    pub fn hgrm(&self) -> String {
        let histogram = self.total().times.histogram();
        let mut out = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let mut total = 0;
        for step in histogram.iter_quantiles(STEPS) {
            total += step.count_since_last_iteration();
            let (value, quantile) = (step.value_iterated_to() as f64 / 1e3, step.quantile_iterated_to());
            let _ = write!(out, "{value:>12.3} {quantile:>2.12} {total:>10}");
            if quantile < 1.0 {
                let _ = write!(out, " {:>14.2}", 1.0 / (1.0 - quantile));
            }
            out.push('\n');
        }
        let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
        let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
        let (max, count) = (histogram.max() as f64 / 1e3, histogram.len());
        let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {count:>12}]");
        let (buckets, sub) = (histogram.buckets(), 2_048);
        let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub:>12}]");
        out
    }
}
