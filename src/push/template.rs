//! A push that is like one before but for its values need not be taken apart again: its bytes are compared with those of the
//! one before, and the values put where they went then.
//!
//! A template is made by assembling the push once more with a marker in place of each value, and looking where the markers have
//! gone. So it knows nothing of series, labels and rules, and cannot disagree with what does.

use std::ops::Range;
use std::sync::Arc;

use super::{Assembled, Intake, PlannedFamily, PushRules, RawPush};
use crate::exposition::decoded::{Decoded, Name};
use crate::exposition::format::PushFormat;
use crate::exposition::number::read_float;
use crate::model::door::Door;
use crate::model::family::MetricKind;
use crate::model::labels::GroupLabels;
use crate::model::value::{Histogram, Millis, Summary};
use crate::registry::Wanted;
use crate::shard::batch::{Batch, HistogramUpdate, SeriesRule, SummaryUpdate};

/// A push as it was assembled once, and where each of its values has gone.
#[derive(Debug)]
pub(super) struct Template {
    context: Context,
    /// The body's bytes before each value, one after the other, and behind the last.
    text: Box<[u8]>,
    values: Box<[ValueInText]>,
    /// Second places of values: that of a histogram's count, if it is the `+Inf` bucket too.
    second_places: Box<[(u32, Place)]>,
    families: Vec<PlannedFamily>,
    rules: Vec<SeriesRule>,
    /// Of zeros and markers in place of values.
    batches: Vec<Batch>,
    samples: u64,
}

/// What a push's meaning depends on beside its body.
#[derive(Debug)]
struct Context {
    format: PushFormat,
    door: Door,
    labels: GroupLabels,
    lifetime: Option<Millis>,
    rules: Arc<PushRules>,
}

/// A value of the body.
#[derive(Clone, Copy, Debug)]
struct ValueInText {
    /// Where in [`Template::text`] the bytes before it end.
    text_end: u32,
    place: Place,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Index of the series in its list.
    series: u32,
    /// Index of the bucket, if it is one.
    bucket: u32,
    shard: u16,
    part: Part,
}

/// What of a series a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Number,
    /// A number that is at least 0.
    Increment,
    Bucket,
    HistogramSum,
    HistogramCount,
    SummarySum,
    SummaryCount,
    /// Checked to be a number, and not kept: a quantile.
    Nowhere,
}

impl Part {
    /// Counts and increments are; not so NaN.
    fn admits(self, value: f64) -> bool {
        match self {
            Self::Increment | Self::Bucket | Self::HistogramCount | Self::SummaryCount => value >= 0.0,
            Self::Number | Self::HistogramSum | Self::SummarySum | Self::Nowhere => true,
        }
    }
}

/// Markers are whole numbers from here on: neither they nor their sums are values of their neighbours.
const FIRST_MARKER: u64 = 1 << 45;

impl Template {
    /// Makes a template of a push that has been taken in. `None` if its values are not all there is to it: exemplars and
    /// timestamps, families or series that are treated in a way of their own.
    pub fn learn(push: RawPush<'_>, intake: &mut Intake<'_>) -> Option<Self> {
        let RawPush { format, body, pushed, rules } = push;
        let spans = values_of(body)?;
        let marked = with_markers(body, &spans);
        let assembled = intake.assemble(RawPush { body: &marked, ..push }).ok()?;
        if !is_usual(&assembled, spans.len()) || speaks_of_others(&marked, &intake.scratch.decoded, &assembled) {
            return None;
        }
        let (places, second_places) = places(&assembled, spans.len())?;
        let mut text = Vec::with_capacity(body.len());
        let mut at = 0;
        let values = spans.iter().zip(places).map(|(span, place)| {
            text.extend_from_slice(&body[at..span.start]);
            at = span.end;
            ValueInText { text_end: text.len() as u32, place }
        });
        let values = values.collect();
        text.extend_from_slice(&body[at..]);
        let context = Context {
            format,
            door: pushed.door,
            labels: pushed.labels.clone(),
            lifetime: pushed.lifetime,
            rules: Arc::clone(rules),
        };
        let Assembled { families, rules, mut batches, samples, .. } = assembled;
        batches.iter_mut().for_each(Batch::share_keys);
        let text = text.into_boxed_slice();
        Some(Self { context, text, values, second_places, families, rules, batches, samples })
    }

