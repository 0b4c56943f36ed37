//! Pushes to groups: the door `replace`. Changes of groups take turns: each is checked against what the one before has left,
//! and reaches all shards as one version.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Ingest, Push, Refusal, Registration, Scratch};
use crate::aggregate::NumberRule;
use crate::exposition::error::{DecodeError, Excerpt, Place};
use crate::exposition::format::PushFormat;
use crate::groups::{GroupEntry, GroupState};
use crate::model::door::Door;
use crate::model::family::{Family, FamilyUse};
use crate::model::labels::{GroupLabels, write_canonical};
use crate::model::value::Millis;
use crate::push::{Assembled, PushError, Pushed};
use crate::registry::{Seen, Wanted};
use crate::shard::batch::{Batch, BatchContext, NumberUpdate, SeriesRule};
use crate::shard::gate::{Permit, TicketBook};
use crate::shard::owner::Owner;
use crate::shard::table::{Replacement, Scope};

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
            match self.try_to_replace(push, method, scratch).await {
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
    ) -> Result<Attempt, Refusal> {
        let known = self.groups.find(push.group);
        let entry = known.clone().unwrap_or_else(|| self.groups.make(push.group));
        let group = Arc::clone(&entry.group);
        let is_released = move |family: &Family| family.is_empty() || group.holds_all_of(family);
        let pushed = Pushed { door: Door::Replace, labels: push.group, lifetime: None, is_released: &is_released };
        let mut assembled = self.assemble(push, pushed, &mut scratch.borrow_mut())?;
        let samples = assembled.samples;
        if method == GroupMethod::Families {
            refuse_names_of_what_stays(&assembled)?;
        }
        let turn = self.turn.lock().await;
        if self.groups.find(push.group).map(|entry| entry.group.id) != known.as_ref().map(|entry| entry.group.id) {
            return Ok(Attempt::Stale);
        }
        let owner = Owner::Group(Arc::clone(&entry.group));
        let state = entry.state();
        let times = match method {
            GroupMethod::Restored(times) => times,
            GroupMethod::Group | GroupMethod::Families => {
                PushTimes { push: unix_seconds(), failure: state.failure_time }
            }
        };
        let scope = match method {
            GroupMethod::Group | GroupMethod::Restored(_) => ScopeOfPush::Group,
            GroupMethod::Families => ScopeOfPush::Families(replaced_families(&assembled, push.format)),
        };
        self.add_times(&mut assembled, push.group, times)?;
        let inspections = self.note_and_inspect(&mut assembled, Door::Replace, &owner).await?;
        let (series, shares) = self.permit_new(&assembled, &owner, &inspections)?;
        let lifetime = push.lifetime.or(self.parts.lifetimes.group);
        let change = GroupChange { entry: &entry, state, times, scope, lifetime, series, shares };
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
        let GroupChange { entry, mut state, times, scope, lifetime, mut series, shares } = change;
        let shards = &self.parts.shards;
        state.shards.resize(shards.router().shards(), false);
        let places = shards.enter(&push.batches, |shard| state.shards[shard])?;
        let brought: Vec<bool> = push.families.iter().map(|planned| planned.series > 0).collect();
        let Assembled { families, rules, releases, batches, .. } = push;
        let (book, acknowledgement) = TicketBook::new();
        {
            let version = shards.timeline().change();
            let replaced_families = Vec::new();
            let registration = Registration { families, rules, replaced_families, releases: &releases, pushed };
            let Some((context, _view)) = self.register(registration)? else { return Ok(Attempt::Stale) };
            let scope = scope.by_id(&context, &releases);
            state.replace(&scope, &context, &brought, &batches, times);
            let replacement = Replacement {
                group: Arc::clone(&entry.group),
                scope,
                version: version.version,
                shown: Arc::clone(&version.shown),
            };
            for (shard, ((place, batch), share)) in places.into_iter().zip(batches).zip(shares).enumerate() {
                if let Some(place) = place {
                    let ticket = book.ticket(place, series.split(share));
                    let sent = shards.replace(shard, batch, Arc::clone(&context), replacement.clone(), ticket);
                    sent.map_err(|_| Refusal::Lost)?;
                }
            }
        }
        drop((book, series));
        state.deadline = lifetime.map(|lifetime| self.parts.clock.now().saturating_add(lifetime));
        entry.set_state(state);
        self.groups.enter(entry);
        if acknowledgement.is_applied().await { Ok(Attempt::Done) } else { Err(Refusal::Lost) }
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
            Some(found) if found.state().deadline.is_some_and(|deadline| deadline <= self.parts.clock.now()) => {
                self.remove_group(&found).await
            }
            _ => Ok(()),
        }
    }

    async fn remove_group(&self, entry: &GroupEntry) -> Result<(), Refusal> {
        let shards = &self.parts.shards;
        let mut state = entry.state();
        state.shards.resize(shards.router().shards(), false);
        let batches: Vec<Batch> = state.shards.iter().map(|_| Batch::default()).collect();
        let places = shards.enter(&batches, |shard| state.shards[shard])?;
        let mut nothing = self.parts.stored.take(0).ok_or(Refusal::Crowded)?;
        let (book, acknowledgement) = TicketBook::new();
        {
            let version = shards.timeline().change();
            let replacement = Replacement {
                group: Arc::clone(&entry.group),
                scope: Scope::Group,
                version: version.version,
                shown: Arc::clone(&version.shown),
            };
            for (shard, place) in places.into_iter().enumerate() {
                if let Some(place) = place {
                    let ticket = book.ticket(place, nothing.split(0));
                    let sent = shards.replace(shard, Batch::default(), Arc::default(), replacement.clone(), ticket);
                    sent.map_err(|_| Refusal::Lost)?;
                }
            }
        }
        drop(book);
        self.groups.remove(entry);
        if acknowledgement.is_applied().await { Ok(()) } else { Err(Refusal::Lost) }
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
        let state = entry.state();
        let times = PushTimes { push: state.push_time, failure: unix_seconds() };
        let pushed = Pushed { door: Door::Replace, labels: push.group, lifetime: None, is_released: &|_| false };
        let mut times_alone = Assembled::nothing(self.parts.shards.router().shards());
        self.add_times(&mut times_alone, push.group, times)?;
        let inspections = self.note_and_inspect(&mut times_alone, Door::Replace, &owner).await?;
        let (series, shares) = self.permit_new(&times_alone, &owner, &inspections)?;
        let scope = ScopeOfPush::Families(Vec::new());
        let lifetime = push.lifetime.or(self.parts.lifetimes.group);
        let change = GroupChange { entry: &entry, state, times, scope, lifetime, series, shares };
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
    state: GroupState,
    times: PushTimes,
    scope: ScopeOfPush,
    lifetime: Option<Millis>,
    /// For new series, and how many on each shard.
    series: Permit,
    shares: Vec<usize>,
}

