//! One family's series in a table, in the order of the page: by label text, bytewise. Only slots are kept; the keys that put
//! them in order are those of the stored series.

use std::cmp::Ordering;
use std::sync::Arc;

use super::slots::{Slots, fetch};
use crate::model::family::Family;

/// Slots by the key of their series. New ones wait in a list and are put in order when a page is read, a bounded number at a
/// time, so that neither a push nor a scrape pays for a flood of them at once.
#[derive(Debug)]
pub(super) struct FamilyOrder {
    /// Whose series they are.
    pub family: Arc<Family>,
    /// In order, in blocks of bounded length, none of them empty: a series that comes or goes moves a part of one block.
    blocks: Vec<Vec<u32>>,
    /// Slots; some may have been given to other series since.
    waiting: Vec<u32>,
    len: usize,
}

/// A block, and an index in it.
type Place = (usize, usize);

impl FamilyOrder {
    const USUAL_WAITING: usize = 1024;
    /// Slots of a block, at the most.
    const BLOCK: usize = 512;

    /// No series yet.
    pub fn new(family: &Arc<Family>) -> Self {
        Self { family: Arc::clone(family), blocks: Vec::new(), waiting: Vec::new(), len: 0 }
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a new series.
    pub fn add(&mut self, slot: u32, series: &Slots) {
        self.waiting.push(slot);
        self.len += 1;
        let waiting = self.waiting.len();
        if waiting >= Self::USUAL_WAITING && waiting.is_power_of_two() && waiting > 2 * self.len {
            // Without a scrape, series that come and go would make it grow for ever.
            self.waiting.retain(|slot| series.key(*slot, self.family.id).is_some());
            self.waiting.sort_unstable();
            self.waiting.dedup();
        }
    }

    /// Removes a series that is still stored. It may yet wait, which [`Self::settle`] finds out.
    pub fn remove(&mut self, key: &str, series: &Slots) {
        self.len -= 1;
        if let Ok((at, index)) = self.place(key, series) {
            self.blocks[at].remove(index);
            self.join(at);
        }
    }

    /// Puts up to `most` waiting series in order. Returns how many were looked at.
    pub fn settle(&mut self, most: usize, series: &Slots) -> usize {
        let moved = self.waiting.len().min(most);
        let first = self.waiting.len() - moved;
        let id = self.family.id;
        let keyed = self.waiting.drain(first..).filter_map(|slot| Some((series.key(slot, id)?, slot)));
        let mut keyed: Vec<(&str, u32)> = keyed.collect();
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        keyed.iter().for_each(|(key, _)| fetch(key));
        keyed.sort_unstable_by_key(|(key, _)| *key);
        keyed.dedup();
        self.merge(&keyed, series);
        moved
    }

    /// The slots of all series; some may have been given to others since.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flatten().chain(&self.waiting).copied()
    }

    /// Length of the list of waiting slots.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no series waits that [`Self::after`] does not show.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The ordered series behind a key, a run of slots at a time; all of them without one.
    pub fn after(&self, key: Option<&str>, series: &Slots) -> impl Iterator<Item = &[u32]> {
        let (at, index) = match key.map(|key| self.place(key, series)) {
            None => (0, 0),
            Some(Ok((at, index))) => (at, index + 1),
            Some(Err(place)) => place,
        };
        let blocks = self.blocks.get(at..).unwrap_or_default().iter();
        blocks.enumerate().map(move |(block, slots)| if block == 0 { &slots[index..] } else { slots })
    }

    /// Where a key is, or where it would be put.
    fn place(&self, key: &str, series: &Slots) -> Result<Place, Place> {
        let at = self.block_of(key, series);
        let Some(block) = self.blocks.get(at) else { return Err((at, 0)) };
        let found = block.binary_search_by(|slot| self.key(*slot, series).cmp(key));
        found.map(|index| (at, index)).map_err(|index| (at, index))
    }

    /// The block that a key belongs to: the last one that does not begin behind it.
    fn block_of(&self, key: &str, series: &Slots) -> usize {
        let begins_before = |block: &Vec<u32>| block.first().is_some_and(|slot| self.key(*slot, series) <= key);
        self.blocks.partition_point(begins_before).saturating_sub(1)
    }

