use super::*;
use crate::aggregate::{add_histogram, add_summary};
use crate::model::value::{BucketExemplar, Exemplar};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn at(seconds: i64) -> Option<Timestamp> {
    Timestamp::new(seconds, 0)
}

fn is_same(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan())
}

#[test]
fn numbers_count_their_growth_or_wholly() {
    let cases = [
        (0.0, 0.0, 0.0),
        (0.0, 7.0, 7.0),
        (5.0, 7.5, 2.5),
        (5.0, 5.0, 0.0),
        (5.0, 4.0, 4.0),
        (5.0, 0.0, 0.0),
        (5.0, INF, INF),
        (INF, INF, 0.0),
        (INF, 3.0, 3.0),
        (5.0, NAN, 0.0),
        (NAN, NAN, 0.0),
        (NAN, 5.0, 5.0),
        (-3.0, -1.0, 2.0),
    ];
    for (last, pushed, expected) in cases {
        assert_eq!(number_increment(last, pushed), expected, "{last} then {pushed}");
        assert_eq!(counter_increment((last, None), (pushed, at(1))), expected, "{last} then {pushed}");
    }
}

#[test]
fn a_newer_created_timestamp_is_a_restart() {
    let cases = [
        (at(1), at(2), 7.0),
        (at(2), at(2), 2.0),
        (at(2), at(1), 2.0),
        (None, at(2), 2.0),
        (at(1), None, 2.0),
        (at(1), Timestamp::new(1, 1), 7.0),
    ];
    for (last, pushed, expected) in cases {
        assert_eq!(counter_increment((5.0, last), (7.0, pushed)), expected, "{last:?} then {pushed:?}");
        let part = |value, created| Summary { sum: Some(value), count: Some(value), created, ..Summary::default() };
        assert_eq!(summary_increment(&part(5.0, last), &part(7.0, pushed)), part(expected, pushed));
        let part = |value, created| Histogram { count: Some(value), created, ..Histogram::default() };
        assert_eq!(histogram_increment(&part(5.0, last), &part(7.0, pushed)), part(expected, pushed));
    }
    assert_eq!(counter_increment((5.0, at(1)), (NAN, at(2))), 0.0);
}

#[test]
fn summaries_restart_as_a_whole() {
    type Parts = (Option<f64>, Option<f64>);
    // Sum and count each.
    let cases: &[(Parts, Parts, Parts)] = &[
        ((Some(10.0), Some(2.0)), (Some(15.0), Some(3.0)), (Some(5.0), Some(1.0))),
        ((Some(10.0), Some(2.0)), (Some(10.0), Some(2.0)), (Some(0.0), Some(0.0))),
        ((Some(10.0), Some(2.0)), (Some(15.0), Some(1.0)), (Some(15.0), Some(1.0))),
        ((Some(10.0), Some(2.0)), (Some(9.0), Some(3.0)), (Some(9.0), Some(3.0))),
        ((Some(10.0), Some(2.0)), (Some(-9.0), Some(3.0)), (Some(-19.0), Some(1.0))),
        ((Some(-10.0), Some(2.0)), (Some(-12.0), Some(3.0)), (Some(-2.0), Some(1.0))),
        ((Some(-10.0), Some(2.0)), (Some(-12.0), Some(1.0)), (Some(-12.0), Some(1.0))),
        ((None, Some(2.0)), (Some(15.0), Some(3.0)), (Some(15.0), Some(1.0))),
        ((Some(10.0), None), (Some(15.0), Some(3.0)), (Some(5.0), Some(3.0))),
        ((Some(10.0), Some(2.0)), (None, Some(3.0)), (None, Some(3.0))),
        ((Some(10.0), Some(2.0)), (Some(15.0), None), (Some(15.0), None)),
        ((Some(INF), Some(2.0)), (Some(INF), Some(3.0)), (Some(0.0), Some(1.0))),
        ((Some(INF), Some(2.0)), (Some(9.0), Some(3.0)), (Some(9.0), Some(3.0))),
        ((Some(-INF), Some(2.0)), (Some(9.0), Some(3.0)), (Some(9.0), Some(3.0))),
        ((Some(10.0), Some(2.0)), (Some(NAN), Some(3.0)), (Some(NAN), Some(1.0))),
        ((Some(NAN), Some(2.0)), (Some(NAN), Some(3.0)), (Some(NAN), Some(1.0))),
        ((Some(NAN), Some(2.0)), (Some(9.0), Some(3.0)), (Some(9.0), Some(3.0))),
        ((Some(10.0), Some(NAN)), (Some(12.0), Some(3.0)), (Some(12.0), Some(3.0))),
    ];
    for (last, pushed, expected) in cases {
        let summary = |(sum, count): Parts| Summary { sum, count, ..Summary::default() };
        let got = summary_increment(&summary(*last), &summary(*pushed));
        let is_expected = match (got.sum, expected.0) {
            (Some(got), Some(expected)) => is_same(got, expected),
            (got, expected) => got == expected,
        };
        assert!(is_expected && got.count == expected.1, "{last:?} then {pushed:?}: {got:?}");
    }
}

