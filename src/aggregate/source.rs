//! What a source's new running value adds to the shown total, given the source's last one. Shown is then what all values were before
//! they began again, plus what they are; a source that is forgotten leaves its part behind, so that nothing shown ever falls.
//!
//! A value that began again (a restart) counts wholly. A newer created timestamp tells of it; else anything that cannot fall and
//! has fallen. A restart that has overtaken all of the last value cannot be seen.

use std::borrow::Cow;

use super::{add_native, have_same_bounds};
use crate::model::timestamp::Timestamp;
use crate::model::value::{Bucket, Histogram, NativeBucket, NativeHistogram, Summary};

/// Whole floats below this one have no gap between them: their sums and differences are exact.
const FIRST_INEXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

/// What a running number adds: its growth, or all of it after a restart. NaN adds nothing, and what follows it counts wholly.
pub fn number_increment(last: f64, pushed: f64) -> f64 {
    growth(last, pushed).unwrap_or_else(|| whole(pushed))
}

/// What a counter adds, of which a created timestamp may be known.
pub fn counter_increment(last: (f64, Option<Timestamp>), pushed: (f64, Option<Timestamp>)) -> f64 {
    if is_newer(last.1, pushed.1) { whole(pushed.0) } else { number_increment(last.0, pushed.0) }
}

/// What a histogram adds. It restarts as a whole: if any part tells of a restart, all of `pushed` counts.
///
/// `last` needs no exemplars; those of `pushed` go along as they are, and so does its created timestamp.
pub fn histogram_increment(last: &Histogram, pushed: &Histogram) -> Histogram {
    histogram_growth(last, pushed).unwrap_or_else(|| pushed.clone())
}

/// What a summary adds; it restarts as a whole.
pub fn summary_increment(last: &Summary, pushed: &Summary) -> Summary {
    summary_growth(last, pushed).unwrap_or_else(|| pushed.clone())
}

/// What is remembered of a source's histogram.
pub fn without_exemplars(mut histogram: Histogram) -> Histogram {
    histogram.exemplars = Vec::new();
    if let Some(native) = &mut histogram.native {
        native.exemplars = Vec::new();
    }
    histogram
}

fn whole(pushed: f64) -> f64 {
    if pushed.is_nan() { 0.0 } else { pushed }
}

fn is_newer(last: Option<Timestamp>, pushed: Option<Timestamp>) -> bool {
    matches!((last, pushed), (Some(last), Some(pushed)) if pushed > last)
}

/// How much a number that cannot fall has grown. Here and below, `None` tells of a restart.
fn growth(last: f64, pushed: f64) -> Option<f64> {
    if pushed == last {
        // Also for infinity, which less itself is not a number.
        return Some(0.0);
    }
    (pushed > last).then_some(pushed - last)
}

/// How much a part has grown that may be absent: a new one counts wholly, and none goes away without a restart.
fn part_growth(
    last: Option<f64>,
    pushed: Option<f64>,
    growth: impl FnOnce(f64, f64) -> Option<f64>,
) -> Option<Option<f64>> {
    match (last, pushed) {
        (Some(last), Some(pushed)) => growth(last, pushed).map(Some),
        (None, pushed) => Some(pushed),
        (Some(_), None) => None,
    }
}

/// How much a sum of observations has changed. It falls only by negative observations; one that is not finite stays so, or
/// becomes NaN, as it does with the first observation that is NaN.
fn sum_growth(last: f64, pushed: f64, most_fall: f64) -> Option<f64> {
    if pushed == last {
        return Some(0.0);
    }
    let is_possible = pushed.is_nan() || (last.is_finite() && last - pushed <= most_fall);
    is_possible.then_some(pushed - last)
}

fn summary_growth(last: &Summary, pushed: &Summary) -> Option<Summary> {
    if is_newer(last.created, pushed.created) {
        return None;
    }
    let is_negative = [last.sum, pushed.sum].into_iter().flatten().any(|sum| sum < 0.0);
    let most_fall = if is_negative { f64::INFINITY } else { 0.0 };
    Some(Summary {
        window: None,
        quantiles: Vec::new(),
        sum: part_growth(last.sum, pushed.sum, |last, pushed| sum_growth(last, pushed, most_fall))?,
        count: part_growth(last.count, pushed.count, growth)?,
        created: pushed.created,
    })
}

fn histogram_growth(last: &Histogram, pushed: &Histogram) -> Option<Histogram> {
    if is_newer(last.created, pushed.created) {
        return None;
    }
    let most_fall = most_fall(last, pushed);
    let native = match (&last.native, &pushed.native) {
        (Some(last), Some(pushed)) => Some(Box::new(native_growth(last, pushed, most_fall)?)),
        (None, pushed) => pushed.clone(),
        (Some(_), None) => return None,
    };
    Some(Histogram {
        buckets: bucket_growth(&last.buckets, &pushed.buckets)?,
        sum: part_growth(last.sum, pushed.sum, |last, pushed| sum_growth(last, pushed, most_fall))?,
        count: part_growth(last.count, pushed.count, growth)?,
        created: pushed.created,
        exemplars: pushed.exemplars.clone(),
        native,
    })
}

