//! Whose sample a name is, where the format leaves that to names: by the push's own TYPE lines first, then by the register.

use std::borrow::Cow;

use super::{PushError, Resolver, fault};
use crate::exposition::error::{DecodeError, Place};
use crate::model::door::Door;
use crate::model::family::{MetricKind, SampleRole};
use crate::registry::Claim;

/// Whose sample a name is.
pub(super) struct Owner<'b> {
    pub family: Cow<'b, str>,
    pub kind: MetricKind,
    pub role: SampleRole,
}

impl<'b> Owner<'b> {
    /// A sample without a TYPE, in a family of its own.
    fn untyped(family: Cow<'b, str>) -> Self {
        Self { family, kind: MetricKind::Untyped, role: SampleRole::Number }
    }
}

impl<'b> Resolver<'b, '_, '_, '_, '_> {
    pub(super) fn owner(&self, name: Cow<'b, str>, place: u32) -> Result<Owner<'b>, PushError> {
        if let Some(owner) = self.declared_owner(&name, place)? {
            return Ok(owner);
        }
        // What a group shows is what its pushes say, whatever others have said of that name.
        if self.pushed.door == Door::Replace {
            return Ok(Owner::untyped(name));
        }
        match self.claim(&name) {
            Some(claim) => self.known_owner(name, place, claim),
            None => Ok(Owner::untyped(name)),
        }
    }

    /// The owner that the register knows for the name.
    fn known_owner(&self, name: Cow<'b, str>, place: u32, claim: &Claim) -> Result<Owner<'b>, PushError> {
        let place = self.places.at(place);
        let kind = claim.family.kind();
        let Some(role) = claim.role else {
            return match self.may_release(&claim.family) {
                true => Ok(Owner::untyped(name)),
                false => Err(PushError::InvalidSample(not_a_sample(place, &name, kind))),
            };
        };
        let suffix = kind.samples().iter().find(|(_, of)| *of == role).map_or("", |(suffix, _)| suffix);
        if name.strip_suffix(suffix) != Some(&*claim.family.name) {
            if self.may_release(&claim.family) {
                return Ok(Owner::untyped(name));
            }
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
}

fn not_a_sample(place: Place, name: &str, kind: MetricKind) -> DecodeError {
    let samples: Vec<String> = kind.samples().iter().map(|(suffix, _)| format!("{name}{suffix}")).collect();
    fault(place, format!("a sample of {} {name} ({})", kind.name(), samples.join(", ")), name)
}
