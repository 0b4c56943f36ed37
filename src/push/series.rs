//! Puts a push's samples into series, splits the series by shard, and refuses what a series cannot be.

use std::collections::HashSet;

use super::families::{FamilyPlan, ResolvedName};
use super::seen::SeenSeries;
use super::{PushError, fault};
use crate::aggregate::MOST_BUCKETS;
use crate::exposition::error::{DecodeError, Limits};
use crate::exposition::number::{float_text, parse_float};
use crate::exposition::text_decode::{Decoded, Sample};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{GroupLabels, are_one_when_escaped, has_quoted_names, write_canonical};
use crate::model::value::{Bucket, Histogram, Summary};
use crate::shard::batch::{Batch, HistogramUpdate, NumberUpdate, Router, SeriesRef, SummaryUpdate};

/// What is the same for all samples of a push.
pub(super) struct Context<'a> {
    pub body: &'a str,
    pub group: &'a GroupLabels,
    pub limits: &'a Limits,
    pub router: &'a Router,
}

/// Splits the samples into one batch a shard. Also returns how many samples were discarded.
pub(super) fn assemble(
    context: &Context<'_>,
    decoded: &Decoded,
    plan: &mut FamilyPlan,
    seen: &mut SeenSeries,
) -> Result<(Vec<Batch>, u64), PushError> {
    let FamilyPlan { names, families } = plan;
    let mut discarded = 0;
    seen.start(decoded.samples.len());
    let mut builder = Builder::new(context, decoded.samples.len(), seen);
    for sample in &decoded.samples {
        let name = names[sample.name as usize];
        if name.is_discarded {
            builder.check_discarded(sample, name, families[name.family as usize].wanted.name())?;
            discarded += 1;
            continue;
        }
        let added = match (name.role, name.kind) {
            (SampleRole::Number, _) => builder.number(sample, name),
            (_, MetricKind::Histogram) => builder.histogram_part(sample, name),
            _ => builder.summary_part(sample, name),
        };
        let family = &mut families[name.family as usize];
        match added {
            Ok(is_new_series) => {
                family.series += usize::from(is_new_series);
                family.has_quoted_labels |= sample.canonical_hash.is_none() && has_quoted_names(&builder.labels);
            }
            Err(Refused::Fault(error)) => return Err(error),
            Err(Refused::Repeated(labels)) => {
                let suffix = name.kind.samples().iter().find(|(_, role)| *role == name.role).map_or("", |(it, _)| it);
                let error = repeated(sample.line, &format!("{}{suffix}", family.wanted.name()), &labels);
                return Err(PushError::DuplicateSeries(error));
            }
        }
    }
    let mut batches = builder.finish();
    for (batch, first_lines) in &mut batches {
        finish_histograms(batch, first_lines, |series| families[series.family as usize].wanted.name())?;
    }
    Ok((batches.into_iter().map(|(batch, _)| batch).collect(), discarded))
}

fn repeated(line: u32, name: &str, labels: &str) -> DecodeError {
    let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
    fault(line, "each series once in a push", format!("{series} again"))
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
    /// For each batch, the line each of its histograms began on.
    first_lines: Vec<Vec<u32>>,
    /// Label texts of all batches, in bytes.
    key_bytes: usize,
    /// The parts of summaries that are not kept, by series hash: only that none comes twice is of interest. Two series with
    /// one 64-bit hash are as good as impossible, and refused at the worst.
    parts: HashSet<(u64, u64), ahash::RandomState>,
}

impl<'a> Builder<'a> {
    fn new(context: &'a Context<'a>, samples: usize, seen: &'a mut SeenSeries) -> Self {
        let shards = context.router.shards();
        let batch = || {
            let mut batch = Batch::default();
            // A little over its fair share, so that most batches grow once.
            batch.numbers.reserve(samples / shards + samples / shards / 8);
            batch.keys.reserve(context.body.len() / shards);
            batch
        };
        let batches = (0..shards).map(|_| batch()).collect();
        Self {
            context,
            seen,
            labels: String::new(),
            batches,
            first_lines: vec![Vec::new(); shards],
            key_bytes: 0,
            parts: HashSet::default(),
        }
    }

    fn finish(self) -> Vec<(Batch, Vec<u32>)> {
        self.batches.into_iter().zip(self.first_lines).collect()
    }