/// The values of `push_time_seconds` and `push_failure_time_seconds`: Unix seconds, 0 for never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PushTimes {
    /// Of the last push that succeeded.
    pub push: f64,
    /// Of the last one that failed.
    pub failure: f64,
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
                Scope::Families(brought.chain(releases.iter().map(|family| family.id)).collect())
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
        let keeps = match scope {
            Scope::Group => std::mem::take(&mut self.families).into_iter().filter(|_| false).collect(),
            Scope::Families(ids) => {
                let mut families: HashMap<u32, (Arc<Family>, f64)> = std::mem::take(&mut self.families);
                families.retain(|id, _| !ids.contains(id));
                families
            }
        };
        self.families = keeps;
        let now = unix_seconds();
        for (family, _) in context.families.iter().zip(brought).filter(|(_, is_brought)| **is_brought) {
            self.families.insert(family.id, (Arc::clone(FamilyUse::family(family)), now));
        }
        for (shard, batch) in self.shards.iter_mut().zip(batches) {
            *shard = !batch.is_empty() || (*shard && !matches!(scope, Scope::Group));
        }
        (self.push_time, self.failure_time) = (times.push, times.failure);
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
    let is_replaced = |family: &Family| push.families.iter().any(|planned| *planned.wanted.name() == *family.name);
    let Some(stays) = push.releases.iter().find(|family| !family.is_empty() && !is_replaced(family)) else {
        return Ok(());
    };
    let expected = format!("sample names that {} {} does not have", stays.kind().name(), stays.name);
    let got = Excerpt::words("families that take some of them");
    Err(PushError::NameClash(DecodeError { place: Place::Line(0), expected, got }))
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
