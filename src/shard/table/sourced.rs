//! Series of the sources: each source's last value, and what the sources show together. A counter's total grows by what each
//! push adds to its source's last value, so a source that goes is simply forgotten and the total never falls.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;

use super::slots::Slots;
use super::{Stored, Table};
use crate::aggregate::{
    NumberRule, add_histogram, add_summary, counter_increment, histogram_increment, merge_counter_extra, merge_number,
    number_increment, summary_increment, without_exemplars,
};
use crate::model::timestamp::Timestamp;
use crate::model::value::{GaugePolicy, Histogram, Millis, Summary, Value};
use crate::shard::batch::{Batch, BatchContext, CounterExtra, HistogramUpdate, NumberUpdate, SeriesRef, SummaryUpdate};
use crate::shard::owner::Source;

/// A series of the sources.
#[derive(Debug)]
pub(super) struct Sourced {
    /// What counters, histograms and summaries have come to; for a gauge of no meaning.
    pub total: Value,
    /// How the values of the sources that live are merged; `None` where the total is shown.
    gauge: Option<GaugePolicy>,
    live: HashTable<LiveValue>,
    /// Pushes so far, to tell which value is the newest.
    pub pushes: u32,
}

/// A source's last value.
#[derive(Debug)]
struct LiveValue {
    source: u32,
    /// [`Sourced::pushes`] when it came.
    pushed: u32,
    last: Last,
}

#[derive(Debug)]
enum Last {
    Number(f64),
    Counter(Box<(f64, Option<Timestamp>)>),
    Histogram(Box<Histogram>),
    Summary(Box<Summary>),
}

/// A source's series in this table.
#[derive(Debug)]
pub(super) struct SourcePart {
    source: Arc<Source>,
    /// Slots; some may have been given to other series since, or have lost the source's value.
    pub slots: Vec<u32>,
}

impl SourcePart {
    const USUAL_SLOTS: usize = 1024;
}

fn has_value_of(series: &Slots, slot: u32, source: u32) -> bool {
    matches!(series.get(slot).map(|series| &series.stored), Some(Stored::Sourced(sourced)) if sourced.has_value_of(source))
}

impl Sourced {
    pub fn new(total: Value) -> Self {
        Self { total, gauge: None, live: HashTable::new(), pushes: 0 }
    }

    pub fn has_value_of(&self, source: u32) -> bool {
        self.live.find(live_hash(source), |value| value.source == source).is_some()
    }

