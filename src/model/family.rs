//! Families: a name with its kind and help, shared by everything that handles the family's series.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::door::Door;
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
    /// A histogram whose counts may fall.
    GaugeHistogram,
    /// Observations with their sum and count, and quantiles that cannot be merged.
    Summary,
    /// Labels that say something of the program; always 1.
    Info,
    /// One series for each state a thing may be in, 1 for those it is in.
    StateSet,
}

impl MetricKind {
    const ALL: [Self; 8] = [
        Self::Untyped,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The word for people; OpenMetrics' and text 0.0.4's too, except for `untyped` and what the latter lacks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untyped => "untyped",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The kind as text 0.0.4 shows it, which has only five.
    pub fn in_text(self) -> Self {
        match self {
            Self::Info | Self::StateSet => Self::Gauge,
            Self::GaugeHistogram => Self::Histogram,
            other => other,
        }
    }

    /// Reads the word of a TYPE line of text 0.0.4, in any case of letters as the reference reader does.
    pub fn from_text(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("unknown") {
            return Some(Self::Untyped);
        }
        let kinds = Self::ALL.into_iter().filter(|kind| kind.in_text() == *kind);
        kinds.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name()))
    }

    /// Reads the word of a TYPE line of OpenMetrics.
    pub fn from_openmetrics(name: &str) -> Option<Self> {
        match name {
            "unknown" => Some(Self::Untyped),
            "untyped" => None,
            other => Self::ALL.into_iter().find(|kind| kind.name() == other),
        }
    }

    /// The samples a family of this kind consists of in text 0.0.4: a suffix to its name, and what the sample is.
    pub fn samples(self) -> &'static [(&'static str, SampleRole)] {
        match self {
            Self::Untyped | Self::Counter | Self::Gauge | Self::Info | Self::StateSet => &[("", SampleRole::Number)],
            Self::Histogram | Self::GaugeHistogram => {
                &[("_bucket", SampleRole::Bucket), ("_sum", SampleRole::Sum), ("_count", SampleRole::Count)]
            }
            Self::Summary => &[("", SampleRole::Quantile), ("_sum", SampleRole::Sum), ("_count", SampleRole::Count)],
        }
    }

    /// The same in OpenMetrics ("Suffixes"), where counters and info have a shorter family name: see [`Self::openmetrics_suffix`].
    pub fn openmetrics_samples(self) -> &'static [(&'static str, SampleRole)] {
        match self {
            Self::Untyped | Self::Gauge | Self::StateSet => &[("", SampleRole::Number)],
            Self::Counter => &[("_total", SampleRole::Number), ("_created", SampleRole::Created)],
            Self::Histogram => &[
                ("_bucket", SampleRole::Bucket),
                ("_sum", SampleRole::Sum),
                ("_count", SampleRole::Count),
                ("_created", SampleRole::Created),
            ],
            Self::GaugeHistogram => {
                &[("_bucket", SampleRole::Bucket), ("_gsum", SampleRole::Sum), ("_gcount", SampleRole::Count)]
            }
            Self::Summary => &[
                ("", SampleRole::Quantile),
                ("_sum", SampleRole::Sum),
                ("_count", SampleRole::Count),
                ("_created", SampleRole::Created),
            ],
            Self::Info => &[("_info", SampleRole::Number)],
        }
    }

    /// The label that tells samples of one series apart; series of this kind have none of that name.
    pub fn position_label(self) -> Option<&'static str> {
        self.samples().iter().find_map(|(_, role)| role.position_label())
    }

    /// What a family's name ends in everywhere but in OpenMetrics: `foo_total` is the OpenMetrics counter `foo`.
    pub fn openmetrics_suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            _ => "",
        }
    }

    /// Whether its series are histograms.
    pub fn is_histogram(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram)
    }

    /// Whether its values tell of now, not of all that was.
    pub fn is_gauge(self) -> bool {
        matches!(self, Self::Gauge | Self::GaugeHistogram | Self::Info | Self::StateSet)
    }

    /// Whether a family of this kind may become `other`: one without a type is settled by a counter's or a gauge's.
    pub fn settles_to(self, other: Self) -> bool {
        self == Self::Untyped && matches!(other, Self::Counter | Self::Gauge | Self::Info | Self::StateSet)
    }

    /// Whether a push that says `other` may mean a family of this kind: text has no words for some kinds.
    pub fn is_called(self, other: Self) -> bool {
        self == other || (self.in_text() == other.in_text() && (self.in_text() == other || other.in_text() == self))
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
    /// When a counter, histogram or summary began to count.
    Created,
}

impl SampleRole {
    /// The label that gives the sample its place in the series.
    pub fn position_label(self) -> Option<&'static str> {
        match self {
            Self::Bucket => Some("le"),
            Self::Quantile => Some("quantile"),
            Self::Number | Self::Sum | Self::Count | Self::Created => None,
        }
    }
}

/// A family that has been pushed. Its name never changes; the kind is settled at most once, help and unit are set at most once.
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
    unit: OnceLock<Box<str>>,
    /// Stored, by door.
    series: [AtomicUsize; Door::ALL.len()],
    /// Pushes on their way that may create some.
    uses: AtomicUsize,
    traits: AtomicU8,
    is_retired: AtomicBool,
    is_declared: AtomicBool,
    has_had_series: AtomicBool,
}

/// What pushes have brought to a family that others must be checked against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyTraits(u8);

impl FamilyTraits {
    /// Series with label names in quotes, which escaping may make equal to others.
    pub const QUOTED_LABELS: Self = Self(1);

