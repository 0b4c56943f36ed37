//! Pushes whose values are merged: the doors `aggregate` and `source`.

use std::cell::RefCell;
use std::sync::Arc;

use super::admit::{Part, Turn, hand_out, may_collide};
use super::{Ingest, Push, Refusal, Registration, Scratch, SourceKey};
use crate::model::door::Door;
use crate::model::family::Family;
use crate::model::labels::GroupLabels;
use crate::model::value::Millis;
use crate::push::templates::TemplateKey;
use crate::push::{Assembled, PushError, Pushed};
use crate::shard::batch::BatchContext;
use crate::shard::gate::{Acknowledgement, Permit};
use crate::shard::owner::{Owner, Source};

/// A source that pushes.
#[derive(Clone, Copy)]
pub(super) struct SourcePush<'a> {
    /// The labels that tell it from others.
    key: &'a str,
    /// How long it lives on.
    lifetime: Option<Millis>,
}

/// A push that the shards have.
pub(super) struct HandedOver(Acknowledgement);

impl HandedOver {
    /// Waits until it has been applied.
    async fn or_lost(self) -> Result<(), Refusal> {
        if self.0.is_applied().await { Ok(()) } else { Err(Refusal::Lost) }
    }
}

impl Ingest {
    /// Takes in one push by the door `aggregate` and returns when it has been applied. `labels` are put on its series.
    ///
    /// # Errors
    /// Refused whole; only [`Refusal::Lost`] may leave a part applied.
    pub async fn aggregate(
        &self,
        push: Push<'_>,
        labels: &GroupLabels,
        scratch: &RefCell<Scratch>,
    ) -> Result<(), Refusal> {
        let pushed =
            Pushed { door: Door::Aggregate, labels, lifetime: push.lifetime, is_released: &Family::binds_nobody };
        let assemble = || self.assemble(push, pushed, &mut scratch.borrow_mut());
        self.merge(assemble, pushed, None).await?.or_lost().await
    }

    /// Takes in one push by the door `source`, alike.
    ///
    /// # Errors
    /// As [`Self::aggregate`].
    pub async fn source(&self, push: Push<'_>, scratch: &RefCell<Scratch>) -> Result<(), Refusal> {
        let labels = GroupLabels::default();
        let pushed = Pushed { door: Door::Source, labels: &labels, lifetime: None, is_released: &Family::binds_nobody };
        let key = self.source_key(push.group);
        let lifetime = push.lifetime.or(self.parts.lifetimes.source);
        let assemble = || self.assemble(push, pushed, &mut scratch.borrow_mut());
        self.merge(assemble, pushed, Some(SourcePush { key: &key, lifetime })).await?.or_lost().await
    }

    pub(super) fn source_key(&self, group: &GroupLabels) -> String {
        match &self.parts.source_key {
            SourceKey::All => group.text(),
            SourceKey::Labels(names) => group.only(names).text(),
        }
    }

    /// Assembles a push until what it was planned on still holds, and hands it to the shards.
    pub(super) async fn merge(
        &self,
        assemble: impl Fn() -> Result<(Assembled, Option<TemplateKey>), PushError>,
        pushed: Pushed<'_>,
        source: Option<SourcePush<'_>>,
    ) -> Result<HandedOver, Refusal> {
        loop {
            let (assembled, template) = assemble()?;
            let samples = assembled.samples;
            let handed_over = self.hand_over(assembled, pushed, source).await;
            // Part of a push that was lost on its way may wait too.
            self.parts.shards.work();
            match handed_over? {
                Some(acknowledgement) => {
                    self.parts.metrics.samples(samples);
                    return Ok(HandedOver(acknowledgement));
                }
                // Another push has changed what was planned on: what was checked may no longer hold.
                None => template.into_iter().for_each(|key| self.templates.forget(key)),
            }
        }
    }

    /// Admits, registers and sends. `None`: what was planned on has changed, begin again.
    async fn hand_over(
        &self,
        mut push: Assembled,
        pushed: Pushed<'_>,
        source: Option<SourcePush<'_>>,
    ) -> Result<Option<Acknowledgement>, Refusal> {
        let owner = self.owner(source);
        let shards = &self.parts.shards;
        let turn = match may_collide(&push, pushed.door) {
            true => Some(self.refuse_collisions(&mut push, pushed.door, &owner).await?),
            false => None,
        };
        // A family that is emptied first is so on every shard.
        let empties = !push.replaced_families.is_empty();
        let places = shards.enter(&push.batches, |_| empties)?;
        let (series, shares) = self.permit_series(&mut push, &owner).await?;
        let (ignored, discarded) = (push.ignored_timestamps, push.discarded_samples);
        let Assembled { families, rules, releases, batches, replaced_families, .. } = push;
        let registration = Registration { families, rules, replaced_families, releases: &releases, pushed };
        let Some((context, view)) = self.register(registration)? else { return Ok(None) };
        // The turn lasts until the push is sent.
        let _turn = turn.map(Turn::keep_notes);
        self.parts.metrics.ignored(ignored, discarded);
        let has_series = places.iter().any(Option::is_some);
        let parts = places.into_iter().zip(batches).zip(shares).collect();
        let sent = match source.filter(|_| has_series) {
            // Alone, so that all shards empty the family before the same pushes.
            None if empties => {
                drop(view);
                let _alone = self.parts.registry.hold();
                self.send(parts, &context, &owner, series)
            }
            None => self.send(parts, &context, &owner, series),
            Some(source) => {
                let deadline = source.lifetime.map(|lifetime| self.parts.clock.now().saturating_add(lifetime));
                self.sources.while_alive(source.key, deadline, |source| {
                    self.send(parts, &context, &Owner::Source(Arc::clone(source)), series)
                })
            }
        };
        sent.map(Some)
    }

    /// Hands each shard its part.
    fn send(
        &self,
        parts: Vec<Part>,
        context: &Arc<BatchContext>,
        owner: &Owner,
        series: Permit,
    ) -> Result<Acknowledgement, Refusal> {
        hand_out(parts, series, |shard, batch, ticket| {
            self.parts.shards.ingest(shard, batch, Arc::clone(context), owner.clone(), ticket)
        })
    }

    /// For whom the push is looked up. A source that is not known has no values yet, whatever its number.
    fn owner(&self, source: Option<SourcePush<'_>>) -> Owner {
        let Some(source) = source else { return Owner::Everyone };
        let unknown = || Arc::new(Source::new(u32::MAX));
        Owner::Source(self.sources.find(source.key).unwrap_or_else(unknown))
    }
}
