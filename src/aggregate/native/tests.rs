use super::*;
use crate::model::timestamp::Timestamp;
use proptest::prelude::*;

const MOST: usize = 1000;

type Pairs = &'static [(i32, f64)];

fn buckets(pairs: &[(i32, f64)]) -> Vec<NativeBucket> {
    pairs.iter().map(|&(index, count)| NativeBucket { index, count }).collect()
}

fn bucket_total(histogram: &NativeHistogram) -> f64 {
    let side = |buckets: &[NativeBucket]| buckets.iter().map(|bucket| bucket.count).sum::<f64>();
    histogram.zero_count + side(&histogram.negative) + side(&histogram.positive)
}

fn bucket_number(histogram: &NativeHistogram) -> usize {
    histogram.negative.len() + histogram.positive.len()
}

/// The count is the total, the sum of observations the same number.
fn histogram(schema: i32, zero_threshold: f64, zero_count: f64, negative: Pairs, positive: Pairs) -> NativeHistogram {
    let (negative, positive) = (buckets(negative), buckets(positive));
    counted(NativeHistogram { schema, zero_threshold, zero_count, negative, positive, ..NativeHistogram::default() })
}

fn counted(mut histogram: NativeHistogram) -> NativeHistogram {
    histogram.count = bucket_total(&histogram);
    histogram.sum = histogram.count;
    histogram
}

fn sum_of(one: &NativeHistogram, other: &NativeHistogram) -> NativeHistogram {
    let mut sum = one.clone();
    add_native(&mut sum, other.clone(), MOST);
    sum
}

/// Numbers that the code of the Prometheus server gave, but for the last case, where it depends on the order.
#[test]
fn histograms_are_added_as_the_server_adds_them() {
    let quarter = 2f64.powf(0.25);
    let apart = |threshold, zero_count, positive| histogram(0, threshold, zero_count, &[], positive);
    let spread: Pairs = &[(-3, 1.0), (-2, 2.0), (-1, 3.0), (0, 4.0), (1, 3.0)];
    let gapped: Pairs = &[(-3, 1.0), (-2, 2.0), (0, 4.0), (1, 3.0)];
    let pushed: Pairs = &[(0, 1.0), (1, 2.0)];
    let cases = [
        (
            "another resolution",
            histogram(2, 0.001, 1.0, &[], &[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 3.0), (8, 1.0)]),
            histogram(0, 0.001, 2.0, &[], &[(0, 1.0), (1, 4.0), (2, 2.0)]),
            histogram(0, 0.001, 3.0, &[], &[(0, 1.0), (1, 14.0), (2, 6.0)]),
        ),
        (
            "negative indexes",
            histogram(3, 0.0, 0.0, &[], &[(-3, 1.0), (-2, 2.0), (-1, 3.0), (0, 2.0), (1, 2.0)]),
            histogram(1, 0.0, 0.0, &[], &[(-1, 1.0), (0, 2.0)]),
            histogram(1, 0.0, 0.0, &[], &[(-1, 1.0), (0, 10.0), (1, 2.0)]),
        ),
        (
            "a wider zero bucket, at a bound",
            apart(0.001, 2.0, spread),
            apart(0.25, 5.0, pushed),
            apart(0.25, 10.0, &[(-1, 3.0), (0, 5.0), (1, 5.0)]),
        ),
        (
            "a zero bucket that ends within a populated bucket",
            apart(0.001, 2.0, spread),
            apart(0.3, 5.0, pushed),
            apart(0.5, 13.0, &[(0, 5.0), (1, 5.0)]),
        ),
        (
            "a zero bucket that ends within an empty bucket",
            apart(0.001, 2.0, gapped),
            apart(0.3, 5.0, pushed),
            apart(0.3, 10.0, &[(0, 5.0), (1, 5.0)]),
        ),
        (
            "a bucket that only the finer resolution can tell from the zero bucket",
            apart(quarter, 5.0, &[(2, 3.0)]),
            histogram(2, 0.0, 1.0, &[], &[(1, 10.0), (2, 20.0)]),
            apart(quarter, 16.0, &[(1, 20.0), (2, 3.0)]),
        ),
        (
            "a populated bucket below zero widens, which takes from both sides",
            histogram(0, 0.001, 0.0, &[(-1, 1.0), (0, 1.0)], &[(-1, 1.0), (0, 1.0)]),
            histogram(1, 0.3, 1.0, &[(-1, 7.0), (1, 1.0)], &[]),
            histogram(0, 0.5, 3.0, &[(0, 8.0), (1, 1.0)], &[(0, 1.0)]),
        ),
        (
            "both widen in turn",
            histogram(0, 0.3, 1.0, &[], &[(0, 1.0), (1, 1.0)]),
            histogram(-1, 0.25, 1.0, &[(0, 2.0)], &[(1, 4.0)]),
            histogram(-1, 1.0, 5.0, &[], &[(1, 5.0)]),
        ),
    ];
    for (name, one, other, expected) in cases {
        assert_eq!(sum_of(&one, &other), expected, "{name}");
        assert_eq!(sum_of(&other, &one), expected, "{name}, the other way round");
    }
}

