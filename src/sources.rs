//! The directory of sources: who pushes by the door `source`, and until when each lives.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::value::Millis;
use crate::shard::owner::Source;

/// All sources that live.
#[derive(Debug, Default)]
pub struct Sources {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the labels that tell sources apart.
    entries: HashMap<Box<str>, Arc<Entry>, ahash::RandomState>,
    /// When to look whether a source's time is over: for each source that has a lifetime at its deadline or before, and
    /// perhaps more often.
    deadlines: BinaryHeap<Reverse<(Millis, Box<str>, u32)>>,
    next_id: u32,
}

/// A source in the directory.
#[derive(Debug)]
struct Entry {
    source: Arc<Source>,
    life: Mutex<Life>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Until then; `None` for ever.
    Until(Option<Millis>),
    /// Its values are being forgotten: nothing may be sent for it any more.
    Over,
}

/// A source that lives at least as long as this is held: what is sent meanwhile comes before its end.
struct Held<'e> {
    _life: MutexGuard<'e, Life>,
}

/// A source's entry, to be held.
#[derive(Clone, Debug)]
struct SourceHandle(Arc<Entry>);

impl SourceHandle {
    fn source(&self) -> &Arc<Source> {
        &self.0.source
    }

    /// Holds the source, unless its life is over.
    fn hold(&self) -> Option<Held<'_>> {
        let life = lock(&self.0.life);
        (*life != Life::Over).then_some(Held { _life: life })
    }
}

impl Sources {
    /// The source of these labels, if it is known.
    pub fn find(&self, labels: &str) -> Option<Arc<Source>> {
        lock(&self.state).entries.get(labels).map(|entry| Arc::clone(&entry.source))
    }

    /// Does something for the source of these labels, which now lives until `deadline` and is made if it is not known. Its end
    /// comes after whatever is done here.
    pub fn while_alive<T>(&self, labels: &str, deadline: Option<Millis>, act: impl FnOnce(&Arc<Source>) -> T) -> T {
        loop {
            let handle = self.touch(labels, deadline);
            if let Some(_held) = handle.hold() {
                return act(handle.source());
            }
            // Its life has just ended: whoever comes back is another.
        }
    }

    fn touch(&self, labels: &str, deadline: Option<Millis>) -> SourceHandle {
        let mut state = lock(&self.state);
        if let Some(entry) = state.entries.get(labels) {
            let entry = Arc::clone(entry);
            let mut life = lock(&entry.life);
            let is_looked_at_in_time = match (*life, deadline) {
                (Life::Until(Some(before)), Some(deadline)) => before <= deadline,
                (_, None) => true,
                _ => false,
            };
            *life = Life::Until(deadline);
            drop(life);
            if let Some(deadline) = deadline.filter(|_| !is_looked_at_in_time) {
                state.look_at(deadline, labels, entry.source.id);
            }
            return SourceHandle(entry);
        }
        let id = state.next_id;
        state.next_id = (state.next_id + 1) % u32::MAX;
        let source = Arc::new(Source::new(id));
        let entry = Arc::new(Entry { source, life: Mutex::new(Life::Until(deadline)) });
        state.entries.insert(labels.into(), Arc::clone(&entry));
        if let Some(deadline) = deadline {
            state.look_at(deadline, labels, id);
        }
        SourceHandle(entry)
    }

    /// Ends the life of the source of these labels, if there is one.
    pub fn end(&self, labels: &str) -> Option<Arc<Source>> {
        let entry = lock(&self.state).entries.remove(labels)?;
        *lock(&entry.life) = Life::Over;
        Some(Arc::clone(&entry.source))
    }

