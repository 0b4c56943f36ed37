//! Series of the sources: each source's last value, and what the sources show together. A counter's total grows by what each
//! push adds to its source's last value, so a source that goes is simply forgotten and the total never falls.

mod held;

pub(super) use held::SourcePart;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;

use super::{Stored, Table};
use crate::aggregate::{
    NumberRule, add_histogram, add_summary, counter_increment, histogram_increment, merge_counter_extra, merge_number,
    number_increment, summary_increment, without_exemplars,
};
use crate::model::family::MetricKind;
use crate::model::timestamp::Timestamp;
use crate::model::value::{GaugePolicy, Histogram, Millis, Summary, Value};
use crate::shard::batch::{
    Batch, BatchContext, CounterExtra, HistogramUpdate, NumberUpdate, SeriesRef, SummaryUpdate, UpdateParts,
};
use crate::shard::owner::Source;

/// A series of the sources.
#[derive(Debug)]
pub(super) struct Sourced {
    /// What counters, histograms and summaries have come to; for a gauge of no meaning.
    pub total: Value,
    /// How the values of the sources that live are merged; `None` where no push has said so.
    gauge: Option<GaugePolicy>,
    live: HashTable<LiveValue>,
    /// Pushes so far, to tell which value is the newest.
    pub pushes: u32,
}

/// Whose value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The source's id.
    pub source: u32,
    /// Which of its series, as [`UpdateParts`] tells them apart.
    pub part: u64,
}

impl Origin {
    fn hash(self) -> u64 {
        super::table_hash(self.source) ^ self.part
    }
}

/// A source's last value.
#[derive(Debug)]
struct LiveValue {
    source: u32,
    /// Flat, so that an entry is no larger than it need be.
    part: u64,
    /// [`Sourced::pushes`] when it came.
    pushed: u32,
    last: Last,
}

impl LiveValue {
    fn origin(&self) -> Origin {
        Origin { source: self.source, part: self.part }
    }
}

#[derive(Debug)]
enum Last {
    Number(f64),
    Counter(Box<(f64, Option<Timestamp>)>),
    Histogram(Box<Histogram>),
    Summary(Box<Summary>),
}

impl Sourced {
    pub fn new(total: Value) -> Self {
        Self { total, gauge: None, live: HashTable::new(), pushes: 0 }
    }

    pub fn has_value_of(&self, origin: Origin) -> bool {
        self.last(origin).is_some()
    }

    /// How the values of the sources that live are merged, in a family of this kind; `None` where the total is shown. A family
    /// may have been settled to a gauge by a push without this series.
    fn policy(&self, family: MetricKind) -> Option<GaugePolicy> {
        self.gauge.or(family.is_gauge().then_some(GaugePolicy::Sum))
    }

    /// What the series shows in a family of this kind; a gauge without a source that lives shows nothing.
    pub fn shown(&self, family: MetricKind) -> Option<Cow<'_, Value>> {
        let Some(policy) = self.policy(family) else { return Some(Cow::Borrowed(&self.total)) };
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
    fn set(&mut self, origin: Origin, last: Last) -> Option<Last> {
        let pushed = self.next_push();
        if let Some(value) = self.live.find_mut(origin.hash(), |value| value.origin() == origin) {
            value.pushed = pushed;
            return Some(std::mem::replace(&mut value.last, last));
        }
        self.insert(origin, pushed, last);
        None
    }

    fn insert(&mut self, origin: Origin, pushed: u32, last: Last) {
        let value = LiveValue { source: origin.source, part: origin.part, pushed, last };
        self.live.insert_unique(origin.hash(), value, |value| value.origin().hash());
    }

    fn last(&self, origin: Origin) -> Option<&Last> {
        self.live.find(origin.hash(), |value| value.origin() == origin).map(|value| &value.last)
    }