    /// A sample that is a series by itself. Always a new one.
    #[inline]
    fn number(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        if name.kind == MetricKind::Counter && !is_at_least_zero(sample.value) {
            let error = fault(sample.line, "a counter increment of at least 0", float_text(sample.value));
            return Err(PushError::InvalidSample(error).into());
        }
        let context = self.context;
        let (labels, labels_hash) = match sample.canonical_hash {
            Some(hash) if context.group.is_empty() => (sample.labels.of(context.body), hash),
            _ => {
                self.write_labels(sample, name, None)?;
                (self.labels.as_str(), context.router.hasher().hash_labels(&self.labels))
            }
        };
        let hash = context.router.series_hash(name.family_hash, labels_hash);
        let batch = &mut self.batches[context.router.shard(hash)];
        let next = batch.numbers.len() as u32;
        let is_same = |at: u32| is_series(batch, batch.numbers[at as usize].series, name, labels);
        if self.seen.find_or_insert(hash, next, is_same).is_some() {
            return Err(Refused::Repeated(labels.to_owned()));
        }
        limit_key(context.limits, &mut self.key_bytes, sample, labels)?;
        let series = batch.push_key(hash, name.family, labels);
        batch.numbers.push(NumberUpdate { series, value: sample.value });
        Ok(true)
    }

    /// Returns whether the sample is the first of its series, as [`Self::summary_part`] does.
    fn histogram_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let bound = self.position(sample, name)?;
        let hash = self.hash(name);
        let shard = self.context.router.shard(hash);
        let batch = &mut self.batches[shard];
        let next = batch.histograms.len() as u32;
        let is_same = |at: u32| is_series(batch, batch.histograms[at as usize].series, name, &self.labels);
        let known = self.seen.find_or_insert(hash, next, is_same);
        if known.is_none() {
            limit_key(self.context.limits, &mut self.key_bytes, sample, &self.labels)?;
            let series = batch.push_key(hash, name.family, &self.labels);
            batch.histograms.push(HistogramUpdate { series, histogram: Histogram::default() });
            self.first_lines[shard].push(sample.line);
        }
        let histogram = &mut batch.histograms[known.unwrap_or(next) as usize].histogram;
        match bound {
            Some(bound) => histogram.buckets.push(Bucket { bound, count: sample.value }),
            None => {
                let part = if name.role == SampleRole::Sum { &mut histogram.sum } else { &mut histogram.count };
                if part.replace(sample.value).is_some() {
                    return Err(Refused::Repeated(self.labels.clone()));
                }
            }
        }
        Ok(known.is_none())
    }

    fn summary_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let quantile = self.position(sample, name)?;
        let hash = self.hash(name);
        let batch = &mut self.batches[self.context.router.shard(hash)];
        let next = batch.summaries.len() as u32;
        let is_same = |at: u32| is_series(batch, batch.summaries[at as usize].series, name, &self.labels);
        let known = self.seen.find_or_insert(hash, next, is_same);
        if known.is_none() {
            limit_key(self.context.limits, &mut self.key_bytes, sample, &self.labels)?;
            let series = batch.push_key(hash, name.family, &self.labels);
            batch.summaries.push(SummaryUpdate { series, summary: Summary::default() });
        }
        if let Some(quantile) = quantile {
            if !self.parts.insert((hash, part_of(name.role, Some(quantile)))) {
                let separator = if self.labels.is_empty() { "" } else { "," };
                return Err(Refused::Repeated(format!(
                    "{}{separator}quantile=\"{}\"",
                    self.labels,
                    float_text(quantile)
                )));
            }
        } else {
            let summary = &mut batch.summaries[known.unwrap_or(next) as usize].summary;
            let part = if name.role == SampleRole::Sum { &mut summary.sum } else { &mut summary.count };
            if part.replace(sample.value).is_some() {
                return Err(Refused::Repeated(self.labels.clone()));
            }
        }
        Ok(known.is_none())
    }

    /// The hash of the series whose labels are in the scratch.
    fn hash(&self, name: ResolvedName) -> u64 {
        let router = self.context.router;
        router.series_hash(name.family_hash, router.hasher().hash_labels(&self.labels))
    }

    /// Checks a sample that is not kept as if it were.
    fn check_discarded(&mut self, sample: &Sample, name: ResolvedName, family: &str) -> Result<(), PushError> {
        let quantile = self.position(sample, name)?;
        if self.parts.insert((self.hash(name), part_of(name.role, quantile))) {
            return Ok(());
        }
        Err(PushError::DuplicateSeries(repeated(sample.line, family, &self.labels)))
    }

    /// Writes the series' labels to the scratch. Checks the sample, and that `le` or `quantile` stands on buckets and
    /// quantiles and nowhere else; returns its value.
    fn position(&mut self, sample: &Sample, name: ResolvedName) -> Result<Option<f64>, PushError> {
        let label = if name.kind == MetricKind::Histogram { "le" } else { "quantile" };
        let invalid = |expected: String, got: &str| Err(PushError::InvalidSample(fault(sample.line, expected, got)));
        if self.context.group.contains(label) {
            return invalid(format!("a path without the label {label} for a {}", name.kind.name()), label);
        }
        let has_position = name.role.position_label().is_some();
        let is_count = matches!(name.role, SampleRole::Bucket | SampleRole::Count);
        if is_count && !is_at_least_zero(sample.value) {
            return invalid("a count of at least 0".to_owned(), &float_text(sample.value));
        }
        match self.write_labels(sample, name, Some(label))? {
            None if has_position => invalid(format!("the label {label}"), "none"),
            None => Ok(None),
            Some(text) if !has_position => invalid(format!("no label {label} here"), &format!("{label}=\"{text}\"")),
            Some(text) => match parse_float(text.as_bytes()).filter(|position| !position.is_nan()) {
                Some(position) => Ok(Some(position)),
                None => invalid(format!("a number as {label}"), &format!("\"{text}\"")),
            },
        }
    }

    /// Writes canonical label text to the scratch; returns the value of the label `left_out`, as written.
    fn write_labels(
        &mut self,
        sample: &Sample,
        name: ResolvedName,
        left_out: Option<&str>,
    ) -> Result<Option<&'a str>, PushError> {
        debug_assert_eq!(left_out.is_none(), name.role == SampleRole::Number);
        self.labels.clear();
        let context = self.context;
        let text = sample.labels.of(context.body);
        write_canonical(&mut self.labels, text, context.group, left_out, context.limits.labels)
            .map_err(|refused| PushError::Malformed(fault(sample.line, refused.expected(), refused.got())))
    }
}

