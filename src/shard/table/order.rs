//! The order of one family's series on the page: by label text, bytewise.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Series by key. New ones wait in a list and are put in order when a page is read, a bounded number at a time, so
/// that neither a push nor a scrape pays for a flood of them at once.
#[derive(Debug, Default)]
pub(super) struct FamilyOrder {
    sorted: BTreeMap<Arc<str>, u32>,
    waiting: Vec<u32>,
}

impl FamilyOrder {
    /// Adds a new series.
    pub fn add(&mut self, slot: u32) {
        self.waiting.push(slot);
    }

    /// Puts up to `most` waiting series in order; `key` tells a slot's key. Returns how many were moved.
    pub fn settle(&mut self, most: usize, key: impl Fn(u32) -> Arc<str>) -> usize {
        let moved = self.waiting.len().min(most);
        let first = self.waiting.len() - moved;
        self.sorted.extend(self.waiting.drain(first..).map(|slot| (key(slot), slot)));
        moved
    }

    /// Whether series wait that [`Self::after`] does not show.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The ordered series behind a key; all of them without one.
    pub fn after(&self, key: Option<&str>) -> impl Iterator<Item = (&Arc<str>, u32)> {
        let start = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.sorted.range::<str, _>((start, Bound::Unbounded)).map(|(key, slot)| (key, *slot))
    }
}
