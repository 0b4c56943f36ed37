//! What a series holds. Plain data: the rules that change it are in `aggregate`, the formats in `exposition`.

use std::sync::Arc;

use super::sketch::Sketch;
use super::timestamp::Timestamp;

/// Milliseconds on the monotonic clock, counted from the start of the process.
pub type Millis = u64;

/// The value of one stored series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter, an untyped series, or a gauge that needs no memory of the past.
    Number(f64),
    /// A counter that came with more than its value.
    Counter(Box<Counter>),
    /// An aggregated number of which only what was pushed lately is shown.
    Window(Box<GaugeWindow>),
    /// A histogram: classic, native, or both.
    Histogram(Box<Histogram>),
    /// A summary.
    Summary(Box<Summary>),
}

/// A counter with what only OpenMetrics and protobuf tell of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counter {
    /// The sum.
    pub value: f64,
    /// When counting began.
    pub created: Option<Timestamp>,
    /// The newest.
    pub exemplar: Option<Exemplar>,
}

/// One observation behind a counter or a bucket, such as a trace ("Exemplars" in the OpenMetrics specification).
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Canonical label text.
    pub labels: Box<str>,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: Option<Timestamp>,
}

impl Exemplar {
    /// Characters that the names and values of an exemplar's labels may have together (OpenMetrics 1.0, "Exemplars").
    pub const MOST_CHARACTERS: usize = 128;
}

/// One cumulative bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Inclusive upper bound, the label `le`; never NaN.
    pub bound: f64,
    /// Observations at or below the bound. A float: float histograms exist, and whole counts are exact below 2^53.
    pub count: f64,
}

/// A histogram. Pushed data may disagree with itself, so count and `+Inf` bucket are kept apart; what was not
/// pushed is absent. Sum and count are those of all observations, classic and native.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Classic buckets by ascending bound, each bound once.
    pub buckets: Vec<Bucket>,
    /// Sum of the observations.
    pub sum: Option<f64>,
    /// Number of the observations.
    pub count: Option<f64>,
    /// When counting began.
    pub created: Option<Timestamp>,
    /// The newest exemplar of each classic bucket that has one, by ascending bound.
    pub exemplars: Vec<BucketExemplar>,
    /// The native buckets.
    pub native: Option<Box<NativeHistogram>>,
}

impl Histogram {
    /// Memory held besides the histogram itself.
    pub fn bytes(&self) -> usize {
        let native = self.native.as_deref();
        let native_exemplars = native.map(|native| &native.exemplars[..]).unwrap_or_default();
        let exemplars = self.exemplars.iter().map(|bucket| &bucket.exemplar).chain(native_exemplars);
        size_of_val(&self.buckets[..])
            + size_of_val(&self.exemplars[..])
            + size_of_val(native_exemplars)
            + exemplars.map(|exemplar| exemplar.labels.len()).sum::<usize>()
            + native.map_or(0, |native| {
                size_of_val(native) + size_of_val(&native.negative[..]) + size_of_val(&native.positive[..])
            })
    }
}

/// The exemplar of a classic bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketExemplar {
    /// The bucket's bound.
    pub bound: f64,
    /// An observation that the bucket counts.
    pub exemplar: Exemplar,
}

/// A native histogram: buckets whose bounds grow exponentially. Bucket `i` of schema `n` counts observations above
/// `base^(i-1)` and up to `base^i`, where `base` is `2^(2^-n)`; negative buckets mirror that ("Native Histograms" in the
/// Prometheus documentation).
///
/// Counts are floats: whole ones are exact below 2^53.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Resolution, from [`NativeHistogram::COARSEST`] to [`NativeHistogram::FINEST`].
    pub schema: i32,
    /// Observations of at most this size, of either sign, are in the zero bucket. Not negative, finite.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Buckets below zero by ascending index; none is empty.
    pub negative: Vec<NativeBucket>,
    /// Buckets above zero, alike.
    pub positive: Vec<NativeBucket>,
    /// Observations that came with native buckets.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Exemplars, oldest first.
    pub exemplars: Vec<Exemplar>,
}

