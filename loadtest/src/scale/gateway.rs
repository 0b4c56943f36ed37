//! A Catchment that is started for one point: filled, pushed to, and looked at from outside.

use std::time::Duration;

use super::Effort;
use crate::body::Format;
use crate::connection::Connection;
use crate::content::{Content, Shape};
use crate::error::Error;
use crate::load::{self, LoadResult, Plan};
use crate::process::{Server, resident_memory};
use crate::record::{REFUSAL_BYTES, refusal};
use crate::requests::{RequestForm, Requests};
use crate::target::Target;

/// The door that all measurements use but those of other doors. No label of the path is added.
pub const AGGREGATE: &str = "/aggregate/metrics";

/// More than any point stores.
const MAX_SERIES: usize = 20_000_000;
/// Series in a push that fills.
const FILL: usize = 1_000;
/// Connections that push.
const CONNECTIONS: usize = 16;
/// Before the first round counts.
const WARMUP: Duration = Duration::from_secs(1);
/// For one exchange.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that ends with its value.
pub struct Gateway {
    server: Server,
    /// Where it is pushed to.
    pub target: Target,
}

impl Gateway {
    /// Starts one, on this machine alone.
    pub fn start(effort: &Effort, flags: &str) -> Result<Gateway, Error> {
        let limits = format!("--max-series {MAX_SERIES} --max-series-per-family {MAX_SERIES}");
        let server = Server::start(&effort.program, |port| {
            let line = format!("--listen 127.0.0.1:{port} --log-level error {limits} {flags}");
            line.split_ascii_whitespace().map(str::to_owned).collect()
        })?;
        let target = Target::local(server.address);
        Ok(Gateway { server, target })
    }

    /// Starts one that stores so many counters.
    pub fn with_stored(effort: &Effort, stored: usize) -> Result<Gateway, Error> {
        let gateway = Gateway::start(effort, "")?;
        gateway.push_once(&gateway.counters("stored", FILL), (stored / FILL) as u64)?;
        let rest = stored % FILL;
        gateway.push_once(&gateway.counters("rest", rest), u64::from(rest > 0))?;
        Ok(gateway)
    }

    /// Pushes of counters, of each pusher its own.
    pub fn counters(&self, run: &str, series: usize) -> RequestForm {
        RequestForm {
            target: self.target.clone(),
            method: "POST",
            path: AGGREGATE.to_owned(),
            format: Format::Text,
            is_gzipped: false,
            headers: Vec::new(),
            content: Content { shape: Shape::Counters, series, run: run.to_owned(), is_own: true, churn: 0.0 },
        }
    }

    /// Lets each pusher push once, one after the other.
    pub fn push_once(&self, form: &RequestForm, pushers: u64) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Start("a runtime".into(), error))?;
        let mut connection = Connection::new(self.target.clone(), TIMEOUT);
        for pusher in 0..pushers {
            let request = form.render(pusher, 0)?;
            let outcome = runtime.block_on(connection.exchange(&request, REFUSAL_BYTES));
            if let Some(refusal) = refusal(&outcome) {
                return Err(Error::Fill("Catchment".into(), refusal));
            }
        }
        Ok(())
    }

    /// Pushes of known series, in a closed loop, round by round. A push that is not taken is a fault.
    pub fn push(&self, form: RequestForm, pushers: u64, rounds: usize) -> Result<Vec<LoadResult>, Error> {
        const ROUND: Duration = Duration::from_secs(3);
        self.push_once(&form, pushers)?;
        let requests = Requests::prepare(form, pushers, 1)?;
        (0..rounds).map(|_| self.push_for(requests.clone(), 0.0, ROUND)).collect()
    }

    /// Pushes for so long, at a rate or, if that is zero, in a closed loop.
    pub fn push_for(&self, requests: Requests, rate: f64, duration: Duration) -> Result<LoadResult, Error> {
        let result = load::run(Plan {
            requests,
            rate,
            warmup: WARMUP,
            duration,
            connections: CONNECTIONS,
            threads: 1,
            timeout: TIMEOUT,
            server: Some(self.pid()),
            shows_progress: false,
        })?;
        match result.measured.failed() {
            0 => Ok(result),
            failed => Err(Error::Lost(failed, result.measured.refusal.clone().unwrap_or_default())),
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Bytes that it has in memory.
    pub fn memory(&self) -> Result<f64, Error> {
        resident_memory(self.pid()).map(|bytes| bytes as f64).ok_or(Error::NoProcess(self.pid()))
    }
}
