//! The program: arguments, results to the terminal and to files, exit code.

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use catchment_load::arguments::{Arguments, Command, CompareOptions, PlainOptions, RunOptions, ScaleOptions};
#[cfg(target_os = "linux")]
use catchment_load::arguments::{UdpCountOptions, UdpOptions};
use catchment_load::error::{Error, write};
use catchment_load::report::Report;
use catchment_load::target::Target;
#[cfg(target_os = "linux")]
use catchment_load::udp;
use catchment_load::verify::{Verdict, read_sums};
use catchment_load::{compare, load, plain, plot, scale};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run(&options),
        Command::Plain(options) => serve_plain(&options),
        Command::Compare(options) => compare_all(&options),
        Command::Scale(options) => measure_scale(&options),
        #[cfg(target_os = "linux")]
        Command::Udp(options) => send_datagrams(&options),
        #[cfg(target_os = "linux")]
        Command::UdpCount(options) => count_datagrams(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("catchment-load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &RunOptions) -> Result<ExitCode, Error> {
    let target = Target::parse(&options.target)?;
    let run = options.run.clone().unwrap_or_else(new_run);
    let content = options.content(&run);
    let plan = options.plan(target.clone(), content.clone())?;
    let request_bytes = plan.requests.size()?;
    let sums = || options.verify.then(|| read_sums(&target, &options.page, &run)).transpose();
    let before = sums()?;
    let result = load::run(plan)?;
    let after = sums()?;
    let verdict = before.zip(after);
    let verdict = verdict.map(|(before, after)| Verdict::new(&content.totals(), &before, &after, &result.whole));
    let report = Report {
        target: &options.target,
        run: &run,
        rate: options.rate,
        connections: options.connections,
        series: content.series,
        samples: content.samples(),
        request_bytes,
        result: &result,
        verdict: verdict.as_ref(),
    };
    print(&report.table());
    write_files(options, &report)?;
    let is_good = verdict.as_ref().is_none_or(Verdict::holds);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_files(options: &RunOptions, report: &Report) -> Result<(), Error> {
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", report.json()))?;
    }
    if let Some(path) = &options.csv {
        write(path, &report.csv())?;
    }
    if let Some(path) = &options.svg {
        let title = format!("{}: {} series a push, {} connections", report.target, report.series, report.connections);
        write(path, &plot::svg(&title, &report.result.seconds))?;
    }
    Ok(())
}

/// A label that no other run has.
fn new_run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_micros())
}

fn serve_plain(options: &PlainOptions) -> Result<ExitCode, Error> {
    plain::serve(options.listen, options.workers, |address| print(&format!("{address}\n")))?;
    Ok(ExitCode::SUCCESS)
}

fn compare_all(options: &CompareOptions) -> Result<ExitCode, Error> {
    let outcome = compare::run(options)?;
    print(&outcome.table());
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", outcome.json()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_scale(options: &ScaleOptions) -> Result<ExitCode, Error> {
    scale::run(options, print)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(target_os = "linux")]
fn send_datagrams(options: &UdpOptions) -> Result<ExitCode, Error> {
    print(&udp::send::run(options)?.told(options.json));
    Ok(ExitCode::SUCCESS)
}

#[cfg(target_os = "linux")]
fn count_datagrams(options: &UdpCountOptions) -> Result<ExitCode, Error> {
    let counted = udp::count::run(options, |address| print(&format!("{address}\n")))?;
    print(&counted.told(options.json));
    Ok(ExitCode::SUCCESS)
}

/// Whoever asked for it and has gone does not miss it.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
}
