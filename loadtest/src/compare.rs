//! The plain body reader, Catchment and its peers, one after the other in rounds, each under the same load from a fresh start.
//! A noisy machine disturbs all of a round alike, so what is told are medians of the rounds' ratios.

pub mod systems;
pub mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::arguments::CompareOptions;
use crate::body::Format;
use crate::connection::Connection;
use crate::content::{Content, Shape};
use crate::error::Error;
use crate::load::{self, LoadResult, Plan};
use crate::process::Server;
use crate::record::{REFUSAL_BYTES, refusal};
use crate::requests::{RequestForm, Requests};
use crate::target::Target;
use systems::{Role, SYSTEMS, System};
use table::{Comparison, Measurement};

/// A load under which all are measured.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Counters in a push.
    pub series: usize,
    /// Series of the same family that are there before.
    pub stored: usize,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "1 series", series: 1, stored: 0 },
    Scenario { name: "50 series", series: 50, stored: 0 },
    Scenario { name: "1,000 series", series: 1_000, stored: 0 },
    Scenario { name: "50 series, 100,000 stored", series: 50, stored: 100_000 },
];

/// How long one push may take: some peers are slow when they are full.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures everything that is installed.
pub fn run(options: &CompareOptions) -> Result<Comparison, Error> {
    for (count, what) in [(options.rounds, "the rounds"), (options.connections, "the connections")] {
        if count == 0 {
            return Err(Error::Nothing(what));
        }
    }
    let found = systems::installed(options)?;
    let scenarios: Vec<Scenario> =
        SCENARIOS.into_iter().filter(|scenario| scenario.name.contains(&options.scenario)).collect();
    let is_installed = |system: &&System| found.iter().any(|(installed, _)| installed.name == system.name);
    let missing = SYSTEMS.iter().filter(|system| !is_installed(system)).map(|system| system.name).collect();
    let mut comparison =
        Comparison { scenarios: scenarios.clone(), missing, measurements: Vec::new(), excuses: Vec::new() };
    for round in 0..options.rounds {
        for scenario in &scenarios {
            for place in 0..found.len() {
                // Nobody is always the first, or always behind the same other.
                let (system, program) = &found[(place + round) % found.len()];
                match measure(options, system, program, scenario) {
                    Ok(result) => comparison.add(Measurement::new(system, scenario, round, &result)),
                    // A peer that does not bear the load says so in the table, and the others are measured.
                    Err(error) if system.role == Role::Peer => comparison.excuse(scenario, system, &error),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(comparison)
}

fn measure(
    options: &CompareOptions,
    system: &System,
    program: &Path,
    scenario: &Scenario,
) -> Result<LoadResult, Error> {
    let server = match system.role {
        Role::Plain => Server::start_printing(program, &(system.arguments)(0))?,
        Role::Catchment | Role::Peer => Server::start(program, system.arguments)?,
    };
    if scenario.stored > 0 && system.role != Role::Plain {
        fill(system, &server, scenario.stored, options.fill_timeout)?;
    }
    load::run(Plan {
        requests: Requests::prepare(form(system, &server, "load", scenario.series), 1, 1)?,
        rate: 0.0,
        warmup: options.warmup,
        duration: options.duration,
        connections: options.connections,
        threads: 1,
        timeout: TIMEOUT,
        server: Some(server.pid()),
        shows_progress: false,
    })
}

/// All push counters of one family; the job tells what fills from what is measured.
fn form(system: &System, server: &Server, job: &str, series: usize) -> RequestForm {
    RequestForm {
        target: Target::local(server.address),
        method: system.method,
        path: format!("/metrics/job/{job}"),
        format: Format::Text,
        is_gzipped: false,
        headers: Vec::new(),
        content: Content { shape: Shape::Counters, series, run: job.to_owned(), is_own: false, churn: 0.0 },
    }
}

/// Brings all series that are to be stored, in pushes of the size that the system bears.
fn fill(system: &System, server: &Server, stored: usize, timeout: Duration) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Start("a runtime".into(), error))?;
    let mut connection = Connection::new(Target::local(server.address), TIMEOUT);
    let begin = Instant::now();
    for part in 0..stored.div_ceil(system.fill) {
        let mut form = form(system, server, "fill", system.fill.min(stored));
        form.content.run = format!("fill-{part}");
        let request = form.render(0, 0)?;
        let outcome = runtime.block_on(connection.exchange(&request, REFUSAL_BYTES));
        let refused = |got: String| Error::Fill(system.name.to_owned(), got);
        if let Some(refusal) = refusal(&outcome) {
            return Err(refused(refusal));
        }
        if begin.elapsed() > timeout {
            return Err(refused(format!("{} parts taken within {timeout:?}", part + 1)));
        }
    }
    Ok(())
}
