//! Series by slot number, in blocks that never move: growing copies nothing. Slots of removed series are given to new ones.

use std::hint::black_box;

use super::Series;
use crate::model::value::Millis;
use crate::shard::batch::SlotHint;

/// All series of a table.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Block>,
    /// Slots given out, removed ones included.
    used: usize,
    /// Slots of removed series.
    free: Vec<u32>,
    /// By neighbourhood: how many series had been removed in all when one was removed there last.
    generations: Vec<u64>,
    /// Series removed in all, those of emptied tables included.
    removed: u64,
    /// Whether any series was ever given a deadline.
    has_deadlines: bool,
}

#[derive(Debug, Default)]
struct Block {
    /// `None` where a series was removed.
    series: Vec<Option<Series>>,
    /// When each series goes unless it is pushed to; empty if none does.
    deadlines: Vec<Millis>,
}

/// The deadline of what stays.
const NEVER: Millis = Millis::MAX;

impl Slots {
    const BLOCK: usize = 4096;
    /// Slots that have a generation together: a removal makes hints at its neighbours worthless, which costs a look-up each.
    const NEIGHBOURS: usize = 64;

    /// No series, and no hint at what was stored before is taken for one at what will be.
    pub fn after(emptied: &Self) -> Self {
        Self { removed: emptied.removed + 1, ..Self::default() }
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.used - self.free.len()
    }

    /// Slots that may hold a series: all are below.
    pub fn end(&self) -> u32 {
        self.used as u32
    }

    /// The series at a slot, if there is one.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Series> {
        self.blocks.get(slot as usize / Self::BLOCK)?.series.get(slot as usize % Self::BLOCK)?.as_ref()
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Series> {
        self.blocks.get_mut(slot as usize / Self::BLOCK)?.series.get_mut(slot as usize % Self::BLOCK)?.as_mut()
    }

    /// Key of the series at a slot, if it is of this family.
    #[inline]
    pub fn key(&self, slot: u32, family: u32) -> Option<&str> {
        self.get(slot).filter(|series| series.family == family).map(|series| &*series.key)
    }

    /// Stores a series; it stays for ever.
    pub fn insert(&mut self, series: Series) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.blocks[slot as usize / Self::BLOCK].series[slot as usize % Self::BLOCK] = Some(series);
            return slot;
        }
        if self.used.is_multiple_of(Self::BLOCK) {
            self.blocks.push(Block { series: Vec::with_capacity(Self::BLOCK), deadlines: Vec::new() });
            self.generations.extend([self.removed; Self::BLOCK / Self::NEIGHBOURS]);
        }
        self.blocks[self.used / Self::BLOCK].series.push(Some(series));
        self.used += 1;
        self.used as u32 - 1
    }

    /// Takes a series out.
    pub fn remove(&mut self, slot: u32) -> Option<Series> {
        let block = self.blocks.get_mut(slot as usize / Self::BLOCK)?;
        let series = block.series.get_mut(slot as usize % Self::BLOCK)?.take()?;
        if let Some(deadline) = block.deadlines.get_mut(slot as usize % Self::BLOCK) {
            *deadline = NEVER;
        }
        self.free.push(slot);
        self.removed += 1;
        self.generations[slot as usize / Self::NEIGHBOURS] = self.removed;
        Some(series)
    }

    /// What finds the series at this slot as long as it is there.
    #[inline]
    pub fn hint(&self, slot: u32) -> SlotHint {
        SlotHint::new(slot, self.generation(slot))
    }

    /// The slot of the series that a hint was given for, if it is still there.
    #[inline]
    pub fn hinted(&self, hint: SlotHint) -> Option<u32> {
        hint.slot().filter(|slot| self.hint(*slot) == hint)
    }

    #[inline]
    fn generation(&self, slot: u32) -> u64 {
        self.generations.get(slot as usize / Self::NEIGHBOURS).copied().unwrap_or(u64::MAX)
    }

    /// Whether a series may have a deadline.
    pub fn has_deadlines(&self) -> bool {
        self.has_deadlines
    }

    /// Sets when a series goes; `None` never.
    pub fn set_deadline(&mut self, slot: u32, deadline: Option<Millis>) {
        let Some(block) = self.blocks.get_mut(slot as usize / Self::BLOCK) else { return };
        if block.deadlines.is_empty() {
            if deadline.is_none() {
                return;
            }
            block.deadlines = vec![NEVER; Self::BLOCK];
            self.has_deadlines = true;
        }
        block.deadlines[slot as usize % Self::BLOCK] = deadline.unwrap_or(NEVER);
    }

    /// Whether the series' time is over.
    pub fn is_expired(&self, slot: u32, now: Millis) -> bool {
        let block = self.blocks.get(slot as usize / Self::BLOCK);
        let deadline = block.and_then(|block| block.deadlines.get(slot as usize % Self::BLOCK));
        deadline.is_some_and(|deadline| *deadline <= now)
    }
}

/// Reads a key and does nothing with it. Nothing depends on what is read, so of many keys the waits for memory overlap.
#[inline]
pub(super) fn fetch(key: &str) {
    const CACHE_LINE: usize = 64;
    let key = key.as_bytes();
    let first_of_lines = key.iter().step_by(CACHE_LINE);
    black_box(first_of_lines.chain(key.last()).fold(0, |all, byte| all ^ byte));
}
