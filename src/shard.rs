//! A shard: the actor that alone owns a slice of the series. Its handlers call plain methods of its table and answer; they
//! never wait, and touch no file or socket.

pub mod batch;
pub mod gate;
pub mod owner;
pub mod route;
pub mod table;
pub mod timeline;

use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::telemetry::ShardMetrics;
use batch::{Batch, BatchContext, Router};
use gate::{Budget, Ticket};
use owner::{Group, Owner};
use table::{GroupSeries, Inspection, Page, PageRequest, Replacement, Selection, Swept, Table, drop_elsewhere};
use timeline::ShownVersions;

/// Merge a batch, then redeem its ticket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ingest {
    /// The shard's part of a push.
    pub batch: Batch,
    /// What the batch refers to.
    pub context: Arc<BatchContext>,
    /// Who pushes; not a group.
    pub owner: Owner,
    /// Acknowledges the batch.
    pub ticket: Ticket,
}

/// Replace what a group shows, then redeem the ticket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Replace {
    /// The shard's part of what the group shows now.
    pub batch: Batch,
    /// What the batch refers to.
    pub context: Arc<BatchContext>,
    /// Which group, and what of it goes.
    pub change: Replacement,
    /// Acknowledges the change.
    pub ticket: Ticket,
}

/// Look the batch's series up, and change nothing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Inspect {
    /// The shard's part of a push.
    pub batch: Batch,
    /// The families' ids; a family without one is new, and so are its series.
    pub family_ids: Arc<[Option<u32>]>,
    /// Who pushes.
    pub owner: Owner,
    /// The batch comes back with the answer.
    pub reply: oneshot::Sender<(Batch, Inspection)>,
}

/// Encode a page of the exposition.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadPage {
    /// Which page.
    pub request: PageRequest,
    /// Takes the page.
    pub reply: oneshot::Sender<Page>,
}

/// Show all series of a group.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadGroup {
    /// Which one.
    pub group: Arc<Group>,
    /// Takes them.
    pub reply: oneshot::Sender<Vec<GroupSeries>>,
}

/// Remove series, one bounded step.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Sweep {
    /// Which ones.
    pub selection: Selection,
    /// The slot that the step begins at.
    pub from: u32,
    /// The versions that running scrapes show; what no scrape shows is forgotten.
    pub shown: ShownVersions,
    /// Takes what was done.
    pub reply: oneshot::Sender<Swept>,
}

/// Forget values of a source that has gone, one bounded step.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ForgetSource {
    /// Its id.
    pub source: u32,
    /// Takes whether there is more to forget.
    pub reply: oneshot::Sender<bool>,
}

/// Remove everything.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wipe;

/// The actor; alone on its thread.
pub struct Shard {
    table: Table,
    clock: Clock,
    /// What may be stored on all shards.
    stored: Arc<Budget>,
    metrics: ShardMetrics,
    mailbox_capacity: usize,
}

impl Shard {
    /// An empty shard. `mailbox_capacity` is beyond what the shard's gate lets through.
    pub fn new(
        router: Router,
        clock: Clock,
        stored: Arc<Budget>,
        metrics: ShardMetrics,
        mailbox_capacity: usize,
    ) -> Self {
        Self { table: Table::new(router), clock, stored, metrics, mailbox_capacity }
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

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<Ingest> for Shard {
    type Result = ();

    fn handle(&mut self, Ingest { batch, context, owner, ticket }: Ingest, _: &mut Self::Context) {
        let now = self.clock.now();
        self.change(context, ticket, |table, context| table.apply(batch, context, &owner, now));
    }
}

impl Handler<Replace> for Shard {
    type Result = ();

    fn handle(&mut self, Replace { batch, context, change, ticket }: Replace, _: &mut Self::Context) {
        let now = self.clock.now();
        self.change(context, ticket, |table, context| table.replace(batch, context, &change, now));
    }
}

impl Handler<Inspect> for Shard {
    type Result = ();

    fn handle(&mut self, Inspect { batch, family_ids, owner, reply }: Inspect, _: &mut Self::Context) {
        let inspection = self.table.inspect(&batch, &family_ids, &owner);
        // The push may have been given up meanwhile.
        let _ = reply.send((batch, inspection));
    }
}

impl Handler<ReadPage> for Shard {
    type Result = ();

    fn handle(&mut self, ReadPage { request, reply }: ReadPage, _: &mut Self::Context) {
        let page = self.table.page(&request, self.clock.now());
        // The scrape may have been given up meanwhile.
        let _ = reply.send(page);
    }
}

impl Handler<ReadGroup> for Shard {
    type Result = ();

    fn handle(&mut self, ReadGroup { group, reply }: ReadGroup, _: &mut Self::Context) {
        let _ = reply.send(self.table.group(&group));
    }
}

impl Handler<Sweep> for Shard {
    type Result = ();

    fn handle(&mut self, Sweep { selection, from, shown, reply }: Sweep, _: &mut Self::Context) {
        let now = self.clock.now();
        let swept = self.remove(|table| {
            table.forget_past(&shown);
            table.sweep(&selection, from, now)
        });
        let _ = reply.send(swept);
    }
}

impl Handler<ForgetSource> for Shard {
    type Result = ();

    fn handle(&mut self, ForgetSource { source, reply }: ForgetSource, _: &mut Self::Context) {
        const VALUES_A_STEP: usize = 4096;
        let has_more = self.remove(|table| table.forget_source(source, VALUES_A_STEP));
        let _ = reply.send(has_more);
    }
}

impl Handler<Wipe> for Shard {
    type Result = ();

    fn handle(&mut self, _: Wipe, _: &mut Self::Context) {
        drop_elsewhere(self.remove(Table::take));
    }
}
