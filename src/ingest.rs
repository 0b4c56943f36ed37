//! The way of a push, whatever door or socket it came by: decode, assemble, admit, register, hand to the shards, wait.
//! Until the shards are handed their batches anything may refuse the push; after that nothing does.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::aggregate::NumberRule;
use crate::exposition::decode;
use crate::exposition::decoded::Decoded;
use crate::exposition::error::Excerpt;
use crate::exposition::format::PushFormat;
use crate::model::door::Door;
use crate::model::family::FamilyUse;
use crate::model::labels::GroupLabels;
use crate::push::{Assembled, Assembler, PlannedFamily, PushError, PushRules, Pushed};
use crate::registry::{CommitError, Registry, View, Wanted};
use crate::shard::batch::{Batch, BatchContext, SeriesRule};
use crate::shard::gate::{Acknowledgement, Budget, Permit, TicketBook};
use crate::shard::route::{ShardError, ShardSet};
use crate::shard::table::{Collision, Inspection};
use crate::telemetry::IngestMetrics;

/// How many series and families may be stored. Known series go on being updated when a limit is reached.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// In all.
    pub series: usize,
    /// Series of one family. Pushes that race each other may exceed it by what they bring at once.
    pub series_per_family: usize,
}

/// Why a push is refused; nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The push itself is at fault.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A series that escaping makes equal to a stored one.
    #[error("expected series that differ when escaped, got {pushed} beside {stored}")]
    Collision {
        /// The refused series.
        pushed: Excerpt,
        /// The one it would be mixed up with.
        stored: Excerpt,
    },
    /// A limit of what is stored.
    #[error("expected at most {limit} {what}, got {got} more")]
    StoreLimit {
        /// Series, series of one family, or families.
        what: String,
        /// How many may be stored.
        limit: usize,
        /// New ones in the push.
        got: usize,
    },
    /// Close to the limit of series, other pushes hold permits that they will mostly give back.
    #[error("other pushes are being counted against the limit of series, try again later")]
    Crowded,
    /// A shard is behind, or down.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A shard failed while it was applying the push: other shards may have applied their part.
    #[error("a shard failed while it applied the push")]
    Lost,
}

/// Scratch of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    decoded: Decoded,
    /// Text of a body that is none itself.
    arena: Vec<u8>,
    assembler: Assembler,
}

/// Takes pushes in. Shared by all workers.
pub struct Ingest {
    registry: Arc<Registry>,
    shards: Arc<ShardSet>,
    rules: PushRules,
    limits: StoreLimits,
    series: Arc<Budget>,
    /// Held by a push that may collide, while it looks and is sent.
    collision_turn: Mutex<()>,
    metrics: IngestMetrics,
}

impl Ingest {
    /// Takes pushes in by `rules` and hands them to `shards`.
    pub fn new(
        registry: Arc<Registry>,
        shards: Arc<ShardSet>,
        rules: PushRules,
        limits: StoreLimits,
        metrics: IngestMetrics,
    ) -> Self {
        Self {
            registry,
            shards,
            rules,
            limits,
            series: Budget::new(limits.series),
            collision_turn: Mutex::new(()),
            metrics,
        }
    }

    /// Stored series, and series being admitted.
    pub fn series(&self) -> usize {
        self.series.taken()
    }

    /// Whether aggregated gauges of this name show a window.
    pub fn has_windows(&self, _family: &str) -> bool {
        matches!(NumberRule::of_gauges(self.rules.gauges.aggregate), NumberRule::Window(_))
    }

    /// Takes in one push and returns when it has been applied.
    ///
    /// # Errors
    /// Refused whole; only [`Refusal::Lost`] may leave a part applied.
    pub async fn push(
        &self,
        format: PushFormat,
        body: &[u8],
        group: &GroupLabels,
        scratch: &RefCell<Scratch>,
    ) -> Result<(), Refusal> {
        loop {
            let assembled = self.assemble(format, body, group, &mut scratch.borrow_mut())?;
            let samples = assembled.samples;
            match self.hand_over(assembled).await? {
                Some(acknowledgement) => {
                    self.metrics.samples(samples);
                    return if acknowledgement.is_applied().await { Ok(()) } else { Err(Refusal::Lost) };
                }
                // Another push has changed the register since: what was checked may no longer hold.
                None => continue,
            }
        }
    }

    fn assemble(
        &self,
        format: PushFormat,
        body: &[u8],
        group: &GroupLabels,
        scratch: &mut Scratch,
    ) -> Result<Assembled, PushError> {
        const USUAL_TEXT: usize = 1 << 20;
        let Scratch { decoded, arena, assembler } = scratch;
        let router = self.shards.router();
        let pushed = Pushed { door: Door::Aggregate, labels: group, lifetime: None, is_released: &|_| false };
        let assembled = match decode(format, body, &self.rules.limits, router.hasher(), arena, decoded) {
            Ok(text) => assembler.assemble(text, decoded, pushed, &self.rules, &self.registry, router),
            Err(error) => Err(PushError::Malformed(error)),
        };
        decoded.shrink();
        assembler.shrink();
        if arena.len() > USUAL_TEXT {
            *arena = Vec::new();
        }
        assembled
    }

