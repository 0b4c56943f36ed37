//! Finds the family of each sample name of a push: by the push's own TYPE lines first, then by the register, else a new
//! untyped family. Refuses what contradicts either.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;

use super::{PlannedFamily, PushError, PushRules, SummaryPolicy, fault};
use crate::aggregate::NumberRule;
use crate::exposition::error::DecodeError;
use crate::exposition::text_decode::{Decoded, MetadataContent, Name};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::unescape;
use crate::model::name::exposed_metric_name;
use crate::registry::{Seen, View, Wanted, claimed_names};
use crate::shard::batch::Router;

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
}

impl FamilyPlan {
    /// Plans the families of a decoded push.
    pub fn resolve(
        &mut self,
        body: &str,
        decoded: &Decoded,
        rules: &PushRules,
        register: &View<'_>,
        router: &Router,
    ) -> Result<(), PushError> {
        self.names.clear();
        self.families.clear();
        let mut resolver = Resolver {
            declared: declarations(body, decoded)?,
            gauge_rule: rules.gauges.number_rule(),
            register,
            indices: ByName::default(),
            new_names: HashMap::default(),
            families: &mut self.families,
        };
        resolver.declared_families()?;
        for name in &decoded.names {
            let owner = resolver.owner(name_text(body, *name), name.line)?;
            let family_hash = router.hasher().hash(owner.family.as_bytes());
            self.names.push(ResolvedName {
                role: owner.role,
                kind: owner.kind,
                family_hash,
                is_discarded: owner.kind == MetricKind::Summary && rules.summaries == SummaryPolicy::Discard,
                family: resolver.family(owner.family, owner.kind, name.line)?,
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
    }

    /// The plan for the register, in the order of the families' indices. Families whose samples are discarded are among
    /// them: the register then knows their samples when they come without a TYPE.
    pub fn take_families(&mut self) -> Vec<PlannedFamily> {
        for planned in &mut self.families {
            if let Wanted::New { has_quoted_labels, .. } = &mut planned.wanted {
                *has_quoted_labels = planned.has_quoted_labels;
            }
        }
        std::mem::take(&mut self.families)
    }
}

fn name_text(body: &str, name: Name) -> Cow<'_, str> {
    let text = name.text.of(body);
    if name.is_quoted { unescape(text) } else { Cow::Borrowed(text) }
}

type ByName<'b, V> = HashMap<Cow<'b, str>, V, ahash::RandomState>;

/// What the push's HELP and TYPE lines say of one family.
#[derive(Debug)]
struct Declared<'b> {
    kind: Option<MetricKind>,
    help: Option<&'b str>,
    line: u32,
}

fn declarations<'b>(body: &'b str, decoded: &Decoded) -> Result<ByName<'b, Declared<'b>>, PushError> {
    let mut declared = ByName::default();
    for metadata in &decoded.metadata {
        let name = name_text(body, metadata.name);
        let line = metadata.name.line;
        let entry = declared.entry(name).or_insert(Declared { kind: None, help: None, line });
        match (metadata.content, entry.kind) {
            (MetadataContent::Help(help), _) => entry.help = entry.help.or(Some(help.of(body))),
            (MetadataContent::Type(kind), None) => (entry.kind, entry.line) = (Some(kind), line),
            (MetadataContent::Type(kind), Some(before)) if kind == before => {}
            (MetadataContent::Type(kind), Some(before)) => {
                let expected = format!("one TYPE for {}", name_text(body, metadata.name));
                let got = format!("{} after {}", kind.name(), before.name());
                return Err(PushError::TypeConflict(fault(line, expected, got)));
            }
        }
    }
    Ok(declared)
}

/// Whose sample a name is.
struct Owner<'b> {
    family: Cow<'b, str>,
    kind: MetricKind,
    role: SampleRole,
}

struct Resolver<'b, 'r, 'v, 'p> {
    declared: ByName<'b, Declared<'b>>,
    gauge_rule: NumberRule,
    register: &'r View<'v>,
    /// The plan's index of each family.
    indices: ByName<'b, u32>,
    /// Exposed sample names that new families of this push take, with the family's index.
    new_names: HashMap<String, u32, ahash::RandomState>,
    families: &'p mut Vec<PlannedFamily>,
}

