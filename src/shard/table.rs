//! One shard's series: found by full key, merged, counted, and written out page by page in the order of the page.
//! Plain data; no actor, no clock, no format beyond the encoder's call.

mod order;
mod page;
mod shapes;

pub use page::{Cursor, Page, PageRequest, PageSeries};

use std::sync::Arc;

use hashbrown::HashTable;

use super::batch::{Batch, BatchContext, CounterExtra, HistogramUpdate, NumberUpdate, SeriesRef, SummaryUpdate};
use crate::aggregate::{first_number, merge_counter_extra, merge_histogram, merge_number, merge_summary};
use crate::model::family::Family;
use crate::model::labels::are_one_when_escaped;
use crate::model::value::{Millis, Value};
use order::FamilyOrder;
use shapes::{ShapeId, Shapes};

/// A shard's slice of the state.
#[derive(Debug, Default)]
pub struct Table {
    index: HashTable<IndexEntry>,
    series: Slots,
    /// By family id; those without series here may be missing.
    orders: Vec<FamilyOrder>,
    shapes: Shapes,
}

/// Series looked up at once.
const SIDE_BY_SIDE: usize = 128;

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
    key: Arc<str>,
    value: Value,
    /// [`crate::model::family::Family::id`].
    family: u32,
    /// Of the key.
    shape: Option<ShapeId>,
}

/// Series by slot number, in blocks that never move: growing copies nothing.
#[derive(Debug, Default)]
struct Slots {
    blocks: Vec<Vec<Series>>,
    len: usize,
}

impl Slots {
    const BLOCK: usize = 4096;

    #[inline]
    fn get(&self, slot: u32) -> &Series {
        &self.blocks[slot as usize / Self::BLOCK][slot as usize % Self::BLOCK]
    }

    #[inline]
    fn get_mut(&mut self, slot: u32) -> &mut Series {
        &mut self.blocks[slot as usize / Self::BLOCK][slot as usize % Self::BLOCK]
    }

    fn push(&mut self, series: Series) -> u32 {
        if self.len.is_multiple_of(Self::BLOCK) {
            self.blocks.push(Vec::with_capacity(Self::BLOCK));
        }
        self.blocks[self.len / Self::BLOCK].push(series);
        self.len += 1;
        self.len as u32 - 1
    }
}

/// What a table knows of a batch's series.
#[derive(Debug)]
pub struct Inspection {
    /// Series that are not stored yet, for each of the push's families.
    pub new: Vec<usize>,
    /// A new series that escaping makes equal to a stored one.
    pub collision: Option<Collision>,
}

/// Two series that are one for readers that know legacy names only.
#[derive(Debug)]
pub struct Collision {
    /// Index into the push's families.
    pub family: usize,
    /// Label texts.
    pub pushed: String,
    /// Label text of the stored one.
    pub stored: String,
}

