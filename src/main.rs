//! The program: arguments, log, sockets, signals, exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use catchment::Listeners;
use catchment::config::arguments::ImportRequest;
use catchment::config::check::{self, CheckRequest};
use catchment::config::layers::{ConfigError, Layers};
use catchment::config::{Config, DatagramAddress, DatagramConfig};
use catchment::udp::socket::{self, DatagramSocket};

#[allow(clippy::print_stdout, reason = "`--print-config` is asked for on standard output")]
fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(request) = CheckRequest::from_arguments(&arguments) {
        return check(request);
    }
    if let Some(request) = ImportRequest::from_arguments(&arguments) {
        return import(request);
    }
    let layers = match Layers::collect(arguments, utf8_environment()) {
        Ok(layers) => layers,
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => return failed(&error),
    };
    let config = match Config::from_layers(&layers) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    if layers.is_print_only {
        print!("{}", layers.print());
        return ExitCode::SUCCESS;
    }
    start_log(config.log_level);
    layers.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let listeners = match listen_everywhere(&config) {
        Ok(listeners) => listeners,
        Err(error) => return failed(&error),
    };
    say_what_starts(&config, &listeners);
    let outcome = actix_rt::System::new().block_on(catchment::run(config, listeners, asked_to_stop()));
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

#[allow(clippy::print_stdout, reason = "what is explained is asked for on standard output")]
fn check(request: Result<CheckRequest, ConfigError>) -> ExitCode {
    match request.and_then(|request| check::run(&request, io::stdin().lock())) {
        Ok(explained) => {
            print!("{explained}");
            ExitCode::SUCCESS
        }
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => failed(&error),
    }
}

#[allow(clippy::print_stdout, reason = "the outcome is asked for on standard output")]
fn import(request: Result<ImportRequest, ConfigError>) -> ExitCode {
    let request = match request {
        Ok(request) => request,
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => return failed(&error),
    };
    match catchment::import::run(&request) {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

/// Variables that are not UTF-8 are none of ours.
fn utf8_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("catchment: {error}");
    ExitCode::FAILURE
}

fn start_log(level: tracing::Level) {
    // The HTTP server announces its start in its own words; ours are enough.
    let targets = Targets::new().with_default(level).with_target("actix_server", level.min(tracing::Level::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(io::stderr);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

fn listen_everywhere(config: &Config) -> Result<Listeners, String> {
    Ok(Listeners {
        pushes_and_pages: config.listen.iter().map(listen).collect::<Result<_, _>>()?,
        telemetry: config.telemetry_listen.iter().map(listen).collect::<Result<_, _>>()?,
        datagrams: receive_everywhere(&config.datagrams)?,
    })
}

fn receive_everywhere(config: &DatagramConfig) -> Result<Vec<DatagramSocket>, String> {
    let mut sockets = Vec::new();
    for address in &config.listen {
        let (bound, shown) = match address {
            DatagramAddress::Udp(address) => {
                (socket::bind_udp(*address, config.sockets, Some(config.buffer)), address.to_string())
            }
            DatagramAddress::Unix(path) => {
                (socket::bind_unix(path, Some(config.buffer)).map(|socket| vec![socket]), path.display().to_string())
            }
        };
        sockets.extend(bound.map_err(|error| format!("cannot receive datagrams on {shown}: {error}"))?);
    }
    Ok(sockets)
}

fn listen(address: &SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// One line for each thing a person wants to know first.
fn say_what_starts(config: &Config, listeners: &Listeners) {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "catchment starts");
    for address in listeners.pushes_and_pages.iter().filter_map(|listener| listener.local_addr().ok()) {
        tracing::info!(%address, "listening: push to /metrics/job/<job>, scrape /metrics");
    }
    for address in listeners.telemetry.iter().filter_map(|listener| listener.local_addr().ok()) {
        tracing::info!(%address, "listening: own metrics and health");
    }
    let mut addresses: Vec<String> = listeners.datagrams.iter().map(DatagramSocket::local_address).collect();
    addresses.dedup();
    for address in addresses {
        let buffer = listeners.datagrams.iter().map(DatagramSocket::receive_buffer).min();
        tracing::info!(%address, buffer, "listening: observations by UDP or Unix datagram");
    }
    if !listeners.datagrams.is_empty() && config.push.declarations.is_none() {
        tracing::info!("nothing is declared: datagrams of every metric are taken");
    }
    tracing::info!(shards = config.shards, workers = config.http.workers, "threads");
    tracing::info!(preset = config.preset, door = %config.http.door, rules = config.push.rules.iter().count(), "meaning of pushes");
    tracing::info!(gauges = ?config.push.gauges.aggregate.policy, summaries = ?config.push.summaries, path_labels = config.http.adds_path_labels, "merging");
    let (http, push) = (&config.http, &config.push.limits);
    tracing::info!(
        body = http.max_body,
        decompressed = http.max_decompressed,
        line = push.line_length,
        name = push.name_length,
        value = push.value_length,
        series = push.series_length,
        inflight = http.max_inflight,
        queued = config.queue.bytes,
        "limits in bytes"
    );
    tracing::info!(
        samples = push.samples,
        labels = push.labels,
        queued_pushes = config.queue.batches,
        connections = http.max_connections,
        scrapes = http.max_scrapes,
        "limits in number"
    );
    tracing::info!(
        header = ?http.header_timeout,
        body = ?http.body_timeout,
        scrape_stall = ?http.scrape_stall_timeout,
        keep_alive = ?http.keep_alive,
        shutdown = ?http.shutdown_timeout,
        "limits of time"
    );
    tracing::info!(
        series = config.store.series,
        series_per_family = config.store.series_per_family,
        families = config.max_families,
        "limits of what is stored"
    );
}

/// SIGTERM or SIGINT.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM is not handled");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