    /// Forgets a source's value. Returns whether there was one.
    fn forget(&mut self, origin: Origin) -> bool {
        match self.live.find_entry(origin.hash(), |value| value.origin() == origin) {
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
        origin: Origin,
        pushed: f64,
        extra: Option<&CounterExtra>,
        rule: NumberRule,
        now: Millis,
    ) -> bool {
        if let NumberRule::Live(policy) = rule {
            self.gauge = Some(policy);
            return self.set(origin, Last::Number(pushed)).is_none();
        }
        let created = extra.and_then(|extra| extra.created);
        let number_of_push = self.next_push();
        let found = self.live.find_mut(origin.hash(), |value| value.origin() == origin);
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
        self.insert(origin, number_of_push, last);
        true
    }

    /// Adds a pushed histogram, alike.
    fn push_histogram(&mut self, origin: Origin, pushed: Histogram, is_gauge: bool) -> bool {
        if is_gauge {
            self.gauge = Some(GaugePolicy::Sum);
            return self.set(origin, Last::Histogram(Box::new(without_exemplars(pushed)))).is_none();
        }
        let remembered = without_exemplars(pushed.clone());
        let increment = match self.last(origin) {
            Some(Last::Histogram(last)) => histogram_increment(last, &pushed),
            _ => pushed,
        };
        match &mut self.total {
            Value::Histogram(total) => add_histogram(total, increment),
            other => *other = Value::Histogram(Box::new(increment)),
        }
        self.set(origin, Last::Histogram(Box::new(remembered))).is_none()
    }

    /// Adds a pushed summary, alike.
    fn push_summary(&mut self, origin: Origin, pushed: Summary) -> bool {
        let increment = match self.last(origin) {
            Some(Last::Summary(last)) => summary_increment(last, &pushed),
            _ => pushed.clone(),
        };
        match &mut self.total {
            Value::Summary(total) => add_summary(total, &increment),
            other => *other = Value::Summary(Box::new(increment)),
        }
        self.set(origin, Last::Summary(Box::new(pushed))).is_none()
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
        let parts = batch.parts.take().map_or_else(UpdateParts::default, |parts| *parts);
        let origin = |parts: &[u64], at: usize| Origin { source: source.id, part: UpdateParts::of(parts, at) };
        let slots = self.look_ahead(&batch, &numbers, context, |at| origin(&parts.numbers, at));
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
            let origin = origin(&parts.numbers, index);
            self.push_of_source(
                &batch,
                series,
                slot,
                context,
                (source, origin.part),
                now,
                Value::Number(0.0),
                |sourced| sourced.push_number(origin, value, extra.as_ref(), rule, now),
            );
        }
        for (at, HistogramUpdate { series, histogram }) in std::mem::take(&mut batch.histograms).into_iter().enumerate()
        {
            let origin = origin(&parts.histograms, at);
            let is_gauge = context.families[series.family as usize].kind().is_gauge();
            let nothing = Value::Histogram(Box::default());
            self.push_of_source(&batch, series, None, context, (source, origin.part), now, nothing, |sourced| {
                sourced.push_histogram(origin, histogram, is_gauge)
            });
        }
        for (at, SummaryUpdate { series, summary }) in std::mem::take(&mut batch.summaries).into_iter().enumerate() {
            let origin = origin(&parts.summaries, at);
            let nothing = Value::Summary(Box::default());
            self.push_of_source(&batch, series, None, context, (source, origin.part), now, nothing, |sourced| {
                sourced.push_summary(origin, summary)
            });
        }
    }

    /// The slots of the numbers' series. Nothing depends on the values that are looked at, so the waits for memory overlap.
    fn look_ahead(
        &self,
        batch: &Batch,
        numbers: &[NumberUpdate],
        context: &BatchContext,
        origin: impl Fn(usize) -> Origin,
    ) -> Vec<Option<u32>> {
        let slot = |(at, NumberUpdate { series, .. }): (usize, &NumberUpdate)| {
            batch.hint(at).and_then(|hint| self.series.hinted(hint)).or_else(|| {
                let slot = self.find(batch, *series, context.families[series.family as usize].id)?;
                batch.note(at, self.series.hint(slot));
                Some(slot)
            })
        };
        let slots: Vec<Option<u32>> = numbers.iter().enumerate().map(slot).collect();
        for (at, slot) in slots.iter().enumerate() {
            let stored = slot.and_then(|slot| self.series.get(slot)).map(|series| &series.stored);
            if let Some(Stored::Sourced(sourced)) = stored {
                std::hint::black_box(sourced.has_value_of(origin(at)));
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
        (source, part): (&Arc<Source>, u64),
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
            let of_source = self.sources.entry(source.id).or_insert_with(|| SourcePart::new(source));
            of_source.add(slot, part, &self.series);
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
}
