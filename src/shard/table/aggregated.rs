//! Series that all pushers share: pushed values are merged into the stored ones.

use super::{Stored, Table, table_hash};
use crate::aggregate::{
    NumberRule, first_number, first_observed, merge_counter_extra, merge_histogram, merge_number, merge_summary,
    observe,
};
use crate::model::value::{Millis, Value};
use crate::shard::batch::{
    Batch, BatchContext, CounterExtra, HistogramUpdate, NumberUpdate, ObservationUpdate, SeriesRef, SummaryUpdate,
};

/// Series looked up at once.
const SIDE_BY_SIDE: usize = 128;

impl Table {
    pub(super) fn apply_aggregated(&mut self, mut batch: Batch, context: &BatchContext, now: Millis) {
        let histograms = std::mem::take(&mut batch.histograms);
        let summaries = std::mem::take(&mut batch.summaries);
        let observed = std::mem::take(&mut batch.observations);
        if batch.is_shared() {
            self.apply_known_numbers(&batch, context, now);
        } else {
            for updates in batch.numbers.chunks(SIDE_BY_SIDE) {
                self.apply_numbers(&batch, updates, context, now);
            }
        }
        for CounterExtra { number, created, exemplar } in std::mem::take(&mut batch.counters) {
            let Some(series) = batch.numbers.get(number as usize).map(|update| update.series) else { continue };
            if let Some(value) = self.aggregated(&batch, series, context) {
                merge_counter_extra(value, created, exemplar);
            }
        }
        let rule = |series: SeriesRef| context.rules[series.rule as usize].numbers;
        for HistogramUpdate { series, histogram } in histograms {
            match self.aggregated(&batch, series, context) {
                Some(value) => merge_histogram(value, histogram, rule(series)),
                None => self.create_aggregated(&batch, series, context, Value::Histogram(Box::new(histogram)), now),
            }
        }
        for SummaryUpdate { series, summary } in summaries {
            match self.aggregated(&batch, series, context) {
                Some(value) => merge_summary(value, summary, rule(series)),
                None => self.create_aggregated(&batch, series, context, Value::Summary(Box::new(summary)), now),
            }
        }
        for ObservationUpdate { series, observations, rule: observation } in observed {
            let first = || first_observed(&observations, &observation, now);
            match self.aggregated(&batch, series, context) {
                Some(value) if rule(series) == NumberRule::Last => *value = first(),
                Some(value) => observe(value, &observations, &observation, now),
                None => self.create_aggregated(&batch, series, context, first(), now),
            }
        }
    }

    /// Removes all aggregated series of a family.
    #[cold]
    pub(super) fn empty_aggregated(&mut self, family: u32) {
        let slots: Vec<u32> = self.orders.get(&family).map(|order| order.slots().collect()).unwrap_or_default();
        for slot in slots {
            let series = self.series.get(slot).filter(|series| series.family == family);
            if series.is_some_and(|series| matches!(series.stored, Stored::Aggregated(_))) {
                self.remove(slot);
            }
        }
    }

    /// Batches like this one have come before: most series are where they were then, and need not be looked up.
    fn apply_known_numbers(&mut self, batch: &Batch, context: &BatchContext, now: Millis) {
        let mut others = Vec::new();
        for (index, update) in batch.numbers.iter().enumerate() {
            let rule = context.rules[update.series.rule as usize].numbers;
            let slot = batch.hint(index).and_then(|hint| self.series.hinted(hint));
            match slot.and_then(|slot| self.series.get_mut(slot)).map(|series| &mut series.stored) {
                Some(Stored::Aggregated(value)) => merge_number(value, update.value, rule, now),
                _ => others.push(index),
            }
        }
        let updates: Vec<NumberUpdate> = others.iter().map(|index| batch.numbers[*index]).collect();
        for updates in updates.chunks(SIDE_BY_SIDE) {
            self.apply_numbers(batch, updates, context, now);
        }
        for (index, NumberUpdate { series, .. }) in others.into_iter().zip(updates) {
            if let Some(slot) = self.find(batch, series, context.families[series.family as usize].id) {
                batch.note(index, self.series.hint(slot));
            }
        }
    }

    /// Each step of a look-up waits for memory. Taken for many series at once, step by step, the waits overlap.
    fn apply_numbers(&mut self, batch: &Batch, updates: &[NumberUpdate], context: &BatchContext, now: Millis) {
        let mut slots = [None; SIDE_BY_SIDE];
        for (slot, update) in slots.iter_mut().zip(updates) {
            let hash = update.series.hash as u32;
            *slot = self.index.find(table_hash(hash), |entry| entry.hash == hash).map(|entry| entry.slot);
        }
        let mut stored_keys = [""; SIDE_BY_SIDE];
        for (key, slot) in stored_keys.iter_mut().zip(&slots) {
            if let Some(stored) = slot.and_then(|slot| self.series.get(slot)) {
                *key = &stored.key;
            }
        }
        let mut is_found = [false; SIDE_BY_SIDE];
        for ((is_found, key), update) in is_found.iter_mut().zip(&stored_keys).zip(updates) {
            *is_found = *key == batch.key(update.series);
        }
        for ((slot, is_found), update) in slots.into_iter().zip(is_found).zip(updates) {
            let family = context.families[update.series.family as usize].id;
            let rule = context.rules[update.series.rule as usize].numbers;
            if let Some(slot) = slot.filter(|_| is_found)
                && let Some(series) = self.series.get_mut(slot)
                && series.family == family
                && let Stored::Aggregated(value) = &mut series.stored
            {
                merge_number(value, update.value, rule, now);
                continue;
            }
            match self.aggregated(batch, update.series, context) {
                Some(value) => merge_number(value, update.value, rule, now),
                None => {
                    let value = first_number(update.value, rule, now);
                    self.create_aggregated(batch, update.series, context, value, now);
                }
            }
        }
    }

    /// The value of a stored series. One of another owner gives way, which the checks before leave no room for.
    fn aggregated(&mut self, batch: &Batch, series: SeriesRef, context: &BatchContext) -> Option<&mut Value> {
        let slot = self.find(batch, series, context.families[series.family as usize].id)?;
        if !matches!(self.series.get(slot)?.stored, Stored::Aggregated(_)) {
            self.remove(slot);
            return None;
        }
        match &mut self.series.get_mut(slot)?.stored {
            Stored::Aggregated(value) => Some(value),
            Stored::Sourced(_) | Stored::Replaced(_) => None,
        }
    }

    fn create_aggregated(
        &mut self,
        batch: &Batch,
        series: SeriesRef,
        context: &BatchContext,
        value: Value,
        now: Millis,
    ) {
        let family = &context.families[series.family as usize];
        let slot = self.create(batch, series, family, Stored::Aggregated(value));
        self.series.set_deadline(slot, super::deadline(context, series, now));
    }
}
