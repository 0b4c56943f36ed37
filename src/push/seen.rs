//! The series a push has brought so far, to find the one that comes twice. One table a worker, emptied by counting up.

/// An open-addressing table from series hashes to indices. Entries of earlier pushes are told by their stamp, so starting
/// a push costs nothing.
#[derive(Debug, Default)]
pub(super) struct SeenSeries {
    /// A power of two, at least twice the series of the push; or empty.
    entries: Vec<Entry>,
    stamp: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    /// The push that made the entry; 0 for none.
    stamp: u32,
    index: u32,
}

impl SeenSeries {
    /// Forgets all, and gives memory back that a push of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_ROOM: usize = 64 * 1024;
        if self.entries.len() > USUAL_ROOM {
            *self = Self::default();
        }
    }

    /// Forgets all and makes room for `series`.
    pub fn start(&mut self, series: usize) {
        let room = (series * 2).next_power_of_two();
        if self.entries.len() < room || self.stamp == u32::MAX {
            self.entries = vec![Entry::default(); room.max(self.entries.len())];
            self.stamp = 0;
        }
        self.stamp += 1;
    }

    /// The index under which the series was entered before.
    pub fn find(&self, hash: u64, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let entry = &self.entries[at];
            if entry.stamp != self.stamp {
                return None;
            }
            if entry.hash == hash && is_same(entry.index) {
                return Some(entry.index);
            }
            at = (at + 1) & mask;
        }
    }

    /// The index under which the series was entered before. If it was not, it is entered now under `index`.
    /// `is_same` compares the series entered under an index with the one at hand. At most as many series can be entered
    /// as room was made for.
    #[inline]
    pub fn find_or_insert(&mut self, hash: u64, index: u32, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = &mut self.entries[at];
            if entry.stamp != self.stamp {
                *entry = Entry { hash, stamp: self.stamp, index };
                return None;
            }
            if entry.hash == hash && is_same(entry.index) {
                return Some(entry.index);
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(pushes in proptest::collection::vec(proptest::collection::vec(0u64..40, 0..60), 1..5)) {
            let mut seen = SeenSeries::default();
            for series in pushes {
                seen.start(series.len());
                let mut twin: HashMap<u64, u32> = HashMap::new();
                for (index, name) in series.iter().enumerate() {
                    // Few hashes, so that different series meet in one.
                    let before = seen.find(name % 5, |at| series[at as usize] == *name);
                    let found = seen.find_or_insert(name % 5, index as u32, |at| series[at as usize] == *name);
                    prop_assert_eq!((before, found), (found, twin.get(name).copied()));
                    twin.entry(*name).or_insert(index as u32);
                }
            }
        }
    }
}
