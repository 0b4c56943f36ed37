//! Plans a family of the push: as it is known, as it is settled now, or as a new one; and refuses what contradicts the register.

use std::borrow::Cow;
use std::sync::Arc;

use super::{PlannedFamily, PushError, Resolver, Said, fault, two_types};
use crate::exposition::error::Place;
use crate::model::door::Door;
use crate::model::family::{Family, MetricKind};
use crate::model::labels::unescape;
use crate::model::name::exposed_metric_name;
use crate::registry::{Claim, Seen, Wanted, claimed_names};

/// The families that the gateway writes for each group.
const WRITTEN_BY_THE_GATEWAY: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// The one of them that a name would meet on the page.
pub(super) fn written_by_the_gateway(name: &str) -> Option<&'static str> {
    if !name.starts_with("push") {
        return None;
    }
    let exposed = exposed_metric_name(name);
    WRITTEN_BY_THE_GATEWAY.into_iter().find(|written| *written == exposed)
}

impl<'b> Resolver<'b, '_, '_, '_, '_> {
    /// The plan's index of a family, planned now if it was not yet; `None` for one that the gateway writes itself.
    pub(super) fn family(
        &mut self,
        name: Cow<'b, str>,
        kind: MetricKind,
        said: Said<'b>,
    ) -> Result<Option<u32>, PushError> {
        let place = self.places.at(said.place);
        if let Some(&index) = self.indices.get(&name) {
            let before = self.kinds[index as usize];
            if before != kind {
                return Err(two_types(place, &name, kind, before));
            }
            // It may be described only where it comes again.
            let help = &mut self.families[index as usize].help;
            *help = help.take().or_else(|| said.help.map(|help| unescape(help).into()));
            return Ok(Some(index));
        }
        if self.is_overridden(&name, place)? {
            return Ok(None);
        }
        let index = self.families.len() as u32;
        let wanted = self.wanted(&name, kind, place, index)?;
        let help = said.help.map(|help| unescape(help).into());
        let unit = said.unit.map(str::to_owned);
        let planned = PlannedFamily { wanted, help, unit, series: 0, has_quoted_labels: false, max_series: None };
        self.families.push(planned);
        self.treatments.add_family(&name, kind);
        self.kinds.push(kind);
        self.indices.insert(name, index);
        Ok(Some(index))
    }

    /// Whether the family is one that the gateway writes: what a group pushes under that name gives way.
    pub(super) fn is_overridden(&self, name: &str, place: Place) -> Result<bool, PushError> {
        let Some(written) = written_by_the_gateway(name) else { return Ok(false) };
        if self.pushed.door == Door::Replace && name == written {
            return Ok(true);
        }
        let expected = format!("a name other than {written}, which the gateway writes itself");
        Err(PushError::NameClash(fault(place, expected, name)))
    }

    /// Whose sample name this is, if its family has not been released by the push.
    pub(super) fn claim(&self, name: &str) -> Option<&Claim> {
        self.register.claim(name).filter(|claim| !self.released_ids.contains(&claim.family.id))
    }

    /// Whether a known family may be pushed as one of this kind.
    pub(super) fn fits(&self, family: &Family, kind: MetricKind) -> bool {
        let known = family.kind();
        known == kind || (self.pushed.door != Door::Replace && known.settles_to(kind))
    }

    /// Whether the push may take a known family's names: nobody is bound by it, the push neither.
    pub(super) fn may_release(&self, family: &Arc<Family>) -> bool {
        let planned = self.indices.get(&*family.name).and_then(|index| self.families.get(*index as usize));
        let is_planned = planned.and_then(|planned| planned.wanted.family()).is_some_and(|it| Arc::ptr_eq(it, family));
        !is_planned && (self.pushed.is_released)(family)
    }

    fn wanted(&mut self, name: &str, kind: MetricKind, place: Place, index: u32) -> Result<Wanted, PushError> {
        let known = self.claim(name).map(|claim| &claim.family).filter(|family| *family.name == *name);
        let Some(family) = known else { return self.new_family(name, kind, place, index) };
        match self.fits(family, kind) {
            true if family.kind() == kind => Ok(Wanted::Known(Seen::now(family))),
            true => Ok(Wanted::Settled(Seen::now(family), kind)),
            false if self.may_release(family) => self.new_family(name, kind, place, index),
            false => {
                let expected = format!("TYPE {} for {name}", family.kind().name());
                Err(PushError::TypeConflict(fault(place, expected, kind.name())))
            }
        }
    }

    /// A family nobody has pushed yet, whose sample names must be free in the register and in this push.
    fn new_family(&mut self, name: &str, kind: MetricKind, place: Place, index: u32) -> Result<Wanted, PushError> {
        for (taken, _) in claimed_names(&exposed_metric_name(name), kind) {
            let registered = self.claim(&taken).map(|claim| Arc::clone(&claim.family));
            let released = registered.as_ref().filter(|family| self.may_release(family)).map(Arc::clone);
            let registered = registered.filter(|_| released.is_none());
            let planned = || self.new_names.get(&taken).and_then(|other| self.families.get(*other as usize));
            let owner = registered.as_ref().map(|family| &*family.name);
            if let Some(owner) = owner.or_else(|| planned().map(|family| family.wanted.name())) {
                let expected = format!("{} {name} to have sample names of its own", kind.name());
                let got = format!("{taken}, which belongs to {owner}");
                return Err(PushError::NameClash(fault(place, expected, got)));
            }
            if let Some(released) = released {
                self.released_ids.insert(released.id);
                self.releases.push(released);
            }
            self.new_names.insert(taken, index);
        }
        Ok(Wanted::New { name: name.to_owned(), kind, has_quoted_labels: false })
    }
}
