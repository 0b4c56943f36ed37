//! Whose a stored series is: everybody's, the sources', or one group's. Shards and the directories of sources and groups
//! share these handles.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::door::Door;
use crate::model::family::Family;

/// For whom a push brings its series.
#[derive(Clone, Debug)]
pub enum Owner {
    /// All pushers together: the door `aggregate`.
    Everyone,
    /// One source: the door `source`.
    Source(Arc<Source>),
    /// One group: the door `replace`.
    Group(Arc<Group>),
}

/// A source, as the shards know it.
#[derive(Debug)]
pub struct Source {
    /// Never given twice while the process runs.
    pub id: u32,
    /// Series that it has a value of.
    series: AtomicUsize,
}

impl Source {
    /// A source without series.
    pub fn new(id: u32) -> Self {
        Self { id, series: AtomicUsize::new(0) }
    }

    /// Series that it has a value of, on all shards.
    pub fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// A shard has a first value of it.
    pub fn add_series(&self) {
        self.series.fetch_add(1, Ordering::Relaxed);
    }

    /// A shard has forgotten one.
    pub fn remove_series(&self) {
        self.series.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A group, as the shards know it.
#[derive(Debug)]
pub struct Group {
    /// Never given twice while the process runs.
    pub id: u32,
    /// All labels of its path, the empty ones too, as they stand between braces.
    pub labels: Box<str>,
    /// Labels that its series show though they are empty; spelt as in canonical text, ascending.
    pub empty_labels: Box<[Box<str>]>,
    /// How many series of a family are the group's, by family id. Kept so that it is never more than that.
    shares: Mutex<HashMap<u32, usize>>,
}

impl Group {
    /// A group without series.
    pub fn new(id: u32, labels: &str, empty_labels: Vec<Box<str>>) -> Self {
        Self { id, labels: labels.into(), empty_labels: empty_labels.into(), shares: Mutex::default() }
    }

    /// Whether every series of the family is the group's and no push is on its way to it.
    pub fn holds_all_of(&self, family: &Family) -> bool {
        // Uses end after series are counted and shares fall before series do: read in this order, no series of another is
        // taken for one of the group.
        let is_used = family.uses() > 0;
        let series = family.series();
        !is_used && series <= self.share(family.id)
    }

    /// Series of it.
    pub fn series(&self) -> usize {
        self.lock().values().sum()
    }

    fn share(&self, family: u32) -> usize {
        self.lock().get(&family).copied().unwrap_or(0)
    }

    /// A shard has stored a series of the family for the group.
    pub fn add_series(&self, family: &Family) {
        family.add_series(Door::Replace, 1);
        *self.lock().entry(family.id).or_default() += 1;
    }

    /// A shard has removed one.
    pub fn remove_series(&self, family: &Family) {
        let mut shares = self.lock();
        if let Some(share) = shares.get_mut(&family.id) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                shares.remove(&family.id);
            }
        }
        drop(shares);
        family.remove_series(Door::Replace, 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, usize>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the group {{{}}}", self.labels)
    }
}
