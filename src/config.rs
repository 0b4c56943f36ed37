//! The configuration: settings as text become one validated value, once, before anything is bound. Nobody else reads
//! flags, environment or file.

mod aliases;
pub mod arguments;
pub mod check;
pub mod error;
pub mod file;
mod given;
pub mod layers;
mod presets;
mod reader;
pub mod settings;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;

use crate::declarations::{Declarations, DeclarationsError};
use crate::exposition::error::Limits;
use crate::ingest::{Lifetimes, SourceKey, StoreLimits};
use crate::model::door::Door;
use crate::model::value::{GaugePolicy, GaugeRule};
use crate::push::{GaugeRules, PushRules};
use crate::shard::route::QueueLimits;
use error::ConfigError;
use file::ConfigFile;
use given::Origin;
use layers::Layers;
use reader::Reader;
use words::{ACCEPTED_STATUSES, DOORS, GAUGE_POLICIES, LEVELS, PATH_LABEL_POLICIES, SUMMARY_POLICIES, millis};

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one.
    pub listen: Vec<SocketAddr>,
    /// Shard actors.
    pub shards: usize,
    /// What may be on its way to one shard.
    pub queue: QueueLimits,
    /// What is done with pushed values, and the limits of one push.
    pub push: PushRules,
    /// What tells sources apart.
    pub source_key: SourceKey,
    /// How long sources and groups stay.
    pub lifetimes: Lifetimes,
    /// How much may be stored.
    pub store: StoreLimits,
    /// How many families may be stored.
    pub max_families: usize,
    /// Bytes for templates of pushes.
    pub max_templates: usize,
    /// The HTTP side.
    pub http: HttpConfig,
    /// Where own metrics and health are served too; may be empty.
    pub telemetry_listen: Vec<SocketAddr>,
    /// Where observations come by datagram; may be empty.
    pub datagrams: DatagramConfig,
    /// A Pushgateway's file to read at the start.
    pub persistence_file: Option<PathBuf>,
    /// Where the rules came from, to be read anew.
    pub file: Option<ConfigFile>,
    /// All settings by name, as they are shown to people.
    pub flags: BTreeMap<String, String>,
    /// The name of the preset.
    pub preset: String,
    /// The least severe events that are logged.
    pub log_level: tracing::Level,
}

/// What the HTTP side is built with.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Threads that serve requests.
    pub workers: usize,
    /// What a push to `/metrics` means.
    pub door: Door,
    /// The answer to a good push, but for the replace door.
    pub accepted_status: StatusCode,
    /// Who may push; everybody if empty.
    pub push_users: Vec<PushUser>,
    /// What all paths begin with: nothing, or a slash and more without one at the end.
    pub route_prefix: String,
    /// The path of the page behind that, with a slash at its begin and none at its end.
    pub telemetry_path: String,
    /// Whether `/-/quit` and `/-/reload` are allowed.
    pub has_lifecycle: bool,
    /// Whether `/api/v1/admin` is allowed.
    pub has_admin_api: bool,
    /// Whether the labels of a push's path are put on its series.
    pub adds_path_labels: bool,
    /// Whose pages may push.
    pub cors: CorsOrigins,
    /// Bytes of one push as it is sent.
    pub max_body: usize,
    /// Bytes of one push when it is decompressed.
    pub max_decompressed: usize,
    /// Bytes of bodies being read and decoded at once; at least one largest push.
    pub max_inflight: usize,
    /// For each worker.
    pub max_connections: usize,
    /// Scrapes streamed at once.
    pub max_scrapes: usize,
    /// Time for a request's head.
    pub header_timeout: Duration,
    /// Time for a push's body.
    pub body_timeout: Duration,
    /// How long a scraper may take nothing.
    pub scrape_stall_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// From failing readiness to closing the listeners.
    pub shutdown_delay: Duration,
    /// From closing the listeners to cutting what still runs.
    pub shutdown_timeout: Duration,
}

/// Where and how datagrams are received.
#[derive(Clone, Debug)]
pub struct DatagramConfig {
    /// May be empty.
    pub listen: Vec<DatagramAddress>,
    /// Sockets for each UDP address.
    pub sockets: usize,
    /// Bytes asked for each socket's receive buffer.
    pub buffer: usize,
}

/// Where datagrams come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatagramAddress {
    /// An address and port.
    Udp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Whose pages may push from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's.
    Any,
    /// None at all if empty.
    Listed(Vec<String>),
}

/// Somebody who may push.
#[derive(Clone, PartialEq, Eq)]
pub struct PushUser {
    /// Without a colon.
    pub name: String,
    /// As it is sent; not empty.
    pub password: String,
}

