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
}

/// Whose a sample name is.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The owner.
    pub family: Arc<Family>,
    /// `None`: a name that no sample of text has, such as the bare one of a histogram.
    pub role: Option<SampleRole>,
}

/// A family as a push wants it.
#[derive(Debug)]
pub enum Wanted {
    /// Known and left as it is.
    Known(Seen),
    /// Known as untyped; this is its kind.
    Settled(Seen, MetricKind),
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

/// A known family, and what was known of it when the push was planned.
#[derive(Debug)]
pub struct Seen {
    family: Arc<Family>,
    kind: MetricKind,
    has_quoted_labels: bool,
}

impl Seen {
    /// What is known of the family now.
    pub fn now(family: &Arc<Family>) -> Self {
        let (kind, has_quoted_labels) = (family.kind(), family.has_quoted_labels());
        Self { family: Arc::clone(family), kind, has_quoted_labels }
    }

    fn is_current(&self) -> bool {
        self.family.kind() == self.kind && self.family.has_quoted_labels() == self.has_quoted_labels
    }
}

impl Wanted {
    /// The family, if it is known.
    pub fn family(&self) -> Option<&Arc<Family>> {
        match self {
            Self::Known(seen) | Self::Settled(seen, _) => Some(&seen.family),
            Self::New { .. } => None,
        }
    }

    /// The family's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(seen) | Self::Settled(seen, _) => &seen.family.name,
            Self::New { name, .. } => name,
        }
    }

    /// Whether escaping may make a series of the family equal to another, as far as was known.
    pub fn has_quoted_labels(&self) -> bool {
        match self {
            Self::Known(seen) | Self::Settled(seen, _) => seen.has_quoted_labels,
            Self::New { has_quoted_labels, .. } => *has_quoted_labels,
        }
    }

    /// Takes note of quoted labels that have come since the push was planned, once it has been checked against them.
    pub fn see_quoted_labels(&mut self) {
        if let Self::Known(seen) | Self::Settled(seen, _) = self {
            seen.has_quoted_labels = seen.family.has_quoted_labels();
        }
    }

    /// The family, if entering it changes nothing.
    fn unchanged(&self) -> Option<Arc<Family>> {
        match self {
            Self::Known(seen) => Some(Arc::clone(&seen.family)),
            Self::Settled(..) | Self::New { .. } => None,
        }
    }
}

