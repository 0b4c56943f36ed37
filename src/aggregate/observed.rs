//! Single observations taken into what is stored: into the buckets of a histogram, into the sum and count of a summary, and into
//! the sketches that its quantiles are read from.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::{MOST_NATIVE_BUCKETS, add_histogram, add_present, limit_buckets, slice_number};
use crate::model::sketch::Sketch;
use crate::model::value::{
    Bucket, Histogram, Millis, NativeBucket, NativeHistogram, Quantile, QuantileRule, QuantileWindow, SketchSlice,
    Summary, Value,
};

/// What observations are taken into.
#[derive(Clone, Debug, PartialEq)]
pub enum ObservationRule {
    /// A histogram with these bucket bounds: ascending, the last one infinite. If none are said, those that it has, or
    /// [`DEFAULT_BOUNDS`] if it has none.
    Buckets(Option<Arc<[f64]>>),
    /// A summary with these quantiles, if any.
    Quantiles(Option<QuantileRule>),
}

/// The bucket bounds of a histogram of which nobody has said any: durations of requests, in seconds.
pub const DEFAULT_BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, f64::INFINITY];

/// A new series' value after its first observations.
pub fn first_observed(observations: &[f64], rule: &ObservationRule, now: Millis) -> Value {
    match rule {
        ObservationRule::Buckets(bounds) => {
            Value::Histogram(Box::new(histogram_of(observations, bounds.as_deref().unwrap_or(&DEFAULT_BOUNDS))))
        }
        ObservationRule::Quantiles(quantiles) => {
            let mut summary = Summary { sum: Some(0.0), count: Some(0.0), ..Summary::default() };
            add_to_summary(&mut summary, observations, quantiles.as_ref(), now);
            Value::Summary(Box::new(summary))
        }
    }
}

/// Takes observations in. A stored value of another shape gives way.
pub fn observe(stored: &mut Value, observations: &[f64], rule: &ObservationRule, now: Millis) {
    match (stored, rule) {
        (Value::Histogram(histogram), ObservationRule::Buckets(bounds)) => {
            add_to_histogram(histogram, observations, bounds.as_deref());
        }
        (Value::Summary(summary), ObservationRule::Quantiles(quantiles)) => {
            add_to_summary(summary, observations, quantiles.as_ref(), now);
        }
        (stored, rule) => *stored = first_observed(observations, rule, now),
    }
}

fn histogram_of(observations: &[f64], bounds: &[f64]) -> Histogram {
    let buckets = bounds.iter().map(|bound| Bucket { bound: *bound, count: 0.0 }).collect();
    let mut histogram = Histogram { buckets, sum: Some(0.0), count: Some(0.0), ..Histogram::default() };
    count(&mut histogram, observations);
    histogram
}

fn add_to_histogram(histogram: &mut Histogram, observations: &[f64], bounds: Option<&[f64]>) {
    let has_bounds = |bounds: &[f64]| bounds.iter().copied().eq(histogram.buckets.iter().map(|bucket| bucket.bound));
    let is_native = histogram.buckets.is_empty() && histogram.native.is_some();
    let other_bounds = match bounds {
        Some(bounds) => Some(bounds).filter(|bounds| !has_bounds(bounds)),
        None => (histogram.buckets.is_empty() && !is_native).then_some(&DEFAULT_BOUNDS[..]),
    };
    if let Some(bounds) = other_bounds {
        add_histogram(histogram, histogram_of(observations, bounds));
    } else {
        if let Some(last) = histogram.buckets.last().filter(|last| last.bound != f64::INFINITY) {
            let count = histogram.count.unwrap_or(last.count);
            histogram.buckets.push(Bucket { bound: f64::INFINITY, count });
        }
        count(histogram, observations);
    }
    if let Some(native) = &mut histogram.native {
        observations.iter().for_each(|observation| count_native(native, *observation));
        limit_buckets(native, MOST_NATIVE_BUCKETS);
    }
}