/// Without the password.
impl fmt::Debug for PushUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PushUser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// The first setting that is not as it must be, by name.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let reader = Reader { layers };
        let http = read_http(&reader)?;
        let limits = read_limits(&reader, &http)?;
        Ok(Self {
            listen: reader.addresses("listen")?,
            shards: reader.count_or_cores("shards")?,
            queue: QueueLimits { batches: reader.count("max-queued-pushes")?, bytes: reader.bytes("max-queued")? },
            push: PushRules {
                gauges: read_gauges(&reader)?,
                summaries: reader.choice("summaries", SUMMARY_POLICIES)?,
                series_lifetime: reader.lifetime("series-ttl")?,
                rules: layers.file.as_ref().map(|file| file.rules.clone()).unwrap_or_default(),
                mode_label: reader.label_name("mode-label")?.map(String::into_boxed_str),
                declarations: read_declarations(layers)?,
                limits,
            },
            source_key: reader.source_key("source-key")?,
            lifetimes: Lifetimes { source: reader.lifetime("source-ttl")?, group: reader.lifetime("group-ttl")? },
            store: StoreLimits {
                series: reader.count("max-series")?,
                series_per_family: reader.count("max-series-per-family")?,
                series_per_source: reader.count("max-series-per-source")?,
            },
            max_families: reader.count("max-families")?,
            max_templates: reader.bytes("max-templates")?,
            http,
            telemetry_listen: reader.optional_addresses("telemetry-listen")?,
            datagrams: DatagramConfig {
                listen: reader.datagram_addresses("udp-listen")?,
                sockets: reader.count_or_cores("udp-sockets")?,
                buffer: reader.bytes("udp-buffer")?,
            },
            persistence_file: reader.file("persistence.file"),
            file: layers.file.clone(),
            flags: layers.shown(),
            preset: reader.text("preset"),
            log_level: reader.choice("log-level", LEVELS)?,
        })
    }
}

/// The preset's file need not be there; one that somebody names must.
fn read_declarations(layers: &Layers) -> Result<Option<Arc<Declarations>>, ConfigError> {
    let given = layers.get("declarations");
    let Some(path) = given.texts.first().filter(|path| !path.is_empty()) else { return Ok(None) };
    match Declarations::read(Path::new(path)) {
        Err(DeclarationsError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound && matches!(given.origin, Origin::Preset(_)) =>
        {
            Ok(None)
        }
        outcome => Ok(Some(Arc::new(outcome?))),
    }
}

/// What is said of gauges is said for both doors.
fn read_gauges(reader: &Reader<'_>) -> Result<GaugeRules, ConfigError> {
    let policy = reader.optional_choice("gauges", GAUGE_POLICIES)?;
    let window = millis(reader.time("gauge-window")?);
    Ok(GaugeRules {
        aggregate: GaugeRule { policy: policy.unwrap_or(GaugePolicy::Last), window },
        source: policy.unwrap_or(GaugePolicy::Sum),
    })
}

fn read_limits(reader: &Reader<'_>, http: &HttpConfig) -> Result<Limits, ConfigError> {
    Ok(Limits {
        line_length: reader.bytes("max-line")?,
        labels: reader.count("max-labels")?,
        name_length: reader.bytes("max-name-length")?,
        value_length: reader.bytes("max-value-length")?,
        samples: reader.count("max-samples")?,
        series_length: reader.bytes("max-series-length")?,
        push_length: (http.max_body * LABELS_PER_BODY).max(http.max_decompressed).min(LARGEST_PUSH),
    })
}

/// A body's offsets are 32 bits wide.
const LARGEST_BODY: usize = 1 << 31;

/// The label texts of a push may be so many times as long as the largest body, for labels of its path …
const LABELS_PER_BODY: usize = 4;

/// … but no longer than this: offsets into them are 32 bits wide too.
const LARGEST_PUSH: usize = 1 << 30;

fn read_http(reader: &Reader<'_>) -> Result<HttpConfig, ConfigError> {
    let max_body = reader.bytes("max-body")?;
    if max_body > LARGEST_BODY {
        return Err(reader.invalid("max-body", "at most 2GiB"));
    }
    let max_decompressed = reader.bytes("max-decompressed")?;
    if max_decompressed > LARGEST_BODY {
        return Err(reader.invalid("max-decompressed", "at most 2GiB"));
    }
    let max_inflight = reader.bytes("max-inflight")?;
    if max_inflight < max_body {
        return Err(reader.invalid("max-inflight", "at least max-body"));
    }
    Ok(HttpConfig {
        workers: reader.count_or_cores("workers")?,
        door: reader.choice("door", DOORS)?,
        accepted_status: reader.choice("accepted-status", ACCEPTED_STATUSES)?,
        push_users: reader.users("push-user")?,
        route_prefix: reader.web_path("web.route-prefix")?,
        telemetry_path: Some(reader.web_path("web.telemetry-path")?)
            .filter(|path| !path.is_empty())
            .ok_or_else(|| reader.invalid("web.telemetry-path", "a path that is not the root"))?,
        has_lifecycle: reader.switch("web.enable-lifecycle")?,
        has_admin_api: reader.switch("web.enable-admin-api")?,
        adds_path_labels: reader.choice("path-labels", PATH_LABEL_POLICIES)?,
        cors: reader.origins("cors-origin")?,
        max_body,
        // What is inflated must be let in too.
        max_decompressed: max_decompressed.min(max_inflight),
        max_inflight,
        max_connections: reader.count("max-connections")?,
        max_scrapes: reader.count("max-scrapes")?,
        header_timeout: reader.time("header-timeout")?,
        body_timeout: reader.time("body-timeout")?,
        scrape_stall_timeout: reader.time("scrape-stall-timeout")?,
        keep_alive: reader.duration("keep-alive")?,
        shutdown_delay: reader.duration("shutdown-delay")?,
        shutdown_timeout: reader.duration("shutdown-timeout")?,
    })
}

#[cfg(test)]
mod tests;
