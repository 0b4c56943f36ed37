//! Finds the family of each sample name of a push: the one its format declares right before, or the one that its name tells of
//! (`owners`); and plans each family (`planned`). Refuses what contradicts the push itself or the register.

mod owners;
mod planned;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use super::treatment::Treatments;
use super::{PlannedFamily, PushError, Pushed, fault};
use crate::exposition::decoded::{DeclaredFamily, Decoded, MetadataContent, Name, NameOwner, NumberChange, Places};
use crate::exposition::error::Place;
use crate::model::door::Door;
use crate::model::family::{Family, MetricKind, SampleRole};
use crate::model::labels::unescape;
use crate::registry::{View, Wanted};
use crate::shard::batch::Router;
use owners::Owner;
use planned::written_by_the_gateway;

/// What the samples of one name are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedName {
    /// Index into [`FamilyPlan::families`]; of none, if the samples are passed over.
    pub family: u32,
    /// Index of what is done with its series, unless that depends on their labels.
    pub treatment: u32,
    /// What its samples ask for their numbers.
    pub change: NumberChange,
    pub role: SampleRole,
    pub kind: MetricKind,
    pub handling: Handling,
    pub family_hash: NonZeroU64,
}

impl ResolvedName {
    /// Whether a new series is one for the shards: those that are looked at one by one may fall together, or be dropped.
    pub fn is_counted(self) -> bool {
        self.handling != Handling::BySeries
    }
}

/// What is done with the samples of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// They go to the shards as they are.
    Plain,
    /// They are states, which are checked.
    State,
    /// What becomes of a series depends on its labels; they may change.
    BySeries,
    /// They are of a summary that the policy drops: checked, not kept.
    Discarded,
    /// The gateway writes their family itself, or it comes again.
    PassedOver,
}

/// The families of the push at hand.
#[derive(Debug, Default)]
pub(super) struct FamilyPlan {
    /// One for each entry of [`Decoded::names`].
    pub names: Vec<ResolvedName>,
    pub families: Vec<PlannedFamily>,
    /// Released families whose names the push takes, each once.
    pub releases: Vec<Arc<Family>>,
}

impl FamilyPlan {
    /// Plans the families of a decoded push. `text` is what its spans point into.
    pub fn resolve(
        &mut self,
        text: &str,
        decoded: &Decoded,
        pushed: Pushed<'_>,
        treatments: &mut Treatments<'_>,
        register: &View<'_>,
        router: &Router,
    ) -> Result<(), PushError> {
        self.names.clear();
        self.families.clear();
        self.releases.clear();
        let mut resolver = Resolver {
            text,
            places: decoded.places,
            declared: declarations(text, decoded)?,
            pushed,
            treatments,
            register,
            indices: ByName::default(),
            new_names: HashMap::default(),
            kinds: Vec::new(),
            released_ids: HashSet::default(),
            families: &mut self.families,
            releases: &mut self.releases,
        };
        resolver.known_families()?;
        resolver.declared_families(&decoded.families)?;
        let overruled = resolver.overruled(&decoded.families);
        for name in &decoded.names {
            let (owner, family) = match name.owner {
                NameOwner::ByName => resolver.named(*name)?,
                NameOwner::Declared(index, role) => resolver.declared(&decoded.families[index as usize], role)?,
            };
            let handling = match (family, owner.kind) {
                (None, _) => Handling::PassedOver,
                _ if matches!(name.owner, NameOwner::Declared(index, _) if overruled.contains(&index)) => {
                    Handling::PassedOver
                }
                (_, MetricKind::Summary) if !resolver.treatments.keep_summaries() => Handling::Discarded,
                (Some(family), _) if resolver.treatments.are_by_series(family) => Handling::BySeries,
                (_, MetricKind::StateSet) => Handling::State,
                _ => Handling::Plain,
            };
            let change = match name.owner {
                NameOwner::ByName => NumberChange::ByRule,
                NameOwner::Declared(index, _) => decoded.families[index as usize].change,
            };
            self.names.push(ResolvedName {
                role: owner.role,
                kind: owner.kind,
                handling,
                family_hash: router.hasher().hash(owner.family.as_bytes()),
                family: family.unwrap_or(u32::MAX),
                treatment: family.unwrap_or(u32::MAX),
                change,
            });
        }
        // When all families have their treatments: others come behind those.
        for (name, resolved) in decoded.names.iter().zip(&mut self.names) {
            if resolved.change != NumberChange::ByRule && resolved.handling == Handling::Plain {
                let family = resolver.families[resolved.family as usize].wanted.name();
                let refused = || cannot_be_added(decoded.places.at(name.place), family);
                let treatment = resolver.treatments.changed(resolved.family, "", None, resolved.change);
                resolved.treatment = treatment.ok_or_else(refused)?;
            }
        }
        Ok(())
    }

