//! Measures the performance budgets and says which hold. Run with `make bench`; `make instructions` counts instructions, `make
//! bench-compare REV=<commit>` sets another commit beside this one.
//!
//! Speed is told as a ratio to something that runs in turn with ours, so that a noisy machine disturbs both alike: the median of
//! the rounds' ratios is what counts. What runs in the process does so on one thread, as one core of a server does it; what goes
//! over HTTP is measured on servers in processes of their own. A budget that is missed is said; only a wrong result is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first fault"
)]

mod children;
mod client;
mod compare;
mod data;
#[cfg(target_os = "linux")]
mod datagrams;
mod doors;
mod encode;
mod http;
mod ingest;
mod instructions;
mod measure;
mod memory;
mod observations;
mod options;
mod ours;
mod reference;
mod report;
mod scrape;

use std::process::ExitCode;

use options::{Options, Task};
use report::Report;

fn main() -> ExitCode {
    let done = options::task(std::env::args().skip(1)).and_then(|task| match task {
        Task::Measure(options) => measure(options),
        Task::CountInstructions(options) => instructions::count(&options),
        Task::Walk { path, repeat } => instructions::walk(&path, repeat),
        Task::Compare { other, rounds, only } => compare::run(&other, rounds, only.as_deref()),
        Task::BeChild { role, count } => children::be(&role, count),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("budgets: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: Options) -> Result<(), String> {
    let mut report = Report::new(options);
    let groups = [
        ingest::measure,
        observations::measure,
        encode::measure,
        memory::measure,
        doors::measure,
        http::measure,
        observations::measure_over_http,
        scrape::measure,
        #[cfg(target_os = "linux")]
        datagrams::measure,
    ];
    groups.into_iter().for_each(|group| group(&mut report));
    report.print();
    report.write()
}