type Pairs<'a> = &'a [(f64, f64)];

fn classic(pairs: Pairs<'_>) -> Histogram {
    let buckets = pairs.iter().map(|&(bound, count)| Bucket { bound, count }).collect();
    Histogram { buckets, ..Histogram::default() }
}

#[test]
fn classic_buckets_tell_of_restarts() {
    let cases: &[(&str, Pairs<'_>, Pairs<'_>, Pairs<'_>)] = &[
        ("growth", &[(1.0, 1.0), (INF, 2.0)], &[(1.0, 3.0), (INF, 5.0)], &[(1.0, 2.0), (INF, 3.0)]),
        ("nothing new", &[(1.0, 1.0), (INF, 2.0)], &[(1.0, 1.0), (INF, 2.0)], &[(1.0, 0.0), (INF, 0.0)]),
        ("the first", &[], &[(1.0, 3.0)], &[(1.0, 3.0)]),
        ("none any more", &[(1.0, 3.0)], &[], &[]),
        ("a cumulative bucket fell", &[(1.0, 2.0), (INF, 2.0)], &[(1.0, 1.0), (INF, 9.0)], &[(1.0, 1.0), (INF, 9.0)]),
        ("a single bucket fell", &[(1.0, 1.0), (INF, 9.0)], &[(1.0, 8.0), (INF, 9.0)], &[(1.0, 8.0), (INF, 9.0)]),
        ("fractions fall by rounding", &[(1.0, 0.5), (2.0, 2.0)], &[(1.0, 1.5), (2.0, 2.5)], &[(1.0, 1.0), (2.0, 0.5)]),
        ("beyond exact", &[(1.0, 1.0), (2.0, 1e16)], &[(1.0, 5.0), (2.0, 1e16)], &[(1.0, 4.0), (2.0, 0.0)]),
        ("another bound", &[(1.0, 1.0), (INF, 2.0)], &[(2.0, 3.0), (INF, 5.0)], &[(2.0, 3.0), (INF, 5.0)]),
        ("a bound more", &[(1.0, 1.0)], &[(1.0, 3.0), (2.0, 5.0)], &[(1.0, 3.0), (2.0, 5.0)]),
        ("a bound less", &[(1.0, 1.0), (INF, 2.0)], &[(1.0, 3.0)], &[(1.0, 3.0)]),
        ("+Inf is new", &[(1.0, 1.0)], &[(1.0, 3.0), (INF, 5.0)], &[(1.0, 2.0), (INF, 4.0)]),
        ("+Inf is new, and lower", &[(1.0, 4.0)], &[(1.0, 3.0), (INF, 5.0)], &[(1.0, 3.0), (INF, 5.0)]),
        ("infinity", &[(1.0, 1.0), (INF, INF)], &[(1.0, 3.0), (INF, INF)], &[(1.0, 2.0), (INF, 0.0)]),
        ("not a number", &[(1.0, NAN), (INF, 2.0)], &[(1.0, 3.0), (INF, 5.0)], &[(1.0, 3.0), (INF, 5.0)]),
    ];
    for (name, last, pushed, expected) in cases {
        assert_eq!(histogram_increment(&classic(last), &classic(pushed)), classic(expected), "{name}");
    }
}

#[test]
fn a_fallen_sum_is_a_restart_unless_observations_may_be_negative() {
    let summed = |sum: f64, buckets: Pairs<'_>, native: Option<NativeHistogram>| Histogram {
        sum: Some(sum),
        count: Some(3.0),
        native: native.map(Box::new),
        ..classic(buckets)
    };
    let native = |negative: &[(i32, f64)]| {
        let negative = negative.iter().map(|&(index, count)| NativeBucket { index, count }).collect();
        Some(NativeHistogram { negative, ..NativeHistogram::default() })
    };
    let zero_bucket =
        |zero_threshold, zero_count| Some(NativeHistogram { zero_threshold, zero_count, ..Default::default() });
    let cases: &[(&str, Histogram, f64, f64)] = &[
        ("nothing says so", summed(9.0, &[(1.0, 3.0)], None), 7.0, 7.0),
        ("a negative sum", summed(9.0, &[(1.0, 3.0)], None), -7.0, -16.0),
        ("an empty negative bucket", summed(9.0, &[(-1.0, 0.0), (1.0, 3.0)], None), 7.0, 7.0),
        ("a negative bucket", summed(9.0, &[(-1.0, 1.0), (1.0, 3.0)], None), 7.0, -2.0),
        ("a bucket up to zero", summed(9.0, &[(0.0, 1.0), (1.0, 3.0)], None), 7.0, -2.0),
        ("no native buckets below zero", summed(9.0, &[], native(&[])), 7.0, 7.0),
        ("native buckets below zero", summed(9.0, &[], native(&[(1, 1.0)])), 7.0, -2.0),
        ("small observations", summed(9.0, &[], zero_bucket(1.0, 2.0)), 7.0, -2.0),
        ("too few small observations", summed(9.0, &[], zero_bucket(1.0, 1.0)), 7.0, 7.0),
        ("observations of zero", summed(9.0, &[], zero_bucket(0.0, 9.0)), 7.0, 7.0),
    ];
    for (name, last, sum, expected) in cases {
        let pushed = Histogram { sum: Some(*sum), ..last.clone() };
        let increment = histogram_increment(last, &pushed);
        assert_eq!(increment.sum, Some(*expected), "{name}");
        let is_restart = expected == sum;
        assert_eq!(increment.count, Some(if is_restart { 3.0 } else { 0.0 }), "{name}: restarts as a whole");
    }
}

