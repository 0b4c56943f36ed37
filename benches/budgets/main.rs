//! Measures the performance budgets and says which hold. Run with `make bench`.
//!
//! Speed is told as a ratio to a reference loop that runs in the same process, in turn with ours, so that a noisy machine
//! disturbs both alike: the median of the rounds' ratios is what counts. Everything is done on one thread, as one core of a
//! server does it.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and stops at the first fault")]

mod data;
mod doors;
mod ours;
mod reference;

use std::io::Read;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use bytes::Bytes;
use catchment::exposition::format::{Format, FormatKind, PushFormat};
use catchment::http::coding::{Coding, decompress};
use catchment::shard::gate::Budget;
use data::{Bodies, SERIES_PER_PUSH};
use ours::{Ours, Stages};
use reference::Reference;

const ROUNDS: usize = 9;
/// Samples of one round, at least.
const SAMPLES_PER_ROUND: usize = 1_000_000;
/// The program's own argument for the child that measures memory.
const MEMORY_ARGUMENT: &str = "--measure-memory-of-series";

/// The same for sources with the same series, and for sources with series of their own.
const SOURCES_MEMORY_ARGUMENTS: [(&str, bool); 2] =
    [("--measure-memory-of-like-sources", true), ("--measure-memory-of-sources", false)];

/// One budget and what was measured.
struct Line {
    name: String,
    ours: String,
    reference: String,
    ratio: f64,
    budget: String,
    holds: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == MEMORY_ARGUMENT) {
        let series = arguments.get(at + 1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
        println!("{}", ours::stored_bytes_per_series(series));
        return ExitCode::SUCCESS;
    }
    for (argument, have_same_series) in SOURCES_MEMORY_ARGUMENTS {
        if let Some(at) = arguments.iter().position(|given| given == argument) {
            let sources = arguments.get(at + 1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
            println!("{}", ours::stored_bytes_of_sources(sources, have_same_series));
            return ExitCode::SUCCESS;
        }
    }
    let mut lines = Vec::new();
    let mut costs = Vec::new();
    for series in [1_000, 100_000, 1_000_000] {
        let (line, cost) = ingest(series);
        lines.push(line);
        costs.push(cost);
    }
    lines.push(cost_of_stored_series(costs[0], costs[2]));
    for (name, format, budget) in
        [("protobuf", PushFormat::Protobuf, 1.0), ("OpenMetrics", PushFormat::OpenMetrics, 0.9)]
    {
        for series in [1_000, 100_000] {
            lines.push(ingest_as(name, format, series, budget));
        }
    }
    lines.push(gunzip(100_000));
    lines.push(encode(1_000_000));
    lines.push(encode_protobuf(1_000_000));
    lines.push(memory(1_000_000));
    lines.extend(doors::lines());
    print(&lines);
    ExitCode::SUCCESS
}

/// In-process ingest of warm series against the reference loop. Also returns our time a sample.
fn ingest(series: usize) -> (Line, Duration) {
    let bodies = Bodies::shuffled(series);
    let (mut ours, mut reference) = (Ours::new(), Reference::default());
    for body in bodies.iter() {
        ours.push(PushFormat::Text, body.as_bytes());
        reference.push(body);
    }
    assert_eq!(ours.total(), reference.total(), "both sides store the same");
    ours.stages = Stages::default();
    let repeats = (SAMPLES_PER_ROUND / series).max(1);
    let samples = (repeats * series) as f64;
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let theirs = timed(|| (0..repeats).for_each(|_| bodies.iter().for_each(|body| reference.push(body))));
            let mine = timed(|| {
                (0..repeats).for_each(|_| bodies.iter().for_each(|body| ours.push(PushFormat::Text, body.as_bytes())))
            });
            (mine.as_secs_f64() / samples, theirs.as_secs_f64() / samples)
        })
        .collect();
    println!("where the time of ingest at {series} series goes: {}", ours.stages);
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (mine, theirs) = rounds[ROUNDS / 2];
    let spread = |(mine, theirs): (f64, f64)| theirs / mine;
    println!("  ratio over {ROUNDS} rounds: {:.2} to {:.2}", spread(rounds[0]), spread(rounds[ROUNDS - 1]));
    let line = Line {
        name: format!("ingest, {series} warm series"),
        ours: format!("{:.1} M samples/s", 1e-6 / mine),
        reference: format!("{:.1} M samples/s", 1e-6 / theirs),
        ratio: theirs / mine,
        budget: ">= 0.35".to_owned(),
        holds: theirs / mine >= 0.35,
    };
    (line, Duration::from_secs_f64(mine))
}

