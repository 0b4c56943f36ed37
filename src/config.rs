//! The configuration: settings as text become one validated value, once, before anything is bound. Nobody else reads
//! flags, environment or file.

pub mod layers;
pub mod settings;

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use actix_web::http::{StatusCode, Uri};

use crate::exposition::error::Limits;
use crate::ingest::{Lifetimes, SourceKey, StoreLimits};
use crate::model::door::Door;
use crate::model::value::{GaugePolicy, GaugeRule};
use crate::push::{GaugeRules, PushRules, SummaryPolicy};
use crate::shard::route::QueueLimits;
use layers::{ConfigError, Given, Layers};

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
    /// How much may be stored.
    pub store: StoreLimits,
    /// How long sources and groups stay.
    pub lifetimes: Lifetimes,
    /// What tells sources apart.
    pub source_key: SourceKey,
    /// How many families may be stored.
    pub max_families: usize,
    /// The HTTP side.
    pub http: HttpConfig,
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

/// Somebody who may push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushUser {
    /// Without a colon.
    pub name: String,
    /// As it is sent; not empty.
    pub password: String,
}

/// Whose pages may push from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's.
    Any,
    /// None at all if empty.
    Listed(Vec<String>),
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// The first setting that is not as it must be, by name.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let reader = Reader { layers };
        let http = reader.http()?;
        let limits = Limits {
            line_length: reader.bytes("max-line")?,
            labels: reader.count("max-labels")?,
            name_length: reader.bytes("max-name-length")?,
            value_length: reader.bytes("max-value-length")?,
            samples: reader.count("max-samples")?,
            series_length: reader.bytes("max-series-length")?,
            push_length: (http.max_body * LABELS_PER_BODY).max(http.max_decompressed).min(LARGEST_PUSH),
        };
        let gauges = GaugeRules {
            aggregate: GaugeRule {
                policy: reader.choice("gauges", GAUGE_POLICIES)?,
                window: reader.time("gauge-window")?.as_millis().max(1) as u64,
            },
            source: GaugePolicy::Sum,
        };
        let summaries = reader.choice("summaries", SUMMARY_POLICIES)?;
        Ok(Self {
            listen: reader.addresses("listen")?,
            shards: reader.count_or_cores("shards")?,
            queue: QueueLimits { batches: reader.count("max-queued-pushes")?, bytes: reader.bytes("max-queued")? },
            push: PushRules { gauges, summaries, series_lifetime: None, limits },
            store: StoreLimits {
                series: reader.count("max-series")?,
                series_per_family: reader.count("max-series-per-family")?,
                series_per_source: 1_000_000,
            },
            lifetimes: Lifetimes { source: Some(300_000), group: None },
            source_key: SourceKey::All,
            max_families: reader.count("max-families")?,
            http,
            log_level: reader.choice("log-level", LEVELS)?,
        })
    }
}

/// Values by the words for them.
type Choices<T> = &'static [(&'static str, T)];

const GAUGE_POLICIES: Choices<GaugePolicy> = &[
    ("last", GaugePolicy::Last),
    ("sum", GaugePolicy::Sum),
    ("min", GaugePolicy::Min),
    ("max", GaugePolicy::Max),
    ("mean", GaugePolicy::Mean),
];
const SUMMARY_POLICIES: Choices<SummaryPolicy> =
    &[("sum-count", SummaryPolicy::SumCount), ("discard", SummaryPolicy::Discard)];
const PATH_LABEL_POLICIES: Choices<bool> = &[("add", true), ("ignore", false)];
const LEVELS: Choices<tracing::Level> = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

/// A body's offsets are 32 bits wide.
const LARGEST_BODY: usize = 1 << 31;

/// The label texts of a push may be so many times as long as the largest body, for labels of its path …
const LABELS_PER_BODY: usize = 4;

/// … but no longer than this: offsets into them are 32 bits wide too.
const LARGEST_PUSH: usize = 1 << 30;

struct Reader<'l> {
    layers: &'l Layers,
}