type NativePairs = &'static [(i32, f64)];

fn native(schema: i32, zero_threshold: f64, zero_count: f64, positive: NativePairs) -> Histogram {
    let positive: Vec<_> = positive.iter().map(|&(index, count)| NativeBucket { index, count }).collect();
    let count = zero_count + positive.iter().map(|bucket| bucket.count).sum::<f64>();
    let native =
        NativeHistogram { schema, zero_threshold, zero_count, positive, count, sum: count, ..Default::default() };
    Histogram { native: Some(Box::new(native)), ..Histogram::default() }
}

#[test]
fn native_buckets_tell_of_restarts() {
    let last = native(1, 0.25, 2.0, &[(1, 3.0), (2, 4.0), (5, 1.0)]);
    let grown: NativePairs = &[(1, 3.0), (2, 6.0), (3, 1.0), (5, 1.0)];
    let cases = [
        ("growth", native(1, 0.25, 3.0, grown), native(1, 0.25, 1.0, &[(2, 2.0), (3, 1.0)])),
        ("nothing new", last.clone(), native(1, 0.25, 0.0, &[])),
        ("a coarser schema", native(0, 0.25, 2.0, &[(1, 8.0), (3, 1.0)]), native(0, 0.25, 0.0, &[(1, 1.0)])),
        ("a wider zero bucket", native(1, 2f64.sqrt(), 6.0, &[(2, 4.0), (5, 1.0)]), native(1, 2f64.sqrt(), 1.0, &[])),
        ("both", native(0, 2.0, 9.0, &[(3, 4.0)]), native(0, 2.0, 0.0, &[(3, 3.0)])),
    ];
    for (name, pushed, expected) in cases {
        assert_eq!(histogram_increment(&last, &pushed), expected, "{name}");
    }
    let restarts = [
        ("a finer schema", native(2, 0.25, 9.0, &[(1, 9.0), (2, 9.0), (4, 9.0), (9, 9.0)])),
        ("a narrower zero bucket", native(1, 0.125, 9.0, grown)),
        ("a zero bucket that would divide a populated one", native(1, 1.5, 9.0, &[(2, 9.0), (5, 9.0)])),
        ("a bucket fell", native(1, 0.25, 9.0, &[(1, 2.0), (2, 9.0), (5, 9.0)])),
        ("a bucket is gone", native(1, 0.25, 9.0, &[(1, 9.0), (5, 9.0)])),
        ("the last bucket is gone", native(1, 0.25, 9.0, &[(1, 9.0), (2, 9.0)])),
        ("the zero bucket fell", native(1, 0.25, 1.0, &[(1, 9.0), (2, 9.0), (5, 9.0)])),
        ("a joined bucket fell", native(0, 0.25, 9.0, &[(1, 6.0), (3, 9.0)])),
        ("a widened zero bucket fell", native(1, 2f64.sqrt(), 4.0, &[(2, 9.0), (5, 9.0)])),
        ("no native buckets", classic(&[(1.0, 9.0)])),
    ];
    for (name, pushed) in restarts {
        assert_eq!(histogram_increment(&last, &pushed), pushed, "{name}");
    }
    let with_classic = Histogram { native: last.native.clone(), ..classic(&[(1.0, 9.0)]) };
    let expected = Histogram { native: native(1, 0.25, 0.0, &[]).native, ..classic(&[(1.0, 9.0)]) };
    assert_eq!(histogram_increment(&last, &with_classic), expected, "classic buckets are new");
    assert_eq!(histogram_increment(&with_classic, &last), last, "classic buckets are gone");
    let grown = classic(&[(1.0, 10.0)]);
    assert_eq!(histogram_increment(&with_classic, &grown), grown, "native buckets are gone");
    let fallen = Histogram { native: last.native.clone(), ..classic(&[(1.0, 8.0)]) };
    assert_eq!(histogram_increment(&with_classic, &fallen), fallen, "a classic bucket fell");
    assert_eq!(histogram_increment(&classic(&[(1.0, 9.0)]), &with_classic).native, last.native, "native ones are new");
}

