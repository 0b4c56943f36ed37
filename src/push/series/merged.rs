//! Series that were looked at one by one go to their shards: less those that a rule drops, and without the labels that it
//! takes away. Series that are one without them are merged. Where the shard merges what is pushed they are sent to it one
//! after the other; where it keeps what is pushed they are merged here.

use super::builder::{Draft, is_series};
use super::{Context, PushError, SeenSeries, Treatments, repeated};
use crate::aggregate::{add_histogram, add_summary};
use crate::model::door::Door;
use crate::model::family::MetricKind;
use crate::model::labels::write_kept;
use crate::model::value::GaugePolicy;
use crate::push::PlannedFamily;
use crate::shard::batch::{
    Batch, CounterExtra, HistogramUpdate, NumberUpdate, ObservationUpdate, SeriesRef, SummaryUpdate, UpdateParts,
};

/// Empties the last draft into those of the shards, which are before it.
pub(super) fn merge(
    context: &Context<'_>,
    treatments: &Treatments<'_>,
    families: &mut [PlannedFamily],
    mut drafts: Vec<Draft>,
) -> Result<Vec<Draft>, PushError> {
    let Some(mut staged) = drafts.pop().filter(|staged| !staged.batch.is_empty()) else { return Ok(drafts) };
    let mut seen = SeenSeries::default();
    seen.start(staged.batch.len());
    let mut merger = Merger { context, treatments, families, seen, labels: String::new(), drafts };
    merger.numbers(&mut staged)?;
    merger.histograms(&mut staged)?;
    merger.summaries(&mut staged)?;
    merger.observations(&mut staged)?;
    Ok(merger.drafts)
}

struct Merger<'a, 'r> {
    context: &'a Context<'a>,
    treatments: &'a Treatments<'r>,
    families: &'a mut [PlannedFamily],
    seen: SeenSeries,
    /// Scratch.
    labels: String,
    drafts: Vec<Draft>,
}

/// Where a series has gone.
struct Sent {
    shard: usize,
    series: SeriesRef,
    /// Its index among those of its shape, if another has gone there before and takes it in.
    before: Option<usize>,
    /// For [`UpdateParts`].
    part: u64,
}

/// Notes the part of an update, if it is one; mostly none is.
fn note(parts: &mut Option<Box<UpdateParts>>, part: u64, note: impl FnOnce(&mut UpdateParts)) {
    if part != 0 {
        note(parts.get_or_insert_default());
    }
}

/// A series' name in a batch, by its index among those of its shape.
type SeriesAt = fn(&Batch, usize) -> Option<SeriesRef>;

impl Merger<'_, '_> {
    fn numbers(&mut self, staged: &mut Draft) -> Result<(), PushError> {
        let series_at: SeriesAt = |batch, at| batch.numbers.get(at).map(|update| update.series);
        let mut sent_to = Vec::with_capacity(staged.batch.numbers.len());
        for (update, place) in staged.batch.numbers.iter().zip(&staged.number_places) {
            let next = |batch: &Batch| batch.numbers.len();
            let sent = self.send(&staged.batch, update.series, *place, next, series_at)?;
            let Some(Sent { shard, series, before, part }) = sent else {
                sent_to.push(None);
                continue;
            };
            let Batch { numbers, parts, .. } = &mut self.drafts[shard].batch;
            let at = match before {
                Some(at) => {
                    let together = self.treatments.get(series.rule).map(|treatment| treatment.together);
                    let stored = &mut numbers[at].value;
                    *stored = merged_number(*stored, update.value, together.unwrap_or(GaugePolicy::Last));
                    at
                }
                None => {
                    note(parts, part, |parts| UpdateParts::note(&mut parts.numbers, numbers.len(), part));
                    numbers.push(NumberUpdate { series, value: update.value });
                    numbers.len() - 1
                }
            };
            sent_to.push(Some((shard, at as u32)));
        }
        for extra in staged.batch.counters.drain(..) {
            if let Some((shard, number)) = sent_to.get(extra.number as usize).copied().flatten() {
                self.drafts[shard].batch.counters.push(CounterExtra { number, ..extra });
            }
        }
        Ok(())
    }

    fn histograms(&mut self, staged: &mut Draft) -> Result<(), PushError> {
        let series_at: SeriesAt = |batch, at| batch.histograms.get(at).map(|update| update.series);
        let updates = std::mem::take(&mut staged.batch.histograms);
        for (HistogramUpdate { series, histogram }, place) in updates.into_iter().zip(&staged.histogram_places) {
            let next = |batch: &Batch| batch.histograms.len();
            let sent = self.send(&staged.batch, series, *place, next, series_at)?;
            let Some(Sent { shard, series, before, part }) = sent else { continue };
            let Batch { histograms, parts, .. } = &mut self.drafts[shard].batch;
            match before {
                Some(at) => add_histogram(&mut histograms[at].histogram, histogram),
                None => {
                    note(parts, part, |parts| UpdateParts::note(&mut parts.histograms, histograms.len(), part));
                    histograms.push(HistogramUpdate { series, histogram });
                }
            }
        }
        Ok(())
    }

