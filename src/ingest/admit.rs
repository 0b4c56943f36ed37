//! Admission of a push that has been planned: its series must not meet others, and there must be room for them.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::{Ingest, Refusal};
use crate::exposition::error::Excerpt;
use crate::model::door::Door;
use crate::model::family::FamilyTraits;
use crate::push::{Assembled, PlannedFamily};
use crate::registry::Notes;
use crate::shard::batch::Batch;
use crate::shard::gate::{Acknowledgement, Permit, Place, Ticket, TicketBook};
use crate::shard::owner::Owner;
use crate::shard::route::ShardError;
use crate::shard::table::{Collision, Inspection, Objection};

/// The turn of a push whose series may meet others.
pub(super) struct Turn<'i> {
    /// Taken back, unless they are kept, before the next one's turn.
    notes: Notes<'i>,
    turn: MutexGuard<'i, ()>,
}

impl<'i> Turn<'i> {
    /// The push is accepted: what was noted for it is so.
    pub fn keep_notes(self) -> MutexGuard<'i, ()> {
        self.notes.keep();
        self.turn
    }
}

/// Whether a series of the push may meet a stored one that is not its own.
pub(super) fn may_collide(push: &Assembled, door: Door) -> bool {
    push.families.iter().any(|planned| traits(planned, door).and(planned.wanted.traits()).may_collide(door))
}

/// What the push brings to a family.
fn traits(planned: &PlannedFamily, door: Door) -> FamilyTraits {
    let own = FamilyTraits::of_door(door);
    if planned.has_quoted_labels { own.and(FamilyTraits::QUOTED_LABELS) } else { own }
}

