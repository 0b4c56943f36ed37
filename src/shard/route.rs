//! The shards as the rest of the house sees them. The only holder of their addresses: an actor's capacity counts for each
//! clone of its address anew, so none is ever cloned.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use super::batch::{Batch, BatchContext, Router};
use super::gate::{Gate, Place, Ticket};
use super::table::{Inspection, Page, PageRequest};
use super::{Ingest, Inspect, ReadPage, Shard};
use crate::clock::Clock;
use crate::telemetry::Telemetry;

/// How much may be on its way to one shard.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Batches.
    pub batches: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Messages beyond batches that a mailbox takes: a scrape has up to two in each.
const MAILBOX_SPARE: usize = 4096;

/// Why a shard did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Too much is on its way to it.
    #[error("shard {0} has a full queue")]
    Full(usize),
    /// It has stopped; only a fault or the end of the process does that.
    #[error("shard {0} is down")]
    Down(usize),
}

/// All shards, each on a thread of its own.
pub struct ShardSet {
    router: Router,
    shards: Vec<ShardHandle>,
}

struct ShardHandle {
    address: Addr<Shard>,
    gate: Gate,
    arbiter: ArbiterHandle,
}

impl ShardSet {
    /// Starts `count` shards. The arbiters are returned so that they can be joined after [`Self::stop`].
    pub fn start(count: usize, limits: QueueLimits, clock: Clock, telemetry: &Telemetry) -> (Self, Vec<Arbiter>) {
        let arbiters: Vec<Arbiter> = (0..count).map(|_| Arbiter::new()).collect();
        let start = |(index, arbiter): (usize, &Arbiter)| {
            let metrics = telemetry.shard(index);
            let address = Shard::start_in_arbiter(&arbiter.handle(), move |_| {
                Shard::new(clock, metrics, limits.batches.saturating_add(MAILBOX_SPARE))
            });
            ShardHandle { address, gate: Gate::new(limits.batches, limits.bytes), arbiter: arbiter.handle() }
        };
        let shards = arbiters.iter().enumerate().map(start).collect();
        (Self { router: Router::new(count), shards }, arbiters)
    }

    /// Where series live.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Whether every shard is running.
    pub fn are_up(&self) -> bool {
        self.shards.iter().all(|shard| shard.address.connected())
    }

    /// Each shard's gate, to be observed.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.shards.iter().map(|shard| &shard.gate)
    }

    /// Places for the batches of a push, all or none; `None` for an empty batch.
    pub fn enter(&self, batches: &[Batch]) -> Result<Vec<Option<Place>>, ShardError> {
        let enter = |(index, (shard, batch)): (usize, (&ShardHandle, &Batch))| {
            if batch.is_empty() {
                return Ok(None);
            }
            shard.gate.enter(batch.bytes()).map(Some).ok_or(ShardError::Full(index))
        };
        self.shards.iter().zip(batches).enumerate().map(enter).collect()
    }

    /// Hands a batch to its shard. With a ticket's place there is always room.
    pub fn ingest(
        &self,
        shard: usize,
        batch: Batch,
        context: Arc<BatchContext>,
        ticket: Ticket,
    ) -> Result<(), ShardError> {
        self.send(shard, Ingest { batch, context, ticket })
    }

    /// Looks a batch's series up; the answer comes by itself, and the batch with it.
    pub fn inspect(
        &self,
        shard: usize,
        batch: Batch,
        family_ids: Arc<[Option<u32>]>,
    ) -> Result<oneshot::Receiver<(Batch, Inspection)>, ShardError> {
        let (reply, answer) = oneshot::channel();
        self.send(shard, Inspect { batch, family_ids, reply })?;
        Ok(answer)
    }

    /// Asks for a page; the answer comes by itself.
    pub fn page(&self, shard: usize, request: PageRequest) -> Result<oneshot::Receiver<Page>, ShardError> {
        let (reply, answer) = oneshot::channel();
        self.send(shard, ReadPage { request, reply })?;
        Ok(answer)
    }

    /// Ends the shards' threads when what they have been handed is done.
    pub fn stop(&self) {
        for shard in &self.shards {
            shard.arbiter.stop();
        }
    }

    fn send<M>(&self, shard: usize, message: M) -> Result<(), ShardError>
    where
        M: Message<Result = ()> + Send + 'static,
        Shard: Handler<M>,
        <Shard as Actor>::Context: ToEnvelope<Shard, M>,
    {
        let handle = self.shards.get(shard).ok_or(ShardError::Down(shard))?;
        handle.address.try_send(message).map_err(|error| match error {
            actix::prelude::SendError::Full(_) => ShardError::Full(shard),
            actix::prelude::SendError::Closed(_) => ShardError::Down(shard),
        })
    }
}
