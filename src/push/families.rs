//! Finds the family of each sample name of a push: the one its format declares right before; or, where the format leaves that
//! to names, by the push's own TYPE lines first, then by the register, else a new untyped family. Refuses what contradicts
//! either.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;

use super::{PlannedFamily, PushError, PushRules, SummaryPolicy, fault};
use crate::aggregate::NumberRule;
use crate::exposition::decoded::{DeclaredFamily, Decoded, MetadataContent, Name, NameOwner, Places};
use crate::exposition::error::{DecodeError, Place};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::unescape;
use crate::model::name::exposed_metric_name;
use crate::model::value::Millis;
use crate::registry::{Seen, View, Wanted, claimed_names};
use crate::shard::batch::{Router, SeriesRule};

/// What the samples of one name are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedName {
    /// Index into [`FamilyPlan::families`].
    pub family: u32,
    pub role: SampleRole,
    pub kind: MetricKind,
    pub family_hash: NonZeroU64,
    /// Samples of a summary that the policy drops: checked, not kept.
    pub is_discarded: bool,
}

/// The families of the push at hand.
#[derive(Debug, Default)]
pub(super) struct FamilyPlan {
    /// One for each entry of [`Decoded::names`].
    pub names: Vec<ResolvedName>,
    pub families: Vec<PlannedFamily>,
    /// One for each family.
    pub rules: Vec<SeriesRule>,
}

impl FamilyPlan {
    /// Plans the families of a decoded push. `text` is what its spans point into.
    pub fn resolve(
        &mut self,
        text: &str,
        decoded: &Decoded,
        rules: &PushRules,
        register: &View<'_>,
        router: &Router,
    ) -> Result<(), PushError> {
        self.names.clear();
        self.families.clear();
        self.rules.clear();
        let mut resolver = Resolver {
            text,
            places: decoded.places,
            declared: declarations(text, decoded)?,
            gauge_rule: NumberRule::of_gauges(rules.gauges.aggregate),
            lifetime: rules.series_lifetime,
            register,
            indices: ByName::default(),
            new_names: HashMap::default(),
            kinds: Vec::new(),
            families: &mut self.families,
            rules: &mut self.rules,
        };
        resolver.known_families()?;
        resolver.declared_families(&decoded.families)?;
        for name in &decoded.names {
            let (owner, family) = match name.owner {
                NameOwner::ByName => resolver.named(*name)?,
                NameOwner::Declared(index, role) => resolver.declared(&decoded.families[index as usize], role)?,
            };
            let family_hash = router.hasher().hash(owner.family.as_bytes());
            self.names.push(ResolvedName {
                role: owner.role,
                kind: owner.kind,
                family_hash,
                is_discarded: owner.kind == MetricKind::Summary && rules.summaries == SummaryPolicy::Discard,
                family,
            });
        }
        Ok(())
    }

    /// Forgets the push, and gives memory back that one of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_NAMES: usize = 16 * 1024;
        self.names.clear();
        self.names.shrink_to(USUAL_NAMES);
        self.families = Vec::new();
        self.rules = Vec::new();
    }

    /// The plan for the register, in the order of the families' indices. Families whose samples are discarded are among
    /// them: the register then knows their samples when they come without a TYPE.
    pub fn take_families(&mut self) -> (Vec<PlannedFamily>, Vec<SeriesRule>) {
        for planned in &mut self.families {
            if let Wanted::New { has_quoted_labels, .. } = &mut planned.wanted {
                *has_quoted_labels = planned.has_quoted_labels;
            }
        }
        (std::mem::take(&mut self.families), std::mem::take(&mut self.rules))
    }
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

/// Whose sample a name is.
struct Owner<'b> {
    family: Cow<'b, str>,
    kind: MetricKind,
    role: SampleRole,
}

struct Resolver<'b, 'r, 'v, 'p> {
    text: &'b str,
    places: Places,
    declared: ByName<'b, Said<'b>>,
    gauge_rule: NumberRule,
    lifetime: Option<Millis>,
    register: &'r View<'v>,
    /// The plan's index of each family.
    indices: ByName<'b, u32>,
    /// Exposed sample names that new families of this push take, with the family's index.
    new_names: HashMap<String, u32, ahash::RandomState>,
    /// Of each planned family.
    kinds: Vec<MetricKind>,
    families: &'p mut Vec<PlannedFamily>,
    rules: &'p mut Vec<SeriesRule>,
}