    /// Ends the lives of up to `most` sources whose time is over.
    pub fn end_expired(&self, now: Millis, most: usize) -> Vec<Arc<Source>> {
        let mut state = lock(&self.state);
        let mut ended = Vec::new();
        while ended.len() < most && state.deadlines.peek().is_some_and(|Reverse((deadline, ..))| *deadline <= now) {
            let Some(Reverse((_, labels, id))) = state.deadlines.pop() else { break };
            let Some(entry) = state.entries.get(&labels).filter(|entry| entry.source.id == id).cloned() else {
                continue;
            };
            let mut life = lock(&entry.life);
            match *life {
                Life::Until(Some(deadline)) if deadline <= now => {
                    *life = Life::Over;
                    state.entries.remove(&labels);
                    ended.push(Arc::clone(&entry.source));
                }
                Life::Until(Some(deadline)) => state.deadlines.push(Reverse((deadline, labels, id))),
                Life::Until(None) | Life::Over => {}
            }
        }
        ended
    }

    /// Ends all lives.
    pub fn end_all(&self) {
        let entries = std::mem::take(&mut lock(&self.state).entries);
        entries.values().for_each(|entry| *lock(&entry.life) = Life::Over);
    }

    /// Number of sources that live.
    pub fn len(&self) -> usize {
        lock(&self.state).entries.len()
    }

    /// Whether there is no source.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    /// Looks at a source then. Looks at sources that have gone, or have another deadline, are forgotten when they are most.
    fn look_at(&mut self, deadline: Millis, labels: &str, id: u32) {
        const FEW: usize = 1024;
        self.deadlines.push(Reverse((deadline, labels.into(), id)));
        if self.deadlines.len() > FEW.max(2 * self.entries.len()) {
            let until = |entry: &Entry| match *lock(&entry.life) {
                Life::Until(deadline) => deadline,
                Life::Over => None,
            };
            let looks = self.entries.iter().filter_map(|(labels, entry)| {
                until(entry).map(|deadline| Reverse((deadline, labels.clone(), entry.source.id)))
            });
            self.deadlines = looks.collect();
        }
    }
}

/// What these locks guard is whole between any two steps of theirs.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_lives_until_its_last_deadline() {
        let sources = Sources::default();
        let a = sources.touch("a", Some(10));
        let b = sources.touch("b", Some(10));
        sources.touch("c", None);
        assert_eq!(sources.touch("a", Some(20)).source().id, a.source().id);
        let ids = |ended: Vec<Arc<Source>>| ended.iter().map(|source| source.id).collect::<Vec<_>>();
        assert!(sources.end_expired(9, 10).is_empty());
        assert_eq!(ids(sources.end_expired(10, 10)), [b.source().id]);
        assert!(a.hold().is_some() && b.hold().is_none());
        assert_eq!(ids(sources.end_expired(20, 10)), [a.source().id]);
        assert_eq!(sources.len(), 1);
        assert_ne!(sources.touch("b", Some(30)).source().id, b.source().id, "whoever comes back is another");
        sources.touch("c", Some(40));
        assert_eq!(sources.end_expired(40, 1).len(), 1, "a few at a time");
        assert_eq!(sources.end_expired(40, 1).len(), 1);
        assert!(sources.is_empty());
    }

    #[test]
    fn a_source_may_shorten_its_life_and_leaves_no_looks_behind() {
        let sources = Sources::default();
        let a = sources.touch("a", Some(100));
        sources.touch("a", Some(5));
        assert_eq!(sources.end_expired(5, 10).len(), 1);
        assert!(a.hold().is_none());
        for round in 0..10_000 {
            sources.touch("b", Some(1_000_000 - round));
            sources.touch("b", None);
            sources.touch("c", Some(1_000_000));
            sources.end("c");
        }
        assert!(lock(&sources.state).deadlines.len() <= 1025);
        assert_eq!(sources.len(), 1);
    }

    #[test]
    fn an_ended_source_is_forgotten_once() {
        let sources = Sources::default();
        let a = sources.touch("a", Some(10));
        assert_eq!(sources.end("a").map(|source| source.id), Some(a.source().id));
        assert!(sources.end("a").is_none() && a.hold().is_none());
        let again = sources.touch("a", Some(30));
        assert!(sources.end_expired(20, 10).is_empty(), "the deadline was the old one's");
        sources.touch("a", None);
        assert!(sources.end_expired(99, 10).is_empty() && again.hold().is_some());
    }
}
