//! Pushes to groups: the door `replace`. Changes of groups take turns: each is checked against what the one before has left,
//! and reaches all shards as one version.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::MutexGuard;

use super::admit::{Part, hand_out};
use super::{Ingest, Push, Refusal, Registration, Scratch};
use crate::aggregate::NumberRule;
use crate::exposition::error::{DecodeError, Excerpt, Place};
use crate::exposition::format::PushFormat;
use crate::groups::{GroupEntry, GroupState, PushTimes};
use crate::model::door::Door;
use crate::model::family::{Family, FamilyUse};
use crate::model::labels::{GroupLabels, write_canonical};
use crate::model::value::Millis;
use crate::push::{Assembled, PushError, Pushed};
use crate::registry::{Notes, Seen, Wanted};
use crate::shard::batch::{Batch, BatchContext, NumberUpdate, SeriesRule};
use crate::shard::gate::{Acknowledgement, Permit};
use crate::shard::owner::Owner;
use crate::shard::table::{Replacement, Scope};
use crate::shard::timeline::Change;

/// What a push to a group replaces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GroupMethod {
    /// `PUT`: the whole group.
    Group,
    /// `POST`: the families that it brings.
    Families,
    /// The whole group as another gateway kept it, with the times of its pushes there.
    Restored(PushTimes),
}

/// What became of one attempt.
enum Attempt {
    Done,
    /// What was planned on has changed: begin again.
    Stale,
}

impl Ingest {
    /// Takes in one push to a group and returns when it has been applied.
    ///
    /// # Errors
    /// Refused whole, but for the time of the failure, which the group keeps if the push could be read; only
    /// [`Refusal::Lost`] may leave a part applied.
    pub async fn replace(
        &self,
        push: Push<'_>,
        method: GroupMethod,
        scratch: &RefCell<Scratch>,
    ) -> Result<(), Refusal> {
        loop {
            let mut attempt = self.try_to_replace(push, method, scratch, None).await;
            if attempt.as_ref().is_err_and(is_about_names) {
                // A change that was on its way may have been in the way: in a turn there is none.
                let turn = self.turn.lock().await;
                attempt = self.try_to_replace(push, method, scratch, Some(turn)).await;
            }
            match attempt {
                Ok(Attempt::Done) => return Ok(()),
                Ok(Attempt::Stale) => continue,
                Err(refusal) => {
                    if is_of_store(&refusal) {
                        self.note_failure(push).await;
                    }
                    return Err(refusal);
                }
            }
        }
    }

    async fn try_to_replace(
        &self,
        push: Push<'_>,
        method: GroupMethod,
        scratch: &RefCell<Scratch>,
        turn: Option<MutexGuard<'_, ()>>,
    ) -> Result<Attempt, Refusal> {
        let known = self.groups.find(push.group);
        let entry = known.clone().unwrap_or_else(|| self.groups.make(push.group));
        let group = Arc::clone(&entry.group);
        let is_released =
            move |family: &Family| family.binds_nobody() || (group.holds_all_of(family) && !family.is_declared());
        let pushed = Pushed { door: Door::Replace, labels: push.group, lifetime: None, is_released: &is_released };
        let (mut assembled, _) = self.assemble(push, pushed, &mut scratch.borrow_mut())?;
        let samples = assembled.samples;
        if method == GroupMethod::Families {
            refuse_names_of_what_stays(&assembled)?;
        }
        let turn = match turn {
            Some(turn) => turn,
            None => self.turn.lock().await,
        };
        if self.groups.find(push.group).map(|entry| entry.group.id) != known.as_ref().map(|entry| entry.group.id) {
            return Ok(Attempt::Stale);
        }
        let owner = Owner::Group(Arc::clone(&entry.group));
        let times = match method {
            GroupMethod::Restored(times) => times,
            GroupMethod::Group | GroupMethod::Families => PushTimes { push: unix_seconds(), ..entry.times() },
        };
        let scope = match method {
            GroupMethod::Group | GroupMethod::Restored(_) => ScopeOfPush::Group,
            GroupMethod::Families => ScopeOfPush::Families(replaced_families(&assembled, push.format)),
        };
        self.add_times(&mut assembled, push.group, times)?;
        let (notes, inspections) = self.note_and_inspect(&mut assembled, Door::Replace, &owner).await?;
        let new: usize = inspections.iter().flat_map(|shard| &shard.new).sum();
        let known = assembled.series() - new;
        let go = match method {
            GroupMethod::Families => 0,
            GroupMethod::Group | GroupMethod::Restored(_) => entry.group.series().saturating_sub(known),
        };
        let (series, shares) = self.permit_new(&assembled, &owner, &inspections, go)?;
        let lifetime = push.lifetime.or(self.parts.lifetimes.group);
        let change = GroupChange { entry: &entry, notes, times, scope, lifetime, series, shares };
        let attempt = self.apply_to_group(assembled, pushed, change).await?;
        drop(turn);
        if matches!(attempt, Attempt::Done) {
            self.parts.metrics.samples(samples);
        }
        Ok(attempt)
    }

