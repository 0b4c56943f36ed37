//! What a series holds. Plain data: the rules that change it are in `aggregate`, the formats in `exposition`.

/// Milliseconds on the monotonic clock, counted from the start of the process.
pub type Millis = u64;

/// The value of one stored series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter, an untyped series, or a gauge that needs no memory of the past.
    Number(f64),
    /// A gauge under `min`, `max` or `mean`.
    Window(Box<GaugeWindow>),
    /// A classic histogram.
    Histogram(Box<Histogram>),
    /// A summary.
    Summary(Box<Summary>),
}

/// One cumulative bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Inclusive upper bound, the label `le`; never NaN.
    pub bound: f64,
    /// Observations at or below the bound. A float: float histograms exist, and whole counts are exact below 2^53.
    pub count: f64,
}

/// A classic histogram. Pushed data may disagree with itself, so count and `+Inf` bucket are kept apart; what was not
/// pushed is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// By ascending bound, each bound once.
    pub buckets: Vec<Bucket>,
    /// Sum of the observations.
    pub sum: Option<f64>,
    /// Number of the observations.
    pub count: Option<f64>,
}

/// A summary without its quantiles, which cannot be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Sum of the observations.
    pub sum: Option<f64>,
    /// Number of the observations.
    pub count: Option<f64>,
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

/// The recent past of a gauge in [`GaugeWindow::SLICES`] slices, so that old values leave without each being kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GaugeWindow {
    /// By ascending number; at most `SLICES + 1`, none without a push.
    pub slices: Vec<Slice>,
}

impl GaugeWindow {
    /// The window slides by a twelfth of its length.
    pub const SLICES: u64 = 12;
}