#[test]
fn exemplars_go_along_and_are_not_remembered() {
    let exemplar = Exemplar { labels: "trace=\"1\"".into(), value: 0.5, timestamp: at(1) };
    let mut pushed = native(0, 0.0, 1.0, &[(1, 2.0)]);
    pushed.buckets = classic(&[(1.0, 3.0)]).buckets;
    let plain = pushed.clone();
    pushed.exemplars = vec![BucketExemplar { bound: 1.0, exemplar: exemplar.clone() }];
    pushed.native.as_mut().expect("native buckets").exemplars = vec![exemplar];
    for last in [&plain, &Histogram::default(), &classic(&[(1.0, 9.0)])] {
        let increment = histogram_increment(last, &pushed);
        assert_eq!(increment.exemplars, pushed.exemplars);
        assert_eq!(increment.native.expect("native buckets").exemplars.len(), 1);
    }
    assert_eq!(without_exemplars(pushed), plain);
}

/// What happens to a source, of which there are a few.
#[derive(Clone, Copy, Debug)]
enum Step<P> {
    Push(usize, P),
    Forget(usize),
}

const SOURCES: usize = 4;

fn any_history<P: std::fmt::Debug + Clone>(push: impl Strategy<Value = P>) -> impl Strategy<Value = Vec<Step<P>>> {
    let step = prop_oneof![
        6 => (0..SOURCES, push).prop_map(|(source, push)| Step::Push(source, push)),
        1 => (0..SOURCES).prop_map(Step::Forget),
    ];
    vec(step, 1..60)
}

/// The definition, word by word: what was retired, and what is alive.
struct NaiveTotal<V> {
    retired: Vec<V>,
    live: BTreeMap<usize, V>,
}

impl<V> NaiveTotal<V> {
    fn new() -> Self {
        Self { retired: Vec::new(), live: BTreeMap::new() }
    }

    fn push(&mut self, source: usize, pushed: V, is_restart: impl FnOnce(&V, &V) -> bool) {
        if let Some(last) = self.live.remove(&source)
            && is_restart(&last, &pushed)
        {
            self.retired.push(last);
        }
        self.live.insert(source, pushed);
    }

    fn forget(&mut self, source: usize) {
        self.retired.extend(self.live.remove(&source));
    }

    fn all(&self) -> impl Iterator<Item = &V> {
        self.retired.iter().chain(self.live.values())
    }
}

fn any_created() -> impl Strategy<Value = Option<Timestamp>> {
    prop_oneof![3 => Just(None), 2 => (0i64..4).prop_map(at)]
}

/// What happened to a process before a push. With a restart, or for a new source, it begins with these bounds and this resolution.
#[derive(Clone, Debug)]
struct Growth {
    is_restart: bool,
    is_lowered: bool,
    observations: Vec<f64>,
    bounds: usize,
    schema: i32,
    zero_threshold: f64,
}

