//! The merge rules of native histograms. They are those of the Prometheus server (`FloatHistogram.Add` in
//! `model/histogram/float_histogram.go`), except in one order: zero buckets are made alike while both histograms still have
//! their own resolution, and what went to a zero bucket leaves its histogram at once. The server lowers the resolution between the
//! two steps, and can count an observation twice.
//!
//! The widened zero threshold of three histograms may depend on the order in which they are added: what is in a zero bucket
//! already cannot widen it again.

use crate::model::value::{Exemplar, NativeBucket, NativeHistogram};
use std::cmp::Ordering;

/// Exemplars that a native histogram keeps; the official Go client sends as many.
pub const MOST_NATIVE_EXEMPLARS: usize = 10;

/// Programs compute bounds in ways that differ in their last digits, so a threshold beyond a bound by less than this factor is at the
/// bound. True neighbours among bounds are a quarter of a percent apart.
const ROUNDING: f64 = 1.0 + 16.0 * f64::EPSILON;

/// Adds a pushed histogram: the coarser of both resolutions, the wider of both zero buckets or one wider still, and no more than
/// `most_buckets` if a coarser resolution can help it.
pub fn add_native(stored: &mut NativeHistogram, mut pushed: NativeHistogram, most_buckets: usize) {
    reconcile_zero_buckets(stored, &mut pushed);
    let schema = stored.schema.min(pushed.schema);
    reduce_schema(stored, schema);
    reduce_schema(&mut pushed, schema);
    stored.zero_count += pushed.zero_count;
    stored.count += pushed.count;
    stored.sum += pushed.sum;
    add_buckets(&mut stored.negative, pushed.negative);
    add_buckets(&mut stored.positive, pushed.positive);
    add_exemplars(&mut stored.exemplars, pushed.exemplars);
    limit_buckets(stored, most_buckets);
}

/// Lowers the resolution step by step until there are at most `most` buckets, both signs together, or it is the coarsest.
pub fn limit_buckets(histogram: &mut NativeHistogram, most: usize) {
    while histogram.negative.len() + histogram.positive.len() > most && histogram.schema > NativeHistogram::COARSEST {
        reduce_schema(histogram, histogram.schema - 1);
    }
}

/// Lowers the resolution to that of the schema `to`, which halves it with each step; a finer one changes nothing.
pub fn reduce_schema(histogram: &mut NativeHistogram, to: i32) {
    let steps = i64::from(histogram.schema) - i64::from(to);
    if steps > 0 {
        histogram.schema = to;
        join_buckets(&mut histogram.negative, steps);
        join_buckets(&mut histogram.positive, steps);
    }
}

/// Takes exemplars in and keeps the newest, oldest first. Those without a timestamp, which the format asks for, pass as older than
/// any other, by order of arrival.
pub fn add_exemplars(stored: &mut Vec<Exemplar>, pushed: Vec<Exemplar>) {
    // A source that runs on brings the same ones again.
    let new: Vec<Exemplar> = pushed.into_iter().filter(|exemplar| !stored.contains(exemplar)).collect();
    stored.extend(new);
    stored.sort_by_key(|exemplar| exemplar.timestamp);
    let excess = stored.len().saturating_sub(MOST_NATIVE_EXEMPLARS);
    stored.drain(..excess);
}

/// Widens the narrower zero bucket until both have the same threshold. This ends: a bound of the coarser histogram is one of the finer
/// too, so a threshold at such a bound suits both.
fn reconcile_zero_buckets(one: &mut NativeHistogram, other: &mut NativeHistogram) {
    loop {
        match one.zero_threshold.partial_cmp(&other.zero_threshold) {
            Some(Ordering::Less) => widen_zero_bucket(one, other.zero_threshold),
            Some(Ordering::Greater) => widen_zero_bucket(other, one.zero_threshold),
            _ => return,
        }
    }
}

/// Moves the buckets up to the threshold into the zero bucket. One that is populated on both sides of it cannot be divided, so
/// the threshold becomes its outer bound; the bucket of the other sign has the same bounds, so it is then within or without.
fn widen_zero_bucket(histogram: &mut NativeHistogram, threshold: f64) {
    let last = last_reached(threshold, histogram.schema);
    let outer = bound(last, histogram.schema);
    let is_divided = outer > threshold * ROUNDING && has_bucket(histogram, last);
    histogram.zero_threshold = if is_divided { outer } else { threshold };
    histogram.zero_count += take_up_to(&mut histogram.negative, last) + take_up_to(&mut histogram.positive, last);
}

fn has_bucket(histogram: &NativeHistogram, index: i64) -> bool {
    let is_in = |buckets: &[NativeBucket]| buckets.binary_search_by_key(&index, |bucket| bucket.index.into()).is_ok();
    is_in(&histogram.negative) || is_in(&histogram.positive)
}

/// Removes the buckets up to an index; the sum of their counts.
fn take_up_to(buckets: &mut Vec<NativeBucket>, last: i64) -> f64 {
    let taken = buckets.partition_point(|bucket| i64::from(bucket.index) <= last);
    buckets.drain(..taken).map(|bucket| bucket.count).sum()
}

/// The index of the outermost bucket that a zero bucket of this threshold reaches into. Thresholds are at bounds more often than
/// not, where a logarithm alone may err by one.
fn last_reached(threshold: f64, schema: i32) -> i64 {
    let nearest = (threshold.log2() * f64::from(schema).exp2()).round() as i64;
    let is_beyond = threshold > bound(nearest, schema) * ROUNDING;
    if is_beyond { nearest.saturating_add(1) } else { nearest }
}

/// The outer bound of a bucket. It is the same number in all schemas that have it, because the exponent is exact.
fn bound(index: i64, schema: i32) -> f64 {
    let exponent = index as f64 * (-f64::from(schema)).exp2();
    // The buckets beyond this one are for infinity alone.
    if exponent == f64::from(f64::MAX_EXP) { f64::MAX } else { exponent.exp2() }
}

/// Joins the buckets of 2^`steps` neighbouring indexes each into one, which has the outer bound of the last of them.
fn join_buckets(buckets: &mut Vec<NativeBucket>, steps: i64) {
    for bucket in buckets.iter_mut() {
        // Never further from zero than it was, so it fits. Beyond 63 there is nothing left to shift.
        bucket.index = (((i64::from(bucket.index) - 1) >> steps.min(63)) + 1) as i32;
    }
    buckets.dedup_by(|bucket, joined| {
        let is_same = bucket.index == joined.index;
        joined.count += if is_same { bucket.count } else { 0.0 };
        is_same
    });
}

/// Adds buckets of the same schema. Most pushes bring no new ones: those leave the memory as it is.
fn add_buckets(stored: &mut Vec<NativeBucket>, mut pushed: Vec<NativeBucket>) {
    let mut known = stored.iter_mut().peekable();
    pushed.retain(|bucket| {
        while known.next_if(|known| known.index < bucket.index).is_some() {}
        match known.peek_mut() {
            Some(known) if known.index == bucket.index => {
                known.count += bucket.count;
                false
            }
            _ => true,
        }
    });
    if !pushed.is_empty() {
        stored.reserve_exact(pushed.len());
        stored.append(&mut pushed);
        stored.sort_unstable_by_key(|bucket| bucket.index);
    }
}

#[cfg(test)]
mod tests;
