//! The merge rules: how a pushed value changes a stored one. Pure functions; the caller looks series up and tells the time.

mod native;
mod observed;
mod source;

pub use native::{add_exemplars, add_native, limit_buckets, reduce_schema};
pub use observed::{DEFAULT_BOUNDS, ObservationRule, first_observed, observe, shown_summary};
pub use source::{counter_increment, histogram_increment, number_increment, summary_increment, without_exemplars};

use crate::model::timestamp::Timestamp;
use crate::model::value::{
    Bucket, BucketExemplar, Counter, Exemplar, GaugePolicy, GaugeRule, GaugeWindow, Histogram, Millis, Slice, Summary,
    Value,
};

/// How a pushed number changes the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberRule {
    /// Counters, untyped series, gauges under `sum`.
    Add,
    /// Gauges under `last`; histograms and summaries too may give way to the pushed one.
    Last,
    /// Gauges under `min`, `max` and `mean`, and whatever is merged over a window, also as a sum.
    Window(GaugeRule),
    /// Counters and untyped series of a source: its running total.
    Running,
    /// Gauges of a source: merged over the sources that live.
    Live(GaugePolicy),
}

impl NumberRule {
    /// The rule for aggregated gauges.
    pub fn of_gauges(rule: GaugeRule) -> Self {
        match rule.policy {
            GaugePolicy::Last => Self::Last,
            GaugePolicy::Sum => Self::Add,
            GaugePolicy::Min | GaugePolicy::Max | GaugePolicy::Mean => Self::Window(rule),
        }
    }
}

/// A new series' value after its first push.
pub fn first_number(pushed: f64, rule: NumberRule, now: Millis) -> Value {
    match rule {
        NumberRule::Add | NumberRule::Last | NumberRule::Running | NumberRule::Live(_) => Value::Number(pushed),
        NumberRule::Window(rule) => {
            let mut window = GaugeWindow { rule, slices: Vec::new() };
            push_to_window(&mut window, pushed, now);
            Value::Window(Box::new(window))
        }
    }
}

/// Merges a pushed number. A stored value of another shape, left by a family whose kind was settled since, gives way.
#[inline]
pub fn merge_number(stored: &mut Value, pushed: f64, rule: NumberRule, now: Millis) {
    match (stored, rule) {
        (Value::Number(number), NumberRule::Add) => *number += pushed,
        (Value::Counter(counter), NumberRule::Add) => counter.value += pushed,
        (Value::Number(number), NumberRule::Last) => *number = pushed,
        (Value::Window(window), NumberRule::Window(rule)) if window.rule == rule => push_to_window(window, pushed, now),
        (stored, rule) => *stored = first_number(pushed, rule, now),
    }
}

/// Merges what a counter came with: the oldest created timestamp and the newest exemplar stay.
pub fn merge_counter_extra(stored: &mut Value, created: Option<Timestamp>, exemplar: Option<Exemplar>) {
    if let Value::Number(value) = *stored {
        *stored = Value::Counter(Box::new(Counter { value, created: None, exemplar: None }));
    }
    if let Value::Counter(counter) = stored {
        counter.created = oldest(counter.created, created);
        if let Some(exemplar) = exemplar {
            match &mut counter.exemplar {
                Some(stored) => keep_newest(stored, exemplar),
                none => *none = Some(exemplar),
            }
        }
    }
}

fn oldest(stored: Option<Timestamp>, pushed: Option<Timestamp>) -> Option<Timestamp> {
    stored.into_iter().chain(pushed).min()
}

/// The newest by timestamp, if both have one; else the one that was pushed last.
fn keep_newest(stored: &mut Exemplar, pushed: Exemplar) {
    let is_older = matches!((stored.timestamp, pushed.timestamp), (Some(stored), Some(pushed)) if pushed < stored);
    if !is_older {
        *stored = pushed;
    }
}

/// Merges a pushed histogram; a stored value of another shape gives way, and any under [`NumberRule::Last`].
pub fn merge_histogram(stored: &mut Value, pushed: Histogram, rule: NumberRule) {
    match stored {
        Value::Histogram(histogram) if rule != NumberRule::Last => add_histogram(histogram, pushed),
        other => *other = Value::Histogram(Box::new(pushed)),
    }
}

/// Merges a pushed summary; a stored value of another shape gives way, and any under [`NumberRule::Last`].
pub fn merge_summary(stored: &mut Value, pushed: Summary, rule: NumberRule) {
    match stored {
        Value::Summary(summary) if rule != NumberRule::Last => add_summary(summary, &pushed),
        other => *other = Value::Summary(Box::new(pushed)),
    }
}