    /// What the series shows; a gauge without a source that lives shows nothing.
    pub fn shown(&self) -> Option<Cow<'_, Value>> {
        let Some(policy) = self.gauge else { return Some(Cow::Borrowed(&self.total)) };
        if let Value::Histogram(_) = self.total {
            return self.live_histogram().map(|histogram| Cow::Owned(Value::Histogram(Box::new(histogram))));
        }
        self.live_number(policy).map(|number| Cow::Owned(Value::Number(number)))
    }

    fn live_number(&self, policy: GaugePolicy) -> Option<f64> {
        let numbers = || self.live.iter().filter_map(|value| Some((value.pushed, value.last.number()?)));
        match policy {
            GaugePolicy::Last => numbers().max_by_key(|(pushed, _)| *pushed).map(|(_, number)| number),
            GaugePolicy::Min => numbers().map(|(_, number)| number).reduce(f64::min),
            GaugePolicy::Max => numbers().map(|(_, number)| number).reduce(f64::max),
            GaugePolicy::Sum => numbers().map(|(_, number)| number).reduce(|a, b| a + b),
            GaugePolicy::Mean => {
                let sum = numbers().map(|(_, number)| number).reduce(|a, b| a + b)?;
                Some(sum / numbers().count() as f64)
            }
        }
    }

    /// A gauge histogram: the sum of those of the sources that live.
    fn live_histogram(&self) -> Option<Histogram> {
        let histograms = self.live.iter().filter_map(|value| match &value.last {
            Last::Histogram(histogram) => Some(Histogram::clone(histogram)),
            _ => None,
        });
        histograms.reduce(|mut sum, histogram| {
            add_histogram(&mut sum, histogram);
            sum
        })
    }

    /// Numbers the push at hand.
    fn next_push(&mut self) -> u32 {
        if self.pushes == u32::MAX {
            // After four billion pushes which value is the newest is known again with the next ones.
            self.live.iter_mut().for_each(|value| value.pushed = 0);
            self.pushes = 0;
        }
        self.pushes += 1;
        self.pushes
    }

    /// Sets a source's last value; returns the one before.
    fn set(&mut self, source: u32, last: Last) -> Option<Last> {
        let pushed = self.next_push();
        let hash = live_hash(source);
        if let Some(value) = self.live.find_mut(hash, |value| value.source == source) {
            value.pushed = pushed;
            return Some(std::mem::replace(&mut value.last, last));
        }
        self.live.insert_unique(hash, LiveValue { source, pushed, last }, |value| live_hash(value.source));
        None
    }

    fn last(&self, source: u32) -> Option<&Last> {
        self.live.find(live_hash(source), |value| value.source == source).map(|value| &value.last)
    }

    /// Forgets a source's value. Returns whether there was one.
    fn forget(&mut self, source: u32) -> bool {
        match self.live.find_entry(live_hash(source), |value| value.source == source) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the values of all sources off their count; returns how many they are.
    pub fn forget_all(&self, sources: &HashMap<u32, SourcePart, ahash::RandomState>) -> usize {
        let parts = self.live.iter().filter_map(|value| sources.get(&value.source));
        parts.for_each(|part| part.source.remove_series());
        self.live.len()
    }

    /// Adds a pushed number. Returns whether it is the source's first value here.
    pub fn push_number(
        &mut self,
        source: u32,
        pushed: f64,
        extra: Option<&CounterExtra>,
        rule: NumberRule,
        now: Millis,
    ) -> bool {
        if let NumberRule::Live(policy) = rule {
            self.gauge = Some(policy);
            return self.set(source, Last::Number(pushed)).is_none();
        }
        let created = extra.and_then(|extra| extra.created);
        let number_of_push = self.next_push();
        let hash = live_hash(source);
        let found = self.live.find_mut(hash, |value| value.source == source);
        let before = found.as_ref().map(|value| &value.last);
        let increment = match (before, created) {
            (Some(Last::Number(last)), None) => number_increment(*last, pushed),
            (Some(Last::Number(last)), created) => counter_increment((*last, None), (pushed, created)),
            (Some(Last::Counter(last)), created) => counter_increment(**last, (pushed, created)),
            _ => pushed,
        };
        let created_before = match before {
            Some(Last::Counter(last)) if pushed >= last.0 => last.1,
            _ => None,
        };
        merge_number(&mut self.total, increment, NumberRule::Add, now);
        if let Some(CounterExtra { created, exemplar, .. }) = extra {
            merge_counter_extra(&mut self.total, *created, exemplar.clone());
        }
        let last = match created.or(created_before) {
            Some(created) => Last::Counter(Box::new((pushed, Some(created)))),
            None => Last::Number(pushed),
        };
        if let Some(value) = found {
            (value.pushed, value.last) = (number_of_push, last);
            return false;
        }
        let value = LiveValue { source, pushed: number_of_push, last };
        self.live.insert_unique(hash, value, |value| live_hash(value.source));
        true
    }

    /// Adds a pushed histogram, alike.
    fn push_histogram(&mut self, source: u32, pushed: Histogram, is_gauge: bool) -> bool {
        if is_gauge {
            self.gauge = Some(GaugePolicy::Sum);
            return self.set(source, Last::Histogram(Box::new(without_exemplars(pushed)))).is_none();
        }
        let remembered = without_exemplars(pushed.clone());
        let increment = match self.last(source) {
            Some(Last::Histogram(last)) => histogram_increment(last, &pushed),
            _ => pushed,
        };
        match &mut self.total {
            Value::Histogram(total) => add_histogram(total, increment),
            other => *other = Value::Histogram(Box::new(increment)),
        }
        self.set(source, Last::Histogram(Box::new(remembered))).is_none()
    }

    /// Adds a pushed summary, alike.
    fn push_summary(&mut self, source: u32, pushed: Summary) -> bool {
        let increment = match self.last(source) {
            Some(Last::Summary(last)) => summary_increment(last, &pushed),
            _ => pushed.clone(),
        };
        match &mut self.total {
            Value::Summary(total) => add_summary(total, &increment),
            other => *other = Value::Summary(Box::new(increment)),
        }
        self.set(source, Last::Summary(Box::new(pushed))).is_none()
    }
}

impl Last {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Counter(counter) => Some(counter.0),
            Self::Histogram(_) | Self::Summary(_) => None,
        }
    }
}

fn live_hash(source: u32) -> u64 {
    super::table_hash(source)
}