const BOUNDS: [&[f64]; 4] = [&[], &[1.0, 4.0, INF], &[-1.0, 0.0, 2.0, 4.0, INF], &[1.0, 8.0]];

/// All sums of these are exact, and none is at a bound but the powers of two, whose index is exact.
const OBSERVATIONS: [f64; 16] =
    [0.0, 0.125, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 7.0, 16.0, -0.25, -1.0, -1.5, -3.0];

fn any_growth(observed: &'static [f64]) -> impl Strategy<Value = Growth> {
    (
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.1),
        vec(proptest::sample::select(observed), 0..5),
        0..BOUNDS.len(),
        -1i32..4,
        proptest::sample::select(vec![0.0, 0.0, 0.25, 0.3, 0.7, 1.0]),
    )
        .prop_map(|(is_restart, is_lowered, observations, bounds, schema, zero_threshold)| Growth {
            is_restart,
            is_lowered,
            observations,
            bounds,
            schema,
            zero_threshold,
        })
}

fn native_index(size: f64, schema: i32) -> i32 {
    (size.log2() * f64::from(schema).exp2()).ceil() as i32
}

fn native_side(observations: &[f64], sign: f64, schema: i32, zero_threshold: f64) -> Vec<NativeBucket> {
    let mut counts = BTreeMap::new();
    for size in observations.iter().map(|value| value * sign).filter(|size| *size > zero_threshold) {
        *counts.entry(native_index(size, schema)).or_insert(0.0) += 1.0;
    }
    counts.into_iter().map(|(index, count)| NativeBucket { index, count }).collect()
}

/// A native histogram of observations, from its definition.
fn native_of(observations: &[f64], schema: i32, zero_threshold: f64) -> NativeHistogram {
    NativeHistogram {
        schema,
        zero_threshold,
        zero_count: observations.iter().filter(|value| value.abs() <= zero_threshold).count() as f64,
        negative: native_side(observations, -1.0, schema, zero_threshold),
        positive: native_side(observations, 1.0, schema, zero_threshold),
        count: observations.len() as f64,
        sum: observations.iter().sum(),
        exemplars: Vec::new(),
    }
}

/// Classic buckets of observations; with none, there is no bucket.
fn buckets_of(observations: &[f64], bounds: &[f64]) -> Vec<Bucket> {
    let count = |bound: f64| observations.iter().filter(|value| **value <= bound).count() as f64;
    bounds.iter().map(|&bound| Bucket { bound, count: count(bound) }).collect()
}

/// A process: when it began, and all that it has observed.
#[derive(Clone, Debug)]
struct Process {
    created: i64,
    observations: Vec<f64>,
    bounds: &'static [f64],
    schema: i32,
    zero_threshold: f64,
}

impl Process {
    fn start(growth: &Growth, created: i64) -> Self {
        let Growth { observations, bounds, schema, zero_threshold, .. } = growth.clone();
        Self { created, observations, bounds: BOUNDS[bounds], schema, zero_threshold }
    }

    /// Observes; a resolution is lowered, and a zero bucket widened, only where the process can tell observations apart. What has no
    /// bucket `+Inf` gets one.
    fn grow(&mut self, growth: &Growth) {
        if growth.is_lowered {
            self.zero_threshold = self.zero_threshold.max(if self.schema < 0 { 1.0 } else { 0.5 });
            self.schema -= i32::from(self.schema > -1);
            if self.bounds == BOUNDS[3] {
                self.bounds = &[1.0, 8.0, INF];
            }
        }
        self.observations.extend(&growth.observations);
    }

    fn histogram(&self, created: Option<Timestamp>) -> Histogram {
        Histogram {
            buckets: buckets_of(&self.observations, self.bounds),
            sum: Some(self.observations.iter().sum()),
            count: Some(self.observations.len() as f64),
            created,
            exemplars: Vec::new(),
            native: Some(Box::new(native_of(&self.observations, self.schema, self.zero_threshold))),
        }
    }
}

/// What the gateway keeps: the total that it shows, and each source's last value.
#[derive(Default)]
struct Gateway {
    shown: Option<Histogram>,
    last: BTreeMap<usize, Histogram>,
}