    fn key<'s>(&self, slot: u32, series: &'s Slots) -> &'s str {
        series.key(slot, self.family.id).unwrap_or_default()
    }

    /// Puts ascending keys in order, from the last to the first, so that the places of those ahead stay what they are. Keys that
    /// are there already stay.
    fn merge(&mut self, keyed: &[(&str, u32)], series: &Slots) {
        let places = self.places(keyed, series);
        let new = keyed.iter().zip(places).filter(|((key, _), (at, index))| {
            let stored = self.blocks.get(*at).and_then(|block| block.get(*index));
            stored.is_none_or(|stored| self.key(*stored, series) != *key)
        });
        let new: Vec<(Place, u32)> = new.map(|((_, slot), place)| (place, *slot)).collect();
        if self.blocks.is_empty() && !new.is_empty() {
            self.blocks.push(Vec::new());
        }
        for of_block in new.chunk_by(|((one, _), _), ((other, _), _)| one == other).rev() {
            let Some(((at, _), _)) = of_block.first() else { continue };
            let block = &mut self.blocks[*at];
            if block.capacity() - block.len() < of_block.len() {
                // Not twice as much, as a vector grows by itself.
                block.reserve_exact(of_block.len().max(block.len() / 8));
            }
            for ((_, index), slot) in of_block.iter().rev() {
                block.insert(*index, *slot);
            }
            self.split(*at);
        }
    }

    /// Where each key is, or where it would be put. All are looked for side by side, so that the waits for memory overlap.
    fn places(&self, keyed: &[(&str, u32)], series: &Slots) -> Vec<Place> {
        let first_of = |at: usize| self.blocks[at].first().copied().unwrap_or_default();
        let mut ranges = vec![(0, self.blocks.len()); keyed.len()];
        self.narrow(keyed, &mut ranges, |_, at| first_of(at), Ordering::is_le, series);
        let blocks: Vec<usize> = ranges.iter().map(|(behind, _)| behind.saturating_sub(1)).collect();
        let length_of = |at: usize| self.blocks.get(at).map_or(0, Vec::len);
        ranges.iter_mut().zip(&blocks).for_each(|(range, at)| *range = (0, length_of(*at)));
        self.narrow(keyed, &mut ranges, |which, index| self.blocks[blocks[which]][index], Ordering::is_lt, series);
        blocks.into_iter().zip(ranges).map(|(at, (index, _))| (at, index)).collect()
    }

    /// Bisects a range of slots for each key, until it is empty: before it are those whose keys are ahead of this one.
    fn narrow(
        &self,
        keyed: &[(&str, u32)],
        ranges: &mut [(usize, usize)],
        slot_at: impl Fn(usize, usize) -> u32,
        is_ahead: impl Fn(Ordering) -> bool,
        series: &Slots,
    ) {
        let middle_key = |which, (low, high)| self.key(slot_at(which, usize::midpoint(low, high)), series);
        while ranges.iter().any(|(low, high)| low < high) {
            let open = ranges.iter().enumerate().filter(|(_, (low, high))| low < high);
            open.for_each(|(which, range)| fetch(middle_key(which, *range)));
            for (which, range) in ranges.iter_mut().enumerate().filter(|(_, (low, high))| low < high) {
                let middle = usize::midpoint(range.0, range.1);
                match is_ahead(middle_key(which, *range).cmp(keyed[which].0)) {
                    true => range.0 = middle + 1,
                    false => range.1 = middle,
                }
            }
        }
    }

    /// Makes several blocks of one that is too long.
    fn split(&mut self, at: usize) {
        let long = &self.blocks[at];
        if long.len() > Self::BLOCK {
            let part = long.len().div_ceil(long.len().div_ceil(Self::BLOCK));
            let parts: Vec<Vec<u32>> = long.chunks(part).map(<[u32]>::to_vec).collect();
            self.blocks.splice(at..=at, parts);
        }
    }

    /// Makes one of a block that has become short and the next one, if that is short too.
    fn join(&mut self, at: usize) {
        if self.blocks[at].is_empty() {
            self.blocks.remove(at);
        } else if let Some(next) = self.blocks.get(at + 1)
            && self.blocks[at].len() + next.len() <= Self::BLOCK / 2
        {
            let next = self.blocks.remove(at + 1);
            self.blocks[at].extend(next);
        }
    }
}

#[cfg(test)]
mod tests;
