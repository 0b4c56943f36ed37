//! Looks a batch's series up before it is applied, and changes nothing: which are new, and which it must not touch.

use std::collections::HashSet;

use super::sourced::Origin;
use super::{Stored, Table, table_hash};
use crate::model::labels::are_one_when_escaped;
use crate::shard::batch::{Batch, SeriesRef};
use crate::shard::owner::Owner;

/// What a table knows of a batch's series.
#[derive(Debug)]
pub struct Inspection {
    /// Series that are not stored yet, for each of the push's families.
    pub new: Vec<usize>,
    /// Series that the source has no value of yet, as it pushes them.
    pub new_of_source: usize,
    /// Why the batch must not be applied.
    pub objection: Option<Objection>,
}

impl Inspection {
    /// Of a batch without series.
    pub fn of_nothing(families: usize) -> Self {
        Self { new: vec![0; families], new_of_source: 0, objection: None }
    }
}

/// Why a batch must not be applied.
#[derive(Debug)]
pub struct Objection {
    /// Index into the push's families.
    pub family: usize,
    /// Label text of the pushed series.
    pub pushed: String,
    /// What it runs into.
    pub collision: Collision,
}

/// What a pushed series runs into.
#[derive(Debug)]
pub enum Collision {
    /// A stored series with these labels, which escaping makes equal to it: for readers that know legacy names only they are one.
    Twin(String),
    /// The series is another's.
    Owner(String),
}

impl Table {
    /// Looks the batch's series up for one who pushes them. The series of a family without an id are all new.
    pub fn inspect(&self, batch: &Batch, family_ids: &[Option<u32>], owner: &Owner) -> Inspection {
        let mut inspection = Inspection::of_nothing(family_ids.len());
        // Series that fall together are new once.
        let mut seen = HashSet::<_, ahash::RandomState>::default();
        for (series, part) in batch.series_with_parts() {
            let family = series.family as usize;
            let id = family_ids[family];
            let collision = match id.and_then(|id| self.find(batch, series, id)) {
                Some(slot) => {
                    inspection.new_of_source += usize::from(!self.has_value_of(slot, owner, part));
                    self.other_owner(slot, owner).map(Collision::Owner)
                }
                None => {
                    let is_first = seen.insert((series.family, series.key_start, series.key_end));
                    inspection.new[family] += usize::from(is_first);
                    inspection.new_of_source += 1;
                    id.and_then(|id| self.find_twin(batch, series, id)).map(|twin| Collision::Twin(twin.to_owned()))
                }
            };
            if let Some(collision) = collision.filter(|_| inspection.objection.is_none()) {
                let pushed = batch.key(series).to_owned();
                inspection.objection = Some(Objection { family, pushed, collision });
            }
        }
        inspection
    }

    /// Whose the series is, if not the pusher's.
    fn other_owner(&self, slot: u32, owner: &Owner) -> Option<String> {
        match (&self.series.get(slot)?.stored, owner) {
            (Stored::Aggregated(_), Owner::Everyone) | (Stored::Sourced(_), Owner::Source(_)) => None,
            (Stored::Replaced(replaced), Owner::Group(group)) if replaced.group.id == group.id => None,
            (Stored::Aggregated(_), _) => Some("the door aggregate".to_owned()),
            (Stored::Sourced(_), _) => Some("the door source".to_owned()),
            (Stored::Replaced(replaced), _) => Some(replaced.group.to_string()),
        }
    }

    fn has_value_of(&self, slot: u32, owner: &Owner, part: u64) -> bool {
        match (self.series.get(slot).map(|series| &series.stored), owner) {
            (Some(Stored::Sourced(sourced)), Owner::Source(source)) => {
                sourced.has_value_of(Origin { source: source.id, part })
            }
            _ => false,
        }
    }

    /// The labels of a stored series that escaping makes equal to one of the batch. Their hashes are equal too.
    fn find_twin(&self, batch: &Batch, series: SeriesRef, family_id: u32) -> Option<&str> {
        let hash = series.hash as u32;
        let same_hash = self.index.iter_hash(table_hash(hash)).filter(|entry| entry.hash == hash);
        same_hash
            .filter_map(|entry| self.series.get(entry.slot))
            .find(|stored| stored.family == family_id && are_one_when_escaped(&stored.key, batch.key(series)))
            .map(|stored| &*stored.key)
    }
}