impl Table {
    pub(super) fn apply_of_source(
        &mut self,
        mut batch: Batch,
        context: &BatchContext,
        source: &Arc<Source>,
        now: Millis,
    ) {
        let mut counters = std::mem::take(&mut batch.counters);
        counters.sort_by_key(|extra| extra.number);
        let mut counters = counters.into_iter().peekable();
        let numbers = std::mem::take(&mut batch.numbers);
        let slots = self.look_ahead(&batch, &numbers, context, source.id);
        for (index, NumberUpdate { series, value }) in numbers.into_iter().enumerate() {
            let mut extra = counters.next_if(|extra| extra.number as usize == index);
            // A counter's created timestamp and its exemplar may have come apart.
            while let Some(more) = counters.next_if(|extra| extra.number as usize == index) {
                extra = extra.map(|extra| CounterExtra {
                    created: extra.created.or(more.created),
                    exemplar: extra.exemplar.or(more.exemplar),
                    ..extra
                });
            }
            let rule = context.rules[series.rule as usize].numbers;
            let slot = slots[index];
            self.push_of_source(&batch, series, slot, context, source, now, Value::Number(0.0), |sourced| {
                sourced.push_number(source.id, value, extra.as_ref(), rule, now)
            });
        }
        for HistogramUpdate { series, histogram } in std::mem::take(&mut batch.histograms) {
            let is_gauge = context.families[series.family as usize].kind().is_gauge();
            let nothing = Value::Histogram(Box::default());
            self.push_of_source(&batch, series, None, context, source, now, nothing, |sourced| {
                sourced.push_histogram(source.id, histogram, is_gauge)
            });
        }
        for SummaryUpdate { series, summary } in std::mem::take(&mut batch.summaries) {
            let nothing = Value::Summary(Box::default());
            self.push_of_source(&batch, series, None, context, source, now, nothing, |sourced| {
                sourced.push_summary(source.id, summary)
            });
        }
    }

    /// The slots of the numbers' series. Nothing depends on the values that are looked at, so the waits for memory overlap.
    fn look_ahead(
        &self,
        batch: &Batch,
        numbers: &[NumberUpdate],
        context: &BatchContext,
        source: u32,
    ) -> Vec<Option<u32>> {
        let slot =
            |update: &NumberUpdate| self.find(batch, update.series, context.families[update.series.family as usize].id);
        let slots: Vec<Option<u32>> = numbers.iter().map(slot).collect();
        for slot in slots.iter().flatten() {
            if let Some(Stored::Sourced(sourced)) = self.series.get(*slot).map(|series| &series.stored) {
                std::hint::black_box(sourced.live.find(live_hash(source), |value| value.source == source).is_some());
            }
        }
        slots
    }

    /// Adds one pushed value; `push` tells whether it is the source's first of its series.
    #[allow(clippy::too_many_arguments, reason = "a value, its series, and where both come from")]
    fn push_of_source(
        &mut self,
        batch: &Batch,
        series: SeriesRef,
        found: Option<u32>,
        context: &BatchContext,
        source: &Arc<Source>,
        now: Millis,
        nothing: Value,
        push: impl FnOnce(&mut Sourced) -> bool,
    ) {
        let is_sourced =
            |slot: &u32| matches!(self.series.get(*slot).map(|series| &series.stored), Some(Stored::Sourced(_)));
        let slot = found.filter(is_sourced).unwrap_or_else(|| self.sourced_slot(batch, series, context, now, nothing));
        let Some(Stored::Sourced(sourced)) = self.series.get_mut(slot).map(|series| &mut series.stored) else { return };
        if push(sourced) {
            self.source_values += 1;
            source.add_series();
            let part = || SourcePart { source: Arc::clone(source), slots: Vec::new() };
            let slots = &mut self.sources.entry(source.id).or_insert_with(part).slots;
            slots.push(slot);
            if slots.len() >= SourcePart::USUAL_SLOTS && slots.len().is_power_of_two() {
                // Series that have gone, and come again, would make it grow for ever.
                let series = &self.series;
                slots.retain(|slot| has_value_of(series, *slot, source.id));
                slots.sort_unstable();
                slots.dedup();
            }
        }
    }

    /// The slot of a series of the sources, made if there is none. A series of another owner gives way, which the checks before
    /// leave no room for.
    fn sourced_slot(
        &mut self,
        batch: &Batch,
        series: SeriesRef,
        context: &BatchContext,
        now: Millis,
        nothing: Value,
    ) -> u32 {
        let family = &context.families[series.family as usize];
        if let Some(slot) = self.find(batch, series, family.id) {
            match self.series.get(slot).map(|series| &series.stored) {
                Some(Stored::Sourced(_)) => return slot,
                _ => _ = self.remove(slot),
            }
        }
        let slot = self.create(batch, series, family, Stored::Sourced(Box::new(Sourced::new(nothing))));
        self.series.set_deadline(slot, super::deadline(context, series, now));
        slot
    }

    /// Forgets up to `most` values of a source that has gone; gauges that no other source has leave with it. Returns whether
    /// there is more to forget.
    pub fn forget_source(&mut self, source: u32, most: usize) -> bool {
        let Some(part) = self.sources.get_mut(&source) else { return false };
        let first = part.slots.len().saturating_sub(most);
        let slots = part.slots.split_off(first);
        let handle = Arc::clone(&part.source);
        for slot in slots {
            let Some(series) = self.series.get_mut(slot) else { continue };
            let Stored::Sourced(sourced) = &mut series.stored else { continue };
            if sourced.forget(source) {
                let leaves = sourced.gauge.is_some() && sourced.live.is_empty();
                handle.remove_series();
                self.source_values -= 1;
                if leaves {
                    self.remove(slot);
                }
            }
        }
        if first == 0 {
            self.sources.remove(&source);
        }
        first > 0
    }
}