/// Why wanted families were not entered; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// Something the push was planned on has changed since: plan again.
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

    /// All families in the order of the page, by exposed name. Families without series are among them.
    pub fn families(&self) -> impl Iterator<Item = &Arc<Family>> {
        self.state.families.values()
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

    /// Enters what a push wants, all or nothing. The push was planned on a view, where no name of a new family was taken.
    /// While the answer's view is held nothing else is entered, so that what the caller does next comes before whatever is
    /// planned on a later state.
    pub fn commit(&self, wanted: Vec<Wanted>) -> Result<(Vec<Arc<Family>>, View<'_>), CommitError> {
        let known: Option<Vec<_>> = wanted.iter().map(Wanted::unchanged).collect();
        if let Some(families) = known {
            let view = self.view();
            return if view.state.is_current(&wanted) { Ok((families, view)) } else { Err(CommitError::Stale) };
        }
        let new = wanted.iter().filter(|wanted| matches!(wanted, Wanted::New { .. })).count();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.is_current(&wanted) {
            return Err(CommitError::Stale);
        }
        if state.families.len() + new > self.max_families && new > 0 {
            return Err(CommitError::TooMany { limit: self.max_families, got: new });
        }
        let families = wanted.into_iter().map(|wanted| state.enter(wanted)).collect();
        Ok((families, View { state: RwLockWriteGuard::downgrade(state) }))
    }

    /// Notes that families will have label names in quotes, so that pushes planned without that are stale. Returns those of
    /// which it was not known.
    pub fn note_quoted_labels<'f>(&self, families: impl Iterator<Item = &'f Arc<Family>>) -> Vec<Arc<Family>> {
        let unknown: Vec<_> = families.filter(|family| !family.has_quoted_labels()).cloned().collect();
        self.set_quoted_labels(&unknown, true);
        unknown
    }

    /// Takes the note back: no such label was brought after all.
    pub fn forget_quoted_labels(&self, families: &[Arc<Family>]) {
        self.set_quoted_labels(families, false);
    }

    fn set_quoted_labels(&self, families: &[Arc<Family>], has_quoted_labels: bool) {
        if !families.is_empty() {
            let _no_push_is_being_sent = self.state.write().unwrap_or_else(PoisonError::into_inner);
            families.iter().for_each(|family| family.note_quoted_labels(has_quoted_labels));
        }
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
    /// Whether what the push was planned on still holds.
    fn is_current(&self, wanted: &[Wanted]) -> bool {
        wanted.iter().all(|wanted| match wanted {
            Wanted::Known(seen) | Wanted::Settled(seen, _) => seen.is_current(),
            Wanted::New { name, kind, .. } => claimed_names(&exposed_metric_name(name), *kind)
                .all(|(sample_name, _)| !self.claims.contains_key(&*sample_name)),
        })
    }

    fn enter(&mut self, wanted: Wanted) -> Arc<Family> {
        match wanted {
            Wanted::Known(seen) => seen.family,
            Wanted::Settled(seen, kind) => {
                seen.family.settle(kind);
                seen.family
            }
            Wanted::New { name, kind, has_quoted_labels } => {
                let family = Arc::new(Family::new(self.families.len() as u32, &name, kind));
                if has_quoted_labels {
                    family.note_quoted_labels(true);
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
    let unused: &[&str] = match kind {
        MetricKind::Histogram => &[""],
        MetricKind::GaugeHistogram => &["", "_gsum", "_gcount"],
        _ => &[],
    };
    let unused = unused.iter().map(move |suffix| (format!("{name}{suffix}"), None));
    unused.chain(kind.samples().iter().map(move |(suffix, role)| (format!("{name}{suffix}"), Some(*role))))
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
        registry.commit(new("h", MetricKind::Histogram)).expect("room");
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
        registry.commit(new("a.b", MetricKind::Gauge)).expect("room");
        assert_eq!(registry.view().claim("a_b").map(|claim| &*claim.family.name), Some("a.b"));
    }

    #[test]
    fn a_plan_that_no_longer_holds_changes_nothing() {
        let registry = Registry::new(10);
        let a = registry.commit(new("a", MetricKind::Untyped)).expect("room").0.remove(0);
        registry.commit(new("c", MetricKind::Gauge)).expect("other families do not matter");
        assert_eq!(registry.commit(new("a", MetricKind::Gauge)).err(), Some(CommitError::Stale), "its name is taken");
        assert_eq!(registry.commit(new("a", MetricKind::Summary)).err(), Some(CommitError::Stale));
        let plans = || [vec![Wanted::Known(Seen::now(&a))], vec![Wanted::Settled(Seen::now(&a), MetricKind::Counter)]];
        let old = plans();
        registry.commit(vec![Wanted::Settled(Seen::now(&a), MetricKind::Gauge)]).expect("known");
        for plan in old {
            assert_eq!(registry.commit(plan).err(), Some(CommitError::Stale), "its kind is another");
        }
        let old = plans();
        assert_eq!(registry.note_quoted_labels([&a].into_iter()).len(), 1);
        assert_eq!(registry.note_quoted_labels([&a].into_iter()).len(), 0);
        for plan in old {
            assert_eq!(registry.commit(plan).err(), Some(CommitError::Stale), "its labels may collide");
        }
        assert_eq!(registry.len(), 2);
        assert_eq!(a.kind(), MetricKind::Gauge);
    }

    #[test]
    fn families_are_limited() {
        let registry = Registry::new(1);
        let family = registry.commit(new("a", MetricKind::Untyped)).expect("room").0.remove(0);
        assert_eq!(registry.commit(new("b", MetricKind::Gauge)).err(), Some(CommitError::TooMany { limit: 1, got: 1 }));
        let (settled, _) =
            registry.commit(vec![Wanted::Settled(Seen::now(&family), MetricKind::Gauge)]).expect("no new family");
        assert_eq!(settled[0].kind(), MetricKind::Gauge);
    }

    #[test]
    fn the_page_order_is_by_name() {
        let registry = Registry::new(10);
        for name in ["b", "a", "B"] {
            registry.commit(new(name, MetricKind::Gauge)).expect("room");
        }
        let names: Vec<String> = registry.view().families().map(|family| family.name.to_string()).collect();
        assert_eq!(names, ["B", "a", "b"]);
    }
}