impl<'b> Resolver<'b, '_, '_, '_> {
    /// Plans the families that TYPE and HELP lines speak of and that are known already; new ones wait for a sample.
    fn declared_families(&mut self) -> Result<(), PushError> {
        let mut known = Vec::new();
        for (name, declared) in &self.declared {
            if let Some(claim) = self.register.claim(name).filter(|claim| *claim.family.name == **name) {
                known.push((name.clone(), declared.kind.unwrap_or_else(|| claim.family.kind()), declared.line));
            }
        }
        known.sort_by_key(|(_, _, line)| *line);
        for (name, kind, line) in known {
            self.family(name, kind, line)?;
        }
        Ok(())
    }

    fn owner(&self, name: Cow<'b, str>, line: u32) -> Result<Owner<'b>, PushError> {
        if let Some(owner) = self.declared_owner(&name, line)? {
            return Ok(owner);
        }
        let Some(claim) = self.register.claim(&name) else {
            return Ok(Owner { family: name, kind: MetricKind::Untyped, role: SampleRole::Number });
        };
        let kind = claim.family.kind();
        let Some(role) = claim.role else {
            return Err(PushError::InvalidSample(not_a_sample(line, &name, kind)));
        };
        let suffix = kind.samples().iter().find(|(_, of)| *of == role).map_or("", |(suffix, _)| suffix);
        if name.strip_suffix(suffix) != Some(&*claim.family.name) {
            let expected = format!("a name that differs from {} when escaped", claim.family.name);
            return Err(PushError::NameClash(fault(line, expected, &*name)));
        }
        let family = match name {
            Cow::Borrowed(name) => Cow::Borrowed(&name[..name.len() - suffix.len()]),
            Cow::Owned(name) => Cow::Owned(name[..name.len() - suffix.len()].to_owned()),
        };
        Ok(Owner { family, kind, role })
    }

    /// The owner that this push's TYPE lines give the name.
    fn declared_owner(&self, name: &Cow<'b, str>, line: u32) -> Result<Option<Owner<'b>>, PushError> {
        if self.declared.is_empty() {
            return Ok(None);
        }
        if let Some(kind) = self.declared.get(name).and_then(|declared| declared.kind) {
            return match kind.samples().iter().find(|(suffix, _)| suffix.is_empty()) {
                Some((_, role)) => Ok(Some(Owner { family: name.clone(), kind, role: *role })),
                None => Err(PushError::InvalidSample(not_a_sample(line, name, kind))),
            };
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some((base, declared)) = name.strip_suffix(suffix).and_then(|base| self.declared.get_key_value(base))
            else {
                continue;
            };
            let Some(kind) = declared.kind else { continue };
            if let Some((_, role)) = kind.samples().iter().find(|(of, _)| *of == suffix) {
                return Ok(Some(Owner { family: base.clone(), kind, role: *role }));
            }
        }
        Ok(None)
    }

    /// The plan's index of a family, planned now if it was not yet.
    fn family(&mut self, name: Cow<'b, str>, kind: MetricKind, line: u32) -> Result<u32, PushError> {
        if let Some(&index) = self.indices.get(&name) {
            return Ok(index);
        }
        let declared = self.declared.get(&name);
        let line = declared.map_or(line, |declared| declared.line);
        let help = declared.and_then(|declared| declared.help).map(|help| unescape(help).into_owned());
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
                    return Err(PushError::TypeConflict(fault(line, expected, kind.name())));
                }
            }
            _ => self.new_family(&name, kind, line, index)?,
        };
        let number_rule = if kind == MetricKind::Gauge { self.gauge_rule } else { NumberRule::Add };
        self.families.push(PlannedFamily { wanted, number_rule, help, series: 0, has_quoted_labels: false });
        self.indices.insert(name, index);
        Ok(index)
    }

    /// A family nobody has pushed yet, whose sample names must be free in the register and in this push.
    fn new_family(&mut self, name: &str, kind: MetricKind, line: u32, index: u32) -> Result<Wanted, PushError> {
        for (taken, _) in claimed_names(&exposed_metric_name(name), kind) {
            let registered = self.register.claim(&taken).map(|claim| &*claim.family.name);
            let planned = || self.new_names.get(&taken).and_then(|other| self.families.get(*other as usize));
            if let Some(owner) = registered.or_else(|| planned().map(|family| family.wanted.name())) {
                let expected = format!("{} {name} to have sample names of its own", kind.name());
                let got = format!("{taken}, which belongs to {owner}");
                return Err(PushError::NameClash(fault(line, expected, got)));
            }
            self.new_names.insert(taken, index);
        }
        Ok(Wanted::New { name: name.to_owned(), kind, has_quoted_labels: false })
    }
}

fn not_a_sample(line: u32, name: &str, kind: MetricKind) -> DecodeError {
    let samples: Vec<String> = kind.samples().iter().map(|(suffix, _)| format!("{name}{suffix}")).collect();
    fault(line, format!("a sample of {} {name} ({})", kind.name(), samples.join(", ")), name)
}