/// Counts observations in the classic buckets that they are in, and all of them.
fn count(histogram: &mut Histogram, observations: &[f64]) {
    let mut counts: SmallVec<[f64; 32]> = smallvec![0.0; histogram.buckets.len()];
    for observation in observations {
        let lowest = histogram.buckets.partition_point(|bucket| bucket.bound < *observation);
        counts.get_mut(lowest).into_iter().for_each(|count| *count += 1.0);
        histogram.sum = add_present(histogram.sum, Some(*observation));
    }
    let mut below = 0.0;
    for (bucket, count) in histogram.buckets.iter_mut().zip(counts) {
        below += count;
        bucket.count += below;
    }
    histogram.count = add_present(histogram.count, Some(observations.len() as f64));
}

/// The same in native buckets. Rounding may take an observation that lies within one part in 10^15 of a bound for its neighbour.
fn count_native(native: &mut NativeHistogram, observation: f64) {
    native.count += 1.0;
    native.sum += observation;
    let size = observation.abs();
    if size <= native.zero_threshold {
        native.zero_count += 1.0;
        return;
    }
    let indices = NativeHistogram::indices(native.schema);
    let index = (size.log2() * f64::from(native.schema).exp2()).ceil();
    let index = (index as i32).clamp(*indices.start(), *indices.end());
    let buckets = if observation < 0.0 { &mut native.negative } else { &mut native.positive };
    match buckets.binary_search_by_key(&index, |bucket| bucket.index) {
        Ok(at) => buckets[at].count += 1.0,
        Err(at) => buckets.insert(at, NativeBucket { index, count: 1.0 }),
    }
}

fn add_to_summary(summary: &mut Summary, observations: &[f64], rule: Option<&QuantileRule>, now: Millis) {
    summary.sum = add_present(summary.sum, Some(observations.iter().sum()));
    summary.count = add_present(summary.count, Some(observations.len() as f64));
    let Some(rule) = rule else {
        summary.window = None;
        return;
    };
    if summary.window.as_ref().is_none_or(|window| window.rule != *rule) {
        summary.window = Some(Box::new(QuantileWindow { rule: rule.clone(), slices: Vec::new() }));
    }
    if let Some(window) = &mut summary.window {
        let sketch = current_slice(window, now);
        observations.iter().for_each(|observation| sketch.add(*observation));
    }
}

/// The sketch of `now`. Slices that have left the window are forgotten.
fn current_slice(window: &mut QuantileWindow, now: Millis) -> &mut Sketch {
    let number = slice_number(now, window.rule.window, QuantileWindow::SLICES);
    window.slices.retain(|slice| is_within(slice, number));
    // Clocks of shards never run backwards, but a push may have waited while another went by.
    let at = match window.slices.iter().position(|slice| slice.number >= number) {
        Some(at) => at,
        None => {
            window.slices.push(SketchSlice { number, sketch: Sketch::new() });
            window.slices.len() - 1
        }
    };
    &mut window.slices[at].sketch
}

fn is_within(slice: &SketchSlice, current: u64) -> bool {
    slice.number + QuantileWindow::SLICES >= current
}

/// What a summary shows at `now` whose quantiles are those of a window: NaN where nothing was observed within it.
pub fn shown_summary(summary: &Summary, window: &QuantileWindow, now: Millis) -> Summary {
    let number = slice_number(now, window.rule.window, QuantileWindow::SLICES);
    let mut all = Sketch::new();
    window.slices.iter().filter(|slice| is_within(slice, number)).for_each(|slice| all.merge(&slice.sketch));
    let quantile = |quantile: &f64| Quantile { quantile: *quantile, value: all.quantile(*quantile) };
    let quantiles = window.rule.quantiles.iter().map(quantile).collect();
    Summary { quantiles, window: None, ..summary.clone() }
}

#[cfg(test)]
mod tests;
