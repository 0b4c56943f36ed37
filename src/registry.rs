//! The register of families: which sample names are taken, by which family, and what each family is.
//!
//! Shared by all workers behind one lock, taken once a push for reading and only for a new family, or one of which
//! something new is known, for writing. Every name is entered as legacy readers see it, so two names that escaping would
//! make one cannot both be taken. A family without series keeps its names until someone wants them, or until it is swept out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::door::Door;
use crate::model::family::{Family, FamilyTraits, FamilyUse, MetricKind, SampleRole};
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
    /// Ids of families that are always there; not counted against the limit.
    reserved: HashSet<u32, ahash::RandomState>,
    /// Ids are not given twice: a scrape may still be showing a family that has gone.
    next_id: u32,
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
#[derive(Clone, Debug)]
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
        /// Whether the push brings series with label names in quotes.
        has_quoted_labels: bool,
    },
}

/// A known family, and what was known of it when the push was planned.
#[derive(Clone, Debug)]
pub struct Seen {
    family: Arc<Family>,
    kind: MetricKind,
    traits: FamilyTraits,
}

impl Seen {
    /// What is known of the family now.
    pub fn now(family: &Arc<Family>) -> Self {
        let (kind, traits) = (family.kind(), family.traits());
        Self { family: Arc::clone(family), kind, traits }
    }

    fn is_current(&self) -> bool {
        self.family.kind() == self.kind && self.family.traits() == self.traits && !self.family.is_retired()
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

    /// What the family is to be.
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Known(seen) => seen.kind,
            Self::Settled(_, kind) | Self::New { kind, .. } => *kind,
        }
    }

    /// What the family has, as far as was known.
    pub fn traits(&self) -> FamilyTraits {
        match self {
            Self::Known(seen) | Self::Settled(seen, _) => seen.traits,
            Self::New { has_quoted_labels: true, .. } => FamilyTraits::QUOTED_LABELS,
            Self::New { .. } => FamilyTraits::default(),
        }
    }

    /// Takes note of what has come to the family since the push was planned, once it has been checked against that.
    pub fn see_traits(&mut self) {
        if let Self::Known(seen) | Self::Settled(seen, _) = self {
            seen.traits = seen.family.traits();
        }
    }

    /// The family, if entering it by this door changes nothing.
    fn unchanged(&self, door: Door) -> Option<Arc<Family>> {
        match self {
            Self::Known(seen) if seen.traits.contain(FamilyTraits::of_door(door)) => Some(Arc::clone(&seen.family)),
            _ => None,
        }
    }
}