    /// Forgets the push, and gives memory back that one of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_NAMES: usize = 16 * 1024;
        self.names.clear();
        self.names.shrink_to(USUAL_NAMES);
        self.families = Vec::new();
        self.releases = Vec::new();
    }

    /// The plan for the register, in the order of the families' indices, and the families released for it. Families whose
    /// samples are discarded are in the plan: the register then knows their samples when they come without a TYPE.
    pub fn take_families(&mut self) -> (Vec<PlannedFamily>, Vec<Arc<Family>>) {
        for planned in &mut self.families {
            if let Wanted::New { has_quoted_labels, .. } = &mut planned.wanted {
                *has_quoted_labels = planned.has_quoted_labels;
            }
        }
        (std::mem::take(&mut self.families), std::mem::take(&mut self.releases))
    }
}

/// The refusal of an increment where a window, or a mode of the series' own, has no single value that it could be added to.
pub(super) fn cannot_be_added(place: Place, family: &str) -> PushError {
    let expected = format!("a value for {family}, which shows what was set and is not added up");
    PushError::InvalidSample(fault(place, expected, "an increment"))
}

fn name_text(text: &str, name: Name) -> Cow<'_, str> {
    let name_as_written = name.text.of(text);
    if name.is_quoted { unescape(name_as_written) } else { Cow::Borrowed(name_as_written) }
}

type ByName<'b, V> = HashMap<Cow<'b, str>, V, ahash::RandomState>;

/// What a push says of one family.
#[derive(Clone, Copy, Debug)]
struct Said<'b> {
    kind: Option<MetricKind>,
    help: Option<&'b str>,
    unit: Option<&'b str>,
    place: u32,
}

/// What the push's HELP and TYPE lines say that may stand anywhere.
fn declarations<'b>(text: &'b str, decoded: &Decoded) -> Result<ByName<'b, Said<'b>>, PushError> {
    let mut declared = ByName::default();
    for metadata in &decoded.metadata {
        let name = name_text(text, metadata.name);
        let place = metadata.name.place;
        let entry = declared.entry(name).or_insert(Said { kind: None, help: None, unit: None, place });
        match (metadata.content, entry.kind) {
            (MetadataContent::Help(help), _) => entry.help = entry.help.or(Some(help.of(text))),
            (MetadataContent::Type(kind), None) => (entry.kind, entry.place) = (Some(kind), place),
            (MetadataContent::Type(kind), Some(before)) if kind == before => {}
            (MetadataContent::Type(kind), Some(before)) => {
                let name = name_text(text, metadata.name);
                return Err(two_types(decoded.places.at(place), &name, kind, before));
            }
        }
    }
    Ok(declared)
}

fn two_types(place: Place, name: &str, kind: MetricKind, before: MetricKind) -> PushError {
    let got = format!("{} after {}", kind.name(), before.name());
    PushError::TypeConflict(fault(place, format!("one TYPE for {name}"), got))
}

struct Resolver<'b, 'r, 'v, 'p, 't> {
    text: &'b str,
    places: Places,
    declared: ByName<'b, Said<'b>>,
    pushed: Pushed<'p>,
    treatments: &'p mut Treatments<'t>,
    register: &'r View<'v>,
    /// The plan's index of each family.
    indices: ByName<'b, u32>,
    /// Exposed sample names that new families of this push take, with the family's index.
    new_names: HashMap<String, u32, ahash::RandomState>,
    /// Of each planned family.
    kinds: Vec<MetricKind>,
    released_ids: HashSet<u32, ahash::RandomState>,
    families: &'p mut Vec<PlannedFamily>,
    releases: &'p mut Vec<Arc<Family>>,
}

