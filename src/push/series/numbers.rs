//! Series that are one sample each: counters, gauges, untyped ones, infos and states.

use super::builder::{Builder, LastPart, Refused, is_at_least_zero, is_series, limit_key, part_of};
use super::{Handling, PushError, ResolvedName, fault};
use crate::aggregate::NumberRule;
use crate::exposition::decoded::{NumberChange, Sample, SampleExtra, SeriesText};
use crate::exposition::number::float_text;
use crate::model::door::Door;
use crate::model::family::MetricKind;
use crate::model::labels::has_label;
use crate::model::timestamp::Timestamp;
use crate::model::value::BucketExemplar;
use crate::shard::batch::{CounterExtra, NumberUpdate};

impl<'a> Builder<'a, '_> {
    /// A sample that is a series by itself. Always a new one, unless series are looked at one by one: then that is not known yet.
    #[inline(always)]
    pub fn number<const BY_SERIES: bool>(&mut self, sample: &Sample, name: ResolvedName) -> Result<bool, Refused> {
        let context = self.context;
        self.check_number(sample, name.kind)?;
        let (hash, labels) = match BY_SERIES {
            true => (self.written_hash(&sample.series, name)?, None),
            false => self.labels_and_hash(&sample.series, name)?,
        };
        let (shard, treatment) = match BY_SERIES {
            true => self.destination(hash, name),
            false => (context.router.shard(hash), name.treatment),
        };
        let labels = labels.unwrap_or(&self.labels);
        let draft = &mut self.drafts[shard];
        let batch = &mut draft.batch;
        let next = batch.numbers.len() as u32;
        let is_same = |at: u32| {
            batch.numbers.get(at as usize).is_some_and(|update| is_series(batch, update.series, name.family, labels))
        };
        // Series that are looked at one by one may become one with others between them: the order of all is to be kept.
        let is_kept_apart = BY_SERIES && context.may_repeat;
        if !is_kept_apart && let Some(at) = self.seen.find_or_insert(hash, next, is_same) {
            let is_itself = batch.numbers.get(at as usize).is_some_and(|update| batch.key(update.series) == labels);
            if !context.may_repeat || !is_itself {
                return Err(Refused::Repeated(labels.to_owned()));
            }
            self.repeated_number(shard, at as usize, sample.value, treatment);
            return Ok(false);
        }
        limit_key(context, &mut self.key_bytes, &sample.series, labels)?;
        let series = batch.push_key(hash, name.family, treatment, labels);
        batch.numbers.push(NumberUpdate { series, value: sample.value });
        if BY_SERIES {
            draft.number_places.push(sample.series.place);
        }
        self.last = Some(LastPart { draft: shard, index: next as usize, bound: None });
        Ok(!BY_SERIES)
    }

    /// A number for a series that has one in the push already: they become one, if the rule for them allows.
    fn repeated_number(&mut self, shard: usize, at: usize, value: f64, treatment: u32) {
        let rule = self.treatments.get(treatment).map(|treatment| treatment.rule.numbers);
        let numbers = &mut self.drafts[shard].batch.numbers;
        let Some(before) = numbers.get_mut(at) else { return };
        match rule {
            Some(NumberRule::Add) => before.value += value,
            Some(NumberRule::Last) => {
                before.value = value;
                before.series.rule = treatment;
            }
            _ => {
                let series = before.series;
                numbers.push(NumberUpdate { series, value });
            }
        }
    }

    /// The hash of a number's series, whose labels are written to the scratch.
    pub(super) fn written_hash(&mut self, series: &SeriesText, name: ResolvedName) -> Result<u64, Refused> {
        self.write_series(series, name, None)?;
        let is_changed = name.change != NumberChange::ByRule;
        if is_changed && self.treatments.changed(name.family, &self.labels, self.mode, name.change).is_none() {
            return Err(Refused::CannotBeAdded);
        }
        Ok(self.hash(name))
    }

    /// A state has a label of its family's name, which tells which state it is.
    #[cold]
    pub fn check_state(&self, series: &SeriesText, family: &str) -> Result<(), PushError> {
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
            MetricKind::Counter if !is_at_least_zero(sample.value) && self.context.door != Door::Replace => {
                "a counter increment of at least 0"
            }
            MetricKind::Info if sample.value != 1.0 => "the value 1 of an info",
            MetricKind::StateSet if sample.value != 0.0 && sample.value != 1.0 => "the value 0 or 1 of a state",
            _ => return Ok(()),
        };
        let place = self.context.place(&sample.series);
        Err(PushError::InvalidSample(fault(place, expected, float_text(sample.value))))
    }

    /// The hash of a number's series. Its labels are returned if they can be taken as they stand, else they are in the scratch.
    #[inline(always)]
    pub(super) fn labels_and_hash(
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

    pub(super) fn counter_created(
        &mut self,
        sample: &Sample,
        name: ResolvedName,
        created: Timestamp,
    ) -> Result<bool, Refused> {
        let (hash, labels) = match name.handling {
            Handling::BySeries => (self.written_hash(&sample.series, name)?, None),
            _ => self.labels_and_hash(&sample.series, name)?,
        };
        let (shard, _) = self.destination(hash, name);
        let labels = labels.unwrap_or(&self.labels);
        let batch = &mut self.drafts[shard].batch;
        let is_same = |at: u32| {
            batch.numbers.get(at as usize).is_some_and(|update| is_series(batch, update.series, name.family, labels))
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
    pub fn extra(&mut self, name: ResolvedName, SampleExtra { created, exemplar, .. }: SampleExtra) {
        let Some(LastPart { draft, index, bound }) = self.last else { return };
        let batch = &mut self.drafts[draft].batch;
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
}
