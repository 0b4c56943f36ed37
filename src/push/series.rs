//! Puts a push's samples into series, splits the series by shard, and refuses what a series cannot be.

mod parts;

use std::collections::HashSet;

use parts::finish_histograms;

use super::families::{FamilyPlan, ResolvedName};
use super::seen::SeenSeries;
use super::{PushError, fault};
use crate::exposition::decoded::{Decoded, Places, Sample, SampleExtra, SeriesText, WholeHistogram, WholeSummary};
use crate::exposition::error::{DecodeError, Limits, Place};
use crate::exposition::number::float_text;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{GroupLabels, are_one_when_escaped, has_label, has_quoted_names, write_canonical};
use crate::model::timestamp::Timestamp;
use crate::model::value::BucketExemplar;
use crate::shard::batch::{Batch, CounterExtra, NumberUpdate, Router, SeriesRef};

/// What is the same for all samples of a push.
pub(super) struct Context<'a> {
    pub text: &'a str,
    pub group: &'a GroupLabels,
    pub limits: &'a Limits,
    pub router: &'a Router,
    pub places: Places,
}

impl Context<'_> {
    fn place(&self, series: &SeriesText) -> Place {
        self.places.at(series.place)
    }

    /// Whether the series' labels can be taken as they stand.
    #[inline]
    fn are_final(&self, series: &SeriesText) -> bool {
        series.canonical_hash.is_some() && self.group.is_empty()
    }
}

/// Splits the samples into one batch a shard. Also returns how many samples were discarded.
pub(super) fn assemble(
    context: &Context<'_>,
    decoded: &mut Decoded,
    plan: &mut FamilyPlan,
    seen: &mut SeenSeries,
) -> Result<(Vec<Batch>, u64), PushError> {
    seen.start(decoded.parts());
    let mut assembly = Assembly { builder: Builder::new(context, decoded.samples.len(), seen), plan, discarded: 0 };
    assembly.samples(&decoded.samples, &mut decoded.extras)?;
    for WholeHistogram { series, histogram } in decoded.histograms.drain(..) {
        assembly.add(&series, SampleRole::Count, |builder, name| builder.whole_histogram(&series, name, histogram))?;
    }
    for WholeSummary { series, summary } in decoded.summaries.drain(..) {
        let name = assembly.plan.names[series.name as usize];
        if name.is_discarded {
            assembly.discard(&series, name, summary.count.unwrap_or(0.0))?;
        } else {
            assembly.add(&series, SampleRole::Count, |builder, name| builder.whole_summary(&series, name, summary))?;
        }
    }
    let Assembly { builder, plan, discarded } = assembly;
    let mut batches = builder.finish();
    for (batch, first_places) in &mut batches {
        let name = |series: SeriesRef| plan.families[series.family as usize].wanted.name();
        finish_histograms(batch, first_places, context.places, name)?;
    }
    Ok((batches.into_iter().map(|(batch, _)| batch).collect(), discarded))
}

/// The batches, and what becomes of the families meanwhile.
struct Assembly<'a, 'p> {
    builder: Builder<'a>,
    plan: &'p mut FamilyPlan,
    discarded: u64,
}