impl<'b> Resolver<'b, '_, '_, '_> {
    /// Plans the families that TYPE and HELP lines speak of and that are known already; new ones wait for a sample.
    fn known_families(&mut self) -> Result<(), PushError> {
        let mut known = Vec::new();
        for (name, said) in &self.declared {
            if let Some(claim) = self.register.claim(name).filter(|claim| *claim.family.name == **name) {
                known.push((name.clone(), said.kind.unwrap_or_else(|| claim.family.kind()), *said));
            }
        }
        known.sort_by_key(|(_, _, said)| said.place);
        for (name, kind, said) in known {
            let kind = self.known_kind(&name, kind);
            self.family(name, kind, said)?;
        }
        Ok(())
    }

    /// The same for families whose samples follow their declaration. Each is of one kind, samples or not: what is taken now
    /// must be taken when it comes again.
    fn declared_families(&mut self, families: &[DeclaredFamily]) -> Result<(), PushError> {
        let mut kinds = ByName::default();
        for declared in families {
            let name = self.family_name(declared);
            let kind = self.known_kind(&name, declared.kind);
            let before = *kinds.entry(name.clone()).or_insert(kind);
            if before != kind {
                return Err(two_types(self.places.at(declared.name.place), &name, kind, before));
            }
            if self.register.claim(&name).is_some_and(|claim| *claim.family.name == *name) {
                self.declared(declared, SampleRole::Number)?;
            }
        }
        Ok(())
    }

    fn family_name(&self, declared: &DeclaredFamily) -> Cow<'b, str> {
        let name = name_text(self.text, declared.name);
        if declared.suffix.is_empty() { name } else { Cow::Owned(name.into_owned() + declared.suffix) }
    }

    /// Owner and index of samples whose family was declared right before.
    fn declared(&mut self, declared: &DeclaredFamily, role: SampleRole) -> Result<(Owner<'b>, u32), PushError> {
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
    fn named(&mut self, name: Name) -> Result<(Owner<'b>, u32), PushError> {
        let owner = self.owner(name_text(self.text, name), name.place)?;
        let nothing = Said { kind: None, help: None, unit: None, place: name.place };
        let said = self.declared.get(&owner.family).copied().unwrap_or(nothing);
        let index = self.family(owner.family.clone(), owner.kind, said)?;
        Ok((owner, index))
    }

    /// The kind under which a family is known, if that is what the push means by its own word.
    fn known_kind(&self, name: &str, kind: MetricKind) -> MetricKind {
        let claim = self.register.claim(name).filter(|claim| *claim.family.name == *name);
        claim.map(|claim| claim.family.kind()).filter(|known| known.is_called(kind)).unwrap_or(kind)
    }

    fn owner(&self, name: Cow<'b, str>, place: u32) -> Result<Owner<'b>, PushError> {
        if let Some(owner) = self.declared_owner(&name, place)? {
            return Ok(owner);
        }
        let Some(claim) = self.register.claim(&name) else {
            return Ok(Owner { family: name, kind: MetricKind::Untyped, role: SampleRole::Number });
        };
        let place = self.places.at(place);
        let kind = claim.family.kind();
        let Some(role) = claim.role else {
            return Err(PushError::InvalidSample(not_a_sample(place, &name, kind)));
        };
        let suffix = kind.samples().iter().find(|(_, of)| *of == role).map_or("", |(suffix, _)| suffix);
        if name.strip_suffix(suffix) != Some(&*claim.family.name) {
            let expected = format!("a name that differs from {} when escaped", claim.family.name);
            return Err(PushError::NameClash(fault(place, expected, &*name)));
        }
        let family = match name {
            Cow::Borrowed(name) => Cow::Borrowed(&name[..name.len() - suffix.len()]),
            Cow::Owned(name) => Cow::Owned(name[..name.len() - suffix.len()].to_owned()),
        };
        Ok(Owner { family, kind, role })
    }

    /// The owner that this push's TYPE lines give the name.
    fn declared_owner(&self, name: &Cow<'b, str>, place: u32) -> Result<Option<Owner<'b>>, PushError> {
        if self.declared.is_empty() {
            return Ok(None);
        }
        if let Some(kind) = self.declared.get(name).and_then(|declared| declared.kind) {
            return match kind.samples().iter().find(|(suffix, _)| suffix.is_empty()) {
                Some((_, role)) => {
                    Ok(Some(Owner { family: name.clone(), kind: self.known_kind(name, kind), role: *role }))
                }
                None => Err(PushError::InvalidSample(not_a_sample(self.places.at(place), name, kind))),
            };
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some((base, declared)) = name.strip_suffix(suffix).and_then(|base| self.declared.get_key_value(base))
            else {
                continue;
            };
            let Some(kind) = declared.kind else { continue };
            if let Some((_, role)) = kind.samples().iter().find(|(of, _)| *of == suffix) {
                return Ok(Some(Owner { family: base.clone(), kind: self.known_kind(base, kind), role: *role }));
            }
        }
        Ok(None)
    }

    /// The plan's index of a family, planned now if it was not yet.
    fn family(&mut self, name: Cow<'b, str>, kind: MetricKind, said: Said<'b>) -> Result<u32, PushError> {
        let place = self.places.at(said.place);
        if let Some(&index) = self.indices.get(&name) {
            let before = self.kinds[index as usize];
            return if before == kind { Ok(index) } else { Err(two_types(place, &name, kind, before)) };
        }
        let index = self.families.len() as u32;
        let wanted = match self.register.claim(&name) {
            Some(claim) if *claim.family.name == *name => {
                let known = claim.family.kind();
                if known == kind {
                    Wanted::Known(Seen::now(&claim.family))
                } else if known.settles_to(kind) {
                    Wanted::Settled(Seen::now(&claim.family), kind)
                } else {
                    let expected = format!("TYPE {} for {name}", known.name());
                    return Err(PushError::TypeConflict(fault(place, expected, kind.name())));
                }
            }
            _ => self.new_family(&name, kind, place, index)?,
        };
        let numbers = match kind {
            MetricKind::Gauge => self.gauge_rule,
            MetricKind::Info | MetricKind::StateSet => NumberRule::Last,
            _ => NumberRule::Add,
        };
        let help = said.help.map(|help| unescape(help).into_owned());
        let unit = said.unit.map(str::to_owned);
        self.families.push(PlannedFamily { wanted, help, unit, series: 0, has_quoted_labels: false });
        self.rules.push(SeriesRule { numbers, lifetime: self.lifetime });
        self.kinds.push(kind);
        self.indices.insert(name, index);
        Ok(index)
    }

    /// A family nobody has pushed yet, whose sample names must be free in the register and in this push.
    fn new_family(&mut self, name: &str, kind: MetricKind, place: Place, index: u32) -> Result<Wanted, PushError> {
        for (taken, _) in claimed_names(&exposed_metric_name(name), kind) {
            let registered = self.register.claim(&taken).map(|claim| &*claim.family.name);
            let planned = || self.new_names.get(&taken).and_then(|other| self.families.get(*other as usize));
            if let Some(owner) = registered.or_else(|| planned().map(|family| family.wanted.name())) {
                let expected = format!("{} {name} to have sample names of its own", kind.name());
                let got = format!("{taken}, which belongs to {owner}");
                return Err(PushError::NameClash(fault(place, expected, got)));
            }
            self.new_names.insert(taken, index);
        }
        Ok(Wanted::New { name: name.to_owned(), kind, has_quoted_labels: false })
    }
}

fn not_a_sample(place: Place, name: &str, kind: MetricKind) -> DecodeError {
    let samples: Vec<String> = kind.samples().iter().map(|(suffix, _)| format!("{name}{suffix}")).collect();
    fault(place, format!("a sample of {} {name} ({})", kind.name(), samples.join(", ")), name)
}