/// In-process ingest of warm series in another format against the same in text.
fn ingest_as(name: &str, format: PushFormat, series: usize, budget: f64) -> Line {
    let bodies = Bodies::shuffled(series);
    let theirs: Vec<Vec<u8>> = bodies.iter().map(|body| data::translated(format, body)).collect();
    let mut ours = Ours::new();
    let mut total = 0.0;
    for (text, other) in bodies.iter().zip(&theirs) {
        ours.push(PushFormat::Text, text.as_bytes());
        total += data::sum(text);
        assert_eq!(ours.total(), total, "text is stored");
        ours.push(format, other);
        total += data::sum(text);
        assert_eq!(ours.total(), total, "the other format stores the same series");
        if series > SERIES_PER_PUSH {
            break;
        }
    }
    bodies.iter().for_each(|body| ours.push(PushFormat::Text, body.as_bytes()));
    let repeats = (SAMPLES_PER_ROUND / series).max(1);
    let samples = (repeats * series) as f64;
    ours.stages = Stages::default();
    let mut stages = Stages::default();
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let text = timed(|| {
                (0..repeats).for_each(|_| bodies.iter().for_each(|body| ours.push(PushFormat::Text, body.as_bytes())));
            });
            std::mem::swap(&mut stages, &mut ours.stages);
            let other = timed(|| (0..repeats).for_each(|_| theirs.iter().for_each(|body| ours.push(format, body))));
            std::mem::swap(&mut stages, &mut ours.stages);
            (other.as_secs_f64() / samples, text.as_secs_f64() / samples)
        })
        .collect();
    println!("where the time of {name} at {series} series goes: {stages}");
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (mine, theirs) = rounds[ROUNDS / 2];
    let spread = |(mine, theirs): (f64, f64)| theirs / mine;
    println!("  ratio over {ROUNDS} rounds: {:.2} to {:.2}", spread(rounds[0]), spread(rounds[ROUNDS - 1]));
    Line {
        name: format!("{name} ingest, {series} warm series"),
        ours: format!("{:.1} M samples/s", 1e-6 / mine),
        reference: format!("{:.1} M in text", 1e-6 / theirs),
        ratio: theirs / mine,
        budget: format!(">= {budget}"),
        holds: theirs / mine >= budget,
    }
}

/// Inflating of pushes as they are inflated on their way in, step by step and within a limit, against a bare inflate loop.
fn gunzip(series: usize) -> Line {
    const LIMIT: usize = 64 << 20;
    let bodies = Bodies::shuffled(series);
    let pushes: Vec<Bytes> = bodies.iter().map(|body| data::gzip(body.as_bytes()).into()).collect();
    let lengths: Vec<usize> = bodies.iter().map(str::len).collect();
    let runtime = actix_rt::Runtime::new().expect("a runtime");
    let budget = Budget::new(usize::MAX);
    let ours = || {
        for (push, length) in pushes.iter().zip(&lengths) {
            let mut permit = budget.take(0).expect("room");
            let text = runtime.block_on(decompress(Coding::Gzip, push.clone(), LIMIT, &mut permit)).expect("gzip");
            assert_eq!(text.len(), *length);
        }
    };
    let bare = || {
        let mut text = Vec::new();
        for (push, length) in pushes.iter().zip(&lengths) {
            text.clear();
            flate2::bufread::GzDecoder::new(&push[..]).read_to_end(&mut text).expect("gzip");
            assert_eq!(text.len(), *length);
        }
    };
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| (timed(bare).as_secs_f64(), timed(ours).as_secs_f64()))
        .map(|(bare, ours)| (ours, bare))
        .collect();
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (mine, bare) = rounds[ROUNDS / 2];
    let rate = |time: f64| format!("{:.2} GB/s", lengths.iter().sum::<usize>() as f64 / time / 1e9);
    Line {
        name: "gzip pushes of 1000, inflated".to_owned(),
        ours: rate(mine),
        reference: rate(bare) + " bare",
        ratio: bare / mine,
        budget: ">= 0.9".to_owned(),
        holds: bare / mine >= 0.9,
    }
}