/// Adds sum and count, each on its own: pushed data may disagree with itself.
pub fn add_summary(stored: &mut Summary, pushed: &Summary) {
    stored.sum = add_present(stored.sum, pushed.sum);
    stored.count = add_present(stored.count, pushed.count);
    stored.created = oldest(stored.created, pushed.created);
}

/// Buckets that a histogram may have: a push with more is refused, and merging does not go beyond.
pub const MOST_BUCKETS: usize = 1000;

/// Buckets of one native histogram, of both signs: its resolution is lowered until it has no more.
pub const MOST_NATIVE_BUCKETS: usize = 1000;

/// Adds buckets, sum and count, each on its own; classic and native parts too, as a pusher may have one and not the other.
pub fn add_histogram(stored: &mut Histogram, pushed: Histogram) {
    add_buckets(&mut stored.buckets, &pushed.buckets, MOST_BUCKETS);
    stored.sum = add_present(stored.sum, pushed.sum);
    stored.count = add_present(stored.count, pushed.count);
    stored.created = oldest(stored.created, pushed.created);
    for exemplar in pushed.exemplars {
        add_exemplar(stored, exemplar);
    }
    match (&mut stored.native, pushed.native) {
        (Some(stored), Some(pushed)) => add_native(stored, *pushed, MOST_NATIVE_BUCKETS),
        (stored @ None, pushed) => *stored = pushed,
        (Some(_), None) => {}
    }
}

/// Keeps an exemplar of a bucket that there is.
fn add_exemplar(stored: &mut Histogram, pushed: BucketExemplar) {
    let place = stored.exemplars.binary_search_by(|exemplar| exemplar.bound.total_cmp(&pushed.bound));
    match place {
        Ok(at) => keep_newest(&mut stored.exemplars[at].exemplar, pushed.exemplar),
        Err(at) if stored.buckets.iter().any(|bucket| bucket.bound == pushed.bound) => {
            stored.exemplars.insert(at, pushed);
        }
        Err(_) => {}
    }
}

fn add_present(stored: Option<f64>, pushed: Option<f64>) -> Option<f64> {
    match (stored, pushed) {
        (Some(stored), Some(pushed)) => Some(stored + pushed),
        (value, None) | (None, value) => value,
    }
}

/// Adds cumulative buckets. With different bounds the result has the union of them, and each side counts at a bound of
/// the other what it had at its own last bound below: a count is in the lowest bucket known to hold it.
///
/// If that made more than `most` buckets, the stored bounds stay as they are (with `+Inf` if a pushed one is beyond them), and
/// pushed counts go to the lowest of them that fits: nobody can make a histogram grow for ever.
pub fn add_buckets(stored: &mut Vec<Bucket>, pushed: &[Bucket], most: usize) {
    if have_same_bounds(stored, pushed) {
        for (stored, pushed) in stored.iter_mut().zip(pushed) {
            stored.count += pushed.count;
        }
        return;
    }
    let union = union_of_buckets(stored, pushed);
    if union.len() <= most {
        *stored = union;
    } else {
        add_at_stored_bounds(stored, pushed);
    }
}

fn add_at_stored_bounds(stored: &mut Vec<Bucket>, pushed: &[Bucket]) {
    let before = stored.last().map_or(0.0, |bucket| bucket.count);
    let mut pushed = pushed.iter().peekable();
    let mut count = 0.0;
    for bucket in stored.iter_mut() {
        while let Some(below) = pushed.next_if(|pushed| pushed.bound <= bucket.bound) {
            count = below.count;
        }
        bucket.count += count;
    }
    if let Some(beyond) = pushed.last() {
        stored.push(Bucket { bound: f64::INFINITY, count: before + beyond.count });
    }
}

fn have_same_bounds(one: &[Bucket], other: &[Bucket]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.bound == other.bound)
}

fn union_of_buckets(one: &[Bucket], other: &[Bucket]) -> Vec<Bucket> {
    let mut union = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let (mut one_count, mut other_count) = (0.0, 0.0);
    loop {
        let bound = match (one.peek(), other.peek()) {
            (Some(one), Some(other)) => one.bound.min(other.bound),
            (Some(last), None) | (None, Some(last)) => last.bound,
            (None, None) => return union,
        };
        if let Some(bucket) = one.next_if(|bucket| bucket.bound == bound) {
            one_count = bucket.count;
        }
        if let Some(bucket) = other.next_if(|bucket| bucket.bound == bound) {
            other_count = bucket.count;
        }
        union.push(Bucket { bound, count: one_count + other_count });
    }
}

