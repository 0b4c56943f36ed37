//! Random families as the other implementation's messages. What is drawn is what Catchment shows again: labels in order,
//! no empty ones, buckets up to `+Inf`, native buckets that count something.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use catchment_test_schema::{
    Bucket, EnumOrUnknown, Exemplar, Histogram, LabelPair, MessageField, Metric, MetricFamily, MetricType, Timestamp,
    print,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::native_wire::Native;

/// What the families of a test may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All that protobuf can say.
    Everything,
    /// Values that the text formats can say too: whole counts, and sums that OpenMetrics allows.
    Textual,
}

/// Families that a failed test shows in protobuf's text form.
pub struct Families(pub Vec<MetricFamily>);

impl fmt::Debug for Families {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| write!(formatter, "\n{}", print(family)))
    }
}

/// Families of different names, also when they are escaped.
pub fn families(range: Range) -> impl Strategy<Value = Families> {
    vec(family(range), 1..8).prop_map(|families| {
        let numbered = families.into_iter().enumerate().map(|(number, (name, mut family))| {
            let suffix = match (family.type_(), family.unit()) {
                (MetricType::COUNTER, "") => "_total".to_owned(),
                (MetricType::COUNTER, unit) => format!("_{unit}_total"),
                (_, "") => String::new(),
                (_, unit) => format!("_{unit}"),
            };
            family.set_name(format!("{name}{number}x{suffix}"));
            family
        });
        Families(numbered.collect())
    })
}

const KINDS: [MetricType; 6] = [
    MetricType::COUNTER,
    MetricType::GAUGE,
    MetricType::SUMMARY,
    MetricType::UNTYPED,
    MetricType::HISTOGRAM,
    MetricType::GAUGE_HISTOGRAM,
];

fn family(range: Range) -> impl Strategy<Value = (&'static str, MetricFamily)> {
    let name = select(&["plain", "with.dot", "é", "a b", "quo\"te\\", "_"][..]);
    let help = option::of("[a-z][\\PC\n\\\\\"]{0,9}");
    let unit = option::of(select(&["seconds", "bytes"][..]));
    (name, help, unit, select(&KINDS[..])).prop_flat_map(move |(name, help, unit, kind)| {
        let series = btree_map(labels(), value(kind, range), 1..5);
        series.prop_map(move |series| (name, with_series(help.clone(), unit, kind, series)))
    })
}

fn with_series(
    help: Option<String>,
    unit: Option<&str>,
    kind: MetricType,
    series: BTreeMap<Labels, Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::new();
    family.help = help;
    family.unit = unit.map(str::to_owned);
    family.type_ = Some(EnumOrUnknown::new(kind));
    for (labels, mut metric) in series {
        metric.label = pairs(&labels);
        family.metric.push(metric);
    }
    family
}

type Labels = Vec<(&'static str, String)>;

/// Label sets that stay different when their names are escaped. The names are in order.
fn labels() -> impl Strategy<Value = Labels> {
    const NAMES: [&str; 6] = ["a", "b", "job", "lab.el", "z", "é"];
    (subsequence(&NAMES[..], 0..NAMES.len()), vec("[\\PC\n\\\\\"]{1,6}", NAMES.len()))
        .prop_map(|(names, values)| names.into_iter().zip(values).collect())
}

fn pairs(labels: &Labels) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, String)| {
        let mut pair = LabelPair::new();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    labels.iter().map(pair).collect()
}

/// Any float; of the values that are no number, the one that all formats know.
fn float() -> impl Strategy<Value = f64> {
    let odd = select(&[0.0, -0.0, 1.0, 5e-324, f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN][..]);
    let any = prop::num::f64::ANY.prop_map(|float| if float.is_nan() { f64::NAN } else { float });
    prop_oneof![1 => odd, 2 => any, 1 => (-1000..1000i32).prop_map(f64::from)]
}

fn not_negative() -> impl Strategy<Value = f64> {
    float().prop_map(|float| if float.is_nan() { 1.5 } else { float.abs() })
}

/// A sum that every format can say.
fn sum(range: Range) -> BoxedStrategy<f64> {
    if range == Range::Everything { float().boxed() } else { not_negative().boxed() }
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..5_000_000_000i64, prop_oneof![Just(0), 0..1_000_000_000i32]).prop_map(|(seconds, nanos)| {
        let mut timestamp = Timestamp::new();
        (timestamp.seconds, timestamp.nanos) = (seconds, nanos);
        timestamp
    })
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    (labels(), float(), option::of(timestamp())).prop_map(|(labels, value, timestamp)| {
        let mut exemplar = Exemplar::new();
        exemplar.label = pairs(&labels);
        exemplar.set_value(value);
        exemplar.timestamp = timestamp.map_or_else(MessageField::none, MessageField::some);
        exemplar
    })
}

fn field<T>(value: Option<T>) -> MessageField<T> {
    value.map_or_else(MessageField::none, MessageField::some)
}