impl<'b> Resolver<'b, '_, '_, '_, '_> {
    /// Plans the families that TYPE and HELP lines speak of and that are known already; new ones wait for a sample, and
    /// those of a group too: it shows nothing where it has no samples.
    fn known_families(&mut self) -> Result<(), PushError> {
        let of_interest = |name: &str| self.known(name).is_some() || written_by_the_gateway(name).is_some();
        let mut declared: Vec<_> = self
            .declared
            .iter()
            .filter(|(name, _)| of_interest(name))
            .map(|(name, said)| (name.clone(), *said))
            .collect();
        declared.sort_by_key(|(_, said)| said.place);
        for (name, said) in declared {
            let is_overridden = self.is_overridden(&name, self.places.at(said.place))?;
            let known = self.known(&name).filter(|_| !is_overridden && self.pushed.door != Door::Replace);
            let Some(known) = known.map(|family| family.kind()) else { continue };
            let kind = self.known_kind(&name, said.kind.unwrap_or(known));
            if self.is_known_as(&name, kind) {
                self.family(name, kind, said)?;
            }
        }
        Ok(())
    }

    /// The same for families whose samples follow their declaration. Each is of one kind, samples or not: what is taken now
    /// must be taken when it comes again. A message of protobuf without metrics empties a group's family.
    fn declared_families(&mut self, families: &[DeclaredFamily]) -> Result<(), PushError> {
        let mut kinds = ByName::default();
        let waits = self.pushed.door == Door::Replace && self.places != Places::Metrics;
        for declared in families {
            let name = self.family_name(declared);
            let kind = self.known_kind(&name, declared.kind);
            let before = *kinds.entry(name.clone()).or_insert(kind);
            let place = self.places.at(declared.name.place);
            if before != kind {
                return Err(two_types(place, &name, kind, before));
            }
            if !self.is_overridden(&name, place)? && !waits && self.is_known_as(&name, kind) {
                self.declared(declared, SampleRole::Number)?;
            }
        }
        Ok(())
    }

    /// Families of protobuf that come again later in a push to a group, by index: there the last one holds.
    fn overruled(&self, families: &[DeclaredFamily]) -> HashSet<u32, ahash::RandomState> {
        let mut overruled = HashSet::default();
        if self.pushed.door == Door::Replace && self.places == Places::Metrics {
            let mut last = ByName::default();
            for (index, declared) in families.iter().enumerate() {
                overruled.extend(last.insert(self.family_name(declared), index as u32));
            }
        }
        overruled
    }

    /// The family of this very name, if the register has it.
    fn known(&self, name: &str) -> Option<&Arc<Family>> {
        self.register.claim(name).map(|claim| &claim.family).filter(|family| *family.name == *name)
    }

    /// Whether the register has a family of this name that the push must agree with: a released one it need not.
    fn is_known_as(&self, name: &str, kind: MetricKind) -> bool {
        self.known(name).is_some_and(|family| self.fits(family, kind) || !self.may_release(family))
    }

    fn family_name(&self, declared: &DeclaredFamily) -> Cow<'b, str> {
        let name = name_text(self.text, declared.name);
        if declared.suffix.is_empty() { name } else { Cow::Owned(name.into_owned() + declared.suffix) }
    }

    /// Owner and index of samples whose family was declared right before.
    fn declared(&mut self, declared: &DeclaredFamily, role: SampleRole) -> Result<(Owner<'b>, Option<u32>), PushError> {
        let family = self.family_name(declared);
        let kind = self.known_kind(&family, declared.kind);
        let said = Said {
            kind: Some(kind),
            help: declared.help.map(|help| help.of(self.text)),
            unit: declared.unit.map(|unit| unit.of(self.text)),
            place: declared.name.place,
        };
        let index = self.family(family.clone(), kind, said)?;
        Ok((Owner { family, kind, role }, index))
    }

    /// Owner and index of samples that only their name tells of.
    fn named(&mut self, name: Name) -> Result<(Owner<'b>, Option<u32>), PushError> {
        let owner = self.owner(name_text(self.text, name), name.place)?;
        let nothing = Said { kind: None, help: None, unit: None, place: name.place };
        let said = self.declared.get(&owner.family).copied().unwrap_or(nothing);
        let index = self.family(owner.family.clone(), owner.kind, said)?;
        Ok((owner, index))
    }

    /// The kind under which a family is known, if that is what the push means by its own word.
    fn known_kind(&self, name: &str, kind: MetricKind) -> MetricKind {
        self.known(name).map(|family| family.kind()).filter(|known| known.is_called(kind)).unwrap_or(kind)
    }
}
