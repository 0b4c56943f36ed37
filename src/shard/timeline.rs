//! Versions of what groups show. A change of a group reaches the shards one by one; scrapes tell by its version whether to
//! show it, so that each sees a group before or after, never between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the changes of groups.
pub type Version = u64;

/// The versions that running scrapes show, ascending; as few as there are scrapes.
pub type ShownVersions = Arc<[Version]>;

/// Gives changes their versions, and knows what running scrapes show.
#[derive(Debug, Default)]
pub struct Timeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Version,
    /// Running scrapes by the version that they show.
    scrapes: BTreeMap<Version, usize>,
}

impl Timeline {
    /// Begins a change. While it is held no scrape and no other change begins: send it to all shards, then drop it. The
    /// shards take their messages in order, so a scrape that begins later finds the change done.
    pub fn change(&self) -> Change<'_> {
        let mut state = self.lock();
        state.latest += 1;
        Change { version: state.latest, shown: state.shown(), _state: state }
    }

    /// Begins a scrape; `look` is done while no change is under way.
    pub fn scrape<T>(self: &Arc<Self>, look: impl FnOnce() -> T) -> (Shown, T) {
        let mut state = self.lock();
        let version = state.latest;
        *state.scrapes.entry(version).or_default() += 1;
        let seen = look();
        drop(state);
        (Shown { version, timeline: Arc::clone(self) }, seen)
    }

    /// Tells the versions that running scrapes show. What `send` sends meanwhile comes before whatever a later scrape or
    /// change sends: no scrape that begins later needs what it forgets.
    pub fn with_shown<T>(&self, send: impl FnOnce(ShownVersions) -> T) -> T {
        let state = self.lock();
        send(state.shown())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics here leaves counts that hold.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shown(&self) -> ShownVersions {
        self.scrapes.keys().copied().collect()
    }
}

/// A change under way.
pub struct Change<'t> {
    /// Its version.
    pub version: Version,
    /// The versions that running scrapes show.
    pub shown: ShownVersions,
    _state: MutexGuard<'t, State>,
}

/// What one running scrape shows, until it is dropped.
#[derive(Debug)]
pub struct Shown {
    version: Version,
    timeline: Arc<Timeline>,
}

impl Shown {
    /// Changes up to this one are shown.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut state = self.timeline.lock();
        if let Some(scrapes) = state.scrapes.get_mut(&self.version) {
            *scrapes -= 1;
            if *scrapes == 0 {
                state.scrapes.remove(&self.version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapes_show_the_changes_before_them() {
        let timeline = Arc::new(Timeline::default());
        assert!(timeline.change().shown.is_empty());
        let (first, ()) = timeline.scrape(|| ());
        let (again, ()) = timeline.scrape(|| ());
        let second_change = timeline.change().version;
        let (second, ()) = timeline.scrape(|| ());
        assert!(first.version() < second_change && second.version() == second_change);
        assert_eq!(timeline.with_shown(|shown| shown.to_vec()), [first.version(), second.version()]);
        drop((first, again));
        assert_eq!(*timeline.change().shown, [second.version()]);
        drop(second);
        assert!(timeline.with_shown(|shown| shown.is_empty()));
    }
}
