//! Series that have several parts: histograms and summaries, put together from samples or pushed whole.

use super::builder::{Builder, Draft, LastPart, Refused, is_at_least_zero, is_series, limit_key, part_of};
use super::{PushError, ResolvedName, fault, repeated, suffix};
use crate::aggregate::MOST_BUCKETS;
use crate::exposition::decoded::{Places, Sample, SeriesText};
use crate::exposition::error::Place;
use crate::exposition::number::{float_text, parse_float};
use crate::model::door::Door;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::timestamp::Timestamp;
use crate::model::value::{Bucket, Histogram, Quantile, Summary};
use crate::shard::batch::{HistogramUpdate, SeriesRef, SummaryUpdate};

/// Quantiles of one summary: a series must not make a piece of the page long.
const MOST_QUANTILES: usize = 1000;

impl Builder<'_, '_> {
    /// When a series began to count. For a counter its total came before.
    pub(super) fn created(&mut self, sample: &Sample, name: ResolvedName, created: Timestamp) -> Result<bool, Refused> {
        if name.kind == MetricKind::Counter {
            return self.counter_created(sample, name, created);
        }
        self.position(&sample.series, name, sample.value)?;
        let (shard, index, is_new) = match name.kind.is_histogram() {
            true => self.histogram(&sample.series, name)?,
            false => self.summary(&sample.series, name)?,
        };
        let batch = &mut self.drafts[shard].batch;
        let before = match name.kind.is_histogram() {
            true => batch.histograms[index].histogram.created.replace(created),
            false => batch.summaries[index].summary.created.replace(created),
        };
        if before.is_some() { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new && name.is_counted()) }
    }

    /// Returns whether the sample is the first of its series, as [`Self::summary_part`] does.
    pub(super) fn histogram_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let bound = self.position(&sample.series, name, sample.value)?;
        let (shard, index, is_new) = self.histogram(&sample.series, name)?;
        self.last = Some(LastPart { draft: shard, index, bound });
        let histogram = &mut self.drafts[shard].batch.histograms[index].histogram;
        let is_repeated = match (bound, name.role) {
            (Some(bound), _) => {
                histogram.buckets.push(Bucket { bound, count: sample.value });
                false
            }
            (None, SampleRole::Sum) => histogram.sum.replace(sample.value).is_some(),
            (None, _) => histogram.count.replace(sample.value).is_some(),
        };
        if is_repeated { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new && name.is_counted()) }
    }

    pub(super) fn whole_histogram(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
        histogram: Histogram,
    ) -> Result<bool, Refused> {
        self.position(series, ResolvedName { role: SampleRole::Count, ..name }, histogram.count.unwrap_or(0.0))?;
        let (shard, index, is_new) = self.histogram(series, name)?;
        if !is_new {
            return Err(Refused::Repeated(self.labels.clone()));
        }
        self.drafts[shard].batch.histograms[index].histogram = histogram;
        Ok(name.is_counted())
    }

    /// The histogram whose labels are in the scratch: its draft, its index there, and whether it is new.
    fn histogram(&mut self, series: &SeriesText, name: ResolvedName) -> Result<(usize, usize, bool), PushError> {
        let hash = self.hash(name);
        let (shard, treatment) = self.destination(hash, name);
        let draft = &mut self.drafts[shard];
        let batch = &mut draft.batch;
        let next = batch.histograms.len() as u32;
        let is_same = |at: u32| {
            let update = batch.histograms.get(at as usize);
            update.is_some_and(|update| is_series(batch, update.series, name.family, &self.labels))
        };
        match self.seen.find_or_insert(hash, next, is_same) {
            Some(at) => {
                let before = batch.histograms.get(at as usize).map(|update| update.series);
                self.check_mode(series, before, treatment)?;
                Ok((shard, at as usize, false))
            }
            None => {
                limit_key(self.context, &mut self.key_bytes, series, &self.labels)?;
                draft.histogram_places.push(series.place);
                let series = batch.push_key(hash, name.family, treatment, &self.labels);
                batch.histograms.push(HistogramUpdate { series, histogram: Histogram::default() });
                Ok((shard, next as usize, true))
            }
        }
    }

    /// Samples of one series have one treatment: the same labels, and the same mode.
    fn check_mode(&self, series: &SeriesText, before: Option<SeriesRef>, treatment: u32) -> Result<(), PushError> {
        if before.is_none_or(|before| before.rule == treatment) {
            return Ok(());
        }
        let expected = format!("one {} for all samples of a series", self.treatments.mode_label().unwrap_or("mode"));
        Err(PushError::InvalidSample(fault(self.context.place(series), expected, "another than before")))
    }

    pub(super) fn summary_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let quantile = self.position(&sample.series, name, sample.value)?;
        let (shard, index, is_new) = self.summary(&sample.series, name)?;
        if let Some(quantile) = quantile {
            if !self.parts.insert((self.hash(name), part_of(name.role, Some(quantile)))) {
                let separator = if self.labels.is_empty() { "" } else { "," };
                return Err(Refused::Repeated(format!(
                    "{}{separator}quantile=\"{}\"",
                    self.labels,
                    float_text(quantile)
                )));
            }
            if self.keeps_quantiles() {
                let summary = &mut self.drafts[shard].batch.summaries[index].summary;
                if summary.quantiles.len() == MOST_QUANTILES {
                    return Err(too_many_quantiles(self.context.place(&sample.series)).into());
                }
                summary.quantiles.push(Quantile { quantile, value: sample.value });
            }
            return Ok(is_new && name.is_counted());
        }
        let summary = &mut self.drafts[shard].batch.summaries[index].summary;
        let is_repeated = match name.role {
            SampleRole::Sum => summary.sum.replace(sample.value).is_some(),
            _ => summary.count.replace(sample.value).is_some(),
        };
        if is_repeated { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new && name.is_counted()) }
    }

    pub(super) fn whole_summary(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
        mut summary: Summary,
    ) -> Result<bool, Refused> {
        self.check_quantiles(series, &mut summary)?;
        self.position(series, ResolvedName { role: SampleRole::Count, ..name }, summary.count.unwrap_or(0.0))?;
        let (shard, index, is_new) = self.summary(series, name)?;
        if !is_new {
            return Err(Refused::Repeated(self.labels.clone()));
        }
        self.drafts[shard].batch.summaries[index].summary = summary;
        Ok(name.is_counted())
    }

    /// Puts the quantiles of a whole summary in order; they are forgotten where they are not kept.
    fn check_quantiles(&self, series: &SeriesText, summary: &mut Summary) -> Result<(), PushError> {
        let place = self.context.place(series);
        let quantiles = &mut summary.quantiles;
        quantiles.iter_mut().for_each(|of| of.quantile += 0.0);
        quantiles.sort_by(|one, other| one.quantile.total_cmp(&other.quantile));
        if quantiles.iter().any(|of| of.quantile.is_nan()) {
            return Err(PushError::InvalidSample(fault(place, "a number as quantile", "NaN")));
        }
        if let Some(pair) = quantiles.windows(2).find(|pair| pair[0].quantile == pair[1].quantile) {
            let got = format!("{} twice", float_text(pair[0].quantile));
            return Err(PushError::DuplicateSeries(fault(place, "each quantile once in a summary", got)));
        }
        if !self.keeps_quantiles() {
            *quantiles = Vec::new();
        } else if quantiles.len() > MOST_QUANTILES {
            return Err(too_many_quantiles(place));
        }
        Ok(())
    }

    /// The summary whose labels are in the scratch, as [`Self::histogram`].
    fn summary(&mut self, series: &SeriesText, name: ResolvedName) -> Result<(usize, usize, bool), PushError> {
        let hash = self.hash(name);
        let (shard, treatment) = self.destination(hash, name);
        let draft = &mut self.drafts[shard];
        let batch = &mut draft.batch;
        let next = batch.summaries.len() as u32;
        let is_same = |at: u32| {
            let update = batch.summaries.get(at as usize);
            update.is_some_and(|update| is_series(batch, update.series, name.family, &self.labels))
        };
        match self.seen.find_or_insert(hash, next, is_same) {
            Some(at) => {
                let before = batch.summaries.get(at as usize).map(|update| update.series);
                self.check_mode(series, before, treatment)?;
                Ok((shard, at as usize, false))
            }
            None => {
                limit_key(self.context, &mut self.key_bytes, series, &self.labels)?;
                draft.summary_places.push(series.place);
                let series = batch.push_key(hash, name.family, treatment, &self.labels);
                batch.summaries.push(SummaryUpdate { series, summary: Summary::default() });
                Ok((shard, next as usize, true))
            }
        }
    }

    /// Whether a quantile is kept, and not only checked: those of several pushes cannot be merged.
    fn keeps_quantiles(&self) -> bool {
        self.context.door == Door::Replace
    }

    /// Checks a sample that is not kept as if it were.
    pub(super) fn check_discarded(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
        value: f64,
        family: &str,
    ) -> Result<(), PushError> {
        let quantile = self.position(series, name, value)?;
        if self.context.may_repeat || self.parts.insert((self.hash(name), part_of(name.role, quantile))) {
            return Ok(());
        }
        let name = format!("{family}{}", suffix(name.kind, name.role));
        Err(PushError::DuplicateSeries(repeated(self.context.place(series), &name, &self.labels)))
    }

    /// Writes the series' labels to the scratch. Checks the sample, and that `le` or `quantile` stands on buckets and
    /// quantiles and nowhere else; returns its value.
    fn position(&mut self, series: &SeriesText, name: ResolvedName, value: f64) -> Result<Option<f64>, PushError> {
        let label = if name.kind.is_histogram() { "le" } else { "quantile" };
        let place = self.context.place(series);
        let invalid = |expected: String, got: &str| Err(PushError::InvalidSample(fault(place, expected, got)));
        if self.context.group.contains(label) {
            return invalid(format!("a path without the label {label} for a {}", name.kind.name()), label);
        }
        let has_position = name.role.position_label().is_some();
        let is_count = matches!(name.role, SampleRole::Bucket | SampleRole::Count);
        if is_count && !is_at_least_zero(value) {
            return invalid("a count of at least 0".to_owned(), &float_text(value));
        }
        match self.write_series(series, name, Some(label))? {
            None if has_position => invalid(format!("the label {label}"), "none"),
            None => Ok(None),
            Some(text) if !has_position => invalid(format!("no label {label} here"), &format!("{label}=\"{text}\"")),
            Some(text) => match parse_float(text.as_bytes()).filter(|position| !position.is_nan()) {
                Some(position) => Ok(Some(position)),
                None => invalid(format!("a number as {label}"), &format!("\"{text}\"")),
            },
        }
    }
}

