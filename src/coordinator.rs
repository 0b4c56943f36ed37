//! The scrape coordinator: the actor that turns a scrape into one page. It asks every shard for its pieces, puts them in
//! one order, and hands them on as fast as the reader takes them. It holds no metric state, and no shard waits for it.

mod merge;
pub mod stream;
mod writer;

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};

use crate::exposition::format::Format;
use crate::exposition::shown::ShownFamily;
use crate::shard::gate::Permit;
use crate::shard::route::ShardSet;
use crate::shard::table::PageRequest;
use crate::shard::timeline::Shown;
use crate::telemetry::ScrapeMetrics;
use stream::ChunkSink;

/// Stream one page into the sink.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Scrape {
    /// In the order of the page.
    pub families: Arc<[ShownFamily]>,
    /// The changes of groups that the page shows.
    pub shown: Shown,
    /// What the page is written in.
    pub format: Format,
    /// Where the page goes.
    pub sink: ChunkSink,
    /// The scrape's place among the concurrent ones.
    pub place: Permit,
}

/// The actor; alone on its thread.
struct Coordinator {
    shards: Arc<ShardSet>,
    metrics: ScrapeMetrics,
    mailbox_capacity: usize,
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<Scrape> for Coordinator {
    type Result = ();

    fn handle(&mut self, Scrape { families, shown, format, sink, place }: Scrape, _: &mut Self::Context) {
        let (shards, metrics) = (Arc::clone(&self.shards), self.metrics.clone());
        let request = PageRequest::first(families, format, shown.version());
        actix_rt::spawn(async move {
            let timer = metrics.start();
            let outcome = merge::stream_page(&shards, request, sink).await;
            metrics.finished(timer, &outcome);
            drop((shown, place));
        });
    }
}

/// The coordinator as the rest of the house sees it; holds its only address.
pub struct CoordinatorHandle {
    address: Addr<Coordinator>,
    arbiter: ArbiterHandle,
}

impl CoordinatorHandle {
    /// Starts the coordinator for up to `concurrent` scrapes at once. The arbiter is to be joined after [`Self::stop`].
    pub fn start(shards: Arc<ShardSet>, concurrent: usize, metrics: ScrapeMetrics) -> (Self, Arbiter) {
        let arbiter = Arbiter::new();
        let address = Coordinator::start_in_arbiter(&arbiter.handle(), move |_| Coordinator {
            shards,
            metrics,
            mailbox_capacity: concurrent,
        });
        (Self { address, arbiter: arbiter.handle() }, arbiter)
    }

    /// Begins a scrape. Returns whether there is a coordinator to do it.
    pub fn scrape(&self, scrape: Scrape) -> bool {
        self.address.try_send(scrape).is_ok()
    }

    /// Whether the coordinator is running.
    pub fn is_up(&self) -> bool {
        self.address.connected()
    }

    /// Ends the coordinator's thread.
    pub fn stop(&self) {
        self.arbiter.stop();
    }
}
