//! The directory of groups: what the door `replace` keeps of each beyond its series. Changes take turns; see `ingest`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::family::Family;
use crate::model::labels::GroupLabels;
use crate::model::value::Millis;
use crate::shard::owner::Group;

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their labels, the empty ones too.
    entries: HashMap<Box<str>, Arc<GroupEntry>, ahash::RandomState>,
    next_id: u32,
}

/// A group in the directory.
#[derive(Debug)]
pub struct GroupEntry {
    /// The group, as the shards know it.
    pub group: Arc<Group>,
    /// The labels of its path.
    pub labels: GroupLabels,
    state: Mutex<GroupState>,
}

/// The values of `push_time_seconds` and `push_failure_time_seconds`: Unix seconds, 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PushTimes {
    /// Of the last push that succeeded.
    pub push: f64,
    /// Of the last one that failed.
    pub failure: f64,
}

/// What changes of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupState {
    /// When pushes last succeeded and failed.
    pub times: PushTimes,
    /// The shards that hold series of it.
    pub shards: Vec<bool>,
    /// Its families by id, with the time of the push that brought each.
    pub families: HashMap<u32, (Arc<Family>, f64)>,
    /// When it goes unless it is pushed to.
    pub deadline: Option<Millis>,
}

impl GroupEntry {
    /// Its state as it is now.
    pub fn state(&self) -> GroupState {
        lock(&self.state).clone()
    }

    /// Changes its state.
    pub fn change(&self, change: impl FnOnce(&mut GroupState)) {
        change(&mut lock(&self.state));
    }

    /// When pushes last succeeded and failed.
    pub fn times(&self) -> PushTimes {
        lock(&self.state).times
    }

    /// Which of so many shards hold series of it.
    pub fn shards(&self, count: usize) -> Vec<bool> {
        let mut shards = lock(&self.state).shards.clone();
        shards.resize(count, false);
        shards
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Millis) -> bool {
        lock(&self.state).deadline.is_some_and(|deadline| deadline <= now)
    }
}

impl Groups {
    /// The group of these labels, if it is known.
    pub fn find(&self, labels: &GroupLabels) -> Option<Arc<GroupEntry>> {
        lock(&self.state).entries.get(&*labels.text()).cloned()
    }

    /// A group of these labels that is not in the directory yet.
    pub fn make(&self, labels: &GroupLabels) -> Arc<GroupEntry> {
        let mut state = lock(&self.state);
        let id = state.next_id;
        state.next_id = state.next_id.wrapping_add(1);
        let group = Arc::new(Group::new(id, &labels.text(), labels.empty_names()));
        Arc::new(GroupEntry { group, labels: labels.clone(), state: Mutex::default() })
    }

    /// Enters a group, known or made.
    pub fn enter(&self, entry: &Arc<GroupEntry>) {
        lock(&self.state).entries.entry(entry.group.labels.clone()).or_insert_with(|| Arc::clone(entry));
    }

    /// Removes a group.
    pub fn remove(&self, entry: &GroupEntry) {
        lock(&self.state).entries.remove(&entry.group.labels);
    }

    /// Removes all of them.
    pub fn clear(&self) {
        lock(&self.state).entries.clear();
    }

    /// All groups, by their labels.
    pub fn all(&self) -> Vec<Arc<GroupEntry>> {
        let mut all: Vec<_> = lock(&self.state).entries.values().cloned().collect();
        all.sort_by(|one, other| one.group.labels.cmp(&other.group.labels));
        all
    }

    /// Groups whose time is over.
    pub fn expired(&self, now: Millis) -> Vec<Arc<GroupEntry>> {
        let state = lock(&self.state);
        state.entries.values().filter(|entry| entry.is_expired(now)).cloned().collect()
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        lock(&self.state).entries.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What these locks guard is whole between any two steps of theirs.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