/// Takes a pushed gauge value into the slice of `now`, and forgets slices that have left the window.
pub fn push_to_window(window: &mut GaugeWindow, pushed: f64, now: Millis) {
    let number = slice_number(now, window.rule.window, GaugeWindow::SLICES);
    window.slices.retain(|slice| is_within_window(slice, number));
    match window.slices.last_mut() {
        Some(slice) if slice.number >= number => {
            slice.pushes += 1;
            slice.sum += pushed;
            slice.min = slice.min.min(pushed);
            slice.max = slice.max.max(pushed);
        }
        _ => window.slices.push(Slice { number, pushes: 1, sum: pushed, min: pushed, max: pushed }),
    }
}

/// What a windowed gauge shows at `now`; `None` if nothing was pushed within the window.
pub fn shown_gauge(window: &GaugeWindow, now: Millis) -> Option<f64> {
    let number = slice_number(now, window.rule.window, GaugeWindow::SLICES);
    let slices = || window.slices.iter().filter(|slice| is_within_window(slice, number));
    match window.rule.policy {
        GaugePolicy::Min => slices().map(|slice| slice.min).reduce(f64::min),
        GaugePolicy::Max => slices().map(|slice| slice.max).reduce(f64::max),
        GaugePolicy::Mean => {
            let pushes: u64 = slices().map(|slice| slice.pushes).sum();
            let sum: f64 = slices().map(|slice| slice.sum).sum();
            (pushes > 0).then(|| sum / pushes as f64)
        }
        GaugePolicy::Last | GaugePolicy::Sum => slices().map(|slice| slice.sum).reduce(|a, b| a + b),
    }
}

/// The number of the slice of `now`, of which a window of this length has so many.
fn slice_number(now: Millis, length: Millis, slices: u64) -> u64 {
    now * slices / length.max(1)
}