    /// The push, if it is like the template. Otherwise it has to be taken apart, which also tells what is wrong with it.
    pub fn fill(&self, push: RawPush<'_>) -> Option<Assembled> {
        if !self.context.is_of(push) {
            return None;
        }
        let body = push.body;
        let mut batches = self.batches.clone();
        let (mut at, mut text_start) = (0, 0);
        let mut seconds = self.second_places.iter();
        let mut second = seconds.next();
        for (index, ValueInText { text_end, place }) in self.values.iter().enumerate() {
            let before = &self.text[text_start..*text_end as usize];
            let rest = body.get(at..)?.strip_prefix(before)?;
            let (value, length) = read_float(rest).filter(|(value, _)| place.part.admits(*value))?;
            place.put(&mut batches, value);
            while let Some((_, place)) = second.filter(|(of, _)| *of as usize == index) {
                place.put(&mut batches, value);
                second = seconds.next();
            }
            at += before.len() + length;
            text_start = *text_end as usize;
        }
        if body.get(at..)? != &self.text[text_start..] {
            return None;
        }
        Some(Assembled {
            families: self.families.clone(),
            rules: self.rules.clone(),
            releases: Vec::new(),
            batches,
            samples: self.samples,
            replaced_families: Vec::new(),
            discarded_samples: 0,
            ignored_timestamps: 0,
        })
    }

    /// Memory held, roughly.
    pub fn bytes(&self) -> usize {
        const FAMILY: usize = 128;
        size_of::<Self>()
            + self.text.len()
            + size_of_val(&self.values[..])
            + self.families.len() * FAMILY
            + self.batches.iter().map(Batch::bytes).sum::<usize>()
    }
}

impl Context {
    fn is_of(&self, RawPush { format, pushed, rules, .. }: RawPush<'_>) -> bool {
        self.format == format
            && self.door == pushed.door
            && self.lifetime == pushed.lifetime
            && self.labels == *pushed.labels
            && Arc::ptr_eq(&self.rules, rules)
    }
}

impl Place {
    /// Puts the value there. There is such a place, for the batches are copies of those that it was found in.
    #[inline]
    fn put(self, batches: &mut [Batch], value: f64) {
        let Some(batch) = batches.get_mut(usize::from(self.shard)) else { return };
        let series = self.series as usize;
        match self.part {
            Part::Number | Part::Increment => {
                if let Some(update) = batch.numbers.get_mut(series) {
                    update.value = value;
                }
            }
            Part::SummarySum | Part::SummaryCount => {
                let Some(SummaryUpdate { summary, .. }) = batch.summaries.get_mut(series) else { return };
                match self.part {
                    Part::SummarySum => summary.sum = Some(value),
                    _ => summary.count = Some(value),
                }
            }
            Part::Bucket | Part::HistogramSum | Part::HistogramCount => {
                let Some(HistogramUpdate { histogram, .. }) = batch.histograms.get_mut(series) else { return };
                match self.part {
                    Part::HistogramSum => histogram.sum = Some(value),
                    Part::HistogramCount => histogram.count = Some(value),
                    _ => {
                        if let Some(bucket) = histogram.buckets.get_mut(self.bucket as usize) {
                            bucket.count = value;
                        }
                    }
                }
            }
            Part::Nowhere => {}
        }
    }
}

/// Where the first value of a body stands.
pub(super) fn first_value(body: &[u8]) -> Option<Range<usize>> {
    Values { body, at: 0 }.next()?
}

/// Where the values stand: at the ends of the lines that are no comments. `None` if one is no number.
fn values_of(body: &[u8]) -> Option<Vec<Range<usize>>> {
    Values { body, at: 0 }.collect()
}

struct Values<'b> {
    body: &'b [u8],
    at: usize,
}

impl Iterator for Values<'_> {
    type Item = Option<Range<usize>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (start, line) = (self.at, &rest[..end]);
            self.at += end + 1;
            let line = line.trim_ascii_end();
            if !matches!(line.trim_ascii_start().first(), None | Some(b'#')) {
                let value = memchr::memrchr2(b' ', b'\t', line).map_or(0, |blank| blank + 1);
                let is_number = read_float(&line[value..]).is_some_and(|(_, length)| value + length == line.len());
                return Some(is_number.then_some(start + value..start + line.len()));
            }
        }
    }
}

/// The body with a marker for each value.
fn with_markers(body: &[u8], values: &[Range<usize>]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(body.len() + 16 * values.len());
    let mut at = 0;
    for (marker, value) in (FIRST_MARKER..).zip(values) {
        marked.extend_from_slice(&body[at..value.start]);
        marked.extend_from_slice(itoa::Buffer::new().format(marker).as_bytes());
        at = value.end;
    }
    marked.extend_from_slice(&body[at..]);
    marked
}

