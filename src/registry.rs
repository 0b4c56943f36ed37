//! The register of families: which sample names are taken, by which family, and what each family is.
//!
//! Shared by all workers behind one lock, taken once a push for reading and only for a new family, or one whose kind is
//! settled, for writing. Every name is entered as legacy readers see it, so two names that escaping would make one
//! cannot both be taken.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::family::{Family, MetricKind, SampleRole};
use crate::model::name::exposed_metric_name;

/// All families that have been pushed.
#[derive(Debug)]
pub struct Registry {
    state: RwLock<State>,
    max_families: usize,
}

#[derive(Debug, Default)]
struct State {
    /// By exposed sample name.
    claims: HashMap<Box<str>, Claim, ahash::RandomState>,
    /// By exposed name, the order of the page.
    families: BTreeMap<Box<str>, Arc<Family>>,
    /// Goes up with every change, so that what was planned on an older state is planned again.
    generation: u64,
}

/// Whose a sample name is.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The owner.
    pub family: Arc<Family>,
    /// `None`: the bare name of a histogram, which no sample has.
    pub role: Option<SampleRole>,
}

/// A family as a push wants it.
#[derive(Debug)]
pub enum Wanted {
    /// Known and left as it is.
    Known(Arc<Family>),
    /// Known as untyped; this is its kind.
    Settled(Arc<Family>, MetricKind),
    /// Unknown so far.
    New {
        /// As pushed.
        name: String,
        /// As declared, or untyped.
        kind: MetricKind,
        /// [`Family::has_quoted_labels`] from the start.
        has_quoted_labels: bool,
    },
}

impl Wanted {
    /// The family, if it is known.
    pub fn family(&self) -> Option<&Arc<Family>> {
        match self {
            Self::Known(family) | Self::Settled(family, _) => Some(family),
            Self::New { .. } => None,
        }
    }

    /// The family's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(family) | Self::Settled(family, _) => &family.name,
            Self::New { name, .. } => name,
        }
    }

    /// The family, if entering it changes nothing.
    fn unchanged(&self) -> Option<Arc<Family>> {
        match self {
            Self::Known(family) => Some(Arc::clone(family)),
            Self::Settled(..) | Self::New { .. } => None,
        }
    }
}

/// Why wanted families were not entered; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The register has changed since: plan again.
    Stale,
    /// More families than the limit.
    TooMany {
        /// How many there may be.
        limit: usize,
        /// New ones in the push.
        got: usize,
    },
}

/// The register while nobody changes it.
pub struct View<'r> {
    state: RwLockReadGuard<'r, State>,
}

impl View<'_> {
    /// Whose sample name this is; the name as pushed. A name that only looks alike when escaped finds its twin's claim.
    pub fn claim(&self, sample_name: &str) -> Option<&Claim> {
        self.state.claims.get(&*exposed_metric_name(sample_name))
    }

    /// The state this view shows, for [`Registry::commit`].
    pub fn generation(&self) -> u64 {
        self.state.generation
    }
}

impl Registry {
    /// An empty register that takes up to `max_families`.
    pub fn new(max_families: usize) -> Self {
        Self { state: RwLock::default(), max_families }
    }

    /// Looks at the register. Do not await while holding the view.
    pub fn view(&self) -> View<'_> {
        // A panic elsewhere cannot leave the state half changed: see `commit`.
        View { state: self.state.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Enters what a push wants, all or nothing. `generation` is that of the view on which the push was planned, and the
    /// caller has seen there that no wanted name is taken. While the answer's view is held nothing else is entered, so that
    /// what the caller does next comes before whatever is planned on a later state.
    pub fn commit(&self, wanted: Vec<Wanted>, generation: u64) -> Result<(Vec<Arc<Family>>, View<'_>), CommitError> {
        let known: Option<Vec<_>> = wanted.iter().map(Wanted::unchanged).collect();
        if let Some(families) = known {
            let view = self.view();
            return if view.generation() == generation { Ok((families, view)) } else { Err(CommitError::Stale) };
        }
        let new = wanted.iter().filter(|wanted| matches!(wanted, Wanted::New { .. })).count();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Err(CommitError::Stale);
        }
        if state.families.len() + new > self.max_families && new > 0 {
            return Err(CommitError::TooMany { limit: self.max_families, got: new });
        }
        state.generation += 1;
        let families = wanted.into_iter().map(|wanted| state.enter(wanted)).collect();
        Ok((families, View { state: RwLockWriteGuard::downgrade(state) }))
    }

