//! The shards as the rest of the house sees them. The only holder of their addresses: an actor's capacity counts for each
//! clone of its address anew, so none is ever cloned.
//!
//! What is asked of a shard takes its place when it is asked, and what was asked before is done before. Batches and inspections
//! are done by [`ShardSet::work`], which whoever asked is to call when it holds no lock any more.

use std::sync::Arc;

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use super::batch::{Batch, BatchContext, Router};
use super::gate::{Budget, Gate, Place, Ticket};
use super::inbox::{Broken, Hand, Inbox, Left};
use super::job::{Job, Shard};
use super::owner::{Group, Owner};
use super::table::{GroupSeries, Inspection, Page, PageRequest, Replacement, Selection};
use super::timeline::Timeline;
use super::{Attendant, Work};
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
    timeline: Arc<Timeline>,
    shards: Vec<ShardHandle>,
}

struct ShardHandle {
    inbox: Arc<Inbox>,
    address: Addr<Attendant>,
    gate: Gate,
    arbiter: ArbiterHandle,
}

impl ShardSet {
    /// Starts `count` shards that together store what `stored` permits. The arbiters are returned so that they can be joined
    /// after [`Self::stop`].
    pub fn start(
        count: usize,
        limits: QueueLimits,
        clock: Clock,
        stored: &Arc<Budget>,
        telemetry: &Telemetry,
    ) -> (Self, Vec<Arbiter>) {
        let router = Router::new(count);
        let arbiters: Vec<Arbiter> = (0..count).map(|_| Arbiter::new()).collect();
        let start = |(index, arbiter): (usize, &Arbiter)| {
            let shard = Shard::new(router.clone(), clock, Arc::clone(stored), telemetry.shard(index));
            let inbox = Arc::new(Inbox::new(shard));
            let attendant = Attendant { inbox: Arc::clone(&inbox) };
            let address = Attendant::start_in_arbiter(&arbiter.handle(), move |_| attendant);
            ShardHandle { inbox, address, gate: Gate::new(limits.batches, limits.bytes), arbiter: arbiter.handle() }
        };
        let shards = arbiters.iter().enumerate().map(start).collect();
        (Self { router, timeline: Arc::default(), shards }, arbiters)
    }

    /// Where series live.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Whether every shard is running.
    pub fn are_up(&self) -> bool {
        self.shards.iter().all(ShardHandle::is_up)
    }

