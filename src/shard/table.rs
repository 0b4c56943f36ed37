//! One shard's series: found by full key, merged, counted, and written out page by page in the order of the page.
//! Plain data; no actor, no clock, no format beyond the encoder's call.

mod aggregated;
mod inspect;
mod order;
mod page;
mod past;
mod replaced;
mod shapes;
mod slots;
mod sourced;
mod sweep;

pub use inspect::{Collision, Inspection, Objection};
pub use page::{Cursor, Page, PageRequest, PageSeries};
pub use replaced::{GroupSeries, Replacement, Scope};
pub use sweep::{Selection, Swept};

use std::collections::HashMap;

use hashbrown::HashTable;

use super::batch::{Batch, BatchContext, Router, SeriesRef};
use super::owner::Owner;
use crate::model::door::Door;
use crate::model::family::FamilyUse;
use crate::model::value::{Millis, Value};
use order::FamilyOrder;
use past::Past;
use replaced::{GroupPart, Replaced};
use shapes::{ShapeId, Shapes};
use slots::Slots;
use sourced::{SourcePart, Sourced};

/// A shard's slice of the state.
#[derive(Debug)]
pub struct Table {
    /// Whose hashes series come with.
    router: Router,
    index: HashTable<IndexEntry>,
    series: Slots,
    /// By family id.
    orders: HashMap<u32, FamilyOrder, ahash::RandomState>,
    shapes: Shapes,
    /// By source id.
    sources: HashMap<u32, SourcePart, ahash::RandomState>,
    /// Values of sources, beyond the series themselves.
    source_values: usize,
    /// By group id.
    groups: HashMap<u32, GroupPart, ahash::RandomState>,
    /// What groups held while a scrape began that is still running.
    past: Past,
}

/// Half the hash is kept, so that the index grows without looking at the series.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    hash: u32,
    slot: u32,
}

/// A stored series.
#[derive(Debug)]
struct Series {
    /// Canonical label text.
    key: Box<str>,
    stored: Stored,
    /// [`crate::model::family::Family::id`].
    family: u32,
    /// Of the key.
    shape: Option<ShapeId>,
}

/// What a series holds, by the door it came by.
#[derive(Debug)]
enum Stored {
    /// Merged over all pushes.
    Aggregated(Value),
    /// Merged over the sources.
    Sourced(Box<Sourced>),
    /// As one group pushed it.
    Replaced(Box<Replaced>),
}