impl Gateway {
    fn push(&mut self, source: usize, pushed: Histogram) {
        let increment = match self.last.get(&source) {
            Some(last) => histogram_increment(last, &pushed),
            None => pushed.clone(),
        };
        match &mut self.shown {
            Some(shown) => add_histogram(shown, increment),
            none => *none = Some(increment),
        }
        self.last.insert(source, without_exemplars(pushed));
    }
}

/// The cumulative count at a bound, of each process at the last of its own bounds below.
fn count_at(histogram: &Histogram, bound: f64) -> f64 {
    histogram.buckets.iter().rev().find(|bucket| bucket.bound <= bound).map_or(0.0, |bucket| bucket.count)
}

fn assert_not_fallen(before: &Histogram, after: &Histogram) {
    for bucket in &before.buckets {
        assert!(count_at(after, bucket.bound) >= bucket.count, "{before:?} then {after:?}");
    }
    assert!(after.buckets.is_sorted_by(|below, above| below.count <= above.count), "{after:?}");
    assert!(after.count >= before.count, "{before:?} then {after:?}");
}

proptest! {
    #[test]
    fn shown_numbers_are_what_was_retired_and_what_is_alive(
        history in any_history((0u32..50, any_created())),
        has_created in any::<bool>(),
    ) {
        let (mut shown, mut last, mut naive) = (0.0, BTreeMap::new(), NaiveTotal::new());
        for step in history {
            let before = shown;
            match step {
                Step::Push(source, (value, created)) => {
                    let pushed = (f64::from(value), created.filter(|_| has_created));
                    let known = last.insert(source, pushed).unwrap_or((0.0, None));
                    shown += counter_increment(known, pushed);
                    if !has_created {
                        prop_assert_eq!(counter_increment(known, pushed), number_increment(known.0, pushed.0));
                    }
                    naive.push(source, pushed, |last, pushed| {
                        let both = last.1.zip(pushed.1);
                        pushed.0 < last.0 || both.is_some_and(|(last, pushed)| last < pushed)
                    });
                }
                Step::Forget(source) => {
                    last.remove(&source);
                    naive.forget(source);
                }
            }
            prop_assert!(shown >= before);
            prop_assert_eq!(shown, naive.all().map(|(value, _)| value).sum::<f64>());
        }
    }

    #[test]
    fn shown_summaries_are_what_was_retired_and_what_is_alive(
        history in any_history((0u32..30, 0u32..30, any_created())),
    ) {
        let (mut shown, mut last, mut naive) = (Summary::default(), BTreeMap::new(), NaiveTotal::new());
        for step in history {
            let before = shown.clone();
            match step {
                Step::Push(source, (sum, count, created)) => {
                    let pushed = Summary { sum: Some(sum.into()), count: Some(count.into()), created, ..Summary::default() };
                    let known = last.insert(source, pushed.clone()).unwrap_or_default();
                    add_summary(&mut shown, &summary_increment(&known, &pushed));
                    naive.push(source, pushed, |last, pushed| {
                        let is_newer = last.created.zip(pushed.created).is_some_and(|(last, pushed)| last < pushed);
                        is_newer || pushed.sum < last.sum || pushed.count < last.count
                    });
                }
                Step::Forget(source) => {
                    last.remove(&source);
                    naive.forget(source);
                }
            }
            prop_assert!(shown.sum >= before.sum && shown.count >= before.count);
            let total = |part: fn(&Summary) -> Option<f64>| naive.all().filter_map(part).reduce(|a, b| a + b);
            prop_assert_eq!((shown.sum, shown.count), (total(|one| one.sum), total(|one| one.count)));
        }
    }

    /// With created timestamps every restart is seen, so that nothing is lost and nothing counted twice.
    #[test]
    fn shown_histograms_count_every_observation_once(history in any_history(any_growth(&OBSERVATIONS))) {
        let (mut gateway, mut processes, mut clock) = (Gateway::default(), BTreeMap::<usize, Process>::new(), 0);
        let mut ended: Vec<Process> = Vec::new();
        for step in history {
            clock += 1;
            let before = gateway.shown.clone();
            match step {
                Step::Push(source, growth) => {
                    if growth.is_restart {
                        ended.extend(processes.remove(&source));
                    }
                    match processes.get_mut(&source) {
                        Some(process) => process.grow(&growth),
                        None => {
                            processes.insert(source, Process::start(&growth, clock));
                        }
                    }
                    gateway.push(source, processes[&source].histogram(at(processes[&source].created)));
                }
                Step::Forget(source) => {
                    ended.extend(processes.remove(&source));
                    gateway.last.remove(&source);
                }
            }
            let Some(shown) = &gateway.shown else { continue };
            let all: Vec<&Process> = ended.iter().chain(processes.values()).collect();
            let observations: Vec<f64> = all.iter().flat_map(|process| process.observations.clone()).collect();
            prop_assert_eq!(shown.count, Some(observations.len() as f64));
            prop_assert_eq!(shown.sum, Some(observations.iter().sum()));
            let native = shown.native.as_deref().expect("all processes have native buckets");
            prop_assert_eq!(native, &native_of(&observations, native.schema, native.zero_threshold));
            let coarsest = all.iter().map(|process| process.schema).min();
            prop_assert_eq!(Some(native.schema), coarsest);
            for bucket in &shown.buckets {
                let total: f64 = all.iter().map(|process| count_at(&process.histogram(None), bucket.bound)).sum();
                prop_assert_eq!(bucket.count, total, "at {}", bucket.bound);
            }
            if let Some(before) = &before {
                assert_not_fallen(before, shown);
            }
        }
    }

    /// Without created timestamps, a restart is what cannot be growth.
    #[test]
    fn shown_histograms_are_what_was_retired_and_what_is_alive(
        history in any_history(any_growth(&OBSERVATIONS[..12])),
        has_native in any::<bool>(),
    ) {
        let (mut gateway, mut processes) = (Gateway::default(), BTreeMap::<usize, Process>::new());
        let mut naive = NaiveTotal::new();
        for step in history {
            let before = gateway.shown.clone();
            match step {
                Step::Push(source, mut growth) => {
                    // One resolution, so that buckets compare one by one.
                    (growth.schema, growth.zero_threshold, growth.is_lowered) = (2, 0.0, false);
                    if growth.is_restart {
                        processes.remove(&source);
                    }
                    match processes.get_mut(&source) {
                        Some(process) => process.grow(&growth),
                        None => {
                            processes.insert(source, Process::start(&growth, 0));
                        }
                    }
                    let mut pushed = processes[&source].histogram(None);
                    pushed.native = pushed.native.filter(|_| has_native);
                    gateway.push(source, pushed.clone());
                    naive.push(source, pushed, has_fallen);
                }
                Step::Forget(source) => {
                    processes.remove(&source);
                    gateway.last.remove(&source);
                    naive.forget(source);
                }
            }
            let mut total: Option<Histogram> = None;
            for histogram in naive.all() {
                match &mut total {
                    Some(total) => add_histogram(total, histogram.clone()),
                    none => *none = Some(histogram.clone()),
                }
            }
            prop_assert_eq!(&gateway.shown, &total);
            if let (Some(before), Some(after)) = (&before, &gateway.shown) {
                assert_not_fallen(before, after);
                prop_assert!(after.sum >= before.sum || counts_negative(after));
            }
        }
    }
}