    /// Quantiles of several summaries cannot be merged.
    fn summaries(&mut self, staged: &mut Draft) -> Result<(), PushError> {
        let series_at: SeriesAt = |batch, at| batch.summaries.get(at).map(|update| update.series);
        let updates = std::mem::take(&mut staged.batch.summaries);
        for (SummaryUpdate { series, summary }, place) in updates.into_iter().zip(&staged.summary_places) {
            let next = |batch: &Batch| batch.summaries.len();
            let sent = self.send(&staged.batch, series, *place, next, series_at)?;
            let Some(Sent { shard, series, before, part }) = sent else { continue };
            let Batch { summaries, parts, .. } = &mut self.drafts[shard].batch;
            match before {
                Some(at) => {
                    summaries[at].summary.quantiles = Vec::new();
                    add_summary(&mut summaries[at].summary, &summary);
                }
                None => {
                    note(parts, part, |parts| UpdateParts::note(&mut parts.summaries, summaries.len(), part));
                    summaries.push(SummaryUpdate { series, summary });
                }
            }
        }
        Ok(())
    }

    /// Observations of series that are one without the labels that go are taken in one after the other.
    fn observations(&mut self, staged: &mut Draft) -> Result<(), PushError> {
        let series_at: SeriesAt = |batch, at| batch.observations.get(at).map(|update| update.series);
        let updates = std::mem::take(&mut staged.batch.observations);
        for (update, place) in updates.into_iter().zip(&staged.observation_places) {
            let next = |batch: &Batch| batch.observations.len();
            let sent = self.send(&staged.batch, update.series, *place, next, series_at)?;
            let Some(Sent { shard, series, .. }) = sent else { continue };
            self.drafts[shard].batch.observations.push(ObservationUpdate { series, ..update });
        }
        Ok(())
    }

    /// Finds where a series goes; `None` if it is dropped. `next` tells the index that it gets there if it is the first.
    fn send(
        &mut self,
        staged: &Batch,
        series: SeriesRef,
        place: u32,
        next: fn(&Batch) -> usize,
        series_at: SeriesAt,
    ) -> Result<Option<Sent>, PushError> {
        let Some(hash) = self.keep_labels(staged, series) else { return Ok(None) };
        let shard = self.context.router.shard(hash);
        let part = self.part(staged, series);
        let batch = &mut self.drafts[shard].batch;
        let labels = &self.labels;
        let is_same = |at: u32| {
            series_at(batch, at as usize).is_some_and(|before| is_series(batch, before, series.family, labels))
        };
        let family = &mut self.families[series.family as usize];
        let Some(at) = self.seen.find_or_insert(hash, next(batch) as u32, is_same) else {
            family.series += 1;
            let series = batch.push_key(hash, series.family, series.rule, labels);
            return Ok(Some(Sent { shard, series, before: None, part }));
        };
        let before = series_at(batch, at as usize).unwrap_or(series);
        if batch.key(before) != labels {
            let error = repeated(self.context.places.at(place), family.wanted.name(), labels);
            return Err(PushError::DuplicateSeries(error));
        }
        let series = SeriesRef { rule: series.rule, ..before };
        let before = (self.context.door == Door::Replace).then_some(at as usize);
        Ok(Some(Sent { shard, series, before, part }))
    }

    /// Which of the series this is that are one with the labels in the scratch.
    fn part(&self, staged: &Batch, series: SeriesRef) -> u64 {
        // What stays of the labels is as it was, so texts of one length are the same.
        let is_shown_as_pushed = staged.key(series).len() == self.labels.len();
        if is_shown_as_pushed || self.context.door != Door::Source { 0 } else { series.hash.max(1) }
    }

    /// Writes the labels that a series keeps to the scratch; returns its hash with them, or `None` if it is dropped.
    fn keep_labels(&mut self, staged: &Batch, series: SeriesRef) -> Option<u64> {
        let treatment = self.treatments.get(series.rule).filter(|treatment| !treatment.drops)?;
        self.labels.clear();
        let own_labels = staged.key(series);
        let Some(filter) = treatment.labels else {
            self.labels.push_str(own_labels);
            return Some(series.hash);
        };
        let wanted = &self.families[series.family as usize].wanted;
        let is_state_set = self.treatments.kind(series.family) == Some(MetricKind::StateSet);
        let must_stay = |name: &str| matches!(name, "le" | "quantile") || (is_state_set && name == wanted.name());
        write_kept(&mut self.labels, own_labels, |label| {
            let name = label.plain_name();
            filter.keeps(&name) || must_stay(&name)
        });
        let hasher = self.context.router.hasher();
        let family_hash = hasher.hash(wanted.name().as_bytes());
        Some(self.context.router.series_hash(family_hash, hasher.hash_labels(&self.labels)))
    }
}

/// Two numbers of one series, the second pushed later.
fn merged_number(before: f64, after: f64, policy: GaugePolicy) -> f64 {
    match policy {
        GaugePolicy::Sum => before + after,
        GaugePolicy::Min => before.min(after),
        GaugePolicy::Max => before.max(after),
        GaugePolicy::Last | GaugePolicy::Mean => after,
    }
}
