//! What one push carries: series of some kinds with fixed values, so that every push adds the same to the page's sums
//! and a body is rendered once. All sums are exact in floats.

use std::collections::BTreeMap;

use clap::ValueEnum;

/// Upper bounds of a histogram's buckets, without `+Inf`.
pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// What a push adds to each bucket, cumulative.
pub const BUCKETS: [u64; 11] = [0, 1, 2, 4, 8, 13, 17, 19, 20, 20, 21];
/// Observations of a histogram or summary in one push.
pub const COUNT: u64 = 22;
/// Their sum.
pub const SUM: f64 = 28.25;
/// Quantiles of a summary, and their values.
pub const QUANTILES: [(f64, f64); 3] = [(0.5, 0.25), (0.9, 2.0), (0.99, 12.5)];

/// What kind of series pushes carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Counters alone.
    Counters,
    /// Gauges alone.
    Gauges,
    /// Histograms of twelve buckets.
    Histogram,
    /// Native histograms of twenty buckets; in text their sum and count alone.
    NativeHistogram,
    /// Summaries of three quantiles.
    Summary,
    /// Of ten series six counters, two gauges, a histogram and a summary.
    Mixed,
}

/// A series' kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Adds up.
    Counter,
    /// Is replaced.
    Gauge,
    /// Adds up, bucket by bucket.
    Histogram,
    /// The same, with buckets that its schema gives.
    NativeHistogram,
    /// Its sum and count add up.
    Summary,
}

/// All kinds, in the order of their families in a body.
pub const KINDS: [Kind; 5] = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::NativeHistogram, Kind::Summary];

impl Kind {
    /// The family's name, as text has it. All begin with [`PREFIX`].
    pub fn family(self) -> &'static str {
        match self {
            Kind::Counter => "load_requests_total",
            Kind::Gauge => "load_queue_depth",
            Kind::Histogram => "load_request_seconds",
            Kind::NativeHistogram => "load_wait_seconds",
            Kind::Summary => "load_response_bytes",
        }
    }

    /// The word behind `# TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram | Kind::NativeHistogram => "histogram",
            Kind::Summary => "summary",
        }
    }

    /// Lines that a series has in text.
    fn samples(self) -> usize {
        match self {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => BOUNDS.len() + 3,
            Kind::NativeHistogram => 3,
            Kind::Summary => QUANTILES.len() + 2,
        }
    }
}

/// What the names of all families begin with.
pub const PREFIX: &str = "load_";

/// What pushes carry.
#[derive(Clone, Debug)]
pub struct Content {
    /// Which kinds.
    pub shape: Shape,
    /// Series in one push; a histogram or summary is one series.
    pub series: usize,
    /// The value of the label `run`, by which a run's series are found again. No character of it needs an escape.
    pub run: String,
    /// Whether each pusher has series of its own, by a label `pusher`.
    pub is_own: bool,
    /// The part of the series that is replaced by new ones each second, by a label `generation`.
    pub churn: f64,
}

/// A series of one push.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which of the pushers.
    pub pusher: u64,
    /// Which of the push's series.
    pub index: usize,
    /// Tenths of a second since the start.
    pub step: u64,
}

/// Steps of a second: how often churning bodies are rendered anew.
pub const STEPS_PER_SECOND: u64 = 10;

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const CODES: [&str; 5] = ["200", "201", "204", "404", "500"];

impl Content {
    /// The kind of a push's series.
    pub fn kind(&self, index: usize) -> Kind {
        match self.shape {
            Shape::Counters => Kind::Counter,
            Shape::Gauges => Kind::Gauge,
            Shape::Histogram => Kind::Histogram,
            Shape::NativeHistogram => Kind::NativeHistogram,
            Shape::Summary => Kind::Summary,
            Shape::Mixed => match index % 10 {
                0..6 => Kind::Counter,
                6..8 => Kind::Gauge,
                8 => Kind::Histogram,
                _ => Kind::Summary,
            },
        }
    }

    /// A push's series of a kind.
    pub fn indices(&self, kind: Kind) -> impl Iterator<Item = usize> {
        (0..self.series).filter(move |index| self.kind(*index) == kind)
    }