impl Table {
    /// Number of stored series.
    pub fn len(&self) -> usize {
        self.series.len
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Merges a batch. Cannot fail: all checks were made before. Returns the number of series created.
    pub fn apply(&mut self, mut batch: Batch, context: &BatchContext, now: Millis) -> usize {
        let before = self.len();
        let histograms = std::mem::take(&mut batch.histograms);
        let summaries = std::mem::take(&mut batch.summaries);
        for updates in batch.numbers.chunks(SIDE_BY_SIDE) {
            self.apply_numbers(&batch, updates, context, now);
        }
        for CounterExtra { number, created, exemplar } in std::mem::take(&mut batch.counters) {
            let Some(series) = batch.numbers.get(number as usize).map(|update| update.series) else { continue };
            if let Some(slot) = self.find(&batch, series, context.families[series.family as usize].id) {
                merge_counter_extra(&mut self.series.get_mut(slot).value, created, exemplar);
            }
        }
        for HistogramUpdate { series, histogram } in histograms {
            let family = &context.families[series.family as usize];
            match self.find(&batch, series, family.id) {
                Some(slot) => merge_histogram(&mut self.series.get_mut(slot).value, histogram),
                None => self.create(&batch, series, family, Value::Histogram(Box::new(histogram))),
            }
        }
        for SummaryUpdate { series, summary } in summaries {
            let family = &context.families[series.family as usize];
            match self.find(&batch, series, family.id) {
                Some(slot) => merge_summary(&mut self.series.get_mut(slot).value, summary),
                None => self.create(&batch, series, family, Value::Summary(Box::new(summary))),
            }
        }
        self.len() - before
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
            if let Some(slot) = slot {
                *key = &self.series.get(*slot).key;
            }
        }
        let mut is_found = [false; SIDE_BY_SIDE];
        for ((is_found, key), update) in is_found.iter_mut().zip(&stored_keys).zip(updates) {
            *is_found = *key == batch.key(update.series);
        }
        for ((slot, is_found), update) in slots.into_iter().zip(is_found).zip(updates) {
            let family = &context.families[update.series.family as usize];
            let rule = context.rules[update.series.rule as usize].numbers;
            let likely = slot.filter(|slot| is_found && self.series.get(*slot).family == family.id);
            match likely.or_else(|| self.find(batch, update.series, family.id)) {
                Some(slot) => merge_number(&mut self.series.get_mut(slot).value, update.value, rule, now),
                None => self.create(batch, update.series, family, first_number(update.value, rule, now)),
            }
        }
    }

    /// Looks the batch's series up. The series of a family without an id are all new.
    pub fn inspect(&self, batch: &Batch, family_ids: &[Option<u32>]) -> Inspection {
        let mut inspection = Inspection { new: vec![0; family_ids.len()], collision: None };
        for series in batch.series() {
            let family = series.family as usize;
            let id = family_ids[family];
            if id.and_then(|id| self.find(batch, series, id)).is_none() {
                inspection.new[family] += 1;
                let twin = id.and_then(|id| self.find_twin(batch, series, id));
                inspection.collision = inspection.collision.or(twin.map(|stored| Collision {
                    family,
                    pushed: batch.key(series).to_owned(),
                    stored: stored.to_owned(),
                }));
            }
        }
        inspection
    }

    /// The labels of a stored series that escaping makes equal to one of the batch. Their hashes are equal too.
    fn find_twin(&self, batch: &Batch, series: SeriesRef, family_id: u32) -> Option<&str> {
        let hash = series.hash as u32;
        let same_hash = self.index.iter_hash(table_hash(hash)).filter(|entry| entry.hash == hash);
        same_hash
            .map(|entry| self.series.get(entry.slot))
            .find(|stored| stored.family == family_id && are_one_when_escaped(&stored.key, batch.key(series)))
            .map(|stored| &*stored.key)
    }

    #[inline]
    fn find(&self, batch: &Batch, series: SeriesRef, family_id: u32) -> Option<u32> {
        let key = batch.key(series);
        let is_same = |entry: &IndexEntry| {
            entry.hash == series.hash as u32 && {
                let stored = self.series.get(entry.slot);
                stored.family == family_id && *stored.key == *key
            }
        };
        self.index.find(table_hash(series.hash as u32), is_same).map(|entry| entry.slot)
    }

    #[cold]
    fn create(&mut self, batch: &Batch, series: SeriesRef, family: &Family, value: Value) {
        let key: Arc<str> = batch.key(series).into();
        let id = family.id;
        let shape = self.shapes.of(&key);
        let slot = self.series.push(Series { key, value, family: id, shape });
        let entry = IndexEntry { hash: series.hash as u32, slot };
        self.index.insert_unique(table_hash(entry.hash), entry, |entry| table_hash(entry.hash));
        let order = id as usize;
        if self.orders.len() <= order {
            self.orders.resize_with(order + 1, FamilyOrder::default);
        }
        self.orders[order].add(slot);
        family.add_series(1);
    }
}

/// Spreads the kept half of a hash over all bits: the index takes its bucket from the low ones and its tag from the top.
#[inline]
fn table_hash(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests;