    /// Series that came by this door.
    pub fn of_door(door: Door) -> Self {
        Self(2 << door as u8)
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is among these.
    pub fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a series that comes by this door may meet one that is not its own: series of groups may always.
    pub fn may_collide(self, door: Door) -> bool {
        let own = Self::of_door(door);
        door == Door::Replace || self.0 & !own.0 != 0
    }
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
            unit: OnceLock::new(),
            series: Default::default(),
            uses: AtomicUsize::new(0),
            traits: AtomicU8::new(0),
            is_retired: AtomicBool::new(false),
            is_declared: AtomicBool::new(false),
            has_had_series: AtomicBool::new(false),
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

    /// The unit, such as `seconds`; `None` until a push brought one.
    pub fn unit(&self) -> Option<&str> {
        self.unit.get().map(|unit| &**unit)
    }

    /// Sets the unit unless there is one.
    pub fn set_unit(&self, unit: &str) {
        self.unit.get_or_init(|| unit.into());
    }

    /// What pushes have brought.
    pub fn traits(&self) -> FamilyTraits {
        FamilyTraits(self.traits.load(Ordering::Acquire))
    }

    /// Notes what the family has now, or will have.
    pub fn add_traits(&self, traits: FamilyTraits) {
        self.traits.fetch_or(traits.0, Ordering::AcqRel);
    }

    /// Takes a note back: it did not come after all.
    pub fn remove_traits(&self, traits: FamilyTraits) {
        self.traits.fetch_and(!traits.0, Ordering::AcqRel);
    }

    /// Whether the family has left the register: no series is added any more.
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// The family leaves the register.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// Whether the configuration speaks of the family: it is on the page without series too, and stays what it is.
    pub fn is_declared(&self) -> bool {
        self.is_declared.load(Ordering::Acquire)
    }

    /// The configuration speaks of the family.
    pub fn declare(&self) {
        self.is_declared.store(true, Ordering::Release);
    }

    /// Whether its names may be another's, and another kind be its: there is no series of it, and nobody has declared it.
    pub fn binds_nobody(&self) -> bool {
        self.is_empty() && !self.is_declared()
    }

    /// Whether it has no series and none is on its way.
    pub fn is_empty(&self) -> bool {
        // A use ends when its series have been counted, so this order never misses one.
        self.uses() == 0 && self.series() == 0
    }

    /// Stored series on all shards.
    pub fn series(&self) -> usize {
        self.series.iter().map(|of_door| of_door.load(Ordering::Acquire)).sum()
    }

    /// Counts series that a shard has created.
    pub fn add_series(&self, door: Door, created: usize) {
        self.has_had_series.store(true, Ordering::Release);
        self.series[door as usize].fetch_add(created, Ordering::Release);
    }

    /// Discounts series that a shard has removed.
    pub fn remove_series(&self, door: Door, removed: usize) {
        self.series[door as usize].fetch_sub(removed, Ordering::Release);
    }

    /// Doors by which series had come, of which none is left and none is on its way.
    pub fn deserted_doors(&self) -> impl Iterator<Item = Door> {
        let traits = self.traits();
        let has_come = move |door: &Door| traits.contain(FamilyTraits::of_door(*door));
        let is_used = self.uses() > 0;
        let is_left = move |door: &Door| self.series[*door as usize].load(Ordering::Acquire) > 0;
        Door::ALL.into_iter().filter(has_come).filter(move |door| !is_used && !is_left(door))
    }

    /// Whether a series was ever stored.
    pub fn has_had_series(&self) -> bool {
        self.has_had_series.load(Ordering::Acquire)
    }

    /// Pushes on their way to the family's series.
    pub fn uses(&self) -> usize {
        self.uses.load(Ordering::Acquire)
    }
}

/// A family that a push on its way has series of. While there is one, the family stays what it is.
#[derive(Debug)]
pub struct FamilyUse {
    family: Arc<Family>,
}

impl FamilyUse {
    /// Counts a use, until it is dropped.
    pub fn begin(family: &Arc<Family>) -> Self {
        family.uses.fetch_add(1, Ordering::AcqRel);
        Self { family: Arc::clone(family) }
    }

    /// The family itself.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }
}

impl Deref for FamilyUse {
    type Target = Family;

    fn deref(&self) -> &Family {
        &self.family
    }
}

impl Drop for FamilyUse {
    fn drop(&mut self) {
        self.family.uses.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_words_for_types() {
        assert_eq!(MetricKind::from_text("CoUnTeR"), Some(MetricKind::Counter));
        assert_eq!(MetricKind::from_text("unknown"), Some(MetricKind::Untyped));
        assert_eq!(MetricKind::from_text("gaugehistogram"), None);
        assert_eq!(MetricKind::from_openmetrics("gaugehistogram"), Some(MetricKind::GaugeHistogram));
        assert_eq!(MetricKind::from_openmetrics("unknown"), Some(MetricKind::Untyped));
        assert_eq!(MetricKind::from_openmetrics("untyped"), None);
        assert_eq!(MetricKind::from_openmetrics("Counter"), None);
    }

    #[test]
    fn only_an_untyped_family_is_settled() {
        for from in MetricKind::ALL {
            for to in MetricKind::ALL {
                let is_number = to != MetricKind::Untyped && to.samples()[0].1 == SampleRole::Number;
                assert_eq!(from.settles_to(to), from == MetricKind::Untyped && is_number, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn kinds_that_text_cannot_tell_apart_are_one() {
        use MetricKind::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet};
        for (known, pushed, expected) in [
            (Info, Gauge, true),
            (Gauge, Info, true),
            (Gauge, StateSet, true),
            (GaugeHistogram, Histogram, true),
            (Info, StateSet, false),
            (Counter, Gauge, false),
            (Counter, Counter, true),
        ] {
            assert_eq!(known.is_called(pushed), expected, "{known:?} {pushed:?}");
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
