//! What the handlers share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use actix_web::HttpResponse;
use metrics::Counter;
use tokio::sync::Notify;

use super::refusal::{HttpRefusal, REASONS};
use crate::config::HttpConfig;
use crate::config::file::{ConfigFile, Reread};
use crate::coordinator::CoordinatorHandle;
use crate::exposition::error::Limits;
use crate::ingest::Ingest;
use crate::log_limit::LogLimit;
use crate::push::PushRules;
use crate::registry::Registry;
use crate::shard::gate::Budget;
use crate::shard::route::ShardSet;
use crate::telemetry::{Observed, ObservedSockets, Telemetry};
use crate::udp::socket::DatagramSocket;

/// What an [`AppState`] is built of.
pub struct StateParts {
    /// The settings of the HTTP side.
    pub config: HttpConfig,
    /// For what stands in paths.
    pub limits: Limits,
    /// The families.
    pub registry: Arc<Registry>,
    /// The series.
    pub shards: Arc<ShardSet>,
    /// Who makes pages.
    pub coordinator: CoordinatorHandle,
    /// Who takes pushes in.
    pub ingest: Arc<Ingest>,
    /// Where datagrams come in; may be none.
    pub datagram_sockets: Vec<Arc<DatagramSocket>>,
    /// Own metrics.
    pub telemetry: Telemetry,
    /// Where rules are read anew from.
    pub file: Option<ConfigFile>,
    /// The settings by name, as they are shown to people.
    pub flags: BTreeMap<String, String>,
}

/// One for the whole server.
pub struct AppState {
    /// What was built before.
    pub parts: StateParts,
    /// Bytes of bodies being read or decoded.
    pub inflight: Arc<Budget>,
    /// Scrapes being streamed.
    pub scrapes: Arc<Budget>,
    /// Bytes of bodies read whole.
    pub pushed_bytes: Counter,
    accepted: Counter,
    refused: HashMap<&'static str, Counter>,
    refusal_log: LogLimit,
    /// When the server started.
    pub started: SystemTime,
    /// Told when the server is asked to end.
    pub quit: Notify,
    is_draining: AtomicBool,
}

impl AppState {
    /// Ready from the start: there is nothing to restore.
    pub fn new(parts: StateParts) -> Self {
        let telemetry = &parts.telemetry;
        Self {
            inflight: Budget::new(parts.config.max_inflight),
            scrapes: Budget::new(parts.config.max_scrapes),
            pushed_bytes: telemetry.pushed_bytes(),
            accepted: telemetry.pushes("accepted"),
            refused: REASONS.iter().map(|reason| (*reason, telemetry.pushes(reason))).collect(),
            refusal_log: LogLimit::default(),
            started: SystemTime::now(),
            quit: Notify::new(),
            is_draining: AtomicBool::new(false),
            parts,
        }
    }

    /// From now on the server is not ready.
    pub fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether pushes and scrapes can be served; if not, why.
    pub fn readiness(&self) -> Result<(), &'static str> {
        if self.is_draining.load(Ordering::Acquire) {
            Err("draining")
        } else if !self.parts.shards.are_up() {
            Err("a shard is down")
        } else if !self.parts.coordinator.is_up() {
            Err("the scrape coordinator is down")
        } else {
            Ok(())
        }
    }

    /// The state for the page of own metrics.
    pub fn observed(&self) -> Observed {
        Observed {
            families: self.parts.registry.len(),
            series: self.parts.ingest.series(),
            sources: self.parts.ingest.sources(),
            groups: self.parts.ingest.groups().len(),
            inflight_bytes: self.inflight.taken(),
            scrapes: self.scrapes.taken(),
            udp: self.observed_sockets(),
            queues: self.parts.shards.gates().map(|gate| (gate.batches.taken(), gate.bytes.taken())).collect(),
        }
    }

    fn observed_sockets(&self) -> Option<ObservedSockets> {
        let sockets = &self.parts.datagram_sockets;
        let add = |all: ObservedSockets, socket: &Arc<DatagramSocket>| ObservedSockets {
            drops: all.drops + socket.kernel_drops().unwrap_or(0),
            receive_buffers: all.receive_buffers + socket.receive_buffer(),
        };
        (!sockets.is_empty()).then(|| sockets.iter().fold(ObservedSockets::default(), add))
    }

    /// Reads the rules anew. On an error they stay as they were.
    ///
    /// # Errors
    /// What is wrong with the file, in one line.
    pub fn reload(&self) -> Result<(), String> {
        let file = self.parts.file.as_ref().ok_or("there is no configuration file")?;
        let Reread { rules, changed_settings } = file.reread().map_err(|error| error.to_string())?;
        if !changed_settings.is_empty() {
            tracing::warn!(settings = ?changed_settings, "changed in the file, but only rules are read anew: restart");
        }
        tracing::info!(rules = rules.iter().count(), "the rules were read anew");
        self.parts.ingest.set_rules(PushRules { rules, ..PushRules::clone(&self.parts.ingest.rules()) });
        Ok(())
    }

    /// Counts a push that was taken in.
    pub fn count_accepted(&self) {
        self.accepted.increment(1);
    }

    /// Counts and logs a refused push, and makes the answer.
    pub fn refuse(&self, refusal: &HttpRefusal, path: &str) -> HttpResponse {
        let (status, reason) = refusal.status_and_reason();
        if let Some(counter) = self.refused.get(reason) {
            counter.increment(1);
        }
        if let Some(unlogged) = self.refusal_log.admit() {
            tracing::warn!(reason, status = status.as_u16(), path, unlogged, "push refused: {}", refusal.line());
        }
        refusal.response()
    }
}