impl Assembly<'_, '_> {
    fn samples(&mut self, samples: &[Sample], extras: &mut Vec<SampleExtra>) -> Result<(), PushError> {
        let mut extras = extras.drain(..);
        let mut next = extras.next();
        for (index, sample) in samples.iter().enumerate() {
            let name = self.plan.names[sample.series.name as usize];
            if next.as_ref().is_some_and(|extra| extra.sample as usize == index) {
                let extra = std::mem::replace(&mut next, extras.next());
                self.part_with_extra(sample, name, extra)?;
            } else {
                self.part(sample, name)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn part(&mut self, sample: &Sample, name: ResolvedName) -> Result<(), PushError> {
        if name.is_discarded {
            return self.discard(&sample.series, name, sample.value);
        }
        if name.kind == MetricKind::StateSet {
            let family = self.plan.families[name.family as usize].wanted.name();
            self.builder.check_state(&sample.series, family)?;
        }
        self.add(&sample.series, name.role, |builder, name| match (name.role, name.kind) {
            (SampleRole::Number, _) => builder.number(sample, name),
            (_, kind) if kind.is_histogram() => builder.histogram_part(sample, name),
            _ => builder.summary_part(sample, name),
        })
    }

    #[cold]
    fn part_with_extra(
        &mut self,
        sample: &Sample,
        name: ResolvedName,
        extra: Option<SampleExtra>,
    ) -> Result<(), PushError> {
        let Some(extra) = extra.filter(|_| !name.is_discarded) else { return self.part(sample, name) };
        if let (SampleRole::Created, Some(created)) = (name.role, extra.created) {
            return self.add(&sample.series, name.role, |builder, name| builder.created(sample, name, created));
        }
        self.part(sample, name)?;
        self.builder.extra(name, extra);
        Ok(())
    }

    /// Adds a part of a series; `added` tells whether the series is new in the push.
    #[inline]
    fn add(
        &mut self,
        series: &SeriesText,
        role: SampleRole,
        added: impl FnOnce(&mut Builder<'_>, ResolvedName) -> Result<bool, Refused>,
    ) -> Result<(), PushError> {
        let name = self.plan.names[series.name as usize];
        let added = added(&mut self.builder, name);
        let family = &mut self.plan.families[name.family as usize];
        match added {
            Ok(is_new_series) => {
                family.series += usize::from(is_new_series);
                family.has_quoted_labels |=
                    !self.builder.context.are_final(series) && has_quoted_names(&self.builder.labels);
                Ok(())
            }
            Err(Refused::Fault(error)) => Err(error),
            Err(Refused::Repeated(labels)) => {
                let place = self.builder.context.place(series);
                let name = format!("{}{}", family.wanted.name(), suffix(name.kind, role));
                Err(PushError::DuplicateSeries(repeated(place, &name, &labels)))
            }
        }
    }

    /// Checks a part of a series that is not kept as if it were.
    fn discard(&mut self, series: &SeriesText, name: ResolvedName, value: f64) -> Result<(), PushError> {
        let family = self.plan.families[name.family as usize].wanted.name();
        self.builder.check_discarded(series, name, value, family)?;
        self.discarded += 1;
        Ok(())
    }
}

/// What the sample's name has behind that of its family.
fn suffix(kind: MetricKind, role: SampleRole) -> &'static str {
    let samples = kind.samples().iter().chain(kind.openmetrics_samples());
    samples.filter(|(_, of)| *of == role).map(|(suffix, _)| *suffix).next().unwrap_or_default()
}

fn repeated(place: Place, name: &str, labels: &str) -> DecodeError {
    let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
    fault(place, "each series once in a push", format!("{series} again"))
}

/// Why a sample was not added.
enum Refused {
    Fault(PushError),
    /// The labels of a series that has this sample already.
    Repeated(String),
}

impl From<PushError> for Refused {
    fn from(error: PushError) -> Self {
        Self::Fault(error)
    }
}

struct Builder<'a> {
    context: &'a Context<'a>,
    seen: &'a mut SeenSeries,
    /// Scratch for label text that is not written canonically.
    labels: String,
    batches: Vec<Batch>,
    /// For each batch, the place each of its histograms began on.
    first_places: Vec<Vec<u32>>,
    /// Where the last sample went.
    last: Option<LastPart>,
    /// Label texts of all batches, in bytes.
    key_bytes: usize,
    /// The parts of series that are not kept as such, by series hash: only that none comes twice is of interest. Two series with
    /// one 64-bit hash are as good as impossible, and refused at the worst.
    parts: HashSet<(u64, u64), ahash::RandomState>,
}

/// A number, or a bucket of a histogram, in the batch of a shard.
#[derive(Clone, Copy, Debug)]
struct LastPart {
    shard: usize,
    /// Index into the batch's numbers or histograms.
    index: usize,
    /// The bucket's.
    bound: Option<f64>,
}

impl<'a> Builder<'a> {
    fn new(context: &'a Context<'a>, samples: usize, seen: &'a mut SeenSeries) -> Self {
        let shards = context.router.shards();
        let batch = || {
            let mut batch = Batch::default();
            // A little over its fair share, so that most batches grow once.
            batch.numbers.reserve(samples / shards + samples / shards / 8);
            batch.keys.reserve(context.text.len() / shards);
            batch
        };
        let batches = (0..shards).map(|_| batch()).collect();
        Self {
            context,
            seen,
            labels: String::new(),
            batches,
            first_places: vec![Vec::new(); shards],
            last: None,
            key_bytes: 0,
            parts: HashSet::default(),
        }
    }

    fn finish(self) -> Vec<(Batch, Vec<u32>)> {
        self.batches.into_iter().zip(self.first_places).collect()
    }

    /// A sample that is a series by itself. Always a new one.
    #[inline]
    fn number(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let context = self.context;
        self.check_number(sample, name.kind)?;
        let (hash, labels) = self.labels_and_hash(&sample.series, name)?;
        let labels = labels.unwrap_or(&self.labels);
        let shard = context.router.shard(hash);
        let batch = &mut self.batches[shard];
        let next = batch.numbers.len() as u32;
        let is_same = |at: u32| {
            batch.numbers.get(at as usize).is_some_and(|update| is_series(batch, update.series, name, labels))
        };
        if self.seen.find_or_insert(hash, next, is_same).is_some() {
            return Err(Refused::Repeated(labels.to_owned()));
        }
        limit_key(context, &mut self.key_bytes, &sample.series, labels)?;
        let series = batch.push_key(hash, name.family, name.family, labels);
        batch.numbers.push(NumberUpdate { series, value: sample.value });
        self.last = Some(LastPart { shard, index: next as usize, bound: None });
        Ok(true)
    }

    /// A state has a label of its family's name, which tells which state it is.
    #[cold]
    fn check_state(&self, series: &SeriesText, family: &str) -> Result<(), PushError> {
        let labels = series.labels.of(self.context.text);
        if has_label(labels, family) || self.context.group.contains(family) {
            return Ok(());
        }
        let expected = format!("a label {family} that tells the state");
        Err(PushError::InvalidSample(fault(self.context.place(series), expected, format!("{{{labels}}}"))))
    }

    /// Checks a number that not every value will do for.
    #[inline]
    fn check_number(&self, sample: &Sample, kind: MetricKind) -> Result<(), PushError> {
        let expected = match kind {
            MetricKind::Counter if !is_at_least_zero(sample.value) => "a counter increment of at least 0",
            MetricKind::Info if sample.value != 1.0 => "the value 1 of an info",
            MetricKind::StateSet if sample.value != 0.0 && sample.value != 1.0 => "the value 0 or 1 of a state",
            _ => return Ok(()),
        };
        let place = self.context.place(&sample.series);
        Err(PushError::InvalidSample(fault(place, expected, float_text(sample.value))))
    }

    /// The hash of a number's series. Its labels are returned if they can be taken as they stand, else they are in the scratch.
    #[inline(always)]
    fn labels_and_hash(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
    ) -> Result<(u64, Option<&'a str>), PushError> {
        let context = self.context;
        match series.canonical_hash {
            Some(hash) if context.group.is_empty() => {
                Ok((context.router.series_hash(name.family_hash, hash), Some(series.labels.of(context.text))))
            }
            _ => {
                self.write_labels(series, None)?;
                Ok((self.hash(name), None))
            }
        }
    }

    fn counter_created(&mut self, sample: &Sample, name: ResolvedName, created: Timestamp) -> Result<bool, Refused> {
        let (hash, labels) = self.labels_and_hash(&sample.series, name)?;
        let labels = labels.unwrap_or(&self.labels);
        let batch = &mut self.batches[self.context.router.shard(hash)];
        let is_same = |at: u32| {
            batch.numbers.get(at as usize).is_some_and(|update| is_series(batch, update.series, name, labels))
        };
        let Some(number) = self.seen.find(hash, is_same) else {
            let place = self.context.place(&sample.series);
            let got = format!("_created of {{{labels}}} alone");
            return Err(PushError::InvalidSample(fault(place, "_created behind its _total", got)).into());
        };
        if !self.parts.insert((hash, part_of(name.role, None))) {
            return Err(Refused::Repeated(labels.to_owned()));
        }
        batch.counters.push(CounterExtra { number, created: Some(created), exemplar: None });
        Ok(false)
    }

    /// What the last sample came with.
    fn extra(&mut self, name: ResolvedName, SampleExtra { created, exemplar, .. }: SampleExtra) {
        let Some(LastPart { shard, index, bound }) = self.last else { return };
        let batch = &mut self.batches[shard];
        match bound {
            Some(bound) => {
                if let (Some(update), Some(exemplar)) = (batch.histograms.get_mut(index), exemplar) {
                    update.histogram.exemplars.push(BucketExemplar { bound, exemplar });
                }
            }
            None if name.kind == MetricKind::Counter => {
                batch.counters.push(CounterExtra { number: index as u32, created, exemplar });
            }
            None => {}
        }
    }

    /// The hash of the series whose labels are in the scratch.
    fn hash(&self, name: ResolvedName) -> u64 {
        let router = self.context.router;
        router.series_hash(name.family_hash, router.hasher().hash_labels(&self.labels))
    }

    /// Writes canonical label text to the scratch; returns the value of the label `left_out`, as written.
    fn write_labels(&mut self, series: &SeriesText, left_out: Option<&str>) -> Result<Option<&'a str>, PushError> {
        self.labels.clear();
        let context = self.context;
        let text = series.labels.of(context.text);
        write_canonical(&mut self.labels, text, context.group, left_out, context.limits.labels)
            .map_err(|refused| PushError::Malformed(fault(context.place(series), refused.expected(), refused.got())))
    }
}

/// Tells the parts of one series apart. No quantile has the bits of the others: they are NaN.
fn part_of(role: SampleRole, quantile: Option<f64>) -> u64 {
    match quantile {
        Some(quantile) => (quantile + 0.0).to_bits(),
        None if role == SampleRole::Sum => u64::MAX,
        None if role == SampleRole::Created => u64::MAX - 1,
        None => u64::MAX - 2,
    }
}

/// Counts a new series' label text, unless it or all of them together are too long.
#[inline(always)]
fn limit_key(context: &Context<'_>, key_bytes: &mut usize, series: &SeriesText, labels: &str) -> Result<(), PushError> {
    let limits = context.limits;
    *key_bytes += labels.len();
    if labels.len() > limits.series_length {
        Err(too_long("the labels of a series", limits.series_length, context.place(series)))
    } else if *key_bytes > limits.push_length {
        Err(too_long("the labels of a push", limits.push_length, context.place(series)))
    } else {
        Ok(())
    }
}

#[cold]
fn too_long(what: &str, limit: usize, place: Place) -> PushError {
    let expected = format!("{what} of at most {limit} bytes with the labels of the path");
    PushError::Malformed(fault(place, expected, "more"))
}

/// Not so for NaN.
fn is_at_least_zero(value: f64) -> bool {
    value >= 0.0
}

/// Whether it is the same series, for readers that know legacy names only at the least.
fn is_series(batch: &Batch, series: SeriesRef, name: ResolvedName, labels: &str) -> bool {
    let key = batch.key(series);
    series.family == name.family && (key == labels || are_one_when_escaped(key, labels))
}