    /// Registers and sends a change that has been checked, in its turn, and waits until it is applied.
    async fn apply_to_group(
        &self,
        push: Assembled,
        pushed: Pushed<'_>,
        change: GroupChange<'_>,
    ) -> Result<Attempt, Refusal> {
        let GroupChange { entry, notes, times, scope, lifetime, series, shares } = change;
        let shards = &self.parts.shards;
        let held = entry.shards(shards.router().shards());
        let places = shards.enter(&push.batches, |shard| held[shard])?;
        let brought: Vec<bool> = push.families.iter().map(|planned| planned.series > 0).collect();
        let Assembled { families, rules, releases, batches, .. } = push;
        let deadline = lifetime.map(|lifetime| self.parts.clock.now().saturating_add(lifetime));
        let acknowledgement = {
            let version = shards.timeline().change();
            let replaced_families = Vec::new();
            let registration = Registration { families, rules, replaced_families, releases: &releases, pushed };
            let Some((context, _view)) = self.register(registration)? else { return Ok(Attempt::Stale) };
            notes.keep();
            let scope = scope.by_id(&context, &releases);
            entry.change(|state| {
                state.replace(&scope, &context, &brought, &batches, times);
                state.deadline = deadline;
            });
            let parts = places.into_iter().zip(batches).zip(shares).collect();
            self.send_change(parts, &context, replacement(entry, scope, &version), series)?
        };
        self.groups.enter(entry);
        shards.work();
        if acknowledgement.is_applied().await { Ok(Attempt::Done) } else { Err(Refusal::Lost) }
    }

    /// Hands each shard its part of a change, while the change is held.
    fn send_change(
        &self,
        parts: Vec<Part>,
        context: &Arc<BatchContext>,
        replacement: Replacement,
        series: Permit,
    ) -> Result<Acknowledgement, Refusal> {
        hand_out(parts, series, |shard, batch, ticket| {
            self.parts.shards.replace(shard, batch, Arc::clone(context), replacement.clone(), ticket)
        })
    }

    /// Removes the group of these labels; an unknown one is no error.
    ///
    /// # Errors
    /// If a shard is behind or down.
    pub async fn delete_group(&self, labels: &GroupLabels) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        match self.groups.find(labels) {
            Some(entry) => self.remove_group(&entry).await,
            None => Ok(()),
        }
    }

    /// The same for one whose time was over, unless it has been pushed to since.
    pub(super) async fn delete_expired_group(&self, entry: &GroupEntry) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        match self.groups.find(&entry.labels).filter(|found| found.group.id == entry.group.id) {
            Some(found) if found.is_expired(self.parts.clock.now()) => self.remove_group(&found).await,
            _ => Ok(()),
        }
    }

    async fn remove_group(&self, entry: &GroupEntry) -> Result<(), Refusal> {
        let shards = &self.parts.shards;
        let held = entry.shards(shards.router().shards());
        let batches: Vec<Batch> = held.iter().map(|_| Batch::default()).collect();
        let places = shards.enter(&batches, |shard| held[shard])?;
        let acknowledgement = {
            let version = shards.timeline().change();
            let parts = places.into_iter().zip(batches).map(|part| (part, 0)).collect();
            let replacement = replacement(entry, Scope::Group, &version);
            self.send_change(parts, &Arc::default(), replacement, self.parts.stored.nothing())?
        };
        self.groups.remove(entry);
        shards.work();
        let is_applied = acknowledgement.is_applied().await;
        self.parts.registry.remove_deserted();
        if is_applied { Ok(()) } else { Err(Refusal::Lost) }
    }

    /// Sets the time of a failed push, and makes the group if there is none. If that cannot be, nothing is said: the push is
    /// refused for a better reason.
    async fn note_failure(&self, push: Push<'_>) {
        loop {
            match self.try_to_note_failure(push).await {
                Ok(Attempt::Stale) => continue,
                Ok(Attempt::Done) => return,
                Err(error) => {
                    tracing::debug!(%error, "the time of a failed push was not noted");
                    return;
                }
            }
        }
    }

    async fn try_to_note_failure(&self, push: Push<'_>) -> Result<Attempt, Refusal> {
        let _turn = self.turn.lock().await;
        let entry = self.groups.find(push.group).unwrap_or_else(|| self.groups.make(push.group));
        let owner = Owner::Group(Arc::clone(&entry.group));
        let times = PushTimes { failure: unix_seconds(), ..entry.times() };
        let pushed = Pushed { door: Door::Replace, labels: push.group, lifetime: None, is_released: &|_| false };
        let mut times_alone = Assembled::nothing(self.parts.shards.router().shards());
        self.add_times(&mut times_alone, push.group, times)?;
        let (notes, inspections) = self.note_and_inspect(&mut times_alone, Door::Replace, &owner).await?;
        let (series, shares) = self.permit_new(&times_alone, &owner, &inspections, 0)?;
        let scope = ScopeOfPush::Families(Vec::new());
        let lifetime = push.lifetime.or(self.parts.lifetimes.group);
        let change = GroupChange { entry: &entry, notes, times, scope, lifetime, series, shares };
        self.apply_to_group(times_alone, pushed, change).await
    }

    /// Adds the group's two times to what a push brings.
    fn add_times(&self, push: &mut Assembled, group: &GroupLabels, times: PushTimes) -> Result<(), Refusal> {
        let limits = self.rules().limits;
        let mut labels = String::new();
        write_canonical(&mut labels, "", group, None, limits.labels).map_err(|fault| {
            let got = Excerpt::words(fault.got());
            PushError::Malformed(DecodeError { place: Place::Line(0), expected: fault.expected(), got })
        })?;
        let router = self.parts.shards.router();
        let hash_of_labels = router.hasher().hash_labels(&labels);
        let rule = push.rules.len() as u32;
        push.rules.push(SeriesRule { numbers: NumberRule::Last, lifetime: None });
        for (family, value) in self.push_times.iter().zip([times.push, times.failure]) {
            let hash = router.series_hash(router.hasher().hash(family.name.as_bytes()), hash_of_labels);
            let index = push.families.len() as u32;
            push.families.push(crate::push::PlannedFamily {
                wanted: Wanted::Known(Seen::now(family)),
                help: None,
                unit: None,
                series: 1,
                has_quoted_labels: group.has_quoted_names(),
                max_series: None,
            });
            let batch = &mut push.batches[router.shard(hash)];
            let series = batch.push_key(hash, index, rule, &labels);
            batch.numbers.push(NumberUpdate { series, value });
        }
        Ok(())
    }
}