    /// Lines that a push has in text, but for comments.
    pub fn samples(&self) -> usize {
        (0..self.series).map(|index| self.kind(index).samples()).sum()
    }

    /// A series' labels. All series of a run have the same names: one gateway asks for it.
    pub fn labels(&self, place: Place) -> Vec<(&'static str, String)> {
        let Place { pusher, index, step } = place;
        let mut labels = vec![
            ("run", self.run.clone()),
            ("handler", format!("/api/v1/items/{index:06}")),
            ("method", METHODS[index % METHODS.len()].to_owned()),
            ("code", CODES[index % CODES.len()].to_owned()),
            ("zone", "eu-central-1".to_owned()),
        ];
        if self.is_own {
            labels.push(("pusher", pusher.to_string()));
        }
        if self.churn > 0.0 {
            labels.push(("generation", self.generation(index, step).to_string()));
        }
        labels
    }

    /// How often a series has been replaced by a new one. Series take turns, so that each second brings about equally many.
    fn generation(&self, index: usize, step: u64) -> u64 {
        let turn = index as f64 / self.series as f64;
        (self.churn * step as f64 / STEPS_PER_SECOND as f64 + turn) as u64
    }

    /// What a push brings to a counter, and what it sets a gauge to.
    pub fn value(index: usize) -> u64 {
        1 + index as u64 % 7
    }

    /// What one push adds to the page, by the keys of [`crate::verify`]. Gauges add nothing.
    pub fn totals(&self) -> BTreeMap<String, f64> {
        let mut totals = BTreeMap::new();
        let mut add = |key: String, value: f64| *totals.entry(key).or_insert(0.0) += value;
        for index in 0..self.series {
            let kind = self.kind(index);
            let family = kind.family();
            match kind {
                Kind::Counter => add(family.to_owned(), Content::value(index) as f64),
                Kind::Gauge => {}
                Kind::Histogram | Kind::NativeHistogram | Kind::Summary => {
                    add(format!("{family}_sum"), SUM);
                    add(format!("{family}_count"), COUNT as f64);
                }
            }
            if kind == Kind::Histogram {
                let buckets = BOUNDS.iter().zip(BUCKETS).chain([(&f64::INFINITY, COUNT)]);
                buckets.for_each(|(bound, count)| add(format!("{family}_bucket le={bound}"), count as f64));
            }
        }
        totals
    }
}

/// A number that looks random, for choices that a seed repeats.
pub fn scrambled(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(series: usize, churn: f64) -> Content {
        Content { shape: Shape::Mixed, series, run: "r".into(), is_own: false, churn }
    }

    #[test]
    fn each_second_replaces_the_part_that_was_asked_for() {
        for (churn, seconds) in [(0.1, 30), (0.5, 10), (1.0, 5), (2.0, 5)] {
            let content = content(100, churn);
            let series = |step| (0..100).map(|index| content.generation(index, step)).sum::<u64>();
            let replaced = series(seconds * STEPS_PER_SECOND) - series(0);
            let expected = 100.0 * churn * seconds as f64;
            assert!((replaced as f64 - expected).abs() <= 1.0, "{churn}: {replaced} for {expected}");
        }
    }

    #[test]
    fn totals_are_of_all_series() {
        let totals = content(10, 0.0).totals();
        assert_eq!(totals["load_requests_total"], (1 + 2 + 3 + 4 + 5 + 6) as f64);
        assert_eq!(totals["load_request_seconds_bucket le=0.25"], 13.0);
        assert_eq!(totals["load_request_seconds_bucket le=inf"], 22.0);
        assert_eq!(totals["load_response_bytes_sum"], 28.25);
        assert!(!totals.contains_key("load_queue_depth"));
        assert_eq!(content(10, 0.0).samples(), 6 + 2 + 14 + 5);
    }

    #[test]
    fn only_moving_series_have_a_generation() {
        let place = Place { pusher: 7, index: 3, step: 0 };
        let names = |content: &Content| content.labels(place).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&content(10, 0.0)), ["run", "handler", "method", "code", "zone"]);
        let own = Content { is_own: true, ..content(10, 0.1) };
        assert_eq!(names(&own)[5..], ["pusher", "generation"]);
    }
}