fn value(kind: MetricType, range: Range) -> BoxedStrategy<Metric> {
    match kind {
        MetricType::COUNTER => (not_negative(), option::of(exemplar()), option::of(timestamp()))
            .prop_map(|(value, exemplar, created)| {
                let mut metric = Metric::new();
                let counter = metric.counter.mut_or_insert_default();
                counter.set_value(value);
                counter.exemplar = field(exemplar);
                counter.created_timestamp = field(created);
                metric
            })
            .boxed(),
        MetricType::GAUGE => {
            float().prop_map(|value| with(|metric| metric.gauge.mut_or_insert_default().set_value(value))).boxed()
        }
        MetricType::UNTYPED => {
            float().prop_map(|value| with(|metric| metric.untyped.mut_or_insert_default().set_value(value))).boxed()
        }
        MetricType::SUMMARY => (0..1u64 << 53, sum(range), option::of(timestamp()))
            .prop_map(|(count, sum, created)| {
                let mut metric = Metric::new();
                let summary = metric.summary.mut_or_insert_default();
                summary.set_sample_count(count);
                summary.set_sample_sum(sum);
                summary.created_timestamp = field(created);
                metric
            })
            .boxed(),
        MetricType::HISTOGRAM | MetricType::GAUGE_HISTOGRAM => (histogram(range), option::of(timestamp()))
            .prop_map(move |(mut histogram, created)| {
                if kind == MetricType::HISTOGRAM {
                    histogram.created_timestamp = field(created);
                }
                with(|metric| metric.histogram = MessageField::some(histogram))
            })
            .boxed(),
    }
}

fn with(fill: impl FnOnce(&mut Metric)) -> Metric {
    let mut metric = Metric::new();
    fill(&mut metric);
    metric
}

/// Classic, native, or both with one count and one sum.
fn histogram(range: Range) -> impl Strategy<Value = Histogram> {
    (native(range), any::<(bool, bool)>(), btree_set(0..40i32, 0..6), vec(option::of(exemplar()), 7), sum(range))
        .prop_map(|(mut native, (is_native, is_both), bounds, exemplars, sum)| {
            native.sum = sum;
            let mut histogram = native.to_wire();
            if !is_native {
                histogram = without_native(histogram);
                let whole = histogram.sample_count_float.take_if(|count| count.fract() == 0.0);
                histogram.sample_count = histogram.sample_count.or(whole.map(|count| count as u64));
            }
            if is_both || !is_native {
                let is_whole = histogram.sample_count_float.is_none();
                histogram.bucket = classic_buckets(&bounds, native.count(), is_whole, exemplars);
            }
            histogram
        })
}

/// Cumulative buckets that end with all there is.
fn classic_buckets(
    bounds: &BTreeSet<i32>,
    count: f64,
    is_whole: bool,
    exemplars: Vec<Option<Exemplar>>,
) -> Vec<Bucket> {
    let share = count / (bounds.len() + 1) as f64;
    let finite =
        bounds.iter().enumerate().map(|(number, bound)| (f64::from(*bound) / 4.0, share * (number + 1) as f64));
    let all = finite.chain([(f64::INFINITY, count)]).zip(exemplars);
    all.map(|((bound, cumulative), exemplar)| {
        let mut bucket = Bucket::new();
        bucket.set_upper_bound(bound);
        match is_whole {
            true => bucket.set_cumulative_count(cumulative.floor() as u64),
            false => bucket.set_cumulative_count_float(cumulative),
        }
        bucket.exemplar = field(exemplar);
        bucket
    })
    .collect()
}

/// The classic part alone.
pub fn without_native(mut histogram: Histogram) -> Histogram {
    histogram.schema = None;
    histogram.zero_threshold = None;
    histogram.zero_count = None;
    histogram.zero_count_float = None;
    histogram.negative_span.clear();
    histogram.negative_delta.clear();
    histogram.negative_count.clear();
    histogram.positive_span.clear();
    histogram.positive_delta.clear();
    histogram.positive_count.clear();
    histogram.exemplars.clear();
    histogram
}

fn native(range: Range) -> impl Strategy<Value = Native> {
    let buckets = || btree_map(-3000..3000i32, 1..1000u32, 0..12);
    let zero_threshold = select(vec![0.0, 2f64.powi(-128), 0.001, 1.0]);
    // Quarters, so that sums of them are exact.
    let unit = if range == Range::Everything { select(&[1.0, 0.25][..]).boxed() } else { Just(1.0).boxed() };
    (-4..=8i32, zero_threshold, 0..1000u32, buckets(), buckets(), unit).prop_map(
        |(schema, zero_threshold, zero_count, negative, positive, unit)| {
            // Buckets that a float may fall into.
            let most = if schema < 0 { 1024 >> -schema } else { 1024 << schema };
            let in_units = |buckets: BTreeMap<i32, u32>| {
                let buckets: BTreeMap<_, _> = buckets.into_iter().map(|(index, count)| (index % most, count)).collect();
                buckets.into_iter().map(|(index, count)| (index, f64::from(count) * unit)).collect()
            };
            Native {
                schema,
                zero_threshold,
                zero_count: f64::from(zero_count) * unit,
                negative: in_units(negative),
                positive: in_units(positive),
                sum: 0.0,
            }
        },
    )
}