#[test]
fn equal_thresholds_leave_buckets_within_the_zero_bucket_alone() {
    let overlapping = histogram(0, 4.0, 1.0, &[], &[(0, 1.0), (1, 1.0)]);
    assert_eq!(sum_of(&overlapping, &overlapping), histogram(0, 4.0, 2.0, &[], &[(0, 2.0), (1, 2.0)]));
}

/// The server's table of bounds is in places a few units in the last place away from ours.
#[test]
fn a_threshold_almost_at_a_bound_is_at_the_bound() {
    let exact = 0.5f64.sqrt();
    for threshold in [exact.next_down().next_down(), exact.next_down(), exact, exact.next_up().next_up()] {
        let one = histogram(1, 0.0, 1.0, &[], &[(-1, 2.0), (0, 4.0)]);
        let sum = sum_of(&one, &histogram(1, threshold, 0.0, &[], &[]));
        assert_eq!((sum.zero_threshold, sum.zero_count, sum.positive), (threshold, 3.0, buckets(&[(0, 4.0)])));
    }
}

#[test]
fn bounds_are_exact_powers_of_two_and_the_same_in_every_schema() {
    for power in -1074..1024 {
        // The bits of a float tell its power; subnormal ones have a single bit set.
        let expected = if power < -1022 { f64::from_bits(1 << (power + 1074)) } else { 2f64.powi(power) };
        for schema in 0..=NativeHistogram::FINEST {
            assert_eq!(bound(i64::from(power) << schema, schema), expected, "2^{power} in schema {schema}");
        }
    }
    for index in -3000..3000 {
        for schema in 1..=NativeHistogram::FINEST {
            assert_eq!(bound(index, schema - 1), bound(index * 2, schema));
        }
    }
    for (index, schema, expected) in [
        (64, -4, f64::MAX),
        (65, -4, f64::INFINITY),
        (1024, 0, f64::MAX),
        (262_144, 8, f64::MAX),
        (262_145, 8, f64::INFINITY),
        (i64::from(i32::MAX), 8, f64::INFINITY),
        (i64::from(i32::MIN), 8, 0.0),
        (1, 1, 2f64.sqrt()),
    ] {
        assert_eq!(bound(index, schema), expected, "{index} in schema {schema}");
    }
}

#[test]
fn the_resolution_is_lowered_as_far_as_needed() {
    let cases: &[(usize, i32, usize)] =
        &[(20_000, 8, 20_000), (10_000, 7, 10_000), (100, 0, 80), (10, -3, 10), (9, -4, 6), (0, -4, 6)];
    let side: Vec<_> = (1..=10_000).map(|index| NativeBucket { index, count: 1.0 }).collect();
    for &(most, schema, number) in cases {
        let mut histogram =
            NativeHistogram { schema: 8, negative: side.clone(), positive: side.clone(), ..Default::default() };
        limit_buckets(&mut histogram, most);
        assert_eq!((histogram.schema, bucket_number(&histogram)), (schema, number), "{most} buckets");
        assert_eq!(bucket_total(&histogram), 20_000.0);
    }
    let mut limited = histogram(1, 0.0, 0.0, &[], &[(1, 1.0), (3, 1.0)]);
    add_native(&mut limited, histogram(1, 0.0, 0.0, &[], &[(2, 1.0), (4, 1.0)]), 2);
    assert_eq!(limited, histogram(0, 0.0, 0.0, &[], &[(1, 2.0), (2, 2.0)]));
}

