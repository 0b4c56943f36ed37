//! What the flags say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::body::Format;
use crate::content::{Content, Shape};
use crate::error::Error;
use crate::load::Plan;
use crate::requests::{RequestForm, Requests, header_line};
use crate::target::Target;
#[cfg(target_os = "linux")]
use crate::udp::content::Observation;

/// Load for push gateways: any that takes Prometheus' text format over HTTP.
#[derive(Debug, Parser)]
#[command(name = "catchment-load", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pushes to a gateway at a steady rate, and tells latencies from the moment each push was due
    Run(Box<RunOptions>),
    /// Serves HTTP, reads bodies and does nothing with them; prints its address
    Plain(PlainOptions),
    /// Measures the plain body reader, Catchment and its peers in turn, with the same bodies
    Compare(CompareOptions),
    /// Measures how Catchment's cost grows, and writes numbers and plots
    Scale(ScaleOptions),
    /// Sends observations as datagrams
    #[cfg(target_os = "linux")]
    Udp(UdpOptions),
    /// Receives datagrams and does nothing but count them; prints its address
    #[cfg(target_os = "linux")]
    UdpCount(UdpCountOptions),
}

/// How a push is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// `POST`
    #[value(name = "POST", alias = "post")]
    Post,
    /// `PUT`
    #[value(name = "PUT", alias = "put")]
    Put,
}

impl Method {
    /// The word in the request.
    pub fn word(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }
}