/// A change of a group that has been checked.
struct GroupChange<'a> {
    entry: &'a Arc<GroupEntry>,
    /// Of what its families will have.
    notes: Notes<'a>,
    times: PushTimes,
    scope: ScopeOfPush,
    lifetime: Option<Millis>,
    /// For new series, and how many on each shard.
    series: Permit,
    shares: Vec<usize>,
}

/// What a push replaces, before its families have ids.
enum ScopeOfPush {
    Group,
    /// By index into the push's families.
    Families(Vec<usize>),
}

impl ScopeOfPush {
    /// The same by family ids. A family that gives way to one of another kind goes too.
    fn by_id(self, context: &BatchContext, releases: &[Arc<Family>]) -> Scope {
        match self {
            Self::Group => Scope::Group,
            Self::Families(indices) => {
                let brought = indices.iter().filter_map(|index| context.families.get(*index)).map(|family| family.id);
                Scope::of_families(brought.chain(releases.iter().map(|family| family.id)))
            }
        }
    }
}

impl GroupState {
    /// Takes note of a change.
    fn replace(
        &mut self,
        scope: &Scope,
        context: &BatchContext,
        brought: &[bool],
        batches: &[Batch],
        times: PushTimes,
    ) {
        self.families.retain(|id, _| !scope.contains(*id));
        let now = unix_seconds();
        for (family, _) in context.families.iter().zip(brought).filter(|(_, is_brought)| **is_brought) {
            self.families.insert(family.id, (Arc::clone(FamilyUse::family(family)), now));
        }
        self.shards.resize(batches.len(), false);
        for (shard, batch) in self.shards.iter_mut().zip(batches) {
            *shard = !batch.is_empty() || (*shard && !matches!(scope, Scope::Group));
        }
        self.times = times;
    }
}

/// The families that a `POST` replaces, by index: those it has series of. In protobuf a family without any takes the stored one
/// away.
fn replaced_families(push: &Assembled, format: PushFormat) -> Vec<usize> {
    let replaces = |index: &usize| push.families[*index].series > 0 || format == PushFormat::Protobuf;
    (0..push.families.len()).filter(replaces).collect()
}

/// A `POST` leaves the group's other families: it may take names of those alone that it replaces.
fn refuse_names_of_what_stays(push: &Assembled) -> Result<(), PushError> {
    let replaced: HashSet<&str> = push.families.iter().map(|planned| planned.wanted.name()).collect();
    let stays = |family: &&Arc<Family>| !family.is_empty() && !replaced.contains(&*family.name);
    let Some(stays) = push.releases.iter().find(stays) else { return Ok(()) };
    let expected = format!("sample names that {} {} does not have", stays.kind().name(), stays.name);
    let got = Excerpt::words("families that take some of them");
    Err(PushError::NameClash(DecodeError { place: Place::Line(0), expected, got }))
}

/// Whether what a name belongs to is at fault.
fn is_about_names(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Push(PushError::TypeConflict(_) | PushError::NameClash(_)))
}

/// A change of a group, as the shards take it.
fn replacement(entry: &GroupEntry, scope: Scope, version: &Change<'_>) -> Replacement {
    Replacement { group: Arc::clone(&entry.group), scope, version: version.version, shown: Arc::clone(&version.shown) }
}

/// Whether the push could be read and what it holds is at fault, against what is stored or by itself.
fn is_of_store(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Push(PushError::Malformed(_) | PushError::InvalidSample(_)) => false,
        Refusal::Push(_) | Refusal::Collision { .. } | Refusal::Owned { .. } => true,
        Refusal::StoreLimit { .. } | Refusal::Crowded | Refusal::Shard(_) | Refusal::Lost => false,
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