/// The most by which the sum can have fallen: without bound if there may be negative observations, and else by what is in the
/// zero bucket, which holds small ones of both signs.
fn most_fall(last: &Histogram, pushed: &Histogram) -> f64 {
    if counts_negative(last) || counts_negative(pushed) {
        return f64::INFINITY;
    }
    pushed.native.as_deref().map_or(0.0, |native| native.zero_threshold * native.zero_count)
}

/// Whether anything says that there may be negative observations beyond the zero bucket.
fn counts_negative(histogram: &Histogram) -> bool {
    histogram.sum.is_some_and(|sum| sum < 0.0)
        || histogram.buckets.iter().any(|bucket| bucket.bound <= 0.0 && bucket.count > 0.0)
        || histogram.native.as_deref().is_some_and(|native| native.sum < 0.0 || !native.negative.is_empty())
}

fn bucket_growth(last: &[Bucket], pushed: &[Bucket]) -> Option<Vec<Bucket>> {
    if last.is_empty() {
        return Some(pushed.to_vec());
    }
    if !keeps_bounds(last, pushed) {
        return None;
    }
    // A bucket `+Inf` that is new was, for the total, as high as the last one below it.
    let last_counts = last.iter().chain(last.last()).map(|bucket| bucket.count);
    let grown = pushed.iter().zip(last_counts).map(|(bucket, last)| {
        let count = growth(last, bucket.count)?;
        Some(Bucket { count, ..*bucket })
    });
    let grown: Vec<Bucket> = grown.collect::<Option<_>>()?;
    // Cumulative counts that grow less than those below them: a single bucket has fallen. Differences of other floats are rounded.
    let is_exact = has_exact_counts(last) && has_exact_counts(pushed);
    let has_fallen_bucket = is_exact && !grown.is_sorted_by(|below, above| below.count <= above.count);
    (!has_fallen_bucket).then_some(grown)
}

/// A program keeps its bounds; but Go's client sends the bucket `+Inf` in protobuf only from its first exemplar on.
fn keeps_bounds(last: &[Bucket], pushed: &[Bucket]) -> bool {
    match pushed.split_last() {
        Some((beyond, finite)) if beyond.bound == f64::INFINITY && finite.len() == last.len() => {
            have_same_bounds(last, finite)
        }
        _ => have_same_bounds(last, pushed),
    }
}

fn has_exact_counts(buckets: &[Bucket]) -> bool {
    buckets.iter().all(|bucket| bucket.count < FIRST_INEXACT && bucket.count.fract() == 0.0)
}

fn native_growth(last: &NativeHistogram, pushed: &NativeHistogram, most_fall: f64) -> Option<NativeHistogram> {
    let last = at_resolution_of(pushed, last)?;
    Some(NativeHistogram {
        schema: pushed.schema,
        zero_threshold: pushed.zero_threshold,
        zero_count: growth(last.zero_count, pushed.zero_count)?,
        negative: native_bucket_growth(&last.negative, &pushed.negative)?,
        positive: native_bucket_growth(&last.positive, &pushed.positive)?,
        count: growth(last.count, pushed.count)?,
        sum: sum_growth(last.sum, pushed.sum, most_fall)?,
        exemplars: pushed.exemplars.clone(),
    })
}

/// The last histogram as it is in the resolution and with the zero bucket of the pushed one. A running program only ever lowers its
/// resolution and widens its zero bucket, up to where it can tell observations apart.
fn at_resolution_of<'a>(pushed: &NativeHistogram, last: &'a NativeHistogram) -> Option<Cow<'a, NativeHistogram>> {
    let is_like_pushed =
        |last: &NativeHistogram| last.schema == pushed.schema && last.zero_threshold == pushed.zero_threshold;
    if is_like_pushed(last) {
        return Some(Cow::Borrowed(last));
    }
    let NativeHistogram { schema, zero_threshold, .. } = *pushed;
    let mut lowered = last.clone();
    // An empty histogram adds nothing but its resolution.
    add_native(&mut lowered, NativeHistogram { schema, zero_threshold, ..NativeHistogram::default() }, usize::MAX);
    is_like_pushed(&lowered).then_some(Cow::Owned(lowered))
}

/// Buckets of one resolution, none of which may go away; those that have not grown are left out.
fn native_bucket_growth(last: &[NativeBucket], pushed: &[NativeBucket]) -> Option<Vec<NativeBucket>> {
    let mut last = last.iter().peekable();
    let mut grown = Vec::new();
    for bucket in pushed {
        let before = last.next_if(|last| last.index == bucket.index).map_or(0.0, |last| last.count);
        let count = growth(before, bucket.count)?;
        if count > 0.0 {
            grown.push(NativeBucket { count, ..*bucket });
        }
    }
    // The last bucket that `pushed` lacks holds up all those above it.
    last.next().is_none().then_some(grown)
}

#[cfg(test)]
mod tests;