    /// Notes that families will have label names in quotes. Pushes planned before are stale if that was not known.
    pub fn note_quoted_labels<'f>(&self, families: impl Iterator<Item = &'f Arc<Family>>) {
        let unknown: Vec<_> = families.filter(|family| !family.has_quoted_labels()).collect();
        if !unknown.is_empty() {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            unknown.into_iter().for_each(|family| family.note_quoted_labels());
            state.generation += 1;
        }
    }

    /// All families in the order of the page, by exposed name. Families without series are among them.
    pub fn families(&self) -> Vec<Arc<Family>> {
        self.view().state.families.values().cloned().collect()
    }

    /// Number of families.
    pub fn len(&self) -> usize {
        self.view().state.families.len()
    }

    /// Whether no family has been pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn enter(&mut self, wanted: Wanted) -> Arc<Family> {
        match wanted {
            Wanted::Known(family) => family,
            Wanted::Settled(family, kind) => {
                family.settle(kind);
                family
            }
            Wanted::New { name, kind, has_quoted_labels } => {
                let family = Arc::new(Family::new(self.families.len() as u32, &name, kind));
                if has_quoted_labels {
                    family.note_quoted_labels();
                }
                for (sample_name, role) in claimed_names(&family.exposed_name, kind) {
                    self.claims.insert(sample_name.into(), Claim { family: Arc::clone(&family), role });
                }
                self.families.insert(family.exposed_name.clone(), Arc::clone(&family));
                family
            }
        }
    }
}

/// The sample names that a family of this kind takes, its own name among them.
pub fn claimed_names(name: &str, kind: MetricKind) -> impl Iterator<Item = (String, Option<SampleRole>)> {
    let bare = (kind == MetricKind::Histogram).then(|| (name.to_owned(), None));
    let samples = kind.samples().iter().map(move |(suffix, role)| (format!("{name}{suffix}"), Some(*role)));
    bare.into_iter().chain(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, kind: MetricKind) -> Vec<Wanted> {
        vec![Wanted::New { name: name.to_owned(), kind, has_quoted_labels: false }]
    }

    #[test]
    fn a_family_takes_the_names_of_its_samples() {
        let registry = Registry::new(10);
        registry.commit(new("h", MetricKind::Histogram), 0).expect("room");
        let view = registry.view();
        let role = |name: &str| view.claim(name).map(|claim| claim.role);
        assert_eq!(role("h"), Some(None));
        assert_eq!(role("h_bucket"), Some(Some(SampleRole::Bucket)));
        assert_eq!(role("h_sum"), Some(Some(SampleRole::Sum)));
        assert_eq!(role("h_count"), Some(Some(SampleRole::Count)));
        assert_eq!(role("h_total"), None);
    }

    #[test]
    fn names_that_escaping_would_make_one_meet() {
        let registry = Registry::new(10);
        registry.commit(new("a.b", MetricKind::Gauge), 0).expect("room");
        assert_eq!(registry.view().claim("a_b").map(|claim| &*claim.family.name), Some("a.b"));
    }

    #[test]
    fn a_plan_on_an_older_state_changes_nothing() {
        let registry = Registry::new(10);
        let generation = registry.view().generation();
        let (known, _) = registry.commit(new("a", MetricKind::Gauge), generation).expect("room");
        let known = || known.iter().cloned().map(Wanted::Known).collect();
        assert_eq!(registry.commit(known(), generation).err(), Some(CommitError::Stale));
        assert!(registry.commit(known(), generation + 1).is_ok());
        assert_eq!(registry.commit(new("b", MetricKind::Gauge), generation).err(), Some(CommitError::Stale));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn quoted_labels_make_older_plans_stale_once() {
        let registry = Registry::new(10);
        let (families, _) = registry.commit(new("a", MetricKind::Gauge), 0).expect("room");
        for _ in 0..2 {
            registry.note_quoted_labels(families.iter());
            assert_eq!(registry.view().generation(), 2);
        }
    }

    #[test]
    fn families_are_limited() {
        let registry = Registry::new(1);
        let family = registry.commit(new("a", MetricKind::Untyped), 0).expect("room").0.remove(0);
        assert_eq!(
            registry.commit(new("b", MetricKind::Gauge), 1).err(),
            Some(CommitError::TooMany { limit: 1, got: 1 })
        );
        let (settled, _) = registry.commit(vec![Wanted::Settled(family, MetricKind::Gauge)], 1).expect("no new family");
        assert_eq!(settled[0].kind(), MetricKind::Gauge);
    }

    #[test]
    fn the_page_order_is_by_name() {
        let registry = Registry::new(10);
        for (generation, name) in ["b", "a", "B"].into_iter().enumerate() {
            registry.commit(new(name, MetricKind::Gauge), generation as u64).expect("room");
        }
        let names: Vec<String> = registry.families().iter().map(|family| family.name.to_string()).collect();
        assert_eq!(names, ["B", "a", "b"]);
    }
}
