//! Where in a table a source's values are, and how they are forgotten once it has gone: in steps of bounded length.

use std::sync::Arc;

use super::Origin;
use crate::model::family::MetricKind;
use crate::shard::owner::Source;
use crate::shard::table::slots::Slots;
use crate::shard::table::{Stored, Table};

/// A source's series in this table.
#[derive(Debug)]
pub(in crate::shard::table) struct SourcePart {
    pub source: Arc<Source>,
    /// Slots; some may have been given to other series since, or have lost the source's value.
    pub slots: Vec<u32>,
    /// The same of series that are parts of those shown, with the part.
    pub part_slots: Vec<(u32, u64)>,
}

impl SourcePart {
    const USUAL_SLOTS: usize = 1024;

    pub fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), slots: Vec::new(), part_slots: Vec::new() }
    }

    /// Adds the slot of a first value.
    pub fn add(&mut self, slot: u32, part: u64, series: &Slots) {
        let source = self.source.id;
        if part == 0 {
            self.slots.push(slot);
            prune(&mut self.slots, |slot| has_value_of(series, *slot, Origin { source, part: 0 }));
        } else {
            self.part_slots.push((slot, part));
            prune(&mut self.part_slots, |(slot, part)| has_value_of(series, *slot, Origin { source, part: *part }));
        }
    }

    /// Takes up to `most` slots out, with their parts.
    fn split_off(&mut self, most: usize) -> Vec<(u32, u64)> {
        let first = self.slots.len().saturating_sub(most);
        let whole = self.slots.drain(first..).map(|slot| (slot, 0));
        let mut split: Vec<_> = whole.collect();
        let first = self.part_slots.len().saturating_sub(most - split.len());
        split.extend(self.part_slots.drain(first..));
        split
    }

    fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.part_slots.is_empty()
    }
}

/// Series that have gone, and come again, would make a list of slots grow for ever.
fn prune<T: Ord>(slots: &mut Vec<T>, holds: impl Fn(&T) -> bool) {
    if slots.len() >= SourcePart::USUAL_SLOTS && slots.len().is_power_of_two() {
        slots.retain(holds);
        slots.sort_unstable();
        slots.dedup();
    }
}

fn has_value_of(series: &Slots, slot: u32, origin: Origin) -> bool {
    matches!(series.get(slot).map(|series| &series.stored), Some(Stored::Sourced(sourced)) if sourced.has_value_of(origin))
}

impl Table {
    /// Forgets up to `most` values of a source that has gone; gauges that no other source has leave with it. Returns whether
    /// there is more to forget.
    pub fn forget_source(&mut self, source: u32, most: usize) -> bool {
        let Some(of_source) = self.sources.get_mut(&source) else { return false };
        let slots = of_source.split_off(most);
        let has_more = !of_source.is_empty();
        let handle = Arc::clone(&of_source.source);
        for (slot, part) in slots {
            let Some(series) = self.series.get_mut(slot) else { continue };
            let Stored::Sourced(sourced) = &mut series.stored else { continue };
            if sourced.forget(Origin { source, part }) {
                let kind = self.orders.get(&series.family).map_or(MetricKind::Untyped, |order| order.family.kind());
                let leaves = sourced.live.is_empty() && sourced.policy(kind).is_some();
                handle.remove_series();
                self.source_values -= 1;
                if leaves {
                    self.remove(slot);
                }
            }
        }
        if !has_more {
            self.sources.remove(&source);
        }
        has_more
    }
}
