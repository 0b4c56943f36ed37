//! Catchment: an aggregating push gateway for Prometheus.
//!
//! The house reads as the data moves. In, from a request to a stored series:
//!
//! - [`http`]: routes; a push's path, head and body; [`udp`]: sockets and threads for observations by datagram
//! - [`ingest`]: the way of a push: decode, assemble, admit, register, hand over, wait
//! - [`exposition`]: the formats; bytes to samples, values to bytes
//! - [`sources`], [`groups`]: who pushes by the doors that tell pushers apart
//! - [`push`]: samples to series of families, checked to the end
//! - [`registry`]: which family owns which sample name
//! - [`shard`]: batches by series hash, admission, the actors, their tables
//! - [`aggregate`]: the merge rules
//!
//! And out, from a scrape to its page:
//!
//! - [`catalogue`]: which families the page shows, and as what
//! - [`coordinator`]: every shard's pieces in one order, streamed as fast as they are read
//!
//! Below all: [`rules`] (what some series are treated like), [`model`] (doors, names, labels, families, values),
//! [`declarations`] (what may be observed), [`selector`] and [`glob`] (which series, which names are meant), [`clock`], [`config`], [`telemetry`];
//! [`pushgateway_file`] reads what a Pushgateway kept, [`import`] sends it.

pub mod aggregate;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod declarations;
pub mod exposition;
pub mod glob;
pub mod groups;
pub mod http;
pub mod import;
pub mod ingest;
mod log_limit;
pub mod model;
pub mod push;
pub mod pushgateway_file;
pub mod registry;
pub mod rules;
pub mod selector;
pub mod shard;
pub mod sources;
pub mod telemetry;
pub mod udp;

use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};

use clock::Clock;
use config::{Config, HttpConfig};
use coordinator::CoordinatorHandle;
use http::{AppState, StateParts, WorkerScratch};
use ingest::{DatagramRefusal, Ingest, IngestParts};
use registry::Registry;
use shard::gate::Budget;
use shard::route::ShardSet;
use telemetry::Telemetry;
use udp::Receivers;
use udp::socket::DatagramSocket;

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener is of no use, or the server broke.
    #[error("server: {0}")]
    Server(#[from] std::io::Error),
    /// The own metrics cannot be set up.
    #[error("own metrics: {0}")]
    Telemetry(#[from] metrics_exporter_prometheus::BuildError),
    /// Two declared metrics cannot be told apart on the page.
    #[error("declarations: expected metrics with sample names of their own, got {name}, which has one of {owner}")]
    Declarations {
        /// The later one.
        name: String,
        /// The earlier one.
        owner: String,
    },
}

/// Serves on the listeners until `shutdown` ends, then drains: readiness fails first, accepted pushes and running scrapes
/// are finished within the configured time. Runs in an actix system.
///
/// # Errors
/// If the server cannot be started, or breaks.
pub async fn run(
    config: Config,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let http = config.http.clone();
    let persisted = config.persistence_file.clone();
    let mut listeners = listeners.into();
    let sockets = listeners.datagrams.drain(..).map(Arc::new).collect();
    let (state, threads) = start_actors(config, sockets)?;
    let state = web::Data::new(state);
    if let Some(path) = persisted {
        take_over(&state, &path).await;
    }
    let mut receivers = receive_datagrams(&state.parts)?;
    let telemetry = serve_telemetry(state.clone(), listeners.telemetry)?;
    let server = serve(&http, state.clone(), listeners.pushes_and_pages)?;
    let handle = server.handle();
    let telemetry_handle = telemetry.as_ref().map(Server::handle);
    let telemetry = telemetry.map(actix_rt::spawn);
    let reloading = actix_rt::spawn(reload_on_hangup(state.clone()));
    let upkeep = actix_rt::spawn(keep_up(state.clone()));
    let expiring = state.clone();
    let expiry = actix_rt::spawn(async move { expiring.parts.ingest.expire_forever().await });
    let mut server = actix_rt::spawn(server);
    tokio::select! {
        ended = &mut server => ended.map_err(std::io::Error::other)??,
        () = drain(&http, &state, &handle, asked_to_end(&state, shutdown)) => {}
    }
    receivers.stop();
    if let (Some(handle), Some(telemetry)) = (telemetry_handle, telemetry) {
        handle.stop(false).await;
        telemetry.abort();
    }
    reloading.abort();
    upkeep.abort();
    expiry.abort();
    state.parts.coordinator.stop();
    state.parts.shards.stop();
    for thread in threads {
        // A thread that panicked has said so already.
        let _ = thread.join();
    }
    Ok(())
}

/// Where the server listens.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For pushes and pages; at least one.
    pub pushes_and_pages: Vec<TcpListener>,
    /// For own metrics and health alone.
    pub telemetry: Vec<TcpListener>,
    /// For observations by datagram.
    pub datagrams: Vec<DatagramSocket>,
}

impl From<Vec<TcpListener>> for Listeners {
    fn from(pushes_and_pages: Vec<TcpListener>) -> Self {
        Self { pushes_and_pages, ..Self::default() }
    }
}