    /// Each shard's gate, to be observed.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.shards.iter().map(|shard| &shard.gate)
    }

    /// The versions of what groups show.
    pub fn timeline(&self) -> &Arc<Timeline> {
        &self.timeline
    }

    /// Places for the batches of a push, all or none; `None` for an empty batch, unless its shard is asked all the same.
    pub fn enter(&self, batches: &[Batch], is_asked: impl Fn(usize) -> bool) -> Result<Vec<Option<Place>>, ShardError> {
        let enter = |(index, (shard, batch)): (usize, (&ShardHandle, &Batch))| {
            if batch.is_empty() && !is_asked(index) {
                return Ok(None);
            }
            shard.gate.enter(batch.bytes()).map(Some).ok_or(ShardError::Full(index))
        };
        self.shards.iter().zip(batches).enumerate().map(enter).collect()
    }

    /// Hands a batch to its shard; the ticket's place is its place on the way.
    pub fn ingest(
        &self,
        shard: usize,
        batch: Batch,
        context: Arc<BatchContext>,
        owner: Owner,
        ticket: Ticket,
    ) -> Result<(), ShardError> {
        self.put(shard, Job::Ingest { batch, context, owner, ticket })
    }

    /// Hands a shard its part of a group's change, alike. All parts are to be handed out while the change is held.
    pub fn replace(
        &self,
        shard: usize,
        batch: Batch,
        context: Arc<BatchContext>,
        change: Replacement,
        ticket: Ticket,
    ) -> Result<(), ShardError> {
        self.put(shard, Job::Replace { batch, context, change, ticket })
    }

    /// Has a batch's series looked up; the answer comes by itself, and the batch with it.
    pub fn inspect(
        &self,
        shard: usize,
        batch: Batch,
        family_ids: Arc<[Option<u32>]>,
        owner: Owner,
    ) -> Result<oneshot::Receiver<(Batch, Inspection)>, ShardError> {
        let (reply, answer) = oneshot::channel();
        self.put(shard, Job::Inspect { batch, family_ids, owner, reply })?;
        Ok(answer)
    }

    /// Does the short jobs that wait, as far as the shards are free; what remains is left to their threads.
    pub fn work(&self) {
        for shard in self.shards.iter().filter(|shard| !shard.inbox.is_empty()) {
            if shard.inbox.work(Hand::Passing) == Ok(Left::Jobs) {
                // Without its thread the shard is down, and readiness says so.
                let _ = shard.call();
            }
        }
    }

    /// Asks for a page; the answer comes by itself.
    pub fn page(&self, shard: usize, request: PageRequest) -> Result<oneshot::Receiver<Page>, ShardError> {
        let (reply, answer) = oneshot::channel();
        self.order(shard, Job::ReadPage { request, reply })?;
        Ok(answer)
    }

    /// Asks for a group's series; the answer comes by itself.
    pub fn group(&self, shard: usize, group: Arc<Group>) -> Result<oneshot::Receiver<Vec<GroupSeries>>, ShardError> {
        let (reply, answer) = oneshot::channel();
        self.order(shard, Job::ReadGroup { group, reply })?;
        Ok(answer)
    }

    /// Removes series from all shards, step by step. Returns how many.
    pub async fn sweep(&self, selection: &Selection) -> Result<usize, ShardError> {
        let mut removed = 0;
        for shard in 0..self.shards.len() {
            let mut next = Some(0);
            while let Some(from) = next {
                let (reply, answer) = oneshot::channel();
                let send = |shown| self.order(shard, Job::Sweep { selection: selection.clone(), from, shown, reply });
                self.timeline.with_shown(send)?;
                let swept = answer.await.map_err(|_| ShardError::Down(shard))?;
                removed += swept.removed;
                next = swept.next;
            }
        }
        Ok(removed)
    }

    /// Makes all shards forget a source that has gone, step by step.
    pub async fn forget_source(&self, source: u32) -> Result<(), ShardError> {
        for shard in 0..self.shards.len() {
            loop {
                let (reply, answer) = oneshot::channel();
                self.order(shard, Job::ForgetSource { source, reply })?;
                if !answer.await.map_err(|_| ShardError::Down(shard))? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Empties all shards.
    pub fn wipe(&self) -> Result<(), ShardError> {
        (0..self.shards.len()).try_for_each(|shard| self.order(shard, Job::Wipe))
    }

    /// Ends the shards' threads when what they have been handed is done.
    pub fn stop(&self) {
        for shard in &self.shards {
            shard.arbiter.stop();
        }
    }

    /// Has a job of any length done by the shard's own thread, behind all that waits.
    fn order(&self, shard: usize, job: Job) -> Result<(), ShardError> {
        self.put(shard, job)?;
        self.shards[shard].call().map_err(|Broken| ShardError::Down(shard))
    }

    fn put(&self, shard: usize, job: Job) -> Result<(), ShardError> {
        let handle = self.shards.get(shard).filter(|handle| handle.is_up()).ok_or(ShardError::Down(shard))?;
        handle.inbox.put(job);
        Ok(())
    }
}

impl ShardHandle {
    fn is_up(&self) -> bool {
        self.inbox.is_whole() && self.address.connected()
    }

    /// Calls the shard's thread, unless it has been called already.
    fn call(&self) -> Result<(), Broken> {
        match self.inbox.call() {
            true => self.address.try_send(Work).map_err(|_| Broken),
            false => Ok(()),
        }
    }
}