#[cold]
fn too_many_quantiles(place: Place) -> PushError {
    PushError::InvalidSample(fault(place, format!("at most {MOST_QUANTILES} quantiles in a summary"), "more"))
}

/// Puts quantiles that came one by one in order. None comes twice.
pub(super) fn finish_summaries(draft: &mut Draft) {
    for SummaryUpdate { summary, .. } in &mut draft.batch.summaries {
        summary.quantiles.sort_by(|one, other| one.quantile.total_cmp(&other.quantile));
    }
}

/// Puts buckets in order, and adds the `+Inf` bucket where only the count was pushed.
pub(super) fn finish_histograms<'n>(
    draft: &mut Draft,
    places: Places,
    family_name: impl Fn(SeriesRef) -> &'n str,
) -> Result<(), PushError> {
    let mut histograms = std::mem::take(&mut draft.batch.histograms);
    let batch = &draft.batch;
    for (HistogramUpdate { series, histogram }, first_place) in histograms.iter_mut().zip(&draft.histogram_places) {
        let place = places.at(*first_place);
        // One bound has one spelling: `-0` is `0`.
        histogram.buckets.iter_mut().for_each(|bucket| bucket.bound += 0.0);
        histogram.exemplars.iter_mut().for_each(|exemplar| exemplar.bound += 0.0);
        let buckets = &mut histogram.buckets;
        if !buckets.is_sorted_by(|one, other| one.bound < other.bound) {
            buckets.sort_by(|one, other| one.bound.total_cmp(&other.bound));
        }
        if let Some(pair) = buckets.windows(2).find(|pair| pair[0].bound == pair[1].bound) {
            let key = batch.key(*series);
            let separator = if key.is_empty() { "" } else { "," };
            let labels = format!("{key}{separator}le=\"{}\"", float_text(pair[0].bound));
            let error = repeated(place, &format!("{}_bucket", family_name(*series)), &labels);
            return Err(PushError::DuplicateSeries(error));
        }
        if buckets.len() > MOST_BUCKETS {
            let expected = format!("at most {MOST_BUCKETS} buckets in a histogram");
            return Err(PushError::InvalidSample(fault(place, expected, buckets.len().to_string())));
        }
        histogram.exemplars.sort_by(|one, other| one.bound.total_cmp(&other.bound));
        let has_infinity = buckets.last().is_some_and(|bucket| bucket.bound == f64::INFINITY);
        if let (false, Some(count)) = (has_infinity, histogram.count) {
            buckets.push(Bucket { bound: f64::INFINITY, count });
        }
    }
    draft.batch.histograms = histograms;
    Ok(())
}