fn receive_datagrams(
    StateParts { datagram_sockets, ingest, telemetry, .. }: &StateParts,
) -> Result<Receivers, RunError> {
    if datagram_sockets.is_empty() {
        return Ok(Receivers::default());
    }
    Ok(Receivers::start(datagram_sockets, ingest, telemetry.udp(DatagramRefusal::REASONS))?)
}

/// Takes over what a Pushgateway kept. Like there, a file that is missing or broken is said, and no reason not to start.
async fn take_over(state: &AppState, path: &Path) {
    let outcome = match std::fs::read(path) {
        Ok(file) => state.parts.ingest.restore(&file).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(ingest::Restored { groups, refused }) => {
            tracing::info!(path = %path.display(), groups, refused, "a Pushgateway's file was taken over");
        }
        Err(error) => tracing::error!(path = %path.display(), error, "starting without a Pushgateway's groups"),
    }
}

/// Reads the rules anew with each SIGHUP.
async fn reload_on_hangup(state: web::Data<AppState>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        if let Err(error) = state.reload() {
            tracing::error!(error, "the rules stay as they were");
        }
    }
}

/// Starts shards and coordinator, each on a thread of its own.
fn start_actors(
    config: Config,
    datagram_sockets: Vec<Arc<DatagramSocket>>,
) -> Result<(AppState, Vec<Arbiter>), RunError> {
    let telemetry = Telemetry::new()?;
    let (clock, stored) = (Clock::start(), Budget::new(config.store.series));
    let (shards, mut threads) = ShardSet::start(config.shards, config.queue, clock, &stored, &telemetry);
    let shards = Arc::new(shards);
    let registry = Arc::new(Registry::new(config.max_families));
    let (coordinator, thread) =
        CoordinatorHandle::start(Arc::clone(&shards), config.http.max_scrapes, telemetry.scrape());
    threads.push(thread);
    let (limits, declarations) = (config.push.limits, config.push.declarations.clone());
    let ingest = Ingest::new(IngestParts {
        registry: Arc::clone(&registry),
        shards: Arc::clone(&shards),
        rules: config.push,
        limits: config.store,
        max_templates: config.max_templates,
        stored,
        lifetimes: config.lifetimes,
        source_key: config.source_key,
        clock,
        metrics: telemetry.ingest(),
    });
    // Behind the families of the gateway's own.
    for declared in declarations.iter().flat_map(|declarations| declarations.iter()) {
        let entered = registry.declare(&declared.name, declared.kind, &declared.help);
        entered.map_err(|owner| RunError::Declarations { name: declared.name.to_string(), owner })?;
    }
    let parts = StateParts {
        config: config.http,
        limits,
        registry,
        shards,
        coordinator,
        ingest: Arc::new(ingest),
        datagram_sockets,
        telemetry,
        file: config.file,
        flags: config.flags,
    };
    Ok((AppState::new(parts), threads))
}

fn serve(config: &HttpConfig, state: web::Data<AppState>, listeners: Vec<TcpListener>) -> std::io::Result<Server> {
    let routes = config.clone();
    let app = move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::Data::new(WorkerScratch::default()))
            .configure(|service| http::configure(service, &routes))
    };
    let mut server = HttpServer::new(app)
        .workers(config.workers)
        .max_connections(config.max_connections)
        .client_request_timeout(config.header_timeout)
        .keep_alive(config.keep_alive)
        .shutdown_timeout(config.shutdown_timeout.as_secs().max(1))
        .disable_signals();
    for listener in listeners {
        keep_little_unsent(&listener);
        server = server.listen(listener)?;
    }
    Ok(server.run())
}

/// Serves own metrics and health on an address of their own, if there is one.
fn serve_telemetry(state: web::Data<AppState>, listeners: Vec<TcpListener>) -> std::io::Result<Option<Server>> {
    if listeners.is_empty() {
        return Ok(None);
    }
    let app = move || App::new().app_data(state.clone()).configure(http::configure_telemetry);
    let mut server = HttpServer::new(app).workers(1).disable_signals();
    for listener in listeners {
        server = server.listen(listener)?;
    }
    Ok(Some(server.run()))
}

/// Lets the kernel hold little more of a response than is on its way: a slow reader then takes its page in small steps, and is
/// not taken for one that has stalled. Accepted connections inherit it.
fn keep_little_unsent(listener: &TcpListener) {
    let most = 2 * coordinator::stream::CHUNK_BYTES as u32;
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(most) {
        tracing::debug!(%error, "the send buffers' mark was not set");
    }
}

/// Ends with the signal, or when a client asks for it.
async fn asked_to_end(state: &AppState, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = state.quit.notified() => {}
    }
}

/// Waits for the signal to stop, then fails readiness, lets balancers notice, and closes.
async fn drain(config: &HttpConfig, state: &AppState, server: &ServerHandle, shutdown: impl Future<Output = ()>) {
    shutdown.await;
    tracing::info!("draining: not ready from now on");
    state.start_draining();
    tokio::time::sleep(config.shutdown_delay).await;
    if tokio::time::timeout(config.shutdown_timeout, server.stop(true)).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut");
    }
}

async fn keep_up(state: web::Data<AppState>) {
    const INTERVAL: Duration = Duration::from_secs(5);
    loop {
        tokio::time::sleep(INTERVAL).await;
        state.parts.telemetry.upkeep();
    }
}