/// Flags of `run`.
#[derive(Args, Debug)]
pub struct RunOptions {
    /// Base URL of the gateway, with the door if it has several: http://127.0.0.1:9091/aggregate
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Pushes a second, as 500 or 500/s; 0 for a closed loop, as fast as the connections go
    #[arg(long, value_name = "N/s", default_value = "0", value_parser = rate)]
    pub rate: f64,
    /// Time that counts
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Time before it
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub warmup: Duration,
    /// Longest time for one exchange
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Connections in all
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub connections: usize,
    /// Threads that they are spread over
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub threads: usize,
    /// Series in a push; a histogram or summary is one
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub series_per_push: usize,
    /// Kinds of series
    #[arg(long, value_enum, default_value = "counters")]
    pub shape: Shape,
    /// Pushers; the seed decides which of them pushes when
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub pushers: u64,
    /// Gives each pusher series of its own, by a label
    #[arg(long)]
    pub own_series: bool,
    /// Part of the series that is replaced by new ones each second: 0.01 for a hundredth
    #[arg(long, value_name = "FRACTION", default_value = "0", value_parser = not_negative)]
    pub churn: f64,
    /// Format of the bodies
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Compresses the bodies
    #[arg(long)]
    pub gzip: bool,
    /// Method of the requests
    #[arg(long, value_enum, default_value = "POST")]
    pub method: Method,
    /// Path behind the target's; {pusher} stands for the pusher's number
    #[arg(long, value_name = "PATH", default_value = "/metrics/job/load")]
    pub path_template: String,
    /// A further header; may be given several times
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// What random choices start from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Value of the label `run` of all series [default: a new one]
    #[arg(long, value_name = "NAME", value_parser = run_name)]
    pub run: Option<String>,
    /// Compares the page with what was acknowledged; exit code 1 if it differs. For targets that add up
    #[arg(long)]
    pub verify: bool,
    /// Path of the page, from the target's root
    #[arg(long, value_name = "PATH", default_value = "/metrics")]
    pub page: String,
    /// Process of the server, whose processor time is measured
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Writes the outcome as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes a line for each second
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Draws rates and latencies over time
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl RunOptions {
    /// What a push carries, with the label of this run.
    pub fn content(&self, run: &str) -> Content {
        Content {
            shape: self.shape,
            series: self.series_per_push,
            run: run.to_owned(),
            is_own: self.own_series,
            churn: self.churn,
        }
    }

    /// The run, with all requests rendered.
    pub fn plan(&self, target: Target, content: Content) -> Result<Plan, Error> {
        for (count, what) in [(content.series as u64, "the series in a push"), (self.pushers, "the pushers")] {
            if count == 0 {
                return Err(Error::Nothing(what));
            }
        }
        let form = RequestForm {
            target,
            method: self.method.word(),
            path: self.path_template.clone(),
            format: self.format,
            is_gzipped: self.gzip,
            headers: self.header.iter().map(|header| header_line(header)).collect::<Result<_, _>>()?,
            content,
        };
        Ok(Plan {
            requests: Requests::prepare(form, self.pushers, self.seed)?,
            rate: self.rate,
            warmup: self.warmup,
            duration: self.duration,
            connections: self.connections,
            threads: self.threads,
            timeout: self.timeout,
            server: self.server_pid,
            shows_progress: true,
        })
    }
}

/// Flags of `plain`.
#[derive(Args, Debug)]
pub struct PlainOptions {
    /// Address and port; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Threads that serve [default: one per core]
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<usize>,
}

/// Flags of `compare`.
#[derive(Args, Debug)]
pub struct CompareOptions {
    /// Catchment's binary
    #[arg(long, value_name = "FILE", default_value = "target/release/catchment")]
    pub catchment: PathBuf,
    /// Where peers are looked for, before PATH
    #[arg(long, value_name = "DIRECTORY")]
    pub peers_dir: Option<PathBuf>,
    /// The program of a peer, where it is called otherwise: weaveworks=/opt/gateway; may be given several times
    #[arg(long, value_name = "PEER=FILE", value_parser = peer)]
    pub peer: Vec<(String, PathBuf)>,
    /// Rounds; medians over them are told
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub rounds: usize,
    /// Time of one measurement
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Time before it
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub warmup: Duration,
    /// Longest time to store a scenario's series; a peer that takes longer is left out
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub fill_timeout: Duration,
    /// Connections
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub connections: usize,
    /// Only the scenarios whose name holds this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub scenario: String,
    /// Only the systems whose name holds this, and the plain body reader
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub system: String,
    /// Writes all measurements as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Flags of `scale`.
#[derive(Args, Debug)]
pub struct ScaleOptions {
    /// Catchment's binary
    #[arg(long, value_name = "FILE", default_value = "target/release/catchment")]
    pub catchment: PathBuf,
    /// Where numbers and plots are written
    #[arg(long, value_name = "DIRECTORY", default_value = "docs/performance")]
    pub out: PathBuf,
    /// Only these, with commas between them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<Measurement>,
    /// One round instead of three, and nothing beyond a million series
    #[arg(long)]
    pub quick: bool,
}

/// What `scale` can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// Pushes of 50 series, by the number of series that are stored.
    Stored,
    /// Pushes of 1 to 10,000 series.
    Push,
    /// Pushes, by the number of shards.
    Shards,
    /// Bytes of memory for a series of each kind.
    Memory,
    /// Connections that are open and idle.
    Connections,
    /// Scrapes, by the number of series that are stored.
    Page,
    /// Pushes while scrapers read the page again and again.
    Scrapers,
}

/// Flags of `udp`.
#[cfg(target_os = "linux")]
#[derive(Args, Debug)]
pub struct UdpOptions {
    /// Where the datagrams go
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7789")]
    pub address: SocketAddr,
    /// Processes that send, each from a port of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub processes: usize,
    /// Datagrams in all
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    pub datagrams: u64,
    /// Datagrams a second in all, as 500 or 500/s; 0 for as fast as they go
    #[arg(long, value_name = "N/s", default_value = "0", value_parser = rate)]
    pub rate: f64,
    /// Name of the metric
    #[arg(long, value_name = "NAME", default_value = "load_observations")]
    pub metric: String,
    /// A label of all series; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Value of the label `worker` in the first process, one more in each further one
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub worker: usize,
    /// Series of each process; if there are several, the label `series` tells them apart
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub series: usize,
    /// What is observed
    #[arg(long, value_enum, default_value = "counter")]
    pub observation: Observation,
    /// Prints the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `udp-count`.
#[cfg(target_os = "linux")]
#[derive(Args, Debug)]
pub struct UdpCountOptions {
    /// Address and port; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Receive buffer that is asked for [default: the system's]
    #[arg(long, value_name = "BYTES")]
    pub buffer: Option<usize>,
    /// The only core that the thread may run on [default: any]
    #[arg(long, value_name = "NUMBER")]
    pub core: Option<usize>,
    /// Ends when nothing has come for so long after the first datagram
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub idle: Duration,
    /// Prints the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    not_negative(text.strip_suffix("/s").unwrap_or(text))
}

fn not_negative(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| format!("expected a number from 0, got {text:?}"))
}

fn peer(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or_else(|| format!("expected <peer>=<file>, got {text:?}"))?;
    Ok((name.to_owned(), program.into()))
}

#[cfg(target_os = "linux")]
fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected <name>=<value>, got {text:?}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A label value that needs no escape and is found by a plain search.
fn run_name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected letters, digits, - and _, got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_well_formed() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn rates_may_name_their_unit() {
        for (text, expected) in
            [("0", Some(0.0)), ("500/s", Some(500.0)), ("2.5", Some(2.5)), ("-1", None), ("inf", None)]
        {
            assert_eq!(rate(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn names_of_runs_need_no_escape() {
        assert!(run_name("nightly-7").is_ok());
        assert!(["", "a\"b", "a b"].iter().all(|name| run_name(name).is_err()));
    }
}
