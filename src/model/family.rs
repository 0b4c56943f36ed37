//! Families: a name with its kind and help, shared by everything that handles the family's series.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use super::name::exposed_metric_name;

/// What the samples of a family mean; the TYPE of the exposition formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetricKind {
    /// Nothing is known: added up, as a counter. Also called `unknown`.
    Untyped,
    /// A sum that only grows.
    Counter,
    /// A value that comes and goes.
    Gauge,
    /// Observations counted by bucket.
    Histogram,
    /// Observations with their sum and count, and quantiles that cannot be merged.
    Summary,
}

impl MetricKind {
    const ALL: [Self; 5] = [Self::Untyped, Self::Counter, Self::Gauge, Self::Histogram, Self::Summary];

    /// The word of text 0.0.4.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untyped => "untyped",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// Reads the word of a TYPE line, in any case of letters as the reference reader does.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("unknown") {
            return Some(Self::Untyped);
        }
        Self::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name()))
    }

    /// The samples a family of this kind consists of: a suffix to its name, and what the sample is.
    pub fn samples(self) -> &'static [(&'static str, SampleRole)] {
        match self {
            Self::Untyped | Self::Counter | Self::Gauge => &[("", SampleRole::Number)],
            Self::Histogram => {
                &[("_bucket", SampleRole::Bucket), ("_sum", SampleRole::Sum), ("_count", SampleRole::Count)]
            }
            Self::Summary => &[("", SampleRole::Quantile), ("_sum", SampleRole::Sum), ("_count", SampleRole::Count)],
        }
    }

    /// Whether a family of this kind may become `other`: one without a type is settled by a counter's or a gauge's.
    pub fn settles_to(self, other: Self) -> bool {
        self == Self::Untyped && matches!(other, Self::Counter | Self::Gauge)
    }
}

/// What one sample is to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleRole {
    /// The value of a counter, gauge or untyped series.
    Number,
    /// A cumulative histogram bucket; the label `le` is its upper bound.
    Bucket,
    /// A quantile of a summary; the label `quantile` says which.
    Quantile,
    /// The sum of a histogram's or summary's observations.
    Sum,
    /// The number of a histogram's or summary's observations.
    Count,
}

impl SampleRole {
    /// The label that gives the sample its place in the series.
    pub fn position_label(self) -> Option<&'static str> {
        match self {
            Self::Bucket => Some("le"),
            Self::Quantile => Some("quantile"),
            Self::Number | Self::Sum | Self::Count => None,
        }
    }
}

/// A family that has been pushed. Its name never changes; the kind is settled at most once, the help set at most once.
#[derive(Debug)]
pub struct Family {
    /// Dense index: families are numbered in the order they came.
    pub id: u32,
    /// The name as pushed.
    pub name: Box<str>,
    /// The name for readers that know legacy names only; unique among all families.
    pub exposed_name: Box<str>,
    kind: AtomicU8,
    help: OnceLock<Box<str>>,
    series: AtomicUsize,
    has_quoted_labels: AtomicBool,
}

impl Family {
    /// A family without help and without series.
    pub fn new(id: u32, name: &str, kind: MetricKind) -> Self {
        Self {
            id,
            name: name.into(),
            exposed_name: exposed_metric_name(name).into(),
            kind: AtomicU8::new(kind as u8),
            help: OnceLock::new(),
            series: AtomicUsize::new(0),
            has_quoted_labels: AtomicBool::new(false),
        }
    }

    /// The kind as it is known now.
    pub fn kind(&self) -> MetricKind {
        let stored = self.kind.load(Ordering::Acquire);
        MetricKind::ALL.into_iter().find(|kind| *kind as u8 == stored).unwrap_or(MetricKind::Untyped)
    }

    /// Gives a family that was untyped its kind.
    pub fn settle(&self, kind: MetricKind) {
        self.kind.store(kind as u8, Ordering::Release);
    }

    /// The help text, unescaped; `None` until a push brought one.
    pub fn help(&self) -> Option<&str> {
        self.help.get().map(|help| &**help)
    }

    /// Sets the help unless there is one. Returns whether the family's help is now `help`.
    pub fn set_help(&self, help: &str) -> bool {
        **self.help.get_or_init(|| help.into()) == *help
    }

    /// Whether a push has brought series with label names in quotes, which escaping may make equal to others.
    pub fn has_quoted_labels(&self) -> bool {
        self.has_quoted_labels.load(Ordering::Acquire)
    }

    /// Notes whether the family has such series, or will have.
    pub fn note_quoted_labels(&self, has_quoted_labels: bool) {
        self.has_quoted_labels.store(has_quoted_labels, Ordering::Release);
    }

    /// Stored series on all shards.
    pub fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// Counts series that a shard has created.
    pub fn add_series(&self, created: usize) {
        self.series.fetch_add(created, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_in_any_case() {
        assert_eq!(MetricKind::from_name("CoUnTeR"), Some(MetricKind::Counter));
        assert_eq!(MetricKind::from_name("unknown"), Some(MetricKind::Untyped));
        assert_eq!(MetricKind::from_name("gaugehistogram"), None);
    }

    #[test]
    fn only_an_untyped_family_is_settled() {
        for from in MetricKind::ALL {
            for to in MetricKind::ALL {
                let expected = from == MetricKind::Untyped && matches!(to, MetricKind::Counter | MetricKind::Gauge);
                assert_eq!(from.settles_to(to), expected, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn the_first_help_stays() {
        let family = Family::new(0, "a", MetricKind::Counter);
        assert_eq!(family.help(), None);
        assert!(family.set_help("first"));
        assert!(!family.set_help("second"));
        assert_eq!(family.help(), Some("first"));
    }
}