    /// Admits, registers and sends. `None`: the register has changed, begin again.
    async fn hand_over(&self, mut push: Assembled) -> Result<Option<Acknowledgement>, Refusal> {
        let places = self.shards.enter(&push.batches)?;
        let _turn = match push.may_collide() {
            true => Some(self.refuse_collisions(&mut push).await?),
            false => None,
        };
        let (mut series, shares) = self.permit_series(&mut push).await?;
        let Assembled { families, rules, batches, .. } = push;
        let Some((context, _view)) = self.register(families, rules)? else { return Ok(None) };
        self.metrics.ignored(push.ignored_timestamps, push.discarded_samples);
        let (book, acknowledgement) = TicketBook::new();
        for (shard, ((place, batch), share)) in places.into_iter().zip(batches).zip(shares).enumerate() {
            if let Some(place) = place {
                let ticket = book.ticket(place, series.split(share));
                self.shards.ingest(shard, batch, Arc::clone(&context), ticket).map_err(|_| Refusal::Lost)?;
            }
        }
        Ok(Some(acknowledgement))
    }

    /// Refuses a series that escaping makes equal to a stored one. Such pushes take turns from here until they are sent:
    /// each then sees what the one before has brought. Others cannot collide, or are stale.
    async fn refuse_collisions(&self, push: &mut Assembled) -> Result<MutexGuard<'_, ()>, Refusal> {
        let turn = self.collision_turn.lock().await;
        let quoted = push.families.iter().filter(|planned| planned.has_quoted_labels);
        let noted = self.registry.note_quoted_labels(quoted.filter_map(|planned| planned.wanted.family()));
        let inspections = self.inspect(push).await?;
        if let Some(collision) = inspections.into_iter().find_map(|inspection| inspection.collision) {
            self.registry.forget_quoted_labels(&noted);
            let Collision { family, pushed, stored } = collision;
            let series = |labels| Excerpt::words(format!("{}{{{labels}}}", push.families[family].wanted.name()));
            return Err(Refusal::Collision { pushed: series(pushed), stored: series(stored) });
        }
        push.families.iter_mut().for_each(|planned| planned.wanted.see_quoted_labels());
        Ok(turn)
    }

    /// Permits the push's series, in all and for each shard. Far from the limits each series is taken to be new, and what
    /// was stored already is given back by the shards; close to them the shards are asked first.
    async fn permit_series(&self, push: &mut Assembled) -> Result<(Permit, Vec<usize>), Refusal> {
        let fits_family = |planned: &PlannedFamily| {
            planned.wanted.family().map_or(0, |family| family.series()) + planned.series
                <= self.limits.series_per_family
        };
        if push.families.iter().all(fits_family)
            && let Some(permit) = self.series.take(push.series())
        {
            return Ok((permit, push.batches.iter().map(Batch::len).collect()));
        }
        let new: Vec<Vec<usize>> = self.inspect(push).await?.into_iter().map(|inspection| inspection.new).collect();
        for (index, planned) in push.families.iter().enumerate() {
            let stored = planned.wanted.family().map_or(0, |family| family.series());
            let got: usize = new.iter().map(|shard| shard[index]).sum();
            if got > 0 && stored + got > self.limits.series_per_family {
                let what = format!("series of {}", planned.wanted.name());
                return Err(Refusal::StoreLimit { what, limit: self.limits.series_per_family, got });
            }
        }
        let shares: Vec<usize> = new.iter().map(|shard| shard.iter().sum()).collect();
        let got = shares.iter().sum();
        match self.series.take(got) {
            Some(permit) => Ok((permit, shares)),
            None if self.series.kept() + got <= self.series.limit() => Err(Refusal::Crowded),
            None => Err(Refusal::StoreLimit { what: "series".to_owned(), limit: self.series.limit(), got }),
        }
    }

    /// What each shard knows of its part of the push; shards without a part are not asked.
    async fn inspect(&self, push: &mut Assembled) -> Result<Vec<Inspection>, ShardError> {
        let ids: Arc<[Option<u32>]> =
            push.families.iter().map(|planned| planned.wanted.family().map(|family| family.id)).collect();
        let mut answers = Vec::with_capacity(push.batches.len());
        for (shard, batch) in push.batches.iter_mut().enumerate() {
            let is_asked = !batch.is_empty();
            answers.push(match is_asked {
                true => Some(self.shards.inspect(shard, std::mem::take(batch), Arc::clone(&ids))?),
                false => None,
            });
        }
        let mut inspections = Vec::with_capacity(answers.len());
        for (shard, (batch, answer)) in push.batches.iter_mut().zip(answers).enumerate() {
            inspections.push(match answer {
                Some(answer) => {
                    let (back, inspection) = answer.await.map_err(|_| ShardError::Down(shard))?;
                    *batch = back;
                    inspection
                }
                None => Inspection { new: vec![0; ids.len()], collision: None },
            });
        }
        Ok(inspections)
    }

    /// Enters the push's families. From here on the push is accepted; hold the view until it is sent.
    fn register(&self, planned: Vec<PlannedFamily>, rules: Vec<SeriesRule>) -> Result<Option<Registered<'_>>, Refusal> {
        let (wanted, rest): (Vec<Wanted>, Vec<_>) =
            planned.into_iter().map(|planned| (planned.wanted, (planned.help, planned.unit))).unzip();
        let (families, view) = match self.registry.commit(wanted) {
            Ok(committed) => committed,
            Err(CommitError::Stale) => return Ok(None),
            Err(CommitError::TooMany { limit, got }) => {
                return Err(Refusal::StoreLimit { what: "families".to_owned(), limit, got });
            }
        };
        let registered = families.into_iter().zip(rest).map(|(family, (help, unit))| {
            if let Some(unit) = unit {
                family.set_unit(&unit);
            }
            if help.is_some_and(|help| !family.set_help(&help)) {
                self.metrics.help_changed();
            }
            FamilyUse::begin(&family)
        });
        Ok(Some((Arc::new(BatchContext { families: registered.collect(), rules }), view)))
    }
}

/// A push's families, and the register while they are the newest in it.
type Registered<'r> = (Arc<BatchContext>, View<'r>);