#[test]
fn extremes_do_not_panic() {
    let ends: Pairs = &[(i32::MIN, 1.0), (0, 1.0), (i32::MAX, 1.0)];
    let thresholds = [0.0, f64::from_bits(1), 1.0, f64::MAX, f64::INFINITY, f64::NAN, -1.0];
    for (one, other) in thresholds.iter().flat_map(|one| thresholds.iter().map(move |other| (*one, *other))) {
        for (schema, other_schema) in [(8, 8), (8, -4), (-4, 0), (i32::MAX, i32::MIN)] {
            let mut sum = histogram(schema, one, 1.0, ends, ends);
            add_native(&mut sum, histogram(other_schema, other, 1.0, ends, ends), MOST);
            assert_eq!((bucket_total(&sum), sum.count), (14.0, 14.0), "{one} + {other}");
        }
    }
    let mut coarse = histogram(8, 0.0, 0.0, ends, ends);
    limit_buckets(&mut coarse, 0);
    assert_eq!((coarse.schema, bucket_total(&coarse)), (NativeHistogram::COARSEST, 6.0));
}

#[test]
fn the_newest_exemplars_are_kept() {
    let exemplar = |(seconds, value): (Option<i64>, f64)| Exemplar {
        labels: "".into(),
        value,
        timestamp: seconds.map(|seconds| Timestamp { seconds, nanos: 0 }),
    };
    let exemplars = |list: &[(Option<i64>, f64)]| list.iter().map(|one| exemplar(*one)).collect::<Vec<_>>();
    let mut stored = exemplars(&[(None, 0.0), (Some(1), 1.0), (Some(4), 2.0)]);
    add_exemplars(&mut stored, exemplars(&[(Some(3), 3.0), (None, 4.0), (Some(1), 5.0)]));
    let order = [(None, 0.0), (None, 4.0), (Some(1), 1.0), (Some(1), 5.0), (Some(3), 3.0), (Some(4), 2.0)];
    assert_eq!(stored, exemplars(&order), "those of the same time by arrival");
    let pushed: Vec<_> = (2..10).map(|seconds| (Some(seconds), 6.0)).collect();
    add_exemplars(&mut stored, exemplars(&pushed));
    assert_eq!(stored.len(), MOST_NATIVE_EXEMPLARS);
    assert_eq!(stored[..2], exemplars(&[(Some(2), 6.0), (Some(3), 3.0)]));
}

fn any_buckets(indexes: std::ops::Range<i32>) -> impl Strategy<Value = Vec<NativeBucket>> {
    proptest::collection::btree_map(indexes, 1u8..20, 0..12)
        .prop_map(|map| map.into_iter().map(|(index, count)| NativeBucket { index, count: count.into() }).collect())
}

/// Bounds of several schemas, and what is between them.
fn any_threshold() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), (-40i64..40, 0i32..4).prop_map(|(index, schema)| bound(index, schema)), 0.001f64..9.0]
}

fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
    (-4i32..=8).prop_flat_map(|schema| {
        let reach = if schema > 0 { 8 << schema.min(4) } else { 4 };
        (any_threshold(), 0u8..9, any_buckets(-reach..reach), any_buckets(-reach..reach)).prop_map(
            move |(zero_threshold, zero_count, negative, positive)| {
                let zero_count = zero_count.into();
                counted(NativeHistogram {
                    schema,
                    zero_threshold,
                    zero_count,
                    negative,
                    positive,
                    ..Default::default()
                })
            },
        )
    })
}

/// What the server does, bucket by bucket and bound by bound.
fn widen_naively(histogram: &mut NativeHistogram, mut threshold: f64) {
    let schema = histogram.schema;
    let (lower, upper) = (|index: i32| bound(i64::from(index) - 1, schema), |index: i32| bound(index.into(), schema));
    let all = [histogram.negative.as_slice(), &histogram.positive].concat();
    while let Some(bucket) =
        all.iter().find(|bucket| lower(bucket.index) < threshold && threshold < upper(bucket.index))
    {
        threshold = upper(bucket.index);
    }
    for side in [&mut histogram.negative, &mut histogram.positive] {
        histogram.zero_count +=
            side.iter().filter(|bucket| upper(bucket.index) <= threshold).map(|bucket| bucket.count).sum::<f64>();
        side.retain(|bucket| lower(bucket.index) >= threshold);
    }
    histogram.zero_threshold = threshold;
}