/// Whether the register knows the family as the push wants it, and will tell if that changes.
fn is_settled(planned: &PlannedFamily) -> bool {
    matches!(planned.wanted, Wanted::Known(_)) && !planned.has_quoted_labels
}

/// Whether values are all that the batch's series came with.
fn is_plain(batch: &Batch) -> bool {
    let is_plain_histogram = |histogram: &Histogram| {
        histogram.created.is_none() && histogram.exemplars.is_empty() && histogram.native.is_none()
    };
    let is_plain_summary = |summary: &Summary| summary.created.is_none() && summary.quantiles.is_empty();
    batch.counters.is_empty()
        && batch.parts.is_none()
        && batch.histograms.iter().all(|update| is_plain_histogram(&update.histogram))
        && batch.summaries.iter().all(|update| is_plain_summary(&update.summary))
}

/// Whether values are all there is to a push, each in a series of its own.
fn is_usual(push: &Assembled, values: usize) -> bool {
    push.samples == values as u64
        && push.ignored_timestamps == 0
        && push.discarded_samples == 0
        && push.releases.is_empty()
        && push.replaced_families.is_empty()
        && push.families.iter().all(is_settled)
        && push.batches.iter().all(is_plain)
}

/// Whether a TYPE or HELP is of a family that the push does not have: the register may come to contradict it.
fn speaks_of_others(text: &[u8], decoded: &Decoded, push: &Assembled) -> bool {
    let names: Vec<&str> = push.families.iter().map(|planned| planned.wanted.name()).collect();
    let is_of_push = |name: &Name, suffix: &str| {
        let name = str::from_utf8(text).map_or("", |text| name.text.of(text));
        names.iter().any(|family| family.strip_suffix(suffix).is_some_and(|family| family == name))
    };
    !decoded.metadata.iter().all(|said| is_of_push(&said.name, ""))
        || !decoded.families.iter().all(|family| is_of_push(&family.name, family.suffix))
}

/// Looks for the markers: the place of each value, and second ones.
#[allow(clippy::type_complexity, reason = "two lists, taken apart at once")]
fn places(push: &Assembled, values: usize) -> Option<(Vec<Place>, Box<[(u32, Place)]>)> {
    let nowhere = Place { series: 0, bucket: 0, shard: 0, part: Part::Nowhere };
    let mut places = vec![nowhere; values];
    let mut second_places = Vec::new();
    let mut found = |value: f64, place: Place| {
        // Each number of a plain push is a marker: what is none is of unknown origin.
        let index = (value as u64).checked_sub(FIRST_MARKER).filter(|index| *index < values as u64)? as usize;
        match places[index].part {
            Part::Nowhere => places[index] = place,
            _ => second_places.push((index as u32, place)),
        }
        Some(())
    };
    for (shard, batch) in push.batches.iter().enumerate() {
        let shard = u16::try_from(shard).ok()?;
        let place = |series: usize, bucket: usize, part| {
            Some(Place { series: u32::try_from(series).ok()?, bucket: u32::try_from(bucket).ok()?, shard, part })
        };
        for (series, update) in batch.numbers.iter().enumerate() {
            let part = match push.families.get(update.series.family as usize)?.wanted.kind() {
                MetricKind::Counter => Part::Increment,
                MetricKind::Info | MetricKind::StateSet => return None,
                _ => Part::Number,
            };
            found(update.value, place(series, 0, part)?)?;
        }
        for (series, HistogramUpdate { histogram, .. }) in batch.histograms.iter().enumerate() {
            for (bucket, of) in histogram.buckets.iter().enumerate() {
                found(of.count, place(series, bucket, Part::Bucket)?)?;
            }
            let whole = [(histogram.sum, Part::HistogramSum), (histogram.count, Part::HistogramCount)];
            for (value, part) in whole.into_iter().filter_map(|(value, part)| Some((value?, part))) {
                found(value, place(series, 0, part)?)?;
            }
        }
        for (series, SummaryUpdate { summary, .. }) in batch.summaries.iter().enumerate() {
            let whole = [(summary.sum, Part::SummarySum), (summary.count, Part::SummaryCount)];
            for (value, part) in whole.into_iter().filter_map(|(value, part)| Some((value?, part))) {
                found(value, place(series, 0, part)?)?;
            }
        }
    }
    second_places.sort_by_key(|(index, _)| *index);
    Some((places, second_places.into()))
}
