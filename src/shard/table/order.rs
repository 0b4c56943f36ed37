//! One family's series in a table, in the order of the page: by label text, bytewise.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::model::family::Family;

/// Series by key. New ones wait in a list and are put in order when a page is read, a bounded number at a time, so
/// that neither a push nor a scrape pays for a flood of them at once.
#[derive(Debug)]
pub(super) struct FamilyOrder {
    /// Whose series they are.
    pub family: Arc<Family>,
    sorted: BTreeMap<Arc<str>, u32>,
    /// Slots; some may have been given to other series since.
    waiting: Vec<u32>,
    len: usize,
}

impl FamilyOrder {
    const USUAL_WAITING: usize = 1024;

    /// No series yet.
    pub fn new(family: &Arc<Family>) -> Self {
        Self { family: Arc::clone(family), sorted: BTreeMap::new(), waiting: Vec::new(), len: 0 }
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a new series; `holds` tells whether a series of the family is at a slot.
    pub fn add(&mut self, slot: u32, holds: impl Fn(u32) -> bool) {
        self.waiting.push(slot);
        self.len += 1;
        let waiting = self.waiting.len();
        if waiting >= Self::USUAL_WAITING && waiting.is_power_of_two() && waiting > 2 * self.len {
            // Without a scrape, series that come and go would make it grow for ever.
            self.waiting.retain(|slot| holds(*slot));
            self.waiting.sort_unstable();
            self.waiting.dedup();
        }
    }

    /// A series was removed; its slot may still wait, which [`Self::settle`] finds out.
    pub fn remove(&mut self, key: &str) {
        self.sorted.remove(key);
        self.len -= 1;
    }

    /// Puts up to `most` waiting series in order; `key` tells a slot's key, if a series of the family is there. Returns how
    /// many were looked at.
    pub fn settle(&mut self, most: usize, key: impl Fn(u32) -> Option<Arc<str>>) -> usize {
        let moved = self.waiting.len().min(most);
        let first = self.waiting.len() - moved;
        let settled = self.waiting.drain(first..).filter_map(|slot| Some((key(slot)?, slot)));
        self.sorted.extend(settled);
        moved
    }

    /// The slots of all series; some may have been given to others since.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.sorted.values().chain(&self.waiting).copied()
    }

    /// Length of the list of waiting slots.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether series wait that [`Self::after`] does not show.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The ordered series behind a key; all of them without one.
    pub fn after(&self, key: Option<&str>) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.sorted.range::<str, _>(behind(key)).map(|(key, slot)| (key, *slot))
    }
}

/// All keys behind this one.
pub(super) fn behind(key: Option<&str>) -> (Bound<&str>, Bound<&str>) {
    (key.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}
