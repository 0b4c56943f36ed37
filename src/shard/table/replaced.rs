//! Series of groups: a push says what its group shows. A group's series are found through the group, so what a push costs
//! depends on what it brings and on what its group held, not on other groups.

use std::sync::Arc;

use super::past::Former;
use super::{Stored, Table};
use crate::aggregate::merge_counter_extra;
use crate::model::family::Family;
use crate::model::value::{Millis, Value};
use crate::shard::batch::{Batch, BatchContext, CounterExtra, SeriesRef};
use crate::shard::owner::Group;
use crate::shard::timeline::{ShownVersions, Version};

/// What a series of a group holds.
#[derive(Debug)]
pub(super) struct Replaced {
    pub group: Arc<Group>,
    /// The change that brought the value.
    pub since: Version,
    pub value: Value,
}

/// A group's series in this table.
#[derive(Debug, Default)]
pub(super) struct GroupPart {
    /// Slots; some may have been given to other series since.
    slots: Vec<u32>,
}

/// A change of a group.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Which one.
    pub group: Arc<Group>,
    /// What goes, unless the batch brings it again.
    pub scope: Scope,
    /// The change's version.
    pub version: Version,
    /// The versions that running scrapes show.
    pub shown: ShownVersions,
}

impl Replacement {
    /// A value that the change ends.
    fn former(&self, since: Version, value: Value) -> Former {
        Former { since, until: self.version, group: Arc::clone(&self.group), value }
    }
}

/// Which of a group's series go.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All.
    Group,
    /// Those of these families, by ascending id.
    Families(Arc<[u32]>),
}

impl Scope {
    /// Those of these families.
    pub fn of_families(ids: impl Iterator<Item = u32>) -> Self {
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        Self::Families(ids.into())
    }

    /// Whether series of the family go.
    pub fn contains(&self, family: u32) -> bool {
        match self {
            Self::Group => true,
            Self::Families(ids) => ids.binary_search(&family).is_ok(),
        }
    }
}

/// A series of a group, to be looked at.
#[derive(Clone, Debug)]
pub struct GroupSeries {
    /// Whose series it is.
    pub family: Arc<Family>,
    /// Canonical label text.
    pub labels: Box<str>,
    /// As pushed.
    pub value: Value,
}

impl Table {
    /// Replaces what a group shows. Cannot fail: all checks were made before.
    pub fn replace(&mut self, batch: Batch, context: &BatchContext, change: &Replacement, now: Millis) {
        let mut held = std::mem::take(&mut self.groups.entry(change.group.id).or_default().slots);
        let mut slots = Vec::with_capacity(batch.len());
        let mut batch = batch;
        for (index, (series, value)) in values(&mut batch).into_iter().enumerate() {
            let found = self.find_held(&batch, series, context, held.get(index).copied());
            slots.push(self.set(&batch, series, context, value, change, found, now));
        }
        // A slot stands twice if its series was removed by itself and came again.
        held.sort_unstable();
        held.dedup();
        for slot in held {
            match self.series.get(slot) {
                Some(series) if is_of(&series.stored, change) => match &series.stored {
                    Stored::Replaced(replaced) if replaced.since == change.version => {}
                    _ if change.scope.contains(series.family) => self.retire(slot, change),
                    _ => slots.push(slot),
                },
                _ => {}
            }
        }
        if slots.is_empty() {
            self.groups.remove(&change.group.id);
        } else if let Some(part) = self.groups.get_mut(&change.group.id) {
            part.slots = slots;
        }
    }

    /// The slot of a series. Most pushes bring what the one before brought, in the same order: where that is so, the index,
    /// whose memory is large and far away, is not asked.
    fn find_held(&self, batch: &Batch, series: SeriesRef, context: &BatchContext, likely: Option<u32>) -> Option<u32> {
        let family = context.families[series.family as usize].id;
        let is_it = |slot: &u32| {
            self.series.get(*slot).is_some_and(|stored| stored.family == family && *stored.key == *batch.key(series))
        };
        likely.filter(is_it).or_else(|| self.find(batch, series, family))
    }

    /// Sets one series of a group.
    #[allow(clippy::too_many_arguments, reason = "a value, its series, and where both come from")]
    fn set(
        &mut self,
        batch: &Batch,
        series: SeriesRef,
        context: &BatchContext,
        value: Value,
        change: &Replacement,
        found: Option<u32>,
        now: Millis,
    ) -> u32 {
        let family = &context.families[series.family as usize];
        if let Some(slot) = found
            && let Some(stored) = self.series.get_mut(slot)
            && let Stored::Replaced(replaced) = &mut stored.stored
            && replaced.group.id == change.group.id
        {
            let before = std::mem::replace(&mut replaced.value, value);
            let since = std::mem::replace(&mut replaced.since, change.version);
            self.past.keep(stored.family, &stored.key, change.former(since, before), &change.shown);
            self.series.set_deadline(slot, super::deadline(context, series, now));
            return slot;
        }
        // A series of another owner gives way, which the checks before leave no room for.
        if let Some(slot) = found {
            self.remove(slot);
        }
        let group = Arc::clone(&change.group);
        let replaced = Replaced { group, since: change.version, value };
        let slot = self.create(batch, series, family, Stored::Replaced(Box::new(replaced)));
        self.series.set_deadline(slot, super::deadline(context, series, now));
        slot
    }

    /// Removes a series of a group.
    fn retire(&mut self, slot: u32, change: &Replacement) {
        let Some(series) = self.remove(slot) else { return };
        if let Stored::Replaced(replaced) = series.stored {
            let former = change.former(replaced.since, replaced.value);
            self.past.keep(series.family, &series.key, former, &change.shown);
        }
    }

    /// Forgets what no running scrape shows.
    pub fn forget_past(&mut self, shown: &ShownVersions) {
        self.past.forget_all_but(shown);
    }

    /// All series of a group.
    pub fn group(&self, group: &Group) -> Vec<GroupSeries> {
        let slots = self.groups.get(&group.id).map(|part| &part.slots[..]).unwrap_or_default();
        let shown = slots.iter().filter_map(|slot| {
            let series = self.series.get(*slot)?;
            match &series.stored {
                Stored::Replaced(replaced) if replaced.group.id == group.id => Some(GroupSeries {
                    family: Arc::clone(&self.orders.get(&series.family)?.family),
                    labels: series.key.clone(),
                    value: replaced.value.clone(),
                }),
                _ => None,
            }
        });
        shown.collect()
    }
}

fn is_of(stored: &Stored, change: &Replacement) -> bool {
    matches!(stored, Stored::Replaced(replaced) if replaced.group.id == change.group.id)
}

/// Everything the batch holds, as values of series. Its keys stay.
fn values(batch: &mut Batch) -> Vec<(SeriesRef, Value)> {
    let mut values: Vec<(SeriesRef, Value)> = std::mem::take(&mut batch.numbers)
        .into_iter()
        .map(|update| (update.series, Value::Number(update.value)))
        .collect();
    for CounterExtra { number, created, exemplar } in std::mem::take(&mut batch.counters) {
        if let Some((_, value)) = values.get_mut(number as usize) {
            merge_counter_extra(value, created, exemplar);
        }
    }
    let histograms = std::mem::take(&mut batch.histograms).into_iter();
    values.extend(histograms.map(|update| (update.series, Value::Histogram(Box::new(update.histogram)))));
    let summaries = std::mem::take(&mut batch.summaries).into_iter();
    values.extend(summaries.map(|update| (update.series, Value::Summary(Box::new(update.summary)))));
    values
}