/// Encoding of the page in protobuf against the same in text.
fn encode_protobuf(series: usize) -> Line {
    let mut ours = Ours::new();
    for body in Bodies::shuffled(series).iter() {
        ours.push(PushFormat::Text, body.as_bytes());
    }
    let protobuf = Format { kind: FormatKind::Protobuf, ..Format::default() };
    assert_eq!(ours.encode(Format::default()), series);
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let text = timed(|| assert_eq!(ours.encode(Format::default()), series));
            let mine = timed(|| assert_eq!(ours.encode(protobuf), series));
            (mine.as_secs_f64(), text.as_secs_f64())
        })
        .collect();
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (mine, text) = rounds[ROUNDS / 2];
    let rate = |time: f64| format!("{:.1} M series/s", series as f64 / time / 1e6);
    Line {
        name: format!("protobuf encode, {series} series"),
        ours: rate(mine),
        reference: rate(text) + " text",
        ratio: text / mine,
        budget: ">= 1".to_owned(),
        holds: text / mine >= 1.0,
    }
}

/// The cost of a push must not depend on what is stored.
fn cost_of_stored_series(few: Duration, many: Duration) -> Line {
    let of_push = |sample: Duration| format!("{:.0} µs", sample.as_secs_f64() * 1e6 * SERIES_PER_PUSH as f64);
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    Line {
        name: "push of 1000, 1 M stored / 1 k stored".to_owned(),
        ours: of_push(many),
        reference: of_push(few),
        ratio,
        budget: "<= 3".to_owned(),
        holds: ratio <= 3.0,
    }
}

/// Encoding of the whole page, piece by piece as scrapes ask for it.
fn encode(series: usize) -> Line {
    let mut ours = Ours::new();
    for body in Bodies::shuffled(series).iter() {
        ours.push(PushFormat::Text, body.as_bytes());
    }
    // The first scrape puts new series in order.
    let first = timed(|| assert_eq!(ours.encode(Format::default()), series));
    let mut times: Vec<Duration> =
        (0..ROUNDS).map(|_| timed(|| assert_eq!(ours.encode(Format::default()), series))).collect();
    times.sort();
    let rate = |time: Duration| series as f64 / time.as_secs_f64() / 1e6;
    println!("first scrape after {series} new series, with putting them in order: {:.1} M series/s", rate(first));
    let rate = rate(times[ROUNDS / 2]);
    Line {
        name: format!("encode, {series} series"),
        ours: format!("{rate:.1} M series/s"),
        reference: "4 M series/s".to_owned(),
        ratio: rate / 4.0,
        budget: ">= 1".to_owned(),
        holds: rate >= 4.0,
    }
}

/// Memory in a process of its own, so that nothing else is in it.
fn memory(series: usize) -> Line {
    let bytes = measured_by_child(MEMORY_ARGUMENT, series);
    let key = data::mean_key_bytes(series);
    Line {
        name: format!("memory of a counter, {series} stored"),
        ours: format!("{bytes:.0} B"),
        reference: format!("key of {key:.0} B"),
        ratio: bytes - key,
        budget: "<= key + 150".to_owned(),
        holds: bytes <= key + 150.0,
    }
}

/// What this program prints with the argument; not a number if it fails.
fn measured_by_child(argument: &str, count: usize) -> f64 {
    let child =
        std::env::current_exe().and_then(|program| Command::new(program).args([argument, &count.to_string()]).output());
    let printed = child.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    printed.parse().unwrap_or(f64::NAN)
}

/// The round whose ratio of the two times is the median; what was the case over all rounds is printed.
fn median_round(what: &str, mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let ratio = |(mine, theirs): &(f64, f64)| theirs / mine;
    rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let (least, most) = (ratio(&rounds[0]), ratio(&rounds[rounds.len() - 1]));
    println!("{what}: ratio over {} rounds: {least:.2} to {most:.2}", rounds.len());
    rounds[rounds.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn print(lines: &[Line]) {
    println!();
    println!("{:<40} {:>18} {:>18} {:>8} {:>14}", "budget", "ours", "reference", "ratio", "required");
    for Line { name, ours, reference, ratio, budget, holds } in lines {
        let verdict = if *holds { "holds" } else { "MISSED" };
        println!("{name:<40} {ours:>18} {reference:>18} {ratio:>8.2} {budget:>14}  {verdict}");
    }
}