/// What a push wants of the register.
pub struct Entry<'a> {
    /// Its families.
    pub wanted: Vec<Wanted>,
    /// The door that their series come by.
    pub door: Door,
    /// Families whose names it takes, because they bind nobody any more.
    pub releases: &'a [Arc<Family>],
    /// Whether that is still so.
    pub is_released: &'a dyn Fn(&Family) -> bool,
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

    /// Enters a family that stays, whether it has series or not.
    pub fn reserve(&self, name: &str, kind: MetricKind, help: &str) -> Arc<Family> {
        let mut state = self.write();
        let family = state.enter_new(name, kind);
        family.set_help(help);
        state.reserved.insert(family.id);
        family
    }

    /// Enters a family that the configuration speaks of. It stays, whether it has series or not.
    ///
    /// # Errors
    /// The family that has one of its sample names already.
    pub fn declare(&self, name: &str, kind: MetricKind, help: &str) -> Result<(), String> {
        let mut state = self.write();
        let exposed_name = exposed_metric_name(name);
        let owner = claimed_names(&exposed_name, kind).find_map(|(taken, _)| state.claims.get(&*taken));
        if let Some(claim) = owner {
            return Err(claim.family.name.to_string());
        }
        let family = state.enter_new(name, kind);
        if !help.is_empty() {
            family.set_help(help);
        }
        family.declare();
        state.reserved.insert(family.id);
        Ok(())
    }

    /// Looks at the register. Do not await while holding the view.
    pub fn view(&self) -> View<'_> {
        // A panic elsewhere cannot leave the state half changed: see `commit`.
        View { state: self.state.read().unwrap_or_else(PoisonError::into_inner) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what a push wants, all or nothing. The push was planned on a view, where no name of a new family was taken.
    /// While the answer's view is held nothing else is entered, so that what the caller does next comes before whatever is
    /// planned on a later state.
    pub fn commit(&self, entry: Entry<'_>) -> Result<(Vec<Arc<Family>>, View<'_>), CommitError> {
        let Entry { wanted, door, releases, is_released } = entry;
        let known: Option<Vec<_>> = wanted.iter().map(|wanted| wanted.unchanged(door)).collect();
        if let Some(families) = known.filter(|_| releases.is_empty()) {
            let view = self.view();
            let is_current = wanted.iter().all(|wanted| view.state.is_current(wanted, &HashSet::default()));
            return if is_current { Ok((families, view)) } else { Err(CommitError::Stale) };
        }
        let new = wanted.iter().filter(|wanted| matches!(wanted, Wanted::New { .. })).count();
        let mut state = self.write();
        let may_release = releases.iter().all(|family| !family.is_retired() && is_released(family));
        let released: HashSet<u32, ahash::RandomState> = releases.iter().map(|family| family.id).collect();
        if !may_release || !wanted.iter().all(|wanted| state.is_current(wanted, &released)) {
            return Err(CommitError::Stale);
        }
        if new > 0 && state.len() - releases.len() + new > self.max_families {
            return Err(CommitError::TooMany { limit: self.max_families, got: new });
        }
        releases.iter().for_each(|family| state.remove(family));
        let families = wanted.into_iter().map(|wanted| state.enter(wanted, door)).collect();
        Ok((families, View { state: RwLockWriteGuard::downgrade(state) }))
    }

    /// Notes what families will have, so that pushes planned without that are stale. Returns those of which it was not known.
    pub fn note_traits<'f>(&self, noted: impl Iterator<Item = (&'f Arc<Family>, FamilyTraits)>) -> Notes<'_> {
        let noted: Vec<_> = noted.map(|(family, traits)| (FamilyUse::begin(family), traits)).collect();
        let (known, unknown): (Vec<_>, Vec<_>) =
            noted.into_iter().partition(|(family, traits)| family.traits().contain(*traits));
        let note = |(family, traits): (FamilyUse, _)| NotedTraits { before: family.traits(), family, traits };
        let unknown: Vec<_> = unknown.into_iter().map(note).collect();
        if !unknown.is_empty() {
            let _no_push_is_being_sent = self.write();
            unknown.iter().for_each(|noted| noted.family.add_traits(noted.traits));
        }
        Notes { registry: self, unknown, _known: known.into_iter().map(|(family, _)| family).collect() }
    }

    /// Keeps all pushes from being sent. The families of one's own push stay as long as they are in use.
    pub fn hold(&self) -> Hold<'_> {
        Hold { _state: self.write() }
    }

    /// Removes families that have lost all their series, and of the others the notes of doors whose series have gone. Families
    /// that never had a series stay: they tell what their names are.
    pub fn remove_deserted(&self) {
        let is_deserted = |family: &Family| family.has_had_series() && family.is_empty();
        let is_of_interest = |family: &&Arc<Family>| is_deserted(family) || family.deserted_doors().next().is_some();
        let found: Vec<_> = self.view().families().filter(is_of_interest).cloned().collect();
        if found.is_empty() {
            return;
        }
        let mut state = self.write();
        for family in found.into_iter().filter(|family| !family.is_retired()) {
            if is_deserted(&family) && !state.is_reserved(&family) {
                state.remove(&family);
            } else {
                family.deserted_doors().for_each(|door| family.remove_traits(FamilyTraits::of_door(door)));
            }
        }
    }

    /// Removes all families but the reserved ones. `meanwhile` is done while no push is being sent.
    pub fn clear(&self, meanwhile: impl FnOnce()) {
        let mut state = self.write();
        let families: Vec<_> = state.families.values().filter(|family| !state.is_reserved(family)).cloned().collect();
        families.iter().for_each(|family| state.remove(family));
        meanwhile();
    }

    /// Number of families that pushes have brought.
    pub fn len(&self) -> usize {
        self.view().state.len()
    }

    /// Whether no family has been pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Nobody else's push is sent while it is held.
pub struct Hold<'r> {
    _state: RwLockWriteGuard<'r, State>,
}

/// What was noted of families for a push that is on its way; the families are in use as long. Dropped, the notes are taken
/// back.
#[must_use]
pub struct Notes<'r> {
    registry: &'r Registry,
    unknown: Vec<NotedTraits>,
    /// Families that had these traits already, and keep them.
    _known: Vec<FamilyUse>,
}

struct NotedTraits {
    family: FamilyUse,
    before: FamilyTraits,
    traits: FamilyTraits,
}

impl Notes<'_> {
    /// The push was sent: what was noted is so.
    pub fn keep(mut self) {
        self.unknown.clear();
    }

    /// Number of families of which something was not known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.unknown.len()
    }
}

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        if self.unknown.is_empty() {
            return;
        }
        let _no_push_is_being_sent = self.registry.write();
        for NotedTraits { family, before, traits } in self.unknown.drain(..) {
            family.remove_traits(traits);
            family.add_traits(before);
        }
    }
}

impl State {
    fn len(&self) -> usize {
        self.families.len() - self.reserved.len()
    }

    fn is_reserved(&self, family: &Family) -> bool {
        self.reserved.contains(&family.id)
    }

    /// Whether what the push was planned on still holds, once the `released` families have gone.
    fn is_current(&self, wanted: &Wanted, released: &HashSet<u32, ahash::RandomState>) -> bool {
        match wanted {
            Wanted::Known(seen) | Wanted::Settled(seen, _) => seen.is_current(),
            Wanted::New { name, kind, .. } => {
                claimed_names(&exposed_metric_name(name), *kind).all(|(sample_name, _)| {
                    let claim = self.claims.get(&*sample_name);
                    claim.is_none_or(|claim| released.contains(&claim.family.id))
                })
            }
        }
    }