impl Ingest {
    /// Refuses a series that is another's, or that escaping makes equal to a stored one. Such pushes take turns from here until
    /// they are sent: each then sees what the one before has brought. Others cannot collide, or are stale.
    pub(super) async fn refuse_collisions(
        &self,
        push: &mut Assembled,
        door: Door,
        owner: &Owner,
    ) -> Result<Turn<'_>, Refusal> {
        let turn = self.turn.lock().await;
        let (notes, _) = self.note_and_inspect(push, door, owner).await?;
        Ok(Turn { notes, turn })
    }

    /// The same in a turn that is held already. Also returns what the shards know of the push.
    pub(super) async fn note_and_inspect(
        &self,
        push: &mut Assembled,
        door: Door,
        owner: &Owner,
    ) -> Result<(Notes<'_>, Vec<Inspection>), Refusal> {
        let known = push.families.iter().filter_map(|planned| Some((planned.wanted.family()?, traits(planned, door))));
        let notes = self.parts.registry.note_traits(known);
        let inspections = self.inspect(push, owner).await?;
        if let Some(objection) = inspections.iter().find_map(|inspection| inspection.objection.as_ref()) {
            return Err(refusal(push.families[objection.family].wanted.name(), objection));
        }
        push.families.iter_mut().for_each(|planned| planned.wanted.see_traits());
        Ok((notes, inspections))
    }

    /// Permits the push's series, in all and for each shard. Far from the limits each series is taken to be new, and what
    /// was stored already is given back by the shards; close to them the shards are asked first.
    pub(super) async fn permit_series(
        &self,
        push: &mut Assembled,
        owner: &Owner,
    ) -> Result<(Permit, Vec<usize>), Refusal> {
        // A source's value counts besides its series.
        let each = if matches!(owner, Owner::Source(_)) { 2 } else { 1 };
        let fits_family = |planned: &PlannedFamily| stored(planned) + planned.series <= self.limit_of(planned);
        let fits_source = match owner {
            Owner::Source(source) => source.series() + push.series() <= self.parts.limits.series_per_source,
            Owner::Everyone | Owner::Group(_) => true,
        };
        if fits_source
            && push.families.iter().all(fits_family)
            && let Some(permit) = self.parts.stored.take(each * push.series())
        {
            return Ok((permit, push.batches.iter().map(|batch| each * batch.len()).collect()));
        }
        let inspections = self.inspect(push, owner).await?;
        self.permit_new(push, owner, &inspections, 0)
    }

    /// Permits what is new in the push, less the series that `go` for it.
    pub(super) fn permit_new(
        &self,
        push: &Assembled,
        owner: &Owner,
        inspections: &[Inspection],
        go: usize,
    ) -> Result<(Permit, Vec<usize>), Refusal> {
        for (index, planned) in push.families.iter().enumerate() {
            let got: usize = inspections.iter().map(|shard| shard.new[index]).sum();
            let limit = self.limit_of(planned);
            if got > 0 && stored(planned) + got > limit {
                return Err(Refusal::StoreLimit { what: format!("series of {}", planned.wanted.name()), limit, got });
            }
        }
        let mut shares: Vec<usize> = inspections.iter().map(|shard| shard.new.iter().sum()).collect();
        if let Owner::Source(source) = owner {
            let got: usize = inspections.iter().map(|shard| shard.new_of_source).sum();
            let limit = self.parts.limits.series_per_source;
            if got > 0 && source.series() + got > limit {
                return Err(Refusal::StoreLimit { what: "series of one source".to_owned(), limit, got });
            }
            shares.iter_mut().zip(inspections).for_each(|(share, shard)| *share += shard.new_of_source);
        }
        let (stored, got) = (&self.parts.stored, shares.iter().sum::<usize>().saturating_sub(go));
        match stored.take(got) {
            Some(permit) => Ok((permit, shares)),
            None if stored.kept() + got <= stored.limit() => Err(Refusal::Crowded),
            None => Err(Refusal::StoreLimit { what: "series".to_owned(), limit: stored.limit(), got }),
        }
    }

    /// Series that the family may have.
    fn limit_of(&self, planned: &PlannedFamily) -> usize {
        let limit = self.parts.limits.series_per_family;
        planned.max_series.map_or(limit, |most| most.min(limit))
    }

    /// What each shard knows of its part of the push; shards without a part are not asked.
    async fn inspect(&self, push: &mut Assembled, owner: &Owner) -> Result<Vec<Inspection>, ShardError> {
        let ids: Arc<[Option<u32>]> =
            push.families.iter().map(|planned| planned.wanted.family().map(|family| family.id)).collect();
        let shards = &self.parts.shards;
        let mut answers = Vec::with_capacity(push.batches.len());
        for (shard, batch) in push.batches.iter_mut().enumerate() {
            let is_asked = !batch.is_empty();
            answers.push(match is_asked {
                true => Some(shards.inspect(shard, std::mem::take(batch), Arc::clone(&ids), owner.clone())?),
                false => None,
            });
        }
        shards.work();
        let mut inspections = Vec::with_capacity(answers.len());
        for (shard, (batch, answer)) in push.batches.iter_mut().zip(answers).enumerate() {
            inspections.push(match answer {
                Some(answer) => {
                    let (back, inspection) = answer.await.map_err(|_| ShardError::Down(shard))?;
                    *batch = back;
                    inspection
                }
                None => Inspection::of_nothing(ids.len()),
            });
        }
        Ok(inspections)
    }
}

/// What one shard is handed: a place on its way, if it is asked at all, and its batch; and how many series it may create.
pub(super) type Part = ((Option<Place>, Batch), usize);

/// Hands out all parts of a push; `send` gives one to its shard.
pub(super) fn hand_out(
    parts: Vec<Part>,
    mut series: Permit,
    send: impl Fn(usize, Batch, Ticket) -> Result<(), ShardError>,
) -> Result<Acknowledgement, Refusal> {
    let (book, acknowledgement) = TicketBook::new();
    for (shard, ((place, batch), share)) in parts.into_iter().enumerate() {
        if let Some(place) = place {
            send(shard, batch, book.ticket(place, series.split(share))).map_err(|_| Refusal::Lost)?;
        }
    }
    Ok(acknowledgement)
}

/// Stored series of a planned family.
fn stored(planned: &PlannedFamily) -> usize {
    planned.wanted.family().map_or(0, |family| family.series())
}

fn refusal(family: &str, Objection { pushed, collision, .. }: &Objection) -> Refusal {
    let series = |labels: &str| match labels {
        "" => Excerpt::words(family),
        labels => Excerpt::words(format!("{family}{{{labels}}}")),
    };
    match collision {
        Collision::Twin(stored) => Refusal::Collision { pushed: series(pushed), stored: series(stored) },
        Collision::Owner(owner) => Refusal::Owned { pushed: series(pushed), owner: Excerpt::words(owner.clone()) },
    }
}