impl Reader<'_> {
    fn http(&self) -> Result<HttpConfig, ConfigError> {
        let max_body = self.bytes("max-body")?;
        if max_body > LARGEST_BODY {
            return Err(self.invalid("max-body", "at most 2GiB"));
        }
        let max_decompressed = self.bytes("max-decompressed")?;
        if max_decompressed > LARGEST_BODY {
            return Err(self.invalid("max-decompressed", "at most 2GiB"));
        }
        let max_inflight = self.bytes("max-inflight")?;
        if max_inflight < max_body {
            return Err(self.invalid("max-inflight", "at least max-body"));
        }
        Ok(HttpConfig {
            workers: self.count_or_cores("workers")?,
            door: Door::Aggregate,
            accepted_status: StatusCode::ACCEPTED,
            push_users: Vec::new(),
            route_prefix: String::new(),
            telemetry_path: "/metrics".to_owned(),
            has_lifecycle: true,
            has_admin_api: true,
            adds_path_labels: self.choice("path-labels", PATH_LABEL_POLICIES)?,
            cors: self.origins("cors-origin")?,
            max_body,
            // What is inflated must be let in too.
            max_decompressed: max_decompressed.min(max_inflight),
            max_inflight,
            max_connections: self.count("max-connections")?,
            max_scrapes: self.count("max-scrapes")?,
            header_timeout: self.time("header-timeout")?,
            body_timeout: self.time("body-timeout")?,
            scrape_stall_timeout: self.time("scrape-stall-timeout")?,
            keep_alive: self.duration("keep-alive")?,
            shutdown_delay: self.duration("shutdown-delay")?,
            shutdown_timeout: self.duration("shutdown-timeout")?,
        })
    }

    /// The setting's only text.
    fn text(&self, name: &'static str) -> String {
        self.layers.get(name).texts.concat()
    }

    fn invalid(&self, name: &'static str, expected: &str) -> ConfigError {
        let Given { texts, origin } = self.layers.get(name);
        ConfigError::Invalid { name: name.to_owned(), origin, expected: expected.to_owned(), got: texts.join(", ") }
    }

    fn count(&self, name: &'static str) -> Result<usize, ConfigError> {
        match self.text(name).parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.invalid(name, "a whole number above 0")),
        }
    }

    fn count_or_cores(&self, name: &'static str) -> Result<usize, ConfigError> {
        const MOST_THREADS: usize = 1024;
        if self.layers.get(name).texts.is_empty() {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from));
        }
        let count = self.count(name)?;
        if count > MOST_THREADS { Err(self.invalid(name, "at most 1024")) } else { Ok(count) }
    }

    fn bytes(&self, name: &'static str) -> Result<usize, ConfigError> {
        parse_bytes(&self.text(name))
            .ok_or_else(|| self.invalid(name, "a number of bytes such as 1000, 64KiB or 16MiB"))
    }

    fn duration(&self, name: &'static str) -> Result<Duration, ConfigError> {
        humantime::parse_duration(&self.text(name))
            .map_err(|_| self.invalid(name, "a duration such as 500ms, 30s or 5m"))
    }

    /// A duration that leaves time for something.
    fn time(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let time = self.duration(name)?;
        if time.is_zero() { Err(self.invalid(name, "a duration above 0")) } else { Ok(time) }
    }

    fn origins(&self, name: &'static str) -> Result<CorsOrigins, ConfigError> {
        let origins = self.layers.get(name).texts;
        match origins.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["*"] => return Ok(CorsOrigins::Any),
            ["none"] => return Ok(CorsOrigins::Listed(Vec::new())),
            _ => {}
        }
        let is_origin = |text: &String| {
            text.parse::<Uri>()
                .is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some() && uri.path() == "/")
        };
        if origins.iter().all(is_origin) {
            Ok(CorsOrigins::Listed(origins))
        } else {
            Err(self.invalid(name, "origins such as https://example.org, or * or none alone"))
        }
    }

    fn choice<T: Copy>(&self, name: &'static str, choices: Choices<T>) -> Result<T, ConfigError> {
        let text = self.text(name);
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.invalid(name, &format!("one of {}", words.join(", ")))
        })
    }

    fn addresses(&self, name: &'static str) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for text in self.layers.get(name).texts {
            // `:9091`, as Go programs write it, is every address.
            let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text };
            let resolved =
                full.to_socket_addrs().map_err(|_| self.invalid(name, "an address and port such as 127.0.0.1:9091"))?;
            addresses.extend(resolved);
        }
        addresses.dedup();
        if addresses.is_empty() { Err(self.invalid(name, "at least one address")) } else { Ok(addresses) }
    }
}

/// `1000`, `64KiB`, `16MiB`, `1GiB`, `10B`; at least 1.
fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let number: usize = text[..digits].parse().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests;