/// Tells the parts of one summary apart. No quantile has the bits of the other two: they are NaN.
fn part_of(role: SampleRole, quantile: Option<f64>) -> u64 {
    match quantile {
        Some(quantile) => (quantile + 0.0).to_bits(),
        None if role == SampleRole::Sum => u64::MAX,
        None => u64::MAX - 1,
    }
}

/// Counts a new series' label text, unless it or all of them together are too long.
fn limit_key(limits: &Limits, key_bytes: &mut usize, sample: &Sample, labels: &str) -> Result<(), PushError> {
    let refused = |what: &str, limit: usize| {
        let expected = format!("{what} of at most {limit} bytes with the labels of the path");
        Err(PushError::Malformed(fault(sample.line, expected, "more")))
    };
    *key_bytes += labels.len();
    if labels.len() > limits.series_length {
        refused("the labels of a series", limits.series_length)
    } else if *key_bytes > limits.push_length {
        refused("the labels of a push", limits.push_length)
    } else {
        Ok(())
    }
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

/// Puts buckets in order, and adds the `+Inf` bucket where only the count was pushed.
fn finish_histograms<'n>(
    batch: &mut Batch,
    first_lines: &[u32],
    family_name: impl Fn(SeriesRef) -> &'n str,
) -> Result<(), PushError> {
    let Batch { keys, histograms, .. } = batch;
    for (HistogramUpdate { series, histogram }, first_line) in histograms.iter_mut().zip(first_lines) {
        let buckets = &mut histogram.buckets;
        if !buckets.is_sorted_by(|one, other| one.bound < other.bound) {
            buckets.sort_by(|one, other| one.bound.total_cmp(&other.bound));
        }
        if let Some(pair) = buckets.windows(2).find(|pair| pair[0].bound == pair[1].bound) {
            let key = keys.get(series.key_start as usize..series.key_end as usize).unwrap_or_default();
            let separator = if key.is_empty() { "" } else { "," };
            let labels = format!("{key}{separator}le=\"{}\"", float_text(pair[0].bound));
            let error = repeated(*first_line, &format!("{}_bucket", family_name(*series)), &labels);
            return Err(PushError::DuplicateSeries(error));
        }
        if buckets.len() > MOST_BUCKETS {
            let expected = format!("at most {MOST_BUCKETS} buckets in a histogram");
            return Err(PushError::InvalidSample(fault(*first_line, expected, buckets.len().to_string())));
        }
        let has_infinity = buckets.last().is_some_and(|bucket| bucket.bound == f64::INFINITY);
        if let (false, Some(count)) = (has_infinity, histogram.count) {
            buckets.push(Bucket { bound: f64::INFINITY, count });
        }
    }
    Ok(())
}
