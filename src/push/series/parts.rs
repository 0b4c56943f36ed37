//! Series that have several parts: histograms and summaries, put together from samples or pushed whole.

use super::{
    Builder, LastPart, PushError, Refused, ResolvedName, fault, is_at_least_zero, is_series, limit_key, part_of,
    repeated, suffix,
};
use crate::aggregate::MOST_BUCKETS;
use crate::exposition::decoded::{Places, Sample, SeriesText};
use crate::exposition::number::{float_text, parse_float};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::timestamp::Timestamp;
use crate::model::value::{Bucket, Histogram, Summary};
use crate::shard::batch::{Batch, HistogramUpdate, SeriesRef, SummaryUpdate};

impl Builder<'_> {
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
        let batch = &mut self.batches[shard];
        let before = match name.kind.is_histogram() {
            true => batch.histograms[index].histogram.created.replace(created),
            false => batch.summaries[index].summary.created.replace(created),
        };
        if before.is_some() { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new) }
    }

    /// Returns whether the sample is the first of its series, as [`Self::summary_part`] does.
    pub(super) fn histogram_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let bound = self.position(&sample.series, name, sample.value)?;
        let (shard, index, is_new) = self.histogram(&sample.series, name)?;
        self.last = Some(LastPart { shard, index, bound });
        let histogram = &mut self.batches[shard].histograms[index].histogram;
        let is_repeated = match (bound, name.role) {
            (Some(bound), _) => {
                histogram.buckets.push(Bucket { bound, count: sample.value });
                false
            }
            (None, SampleRole::Sum) => histogram.sum.replace(sample.value).is_some(),
            (None, _) => histogram.count.replace(sample.value).is_some(),
        };
        if is_repeated { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new) }
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
        self.batches[shard].histograms[index].histogram = histogram;
        Ok(true)
    }

    /// The histogram whose labels are in the scratch: its shard, its index there, and whether it is new.
    fn histogram(&mut self, series: &SeriesText, name: ResolvedName) -> Result<(usize, usize, bool), PushError> {
        let hash = self.hash(name);
        let shard = self.context.router.shard(hash);
        let batch = &mut self.batches[shard];
        let next = batch.histograms.len() as u32;
        let is_same = |at: u32| {
            batch.histograms.get(at as usize).is_some_and(|update| is_series(batch, update.series, name, &self.labels))
        };
        let known = self.seen.find_or_insert(hash, next, is_same);
        if known.is_none() {
            limit_key(self.context, &mut self.key_bytes, series, &self.labels)?;
            let place = series.place;
            let series = batch.push_key(hash, name.family, name.family, &self.labels);
            batch.histograms.push(HistogramUpdate { series, histogram: Histogram::default() });
            self.first_places[shard].push(place);
        }
        Ok((shard, known.unwrap_or(next) as usize, known.is_none()))
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
            return Ok(is_new);
        }
        let summary = &mut self.batches[shard].summaries[index].summary;
        let is_repeated = match name.role {
            SampleRole::Sum => summary.sum.replace(sample.value).is_some(),
            _ => summary.count.replace(sample.value).is_some(),
        };
        if is_repeated { Err(Refused::Repeated(self.labels.clone())) } else { Ok(is_new) }
    }

    pub(super) fn whole_summary(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
        summary: Summary,
    ) -> Result<bool, Refused> {
        self.position(series, ResolvedName { role: SampleRole::Count, ..name }, summary.count.unwrap_or(0.0))?;
        let (shard, index, is_new) = self.summary(series, name)?;
        if !is_new {
            return Err(Refused::Repeated(self.labels.clone()));
        }
        self.batches[shard].summaries[index].summary = summary;
        Ok(true)
    }

    /// The summary whose labels are in the scratch, as [`Self::histogram`].
    fn summary(&mut self, series: &SeriesText, name: ResolvedName) -> Result<(usize, usize, bool), PushError> {
        let hash = self.hash(name);
        let shard = self.context.router.shard(hash);
        let batch = &mut self.batches[shard];
        let next = batch.summaries.len() as u32;
        let is_same = |at: u32| {
            batch.summaries.get(at as usize).is_some_and(|update| is_series(batch, update.series, name, &self.labels))
        };
        let known = self.seen.find_or_insert(hash, next, is_same);
        if known.is_none() {
            limit_key(self.context, &mut self.key_bytes, series, &self.labels)?;
            let series = batch.push_key(hash, name.family, name.family, &self.labels);
            batch.summaries.push(SummaryUpdate { series, summary: Summary::default() });
        }
        Ok((shard, known.unwrap_or(next) as usize, known.is_none()))
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
        if self.parts.insert((self.hash(name), part_of(name.role, quantile))) {
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
        match self.write_labels(series, Some(label))? {
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

/// Puts buckets in order, and adds the `+Inf` bucket where only the count was pushed.
pub(super) fn finish_histograms<'n>(
    batch: &mut Batch,
    first_places: &[u32],
    places: Places,
    family_name: impl Fn(SeriesRef) -> &'n str,
) -> Result<(), PushError> {
    let Batch { keys, histograms, .. } = batch;
    for (HistogramUpdate { series, histogram }, first_place) in histograms.iter_mut().zip(first_places) {
        let place = places.at(*first_place);
        // One bound has one spelling: `-0` is `0`.
        histogram.buckets.iter_mut().for_each(|bucket| bucket.bound += 0.0);
        histogram.exemplars.iter_mut().for_each(|exemplar| exemplar.bound += 0.0);
        let buckets = &mut histogram.buckets;
        if !buckets.is_sorted_by(|one, other| one.bound < other.bound) {
            buckets.sort_by(|one, other| one.bound.total_cmp(&other.bound));
        }
        if let Some(pair) = buckets.windows(2).find(|pair| pair[0].bound == pair[1].bound) {
            let key = keys.get(series.key_start as usize..series.key_end as usize).unwrap_or_default();
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
    Ok(())
}