impl Table {
    /// An empty table, for series hashed by this router.
    pub fn new(router: Router) -> Self {
        Self {
            router,
            index: HashTable::new(),
            series: Slots::default(),
            orders: HashMap::default(),
            shapes: Shapes::default(),
            sources: HashMap::default(),
            source_values: 0,
            groups: HashMap::default(),
            past: Past::default(),
        }
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Self {
        // Families that stay must not go on counting what has gone: the gateway's own, of which groups alone have series.
        for order in self.orders.values().filter(|order| !order.family.is_retired()) {
            order.family.remove_series(Door::Replace, order.len());
        }
        let empty = Self { series: Slots::after(&self.series), ..Self::new(self.router.clone()) };
        std::mem::replace(self, empty)
    }

    /// What is stored, as it counts against the limit: series, and values of sources.
    pub fn len(&self) -> usize {
        self.series.len() + self.source_values
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Merges what everyone or a source pushes. Cannot fail: all checks were made before. (Groups replace what they have: see
    /// [`Self::replace`].)
    pub fn apply(&mut self, batch: Batch, context: &BatchContext, owner: &Owner, now: Millis) {
        for family in &context.replaced_families {
            self.empty_aggregated(context.families[*family as usize].id);
        }
        if self.series.has_deadlines() || context.rules.iter().any(|rule| rule.lifetime.is_some()) {
            self.keep_alive(&batch, context, now);
        }
        match owner {
            Owner::Source(source) => self.apply_of_source(batch, context, source, now),
            Owner::Everyone | Owner::Group(_) => self.apply_aggregated(batch, context, now),
        }
    }

    /// Moves the deadlines of the batch's series. Those whose time is over go first: what is pushed now begins anew.
    #[cold]
    fn keep_alive(&mut self, batch: &Batch, context: &BatchContext, now: Millis) {
        for series in batch.series() {
            let Some(slot) = self.find(batch, series, context.families[series.family as usize].id) else { continue };
            if self.series.is_expired(slot, now) {
                self.remove(slot);
            } else {
                self.series.set_deadline(slot, deadline(context, series, now));
            }
        }
    }

    #[inline]
    fn find(&self, batch: &Batch, series: SeriesRef, family_id: u32) -> Option<u32> {
        let key = batch.key(series);
        let is_same = |entry: &IndexEntry| {
            entry.hash == series.hash as u32
                && self.series.get(entry.slot).is_some_and(|stored| stored.family == family_id && *stored.key == *key)
        };
        self.index.find(table_hash(series.hash as u32), is_same).map(|entry| entry.slot)
    }

    /// Stores a new series. Counting it in its family is left to the owner's kind of it.
    #[cold]
    fn create(&mut self, batch: &Batch, series: SeriesRef, family: &FamilyUse, stored: Stored) -> u32 {
        let key: Box<str> = batch.key(series).into();
        let shape = self.shapes.of(&key);
        match &stored {
            Stored::Replaced(replaced) => replaced.group.add_series(family),
            Stored::Aggregated(_) => family.add_series(Door::Aggregate, 1),
            Stored::Sourced(_) => family.add_series(Door::Source, 1),
        }
        let slot = self.series.insert(Series { key, stored, family: family.id, shape });
        let entry = IndexEntry { hash: series.hash as u32, slot };
        self.index.insert_unique(table_hash(entry.hash), entry, |entry| table_hash(entry.hash));
        let order = self.orders.entry(family.id).or_insert_with(|| FamilyOrder::new(family.family()));
        order.add(slot, &self.series);
        slot
    }

    /// Removes a series, whoever's it is.
    fn remove(&mut self, slot: u32) -> Option<Series> {
        let stored = self.series.get(slot)?;
        if let Some(order) = self.orders.get_mut(&stored.family) {
            // While the series is there: its key is what the order finds it by.
            order.remove(&stored.key, &self.series);
        }
        let series = self.series.remove(slot)?;
        if let Some(order) = self.orders.get_mut(&series.family) {
            let hasher = self.router.hasher();
            let name = hasher.hash(order.family.name.as_bytes());
            let hash = self.router.series_hash(name, hasher.hash_labels(&series.key)) as u32;
            if let Ok(entry) = self.index.find_entry(table_hash(hash), |entry| entry.slot == slot) {
                entry.remove();
            }
            match &series.stored {
                Stored::Aggregated(_) => order.family.remove_series(Door::Aggregate, 1),
                Stored::Sourced(sourced) => {
                    order.family.remove_series(Door::Source, 1);
                    self.source_values -= sourced.forget_all(&self.sources);
                }
                Stored::Replaced(replaced) => replaced.group.remove_series(&order.family),
            }
            if order.is_empty() {
                self.orders.remove(&series.family);
            }
        }
        Some(series)
    }
}

/// When a pushed series goes, if it does.
fn deadline(context: &BatchContext, series: SeriesRef, now: Millis) -> Option<Millis> {
    context.rules[series.rule as usize].lifetime.map(|lifetime| now.saturating_add(lifetime))
}

/// Frees what takes long to be freed, without keeping the shard from its work.
pub(super) fn drop_elsewhere<T: Send + 'static>(large: T) {
    // Without a thread it is freed here after all.
    let _ = std::thread::Builder::new().spawn(move || drop(large));
}

/// Spreads the kept half of a hash over all bits: the index takes its bucket from the low ones and its tag from the top.
#[inline]
fn table_hash(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests;