    fn enter(&mut self, wanted: Wanted, door: Door) -> Arc<Family> {
        let traits = wanted.traits().and(FamilyTraits::of_door(door));
        let family = match wanted {
            Wanted::Known(seen) => seen.family,
            Wanted::Settled(seen, kind) => {
                seen.family.settle(kind);
                seen.family
            }
            Wanted::New { name, kind, .. } => self.enter_new(&name, kind),
        };
        family.add_traits(traits);
        family
    }

    fn enter_new(&mut self, name: &str, kind: MetricKind) -> Arc<Family> {
        let family = Arc::new(Family::new(self.next_id, name, kind));
        // Four billion families later an id comes again; the first one's series have long gone.
        self.next_id = self.next_id.wrapping_add(1);
        for (sample_name, role) in claimed_names(&family.exposed_name, kind) {
            self.claims.insert(sample_name.into(), Claim { family: Arc::clone(&family), role });
        }
        self.families.insert(family.exposed_name.clone(), Arc::clone(&family));
        family
    }

    fn remove(&mut self, family: &Arc<Family>) {
        family.retire();
        // Not by the family's kind alone: it may have been settled since.
        let names = [MetricKind::Untyped, family.kind()].into_iter();
        for (name, _) in names.flat_map(|kind| claimed_names(&family.exposed_name, kind)) {
            if self.claims.get(&*name).is_some_and(|claim| Arc::ptr_eq(&claim.family, family)) {
                self.claims.remove(&*name);
            }
        }
        self.families.remove(&family.exposed_name);
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

    fn commit(registry: &Registry, wanted: Vec<Wanted>) -> Result<(Vec<Arc<Family>>, View<'_>), CommitError> {
        registry.commit(Entry { wanted, door: Door::Aggregate, releases: &[], is_released: &|_| false })
    }

    fn note<'r>(registry: &'r Registry, family: &Arc<Family>) -> Notes<'r> {
        registry.note_traits([(family, FamilyTraits::QUOTED_LABELS)].into_iter())
    }

    #[test]
    fn a_family_takes_the_names_of_its_samples() {
        let registry = Registry::new(10);
        commit(&registry, new("h", MetricKind::Histogram)).expect("room");
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
        commit(&registry, new("a.b", MetricKind::Gauge)).expect("room");
        assert_eq!(registry.view().claim("a_b").map(|claim| &*claim.family.name), Some("a.b"));
    }

    #[test]
    fn a_plan_that_no_longer_holds_changes_nothing() {
        let registry = Registry::new(10);
        let a = commit(&registry, new("a", MetricKind::Untyped)).expect("room").0.remove(0);
        commit(&registry, new("c", MetricKind::Gauge)).expect("other families do not matter");
        assert_eq!(commit(&registry, new("a", MetricKind::Gauge)).err(), Some(CommitError::Stale), "its name is taken");
        assert_eq!(commit(&registry, new("a", MetricKind::Summary)).err(), Some(CommitError::Stale));
        let plans = || [vec![Wanted::Known(Seen::now(&a))], vec![Wanted::Settled(Seen::now(&a), MetricKind::Counter)]];
        let old = plans();
        commit(&registry, vec![Wanted::Settled(Seen::now(&a), MetricKind::Gauge)]).expect("known");
        for plan in old {
            assert_eq!(commit(&registry, plan).err(), Some(CommitError::Stale), "its kind is another");
        }
        let (old, traits) = (plans(), a.traits());
        drop(note(&registry, &a));
        assert_eq!(a.traits(), traits, "a note that is not kept is taken back");
        note(&registry, &a).keep();
        assert_eq!(note(&registry, &a).len(), 0);
        for plan in old {
            assert_eq!(commit(&registry, plan).err(), Some(CommitError::Stale), "its labels may collide");
        }
        assert_eq!(registry.len(), 2);
        assert_eq!(a.kind(), MetricKind::Gauge);
    }

    #[test]
    fn families_are_limited() {
        let registry = Registry::new(1);
        let family = commit(&registry, new("a", MetricKind::Untyped)).expect("room").0.remove(0);
        assert_eq!(
            commit(&registry, new("b", MetricKind::Gauge)).err(),
            Some(CommitError::TooMany { limit: 1, got: 1 })
        );
        let (settled, _) =
            commit(&registry, vec![Wanted::Settled(Seen::now(&family), MetricKind::Gauge)]).expect("no new family");
        assert_eq!(settled[0].kind(), MetricKind::Gauge);
    }

    #[test]
    fn the_page_order_is_by_name() {
        let registry = Registry::new(10);
        for name in ["b", "a", "B"] {
            commit(&registry, new(name, MetricKind::Gauge)).expect("room");
        }
        let names: Vec<String> = registry.view().families().map(|family| family.name.to_string()).collect();
        assert_eq!(names, ["B", "a", "b"]);
    }
}
