//! Observations against naive twins.

use super::*;
use proptest::prelude::*;

fn buckets(value: &Value) -> Vec<(f64, f64)> {
    let Value::Histogram(histogram) = value else { panic!("a histogram: {value:?}") };
    histogram.buckets.iter().map(|bucket| (bucket.bound, bucket.count)).collect()
}

fn to_buckets(bounds: &[f64]) -> ObservationRule {
    ObservationRule::Buckets(Some(bounds.into()))
}

const INF: f64 = f64::INFINITY;

#[test]
fn the_first_observation_decides_on_the_buckets() {
    let mut value = first_observed(&[1.2], &to_buckets(&[1.0, 2.0, INF]), 0);
    observe(&mut value, &[0.5, 7.0], &ObservationRule::Buckets(None), 0);
    assert_eq!(buckets(&value), [(1.0, 1.0), (2.0, 2.0), (INF, 3.0)]);
    // Others are merged on the union of the bounds.
    observe(&mut value, &[1.2], &to_buckets(&[1.5, INF]), 0);
    assert_eq!(buckets(&value), [(1.0, 1.0), (1.5, 2.0), (2.0, 3.0), (INF, 4.0)]);
    let Value::Histogram(histogram) = value else { unreachable!("see above") };
    assert_eq!((histogram.sum, histogram.count), (Some(1.2 + 7.5 + 1.2), Some(4.0)));
}

#[test]
fn nobody_said_which_buckets() {
    let value = first_observed(&[0.005, 10.5], &ObservationRule::Buckets(None), 0);
    let counts: Vec<f64> = buckets(&value).into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [[1.0; 14].as_slice(), &[2.0]].concat());
}

#[test]
fn pushed_histograms_take_observations_as_they_are() {
    let bucket = |bound, count| Bucket { bound, count };
    let pushed =
        Histogram { buckets: vec![bucket(1.0, 2.0)], sum: Some(1.0), count: Some(3.0), ..Histogram::default() };
    let mut value = Value::Histogram(Box::new(pushed));
    observe(&mut value, &[5.0], &ObservationRule::Buckets(None), 0);
    assert_eq!(buckets(&value), [(1.0, 2.0), (INF, 4.0)]);
    let mut bare = Value::Histogram(Box::default());
    observe(&mut bare, &[5.0], &ObservationRule::Buckets(None), 0);
    assert_eq!(buckets(&bare).len(), DEFAULT_BOUNDS.len());
    let mut other = Value::Number(7.0);
    observe(&mut other, &[5.0], &ObservationRule::Buckets(None), 0);
    assert_eq!(other, bare);
}

#[test]
fn native_histograms_take_observations() {
    let native = NativeHistogram { schema: 0, zero_threshold: 0.001, ..NativeHistogram::default() };
    let mut value = Value::Histogram(Box::new(Histogram { native: Some(Box::new(native)), ..Histogram::default() }));
    observe(&mut value, &[0.0, 1.0, 1.5, 2.0, -3.0, INF], &ObservationRule::Buckets(None), 0);
    let Value::Histogram(histogram) = value else { unreachable!("see above") };
    let native = histogram.native.expect("still native");
    let of = |buckets: &[NativeBucket]| buckets.iter().map(|bucket| (bucket.index, bucket.count)).collect::<Vec<_>>();
    assert_eq!(of(&native.positive), [(0, 1.0), (1, 2.0), (1025, 1.0)]);
    assert_eq!(of(&native.negative), [(2, 1.0)]);
    assert_eq!((native.zero_count, native.count, histogram.buckets.len()), (1.0, 6.0, 0));
}

#[test]
fn quantiles_are_of_what_was_observed_lately() {
    let rule = QuantileRule { quantiles: [0.0, 0.5, 1.0].into(), window: 5000 };
    let rule = ObservationRule::Quantiles(Some(rule));
    let mut value = first_observed(&[1.0, 2.0, 3.0], &rule, 0);
    observe(&mut value, &[100.0], &rule, 4000);
    let shown = |value: &Value, now| {
        let Value::Summary(summary) = value else { panic!("a summary: {value:?}") };
        let shown = shown_summary(summary, summary.window.as_ref().expect("a window"), now);
        assert_eq!((shown.sum, shown.count), (Some(106.0), Some(4.0)));
        shown.quantiles.iter().map(|quantile| quantile.value.round()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&value, 4000), [1.0, 2.0, 100.0]);
    assert_eq!(shown(&value, 6000), [100.0, 100.0, 100.0]);
    assert!(shown(&value, 60_000).iter().all(|quantile| quantile.is_nan()));
    observe(&mut value, &[], &ObservationRule::Quantiles(None), 4000);
    let Value::Summary(summary) = value else { unreachable!("see above") };
    assert_eq!(summary.window, None, "the rule has gone");
}

#[test]
fn another_rule_begins_a_new_window() {
    let rule = |window| ObservationRule::Quantiles(Some(QuantileRule { quantiles: [0.5].into(), window }));
    let mut value = first_observed(&[1.0], &rule(1000), 0);
    observe(&mut value, &[9.0], &rule(2000), 0);
    let Value::Summary(summary) = &value else { unreachable!("see above") };
    let window = summary.window.as_ref().expect("a window");
    assert!((window.slices[0].sketch.quantile(0.5) / 9.0 - 1.0).abs() < Sketch::ERROR);
    assert_eq!(summary.count, Some(2.0));
}

proptest! {
    #[test]
    fn observations_are_counted_as_pushed_buckets_are_added(
        groups in prop::collection::vec((prop::collection::vec(-5i32..15, 0..6), prop::collection::btree_set(-3i32..12, 0..5)), 1..6),
    ) {
        let mut value = Value::Histogram(Box::default());
        let mut twin = Histogram::default();
        for (observations, bounds) in groups {
            let observations: Vec<f64> = observations.into_iter().map(f64::from).collect();
            let bounds: Vec<f64> = bounds.into_iter().map(f64::from).chain([INF]).collect();
            observe(&mut value, &observations, &to_buckets(&bounds), 0);
            // Each as a push of its own.
            let within = |bound: f64| observations.iter().filter(|observation| **observation <= bound).count() as f64;
            let pushed = Histogram {
                buckets: bounds.iter().map(|bound| Bucket { bound: *bound, count: within(*bound) }).collect(),
                sum: Some(observations.iter().sum()),
                count: Some(observations.len() as f64),
                ..Histogram::default()
            };
            add_histogram(&mut twin, pushed);
        }
        prop_assert_eq!(value, Value::Histogram(Box::new(twin)));
    }

    #[test]
    fn native_buckets_hold_what_lies_between_their_bounds(schema in -4i32..=8, exponent in -300.0f64..300.0) {
        let size = exponent.exp2();
        let mut native = NativeHistogram { schema, ..NativeHistogram::default() };
        count_native(&mut native, size);
        let index = f64::from(native.positive[0].index);
        let base = (-f64::from(schema)).exp2();
        prop_assert!(exponent <= index * base + 1e-9 && exponent >= (index - 1.0) * base - 1e-9, "{exponent} in {index}");
    }
}
