//! Where the values of a push go: found by looking where markers have gone.

use super::super::Assembled;
use crate::model::family::MetricKind;
use crate::shard::batch::{Batch, HistogramUpdate, ObservationUpdate, SummaryUpdate};

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Index of the series in its list.
    series: u32,
    /// Index of the bucket, or of the observation, if it is one.
    bucket: u32,
    shard: u16,
    pub part: Part,
}

/// What of a series a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Number,
    /// A number that is at least 0.
    Increment,
    Bucket,
    HistogramSum,
    HistogramCount,
    SummarySum,
    SummaryCount,
    /// One of the observations of a series.
    Observation,
    /// Read, and not kept: a quantile.
    Nowhere,
}

impl Part {
    /// Counts and increments are at least 0; not so NaN.
    #[inline]
    pub fn admits(self, value: f64) -> bool {
        match self {
            Self::Increment | Self::Bucket | Self::HistogramCount | Self::SummaryCount => value >= 0.0,
            Self::Number | Self::HistogramSum | Self::SummarySum | Self::Observation | Self::Nowhere => true,
        }
    }
}

impl Place {
    pub const NOWHERE: Self = Self { series: 0, bucket: 0, shard: 0, part: Part::Nowhere };

    /// Puts the value there. There is such a place, for the batches are copies of those that it was found in.
    #[inline]
    pub fn put(self, batches: &mut [Batch], value: f64) {
        let Some(batch) = batches.get_mut(usize::from(self.shard)) else { return };
        match self.part {
            Part::Number | Part::Increment => {
                if let Some(update) = batch.numbers.get_mut(self.series as usize) {
                    update.value = value;
                }
            }
            Part::Bucket | Part::HistogramSum | Part::HistogramCount => {
                if let Some(update) = batch.histograms.get_mut(self.series as usize) {
                    self.put_into_histogram(update, value);
                }
            }
            Part::SummarySum | Part::SummaryCount => {
                if let Some(SummaryUpdate { summary, .. }) = batch.summaries.get_mut(self.series as usize) {
                    let of = if self.part == Part::SummarySum { &mut summary.sum } else { &mut summary.count };
                    *of = Some(value);
                }
            }
            Part::Observation => {
                let update = batch.observations.get_mut(self.series as usize);
                if let Some(observation) = update.and_then(|update| update.observations.get_mut(self.bucket as usize)) {
                    *observation = value;
                }
            }
            Part::Nowhere => {}
        }
    }

    fn put_into_histogram(self, HistogramUpdate { histogram, .. }: &mut HistogramUpdate, value: f64) {
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
}

/// The places of a push's values.
#[derive(Debug)]
pub(super) struct Places {
    /// Of each value; nowhere if its marker was not kept.
    pub first: Vec<Place>,
    /// Further ones by the value's index, ascending: a histogram's count may be its `+Inf` bucket too.
    pub further: Vec<(u32, Place)>,
}

impl Places {
    /// Looks for `values` markers from `first_marker` on. `None` if there is a number that is none of them, or one that not
    /// every value will do for.
    pub fn find(push: &Assembled, values: usize, first_marker: u64) -> Option<Self> {
        let mut places = Self { first: vec![Place::NOWHERE; values], further: Vec::new() };
        for (shard, batch) in push.batches.iter().enumerate() {
            let shard = u16::try_from(shard).ok()?;
            let mut found = |value: f64, (series, bucket): (usize, usize), part| {
                let index = (value as u64).checked_sub(first_marker).filter(|index| *index < values as u64)?;
                let (series, bucket) = (u32::try_from(series).ok()?, u32::try_from(bucket).ok()?);
                places.add(index as usize, Place { series, bucket, shard, part });
                Some(())
            };
            for (series, update) in batch.numbers.iter().enumerate() {
                let part = match push.families.get(update.series.family as usize)?.wanted.kind() {
                    MetricKind::Counter => Part::Increment,
                    MetricKind::Info | MetricKind::StateSet => return None,
                    _ => Part::Number,
                };
                found(update.value, (series, 0), part)?;
            }
            for (series, HistogramUpdate { histogram, .. }) in batch.histograms.iter().enumerate() {
                for (bucket, of) in histogram.buckets.iter().enumerate() {
                    found(of.count, (series, bucket), Part::Bucket)?;
                }
                histogram.sum.map_or(Some(()), |sum| found(sum, (series, 0), Part::HistogramSum))?;
                histogram.count.map_or(Some(()), |count| found(count, (series, 0), Part::HistogramCount))?;
            }
            for (series, ObservationUpdate { observations, .. }) in batch.observations.iter().enumerate() {
                for (observation, value) in observations.iter().enumerate() {
                    found(*value, (series, observation), Part::Observation)?;
                }
            }
            for (series, SummaryUpdate { summary, .. }) in batch.summaries.iter().enumerate() {
                summary.sum.map_or(Some(()), |sum| found(sum, (series, 0), Part::SummarySum))?;
                summary.count.map_or(Some(()), |count| found(count, (series, 0), Part::SummaryCount))?;
            }
        }
        places.further.sort_by_key(|(index, _)| *index);
        Some(places)
    }

    /// Whether each value has a place.
    pub fn are_all_found(&self) -> bool {
        self.first.iter().all(|place| place.part != Part::Nowhere)
    }

    fn add(&mut self, index: usize, place: Place) {
        match self.first[index].part {
            Part::Nowhere => self.first[index] = place,
            _ => self.further.push((index as u32, place)),
        }
    }
}