/// The bucket of a schema that encloses a bucket of a finer one.
fn enclosing(bucket: NativeBucket, from: i32, to: i32) -> i32 {
    let (lower, upper) = (bound(i64::from(bucket.index) - 1, from), bound(bucket.index.into(), from));
    let encloses = |index: &i32| bound(i64::from(*index) - 1, to) <= lower && upper <= bound((*index).into(), to);
    (-1000..1000).find(encloses).expect("every bucket is within a coarser one")
}

fn reduce_naively(buckets: &[NativeBucket], from: i32, to: i32) -> Vec<NativeBucket> {
    let mut joined = std::collections::BTreeMap::new();
    for bucket in buckets {
        *joined.entry(enclosing(*bucket, from, to)).or_insert(0.0) += bucket.count;
    }
    joined.into_iter().map(|(index, count)| NativeBucket { index, count }).collect()
}

fn assert_in_order(histogram: &NativeHistogram) {
    for side in [&histogram.negative, &histogram.positive] {
        assert!(side.windows(2).all(|pair| pair[0].index < pair[1].index), "{side:?}");
    }
}

proptest! {
    #[test]
    fn a_sum_counts_every_observation_once(one in any_histogram(), other in any_histogram(), most in 0usize..30) {
        let mut sum = one.clone();
        add_native(&mut sum, other.clone(), most);
        prop_assert_eq!(sum.count, one.count + other.count);
        prop_assert_eq!(bucket_total(&sum), sum.count);
        prop_assert!(bucket_number(&sum) <= most || sum.schema == NativeHistogram::COARSEST);
        prop_assert!(sum.schema <= one.schema.min(other.schema));
        prop_assert!(sum.zero_threshold >= one.zero_threshold.max(other.zero_threshold));
        assert_in_order(&sum);
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order(one in any_histogram(), other in any_histogram()) {
        prop_assert_eq!(sum_of(&one, &other), sum_of(&other, &one));
    }

    #[test]
    fn sums_of_like_zero_buckets_associate(a in any_histogram(), mut b in any_histogram(), mut c in any_histogram()) {
        b.zero_threshold = a.zero_threshold;
        c.zero_threshold = a.zero_threshold;
        prop_assert_eq!(sum_of(&sum_of(&a, &b), &c), sum_of(&a, &sum_of(&b, &c)));
    }

    #[test]
    fn an_empty_histogram_adds_nothing(one in any_histogram()) {
        let empty = NativeHistogram { schema: one.schema, zero_threshold: one.zero_threshold, ..Default::default() };
        prop_assert_eq!(sum_of(&one, &empty), one.clone());
        prop_assert_eq!(sum_of(&empty, &one), one);
    }

    #[test]
    fn a_zero_bucket_widens_as_bounds_tell(one in any_histogram(), threshold in any_threshold()) {
        let threshold = threshold.max(one.zero_threshold);
        let (mut widened, mut expected) = (one.clone(), one);
        widen_zero_bucket(&mut widened, threshold);
        widen_naively(&mut expected, threshold);
        prop_assert_eq!(widened, expected);
    }

    #[test]
    fn a_lower_resolution_joins_buckets_as_bounds_tell(one in any_histogram(), to in -4i32..=8) {
        let mut reduced = one.clone();
        reduce_schema(&mut reduced, to);
        if to >= one.schema {
            prop_assert_eq!(reduced, one);
        } else {
            prop_assert_eq!(&reduced.positive, &reduce_naively(&one.positive, one.schema, to));
            prop_assert_eq!(&reduced.negative, &reduce_naively(&one.negative, one.schema, to));
            prop_assert_eq!((reduced.schema, bucket_total(&reduced)), (to, bucket_total(&one)));
        }
    }

    #[test]
    fn a_limit_is_kept_with_the_finest_schema_that_allows_it(one in any_histogram(), most in 0usize..30) {
        let mut limited = one.clone();
        limit_buckets(&mut limited, most);
        prop_assert_eq!(bucket_total(&limited), bucket_total(&one));
        prop_assert!(bucket_number(&limited) <= most || limited.schema == NativeHistogram::COARSEST);
        if limited.schema < one.schema {
            let mut finer = one;
            reduce_schema(&mut finer, limited.schema + 1);
            prop_assert!(bucket_number(&finer) > most);
        }
    }
}
