//! What can be asked of a shard, and how it is done. Nothing here waits, or touches a file or socket.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::batch::{Batch, BatchContext, Router};
use super::gate::{Budget, Ticket};
use super::owner::{Group, Owner};
use super::table::{GroupSeries, Inspection, Page, PageRequest, Replacement, Selection, Swept, Table, drop_elsewhere};
use super::timeline::ShownVersions;
use crate::clock::Clock;
use crate::telemetry::ShardMetrics;

/// One thing to be done. Whoever waits for an answer may have given up meanwhile.
#[derive(Debug)]
pub(super) enum Job {
    /// Merge a batch of everyone's or of a source's, then redeem its ticket.
    Ingest { batch: Batch, context: Arc<BatchContext>, owner: Owner, ticket: Ticket },
    /// Replace what a group shows by the batch, then redeem the ticket.
    Replace { batch: Batch, context: Arc<BatchContext>, change: Replacement, ticket: Ticket },
    /// Look the batch's series up, and change nothing. A family without an id is new, and so are its series. The batch comes
    /// back with the answer.
    Inspect { batch: Batch, family_ids: Arc<[Option<u32>]>, owner: Owner, reply: oneshot::Sender<(Batch, Inspection)> },
    /// Encode a page of the exposition.
    ReadPage { request: PageRequest, reply: oneshot::Sender<Page> },
    /// Show all series of a group.
    ReadGroup { group: Arc<Group>, reply: oneshot::Sender<Vec<GroupSeries>> },
    /// Remove series from this slot on, one bounded step, and forget what none of the running scrapes shows.
    Sweep { selection: Selection, from: u32, shown: ShownVersions, reply: oneshot::Sender<Swept> },
    /// Forget values of a source that has gone, one bounded step; the answer is whether there is more.
    ForgetSource { source: u32, reply: oneshot::Sender<bool> },
    /// Remove everything.
    Wipe,
}

impl Job {
    /// Whether its time depends on a push alone: mostly it takes microseconds, and is not worth waking a thread for.
    pub fn is_short(&self) -> bool {
        matches!(self, Self::Ingest { .. } | Self::Replace { .. } | Self::Inspect { .. })
    }

    /// Series that it changes or looks up, roughly: what its time depends on.
    pub fn series(&self) -> usize {
        match self {
            Self::Ingest { batch, .. } | Self::Inspect { batch, .. } => batch.len(),
            Self::Replace { batch, change, .. } => batch.len() + change.group.series(),
            _ => 0,
        }
    }
}

/// The series of one shard, and what is counted of them.
pub(super) struct Shard {
    table: Table,
    clock: Clock,
    /// What may be stored on all shards.
    stored: Arc<Budget>,
    metrics: ShardMetrics,
}

impl Shard {
    /// An empty shard.
    pub fn new(router: Router, clock: Clock, stored: Arc<Budget>, metrics: ShardMetrics) -> Self {
        Self { table: Table::new(router), clock, stored, metrics }
    }

    /// Does one job.
    pub fn run(&mut self, job: Job) {
        const VALUES_A_STEP: usize = 4096;
        let now = self.clock.now();
        match job {
            Job::Ingest { batch, context, owner, ticket } => {
                self.change(context, ticket, |table, context| table.apply(batch, context, &owner, now));
            }
            Job::Replace { batch, context, change, ticket } => {
                self.change(context, ticket, |table, context| table.replace(batch, context, &change, now));
            }
            Job::Inspect { batch, family_ids, owner, reply } => {
                let inspection = self.table.inspect(&batch, &family_ids, &owner);
                let _ = reply.send((batch, inspection));
            }
            Job::ReadPage { request, reply } => _ = reply.send(self.table.page(&request, now)),
            Job::ReadGroup { group, reply } => _ = reply.send(self.table.group(&group)),
            Job::Sweep { selection, from, shown, reply } => {
                let swept = self.remove(|table| {
                    table.forget_past(&shown);
                    table.sweep(&selection, from, now)
                });
                let _ = reply.send(swept);
            }
            Job::ForgetSource { source, reply } => {
                let _ = reply.send(self.remove(|table| table.forget_source(source, VALUES_A_STEP)));
            }
            Job::Wipe => drop_elsewhere(self.remove(Table::take)),
        }
    }

    /// Applies a change and redeems its ticket; what was removed is given back.
    fn change(&mut self, context: Arc<BatchContext>, ticket: Ticket, change: impl FnOnce(&mut Table, &BatchContext)) {
        let start = Instant::now();
        let before = self.table.len();
        change(&mut self.table, &context);
        let after = self.table.len();
        self.metrics.merged(start.elapsed(), after);
        self.stored.give_back(before.saturating_sub(after));
        // Whoever waits for the push may rely on its families being out of use.
        drop(context);
        ticket.redeem(after.saturating_sub(before));
    }

    /// Removes series; their places are given back.
    fn remove<T>(&mut self, remove: impl FnOnce(&mut Table) -> T) -> T {
        let before = self.table.len();
        let outcome = remove(&mut self.table);
        self.stored.give_back(before.saturating_sub(self.table.len()));
        self.metrics.stored(self.table.len());
        outcome
    }
}