impl NativeHistogram {
    /// The least schema: a bucket spans 16 powers of two.
    pub const COARSEST: i32 = -4;
    /// The greatest schema: 256 buckets for each power of two.
    pub const FINEST: i32 = 8;

    /// The indices that a schema has: from the bucket of the least float to the one beyond the greatest, which takes infinity.
    pub fn indices(schema: i32) -> std::ops::RangeInclusive<i32> {
        const LEAST_EXPONENT: i32 = -1074;
        const GREATEST_EXPONENT: i32 = 1024;
        let schema = schema.clamp(Self::COARSEST, Self::FINEST);
        let scaled = |exponent: i32| if schema < 0 { exponent >> -schema } else { exponent << schema };
        scaled(LEAST_EXPONENT)..=scaled(GREATEST_EXPONENT) + 1
    }
}

/// One bucket of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeBucket {
    /// Which one; within [`NativeHistogram::indices`].
    pub index: i32,
    /// Observations in this bucket alone; above zero.
    pub count: f64,
}

/// A quantile of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// Which one, from 0 to 1 if it is a sound one; never NaN; the label `quantile`.
    pub quantile: f64,
    /// The value at or below which that part of the observations lies.
    pub value: f64,
}

/// A summary. Pushed quantiles cannot be merged, so there are none where summaries are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// By ascending quantile, each once.
    pub quantiles: Vec<Quantile>,
    /// Sum of the observations.
    pub sum: Option<f64>,
    /// Number of the observations.
    pub count: Option<f64>,
    /// When counting began.
    pub created: Option<Timestamp>,
    /// What was observed lately, if quantiles are read from that.
    pub window: Option<Box<QuantileWindow>>,
}

/// Which quantiles a summary of observations shows.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileRule {
    /// From 0 to 1, ascending.
    pub quantiles: Arc<[f64]>,
    /// How long observations count; above zero.
    pub window: Millis,
}

/// The recent past of a summary in [`QuantileWindow::SLICES`] slices.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileWindow {
    /// What it shows.
    pub rule: QuantileRule,
    /// By ascending number; at most `SLICES + 1`, none without an observation.
    pub slices: Vec<SketchSlice>,
}

impl QuantileWindow {
    /// The window slides by a fifth of its length. A slice takes about 1.3 kB if its observations are within a factor of 12, 16 kB if they
    /// are of both signs and of every size; it is kept until it is observed again.
    pub const SLICES: u64 = 5;
}

/// What was observed within one slice of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct SketchSlice {
    /// Number of the slice since the start of the process.
    pub number: u64,
    /// The observations.
    pub sketch: Sketch,
}

impl Summary {
    /// Memory held besides the summary itself.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.quantiles[..])
    }
}

/// What was pushed to a gauge within one slice of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Number of the slice since the start of the process; slices are `window / SLICES` long.
    pub number: u64,
    /// Number of values.
    pub pushes: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
}

/// What a gauge shows when several pushes, or several sources, set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GaugePolicy {
    /// The newest value.
    Last,
    /// The sum of all values.
    Sum,
    /// The least value within the window, or of the sources that live.
    Min,
    /// The greatest value, alike.
    Max,
    /// The mean of the values, alike.
    Mean,
}

/// A gauge policy with the length of its window. Gauges under `Last`, and mostly those under `Sum`, have no use for the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GaugeRule {
    /// Which of the values is shown.
    pub policy: GaugePolicy,
    /// Above zero.
    pub window: Millis,
}

/// The recent past of a gauge in [`GaugeWindow::SLICES`] slices, so that old values leave without each being kept.
#[derive(Clone, Debug, PartialEq)]
pub struct GaugeWindow {
    /// What it shows.
    pub rule: GaugeRule,
    /// By ascending number; at most `SLICES + 1`, none without a push.
    pub slices: Vec<Slice>,
}

impl GaugeWindow {
    /// The window slides by a twelfth of its length.
    pub const SLICES: u64 = 12;
}