/// Every count of its own, by name.
fn single_counts(histogram: &Histogram) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    let mut below = 0.0;
    for bucket in &histogram.buckets {
        counts.insert(format!("le {}", bucket.bound), bucket.count - below);
        below = bucket.count;
    }
    for bucket in histogram.native.iter().flat_map(|native| &native.positive) {
        counts.insert(format!("native {}", bucket.index), bucket.count);
    }
    counts.extend(histogram.native.iter().map(|native| ("native zero".to_owned(), native.zero_count)));
    counts.extend(histogram.count.map(|count| ("count".to_owned(), count)));
    counts.extend(histogram.sum.map(|sum| ("sum".to_owned(), sum)));
    counts
}

fn has_fallen(last: &Histogram, pushed: &Histogram) -> bool {
    let bounds = |histogram: &Histogram| histogram.buckets.iter().map(|bucket| bucket.bound).collect::<Vec<_>>();
    let counts = single_counts(pushed);
    let is_less = |(name, last): (&String, &f64)| counts.get(name).is_none_or(|pushed| pushed < last);
    let may_fall = last.buckets.iter().chain(&pushed.buckets).any(|bucket| bucket.bound <= 0.0 && bucket.count > 0.0);
    let has_other_bounds = !last.buckets.is_empty() && bounds(last) != bounds(pushed);
    has_other_bounds || single_counts(last).iter().any(|one| (one.0 != "sum" || !may_fall) && is_less(one))
}