/// The current slice is not full yet, so the oldest one shown is `SLICES` back: a value is shown for the window's
/// length at the least, and for a twelfth more at the most.
fn is_within_window(slice: &Slice, current: u64) -> bool {
    slice.number + GaugeWindow::SLICES >= current
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|&(bound, count)| Bucket { bound, count }).collect()
    }

    #[test]
    fn buckets_are_added_on_the_union_of_bounds() {
        type Pairs = &'static [(f64, f64)];
        let cases: &[(Pairs, Pairs, Pairs)] = &[
            (&[(1.0, 1.0), (INF, 2.0)], &[(1.0, 3.0), (INF, 4.0)], &[(1.0, 4.0), (INF, 6.0)]),
            (
                &[(1.0, 1.0), (5.0, 3.0), (INF, 4.0)],
                &[(2.0, 2.0), (INF, 2.0)],
                &[(1.0, 1.0), (2.0, 3.0), (5.0, 5.0), (INF, 6.0)],
            ),
            (&[(1.0, 10.0), (INF, 10.0)], &[(2.0, 1.0), (INF, 1.0)], &[(1.0, 10.0), (2.0, 11.0), (INF, 11.0)]),
            (
                &[(1.0, 1.0), (2.0, 3.0), (4.0, 6.0), (INF, 10.0)],
                &[(1.0, 5.0), (3.0, 9.0), (4.0, 12.0), (INF, 15.0)],
                &[(1.0, 6.0), (2.0, 8.0), (3.0, 12.0), (4.0, 18.0), (INF, 25.0)],
            ),
            (
                &[(0.0, 1.0), (1.0, 3.0), (3.0, 5.0)],
                &[(0.0, 0.0), (1.0, 2.0), (3.0, 4.0), (7.0, 8.0), (15.0, 13.0)],
                &[(0.0, 1.0), (1.0, 5.0), (3.0, 9.0), (7.0, 13.0), (15.0, 18.0)],
            ),
            (&[], &[(1.0, 2.0)], &[(1.0, 2.0)]),
            (&[(1.0, 2.0)], &[], &[(1.0, 2.0)]),
        ];
        for (stored, pushed, expected) in cases {
            let mut merged = buckets(stored);
            add_buckets(&mut merged, &buckets(pushed), MOST_BUCKETS);
            assert_eq!(merged, buckets(expected), "{stored:?} + {pushed:?}");
        }
    }

    #[test]
    fn a_histogram_does_not_grow_for_ever() {
        let mut stored = buckets(&[(1.0, 1.0), (2.0, 3.0)]);
        // 0.5 and 1.5 have no room: their counts go to 1 and 2, those beyond 2 to the bucket that takes all.
        add_buckets(&mut stored, &buckets(&[(0.5, 1.0), (1.5, 4.0), (9.0, 10.0)]), 3);
        assert_eq!(stored, buckets(&[(1.0, 2.0), (2.0, 7.0), (INF, 13.0)]));
        let mut infinite = buckets(&[(1.0, INF), (2.0, INF)]);
        add_buckets(&mut infinite, &buckets(&[(1.5, INF), (9.0, INF)]), 2);
        assert_eq!(infinite, buckets(&[(1.0, INF), (2.0, INF), (INF, INF)]));
        add_buckets(&mut stored, &buckets(&[(3.0, 1.0), (20.0, 2.0)]), 3);
        assert_eq!(stored, buckets(&[(1.0, 2.0), (2.0, 7.0), (INF, 15.0)]));
    }

    #[test]
    fn what_was_not_pushed_stays_absent() {
        let cases = [
            (None, None, None),
            (Some(1.0), None, Some(1.0)),
            (None, Some(2.0), Some(2.0)),
            (Some(1.0), Some(2.0), Some(3.0)),
        ];
        for (stored, pushed, expected) in cases {
            let summary = |part| Summary { sum: part, count: part, ..Summary::default() };
            let mut merged = summary(stored);
            add_summary(&mut merged, &summary(pushed));
            assert_eq!(merged, summary(expected));
        }
    }

    #[test]
    fn numbers_follow_their_rule() {
        let cases = [
            (NumberRule::Add, &[42.0, 57.0][..], Value::Number(99.0)),
            (NumberRule::Last, &[42.0, 57.0], Value::Number(57.0)),
            (NumberRule::Add, &[f64::INFINITY, 1.0], Value::Number(f64::INFINITY)),
        ];
        for (rule, pushes, expected) in cases {
            let mut value = first_number(pushes[0], rule, 0);
            for pushed in &pushes[1..] {
                merge_number(&mut value, *pushed, rule, 0);
            }
            assert_eq!(value, expected, "{rule:?}");
        }
    }

    #[test]
    fn a_whole_value_may_take_the_place_of_the_stored_one() {
        let summary = |count| Summary { count: Some(count), ..Summary::default() };
        let histogram = |count| Histogram { count: Some(count), ..Histogram::default() };
        for (rule, expected) in [(NumberRule::Add, 3.0), (NumberRule::Last, 2.0)] {
            let mut stored = Value::Summary(Box::new(summary(1.0)));
            merge_summary(&mut stored, summary(2.0), rule);
            assert_eq!(stored, Value::Summary(Box::new(summary(expected))));
            let mut stored = Value::Histogram(Box::new(histogram(1.0)));
            merge_histogram(&mut stored, histogram(2.0), rule);
            assert_eq!(stored, Value::Histogram(Box::new(histogram(expected))));
        }
    }

    #[test]
    fn windows_forget_what_is_older_than_their_length() {
        let mut window = GaugeWindow { rule: GaugeRule { policy: GaugePolicy::Max, window: 1200 }, slices: Vec::new() };
        for (now, pushed) in [(0, 9.0), (600, 1.0), (700, 5.0)] {
            push_to_window(&mut window, pushed, now);
        }
        let shown = |policy, now| {
            let rule = GaugeRule { policy, window: 1200 };
            shown_gauge(&GaugeWindow { rule, ..window.clone() }, now)
        };
        assert_eq!(shown(GaugePolicy::Min, 700), Some(1.0));
        assert_eq!(shown(GaugePolicy::Max, 700), Some(9.0));
        assert_eq!(shown(GaugePolicy::Mean, 700), Some(5.0));
        assert_eq!(shown(GaugePolicy::Max, 1299), Some(9.0), "shown for the whole window");
        assert_eq!(shown(GaugePolicy::Max, 1300), Some(5.0), "the value of time 0 has left");
        assert_eq!(shown(GaugePolicy::Sum, 700), Some(15.0));
        assert_eq!(shown(GaugePolicy::Sum, 1300), Some(6.0));
        assert_eq!(shown(GaugePolicy::Mean, 1900), Some(5.0));
        assert_eq!(shown(GaugePolicy::Mean, 2000), None, "nothing is left");
        assert_eq!(shown(GaugePolicy::Min, 5000), None);
    }

    #[test]
    fn a_settled_family_changes_the_shape_of_its_values() {
        let mut value = Value::Number(7.0);
        let rule = GaugeRule { policy: GaugePolicy::Max, window: 1000 };
        merge_number(&mut value, 3.0, NumberRule::Window(rule), 0);
        merge_number(&mut value, 2.0, NumberRule::Window(rule), 0);
        let shown = |value: &Value| match value {
            Value::Window(window) => shown_gauge(window, 0),
            other => panic!("expected a window, got {other:?}"),
        };
        assert_eq!(shown(&value), Some(3.0));
        let other = GaugeRule { policy: GaugePolicy::Min, window: 500 };
        merge_number(&mut value, 9.0, NumberRule::Window(other), 0);
        assert_eq!(shown(&value), Some(9.0), "another window begins anew");
    }

    /// A histogram as a person would read it: the count at any point is that of the last bound at or below it.
    fn count_at(buckets: &[Bucket], point: f64) -> f64 {
        buckets.iter().filter(|bucket| bucket.bound <= point).map(|bucket| bucket.count).next_back().unwrap_or(0.0)
    }

    fn any_buckets() -> impl Strategy<Value = Vec<Bucket>> {
        proptest::collection::btree_map(0u8..12, 0u8..20, 0..8).prop_map(|steps| {
            let mut count = 0.0;
            let bound = |bound| if bound == 11 { INF } else { f64::from(bound) };
            steps
                .into_iter()
                .map(|(at, step)| {
                    count += f64::from(step);
                    Bucket { bound: bound(at), count }
                })
                .collect()
        })
    }

    fn sum_of(one: &[Bucket], other: &[Bucket]) -> Vec<Bucket> {
        let mut sum = one.to_vec();
        add_buckets(&mut sum, other, MOST_BUCKETS);
        sum
    }

    proptest! {
        #[test]
        fn merged_buckets_count_what_both_sides_count(one in any_buckets(), other in any_buckets()) {
            let sum = sum_of(&one, &other);
            for bucket in one.iter().chain(&other) {
                let expected = count_at(&one, bucket.bound) + count_at(&other, bucket.bound);
                prop_assert_eq!(count_at(&sum, bucket.bound), expected);
            }
            prop_assert!(sum.windows(2).all(|pair| pair[0].bound < pair[1].bound));
            prop_assert!(sum.windows(2).all(|pair| pair[0].count <= pair[1].count));
            let mut bounded = one.clone();
            add_buckets(&mut bounded, &other, 3);
            prop_assert!(bounded.len() <= sum.len().min(one.len().max(2) + 1));
            prop_assert!(bounded.windows(2).all(|pair| pair[0].count <= pair[1].count));
            prop_assert_eq!(count_at(&bounded, INF), count_at(&one, INF) + count_at(&other, INF));
        }

        #[test]
        fn merging_buckets_commutes_and_associates(a in any_buckets(), b in any_buckets(), c in any_buckets()) {
            prop_assert_eq!(sum_of(&a, &b), sum_of(&b, &a));
            prop_assert_eq!(sum_of(&sum_of(&a, &b), &c), sum_of(&a, &sum_of(&b, &c)));
        }

        #[test]
        fn sums_do_not_depend_on_the_order_of_pushes(mut pushes in proptest::collection::vec(0u32..1000, 1..20)) {
            let total = |pushes: &[u32]| {
                let mut value = first_number(f64::from(pushes[0]), NumberRule::Add, 0);
                pushes[1..].iter().for_each(|&push| merge_number(&mut value, f64::from(push), NumberRule::Add, 0));
                value
            };
            let forwards = total(&pushes);
            pushes.reverse();
            prop_assert_eq!(forwards, total(&pushes));
        }

        #[test]
        fn a_window_shows_at_least_the_pushes_of_its_length(
            pushes in proptest::collection::vec((0u64..500, -50i32..50), 1..30),
            policy in proptest::sample::select(vec![GaugePolicy::Min, GaugePolicy::Max]),
        ) {
            let rule = GaugeRule { policy, window: 1200 };
            let (mut now, mut window, mut log) = (0, GaugeWindow { rule, slices: Vec::new() }, Vec::new());
            for (pause, value) in pushes {
                now += pause;
                push_to_window(&mut window, f64::from(value), now);
                log.push((now, f64::from(value)));
            }
            let fold = |horizon: u64| {
                let values = log.iter().filter(|(at, _)| at + horizon > now).map(|(_, value)| *value);
                if policy == GaugePolicy::Min { values.reduce(f64::min) } else { values.reduce(f64::max) }
            };
            let shown = shown_gauge(&window, now).expect("something was pushed just now");
            let (least, most) = (fold(1200).expect("recent"), fold(1300).expect("recent"));
            prop_assert!(shown >= least.min(most) && shown <= least.max(most));
            prop_assert!(window.slices.len() <= GaugeWindow::SLICES as usize + 1);
        }
    }
}
