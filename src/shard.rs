//! A shard: the actor that alone owns a slice of the series. Its handlers call plain methods of its table and answer; they
//! never wait, and touch no file or socket.

pub mod batch;
pub mod gate;
pub mod route;
pub mod table;

use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::telemetry::ShardMetrics;
use batch::{Batch, BatchContext};
use gate::Ticket;
use table::{Inspection, Page, PageRequest, Table};

/// Merge a batch, then redeem its ticket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ingest {
    /// The shard's part of a push.
    pub batch: Batch,
    /// What the batch refers to.
    pub context: Arc<BatchContext>,
    /// Acknowledges the batch.
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

/// The actor; alone on its thread.
pub struct Shard {
    table: Table,
    clock: Clock,
    metrics: ShardMetrics,
    mailbox_capacity: usize,
}

impl Shard {
    /// An empty shard. `mailbox_capacity` is beyond what the shard's gate lets through.
    pub fn new(clock: Clock, metrics: ShardMetrics, mailbox_capacity: usize) -> Self {
        Self { table: Table::default(), clock, metrics, mailbox_capacity }
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

    fn handle(&mut self, Ingest { batch, context, ticket }: Ingest, _: &mut Self::Context) {
        let start = Instant::now();
        let created = self.table.apply(batch, &context, self.clock.now());
        self.metrics.merged(start.elapsed(), self.table.len());
        // Whoever waits for the push may rely on its families being out of use.
        drop(context);
        ticket.redeem(created);
    }
}

impl Handler<Inspect> for Shard {
    type Result = ();

    fn handle(&mut self, Inspect { batch, family_ids, reply }: Inspect, _: &mut Self::Context) {
        let inspection = self.table.inspect(&batch, &family_ids);
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
